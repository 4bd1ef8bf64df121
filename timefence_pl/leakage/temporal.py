"""The audit by feature-time columns: the data set's own times, compared in each row.

Takes a data set that says when each of its values was known, gives an :class:`AuditReport`. Rebuilds nothing, and needs
no source. All arithmetic is exact: Int128 nanoseconds, or integer units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from timefence_pl.choices import mapping_of_names, shortened
from timefence_pl.definitions.times import times_of_text
from timefence_pl.durations import DurationLike, parse_duration
from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceSchemaError,
    TimefenceValidationError,
    did_you_mean,
    listing,
    message,
)
from timefence_pl.leakage.audit_report import AuditReport, FeatureAudit
from timefence_pl.leakage.columns import unaudited
from timefence_pl.leakage.data import DataSet, read
from timefence_pl.leakage.history import instant
from timefence_pl.leakage.judged import leak_column
from timefence_pl.leakage.tallies import BUCKET, Ages, Charts, TimeAxis, bounds_marked, counted, numbers_of
from timefence_pl.leakage.verdicts import VERDICTS
from timefence_pl.plan.compatibility import check_reserved, comparable
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.ticks import Clock, clock_of

__all__ = ["audit_times"]

_VERDICT: Final = "verdict"


def audit_times(
    dataset: DataSet,
    columns: Mapping[str, str],
    *,
    keys: Sequence[str],
    label_time: str,
    options: JoinOptions,
    embargo: DurationLike | Mapping[str, DurationLike] | None,
    date_known_at: str,
) -> AuditReport:
    """Compare feature times with label times.

    Args:
        dataset: The data set.
        columns: ``{column: its feature-time column}``.
        keys: Key columns, to show with failing rows.
        label_time: The label time column.
        options: Join mode and bounds.
        embargo: For all columns, or by column.
        date_known_at: When a ``Date`` feature time is known.

    Raises:
        TimefenceValidationError: If there are no columns.
        TimefenceSchemaError: If a column is missing, or times do not compare.
        TimefenceConfigError: For invalid arguments.
    """
    if not isinstance(columns, Mapping) or not columns:
        raise TimefenceValidationError(
            message(
                f"feature_time_columns={shortened(columns)} names no column to check.",
                fix="Give {'spend_30d': 'spend_computed_at'}.",
            )
        )
    mapping_of_names(columns, "feature_time_columns", fix="Give {'spend_30d': 'spend_computed_at'}.")
    dataset.require("label_time=", [label_time])
    dataset.require("keys=", keys)
    dataset.require("feature_time_columns=", columns.values())
    schema = dataset.schema
    if set(schema).difference(keys, [label_time], columns.values()):  # times may stand alone, without values
        # A feature's name stands for its columns.
        named = [c for c in columns if not any(n.startswith(f"{c}__") for n in schema)]
        dataset.require("feature_time_columns=", named)
    scanned = dataset.scan(label_time)
    if dataset.timestamp_format is not None:
        texts = [c for c in dict.fromkeys(columns.values()) if schema[c] == pl.String]
        scanned = scanned.with_columns(
            times_of_text(f"the {dataset.role}", "feature time", c, dataset.timestamp_format) for c in texts
        )
    values = [c for c in columns if c in schema]
    check_reserved("the data set", {c: schema[c] for c in (*keys, label_time, *columns.values(), *values)})
    frame = read(scanned, [*keys, label_time, *columns.values(), *values], dataset.role)
    clock = _clock(label_time, frame.schema[label_time], "start")
    ticks = frame.select(clock.ticks(pl.col(label_time))).to_series()
    axis = TimeAxis.of(ticks, clock)
    bucket = axis.bucket(ticks)
    waits = _embargoes(embargo, columns, integer=clock.kind == "integer")
    features = {}
    for column, time in columns.items():
        own = _clock(time, frame.schema[time], date_known_at)
        comparable((f"label time {label_time!r}", clock), (f"feature time {time!r}", own))
        features[column] = _checked(
            frame, column, time, (clock, own), (keys, label_time), options, waits[column], axis, bucket
        )
    return AuditReport(
        features=features,
        total_rows=frame.height,
        mode="temporal",
        data=dataset.described(),
        rule=f"feature_time {'<' if options.strict else '<='} {label_time} - embargo",
        unaudited_columns=unaudited(schema, [*keys, label_time, *columns, *columns.values()], columns),
    )


def _clock(name: str, dtype: pl.DataType, known_at: str) -> Clock:
    clock = clock_of(dtype, date_known_at=known_at)
    if clock is None:
        raise TimefenceSchemaError(
            message(
                f"The column {name!r} of the data set is {dtype}, not a time type.",
                fix="Give timestamp_format= for strings, or convert it to Datetime, Date or an integer.",
            )
        )
    return clock


def _embargoes(
    embargo: DurationLike | Mapping[str, DurationLike] | None, columns: Mapping[str, str], *, integer: bool
) -> dict[str, int]:
    by_column = embargo if isinstance(embargo, Mapping) else dict.fromkeys(columns, embargo)
    unknown = [c for c in by_column if c not in columns]
    if unknown:
        raise TimefenceConfigError(
            message(
                f"embargo names {listing(unknown)}, which feature_time_columns does not. "
                f"{did_you_mean(str(unknown[0]), columns)}".rstrip(),
                fix="Use the same column names in both.",
            )
        )
    return {c: _amount(by_column.get(c), f"embargo of {c!r}", integer=integer) or 0 for c in columns}


def _amount(value: DurationLike | None, name: str, *, integer: bool) -> int | None:
    duration = parse_duration(value, name=name)
    if duration is None:
        return None
    if duration.amount and duration.integer != integer:
        raise TimefenceConfigError(
            message(
                f"{name}={value!r} does not fit the times, which are {'integers' if integer else 'dates or datetimes'}.",
                fix="Give an integer in their unit." if integer else 'Give a unit, as in "1d" or "6h".',
            )
        )
    return duration.amount


def _checked(
    frame: pl.DataFrame,
    column: str,
    time: str,
    clocks: tuple[Clock, Clock],
    roles: tuple[Sequence[str], str],
    options: JoinOptions,
    wait: int,
    axis: TimeAxis,
    bucket: pl.Series,
) -> FeatureAudit:
    keys, label_time = roles
    integer = clocks[0].kind == "integer"
    for name, duration in (("max_lookback", options.max_lookback), ("max_staleness", options.max_staleness)):
        if duration is not None and duration.amount and duration.integer != integer:
            _amount(str(duration) if not duration.integer else duration.amount, name, integer=integer)
    lookback = None if options.max_lookback is None else options.max_lookback.amount
    staleness = None if options.max_staleness is None else options.max_staleness.amount
    oldest = min((a for a in (lookback, staleness) if a is not None), default=None)
    label = instant(clocks[0].ticks(pl.col(label_time)), clocks[0])
    known = instant(clocks[1].ticks(pl.col(time)), clocks[1])
    limit = label - pl.lit(wait, dtype=pl.Int128)
    late = known >= limit if options.strict else known > limit
    old = pl.lit(value=False) if oldest is None else known < label - pl.lit(oldest, dtype=pl.Int128)
    judged = frame.with_row_index("__tf_at").select(
        pl.col("__tf_at"),
        pl.when(late.fill_null(value=False))
        .then(pl.lit("future"))
        .when(old.fill_null(value=False))
        .then(pl.lit("stale"))
        .otherwise(pl.lit("ok"))
        .cast(pl.Enum(VERDICTS))
        .alias(_VERDICT),
        pl.when(late).then(known - limit).alias("__tf_leak"),
        (label - known).alias("__tf_age"),
    )
    words = judged[_VERDICT]
    fails = words != "ok"
    failing = judged.filter(fails)
    shown = frame.select(list(dict.fromkeys([*keys, label_time, time, *([column] if column in frame.columns else [])])))
    leak = leak_column(failing["__tf_leak"], clocks[0]).alias("leakage")
    taken = {"row": failing["__tf_at"], "verdict": failing[_VERDICT], "leakage": leak}
    at = shown.select(pl.all().gather(failing["__tf_at"]))
    at = at.rename({c: f"data_{c}" for c in at.columns if c in taken})
    rows = pl.DataFrame(taken).select("row", "verdict", "leakage").hstack(at)
    rows = rows.select("row", *at.columns, "verdict", "leakage")
    unknown = int(frame[time].is_null().sum())
    problems, notes = _remarks(frame, column, time, label_time)
    nothing = not frame.height or unknown == frame.height
    counts = dict.fromkeys(VERDICTS, 0)
    if not nothing:
        counts |= numbers_of(words)
    marks = bounds_marked(wait, lookback, staleness, integer=integer)
    ages = Ages.of(clocks[0].kind)
    tally = ages.tally(judged["__tf_age"], by=words).with_columns(pl.col(_VERDICT).cast(pl.String))
    axis_of_ages = ages.drawn(tally, marks)
    return FeatureAudit(
        name=column,
        total_rows=frame.height,
        counts=counts,
        null_rows=unknown,
        columns={column: column if column in frame.columns else None, "feature_time": time},
        problems=problems,
        notes=notes,
        bounds=", ".join(word for _, word in marks) or "no bounds",
        leaks=failing["__tf_leak"].drop_nulls(),
        endless=0,
        integer_times=integer,
        rows=rows,
        charts=Charts(
            ages=axis_of_ages.tally,
            edges=axis_of_ages.labels,
            marks=axis_of_ages.marks,
            reasons=pl.DataFrame(schema={BUCKET: pl.UInt8, "reason": pl.String, "rows": pl.Int64}),
            verdicts=counted({BUCKET: bucket.filter(fails), _VERDICT: words.filter(fails)})
            .drop_nulls()
            .with_columns(pl.col(_VERDICT).cast(pl.String)),
            totals=numbers_of(bucket),
            spans=axis.spans(),
            times=not integer,
        ),
    )


def _remarks(frame: pl.DataFrame, column: str, time: str, label_time: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    problems, notes = [], []
    unknown = int(frame[time].is_null().sum())
    unlabelled = int((frame[label_time].is_null() & frame[time].is_not_null()).sum())
    if not frame.height:
        problems.append("The data set has no rows: nothing was checked.")
    elif unknown == frame.height:
        problems.append(f"Every feature time in {time!r} is null: nothing was checked.")
    if unlabelled:
        problems.append(f"{unlabelled:,} row(s) have a feature time but no label time: they were not checked.")
    if column in frame.columns and column != time:
        valued = int((frame[column].is_not_null() & frame[time].is_null()).sum())
        if valued:
            notes.append(f"{valued:,} row(s) have a value but no feature time: they were not checked.")
    return tuple(problems), tuple(notes)
