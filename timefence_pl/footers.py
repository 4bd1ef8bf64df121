"""What Parquet footers tell of columns without reading rows: the ranges of integers and times.

Takes local Parquet files, gives integers. Where a footer does not say, neither does this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ColumnFacts", "column_facts"]


@dataclass(frozen=True)
class ColumnFacts:
    """Statistics of one column, stored as integers, over all files.

    Attributes:
        least: The least physical integer.
        greatest: The greatest.
        unit: ``"ms"``, ``"us"`` or ``"ns"`` of a stored timestamp, ``""`` for other integers.
    """

    least: int
    greatest: int
    unit: str


def column_facts(files: Sequence[str], columns: Sequence[str]) -> dict[str, ColumnFacts]:
    """Facts of the columns that all files have statistics for; others are left out."""
    if not files:
        return {}
    from pyarrow import ArrowException  # noqa: PLC0415 - a tenth of a second, which other sources need not pay

    merged: dict[str, ColumnFacts] = {}
    try:
        for position, name in enumerate(files):
            found = _of_file(name, columns)
            merged = _both(merged, found) if position else found
    except (OSError, ArrowException):
        return {}
    return merged


def _of_file(name: str, columns: Sequence[str]) -> dict[str, ColumnFacts]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    footer = pq.read_metadata(name)
    places = {footer.schema.column(i).path: i for i in range(footer.num_columns)}
    facts: dict[str, ColumnFacts] = {}
    for column in columns:
        if column not in places or "." in column:  # a nested field's path may be spelt like a flat column's name
            continue
        stored = footer.schema.column(places[column])
        if stored.physical_type not in ("INT32", "INT64"):
            continue
        chunks = [footer.row_group(g).column(places[column]).statistics for g in range(footer.num_row_groups)]
        ranges = [(int(c.min_raw), int(c.max_raw)) for c in chunks if c is not None and c.has_min_max]
        if not ranges or len(ranges) < len(chunks):
            continue
        least, greatest = min(low for low, _ in ranges), max(high for _, high in ranges)
        facts[column] = ColumnFacts(least, greatest, _unit(stored))
    return facts


def _both(left: dict[str, ColumnFacts], right: dict[str, ColumnFacts]) -> dict[str, ColumnFacts]:
    """Facts of the columns that both know, in one unit."""
    return {
        name: ColumnFacts(min(a.least, b.least), max(a.greatest, b.greatest), a.unit)
        for name, a in left.items()
        if (b := right.get(name)) is not None and a.unit == b.unit
    }


def _unit(stored: object) -> str:
    """The unit of a stored timestamp; what has no plain unit gets a name that equals none."""
    logical = stored.logical_type  # type: ignore[attr-defined]
    if logical.type != "TIMESTAMP":
        return ""
    text = str(logical.to_json())
    for word, unit in (("milliseconds", "ms"), ("microseconds", "us"), ("nanoseconds", "ns")):
        if word in text:
            return unit
    return "unknown"
