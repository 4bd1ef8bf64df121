"""Bitemporal sources: a row is usable from the later of its time and its availability."""

from __future__ import annotations

import random
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, labels, values
from timefence_pl.errors import TimefenceDuplicateError, TimefenceSchemaError, TimefenceTimezoneError

Row = tuple[int | None, int | None, Any]


def asked(rows: list[Row], at: list[int], **options: Any) -> list[Any]:
    events = pl.DataFrame(rows, schema={"t": pl.Int64, "a": pl.Int64, "x": pl.Int64}, orient="row")
    of_feature = {k: options.pop(k) for k in list(options) if k in ("embargo", "on_duplicate", "source_tie_breaker")}
    given = labels(pl.DataFrame({"at": at}), keys=[])
    return values(given, feature(events, source_keys=[], source_available_at="a", **of_feature), **options)


@pytest.mark.parametrize(
    ("rows", "at", "expected"),
    [
        ([(1, 5, 10)], [2, 5, 6], [None, None, 10]),
        ([(5, 1, 10)], [2, 5, 6], [None, None, 10]),
        ([(1, 5, 10), (2, 3, 20)], [3, 4, 6], [None, 20, 20]),
        ([(1, 1, 10), (1, 5, 11), (1, 3, 12)], [2, 3, 4, 5, 6], [10, 10, 12, 12, 11]),
        ([(3, 3, 30), (1, 9, 10)], [4, 10], [30, 30]),
        ([(1, None, 10), (0, 0, 20)], [9], [20]),
        ([(None, 1, 10)], [9], [None]),
        ([], [9], [None]),
    ],
    ids=[
        "late",
        "announced early",
        "a later event known earlier",
        "corrections replace from when they were known",
        "an old event known late",
        "never known",
        "no time",
        "no rows",
    ],
)
def test_a_row_is_usable_from_when_it_was_known(rows: list[Row], at: list[int], expected: list[Any]) -> None:
    assert asked(rows, at) == expected


def test_the_embargo_counts_from_when_it_was_known() -> None:
    assert asked([(1, 5, 10)], [6, 7, 8], embargo=2) == [None, None, 10]
    assert asked([(1, 5, 10)], [6, 7, 8], embargo=2, join="inclusive") == [None, 10, 10]


def test_lookback_and_staleness_count_from_the_event() -> None:
    assert asked([(1, 5, 10)], [6, 7], max_lookback=5) == [10, None]
    assert asked([(1, 5, 10)], [6, 7], max_staleness=5) == [10, None]


def test_rows_equal_in_time_and_availability_are_duplicates() -> None:
    rows: list[Row] = [(1, 5, 10), (1, 5, 11)]
    with pytest.raises(TimefenceDuplicateError, match="rows equal in keys, time, availability and tie breaker"):
        asked(rows, [6])
    assert asked(rows, [6], on_duplicate="keep_last") == [11]
    assert asked(rows, [6], on_duplicate="keep_first") == [10]
    assert asked([(1, 5, 10), (1, 4, 11)], [5, 6]) == [11, 10]


def test_rows_that_are_usable_from_the_same_time_but_differ_are_no_duplicates() -> None:
    assert asked([(5, 1, 10), (5, 2, 11)], [6]) == [11]
    assert asked([(5, 2, 10), (5, 1, 11)], [6]) == [10]
    assert asked([(4, 5, 10), (5, 1, 11)], [6]) == [11]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("embargo", [None, 2])
def test_every_label_gets_the_latest_event_known_by_then(seed: int, embargo: int | None) -> None:
    draw = random.Random(seed)
    distinct = sorted({(draw.randint(0, 12), draw.randint(0, 12)) for _ in range(25)}, key=lambda _: draw.random())
    rows = [(t, a, i) for i, (t, a) in enumerate(distinct)]
    at = list(range(-1, 17))
    expected = []
    for label in at:
        usable = [(t, a, x) for t, a, x in rows if max(t, a) < label - (embargo or 0) and t >= label - 9]
        expected.append(max(usable)[2] if usable else None)
    assert asked(rows, at, max_lookback=9, embargo=embargo) == expected
    assert any(v is not None for v in expected)


def test_null_availability_is_counted_as_dropped() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "a": [None, 2], "x": [1, 2]})
    stats = tf.build(labels(), feature(events, source_available_at="a")).stats.feature_stats["f"]
    assert stats["dropped_source_rows"] == 1


