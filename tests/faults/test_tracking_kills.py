"""Publications, alias moves and runs that are killed, whenever: behaviours 12 and 19 of the specification.

At each call that makes something durable or visible, before and after it. What was published before is what consumers
find; what is left over nobody sees, and ``gc`` removes it. Each test prints its counts.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import timefence_pl as tf
from tests.faults.tracking_program import frame

ROOT = Path(__file__).parents[2]

#: Does one thing again and again in fresh copies of a store, each time in a child that kills itself at the n-th call of
#: what makes a write durable or visible: importing costs more than publishing, so that children are forked.
AT_BOUNDARIES = """
import itertools, os, shutil, signal, sys
from pathlib import Path
import polars as pl
import timefence_pl as tf
from tests.faults.tracking_program import frame
folder, what, chosen = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3])

def act(store):
    if what == "publish":
        store.publish("set", frame(7), keys="k", aliases=["latest", "prod"])
    elif what == "move":
        store.set_alias("set:v1", "prod")
    elif what == "delete":
        store.delete("set:v1")
    else:
        with store.start_run("models", params={"p": 1}) as run:
            run.log_metrics({"m": 1.0})
            run.use("set:latest")
            run.log_model(b"model", "model.bin")

def killed_at(home, name, when, number, store):
    real, calls = getattr(home, name), itertools.count(1)
    def killed(*args, **kwargs):
        mine = next(calls)
        if mine == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if mine == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(home, name, killed)
    act(store)
    os._exit(0)

places = {"fsync": (os, "fsync"), "replace": (Path, "replace"), "write": (os, "write"), "mkdir": (Path, "mkdir"),
          "chmod": (Path, "chmod"), "unlink": (Path, "unlink")}
for name, (home, attribute) in places.items():
    for when in ("before", "after"):
        for number in range(1, 80):
            if chosen is not None and (name, when, number) not in chosen:
                continue
            copy = folder / f"{what}-{name}-{when}-{number}"
            shutil.copytree(folder / "start", copy, symlinks=True)
            child = os.fork()
            if not child:
                killed_at(home, attribute, when, number, tf.Store(copy))
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                print(copy.name, flush=True)
                continue
            assert status == 0, (copy.name, status)
            shutil.rmtree(copy)
            break
"""
#: Publishes, moves aliases and logs to a run without end, until it is killed.
FOR_EVER = """
import sys
from pathlib import Path
import timefence_pl as tf
from tests.faults.tracking_program import frame
store = tf.Store(Path(sys.argv[1]) / "store")
print("started", flush=True)
with store.start_run("models") as run:
    print(run.run_id, flush=True)
    number = int(sys.argv[2])
    while True:
        number += 1
        version = store.publish("set", frame(number), keys="k", metadata={"number": number})
        print("published", version.version, number, flush=True)
        store.set_alias("set:v1", "prod"), store.set_alias(version.ref, "prod")
        for step in range(20):
            run.log_metrics({"m": step}, step=number)
        print("logged", number, flush=True)
        run.use("set:latest")
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}


def start(folder: Path) -> Path:
    store = tf.Store(folder / "start")
    for number in range(2):
        store.publish("set", frame(number), keys="k")
    store.remove_alias("set", "latest")
    store.set_alias("set:v2", "latest")
    store.create_tag("set:v2", "release")
    return store.path


def check_after_kill(path: Path, what: str) -> str:
    """Everything a consumer may do, on what a killed process left; then gc, and the same again."""
    store = tf.Store(path)
    versions = store.versions("set")
    whole = versions.filter(pl.col("status") == "published")["version"].to_list()
    for number in whole:
        expected = frame({1: 0, 2: 1, 3: 7}[number])
        assert store.get(f"set:v{number}").frame("content").equals(expected)
    latest = store.get("set:latest").version
    assert latest == 2 or (what == "publish" and latest == 3)
    assert store.get("set:release").version == 2
    state = f"{len(whole)} versions, latest v{latest}"
    if what == "move":
        state = f"prod at {[n for n, names in versions.select('version', 'names').rows() if 'prod' in names]}"
    if what == "delete":
        state = f"v1 {versions['status'][0]}"
    if what == "run":
        statuses = store.runs()["status"].to_list()
        assert statuses in ([], ["INTERRUPTED"], ["FINISHED"])
        state = f"run {statuses[0] if statuses else 'not begun'}"
        if statuses == ["FINISHED"]:
            assert store.runs()["metric_m"].to_list() == [1.0]
    for file in path.rglob(".*"):
        os.utime(file, (1, 1))  # an hour later
    store.gc(dry_run=False)
    assert store.gc().paths == ()
    assert store.verify() == []
    left = {p.name for p in (path / "feature_sets" / "set").iterdir()} - {".lock", "aliases.json", "history.ndjson"}
    assert left == {f"v{n}" for n in versions["version"].to_list()}, left
    assert store.versions("set").equals(versions)
    # And it goes on.
    again = store.publish("set", frame(7), keys="k")
    assert again.version >= 3
    assert store.get("set:latest").frame("content").equals(frame(7))
    store.set_alias("set:v2", "prod")
    with store.start_run("models") as run:
        run.use("set:latest")
    assert store.run(run.run_id).status == "FINISHED"
    return state


