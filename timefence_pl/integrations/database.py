"""Databases by URI (``postgresql://``, ``sqlite:///`` and the like): a query as a lazy frame.

Takes a query and a URI, gives a LazyFrame that reads when it runs. SQLite and DuckDB files are read by their own
drivers; for others the driver (ADBC or ConnectorX) is the user's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import polars as pl
from polars.io.plugins import register_io_source

from timefence_pl.errors import TimefenceSchemaError, TimefenceValidationError, listing, message
from timefence_pl.faults import polars_faults
from timefence_pl.integrations.duckdb import duckdb_query
from timefence_pl.integrations.sqlite import sqlite_path, sqlite_query

__all__ = ["database_query", "driver_query"]

Driver = Literal["adbc", "connectorx"]
_DRIVERS: Final[tuple[Driver, ...]] = ("adbc", "connectorx")


def database_query(query: str, uri: str) -> pl.LazyFrame:
    """A database query as a LazyFrame: its columns are asked for now, all rows when it runs.

    Raises:
        TimefenceValidationError: If no driver is installed or the database cannot be reached.
        TimefenceSchemaError: If it does not accept the query.
    """
    kind = uri.split("://", 1)[0].lower()
    if kind == "sqlite":
        return sqlite_query(query, sqlite_path(uri))
    if kind == "duckdb":
        rest = unquote(uri.split("://", 1)[1])
        local = Path(rest.removeprefix("/"))
        there = os.path.isfile(local) or not os.path.isfile(rest)  # noqa: PTH113 - names of any length
        return duckdb_query(query, {}, local if there else Path(rest))
    return driver_query(query, uri)


def driver_query(query: str, uri: str, drivers: Sequence[Driver] = _DRIVERS) -> pl.LazyFrame:
    """The same by the first of these drivers that is installed.

    Raises:
        TimefenceValidationError: As :func:`database_query`.
    """
    nothing = f"SELECT * FROM (\n{query}\n) q WHERE 1 = 0"  # noqa: S608 - the user's own query
    schema = _read(nothing, uri, drivers, shown=query).schema

    def run(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        frame = _as_declared(_read(query, uri, drivers, shown=query), schema, query)
        if predicate is not None:
            frame = frame.filter(predicate)
        if with_columns is not None:
            frame = frame[with_columns]
        yield frame if n_rows is None else frame.head(n_rows)

    return register_io_source(run, schema=schema, explain_name="database")


def _as_declared(frame: pl.DataFrame, schema: pl.Schema, query: str) -> pl.DataFrame:
    """The rows in the types that were told when no row was asked for."""
    if frame.schema == schema:
        return frame
    if frame.columns != list(schema):
        raise TimefenceSchemaError(
            message(
                "The database returns other columns than when the query was declared.",
                where=f"then: {listing(schema)}\nnow: {listing(frame.columns)}\nquery: {query[:300]}",
                fix="Name the columns in the query, and declare the source again.",
            )
        )
    try:
        return frame.cast(dict(schema.items()))
    except polars_faults() as error:
        odd = [f"{n}: {schema[n]}, and in rows {frame.schema[n]}" for n in schema if schema[n] != frame.schema[n]]
        raise TimefenceSchemaError(
            message(
                f"The database returns values that are not of their column's type: {listing(n.split(':')[0] for n in odd)}.",
                where="\n".join([*odd[:6], f"query: {query[:300]}"]),
                fix="Cast the column in the query.",
            )
        ) from error


def _read(query: str, uri: str, drivers: Sequence[Driver], *, shown: str) -> pl.DataFrame:
    kind = uri.split("://", 1)[0]
    problems = []
    for driver in drivers:
        try:
            frame = pl.read_database_uri(query, uri, engine=driver)
            # Types that Arrow has no name for (ADBC's numeric) are read as what they are kept in.
            opaque = [n for n, t in frame.schema.items() if isinstance(t, pl.BaseExtension)]
            return frame.with_columns(pl.col(n).ext.storage() for n in opaque)
        except ImportError as error:
            problems.append(
                f"{driver}: {str(error).strip().splitlines()[0] if str(error).strip() else 'not installed'}"
            )
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a driver that panics raises no Exception
            raise TimefenceValidationError(
                message(
                    f"The database {kind}://... does not answer the query.",
                    where=f"{_without_secrets(str(error).strip(), uri)[:400]}\nquery: {shown[:300]}",
                    fix="Check the URI, the query, and the database's permissions.",
                )
            ) from None  # the error may hold the URI with its password
    raise TimefenceValidationError(
        message(
            f"No driver for {kind}:// databases is installed.",
            where="\n".join(problems),
            fix=('pip install "timefence-pl[database]"', f"pip install adbc-driver-{kind.split('+')[0]}"),
        )
    )


def _without_secrets(text: str, uri: str) -> str:
    text = text.replace(uri, uri.split("://", 1)[0] + "://...")
    try:
        password = urlsplit(uri).password
    except ValueError:
        password = None
    for secret in {password, unquote(password)} if password else ():
        text = text.replace(secret, "***")
    return text
