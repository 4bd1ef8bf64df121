"""What a build gives back: frame, figures, text and HTML."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source

PARTS = ("matched_value", "null_value", "stale", "too_old", "no_history")
#: One label row for each part of the partition; two source rows cannot match.
ROWS = pl.DataFrame({"k": [1, 2, 3, 4, None, 1], "t": [10, 10, 5, 1, 1, None], "x": [1, None, 3, 4, 5, 6]})
ASKED = pl.DataFrame({"k": [1, 2, 3, 4, 5, None, 1], "at": [11, 11, 11, 11, 11, 11, None]})
BOUNDS: dict[str, Any] = {"max_staleness": 4, "max_lookback": 8}


def built(*features: tf.Feature, **options: Any) -> tf.BuildResult:
    return tf.build(labels(), list(features) or feature(), **options)


# --- frames ------------------------------------------------------------------------------------------------------------


def test_without_an_output_the_result_is_kept_in_memory() -> None:
    result = built()
    assert result.output_path is None
    assert dict(result.splits) == {}
    assert result.frame()["f__x"].to_list() == EXPECTED
    assert isinstance(result.scan(), pl.LazyFrame)
    assert result.scan().collect().equals(result.frame())


def test_the_plan_that_was_run_is_there() -> None:
    result = built()
    assert result.plan.collect().equals(result.frame())


def test_the_result_is_frozen() -> None:
    result = built()
    with pytest.raises(FrozenInstanceError):
        result.output_path = "other"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        result.stats.row_count = 0  # type: ignore[misc]


def test_changing_the_frame_does_not_change_the_result() -> None:
    result = built()
    result.frame().insert_column(0, pl.Series("new", [0] * 4))
    assert result.frame().columns == ["k", "at", "y", "f__x"]


# --- statistics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["frame", "lazy", "file", "streamed"])
@pytest.mark.parametrize("skip", [False, True])
def test_statistics_are_a_partition_of_all_labels_before_any_skip(tmp_path: Path, way: str, *, skip: bool) -> None:
    one = feature(ROWS.lazy() if way in ("lazy", "streamed") else ROWS)
    output = tmp_path / "set.parquet" if way in ("file", "streamed") else None
    result = tf.build(labels(ASKED), one, output, on_missing="skip" if skip else "null", **BOUNDS)
    stats = result.stats.feature_stats["f"]
    assert {p: stats[p] for p in PARTS} == {
        "matched_value": 1,
        "null_value": 1,
        "stale": 1,
        "too_old": 1,
        "no_history": 3,
    }
    assert (stats["matched"], stats["missing"]) == (2, 5)
    assert (stats["dropped_source_rows"], stats["duplicates"]) == (2, 0)
    assert stats["youngest_value"] == 1
    assert result.stats.label_count == 7
    assert result.stats.row_count == result.frame().height == (2 if skip else 7)
    assert result.stats.column_count == result.frame().width == 3


@pytest.mark.parametrize("way", ["frame", "lazy", "file", "streamed"])
@pytest.mark.parametrize("skip", [False, True])
def test_labels_without_key_or_time_are_counted_and_told(tmp_path: Path, way: str, *, skip: bool) -> None:
    asked = pl.DataFrame({"k": [1, None, 1, None, 1], "at": [5, 5, None, None, 6], "y": [0, 1, 0, 1, 0]})
    one = feature(EVENTS.lazy() if way in ("lazy", "streamed") else EVENTS)
    output = tmp_path / "set.parquet" if way in ("file", "streamed") else None
    result = tf.build(labels(asked), one, output, on_missing="skip" if skip else "null")
    assert result.stats.incomplete_labels == result.manifest["counts"]["incomplete_labels"] == 3
    assert "labels: 3 of 5 have a null key or label time" in str(result)
    assert "Labels: 3 of 5 have a null key or label time." in result._repr_html_()
    assert "null key or label time" not in str(built())


@pytest.mark.parametrize("column", ["k", "at"])
@pytest.mark.parametrize("events", [EVENTS, EVENTS.lazy()], ids=["in memory", "streamed"])
def test_labels_of_which_none_can_match_are_warned_of(tmp_path: Path, column: str, events: Any) -> None:
    asked = labels(LABELS.with_columns(pl.lit(None, dtype=pl.Int64).alias(column)))
    for output in (None, tmp_path / "set.parquet"):
        with pytest.warns(UserWarning, match="Every label row has a null key or a null label time"):
            tf.build(asked, feature(events), output)


def test_a_key_that_no_feature_is_joined_by_may_be_null() -> None:
    asked = labels(LABELS.with_columns(j=pl.lit(None, dtype=pl.String)), keys=["k", "j"])
    result = tf.build(asked, feature())
    assert result.frame()["f__x"].to_list() == EXPECTED
    assert result.stats.incomplete_labels == 4


def test_the_youngest_value_counts_from_when_it_was_usable() -> None:
    events = pl.DataFrame({"k": [1], "t": [1], "a": [8], "x": [1]})
    stats = tf.build(labels(pl.DataFrame({"k": [1], "at": [10]})), feature(events, source_available_at="a")).stats
    assert stats.feature_stats["f"]["youngest_value"] == 2


def test_statistics_are_told_per_feature() -> None:
    stats = built(feature(name="a"), feature(EVENTS.head(1), name="b")).stats.feature_stats
    assert list(stats) == ["a", "b"]
    assert (stats["a"]["matched"], stats["b"]["matched"]) == (3, 2)


@pytest.mark.parametrize("way", ["frame", "file", "file with null counts unknown"])
def test_source_rows_that_can_never_match_are_counted_once_per_source(tmp_path: Path, way: str) -> None:
    data: Any = ROWS
    if way != "frame":
        data = tmp_path / "events.parquet"
        ROWS.write_parquet(data, statistics=way == "file")
    one = source(data)
    result = tf.build(labels(ASKED), [tf.Feature(one, columns="x", name=n) for n in "ab"])
    assert [s["dropped_source_rows"] for s in result.stats.feature_stats.values()] == [2, 2]


@pytest.mark.parametrize("statistics", [True, False])
def test_a_file_without_nulls_loses_no_rows(tmp_path: Path, *, statistics: bool) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path, statistics=statistics)
    assert tf.build(labels(), feature(path)).stats.feature_stats["f"]["dropped_source_rows"] == 0


def test_durations_are_measured() -> None:
    result = built()
    assert 0 < result.stats.duration_seconds < 60


# --- progress ----------------------------------------------------------------------------------------------------------


def test_steps_are_told_in_order(tmp_path: Path) -> None:
    lines: list[str] = []
    built(
        feature(name="a"), feature(EVENTS.reverse(), name="b"), output=tmp_path / "set.parquet", progress=lines.append
    )
    steps = [line.split(" (")[0].split(f" {tmp_path}")[0] for line in lines]
    assert (steps[0], *steps[-2:]) == ("Loading labels", "Writing output", "Verifying")
    # Two frames are worked on at a time: only the order of each one's steps, and of the counts, is fixed.
    assert sorted(steps[1:-2]) == ["Computing a", "Computing b", "Joining a", "Joining b"]
    assert all(steps.index(f"Computing {name}") < steps.index(f"Joining {name}") for name in "ab")
    for step in ("Computing", "Joining"):
        counts = [line[-6:] for line in lines if line.startswith(step)]
        assert counts == [" (1/2)", " (2/2)"]


def test_an_error_in_progress_stops_the_build_without_a_file(tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if "Verifying" in line:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        built(output=tmp_path / "set.parquet", progress=stop)
    assert list(tmp_path.iterdir()) == []


# --- text --------------------------------------------------------------------------------------------------------------


def test_the_text_says_where_the_rows_went() -> None:
    text = str(tf.build(labels(ASKED), feature(ROWS), **BOUNDS))
    assert text.startswith("BuildResult: 7 rows, 3 columns in ")
    assert (
        "f  2 / 7 matched  (1 null_value, 1 stale, 1 too_old, 3 no_history, 2 source rows without key, time or availability)"
        in text
    )
    assert "checked: feature_time < label_time - embargo in 7 rows" in text


def test_the_text_says_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    text = str(built(output=path, splits={"train": (0, 6), "test": (6, 10)}, purge=1))
    assert f"output: {path}" in text
    assert "split train: 1 rows" in text
    assert "purged: 1 rows" in text


def test_the_text_says_what_was_computed_and_why(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    assert "store" not in str(built())
    text = str(built(store=store))
    assert "  from the store: 0 of 1 features\n  computed: f (never computed)\n" in text
    text = str(built(output=tmp_path / "a.parquet", store=store))
    assert "  from the store: 1 of 1 features\n" in text
    assert "computed:" not in text
    text = str(built(output=tmp_path / "a.parquet", store=store))
    assert "  from the store: the whole set, of an equal earlier build\n" in text


def test_repr_is_one_line(tmp_path: Path) -> None:
    assert repr(built()) == "BuildResult(4 rows, 4 columns, output=None)"
    path = str(tmp_path / "set.parquet")
    assert repr(built(output=path)) == f"BuildResult(4 rows, 4 columns, output='{path}')"


def test_html_has_the_partition() -> None:
    html = tf.build(labels(ASKED), feature(ROWS), **BOUNDS)._repr_html_()
    for part in (*(p.replace("_", " ") for p in PARTS), "7 rows, 3 columns", "feature_time &lt; label_time - embargo"):
        assert part in html


def test_html_tells_splits_purged_rows_and_what_the_store_had(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    options: dict[str, Any] = {"splits": {"train": (0, 6), "test": (6, 10)}, "purge": 1, "store": store}
    html = built(output=tmp_path / "a.parquet", **options)._repr_html_()
    for part in ("Splits: train 1 rows, test", "1 rows purged."):
        assert part in html
    assert "from the store" not in html
    assert "1 of 1 features from the store." in built(output=tmp_path / "b.csv", **options)._repr_html_()


def test_html_escapes_the_output(tmp_path: Path) -> None:
    html = built(output=tmp_path / "<script>.parquet")._repr_html_()
    assert "&lt;script&gt;.parquet" in html
    assert "<script" not in html


# --- the same labels and sources, run again ----------------------------------------------------------------------------


def test_definitions_can_be_used_again() -> None:
    given, one = labels(), feature()
    first, second = tf.build(given, one), tf.build(given, one, join="inclusive")
    assert first.frame()["f__x"].to_list() == EXPECTED
    assert second.frame()["f__x"].to_list() == [50, 50, 30, None]
    assert first.frame()["f__x"].to_list() == EXPECTED


def test_builds_have_ids_of_their_own() -> None:
    ids = {built().manifest["build_id"] for _ in range(5)}
    assert len(ids) == 5


def test_a_build_explains_itself() -> None:
    result = built()
    chosen = result.explain().row(1)["f"].chosen
    assert chosen is not None
    assert chosen.values == {"x": 50}
    assert LABELS.height == 4