def kill_at_boundaries(folder: Path, what: str, chosen: list[tuple[str, str, int]] | None) -> Counter[str]:
    start(folder)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_BOUNDARIES, str(folder), what, repr(chosen)],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    killed = done.stdout.split()
    found = Counter(check_after_kill(folder / name, what) for name in killed)
    if chosen is not None:
        assert len(killed) == len(chosen)
    for name in killed:
        shutil.rmtree(folder / name)
    return found


SOME = {
    "publish": [
        *(("fsync", "before", n) for n in (1, 4, 7)),
        *(("replace", "after", n) for n in (1, 2, 3)),
        ("mkdir", "after", 4),
        ("chmod", "after", 1),
        ("write", "after", 2),
    ],
    "move": [("fsync", "after", 1), ("replace", "before", 1), ("replace", "after", 1)],
    "delete": [("fsync", "before", 1), ("replace", "after", 1), ("unlink", "before", 2), ("write", "after", 1)],
    "run": [("replace", "before", 1), ("replace", "after", 1), ("write", "after", 3), ("fsync", "before", 5)],
}


@pytest.mark.parametrize("what", SOME)
def test_b12_kills_at_some_boundaries(tmp_path: Path, what: str) -> None:
    found = kill_at_boundaries(tmp_path, what, SOME[what])
    print(what, dict(found))


@pytest.mark.long
@pytest.mark.parametrize(("what", "least"), [("publish", 50), ("move", 15), ("delete", 15), ("run", 30)])
def test_b12_kills_at_every_boundary(tmp_path: Path, what: str, least: int) -> None:
    found = kill_at_boundaries(tmp_path, what, None)
    print(what, sum(found.values()), "kills:", dict(found))
    assert sum(found.values()) >= least
    assert len(found) > 1, "all kills left the same"


def kill_at_random(folder: Path, kills: int) -> Counter[str]:
    chance, found = random.Random(8), Counter[str]()
    store = tf.Store(folder / "store")
    # Version 1, to which the program points, is there whenever it is killed.
    published = {store.publish("set", frame(0), keys="k", metadata={"number": 0}).version: 0}
    for number in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", FOR_EVER, str(folder), str(number * 1_000)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=ROOT,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        run_id = process.stdout.readline().strip()
        time.sleep(chance.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        # What it was killed in the middle of writing it has not told.
        whole = process.communicate()[0].rpartition("\n")[0]
        told = [line.split() for line in whole.splitlines()]
        published |= {int(line[1]): int(line[2]) for line in told if line[0] == "published"}
        logged = [int(line[1]) for line in told if line[0] == "logged"]
        run = store.run(run_id)
        assert run.status == "INTERRUPTED"
        if logged:
            steps = run.metric_history("m")["step"].to_list()
            assert all(steps.count(n) == 20 for n in logged), "what was logged is lost"
        assert run.broken <= 1
        versions = store.versions("set")["version"].to_list()
        assert set(published) <= set(versions), "what was published is lost"
        latest = store.get("set:latest")
        assert latest.frame("content").equals(frame(latest.metadata["number"]))
        assert latest.version >= max(published)
        found[f"interrupted after {'some' if logged else 'no'} logging"] += 1
    for file in folder.rglob(".*"):
        os.utime(file, (1, 1))
    store.gc(dry_run=False)
    assert store.gc().paths == ()
    problems = [p for p in store.verify() if "line(s)" not in p.reason]
    assert problems == []
    for version, content in published.items():
        assert store.get(f"set:v{version}").metadata["number"] == content
    found["versions"] = store.versions("set").height
    return found


def test_b12_b19_kills_at_random(tmp_path: Path) -> None:
    print(dict(kill_at_random(tmp_path, 6)))


@pytest.mark.long
def test_b12_b19_many_kills_at_random(tmp_path: Path) -> None:
    found = kill_at_random(tmp_path, 150)
    print(dict(found))
    assert found["interrupted after some logging"] > 20
