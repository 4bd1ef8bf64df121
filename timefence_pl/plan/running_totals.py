"""Aggregates of windows from running totals, exactly.

Takes the values of all events and the windows' spans, gives for each window one result a label, and marks those that
totals cannot tell to the precision promised; these must be computed from the window's own events.

Integers are added modulo 2^64 or 2^128, so that the difference of two totals is the window's own sum. Floats are
scaled by a power of two into 128-bit integers first, exactly where they fit (into 64 bits where all are whole numbers
then); what is not finite, or too large for the scale, becomes 0 and is counted, and a window that holds one is marked.
Values that lose digits to the scale are counted too: a window with such values is marked unless its result is far above
what they lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from timefence_pl.plan.cached import cached
from timefence_pl.plan.window_spans import Spans, at
from timefence_pl.plan.window_values import Facts, Totals, Values, when

__all__ = ["Column", "Quotients", "Results"]

#: Bits of a result above the greatest error that the scale may have caused: 2^-34 is 6e-11.
_SURE: Final = 34
#: A power of two that is finite, and whose inverse is.
_LARGEST_SCALE: Final = 1_000
#: Values looked at before all are.
_GLANCE: Final = 1_000
#: Values whose remainders are looked at together: they are still at hand when they are added up.
_AT_A_TIME: Final = 1 << 17
#: A second attempt, with a scale for each entity, is made where marked windows hold this many rows per event.
WORTH = 2
#: ... and as many rows besides.
FREE = 1_000


@dataclass(frozen=True)
class Results:
    """One value a label for each window.

    Attributes:
        values: By window.
        doubtful: By window, whether the value must be computed from the window's own events; missing where none must.
    """

    values: dict[str, pl.Series]
    doubtful: dict[str, pl.Series] = field(default_factory=dict)


@dataclass(frozen=True)
class Quotients:
    """Results that are still to be divided.

    Attributes:
        sums: What is divided.
        counts: By what, by window; the result is null where it is 0.
        dtype: Of the results.
    """

    sums: Results
    counts: dict[str, pl.Series]
    dtype: pl.DataType

    def results(self) -> Results:
        """What comes of it."""
        # Null for a count of 0 makes the quotient null: that is half the bytes of making it null afterwards.
        some = {w: n if n.min() else when(n > 0, n) for w, n in self.counts.items()}
        return Results({w: (s / some[w]).cast(self.dtype) for w, s in self.sums.values.items()}, self.sums.doubtful)


class Column:
    """A row-wise expression's values for all events, and the windows' aggregates of them.

    Args:
        values: Of all events.
        spans: The windows.
    """

    def __init__(self, values: Values, spans: Spans) -> None:
        self._spans = spans
        self._windows = spans.windows
        self._values = values
        self._scale = values.dtype.scale if isinstance(values.dtype, pl.Decimal) else 0

    # -- counts -----------------------------------------------------------------------------------------------------

    @cached
    def _kept(self) -> pl.DataFrame:
        """How many rows count, nulls too: one column a window."""
        where = self._values.where
        return self._lengths() if where is None else self._counted("kept", lambda: where)

    @cached
    def _present(self) -> pl.DataFrame:
        """How many rows count and hold a value."""
        return self._counted("present", self._values.all.is_not_null) if self._values.nulls else self._lengths()

    def _lengths(self) -> pl.DataFrame:
        if self._spans.known is None:
            return self._spans.lengths
        return self._counted("all", lambda: pl.repeat(value=True, n=self._spans.events, eager=True, dtype=pl.Boolean))

    def _counted(self, name: str, mask: Callable[[], pl.Series]) -> pl.DataFrame:
        found = self._spans.differences(self._values.totals(name, lambda: mask().alias("n").to_frame()))
        return found.select(pl.col(at(w, "n")).cast(pl.get_index_type()).alias(w) for w in self._windows)

    def len(self) -> Results:
        """Rows."""
        return Results(self._kept.to_dict())

    def count(self) -> Results:
        """Rows that hold a value."""
        return Results(self._present.to_dict())

    def null_count(self) -> Results:
        """Rows that hold none."""
        return Results({w: self._kept[w] - self._present[w] for w in self._windows})

    def any(self, *, ignore_nulls: bool) -> Results:
        """Whether some row is true; with nulls, where none is, perhaps unknown."""
        true = self._counted("true", lambda: self._values.all.fill_null(value=False))
        return self._logical(true.select(pl.all() > 0), decided=True, ignore_nulls=ignore_nulls)

    def all(self, *, ignore_nulls: bool) -> Results:
        """Whether no row is false; with nulls, where none is, perhaps unknown."""
        false = self._counted("false", lambda: ~self._values.all.fill_null(value=True))
        return self._logical(false.select(pl.all() == 0), decided=False, ignore_nulls=ignore_nulls)

    def _logical(self, found: pl.DataFrame, *, decided: bool, ignore_nulls: bool) -> Results:
        if not ignore_nulls:
            nulls = {w: self._kept[w] > self._present[w] for w in self._windows}
            found = found.select(
                pl.when(~(nulls[w] & (pl.col(w) != decided))).then(pl.col(w)).alias(w) for w in self._windows
            )
        return Results(found.to_dict())

    # -- sums and means ---------------------------------------------------------------------------------------------

    def sum(self, dtype: pl.DataType) -> Results:
        """The sum, 0 of nothing, overflowing as Polars' does."""
        if self._values.dtype.is_float():
            found = self._float_sum
            return Results({w: s.cast(dtype) for w, s in found.values.items()}, found.doubtful)
        if isinstance(self._values.dtype, pl.Decimal):
            unit = pl.Series([f"{10**-self._scale:.{self._scale}f}"]).cast(pl.Decimal(38, self._scale))
            sums = self._integer_sum(pl.Int128())
            values = {w: (sums[w].cast(pl.Decimal(38, 0), strict=False) * unit).cast(dtype) for w in self._windows}
            return Results(values, self._overflowing())
        wide = self._values.dtype in (pl.Int128, pl.UInt128)
        sums = self._integer_sum(pl.Int128() if wide else pl.Int64())
        return Results(sums.select(pl.all().cast(dtype, wrap_numerical=True)).to_dict())

    def mean(self, dtype: pl.DataType) -> Quotients:
        """The mean, null of nothing; nothing more is looked up for it."""
        if self._values.dtype.is_float() or self._bound >= 1 << 127:
            found = self._float_sum
        else:
            whole = self._integer_sum(pl.Int128() if self._bound >= 1 << 63 else pl.Int64())
            found = Results({w: whole[w].cast(pl.Float64) / 10.0**self._scale for w in self._windows})
        return Quotients(found, self._present.to_dict(), dtype)

    def _integer_sum(self, dtype: pl.DataType) -> pl.DataFrame:
        def whole() -> pl.DataFrame:
            return self._values.physical.cast(dtype, wrap_numerical=True).fill_null(0).alias("x").to_frame()

        found = self._spans.differences(self._values.totals(("whole", dtype), whole))
        return found.select(pl.col(at(w, "x")).alias(w) for w in self._windows)

    @property
    def _bound(self) -> int:
        """No window's sum of integers is further from 0 than this."""
        return self._values.largest * self._spans.most_rows

    def _overflowing(self) -> dict[str, pl.Series]:
        """All windows with values, where decimals may overflow: Polars raises then."""
        if self._bound < 10**38:
            return {}
        return {w: self._present[w] > 0 for w in self._windows}

    @cached
    def _float_sum(self) -> Results:
        facts = self._values.facts
        whole = None if facts.unlimited else self._whole_sum(facts, 62 - self._bits - facts.exponent)
        if whole is not None:
            return whole
        found = self._scaled_sum(facts, 125 - self._wide_bits - facts.exponent)
        if not self._worth_another(found):
            return found
        return _either(found, self._scaled_sum(facts, self._scales(self._values.floats, 125 - self._wide_bits, facts)))

    def _whole_sum(self, facts: Facts, scale: int) -> Results | None:
        """Sums of values that are whole numbers of 64 bits when scaled, at half the cost of 128; None where any is not.

        Nothing less than whole will do: what is made of a sum, as a difference of sums, may show any bit that was lost.
        """
        if facts.least + _clamped(scale) < 0:  # below 1, values are not whole, or vanish unseen
            return None
        totals = self._values.totals(("whole", scale), lambda: _whole(self._values.floats, 2.0 ** _clamped(scale)))
        if totals is None:
            return None
        found = self._spans.differences(totals)
        back = 2.0 ** -_clamped(scale)
        # One after the other out of the frame: each takes the memory of the one before.
        return Results({w: found.drop_in_place(at(w, "x")).cast(pl.Float64) * back for w in self._windows})

    def _scaled_sum(self, facts: Facts, scale: int | pl.Series) -> Results:
        def make() -> pl.DataFrame:
            return _scaled(self._values.floats, scale, facts, 126 - self._wide_bits)[0]

        totals = self._values.totals(("scaled", scale), make) if isinstance(scale, int) else Totals(make())
        scaled, exact = totals.values, "lost" not in totals.values.columns
        found = self._spans.differences(totals)
        if isinstance(scale, int):
            sums = {w: found[at(w, "x")].cast(pl.Float64) * 2.0 ** -_clamped(scale) for w in self._windows}
        else:
            back = self._unscaled(scale)
            scaled_back = found.select((pl.col(at(w, "x")).cast(pl.Float64) * back).alias(w) for w in self._windows)
            sums = scaled_back.to_dict()
        marks: dict[str, list[pl.Expr]] = {w: [] for w in self._windows}
        for w, own in marks.items():
            if "special" in scaled.columns:
                own.append(pl.col(at(w, "special")) > 0)
            if not exact:
                lost, total = pl.col(at(w, "lost")), pl.col(at(w, "x"))
                own.append((lost > 0) & (total.abs() < lost.cast(pl.Int128) * (1 << _SURE)))
        return Results(sums, _marked(found, marks))

    # -- variances --------------------------------------------------------------------------------------------------

    def var(self, dtype: pl.DataType, *, ddof: int, root: bool) -> Results:
        """The variance, or its root; null where there are no more than ``ddof`` values."""
        found = self._variance(ddof)
        return Results({w: (v.sqrt() if root else v).cast(dtype) for w, v in found.values.items()}, found.doubtful)

    def _variance(self, ddof: int) -> Results:
        bits = (126 - self._bits) // 2 - 1
        floats, facts = self._values.floats, self._values.facts
        found = self._moments(floats, facts, bits - facts.exponent, bits, ddof, shifted=False)
        if not self._worth_another(found):
            return found
        finite = floats.to_frame("x").filter(pl.col("x").is_finite())
        centre = float(finite.select(pl.col("x").mean()).item() or 0.0)
        for middle in (centre, self._medians(floats)):
            shifted = floats - middle
            facts = Facts.of(shifted, single=self._values.dtype == pl.Float32)
            scale: int | pl.Series = bits - facts.exponent
            if isinstance(middle, pl.Series):
                scale = self._scales(shifted, bits, facts)
            found = _either(found, self._moments(shifted, facts, scale, bits, ddof, shifted=True))
            if not self._worth_another(found):
                break
        return found

    def _moments(
        self, values: pl.Series, facts: Facts, scale: int | pl.Series, bits: int, ddof: int, *, shifted: bool
    ) -> Results:
        """Variances from exact modular sums of the scaled values and of their squares."""
        scaled, exact = _scaled(values, scale, facts, bits + 1)
        squared = scaled.with_columns((pl.col("x") * pl.col("x")).alias("square"))
        found = self._spans.differences(Totals(squared))
        counts = self._present
        found = found.with_columns(counts[w].cast(pl.Int64).alias(at(w, "n")) for w in self._windows)
        found = found.with_columns(_sum_of_squares(w).alias(at(w, "m2")) for w in self._windows)
        back = self._unscaled(scale)
        spreads, marks = [], {}
        for w in self._windows:
            n, squares = pl.col(at(w, "n")), pl.col(at(w, "m2"))
            spread = squares * back * back / (n - ddof)
            own = []
            if "special" in scaled.columns:
                own.append((pl.col(at(w, "special")) > 0) & (n > 1))
                # A single value is no further from the mean than from itself.
                only = values.gather(self._spans.last(w, values.is_not_null()))
                spread = pl.when(n == 1).then(only - only).otherwise(spread)
            if shifted or not exact:  # subtracting the centre rounds
                lost = pl.lit(value=True) if shifted else pl.col(at(w, "lost")) > 0
                own.append(lost & (squares < 4.0**_SURE * n.cast(pl.Float64)) & (n > max(ddof, 1)))
            spreads.append(pl.when(n > ddof).then(spread).alias(w))
            marks[w] = own
        return Results(found.select(spreads).to_dict(), _marked(found, marks))

    def _medians(self, values: pl.Series) -> pl.Series:
        finite = when(values.is_finite(), values)
        return pl.DataFrame({"e": self._values.entity, "x": finite}).select(pl.col("x").median().over("e"))["x"]

    # -- scales -----------------------------------------------------------------------------------------------------

    @cached
    def _bits(self) -> int:
        """Bits of the number of rows in a window."""
        return max(1, self._spans.most_rows).bit_length()

    @property
    def _wide_bits(self) -> int:
        """The same, rounded up: windows of about as many rows have one scale, and share their totals."""
        return -(-self._bits // 8) * 8

    def _unscaled(self, scale: int | pl.Series) -> pl.Expr:
        """What turns a window's sum of scaled values back."""
        if isinstance(scale, int):
            return pl.lit(2.0 ** -_clamped(scale))
        return pl.lit(_power(-scale.gather(self._spans.end)).fill_null(1.0))

    def _scales(self, values: pl.Series, bits: int, facts: Facts) -> pl.Series:
        """For each event its entity's scale: the greatest magnitude fits, unless it is far above the median's."""
        size = when(values.is_finite() & (values.abs() < facts.limit), values.abs())
        frame = pl.DataFrame({"e": self._values.entity, "x": when(size > 0, size)})
        most = frame.select(
            pl.min_horizontal(
                pl.col("x").max().over("e").log(2).floor() + 2, pl.col("x").median().over("e").log(2).floor() + 50
            ).alias("x")
        )["x"].fill_null(0.0)
        return (bits - most).clip(-_LARGEST_SCALE, _LARGEST_SCALE)

    def _worth_another(self, results: Results) -> bool:
        """Whether marked windows hold so many rows that another attempt is cheaper than to read them."""
        rows = sum(
            int(self._spans.lengths[w].filter(marked).cast(pl.Int64).sum()) for w, marked in results.doubtful.items()
        )
        return rows > WORTH * self._spans.events + FREE


def _whole(values: pl.Series, power: float) -> pl.DataFrame | None:
    """Values times a power of two as Int64 ``x``, nulls as 0; None if any is not whole, or NaN. All products fit."""
    if _remainder(values.head(_GLANCE) * power):  # most values that lose digits lose them at once
        return None
    scaled = values * power
    if any(_remainder(scaled.slice(start, _AT_A_TIME)) for start in range(0, len(scaled), _AT_A_TIME)):
        return None
    whole = scaled.cast(pl.Int64, wrap_numerical=True)
    return (whole.fill_null(0) if whole.null_count() else whole).alias("x").to_frame()


def _remainder(values: pl.Series) -> bool:
    """Whether some value is not whole, or NaN."""
    return bool((values % 1.0).sum())  # remainders are not below 0; that of NaN is NaN, as its sum is


def _scaled(values: pl.Series, scale: int | pl.Series, facts: Facts, bits: int) -> tuple[pl.DataFrame, bool]:
    """Values times a power of two as Int128: ``x``, and what of them is ``special`` (left out) or ``lost`` digits.

    Args:
        values: Floats; nulls become 0.
        scale: The power of two, of all or of each.
        facts: Of the values.
        bits: Scaled values must stay below 2 to this power.

    Returns:
        The columns, and whether nothing lost digits; there is no ``special`` where nothing is.
    """
    power = pl.lit(2.0 ** _clamped(scale)) if isinstance(scale, int) else pl.lit(_power(scale))
    frame = pl.DataFrame({"v": values})
    product = pl.col("v") * power
    exact = isinstance(scale, int) and facts.least - 52 + _clamped(scale) >= 0
    if exact and not facts.special:
        whole = product.cast(pl.Int128, strict=False)
        return frame.select((whole.fill_null(0) if values.null_count() else whole).alias("x")), True
    frame = frame.with_columns(product.alias("y"))
    fits = (pl.col("v").abs() < facts.limit) & (pl.col("y").abs() < 2.0**bits)
    frame = frame.with_columns(pl.when(fits).then(pl.col("y")).otherwise(0.0).fill_null(0.0).alias("z"))
    frame = frame.with_columns(pl.col("z").cast(pl.Int128).alias("x"))
    columns = [pl.col("x")]
    if facts.special or not isinstance(scale, int):
        columns.append((~fits).fill_null(value=False).alias("special"))
    if not exact:
        vanished = (pl.col("z") == 0) & (pl.col("v") != 0) & fits  # the product itself is too small for a float
        columns.append(((pl.col("x").cast(pl.Float64) != pl.col("z")) | vanished).fill_null(value=False).alias("lost"))
    return frame.select(columns), exact


def _sum_of_squares(window: str) -> pl.Expr:
    """The sum of squared distances from the mean, as a float of full precision, of ``x``, ``square`` and ``n``.

    With any integer ``m`` near the mean it is ``square - 2 m x + n m^2 - (x - n m)^2 / n``, and all but the last
    division is exact in wrapping arithmetic, whose result fits.
    """
    n, x, square = (pl.col(at(window, c)) for c in ("n", "x", "square"))
    count = n.cast(pl.Int128)
    near = (x.cast(pl.Float64) / n).round().cast(pl.Int128, strict=False).fill_null(0)
    about = square - near * x * 2 + count * near * near
    rest = x - count * near
    small = about.abs() < 1 << 60
    exact = (count * about - rest * rest).cast(pl.Float64) / n
    return pl.when(small).then(exact).otherwise(about.cast(pl.Float64) - (rest * rest).cast(pl.Float64) / n)


def _marked(frame: pl.DataFrame, marks: Mapping[str, Sequence[pl.Expr]]) -> dict[str, pl.Series]:
    """For each window whether some mark holds; only windows in which it does."""
    wanted = [pl.any_horizontal(own).alias(w) for w, own in marks.items() if own]
    return {w: mark for w, mark in frame.select(wanted).to_dict().items() if mark.any()} if wanted else {}


def _either(first: Results, second: Results) -> Results:
    """The first's values where they are sure, else the second's."""
    values, doubtful = dict(first.values), {}
    for window, marked in first.doubtful.items():
        values[window] = pl.select(
            pl.when(marked).then(second.values[window]).otherwise(first.values[window])
        ).to_series()
        still = second.doubtful.get(window)
        if still is not None and (still & marked).any():
            doubtful[window] = still & marked
    return Results(values, doubtful)


def _clamped(scale: int) -> int:
    return max(-_LARGEST_SCALE, min(_LARGEST_SCALE, scale))


def _power(exponents: pl.Series) -> pl.Series:
    return pl.select(pl.lit(2.0).pow(exponents)).to_series()
