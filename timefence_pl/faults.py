"""Faults that only reading the data shows, as a ``TimefenceError``.

Takes what Polars, Arrow or the file system raised, gives a :class:`TimefenceSchemaError`. Knows nothing of plans.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceError, TimefenceSchemaError, message

__all__ = ["CHECK_DATA", "NOT_COMPUTED", "faults_are_ours", "polars_faults", "reason_of"]


#: What is said where features fail on the data, and how it may be mended.
NOT_COMPUTED: Final = "The features cannot be computed from the data."
CHECK_DATA: Final = "Check the column, type, value or file Polars names; feature expressions run on whole sources."


def polars_faults(*further: type[BaseException]) -> tuple[type[BaseException], ...]:
    """What Polars raises for data that it cannot read or compute, and Arrow where it is loaded at all.

    A torn file can make Polars panic, which is no ``Exception``.

    Args:
        further: What else is to be caught in the same place.
    """
    # Another thread may be importing Arrow just now.
    arrow = getattr(sys.modules.get("pyarrow"), "ArrowException", None)
    return (
        *further,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        OSError,
        *(() if arrow is None else (arrow,)),
    )


@contextmanager
def faults_are_ours(what: str, fix: str, where: str = "") -> Iterator[None]:
    """Turn faults of Polars, Arrow and the file system into a ``TimefenceError``; errors of a user's own function pass.

    Args:
        what: What cannot be done, in a sentence.
        fix: How to mend it.
        where: Where, in lines before the reason.

    Raises:
        TimefenceSchemaError: If there is such a fault.
    """
    try:
        yield
    except TimefenceError:
        raise
    except polars_faults() as error:
        raise TimefenceSchemaError(message(what, where=f"{where}\n{reason_of(error)}".strip(), fix=fix)) from error


def reason_of(error: BaseException) -> str:
    """What a fault says, without the plan that Polars adds."""
    text = str(error).strip().split("\n\nResolved plan until failure")[0].split("\n\nThis error occurred with")[0]
    return text.strip()[:600] or type(error).__name__
