"""A disk without room: files that may grow no further, as the operating system tells Polars while it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf

pytest.importorskip("resource", reason="limits of file sizes are those of Unix")

SCRIPT = """
import resource, sys, warnings
import polars as pl
import timefence_pl as tf

folder, suffix, stored, rows = sys.argv[1:]
events = pl.select(k=pl.int_range(int(rows)) % 97, t=pl.int_range(int(rows)), x=pl.int_range(int(rows)).hash(1))
events.write_parquet(f"{folder}/events.parquet")
source = tf.Source(f"{folder}/events.parquet", keys="k", timestamp="t")
labels = tf.Labels(events.select("k", T=pl.col("t") + 50), keys="k", label_time="T")
store = tf.Store(f"{folder}/store") if stored == "stored" else None
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    try:
        tf.build(labels, tf.Feature(source, columns="x", name="f"), f"{folder}/set.{suffix}" if suffix else None, store=store)
    except tf.TimefenceError as error:
        print(type(error).__name__, str(error).splitlines()[0], sep=": ")
    else:
        print("built", *(str(w.message) for w in found), sep=": ")
"""


def run(folder: Path, suffix: str, stored: str = "", rows: int = 30_000) -> str:
    command = [sys.executable, "-c", SCRIPT, str(folder), suffix, stored, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson", "arrow"])
def test_an_output_without_room_is_an_error_of_ours_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"set.{suffix}").write_bytes(b"what stood there")
    assert run(tmp_path, suffix) == "TimefenceStoreError: The output cannot be written: File too large."
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.parquet", f"set.{suffix}"]
    assert (tmp_path / f"set.{suffix}").read_bytes() == b"what stood there"


def test_a_store_without_room_for_an_entry_costs_a_warning(tmp_path: Path) -> None:
    found = run(tmp_path, "", "stored")
    assert found == "built: Feature 'f' is not cached: A cache entry cannot be written: File too large."
    assert not list((tmp_path / "store" / "cache" / "features").iterdir())


def test_what_a_store_cannot_write_costs_a_warning(tmp_path: Path) -> None:
    pl.DataFrame({"k": [1, 1], "t": [1, 3], "x": [1, 2]}).write_parquet(tmp_path / "events.parquet")
    source = tf.Source(tmp_path / "events.parquet", keys="k", timestamp="t")
    feature = tf.Feature(source, pl.col("x").map_elements(_boxed, return_dtype=pl.Object), name="f")
    labels = tf.Labels(pl.DataFrame({"k": [1], "T": [5]}), keys="k", label_time="T")
    with pytest.warns(UserWarning, match="Feature 'f' is not cached: cannot write 'Object' datatype"):
        frame = tf.build(labels, feature, store=tf.Store(tmp_path / "store")).frame()
    assert frame["f__x"].to_list() == [{2}]


def _boxed(value: Any) -> Any:
    return {value}
