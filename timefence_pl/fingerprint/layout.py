"""The layout of a serialized plan, as Polars 2.1 writes it.

Takes bytes and decoded MessagePack, gives the pieces. A plan is a header (``DSL_VERSION``, two 16-bit numbers, 64
hexadecimal digits of a schema's hash) and MessagePack of nodes, of frames, and of the root's number. Nodes and frames
stand in slots and refer to each other by slot and version; a frame or series is an Arrow IPC stream. An expression is
MessagePack alone. Hashes nothing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import polars as pl

from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.msgpack import UnknownLayoutError

__all__ = ["after_header", "entry_of", "is_reference", "output_name", "read_frame", "unknown", "variant_of"]

_MAGIC: Final = b"DSL_VERSION"
_HEADER: Final = len(_MAGIC) + 4 + 64


def after_header(data: bytes) -> int:
    """Where the MessagePack of a plan starts.

    Raises:
        UnknownLayoutError: If the bytes are no plan.
    """
    if not data.startswith(_MAGIC) or len(data) < _HEADER:
        unknown("there is no DSL_VERSION")
    return _HEADER


def unknown(what: str) -> NoReturn:
    """Refuse a layout."""
    raise UnknownLayoutError(what)


def is_reference(value: Any) -> bool:
    """Whether a value stands for a node or frame in a slot."""
    return isinstance(value, dict) and set(value) == {"idx", "version"}


def entry_of(slots: list[Any], reference: Mapping[str, Any]) -> Any:
    """What a reference stands for."""
    slot = slots[reference["idx"]]
    if slot["version"] != reference["version"] or slot["value"] is None:
        unknown("a reference leads to nothing")
    return slot["value"]


def variant_of(node: Any) -> tuple[str, dict[str, Any]]:
    """The name of a node, and its fields."""
    if isinstance(node, dict) and len(node) == 1:
        ((kind, fields),) = node.items()
        if isinstance(fields, dict):
            return kind, fields
    unknown("a node has no name or no fields")


def read_frame(data: bytes | None) -> pl.DataFrame:
    """A frame, or a series as a frame of one column.

    Raises:
        Uncacheable: If the bytes are something else.
    """
    try:
        return pl.DataFrame.deserialize(io.BytesIO(data or b""))
    except Exception as error:
        raise Uncacheable("the plan holds a frame in a layout that is not known") from error


def output_name(value: Any) -> str:
    """The output column of an expression, as far as it is plain to see."""
    while isinstance(value, dict) and value:
        kind, fields = next(iter(value.items()))
        if kind == "Column":
            return str(fields)
        if kind == "Alias" and isinstance(fields, list):
            return str(fields[-1])
        value = fields
        for name in ("left", "input", "expr", "function", "truthy"):
            if isinstance(fields, dict) and name in fields:
                value = fields[name]
                break
        if isinstance(value, list):
            value = value[0] if value else None
    return ""
