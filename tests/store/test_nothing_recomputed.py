"""What does not matter costs nothing: comments, places, spellings, order, bounds, names of outputs, threads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.fingerprint.modules import project
from tests.store.outcomes import Inputs, assert_same, engine, outcome
from tests.store.test_nothing_stale import EVENTS, LABELS, labels, last, plain, source

ROOT = Path(__file__).parents[2]


def hits(result: tf.BuildResult | None) -> list[str]:
    assert result is not None
    return [name for name, f in result.manifest["features"].items() if f["cached"]]


def built(given: Inputs, folder: Path, store: tf.Store, name: str = "set.parquet") -> tf.BuildResult:
    """A build with a store, which must be what it is without one."""
    made, result = outcome(given, folder / name, store)
    assert_same(made, outcome(given, folder / "reference" / name)[0])
    assert result is not None
    return result


# --- entries --------------------------------------------------------------------------------------------------------------

KEPT: dict[str, dict[str, Any]] = {
    "strictness": {"join": "inclusive"},
    "lookback": {"max_lookback": 2},
    "staleness": {"max_staleness": 1},
    "missing": {"on_missing": "skip"},
    "flatten": {"flatten_columns": True},
    "feature times": {"feature_times": True},
    "splits": {"splits": {"a": (0, 20)}},
    "purge": {"splits": {"a": (0, 6), "b": (6, 20)}, "purge": 1},
    "compression": {"compression": "lz4"},
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_options_of_a_build_leave_the_entries(tmp_path: Path, name: str, by: str) -> None:
    store = tf.Store(tmp_path / "store")
    with engine(by):
        built(Inputs(labels(), last()), tmp_path, store)
        result = built(Inputs(labels(), last(), KEPT[name]), tmp_path, store)
    assert hits(result) == ["f"]
    assert not result.manifest["reused"]
    assert store.cache_info()["entries"] == 1


@pytest.mark.parametrize(
    "options",
    [{"embargo": 2}, {"max_lookback": 2}, {"max_staleness": 1}, {"on_duplicate": "keep_last"}],
    ids=lambda o: next(iter(o)),
)
def test_embargo_and_bounds_leave_the_entries(tmp_path: Path, options: dict[str, Any]) -> None:
    store = tf.Store(tmp_path / "store")
    built(Inputs(labels(), last()), tmp_path, store)
    result = built(Inputs(labels(), last(**options)), tmp_path, store)
    assert hits(result) == ["f"]
    assert not result.manifest["reused"]


def test_a_date_known_at_another_time_leaves_the_entries(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    events = EVENTS.with_columns(t=pl.date(2024, 1, 1) + pl.duration(days="t"))
    given = labels(LABELS.with_columns(at=pl.datetime(2024, 1, 1) + pl.duration(days="at", hours=6)))
    built(Inputs(given, last(events)), tmp_path, store)
    assert hits(built(Inputs(given, last(source(events, date_known_at="start"))), tmp_path, store)) == ["f"]


def test_new_labels_leave_the_entries(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    built(Inputs(labels(), last()), tmp_path, store)
    moved = labels(LABELS.with_columns(pl.col("at") + 2).reverse(), target=["y", "w"])
    assert hits(built(Inputs(moved, last()), tmp_path, store)) == ["f"]


@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_order_and_number_of_features_leave_the_entries(tmp_path: Path, by: str) -> None:
    store = tf.Store(tmp_path / "store")
    one, two, three = last(name="f"), last(name="g", columns="z"), last(name="h", columns="j")
    with engine(by):
        built(Inputs(labels(), [one, two]), tmp_path, store)
        assert hits(built(Inputs(labels(), [two, one]), tmp_path, store)) == ["g", "f"]
        assert hits(built(Inputs(labels(), [two]), tmp_path, store)) == ["g"]
        assert hits(built(Inputs(labels(), [two, three, one]), tmp_path, store)) == ["g", "f"]
        assert hits(built(Inputs(labels(), [three, one, two]), tmp_path, store)) == ["h", "f", "g"]
    assert store.cache_info()["entries"] == 3


def test_one_of_many_is_computed(tmp_path: Path) -> None:
    store, ran = tf.Store(tmp_path / "store"), []
    many = [last(name=f"f{i}", columns={"x": f"x{i}"}) for i in range(20)]
    built(Inputs(labels(), many), tmp_path, store)
    result = tf.build(labels(), [*many, last(name="g", columns="z")], store=store, progress=ran.append)
    assert len(hits(result)) == 20
    assert not result.manifest["features"]["g"]["cached"]


def window(*names: str, **options: Any) -> tf.Window:
    aggregates = {n: pl.col(n).sum() for n in names}
    return tf.Window(source(), aggregates, **{"windows": [3], "name": "w", **options})


#: What is done with a window's events leaves the events.
OF_WINDOWS: dict[str, tf.Window] = {
    "length": window("x", "u", windows=[5, None]),
    "embargo": window("x", "u", embargo=1),
    "aggregates": tf.Window(source(), {"a": pl.col("x").max() - pl.col("u").min()}, windows=[3], name="w"),
    "order": window("u", "x"),
}


@pytest.mark.parametrize("name", OF_WINDOWS)
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_what_a_window_does_leaves_its_events(tmp_path: Path, name: str, by: str) -> None:
    store = tf.Store(tmp_path / "store")
    with engine(by):
        built(Inputs(labels(), window("x", "u")), tmp_path, store)
        result = built(Inputs(labels(), OF_WINDOWS[name]), tmp_path, store)
    assert hits(result) == ["w"]
    assert not result.manifest["reused"]
    assert store.cache_info()["entries"] == 1


def test_windows_that_share_events_are_kept_apart(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    one, two, three = window("x"), window("x", "u", name="v"), window("z", name="u", where=pl.col("x") > 20)
    built(Inputs(labels(), [one, two, three, last()]), tmp_path, store, "first.parquet")
    assert hits(built(Inputs(labels(), [three, two]), tmp_path, store)) == ["u", "v"]
    assert hits(built(Inputs(labels(), [two, one, last()]), tmp_path, store)) == ["v", "w", "f"]
    assert hits(built(Inputs(labels(), [window("z", name="n"), one]), tmp_path, store)) == ["w"]
    again = built(Inputs(labels(), [one, two, three, last()]), tmp_path, store)
    assert again.manifest["reused"]


# --- whole builds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_a_repeat_and_a_renamed_output_are_reused(tmp_path: Path, by: str) -> None:
    store = tf.Store(tmp_path / "store")
    given = Inputs(labels(), last(), {"splits": {"a": (0, 6), "b": (6, 20)}})
    with engine(by):
        assert not built(given, tmp_path, store).manifest["reused"]
        assert built(given, tmp_path, store).manifest["reused"]
        assert built(given, tmp_path / "elsewhere", store, "other.parquet").manifest["reused"]
    assert sorted(p.name for p in (tmp_path / "elsewhere").glob("*.parquet")) == [
        *("other.parquet", "other_a.parquet", "other_b.parquet")
    ]


SPELLINGS: dict[str, Callable[[Path], Any]] = {
    "absolute": lambda folder: folder / "in" / "a.parquet",
    "text": lambda folder: str(folder / "in" / "a.parquet"),
    "relative": lambda _: "in/a.parquet",
    "dotted": lambda _: "./in/../in/a.parquet",
    "list": lambda folder: [str(folder / "in" / "a.parquet")],
    "uri": lambda folder: (folder / "in" / "a.parquet").as_uri(),
    "linked folder": lambda folder: folder / "link" / "a.parquet",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_spelling_of_a_path_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    plain(EVENTS, tmp_path / "in" / "a.parquet")
    plain(LABELS, tmp_path / "labels.parquet")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    store = tf.Store("store")
    built(Inputs(labels(tmp_path / "labels.parquet"), last(tmp_path / "in" / "a.parquet")), tmp_path, store)
    result = tf.build(labels("labels.parquet"), last(SPELLINGS[name](tmp_path)), "set.parquet", store=store)
    assert hits(result) == ["f"]
    assert result.manifest["reused"]


@pytest.mark.parametrize("spelled", ["in/*.parquet", "in", "in/a.parquet"])
@pytest.mark.parametrize("lazy", [False, True], ids=["source", "lazy frame"])
def test_a_moved_project_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: str, *, lazy: bool
) -> None:
    plain(EVENTS, tmp_path / "one" / "in" / "a.parquet")
    results = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        data = pl.scan_parquet(spelled) if lazy else spelled
        results.append(tf.build(labels(), last(data), "set.parquet", store=tf.Store("store")))
        if name == "one":
            monkeypatch.chdir(tmp_path)
            shutil.move(tmp_path / "one", tmp_path / "two")
    assert hits(results[1]) == ["f"]
    assert results[1].validate()


def test_files_touched_or_written_again_with_the_same_bytes_are_the_same(tmp_path: Path) -> None:
    path, store = plain(EVENTS, tmp_path / "e.parquet"), tf.Store(tmp_path / "store")
    built(Inputs(labels(), last(path)), tmp_path, store)
    os.utime(path, (1, 1))
    assert built(Inputs(labels(), last(path)), tmp_path, store).manifest["reused"]
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    assert built(Inputs(labels(), last(path)), tmp_path, store).manifest["reused"]


def test_copies_of_a_frame_are_the_same(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    built(Inputs(labels(), last(EVENTS)), tmp_path, store)
    chunks = pl.concat([EVENTS.head(2), EVENTS.slice(2)], rechunk=False)
    assert built(Inputs(labels(LABELS.clone()), last(chunks)), tmp_path, store).manifest["reused"]


# --- code -----------------------------------------------------------------------------------------------------------------

CODE = """
import polars as pl
import helpers

