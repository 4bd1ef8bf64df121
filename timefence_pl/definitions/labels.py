"""Labels: the rows to be filled with features.

Takes what the user declares, gives a frozen, checked value with a lazy scan. Reads schemas, never rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from timefence_pl.definitions.frozen import Frozen
from timefence_pl.definitions.names import column_list, one_column
from timefence_pl.definitions.reading import reading_options
from timefence_pl.definitions.table import Table
from timefence_pl.definitions.times import times_of_text
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, did_you_mean, listing, message

__all__ = ["Labels"]


class Labels(Frozen):
    """The rows to be filled: entity keys, a label time, optional targets, any other columns.

    Without targets they are a scoring frame. A ``Date`` label time is the day's first instant.

    Args:
        data: A path, URI, glob, directory or list of those, as for :class:`Source`; a LazyFrame or DataFrame; or
            anything with the Arrow PyCapsule interface.
        path: The same as a path in ``data``.
        df: The same as a frame in ``data``.
        keys: The entity key column or columns; ``[]`` where only global features are joined.
        label_time: The column with the time at which the prediction is made.
        target: The target column or columns, if any.
        format: As for :class:`Source`.
        delimiter: As for :class:`Source`.
        timestamp_format: The format of a String label time.
        schema: As for :class:`Source`.
        hive_partitioning: As for :class:`Source`.
        storage_options: As for :class:`Source`.

    Raises:
        TimefenceConfigError: For invalid arguments.
        TimefenceValidationError: For data that cannot be read from.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> tf.Labels(pl.DataFrame({"user": [1], "at": [5], "churned": [True]}), keys="user", label_time="at")
        Labels(data=DataFrame, keys=['user'], label_time='at', target=[])
    """

    #: Entity key columns.
    keys: tuple[str, ...]
    #: Label time column.
    label_time: str
    #: Target columns, possibly none.
    target: tuple[str, ...]
    timestamp_format: str | None
    _table: Table

    def __init__(
        self,
        data: object = None,
        *,
        path: str | Path | None = None,
        df: object = None,
        keys: str | Sequence[str],
        label_time: str,
        target: str | Sequence[str] | None = None,
        format: str | None = None,  # noqa: A002 - the public name
        delimiter: str | None = None,
        timestamp_format: str | None = None,
        schema: Mapping[str, Any] | None = None,
        hive_partitioning: bool | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        options = reading_options(
            "labels",
            delimiter=delimiter,
            timestamp_format=timestamp_format,
            schema=schema,
            hive_partitioning=hive_partitioning,
            storage_options=storage_options,
        )
        known_keys = column_list("labels", "keys", keys, empty=True)
        time = one_column("labels", "label_time", label_time)
        targets = () if target is None else column_list("labels", "target", target, empty=True)
        clash = [n for n in (time, *targets) if n in known_keys] + [n for n in targets if n == time]
        if clash:
            raise TimefenceConfigError(
                message(f"Labels use {listing(clash)} in two roles (keys, label_time, target).", fix="Name it once.")
            )
        self._set(
            keys=known_keys,
            label_time=time,
            target=targets,
            timestamp_format=timestamp_format,
            _table=Table.of("labels", data, path, df, format, options),
        )

    def __repr__(self) -> str:
        return (
            f"Labels(data={self._table.described()}, keys={list(self.keys)}, label_time={self.label_time!r}, "
            f"target={list(self.target)})"
        )

    def described(self) -> str:
        """The data in a few words: its paths, or the kind of frame."""
        return self._table.described()

    def files(self) -> list[str]:
        """The files in reading order; empty where the data is a frame."""
        return self._table.files()

    @property
    def table(self) -> Table:
        """Where the rows come from."""
        return self._table

    def scan(self, *, checks: bool = True) -> pl.LazyFrame:
        """All rows, lazily, in label order, with a String label time parsed where ``timestamp_format`` is given.

        Args:
            checks: As for :meth:`Source.scan`.
        """
        frame = self._table.scan()
        if self.timestamp_format is None or self._table.schema().get(self.label_time) != pl.String:
            return frame
        return frame.with_columns(
            times_of_text("labels", "label_time", self.label_time, self.timestamp_format, checks=checks)
        )

    @property
    def schema(self) -> pl.Schema:
        """Column names and data types, without reading rows; keys, label time and targets are there.

        Raises:
            TimefenceSchemaError: If a declared column is missing.
        """
        schema = self._table.schema() if self.timestamp_format is None else self.scan().collect_schema()
        roles = [("keys", k) for k in self.keys] + [("label_time", self.label_time)]
        for argument, column in roles + [("target", t) for t in self.target]:
            if column not in schema:
                raise TimefenceSchemaError(
                    message(
                        f"Labels have no column {column!r} ({argument}). {did_you_mean(column, schema)}".rstrip(),
                        where=f"data: {self.described()}\ncolumns: {listing(schema)}",
                        fix=f"Give {argument}= a column that the labels have.",
                    )
                )
        return schema
