"""The files that a plan scans.

Takes the decoded fields of a scan, gives what of it decides the result: the content of the files in the order in which
Polars reads them, the names that become columns, and the reading options. Paths themselves do not matter.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from timefence_pl.fingerprint.files import FileHasher, is_remote, labels_of, local_path
from timefence_pl.fingerprint.keys import Part, Uncacheable, hash_bytes
from timefence_pl.fingerprint.msgpack import as_bytes

__all__ = ["expand", "scan_part"]

_KINDS: Final = frozenset(("Parquet", "Csv", "NDJson", "Ipc", "Lines"))
# How fast a scan is, or where it finds its files; the files themselves are hashed.
_NEUTRAL: Final = frozenset(
    (
        *("cache", "chunk_size", "cloud_options", "expand_paths", "glob", "hidden_file_prefix", "low_memory"),
        *("n_threads", "parallel", "path", "rechunk", "resolve_heavy_sources", "source_sizes"),
        "use_statistics",
    )
)
# Files of tables that keep lists of them (Delta, Iceberg) beside the data.
_SIDE_FILES: Final = ("deletion_files", "table_statistics", "column_mapping", "default_values", "row_count")
_KNOWN: Final = frozenset(
    (
        *("schema", "hive_options", "projection", "row_index", "pre_slice", "cast_columns_policy"),
        *("missing_columns_policy", "extra_columns_policy", "include_file_paths"),
        *_SIDE_FILES,
        *_NEUTRAL,
    )
)
_MAGIC: Final = "*?["


def scan_part(fields: Mapping[str, Any], files: FileHasher) -> tuple[Part, dict[str, str]]:
    """A scan as plain values, still to be made canonical, and its files by name.

    Args:
        fields: ``sources``, ``unified_scan_args`` and ``scan_type``, as decoded.
        files: Hashes them.

    Raises:
        Uncacheable: If the scan reads more than local files, remote objects with versions and bytes in memory.
        TimefenceValidationError: If a file cannot be read.
    """
    if set(fields) != {"sources", "unified_scan_args", "scan_type"}:
        raise Uncacheable(f"the plan has a scan with fields that are not known: {', '.join(sorted(fields))}")
    arguments, kinds = dict(fields["unified_scan_args"]), fields["scan_type"]
    if not isinstance(kinds, dict) or not _KINDS.issuperset(kinds):
        name = next(iter(kinds), "") if isinstance(kinds, dict) else kinds
        raise Uncacheable(f"the plan scans a {name}, whose content cannot be named")
    for name, value in arguments.items():
        if name in _SIDE_FILES and value is not None:
            raise Uncacheable(f"the plan has a scan with {name}, which names other files")
        if name not in _KNOWN and not (value is None or isinstance(value, bool | int)):
            raise Uncacheable(f"the plan has a scan with an option that is not known: {name}")
    (kind, options) = next(iter(kinds.items()))
    content, named = _content(fields["sources"], arguments, files)
    kept = {k: v for k, v in arguments.items() if k not in _NEUTRAL}
    if isinstance(options, dict) and isinstance(options.get("options"), dict):
        options = {"options": {k: v for k, v in options["options"].items() if k not in _NEUTRAL}}
    return {"files": content, "arguments": kept, "kind": kind, "options": options}, named


def _content(sources: Any, arguments: Mapping[str, Any], files: FileHasher) -> tuple[Part, dict[str, str]]:
    if isinstance(sources, dict) and set(sources) == {"Buffers"}:
        buffers = [as_bytes(b) if b else b"" for b in sources["Buffers"]]
        hashes = [hash_bytes(b, files.algorithm) for b in buffers if b is not None]
        if len(hashes) == len(buffers):
            return hashes, {f"bytes in memory {i}": h for i, h in enumerate(hashes, 1)}
    if not (isinstance(sources, dict) and set(sources) == {"Paths"}):
        raise Uncacheable("the plan scans something that is not a file")
    spelled = [str(p["inner"]) if isinstance(p, dict) else str(p) for p in sources["Paths"]]
    as_patterns, one_folder = bool(arguments.get("glob", True)), len(spelled) == 1 and _is_folder(spelled[0])
    found = [(p, path) for p in spelled for path in expand(p, as_patterns=as_patterns, hidden=_hidden(arguments))]
    paths = [path for _, path in found]
    hashes = files.hash_all(paths, arguments.get("cloud_options"))
    names: list[Part] = [None] * len(paths)
    hive = arguments["hive_options"].get("enabled") if isinstance(arguments.get("hive_options"), dict) else None
    if hive or (hive is None and one_folder):
        names = [_partitions(path, root) for root, path in found]
    if arguments.get("include_file_paths") is not None:
        names = [[name, path] for name, path in zip(names, paths, strict=True)]
    content = [[h, name] for h, name in zip(hashes, names, strict=True)]
    return content, {f"file {label}": h for label, h in zip(labels_of(paths), hashes, strict=True)}


def expand(path: str, *, as_patterns: bool, hidden: tuple[str, ...] = ()) -> list[str]:
    """The files of a path, in the order in which Polars reads them: sorted, empty ones left out.

    Args:
        path: A file, a folder, or a pattern; a remote one must be a single object.
        as_patterns: Whether ``*``, ``?`` and ``[`` are wildcards.
        hidden: Beginnings of the names of files that are left out.

    Raises:
        Uncacheable: If a folder or pattern has no files, or a remote path is a pattern.
    """
    if is_remote(path):
        web = path.lower().startswith(("http://", "https://"))  # where these characters are as any others
        if (as_patterns and not web and any(c in path for c in _MAGIC)) or path.endswith("/"):
            raise Uncacheable(f"the objects of the remote path {path} cannot be listed here")
        return [path]
    local = local_path(path)
    try:
        found = _inside(local, as_patterns=as_patterns)
        if found is None:
            return [local]
        found = [p for p in found if os.path.getsize(p) and not (hidden and Path(p).name.startswith(hidden))]  # noqa: PTH202
    except OSError as error:
        raise Uncacheable(f"the files in {path} cannot be listed ({error.strerror or error})") from error
    if not found:
        raise Uncacheable(f"there is no file in {path}")
    return sorted(found)


def _inside(local: str, *, as_patterns: bool) -> list[str] | None:
    """The files of a folder or pattern; None for a single file."""
    if os.path.isdir(local):  # noqa: PTH112 - spelled as Polars spells it
        return [os.path.join(folder, name) for folder, _, names in os.walk(local, followlinks=True) for name in names]  # noqa: PTH118
    if as_patterns and any(c in local for c in _MAGIC):
        return [p for p in glob.glob(local, recursive=True, include_hidden=True) if not os.path.isdir(p)]  # noqa: PTH112, PTH207
    return None


def _hidden(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    prefixes = arguments.get("hidden_file_prefix")
    return tuple(str(p) for p in prefixes) if isinstance(prefixes, list) else ()


def _is_folder(path: str) -> bool:
    return not is_remote(path) and os.path.isdir(local_path(path))  # noqa: PTH112


def _partitions(path: str, root: str) -> list[str]:
    """The ``key=value`` folders of a path; below the folder that was asked for, where one was."""
    folders = path.replace(os.sep, "/").split("/")[:-1]
    if _is_folder(root):
        folders = folders[len(local_path(root).replace(os.sep, "/").rstrip("/").split("/")) :]
    return [folder for folder in folders if "=" in folder]
