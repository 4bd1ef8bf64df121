"""The fingerprint of a published version, and what is wrong with a file that is not it.

Takes files and fingerprints, gives nothing or an error that tells expected from actual. Knows no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import polars as pl

from timefence_pl.choices import one_of
from timefence_pl.errors import (
    IntegrityError,
    TimefenceValidationError,
    message,
)
from timefence_pl.fingerprint import FileHasher, Uncacheable
from timefence_pl.tracking.content import CONTENT_VERSION, Content, content_of, schema_hash, schema_text
from timefence_pl.tracking.parquet import frame_of

__all__ = ["LEVELS", "SetFingerprint", "VerifyLevel", "checked_level", "fingerprint_of", "hash_sha256", "verify_file"]

VerifyLevel = Literal["none", "size", "file", "content"]
#: How thoroughly a file is checked, each level after the one before.
LEVELS: Final = ("none", "size", "file", "content")
_SHOWN: Final = 6


@dataclass(frozen=True)
class SetFingerprint:
    """What a published version is, however often it is copied.

    Attributes:
        file_sha256: ``sha256:`` and the hash of the file's bytes.
        content_hash: ``sha256:`` and the hash of the rows in key order; see :mod:`timefence_pl.tracking.content`.
        schema_hash: ``sha256:`` and the hash of names and data types in order.
        schema: Data types by name, as text, in order.
        n_rows: Number of rows.
        size_bytes: Size of the file.
        columns: ``sha256:`` and the hash of each column's values in key order.
        content_version: Of the canonical encoding.
    """

    file_sha256: str
    content_hash: str
    schema_hash: str
    schema: Mapping[str, str]
    n_rows: int
    size_bytes: int
    columns: Mapping[str, str]
    content_version: int = CONTENT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **vars(self),
            # Lists: the order of columns belongs to the set, and a reader of JSON may not keep that of a mapping.
            "schema": [list(pair) for pair in self.schema.items()],
            "columns": [list(pair) for pair in self.columns.items()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SetFingerprint:
        """From plain values.

        Raises:
            KeyError: If one is missing.
            TypeError: If one is no such value.
        """
        texts = {n: values[n] for n in ("file_sha256", "content_hash", "schema_hash")}
        numbers = {n: values[n] for n in ("n_rows", "size_bytes", "content_version")}
        if any(not isinstance(v, str) for v in texts.values()) or any(type(v) is not int for v in numbers.values()):
            raise TypeError("a fingerprint of other values")
        schema, columns = ({str(k): str(v) for k, v in values[n]} for n in ("schema", "columns"))
        return cls(**texts, **numbers, schema=schema, columns=columns)


def fingerprint_of(content: Content, schema: pl.Schema, file_sha256: str, size_bytes: int) -> SetFingerprint:
    """Put a fingerprint together."""
    return SetFingerprint(
        file_sha256=file_sha256,
        content_hash=content.content_hash,
        schema_hash=schema_hash(schema),
        schema=schema_text(schema),
        n_rows=content.n_rows,
        size_bytes=size_bytes,
        columns=dict(content.columns),
    )


def hash_sha256(path: Path) -> str:
    """``sha256:`` and the hash of a file's bytes, read once."""
    return FileHasher(algorithm="sha256", threads=1).hash(path)


def checked_level(level: object) -> VerifyLevel:
    """A level of verification.

    Raises:
        TimefenceConfigError: If it is none.
    """
    return cast("VerifyLevel", one_of(level, LEVELS, "verify"))


