"""Time bounds in ticks, against Python's unbounded integers."""

from __future__ import annotations

import random
from datetime import date
from itertools import product
from typing import Any

import polars as pl
import pytest

from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Bound, Clock, clock_of, floor_bound, lower_bound, upper_bound

DAY = 86_400_000_000_000
CLOCKS = {
    "ms": clock_of(pl.Datetime("ms")),
    "us": clock_of(pl.Datetime("us")),
    "ns": clock_of(pl.Datetime("ns")),
    "date from its start": clock_of(pl.Date()),
    "date from its end": clock_of(pl.Date(), date_known_at="end"),
}
PAIRS = list(product(CLOCKS, CLOCKS))
INTEGERS = {"int64": clock_of(pl.Int64()), "uint64": clock_of(pl.UInt64())}
SHIFTS = [
    0,
    1,
    -1,
    999,
    -1_000,
    1_000_000,
    -1_000_001,
    DAY,
    -DAY,
    DAY - 1,
    1 - DAY,
    365 * DAY,
    -365 * DAY,
    10**18 + 7,
    -(10**18) - 7,
    INT64_MAX,
    INT64_MIN,
    2**80,
    -(2**80) + 1,
]


def ticks(seed: int, size: int = 60) -> list[int]:
    """Ticks of every magnitude, the ends of 64 bits among them."""
    draw = random.Random(seed)
    edges = [INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX]
    return edges + [draw.randint(-(1 << b), 1 << b) for b in (draw.randint(0, 62) for _ in range(size))]


def evaluated(bound: Bound, given: list[int]) -> list[tuple[int, bool, bool]]:
    frame = pl.DataFrame({"tick": pl.Series(given, dtype=pl.Int64)})
    no = pl.lit(value=False)
    exprs = {"tick": bound.tick, "below": no if bound.below is None else bound.below}
    exprs["above"] = no if bound.above is None else bound.above
    out = frame.select(pl.col("tick"), **{f"bound_{n}": e for n, e in exprs.items()})
    assert out["bound_tick"].dtype == pl.Int64
    return out.drop("tick").rows()  # type: ignore[return-value]


def expected(given: list[int], of: Clock, to: Clock, shift: int) -> list[tuple[int, bool, bool]]:
    """``floor((tick * of.size + of.offset + shift - to.offset) / to.size)``, clamped."""
    rows = []
    for tick in given:
        exact = (tick * of.size + of.offset + shift - to.offset) // to.size
        rows.append((max(INT64_MIN, min(INT64_MAX, exact)), exact < INT64_MIN, exact > INT64_MAX))
    return rows


@pytest.mark.parametrize(("of", "to"), PAIRS)
def test_a_bound_is_the_exact_floor_in_every_pair_of_units(of: str, to: str) -> None:
    one, other = CLOCKS[of], CLOCKS[to]
    assert one is not None
    assert other is not None
    for number, shift in enumerate(SHIFTS):
        given = ticks(number)
        assert evaluated(floor_bound(pl.col("tick"), one, other, shift), given) == expected(given, one, other, shift), (
            shift
        )


