"""Two fresh interpreters, with other hash seeds, time zones and thread counts, build the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[2]
CODE = """
import sys
import polars as pl
import timefence_pl as tf
events = pl.scan_parquet("events.parquet")
source = tf.Source(events, keys=["name", "k"], timestamp="t")
features = [
    tf.Feature(source, columns="x", name="last", on_duplicate="keep_last"),
    tf.Feature(source, pl.col("x").cum_sum().over("name"), name="sum", embargo="1h", on_duplicate="keep_first"),
    tf.Feature(source, transform=lambda lf: lf.group_by("name", "k", "t").agg(pl.col("x").max()), name="max"),
]
labels = tf.Labels("labels.parquet", keys=["name", "k"], label_time="at")
tf.build(labels, features, sys.argv[1], feature_times=True, splits={"a": ("2024-01-01", "2025-01-01")})
"""


def test_the_same_build_gives_the_same_rows(tmp_path: Path) -> None:
    rows = 2_000
    frame = pl.select(
        name=pl.format("user {}", pl.int_range(rows).hash(1) % 40),
        k=(pl.int_range(rows).hash(2) % 3).cast(pl.Int64),
        t=pl.datetime(2024, 1, 1) + pl.duration(minutes=(pl.int_range(rows).hash(3) % 9_999).cast(pl.Int64)),
        x=(pl.int_range(rows).hash(4) % 1_000).cast(pl.Int64),
    )
    frame.write_parquet(tmp_path / "events.parquet")
    frame.reverse().rename({"t": "at"}).drop("x").write_parquet(tmp_path / "labels.parquet")
    outputs = []
    settings = [
        {"PYTHONHASHSEED": "1", "TZ": "UTC", "POLARS_MAX_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "POLARS_MAX_THREADS": "3"},
    ]
    for number, setting in enumerate(settings):
        output = tmp_path / f"{number}" / "set.parquet"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **setting}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", CODE, str(output)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        outputs.append([pl.read_parquet(p) for p in sorted(output.parent.iterdir())])
    assert len(outputs[0]) == 2
    for one, other in zip(*outputs, strict=True):
        assert one.equals(other)
        assert one["last__x"].null_count() < one.height
