"""Frames computed at once: rows that no label can match are left out, values are looked up, and nothing differs."""

from __future__ import annotations

import gc
import random
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from timefence_pl.execution.local import LabelOrders
from timefence_pl.execution.output import OutputFile
from timefence_pl.plan import prepare
from timefence_pl.plan.alignment import SortedLabels
from timefence_pl.plan.at_once import without_superseded
from timefence_pl.plan.time_key import ENTITY, order_key
from timefence_pl.plan.training_set import TrainingPlan


def rows(entity: list[int], tick: list[int]) -> pl.DataFrame:
    frame = pl.DataFrame({ENTITY: entity, "tick": tick}, schema={ENTITY: pl.Int64, "tick": pl.Int64})
    return frame.with_row_index("row")


def test_of_rows_up_to_the_limit_each_entitys_last_is_kept() -> None:
    given = rows([5, 6, 5, 6, 5, 8, 5], [1, 2, 3, 4, 5, 6, 7])
    kept = without_superseded(given, "tick", 5)
    assert kept.sort("row").rows() == [(3, 6, 4), (4, 5, 5), (5, 8, 6), (6, 5, 7)]


@pytest.mark.parametrize(
    ("entity", "tick", "limit"),
    [
        ([1, 1, 1, 1], [1, 2, 4, 3], 9),  # not in time order
        ([1, 1, 2, 2], [1, 1, 2, 3], 9),  # two at one time: duplicates cannot be told
        ([1, 1, 1, 1], [1, 2, 3, 4], 1),  # few rows are early enough
        ([1, 1, 1, 1], [1, 2, 3, 4], 0),  # none is
        ([1, 9, 1, 9], [1, 2, 3, 4], 9),  # more room for entities than rows
        ([], [], 9),
    ],
)
def test_else_rows_stay_as_they_are(entity: list[int], tick: list[int], limit: int) -> None:
    given = rows(entity, tick)
    assert_frame_equal(without_superseded(given, "tick", limit), given)


def test_full_range_entities_are_told_apart() -> None:
    ends = [-(2**63), 2**63 - 1] * 3
    given = rows(ends, list(range(6)))
    assert_frame_equal(without_superseded(given, "tick", 9), given)


