"""Polars by hand: a chain of ``join_asof(by=keys)``, the way its user guide shows."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from benchmarks.peers.job import FeatureJob, Job, duration, run


def _join(frame: pl.LazyFrame, group: list[FeatureJob], job: Job) -> pl.LazyFrame:
    first = group[0]
    embargo = duration(first.embargo)
    events = (
        pl.scan_parquet(first.path)
        .select(
            *first.keys,
            first.time,
            *[pl.col(column).alias(f"{feature.name}__{column}") for feature in group for column in feature.columns],
        )
        .sort(first.time)
    )
    return (
        frame.with_columns((pl.col(job.label_time) - embargo).alias("probe"))
        .join_asof(
            events,
            left_on="probe",
            right_on=first.time,
            by=first.keys,
            strategy="backward",
            allow_exact_matches=False,
            tolerance=job.oldest() - embargo,
            check_sortedness=False,
            coalesce=False,
        )
        .drop("probe", first.time)
    )


def work(job: Job) -> None:
    """Joins feature after feature and writes the output, then each split."""
    frame = pl.scan_parquet(job.labels).sort(job.label_time)
    for group in job.joins():
        frame = _join(frame, group, job)
    result = frame.collect()
    outputs = {job.output: result}
    for name, (start, end) in job.splits.items():
        moment = pl.col(job.label_time)
        inside = (moment >= datetime.fromisoformat(start)) & (moment < datetime.fromisoformat(end))
        outputs[job.split_path(name)] = result.filter(inside)
    for path, rows in outputs.items():
        rows.write_parquet(path, compression=job.compression, compression_level=job.compression_level)


if __name__ == "__main__":
    run(work, version=f"polars {pl.__version__}")
