"""The types of CSV files' columns: of one file, and of several together.

Takes files, gives what can be inferred of each without guessing; takes that, gives one type a column that holds what all
of them write. Where only text does, it is text from the start: ``007`` that was read as a number first would be another
key.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from timefence_pl.definitions.times import FINER_THAN_MICROSECONDS

__all__ = ["INFERRED", "common_types", "inferred_types", "read_types"]

Types = Mapping[str, pl.DataType]
#: Rows of a file that its columns' types are inferred from.
INFERRED: Final = 10_000
#: Rows looked at for a value before the whole file is.
_FIRST: Final = 10_000


def inferred_types(name: str, separator: str, dates: bool) -> pl.Schema | None:
    """What Polars infers of a CSV file, once: it costs as much as reading a tenth of a million rows; None if it fails."""
    try:
        status = Path(name).stat()
        return _inferred_of(name, separator, dates, status.st_size, status.st_mtime_ns, status.st_ino)
    except (pl.exceptions.PolarsError, OSError):
        return None  # the scan tells what is wrong


@lru_cache(maxsize=65_536)
def _inferred_of(name: str, separator: str, dates: bool, *_version: int) -> pl.Schema:
    read: dict[str, Any] = {"glob": False, "separator": separator, "infer_schema_length": INFERRED}
    schema = pl.scan_csv(name, **read, try_parse_dates=dates).collect_schema()
    temporal = [n for n, dtype in schema.items() if dtype.is_temporal() and dtype != pl.Time]
    if not temporal:
        return schema
    texts = (
        pl.scan_csv(name, **{**read, "infer_schema_length": 0}).select(cs.by_name(temporal)).head(INFERRED).collect()
    )
    return pl.Schema({n: _time_type(texts[n], d) if n in temporal else d for n, d in schema.items()})


def _time_type(texts: pl.Series, dtype: pl.DataType) -> pl.DataType:
    """The type that texts are read as for which Polars would take another: of what may mean another day, String.

    Of "02/01/2024" it takes the first number for the day, and of nanoseconds it drops what is finer than microseconds.
    """
    if not texts.str.contains(r"^\s*[+-]?\d{4}").all():
        return pl.String()
    if isinstance(dtype, pl.Datetime) and texts.str.contains(FINER_THAN_MICROSECONDS).any():
        return pl.Datetime("ns", dtype.time_zone)
    return dtype


def common_types(types: Mapping[str, Types], separators: Mapping[str, str]) -> dict[str, pl.DataType]:
    """The type of each column over all files.

    Args:
        types: For each file what was inferred of it; the columns are the same in all.
        separators: Of those files whose texts are looked at, their separators. A column without a value is inferred to
            be text; where a file's is, it has no say.
    """
    found = {column: {file[column] for file in types.values()} for column in next(iter(types.values()))}
    texts = {column for column, kinds in found.items() if kinds == {pl.String}}
    mixed = tuple(column for column, kinds in found.items() if pl.String in kinds and column not in texts)
    for name, file in types.items():
        asked = {column for column in mixed if file[column] == pl.String}.difference(texts)
        if asked and name in separators:
            asked -= _without_values(name, separators[name], mixed)
        texts |= asked
    return {c: pl.String() if c in texts else _common(kinds.difference({pl.String})) for c, kinds in found.items()}


def read_types(own: Types, common: Types) -> dict[str, pl.DataType]:
    """The types to read a file's columns as, before they are cast: its own, but the common one where one is text."""
    return {c: common[c] if pl.String in (dtype, common[c]) else dtype for c, dtype in own.items()}


def _common(kinds: AbstractSet[pl.DataType]) -> pl.DataType:
    """What holds all values of these types; numbers and times in one column are texts, as in one file.

    Dates and times in one column are texts, too: a date made a time would be known at its midnight.
    """
    if len(kinds) == 1:
        return next(iter(kinds))
    if all(k.is_numeric() for k in kinds):
        return pl.Float64() if any(k.is_float() for k in kinds) else pl.Int128()
    times = [k for k in kinds if isinstance(k, pl.Datetime)]
    if len(times) == len(kinds) and len({k.time_zone for k in times}) == 1:
        return max(times, key=lambda k: ("ms", "us", "ns").index(k.time_unit))
    return pl.String()


def _without_values(name: str, separator: str, columns: tuple[str, ...]) -> frozenset[str]:
    """Which of a file's columns have no value in any row; none where the file cannot be read, as the scan will tell."""
    try:
        status = Path(name).stat()
        return _without_values_of(name, separator, columns, status.st_size, status.st_mtime_ns, status.st_ino)
    except (pl.exceptions.PolarsError, OSError):
        return frozenset()


@lru_cache(maxsize=65_536)
def _without_values_of(name: str, separator: str, columns: tuple[str, ...], *_version: int) -> frozenset[str]:
    texts = pl.scan_csv(name, glob=False, separator=separator, infer_schema_length=0)
    for rows in (texts.head(_FIRST), texts):
        found = rows.select(cs.by_name(columns).is_not_null().any()).collect()
        columns = tuple(c for c in columns if not found[c].item())
        if not columns:
            break
    return frozenset(columns)
