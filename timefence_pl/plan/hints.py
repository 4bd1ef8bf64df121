"""Facts about a source that make its plan cheaper, and never change its result.

Takes a source, gives ranges of its entity and time from Parquet footers. Reads no rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from timefence_pl.definitions.source import Source
from timefence_pl.footers import column_facts

__all__ = ["Hints", "hints_of"]


@dataclass(frozen=True)
class Hints:
    """Closed ranges of the one integer key and of the event time's ticks, nulls aside."""

    entity: tuple[int, int]
    tick: tuple[int, int]


def hints_of(source: Source) -> Hints | None:
    """Hints for a source with one integer key in Parquet files whose footers tell; None for any other."""
    files = source.parquet_files()
    if not files or len(source.keys) != 1 or source.available_at:
        return None
    if any("=" in part for name in files for part in name.replace("\\", "/").split("/")[:-1]):
        return None  # a partition folder's value may stand for the column's own
    schema = source.schema
    key, time = source.keys[0], source.timestamp
    stored = _unit(schema[time])
    if not _plain(schema[key]) or stored is None or source.timestamp_format:
        return None
    facts = column_facts(files, [key, time])
    entity, tick = facts.get(key), facts.get(time)
    if entity is None or tick is None or entity.unit or tick.unit != stored:
        return None
    return Hints((entity.least, entity.greatest), (tick.least, tick.greatest))


def _plain(dtype: pl.DataType) -> bool:
    return dtype.is_signed_integer() and dtype != pl.Int128


def _unit(dtype: pl.DataType) -> str | None:
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit
    return "" if dtype == pl.Date or _plain(dtype) else None
