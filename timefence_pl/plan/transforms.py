"""Whether a transform stays lazy, from the names its code uses.

Takes a function, gives the name by which it would run a query or read a file at once. Runs nothing.
"""

from __future__ import annotations

from typing import Final

from timefence_pl.definitions.feature import Transform
from timefence_pl.fingerprint import names_used
from timefence_pl.fingerprint.keys import Uncacheable

__all__ = ["runs_at_once"]

_AT_ONCE: Final = frozenset(
    {
        *("collect", "collect_all", "collect_async", "collect_batches", "fetch", "describe"),
        *("read_parquet", "read_csv", "read_ipc", "read_ndjson", "read_json", "read_excel", "read_database", "open"),
    }
)


def runs_at_once(transform: Transform) -> str | None:
    """The name by which a transform runs a query or reads a file while it is planned; None where it seems lazy."""
    try:
        found = sorted(_AT_ONCE & names_used(transform))
    except Uncacheable:
        return None
    return found[0] if found else None
