"""Upkeep of a store: what it holds, whether it is whole, and what can go.

Takes a layout, gives counts and lists. Deletes only inside the store, and only what it lists.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from timefence_pl.choices import boolean, shortened
from timefence_pl.durations import DurationLike, parse_duration
from timefence_pl.errors import TimefenceConfigError, TimefenceStoreError, message
from timefence_pl.store.builds import NO_MANIFEST, damaged_builds, list_builds
from timefence_pl.store.features import Entry, check_entry, list_entries, set_aside, unreadable_entries
from timefence_pl.store.files import has_hash, is_temporary
from timefence_pl.store.layout import Layout

__all__ = ["Garbage", "Problem", "cache_info", "collect_garbage", "is_old", "verify_store"]

# A live writer's temporary files and folders are left alone.
_ABANDONED_SECONDS: Final = 3_600.0


@dataclass(frozen=True)
class Problem:
    """Something in the store, or that a build wrote, that is not what its record says."""

    what: str
    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.what} {self.path}: {self.reason}"


@dataclass(frozen=True)
class Garbage:
    """What a collection removed, or would remove.

    Attributes:
        paths: Files and folders.
        bytes: Their size.
        dry_run: Whether they are still there.
    """

    paths: tuple[Path, ...]
    bytes: int
    dry_run: bool

    def __str__(self) -> str:
        verb = "would free" if self.dry_run else "freed"
        return f"{len(self.paths)} item(s), {verb} {self.bytes:,} bytes"


def cache_info(layout: Layout) -> dict[str, Any]:
    """Counts and sizes: ``entries``, ``bytes``, ``builds``, ``features`` (entries by feature name), ``set_aside``."""
    entries = list_entries(layout)
    names: dict[str, int] = {}
    for entry in entries:
        names[entry.record["feature"]] = names.get(entry.record["feature"], 0) + 1
    aside = list(layout.aside.iterdir()) if layout.aside.is_dir() else []
    return {
        "path": str(layout.root),
        "entries": len(entries),
        "bytes": sum(e.record["bytes"] for e in entries),
        "builds": len(list_builds(layout)),
        "features": dict(sorted(names.items())),
        "set_aside": len(aside),
    }


def verify_store(layout: Layout, *, repair: bool = False) -> list[Problem]:
    """Check every record, every entry's bytes and every build's files against their records.

    A file that a later build of this store wrote again is what that one says, no longer what an earlier one does.

    Args:
        layout: The store.
        repair: Set damaged entries aside, so that the next build makes them again.
    """
    boolean(repair, "repair")
    damaged = dict.fromkeys(unreadable_entries(layout), "its record cannot be read")
    for entry in list_entries(layout):
        reason = check_entry(entry.path, entry.record)
        if reason is not None:
            damaged[entry.path] = reason
    if repair:
        for entry_file in damaged:
            set_aside(layout, entry_file)
    problems = [Problem("cache entry", entry_file, reason) for entry_file, reason in damaged.items()]
    problems += [Problem("build", folder, reason) for folder, reason in _damaged_builds(layout).items()]
    replaced: set[str] = set()
    for manifest in list_builds(layout):  # newest first
        written: set[str] = set()
        splits = manifest.get("splits")
        for record in (manifest.get("output"), *(splits if isinstance(splits, list) else ())):
            path = record.get("path") if isinstance(record, dict) else None
            if not path or not isinstance(path, str):
                continue
            place = os.path.realpath(path) if "\0" not in path else path
            if place in replaced:
                continue
            written.add(place)
            changed = _changed(Path(path), record)
            if changed is not None:
                problems.append(Problem(f"output of build {manifest['build_id']}", Path(path), changed))
        if manifest.get("created_at"):  # one that was saved without says nothing about what came later
            replaced |= written
    return problems


def collect_garbage(
    layout: Layout,
    *,
    keep_builds: int | None = None,
    max_size: int | None = None,
    older_than: DurationLike | None = None,
    dry_run: bool = True,
) -> Garbage:
    """Remove what is not needed: abandoned temporary files, damaged entries, and what the limits say.

    Args:
        layout: The store.
        keep_builds: Keep this many newest builds, and none that is damaged; all where None.
        max_size: Remove the oldest cache entries until the rest has at most this many bytes.
        older_than: Remove cache entries made longer ago.
        dry_run: Only say what would go.

    Raises:
        TimefenceConfigError: For invalid limits.
    """
    boolean(dry_run, "dry_run")
    for name, limit in (("keep_builds", keep_builds), ("max_size", max_size)):
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            raise TimefenceConfigError(message(f"{name}={shortened(limit)} is not a count.", fix="Give 0 or more."))
    age = parse_duration(older_than, name="older_than")
    if age is not None and age.integer:
        raise TimefenceConfigError(message(f"older_than={shortened(older_than)} has no unit.", fix='As in "30d".'))
    paths: list[Path] = [*_abandoned(layout)]
    entries = sorted(list_entries(layout), key=lambda e: str(e.record.get("created_at")))
    doomed = {e.path for e in entries if age is not None and _age_ns(e) > age.amount}
    if max_size is not None:
        left = sum(e.record["bytes"] for e in entries if e.path not in doomed)
        for entry in entries:
            if left <= max_size:
                break
            if entry.path not in doomed:
                doomed.add(entry.path)
                left -= entry.record["bytes"]
    for entry in entries:
        if entry.path in doomed:
            paths += [layout.record(entry.path), entry.path]  # the record first: then the entry does not exist
    for path in unreadable_entries(layout):
        paths += [layout.record(path), *([path] if path.exists() else [])]
    recorded = {e.path for e in entries} | set(paths)
    if layout.features.is_dir():
        paths += [
            p for p in layout.features.glob("*.parquet") if p not in recorded and not is_temporary(p) and is_old(p)
        ]
    if layout.aside.is_dir():
        paths += sorted(layout.aside.rglob("*"), reverse=True)  # what is in a folder before it
    if keep_builds is not None:
        folders = [layout.build(str(m["build_id"])) for m in list_builds(layout)[keep_builds:]]
        folders += [f for f in _damaged_builds(layout) if f not in folders]
        for folder in folders:
            paths += (
                [*sorted(folder.rglob("*"), reverse=True), folder] if folder is not None and folder.is_dir() else []
            )
    size = sum(_size(p) for p in paths)
    if not dry_run:
        for path in paths:
            _remove(path)
    return Garbage(tuple(paths), size, dry_run)


def _changed(path: Path, record: dict[str, Any]) -> str | None:
    try:
        if path.stat().st_size != record.get("file_size_bytes"):
            return "its size has changed"
        if not has_hash(path, record.get("content_hash")):
            return "its bytes have changed"
    except OSError as error:
        return error.strerror or "it cannot be read"
    except ValueError:
        return "its path is not valid"
    return None


def _damaged_builds(layout: Layout) -> dict[Path, str]:
    """Builds that are not as they were written; not those that may be being written."""
    return {f: why for f, why in damaged_builds(layout).items() if why != NO_MANIFEST or is_old(f)}


def _abandoned(layout: Layout) -> Iterable[Path]:
    # Passes over folders that vanish meanwhile, as those of publications do.
    named = (Path(folder) / name for folder, _, names in os.walk(layout.root) for name in names)
    return [p for p in named if is_temporary(p) and p.is_file() and is_old(p)]


def is_old(path: Path) -> bool:
    """Whether a file or folder that nobody finishes is to be taken for abandoned: nothing was put in it for an hour."""
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False


def _age_ns(entry: Entry) -> int:
    try:
        made = datetime.fromisoformat(str(entry.record["created_at"]))
    except (KeyError, ValueError):
        return 0
    return int((datetime.now(UTC) - made).total_seconds() * 1e9)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
    except FileNotFoundError:  # another has removed it
        return 0


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    except FileNotFoundError:  # another has removed it
        return
    except OSError as error:
        raise TimefenceStoreError(
            message(f"{str(path)!r} cannot be removed: {error.strerror}.", fix="Check the store's permissions.")
        ) from error