def test_dates_and_times_mix() -> None:
    day, noon = date(2024, 1, 1), datetime(2024, 1, 2, 12)
    given = labels(
        pl.DataFrame({"at": [datetime(2024, 1, 2), noon, datetime(2024, 1, 2, 12, 0, 0, 1), datetime(2024, 1, 3)]}),
        keys=[],
    )
    by_day = feature(
        pl.DataFrame({"t": [noon], "a": [date(2024, 1, 2)], "x": [1]}), source_keys=[], source_available_at="a"
    )
    assert values(given, by_day) == [None, None, None, 1]
    of_day = feature(pl.DataFrame({"t": [day], "a": [noon], "x": [1]}), source_keys=[], source_available_at="a")
    assert values(given, of_day) == [None, None, 1, 1]
    start = feature(
        pl.DataFrame({"t": [noon], "a": [date(2024, 1, 3)], "x": [1]}),
        source_keys=[],
        source_available_at="a",
        source_date_known_at="start",
    )
    assert values(given, start, join="inclusive") == [None, None, None, 1]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_units_of_time_and_availability_mix(unit: Any) -> None:
    events = pl.DataFrame({"t": [datetime(2024, 1, 1)], "a": [datetime(2024, 1, 1, 0, 0, 1)], "x": [1]})
    given = labels(pl.DataFrame({"at": [datetime(2024, 1, 1, 0, 0, 1), datetime(2024, 1, 1, 0, 0, 1, 1)]}), keys=[])
    for column in ("t", "a"):
        one = feature(events.cast({column: pl.Datetime(unit)}), source_keys=[], source_available_at="a")
        assert values(given, one) == [None, 1]


def test_a_far_sentinel_never_leaks() -> None:
    events = pl.DataFrame(
        {"t": [datetime(2024, 1, 1)] * 2, "a": [datetime(2024, 1, 2), datetime(9999, 12, 31)], "x": [1, 2]}
    )
    given = labels(pl.DataFrame({"at": [datetime(2024, 1, 3)]}), keys=[])
    for unit in ("us", "ns"):
        one = feature(events.cast({"t": pl.Datetime(unit)}), source_keys=[], source_available_at="a")  # type: ignore[arg-type]
        assert values(given, one) == [1]


def test_naive_and_aware_are_refused_with_both_columns() -> None:
    events = pl.DataFrame(
        {"t": [datetime(2024, 1, 1)], "a": pl.Series([datetime(2024, 1, 1)]).dt.replace_time_zone("UTC"), "x": [1]}
    )
    given = labels(pl.DataFrame({"at": [datetime(2024, 1, 3)]}), keys=[])
    with pytest.raises(
        TimefenceTimezoneError, match=r"source 'events' timestamp 't'(.|\n)*source 'events' available_at 'a'"
    ):
        tf.point_in_time(given, feature(events, source_keys=[], source_available_at="a"))


def test_integers_and_times_are_refused() -> None:
    events = pl.DataFrame({"t": [1], "a": [datetime(2024, 1, 1)], "x": [1]})
    with pytest.raises(TimefenceSchemaError, match="Integer times and date times do not compare"):
        tf.point_in_time(labels(), feature(events, source_keys=[], source_available_at="a"))


@pytest.mark.parametrize(
    "expr", [pl.col("x").shift(1), pl.col("x").cum_sum().over("k"), pl.col("x") - pl.col("x").mean()], ids=str
)
def test_values_of_several_rows_are_refused_with_a_way_out(expr: pl.Expr) -> None:
    events = pl.DataFrame({"k": [1], "t": [1], "a": [1], "x": [1]})
    wanted = r"Feature 'f' reads several rows of a source with available_at(.|\n)*known only when the last of them is(.|\n)*transform="
    with pytest.raises(TimefenceSchemaError, match=wanted):
        tf.point_in_time(labels(), feature(events, expr, source_available_at="a"))


def test_values_of_one_row_are_computed() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "a": [1, 5], "x": [1, 2]})
    given = labels(pl.DataFrame({"k": [1, 1], "at": [5, 6]}))
    one = feature(
        events, pl.when(pl.col("x") > 1).then(pl.col("x") * 10).otherwise(-1).alias("x"), source_available_at="a"
    )
    assert values(given, one) == [-1, 20]
