"""What published rows were made from: the build they came from, its sources and definitions, with their hashes.

Takes a payload, gives plain values for the version's record.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from timefence_pl.errors import listing
from timefence_pl.fingerprint import FileHasher, hash_bytes
from timefence_pl.provenance import hashed_files
from timefence_pl.tracking.payload import Payload

__all__ = ["changed_files", "files_of", "made_from", "with_manifest"]


def with_manifest(payload: Payload, manifests: Callable[[], Sequence[Mapping[str, Any]]]) -> Payload:
    """The same, with the manifest of the build that wrote the file, where the store knows one that wrote these bytes."""
    if payload.manifest is not None or payload.data is None:
        return payload
    found = hash_bytes(payload.data)
    for manifest in manifests():
        output = manifest.get("output")
        if isinstance(output, Mapping) and output.get("content_hash") == found:
            return replace(payload, manifest=manifest)
    return payload


def made_from(payload: Payload, hasher: FileHasher) -> dict[str, Any]:
    """Files with their SHA-256, definitions with their hashes; warns of files that changed since the build.

    Returns:
        ``labels``, ``sources`` and ``features`` as in :mod:`timefence_pl.provenance`, and ``recipe`` (the definitions as
        plain values) or the ``reason`` why there is none; empty for rows that no build made.
    """
    if payload.manifest is None:
        return {}
    if payload.build is not None:
        found = dict(payload.build.provenance(hasher))
    elif isinstance(payload.manifest.get("inputs"), Mapping):
        reason = "it was published as a file, without the definitions of the build that wrote it"
        found = {**hashed_files(payload.manifest["inputs"], hasher), "recipe": None, "reason": reason}
        for name, feature in found["features"].items():
            feature["definition_hash"] = payload.manifest["features"][name]["definition_hash"]
    else:
        return {}
    changed = changed_files(found)
    if changed:
        warnings.warn(
            f"{len(changed)} file(s) changed since the build read them, so that what was read cannot be named: "
            f"{listing(changed, 4)}.",
            UserWarning,
            stacklevel=4,
        )
    return found


def files_of(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All files that rows were made from, each with the ``source`` it belongs to (``"labels"`` for the labels)."""
    if not inputs:
        return []
    found = [{**f, "source": "labels"} for f in inputs["labels"]["files"]]
    found += [{**f, "source": s["name"]} for s in inputs["sources"] for f in s["files"]]
    found += [{**f, "source": f"feature {n}"} for n, r in inputs["features"].items() for f in r["files"]]
    return found


def changed_files(inputs: Mapping[str, Any]) -> list[str]:
    """Paths of files that were not, when they were hashed, what the build had read."""
    return [str(f["path"]) for f in files_of(inputs) if f.get("changed")]
