"""Durations: exact nanoseconds from strings, timedeltas and integers; everything else is refused."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from timefence_pl.durations import NANOSECONDS, Duration, format_nanoseconds, parse_duration
from timefence_pl.errors import TimefenceConfigError

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1w", 7 * DAY),
        ("1d", DAY),
        ("1h", 3_600 * SECOND),
        ("1m", 60 * SECOND),
        ("1s", SECOND),
        ("1ms", 1_000_000),
        ("1us", 1_000),
        ("1ns", 1),
        ("0d", 0),
        ("0ns", 0),
        ("30d", 30 * DAY),
        ("007d", 7 * DAY),
        ("1d12h", DAY + 12 * 3_600 * SECOND),
        ("12h1d", DAY + 12 * 3_600 * SECOND),
        ("500ms", 500_000_000),
        ("1m1ms", 60 * SECOND + 1_000_000),
        ("1w1d1h1m1s1ms1us1ns", 8 * DAY + 3_661 * SECOND + 1_001_001),
        (" 2d ", 2 * DAY),
        ("100000000d", 100_000_000 * DAY),
    ],
)
def test_strings_of_fixed_units_are_read_exactly(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == Duration(nanoseconds)


@pytest.mark.parametrize(
    ("delta", "nanoseconds"),
    [
        (timedelta(0), 0),
        (timedelta(microseconds=1), 1_000),
        (timedelta(days=1, microseconds=1), DAY + 1_000),
        # total_seconds() of this is off by 20 microseconds
        (timedelta(days=999_999_999, microseconds=1), 999_999_999 * DAY + 1_000),
        (timedelta.max, (999_999_999 * 86_400 + 86_399) * SECOND + 999_999_000),
    ],
)
def test_timedeltas_are_read_exactly(delta: timedelta, nanoseconds: int) -> None:
    assert parse_duration(delta) == Duration(nanoseconds)


@pytest.mark.parametrize("amount", [0, 1, 2**63, 2**90])
def test_integers_are_lengths_of_integer_times(amount: int) -> None:
    assert parse_duration(amount) == Duration(amount, integer=True)


def test_none_stays_none() -> None:
    assert parse_duration(None) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "It is empty; None is unbounded"),
        ("   ", "It is empty"),
        ("-1d", "It is negative"),
        ("-0d", "It is negative"),
        (-1, "It is negative"),
        (timedelta(microseconds=-1), "It is negative"),
        ("1 month", "Calendar units"),
        ("2years", "Calendar units"),
        ("7 days", r"Did you mean '7d'\?"),
        ("24H", r"Did you mean '24h'\?"),
        ("5 min", r"Did you mean '5m'\?"),
        ("10S", r"Did you mean '10s'\?"),
        ("7 d", r"Did you mean '7d'\?"),
        ("10 ms", r"Did you mean '10ms'\?"),
        ("3hrs", r"Did you mean '3h'\?"),
        ("5 m", r"Did you mean '5m'\?"),
        ("10M", r"is not a duration\.\n"),
        ("all", "None, without quotes"),
        ("1mo", "Calendar units"),
        ("1y", "Calendar units"),
        ("1q", "Calendar units"),
        ("1d1mo", "Calendar units"),
        ("1d2d", "A unit is given twice"),
        ("9" * 40 + "d", "longer than any two times"),
        (2**90 + 1, "longer than any two times"),
        (10**60, "longer than any two times"),
    ],
)
def test_refusals_say_why(value: Any, reason: str) -> None:
    with pytest.raises(TimefenceConfigError, match=reason):
        parse_duration(value)


@pytest.mark.parametrize(
    "value",
    [
        "d",
        "30",
        "1.5d",
        "1D",
        "1 d",
        "1d 12h",
        "1d,12h",
        "+1d",
        "1d-1h",
        "1day",
        "1i",
        "inf",
        "1e3s",
        "P1D",
        "\u0661x",
        "1d\n1h",
        True,
        False,
        1.0,
        0.5,
        float("nan"),
        float("inf"),
        Decimal(1),
        b"1d",
        [],
        ["1d"],
        {"days": 1},
        date(2024, 1, 1),
        object(),
    ],
)
def test_anything_else_is_refused_with_the_accepted_forms(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"is not a duration(.|\n)*fixed units w, d, h, m, s, ms, us, ns"):
        parse_duration(value)


def test_the_refusal_names_the_argument_and_the_value() -> None:
    with pytest.raises(TimefenceConfigError, match="^embargo of feature 'f'='soon' is not a duration"):
        parse_duration("soon", name="embargo of feature 'f'")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (DAY, "1d"),
        (7 * DAY, "7d"),
        (365 * DAY, "365d"),
        (DAY + 12 * 3_600 * SECOND, "1d12h"),
        (90 * 60 * SECOND, "1h30m"),
        (500_000_000, "500ms"),
        (DAY - 1, "23h59m59s999ms999us999ns"),
        (-1, "-1ns"),
        (-90 * SECOND, "-1m30s"),
    ],
)
def test_nanoseconds_are_written_in_the_fewest_units(nanoseconds: int, text: str) -> None:
    assert format_nanoseconds(nanoseconds) == text


@pytest.mark.parametrize("amount", [0, 1, 999, 1_001, DAY - 1, DAY, 12 * DAY + 7, 2**63, 3 * 7 * DAY + 61 * SECOND])
def test_what_is_written_reads_back_as_the_same(amount: int) -> None:
    assert parse_duration(str(Duration(amount))) == Duration(amount)


def test_integer_durations_are_written_as_integers() -> None:
    assert str(Duration(90, integer=True)) == "90"


def test_units_are_multiples_of_the_next_smaller_one() -> None:
    assert [NANOSECONDS[u] for u in ("w", "d", "h", "m", "s", "ms", "us", "ns")] == [
        7 * DAY,
        DAY,
        3_600 * SECOND,
        60 * SECOND,
        SECOND,
        1_000_000,
        1_000,
        1,
    ]


def test_a_duration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Duration(1).amount = 2  # type: ignore[misc]
