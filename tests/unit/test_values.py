"""Values of every type come through unchanged, also where nothing matched; and frames without rows keep their types."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_series_equal

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, joined, labels, values

COLUMNS = {
    "Int128": pl.Series([2**100, None, -1], dtype=pl.Int128),
    "UInt128": pl.Series([2**127, None, 1], dtype=pl.UInt128),
    "UInt64": pl.Series([2**64 - 1, None, 0], dtype=pl.UInt64),
    "Int8": pl.Series([-128, None, 127], dtype=pl.Int8),
    "Float64": pl.Series([float("nan"), None, float("-inf")]),
    "Float32": pl.Series([0.1, None, float("nan")], dtype=pl.Float32),
    "Float16": pl.Series([1.5, None, 2.0], dtype=pl.Float16),
    "Boolean": pl.Series([True, None, False]),
    "String": pl.Series(["ä\u0301\U0001f600", "", None]),
    "Binary": pl.Series([b"\0\xff", b"", None]),
    "Categorical": pl.Series(["b", "a", None], dtype=pl.Categorical),
    "Enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["b", "a"])),
    "Decimal": pl.Series([Decimal("1.10"), None, Decimal("-0.01")], dtype=pl.Decimal(20, 2)),
    "Time": pl.Series([time(1, 2, 3, 4), None, time(0)]),
    "Duration": pl.Series([timedelta(1), None, timedelta(microseconds=-1)]),
    "aware Datetime": pl.Series([datetime(2024, 7, 1), None, datetime(2024, 1, 1)]).dt.replace_time_zone("Asia/Tokyo"),
    "List": pl.Series([[1, None], [], None]),
    "List of Categorical": pl.Series([["a"], ["b", None], None], dtype=pl.List(pl.Categorical)),
    "Array": pl.Series([[1, 2], None, [3, None]], dtype=pl.Array(pl.Int64, 2)),
    "Struct": pl.Series([{"a": 1, "b": ["x"]}, {"a": None, "b": None}, None]),
    "nested": pl.Series([[{"a": [{"b": 1}]}], [], None]),
    "Null": pl.Series([None, None, None]),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
@pytest.mark.parametrize("way", ["columns", "expression over rows", "transform"])
def test_values_of_every_type_come_through(column: pl.Series, way: str) -> None:
    events = EVENTS.with_columns(x=column)
    one = {
        "columns": lambda: feature(events),
        "expression over rows": lambda: feature(events, pl.col("x").last().over("k", "t")),
        "transform": lambda: feature(events, transform=lambda lf: lf),
    }[way]()
    found = joined(labels(), one)["f__x"]
    expected = pl.concat([column, pl.Series([None], dtype=column.dtype)])
    assert_series_equal(found, expected, check_names=False)


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
def test_label_columns_of_every_type_come_through(column: pl.Series) -> None:
    extra = pl.concat([column, pl.Series([None], dtype=column.dtype)])
    frame = joined(labels(LABELS.with_columns(z=extra)), feature())
    assert_series_equal(frame["z"], extra, check_names=False)
    assert frame["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize(
    "column", [c for n, c in COLUMNS.items() if n != "Null"], ids=[n for n in COLUMNS if n != "Null"]
)
def test_duplicates_with_values_of_every_type_are_ordered_and_told(column: pl.Series) -> None:
    events = EVENTS.with_columns(x=column)
    twice = pl.concat([events, events])
    assert joined(labels(), feature(twice, on_duplicate="keep_last")).height == 4
    assert (
        joined(labels(), feature(events, transform=lambda lf: pl.concat([lf, lf]), on_duplicate="keep_first")).height
        == 4
    )
    with pytest.raises(tf.TimefenceDuplicateError, match="3 label row"):
        tf.build(labels(), feature(twice))


def test_objects_come_through() -> None:
    things = [object(), object(), None]
    events = EVENTS.with_columns(x=pl.Series(things, dtype=pl.Object))
    found = tf.build(labels(), feature(events)).frame()["f__x"].to_list()
    assert found == [things[0], things[1], None, None]


def test_a_column_that_is_not_used_may_be_anything() -> None:
    for column in (*COLUMNS.values(), pl.Series([object()] * 3, dtype=pl.Object)):
        assert (
            tf.point_in_time(labels(), feature(EVENTS.with_columns(z=column))).collect()["f__x"].to_list() == EXPECTED
        )


# --- null values and no matches ----------------------------------------------------------------------------------------


def test_a_null_value_is_matched_and_wins_over_an_older_value() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "x": [10, None]})
    result = tf.build(labels(pl.DataFrame({"k": [1], "at": [3]})), feature(events))
    assert result.frame()["f__x"].to_list() == [None]
    stats = result.stats.feature_stats["f"]
    assert (stats["matched"], stats["null_value"], stats["missing"]) == (1, 1, 0)


def test_a_row_is_null_only_if_every_column_of_the_feature_is() -> None:
    events = pl.DataFrame(
        {"k": [1, 2], "t": [1, 1], "x": [None, None], "y": [5, None]}, schema_overrides={"x": pl.Int64}
    )
    stats = tf.build(labels(pl.DataFrame({"k": [1, 2], "at": [3, 3]})), feature(events, "x", "y")).stats.feature_stats[
        "f"
    ]
    assert (stats["matched_value"], stats["null_value"]) == (1, 1)


def test_skip_drops_rows_that_found_nothing_but_keeps_null_values() -> None:
    events = pl.DataFrame({"k": [1, 2], "t": [1, 1], "x": [None, 5]})
    given = labels(pl.DataFrame({"k": [1, 2, 3, None], "at": [3, 3, 3, 3]}))
    frame = joined(given, feature(events), on_missing="skip")
    assert frame["k"].to_list() == [1, 2]
    assert frame["f__x"].to_list() == [None, 5]


def test_skip_asks_every_feature_to_have_found_a_row() -> None:
    features = [feature(), feature(EVENTS.filter(pl.col("k") == 1), name="g")]
    assert joined(labels(), features, on_missing="skip")["k"].to_list() == [1, 1]
    assert joined(labels(), features[::-1], on_missing="skip", max_staleness=1)["k"].to_list() == [1]


# --- frames without rows -----------------------------------------------------------------------------------------------


def no_rows(**options: Any) -> list[tf.Feature]:
    empty = EVENTS.clear()
    return [
        feature(empty, **options),
        feature(empty, pl.col("x").cum_sum().over("k"), name="g"),
        feature(empty, transform=lambda lf: lf, name="h"),
        feature(empty.cast({"k": pl.String}), name="i", key_mapping={"s": "k"}),
        feature(empty, name="j", source_keys=[]),
    ]


def test_no_events_are_no_matches() -> None:
    given = labels(LABELS.with_columns(s=pl.col("k").cast(pl.String)), keys=["k", "s"])
    result = tf.build(given, no_rows())
    assert joined(given, no_rows()).equals(result.frame())
    for name in "fghij":
        assert result.frame()[f"{name}__x"].to_list() == [None] * 4
        assert result.stats.feature_stats[name]["no_history"] == 4


def test_no_labels_are_no_rows_of_the_right_types() -> None:
    given = labels(LABELS.with_columns(s=pl.col("k").cast(pl.String)).clear(), keys=["k", "s"])
    filled = labels(LABELS.with_columns(s=pl.col("k").cast(pl.String)), keys=["k", "s"])
    frame = joined(given, no_rows(), feature_times=True)
    assert frame.height == 0
    assert frame.schema == joined(filled, no_rows(), feature_times=True).schema
    stats = tf.build(given, no_rows()).stats
    assert stats.row_count == 0
    assert set(stats.feature_stats["f"].values()) == {0, None}


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4])
def test_any_number_of_labels_is_joined(rows: int) -> None:
    assert values(labels(LABELS.head(rows)), feature()) == EXPECTED[:rows]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_any_number_of_events_is_joined(rows: int) -> None:
    assert values(labels(), feature(EVENTS.head(rows))) == [10, 50 if rows > 1 else 10, 30 if rows > 2 else None, None]


def test_many_features_are_joined() -> None:
    features = [feature(EVENTS, (pl.col("x") + i).alias("x"), name=f"f{i}", embargo=i % 3) for i in range(40)]
    frame = joined(labels(), features)
    assert frame.width == 43
    assert frame["f39__x"].to_list() == [49, 89, 69, None]
