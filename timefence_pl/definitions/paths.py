"""Paths, globs and folders as users give them, and the formats that suffixes tell.

Takes text, gives files in a defined order, or a ``TimefenceError``. Knows nothing of tables, and opens no file.
"""

from __future__ import annotations

import glob as globbing
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

from timefence_pl.errors import TimefenceValidationError, did_you_mean_file, listing, message
from timefence_pl.fingerprint.files import unescaped

__all__ = [
    "MAGIC",
    "TableFormat",
    "expand",
    "files_in",
    "format_in",
    "format_of",
    "is_remote",
    "is_under",
    "local_path",
    "missing_file",
    "partitions",
    "stem_of",
    "stripped",
]

TableFormat = Literal["parquet", "csv", "ndjson", "ipc", "delta", "iceberg"]

SUFFIXES: Final[dict[str, TableFormat]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "ipc",
}
_COMPRESSED: Final = (".gz", ".zst", ".zstd", ".zlib")
#: What makes a path a pattern.
MAGIC: Final = "*?["


def is_remote(pattern: str) -> bool:
    """Whether a path is a URI."""
    return "://" in pattern


def local_path(role: str, pattern: str) -> str:
    """A path as it is to be read: that of a ``file://`` URI, without its escapes; any other as it is.

    Args:
        role: Whose it is, for messages.
        pattern: What the user gave.

    Raises:
        TimefenceValidationError: If it is a glob of remote objects, or the URI of another machine's file.
    """
    scheme, _, rest = pattern.partition("://")
    if not rest:
        return pattern
    if scheme.lower() == "file":
        host, slash, path = rest.partition("/")
        if host in ("", "localhost") and slash:
            return unescaped("/" + path)
        raise TimefenceValidationError(
            message(
                f"{role} cannot be read from {pattern!r}: it names a file of the machine {host!r}.",
                fix="Write file:///folder/name with three slashes, or the plain path.",
            )
        )
    if "*" in rest and scheme.lower() not in ("http", "https"):  # where it is a character as any other
        kind = format_of(pattern) or "parquet"
        raise TimefenceValidationError(
            message(
                f"{role} cannot be read from {pattern!r}: globs of remote objects are not expanded.",
                why="Rows are read in a defined order of files, which are listed on this machine only.",
                fix=(
                    "name the objects in a list",
                    f"leave it to Polars: pl.scan_{kind}({pattern!r})",
                ),
            )
        )
    return pattern


def stripped(name: str) -> str:
    """The name in lower case, without the suffix of a compression."""
    lowered = name.lower()
    for suffix in _COMPRESSED:
        if lowered.endswith(suffix):
            return lowered[: -len(suffix)]
    return lowered


def format_of(name: str) -> TableFormat | None:
    """The format that a name's suffix tells; None where it tells none."""
    return SUFFIXES.get(os.path.splitext(stripped(name))[1])  # noqa: PTH122 - may be a URI


def stem_of(part: str) -> str:
    """A name without the suffixes of formats and compressions."""
    for suffix in (*_COMPRESSED, *SUFFIXES):
        if part.lower().endswith(suffix):
            part = part[: -len(suffix)]
    return part


def expand(role: str, pattern: str, kind: TableFormat) -> list[str]:
    """The files that a path, folder or glob stands for, by name relative to it.

    Args:
        role: Whose they are, for messages.
        pattern: What the user gave; a URI stays as it is.
        kind: Of a folder's files, those of this format.

    Raises:
        TimefenceValidationError: If the path does not exist, or there is no file.
    """
    if is_remote(pattern):
        return [pattern]
    if os.path.isdir(pattern):  # noqa: PTH112 - patterns stay strings
        found = [p for p in files_in(pattern) if format_of(p) == kind]
        base = pattern
    elif os.path.exists(pattern):  # noqa: PTH110
        return [pattern]
    elif any(c in pattern for c in MAGIC):
        found = [p for p in globbing.glob(pattern, recursive=True) if os.path.isfile(p)]  # noqa: PTH113, PTH207
        base = os.path.dirname(pattern.split("*", maxsplit=1)[0].split("?", maxsplit=1)[0].split("[", maxsplit=1)[0])  # noqa: PTH120
    else:
        raise missing_file(role, pattern)
    if not found:
        raise TimefenceValidationError(
            message(
                f"{role} finds no {kind} file in {pattern!r}.",
                where=f"looked from {Path.cwd()}",
                fix="Check the pattern; a directory is searched for files with the format's suffix.",
            )
        )
    return sorted(found, key=lambda p: os.path.relpath(p, base or ".").replace(os.sep, "/"))


