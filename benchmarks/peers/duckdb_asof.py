"""DuckDB by hand: queries of ``ASOF LEFT JOIN``s, Parquet to Parquet.

Columns of one file with equal bounds share a join. Ten joins share a query: all 50 of a scenario in one took 3.7 times
the memory and a quarter more CPU time. The rows' order is given up, which saves DuckDB more of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from benchmarks.peers.job import FeatureJob, Job, duration, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

JOINS_PER_QUERY = 10


def _interval(value: timedelta) -> str:
    return f"INTERVAL '{int(value.total_seconds())} seconds'"


def query(job: Job, rows: str, groups: Sequence[Sequence[FeatureJob]]) -> str:
    """Some joins as one SELECT: strict upper bound less the embargo, closed lower bound.

    Args:
        job: The training set.
        rows: What is joined to: the labels, or a table of earlier joins.
        groups: The features of each join.
    """
    moment = f"l.{job.label_time}"
    columns = ["l.*"]
    joins = []
    for number, group in enumerate(groups):
        table, first = f"f{number}", group[0]
        time = f"{table}.{first.time}"
        usable = f"{time} >= {moment} - {_interval(job.oldest())}"
        columns += [
            f"CASE WHEN {usable} THEN {table}.{column} END AS {feature.name}__{column}"
            for feature in group
            for column in feature.columns
        ]
        equal = [f"l.{key} = {table}.{key}" for key in first.keys]
        embargo = duration(first.embargo)
        probe = f"{moment} - {_interval(embargo)}" if embargo else moment
        on = " AND ".join([*equal, f"{probe} > {time}"])
        joins.append(f"ASOF LEFT JOIN read_parquet('{first.path}') {table} ON {on}")
    return "\n".join([f"SELECT {', '.join(columns)}", f"FROM {rows} l", *joins])


def work(job: Job) -> None:
    """Writes the output, and each split from one temporary table."""
    options = f"(FORMAT PARQUET, COMPRESSION {job.compression}, COMPRESSION_LEVEL {job.compression_level})"
    connection = duckdb.connect(config={"threads": job.threads})
    connection.execute("SET preserve_insertion_order = false")
    rows = f"read_parquet('{job.labels}')"
    groups = job.joins()
    while len(groups) > JOINS_PER_QUERY:
        table = f"joined_{len(groups)}"
        connection.execute(f"CREATE TEMP TABLE {table} AS {query(job, rows, groups[:JOINS_PER_QUERY])}")
        if rows.startswith("joined"):
            connection.execute(f"DROP TABLE {rows}")
        rows, groups = table, groups[JOINS_PER_QUERY:]
    if not job.splits:
        connection.execute(f"COPY ({query(job, rows, groups)}) TO '{job.output}' {options}")
        return
    connection.execute(f"CREATE TEMP TABLE result AS {query(job, rows, groups)}")
    connection.execute(f"COPY result TO '{job.output}' {options}")
    for name, (start, end) in job.splits.items():
        chosen = (
            f"SELECT * FROM result WHERE {job.label_time} >= TIMESTAMP '{start}' "
            f"AND {job.label_time} < TIMESTAMP '{end}'"
        )
        connection.execute(f"COPY ({chosen}) TO '{job.split_path(name)}' {options}")


if __name__ == "__main__":
    run(work, version=f"duckdb {duckdb.__version__}")
