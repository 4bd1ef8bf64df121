"""The audit: does a data set carry the future? The only orchestrator of its modules.

Takes a data set and features (or feature-time columns), gives an :class:`AuditReport`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Literal

import polars as pl
import polars.selectors as cs

from timefence_pl.choices import boolean, mapping_of_names, one_of, optional_callable
from timefence_pl.definitions.feature_set import AnyFeature, Features, flat_features
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.names import column_list
from timefence_pl.durations import DurationLike
from timefence_pl.errors import TimefenceConfigError, TimefenceValidationError, did_you_mean, listing, message
from timefence_pl.execution.steps import Progress
from timefence_pl.leakage.audit_report import AuditReport, FeatureAudit
from timefence_pl.leakage.columns import Pairing, pair_columns, unaudited
from timefence_pl.leakage.data import DataSet, read
from timefence_pl.leakage.equality import Tolerance, comparable, tolerance_of
from timefence_pl.leakage.judged import Judgement, judge
from timefence_pl.leakage.lookahead import check_lookahead as look_ahead
from timefence_pl.leakage.profile import drawn_ages, named_reasons
from timefence_pl.leakage.rebuilt import WRONG, Rebuilt, rebuild
from timefence_pl.leakage.tallies import Charts, TimeAxis, bounds_marked, numbers_of
from timefence_pl.leakage.temporal import audit_times
from timefence_pl.leakage.verdicts import VERDICTS
from timefence_pl.plan.compatibility import label_clock
from timefence_pl.plan.options import DEFAULT_LOOKBACK, DefaultLookback, JoinOptions, join_options
from timefence_pl.plan.training_set import check_definitions, own_columns, prepare_all, training_set

__all__ = ["audit"]


def audit(
    data: object,
    features: Features | None = None,
    *,
    keys: str | Sequence[str] | None = None,
    label_time: str | None = None,
    feature_time_columns: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    target: str | Sequence[str] | None = None,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: Literal["strict", "inclusive"] = "strict",
    embargo: DurationLike | Mapping[str, DurationLike] | None = None,
    date_known_at: Literal["end", "start"] = "end",
    timestamp_format: str | None = None,
    atol: float = 1e-10,
    rtol: float = 1e-7,
    check_lookahead: bool | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Check a data set for values from the future.

    With ``features``, each is rebuilt from its source for the data set's own rows and compared, value by value. A pair of
    row and feature is ``ok``; ``absent`` (nothing where a value is due); ``future`` (the value of a row of the entity
    that became known too late); ``stale`` (that of an older row); ``unexpected`` (a value from nowhere, where none is
    due); or ``differs`` (from nowhere, where another is due). ``future`` and ``unexpected`` are leakage. Rows may come in
    any order and number, with label times repeated. Where all is ``ok`` this costs little more than a build; where
    values are wrong, what they come from is sought too, and costs the more the more there are. Features are also checked
    for looking ahead (:func:`check_lookahead`), since a value that was computed from the future is rebuilt the same.

    With ``feature_time_columns``, the data set's own columns are compared: ``feature_time < label_time - embargo``
    (``<=`` with ``join="inclusive"``). A ``Date`` feature time is known at its day's end, a ``Date`` label at its start.
    Rows without a feature time are counted as ``null_rows``.

    Args:
        data: A path, a frame, a :class:`BuildResult`, or anything with the Arrow PyCapsule interface.
        features: A feature, features, or sets of them.
        keys: The entity key columns of the data set; a build's own by default.
        label_time: Its label time column; a build's own by default.
        feature_time_columns: ``{column: its feature-time column}``, instead of features; a feature's name stands for its
            columns.
        columns: ``{"{feature}__{column}": column of the data set}`` where they are not found by that name, nor by the
            feature column's own.
        target: Target columns, which are never taken for a feature's column.
        max_lookback: As for :func:`build`. With feature-time columns only where it is given.
        max_staleness: As for :func:`build`.
        join: As for :func:`build`.
        embargo: With feature-time columns: how long after its feature time a value is usable, for all or
            ``{column: duration}``. Features have their own.
        date_known_at: With feature-time columns: whether a ``Date`` is known at its day's ``"end"`` or ``"start"``.
        timestamp_format: The format of String label times (and feature times).
        atol: The absolute part of how far floats may differ, ``atol + rtol * |value due|``.
        rtol: The relative part. Everything but floats must be equal exactly; null equals null, NaN equals NaN.
        check_lookahead: Whether to check the features for looking ahead; by default with ``features``.
        progress: With ``features``, called with a line of text at each step: the data set read, each feature audited,
            the features checked for looking ahead.

    Raises:
        TimefenceError: If definitions, options or data do not fit, or there is nothing to audit.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> events = tf.Source(pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [10, 50]}), keys="k", timestamp="t")
        >>> leaking = pl.DataFrame({"k": [1, 1], "at": [3, 6], "x": [50, 50]})
        >>> report = tf.audit(leaking, tf.Feature(events, columns="x"), keys="k", label_time="at")
        >>> report.has_leakage, report["x"].counts["future"], report["x"].max_leakage
        (True, 1, 2)
        >>> report.failing_rows("x").select("row", "verdict", "x__found", "x__due", "found_source_row").row(0)
        (0, 'future', 50, 10, 1)
    """
    if (features is None) == (feature_time_columns is None):
        raise TimefenceValidationError(
            message(
                "audit needs either features, to rebuild them and compare, or feature_time_columns, to compare times"
                + ("; it got both." if features is not None else "."),
                fix="Give features=[...], or feature_time_columns={'column': 'its feature time'}.",
            )
        )
    optional_callable(progress, "progress")
    if check_lookahead is not None:
        boolean(check_lookahead, "check_lookahead")
    one_of(date_known_at, ("end", "start"), "date_known_at")
    if columns is not None:
        mapping_of_names(columns, "columns", fix="Use {'feature__column': 'column of the data set'}.")
    dataset = DataSet("data set", data, timestamp_format=timestamp_format)
    options = join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing="null",
        flatten_columns=False,
        feature_times=False,
    )
    known_keys, time = dataset.keys(keys), dataset.label_time(label_time)
    targets = () if target is None else column_list("data set", "target", target, empty=True)
    if feature_time_columns is not None:
        _refuse("feature_time_columns", columns=columns, check_lookahead=check_lookahead or None)
        if isinstance(max_lookback, DefaultLookback):
            options = JoinOptions(**{**vars(options), "max_lookback": None})
        return audit_times(
            dataset,
            feature_time_columns,
            keys=known_keys or (),
            label_time="label_time" if time is None else time,
            options=options,
            embargo=embargo,
            date_known_at=date_known_at,
        )
    _refuse("features", embargo=embargo, date_known_at=None if date_known_at == "end" else date_known_at)
    if known_keys is None or time is None:
        missing = [n for n, v in (("keys", known_keys), ("label_time", time)) if v is None]
        raise TimefenceValidationError(
            message(
                f"audit with features needs {listing(missing)}.",
                where=f"columns of the data set: {listing(dataset.schema)}",
                fix="Name the data set's key columns and its label time, as in keys='user_id', label_time='label_time'.",
            )
        )
    assert features is not None  # noqa: S101 - one of the two is given
    dataset.require("keys=", known_keys)
    dataset.require("label_time=", [time])
    dataset.require("target=", targets)
    return _audit_features(
        dataset,
        flat_features(features),
        options,
        keys=known_keys,
        label_time=time,
        columns=columns or {},
        targets=targets,
        tolerance=tolerance_of(atol, rtol),
        check=check_lookahead is not False,
        say=progress or (lambda _line: None),
    )


