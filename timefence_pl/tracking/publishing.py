"""Publishing: rows become a version that never changes.

Takes a layout and rows, gives the version. The file is written and hashed in a folder of its own, which nobody finds;
then, under the set's lock, a number is claimed by creating its folder, the file is moved there, the record is written,
and last the aliases move. Killed at any point, what was published before is what consumers find, and what is left over
is known by its lock, or by a version's folder without a record, and removed by ``gc``.
"""

from __future__ import annotations

import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from timefence_pl._version import __version__
from timefence_pl.errors import (
    NotFoundError,
    TimefenceConfigError,
    TimefenceSchemaError,
    TimefenceValidationError,
    listing,
    message,
)
from timefence_pl.fingerprint import hash_bytes
from timefence_pl.store.files import refused_by_file_system, sync, write_whole, writes_of_polars
from timefence_pl.store.layout import STORE_FORMAT, Layout
from timefence_pl.store.locks import Holding, is_held, locked
from timefence_pl.store.names import checked_stored_name
from timefence_pl.store.records import sealed
from timefence_pl.store.upkeep import is_old
from timefence_pl.tracking.aliases import UNCHECKED, State, changed, commit, moved, read_state
from timefence_pl.tracking.content import content_of, schema_text
from timefence_pl.tracking.fingerprints import SetFingerprint, fingerprint_of, hash_sha256
from timefence_pl.tracking.folders import SetFolder
from timefence_pl.tracking.payload import Payload
from timefence_pl.tracking.refs import LATEST, checked_alias
from timefence_pl.tracking.values import to_json
from timefence_pl.tracking.versions import FeatureSetVersion, published, read_version

__all__ = ["abandoned", "checked_metadata", "publish"]

_READ_ONLY = 0o444


def publish(
    layout: Layout,
    name: str,
    payload: Payload,
    *,
    keys: tuple[str, ...],
    timestamp: str | None,
    aliases: Sequence[str],
    metadata: Mapping[str, Any],
    copy: bool,
    inputs: Callable[[], Mapping[str, Any]],
    run_id: str | None,
) -> FeatureSetVersion:
    """Publish rows; equal rows give the version that has them already.

    Args:
        layout: The store.
        name: The feature set.
        payload: The rows.
        keys: Key columns.
        timestamp: The time column, if any.
        aliases: What is to point at the version.
        metadata: Plain values.
        copy: Whether the file is copied into the store.
        inputs: Gives what the rows were made from, with hashes; called for a new version only.
        run_id: The run that publishes, if any.

    Returns:
        The new version, or the one that ``latest`` points at (the newest, where there is no such alias) if its content
        is the same.

    Raises:
        InvalidNameError: If a name could not stand in the store.
        TagExistsError: If an alias is the name of a tag.
        TimefenceStoreError: If the file system refuses; nothing is published then.
    """
    folder = SetFolder(layout, checked_stored_name("feature set", name))
    moves = [checked_alias("alias", alias) for alias in aliases]
    _check_copy(payload, copy)
    content = content_of(payload.frame, keys, timestamp)
    _make(folder)
    for alias in moves:  # before any work
        moved(folder, read_state(folder), alias, 1, UNCHECKED)
    same = _same(folder, content.content_hash)
    if same is not None:
        with locked(folder.lock):
            same = _same(folder, content.content_hash)
            if same is not None:
                return _again(folder, same, moves, payload, run_id)
    made_from = dict(inputs())
    with _staged(folder) as staging:
        fingerprint = _written(payload, staging, content, copy=copy)
        record = {
            "store_format": STORE_FORMAT,
            "name": name,
            "keys": list(keys),
            "timestamp": timestamp,
            "metadata": metadata,
            "fingerprint": fingerprint.to_dict(),
            "data": {"kind": "copy"} if copy else {"kind": "reference", "path": str(payload.path)},
            "build": None if payload.manifest is None else dict(payload.manifest),
            "inputs": made_from,
            "run_id": run_id,
            "environment": {
                "timefence_version": __version__,
                "polars_version": pl.__version__,
                "python_version": platform.python_version(),
            },
        }
        with locked(folder.lock):
            same = _same(folder, content.content_hash)  # another publisher may have been quicker
            if same is not None:
                return _again(folder, same, moves, payload, run_id)
            state = read_state(folder)
            number = _claimed(folder, state)
            try:
                _placed(folder, number, staging, record, copy=copy)
            except OSError as error:
                raise refused_by_file_system(error, f"Version {name}:v{number}") from error
            entry = {"action": "publish", "to": number, "run_id": run_id}
            return _named(folder, number, replace(state, last=number), moves, entry)


def checked_metadata(metadata: object) -> dict[str, Any]:
    """What a publisher says of a version, as plain values.

    Raises:
        TimefenceValidationError: If it is no mapping by text, or JSON does not hold it.
    """
    if metadata is None:
        return {}
    fix = "Give a dictionary of text, numbers, lists and dictionaries."
    if not isinstance(metadata, Mapping):
        raise TimefenceValidationError(message(f"metadata={metadata!r:.200} is no mapping.", fix=fix))
    if any(not isinstance(name, str) for name in metadata):
        raise TimefenceValidationError(message(f"metadata={metadata!r:.200} has names that are no text.", fix=fix))
    try:
        return {name: to_json(value) for name, value in metadata.items()}
    except TypeError as error:
        raise TimefenceValidationError(
            message(f"metadata={metadata!r:.200} cannot be kept: {error}.", fix=fix)
        ) from error


