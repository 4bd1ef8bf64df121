"""The manifest: its fields and types, as tools that read ``build.json`` rely on them."""

from __future__ import annotations

import json
import platform
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xxhash

import timefence_pl as tf
from tests.unit.tables import EVENTS, LABELS, feature, labels, source

#: Types of the fields; a tuple is a choice, a dictionary a nested object.
SCHEMA: dict[str, Any] = {
    "timefence_version": str,
    "build_id": str,
    "created_at": str,
    "duration_seconds": float,
    "labels": {
        "path": str,
        "row_count": int,
        "time_range": list,
        "keys": list,
        "label_time_column": str,
        "target_columns": list,
    },
    "features": dict,
    "parameters": {
        "max_lookback": (str, type(None)),
        "max_staleness": (str, type(None)),
        "join": str,
        "on_missing": str,
        "flatten_columns": bool,
        "feature_times": bool,
    },
    "output": {
        "path": (str, type(None)),
        "content_hash": (str, type(None)),
        "file_size_bytes": (int, type(None)),
        "row_count": int,
        "column_count": int,
        "columns": dict,
    },
    "splits": list,
    "audit": {"passed": bool, "invariant": str, "rows_checked": int},
    "environment": {"python_version": str, "polars_version": str, "os": str, "engine": str},
}
FEATURE: dict[str, Any] = {
    "source": str,
    "source_data": str,
    "mode": str,
    "embargo": (str, int),
    "max_lookback": (str, int, type(None)),
    "max_staleness": (str, int, type(None)),
    "on_duplicate": str,
    "matched_rows": int,
    "missing_rows": int,
    "statistics": dict,
    "output_columns": list,
    "cached": bool,
}
STATISTICS = {
    "matched",
    "missing",
    "matched_value",
    "null_value",
    "stale",
    "too_old",
    "no_history",
    "duplicates",
    "dropped_source_rows",
    "youngest_value",
}
SPLIT: dict[str, Any] = {"name": str, "path": str, "content_hash": str, "file_size_bytes": int, "row_count": int}
TIMED_EVENTS = pl.DataFrame({"k": [1], "t": [datetime(2024, 1, 1)], "x": [10]})
TIMED_LABELS = pl.DataFrame({"k": [1, 1], "at": [datetime(2024, 1, 9), datetime(2024, 1, 2)]})


def check(value: Any, schema: dict[str, Any], place: str = "manifest") -> None:
    missing = set(schema) - set(value)
    assert not missing, f"{place} lacks {missing}"
    for name, kind in schema.items():
        if isinstance(kind, dict):
            check(value[name], kind, f"{place}.{name}")
        else:
            assert isinstance(value[name], kind), f"{place}.{name} is {type(value[name])}"
            assert kind is not int or not isinstance(value[name], bool)


@pytest.mark.parametrize("output", [None, "set.parquet", "set.csv"])
@pytest.mark.parametrize(
    ("given", "one"),
    [
        (labels(target="y"), feature(embargo=1)),
        (labels(TIMED_LABELS), feature(TIMED_EVENTS, embargo="1d12h")),
        (labels(LABELS.clear()), feature(EVENTS.clear())),
        (labels(LABELS.lazy()), feature(EVENTS.lazy(), transform=lambda lf: lf)),
    ],
    ids=["integers", "times", "no rows", "lazy"],
)
def test_every_field_is_there_and_of_its_type(
    tmp_path: Path, output: str | None, given: tf.Labels, one: tf.Feature
) -> None:
    manifest = tf.build(given, one, None if output is None else tmp_path / output).manifest
    check(manifest, SCHEMA)
    for name, record in manifest["features"].items():
        check(record, FEATURE, f"features.{name}")
        assert set(record["statistics"]) >= STATISTICS


def test_it_is_json_as_it_stands() -> None:
    manifest = tf.build(labels(target="y"), feature()).manifest
    assert json.loads(json.dumps(manifest)) == manifest


def test_labels_are_told() -> None:
    record = tf.build(labels(target="y"), feature()).manifest["labels"]
    assert record == {
        "path": "DataFrame",
        "row_count": 4,
        "time_range": [4, 9],
        "keys": ["k"],
        "label_time_column": "at",
        "target_columns": ["y"],
    }


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ([datetime(2024, 1, 9), datetime(2024, 1, 2)], ["2024-01-02 00:00:00", "2024-01-09 00:00:00"]),
        ([date(2024, 1, 9), None], ["2024-01-09", "2024-01-09"]),
        ([], [None, None]),
    ],
)
def test_the_label_times_range_is_told(times: list[Any], shown: list[Any]) -> None:
    column = pl.Series(times, dtype=pl.Date if times and type(times[0]) is date else pl.Datetime("us"))
    frame = pl.DataFrame({"at": column}).with_columns(k=pl.lit(1))
    assert tf.build(labels(frame), feature(TIMED_EVENTS)).manifest["labels"]["time_range"] == shown


