"""What an audit by rebuilding costs, as a multiple of the build of the same data set.

500k labels and 2M events of 50,000 entities over a year; two row features (one with an embargo of a day) or two window
features. Of the data set that is audited a share of the rows has the values of two days later, of which many are the
same: the share of rows with wrong values is printed. The audit must find all of these and no others before anything is
timed. Build and audit alternate in one process, with files and in memory; the look-ahead check is left out, since it
depends on the features alone.

Usage:
    ``python -m benchmarks.audit [--labels 500000] [--runs 5] [--shares 0 0.01 0.2 1]``
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import polars as pl

import timefence_pl as tf

YEAR_US = 365 * 86_400 * 10**6
START = datetime(2024, 1, 1)
LATE = pl.duration(days=2)


def _times(seed: int) -> pl.Expr:
    return pl.lit(START) + pl.duration(microseconds=(pl.col("i").hash(seed) % YEAR_US).cast(pl.Int64))


def tables(labels: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events (``user``, ``at``, ``amount``, ``n``) and labels (``user``, ``label_time``)."""
    users = max(labels // 10, 1)
    user = [(pl.col("i").hash(s) % users).cast(pl.Int64).alias("user") for s in (1, 5)]
    events = pl.select(i=pl.int_range(4 * labels)).select(
        user[0],
        _times(2).alias("at"),
        (pl.col("i").hash(3) % 10**6 / 1000).alias("amount"),
        (pl.col("i").hash(4) % 1000).cast(pl.Int64).alias("n"),
    )
    given = pl.select(i=pl.int_range(labels)).select(user[1], _times(6).alias("label_time"))
    return events.unique(["user", "at"], maintain_order=True), given


def features(kind: str, source: tf.Source) -> list[tf.Feature] | list[tf.Window]:
    """Two features of a kind."""
    if kind == "rows":
        one = tf.Feature(source, columns="amount", name="one")
        return [one, tf.Feature(source, columns="n", name="two", embargo="1d")]
    sums = {"spend": pl.col("amount").sum(), "n": pl.len()}
    return [
        tf.Window(source, sums, windows=["1d", "30d"], name="one"),
        tf.Window(source, {"mean": pl.col("n").mean()}, windows=["7d"], name="two", embargo="1d"),
    ]


def leaking(good: pl.DataFrame, late: pl.DataFrame, share: float) -> pl.DataFrame:
    """A data set in which a share of the rows has the values of later."""
    values = [c for c in good.columns if c not in ("user", "label_time")]
    which = pl.int_range(pl.len()).hash(7) % 10_000 < share * 10_000
    both = good.hstack(late.select(pl.col(values).name.prefix("late/")))
    return both.select(
        "user", "label_time", *(pl.when(which).then(f"late/{c}").otherwise(pl.col(c)).alias(c) for c in values)
    )


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def sum_of_any(marks: Iterable[pl.Series]) -> int:
    """In how many rows some mark holds."""
    return int(
        pl.DataFrame([m.alias(str(i)) for i, m in enumerate(marks)]).select(pl.any_horizontal(pl.all()).sum()).item()
    )


def measure(kind: str, share: float, labels: int, runs: int, folder: Path) -> str:
    """One line: what a build and an audit took, and the ratios by wall and CPU time."""
    events, given = tables(labels)
    wanted = features(kind, tf.Source(events, keys="user", timestamp="at", name="events"))

    def rows(frame: pl.DataFrame) -> tf.Labels:
        return tf.Labels(frame, keys="user", label_time="label_time")

    good = tf.build(rows(given), wanted).frame()
    late = tf.build(rows(given.with_columns(pl.col("label_time") + LATE)), wanted).frame()
    data = leaking(good, late, share)
    path = folder / "data.parquet"
    data.write_parquet(path)

    def audit(what: object) -> tf.AuditReport:
        return tf.audit(what, wanted, keys="user", label_time="label_time", check_lookahead=False)

    wrong = 0.0
    for what in (data, path):
        for name, found in audit(what).features.items():
            columns = [c for c in data.columns if c.startswith(f"{name}__")]
            differ = sum_of_any(data[c].ne_missing(good[c]) for c in columns)
            if found.counts["ok"] != data.height - differ:
                raise SystemExit(f"{name}: {found.counts} of {data.height} rows, of which {differ} are wrong")
            wrong = max(wrong, differ / data.height)
    parts = []
    ways = {
        "files": (lambda: tf.build(rows(given), wanted, folder / "built.parquet"), lambda: audit(path)),
        "memory": (lambda: tf.build(rows(given), wanted), lambda: audit(data)),
    }
    for way, (build, audited) in ways.items():
        timed = [(_timed(build), _timed(audited)) for _ in range(runs)]
        (built, cpu), (checked, audit_cpu) = (
            tuple(statistics.median(t[side][i] for t in timed) for i in (0, 1)) for side in (0, 1)
        )
        parts.append(f"{way} {built:.3f} {checked:.3f} {checked / built:5.2f}x ({audit_cpu / cpu:.2f}x CPU)")
    return f"{kind:8s} {share:5.0%} late, {wrong:5.1%} wrong: " + "; ".join(parts)


def main() -> None:
    """Measure all kinds and shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.01, 0.2, 1])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("seconds of a build, of an audit, and their ratio")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("rows", "windows"):
            for share in given.shares:
                print(measure(kind, share, given.labels, given.runs, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
