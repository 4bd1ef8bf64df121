"""Times of every type: units, zones, dates, integers, and what is refused."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, joined, labels, values
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, TimefenceTimezoneError


def times(*texts: str, unit: Any = "us", zone: str | None = None) -> pl.Series:
    naive = pl.Series([datetime.fromisoformat(t) for t in texts], dtype=pl.Datetime("us")).cast(pl.Datetime(unit))
    return naive.dt.replace_time_zone(zone)


def timed(event_times: pl.Series, label_times: pl.Series, **options: Any) -> list[Any]:
    """The value of each label where event number i has the value i."""
    events = pl.DataFrame({"t": event_times}).with_row_index("x")
    of_feature = {k: options.pop(k) for k in list(options) if k in ("embargo", "source_date_known_at")}
    given = labels(pl.DataFrame({"at": label_times}), keys=[])
    return values(given, feature(events, source_keys=[], **of_feature), **options)


# --- units -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", ["ms", "us", "ns"])
@pytest.mark.parametrize("other", ["ms", "us", "ns"])
def test_units_mix_and_compare_exactly(own: str, other: str) -> None:
    stamp = times("2024-01-01T00:00:00.001", unit=own)
    tick = pl.Series([1], dtype=pl.Duration(other))
    same = stamp.cast(pl.Datetime(other))
    asked = pl.concat([same - tick, same, same + tick])
    assert timed(stamp, asked) == [None, None, 0]
    assert timed(stamp, asked, join="inclusive") == [None, 0, 0]


def test_a_nanosecond_is_never_lost() -> None:
    stamp = pl.Series([1_000_000_001], dtype=pl.Int64).cast(pl.Datetime("ns"))
    asked = times("1970-01-01T00:00:01", "1970-01-01T00:00:01.001", unit="ms")
    assert timed(stamp, asked) == [None, 0]


@pytest.mark.parametrize(
    ("embargo", "expected"),
    [
        ("500ms", [None, 0]),
        ("499ms", [0, 0]),
        ("500ms1ns", [None, 0]),
        ("500ms1us", [None, None]),
        ("499ms999us999ns", [0, 0]),
    ],
)
def test_embargoes_shorter_than_a_second_are_kept(embargo: str, expected: list[Any]) -> None:
    asked = times("2024-01-01T00:00:00.500", "2024-01-01T00:00:00.500001")
    assert timed(times("2024-01-01"), asked, embargo=embargo) == expected


def test_bounds_finer_than_the_columns_unit_are_exact() -> None:
    stamp, asked = (
        times("2024-01-01", unit="ms"),
        times("2024-01-01T00:00:00.001", "2024-01-01T00:00:00.002", unit="ms"),
    )
    assert timed(stamp, asked, embargo="1ns", join="inclusive") == [0, 0]
    assert timed(stamp, asked, embargo="1ms1ns", join="inclusive") == [None, 0]
    assert timed(stamp, asked, max_lookback="1ms") == [0, None]
    assert timed(stamp, asked, max_lookback="1ms999us999ns") == [0, None]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_the_default_lookback_of_365_days_is_closed(unit: str) -> None:
    tick = pl.Series([1], dtype=pl.Duration(unit))
    asked = times("2024-01-01", unit=unit)
    assert timed(times("2023-01-01", unit=unit), pl.concat([asked, asked + tick])) == [0, None]


def test_far_times_are_kept() -> None:
    stamps = pl.Series([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)])
    asked = pl.Series([datetime(1, 1, 1, microsecond=1), datetime(9999, 12, 31, 23, 59, 59, 999_999)])
    assert timed(stamps, asked, max_lookback=None) == [0, 1]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_the_ends_of_64_bits_are_kept(unit: str) -> None:
    ends = pl.Series([-(2**63), 2**63 - 2], dtype=pl.Int64).cast(pl.Datetime(unit))
    asked = pl.Series([-(2**63), -(2**63) + 1, 2**63 - 2, 2**63 - 1], dtype=pl.Int64).cast(pl.Datetime(unit))
    assert timed(ends, asked, max_lookback=None) == [None, 0, 0, 1]
    assert timed(ends, asked, max_lookback=None, join="inclusive") == [0, 0, 1, 1]
    assert timed(ends, asked, max_lookback=None, embargo="1d") == [None, None, 0, 0]


# --- zones -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Etc/GMT+3"])
def test_aware_times_compare_as_instants(own: str) -> None:
    stamp = times("2024-06-01T12:00", zone="UTC").dt.convert_time_zone(own)
    asked = times("2024-06-01T14:00", "2024-06-01T14:00:00.000001", zone="Europe/Berlin")
    assert timed(stamp, asked) == [None, 0]


def test_a_day_is_24_hours_also_across_a_clock_change() -> None:
    stamps = times("2024-03-30T12:00", "2024-03-30T12:30", zone="Europe/Berlin")
    asked = times("2024-03-31T13:00", "2024-03-31T13:30", zone="Europe/Berlin")
    assert timed(stamps, asked, embargo="1d", join="inclusive") == [0, 1]
    assert timed(stamps, asked, max_lookback="1d") == [1, 1]
    autumn = times("2024-10-26T12:00", zone="Europe/Berlin")
    assert timed(
        autumn, times("2024-10-27T11:00", "2024-10-27T11:00:00.000001", zone="Europe/Berlin"), embargo="1d"
    ) == [None, 0]


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    both = times("2024-10-27T00:30", "2024-10-27T01:30", zone="UTC").dt.convert_time_zone("Europe/Berlin")
    asked = times("2024-10-27T00:45", "2024-10-27T01:45", zone="UTC").dt.convert_time_zone("Europe/Berlin")
    assert timed(both, asked) == [0, 1]


AWARE, NAIVE, DATE = times("2024-01-01", zone="UTC"), times("2024-01-01"), pl.Series([date(2024, 1, 1)])


@pytest.mark.parametrize(("stamp", "asked"), [(AWARE, NAIVE), (NAIVE, AWARE), (DATE, AWARE), (AWARE, DATE)])
def test_naive_and_aware_times_are_refused_with_both_columns(stamp: pl.Series, asked: pl.Series) -> None:
    with pytest.raises(TimefenceTimezoneError, match="Naive and time-zone-aware times do not compare") as caught:
        timed(stamp, asked)
    assert f"labels 'at': {asked.dtype}" in str(caught.value)
    assert f"feature 'f' (source 'events') 't': {stamp.dtype}" in str(caught.value)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Amsterdam"])
@pytest.mark.parametrize("naive", [NAIVE, DATE], ids=["datetime", "date"])
@pytest.mark.parametrize("turned", [True, False])
def test_the_zone_that_is_proposed_is_that_of_the_other_side(zone: str, naive: pl.Series, *, turned: bool) -> None:
    aware = times("2024-01-01", zone=zone)
    with pytest.raises(TimefenceTimezoneError) as caught:
        timed(*((aware, naive) if turned else (naive, aware)))
    assert f".dt.replace_time_zone('{zone}')" in str(caught.value)


@pytest.mark.parametrize("known_at", ["end", "start"])
@pytest.mark.parametrize("stamp_is_date", [True, False])
def test_what_mends_dates_and_aware_times_keeps_when_a_date_is_known(known_at: str, *, stamp_is_date: bool) -> None:
    zone = "Europe/Berlin"
    hours = ["2024-01-01T00:00:01", "2024-01-01T23:59:59.999999", "2024-01-02T00:00:00"]
    aware, days = times(*hours, zone=zone), pl.Series([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)])
    stamp, asked = (days, aware) if stamp_is_date else (aware, days)
    with pytest.raises(TimefenceTimezoneError) as caught:
        timed(stamp, asked, source_date_known_at=known_at)
    of_date, of_other = (
        "pl.col('t')" + re.sub(r"^.*?: \.", ".", line)
        for line in str(caught.value).splitlines()
        if ": .dt" in line or ": .cast" in line
    )

    def mended(column: pl.Series, code: str) -> pl.Series:
        return pl.DataFrame({"t": column}).select(eval(code)).to_series()

    date_made = mended(days, of_date)
    other_made = mended(aware, of_other)
    assert date_made.dtype == pl.Datetime("us", zone)
    expected = timed(
        stamp if stamp_is_date else aware.dt.replace_time_zone(None),
        asked.dt.replace_time_zone(None) if stamp_is_date else days,
        source_date_known_at=known_at,
    )
    one = (date_made, aware) if stamp_is_date else (aware, date_made)
    two = (days, other_made) if stamp_is_date else (other_made, days)
    assert timed(*one) == timed(*two, source_date_known_at=known_at) == expected


# --- dates -------------------------------------------------------------------------------------------------------------


def test_a_date_stamp_is_known_at_the_end_of_its_day() -> None:
    asked = times("2024-01-01", "2024-01-01T23:59:59.999999", "2024-01-02")
    assert timed(DATE, asked) == [None, None, 0]
    last = times("2024-01-02", unit="ns") - pl.Series([1], dtype=pl.Duration("ns"))
    assert timed(DATE, last) == [None]
    assert timed(DATE, last, join="inclusive") == [0]


def test_a_date_stamp_may_be_known_at_the_start_of_its_day() -> None:
    asked = times("2024-01-01", "2024-01-01T00:00:00.000001")
    assert timed(DATE, asked, source_date_known_at="start") == [None, 0]
    assert timed(DATE, asked, source_date_known_at="start", join="inclusive") == [0, 0]


def test_a_date_label_is_the_start_of_its_day() -> None:
    stamps = times("2024-01-01", "2024-01-01T00:00:00.000001")
    asked = pl.Series([date(2024, 1, 1), date(2024, 1, 2)])
    assert timed(stamps, asked) == [None, 1]
    assert timed(stamps, asked, join="inclusive") == [0, 1]


def test_a_daily_aggregate_never_joins_its_own_day() -> None:
    days = pl.Series([date(2024, 1, d) for d in (1, 2, 3)])
    for join in ("strict", "inclusive"):
        assert timed(days, days, join=join) == [None, 0, 1]
    assert timed(days, days, source_date_known_at="start") == [None, 0, 1]
    assert timed(days, days, source_date_known_at="start", join="inclusive") == [0, 1, 2]


def test_bounds_of_dates_count_from_the_end_of_the_day() -> None:
    asked = times("2024-01-02", "2024-01-02T23:59:59.999999", "2024-01-03")
    assert timed(DATE, asked, max_lookback="1d") == [0, 0, None]
    assert timed(DATE, asked, max_lookback="1d1ns") == [0, 0, 0]
    assert timed(DATE, asked, max_staleness="1d") == [0, 0, None]
    assert timed(DATE, asked, embargo="1d", max_lookback=None) == [None, None, 0]


# --- integers ----------------------------------------------------------------------------------------------------------


INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


@pytest.mark.parametrize("own", INTEGERS, ids=str)
@pytest.mark.parametrize("other", INTEGERS, ids=str)
def test_integer_times_of_all_widths_mix(own: Any, other: Any) -> None:
    events = pl.DataFrame({"t": pl.Series([1, 4], dtype=own)}).with_row_index("x")
    given = labels(pl.DataFrame({"at": pl.Series([1, 2, 5, 6], dtype=other)}), keys=[])
    lazy = tf.point_in_time(given, feature(events, source_keys=[], embargo=1), feature_times=True)
    frame = lazy.collect()
    assert frame["f__x"].to_list() == [None, None, 0, 1]
    assert frame["f__feature_time"].dtype == own


def test_unsigned_times_beyond_the_signed_range_compare_by_value() -> None:
    stamps = pl.Series([1, 2**64 - 2], dtype=pl.UInt64)
    assert timed(stamps, pl.Series([5, 2**64 - 1], dtype=pl.UInt64)) == [0, 1]
    assert timed(stamps, pl.Series([5, 2**63 - 1, -5])) == [0, 0, None]
    assert timed(pl.Series([1, -2]), pl.Series([5, 2**63, 0], dtype=pl.UInt64)) == [0, 0, 1]


def test_integer_bounds_reach_the_ends_of_64_bits() -> None:
    ends = pl.Series([-(2**63), 2**63 - 1])
    asked = pl.Series([-(2**63), -(2**63) + 1, 2**63 - 1])
    assert timed(ends, asked) == [None, 0, 0]
    assert timed(ends, asked, join="inclusive") == [0, 0, 1]
    assert timed(ends, asked, embargo=2**63) == [None, None, 0]
    assert timed(ends, asked, max_lookback=2**64) == [None, 0, 0]
    assert timed(ends, asked, max_lookback=2**64 - 2) == [None, 0, None]


@pytest.mark.parametrize("huge", [2**63, 2**64, 2**90])
def test_bounds_past_64_bits_are_exact(huge: int) -> None:
    stamps, asked = pl.Series([-(2**63)]), pl.Series([2**63 - 1])
    assert timed(stamps, asked, embargo=huge) == ([0] if huge < 2**64 - 1 else [None])
    assert timed(stamps, asked, max_lookback=huge) == ([0] if huge >= 2**64 - 1 else [None])
    assert timed(stamps, asked, max_staleness=huge) == ([0] if huge >= 2**64 - 1 else [None])


def test_the_longest_timedelta_is_a_bound() -> None:
    assert timed(NAIVE, NAIVE + timedelta(1), embargo=timedelta.max, max_lookback=None) == [None]
    assert timed(NAIVE, NAIVE + timedelta(1), max_lookback=timedelta.max, max_staleness=timedelta.max) == [0]


def test_times_before_1970_are_rounded_down() -> None:
    stamps = times("1960-01-01", "1959-12-31T23:59:59.999", unit="ms")
    assert timed(stamps, times("1959-12-31T23:59:59.999999", "1960-01-01T00:00:00.000001")) == [1, 0]
    days = pl.Series([date(1960, 1, 1), date(1960, 1, 2)])
    assert timed(days, times("1960-01-02", "1960-01-03")) == [0, 1]


@pytest.mark.parametrize(("stamp", "asked"), [(pl.Series([1]), NAIVE), (NAIVE, pl.Series([1])), (DATE, pl.Series([1]))])
def test_integers_do_not_compare_with_times(stamp: pl.Series, asked: pl.Series) -> None:
    with pytest.raises(TimefenceSchemaError, match=r"Integer times and date times do not compare(.|\n)*from_epoch"):
        timed(stamp, asked)


@pytest.mark.parametrize(("stamp", "asked", "embargo"), [(NAIVE, NAIVE, 5), (pl.Series([1]), pl.Series([2]), "1d")])
def test_durations_fit_the_times(stamp: pl.Series, asked: pl.Series, embargo: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="embargo=.* of feature 'f' does not fit its times"):
        timed(stamp, asked, embargo=embargo)


# --- what is no time ---------------------------------------------------------------------------------------------------


UNFIT = [
    pl.Series(["2024-01-01"]),
    pl.Series([1.0]),
    pl.Series([True]),
    pl.Series([timedelta(1)]),
    pl.Series([time(1)]),
    pl.Series([Decimal(1)]),
    pl.Series([1], dtype=pl.Int128),
    pl.Series(["a"], dtype=pl.Categorical),
    pl.Series([[1]]),
    pl.Series([{"a": 1}]),
    pl.Series([None]),
    pl.Series([b"a"]),
    pl.Series([object()], dtype=pl.Object),
]


@pytest.mark.parametrize("column", UNFIT, ids=lambda s: str(s.dtype))
def test_what_is_no_time_is_refused_on_either_side_and_as_availability(column: pl.Series) -> None:
    with pytest.raises(TimefenceSchemaError, match="timestamp 't' of source 'events' is .*, not a time type"):
        tf.point_in_time(
            labels(pl.DataFrame({"at": [1]}), keys=[]), feature(pl.DataFrame({"t": column, "x": [1]}), source_keys=[])
        )
    with pytest.raises(TimefenceSchemaError, match="label_time 'at' of labels is .*, not a time type"):
        tf.point_in_time(
            labels(pl.DataFrame({"at": column}), keys=[]), feature(pl.DataFrame({"t": [1], "x": [1]}), source_keys=[])
        )
    bitemporal = feature(pl.DataFrame({"t": [1], "a": column, "x": [1]}), source_keys=[], source_available_at="a")
    with pytest.raises(TimefenceSchemaError, match="available_at 'a' of source 'events' is .*, not a time type"):
        tf.point_in_time(labels(pl.DataFrame({"at": [1]}), keys=[]), bitemporal)


# --- nulls -------------------------------------------------------------------------------------------------------------


def test_a_null_time_matches_nothing_and_the_label_stays() -> None:
    assert timed(pl.Series([1, None]), pl.Series([None, 2, 1], dtype=pl.Int64)) == [None, 0, None]
    assert timed(pl.Series([None], dtype=pl.Int64), pl.Series([2])) == [None]


def test_source_rows_without_a_time_are_counted_and_not_seen() -> None:
    events = pl.DataFrame({"k": [1, 1, 1], "t": [1, None, 2], "x": [1, 10, 100]})
    given = labels(pl.DataFrame({"k": [1], "at": [9]}))
    assert values(given, feature(events, pl.col("x").cum_sum())) == [101]
    assert tf.build(given, feature(events)).stats.feature_stats["f"]["dropped_source_rows"] == 1


# --- feature times -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stamp",
    [
        DATE,
        times("2024-01-01", unit="ms"),
        times("2024-01-01", unit="ns"),
        times("2024-01-01", zone="Asia/Tokyo"),
        pl.Series([-2], dtype=pl.Int8),
        pl.Series([2**64 - 2], dtype=pl.UInt64),
    ],
    ids=lambda s: str(s.dtype),
)
def test_feature_times_keep_the_sources_type(stamp: pl.Series) -> None:
    if stamp.dtype.is_integer():
        asked = pl.Series([100], dtype=pl.Int8) if stamp.dtype == pl.Int8 else pl.Series([2**64 - 1], dtype=pl.UInt64)
    else:
        asked = times("2024-01-05", zone=getattr(stamp.dtype, "time_zone", None))
    events = pl.DataFrame({"t": stamp, "x": [1]})
    frame = joined(labels(pl.DataFrame({"at": asked}), keys=[]), feature(events, source_keys=[]), feature_times=True)
    assert frame["f__feature_time"].dtype == stamp.dtype
    assert frame["f__feature_time"].to_list() == stamp.to_list()


def test_a_feature_time_is_null_where_the_value_is_missing_but_not_where_it_is_null() -> None:
    events = pl.DataFrame({"k": [1, 2], "t": [1, 1], "x": [None, 5]})
    given = labels(pl.DataFrame({"k": [1, 2, 3], "at": [2, 9, 2]}))
    frame = joined(given, feature(events), feature_times=True, max_staleness=3)
    assert frame["f__x"].to_list() == [None, None, None]
    assert frame["f__feature_time"].to_list() == [1, None, None]


@pytest.mark.parametrize("event", [pl.UInt64, pl.UInt32, pl.Int8])
@pytest.mark.parametrize(("at", "known"), [(1, 2**64 - 20), (5, 2**63), (100, 3)])
def test_availability_beyond_63_bits(event: Any, at: int, known: int) -> None:
    rows = {"k": [1], "t": pl.Series([at], dtype=event), "a": pl.Series([known], dtype=pl.UInt64), "x": [1]}
    of = tf.Source(pl.DataFrame(rows), keys="k", timestamp="t", available_at="a")
    usable = max(at, known)
    times = pl.Series([usable - 1, usable, usable + 1], dtype=pl.UInt64)
    asked = tf.Labels(pl.DataFrame({"k": [1] * 3, "T": times}), keys="k", label_time="T")
    window = tf.Window(of, {"n": pl.len()}, windows=[None], name="w")
    made = tf.build(asked, [tf.Feature(of, columns="x", name="f"), window]).frame()
    assert made["f__x"].to_list() == [None, None, 1]
    assert made["w__n_all"].to_list() == [0, 0, 1]
