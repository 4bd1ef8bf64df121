"""A build found again: the output of an earlier one that had the same key, verified, where it was asked for now.

Takes earlier manifests and a key, gives what that build gave. Trusts no record: bytes are hashed before they are used.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from timefence_pl.execution.output import OutputFile
from timefence_pl.fingerprint import Fingerprint
from timefence_pl.manifest import Made
from timefence_pl.store.files import WholeFiles, has_hash, whole_files
from timefence_pl.store.records import is_sealed

__all__ = ["builds_of", "find_again"]


def builds_of(manifests: Sequence[Mapping[str, Any]], labels: Fingerprint) -> list[Mapping[str, Any]]:
    """Those of earlier builds that say they were made of these labels."""
    parts = [m.get("build_cache_parts") for m in manifests]
    return [
        m for m, p in zip(manifests, parts, strict=True) if isinstance(p, Mapping) and p.get("labels") == labels.key
    ]


def find_again(manifests: Sequence[Mapping[str, Any]], key: Fingerprint, target: OutputFile) -> Made | None:
    """The newest earlier build with this key whose files are whole, copied to where they are asked for.

    Args:
        manifests: Earlier builds, newest first.
        key: The build's key.
        target: Where the output is to stand.

    Raises:
        TimefenceStoreError: If the copy cannot be written.
    """
    for manifest in manifests:
        if manifest.get("build_cache_key") != key.key or not is_sealed(manifest):
            continue
        made = _again(manifest, key, target)
        if made is not None:
            return made
    return None


def _again(manifest: Mapping[str, Any], key: Fingerprint, target: OutputFile) -> Made | None:
    try:
        if any(f"join of {name}" not in key.parts for name in manifest["features"]) or not manifest["features"]:
            return None
        counts, output = manifest["counts"], dict(manifest["output"])
        wanted = [(output, target.path), *((dict(s), target.beside(s["name"]).path) for s in manifest["splits"])]
        if not all(_is_whole(Path(record["path"]), record) for record, _ in wanted):
            return None
        with whole_files() as files:
            if not all(_placed(files, record, path) for record, path in wanted):
                files.discard()
                return None
        records = [{**record, "path": str(path)} for record, path in wanted]
        return Made(
            rows=output["row_count"],
            label_count=counts["labels"],
            label_range=(counts["label_ticks"][0], counts["label_ticks"][1]),
            statistics={name: f["statistics"] for name, f in manifest["features"].items()},
            split_rows=counts["split_rows"],
            purged=counts["purged"],
            unassigned=counts["unassigned"],
            incomplete=counts["incomplete_labels"],
            output={k: records[0][k] for k in ("path", "content_hash", "file_size_bytes", "row_count")},
            splits=records[1:],
            frame=None,
            messages=tuple(counts["messages"]),
        )
    except (KeyError, TypeError, IndexError, ValueError, AttributeError):
        return None


def _is_whole(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file has the size and bytes of its record."""
    try:
        return bool(path.stat().st_size == record["file_size_bytes"] and has_hash(path, record["content_hash"]))
    except OSError:
        return False


def _placed(files: WholeFiles, record: Mapping[str, Any], path: Path) -> bool:
    """Copy a file to where it is asked for, unless it stands there; never a link, so that neither can change both."""
    source = Path(record["path"])
    if path.exists() and path.samefile(source) and not path.is_symlink():
        return True
    copy = files.new(path)
    shutil.copyfile(source, copy)
    return _is_whole(copy, record)
