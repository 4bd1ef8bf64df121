"""Builds on disk: one folder each, with its manifest and a link to the output.

Takes manifests, gives them back. A manifest that cannot be read is passed over, never an error.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from timefence_pl.choices import shortened
from timefence_pl.errors import TimefenceStoreError, message
from timefence_pl.store.files import refused_by_file_system, write_whole
from timefence_pl.store.layout import STORE_FORMAT, Layout
from timefence_pl.store.records import is_sealed, sealed

__all__ = ["NO_MANIFEST", "damaged_builds", "list_builds", "read_build", "save_build"]

#: What is wrong with a build whose manifest is not written, or not yet.
NO_MANIFEST: Final = "it has no manifest"


def save_build(layout: Layout, manifest: Mapping[str, Any], algorithm: str = "xxh3_128") -> Path:
    """Write a build's manifest under its ``build_id``; the folder is claimed by creation, so ids stay unique.

    Returns:
        The path of ``build.json``.

    Raises:
        TimefenceStoreError: If the id is no valid name or taken, or the file system refuses.
    """
    if not isinstance(manifest, Mapping) or not all(isinstance(n, str) for n in manifest):
        raise TimefenceStoreError(
            message(f"{shortened(manifest)} is not a manifest.", fix="Give the manifest of a BuildResult.")
        )
    output = manifest.get("output") or {}
    if not isinstance(output, Mapping) or not isinstance(output.get("path") or "", str):
        raise TimefenceStoreError(
            message(
                f"The output of a manifest is {shortened(manifest['output'])}, not a record.",
                fix='Give {"path": ...}, or the manifest of a BuildResult.',
            )
        )
    build_id = manifest.get("build_id") or f"build-{uuid.uuid4().hex}"
    folder = layout.build(build_id) if isinstance(build_id, str) else None
    if folder is None:
        raise TimefenceStoreError(
            message(f"{build_id!r} is not a valid build id.", fix="Use letters, digits, '_', '.' and '-'.")
        )
    path = folder / "build.json"
    record = {**manifest, "build_id": build_id, "store_format": STORE_FORMAT, "manifest_path": str(path)}
    data = sealed(record, indent=True, algorithm=algorithm)
    try:
        layout.builds.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError as error:
        raise TimefenceStoreError(
            message(f"The build {build_id!r} is in the store already.", fix="Give a new id.")
        ) from error
    except OSError as error:
        raise refused_by_file_system(error, "The manifest") from error
    whole = False
    try:
        written = Path(str(output.get("path") or ""))
        if written.name and written.is_file():
            _link(written, folder / written.name)
        write_whole(path, data)
        whole = True
    except OSError as error:
        raise refused_by_file_system(error, "The manifest") from error
    finally:
        if not whole:  # so that the id can be given again
            shutil.rmtree(folder, ignore_errors=True)
    return path


def read_build(layout: Layout, build_id: str) -> dict[str, Any] | None:
    """A build's manifest; None where there is none, or none that can be read."""
    folder = layout.build(build_id)
    return None if folder is None else _read(folder / "build.json")


def damaged_builds(layout: Layout) -> dict[Path, str]:
    """By folder, what is wrong with the builds whose manifests cannot be read, or are not as they were written."""
    if not layout.builds.is_dir():
        return {}
    found: dict[Path, str] = {}
    for folder in sorted(f for f in layout.builds.iterdir() if f.is_dir() and not f.is_symlink()):
        there = (folder / "build.json").exists()  # before it is read: it may be written just now
        manifest = _read(folder / "build.json")
        if manifest is None:
            found[folder] = "its manifest cannot be read" if there else NO_MANIFEST
        elif not is_sealed(manifest):
            found[folder] = "its manifest has changed"
    return found


def list_builds(layout: Layout) -> list[dict[str, Any]]:
    """All readable manifests of ours, newest first."""
    if not layout.builds.is_dir():
        return []
    found = [_read(folder / "build.json") for folder in layout.builds.iterdir()]
    return sorted(
        (m for m in found if m is not None), key=lambda m: (str(m.get("created_at")), str(m["build_id"])), reverse=True
    )


def _read(path: Path) -> dict[str, Any] | None:
    if path.parent.is_symlink():
        return None  # what it leads to is not the store's
    try:
        manifest = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(manifest, dict) or "store_format" not in manifest or manifest.get("build_id") != path.parent.name:
        return None
    return manifest


def _link(target: Path, link: Path) -> None:
    """A link to the output for people; where the file system has none, there is none."""
    try:
        link.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()))
    except OSError:
        return
