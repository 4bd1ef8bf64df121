"""What Parquet footers tell of columns without reading rows: ranges and null counts.

Takes local Parquet files, gives integers. Where a footer does not say, neither does this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ColumnFacts", "column_facts"]


@dataclass(frozen=True)
class ColumnFacts:
    """Statistics of one column over all files.

    Attributes:
        nulls: Number of nulls; None where it is not known.
        least: The least physical integer; None where it is not known or the column is not stored as an integer.
        greatest: The greatest.
        unit: ``"ms"``, ``"us"`` or ``"ns"`` of a stored timestamp, ``""`` for other integers.
    """

    nulls: int | None
    least: int | None
    greatest: int | None
    unit: str = ""


def column_facts(files: Sequence[str], columns: Sequence[str]) -> dict[str, ColumnFacts]:
    """Facts of the columns that all files have statistics for; others are left out."""
    if not files:
        return {}
    from pyarrow import ArrowException  # noqa: PLC0415 - a tenth of a second, which other sources need not pay

    merged: dict[str, ColumnFacts] = {}
    try:
        for position, name in enumerate(files):
            found = _of_file(name, columns)
            merged = {c: _both(merged[c], found[c]) for c in merged if c in found} if position else found
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
        integer = stored.physical_type in ("INT32", "INT64")
        merged: ColumnFacts | None = None
        for group in range(footer.num_row_groups):
            chunk = footer.row_group(group).column(places[column])
            statistics = chunk.statistics
            if statistics is None:
                merged = None
                break
            nulls = statistics.null_count if statistics.has_null_count else None
            if integer and statistics.has_min_max:
                now = ColumnFacts(nulls, int(statistics.min_raw), int(statistics.max_raw), _unit(stored))
            else:
                now = ColumnFacts(nulls, None, None, _unit(stored))
            merged = now if merged is None else _both(merged, now)
        if merged is not None:
            facts[column] = merged
    return facts


def _both(left: ColumnFacts, right: ColumnFacts) -> ColumnFacts:
    known = left.nulls is not None and right.nulls is not None
    ranged = None not in (left.least, right.least, left.greatest, right.greatest) and left.unit == right.unit
    return ColumnFacts(
        nulls=(left.nulls or 0) + (right.nulls or 0) if known else None,
        least=min(left.least or 0, right.least or 0) if ranged else None,
        greatest=max(left.greatest or 0, right.greatest or 0) if ranged else None,
        unit=left.unit,
    )


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
