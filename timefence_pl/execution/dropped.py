"""How many source rows could never match: a null key, a null time, or never known.

Takes sources, gives counts. Parquet footers answer where they can; rows are read only where they cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import polars as pl
import pyarrow.parquet as pq
from pyarrow import ArrowException

from timefence_pl.definitions.source import Source

__all__ = ["dropped_rows"]


def dropped_rows(sources: Sequence[Source]) -> dict[tuple[object, ...], int]:
    """Rows of each source (by its identity) that are dropped before any feature sees them."""
    counts: dict[tuple[object, ...], int] = {}
    to_read: dict[tuple[object, ...], pl.LazyFrame] = {}
    for source in sources:
        identity = source.identity()
        if identity in counts or identity in to_read:
            continue
        columns = _needed(source)
        if _footers_say_none(source, columns):
            counts[identity] = 0
        else:
            null = reduce(or_, (pl.col(c).is_null() for c in columns))
            to_read[identity] = source.scan().select(null.sum().alias("dropped"))
    if to_read:
        found = pl.collect_all(list(to_read.values()), engine="streaming")
        counts.update({i: int(f.item()) for i, f in zip(to_read, found, strict=True)})
    return counts


def _needed(source: Source) -> list[str]:
    return [*source.keys, source.timestamp, *([source.available_at] if source.available_at else [])]


def _footers_say_none(source: Source, columns: Sequence[str]) -> bool:
    """Whether Parquet statistics prove that no needed value is null."""
    if not source.parquet_files():
        return False
    try:
        return all(_no_nulls(name, columns) for name in source.parquet_files())
    except (OSError, ArrowException):
        return False


def _no_nulls(name: str, columns: Sequence[str]) -> bool:
    footer = pq.ParquetFile(name).metadata
    places = {footer.schema.column(i).path: i for i in range(footer.num_columns)}
    if any(c not in places for c in columns):
        return False
    for group in range(footer.num_row_groups):
        for column in columns:
            statistics = footer.row_group(group).column(places[column]).statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                return False
    return True
