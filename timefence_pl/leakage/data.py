"""A data set to be audited or compared, read as it stands.

Takes whatever rows can be read from, gives a lazy frame of named columns or a ``TimefenceError``. Knows no feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
import polars.selectors as cs

from timefence_pl.definitions.names import column_list, one_column
from timefence_pl.definitions.table import Table
from timefence_pl.definitions.times import times_of_text
from timefence_pl.errors import (
    TimefenceError,
    TimefenceSchemaError,
    TimefenceValidationError,
    did_you_mean,
    listing,
    message,
)
from timefence_pl.result import BuildResult

__all__ = ["DataSet", "read"]


class DataSet:
    """Rows to be read.

    Args:
        role: What they are, for messages.
        data: A path, frame, build result, or anything with the Arrow PyCapsule interface.
        timestamp_format: How String label times are read.

    Raises:
        TimefenceValidationError: If rows cannot be read from it.
    """

    def __init__(self, role: str, data: object, *, timestamp_format: str | None = None) -> None:
        self.role = role
        self.timestamp_format = timestamp_format
        self._built = data if isinstance(data, BuildResult) else None
        given = data.scan() if isinstance(data, BuildResult) else data
        options = {"parse_dates": False} if timestamp_format is not None else {}
        self.table = Table.of(role, given, None, None, None, options)
        self.schema = self.table.schema()

    def described(self) -> str:
        """The data in a few words."""
        if self._built is not None:
            return self._built.output_path or "a build"
        return self.table.described()

    def keys(self, given: str | Sequence[str] | None) -> tuple[str, ...] | None:
        """The key columns, as given or as the build's; None where neither tells."""
        if given is None:
            return None if self._built is None else tuple(self._built.manifest["labels"]["keys"])
        return column_list(self.role, "keys", given, empty=True)

    def label_time(self, given: str | None) -> str | None:
        """The label time, as given or as the build's; None where neither tells."""
        if given is None:
            return None if self._built is None else str(self._built.manifest["labels"]["label_time_column"])
        return one_column(self.role, "label_time", given)

    def require(self, argument: str, columns: Iterable[str]) -> None:
        """Check that columns are there.

        Raises:
            TimefenceSchemaError: If one is not.
        """
        for name in columns:
            if name not in self.schema:
                raise TimefenceSchemaError(
                    message(
                        f"The {self.role} has no column {name!r} ({argument}). "
                        f"{did_you_mean(str(name), self.schema)}".rstrip(),
                        where=f"data: {self.described()}\ncolumns: {listing(self.schema)}",
                        fix=f"Give {argument} a column that the data has.",
                    )
                )

    def scan(self, label_time: str) -> pl.LazyFrame:
        """All rows, with String label times parsed where a format is given."""
        frame = self.table.scan()
        if self.timestamp_format is None or self.schema.get(label_time) != pl.String:
            return frame
        return frame.with_columns(times_of_text(f"the {self.role}", "label_time", label_time, self.timestamp_format))


def read(frame: pl.LazyFrame, columns: Iterable[str], role: str) -> pl.DataFrame:
    """Some columns of a lazy frame, in memory, in its order.

    Raises:
        TimefenceValidationError: If they cannot be read.
    """
    wanted = list(dict.fromkeys(columns))
    selected: Any = frame.select(cs.by_name(wanted))
    try:
        made: pl.DataFrame = selected.collect(engine="streaming")
    except TimefenceError:
        raise
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TimefenceValidationError(
            message(
                f"The {role} cannot be read.",
                where=str(error).strip()[:600],
                fix="Check the files, the columns' types and timestamp_format.",
            )
        ) from error
    return pl.DataFrame([made.get_column(c) for c in wanted])
