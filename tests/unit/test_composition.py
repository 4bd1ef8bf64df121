"""A training set is an ordinary LazyFrame, and definitions are ordinary values: combined, copied, shared by threads."""

from __future__ import annotations

import copy
import io
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source, values

ENGINES = ["in-memory", "streaming"]


def lazy(**options: Any) -> pl.LazyFrame:
    return tf.point_in_time(labels(), feature(), **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        (lambda lf: pl.concat([lf, lf]), EXPECTED * 2),
        (lambda lf: lf.join(lf.select("k", "at"), on=["k", "at"], maintain_order="left"), EXPECTED),
        (lambda lf: lf.filter(pl.col("f__x").is_not_null()), EXPECTED[:3]),
        (lambda lf: lf.sort("at", descending=True), [None, 50, 10, 30]),
        (lambda lf: lf.with_columns(pl.col("f__x").fill_null(0)), [10, 50, 30, 0]),
        (lambda lf: lf.slice(1, 2), EXPECTED[1:3]),
        (lambda lf: lf.cache().reverse(), EXPECTED[::-1]),
    ],
    ids=["itself below", "itself beside", "filtered", "sorted", "filled", "sliced", "reversed"],
)
def test_a_training_set_composes(
    engine: Any, combine: Callable[[pl.LazyFrame], pl.LazyFrame], expected: list[Any]
) -> None:
    assert combine(lazy()).collect(engine=engine)["f__x"].to_list() == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", [False, True], ids=["integer keys", "text keys"])
def test_it_gives_the_same_without_any_optimisation(engine: Any, *, text: bool) -> None:
    dtype = pl.String if text else pl.Int64
    given = labels(LABELS.cast({"k": dtype}))
    features = [feature(EVENTS.cast({"k": dtype}), name=n, embargo=e) for n, e in (("f", 0), ("g", 1))]
    plan = tf.point_in_time(given, features)
    found = plan.collect(engine=engine, optimizations=pl.QueryOptFlags.none())
    assert found.equals(plan.collect())
    assert found["f__x"].to_list() == EXPECTED


def test_plans_are_collected_together() -> None:
    one, other = pl.collect_all([lazy(), lazy().select("f__x")])
    assert one["f__x"].to_list() == other["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_set_is_sunk(tmp_path: Path, engine: Any) -> None:
    lazy().sink_csv(tmp_path / "set.csv", engine=engine)
    assert pl.read_csv(tmp_path / "set.csv")["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize("text", [False, True], ids=["integer keys", "text keys"])
def test_without_checks_a_plan_runs_no_python(*, text: bool) -> None:
    dtype = pl.String if text else pl.Int64
    given, one = labels(LABELS.cast({"k": dtype})), feature(EVENTS.cast({"k": dtype}))
    plan = tf.point_in_time(given, one, checks=False)
    assert "python" not in plan.explain().lower()
    assert "python" in tf.point_in_time(given, one).explain().lower()
    again = pl.LazyFrame.deserialize(io.BytesIO(plan.serialize()))
    assert again.collect()["f__x"].to_list() == EXPECTED


# --- definitions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [lambda v: pickle.loads(pickle.dumps(v)), copy.copy, copy.deepcopy])
def test_definitions_are_copied_and_pickled(duplicate: Callable[[Any], Any]) -> None:
    one = duplicate(feature(EVENTS, pl.col("x") + 0, embargo="0s"))
    assert one.max_lookback is tf.INHERIT
    assert values(duplicate(labels()), duplicate(tf.FeatureSet("s", [one]))) == EXPECTED
    with pytest.raises(tf.TimefenceConfigError, match="frozen"):
        one.name = "g"


def test_labels_and_source_may_be_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    for data in (path, EVENTS, pl.scan_parquet(path)):
        given = tf.Labels(data, keys="k", label_time="t")
        assert values(given, feature(data)) == [None, 10, None]
        assert values(given, feature(data), join="inclusive") == [10, 50, 30]


def test_a_source_whose_file_was_rewritten_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    one = feature(path)
    assert values(labels(), one) == EXPECTED
    EVENTS.with_columns(pl.col("x") * 2).write_parquet(path)
    assert values(labels(), one) == [20, 100, 60, None]
    EVENTS.with_columns(pl.col("x").cast(pl.String)).write_parquet(path)
    assert values(labels(), one) == ["10", "50", "30", None]


def test_threads_share_definitions(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    given, one = labels(), tf.Feature(source(path), columns="x", name="f")
    answers: list[list[Any]] = []

    def work() -> None:
        answers.extend(tf.build(given, one, tmp_path / "set.parquet").frame()["f__x"].to_list() for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [EXPECTED] * 20
    assert sorted(os.listdir(tmp_path)) == ["events.parquet", "set.parquet"]
