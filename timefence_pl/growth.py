"""Entries of a source that has only gained files since: what they hold need not be computed again.

Takes a feature, its fingerprint and a store, gives the entry that covers the most of the source's first files, and the
files that it does not cover. Reads records and file hashes, never rows.

Only what is computed row by row can be continued, and only behind the files that were there: the order of files settles
ties. Availability, tie breakers and hive partitions are read from more than the rows' own files, and are left out; so are
files whose types are told from others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.sql_source import SQLSource
from timefence_pl.definitions.window import Window
from timefence_pl.fingerprint import FileHasher, Fingerprint
from timefence_pl.plan.expressions import is_row_wise
from timefence_pl.store.features import Entry, find_entry, list_entries
from timefence_pl.store.layout import Layout

__all__ = ["Growth", "find_growth"]

_CONTENT = "source: rows: content"
#: Parts of a key that must be as they were.
_SAME = ("plan", "source: rows: format", "source: rows: options", "source: timestamp_format")


@dataclass(frozen=True)
class Growth:
    """An entry of a source's first files, and the files behind them.

    Attributes:
        entry: The entry, whole.
        files: The new files, in reading order.
    """

    entry: Entry
    files: tuple[str, ...]


def find_growth(layout: Layout, feature: AnyFeature, fingerprint: Fingerprint, hasher: FileHasher) -> Growth | None:
    """The entry that covers the most of a source's first files; None where there is none to go on from.

    Args:
        layout: The store.
        feature: The feature.
        fingerprint: Its fingerprint over the source as it is now.
        hasher: For the source's files.
    """
    source = feature.source
    if isinstance(source, SQLSource) or not _is_row_wise(feature) or source.available_at or source.tie_breaker:
        return None
    files = source.table.local_files()
    if len(files) < 2 or source.table.reads_partitions():
        return None
    hashes = hasher.hash_all(files)
    # Names do not matter, as long as the bytes and their order are the same.
    beginnings = {hasher.combined(hashes[:n]): n for n in range(1, len(files))}
    found: list[tuple[int, Mapping[str, Any]]] = []
    for entry in list_entries(layout):
        parts = entry.record.get("parts")
        if entry.record["feature"] != feature.name or not isinstance(parts, dict):
            continue
        covered = beginnings.get(parts.get(_CONTENT, ""))
        if covered and all(parts.get(name) == fingerprint.parts.get(name) for name in _SAME):
            found.append((covered, entry.record))
    for covered, record in sorted(found, key=lambda f: -f[0]):
        if not source.table.read_alike(files[covered:]):
            continue
        whole = find_entry(layout, feature.name, record["key"])
        if isinstance(whole, Entry) and isinstance(whole.record.get("dropped"), int):
            return Growth(whole, tuple(files[covered:]))
    return None


def _is_row_wise(feature: AnyFeature) -> bool:
    """Whether each row of the feature's frame is computed from one row of the source."""
    if isinstance(feature, Window):
        return True  # the events themselves; ``where`` is row-wise, or the window is refused
    return feature.mode not in ("sql", "transform") and all(is_row_wise(e) for e in feature.exprs)