def _temporal(data: object, feature_time_columns: Mapping[str, str], label_time: str = "label_time") -> AuditReport:
    """The ancestor's name for an audit by feature-time columns."""
    return audit(data, feature_time_columns=feature_time_columns, label_time=label_time)


audit.temporal = _temporal  # type: ignore[attr-defined]


def _refuse(mode: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise TimefenceConfigError(
                message(f"{name}= does not apply to an audit by {mode}.", fix=f"Leave {name}= out.")
            )


def _audit_features(
    dataset: DataSet,
    features: Sequence[AnyFeature],
    options: JoinOptions,
    *,
    keys: tuple[str, ...],
    label_time: str,
    columns: Mapping[str, str],
    targets: Sequence[str],
    tolerance: Tolerance,
    check: bool,
    say: Progress,
) -> AuditReport:
    scanned = dataset.scan(label_time)
    declared = Labels(scanned.select(cs.by_name(dict.fromkeys([*keys, label_time]))), keys=keys, label_time=label_time)
    check_definitions(declared, features, options)
    clock = label_clock(declared, declared.schema)
    frames = prepare_all(features)
    outputs = {f.name: list(own_columns(f, frames[f.name], clock)) for f in features}
    pairings = pair_columns(outputs, list(dataset.schema), columns, (*keys, label_time, *targets))
    wanted = [p.data for pairs in pairings.values() for p in pairs if p.data is not None]
    # Read once: a lazy frame may give its rows in another order each time.
    say("Reading the data set")
    frame = read(scanned, [*keys, label_time, *wanted], dataset.role)
    labels = Labels(frame.select([*keys, label_time]), keys=keys, label_time=label_time)
    plan = training_set(labels, features, frames, options)
    ticks = frame.select(clock.ticks(pl.col(label_time))).to_series()
    axis = TimeAxis.of(ticks, clock)
    bucket = axis.bucket(ticks)
    totals = numbers_of(bucket)
    done = count(1)

    def judged(one: Rebuilt) -> FeatureAudit:
        own = pairings[one.joined.feature.name]
        told = _feature_audit(judge(one, plan.clock, tolerance, bucket), own, frame, keys, label_time, axis, totals)
        say(f"Audited {told.name} ({next(done)}/{len(features)})")
        return told

    found = rebuild(plan, labels, frame, pairings, tolerance, bucket, judged)
    if check:
        say("Checking for look-ahead")
    looked = look_ahead(features) if check else None
    sign = "<" if options.strict else "<="
    return AuditReport(
        features={
            name: told if looked is None else replace(told, lookahead=looked[name]) for name, told in found.items()
        },
        total_rows=frame.height,
        mode="rebuild",
        data=dataset.described(),
        rule=f"feature_time {sign} {label_time} - embargo",
        lookahead=looked,
        unaudited_columns=unaudited(
            dataset.schema, [*keys, label_time, *targets, *wanted, *(f"{name}__feature_time" for name in outputs)]
        ),
    )


def _feature_audit(
    found: Judgement,
    pairings: Sequence[Pairing],
    frame: pl.DataFrame,
    keys: tuple[str, ...],
    label_time: str,
    axis: TimeAxis,
    totals: Mapping[int, int],
) -> FeatureAudit:
    joined, own = found.rebuilt.joined, found.rows["row"]
    problems, notes = _problems(found, pairings, frame, (*keys, label_time))
    nothing = not found.rebuilt.pairings or not frame.height
    labels = pl.DataFrame([frame.get_column(c)[own] for c in dict.fromkeys((*keys, label_time))])
    labels = labels.rename({c: _free(c, [*labels.columns, *found.rows.columns]) for c in _shared(labels, found.rows)})
    rows = pl.concat([found.rows.select("row"), labels, found.rows.drop("row")], how="horizontal")
    bounds, integer = joined.bounds, axis.clock.kind == "integer"
    marks = bounds_marked(bounds.embargo, bounds.lookback, bounds.staleness, integer=integer)
    return FeatureAudit(
        name=joined.feature.name,
        total_rows=frame.height,
        counts=dict.fromkeys(VERDICTS, 0) if nothing else found.counts,
        null_rows=found.rebuilt.null_rows,
        columns={p.column: p.data for p in pairings},
        problems=problems,
        notes=notes,
        bounds=", ".join(word for _, word in marks) or "no bounds",
        leaks=found.leaks,
        endless=found.endless,
        integer_times=integer,
        rows=rows,
        charts=Charts(
            **drawn_ages(joined, found.ages, marks),
            reasons=named_reasons(found.rebuilt.reasons),
            verdicts=found.verdicts.drop_nulls(),
            totals=totals,
            spans=axis.spans(),
            times=not integer,
        ),
        lookahead=None,
        wrong_rows=_wrong_rows(found.rebuilt),
    )


def _wrong_rows(rebuilt: Rebuilt) -> dict[str, int]:
    counts = {p.column: int(rebuilt.failing[WRONG.format(i)].sum()) for i, p in enumerate(rebuilt.pairings)}
    return dict(sorted(((c, n) for c, n in counts.items() if n), key=lambda pair: -pair[1]))


def _shared(left: pl.DataFrame, right: pl.DataFrame) -> list[str]:
    return [c for c in left.columns if c in right.columns]


def _free(name: str, taken: Sequence[str]) -> str:
    """A name like this one that nothing has."""
    while name in taken:
        name = f"label_{name}"
    return name


def _problems(
    found: Judgement, pairings: Sequence[Pairing], frame: pl.DataFrame, taken: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    problems: list[str] = []
    missing = [p for p in pairings if p.data is None]
    if not frame.height:
        problems.append("The data set has no rows: nothing was checked.")
    if len(missing) == len(pairings):
        names = listing(p.output for p in pairings)
        hint = did_you_mean(pairings[0].output, [c for c in frame.columns if c not in taken]) if pairings else ""
        problems.append(
            f"The data set has no column of this feature (looked for {names}): nothing was checked. {hint}".rstrip()
        )
    elif missing:
        problems.append(f"The data set has no column for {listing(p.output for p in missing)}: these were not checked.")
    problems += [
        f"Column {p.data!r} is {types[0]} where {types[1]} is due: its values cannot be equal."
        for p, types in zip(found.rebuilt.pairings, found.rebuilt.types, strict=True)
        if not comparable(*types)
    ]
    notes = [
        f"Column {p.data!r} of the data set is taken for {p.output!r}."
        for p in pairings
        if p.data not in (None, p.output)
    ]
    return tuple(problems), tuple(notes)
