"""SQL over lazy frames, in the dialect that takes it.

Takes a query and the tables it may name, gives a LazyFrame. Polars SQL first; DuckDB where Polars does not accept the
text. Knows nothing of features or sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceSchemaError, message
from timefence_pl.integrations.duckdb import duckdb_query, installed

__all__ = ["DIALECTS", "resolve_dialect", "run_sql"]

DIALECTS: Final = ("auto", "polars", "duckdb")


def run_sql(query: str, tables: Mapping[str, pl.LazyFrame], dialect: str = "auto") -> pl.LazyFrame:
    """Run a query over tables, lazily.

    Args:
        query: The text; a trailing semicolon is dropped.
        tables: The tables it may name.
        dialect: ``"polars"``, ``"duckdb"`` or ``"auto"``.

    Raises:
        TimefenceSchemaError: If no dialect asked for accepts the query.
        TimefenceValidationError: If DuckDB is needed and not installed.
    """
    query = query.strip().rstrip(";").rstrip()
    if resolve_dialect(query, tables, dialect) == "duckdb":
        return duckdb_query(query, tables)
    return pl.SQLContext(dict(tables), eager=False).execute(query)


def resolve_dialect(query: str, tables: Mapping[str, pl.LazyFrame], dialect: str = "auto") -> str:
    """The dialect a query runs in: tried on empty tables.

    Raises:
        TimefenceSchemaError: If no dialect asked for accepts the query.
    """
    if dialect == "duckdb":
        return dialect
    refusal = _polars_refusal(query, tables)
    if refusal is None:
        return "polars"
    where = f"Polars: {refusal.splitlines()[0][:300]}\nquery: {query[:300]}"
    if dialect == "polars":
        raise TimefenceSchemaError(
            message("Polars SQL does not accept the query.", where=where, fix="Check it, or use dialect='duckdb'.")
        )
    if not installed():
        raise TimefenceSchemaError(
            message(
                "Polars SQL does not accept the query, and DuckDB is not installed.",
                where=where,
                fix=("check the query's columns and functions", 'pip install "timefence-pl[duckdb]"'),
            )
        )
    try:
        duckdb_query(query, {n: pl.LazyFrame(schema=f.collect_schema()) for n, f in tables.items()})
    except TimefenceSchemaError as error:
        raise TimefenceSchemaError(
            message(
                "Neither Polars SQL nor DuckDB accepts the query.",
                where=f"{where}\n{'; '.join(str(error).split(chr(10))[2:4]).strip()}",
                fix="Check the query's columns and functions.",
            )
        ) from error
    return "duckdb"


def _polars_refusal(query: str, tables: Mapping[str, pl.LazyFrame]) -> str | None:
    """Why Polars does not run a query on empty tables; None where it does."""
    stubs = {name: pl.LazyFrame(schema=frame.collect_schema()) for name, frame in tables.items()}
    try:
        pl.SQLContext(stubs, eager=False).execute(query).collect(engine="in-memory")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, TypeError) as error:
        return str(error) or type(error).__name__
    return None
