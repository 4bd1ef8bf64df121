"""What a run is linked to, as it is kept: versions, datasets, other runs, DVC data, files of its own.

Takes what the user names, checks it, gives plain values that tell it by its hashes. Writes files of the run's own.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.choices import is_file
from timefence_pl.definitions.table import Table
from timefence_pl.errors import (
    IntegrityError,
    NotFoundError,
    TimefenceConfigError,
    TimefenceValidationError,
    message,
)
from timefence_pl.fingerprint import hash_bytes
from timefence_pl.store.files import refused_by_file_system, whole_files
from timefence_pl.store.layout import Layout
from timefence_pl.store.names import checked_stored_name
from timefence_pl.tracking.content import content_of, schema_text
from timefence_pl.tracking.fingerprints import hash_sha256
from timefence_pl.tracking.folders import RunFolder
from timefence_pl.tracking.run_records import copy_hashed, find_run_folder, read_run
from timefence_pl.tracking.versions import FeatureSetVersion

__all__ = [
    "artifact_file",
    "artifact_model",
    "dataset_input",
    "dvc_input",
    "run_input",
    "version_input",
    "version_output",
]

_READ_ONLY: Final = 0o444


def version_input(version: FeatureSetVersion, ref: object, verify: str) -> dict[str, Any]:
    """A version, pinned by its number and hashes."""
    return {
        "kind": "feature set",
        "name": version.name,
        "ref": version.ref,
        "version": version.version,
        "asked": str(ref) if isinstance(ref, str) else version.ref,
        "content_hash": version.fingerprint.content_hash,
        "file_sha256": version.fingerprint.file_sha256,
        "verified": verify,
    }


def version_output(version: FeatureSetVersion) -> dict[str, Any]:
    """A version that a run published."""
    return {
        "kind": "feature set",
        "name": version.name,
        "ref": version.ref,
        "version": version.version,
        "content_hash": version.fingerprint.content_hash,
        "file_sha256": version.fingerprint.file_sha256,
    }


def dataset_input(data: object, name: str) -> dict[str, Any]:
    """A file by the hash of its bytes, a frame by that of its content in the order of its rows.

    Raises:
        NotFoundError: If there is no such file.
    """
    label = checked_stored_name("dataset", name)
    if isinstance(data, str | os.PathLike):
        path = Path(data).expanduser().absolute()
        if not is_file(path):
            raise NotFoundError(message(f"There is no file {str(data)!r}.", fix="Check the path of the dataset."))
        return {
            "kind": "dataset",
            "name": label,
            "path": str(path),
            "size_bytes": path.stat().st_size,
            "file_sha256": hash_sha256(path),
        }
    lazy = data if isinstance(data, pl.LazyFrame) else Table.of(f"dataset {label!r}", data, None, None, None, {}).scan()
    frame = lazy.collect(engine="streaming")
    return {
        "kind": "dataset",
        "name": label,
        "path": None,
        "n_rows": frame.height,
        "schema": schema_text(frame.schema),
        "content_hash": content_of(frame, [], None).content_hash,
    }


def run_input(layout: Layout, name: str, run_id: str, artifact_name: str | None) -> dict[str, Any]:
    """Another run, and one of its artifacts as it was logged.

    Raises:
        NotFoundError: If there is no such run or artifact.
        IntegrityError: If the artifact is no longer what was logged.
    """
    label = checked_stored_name("input", name)
    folder = find_run_folder(layout, run_id)
    found: dict[str, Any] = {"kind": "run", "name": label, "run_id": run_id, "experiment": folder.experiment}
    if artifact_name is None:
        return found
    checked_stored_name("artifact", artifact_name)
    known = read_run(folder).artifacts.get(artifact_name)
    path = folder.artifact(artifact_name)
    if known is None or not path.is_file():
        raise NotFoundError(message(f"Run {run_id} has no artifact {artifact_name!r}.", fix="Name one that it logged."))
    actual = hash_sha256(path)
    if actual != known["sha256"]:
        raise IntegrityError(
            message(
                f"The artifact {artifact_name!r} of run {run_id} is not what was logged.",
                where=f"file: {path}\nexpected: {known['sha256']}\nactual:   {actual}",
                fix="Put it back from a copy of the store.",
            ),
            expected=known["sha256"],
            actual=actual,
        )
    return {**found, "artifact": artifact_name, "file_sha256": actual}


def dvc_input(path: str | Path, name: str) -> dict[str, Any]:
    """Data that DVC versions, checked against its ``.dvc`` file.

    Raises:
        NotFoundError: If there is no such data or ``.dvc`` file.
        DvcMismatchError: If the data is not what the file says.
        DvcUnsupportedHashError: If it names no hash that can be checked here.
    """
    from timefence_pl.integrations.dvc import checked_output  # noqa: PLC0415 - an extra

    label = checked_stored_name("input", name)
    return {"kind": "dvc", "name": label, **checked_output(path)}


def artifact_file(folder: RunFolder, path: str | Path, name: str | None) -> dict[str, Any]:
    """A copy of a file.

    Raises:
        NotFoundError: If there is no such file.
        TimefenceStoreError: If the file system refuses.
    """
    if not isinstance(path, str | os.PathLike):
        raise TimefenceConfigError(message(f"{path!r:.100} is not a path.", fix="Give the path of a file."))
    source = Path(path).expanduser()
    label = checked_stored_name("artifact", source.name if name is None else name)
    if not is_file(source):
        what = "is a folder; log its files" if os.path.isdir(source) else "does not exist"  # noqa: PTH112
        raise NotFoundError(message(f"The artifact {str(path)!r} {what}.", fix="Give the path of a file."))
    return _kept(folder, label, lambda target: copy_hashed(source, target))


def artifact_model(folder: RunFolder, model: Any, name: str) -> dict[str, Any]:
    """A model: the file at a path, bytes, or an object pickled.

    Raises:
        NotFoundError: If there is no file at the path.
        TimefenceValidationError: If the object cannot be pickled.
    """
    if isinstance(model, str | os.PathLike):
        return {**artifact_file(folder, Path(model), name), "model": "file"}
    label = checked_stored_name("artifact", name)
    if isinstance(model, bytes | bytearray | memoryview):
        how, data = "bytes", bytes(model)
    else:
        how, data = _pickled(model, label)

    def write(target: Path) -> str:
        target.write_bytes(data)
        return hash_bytes(data, "sha256")

    return {**_kept(folder, label, write), "model": how}


def _pickled(model: Any, name: str) -> tuple[str, bytes]:
    how = "joblib" if name.endswith(".joblib") else "cloudpickle"
    if find_spec(how) is None:
        raise TimefenceConfigError(
            message(
                f"{name!r} is to be written by {how}, which is not installed.",
                fix="Install it: pip install joblib; or name it model.pkl, for cloudpickle.",
            )
        )
    library: Any = import_module(how)
    buffer = io.BytesIO()
    try:
        library.dump(model, buffer)
    except Exception as error:  # whatever the object's own code raises
        raise TimefenceValidationError(
            message(
                f"The model {name!r}, a {type(model).__name__}, cannot be pickled.",
                where=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
                fix="Save it by its library, and log the file.",
            )
        ) from error
    return how, buffer.getvalue()


def _kept(folder: RunFolder, name: str, write: Callable[[Path], str]) -> dict[str, Any]:
    """Write an artifact whole, for reading only."""
    target = folder.artifact(name)
    try:
        with whole_files() as files:
            written = files.new(target)
            sha256 = write(written)
            written.chmod(_READ_ONLY)
            size = written.stat().st_size
    except OSError as error:
        raise refused_by_file_system(error, f"The artifact {name}") from error
    return {"name": name, "sha256": sha256, "size_bytes": size}
