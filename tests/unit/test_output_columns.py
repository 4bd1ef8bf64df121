"""Columns of a training set: labels first, then features, with names that cannot be mistaken."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, joined, labels
from timefence_pl.errors import TimefenceSchemaError

TWO = EVENTS.with_columns(z=pl.col("x") * 2)


def columns(features: Any, given: Any = None, **options: Any) -> list[str]:
    frame = joined(given or labels(), features, **options)
    assert list(tf.point_in_time(given or labels(), features, **options).collect_schema()) == frame.columns
    return frame.columns


def test_label_columns_come_first_then_features_as_given() -> None:
    features = [feature(TWO, "z", "x", name="b"), feature(TWO, "x", name="a")]
    assert columns(features) == ["k", "at", "y", "b__z", "b__x", "a__x"]


def test_labels_keep_their_rows_and_columns() -> None:
    given = LABELS.with_columns(extra=pl.Series(["a", "b", "c", "d"])).select("extra", "y", "k", "at")
    frame = joined(labels(given, target="y"), feature())
    assert frame.select(given.columns).equals(given)


def test_feature_times_follow_each_feature() -> None:
    features = [feature(TWO, "x", "z", name="a"), feature(TWO, "x", name="b")]
    assert columns(features, feature_times=True) == [
        "k",
        "at",
        "y",
        "a__x",
        "a__z",
        "a__feature_time",
        "b__x",
        "b__feature_time",
    ]
    frame = joined(labels(), features, feature_times=True)
    assert frame["a__feature_time"].to_list() == [1, 5, 3, None]


def test_flattened_columns_have_no_prefix() -> None:
    features = [feature(TWO, "x", name="a"), feature(TWO, "z", name="b")]
    assert columns(features, flatten_columns=True) == ["k", "at", "y", "x", "z"]
    assert columns(features, flatten_columns=True, feature_times=True) == [
        "k",
        "at",
        "y",
        "x",
        "a__feature_time",
        "z",
        "b__feature_time",
    ]
    assert joined(labels(), features, flatten_columns=True)["x"].to_list() == EXPECTED


def test_flattened_statistics_and_manifest_name_the_output() -> None:
    result = tf.build(labels(), feature(), flatten_columns=True)
    assert result.manifest["features"]["f"]["output_columns"] == ["x"]
    assert list(result.manifest["output"]["columns"]) == ["k", "at", "y", "x"]
    assert result.stats.column_count == 4


@pytest.mark.parametrize(
    ("features", "options", "clash", "who"),
    [
        (
            [feature(TWO, "x", name="a"), feature(TWO, "x", name="b")],
            {"flatten_columns": True},
            "'x'",
            "'a', feature 'b'",
        ),
        ([feature(columns={"x": "y"})], {"flatten_columns": True}, "'y'", "labels, feature 'f'"),
        ([feature(columns={"x": "k"})], {"flatten_columns": True}, "'k'", "labels, feature 'f'"),
        (
            [feature(columns={"x": "c"}, name="a__b"), feature(columns={"x": "b__c"}, name="a")],
            {},
            "'a__b__c'",
            "'a__b', feature 'a'",
        ),
        ([feature(columns={"x": "feature_time"})], {"feature_times": True}, "'f__feature_time'", "feature 'f'"),
        (
            [feature(columns={"x": "b__feature_time"}, name="a"), feature(name="a__b")],
            {"feature_times": True},
            "'a__b__feature_time'",
            "'a'",
        ),
    ],
)
def test_names_that_clash_are_refused_with_their_owners(
    features: Any, options: dict[str, bool], clash: str, who: str
) -> None:
    for run in (tf.point_in_time, tf.build, tf.explain):
        with pytest.raises(TimefenceSchemaError, match=f"Output columns would have the same name: {clash}") as caught:
            run(labels(), features, **options)
        assert who in str(caught.value)


@pytest.mark.parametrize(("name", "options"), [("f__x", {}), ("f__feature_time", {"feature_times": True})])
def test_a_label_column_that_a_feature_would_overwrite_is_refused(name: str, options: dict[str, bool]) -> None:
    with pytest.raises(
        TimefenceSchemaError, match=rf"same name: '{name}'(.|\n)*labels, feature 'f'(.|\n)*rename the label column"
    ):
        tf.point_in_time(labels(LABELS.rename({"y": name})), feature(), **options)


def test_a_feature_may_put_out_a_feature_time_of_its_own() -> None:
    assert columns(feature(columns={"x": "feature_time"})) == ["k", "at", "y", "f__feature_time"]
    assert columns(feature(columns={"x": "feature_time"}), flatten_columns=True) == ["k", "at", "y", "feature_time"]


def test_labels_with_no_extra_columns() -> None:
    assert columns(feature(), labels(LABELS.select("k", "at"))) == ["k", "at", "f__x"]
    assert columns(feature(source_keys=[]), labels(LABELS.select("at"), keys=[])) == ["at", "f__x"]


def test_a_set_of_features_is_joined_in_its_order() -> None:
    group = tf.FeatureSet("s", [feature(name="c"), feature(name="a")])
    assert columns([group, feature(name="b")]) == ["k", "at", "y", "c__x", "a__x", "b__x"]
