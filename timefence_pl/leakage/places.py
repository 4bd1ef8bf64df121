"""Rows taken, and put where their numbers say, without a join, a sort or a query.

Takes frames and the numbers of their rows, gives frames. What is made of a few rows is made column after column in the
thread that asks: a query over several columns waits for Polars' threads, which may be at work on many rows.
"""

from __future__ import annotations

import polars as pl

__all__ = ["in_places", "in_row_order", "rows_at", "rows_where"]


def rows_at(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The rows of these numbers, in their order."""
    return pl.DataFrame([column[rows] for column in frame])


def rows_where(frame: pl.DataFrame, mask: pl.Series) -> pl.DataFrame:
    """The rows for which a mask without nulls holds."""
    return pl.DataFrame([column.filter(mask) for column in frame])


def in_places(frame: pl.DataFrame, rows: pl.Series, height: int) -> pl.DataFrame:
    """The rows of a frame at their numbers among ``height`` rows, none twice; null elsewhere."""
    if not len(rows):
        return frame.clear(height)
    if len(rows) == height and rows.is_sorted():
        return frame
    return rows_at(frame, _places(rows, height))


def in_row_order(frame: pl.DataFrame, rows: pl.Series, height: int) -> pl.DataFrame:
    """The rows of a frame in the order of their numbers, all below ``height``, none twice."""
    if rows.is_sorted():
        return frame
    return rows_at(frame, _places(rows, height).drop_nulls())


def _places(rows: pl.Series, height: int) -> pl.Series:
    places = pl.repeat(None, height, dtype=pl.UInt32, eager=True)
    return places.scatter(rows, pl.int_range(len(rows), dtype=pl.UInt32, eager=True))
