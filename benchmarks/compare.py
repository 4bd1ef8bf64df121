"""Checks that two training sets hold the same rows, bit for bit; rows may differ in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 3


def difference(left: Path, right: Path, by: list[str]) -> str | None:
    """Tells the first difference of two Parquet files, or ``None``.

    Args:
        left: One file.
        right: The other; its columns may stand in another order.
        by: Columns both are sorted by: all label columns, so that rows equal in them have equal
            values.
    """
    one, other = pl.scan_parquet(left), pl.scan_parquet(right)
    schema, other_schema = one.collect_schema(), other.collect_schema()
    if dict(schema) != dict(other_schema):
        apart = sorted(
            f"{name}: {schema.get(name)} / {other_schema.get(name)}"
            for name in {*schema, *other_schema}
            if schema.get(name) != other_schema.get(name)
        )
        return f"schemas differ: {'; '.join(apart[:EXAMPLES])}"
    frames = [frame.select(schema.names()).sort(by).collect() for frame in (one, other)]
    heights = [frame.height for frame in frames]
    if heights[0] != heights[1]:
        return f"{heights[0]} rows / {heights[1]} rows"
    for name in schema:
        unequal = frames[0][name].ne_missing(frames[1][name])
        if unequal.any():
            pairs = [frame.filter(unequal).select(*by, name).head(EXAMPLES) for frame in frames]
            shown = " / ".join(str(pair.rows()) for pair in pairs)
            return f"column {name}: {unequal.sum()} rows differ, such as {shown}"
    return None


def order_difference(output: Path, labels: Path) -> str | None:
    """Tells whether the label columns of ``output`` are those of ``labels``, row by row."""
    expected = pl.read_parquet(labels)
    kept = pl.read_parquet(output, columns=expected.columns).select(expected.columns)
    return None if kept.equals(expected) else "the labels' own order is not kept"
