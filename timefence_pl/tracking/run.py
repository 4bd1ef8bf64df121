"""A run being made: parameters, metrics, tags, inputs and files, logged as they come.

Takes values, appends them to the run's log, each in one write. Nothing logged is lost where the process is killed; a
lock held while the run lasts tells others that it lives.
"""

from __future__ import annotations

import contextvars
import os
import socket
import sys
import time
import traceback
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import polars as pl

from timefence_pl._version import __version__
from timefence_pl.choices import boolean, one_of, shortened
from timefence_pl.errors import TimefenceConfigError, TimefenceStoreError, message
from timefence_pl.store.appends import AppendLog, line_of
from timefence_pl.store.files import refused_by_file_system, sync, write_whole
from timefence_pl.store.layout import STORE_FORMAT, Layout
from timefence_pl.store.locks import Holding, locked
from timefence_pl.store.names import checked_stored_name
from timefence_pl.store.records import sealed
from timefence_pl.tracking import inputs as logged
from timefence_pl.tracking.fingerprints import VerifyLevel
from timefence_pl.tracking.folders import RunFolder, SetFolder
from timefence_pl.tracking.run_index import add_to_index
from timefence_pl.tracking.run_records import (
    FAILED,
    FINISHED,
    RUNNING,
    RunRecord,
    find_run_folder,
    read_run,
    read_summary,
)
from timefence_pl.tracking.values import logged_metrics, logged_values
from timefence_pl.tracking.versions import FeatureSetVersion, find_version, read_version

__all__ = ["Run", "active_run", "open_run", "start_run"]

_ACTIVE: contextvars.ContextVar[tuple[Run, ...]] = contextvars.ContextVar("timefence_pl_runs", default=())
_LONGEST_TRACE: Final = 20_000


