"""The look-ahead check: features recomputed from truncated sources, and compared.

Takes features, gives a :class:`LookaheadReport`. Believes no code: what a feature is, is what it gives. A feature is
free of look-ahead if its rows known before a cutoff are the same, as multisets of keys, feature time, availability and
values, whether or not the source's later rows are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from timefence_pl.choices import shortened
from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature, Features, flat_features
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceConfigError, message
from timefence_pl.leakage.lint import feature_findings, source_findings
from timefence_pl.leakage.lookahead_events import Events, load_events
from timefence_pl.leakage.lookahead_inputs import held_values, other_input
from timefence_pl.leakage.lookahead_report import FeatureLookahead, LookaheadReport
from timefence_pl.leakage.lookahead_runs import FeatureRun, RunError, WindowRun
from timefence_pl.leakage.lookahead_verdict import Findings, compared, judged
from timefence_pl.plan.rows import RowSet, row_sets

__all__ = ["check_lookahead"]

_MOST_ENTITIES: Final = 1 << 40
#: Cutoffs above which a check costs more than it can tell.
_MOST_CUTOFFS: Final = 1_000


def check_lookahead(features: Features, *, cutoffs: int = 5, sample: int | None = None) -> LookaheadReport:
    """Check that features do not depend on the future, by taking the future away.

    Each feature is computed from all rows of its source, twice, and for each cutoff ``c`` once more from the rows known
    before it (``max(timestamp, available_at) < c``), always by the in-memory engine. Its rows known before ``c`` must be
    equal, as multisets of keys, feature time, availability and values (floats to 1e-9, Float32 to 1e-5); a missing or
    extra row is a difference. Whole-column statistics, negative shifts, centred windows, target encodings, ranks and
    buckets stamped at their start are found so, whatever the code looks like, Python functions included. Window
    features are computed at labels that stand at the cutoffs.

    A feature is ``leaky`` where rows differ; ``needs_embargo`` where they differ in ``[c - embargo, c)`` only, which its
    embargo covers; ``nondeterministic`` where two equal runs differ by more than rounding (1e-14, Float32 1e-6);
    ``unchecked`` where something else is read that cannot be truncated (files, the clock, other frames), where its
    Python code keeps values from run to run, where it cannot be computed, where there is nothing to compare, or where no
    row differs though :func:`lint` finds that its plan looks ahead; else ``clean``. What depends on later rows in rare
    rows only may be missed where its plan cannot be read: the report says what was covered.

    Args:
        features: A feature, features, or sets of them.
        cutoffs: How many cutoffs: quantiles of the distinct times at which rows became known, plus one unit; some stand
            right after rows that lack a value instead, where these are filled.
        sample: How many entities of each source to take; by default all up to 500,000 rows, and of larger sources as
            many entities as make about that many rows. The same are taken every time.

    Raises:
        TimefenceConfigError: For invalid arguments.
        TimefenceError: If a definition does not fit its source, or a source cannot be read.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> txns = tf.Source(
        ...     pl.DataFrame({"user": [1] * 8, "at": range(8), "x": [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]}),
        ...     keys="user",
        ...     timestamp="at",
        ...     name="txns",
        ... )
        >>> spend = tf.Feature(txns, pl.col("x").cum_sum().over("user"), name="spend")
        >>> share = tf.Feature(txns, pl.col("x") / pl.col("x").sum().over("user"), name="share")
        >>> report = tf.check_lookahead([spend, share])
        >>> report.clean_features, report.leaky_features
        (['spend'], ['share'])
        >>> report["share"].examples.select("cutoff", "feature_time", "x__all_rows", "x__before_cutoff").row(0)
        (1, 0, 0.0967741935483871, 1.0)
    """
    flat = flat_features(features)
    _check_count("cutoffs", cutoffs, most=_MOST_CUTOFFS)
    if sample is not None:
        _check_count("sample", sample, most=_MOST_ENTITIES)
    held = {f.name: held_values(f) for f in flat}
    events: dict[object, Events] = {}
    for feature in flat:
        identity = feature.source.identity()
        if identity not in events:
            events[identity] = load_events(feature.source, cutoffs, sample)
    found: dict[str, FeatureLookahead] = {}
    for rows in row_sets([f for f in flat if isinstance(f, Feature)]):
        found.update(_checked(rows, events[rows.source.identity()], held))
    for window in (f for f in flat if isinstance(f, Window)):
        found[window.name] = _checked_window(window, events[window.source.identity()], held)
    return LookaheadReport({f.name: found[f.name] for f in flat})


def _check_count(name: str, value: object, most: int | None = None) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0 and (most is None or value <= most):
        return
    raise TimefenceConfigError(
        message(
            f"{name}={shortened(value)} is not a number of {name if name == 'cutoffs' else 'entities'}.",
            fix=f"Use a whole number from 1{'' if most is None else f' to {most:,}'}"
            + (", or None." if name == "sample" else "."),
        )
    )


def _checked(rows: RowSet, events: Events, held: Mapping[str, Mapping[str, str]]) -> dict[str, FeatureLookahead]:
    """Features that share their rows, computed together; one by one where one of them fails."""
    try:
        findings = compared(FeatureRun(rows, events), rows.features)
    except RunError as error:
        if len(rows.features) == 1:
            return {f.name: _unchecked(f, events, str(error)) for f in rows.features}
        alone: Sequence[RowSet] = [RowSet(rows.source, (f,), rows.keep_first) for f in rows.features]
        return {name: found for one in alone for name, found in _checked(one, events, held).items()}
    return {
        f.name: judged(f, events, findings[f.name], _untruncated(f, held), events.covered, _looks_ahead(f))
        for f in rows.features
    }


def _looks_ahead(feature: Feature) -> str | None:
    """The first thing in a feature's plan that looks ahead: such rows may be too rare for any cutoff to meet one."""
    return next((f"{f.rule}: {f.expression}" for f in feature_findings(feature) if not f.unread), None)


def _checked_window(window: Window, events: Events, held: Mapping[str, Mapping[str, str]]) -> FeatureLookahead:
    run = WindowRun(window, events)
    try:
        (findings,) = compared(run, [window]).values()
    except RunError as error:
        return _unchecked(window, events, str(error))
    return judged(window, events, findings, _untruncated(window, held), run.covered)


def _unchecked(feature: AnyFeature, events: Events, reason: str) -> FeatureLookahead:
    return judged(feature, events, Findings(), reason, events.covered)


def _untruncated(feature: AnyFeature, held: Mapping[str, Mapping[str, str]]) -> str | None:
    """What no cutoff truncates: other inputs, values kept from run to run, and what the source's own plan read before.

    Args:
        feature: The feature, which has run.
        held: What its Python code held before it ran for the first time.
    """
    other = other_input(feature)
    if other is not None:
        return f"{other}; no cutoff truncates that"
    before = held[feature.name]
    changed = [n for n, value in held_values(feature).items() if before.get(n, value) != value]
    if changed:
        name = next((n for n in changed if " global " in n), changed[0]).partition(" ")[2]
        return f"its Python code keeps values from run to run ({name} changed), which no cutoff truncates"
    ahead = source_findings(feature.source)
    if not ahead:
        return None
    return f"the plan of its source looks ahead ({ahead[0].rule}: {ahead[0].expression}) before its rows can be cut off"