def abandoned(folder: SetFolder) -> list[Path]:
    """What killed publishers left: folders of publications whose process is gone, and numbers claimed past the last.

    A folder is made before its lock: one that is young may be a publication that just begins. The caller holds the set's lock, so that no publisher is between claiming and recording.
    """
    left = [staging for staging in folder.stagings() if is_old(staging) and not is_held(staging / ".lock")]
    last = read_state(folder).last
    return left + [folder.version(n) for n in folder.claimed() if n > last]


def _check_copy(payload: Payload, copy: bool) -> None:
    if not copy and payload.path is None:
        raise TimefenceConfigError(
            message(
                "copy=False needs a Parquet file to refer to.",
                fix="Publish a build with a Parquet output, or the path of a Parquet file; or leave copy=True.",
            )
        )


def _make(folder: SetFolder) -> None:
    folder.layout.create()
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        if folder.path.is_symlink() or folder.layout.feature_sets.is_symlink():
            raise NotADirectoryError(20, "it is a link, which could lead out of the store", str(folder.path))
    except OSError as error:
        raise refused_by_file_system(error, f"The feature set {folder.name}") from error


def _same(folder: SetFolder, content_hash: str) -> int | None:
    """The version that equal rows are: the one at ``latest``, else the newest, if its file is still there."""
    state = read_state(folder)
    done = published(folder, state)
    number = state.aliases.get(LATEST, done[-1] if done else None)
    if number is None or number not in done:
        return None
    try:
        version = read_version(folder, number, state)
        whole = version.path.stat().st_size == version.fingerprint.size_bytes
    except (NotFoundError, OSError):
        return None
    return number if whole and version.fingerprint.content_hash == content_hash else None


def _again(
    folder: SetFolder, number: int, aliases: Sequence[str], payload: Payload, run_id: str | None
) -> FeatureSetVersion:
    """The version that was published before; what was the same is remembered in the history."""
    build_id = None if payload.manifest is None else payload.manifest["build_id"]
    entry = {"action": "same content", "to": number, "build_id": build_id, "run_id": run_id}
    return _named(folder, number, read_state(folder), aliases, entry)


def _named(
    folder: SetFolder, number: int, state: State, aliases: Sequence[str], entry: Mapping[str, Any]
) -> FeatureSetVersion:
    after = state
    for alias in aliases:
        after = moved(folder, after, alias, number, UNCHECKED)
    return read_version(folder, number, commit(folder, state, after, [entry, *changed(state, after)]))


@contextmanager
def _staged(folder: SetFolder) -> Iterator[Path]:
    """A folder of this publication alone, held while it lasts and removed after it."""
    staging = folder.staging(uuid.uuid4().hex)
    holding = Holding(staging / ".lock")
    try:
        yield staging
    except OSError as error:
        raise refused_by_file_system(error, f"The feature set {folder.name}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        holding.release()


def _written(payload: Payload, staging: Path, content: Any, *, copy: bool) -> SetFingerprint:
    """Write the file where nobody finds it, and say what it is; reads what it wrote once."""
    schema = payload.frame.schema
    if payload.data is not None:
        if copy:
            (staging / "data.parquet").write_bytes(payload.data)
        return fingerprint_of(content, schema, hash_bytes(payload.data, "sha256"), len(payload.data))
    path = staging / "data.parquet"
    try:
        with writes_of_polars("The feature set"):
            payload.frame.write_parquet(path, compression="zstd")
    except pl.exceptions.PolarsError as error:
        raise TimefenceSchemaError(
            message(
                "The rows cannot be written as Parquet.",
                where=str(error).splitlines()[0],
                fix="Cast the columns that it does not hold.",
            )
        ) from error
    # What comes back must be what went in: Parquet has no place for some of the data types.
    kept = pl.read_parquet_schema(path)
    other = [n for n, t in schema_text(schema).items() if str(kept.get(n)) != t]
    if other:
        raise TimefenceSchemaError(
            message(
                f"Parquet does not keep the data types of {listing(other)}.",
                where="\n".join(f"{n}: {schema[n]} becomes {kept.get(n)}" for n in other[:6]),
                fix="Cast them before publishing.",
            )
        )
    return fingerprint_of(content, schema, hash_sha256(path), path.stat().st_size)


def _claimed(folder: SetFolder, state: State) -> int:
    """Claim the next number by creating its folder; no number is given twice, deleted versions' included.

    What killed publishers claimed before would be published by the number after it, and goes.
    """
    claimed = folder.claimed()
    for number in claimed:
        if number > state.last:
            shutil.rmtree(folder.version(number))
    number = max([*claimed, state.last]) + 1
    while True:
        try:
            folder.version(number).mkdir()
        except FileExistsError:
            number += 1  # a file in its place, or a writer that no lock of ours holds back
            continue
        except OSError as error:
            raise refused_by_file_system(error, f"The feature set {folder.name}") from error
        return number


def _placed(folder: SetFolder, number: int, staging: Path, record: Mapping[str, Any], *, copy: bool) -> None:
    """The file, made durable; then the record, with which the version exists."""
    if copy:
        data = staging / "data.parquet"
        data.chmod(_READ_ONLY)
        sync(data)
        data.replace(folder.data(number))
    record = {**record, "version": number, "created_at": datetime.now(UTC).isoformat()}
    write_whole(folder.record(number), sealed(record, indent=True))
    with suppress(OSError):
        folder.record(number).chmod(_READ_ONLY)
    sync(folder.path)
