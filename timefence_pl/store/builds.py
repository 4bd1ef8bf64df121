"""Builds on disk: one folder each, with its manifest and a link to the output.

Takes manifests, gives them back. A manifest that cannot be read is passed over, never an error.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from timefence_pl.choices import shortened
from timefence_pl.errors import TimefenceStoreError, message
from timefence_pl.store.files import refused_by_file_system, write_whole
from timefence_pl.store.layout import STORE_FORMAT, Layout
from timefence_pl.store.records import sealed

__all__ = ["list_builds", "read_build", "save_build"]


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
    build_id = manifest.get("build_id") or f"build-{uuid.uuid4().hex}"
    folder = layout.build(str(build_id))
    if folder is None:
        raise TimefenceStoreError(
            message(f"{build_id!r} is not a valid build id.", fix="Use letters, digits, '_', '.' and '-'.")
        )
    try:
        layout.builds.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        path = folder / "build.json"
        record = {**manifest, "build_id": build_id, "store_format": STORE_FORMAT, "manifest_path": str(path)}
        output = (manifest.get("output") or {}).get("path")
        if output and Path(output).is_file():
            _link(Path(output), folder / Path(output).name)
        write_whole(path, sealed(record, indent=True, algorithm=algorithm))
    except FileExistsError as error:
        raise TimefenceStoreError(
            message(f"The build {build_id!r} is in the store already.", fix="Give a new id.")
        ) from error
    except OSError as error:
        raise refused_by_file_system(error, "The manifest") from error
    return path


def read_build(layout: Layout, build_id: str) -> dict[str, Any] | None:
    """A build's manifest; None where there is none, or none that can be read."""
    folder = layout.build(build_id)
    return None if folder is None else _read(folder / "build.json")


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
