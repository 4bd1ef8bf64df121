"""Columns that an expression uses and a source does not have, told alike for features and aggregates.

Takes an expression and what Polars said of it, gives the error to be raised.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceSchemaError, did_you_mean, listing, message

__all__ = ["missing_column"]

#: What Polars says of columns that were chosen by several names at once, which are no roots of the expression.
_NOT_FOUND: Final = re.compile(r'"((?:[^"\\]|\\.)*)" not found|unable to find column "((?:[^"\\]|\\.)*)"')


def missing_column(
    what: str, expr: pl.Expr, shown: str, columns: Collection[str], error: pl.exceptions.ColumnNotFoundError
) -> TimefenceSchemaError:
    """The error for an expression that uses columns its source does not have.

    Args:
        what: Whose expression.
        expr: The expression.
        shown: The same as it is shown.
        columns: The source's columns.
        error: Polars' own.
    """
    try:
        missing = [n for n in expr.meta.root_names() if n not in columns]
    except pl.exceptions.PolarsError:
        missing = []
    told = _NOT_FOUND.search(str(error))
    if not missing and told is not None:
        missing = [(told[1] or told[2] or "").replace('\\"', '"').replace("\\\\", "\\")]
    hint = did_you_mean(missing[0], columns) if missing else ""
    used = f"the column {listing(missing)}, which" if missing else "a column that"
    return TimefenceSchemaError(
        message(
            f"{what} uses {used} its source does not have. {hint}".rstrip(),
            where=f"expression: {shown}\ncolumns: {listing(columns)}",
            fix="Use a column of the source.",
        )
    )
