"""Many processes build overlapping features into one store; all succeed, and what they leave is right."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import timefence_pl as tf
from tests.faults.program import build, write_inputs

ROOT = Path(__file__).parents[2]


def run(folder: Path, processes: int, seconds: float) -> int:
    """How many builds the processes made."""
    write_inputs(folder)
    store = tf.Store(folder / "store")
    # All start at once, when the slowest has imported: until then each waits for its turn in its first build.
    stop = time.time() + seconds + 3
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-W", "error", "-m", "tests.faults.program", str(folder)),
                *(str(folder / f"out{number % 3}" / f"set{number}.parquet"), "1,2,3,4,6,7", str(stop)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
        for number in range(processes)
    ]
    made = 0
    for process in running:
        out, err = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, err
        made += int(out)
    assert [p for p in store.verify() if p.what == "cache entry"] == []
    info = store.cache_info()
    assert info["set_aside"] == 0
    assert info["entries"] == len(info["features"]) <= 6
    assert len(store.list_builds()) >= made
    assert not [p for p in folder.rglob(".*") if ".tmp" in p.name]
    numbers = [1, 2, 3, 4, 6, 7]
    assert build(folder, None, numbers).equals(build(folder, None, numbers, store=False))
    return made


def test_processes_share_a_store(tmp_path: Path) -> None:
    made = run(tmp_path, 4, 6)
    print(made, "builds")
    assert made >= 4


@pytest.mark.long
def test_eight_processes_share_a_store_for_a_minute(tmp_path: Path) -> None:
    made = run(tmp_path, 8, 60)
    print(made, "builds")
    assert made > 40
