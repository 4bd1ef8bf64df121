"""Cached feature frames: a Parquet file and, written last, its record.

Takes frames and plain records, gives lazy scans of entries that are whole. An entry without a readable record, or whose
bytes are not those of its record, does not exist; a damaged one is set aside.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from timefence_pl.store.files import (
    has_hash,
    hash_file,
    is_temporary,
    refused_by_file_system,
    whole_files,
    write_whole,
    writes_of_polars,
)
from timefence_pl.store.layout import STORE_FORMAT, Layout
from timefence_pl.store.records import sealed, unsealed

__all__ = [
    "Entry",
    "EntryProblem",
    "check_entry",
    "find_entry",
    "list_entries",
    "put_entry",
    "set_aside",
    "stamp_of",
    "unreadable_entries",
]

#: Rows that compression is tried on, and the share of their size below which it pays.
_SAMPLE: Final = 1 << 16
_SMALLER: Final = 0.9


@dataclass(frozen=True)
class Entry:
    """A whole cached frame.

    Attributes:
        path: Its Parquet file.
        record: What was recorded of it.
    """

    path: Path
    record: Mapping[str, Any]

    def scan(self) -> pl.LazyFrame:
        """Its columns, lazily, in stored order."""
        return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)


@dataclass(frozen=True)
class EntryProblem:
    """An entry that is there but not whole.

    Attributes:
        path: Its Parquet file.
        reason: What is wrong with it.
    """

    path: Path
    reason: str


def put_entry(layout: Layout, name: str, key: str, frame: pl.DataFrame, facts: Mapping[str, Any]) -> Entry:
    """Store a frame under a key; of two writers both succeed and one entry remains.

    Args:
        layout: The store.
        name: The feature's name.
        key: Its key.
        frame: The columns.
        facts: What else to record: anything JSON holds.

    Raises:
        TimefenceStoreError: If the file system refuses.
    """
    path = layout.feature(name, key)
    with whole_files() as files:
        written = files.new(path)
        with writes_of_polars("A cache entry"):
            frame.write_parquet(written, compression=_compression(frame), statistics=False, row_group_size=1 << 20)
        record = {
            **facts,
            "store_format": STORE_FORMAT,
            "feature": name,
            "key": key,
            "bytes": written.stat().st_size,
            "content_hash": hash_file(written, key.partition(":")[0]),
            "schema": {n: str(t) for n, t in frame.schema.items()},
            "created_at": datetime.now(UTC).isoformat(),
        }
    try:
        write_whole(layout.record(path), sealed(record, algorithm=key.partition(":")[0]))
    except OSError as error:
        raise refused_by_file_system(error, "A cache record") from error
    return Entry(path, record)


def _compression(frame: pl.DataFrame) -> Literal["lz4", "uncompressed"]:
    """LZ4 where it makes rows from the middle of a frame smaller; else it would only be undone at each reading."""
    some = frame.slice(max(frame.height - _SAMPLE, 0) // 2, _SAMPLE)
    sizes = []
    for compression in ("lz4", "uncompressed"):
        file = io.BytesIO()
        some.write_parquet(file, compression=compression, statistics=False)
        sizes.append(file.tell())
    return "lz4" if sizes[0] < _SMALLER * sizes[1] else "uncompressed"


def find_entry(layout: Layout, name: str, key: str) -> Entry | EntryProblem | None:
    """The entry of a key, checked: record, size and hash; None where there is none."""
    path = layout.feature(name, key)
    record = _record(layout.record(path))
    if record is None:
        return EntryProblem(path, "its record cannot be read") if layout.record(path).exists() else None
    if record.get("key") != key or record.get("feature") != name:
        return EntryProblem(path, "its record is another's")
    problem = check_entry(path, record)
    return Entry(path, record) if problem is None else EntryProblem(path, problem)


def check_entry(path: Path, record: Mapping[str, Any]) -> str | None:
    """What is wrong with an entry's bytes; None where they are those of its record."""
    try:
        if path.stat().st_size != record["bytes"]:
            return f"it has {path.stat().st_size} bytes, not {record['bytes']}"
        if not has_hash(path, record["content_hash"]):
            return "its bytes have changed"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None


def stamp_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another that was put in its place; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def list_entries(layout: Layout) -> list[Entry]:
    """All entries with a readable record, unchecked."""
    if not layout.features.is_dir():
        return []
    entries = []
    for record_path in sorted(layout.features.glob("*.json")):
        record = _record(record_path)
        if record is not None and not is_temporary(record_path):
            entries.append(Entry(record_path.with_suffix(".parquet"), record))
    return entries


def unreadable_entries(layout: Layout) -> list[Path]:
    """The files of entries whose records cannot be read."""
    if not layout.features.is_dir():
        return []
    records = sorted(p for p in layout.features.glob("*.json") if not is_temporary(p))
    # One that is gone by now is another's doing: what stands there later is an entry.
    return [p.with_suffix(".parquet") for p in records if _record(p) is None and p.exists() and _record(p) is None]


def set_aside(layout: Layout, path: Path) -> None:
    """Move a damaged entry where nothing finds it; the record goes first, so that it stops existing at once."""
    for file in (layout.record(path), path):
        try:
            layout.aside.mkdir(parents=True, exist_ok=True)
            file.replace(layout.aside / f"{uuid.uuid4().hex[:8]}_{file.name}")
        except OSError:
            continue


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = unsealed(path.read_bytes())
    except OSError:
        return None
    needed = {"store_format", "feature", "key", "bytes", "content_hash", "rows", "narrow", "duplicates"}
    if record is None or not needed <= record.keys() or record["store_format"] != STORE_FORMAT:
        return None
    return record if isinstance(record["feature"], str) and isinstance(record["bytes"], int) else None
