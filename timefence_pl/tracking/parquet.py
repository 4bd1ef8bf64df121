"""The rows in the bytes of a Parquet file.

Takes bytes that were read, and perhaps checked, already, gives a frame or a ``TimefenceError``.
"""

from __future__ import annotations

import io
from contextlib import suppress

import polars as pl

from timefence_pl.errors import TimefenceValidationError, message

__all__ = ["frame_of"]


def frame_of(data: bytes) -> pl.DataFrame:
    """The rows; nothing but the bytes is read.

    Raises:
        TimefenceValidationError: If they are no Parquet file, or a broken one.
    """
    import pyarrow as pa  # noqa: PLC0415 - dearer than all else that a store needs, and most builds read no such bytes
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # Arrow first: Polars ends some broken files with a panic and a page of traces. It knows not all of its types.
        with suppress(pa.ArrowNotImplementedError):
            pq.read_metadata(io.BytesIO(data))
        return pl.read_parquet(io.BytesIO(data), glob=False, hive_partitioning=False)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise TimefenceValidationError(
            message(f"These bytes are no Parquet file that can be read: {lines[0][:160]}.", fix="Check the file.")
        ) from error