class Run:
    """A run: what went into a model, and what came out.

    Made by :meth:`Store.start_run`, and best used with ``with``: it ends ``FINISHED``, or ``FAILED`` with the error
    where the block raises or exits with another code than 0. Where its process is killed it shows as ``INTERRUPTED``.
    Values logged are kept at once; several threads and processes may log to one run.
    """

    def __init__(self, folder: RunFolder, holding: Holding | None) -> None:
        self._folder = folder
        self._holding = holding
        self._log = AppendLog(folder.log)
        self._ended = False

    @property
    def run_id(self) -> str:
        """Its id: unique, and in the order of starting."""
        return self._folder.run_id

    @property
    def experiment(self) -> str:
        """Its experiment."""
        return self._folder.experiment

    @property
    def layout(self) -> Layout:
        """The store it is in."""
        return self._folder.layout

    def log_param(self, name: str, value: Any) -> None:
        """Keep one parameter; see :meth:`log_params`."""
        self.log_params({checked_stored_name("parameter", name): value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep parameters: all of them, or none where one cannot be kept. A name that is logged again takes the new value.

        Raises:
            InvalidNameError: If a name could not stand in the store.
            TimefenceValidationError: If JSON does not hold a value.
        """
        self._append("params", logged_values("parameter", params))

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """Keep one metric; see :meth:`log_metrics`."""
        self.log_metrics({checked_stored_name("metric", name): value}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep numbers, NaN and infinities included; each call adds to their history.

        Args:
            metrics: Numbers by name.
            step: The step they belong to, if any.

        Raises:
            InvalidNameError: If a name could not stand in the store.
            TimefenceValidationError: If a value is not a number, or the step no integer.
        """
        if step is not None and (not isinstance(step, int) or isinstance(step, bool) or abs(step) >= 1 << 63):
            raise TimefenceConfigError(
                message(f"step={shortened(step)} is not an integer.", fix="Give 0, 1, 2, ... or None.")
            )
        self._append("metrics", logged_metrics(metrics), step=step)

    def set_tags(self, tags: Mapping[str, Any], *, replace: bool = False) -> None:
        """Keep tags, beside those it has, or instead of them.

        Raises:
            InvalidNameError: If a name could not stand in the store.
            TimefenceValidationError: If JSON does not hold a value.
        """
        boolean(replace, "replace")
        self._append("tags", logged_values("tag", tags), replace=replace, ended=True)

    def use(self, ref: str | FeatureSetVersion, verify: VerifyLevel = "file") -> pl.LazyFrame:
        """Read a published feature set, checked before any row is read, and link the run to that very version.

        Args:
            ref: As in ``"iris:latest"``; the version that it means now is pinned as an input of the run, with its
                hashes, and stays so when the alias moves.
            verify: As for :meth:`FeatureSetVersion.verify`.

        Raises:
            NotFoundError: If there is no such version.
            IntegrityError: If it is not what was published; the run is not linked to it then.
        """
        version = find_version(self.layout, ref)
        rows = version.scan(verify)
        folder = SetFolder(self.layout, version.name)
        with locked(folder.lock):  # a deletion sees the link, or this sees the deletion
            read_version(folder, version.version)
            self._append("input", logged.version_input(version, ref, verify))
        return rows

    def publish(self, name: str, data: object, **options: Any) -> FeatureSetVersion:
        """Publish a feature set as an output of this run; arguments as for :meth:`Store.publish`."""
        from timefence_pl.tracking.store import Store  # noqa: PLC0415 - stores give runs

        return Store(self.layout.root).publish(name, data, run=self, **options)

    def log_output(self, version: FeatureSetVersion) -> None:
        """Link a version that this run published; :meth:`Store.publish` does it inside the run's block."""
        if not isinstance(version, FeatureSetVersion):
            raise TimefenceConfigError(
                message(f"version={shortened(version)} is not a published version.", fix="Give what publish gave.")
            )
        self._append("output", logged.version_output(version))

    def log_dataset(self, data: object, name: str) -> dict[str, Any]:
        """Link a file or a frame that is not published: its hash, size and place.

        Args:
            data: The path of a file, or a frame.
            name: What it is to the run.

        Returns:
            What was linked.

        Raises:
            NotFoundError: If there is no such file.
        """
        return self._append("input", logged.dataset_input(data, name))

    def log_input_run(self, name: str, run_id: str, artifact_name: str | None = None) -> dict[str, Any]:
        """Link another run, and one of its artifacts with its hash.

        Raises:
            NotFoundError: If there is no such run or artifact.
            IntegrityError: If the artifact is no longer what was logged.
        """
        return self._append("input", logged.run_input(self.layout, name, run_id, artifact_name))

    def log_dvc_input(self, path: str | Path, name: str) -> dict[str, Any]:
        """Link data that DVC versions: the hash of its ``.dvc`` file, checked against the real bytes.

        Raises:
            NotFoundError: If there is no such data or ``.dvc`` file.
            DvcMismatchError: If the data is not what the ``.dvc`` file says.
            DvcUnsupportedHashError: If the ``.dvc`` file names no hash that can be checked here.
        """
        return self._append("input", logged.dvc_input(path, name))

    def log_artifact(self, path: str | Path, name: str | None = None) -> dict[str, Any]:
        """Keep a copy of a file; one of the same name gives way to it.

        Args:
            path: The file.
            name: The artifact's name; the file's by default.

        Raises:
            InvalidNameError: If the name could not stand in the store.
            NotFoundError: If there is no such file.
        """
        return self._append("artifact", logged.artifact_file(self._folder, path, name))

    def log_model(self, model: Any, name: str) -> dict[str, Any]:
        """Keep a model: a copy of the file at a path, bytes as they are, any other object pickled.

        The store never loads it again: that would run what the file says. Load it yourself, where you trust it.

        Args:
            model: A path, bytes, or an object (written by joblib where the name ends in ``.joblib``, else by
                cloudpickle).
            name: The artifact's name, as in ``"model.pkl"``.

        Raises:
            InvalidNameError: If the name could not stand in the store.
            NotFoundError: If there is no file at the path.
            TimefenceValidationError: If the object cannot be pickled.
        """
        return self._append("artifact", logged.artifact_model(self._folder, model, name))

    def download_artifact(self, name: str, dest: str | Path = ".") -> Path:
        """Copy an artifact; as :meth:`RunRecord.download_artifact`."""
        return self.record().download_artifact(name, dest)

    def record(self) -> RunRecord:
        """What is recorded of it so far."""
        return read_run(self._folder)

    def end(self, status: Literal["FINISHED", "FAILED"] = "FINISHED", error: BaseException | None = None) -> None:
        """End it; what ``with`` does at the end of its block. A run that has ended takes tags and nothing else."""
        if self._ended:
            return
        one_of(status, (FINISHED, FAILED), "status")
        if error is not None and not isinstance(error, BaseException):
            raise TimefenceConfigError(
                message(f"error={shortened(error)} is not an exception.", fix="Give one, or None.")
            )
        self._append("end", None, status=status, error=None if error is None else _told(error))
        self._ended = True
        self._log.close()
        if self._holding is not None:
            self._holding.release()
            with suppress(OSError):
                self._folder.alive.unlink()
        add_to_index(self._folder, *read_summary(self._folder))

    def __enter__(self) -> Self:
        _ACTIVE.set((*_ACTIVE.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ACTIVE.set(tuple(run for run in _ACTIVE.get() if run is not self))
        left = isinstance(error, SystemExit) and error.code in (None, 0)
        if error is None or left or isinstance(error, GeneratorExit):
            self.end()
        else:
            self.end(FAILED, error)

    def __repr__(self) -> str:
        return f"Run({self.run_id!r}, experiment={self.experiment!r})"

    def _append(self, kind: str, values: dict[str, Any] | None, *, ended: bool = False, **more: Any) -> dict[str, Any]:
        event = {"kind": kind, "t": _now(), "values": values, **{k: v for k, v in more.items() if v is not None}}
        if self._ended:
            if not ended:
                raise TimefenceStoreError(
                    message(f"Run {self.run_id} has ended; it takes no {kind}.", fix="Log it before the run ends.")
                )
            late = AppendLog(self._folder.log)
            late.append(line_of(event))
            late.close()
        else:
            self._log.append(line_of(event))
        return values or {}


def start_run(layout: Layout, experiment: str, name: str | None, params: Mapping[str, Any] | None) -> Run:
    """Begin a run; one begun inside another's ``with`` block is its child.

    Raises:
        InvalidNameError: If a name could not stand in the store.
        TimefenceValidationError: If JSON does not hold a parameter.
    """
    checked_stored_name("experiment", experiment)
    if name is not None:
        checked_stored_name("run", name)
    given = logged_values("parameter", {} if params is None else params)
    layout.create()
    began = datetime.now(UTC)
    run_id = f"{began:%Y%m%dT%H%M%S}{began.microsecond:06d}Z-{uuid.uuid4().hex[:8]}"
    folder = RunFolder(layout, experiment, run_id)
    parent = active_run(layout)
    record = {
        "store_format": STORE_FORMAT,
        "run_id": run_id,
        "experiment": experiment,
        "name": name,
        "started_at": int(began.timestamp() * 1e6),
        "parent": None if parent is None else parent.run_id,
        "process": {"pid": os.getpid(), "host": socket.gethostname(), "command": Path(sys.argv[0] or "").name},
        "environment": {
            "timefence_version": __version__,
            "polars_version": pl.__version__,
            "python_version": sys.version.split()[0],
        },
    }
    return _begun(folder, record, given)


def open_run(layout: Layout, run_id: str) -> Run:
    """A run begun elsewhere, to log to it from this process too; ending it is its beginner's.

    Raises:
        NotFoundError: If there is no such run.
        TimefenceStoreError: If it has ended.
    """
    folder = find_run_folder(layout, run_id)
    status = read_summary(folder)[0]["status"]
    run = Run(folder, None)
    if status != RUNNING:
        run._ended = True  # noqa: SLF001 - tags are still taken
        run._log.close(durable=False)  # noqa: SLF001
    return run


def active_run(layout: Layout) -> Run | None:
    """The innermost run of this store whose ``with`` block this thread, or task, is in."""
    return next((run for run in reversed(_ACTIVE.get()) if run.layout.root == layout.root), None)


def _begun(folder: RunFolder, record: Mapping[str, Any], params: dict[str, Any]) -> Run:
    try:
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        if folder.path.parent.is_symlink() or folder.layout.runs.is_symlink():
            raise NotADirectoryError(20, "it is a link, which could lead out of the store", str(folder.path.parent))
        folder.path.mkdir()
        holding = Holding(folder.alive)
        run = Run(folder, holding)
        if params:
            run.log_params(params)
        write_whole(folder.record, sealed(record, indent=True))  # last: from here on it exists
        sync(folder.path.parent)
    except OSError as error:
        raise refused_by_file_system(error, f"Run {folder.run_id}") from error
    return run


def _told(error: BaseException) -> dict[str, str]:
    trace = "".join(traceback.format_exception(error))
    return {
        "type": type(error).__name__,
        "message": _unicode(str(error)),
        "traceback": _unicode(trace)[-_LONGEST_TRACE:],
    }


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _now() -> int:
    return time.time_ns() // 1000
