"""Databases by URI (``postgresql://``, ``sqlite:///`` and the like): a query as a lazy frame.

Takes a query and a URI, gives a LazyFrame that reads when it runs. The drivers (ADBC or ConnectorX) are the user's.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from polars.io.plugins import register_io_source

from timefence_pl.errors import TimefenceValidationError, message

__all__ = ["database_query"]


def database_query(query: str, uri: str) -> pl.LazyFrame:
    """A database query as a LazyFrame: one row is asked now for the schema, all rows when it runs.

    Raises:
        TimefenceValidationError: If no driver is installed or the database refuses.
    """
    schema = _read(f"SELECT * FROM ({query}) AS q LIMIT 0", uri).schema  # noqa: S608 - the user's own query

    def run(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        frame = _read(query, uri)
        if predicate is not None:
            frame = frame.filter(predicate)
        if with_columns is not None:
            frame = frame.select(with_columns)
        yield frame if n_rows is None else frame.head(n_rows)

    return register_io_source(run, schema=schema, explain_name="database")


def _read(query: str, uri: str) -> pl.DataFrame:
    shown = uri.split("://", 1)[0] + "://..."
    problems = []
    for engine in ("adbc", "connectorx"):
        try:
            return pl.read_database_uri(query, uri, engine=engine)
        except ImportError as error:
            problems.append(f"{engine}: {error}")
        except Exception as error:
            raise TimefenceValidationError(
                message(
                    f"The database {shown} does not answer the query.",
                    where=f"{str(error).strip()[:400]}\nquery: {query[:300]}",
                    fix="Check the URI, the query, and the database's permissions.",
                )
            ) from error
    raise TimefenceValidationError(
        message(
            f"No driver for {shown} is installed.",
            where="\n".join(p.splitlines()[0] for p in problems),
            fix="Install one, as in pip install adbc-driver-sqlite pyarrow, or pip install connectorx.",
        )
    )
