"""A feature's rows: its definition applied to events.

Takes a row set (features that share their rows) and events, gives one LazyFrame with the source's keys, the feature
time, availability and tie breakers, and the feature columns. Knows nothing of labels or packing, and reads no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.source import Source
from timefence_pl.errors import TimefenceError, TimefenceSchemaError, did_you_mean, listing, message
from timefence_pl.fingerprint.inputs import reread
from timefence_pl.integrations.sql import run_sql
from timefence_pl.plan.compatibility import SourceColumns, check_no_patterns, comparable, source_columns
from timefence_pl.plan.expressions import is_row_wise, output_columns
from timefence_pl.plan.ticks import Clock, clock_of
from timefence_pl.plan.time_key import key_column

__all__ = ["FeatureRows", "RowSet", "feature_rows", "in_source_order", "in_time_order", "row_sets", "usable_events"]

#: Internal names of key, time, availability and tie columns in a feature's rows.
KEY_COLUMN: Final = "__tf_k{}"
TIME_COLUMN: Final = "__tf_t"
AVAILABLE_COLUMN: Final = "__tf_a"
TIE_COLUMN: Final = "__tf_tie{}"


@dataclass(frozen=True)
class RowSet:
    """Features that are computed from the same rows, and so share one sort.

    Attributes:
        source: Their source.
        features: The features, all of them expressions, or a single transform or SQL.
        keep_first: Whether the first of duplicate rows is kept instead of the last.
    """

    source: Source
    features: tuple[Feature, ...]
    keep_first: bool


@dataclass(frozen=True)
class FeatureRows:
    """The rows of a row set, unsorted unless the features needed time order.

    Attributes:
        frame: Internal key, time, availability and tie columns, then ``{feature}__{column}`` for each feature.
        clock: Of the time column.
        available: Of the availability column, where there is one.
        keys: Number of key columns.
        ties: Names of the tie columns, in order; where rows have no source order, all value columns come last.
        outputs: For each feature its columns: own name to type.
        each: The columns as expressions of the events, where each row is made of one event, and in their order.
    """

    frame: pl.LazyFrame
    clock: Clock
    available: Clock | None
    keys: int
    ties: tuple[str, ...]
    outputs: dict[str, dict[str, pl.DataType]]
    each: tuple[pl.Expr, ...] | None = None

    @property
    def complete(self) -> list[str]:
        """The columns that hold no nulls."""
        keys = [KEY_COLUMN.format(i) for i in range(self.keys)]
        return [*keys, TIME_COLUMN, *([] if self.available is None else [AVAILABLE_COLUMN])]


def row_sets(features: Sequence[Feature]) -> list[RowSet]:
    """Group features by the rows they are computed from, in order of first appearance."""
    groups: dict[object, list[Feature]] = {}
    for feature in features:
        alone = feature.mode in ("sql", "transform")
        shared = (feature.source.identity(), feature.on_duplicate == "keep_first")
        groups.setdefault(id(feature) if alone else shared, []).append(feature)
    return [RowSet(g[0].source, tuple(g), g[0].on_duplicate == "keep_first") for g in groups.values()]


def usable_events(source: Source, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The events with a key, a time and (where the source says when) an availability; the others are dropped.

    Args:
        source: The declaration.
        frame: The source's events, or others with the same columns.
    """
    needed = [*source.keys, source.timestamp, *([source.available_at] if source.available_at else [])]
    return frame.filter(pl.all_horizontal(pl.col(n).is_not_null() for n in needed))


def feature_rows(rows: RowSet, events: pl.LazyFrame) -> FeatureRows:
    """Apply the definitions of a row set to usable events.

    Args:
        rows: What to compute.
        events: Usable events of the source, in source order.

    Raises:
        TimefenceSchemaError: If a definition does not fit the source, or its result is no feature frame.
    """
    columns = source_columns(rows.source)
    if rows.features[0].mode in ("sql", "transform"):
        return _derived_rows(rows.features[0], columns, events)
    return _expression_rows(rows, columns, events)


def _expression_rows(rows: RowSet, columns: SourceColumns, events: pl.LazyFrame) -> FeatureRows:
    source = rows.source
    outputs = {f.name: _outputs(f, columns.schema) for f in rows.features}
    ordered = [f for f in rows.features if not all(is_row_wise(e) for e in f.exprs)]
    if ordered and columns.available is not None:
        raise _reads_many_rows(ordered[0])
    in_order = not in_source_order(source, rows.features)
    if in_order:
        events = in_time_order(source, events)
    internal = [pl.col(k).alias(KEY_COLUMN.format(i)) for i, k in enumerate(source.keys)]
    internal.append(pl.col(source.timestamp).alias(TIME_COLUMN))
    if source.available_at:
        internal.append(pl.col(source.available_at).alias(AVAILABLE_COLUMN))
    ties = tuple(TIE_COLUMN.format(i) for i in range(len(source.tie_breaker)))
    internal += [pl.col(c).alias(t) for c, t in zip(source.tie_breaker, ties, strict=True)]
    values = [v for f in rows.features for e in f.exprs for v in _prefixed(f.name, e, columns.schema)]
    each = (*internal, *values)
    frame = events.select(each)
    given = None if in_order else each
    return FeatureRows(frame, columns.clock, columns.available, len(source.keys), ties, outputs, given)


