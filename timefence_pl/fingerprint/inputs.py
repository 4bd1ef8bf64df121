"""The files a plan reads.

Takes a lazy frame, gives the paths of its scans as they are spelled, or a plan that looks for them again. Runs nothing,
and gives what it finds where a plan's layout is not wholly known.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from timefence_pl.fingerprint.files import local_path
from timefence_pl.fingerprint.msgpack import UnknownLayoutError, unpack

__all__ = ["reread", "scanned_paths"]

_MAGIC: Final = b"DSL_VERSION"
_HEADER: Final = len(_MAGIC) + 4 + 64


def scanned_paths(plan: pl.LazyFrame) -> list[str]:
    """Paths, folders and patterns of all scans in a plan, those of joined frames included."""
    if not _scans(plan):
        return []  # serializing would copy every frame in memory
    try:
        data = plan.serialize()
        content, _ = unpack(bytes(data or b""), _HEADER)
    except (pl.exceptions.PolarsError, UnknownLayoutError, IndexError, TypeError, ValueError):
        return []
    return [local_path(path) for path in _paths(content)]


def reread(plan: pl.LazyFrame, beside: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """The same plan over the files that are there now.

    What Polars found out of files when a scan first ran, their names and lengths, it keeps with the scan, which gives
    old rows, or fails, once they have changed. A plan that cannot be serialized is given back as it is.

    Args:
        plan: The plan.
        beside: A plan that it is made of, whose own scans are new.
    """
    try:
        if _scans(plan) <= (0 if beside is None else _scans(beside)):
            return plan
        return pl.LazyFrame.deserialize(io.BytesIO(plan.serialize() or b""))
    except Exception:  # noqa: BLE001 - whatever a user's function raises while it is pickled
        return plan


def _scans(plan: pl.LazyFrame) -> int:
    """How many scans of files a plan has."""
    return f" {plan.explain(optimized=False)}".count(" SCAN ")


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
