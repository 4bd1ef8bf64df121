"""DuckDB: a query over lazy frames, or over a DuckDB database, as a lazy frame.

Takes SQL text and tables, gives a LazyFrame that runs the query when it is collected. Knows nothing of features.
DuckDB is imported when a function is called; where it is missing, the error names the extra.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import polars as pl
from polars.io.plugins import register_io_source

from timefence_pl.choices import shortened
from timefence_pl.errors import (
    TimefenceError,
    TimefenceSchemaError,
    TimefenceValidationError,
    did_you_mean_file,
    listing,
    message,
)
from timefence_pl.faults import polars_faults, reason_of

__all__ = ["duckdb_query", "duckdb_version", "installed", "open_database"]

#: In DuckDB's name of a type, what users named: values of an ENUM, fields of a STRUCT.
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_INTERVAL: Final = re.compile(r"\bINTERVAL\b(?! \w)")


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
    schema = _run(query, stubs, connection, rows=False).schema

    def run(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        made = {name: frame.collect(engine="streaming") for name, frame in tables.items()}
        frame = _run(query, made, connection)
        if predicate is not None:
            frame = frame.filter(predicate)
        if with_columns is not None:
            frame = frame[with_columns]
        yield frame if n_rows is None else frame.head(n_rows)

    return register_io_source(run, schema=schema, explain_name="DuckDB")


def _run(query: str, tables: Mapping[str, pl.DataFrame], connection: object, *, rows: bool = True) -> pl.DataFrame:
    duckdb = _duckdb()
    cursor = _cursor(duckdb, connection)
    table = None
    try:
        for name, frame in tables.items():
            cursor.register(name, frame.to_arrow())
        relation = cursor.sql(query)
        _check_names(None if relation is None else relation.columns, query)
        _check_types(dict(zip(relation.columns, map(str, relation.types), strict=True)), query)
        wide = [n for n, t in zip(relation.columns, relation.types, strict=True) if str(t) == "HUGEINT"]
        relation = relation if rows else relation.limit(0)
        table = relation.to_arrow_table()
        return pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col(wide).cast(pl.Int64))
    except duckdb.Error as error:
        raise TimefenceSchemaError(
            message(
                "DuckDB does not run the query.",
                where=f"{str(error).strip()[:500]}\nquery: {query[:300]}",
                fix="Check the query's columns and functions.",
            )
        ) from error
    except TimefenceError:
        raise
    except polars_faults(Exception) as error:  # for types and numbers that Arrow or Polars do not have
        raise TimefenceSchemaError(
            message(
                "The result of the DuckDB query cannot be read.",
                where=f"{_unread(table)}{reason_of(error).splitlines()[0][:300]}\nquery: {query[:300]}",
                fix="Cast the column to a number, a text or a time in the query.",
            )
        ) from error
    finally:
        cursor.close()


def _check_names(names: Sequence[str] | None, query: str) -> None:
    if names is None:
        raise TimefenceSchemaError(message("The query returns no table.", where=query[:300], fix="Give one SELECT."))
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise TimefenceSchemaError(
            message(
                f"The query returns the column {twice[0]!r} twice.",
                where=query[:300],
                fix="Name its columns one by one, or join with USING.",
            )
        )


def _unread(table: Any) -> str:
    """Which columns Polars cannot take from Arrow, as a line; nothing where it takes each."""
    odd = []
    for name in () if table is None else table.column_names:
        try:
            pl.from_arrow(table.select([name]))
        except polars_faults(Exception):
            odd.append(f"{name}: {str(table.schema.field(name).type)[:80]}")
    return "".join(f"{line}\n" for line in odd[:6])


def _check_types(types: Mapping[str, str], query: str) -> None:
    spans = [n for n, t in types.items() if _INTERVAL.search(_QUOTED.sub("", t))]
    if spans:
        one = len(spans) == 1
        raise TimefenceSchemaError(
            message(
                f"The query returns an INTERVAL in the column{'' if one else 's'} {listing(spans)}.",
                where="\n".join([*(f"{n}: {types[n]}" for n in spans[:6]), f"query: {query[:300]}"]),
                why="It counts months beside days and seconds; Polars has no such type.",
                fix=f"Cast {'it' if one else 'them'} in the query, as in epoch({spans[0]}) AS {spans[0]}, in seconds.",
            )
        )


def open_database(path: str | Path | None = None) -> Any:
    """A DuckDB file, read-only, or an empty database in memory; its clock in UTC, Python's own variables unseen.

    Raises:
        TimefenceValidationError: If DuckDB is not installed or the file cannot be opened.
    """
    duckdb = _duckdb()
    unseen = {"python_enable_replacements": False}
    if path is None:
        return _in_utc(duckdb, duckdb.connect(":memory:", config=unseen))
    if not os.path.isfile(path):  # noqa: PTH113 - which takes names of any length
        raise TimefenceValidationError(
            message(
                f"The DuckDB database {shortened(str(path))} does not exist. {_nearest(path)}".rstrip(),
                fix="Check the path.",
            )
        )
    try:
        return _in_utc(duckdb, duckdb.connect(str(path), read_only=True, config=unseen))
    except duckdb.Error as error:
        raise TimefenceValidationError(
            message(
                f"The DuckDB database {str(path)!r} cannot be opened.",
                where=str(error)[:300],
                fix="Check the file, and that no other process or connection holds it open for writing.",
            )
        ) from error


def _nearest(path: str | Path) -> str:
    folder = os.path.dirname(path) or "."  # noqa: PTH120
    return did_you_mean_file(Path(path).name, sorted(os.listdir(folder)) if os.path.isdir(folder) else [])  # noqa: PTH112, PTH208


def _cursor(duckdb: Any, connection: object) -> Any:
    if connection is None or isinstance(connection, str | Path):
        return open_database(connection)
    given: Any = connection
    try:
        return given.cursor()
    except duckdb.Error as error:
        raise TimefenceValidationError(
            message("The DuckDB connection cannot be used.", where=str(error)[:300], fix="Give one that is open.")
        ) from error


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
