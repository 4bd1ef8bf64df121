"""Rows as plain values that print, whatever their times."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from timefence_pl.printing import plain_rows


def test_rows_are_dictionaries_in_column_order() -> None:
    frame = pl.DataFrame({"b": [1, None], "a": ["x", "y"]})
    assert plain_rows(frame) == [{"b": 1, "a": "x"}, {"b": None, "a": "y"}]
    assert [list(r) for r in plain_rows(frame)] == [["b", "a"], ["b", "a"]]


def test_no_rows_are_no_dictionaries() -> None:
    assert plain_rows(pl.DataFrame({"a": []})) == []
    assert plain_rows(pl.DataFrame()) == []


@pytest.mark.parametrize(
    "value", [datetime(2024, 1, 1), datetime(3, 1, 2), datetime(9990, 1, 1), date(2024, 1, 1), None], ids=str
)
def test_times_that_python_holds_stay_times(value: Any) -> None:
    dtype = pl.Date if type(value) is date else pl.Datetime("us")
    assert plain_rows(pl.DataFrame({"t": pl.Series([value], dtype=dtype)})) == [{"t": value}]


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("tick", [2**63 - 1, -(2**63), 253_402_300_800_000_000, -62_135_596_900_000_000])
def test_times_that_it_does_not_hold_are_ticks(unit: Any, zone: str | None, tick: int) -> None:
    frame = pl.DataFrame({"t": pl.Series([tick, None], dtype=pl.Int64).cast(pl.Datetime(unit, zone))})
    assert plain_rows(frame) == [{"t": tick}, {"t": None}]


@pytest.mark.parametrize("tick", [2**31 - 1, -(2**31)])
def test_dates_that_it_does_not_hold_are_ticks(tick: int) -> None:
    frame = pl.DataFrame({"t": pl.Series([tick], dtype=pl.Int32).cast(pl.Date)})
    assert plain_rows(frame) == [{"t": tick}]


@pytest.mark.parametrize("tick", [2**63 - 1, -(2**63)])
def test_nanoseconds_always_fit(tick: int) -> None:
    frame = pl.DataFrame({"t": pl.Series([tick], dtype=pl.Int64).cast(pl.Datetime("ns"))})
    assert isinstance(plain_rows(frame)[0]["t"], datetime)


def test_far_durations_and_nested_times_print() -> None:
    frame = pl.DataFrame(
        {
            "d": pl.Series([2**63 - 1], dtype=pl.Int64).cast(pl.Duration("ms")),
            "l": pl.Series([[2**63 - 1]], dtype=pl.List(pl.Int64)).cast(pl.List(pl.Datetime("ms"))),
        }
    )
    assert str(plain_rows(frame))
