"""What published feature sets and runs cost.

    python benchmarks/tracking.py [--rows 1000000] [--runs 10000]

Prints, in processor seconds (all threads) and wall seconds: writing a frame as Parquet and publishing it, equal rows
published again, verification at each level, logging metrics, beginning and ending runs, listing runs, finding one by
tag, tracing and checking. The limits of the specification stand beside them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import timefence_pl as tf


def timed(title: str, function: Callable[[], Any], *, per: int = 1, limit: str = "") -> Any:
    """Run once, print what it took, give what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    wall, cpu = (time.perf_counter() - wall) / per, (time.process_time() - cpu) / per
    unit, factor = ("ms", 1e3) if per == 1 else ("us", 1e6)
    print(f"  {title:<52}{wall * factor:>12,.1f} {unit}{cpu * factor:>12,.1f} {unit} cpu   {limit}")
    return result


def frame_of(rows: int) -> pl.DataFrame:
    """Keys in no order, a time, ten numbers, one text."""
    numbers = {f"x{i}": (pl.int_range(rows, eager=True).hash(i) % 100_003).cast(pl.Float64) / 7 for i in range(10)}
    key = pl.int_range(rows, eager=True).shuffle(1)
    return pl.DataFrame(
        {"k": key, "t": pl.int_range(rows, eager=True), "name": (key % 1_000).cast(pl.String), **numbers}
    )


def publishing(store: tf.Store, folder: Path, rows: int) -> None:
    """Publishing against writing, and verifying."""
    frame = frame_of(rows)
    print(f"\n{rows:,} rows, {frame.width} columns, {frame.estimated_size() / 1e6:,.0f} MB in memory")
    timed("write_parquet", lambda: frame.write_parquet(folder / "plain.parquet"))
    version = timed("publish a frame", lambda: store.publish("set", frame, keys="k", timestamp="t"))
    timed("publish a lazy frame", lambda: store.publish("lazy", frame.lazy(), keys="k", timestamp="t"))
    timed("publish a Parquet file", lambda: store.publish("file", folder / "plain.parquet", keys="k", timestamp="t"))
    timed(
        "publish equal rows again, permuted",
        lambda: store.publish("set", frame.sample(fraction=1, shuffle=True), keys="k", timestamp="t"),
    )
    print(f"  {version.fingerprint.size_bytes / 1e6:,.0f} MB in the store")
    for level in ("size", "file", "content"):
        timed(f"verify({level!r})", lambda level=level: version.verify(level))
    timed("read_parquet", lambda: pl.read_parquet(version.path))


def running(store: tf.Store, count: int) -> None:
    """Runs, one by one and all together."""
    print("\nRuns")
    run = store.start_run("one")
    timed(
        "log_metrics, each",
        lambda: [run.log_metrics({"loss": i * 0.1}, step=i) for i in range(10_000)],
        per=10_000,
        limit="< 1,000 us",
    )
    timed(
        "log_params of ten, each",
        lambda: [run.log_params({f"p{j}": i for j in range(10)}) for i in range(1_000)],
        per=1_000,
    )
    timed("use, verified by its bytes", lambda: run.use("set:latest"))
    timed("end, after 11,000 lines", run.end)

    def begin_and_end() -> None:
        for i in range(count):
            with store.start_run("many", params={"C": i, "kernel": "rbf"}) as one:
                one.log_metrics({"accuracy": i / count})
                one.set_tags({"number": i})

    timed(f"{count:,} runs begun and ended, each", begin_and_end, per=count)
    timed(f"list {count:,} runs", lambda: store.runs("many"), limit="< 1,000 ms")
    timed("list those where metric_accuracy > 0.99", lambda: store.runs("many", where=pl.col("metric_accuracy") > 0.99))
    timed("find one by tag", lambda: store.find_runs({"number": count // 2}, experiment="many"), limit="reads one file")
    (store.path / "runs" / "many" / ".index.ndjson").unlink()
    timed("list them without their index", lambda: store.runs("many"))
    timed("lineage, up", lambda: store.lineage(run.run_id))
    timed(f"lineage, down, through {count:,} runs", lambda: store.lineage("set:v1", "down"))


def main() -> None:
    """Measure in a folder that is removed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=10_000, help="default: %(default)s")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = tf.Store(Path(name) / "store")
        store.publish("warm", frame_of(1_000), keys="k")
        publishing(store, Path(name), given.rows)
        running(store, given.runs)


if __name__ == "__main__":
    main()
