"""The oracle against answers worked out by hand, one sentence of the semantics each.

Takes small tables, checks the oracle alone. Must not know: the package, Polars.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.oracle.match import (
    DAY,
    REASONS,
    Answer,
    ColumnClashError,
    DuplicateMatchError,
    Events,
    Labels,
    Row,
    Wanted,
    boundary,
    instant,
    point_in_time,
    split_rows,
)
from tests.oracle.recipe import Output, Recipe, derive

INT64_MAX = 2**63 - 1


def events(*rows: Sequence[Any], columns: str = "k t x", unit: str = "ns", **options: Any) -> Events:
    names = columns.split()
    keys = [name for name in names if name.startswith("k")]
    return Events([dict(zip(names, row, strict=True)) for row in rows], keys, "t", unit, **options)


def feature(source: Events, name: str = "f", **options: Any) -> Wanted:
    def take(rows: Sequence[Row]) -> list[Row | None]:
        return [{"x": row["x"]} for row in rows]

    return Wanted(name, source, options.pop("derive", take), options.pop("columns", ["x"]), **options)


def labels(*rows: Sequence[Any], columns: str = "k at", unit: str = "ns") -> Labels:
    names = columns.split()
    keys = [name for name in names if name.startswith("k")]
    return Labels([dict(zip(names, row, strict=True)) for row in rows], names, keys, "at", unit)


def values(answer: Answer, column: str = "f__x") -> list[Any]:
    return [row[column] for row in answer.rows]


def reasons(answer: Answer, name: str = "f") -> list[int]:
    return [answer.reasons[name][reason] for reason in REASONS]


def test_strict_excludes_and_inclusive_includes_the_limit() -> None:
    source = events(("a", 10, 1), ("a", 20, 2))
    at = labels(("a", 20))
    assert values(point_in_time(at, [feature(source)])) == [1]
    assert values(point_in_time(at, [feature(source)], join="inclusive")) == [2]


def test_embargo_moves_the_upper_bound_to_the_nanosecond() -> None:
    source = events(("a", 10, 1), ("a", 20, 2))
    at = labels(("a", 24), ("a", 25), ("a", 26))
    assert values(point_in_time(at, [feature(source, embargo=5)])) == [1, 1, 2]
    assert values(point_in_time(at, [feature(source, embargo=5)], join="inclusive")) == [1, 2, 2]


def test_sub_tick_embargo_is_not_truncated() -> None:
    source = events(("a", 10, 1), unit="ms")
    at = labels(("a", 10_000_000), ("a", 10_000_001), ("a", 10_000_002))
    assert values(point_in_time(at, [feature(source, embargo=1)])) == [None, None, 1]


def test_lookback_is_closed_and_anchored_on_the_label_not_on_the_limit() -> None:
    source = events(("a", 10, 1))
    at = labels(("a", 110), ("a", 111))
    answer = point_in_time(at, [feature(source, lookback=100, embargo=50)])
    assert values(answer) == [1, None]
    assert reasons(answer) == [1, 0, 0, 1, 0]


def test_greatest_time_wins_then_source_order_when_asked() -> None:
    source = events(("a", 20, 2), ("a", 10, 1), ("a", 20, 3))
    at = labels(("a", 30))
    assert values(point_in_time(at, [feature(source, on_duplicate="keep_last")])) == [3]
    assert values(point_in_time(at, [feature(source, on_duplicate="keep_any")])) == [3]
    assert values(point_in_time(at, [feature(source, on_duplicate="keep_first")])) == [2]


def test_tie_breaker_decides_before_source_order_and_null_is_lowest() -> None:
    source = events(("a", 20, 5, 1), ("a", 20, 7, 2), ("a", 20, None, 3), columns="k t tb x", tie_breaker=["tb"])
    assert values(point_in_time(labels(("a", 30)), [feature(source)])) == [2]
    low = events(("a", 20, -5, 1), ("a", 20, None, 2), columns="k t tb x", tie_breaker=["tb"])
    assert values(point_in_time(labels(("a", 30)), [feature(low)])) == [1]


def test_stale_is_null_and_counted_as_stale() -> None:
    source = events(("a", 10, 1))
    answer = point_in_time(labels(("a", 110), ("a", 111)), [feature(source, staleness=100)])
    assert values(answer) == [1, None]
    assert reasons(answer) == [1, 0, 1, 0, 0]


def test_too_old_precedes_stale() -> None:
    answer = point_in_time(labels(("a", 500)), [feature(events(("a", 10, 1)), staleness=50, lookback=100)])
    assert reasons(answer) == [0, 0, 0, 1, 0]


def test_bitemporal_row_counts_from_when_it_was_known() -> None:
    source = events(("a", 10, 50, 1), columns="k t seen x", available_at="seen", available_unit="ns")
    at = labels(("a", 20), ("a", 50), ("a", 51))
    assert values(point_in_time(at, [feature(source)])) == [None, None, 1]


def test_bitemporal_row_known_early_still_waits_for_its_own_time() -> None:
    source = events(("a", 10, 5, 1), columns="k t seen x", available_at="seen", available_unit="ns")
    assert values(point_in_time(labels(("a", 10), ("a", 11)), [feature(source)])) == [None, 1]


def test_correction_replaces_from_the_moment_it_was_known() -> None:
    source = events(("a", 10, 30, 2), ("a", 10, 10, 1), columns="k t seen x", available_at="seen", available_unit="ns")
    assert values(point_in_time(labels(("a", 30), ("a", 31)), [feature(source)])) == [1, 2]


def test_late_old_row_does_not_replace_a_newer_one() -> None:
    source = events(("a", 10, 99, 1), ("a", 20, 21, 2), columns="k t seen x", available_at="seen", available_unit="ns")
    assert values(point_in_time(labels(("a", 200)), [feature(source)])) == [2]


def test_bitemporal_bounds_below_are_on_the_feature_time() -> None:
    source = events(("a", 10, 100, 1), columns="k t seen x", available_at="seen", available_unit="ns")
    at = labels(("a", 111))
    assert reasons(point_in_time(at, [feature(source, lookback=100)])) == [0, 0, 0, 1, 0]
    assert reasons(point_in_time(at, [feature(source, staleness=100)])) == [0, 0, 1, 0, 0]


def test_null_availability_is_never_known() -> None:
    source = events(("a", 10, None, 1), columns="k t seen x", available_at="seen", available_unit="us")
    assert reasons(point_in_time(labels(("a", 99)), [feature(source)])) == [0, 0, 0, 0, 1]


def test_rows_no_one_can_place_are_dropped_before_the_feature_sees_them() -> None:
    source = events(("a", 10, 1), (None, 11, 50), ("a", None, 60), ("a", 12, 2))
    recipe = Recipe("expressions", (Output("total", "cum_sum", "x"),))
    wanted = feature(source, derive=lambda rows: derive(recipe, rows, "t"), columns=["total"])
    assert values(point_in_time(labels(("a", 20)), [wanted]), "f__total") == [3]


def test_date_stamp_is_known_at_its_last_instant() -> None:
    source = events(("a", 0, 1), unit="date")
    at = labels(("a", 0), ("a", 1), unit="date")
    assert values(point_in_time(at, [feature(source)])) == [None, 1]
    last = labels(("a", DAY - 1), ("a", DAY))
    assert values(point_in_time(last, [feature(source)])) == [None, 1]
    assert values(point_in_time(last, [feature(source)], join="inclusive")) == [1, 1]


def test_date_stamp_can_be_known_at_its_start() -> None:
    source = events(("a", 5, 1), unit="date", date_known_at="start")
    at = labels(("a", 5), ("a", 6), unit="date")
    assert values(point_in_time(at, [feature(source)])) == [None, 1]
    assert values(point_in_time(at, [feature(source)], join="inclusive")) == [1, 1]


def test_date_stamps_age_from_their_last_instant() -> None:
    source = events(("a", 0, 1), unit="date")
    at = labels(("a", 3 * DAY - 1), ("a", 3 * DAY))
    assert reasons(point_in_time(at, [feature(source, staleness=2 * DAY)])) == [1, 0, 1, 0, 0]
    assert reasons(point_in_time(at, [feature(source, lookback=2 * DAY)])) == [1, 0, 0, 1, 0]


def test_date_availability_is_the_end_of_its_day() -> None:
    source = events(("a", 5, 0, 1), columns="k t seen x", available_at="seen", available_unit="date")
    at = labels(("a", DAY - 1), ("a", DAY))
    assert values(point_in_time(at, [feature(source)])) == [None, 1]


def test_units_compare_exactly_to_the_ends_of_64_bits() -> None:
    assert instant(INT64_MAX, "ms") == INT64_MAX * 10**6
    source = events(("a", INT64_MAX - 1, 1), ("a", INT64_MAX, 2), unit="ms")
    assert values(point_in_time(labels(("a", INT64_MAX), unit="ms"), [feature(source)])) == [1]
    nearer = events(("a", 5_000_001, 1), ("a", 4_999_999, 2))
    assert values(point_in_time(labels(("a", 5), unit="ms"), [feature(nearer)])) == [2]


def test_integer_times_have_no_default_unit() -> None:
    source = events(("a", 3, 1), unit="int")
    at = labels(("a", 5), ("a", 6), unit="int")
    assert values(point_in_time(at, [feature(source, embargo=2)])) == [None, 1]


def test_null_label_keys_and_times_keep_their_rows_unmatched() -> None:
    answer = point_in_time(labels((None, 50), ("a", None), ("a", 50)), [feature(events(("a", 10, 1)))])
    assert values(answer) == [None, None, 1]
    assert reasons(answer) == [1, 0, 0, 0, 2]


def test_composite_mapped_and_coarser_keys() -> None:
    both = events(("a", 1, 10, 5), columns="k1 k2 t x")
    at = labels(("a", 1, 50), ("a", 2, 50), columns="k1 k2 at")
    assert values(point_in_time(at, [feature(both)])) == [5, None]
    coarse = events(("a", 10, 5), columns="k t x")
    assert values(point_in_time(at, [feature(coarse, key_mapping={"k1": "k"})])) == [5, 5]
    swapped = events((1, "a", 10, 5), columns="k1 k2 t x")
    assert values(point_in_time(at, [feature(swapped, key_mapping={"k1": "k2", "k2": "k1"})])) == [5, None]


def test_global_series_joins_every_label() -> None:
    source = events((10, 1), (20, 2), columns="t x")
    assert values(point_in_time(labels(("a", 15), (None, 30)), [feature(source)])) == [1, 2]


def test_duplicates_raise_only_where_a_label_matches_one() -> None:
    source = events(("a", 10, 1), ("a", 10, 2), ("a", 20, 3), ("b", 5, 4))
    assert values(point_in_time(labels(("a", 30), ("b", 30), ("a", 5)), [feature(source)])) == [3, 4, None]
    with pytest.raises(DuplicateMatchError):
        point_in_time(labels(("a", 15)), [feature(source)])


def test_stale_and_too_old_duplicates_do_not_raise() -> None:
    source = events(("a", 10, 1), ("a", 10, 2))
    at = labels(("a", 500))
    assert reasons(point_in_time(at, [feature(source, staleness=9)])) == [0, 0, 1, 0, 0]
    assert reasons(point_in_time(at, [feature(source, lookback=9)])) == [0, 0, 0, 1, 0]


def test_different_availability_or_tie_breaker_is_no_duplicate() -> None:
    source = events(("a", 10, 10, 1), ("a", 10, 11, 2), columns="k t seen x", available_at="seen", available_unit="ns")
    assert values(point_in_time(labels(("a", 30)), [feature(source)])) == [2]


def test_matched_null_is_matched_and_survives_skip() -> None:
    source = events(("a", 10, None), ("b", 10, 1))
    at = labels(("a", 30), ("b", 30), ("c", 30))
    answer = point_in_time(at, [feature(source)], on_missing="skip")
    assert [row["k"] for row in answer.rows] == ["a", "b"]
    assert reasons(answer) == [1, 1, 0, 0, 1]


def test_skip_drops_stale_rows_after_they_are_counted() -> None:
    answer = point_in_time(labels(("a", 500)), [feature(events(("a", 10, 1)), staleness=9)], on_missing="skip")
    assert answer.rows == []
    assert reasons(answer) == [0, 0, 1, 0, 0]


def test_flattening_drops_prefixes_and_refuses_clashes() -> None:
    source = events(("a", 10, 1))
    at = labels(("a", 30))
    flat = point_in_time(at, [feature(source)], flatten_columns=True, feature_times=True)
    assert flat.columns == ["k", "at", "x", "f__feature_time"]
    assert flat.rows == [{"k": "a", "at": 30, "x": 1, "f__feature_time": 10}]
    with pytest.raises(ColumnClashError, match="x"):
        point_in_time(at, [feature(source), feature(source, "g")], flatten_columns=True)


def test_labels_keep_their_order_and_their_duplicates() -> None:
    source = events(("a", 10, 1), ("a", 20, 2))
    at = labels(("a", 30, 3), ("a", 15, 1), ("a", 30, 2), ("a", 5, 0), columns="k at row")
    answer = point_in_time(at, [feature(source)])
    assert values(answer, "row") == [3, 1, 2, 0]
    assert values(answer) == [2, 1, 2, None]


def test_splits_are_half_open_and_purged_against_every_later_split() -> None:
    spans = {"train": (0, 100), "valid": (100, 200), "test": (250, 300)}
    times = [0, 89, 90, 99, 100, 199, 200, 240, 250, 299, 300, None]
    taken, outside = split_rows(times, spans)
    assert taken == {"train": [0, 1, 2, 3], "valid": [4, 5], "test": [8, 9]}
    assert outside == 4
    purged, _ = split_rows(times, spans, purge=10)
    assert purged == {"train": [0, 1], "valid": [4, 5], "test": [8, 9]}
    far, _ = split_rows(times, spans, purge=60)
    assert far == {"train": [0], "valid": [4], "test": [8, 9]}


def test_split_edges_are_read_in_the_label_columns_zone() -> None:
    assert boundary("2024-01-01", None) == 1_704_067_200 * 10**9
    assert boundary(date(2024, 1, 1), "Asia/Kolkata") == (1_704_067_200 - 19_800) * 10**9
    assert boundary(datetime(2024, 1, 1, tzinfo=UTC), "Asia/Kolkata") == 1_704_067_200 * 10**9
    assert boundary("1969-12-31T23:59:59.999999", None) == -1_000


def test_rolling_and_shift_recipes_follow_match_order() -> None:
    rows: list[Row] = [{"k": "a", "t": 0, "x": 1}, {"k": "b", "t": 1, "x": 9}, {"k": "a", "t": 2, "x": None}]
    outputs = (
        Output("previous", "shift", "x", 1, ("k",)),
        Output("highest", "rolling_max_by", "x", 2, ("k",)),
        Output("total", "rolling_sum", "x", 2, ("k",)),
    )
    derived = derive(Recipe("expressions", outputs), rows, "t")
    assert derived[1] == {"previous": None, "highest": 9, "total": 9}
    assert derived[2] == {"previous": 1, "highest": None, "total": 1}
