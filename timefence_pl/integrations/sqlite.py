"""SQLite files: a query as a lazy frame, read with Python's own driver.

Takes a query and a path, gives a LazyFrame that reads in batches when it runs. SQLite types values, not columns: the
types are those of the first rows, and a later value that does not fit is an error that names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

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
from timefence_pl.faults import faults_are_ours

__all__ = ["sqlite_path", "sqlite_query"]

_LOOKED_AT: Final = 10_000
_BATCH: Final = 50_000
_TYPES: Final[dict[frozenset[type], pl.DataType]] = {
    frozenset(): pl.Null(),
    frozenset((int,)): pl.Int64(),
    frozenset((float,)): pl.Float64(),
    frozenset((int, float)): pl.Float64(),
    frozenset((str,)): pl.String(),
    frozenset((bytes,)): pl.Binary(),
}
_NAMES: Final = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}


def sqlite_path(uri: str) -> Path:
    """The file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        TimefenceValidationError: If there is no such file.
    """
    rest = unquote(uri.split("://", 1)[1].split("?", 1)[0])
    # With three slashes others mean an absolute path.
    spelled = (Path(rest.removeprefix("/")), Path(rest)) if rest.strip("/") else ()
    found = next(filter(os.path.isfile, spelled), None)
    if found is None:
        given = Path(rest.removeprefix("/"))
        folder = str(given.parent)
        beside = sorted(os.listdir(folder)) if os.path.isdir(folder) else []  # noqa: PTH112, PTH208
        raise TimefenceValidationError(
            message(
                f"The SQLite database {shortened(str(given))} does not exist. {did_you_mean_file(given.name, beside)}".rstrip(),
                where=f"looked from {Path.cwd()}",
                fix="Give its path after sqlite:///, as in sqlite:///data/events.db or sqlite:////srv/events.db.",
            )
        )
    return found


def sqlite_query(query: str, path: Path) -> pl.LazyFrame:
    """A query as a LazyFrame; its first rows are read now for their types, all rows, in batches, when it runs.

    Args:
        query: One SELECT.
        path: The file; opened read-only.

    Raises:
        TimefenceSchemaError: If SQLite does not accept the query, or a column mixes text with numbers.
    """
    schema = _schema(query, path)

    def run(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for frame in _batches(query, path, schema):
            kept = frame if predicate is None else frame.filter(predicate)
            kept = kept if with_columns is None else kept[with_columns]
            if left is not None:
                kept = kept.head(left)
                left -= kept.height
            yield kept
            if left == 0:
                return

    return register_io_source(run, schema=schema, explain_name="SQLite")


def _schema(query: str, path: Path) -> dict[str, pl.DataType]:
    rows, names = next(_rows(query, path, _LOOKED_AT))
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise TimefenceSchemaError(
            message(
                f"The query returns the column {twice[0]!r} twice.", where=query[:300], fix="Name its columns by AS."
            )
        )
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    schema = {}
    for name, values in zip(names, columns, strict=True):
        kinds = frozenset(type(v) for v in values if v is not None)
        if not kinds:
            quoted = '"' + name.replace('"', '""') + '"'
            first = f"SELECT {quoted} FROM (\n{query}\n) WHERE {quoted} IS NOT NULL LIMIT 1"  # noqa: S608 - the user's query
            (found, _) = next(_rows(first, path, 1))
            kinds = frozenset(type(v) for row in found for v in row)
        if kinds not in _TYPES:
            raise TimefenceSchemaError(
                message(
                    f"The column {name!r} of the query holds {listing(sorted(_NAMES[k] for k in kinds))}.",
                    where=f"database {path}\nquery: {query[:300]}",
                    why="SQLite types values, not columns; a column of a frame has one type.",
                    fix=f"Say which in the query: CAST({name} AS TEXT) AS {name}.",
                )
            )
        schema[name] = _TYPES[kinds]
    return schema


def _batches(query: str, path: Path, schema: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    for rows, names in _rows(query, path, _BATCH):
        if names != list(schema):
            raise TimefenceSchemaError(
                message(
                    "The query returns other columns than when it was declared.",
                    where=f"database {path}\nthen: {listing(schema)}\nnow: {listing(names)}",
                    fix="Declare the source again.",
                )
            )
        for place, (name, dtype) in enumerate(schema.items()):
            _check_values(query, path, name, dtype, (row[place] for row in rows))
        with faults_are_ours(
            "The rows of the query cannot be read.",
            "Cast the columns in the query.",
            where=f"database {path}\nquery: {query[:300]}",
        ):
            frame = pl.DataFrame(rows, schema=schema, orient="row")
        yield frame


def _check_values(query: str, path: Path, name: str, dtype: pl.DataType, values: Iterator[Any]) -> None:
    fits = next(kinds for kinds, known in _TYPES.items() if known == dtype) | ({int} if dtype == pl.Float64 else set())
    odd = next((v for v in values if v is not None and type(v) not in fits), None)
    if odd is not None:
        raise TimefenceSchemaError(
            message(
                f"The column {name!r} of the query holds {odd!r}, a value of type {_NAMES[type(odd)]}; "
                f"its first rows are {dtype}.",
                where=f"database {path}\nquery: {query[:300]}",
                fix=f"Say the type in the query, as in CAST({name} AS REAL) AS {name}.",
            )
        )


def _rows(query: str, path: Path, size: int) -> Iterator[tuple[Sequence[Sequence[Any]], list[str]]]:
    """Rows, so many at a time, with the columns' names; at least one batch, possibly of no rows."""
    import sqlite3  # noqa: PLC0415 - not every Python has it

    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, check_same_thread=False)
        try:
            cursor = connection.execute(query)
            if cursor.description is None:
                raise TimefenceSchemaError(
                    message("The query returns no table.", where=query[:300], fix="Give one SELECT.")
                )
            names = [d[0] for d in cursor.description]
            yield cursor.fetchmany(size), names
            while rows := cursor.fetchmany(size):
                yield rows, names
        finally:
            connection.close()
    except TimefenceError:
        raise
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise TimefenceSchemaError(
            message(
                "SQLite does not run the query.",
                where=f"{error}\ndatabase {path}\nquery: {query[:300]}",
                fix="Check the query's tables and columns, and that the file is a whole SQLite database.",
            )
        ) from error