def in_source_order(source: Source, features: Iterable[Feature]) -> bool:
    """Whether the rows of features that share them are computed in the order of their source; else in that of time."""
    return all(
        all(is_row_wise(e) for e in f.exprs) and (source.has_order or f.on_duplicate == "error") for f in features
    )


def _outputs(feature: Feature, schema: pl.Schema) -> dict[str, pl.DataType]:
    """A feature's columns over a schema; tried once and remembered with the feature, which never changes."""
    known: dict[object, dict[str, pl.DataType]] = feature.__dict__.setdefault("_tried", {})
    key = tuple(schema.items())
    if key not in known:
        known[key] = output_columns(feature.name, feature.exprs, schema)
    return known[key]


def _prefixed(feature: str, expr: pl.Expr, schema: pl.Schema) -> list[pl.Expr]:
    """The expression with its outputs named ``{feature}__{column}``, whatever it expands to."""
    names = list(pl.LazyFrame(schema=schema).select(expr).collect_schema())
    if len(names) == 1:
        return [expr.alias(f"{feature}__{names[0]}")]
    if expr.meta.is_column_selection(allow_aliasing=False):
        return [cs.by_name(n).as_expr().alias(f"{feature}__{n}") for n in names]
    check_no_patterns(f"feature {feature!r}", names)
    whole = pl.struct(expr)
    return [whole.struct.field(n).alias(f"{feature}__{n}") for n in names]


def in_time_order(source: Source, events: pl.LazyFrame) -> pl.LazyFrame:
    """Events in time order: ties by availability, tie breaker, then source order; where it has none, by all values."""
    by = [source.timestamp, *([source.available_at] if source.available_at else []), *source.tie_breaker]
    if not source.has_order:
        # By every column, whoever reads which: rows of one source must stand in one order for all its features.
        by += [n for n, dtype in source.schema.items() if n not in by and dtype != pl.Object]
    return events.sort(by, maintain_order=True)


def _derived_rows(feature: Feature, columns: SourceColumns, events: pl.LazyFrame) -> FeatureRows:
    source = feature.source
    result = _run_transform(feature, in_time_order(source, events)) if feature.transform else _run_sql(feature, events)
    try:
        schema = result.collect_schema()
    except TimefenceError:
        raise
    except pl.exceptions.PolarsError as error:
        raise _does_not_fit(feature, columns, error) from error
    time = "feature_time" if "feature_time" in schema else source.timestamp
    needed = [*source.keys, time]
    available = None
    if source.available_at:
        available = source.available_at if source.available_at in schema else "available_at"
        needed.append(available)
    missing = [n for n in needed if n not in schema]
    if missing:
        raise TimefenceSchemaError(
            message(
                f"The {feature.mode} of feature {feature.name!r} does not return {listing(missing)}. "
                f"{did_you_mean(missing[0], schema)}".rstrip(),
                where=f"returned: {listing(schema)}\nneeded: {listing(needed)}",
                why=(
                    "Without its availability a row's value would be used before it was known."
                    if available in missing
                    else "A feature row keeps its keys and its time."
                ),
                fix="Return the source's keys, its timestamp (or feature_time)"
                + (", available_at" if source.available_at else "")
                + " and the values.",
            )
        )
    clock = clock_of(schema[time], date_known_at=source.date_known_at)
    known = None if available is None else clock_of(schema[available], date_known_at=source.date_known_at)
    for name, found in ((time, clock), *(((available, known),) if available else ())):
        if found is None:
            raise TimefenceSchemaError(
                message(
                    f"Feature {feature.name!r} returns {name!r} as {schema[name]}, not a time type.",
                    fix="Return a Datetime, Date or integer column.",
                )
            )
    assert clock is not None  # noqa: S101 - narrowed above
    where = f"feature {feature.name!r}"
    if known is not None:
        comparable((f"{where} {time!r}", clock), (f"{where} {available!r}", known))
    for key, own in zip(source.keys, columns.keys, strict=True):
        side = key_column(schema[key])
        if side is None or not own.fits(side):
            raise TimefenceSchemaError(
                message(
                    f"Feature {feature.name!r} returns the key {key!r} as {schema[key]}, not {own.dtype}.",
                    fix=f"Keep the source's type: .cast(pl.{own.dtype}).",
                )
            )
    values = [n for n in schema if n not in needed and n not in source.tie_breaker]
    if not values:
        raise TimefenceSchemaError(
            message(f"Feature {feature.name!r} returns no value column.", fix="Return at least one value column.")
        )
    internal = [
        pl.col(k).cast(o.dtype).alias(KEY_COLUMN.format(i))
        for i, (k, o) in enumerate(zip(source.keys, columns.keys, strict=True))
    ]
    internal.append(pl.col(time).alias(TIME_COLUMN))
    if available:
        internal.append(pl.col(available).alias(AVAILABLE_COLUMN))
    breakers = [c for c in source.tie_breaker if c in schema]
    ties = [TIE_COLUMN.format(i) for i in range(len(breakers))]
    internal += [pl.col(c).alias(t) for c, t in zip(breakers, ties, strict=True)]
    frame = result.select(*internal, *(cs.by_name(v).as_expr().alias(f"{feature.name}__{v}") for v in values))
    complete = [KEY_COLUMN.format(i) for i in range(len(source.keys))] + [TIME_COLUMN]
    complete += [AVAILABLE_COLUMN] if available else []
    frame = frame.filter(pl.all_horizontal(pl.col(n).is_not_null() for n in complete))
    outputs = {feature.name: {v: schema[v] for v in values}}
    return FeatureRows(frame, clock, known, len(source.keys), tuple(ties), outputs)