@pytest.mark.parametrize(("of", "to"), PAIRS)
def test_a_bound_of_ticks_between_known_ends_is_the_same(of: str, to: str) -> None:
    one, other = CLOCKS[of], CLOCKS[to]
    assert one is not None
    assert other is not None
    cheap = 0
    for number, shift in enumerate(SHIFTS):
        every = sorted(ticks(number))
        middle = [t for t in every if abs(t) < 10**4]
        for given in (every, every[len(every) // 2 :], every[: len(every) // 2], middle, middle[:1]):
            bound = floor_bound(pl.col("tick"), one, other, shift, (given[0], given[-1]))
            found = evaluated(bound, given)
            assert found == expected(given, one, other, shift), shift
            if bound.ends is not None:
                assert bound.ends == (found[0][0], found[-1][0])
                assert bound.below is None
                assert bound.above is None
                cheap += 1
    assert cheap >= len(SHIFTS)


@pytest.mark.parametrize(("of", "to"), list(product(INTEGERS, INTEGERS)))
def test_a_bound_is_exact_between_signed_and_unsigned_integers(of: str, to: str) -> None:
    one, other = INTEGERS[of], INTEGERS[to]
    assert one is not None
    assert other is not None
    for number, shift in enumerate(SHIFTS):
        given = ticks(number)
        assert evaluated(floor_bound(pl.col("tick"), one, other, shift), given) == expected(given, one, other, shift), (
            shift
        )


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("of", "to"), PAIRS)
def test_the_upper_bound_is_the_last_tick_that_is_admitted(of: str, to: str, *, strict: bool) -> None:
    one, other = CLOCKS[of], CLOCKS[to]
    assert one is not None
    assert other is not None
    draw = random.Random(7)
    for embargo in (0, 1, 1_000, 999_999, DAY):
        given = [draw.randint(-(10**4), 10**4) for _ in range(20)]
        bound = upper_bound(pl.col("tick"), one, other, embargo, strict=strict)
        for tick, (last, _, _) in zip(given, evaluated(bound, given), strict=True):
            limit = tick * one.size + one.offset - embargo

            def admitted(t: int, limit: int = limit) -> bool:
                instant = t * other.size + other.offset
                return instant < limit if strict else instant <= limit

            assert admitted(last)
            assert not admitted(last + 1)


@pytest.mark.parametrize(("of", "to"), PAIRS)
def test_the_lower_bound_is_the_first_tick_that_is_admitted(of: str, to: str) -> None:
    one, other = CLOCKS[of], CLOCKS[to]
    assert one is not None
    assert other is not None
    draw = random.Random(8)
    for age in (0, 1, 1_000, 999_999, DAY, 365 * DAY):
        given = [draw.randint(-(10**4), 10**4) for _ in range(20)]
        for tick, (first, _, _) in zip(
            given, evaluated(lower_bound(pl.col("tick"), one, other, age), given), strict=True
        ):
            limit = tick * one.size + one.offset - age
            assert first * other.size + other.offset >= limit
            assert (first - 1) * other.size + other.offset < limit


def test_equal_clocks_without_a_shift_leave_the_ticks_alone() -> None:
    clock = clock_of(pl.Datetime("us"))
    assert clock is not None
    bound = floor_bound(pl.col("tick"), clock, clock, 0)
    assert bound.tick.meta.eq(pl.col("tick"))
    assert bound.below is None
    assert bound.above is None


@pytest.mark.parametrize(
    ("dtype", "size", "offset", "kind"),
    [
        (pl.Datetime("ms"), 1_000_000, 0, "naive"),
        (pl.Datetime("us"), 1_000, 0, "naive"),
        (pl.Datetime("ns"), 1, 0, "naive"),
        (pl.Datetime("us", "Asia/Tokyo"), 1_000, 0, "aware"),
        (pl.Date(), DAY, 0, "date"),
        (pl.Int8(), 1, 0, "integer"),
        (pl.UInt32(), 1, 0, "integer"),
        (pl.UInt64(), 1, 1 << 63, "integer"),
    ],
    ids=str,
)
def test_the_clock_of_a_time(dtype: Any, size: int, offset: int, kind: str) -> None:
    assert clock_of(dtype) == Clock(size, offset, kind, dtype)


def test_a_date_known_at_its_end_is_a_day_less_a_nanosecond_later() -> None:
    assert clock_of(pl.Date(), date_known_at="end") == Clock(DAY, DAY - 1, "date", pl.Date())


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Float64(),
        pl.String(),
        pl.Boolean(),
        pl.Duration("us"),
        pl.Time(),
        pl.Decimal(10, 2),
        pl.Int128(),
        pl.UInt128(),
        pl.Null(),
        pl.Categorical(),
        pl.List(pl.Int64()),
        pl.Struct({"a": pl.Int64()}),
        pl.Binary(),
        pl.Object(),
    ],
    ids=str,
)
def test_what_is_no_time_has_no_clock(dtype: Any) -> None:
    assert clock_of(dtype) is None


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([0, 2**64 - 1, 2**63, None], dtype=pl.UInt64),
        pl.Series([INT64_MIN, INT64_MAX, 0, None], dtype=pl.Int64),
        pl.Series([-128, 127, None], dtype=pl.Int8),
        pl.Series([0, 2**32 - 1, None], dtype=pl.UInt32),
        pl.Series([date(1, 1, 1), date(9999, 12, 31), None]),
        pl.Series([INT64_MIN, INT64_MAX, None], dtype=pl.Int64).cast(pl.Datetime("ns", "Europe/Berlin")),
        pl.Series([INT64_MIN, INT64_MAX, None], dtype=pl.Int64).cast(pl.Datetime("ms")),
    ],
    ids=lambda s: str(s.dtype),
)
def test_ticks_and_times_are_inverse(column: pl.Series) -> None:
    clock = clock_of(column.dtype)
    assert clock is not None
    frame = column.alias("c").to_frame().select(ticks=clock.ticks(pl.col("c")))
    assert frame["ticks"].dtype == pl.Int64
    back = frame.select(clock.times(pl.col("ticks"))).to_series()
    assert back.dtype == column.dtype
    assert back.to_physical().to_list() == column.to_physical().to_list()


def test_unsigned_ticks_keep_their_order() -> None:
    clock = clock_of(pl.UInt64())
    assert clock is not None
    given = pl.Series("c", [0, 1, 2**63 - 1, 2**63, 2**64 - 1], dtype=pl.UInt64)
    made = given.to_frame().select(clock.ticks(pl.col("c"))).to_series().to_list()
    assert made == sorted(made)
    assert made == [v - 2**63 for v in given.to_list()]
