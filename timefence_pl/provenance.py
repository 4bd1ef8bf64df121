"""Where a build's rows came from: its files, frames and definitions, and their hashes.

Takes definitions, gives plain values for manifests and published versions. What files there are, and what the file
system says of them, is noted when the build begins, which costs nothing; their SHA-256 is taken when the result is
published, of those that did not change since.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from timefence_pl.definitions.feature_set import AnyFeature, distinct_sources
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.sql_source import SQLSource
from timefence_pl.definitions.table import Table
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceError, without_secrets
from timefence_pl.fingerprint import FileHasher, Uncacheable, combined, fingerprint_expr, fingerprint_frame
from timefence_pl.fingerprint.files import is_remote, local_path
from timefence_pl.fingerprint.inputs import scanned_paths
from timefence_pl.identity import definition_fingerprint
from timefence_pl.plan.training_set import derived_plans

__all__ = ["definition_hash", "hashed_files", "hashed_inputs", "inputs_of"]


def inputs_of(labels: Labels, features: Sequence[AnyFeature]) -> dict[str, Any]:
    """What a build is about to read.

    Returns:
        ``labels`` (what they are, and their ``files``), ``sources`` (each with its ``name`` and ``files``), ``features``
        (each with the place of its ``source``).
    """
    sources, places = distinct_sources(features)
    return {
        "labels": _table(labels.table, labels.described()),
        "sources": [{"name": s.name, **_source(s)} for s in sources],
        "features": {f.name: {"source": place, "files": []} for f, place in zip(features, places, strict=True)},
    }


def hashed_inputs(
    inputs: Mapping[str, Any], labels: Labels, features: Sequence[AnyFeature], hasher: FileHasher, began_ns: int
) -> dict[str, Any]:
    """The same with hashes: ``sha256`` of each file, ``content_hash`` of frames in memory, ``definition_hash`` of features.

    A file that is not what it was when the build began has ``sha256: None`` and ``changed: True``. Other files that a
    transform or SQL reads stand with their feature.

    Args:
        inputs: What :func:`inputs_of` gave when the build began.
        labels: The build's labels.
        features: The build's features.
        hasher: For SHA-256.
        began_ns: When the build began, in nanoseconds since the epoch.
    """
    found = hashed_files(inputs, hasher)
    found["labels"]["content_hash"] = _content(labels.table)
    by_name: dict[str, Source] = {f.name: f.source for f in features}
    for name, record in found["features"].items():
        source = found["sources"][record["source"]]
        source.setdefault("content_hash", _content(by_name[name].table))
    for feature in features:
        besides = [
            _hashed({**f, "mtime_ns": min(f.get("mtime_ns", 0), began_ns)}, hasher) for f in _files(_besides(feature))
        ]
        found["features"][feature.name] |= {"files": besides, **definition_hash(feature)}
    return found


def hashed_files(inputs: Mapping[str, Any], hasher: FileHasher) -> dict[str, Any]:
    """The same with the ``sha256`` of each file that did not change since it was noted."""

    def hashed(record: Mapping[str, Any]) -> dict[str, Any]:
        return {**record, "files": [_hashed(file, hasher) for file in record["files"]]}

    return {
        "labels": hashed(inputs["labels"]),
        "sources": [hashed(s) for s in inputs["sources"]],
        "features": {n: hashed(f) for n, f in inputs["features"].items()},
    }


def definition_hash(feature: AnyFeature, hasher: FileHasher | None = None) -> dict[str, Any]:
    """``definition_hash`` of a feature: its plan apart from its data; None, and the ``reason``, where it has no name."""
    try:
        plan = definition_fingerprint(feature, hasher)
        if isinstance(feature, Window):
            aggregates = {n: fingerprint_expr(e, hasher) for n, e in feature.aggregates.items()}
            plan = combined(
                "window definition",
                {"events": plan, "aggregates": combined("aggregates", aggregates), "windows": list(feature.windows)},
            )
    except (Uncacheable, TimefenceError) as error:
        reason = error.reason if isinstance(error, Uncacheable) else str(error).splitlines()[0]
        return {"definition_hash": None, "reason": reason}
    return {"definition_hash": plan.key, "reason": None}


def _source(source: Source) -> dict[str, Any]:
    if not isinstance(source, SQLSource):
        return _table(source.table, source.described())
    files = [name for table in source.tables.values() for name in _names(table)]
    if isinstance(source.connection, str | Path) and "://" not in str(source.connection):
        files.append(str(source.connection))
    return {"kind": "sql", "data": source.described(), "patterns": [], "files": _files(files)}


def _table(table: Table, described: str) -> dict[str, Any]:
    kind = "files" if table.frame is None else "frame" if table.in_memory else "lazy frame"
    return {
        "kind": kind,
        "data": without_secrets(described),
        "patterns": [without_secrets(p if is_remote(p) else os.path.abspath(local_path(p))) for p in table.patterns],  # noqa: PTH100
        "files": _files(_names(table)),
    }


def _names(table: Table) -> list[str]:
    try:
        lake = table.lake()
        if lake is not None:
            return [f.path for f in lake.snapshot().files]
        return table.inputs()
    except TimefenceError:
        return []  # the build itself will say what is wrong with them


def _besides(feature: AnyFeature) -> list[str]:
    try:
        return [name for plan in derived_plans([feature]) for name in scanned_paths(plan)]
    except TimefenceError:
        return []


def _files(names: Iterable[str]) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    for name in dict.fromkeys(names):
        if is_remote(name):
            files.append({"path": without_secrets(name), "remote": True})
            continue
        path = Path(os.path.abspath(local_path(name)))  # noqa: PTH100 - links stay as they are read
        try:
            found = path.stat()
        except OSError:
            continue  # a pattern, or a file that is gone: the build says so
        if path.is_file():
            files.append({"path": str(path), "size_bytes": found.st_size, "mtime_ns": found.st_mtime_ns})
    return files


def _hashed(file: Mapping[str, Any], hasher: FileHasher) -> dict[str, Any]:
    if file.get("remote"):
        return dict(file)
    try:
        found = Path(file["path"]).stat()
        same = (found.st_size, found.st_mtime_ns) == (file["size_bytes"], file["mtime_ns"])
        return {**file, "sha256": hasher.hash(file["path"]) if same else None, "changed": not same}
    except (OSError, TimefenceError):
        return {**file, "sha256": None, "changed": True}


def _content(table: Table) -> str | None:
    """The hash of a frame in memory; files have their own, and lazy frames are plans."""
    if table.frame is None or not table.in_memory:
        return None
    try:
        return fingerprint_frame(table.frame.collect(engine="in-memory"), algorithm="sha256").key
    except Uncacheable:
        return None