def made(lf):
    by = 2
    return lf.with_columns(pl.col("x") * by + helpers.offset(), new=pl.col("x").map_elements(lambda v: int(str(v)), pl.Int64))
"""
HELPERS = """
def offset():
    return 7
"""
EDITS: dict[str, tuple[str, str]] = {
    "comments": ("# A comment\n\n" + CODE.replace("    return", "    # another\n\n    return"), HELPERS),
    "a docstring": (
        CODE.replace("    return", '    """Says what it does."""\n    return'),
        '"""Helpers."""\n' + HELPERS,
    ),
    "formatting": (
        CODE.replace(
            'pl.col("x") * by + helpers.offset(),', "(\n        pl.col('x') * by\n        + helpers.offset()\n    ),"
        ),
        HELPERS.replace("return 7", "return (7)"),
    ),
    "names of locals": (CODE.replace("by", "factor"), HELPERS),
    "what it does not use": (CODE + "\nUNUSED = 3\n\ndef other():\n    return 4\n", HELPERS + "\nOTHER = 1\n"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_that_change_nothing(tmp_path: Path, name: str) -> None:
    store = tf.Store(tmp_path / "store")
    for number, (code, helpers) in enumerate([(CODE, HELPERS), EDITS[name]]):
        # In another folder, too.
        with project(tmp_path / f"project {number}", {"chosen": code, "helpers": helpers}) as load:
            result = built(Inputs(labels(), last(transform=load("chosen").made)), tmp_path, store)
    assert hits(result) == ["f"]
    assert result.manifest["reused"]


def test_a_lambda_on_another_line(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    built(Inputs(labels(), last(transform=lambda lf: lf.with_columns(pl.col("x") + 1))), tmp_path, store)
    result = built(
        Inputs(
            labels(),
            # A comment.
            last(transform=lambda events: events.with_columns(pl.col("x") + 1)),
        ),
        tmp_path,
        store,
    )
    assert result.manifest["reused"]


# --- fresh interpreters ---------------------------------------------------------------------------------------------------

PROGRAM = """
import json, sys
import polars as pl
import timefence_pl as tf
FACTOR = 2
def doubled(lf):
    return lf.with_columns(pl.col("x") * FACTOR + len({"a", "b", "c"}))
