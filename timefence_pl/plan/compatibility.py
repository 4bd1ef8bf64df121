"""Whether labels and a source can be joined at all, from their schemas.

Takes definitions, gives the clocks and key columns of both sides or a ``TimefenceError`` that names both. Reads no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceSchemaError,
    TimefenceTimezoneError,
    did_you_mean,
    listing,
    message,
)
from timefence_pl.plan.ticks import Clock, clock_of
from timefence_pl.plan.time_key import KeyColumn, key_column

__all__ = ["SourceColumns", "check_no_patterns", "check_reserved", "label_clock", "label_keys", "source_columns"]

RESERVED = "__tf_"


@dataclass(frozen=True)
class SourceColumns:
    """A source's schema with its roles resolved.

    Attributes:
        schema: All columns.
        keys: How each key column compares, in key order.
        clock: Of the timestamp.
        available: Of ``available_at``, where there is one.
    """

    schema: pl.Schema
    keys: tuple[KeyColumn, ...]
    clock: Clock
    available: Clock | None


def source_columns(source: Source) -> SourceColumns:
    """Resolve a source's columns.

    Raises:
        TimefenceSchemaError: If a column is missing or its type cannot be a key or a time.
        TimefenceTimezoneError: If timestamp and availability do not compare.
    """
    schema = source.schema
    where = f"source {source.name!r}"
    roles = [
        *source.keys,
        source.timestamp,
        *([source.available_at] if source.available_at else []),
        *source.tie_breaker,
    ]
    check_reserved(where, {n: schema[n] for n in roles})
    check_reserved(where, {n: t for n, t in schema.items() if not reads_as_pattern(n)})
    keys = tuple(_key(where, name, schema[name]) for name in source.keys)
    clock = _clock(where, "timestamp", source.timestamp, schema[source.timestamp], source.date_known_at)
    for name in source.tie_breaker:
        if schema[name] == pl.Object:
            raise TimefenceSchemaError(
                message(
                    f"The tie_breaker {name!r} of {where} is {schema[name]}, which has no order.",
                    fix="Use a column of numbers, times or strings.",
                )
            )
    available = None
    if source.available_at:
        dtype = schema[source.available_at]
        available = _clock(where, "available_at", source.available_at, dtype, source.date_known_at)
        comparable(
            (f"{where} timestamp {source.timestamp!r}", clock),
            (f"{where} available_at {source.available_at!r}", available),
        )
    return SourceColumns(schema, keys, clock, available)


def label_clock(labels: Labels, schema: pl.Schema) -> Clock:
    """The clock of the label time; a ``Date`` is its day's first instant.

    Raises:
        TimefenceSchemaError: If the column is no time.
    """
    check_reserved("labels", schema)
    return _clock("labels", "label_time", labels.label_time, schema[labels.label_time], "start")


def label_keys(feature: Feature | Window, columns: SourceColumns, labels: Labels, schema: pl.Schema) -> tuple[str, ...]:
    """The label columns that stand for the source's keys, in the source's key order.

    Raises:
        TimefenceSchemaError: If a source key is neither mapped nor named in the labels, or types do not compare.
    """
    inverse = {source_key: label_key for label_key, source_key in feature.key_mapping.items()}
    names = []
    for key, own in zip(feature.source.keys, columns.keys, strict=True):
        name = inverse.get(key, key)
        if key not in inverse and name in feature.key_mapping:
            raise TimefenceConfigError(
                message(
                    f"The label key {name!r} of feature {feature.name!r} stands for two keys of its source: "
                    f"{feature.key_mapping[name]!r} by key_mapping and {key!r} by name.",
                    fix=f"Map {key!r} as well: key_mapping={{'<label key>': {key!r}, ...}}.",
                )
            )
        if name not in labels.keys:
            hint = did_you_mean(name, labels.keys)
            finer = len(feature.source.keys) > len(labels.keys)
            raise TimefenceSchemaError(
                message(
                    f"Feature {feature.name!r} needs the key {name!r}, which the labels do not have as a key. "
                    f"{hint}".rstrip(),
                    where=(
                        f"source {feature.source.name!r} keys: {listing(feature.source.keys)}\n"
                        f"label keys: {listing(labels.keys)}"
                    ),
                    why=(
                        "The source is keyed more finely than the labels: an arbitrary row would be chosen."
                        if finer
                        else "Without it, rows cannot be told to belong to the same entity."
                    ),
                    fix=(
                        f"key_mapping={{'<label key>': {key!r}}} on the feature",
                        f"add {name!r} to the labels' keys",
                        "aggregate the source to the labels' keys with transform= or sql=",
                    ),
                )
            )
        side = _key("labels", name, schema[name])
        if not own.fits(side) and pl.Null not in (side.dtype, own.dtype):
            raise TimefenceSchemaError(
                message(
                    f"The key {name!r} does not compare with the key of feature {feature.name!r}.",
                    where=(f"labels {name!r}: {side.dtype}\nsource {feature.source.name!r} {key!r}: {own.dtype}"),
                    why="Values of different kinds would be equal by accident, or never.",
                    fix=f"Cast one of them, as in pl.col({name!r}).cast(pl.{own.dtype}).",
                )
            )
        names.append(name)
    unused = [k for k in feature.key_mapping if k not in names]
    if unused:
        raise TimefenceConfigError(
            message(
                f"key_mapping of feature {feature.name!r} has keys that are not used: {listing(unused)}.",
                fix="Map label keys (left) to source keys (right).",
            )
        )
    return tuple(names)


def comparable(left: tuple[str, Clock], right: tuple[str, Clock]) -> None:
    """Check that two times compare.

    Raises:
        TimefenceTimezoneError: For naive or ``Date`` with time-zone-aware.
        TimefenceSchemaError: For integers with times.
    """
    kinds = {left[1].kind, right[1].kind}
    where = "\n".join(f"{name}: {clock.dtype}" for name, clock in (left, right))
    if "integer" in kinds and len(kinds) > 1:
        raise TimefenceSchemaError(
            message(
                "Integer times and date times do not compare.",
                where=where,
                fix="Use integers on both sides, or convert with pl.from_epoch(...).",
            )
        )
    if "aware" in kinds and len(kinds) > 1:
        aware, naive = (left[1], right[1]) if left[1].kind == "aware" else (right[1], left[1])
        raise TimefenceTimezoneError(
            message(
                "Naive and time-zone-aware times do not compare.",
                where=where,
                why="The join would be off by the zone's offset, by hours.",
                fix=_zone_fixes(naive, getattr(aware.dtype, "time_zone", None) or "UTC"),
            )
        )


def _zone_fixes(naive: Clock, zone: str) -> tuple[str, str]:
    """How a time without a zone can be made to compare with one of a zone."""
    if naive.kind != "date":
        return (
            f"say what zone the naive column is in; if it is that of the other: .dt.replace_time_zone('{zone}')",
            "or make both naive in UTC: .dt.convert_time_zone('UTC').dt.replace_time_zone(None)",
        )
    if naive.offset:
        instant = "last instant, at which it is known, in its zone: .cast(pl.Datetime('us')).dt.offset_by('1d')"
        back = ".dt.offset_by('-1us')"
    else:
        instant, back = "first instant in its zone: .cast(pl.Datetime('us'))", ""
    return (
        f"make the Date its day's {instant}.dt.replace_time_zone('{zone}'){back}",
        f"or make the other naive in the days' zone: .dt.convert_time_zone('{zone}').dt.replace_time_zone(None)",
    )


def check_reserved(where: str, schema: Mapping[str, pl.DataType]) -> None:
    """Refuse columns whose names the plan uses itself, or that Polars takes for patterns.

    Raises:
        TimefenceSchemaError: If there are any.
    """
    check_no_patterns(where, schema)
    taken = [n for n in schema if n.startswith(RESERVED)]
    if taken:
        raise TimefenceSchemaError(
            message(f"Column names of {where} start with the reserved {RESERVED!r}: {listing(taken)}.", fix="Rename.")
        )


def check_no_patterns(where: str, names: Iterable[str]) -> None:
    """Refuse columns whose names Polars takes for patterns.

    Raises:
        TimefenceSchemaError: If there are any.
    """
    patterns = [n for n in names if reads_as_pattern(n)]
    if patterns:
        raise TimefenceSchemaError(
            message(
                f"Column names of {where} read as patterns to Polars: {listing(patterns)}.",
                why="Polars would select other columns, or none, by such a name.",
                fix="Rename: a name must not be '*', nor start with '^' and end with '$'.",
            )
        )


def reads_as_pattern(name: str) -> bool:
    """Whether ``pl.col`` of this name would be a regular expression or wildcard."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def _key(where: str, name: str, dtype: pl.DataType) -> KeyColumn:
    column = key_column(dtype)
    if column is None:
        raise TimefenceSchemaError(
            message(
                f"The key {name!r} of {where} is {dtype}, which cannot be a key.",
                why="Rounded numbers and nested values do not identify an entity." if dtype.is_float() else "",
                fix=f"Cast it, as in pl.col({name!r}).cast(pl.Int64) or .cast(pl.String).",
            )
        )
    return column


def _clock(where: str, argument: str, name: str, dtype: pl.DataType, known_at: str) -> Clock:
    clock = clock_of(dtype, date_known_at=known_at)
    if clock is None:
        text = dtype == pl.String
        raise TimefenceSchemaError(
            message(
                f"The {argument} {name!r} of {where} is {dtype}, not a time type.",
                fix=(
                    "Give timestamp_format=, as in '%d/%m/%Y %H:%M'; texts are read by themselves only in CSV files, "
                    "and where the year comes first."
                    if text
                    else "Use a Datetime, Date or integer column (pl.from_epoch makes times of numbers)."
                ),
            )
        )
    return clock
