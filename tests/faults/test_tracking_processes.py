"""Many processes publish, move aliases and log at once: exactly one wins where one must, and nothing is lost.

Behaviours 10, 11 and 13 of the specification. Each test prints its counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import timefence_pl as tf
from tests.faults.tracking_program import frame
from timefence_pl.store.appends import read_log
from timefence_pl.tracking.content import content_of

ROOT = Path(__file__).parents[2]


def together(folder: Path, jobs: list[tuple[str, int, int]], *more: str) -> list[int]:
    """Run programs at once, and what each printed."""
    (folder / "go").unlink(missing_ok=True)
    for path in folder.glob("ready-*"):
        path.unlink()
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-m",
                "tests.faults.tracking_program",
                str(folder),
                what,
                str(n),
                str(c),
                *more,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
        for what, n, c in jobs
    ]
    stop = time.time() + 120
    while len(list(folder.glob("ready-*"))) < len(jobs) and time.time() < stop:
        assert all(p.poll() in (None, 0) for p in running), [p.communicate()[1] for p in running if p.poll()]
        time.sleep(0.01)
    (folder / "go").touch()
    printed = []
    for process in running:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        printed.append(int(out))
    return printed


def five(folder: Path) -> tf.Store:
    store = tf.Store(folder / "store")
    for i in range(5):
        store.publish("set", frame(i), keys="k")
    return store


def whole(store: tf.Store) -> None:
    """Nothing is damaged, and nothing is left over."""
    assert store.verify() == []
    assert store.gc().paths == ()
    assert not [p for p in store.path.rglob(".*") if ".tmp" in p.name]


def publish_distinct(folder: Path, processes: int, each: int) -> str:
    made = together(folder, [("publish", n, each) for n in range(processes)])
    store = tf.Store(folder / "store")
    assert made == [each] * processes
    versions = store.versions("set")
    assert versions["version"].to_list() == list(range(1, processes * each + 1))
    expected = {
        content_of(frame(n * 1_000 + i), ["k"], None).content_hash for n in range(processes) for i in range(each)
    }
    assert set(versions["content_hash"]) == expected
    assert store.get("set").version == processes * each
    assert store.history("set").filter(pl.col("action") == "publish").height == processes * each
    whole(store)
    return (
        f"{processes} processes published {processes * each} distinct contents: {versions.height} versions, none lost"
    )


def test_b11_publishers_of_distinct_content(tmp_path: Path) -> None:
    print(publish_distinct(tmp_path, 3, 8))


@pytest.mark.long
def test_b11_many_publishers_of_distinct_content(tmp_path: Path) -> None:
    print(publish_distinct(tmp_path, 8, 60))


def publish_equal(folder: Path, processes: int, each: int) -> str:
    together(folder, [("publish_same", n, each) for n in range(processes)])
    store = tf.Store(folder / "store")
    hashes = store.versions("set")["content_hash"].to_list()
    # The same content as latest is no new version; one that comes after another is.
    assert all(a != b for a, b in zip(hashes, hashes[1:], strict=False))
    whole(store)
    return f"{processes} processes published {processes * each} times: {len(hashes)} versions"


def test_publishers_of_equal_content(tmp_path: Path) -> None:
    print(publish_equal(tmp_path, 3, 9))


def move_one_alias(folder: Path, processes: int, each: int) -> str:
    store = five(folder)
    store.set_alias("set:v1", "prod")
    won = together(folder, [("move", n, each) for n in range(processes)])
    moves = store.history("set").filter(pl.col("action") == "alias", pl.col("name") == "prod")
    # Each move began where the one before ended: no two writers won from the same place.
    assert moves["from"].to_list()[1:] == moves["to"].to_list()[:-1]
    assert moves.height == 1 + sum(won)
    assert store.get("set:prod").version == moves["to"][-1]
    whole(store)
    return f"{processes * each} compare-and-set moves by {processes} processes: {sum(won)} won, {processes * each - sum(won)} lost"


def test_b10_compare_and_set(tmp_path: Path) -> None:
    print(move_one_alias(tmp_path, 3, 40))


@pytest.mark.long
def test_b10_much_compare_and_set(tmp_path: Path) -> None:
    print(move_one_alias(tmp_path, 8, 400))


def claim_names(folder: Path, processes: int, each: int) -> str:
    store = five(folder)
    aliases = together(folder, [("claim", n, each) for n in range(processes)])
    together(folder, [("tag", n, each) for n in range(processes)])
    assert sum(aliases) == each
    names = Counter(store.history("set").filter(pl.col("action") == "tag")["name"])
    assert names == Counter({f"release-{i}": 1 for i in range(each)})
    whole(store)
    return f"{each} aliases and {each} tags claimed by {processes} processes: {sum(aliases)} and {len(names)} made once each"


def test_b10_exactly_one_claims_a_name(tmp_path: Path) -> None:
    print(claim_names(tmp_path, 2, 30))


@pytest.mark.long
def test_b10_exactly_one_claims_each_of_many_names(tmp_path: Path) -> None:
    print(claim_names(tmp_path, 6, 300))


def read_while_writing(folder: Path, reads: int, writes: int) -> str:
    five(folder)
    together(folder, [("publish", 1, writes), ("claim", 2, writes), ("read", 3, reads), ("read", 4, reads)])
    return f"{2 * reads} reads during {writes} publications and {writes} alias moves: every one whole"


def test_b13_readers_see_whole_states(tmp_path: Path) -> None:
    print(read_while_writing(tmp_path, 25, 15))


@pytest.mark.long
def test_b13_many_readers_see_whole_states(tmp_path: Path) -> None:
    print(read_while_writing(tmp_path, 1_000, 400))


def log_together(folder: Path, processes: int, each: int) -> str:
    store = tf.Store(folder / "store")
    with store.start_run("models") as run:
        together(folder, [("log", n, each) for n in range(processes)], run.run_id)
        run.log_metrics({"own": 1.0})
    record = store.run(run.run_id)
    assert record.broken == 0
    for n in range(processes):
        history = record.metric_history(f"m{n}")
        assert history["step"].to_list() == list(range(each))
        assert history["value"].to_list() == [i * 0.5 for i in range(each)]
    lines = len(read_log(record.folder.log).records)
    assert lines == 2 * processes * each + 2
    whole(store)
    return f"{processes} processes logged {2 * processes * each} lines to one run: {lines - 2} kept, 0 torn"


def test_processes_log_to_one_run(tmp_path: Path) -> None:
    print(log_together(tmp_path, 2, 300))


@pytest.mark.long
def test_many_processes_log_to_one_run(tmp_path: Path) -> None:
    print(log_together(tmp_path, 8, 5_000))


def make_runs(folder: Path, processes: int, each: int) -> str:
    together(folder, [("runs", n, each) for n in range(processes)])
    store = tf.Store(folder / "store")
    frame = store.runs()
    assert frame.height == processes * each
    assert frame["run_id"].n_unique() == processes * each
    assert frame["status"].unique().to_list() == ["FINISHED"]
    assert sorted(store.experiments()) == [f"experiment-{i}" for i in range(7)]
    assert store.find_runs({"number": 3}).height == processes
    whole(store)
    return f"{processes} processes made {processes * each} runs in the same 7 experiments: {frame.height} there"


def test_processes_make_runs(tmp_path: Path) -> None:
    print(make_runs(tmp_path, 2, 15))


@pytest.mark.long
def test_many_processes_make_runs(tmp_path: Path) -> None:
    print(make_runs(tmp_path, 8, 150))
