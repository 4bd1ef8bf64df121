"""A project that is built by other processes, into one store.

``python -m tests.faults.program FOLDER OUTPUT FEATURES [STOP]`` builds once, or over and over with other labels and
some of the features until STOP (a time) has come.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import polars as pl

import timefence_pl as tf

SPLITS = {"a": ("2024-01-01", "2024-01-04"), "b": ("2024-01-04", "2030-01-01")}


def write_inputs(folder: Path, rows: int = 3_000) -> None:
    """Write events in two files, and labels."""
    step = pl.int_range(rows, eager=True).alias("i")
    events = pl.select(
        k=(step.hash(1) % 50).cast(pl.Int64),
        name=pl.format("user {}", step.hash(2) % 40),
        t=pl.datetime(2024, 1, 1) + pl.duration(seconds=(step.hash(3) % 600_000).cast(pl.Int64)),
        x=(step.hash(4) % 1_000).cast(pl.Int64),
        z=(step.hash(5) % 1_000).cast(pl.Float64) / 8,
    )
    (folder / "in").mkdir(parents=True)
    events.head(rows // 2).write_parquet(folder / "in" / "a.parquet")
    events.tail(rows - rows // 2).write_parquet(folder / "in" / "b.parquet")
    events.select("k", "name", pl.col("t").alias("at"), y="x").reverse().write_parquet(folder / "labels.parquet")


def features(folder: Path, numbers: list[int]) -> list[tf.Feature]:
    """Features with these numbers: narrow keys, hashed keys, expressions, transforms."""
    narrow = tf.Source(str(folder / "in" / "*.parquet"), keys="k", timestamp="t", name="narrow")
    hashed = tf.Source(str(folder / "in" / "*.parquet"), keys="name", timestamp="t", name="hashed")
    made = []
    for n in numbers:
        source = hashed if n % 3 == 0 else narrow
        if n % 4 == 3:
            made.append(
                tf.Feature(
                    source,
                    transform=lambda lf, n=n: lf.with_columns(pl.col("x") + n),
                    name=f"f{n}",
                    on_duplicate="keep_last",
                )
            )
        else:
            made.append(tf.Feature(source, pl.col("x") * n, "z", name=f"f{n}", on_duplicate="keep_last"))
    return made


def labels(folder: Path, start: int = 0) -> tf.Labels:
    """All labels from a row on."""
    rows = pl.read_parquet(folder / "labels.parquet").slice(start)
    return tf.Labels(rows, keys=["k", "name"], label_time="at", target="y")


def build(folder: Path, output: Path | None, numbers: list[int], *, start: int = 0, store: bool = True) -> pl.DataFrame:
    """Build them, with the folder's store or without; the result."""
    kept = tf.Store(folder / "store") if store else None
    splits = SPLITS if output is not None else None
    result = tf.build(labels(folder, start), features(folder, numbers), output, splits=splits, store=kept)
    return result.frame()


def main() -> None:
    """Build once, or until told to stop; prints the number of builds."""
    folder, output, numbers = Path(sys.argv[1]), Path(sys.argv[2]), [int(n) for n in sys.argv[3].split(",")]
    if len(sys.argv) < 5:
        print("started", flush=True)
        build(folder, output, numbers)
        print("done", flush=True)
        return
    chance, count = random.Random(sys.argv[2]), 0
    while count == 0 or time.time() < float(sys.argv[4]):
        some = sorted(chance.sample(numbers, chance.randint(1, len(numbers))))
        start = chance.randrange(5)
        frame = build(folder, output if chance.random() < 0.5 else None, some, start=start)
        if count % 10 == 0:
            assert frame.equals(build(folder, None, some, start=start, store=False)), (some, start)
        count += 1
    print(count, flush=True)


if __name__ == "__main__":
    main()
