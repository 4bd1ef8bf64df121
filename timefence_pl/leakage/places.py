"""Rows put where their numbers say, without a join or a sort.

Takes frames and the numbers of their rows among others, none of them twice, gives frames in the order of the numbers.
"""

from __future__ import annotations

import polars as pl

__all__ = ["in_places", "in_row_order"]


def in_places(frame: pl.DataFrame, rows: pl.Series, height: int) -> pl.DataFrame:
    """The rows of a frame at their numbers among ``height`` rows; null elsewhere."""
    if len(rows) == height and rows.is_sorted():
        return frame
    return frame.select(pl.all().gather(_places(rows, height)))


def in_row_order(frame: pl.DataFrame, rows: pl.Series, height: int) -> pl.DataFrame:
    """The rows of a frame in the order of their numbers, all below ``height``."""
    if rows.is_sorted():
        return frame
    return frame.select(pl.all().gather(_places(rows, height).drop_nulls()))


def _places(rows: pl.Series, height: int) -> pl.Series:
    places = pl.repeat(None, height, dtype=pl.UInt32, eager=True)
    return places.scatter(rows, pl.int_range(len(rows), dtype=pl.UInt32, eager=True))