def test_label_times_that_python_cannot_hold_are_told_as_ticks() -> None:
    frame = pl.DataFrame({"k": [1], "at": pl.Series([2**63 - 1]).cast(pl.Datetime("us"))})
    manifest = tf.build(labels(frame), feature(TIMED_EVENTS)).manifest
    assert manifest["labels"]["time_range"] == [str(2**63 - 1)] * 2


def test_features_are_told_with_their_bounds() -> None:
    one = feature(TIMED_EVENTS, embargo=timedelta(hours=12), max_staleness="5d", on_duplicate="keep_last")
    record = tf.build(labels(TIMED_LABELS), one).manifest["features"]["f"]
    expected = {
        "source": "events",
        "source_data": "DataFrame",
        "mode": "columns",
        "embargo": "12h",
        "max_lookback": "365d",
        "max_staleness": "5d",
        "on_duplicate": "keep_last",
        "matched_rows": 1,
        "missing_rows": 1,
        "output_columns": ["f__x"],
        "cached": False,
    }
    assert {k: record[k] for k in expected} == expected
    assert record["statistics"]["youngest_value"] == "1d"


def test_integer_bounds_are_told_as_integers() -> None:
    record = tf.build(labels(), feature(embargo=1)).manifest["features"]["f"]
    assert (record["embargo"], record["max_lookback"], record["max_staleness"]) == (1, None, None)


@pytest.mark.parametrize(("join", "sign"), [("strict", "<"), ("inclusive", "<=")])
def test_the_invariant_is_told(join: Any, sign: str) -> None:
    audit = tf.build(labels(), feature(), join=join).manifest["audit"]
    assert audit == {"passed": True, "invariant": f"feature_time {sign} label_time - embargo", "rows_checked": 4}


def test_the_output_is_told_with_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    record = tf.build(labels(), feature(), path).manifest["output"]
    data = path.read_bytes()
    assert record["path"] == str(path)
    assert record["file_size_bytes"] == len(data)
    assert record["content_hash"] == f"xxh3_128:{xxhash.xxh3_128_hexdigest(data)}"
    assert (record["row_count"], record["column_count"]) == (4, 4)
    assert record["columns"] == {"k": "Int64", "at": "Int64", "y": "Int64", "f__x": "Int64"}


def test_splits_are_told_with_their_hashes(tmp_path: Path) -> None:
    records = tf.build(labels(), feature(), tmp_path / "set.parquet", splits={"a": (0, 6), "b": (6, 10)}).manifest[
        "splits"
    ]
    for record in records:
        check(record, SPLIT, "split")
        data = Path(record["path"]).read_bytes()
        assert record["content_hash"] == f"xxh3_128:{xxhash.xxh3_128_hexdigest(data)}"
    assert [(r["name"], r["row_count"]) for r in records] == [("a", 2), ("b", 2)]


def test_the_environment_is_told() -> None:
    environment = tf.build(labels(), feature()).manifest["environment"]
    assert environment["python_version"] == platform.python_version()
    assert environment["polars_version"] == pl.__version__


@pytest.mark.parametrize(
    ("events", "output", "engine"),
    [
        (EVENTS, None, "in-memory"),
        (EVENTS, "set.parquet", "in-memory"),
        (EVENTS.lazy(), None, "in-memory"),
        (EVENTS.lazy(), "set.parquet", "streaming"),
        (EVENTS.lazy(), "set.csv", "in-memory"),
    ],
    ids=["frame, kept", "frame, to a file", "lazy, kept", "lazy, to a file", "lazy, to text"],
)
@pytest.mark.parametrize("with_store", [False, True])
def test_the_engine_is_the_one_that_ran(
    tmp_path: Path, events: Any, output: str | None, engine: str, *, with_store: bool
) -> None:
    store = tf.Store(tmp_path / "store") if with_store else None
    result = tf.build(labels(), feature(events), None if output is None else tmp_path / output, store=store)
    assert result.manifest["environment"]["engine"] == engine


def test_ids_sort_by_time() -> None:
    manifests = [tf.build(labels(), feature()).manifest for _ in range(4)]
    ids = [m["build_id"] for m in manifests]
    assert ids == sorted(ids)
    started = [datetime.fromisoformat(m["created_at"]) for m in manifests]
    assert all(s.tzinfo is not None for s in started)
    assert started == sorted(started)


def test_every_source_is_told_by_name() -> None:
    features = [feature(name="a"), tf.Feature(source(name="other"), columns="x", name="b")]
    manifest = tf.build(labels(), features).manifest
    assert [r["source"] for r in manifest["features"].values()] == ["events", "other"]
