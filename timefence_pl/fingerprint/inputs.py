"""The files a plan reads.

Takes a lazy frame, gives the paths of its scans as they are spelled. Runs nothing, and gives what it finds where a
plan's layout is not wholly known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from timefence_pl.fingerprint.files import local_path
from timefence_pl.fingerprint.msgpack import UnknownLayoutError, unpack

__all__ = ["scanned_paths"]

_MAGIC: Final = b"DSL_VERSION"
_HEADER: Final = len(_MAGIC) + 4 + 64


def scanned_paths(plan: pl.LazyFrame) -> list[str]:
    """Paths, folders and patterns of all scans in a plan, those of joined frames included."""
    if " SCAN " not in f" {plan.explain(optimized=False)}":
        return []  # serializing would copy every frame in memory
    try:
        data = plan.serialize()
        content, _ = unpack(bytes(data or b""), _HEADER)
    except (pl.exceptions.PolarsError, UnknownLayoutError, IndexError, TypeError, ValueError):
        return []
    return [local_path(path) for path in _paths(content)]


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        spelled = value.get("Paths")
        if isinstance(spelled, list):
            yield from (str(p["inner"]) if isinstance(p, dict) and "inner" in p else str(p) for p in spelled)
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _paths(inner)
