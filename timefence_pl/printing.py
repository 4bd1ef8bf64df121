"""Rows as plain values that can be printed.

Takes frames, gives dictionaries. Times that Python's ``datetime`` cannot hold are given as their integer ticks.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import polars as pl

__all__ = ["plain_rows", "rows_in_words"]

_TICKS: Final = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
#: Seconds from 1970 to the years 2 and 9998: a day's zone offset stays within what ``datetime`` holds.
_FIRST, _LAST = -62_100_000_000, 253_300_000_000


def plain_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries of Python values."""
    return list(frame.with_columns(_safe(frame[c]) for c in frame.columns).iter_rows(named=True))


def rows_in_words(frame: pl.DataFrame) -> list[str]:
    """The rows as ``column=value, column=value``; times as people write them, texts in quotes."""
    return [", ".join(f"{name}={_in_words(value)}" for name, value in row.items()) for row in plain_rows(frame)]


def _in_words(value: Any) -> str:
    return str(value) if isinstance(value, date | timedelta) else repr(value)


def _safe(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if dtype.is_nested():
        return _safe_nested(column)
    if isinstance(dtype, pl.Duration):
        longest = 999_999_999 * 86_400 * _TICKS[dtype.time_unit]  # of a timedelta
        ticks = column.to_physical()
        return column if all(abs(tick) <= longest for tick in ticks.drop_nulls().to_list()) else ticks
    if not isinstance(dtype, pl.Datetime) and dtype != pl.Date:
        return column
    per_second = _TICKS[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1 / 86_400
    ticks = column.to_physical()
    known = ticks.drop_nulls().to_list()
    inside = all(_FIRST * per_second <= tick <= _LAST * per_second for tick in known)
    return column if inside else ticks


def _safe_nested(column: pl.Series) -> pl.Series:
    try:
        column.to_list()
    except (OverflowError, pl.exceptions.PanicException):
        return column.to_physical()
    return column
