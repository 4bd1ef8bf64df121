"""How many source rows could never match: a null key, a null time, or never known.

Takes sources, gives counts. Parquet footers answer where they can; rows are read only where they cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

import polars as pl

from timefence_pl.definitions.source import Source
from timefence_pl.faults import faults_are_ours, polars_faults
from timefence_pl.footers import column_facts

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
        facts = column_facts(source.parquet_files(), columns)
        if all(c in facts and facts[c].nulls == 0 for c in columns):
            counts[source.identity()] = 0
        else:
            null = reduce(or_, (pl.col(c).is_null() for c in columns))
            to_read[source.identity()] = source, source.scan().select(null.sum().alias("dropped"))
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
