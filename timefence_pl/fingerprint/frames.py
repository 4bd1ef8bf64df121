"""The content of data frames, in a canonical encoding of our own.

Takes a DataFrame or Series, gives a fingerprint of its schema and values. Knows nothing of where it comes from, and
calls no hash of Polars, which differs between its versions.

Equal values in equal data types hash alike, whatever the chunks, slices, buffers, views, physical codes of categories,
garbage under nulls and flags of sortedness. Null differs from NaN, and ``-0.0`` from ``0.0``; NaNs are all alike.

A column is one or several streams of bytes, hashed block by block: the positions of its nulls (UInt64); then fixed
width values little-endian with zero for null, or, for text and bytes, lengths (UInt64) and contents; lists are lengths
and the stream of their members; structs the streams of their fields in the rows that are not null. Categories are
their text, enums their codes (their data type lists the categories).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import polars as pl

from timefence_pl.fingerprint.keys import Algorithm, Fingerprint, Hasher, Part, Uncacheable, hash_parts, new_hasher

__all__ = ["dtype_part", "fingerprint_frame", "fingerprint_series"]

#: Raised when the encoding changes; part of every frame's key.
FRAME_VERSION: Final = 1
# Blocks bound the copies that the encoding makes; they do not show in the hash.
_BLOCK_BYTES: Final = 64 << 20
_BLOCK_ROWS: Final = 4 << 20
_PLAIN: Final = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    *(pl.Float16, pl.Float32, pl.Float64, pl.Date, pl.Time, pl.Datetime, pl.Duration, pl.Enum),
)
_WIDE: Final = (pl.Int128, pl.UInt128, pl.Decimal)


def fingerprint_frame(
    frame: pl.DataFrame, *, algorithm: Algorithm = "xxh3_128", threads: int | None = None
) -> Fingerprint:
    """The content of a frame: column names, data types and values in order.

    Args:
        frame: Any frame; nothing of it is changed.
        algorithm: ``"xxh3_128"`` or ``"sha256"``.
        threads: Columns hashed at once; the number of processors by default. Never changes the hash.

    Raises:
        Uncacheable: If a column holds Python objects or a data type that is not known.
    """
    columns = frame.get_columns()
    count = min(threads or os.cpu_count() or 1, len(columns))
    if count < 2 or frame.height < 10_000:
        hashes = [_column(column, algorithm) for column in columns]
    else:
        with ThreadPoolExecutor(count) as pool:
            hashes = list(pool.map(lambda column: _column(column, algorithm), columns))
    schema = [[name, dtype_part(dtype, name)] for name, dtype in frame.schema.items()]
    parts = {"schema": hash_parts("schema", schema, algorithm=algorithm)}
    parts.update({f"column {name}": value for name, value in zip(frame.columns, hashes, strict=True)})
    key = hash_parts("frame", FRAME_VERSION, frame.height, schema, hashes, algorithm=algorithm)
    return Fingerprint(key, parts)


def fingerprint_series(series: pl.Series, *, algorithm: Algorithm = "xxh3_128") -> str:
    """The content of a Series: name, data type and values.

    Raises:
        Uncacheable: As :func:`fingerprint_frame`.
    """
    named = [series.name, dtype_part(series.dtype, series.name)]
    return hash_parts("series", FRAME_VERSION, named, _column(series, algorithm), algorithm=algorithm)


def dtype_part(dtype: Any, name: str = "") -> Part:
    """A data type as plain values: everything that tells it from others, and nothing else.

    Args:
        dtype: A Polars data type, or the class of one.
        name: The column, for the reason.

    Raises:
        Uncacheable: If it is not known.
    """
    base = dtype.base_type()
    kind = str(base)
    if base in _PARAMETERLESS or (isinstance(dtype, type) and base not in (pl.Object, pl.Unknown)):
        return (kind,)
    if isinstance(dtype, pl.Datetime):
        return (kind, dtype.time_unit, dtype.time_zone)
    if isinstance(dtype, pl.Duration):
        return (kind, dtype.time_unit)
    if isinstance(dtype, pl.Decimal):
        return (kind, dtype.precision, dtype.scale)
    if isinstance(dtype, pl.Enum):
        return (kind, dtype.categories.to_list())
    if isinstance(dtype, pl.Categorical):
        kinds = dtype.categories
        return (kind, kinds.name(), kinds.namespace(), str(kinds.physical()))
    if isinstance(dtype, pl.List):
        return (kind, dtype_part(dtype.inner, name))
    if isinstance(dtype, pl.Array):
        return (kind, dtype.shape[0], dtype_part(dtype.inner, name))
    if isinstance(dtype, pl.Struct):
        return (kind, [[f.name, dtype_part(f.dtype, name)] for f in dtype.fields])
    if isinstance(dtype, pl.Map):
        return (kind, dtype_part(dtype.key, name), dtype_part(dtype.value, name))
    if isinstance(dtype, pl.BaseExtension):
        return ("Extension", dtype.ext_name(), dtype.ext_metadata(), dtype_part(dtype.ext_storage(), name))
    raise Uncacheable(f"column {name!r} has the data type {dtype}, whose content has no defined form")


_PARAMETERLESS: Final = frozenset(
    (
        *(pl.Boolean, pl.Null, pl.String, pl.Binary, pl.Date, pl.Time, pl.Float16, pl.Float32, pl.Float64),
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128),
        *(pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.UInt128),
    )
)


def _column(series: pl.Series, algorithm: Algorithm) -> str:
    stream = _Stream(series.name, series.dtype, algorithm)
    for block in _blocks(series.alias("")):  # a name that begins with "^" would be read as a pattern
        stream.update(block)
    return hash_parts("column", stream.digest(), algorithm=algorithm)


def _blocks(series: pl.Series) -> Iterator[pl.Series]:
    rows = len(series)
    width = series.estimated_size() / rows if rows else 1
    step = max(1, min(_BLOCK_ROWS, int(_BLOCK_BYTES / max(width, 1))))
    for start in range(0, rows, step):
        yield series.slice(start, step)


class _Stream:
    """The running hashes of one column, or of the members of a nested one."""

    def __init__(self, name: str, dtype: Any, algorithm: Algorithm) -> None:
        self.name = name
        self.dtype = dtype
        self.rows = 0
        self.nulls: Hasher = new_hasher(algorithm)
        self.hashers: list[Hasher] = []
        self.inner: list[_Stream] = []
        if isinstance(dtype, pl.List | pl.Array):
            self.inner = [_Stream(name, dtype.inner, algorithm)]
        if isinstance(dtype, pl.Struct):
            self.inner = [_Stream(name, f.dtype, algorithm) for f in dtype.fields]
        if isinstance(dtype, pl.Map):
            pairs = pl.List(pl.Struct({"key": dtype.key, "value": dtype.value}))
            self.inner = [_Stream(name, pairs, algorithm)]
        if isinstance(dtype, pl.BaseExtension):
            self.inner = [_Stream(name, dtype.ext_storage(), algorithm)]
        if not isinstance(dtype, pl.Null | pl.Struct | pl.Map | pl.BaseExtension):
            self.hashers = [new_hasher(algorithm) for _ in range(2)]

    def update(self, block: pl.Series) -> None:
        if isinstance(self.dtype, pl.Null):
            self.rows += len(block)
            return
        if block.null_count():
            self._buffer(self.nulls, (block.is_null().arg_true().cast(pl.UInt64) + self.rows))
        self.rows += len(block)
        for buffer, hasher in zip(self._values(block), self.hashers, strict=False):
            self._buffer(hasher, buffer)

    def _values(self, block: pl.Series) -> Iterable[pl.Series]:
        """The fixed-width streams of a block, after its members went to the inner streams."""
        dtype = self.dtype
        if dtype == pl.Boolean:
            return (block.fill_null(value=False).cast(pl.UInt8),)
        if isinstance(dtype, pl.Categorical):
            return _contents(block.cast(pl.String).cast(pl.Binary))
        if dtype == pl.String:
            return _contents(block.cast(pl.Binary))
        if dtype == pl.Binary:
            return _contents(block)
        if isinstance(dtype, _PLAIN):
            values = block.to_physical().fill_null(0)
            return (values.fill_nan(float("nan")) if values.dtype.is_float() else values,)
        if isinstance(dtype, _WIDE):
            return _halves(block)
        if isinstance(dtype, pl.List):
            self.inner[0].update(block.explode(empty_as_null=False, keep_nulls=False))
            return (block.list.len().fill_null(0).cast(pl.UInt64),)
        if isinstance(dtype, pl.Array):
            filled = block.drop_nulls()
            if dtype.shape[0] and len(filled):
                self.inner[0].update(filled.explode(empty_as_null=False, keep_nulls=False))
            return ()
        if isinstance(dtype, pl.Struct):
            filled = block.drop_nulls()
            for field, inner in zip(dtype.fields, self.inner, strict=True):
                inner.update(filled.struct.field(field.name))
            return ()
        if isinstance(dtype, pl.Map):
            self.inner[0].update(block.cast(self.inner[0].dtype))
            return ()
        if isinstance(dtype, pl.BaseExtension):
            self.inner[0].update(block.ext.storage())
            return ()
        raise Uncacheable(f"column {self.name!r} has the data type {dtype}, whose content has no defined form")

    def _buffer(self, hasher: Hasher, values: pl.Series) -> None:
        """Feed the bytes of a column without nulls; Binary gives its contents end to end."""
        for chunk in values.get_chunks():
            array: Any = chunk.to_arrow()
            if not len(array):
                continue
            buffers = array.buffers()
            if values.dtype == pl.Binary:
                width, offsets = 1, memoryview(buffers[1]).cast("q")
                start, stop = offsets[array.offset], offsets[array.offset + len(array)]
            else:
                width = array.type.bit_width // 8
                start, stop = array.offset, array.offset + len(array)
            if stop > start:
                hasher.update(memoryview(buffers[-1])[start * width : stop * width])

    def digest(self) -> Part:
        return (
            dtype_part(self.dtype, self.name),
            self.rows,
            self.nulls.hexdigest(),
            [h.hexdigest() for h in self.hashers],
            [inner.digest() for inner in self.inner],
        )


def _contents(block: pl.Series) -> tuple[pl.Series, pl.Series]:
    filled = block.fill_null(b"")
    return filled.bin.size().cast(pl.UInt64), filled


def _halves(block: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The low and the high 64 bits of 128-bit integers, which Arrow cannot carry."""
    whole = block.to_physical().fill_null(0)
    high = whole // pl.Series([1 << 64], dtype=whole.dtype)
    low = whole - high * pl.Series([1 << 64], dtype=whole.dtype)
    return low.cast(pl.UInt64), high.cast(pl.UInt64 if whole.dtype == pl.UInt128 else pl.Int64)
