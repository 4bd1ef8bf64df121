"""Faults that only reading the data shows, as errors of ours.

Takes what Polars, Arrow or the file system raised, gives a :class:`TimefenceSchemaError`. Knows nothing of plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl
import pyarrow as pa

from timefence_pl.errors import TimefenceError, TimefenceSchemaError, message

__all__ = ["POLARS_FAULTS", "faults_are_ours", "reason_of"]

#: What Polars raises for data that it cannot read or compute; a torn file can make it panic, which is no ``Exception``.
POLARS_FAULTS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError)


@contextmanager
def faults_are_ours(what: str, fix: str, where: str = "") -> Iterator[None]:
    """Turn faults of Polars, Arrow and the file system into one of ours; errors of a user's own function pass.

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
    except POLARS_FAULTS as error:
        raise TimefenceSchemaError(message(what, where=f"{where}\n{reason_of(error)}".strip(), fix=fix)) from error


def reason_of(error: BaseException) -> str:
    """What a fault says, without the plan that Polars adds."""
    text = str(error).strip().split("\n\nResolved plan until failure")[0].split("\n\nThis error occurred with")[0]
    return text.strip()[:600] or type(error).__name__
