"""What the processes of the tracking tests do: publish, move aliases, log to runs; run as a program by name.

python -m tests.faults.tracking_program FOLDER WHAT NUMBER COUNT [RUN_ID]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import polars as pl

import timefence_pl as tf


def frame(number: int) -> pl.DataFrame:
    """Rows that no other number has."""
    rows = 2_000
    return pl.DataFrame(
        {"k": range(rows), "number": [number] * rows, "x": [(i * 37 + number) % 101 for i in range(rows)]}
    )


def wait_for_start(folder: Path) -> None:
    """All processes begin at once, when every one has imported."""
    (folder / f"ready-{sys.argv[3]}").touch()
    while not (folder / "go").exists():
        time.sleep(0.002)


def publish(folder: Path, number: int, count: int) -> int:
    """Distinct content each time; how many versions it made."""
    store = tf.Store(folder / "store")
    made = [store.publish("set", frame(number * 1_000 + i), keys="k").version for i in range(count)]
    return len(set(made))


def publish_same(folder: Path, _number: int, count: int) -> int:
    """The content that all other processes publish too."""
    store = tf.Store(folder / "store")
    return len({store.publish("set", frame(i // 3), keys="k").version for i in range(count)})


def move(folder: Path, _number: int, count: int) -> int:
    """Move an alias on from where it was read; how often this process won."""
    store = tf.Store(folder / "store")
    won = 0
    for _ in range(count):
        now = store.get("set:prod").version
        target = now % 5 + 1
        try:
            store.set_alias(f"set:v{target}", "prod", expected=now)
            won += 1
        except tf.AliasConflictError:
            continue
    return won


def claim(folder: Path, number: int, count: int) -> int:
    """Make aliases that must not be there yet; how many this process made."""
    store = tf.Store(folder / "store")
    won = 0
    for i in range(count):
        try:
            store.set_alias(f"set:v{number % 5 + 1}", f"alias-{i}", expected=None)
            won += 1
        except tf.AliasConflictError:
            continue
    return won


def tag(folder: Path, number: int, count: int) -> int:
    """Make tags that others make too, of another version; how many this process made."""
    store = tf.Store(folder / "store")
    won = 0
    for i in range(count):
        try:
            store.create_tag(f"set:v{number % 5 + 1}", f"release-{i}")
            won += 1
        except tf.TagExistsError:
            continue
    return won


def log(folder: Path, number: int, count: int) -> int:
    """Log to one run that another process began."""
    run = tf.Store(folder / "store").open_run(sys.argv[5])
    for i in range(count):
        run.log_metrics({f"m{number}": i * 0.5}, step=i)
        run.log_params({f"p{number}_{i % 10}": "x" * (i % 300)})
    return count


def runs(folder: Path, _number: int, count: int) -> int:
    """Make runs in experiments that others make too."""
    store = tf.Store(folder / "store")
    for i in range(count):
        with store.start_run(f"experiment-{i % 7}", params={"i": i}) as run:
            run.log_metrics({"m": i})
            run.set_tags({"number": i})
            if i % 4 == 0:
                store.runs(f"experiment-{i % 7}")
    return count


def read(folder: Path, _number: int, count: int) -> int:
    """Read all the time; what is read is always whole."""
    store = tf.Store(folder / "store")
    for _ in range(count):
        version = store.get("set:latest")
        names = store.versions("set")["names"].to_list()
        assert sum("latest" in n for n in names) == 1, names
        assert store.history("set").height >= version.version
        assert version.frame("file").height == 2_000
    return count


if __name__ == "__main__":
    where = Path(sys.argv[1])
    wait_for_start(where)
    print(globals()[sys.argv[2]](where, int(sys.argv[3]), int(sys.argv[4])))
