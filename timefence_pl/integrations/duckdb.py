"""DuckDB: a query over lazy frames, or over a DuckDB database, as a lazy frame.

Takes SQL text and tables, gives a LazyFrame that runs the query when it is collected. Knows nothing of features.
DuckDB is imported when a function is called; where it is missing, the error names the extra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from timefence_pl.errors import TimefenceSchemaError, TimefenceValidationError, message

__all__ = ["duckdb_query", "duckdb_version", "installed"]


def installed() -> bool:
    """Whether DuckDB can be imported."""
    from importlib.util import find_spec  # noqa: PLC0415 - costs nothing where it is not asked

    return find_spec("duckdb") is not None


def duckdb_version() -> str | None:
    """DuckDB's version; None where it is not installed."""
    return version("duckdb") if installed() else None


def duckdb_query(query: str, tables: Mapping[str, pl.LazyFrame], connection: object = None) -> pl.LazyFrame:
    """A DuckDB query as a LazyFrame: its schema is asked now, its rows when it runs.

    Args:
        query: One SELECT, or what DuckDB takes for one.
        tables: Lazy frames the query may name; each is collected when the query runs.
        connection: A DuckDB connection (used through cursors of its own), the path of a DuckDB file (opened read-only
            for each run), or None for an in-memory database.

    Raises:
        TimefenceValidationError: If DuckDB is not installed or the database cannot be opened.
        TimefenceSchemaError: If DuckDB does not accept the query.
    """
    stubs = {name: pl.DataFrame(schema=frame.collect_schema()) for name, frame in tables.items()}
    schema = _run(f"SELECT * FROM ({query}) LIMIT 0", stubs, connection).schema  # noqa: S608 - the user's own query

    def run(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        made = {name: frame.collect(engine="streaming") for name, frame in tables.items()}
        frame = _run(query, made, connection)
        if predicate is not None:
            frame = frame.filter(predicate)
        if with_columns is not None:
            frame = frame.select(with_columns)
        yield frame if n_rows is None else frame.head(n_rows)

    return register_io_source(run, schema=schema, explain_name="DuckDB")


def _run(query: str, tables: Mapping[str, pl.DataFrame], connection: object) -> pl.DataFrame:
    duckdb = _duckdb()
    cursor = _cursor(duckdb, connection)
    try:
        for name, frame in tables.items():
            cursor.register(name, frame.to_arrow())
        relation = cursor.sql(query)
        if relation is None:
            raise TimefenceSchemaError(
                message("The query returns no table.", where=query[:300], fix="Give one SELECT.")
            )
        wide = [n for n, t in zip(relation.columns, relation.types, strict=True) if str(t) == "HUGEINT"]
        return pl.DataFrame(pl.from_arrow(relation.to_arrow_table())).with_columns(pl.col(wide).cast(pl.Int64))
    except duckdb.Error as error:
        raise TimefenceSchemaError(
            message(
                "DuckDB does not run the query.",
                where=f"{str(error).strip()[:500]}\nquery: {query[:300]}",
                fix="Check the query's columns and functions.",
            )
        ) from error
    finally:
        cursor.close()


def _cursor(duckdb: Any, connection: object) -> Any:
    if isinstance(connection, str | Path):
        if not Path(connection).is_file():
            raise TimefenceValidationError(
                message(f"The DuckDB database {str(connection)!r} does not exist.", fix="Check the path.")
            )
        try:
            return _in_utc(duckdb, duckdb.connect(str(connection), read_only=True))
        except duckdb.Error as error:
            raise TimefenceValidationError(
                message(
                    f"The DuckDB database {str(connection)!r} cannot be opened.",
                    where=str(error)[:300],
                    fix="Check the file, and that no other process holds it open for writing.",
                )
            ) from error
    if connection is None:
        return _in_utc(duckdb, duckdb.connect(":memory:"))
    if hasattr(connection, "cursor"):
        return connection.cursor()
    raise TimefenceValidationError(
        message(
            f"connection={connection!r} is not a database.",
            fix="Give a DuckDB connection, the path of a DuckDB file, or a database URI.",
        )
    )


def _in_utc(duckdb: Any, connection: Any) -> Any:
    """The connection with its clock in UTC, so that the machine's zone does not matter."""
    try:
        connection.execute("SET TimeZone = 'UTC'")
    except duckdb.Error:  # without its time zone extension DuckDB knows UTC only
        return connection
    return connection


def _duckdb() -> Any:
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TimefenceValidationError(
            message("This query needs DuckDB, which is not installed.", fix='pip install "timefence-pl[duckdb]"')
        ) from error
    return duckdb