@pytest.mark.parametrize("seed", range(25))
def test_builds_give_what_the_lazy_plan_gives(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    count, entities = draw.randint(20, 200), draw.randint(1, 8)
    ticks = (
        sorted(draw.sample(range(1_000), count)) if draw.random() < 0.8 else sorted(draw.choices(range(300), k=count))
    )
    values = [draw.choice([None, i]) for i in range(count)]
    nulls = [None] * count if draw.random() < 0.2 else values
    events = pl.DataFrame(
        {"k": [draw.randint(0, entities) for _ in ticks], "t": ticks, "x": values, "y": nulls},
        schema={"k": draw.choice([pl.Int64, pl.Int32, pl.UInt16]), "t": pl.Int64, "x": pl.Int64, "y": pl.Int64},
    )
    first = draw.choice([0, 600, 1_000])
    labels = tf.Labels(
        pl.DataFrame(
            {
                "k": [draw.choice([None, *range(entities + 2)]) for _ in range(30)],
                "at": [draw.choice([None, draw.randint(first, 1_200)]) for _ in range(30)],
            },
            schema={"k": pl.Int64, "at": pl.Int64},
        ),
        keys="k",
        label_time="at",
    )
    source = tf.Source(events, keys="k", timestamp="t", name="events")
    keep: Any = draw.choice(["keep_last", "keep_first"])
    features = [
        tf.Feature(source, pl.col("x", "y"), name="both", on_duplicate=keep),
        tf.Feature(source, "y", name="late", embargo=draw.choice([0, 50]), on_duplicate="keep_last"),
        tf.Feature(source, (pl.col("x") * 2).alias("twice"), name="twice", max_lookback=100, on_duplicate="keep_last"),
    ]
    options: dict[str, Any] = {
        "max_lookback": draw.choice([None, 300]),
        "max_staleness": draw.choice([None, 200]),
        "join": draw.choice(["strict", "inclusive"]),
        "feature_times": draw.random() < 0.5,
        "on_missing": draw.choice(["null", "null", "skip"]),
    }
    pruned: list[bool] = []

    def spied(given: pl.DataFrame, tick: str, limit: int) -> pl.DataFrame:
        kept = without_superseded(given, tick, limit)
        pruned.append(kept.height < given.height)
        return kept

    monkeypatch.setattr(prepare, "without_superseded", spied)
    result = tf.build(labels, features, **options)
    assert pruned
    if first == 1_000 and len(set(ticks)) == count > entities + 1:
        assert any(pruned)
    expected = tf.point_in_time(labels, features, **options).collect()
    assert_frame_equal(result.frame(), expected)
    kept = tf.build(labels, features, store=tf.Store(tmp_path / "store"), **options)
    assert kept.stats.feature_stats == result.stats.feature_stats


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_labels_is_that_of_the_wide_key(seed: int) -> None:
    draw = random.Random(seed)
    wide = draw.choice([5, 2**40, 2**62])
    pairs = [(draw.randint(-wide, wide), draw.randint(-wide, wide)) for _ in range(50)]
    frame = pl.DataFrame(pairs, schema={"e": pl.Int64, "t": pl.Int64}, orient="row")
    assert frame.sort(order_key(frame["e"], frame["t"])).rows() == sorted(pairs)


NAMES = (
    "user-00000001",
    "user-00000002",
    "user-00000042",
    "user-0000002",
    "item-00000002",
    "user-\u00e90000002",
    "00000002",
    "2",
    "",
)


@pytest.mark.parametrize("seed", range(60))
def test_texts_of_any_shapes_match_as_in_the_lazy_plan(seed: int) -> None:
    draw = random.Random(seed)
    sides = [draw.sample(NAMES, draw.randint(1, 3)) for _ in range(2)]
    if draw.random() < 0.5:
        sides[1] = [*sides[0], *sides[1]]
    count = 30
    events = pl.DataFrame(
        {"k": draw.choices([*sides[0], None], k=count), "t": sorted(draw.sample(range(100), count)), "x": range(count)},
        schema={"k": draw.choice([pl.String, pl.Categorical]), "t": pl.Int64, "x": pl.Int64},
    )
    at = pl.DataFrame(
        {"k": draw.choices([*sides[1], None], k=20), "at": draw.choices(range(120), k=20)},
        schema={"k": draw.choice([pl.String, pl.Categorical]), "at": pl.Int64},
    )
    labels = tf.Labels(at, keys="k", label_time="at")
    source = tf.Source(events, keys="k", timestamp="t", name="events")
    feature = tf.Feature(source, "x", name="f")
    window = tf.Window(source, {"n": pl.len()}, windows=[20, 60], name="w")
    expected = []
    for key, moment in at.with_columns(pl.col("k").cast(pl.String)).iter_rows():
        known = [(t, x) for k, t, x in events.iter_rows() if key is not None and k == key and t < moment]
        expected.append(max(known)[1] if known else None)
    assert tf.point_in_time(labels, feature, max_lookback=None).collect()["f__x"].to_list() == expected
    assert tf.build(labels, feature, max_lookback=None).frame()["f__x"].to_list() == expected
    assert_frame_equal(tf.build(labels, window).frame(), tf.point_in_time(labels, window).collect())


def test_frames_that_a_store_keeps_are_computed_while_the_labels_are_read(tmp_path: Path) -> None:
    computed = threading.Event()
    calls = 0

    def of_source(rows: pl.DataFrame) -> pl.DataFrame:
        nonlocal calls
        calls += 1
        if calls == 2:  # after rows without keys were counted
            computed.set()
        return rows

    def of_labels(rows: pl.DataFrame) -> pl.DataFrame:
        assert computed.wait(60)
        return rows

    events = pl.DataFrame({"k": [1], "t": [1], "x": [1]})
    at = pl.DataFrame({"k": [1], "at": [2]})
    source = tf.Source(
        events.lazy().map_batches(of_source, schema=events.schema), keys="k", timestamp="t", name="events"
    )
    labels = tf.Labels(at.lazy().map_batches(of_labels, schema=at.schema), keys="k", label_time="at")
    result = tf.build(labels, tf.Feature(source, "x", name="f"), store=tf.Store(tmp_path / "store"))
    assert result.frame()["f__x"].to_list() == [1]
    assert calls == 2


def test_labels_are_begun_ahead_where_no_build_can_be_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []
    original = LabelOrders.begun.__func__  # type: ignore[attr-defined]

    def spied(cls: type[LabelOrders], plan: TrainingPlan, given: tf.Labels) -> LabelOrders:
        begun.append(True)
        orders: LabelOrders = original(cls, plan, given)
        return orders

    monkeypatch.setattr(LabelOrders, "begun", classmethod(spied))
    store = tf.Store(tmp_path / "store")
    events = pl.DataFrame({"k": [1, 2, 1], "j": ["a", "b", "a"], "t": [1, 2, 3], "x": [5, 6, 7]})
    number = tf.Feature(tf.Source(events, keys="k", timestamp="t", name="e"), "x", name="number")
    text = tf.Feature(tf.Source(events, keys="j", timestamp="t", name="g"), "x", name="text", embargo=1)
    count = tf.Window(
        tf.Source(events, keys=["k", "j"], timestamp="t", name="h"), {"n": pl.len()}, windows=[2], name="w"
    )

    def built(times: list[int]) -> pl.DataFrame:
        at = pl.DataFrame({"k": [1, 2, 1, None], "j": ["a", "b", "a", "b"], "at": times})
        labels = tf.Labels(at, keys=["k", "j"], label_time="at")
        made = tf.build(labels, [number, text, count], store=store, output=tmp_path / "out.parquet").frame()
        assert_frame_equal(made, tf.point_in_time(labels, [number, text, count]).collect())
        return made

    first = built([4, 4, 2, 9])
    assert begun == [True]
    assert_frame_equal(built([4, 4, 2, 9]), first)
    assert begun == [True]
    built([3, 3, 3, 3])
    assert begun == [True, True]


def test_labels_that_are_begun_ahead_fail_as_others_do(tmp_path: Path) -> None:
    events = pl.DataFrame({"k": [1, 2], "t": [1, 2], "x": [5, 6]})
    feature = tf.Feature(tf.Source(events, keys="k", timestamp="t", name="e"), "x", name="f")
    file = tmp_path / "labels.parquet"
    pl.DataFrame({"k": [1, 2], "at": [3, 4]}).write_parquet(file)
    whole = file.read_bytes()
    labels = tf.Labels(file, keys="k", label_time="at")
    assert labels.schema
    file.write_bytes(bytes(40) + whole[40:])
    with pytest.raises(tf.TimefenceError, match="out of specification"):
        tf.build(labels, feature, store=tf.Store(tmp_path / "store"), output=tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    file.write_bytes(whole)
    again = tf.build(labels, feature, store=tf.Store(tmp_path / "store"), output=tmp_path / "out.parquet")
    assert again.frame()["f__x"].to_list() == [5, 6]


def test_no_thread_outlives_a_build_that_fails(tmp_path: Path) -> None:
    at = pl.DataFrame({"k": [1], "at": [5]})
    done = threading.Event()

    def slow(rows: pl.DataFrame) -> pl.DataFrame:
        time.sleep(0.5)
        done.set()
        return rows

    def broken(_: int) -> int:
        raise ValueError("broken")

    labels = tf.Labels(at.lazy().map_batches(slow, schema=at.schema), keys="k", label_time="at")
    source = tf.Source(pl.DataFrame({"k": [1], "t": [1], "x": [1]}), keys="k", timestamp="t", name="events")
    fails = tf.Feature(source, pl.col("x").map_elements(broken, return_dtype=pl.Int64).alias("x"), name="f")
    before = threading.active_count()
    with pytest.raises(Exception, match="broken"):
        tf.build(labels, fails, store=tf.Store(tmp_path / "store"), output=tmp_path / "out.csv")
    assert done.is_set()
    assert threading.active_count() == before


def test_labels_are_let_go_of_before_the_output_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    original = OutputFile.write

    def spied(self: OutputFile, frame: pl.DataFrame, path: Path) -> None:
        gc.collect()
        alive.append(sum(type(o) is SortedLabels for o in gc.get_objects()))
        original(self, frame, path)

    monkeypatch.setattr(OutputFile, "write", spied)
    labels = tf.Labels(pl.DataFrame({"k": [1], "at": [5]}), keys="k", label_time="at")
    source = tf.Source(pl.DataFrame({"k": [1], "t": [1], "x": [1]}), keys="k", timestamp="t", name="events")
    for store in (None, tf.Store(tmp_path / "store")):
        tf.build(labels, tf.Feature(source, "x", name="f"), store=store, output=tmp_path / "out.parquet")
    assert alive == [0, 0]