def _run_transform(feature: Feature, events: pl.LazyFrame) -> pl.LazyFrame:
    assert feature.transform is not None  # noqa: S101 - the caller's mode
    try:
        result: Any = feature.transform(events)
    except TimefenceError:
        raise
    except pl.exceptions.PolarsError as error:
        raise TimefenceSchemaError(
            message(
                f"The transform of feature {feature.name!r} fails on its source.",
                where=f"source {feature.source.name!r}: {feature.source.described()}\nPolars: {str(error).splitlines()[0]}",
                fix="Check the columns and types the transform works on.",
            )
        ) from error
    except Exception as error:  # a user's own, which passes as it is
        error.add_note(
            f"The transform of feature {feature.name!r} raised this on source {feature.source.name!r} "
            f"({feature.source.described()})."
        )
        raise
    result = result.lazy() if isinstance(result, pl.DataFrame) else result
    if not isinstance(result, pl.LazyFrame):
        raise TimefenceSchemaError(
            message(
                f"The transform of feature {feature.name!r} returns a {type(result).__name__}, not a LazyFrame.",
                fix="Return the LazyFrame it builds.",
            )
        )
    return reread(result, beside=events)


def _run_sql(feature: Feature, events: pl.LazyFrame) -> pl.LazyFrame:
    assert feature.sql is not None  # noqa: S101 - the caller's mode
    query = feature.sql.replace("{source}", "source")
    try:
        return run_sql(query, {"source": events, feature.source.name: events}, feature.dialect)
    except TimefenceSchemaError as error:
        raise TimefenceSchemaError(
            message(
                f"The SQL of feature {feature.name!r} does not work on its source.",
                where=(
                    f"source {feature.source.name!r}, the table {{source}}: {feature.source.described()}\n"
                    f"columns: {listing(source_columns(feature.source).schema)}\n{error}"
                ),
            )
        ) from error


def _does_not_fit(feature: Feature, columns: SourceColumns, error: Exception) -> TimefenceSchemaError:
    return TimefenceSchemaError(
        message(
            f"The {feature.mode} of feature {feature.name!r} does not work on its source.",
            where=(
                f"source {feature.source.name!r}: {feature.source.described()}\n"
                f"columns: {listing(columns.schema)}\nPolars: {str(error).splitlines()[0]}"
            ),
            fix="Check the column names and types it uses"
            + ("; the source is the table {source}." if feature.mode == "sql" else "."),
        )
    )


def _reads_many_rows(feature: Feature) -> TimefenceSchemaError:
    shown = next(str(e) for e in feature.exprs if not is_row_wise(e))
    return TimefenceSchemaError(
        message(
            f"Feature {feature.name!r} reads several rows of a source with available_at.",
            where=f"source {feature.source.name!r}, available_at={feature.source.available_at!r}\nexpression: {shown}",
            why=(
                "A value made of several rows is known only when the last of them is. Until then there is another value, "
                "of fewer rows, which a table of final values leaves out."
            ),
            fix=(
                "aggregate as of the label time with tf.Window, which counts each event from when it was known",
                (
                    "use transform=, and make each value of rows alone that were known by the available_at it returns, "
                    "whatever arrives later: in the order of availability, or of what had arrived a fixed time after "
                    "each period"
                ),
            ),
        )
    )