def files_in(folder: str) -> Iterator[str]:
    """The files in a folder and those below it, without what is hidden (names that start with ``.`` or ``_``)."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")))
        for name in sorted(names):
            if not name.startswith((".", "_")) and os.path.isfile(os.path.join(path, name)):  # noqa: PTH113, PTH118
                yield os.path.join(path, name)  # noqa: PTH118


def format_in(folder: str) -> TableFormat | None:
    """The format of a folder's files: Parquet if there is any, else the first known by name; None without any."""
    found: TableFormat | None = None
    for kind in map(format_of, files_in(folder)):
        if kind == "parquet":
            return kind
        found = found or kind
    return found


def partitions(role: str, files: Sequence[str]) -> dict[str, list[str | None]]:
    """The ``name=value`` folders of files: for each name its value in each file, null where a writer had none.

    Args:
        role: Whose they are, for messages.
        files: Their paths.

    Raises:
        TimefenceValidationError: If the files do not have the same names.
    """
    found = [dict(_partition(p) for p in f.replace("\\", "/").split("/")[:-1] if "=" in p) for f in files]
    odd = next((i for i, f in enumerate(found) if list(f) != list(found[0])), None)
    if odd is not None:
        raise TimefenceValidationError(
            message(
                f"The files of {role} do not have the same partition folders.",
                where=f"{files[0]}: {listing(found[0])}\n{files[odd]}: {listing(found[odd])}",
                fix=("move the files so that each has all of them", "hive_partitioning=False leaves folders unread"),
            )
        )
    return {name: [f[name] for f in found] for name in (found[0] if found else ())}


def _partition(folder: str) -> tuple[str, str | None]:
    name, value = folder.split("=", 1)
    return unquote(name), None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)


def is_under(pattern: str, path: str) -> bool:
    """Whether a file of this path is, or would be, what a folder or glob stands for."""
    target = os.path.realpath(path).replace(os.sep, "/")
    where = os.path.realpath(pattern).replace(os.sep, "/")
    if Path(pattern).is_dir():
        return target.startswith(where.rstrip("/") + "/")
    return any(c in pattern for c in MAGIC) and re.fullmatch(_glob_regex(where), target) is not None


def _glob_regex(pattern: str) -> str:
    """A glob as a regular expression: ``*`` and ``?`` stay within a folder, ``**/`` spans folders."""
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = out + "(?:.*/)?", i + 3
        elif pattern[i] == "*":
            out, i = out + "[^/]*", i + 1
        elif pattern[i] == "?":
            out, i = out + "[^/]", i + 1
        elif pattern[i] == "[" and "]" in pattern[i + 2 :]:
            end = pattern.index("]", i + 2)
            inner = pattern[i + 1 : end].replace("\\", "\\\\")
            out, i = out + f"[{'^' + inner[1:] if inner.startswith('!') else inner}]", end + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return out


def missing_file(role: str, path: str) -> TimefenceValidationError:
    """The error for a path that does not exist."""
    folder = Path(path).parent
    beside = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    return TimefenceValidationError(
        message(
            f"The file of {role} does not exist: {path!r}. {did_you_mean_file(Path(path).name, beside)}".rstrip(),
            where=f"looked from {Path.cwd()}" + ("" if folder.is_dir() else f"\nthe folder {folder} does not exist"),
            fix="Check the path; relative paths start at the working directory.",
        )
    )