events = tf.Source("e.parquet", keys="name", timestamp="t")
frame = tf.Source(pl.read_parquet("e.parquet"), keys="name", timestamp="t", name="frame")
features = [
    tf.Feature(events, columns="x", name="a"),
    tf.Feature(events, transform=doubled, name="b"),
    tf.Feature(frame, pl.col("x").map_elements(lambda v: v if v in {10, 30} else 0, pl.Int64), name="c"),
    tf.Feature(frame, sql="SELECT name, t, x + 1 AS x FROM {source}", name="d"),
]
labels = tf.Labels("l.parquet", keys="name", label_time="at")
m = tf.build(labels, features, sys.argv[1], store=tf.Store("store")).manifest
print(json.dumps({"reused": m["reused"], "cached": [f["cached"] for f in m["features"].values()]}))
"""


def test_other_processes_seeds_threads_and_zones(tmp_path: Path) -> None:
    named = pl.format("entity {}", "k").alias("name")
    plain(EVENTS.with_columns(named), tmp_path / "e.parquet")
    plain(LABELS.with_columns(named), tmp_path / "l.parquet")
    found = []
    for seed, threads, zone in (("1", "1", "UTC"), ("2", "3", "Asia/Tokyo")):
        settings = {"PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": threads, "TZ": zone, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, f"out{seed}.parquet"],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **settings},
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == {"reused": False, "cached": [False] * 4}
    assert found[1] == {"reused": True, "cached": [True] * 4}
