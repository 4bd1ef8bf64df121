"""The ancestor, Timefence, as its own benchmark runs it, with the job's codec and thread count.

Timefence has no option for either: its DuckDB connection is given the threads, and its ``COPY``
statements the codec.
"""

from __future__ import annotations

from typing import Any

import duckdb
import timefence

from benchmarks.peers.job import Job, run

_PLAIN = "(FORMAT PARQUET)"


class _Connection:
    """A DuckDB connection whose ``COPY ... (FORMAT PARQUET)`` names a codec."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, copy_options: str) -> None:
        self._connection = connection
        self._copy_options = copy_options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: str, *args: Any, **kwargs: Any) -> Any:
        return self._connection.execute(query.replace(_PLAIN, self._copy_options), *args, **kwargs)


def _configure(job: Job) -> None:
    connect = duckdb.connect
    copy_options = f"(FORMAT PARQUET, COMPRESSION {job.compression}, COMPRESSION_LEVEL {job.compression_level})"

    def configured() -> _Connection:
        return _Connection(connect(config={"threads": job.threads}), copy_options)

    # Timefence calls `duckdb.connect()` without arguments.
    setattr(duckdb, "connect", configured)  # noqa: B010 - a method's type is not assignable


def work(job: Job) -> None:
    """Builds the training set."""
    features = [
        timefence.Feature(
            source=timefence.Source(path=feature.path, keys=feature.keys, timestamp=feature.time),
            columns=feature.columns,
            embargo=feature.embargo,
            name=feature.name,
        )
        for feature in job.features
    ]
    labels = timefence.Labels(path=job.labels, keys=job.label_keys, label_time=job.label_time, target=[job.target])
    _configure(job)
    timefence.build(
        labels=labels,
        features=features,
        output=job.output,
        max_lookback=job.max_lookback,
        max_staleness=job.max_staleness,
        splits={name: (start, end) for name, (start, end) in job.splits.items()} or None,
    )


if __name__ == "__main__":
    run(work, version=f"timefence {timefence.__version__}, duckdb {duckdb.__version__}")