def verify_file(
    what: str,
    path: Path,
    expected: SetFingerprint,
    level: VerifyLevel,
    *,
    keys: Sequence[str],
    timestamp: str | None,
) -> None:
    """Check a file against a fingerprint; reads no row before its bytes were checked.

    Args:
        what: Whose file, for messages.
        path: The file.
        expected: What it should be.
        level: ``"size"``: its size alone. ``"file"``: size, then every byte. ``"content"``: its rows, in whatever
            order and compression, so that a file that was rewritten equal passes. ``"none"``: nothing.
        keys: Key columns.
        timestamp: The time column, if any.

    Raises:
        IntegrityError: If it is not; says what was expected and what is there, column by column where it can be read.
    """
    if level == "none":
        return
    size = _size(what, path, expected)
    if level == "content":
        problems = _differences(path, expected, keys, timestamp)
        if problems:
            raise _refused(what, path, "content", problems, expected.content_hash, problems[0][2])
        return
    if size != expected.size_bytes:
        found = [("size", f"{expected.size_bytes:,} bytes", f"{size:,} bytes")]
        if level == "file":
            found += _differences(path, expected, keys, timestamp)
        raise _refused(what, path, level, found, expected.size_bytes, size)
    if level == "file":
        actual = _hashed(what, path, expected)
        if actual != expected.file_sha256:
            found = [("file", expected.file_sha256, actual), *_differences(path, expected, keys, timestamp)]
            raise _refused(what, path, level, found, expected.file_sha256, actual)


def _size(what: str, path: Path, expected: SetFingerprint) -> int:
    try:
        if path.is_file():
            return path.stat().st_size
        reason = "it is not there" if not path.exists() else "it is not a file"
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    raise _refused(what, path, "size", [("file", f"{expected.size_bytes:,} bytes", reason)], expected.size_bytes, None)


def _hashed(what: str, path: Path, expected: SetFingerprint) -> str:
    try:
        return hash_sha256(path)
    except Exception as error:
        found = [("file", expected.file_sha256, f"it cannot be read: {str(error).splitlines()[0]}")]
        raise _refused(what, path, "file", found, expected.file_sha256, None) from error


def _differences(
    path: Path, expected: SetFingerprint, keys: Sequence[str], timestamp: str | None
) -> list[tuple[str, str, str]]:
    """What of the rows differs: part, expected, actual; empty where the content is the same."""
    try:
        frame = frame_of(path.read_bytes())
    except (OSError, TimefenceValidationError) as error:
        return [("rows", "a Parquet file", f"one that cannot be read ({str(error).splitlines()[0][:200]})")]
    schema = schema_text(frame.schema)
    found = [(f"column {n!r}", t, "missing") for n, t in expected.schema.items() if n not in schema]
    found += [(f"column {n!r}", "no such column", t) for n, t in schema.items() if n not in expected.schema]
    found += [(f"column {n!r}", t, schema[n]) for n, t in expected.schema.items() if n in schema and schema[n] != t]
    if frame.height != expected.n_rows:
        found.append(("rows", f"{expected.n_rows:,}", f"{frame.height:,}"))
    if not found and list(schema) != list(expected.schema):
        found.append(("order of columns", ", ".join(expected.schema), ", ".join(schema)))
    if found:
        return found
    try:
        actual = content_of(frame, keys, timestamp)
    except (Uncacheable, pl.exceptions.PolarsError) as error:
        return [("rows", expected.content_hash, str(error).splitlines()[0])]
    if actual.content_hash == expected.content_hash:
        return []
    return [
        (f"values of {n!r}", expected.columns.get(n, "unknown"), actual.columns[n])
        for n in actual.columns
        if expected.columns.get(n) != actual.columns[n]
    ] or [("content", expected.content_hash, actual.content_hash)]


def _refused(
    what: str,
    path: Path,
    level: str,
    found: Sequence[tuple[str, str, str]],
    expected: object,
    actual: object,
) -> IntegrityError:
    shown = [f"{part}: expected {was}, actual {now}" for part, was, now in found[:_SHOWN]]
    shown += [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    same = level == "file" and len(found) == 1 and found[0][0] in ("file", "size") and actual is not None
    if same:
        shown.append("the rows are the same: the file was written again")
    return IntegrityError(
        message(
            f"{what} is not what was published ({level}).",
            where="\n".join([f"file: {path}", *shown]),
            why="A model trained on it would not be linked to the features it saw.",
            fix='Check the rows with verify="content", which accepts equal rows in another file.'
            if same
            else ["Publish the present data as a new version.", "Put the file back from a copy."],
        ),
        expected=expected,
        actual=actual,
    )
