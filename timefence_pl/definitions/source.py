"""Sources of events.

Takes what the user declares, gives a frozen, checked value with a lazy scan. Reads schemas, never rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import polars as pl

from timefence_pl.choices import one_of, shortened
from timefence_pl.definitions.frozen import Frozen
from timefence_pl.definitions.names import checked_name, column_list, one_column
from timefence_pl.definitions.reading import reading_options
from timefence_pl.definitions.table import Table
from timefence_pl.definitions.times import times_of_text
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, did_you_mean, listing, message

__all__ = ["CSVSource", "ParquetSource", "Source"]


class Source(Frozen):
    """A table of events: entity keys, an event timestamp, values.

    Rows keep a defined order (files by relative name, then row), which settles ties last. The rows of Delta and
    Iceberg tables have none, so ties are settled by their values, column by column.

    Args:
        data: A path, URI, glob, directory or list of those; a LazyFrame or DataFrame; anything with the Arrow
            PyCapsule interface (pandas, pyarrow, a DuckDB relation), read once, here; or an open table of
            ``deltalake`` or ``pyiceberg``. A path is read as it stands at each run, an open table as it was opened. Globs and
            directories are those of this machine (``file://`` URIs too); of remote objects name each, or give a
            LazyFrame, as of ``pl.scan_parquet("s3://bucket/*.parquet")``.
        path: The same as a path in ``data``.
        df: The same as a frame in ``data``.
        keys: The entity key column or columns; ``[]`` for one global time series.
        timestamp: The event time column: Datetime of any unit and zone, Date, or integer; String with
            ``timestamp_format``.
        name: For reports and errors; by default the file's stem.
        available_at: The column with the time at which a row became known. Null means never known.
        tie_breaker: The column, or columns, that settle ties in time (and availability): the greatest wins, null
            is the lowest.
        date_known_at: Whether a ``Date`` stamp is known at the day's last instant (``"end"``) or its first
            (``"start"``).
        format: ``"parquet"``, ``"csv"``, ``"ndjson"``, ``"ipc"``, ``"delta"`` or ``"iceberg"`` where the suffix
            does not tell.
        delimiter: The separator of CSV files.
        timestamp_format: The format of String times, as in ``pl.Expr.str.to_datetime``; one of days alone
            (``"%d.%m.%Y"``) gives dates, for which ``date_known_at`` counts. CSV files need one unless their times begin
            with the year: which of two numbers is the month is not guessed.
        schema: The schema of the files, where it is not to be inferred.
        hive_partitioning: Whether ``name=value`` folders are columns; by default where there are such folders.
        storage_options: For remote files, as in ``pl.scan_parquet``.

    Raises:
        TimefenceConfigError: For invalid arguments.
        TimefenceValidationError: For data that cannot be read from.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> users = tf.Source(
        ...     pl.DataFrame({"user_id": [1], "at": [0], "plan": ["free"]}), keys="user_id", timestamp="at", name="users"
        ... )
        >>> users
        Source(name='users', data=DataFrame, keys=['user_id'], timestamp='at')
    """

    #: The source's name, for reports and errors.
    name: str
    #: Entity key columns.
    keys: tuple[str, ...]
    #: Event time column.
    timestamp: str
    #: Column with the time at which a row became known, if any.
    available_at: str | None
    #: Columns that settle ties.
    tie_breaker: tuple[str, ...]
    #: When a ``Date`` stamp is known: ``"end"`` or ``"start"`` of its day.
    date_known_at: str
    #: How String times are read, if they are.
    timestamp_format: str | None
    _table: Table

    def __init__(
        self,
        data: object = None,
        *,
        path: str | Path | None = None,
        df: object = None,
        keys: str | Sequence[str],
        timestamp: str,
        name: str | None = None,
        available_at: str | None = None,
        tie_breaker: str | Sequence[str] | None = None,
        date_known_at: Literal["end", "start"] = "end",
        format: str | None = None,  # noqa: A002 - the public name
        delimiter: str | None = None,
        timestamp_format: str | None = None,
        schema: Mapping[str, Any] | None = None,
        hive_partitioning: bool | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        role = f"source {shortened(name)}" if name is not None else "Source"
        options = reading_options(
            role,
            delimiter=delimiter,
            timestamp_format=timestamp_format,
            schema=schema,
            hive_partitioning=hive_partitioning,
            storage_options=storage_options,
        )
        table = Table.of(role, data, path, df, format, options)
        one_of(date_known_at, ("end", "start"), "date_known_at", of=role)
        known = checked_name("source", name if name is not None else table.default_name())
        values: dict[str, object] = {
            "name": known,
            "keys": column_list(role, "keys", keys, empty=True),
            "timestamp": one_column(role, "timestamp", timestamp),
            "available_at": None if available_at is None else one_column(role, "available_at", available_at),
            "tie_breaker": () if tie_breaker is None else column_list(role, "tie_breaker", tie_breaker),
            "date_known_at": date_known_at,
            "timestamp_format": timestamp_format,
            "_table": table,
        }
        if self_names := [n for n in (timestamp, available_at) if n in cast("tuple[str, ...]", values["keys"])]:
            raise TimefenceConfigError(
                message(f"{role} uses {listing(self_names)} both as a key and as a time.", fix="Name each column once.")
            )
        if available_at == timestamp:
            raise TimefenceConfigError(
                message(f"{role} uses {timestamp!r} both as timestamp and as available_at.", fix="Leave one out.")
            )
        self._set(**values)

    def __repr__(self) -> str:
        extra = f", available_at={self.available_at!r}" if self.available_at else ""
        return (
            f"{type(self).__name__}(name={self.name!r}, data={self._table.described()}, keys={list(self.keys)}, "
            f"timestamp={self.timestamp!r}{extra})"
        )

    def described(self) -> str:
        """The data in a few words: its paths, or the kind of frame."""
        return self._table.described()

    def files(self) -> list[str]:
        """The files in reading order; empty where the data is a frame."""
        return self._table.files()

    def parquet_files(self) -> list[str]:
        """The local Parquet files the rows come from; empty where they come from anything else."""
        return self._table.local_files("parquet")

    def of_files(self, files: Sequence[str]) -> Source:
        """The same source over some of its files, with the columns and types of all of them."""
        part = Source.__new__(type(self))
        part.__dict__.update({k: v for k, v in self.__dict__.items() if not k.startswith("_")})
        part.__dict__["_table"] = self._table.of_files(files)
        return part

    @property
    def table(self) -> Table:
        """Where the rows come from."""
        return self._table

    @property
    def has_order(self) -> bool:
        """Whether rows come in an order that settles ties; those of queries and of Delta and Iceberg tables do not."""
        return self._table.has_order()

    def scan(self, *, checks: bool = True) -> pl.LazyFrame:
        """All rows, lazily, in source order, with String times parsed where ``timestamp_format`` is given.

        Args:
            checks: Whether the frame may hold Python, which words the error for text that is not of the format.
        """
        frame = self._table.scan()
        if self.timestamp_format is None:
            return frame
        schema = self._table.schema()
        roles = {"timestamp": self.timestamp, "available_at": self.available_at}
        return frame.with_columns(
            times_of_text(f"source {self.name!r}", role, column, self.timestamp_format, dates=True, checks=checks)
            for role, column in roles.items()
            if column is not None and schema.get(column) == pl.String
        )

    @property
    def schema(self) -> pl.Schema:
        """Column names and data types, without reading rows; keys, times and tie breakers are there.

        Raises:
            TimefenceSchemaError: If a declared column is missing.
        """
        schema = self._table.schema() if self.timestamp_format is None else self.scan().collect_schema()
        wanted = [("keys", k) for k in self.keys] + [("timestamp", self.timestamp)]
        wanted += [("available_at", self.available_at)] if self.available_at else []
        wanted += [("tie_breaker", c) for c in self.tie_breaker]
        for argument, column in wanted:
            if column not in schema:
                raise TimefenceSchemaError(
                    message(
                        f"Source {self.name!r} has no column {column!r} ({argument}). "
                        f"{did_you_mean(column, schema)}".rstrip(),
                        where=f"data: {self.described()}\ncolumns: {listing(schema)}",
                        fix=f"Give {argument}= a column that the data has.",
                    )
                )
        return schema

    def identity(self) -> tuple[object, ...]:
        """Equal for sources that read the same rows in the same way within one process."""
        where: tuple[object, ...] = (
            (id(self._table.frame),)
            if self._table.frame is not None
            else (
                self._table.patterns,
                self._table.format,
                id(self._table.table),
                repr(sorted(self._table.options.items(), key=repr)),
            )
        )
        return (
            *where,
            tuple(self.keys),
            self.timestamp,
            self.available_at,
            self.tie_breaker,
            self.date_known_at,
            self.timestamp_format,
        )


def ParquetSource(path: str | Path, **options: Any) -> Source:  # noqa: N802 - the ancestor's name
    """A :class:`Source` over Parquet files.

    Args:
        path: A path, URI, glob or directory.
        **options: As for :class:`Source`: ``keys``, ``timestamp`` and what else it takes.
    """
    return Source(path=path, format="parquet", **options)


def CSVSource(path: str | Path, **options: Any) -> Source:  # noqa: N802 - the ancestor's name
    """A :class:`Source` over CSV files.

    Args:
        path: A path, URI, glob or directory.
        **options: As for :class:`Source`: ``keys``, ``timestamp``, ``delimiter``, ``timestamp_format`` and what else it
            takes.
    """
    return Source(path=path, format="csv", **options)
