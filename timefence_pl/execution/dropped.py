"""How many source rows could never match: a null key, a null time, or never known.

Takes sources, gives counts. Rows are read only where Parquet footers do not tell that there are no nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

import polars as pl

from timefence_pl.definitions.source import Source
from timefence_pl.faults import faults_are_ours, polars_faults

__all__ = ["dropped_rows"]


def dropped_rows(
    sources: Sequence[Source], known: Mapping[tuple[object, ...], int] | None = None
) -> dict[tuple[object, ...], int]:
    """Rows of each source (by its identity) that are dropped before any feature sees them.

    Args:
        sources: The sources.
        known: Counts known already.

    Raises:
        TimefenceSchemaError: If a source cannot be read.
    """
    counts: dict[tuple[object, ...], int] = dict(known or {})
    to_read: dict[tuple[object, ...], tuple[Source, pl.LazyFrame]] = {}
    for source in {s.identity(): s for s in sources if s.identity() not in counts}.values():
        columns = [*source.keys, source.timestamp, *([source.available_at] if source.available_at else [])]
        null = reduce(or_, (pl.col(c).is_null() for c in columns))
        # A filter, unlike a sum of marks, passes over the row groups of Parquet files that have no nulls.
        to_read[source.identity()] = source, source.scan().filter(null).select(pl.len())
    try:
        found = pl.collect_all([f for _, f in to_read.values()], engine="streaming")
    except polars_faults():
        for source, frame in to_read.values():
            with faults_are_ours(
                f"Source {source.name!r} cannot be read.",
                "Check that its files are whole and of the types their columns have.",
                where=f"data: {source.described()}",
            ):
                frame.collect(engine="streaming")
        raise
    counts.update({i: int(f.item()) for i, f in zip(to_read, found, strict=True)})
    return counts
