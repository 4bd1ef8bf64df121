"""MessagePack to plain values, as much of it as Polars writes.

Takes bytes, gives dictionaries, lists and scalars. Long arrays of small integers, which is how serde writes bytes,
become :class:`ByteArray`. Knows nothing of what the values mean.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final

import polars as pl

__all__ = ["ByteArray", "UnknownLayoutError", "as_bytes", "unpack"]

_FIXED: Final = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_SIZED: Final = {  # tag: kind, bytes of the length
    0xC4: ("bin", 1),
    0xC5: ("bin", 2),
    0xC6: ("bin", 4),
    0xD9: ("str", 1),
    0xDA: ("str", 2),
    0xDB: ("str", 4),
    0xDC: ("array", 2),
    0xDD: ("array", 4),
    0xDE: ("map", 2),
    0xDF: ("map", 4),
}
_SIMPLE: Final = {0xC0: None, 0xC2: False, 0xC3: True}
# Arrays from here on are tried as bytes; shorter ones stay lists.
_LONG: Final = 64
_BLOCK: Final = 1 << 20
#: Arrays up to here are read without Arrow.
_SHORT: Final = 1 << 16
_BYTES: Final = re.compile(rb"(?:[\x00-\x7f]|\xcc[\x80-\xff])*+")
_MARKED: Final = re.compile(rb"\xcc([\x80-\xff])")


class UnknownLayoutError(ValueError):
    """Bytes that are not the MessagePack that is known here."""


class ByteArray(bytes):
    """An array of integers below 256."""


def unpack(data: bytes, start: int = 0) -> tuple[Any, int]:
    """The value that starts at ``start``, and where it ends.

    Raises:
        UnknownLayoutError: If the bytes end early, or hold what Polars does not write.
    """
    stack: list[tuple[list[Any], int, bool]] = []  # members so far, members in all, whether a map
    position = start
    while True:
        try:
            value, position, count, is_map = _item(data, position)
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise UnknownLayoutError(f"the value at byte {position} is broken") from error
        if count:
            stack.append(([], count, is_map))
            continue
        while stack:
            members, size, of_map = stack[-1]
            members.append(value)
            if len(members) < size:
                break
            stack.pop()
            value = _mapping(members) if of_map else members
        else:
            return value, position


def as_bytes(value: Any) -> bytes | None:
    """Bytes that were written as an array of integers or as they are; None for anything else."""
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, list) and value and all(type(v) is int and 0 <= v < 256 for v in value):
        return bytes(value)
    return None


def _item(data: bytes, position: int) -> tuple[Any, int, int, bool]:
    """A scalar or empty container; or, for a container, how many items follow it, and whether it is a map."""
    tag = data[position]
    position += 1
    if tag < 0x80:
        return tag, position, 0, False
    if tag >= 0xE0:
        return tag - 0x100, position, 0, False
    if tag in _SIMPLE:
        return _SIMPLE[tag], position, 0, False
    if tag in _FIXED:
        (value,) = struct.unpack_from(_FIXED[tag], data, position)
        return value, position + struct.calcsize(_FIXED[tag]), 0, False
    if tag < 0x90:
        kind, size = "map", tag & 0x0F
    elif tag < 0xA0:
        kind, size = "array", tag & 0x0F
    elif tag < 0xC0:
        kind, size = "str", tag & 0x1F
    elif tag in _SIZED:
        kind, width = _SIZED[tag]
        size = int.from_bytes(data[position : position + width], "big")
        position += width
    else:
        raise UnknownLayoutError(f"the tag {tag:#x} at byte {position - 1} is not known")
    if kind in ("str", "bin"):
        content = data[position : position + size]
        if len(content) < size:
            raise UnknownLayoutError("the bytes end early")
        return (content.decode() if kind == "str" else content), position + size, 0, False
    if not size:
        return ({} if kind == "map" else []), position, 0, False
    if kind == "array" and size >= _LONG:
        found = _byte_array(data, position, size)
        if found is not None:
            return found[0], found[1], 0, False
    return None, position, size * 2 if kind == "map" else size, kind == "map"


def _mapping(members: list[Any]) -> dict[Any, Any]:
    names = members[::2]
    if not all(type(name) is str for name in names):
        raise UnknownLayoutError("a map has keys that are not text")
    return dict(zip(names, members[1::2], strict=True))


def _short_byte_array(data: bytes, position: int, size: int) -> tuple[ByteArray, int] | None:
    """The same without Arrow, whose loading takes longer than reading most plans."""
    encoded = _BYTES.match(data, position, min(position + 2 * size, len(data)))
    values = _MARKED.sub(rb"\1", encoded[0]) if encoded else b""
    if len(values) < size:
        return None
    values = values[:size]
    return ByteArray(values), position + size + sum(value >= 0x80 for value in values)


def _byte_array(data: bytes, position: int, size: int) -> tuple[ByteArray, int] | None:
    """``size`` integers below 256, all at once; None if they are anything else.

    Values below 128 are one byte, others 0xCC and the value: so among bytes from 128 up, every other one, from the
    first on, is a marker.
    """
    if size <= _SHORT:
        return _short_byte_array(data, position, size)
    found: list[bytes] = []
    parity = 0  # 1 where the last block ended on a marker
    import pyarrow as pa  # noqa: PLC0415 - half of this module's cost, and few plans hold long arrays

    view = pa.py_buffer(data)
    while size:
        part = view.slice(position, min(_BLOCK, 2 * size, len(data) - position))
        if not part.size:
            return None
        block = pl.Series(pa.Array.from_buffers(pa.uint8(), part.size, [None, part]))
        high = block >= 0x80
        marker = high & ((high.cast(pl.UInt32).cum_sum() + parity) & 1).cast(pl.Boolean)
        if len(block) - int(marker.sum() or 0) > size:
            end = int((~marker).cast(pl.UInt32).cum_sum().search_sorted(size)) + 1
            block, marker = block.slice(0, end), marker.slice(0, end)
        if (block.filter(marker) != 0xCC).any():
            return None
        values: Any = block.filter(~marker).to_arrow()
        found.append(values.buffers()[1].slice(values.offset, len(values)).to_pybytes())
        size -= len(values)
        position += len(block)
        parity = int(marker[-1])
    return ByteArray(b"".join(found)), position
