"""The content of a feature set: its rows in key order, whatever file they stand in.

Takes a frame, its keys and its timestamp, gives a hash of the whole and one for each column. Knows no files.

The hash is of ``("feature set", version, rows, keys, timestamp, columns)``, each column being its name and the SHA-256
of data type and values in the canonical encoding of :mod:`timefence_pl.fingerprint.frames`, the rows put in order of
the keys, then of the timestamp, null first, NaN last, categories by their text. Rows equal in these are
ordered by their other columns from left to right, floats by their bits, so that every order of the same rows has one
hash. Without keys and timestamp the rows stand as they are given. Names, data types with units, zones and categories,
the order of columns, and null as against NaN all count; compression, row groups and chunks do not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.fingerprint import fingerprint_series, hash_parts
from timefence_pl.fingerprint.frames import dtype_part

__all__ = ["CONTENT_VERSION", "Content", "content_of", "schema_hash", "schema_text"]

#: Raised when the hash of unchanged rows would change; part of the hash and of every record.
CONTENT_VERSION: Final = 1


@dataclass(frozen=True)
class Content:
    """What a frame holds.

    Attributes:
        content_hash: ``sha256:`` and the hash of everything.
        columns: The hash of each column, in order.
        n_rows: Number of rows.
    """

    content_hash: str
    columns: Mapping[str, str]
    n_rows: int


def content_of(frame: pl.DataFrame, keys: Sequence[str], timestamp: str | None) -> Content:
    """The content of a frame; two passes over its columns, and the memory of a column or two at a time.

    Args:
        frame: Any frame with the keys and the timestamp; nothing of it is changed.
        keys: Key columns, in order.
        timestamp: The time column, if any.

    Raises:
        Uncacheable: If a column holds Python objects.
    """
    for name, dtype in frame.schema.items():
        dtype_part(dtype, name)  # refuses objects before anything is sorted
    order = _order(frame, [*keys, *([timestamp] if timestamp is not None else [])])

    def hashed(column: pl.Series) -> str:
        plain = column.alias("")  # a name that begins with "^" would be read as a pattern; names stand beside the hash
        return fingerprint_series(plain if order is None else plain.gather(order), algorithm="sha256")

    columns = frame.get_columns()
    workers = min(os.cpu_count() or 1, len(columns))
    if workers < 2 or frame.height < 10_000:
        hashes = [hashed(column) for column in columns]
    else:
        with ThreadPoolExecutor(workers) as pool:
            hashes = list(pool.map(hashed, columns))
    named = dict(zip(frame.columns, hashes, strict=True))
    key = hash_parts(
        "feature set",
        CONTENT_VERSION,
        frame.height,
        list(keys),
        timestamp,
        [[name, value] for name, value in named.items()],
        algorithm="sha256",
    )
    return Content(key, named, frame.height)


def schema_hash(schema: pl.Schema) -> str:
    """``sha256:`` and the hash of names and data types in order, with units, zones and categories."""
    return hash_parts("schema", [[n, dtype_part(t, n)] for n, t in schema.items()], algorithm="sha256")


def schema_text(schema: pl.Schema) -> dict[str, str]:
    """Names and data types, for people and records."""
    return {name: str(dtype) for name, dtype in schema.items()}


def _order(frame: pl.DataFrame, leading: Sequence[str]) -> pl.Series | None:
    """Where each row of the canonical order stands; None where all stand in it already."""
    if not leading or frame.height < 2:
        return None
    head = _sortable(frame, leading)
    order = _sorted(head)
    ordered = head.select(pl.all().gather(order))
    after, before = ordered.slice(1), ordered.slice(0, frame.height - 1)
    same = [after[c].eq_missing(before[c]) for c in ordered.columns]
    if pl.DataFrame(same).select(pl.all_horizontal(pl.all()).any()).item():
        order = _sorted(_sortable(frame, [*leading, *(n for n in frame.columns if n not in leading)]))
    in_place = order[0] == 0 and bool((order.diff().drop_nulls() == 1).all())
    return None if in_place else order


def _sorted(frame: pl.DataFrame) -> pl.Series:
    order = pl.arg_sort_by(frame.columns, nulls_last=False, maintain_order=True)
    return frame.select(order.cast(pl.Int64).alias("order")).to_series()


def _sortable(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Columns whose order is the canonical one, under names that no pattern is read into."""
    return pl.DataFrame([_as_sorted(frame.get_column(n).alias(f"c{i}")) for i, n in enumerate(names)])


def _as_sorted(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Categorical):
        return column.cast(pl.String)
    bits = _BITS.get(column.dtype.base_type())
    return column if bits is None else column.fill_nan(float("nan")).reinterpret(dtype=bits)


_BITS: Final[Mapping[object, type[pl.DataType]]] = {
    pl.Float64: pl.UInt64,
    pl.Float32: pl.UInt32,
    pl.Float16: pl.UInt16,
}
