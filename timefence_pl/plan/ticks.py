"""Time columns as exact integers, and the last tick that a bound admits.

Takes data types, integer tick columns and shifts in nanoseconds, gives Int64 expressions. Every bound is computed as
an exact integer and clamped to the 64 bits of the column's ticks, with the rows told that lie beyond. Knows nothing
of keys or joins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Final

import polars as pl

__all__ = ["INT64_MAX", "INT64_MIN", "Bound", "Clock", "Ends", "clock_of", "floor_bound", "lower_bound", "upper_bound"]

#: The least and the greatest of some integers.
Ends = tuple[int, int]

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1
DAY: Final = 86_400_000_000_000
_TICK: Final = {"ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclass(frozen=True)
class Clock:
    """How a time column's integers read: ``instant = tick * size + offset``.

    Attributes:
        size: Nanoseconds in a tick; 1 for integer times.
        offset: Nanoseconds (or integer units) added to every tick: a ``Date`` known at its end, or unsigned times.
        kind: ``"integer"``, ``"date"``, ``"naive"`` or ``"aware"``.
        dtype: The column's own data type.
    """

    size: int
    offset: int
    kind: str
    dtype: pl.DataType

    def ticks_like(self, other: Clock) -> bool:
        """Whether equal ticks are equal instants."""
        return (self.size, self.offset) == (other.size, other.offset)

    def ticks(self, column: pl.Expr) -> pl.Expr:
        """The column's ticks, as Int64."""
        if self.dtype == pl.UInt64:
            return (column.cast(pl.Int128) - self.offset).cast(pl.Int64)
        return column.to_physical().cast(pl.Int64)

    def times(self, ticks: pl.Expr) -> pl.Expr:
        """The column's own type from its ticks."""
        if self.dtype == pl.UInt64:
            return (ticks.cast(pl.Int128) + self.offset).cast(pl.UInt64)
        if self.kind == "date":
            return ticks.cast(pl.Int32).cast(pl.Date)
        return ticks.cast(self.dtype)


def clock_of(dtype: pl.DataType, *, date_known_at: str = "start") -> Clock | None:
    """The clock of a column of this data type; None where it is no time."""
    if dtype == pl.Date:
        return Clock(DAY, DAY - 1 if date_known_at == "end" else 0, "date", dtype)
    if isinstance(dtype, pl.Datetime):
        return Clock(_TICK[dtype.time_unit], 0, "naive" if dtype.time_zone is None else "aware", dtype)
    if dtype == pl.UInt64:
        return Clock(1, 1 << 63, "integer", dtype)
    if dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128):
        return Clock(1, 0, "integer", dtype)
    return None


@dataclass(frozen=True)
class Bound:
    """A bound in the ticks of another clock, one per row.

    Attributes:
        tick: Int64, clamped to its range.
        below: Rows whose exact bound lies below every Int64 tick; None where there can be none.
        above: Rows whose exact bound lies above every Int64 tick; None where there can be none.
        ends: Of ``tick``; None where they are not known.
    """

    tick: pl.Expr
    below: pl.Expr | None
    above: pl.Expr | None
    ends: Ends | None = None


def floor_bound(time: pl.Expr, of: Clock, to: Clock, shift: int, ends: Ends | None = None) -> Bound:
    """The last tick of ``to`` at or before ``time + shift``: ``floor((time + shift - to.offset) / to.size)``.

    Args:
        time: Int64 ticks of the clock ``of``, without nulls.
        of: The clock of ``time``.
        to: The clock of the result.
        shift: Nanoseconds (integer units where times are integers), of either sign.
        ends: Of ``time``, where they are known: what they show never to happen costs nothing.
    """
    const = of.offset + shift - to.offset
    common = gcd(of.size, to.size)
    ratio, divisor = of.size // common, to.size // common
    const = const // common  # floor, exact: the rest of the sum is a multiple of `common`
    if ends is not None:
        # The sum, and each step on the way to it.
        steps = [(end * ratio, end * ratio + const) for end in ends]
        if abs(const) <= INT64_MAX and all(INT64_MIN <= s <= INT64_MAX for step in steps for s in step):
            scaled = time if ratio == 1 else time * ratio
            summed = scaled if const == 0 else scaled + const
            tick = summed if divisor == 1 else summed // divisor
            return Bound(tick, None, None, (steps[0][1] // divisor, steps[1][1] // divisor))
    if divisor == 1 and ratio == 1 and abs(const) <= INT64_MAX:
        if const == 0:
            return Bound(time, None, None)
        if const < 0:
            below = time < INT64_MIN - const
            return Bound(pl.when(below).then(INT64_MIN).otherwise(time + const), below, None)
        above = time > INT64_MAX - const
        return Bound(pl.when(above).then(INT64_MAX).otherwise(time + const), None, above)
    exact = time.cast(pl.Int128) * ratio + _wide(const)
    if divisor > 1:
        exact = exact // divisor
    below, above = exact < INT64_MIN, exact > INT64_MAX
    tick = pl.when(below).then(INT64_MIN).when(above).then(INT64_MAX).otherwise(exact).cast(pl.Int64)
    return Bound(tick, below, above)


def upper_bound(time: pl.Expr, of: Clock, to: Clock, embargo: int, *, strict: bool, ends: Ends | None = None) -> Bound:
    """The last tick known before (strict) or at (inclusive) ``time - embargo``; ``ends`` as for :func:`floor_bound`."""
    return floor_bound(time, of, to, -embargo - (1 if strict else 0), ends)


def lower_bound(time: pl.Expr, of: Clock, to: Clock, age: int, ends: Ends | None = None) -> Bound:
    """The first tick at or after ``time - age``; ``ends`` as for :func:`floor_bound`."""
    return floor_bound(time, of, to, to.size - 1 - age, ends)


def _wide(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.Int128)
