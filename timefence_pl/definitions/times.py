"""Times that are kept as text, read in the format the user gives.

Takes a column's name and a format, gives an expression. A text that is not of the format is a ``TimefenceError`` while the
plan runs, in every engine; without checks, for engines that run no Python, it is Polars'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceSchemaError, message

__all__ = ["FINER_THAN_MICROSECONDS", "times_of_text"]

#: A fraction of a second that microseconds do not hold.
FINER_THAN_MICROSECONDS: Final = r"[.,]\d{6}\d*[1-9]"
_EXAMPLES: Final = 3
_DIRECTIVE: Final = re.compile(r"%[-_0.#:]*\d*([A-Za-z+%])")
_FRACTION: Final = re.compile(r"%\.?f")
#: Directives of a day alone.
_OF_DATES: Final = frozenset("YCyqmbBhdeaAwuUWGgVjDxFv%nt")


def times_of_text(
    of: str, argument: str, column: str, given: str, *, dates: bool = False, checks: bool = True
) -> pl.Expr:
    """The times of a String column.

    Args:
        of: Whose column it is, as in ``source 'users'``, for the error.
        argument: What the column is there: ``timestamp``, ``label_time``.
        column: Its name.
        given: The format, as in ``pl.Expr.str.to_datetime``.
        dates: Read a format of days alone as dates, not as their midnights.
        checks: Whether the plan may hold Python, which words the error.
    """
    text = pl.col(column)
    read = text.str.to_date if dates and _OF_DATES.issuperset(_DIRECTIVE.findall(given)) else text.str.to_datetime
    if not checks:
        return read(given, strict=True)
    times = read(given, strict=False)
    dtype = pl.LazyFrame(schema={column: pl.String}).select(times).collect_schema()[column]
    check = partial(_checked, f"{argument} {column!r} of {of}", given)
    return pl.map_batches([times, text], check, return_dtype=dtype, is_elementwise=True).alias(column)


def _checked(what: str, given: str, columns: Sequence[pl.Series]) -> pl.Series:
    times, text = columns
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_unit != "ns" and _FRACTION.search(given):
        finer = text.filter(text.str.contains(FINER_THAN_MICROSECONDS).fill_null(value=False))
        if not finer.is_empty():
            raise TimefenceSchemaError(
                message(
                    f"The {what} has times finer than microseconds: {_examples(finer)}.",
                    why=f"timestamp_format={given!r} reads microseconds; a time cut short may be before one that it is after.",
                    fix="Read nanoseconds: %.9f in place of %.f, or %9f of %f.",
                )
            )
    odd = text.filter(times.is_null() & text.is_not_null())
    if odd.is_empty():
        return times
    raise TimefenceSchemaError(
        message(
            f"The {what} has text that is not of timestamp_format={given!r}: {_examples(odd)}.",
            where=f"{len(odd):,} value(s) of the {len(text):,} looked at",
            why="A time that cannot be read cannot be joined.",
            fix=("give the format that the texts have", "correct the texts, or make them null"),
        )
    )


def _examples(texts: pl.Series) -> str:
    return ", ".join(repr(v[:60]) for v in texts.unique(maintain_order=True).head(_EXAMPLES).to_list())
