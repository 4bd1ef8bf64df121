"""Sources that are SQL queries.

Takes a query and where it runs, gives a :class:`Source`. Asks the query for its schema, never for rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.table import Table
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, TimefenceValidationError, message
from timefence_pl.integrations.database import database_query
from timefence_pl.integrations.duckdb import duckdb_query
from timefence_pl.integrations.sql import resolve_dialect, run_sql

__all__ = ["SQLSource"]


class SQLSource(Source):
    """Events selected by SQL.

    Without a connection the query runs in Polars SQL over ``tables`` and Polars' file functions (``read_parquet(...)``),
    or in DuckDB where Polars does not accept it. Its rows have no defined order, so ties are settled by the values,
    column by column. A store keeps what is computed from a query whose inputs have a version: tables, files that Polars
    reads, a DuckDB file.

    Args:
        query: One SELECT.
        keys: As for :class:`Source`.
        timestamp: As for :class:`Source`.
        name: The source's name.
        connection: A DuckDB connection, the path of a DuckDB file, or a database URI: ``sqlite:///relative.db``,
            ``sqlite:////absolute.db``, ``duckdb:///...``, and ``postgresql://user:password@host/database`` or another
            that ADBC or ConnectorX has a driver for; None for Polars SQL.
        tables: Tables the query names: paths or frames, by name.
        available_at: As for :class:`Source`.
        tie_breaker: As for :class:`Source`.
        date_known_at: As for :class:`Source`.
        timestamp_format: As for :class:`Source`, for databases that keep times as text.

    Raises:
        TimefenceConfigError: For invalid arguments.
        TimefenceSchemaError: If the query is not accepted where it is to run.
        TimefenceValidationError: If a table, database or driver is missing.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> events = pl.DataFrame({"user": [1, 1], "at": [0, 5], "amount": [3.0, 150.0]})
        >>> large = tf.SQLSource(
        ...     "SELECT * FROM events WHERE amount > 100",
        ...     keys="user", timestamp="at", name="large", tables={"events": events},
        ... )
        >>> large.scan().collect()["amount"].to_list()
        [150.0]
    """

    #: The query's text.
    query: str
    #: Where it runs: a connection, a path, a URI, or None.
    connection: object
    #: The tables it may name.
    tables: Mapping[str, Table]
    #: ``"polars"``, ``"duckdb"`` or ``"database"``: what runs it.
    dialect: str

    def __init__(
        self,
        query: str,
        *,
        keys: str | Sequence[str],
        timestamp: str,
        name: str,
        connection: object = None,
        tables: Mapping[str, object] | None = None,
        available_at: str | None = None,
        tie_breaker: str | Sequence[str] | None = None,
        date_known_at: Literal["end", "start"] = "end",
        timestamp_format: str | None = None,
    ) -> None:
        role = f"SQL source {shortened(name)}"
        if not isinstance(query, str) or not query.strip().rstrip(";").strip():
            raise TimefenceConfigError(message(f"The query of {role} is empty.", fix="Give one SELECT."))
        query = query.strip().rstrip(";").rstrip()
        made = {t: _table(f"table {t!r} of {role}", v) for t, v in _named(role, tables).items()}
        rows = partial(_rows, query, connection, made)
        try:
            dialect, frame = rows()
        except (TimefenceSchemaError, TimefenceValidationError) as error:
            raise type(error)(f"{role}: {error}") from error
        options: dict[str, Any] = {
            "keys": keys,
            "timestamp": timestamp,
            "name": name,
            "available_at": available_at,
            "tie_breaker": tie_breaker,
            "date_known_at": date_known_at,
            "timestamp_format": timestamp_format,
        }
        super().__init__(frame, **options)
        self._set(
            query=query,
            connection=connection,
            tables=made,
            dialect=dialect,
            _table=replace(
                self._table,
                role=role,
                behind=tuple(made.values()),
                unordered=True,
                remake=None if all(t.in_memory for t in made.values()) else partial(_made_anew, rows),
            ),
        )

    def described(self) -> str:
        """The query, shortened."""
        text = " ".join(self.query.split())
        return text if len(text) <= 80 else text[:77] + "..."


def _named(role: str, tables: object) -> Mapping[str, object]:
    if tables is None:
        return {}
    if isinstance(tables, Mapping) and all(isinstance(n, str) and n for n in tables):
        return tables
    raise TimefenceConfigError(
        message(
            f"tables={shortened(tables)} of {role} is not a mapping of names.", fix="Use {'events': 'events.parquet'}."
        )
    )


def _table(role: str, value: object) -> Table:
    if isinstance(value, Source):
        return value.table
    return Table.of(role, value, None, None, None, {})


def _rows(query: str, connection: object, tables: Mapping[str, Table]) -> tuple[str, pl.LazyFrame]:
    """What :func:`_frame` gives over the files that the tables have now."""
    return _frame(query, connection, {name: table.scan() for name, table in tables.items()})


def _made_anew(rows: Callable[[], tuple[str, pl.LazyFrame]]) -> pl.LazyFrame:
    return rows()[1]


def _frame(query: str, connection: object, tables: Mapping[str, pl.LazyFrame]) -> tuple[str, pl.LazyFrame]:
    """Where a query runs (``"polars"``, ``"duckdb"`` or ``"database"``), and its rows."""
    if connection is None:
        dialect = resolve_dialect(query, tables)
        return dialect, run_sql(query, tables, dialect)
    if isinstance(connection, str) and "://" in connection:
        if tables:
            raise TimefenceConfigError(
                message("tables= cannot be given with a database URI.", fix="Name the database's own tables.")
            )
        return "database", database_query(query, connection)
    if (isinstance(connection, str | Path) and str(connection)) or _is_duckdb(connection):
        return "duckdb", duckdb_query(query, tables, connection)
    raise TimefenceConfigError(
        message(
            f"connection={shortened(connection)} is not a database.",
            fix="Give a DuckDB connection, the path of a DuckDB file, or a database URI.",
        )
    )


def _is_duckdb(connection: object) -> bool:
    return any(c.__module__.lstrip("_").split(".")[0] == "duckdb" for c in type(connection).__mro__)
