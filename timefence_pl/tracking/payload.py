"""What is published: rows in memory, and the bytes they stand in where these are Parquet already.

Takes what a user gives (a frame, a lazy frame, a build, a path, anything that speaks Arrow), gives a :class:`Payload`.
Reads each file once. Knows no store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from timefence_pl.choices import is_file
from timefence_pl.definitions.names import column_list, one_column
from timefence_pl.definitions.table import Table
from timefence_pl.errors import (
    IntegrityError,
    TimefenceConfigError,
    TimefenceSchemaError,
    TimefenceValidationError,
    did_you_mean,
    listing,
    message,
)
from timefence_pl.fingerprint import FileHasher, Uncacheable, hash_bytes
from timefence_pl.fingerprint.frames import dtype_part
from timefence_pl.tracking.parquet import frame_of

__all__ = ["BuildLike", "Payload", "payload_of", "roles_of"]


@runtime_checkable
class BuildLike(Protocol):
    """A finished build, as :func:`timefence_pl.build` gives it."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What went in and came out."""

    def frame(self) -> pl.DataFrame:
        """The output in memory."""

    def provenance(self, hasher: FileHasher) -> Mapping[str, Any]:
        """What it was made from, with hashes."""


@dataclass(frozen=True)
class Payload:
    """Rows to be published.

    Attributes:
        frame: The rows.
        data: The bytes of the Parquet file they stand in, if they do.
        path: That file.
        build: The build they came from, if it was given.
        manifest: The manifest of the build they came from, if any.
    """

    frame: pl.DataFrame
    data: bytes | None = None
    path: Path | None = None
    build: BuildLike | None = None
    manifest: Mapping[str, Any] | None = None


def payload_of(name: str, given: object) -> Payload:
    """The rows that a user gives.

    Raises:
        TimefenceValidationError: If there is nothing to read rows from.
        TimefenceSchemaError: If a column cannot be published.
        IntegrityError: If the output of a build is no longer what the build wrote.
    """
    payload = _read(name, given)
    try:
        for column, dtype in payload.frame.schema.items():
            dtype_part(dtype, column)
    except Uncacheable as error:
        raise TimefenceSchemaError(
            message(
                f"The feature set {name!r} cannot be published: {error.reason}.",
                fix="Cast the column, or leave it out.",
            )
        ) from error
    if not payload.frame.width:
        raise TimefenceValidationError(message(f"The feature set {name!r} has no columns.", fix="Publish some."))
    return payload


def roles_of(
    payload: Payload, keys: str | Sequence[str] | None, timestamp: str | None
) -> tuple[tuple[str, ...], str | None]:
    """The key columns and the time column; a build's are its labels' where they are not given.

    Raises:
        TimefenceConfigError: If they are not given.
        TimefenceSchemaError: If one is not in the rows, or holds a kind of value that cannot be one.
    """
    manifest = payload.manifest
    if keys is None:
        if manifest is None:
            raise TimefenceConfigError(
                message(
                    "The keys of the feature set are not given.",
                    why="The content hash is of the rows in key order.",
                    fix="Give keys='user_id', a list, or [] for rows without keys.",
                )
            )
        keys = list(manifest["labels"]["keys"])
        timestamp = manifest["labels"]["label_time_column"] if timestamp is None else timestamp
    named = column_list("the feature set", "keys", keys, empty=True)
    time = None if timestamp is None else one_column("the feature set", "timestamp", timestamp)
    schema = payload.frame.schema
    for role, column in [*(("keys", k) for k in named), *([("timestamp", time)] if time is not None else [])]:
        if column not in schema:
            raise TimefenceSchemaError(
                message(
                    f"The rows have no column {column!r} ({role}). {did_you_mean(column, schema)}".rstrip(),
                    where=f"columns: {listing(schema)}",
                    fix=f"Give {role}= a column that the rows have.",
                )
            )
    if time in named:
        raise TimefenceConfigError(message(f"{time!r} is both a key and the timestamp.", fix="Name it once."))
    return named, time


def _read(name: str, given: object) -> Payload:
    if isinstance(given, pl.DataFrame):
        return Payload(given)
    if isinstance(given, pl.LazyFrame):
        return Payload(_collected(name, given))
    if isinstance(given, BuildLike):
        return _of_build(given)
    if isinstance(given, str | os.PathLike):
        return _of_file(name, Path(given).expanduser())
    return Payload(_collected(name, Table.of(f"feature set {name!r}", given, None, None, None, {}).scan()))


def _collected(name: str, frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise TimefenceValidationError(
            message(
                f"The lazy frame of the feature set {name!r} does not run.",
                where=f"{type(error).__name__}: {str(error).splitlines()[0]}",
                fix="Collect it yourself to see where it fails.",
            )
        ) from error


def _of_build(build: BuildLike) -> Payload:
    output = build.manifest["output"]
    if output["path"] is None or Path(output["path"]).suffix.lower() not in (".parquet", ".pq"):
        return Payload(build.frame(), build=build, manifest=build.manifest)
    path = Path(output["path"])
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _changed_output(path, output["content_hash"], error.strerror or "it cannot be read") from error
    actual = hash_bytes(data)
    if actual != output["content_hash"]:
        raise _changed_output(path, output["content_hash"], actual)
    return Payload(frame_of(data), data, path, build, build.manifest)


def _of_file(name: str, path: Path) -> Payload:
    path = path.absolute()
    if not is_file(path) or path.suffix.lower() not in (".parquet", ".pq"):
        table = Table.of(f"feature set {name!r}", str(path), None, None, None, {})
        return Payload(_collected(name, table.scan()))
    try:
        data = path.read_bytes()
        frame = frame_of(data)
    except (OSError, TimefenceValidationError) as error:
        raise TimefenceValidationError(
            message(
                f"{str(path)!r} cannot be read as Parquet.",
                where=str(error).splitlines()[0],
                fix="Check the file.",
            )
        ) from error
    return Payload(frame, data, path)


def _changed_output(path: Path, expected: str, actual: str) -> IntegrityError:
    return IntegrityError(
        message(
            f"The build's output {str(path)!r} is not what the build wrote.",
            where=f"expected: {expected}\nactual:   {actual}",
            fix="Build again, and publish the result.",
        ),
        expected=expected,
        actual=actual,
    )
