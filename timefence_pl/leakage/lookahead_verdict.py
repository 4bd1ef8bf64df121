"""What differs at the cutoffs, and what that says of a feature.

Takes runs of features, gives a finding for each. Computes no feature itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.window import Window
from timefence_pl.leakage.lookahead_compare import KIND, LEFT, RIGHT, differences
from timefence_pl.leakage.lookahead_events import Events
from timefence_pl.leakage.lookahead_report import FeatureLookahead, Status
from timefence_pl.leakage.lookahead_runs import KNOWN_FROM, Run, RunError
from timefence_pl.leakage.lookahead_spans import round_span, shown_span
from timefence_pl.plan.rows import AVAILABLE_COLUMN, KEY_COLUMN, TIME_COLUMN

__all__ = ["Cut", "Findings", "compared", "judged"]

#: Example rows of each cutoff.
_SHOWN: Final = 5
#: Bars of a chart, at most.
_BINS: Final = 16


@dataclass(frozen=True)
class Cut:
    """One feature at one cutoff.

    Attributes:
        cutoff: The last tick before it.
        rows: Rows compared: those of either side.
        differing: How many differ.
        within: Of these, those within the embargo before the cutoff.
        reach: How far before the cutoff the earliest differing row became known.
        history: How far before the cutoff the earliest row became known.
        examples: The first differing rows, those beyond the embargo first.
        distances: How long before the cutoff each differing row became known.
    """

    cutoff: int
    rows: int
    differing: int
    within: int
    reach: int | None
    history: int
    examples: pl.DataFrame
    distances: pl.Series


@dataclass
class Findings:
    """All that the runs of one feature showed."""

    columns: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    repeats: bool = True
    failure: str | None = None


def compared(run: Run, features: Sequence[AnyFeature]) -> dict[str, Findings]:
    """Run features on all events and on those before each cutoff, and compare.

    Raises:
        RunError: If they cannot be computed, together, from all events.
    """
    full = run.all()
    ids = run.ids(full)
    found = {f.name: Findings(run.values(f, full)) for f in features}
    again = run.all()
    for feature in features:
        found[feature.name].repeats = differences(full, again, ids, found[feature.name].columns, again=True).is_empty()
    del again
    for cutoff in run.events.cutoffs:
        _compare_at(run, features, full, cutoff, found)
    return found


def _compare_at(
    run: Run, features: Sequence[AnyFeature], full: pl.DataFrame, cutoff: int, found: dict[str, Findings]
) -> None:
    ids = run.ids(full)
    left = run.upto(full, cutoff)
    try:
        right = run.before(cutoff)
    except RunError as error:
        if len(features) > 1:
            raise
        found[features[0].name].failure = str(error)
        return
    again: pl.DataFrame | None = None
    for feature in features:
        mine = found[feature.name]
        if right.select(*ids, *run.values(feature, right)).schema != left.select(*ids, *mine.columns).schema:
            mine.failure = "its columns or their types depend on the rows"
            continue
        differing = differences(left, right, ids, mine.columns)
        if not differing.is_empty() and mine.repeats and not any(c.differing for c in mine.cuts):
            # What differs by chance alone must not be called a leak.
            again = run.before(cutoff) if again is None else again
            mine.repeats = differences(right, again, ids, mine.columns, again=True).is_empty()
        mine.cuts.append(_cut(feature, run.events, cutoff, left, differing))


def _cut(feature: AnyFeature, events: Events, cutoff: int, left: pl.DataFrame, differing: pl.DataFrame) -> Cut:
    instant = events.instant(cutoff)
    embargo = _embargo(feature)
    extra = int((differing[KIND] == "extra").sum())
    beyond = differing.filter(pl.col(KNOWN_FROM) < _wide(instant - embargo))
    first: int | None = differing[KNOWN_FROM].min()  # type: ignore[assignment]
    oldest: int | None = left[KNOWN_FROM].min()  # type: ignore[assignment]
    shown = (differing if beyond.is_empty() else beyond).sort(KNOWN_FROM, maintain_order=True).head(_SHOWN)
    return Cut(
        cutoff=cutoff,
        rows=left.height + extra,
        differing=differing.height,
        within=differing.height - beyond.height,
        reach=None if first is None else instant - first,
        history=0 if oldest is None else instant - oldest,
        examples=shown,
        distances=differing.select((_wide(instant) - pl.col(KNOWN_FROM)).cast(pl.Float64)).to_series(),
    )


def _wide(instant: int) -> pl.Expr:
    return pl.lit(instant, dtype=pl.Int128)


def _embargo(feature: AnyFeature) -> int:
    """What the embargo covers before a cutoff; of windows nothing, for they are computed at labels of their own."""
    return 0 if isinstance(feature, Window) or feature.embargo is None else feature.embargo.amount


def judged(
    feature: AnyFeature, events: Events, findings: Findings, other: str | None, covered: str, ahead: str | None = None
) -> FeatureLookahead:
    """A feature's verdict.

    Args:
        feature: The feature.
        events: Its source's events.
        findings: What its runs showed.
        other: What it reads that cannot be truncated, or why it could not be run.
        covered: What was covered, in words.
        ahead: What of its plan looks ahead, whatever its rows show; None where nothing does.
    """
    cuts = findings.cuts
    integer = events.clock.kind == "integer"
    reaches = [c.reach for c in cuts if c.reach is not None]
    reach = max(reaches, default=None)
    rows, differing, within = (sum(getattr(c, n) for c in cuts) for n in ("rows", "differing", "within"))
    embargo = _embargo(feature)
    distances, width = _distances(cuts, embargo, window=isinstance(feature, Window), integer=integer)
    status, reason = _status(events, findings, other, differing=differing, within=within, rows=rows, integer=integer)
    if status == "clean" and ahead is not None:
        status, reason = "unchecked", f"its plan looks ahead ({ahead}), though no row differs at {_counted(len(cuts))}"
    return FeatureLookahead(
        name=feature.name,
        source=feature.source.name,
        status=status,
        reason=reason,
        covered=covered,
        embargo="" if feature.embargo is None else str(feature.embargo),
        reach=None if isinstance(feature, Window) else reach,
        integer_times=integer,
        rows_compared=rows,
        rows_differing=differing,
        rows_within_embargo=within,
        cutoffs=_cutoff_frame(events, cuts),
        examples=_examples(events, findings, feature),
        distances=distances,
        embargo_at=embargo / width if 0 < embargo <= width * distances.height else None,
    )


def _status(
    events: Events,
    findings: Findings,
    other: str | None,
    *,
    differing: int,
    within: int,
    rows: int,
    integer: bool,
) -> tuple[Status, str]:
    if not events.repeats:
        return "nondeterministic", "its source gives other rows when it is read again"
    if not findings.repeats:
        return "nondeterministic", "two equal runs give different values"
    if differing > within:
        return "leaky", _leak(findings, differing, rows, integer=integer)
    if other is not None:
        return "unchecked", other
    if findings.failure is not None:
        return "unchecked", findings.failure
    if not events.cutoffs:
        seen = "no usable rows" if not events.rows.height else "rows of one time only, so there is nothing to cut off"
        return "unchecked", f"its source has {seen}"
    if not rows:
        return "unchecked", "it gives no rows before any cutoff, so there is nothing to compare"
    if differing:
        reach = max(c.reach for c in findings.cuts if c.reach is not None)
        return (
            "needs_embargo",
            f"rows up to {shown_span(reach, integer=integer)} before a cutoff look ahead; the embargo covers them",
        )
    return "clean", ""


def _counted(cutoffs: int) -> str:
    return f"{cutoffs} cutoff{'' if cutoffs == 1 else 's'}"


def _leak(findings: Findings, differing: int, rows: int, *, integer: bool) -> str:
    kinds = {k for c in findings.cuts if not c.examples.is_empty() for k in c.examples[KIND].to_list()}
    does = "change" if "changed" in kinds else "appear or vanish"
    said = f"{differing:,} of {rows:,} rows {does} when the rows after the cutoff are taken away"
    seen = [c for c in findings.cuts if c.reach is not None]
    reach = max(c.reach or 0 for c in seen)
    if all((c.reach or 0) * 2 <= c.history for c in seen):
        return f"{said}; they lie up to {shown_span(reach, integer=integer)} before it"
    return said


def _cutoff_frame(events: Events, cuts: Sequence[Cut]) -> pl.DataFrame:
    times = [events.shown(c.cutoff) for c in cuts]
    empty = events.shown(0).clear() if not times else pl.concat(times)
    counts = {
        "rows_compared": [c.rows for c in cuts],
        "rows_differing": [c.differing for c in cuts],
        "rows_within_embargo": [c.within for c in cuts],
    }
    return pl.DataFrame({"cutoff": empty, **{n: pl.Series(v, dtype=pl.Int64) for n, v in counts.items()}})


def _distances(cuts: Sequence[Cut], embargo: int, *, window: bool, integer: bool) -> tuple[pl.DataFrame, float]:
    """Differing rows by how long before their cutoff they became known, and how long each span is.

    The spans reach to the embargo, unless that is much longer than all of them.
    """
    schema = {"from": pl.String, "to": pl.String, "rows": pl.Int64}
    away = pl.concat([c.distances for c in cuts]) if cuts else pl.Series(dtype=pl.Float64)
    if window or away.is_empty():
        return pl.DataFrame(schema=schema), 1.0
    longest = max(float(away.max()), 1.0)  # type: ignore[arg-type]
    longest = max(longest, embargo) if embargo < 3 * longest else longest
    width = round_span(longest / _BINS, integer=integer)
    count = max(1, math.ceil(longest / width))
    counts = (away / width).ceil().cast(pl.Int64).clip(1, count).value_counts(name="rows")
    found = dict(counts.iter_rows())
    edges = [shown_span(int(i * width), integer=integer) for i in range(count + 1)]
    rows = [{"from": edges[i], "to": edges[i + 1], "rows": found.get(i + 1, 0)} for i in range(count)]
    return pl.DataFrame(rows, schema=schema), width


def _examples(events: Events, findings: Findings, feature: AnyFeature) -> pl.DataFrame:
    prefix = f"{feature.name}__"
    names = [c.removeprefix(prefix) for c in findings.columns]
    parts = [
        c.examples.select(
            pl.lit(events.shown(c.cutoff)).first().alias("cutoff"),
            pl.col(KIND).alias("difference"),
            *(pl.col(KEY_COLUMN.format(i)).alias(k) for i, k in enumerate(events.source.keys)),
            *([] if isinstance(feature, Window) else [pl.col(TIME_COLUMN).alias("feature_time")]),
            *([pl.col(AVAILABLE_COLUMN).alias("known_at")] if AVAILABLE_COLUMN in c.examples.columns else []),
            *(
                pl.col(side.format(i)).alias(f"{n}__{said}")
                for i, n in enumerate(names)
                for side, said in ((LEFT, "all_rows"), (RIGHT, "before_cutoff"))
            ),
        )
        for c in findings.cuts
        if not c.examples.is_empty()
    ]
    return pl.concat(parts) if parts else pl.DataFrame()
