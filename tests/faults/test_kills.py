"""A build that is killed, whenever, leaves whole files and a store from which the next build is right."""

from __future__ import annotations

import json
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
from tests.faults.program import SPLITS, build, write_inputs
from timefence_pl.store.features import check_entry, list_entries
from timefence_pl.store.files import is_temporary

ROOT = Path(__file__).parents[2]
NUMBERS = [1, 2, 3, 7]

#: Builds in a loop, killed by its parent: importing costs more than building. Forgets the store every third time.
LOOP = """
import shutil, sys
from pathlib import Path
from tests.faults.program import build
folder = Path(sys.argv[1])
build(folder, None, [1], store=False)
for line in sys.stdin:
    print("started", flush=True)
    build(folder, folder / "out" / "set.parquet", [int(n) for n in line.split()])
    print("done", flush=True)
"""
#: Killed at a write boundary: before or after the n-th call of what makes a write durable or visible.
AT_BOUNDARY = """
import itertools, os, signal, sys
from pathlib import Path
folder, what, when, number = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
from tests.faults.program import build
import polars as pl
home, name = {"fsync": (os, "fsync"), "replace": (Path, "replace"), "frame": (pl.DataFrame, "write_parquet")}[what]
real, calls = getattr(home, name), itertools.count(1)

def killed(*args, **kwargs):
    mine = next(calls)  # of whichever thread
    if mine == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **kwargs)
    if mine == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(home, name, killed)
build(folder, folder / "out" / "set.parquet", [1, 2, 3, 7])
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "2"}


def outputs(folder: Path) -> list[Path]:
    return [folder / "out" / f"set{part}.parquet" for part in ("", *(f"_{n}" for n in SPLITS))]


def check_store(folder: Path) -> int:
    """Every entry that counts as present is what its record says; how many there are."""
    store = tf.Store(folder / "store")
    present = list_entries(store.layout)
    for entry in present:
        assert check_entry(entry.path, entry.record) is None
        assert entry.scan().collect().height == entry.record["rows"]
    assert not [p for p in store.verify() if p.what == "cache entry"]
    for manifest in store.list_builds():
        assert manifest["output"]["row_count"] == 3_000
    hashes = store.layout.hashes
    assert not hashes.exists() or isinstance(json.loads(hashes.read_bytes()), dict)
    return len(present)


def check_outputs(folder: Path, known: list[list[pl.DataFrame]]) -> None:
    """Each file is absent, or whole: one of those that were ever to stand there."""
    for number, path in enumerate(outputs(folder)):
        if path.exists():
            found = pl.read_parquet(path)
            assert any(found.equals(k[number]) for k in known), f"{path.name} is none of the builds'"


def reference(folder: Path, numbers: list[int]) -> list[pl.DataFrame]:
    build(folder, folder / "reference" / "set.parquet", numbers, store=False)
    made = [pl.read_parquet(folder / "reference" / p.name) for p in outputs(folder)]
    shutil.rmtree(folder / "reference")
    return made


def phase(folder: Path, entries: int) -> str:
    """Where a killed build stood, by what it left."""
    left = [p for p in folder.rglob("*") if p.is_file() and is_temporary(p)]
    if any("features" in p.parts for p in left):
        return "writing entries"
    if any("out" in p.parts for p in left):
        return "writing the output"
    if any("store" in p.parts for p in left):
        return "writing records"
    return "between entries" if entries else "before writing"


#: Besides kills at random, one for each four of them comes as soon as a file is being written in one of these.
WATCHED = ("store/cache/features", "out")


def wait_for_a_write(folder: Path, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if folder.is_dir() and any(is_temporary(p) for p in folder.iterdir()):
            return


def kill_at_random(folder: Path, kills: int) -> Counter[str]:
    write_inputs(folder)
    sets = [[1, 2, 3, 7], [2, 3, 5, 6], [1, 5, 6, 7]]
    known = [reference(folder, numbers) for numbers in sets]
    chance, phases = random.Random(4), Counter[str]()
    took = 0.6
    for number in range(kills + kills // 4):
        if number % 3 == 0:
            shutil.rmtree(folder / "store", ignore_errors=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
        chosen = number % len(sets)
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=ROOT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(" ".join(map(str, sets[chosen])) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "started\n"
        if number % 5 == 4:  # a fast disk writes entries in a moment that hardly any blind kill meets
            wait_for_a_write(folder / WATCHED[number // 5 % 2], 2 * took)
        else:
            time.sleep(chance.random() * took)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0]
        assert process.returncode == -signal.SIGKILL
        entries = check_store(folder)
        phases["finished" if "done" in rest else phase(folder, entries)] += 1
        check_outputs(folder, known)
        started = time.perf_counter()
        after = (chosen + 1) % len(sets)
        if number % 2:
            made = build(folder, folder / "out" / "set.parquet", sets[after])
            assert made.equals(known[after][0])
            took = 0.7 * took + 0.3 * 2 * (time.perf_counter() - started)
            check_outputs(folder, [known[after]])
            assert all(p.exists() for p in outputs(folder))
    made = build(folder, folder / "out" / "set.parquet", sets[0])
    assert made.equals(known[0][0])
    check_store(folder)
    # Nothing is left over for ever.
    for path in folder.rglob(".*"):
        os.utime(path, (1, 1))
    tf.Store(folder / "store").gc(dry_run=False)
    assert not [p for p in (folder / "store").rglob("*") if is_temporary(p)]
    return phases


def test_kills(tmp_path: Path) -> None:
    phases = kill_at_random(tmp_path, 20)
    print(dict(phases))
    assert sum(phases.values()) == 25
    assert phases["finished"] < 16


@pytest.mark.long
def test_many_kills(tmp_path: Path) -> None:
    phases = kill_at_random(tmp_path, 200)
    print(dict(phases))
    assert sum(phases.values()) == 250
    for name in ("before writing", "writing entries", "between entries", "writing the output"):
        assert phases[name], f"no kill while {name}: {dict(phases)}"


def killed_at(folder: Path, what: str, when: str, number: int) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", AT_BOUNDARY, str(folder), what, when, str(number)],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def kill_at_boundaries(folder: Path, chosen: list[tuple[str, str, int]] | None) -> int:
    write_inputs(folder)
    known = reference(folder, NUMBERS)
    kills = 0
    for what, when in [(w, b) for w in ("frame", "fsync", "replace") for b in ("before", "after")]:
        for number in range(1, 60):
            if chosen is not None and (what, when, number) not in chosen:
                continue
            shutil.rmtree(folder / "store", ignore_errors=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
            if not killed_at(folder, what, when, number):
                assert chosen is None
                break
            kills += 1
            check_store(folder)
            check_outputs(folder, [known])
            assert build(folder, folder / "out" / "set.parquet", NUMBERS).equals(known[0])
            check_outputs(folder, [known])
            assert tf.Store(folder / "store").verify() == []
    return kills


def test_kills_at_some_boundaries(tmp_path: Path) -> None:
    chosen = [("frame", "after", 1), ("fsync", "before", 5), ("fsync", "after", 12), ("replace", "after", 2)]
    chosen += [("replace", "before", 3), ("replace", "after", 9)]
    assert kill_at_boundaries(tmp_path, chosen) == len(chosen)


@pytest.mark.long
def test_kills_at_every_boundary(tmp_path: Path) -> None:
    kills = kill_at_boundaries(tmp_path, None)
    print(kills, "kills")
    assert kills > 50
