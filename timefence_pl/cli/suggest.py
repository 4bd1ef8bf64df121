"""Looking at a data file: what its columns are, and which of them may be keys and times.

Takes a path, gives a :class:`Profile` of plain values. Reads at most :data:`SAMPLE` rows; knows no project.

The proposals rest on names, types, how often values repeat, and whether key and time tell rows apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import timefence_pl as tf
from timefence_pl.errors import listing, message

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SAMPLE", "ColumnProfile", "Profile", "look", "source_code"]

#: A column in which so many percent of the values are different tells rows apart, not entities.
_ROW_ID: Final = 99.9
#: At most so many rows are looked at, from the first on.
SAMPLE: Final = 1_000_000

_KEY_ENDS: Final = frozenset({"id", "ids", "key", "uuid", "guid", "code", "pk", "number", "nr", "no"})
_ENTITIES: Final = frozenset(
    [
        "user",
        "customer",
        "client",
        "account",
        "member",
        "person",
        "patient",
        "subscriber",
        "employee",
        "driver",
        "company",
        "merchant",
        "vendor",
        "shop",
        "store",
        "product",
        "item",
        "sku",
        "card",
        "device",
        "sensor",
        "machine",
        "vehicle",
        "asset",
        "symbol",
        "ticker",
        "player",
        "team",
        "host",
        "entity",
    ]
)
_TIMES: Final = frozenset(
    {"label_time", "event_time", "feature_time", "timestamp", "ts", "time", "datetime", "date", "created_at"}
    | {"when", "updated_at", "occurred_at", "observed_at", "event_date", "as_of", "asof", "event_timestamp"}
)
_TIME_ENDS: Final = frozenset({"at", "time", "ts", "date", "timestamp", "datetime", "on", "day"})
#: Times of something else than the row's event.
_OTHER_TIMES: Final = frozenset(
    [
        "birth",
        "dob",
        "born",
        "signup",
        "registered",
        "joined",
        "expires",
        "expiry",
        "expiration",
        "due",
        "deleted",
        "end",
        "until",
        "to",
        "valid",
        "start",
    ]
)
_KNOWN: Final = frozenset(
    [
        "available",
        "availability",
        "ingested",
        "loaded",
        "known",
        "processed",
        "published",
        "inserted",
        "recorded",
        "arrived",
        "received",
    ]
)
_TARGETS: Final = frozenset(
    [
        "target",
        "label",
        "y",
        "outcome",
        "churn",
        "churned",
        "default",
        "defaulted",
        "fraud",
        "converted",
        "response",
        "class",
    ]
)
_FORMATS: Final = (
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"),
    *("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z"),
    *("%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y"),
    *("%m/%d/%Y %H:%M:%S", "%m/%d/%Y", "%Y%m%d"),
)


@dataclass(frozen=True)
class ColumnProfile:
    """One column.

    Attributes:
        name: Its name.
        dtype: Its data type, as Polars writes it.
        unique: Distinct values among the rows looked at; None where they cannot be counted.
        nulls: Nulls among them.
        rows: The rows looked at.
        kind: ``"key"`` where it can be one, ``"time"``, ``"number"``, ``"flag"``, ``"text"`` or ``"other"``.
        notes: What it may be.
        timestamp_format: The format of times in text.
    """

    name: str
    dtype: str
    unique: int | None
    nulls: int
    rows: int
    kind: str
    notes: str = ""
    timestamp_format: str | None = None

    @property
    def unique_pct(self) -> float:
        """Distinct values as a share of the rows, in percent."""
        return 100 * self.unique / self.rows if self.unique is not None and self.rows else 0.0


@dataclass(frozen=True)
class Profile:
    """One data file, folder or glob.

    Attributes:
        path: As it was given.
        rows: All rows.
        sampled: Rows looked at.
        columns: Its columns.
        keys: The proposed key columns.
        timestamp: The proposed time column.
        timestamp_format: The format of its times, where they are text.
        available_at: The column that may say when a row became known.
        format: The format, where the suffix does not tell.
        delimiter: The separator of CSV files, where it is not a comma.
        duplicates: Rows looked at that have key and time of an earlier one.
        targets: Columns that may be targets.
    """

    path: str
    rows: int
    sampled: int
    columns: tuple[ColumnProfile, ...]
    keys: tuple[str, ...] = ()
    timestamp: str | None = None
    timestamp_format: str | None = None
    available_at: str | None = None
    format: str | None = None
    delimiter: str | None = None
    duplicates: int = 0
    targets: tuple[str, ...] = field(default=())

    @property
    def values(self) -> list[ColumnProfile]:
        """Columns that are neither keys, times, identifiers of rows, nor anything nested."""
        taken = {*self.keys, self.timestamp, self.available_at}
        return [
            c
            for c in self.columns
            if c.name not in taken and c.kind in ("number", "flag", "text") and "row id" not in c.notes
        ]


def look(path: str, *, shared: Collection[str] = (), **options: Any) -> Profile:
    """Look at a data file.

    Args:
        path: A file, folder, glob or URI.
        shared: Columns that other files have as keys too.
        options: As for :class:`timefence_pl.Source`: ``format``, ``delimiter``.

    Raises:
        TimefenceError: If it cannot be read.
    """
    import polars as pl  # noqa: PLC0415 - help needs none

    source = tf.Source(path, keys=[], timestamp="?", name="data", **options)
    frame = source.scan()
    try:
        names = frame.collect_schema().names()
        if len(names) == 1 and options.get("delimiter") is None:
            other = next((d for d in (";", "\t", "|") if d in names[0]), None)  # a CSV file of another separator
            if other is not None:
                return look(path, shared=shared, **{**options, "delimiter": other})
        rows = int(frame.select(pl.len()).collect(engine="streaming").item())
        sample = frame.head(SAMPLE).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        files = source.files()
        if len(files) > 1:
            raise tf.TimefenceValidationError(
                message(
                    f"The files of {path!r} cannot be read as one.",
                    where=f"{listing(files, limit=6)}\nPolars: {str(error).strip().splitlines()[0].split(', hint: ')[0][:200]}",
                    fix="Give one of them, or a glob of those that belong together.",
                )
            ) from error
        raise tf.TimefenceValidationError(
            message(
                f"{path!r} cannot be read: {str(error).strip().splitlines()[0][:200]}",
                fix="Check that the file is whole and of the format its suffix says; --format says another.",
            )
        ) from error
    columns = [_column(sample[name]) for name in sample.columns]
    timestamp, available = _times(columns)
    keys = _keys(sample, columns, timestamp, shared)
    duplicates = 0
    if keys and timestamp is not None and sample.height:
        duplicates = sample.height - sample.select(pl.struct(*keys, timestamp.name).n_unique()).item()
    noted = [_noted(c, keys, timestamp, available) for c in columns]
    return Profile(
        path=path,
        rows=rows,
        sampled=sample.height,
        columns=tuple(noted),
        keys=tuple(keys),
        timestamp=None if timestamp is None else timestamp.name,
        timestamp_format=None if timestamp is None else timestamp.timestamp_format,
        available_at=None if available is None else available.name,
        duplicates=duplicates,
        format=options.get("format"),
        delimiter=options.get("delimiter"),
        targets=tuple(c.name for c in columns if _is_target(c) and c.name not in keys),
    )


def source_code(profile: Profile) -> str:
    """The proposed source, as Python writes it."""
    keys = profile.keys[0] if len(profile.keys) == 1 else list(profile.keys)
    arguments = [_literal(profile.path), f"keys={_literal(keys)}", f"timestamp={_literal(profile.timestamp)}"]
    if profile.format is not None:
        arguments.append(f"format={_literal(profile.format)}")
    if profile.delimiter is not None:
        arguments.append(f"delimiter={_literal(profile.delimiter)}")
    if profile.timestamp_format is not None:
        arguments.append(f"timestamp_format={_literal(profile.timestamp_format)}")
    if profile.available_at is not None:
        arguments.append(f"available_at={_literal(profile.available_at)}")
    return f"tf.Source({', '.join(arguments)})"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # text and lists of text are the same in Python


def _column(values: pl.Series) -> ColumnProfile:
    import polars as pl  # noqa: PLC0415

    dtype = values.dtype
    try:
        unique: int | None = values.n_unique() - bool(values.null_count())
    except pl.exceptions.PolarsError:
        unique = None
    text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    layout = _time_format(values) if dtype == pl.String else None
    if isinstance(dtype, pl.Datetime | pl.Date) or layout is not None:
        kind = "time"
    elif dtype == pl.Boolean:
        kind = "flag"
    elif dtype.is_integer() and _words(values.name) & {"timestamp", "ts", "epoch", "time", "unix"}:
        kind = "time"
    elif dtype.is_numeric():
        kind = "number"
    else:
        kind = "text" if text else "other"
    return ColumnProfile(
        values.name, _type_name(dtype), unique, values.null_count(), values.len(), kind, timestamp_format=layout
    )


def _type_name(dtype: pl.DataType) -> str:
    """A data type without its argument names, as in ``Datetime(us, UTC)``."""
    import polars as pl  # noqa: PLC0415

    if isinstance(dtype, pl.Datetime):
        return f"Datetime({', '.join(p for p in (dtype.time_unit, dtype.time_zone) if p)})"
    return str(dtype)


def _time_format(values: pl.Series) -> str | None:
    """The format in which all of the first texts are times."""
    import polars as pl  # noqa: PLC0415

    some = values.drop_nulls().head(200)
    if not some.len() or not re.match(r"\d{1,4}[-/.]?\d{1,2}[-/.]?\d{1,4}", some[0]):
        return None
    for layout in _FORMATS:
        try:
            times = some.str.to_datetime(layout, strict=False)
        except pl.exceptions.PolarsError:
            continue
        if not times.null_count() and times.dt.year().is_between(1900, 2200).all():
            return layout
    return None


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+|\d+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()))


def _last_word(name: str) -> str:
    found: list[str] = re.findall(r"[a-z]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    return found[-1] if found else ""


def _times(columns: Sequence[ColumnProfile]) -> tuple[ColumnProfile | None, ColumnProfile | None]:
    """The event time, and the time at which a row became known, where there is one besides."""

    def score(column: ColumnProfile) -> tuple[int, int]:
        words = _words(column.name)
        points = 5 if column.name.lower() in _TIMES else 4 if _last_word(column.name) in _TIME_ENDS else 0
        points -= 4 if words & _OTHER_TIMES else 0
        points -= 5 if words & _KNOWN else 0
        points += 1 if column.dtype.startswith("Datetime") else 0
        points -= 2 if "Int" in column.dtype else 0
        return points, column.unique or 0

    found = sorted((c for c in columns if c.kind == "time"), key=score, reverse=True)
    known = [c for c in found[1:] if _words(c.name) & _KNOWN]
    return (found[0] if found else None), (known[0] if known else None)


def _keys(
    sample: pl.DataFrame, columns: Sequence[ColumnProfile], timestamp: ColumnProfile | None, shared: Collection[str]
) -> list[str]:
    import polars as pl  # noqa: PLC0415

    scored: list[tuple[int, int, ColumnProfile]] = []
    for position, column in enumerate(columns):
        if (
            column.kind not in ("number", "text")
            or column.dtype.startswith(("Float", "Decimal"))
            or column.unique is None
        ):
            continue
        last = _last_word(column.name)
        points = 3 if last in _KEY_ENDS else 0
        points += 2 if last in _ENTITIES or (points and _words(column.name) & _ENTITIES) else 0
        points += 4 if column.name in shared else 0
        if points and "__" not in column.name:
            repeats = column.unique_pct < _ROW_ID or column.name in shared
            scored.append((points if repeats else points - 3, -position, column))
    scored.sort(key=lambda item: item[:2], reverse=True)
    if not scored:
        rare = [c for c in columns if c.unique_pct > 99 and "Int" in c.dtype and c.kind == "number" and c.rows > 1]
        return [rare[0].name] if rare else []
    best = scored[0][2]
    keys = [best.name]
    if timestamp is None or not sample.height:
        return keys

    def clashes(names: Sequence[str]) -> int:
        return sample.height - int(sample.select(pl.struct(*names, timestamp.name).n_unique()).item())

    before = clashes(keys)
    for points, _, column in scored:
        if before <= 0.005 * sample.height or column is best or points < 2 or column.unique_pct >= _ROW_ID:
            continue
        now = clashes([*keys, column.name])
        if now < 0.1 * before:
            keys, before = [*keys, column.name], now
    return keys


def _is_target(column: ColumnProfile) -> bool:
    return column.kind == "flag" or bool(_words(column.name) & _TARGETS and column.kind in ("number", "text"))


def _noted(
    column: ColumnProfile, keys: Collection[str], timestamp: ColumnProfile | None, available: ColumnProfile | None
) -> ColumnProfile:
    if column.name in keys:
        notes = "likely entity key"
    elif timestamp is not None and column.name == timestamp.name:
        notes = "likely timestamp"
        if column.timestamp_format is not None:
            notes += f", text as {column.timestamp_format}"
        elif "Int" in column.dtype:
            notes += ", an integer: its unit is yours to know"
    elif available is not None and column.name == available.name:
        notes = "likely available_at"
    elif column.kind == "time":
        notes = "another time"
    elif _last_word(column.name) in _KEY_ENDS and column.unique_pct >= _ROW_ID and column.rows > 1:
        notes = "row id"
    else:
        notes = ""
    if column.nulls and notes.startswith("likely"):
        notes += f", {column.nulls:,} null"
    return replace(column, notes=notes)
