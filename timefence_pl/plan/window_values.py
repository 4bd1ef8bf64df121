"""The values that windows add up: a row-wise expression over all events, and what is known of them.

Takes series, gives running totals, computed once where several windows need them. Knows nothing of windows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import frexp
from typing import overload

import polars as pl

from timefence_pl.plan.cached import cached

__all__ = ["EventValues", "Facts", "Totals", "Values", "running_sums", "text", "when"]


class Totals:
    """Columns to be added up.

    Args:
        values: For each event integers or booleans, no nulls.
    """

    def __init__(self, values: pl.DataFrame) -> None:
        #: The columns.
        self.values = values

    @cached
    def running(self) -> pl.DataFrame:
        """See :func:`running_sums`."""
        return running_sums(self.values)


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of all values of a column.

    Attributes:
        values: The values, Float64.
        exponent: The magnitude of every finite value below the limit is below 2 to this power.
        least: That of none of these, but of 0, is below 2 to this power.
        unlimited: Whether there are values that are not below the limit; of NaN it is not told.
        limit: From here on, sums may leave the range of the type: such values are left to Polars.
    """

    values: pl.Series
    exponent: int
    least: int
    unlimited: bool
    limit: float

    @cached
    def special(self) -> bool:
        """Whether there are values that are not finite or not below the limit."""
        return self.unlimited or bool(self.values.is_nan().any())

    @classmethod
    def of(cls, values: pl.Series, *, single: bool) -> Facts:
        """Look at floats.

        Args:
            values: The floats (Float64).
            single: They are of 32 bits.
        """
        limit = 2.0**90 if single else 2.0**960
        least, most = _float(values.min()), _float(values.max())  # of NaN alone NaN, else without
        unlimited = least is not None and most is not None and not -limit < least <= most < limit
        if unlimited or (least is not None and most is not None and least <= 0 <= most):
            size = values.abs()
            used = size.filter((size > 0) & (size < limit))
            least, most = _float(used.min()), _float(used.max())
        if least is None or most is None:
            return cls(values, 0, 0, unlimited, limit)
        ends = sorted((abs(least), abs(most)))
        return cls(values, frexp(ends[1])[1], frexp(ends[0])[1] - 1, unlimited, limit)


class Values:
    """A row-wise expression's values for all events.

    Args:
        values: For each event; nulls count as missing.
        where: Which events count; None for all.
        entities: Gives for each event a number of its entity, ascending.
        keep: Keep totals, since more windows will need them.
    """

    def __init__(
        self, values: pl.Series, where: pl.Series | None, entities: Callable[[], pl.Series], *, keep: bool
    ) -> None:
        #: Which events count, without nulls; None for all.
        self.where = None if where is None else where.fill_null(value=False)
        #: The values of those that count, null for others.
        self.all = values if self.where is None else when(self.where, values)
        self._entities = entities
        self._keep = keep
        self._totals: dict[Hashable, Totals | None] = {}

    @overload
    def totals(self, key: Hashable, make: Callable[[], pl.DataFrame]) -> Totals: ...

    @overload
    def totals(self, key: Hashable, make: Callable[[], pl.DataFrame | None]) -> Totals | None: ...

    def totals(self, key: Hashable, make: Callable[[], pl.DataFrame | None]) -> Totals | None:
        """Columns made of the values, to be added up.

        Args:
            key: Names what is made.
            make: Makes it; None where it cannot be made.
        """
        if key in self._totals:
            return self._totals[key]
        made = make()
        totals = None if made is None else Totals(made)
        if self._keep:
            self._totals[key] = totals
        return totals

    @property
    def dtype(self) -> pl.DataType:
        """Of the values."""
        return self.all.dtype

    @cached
    def nulls(self) -> int:
        """How many values are missing."""
        return self.all.null_count()

    @cached
    def physical(self) -> pl.Series:
        """The integers or booleans that they are kept as."""
        return self.all.to_physical() if self.dtype.is_temporal() or self.dtype.is_decimal() else self.all

    @cached
    def largest(self) -> int:
        """No integer is further from 0 than this."""
        if self.dtype == pl.Boolean:
            return 1
        ends = self.physical.to_frame("x").select(pl.col("x").min().alias("least"), pl.col("x").max().alias("most"))
        return max((abs(int(v)) for v in ends.row(0) if v is not None), default=0)

    @cached
    def floats(self) -> pl.Series:
        """The values as Float64."""
        return self.all.cast(pl.Float64)

    @cached
    def facts(self) -> Facts:
        """Of the floats."""
        return Facts.of(self.floats, single=self.dtype == pl.Float32)

    @cached
    def entity(self) -> pl.Series:
        """For each event a number of its entity."""
        return self._entities()


def _float(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def when(mask: pl.Series, values: pl.Series) -> pl.Series:
    """Values where a mask holds, null elsewhere."""
    return values.zip_with(mask, pl.Series([None], dtype=values.dtype))


def running_sums(values: pl.DataFrame) -> pl.DataFrame:
    """For each number of first rows, from none to all, the sum of the rows behind them.

    Args:
        values: Integers, whose sums wrap, or booleans, which are counted; no nulls.
    """
    # From the end: a running sum from the beginning takes a fifth longer.
    return pl.DataFrame([pl.concat([c, pl.Series(c.name, [0]).cast(c.dtype)]).cum_sum(reverse=True) for c in values])


class EventValues:
    """The events' columns, and what row-wise expressions make of them.

    Args:
        frame: The columns.
        entities: Gives for each event a number of its entity, ascending.
        keep: Keep what was made and its totals, since more windows will need them.
    """

    def __init__(self, frame: pl.DataFrame, entities: Callable[[], pl.Series], *, keep: bool) -> None:
        #: The columns.
        self.frame = frame
        self._entities = entities
        self._keep = keep
        self._made: dict[tuple[str, str], Values] = {}

    def evaluated(self, expr: pl.Expr) -> pl.Series:
        """A row-wise expression over all events."""
        return self.frame.select(expr.alias("__tf_value")).to_series()

    def of(self, inner: pl.Expr | None, where: pl.Expr | None) -> Values:
        """The values of an expression, in the events that a condition holds for; true, for none."""
        key = text(inner), text(where)
        if key in self._made:
            return self._made[key]
        mask = None if where is None else self.evaluated(where)
        every = pl.Series([True]).new_from_index(0, self.frame.height) if inner is None else self.evaluated(inner)
        made = Values(every, mask, self._entities, keep=self._keep)
        if self._keep:
            self._made[key] = made
        return made


def text(expr: pl.Expr | None) -> str:
    """What tells an expression from others."""
    return "" if expr is None else str(expr.meta.serialize(format="json"))
