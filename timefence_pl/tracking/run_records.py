"""Runs as they are recorded: read from what they logged.

Takes the folder of a run, gives a :class:`RunRecord`. Writes nothing but copies of artifacts where they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from timefence_pl.errors import IntegrityError, NotFoundError, did_you_mean, listing, message
from timefence_pl.store.appends import read_log
from timefence_pl.store.files import refused_by_file_system, whole_files
from timefence_pl.store.layout import Layout
from timefence_pl.store.locks import is_held
from timefence_pl.store.names import checked_stored_name
from timefence_pl.store.records import unsealed
from timefence_pl.tracking.folders import RunFolder, experiment_names
from timefence_pl.tracking.values import from_json

if TYPE_CHECKING:
    from timefence_pl.tracking.checks import CheckReport
    from timefence_pl.tracking.lineage import Lineage

__all__ = ["FAILED", "FINISHED", "INTERRUPTED", "RUNNING", "RunRecord", "find_run_folder", "read_run", "summary_of"]

RUNNING: Final = "RUNNING"
FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
#: The process of the run is gone, and it said neither that it finished nor that it failed.
INTERRUPTED: Final = "INTERRUPTED"
_BLOCK: Final = 1 << 20
_METRICS: Final[dict[str, Any]] = {"step": pl.Int64, "value": pl.Float64, "at": pl.Datetime("us", "UTC")}


@dataclass(frozen=True, repr=False)
class RunRecord:
    """A run, as it stands recorded at the time it was read.

    Attributes:
        run_id: Its id.
        experiment: Its experiment.
        name: What its user called it, if anything.
        status: ``"RUNNING"``, ``"FINISHED"``, ``"FAILED"``, or ``"INTERRUPTED"``: its process is gone.
        started_at: In UTC.
        ended_at: In UTC; None while it runs, and where it was interrupted.
        error: Of a failed run: ``type``, ``message``, ``traceback``.
        params: Parameters, the last value of each.
        metrics: Metrics, the last value of each; :meth:`metric_history` has all.
        tags: Tags.
        inputs: What it used: feature set versions, datasets, DVC files, other runs.
        outputs: The feature set versions it published.
        artifacts: ``{name: {"sha256", "size_bytes", ...}}``.
        parent: The run it was started in, if any.
        origin: Where it was imported from, if it was.
        broken: Lines of its log that are not as they were written.
    """

    run_id: str
    experiment: str
    name: str | None
    status: str
    started_at: datetime
    ended_at: datetime | None
    error: Mapping[str, str] | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, Any]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    artifacts: Mapping[str, Mapping[str, Any]]
    parent: str | None
    origin: Mapping[str, Any] | None
    broken: int
    _layout: Layout = field(compare=False)

    @property
    def folder(self) -> RunFolder:
        """Where it stands."""
        return RunFolder(self._layout, self.experiment, self.run_id)

    def metric_history(self, name: str) -> pl.DataFrame:
        """All values of a metric in the order they were logged: ``step``, ``value``, ``at`` (UTC).

        Raises:
            NotFoundError: If it has no such metric.
        """
        rows = [
            {"step": e.get("step"), "value": float(from_json(e["values"][name])), "at": _time(e["t"])}
            for e in read_log(self.folder.log).records
            if e.get("kind") == "metrics" and name in e.get("values", {})
        ]
        if not rows:
            raise NotFoundError(
                message(
                    f"Run {self.run_id} has no metric {name!r}. {did_you_mean(str(name), self.metrics)}".rstrip(),
                    where=f"metrics: {listing(self.metrics)}",
                    fix="Name one that it logged.",
                )
            )
        return pl.DataFrame(rows, schema=_METRICS)

    def download_artifact(self, name: str, dest: str | Path = ".") -> Path:
        """Copy an artifact, checked against the hash it was logged with.

        Args:
            name: The artifact.
            dest: A folder, made if it is not there; the copy has the artifact's name.

        Returns:
            The copy's absolute path.

        Raises:
            NotFoundError: If it has no such artifact.
            IntegrityError: If its bytes changed since; nothing is copied then.
        """
        checked_stored_name("artifact", name)
        if name not in self.artifacts:
            raise NotFoundError(
                message(
                    f"Run {self.run_id} has no artifact {name!r}. {did_you_mean(name, self.artifacts)}".rstrip(),
                    where=f"artifacts: {listing(self.artifacts)}",
                    fix="Name one that it logged.",
                )
            )
        source, target = self.folder.artifact(name), Path(dest).expanduser().absolute() / name
        expected = str(self.artifacts[name]["sha256"])
        with whole_files() as files:
            actual = copy_hashed(source, files.new(target)) if source.is_file() else "no file"
            if actual != expected:
                files.discard()
                raise IntegrityError(
                    message(
                        f"The artifact {name!r} of run {self.run_id} is not what was logged.",
                        where=f"file: {source}\nexpected: {expected}\nactual:   {actual}",
                        fix="Put it back from a copy of the store.",
                    ),
                    expected=expected,
                    actual=actual,
                )
        return target

    def lineage(self, direction: str = "up") -> Lineage:
        """What it was made from (``"up"``), or what was made of it (``"down"``)."""
        from timefence_pl.tracking.lineage import trace  # noqa: PLC0415 - lineage is made of runs

        return trace(self._layout, f"run:{self.run_id}", direction)

    def check(self) -> CheckReport:
        """What of its inputs, and of what they were made from, has changed since."""
        from timefence_pl.tracking.checks import check  # noqa: PLC0415 - checks are of runs

        return check(self._layout, f"run:{self.run_id}")

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        plain = {n: v for n, v in vars(self).items() if not n.startswith("_")}
        return {
            **plain,
            "started_at": self.started_at.isoformat(),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            "inputs": [dict(i) for i in self.inputs],
            "outputs": [dict(o) for o in self.outputs],
        }

    def __str__(self) -> str:
        lines = [
            f"run {self.run_id} of {self.experiment}" + (f" ({self.name})" if self.name else "") + f": {self.status}",
            f"  started: {self.started_at:%Y-%m-%d %H:%M:%S} UTC"
            + (f", ended {self.ended_at:%Y-%m-%d %H:%M:%S} UTC" if self.ended_at else ""),
        ]
        if self.error:
            lines.append(f"  error:   {self.error.get('type')}: {self.error.get('message')}")
        for title, values in (("param", self.params), ("metric", self.metrics), ("tag", self.tags)):
            lines += [f"  {title} {n} = {v}" for n, v in values.items()]
        lines += [f"  input {i.get('name')}: {i.get('ref') or i.get('path') or i.get('run_id')}" for i in self.inputs]
        lines += [f"  output {o.get('ref')}" for o in self.outputs]
        lines += [f"  artifact {n} ({a.get('size_bytes'):,} bytes)" for n, a in self.artifacts.items()]
        if self.broken:
            lines.append(f"  {self.broken} line(s) of its log are damaged")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"RunRecord({self.run_id!r}, experiment={self.experiment!r}, status={self.status!r})"


def find_run_folder(layout: Layout, run_id: str) -> RunFolder:
    """The folder of a run, in whichever experiment.

    Raises:
        InvalidNameError: If it is no id.
        NotFoundError: If there is no such run.
    """
    checked_stored_name("run", run_id)
    for experiment in experiment_names(layout):
        folder = RunFolder(layout, experiment, run_id)
        if folder.record.is_file() and not folder.path.is_symlink():
            return folder
    raise NotFoundError(
        message(
            f"There is no run {run_id!r} in {str(layout.root)!r}.",
            fix="List them: store.runs().",
        )
    )


def read_run(folder: RunFolder) -> RunRecord:
    """A run, from its record and its log.

    Raises:
        NotFoundError: If there is none.
        IntegrityError: If its record is damaged.
    """
    return record_of(folder, read_summary(folder)[0])


def read_summary(folder: RunFolder) -> tuple[dict[str, Any], int]:
    """What is known of a run as plain values, and the size of the log it was read from.

    Raises:
        NotFoundError: If there is no such run.
        IntegrityError: If its record is damaged.
    """
    record = _record(folder)
    contents = read_log(folder.log)
    summary = summary_of(record, contents.records, contents.broken)
    if summary["status"] == RUNNING and not is_held(folder.alive):
        contents = read_log(folder.log)  # it may have ended while this one looked
        summary = summary_of(record, contents.records, contents.broken)
        if summary["status"] == RUNNING:
            summary["status"] = INTERRUPTED
    return summary, contents.size


def summary_of(record: Mapping[str, Any], events: Iterable[Mapping[str, Any]], broken: int = 0) -> dict[str, Any]:
    """What a run's record and events come to, as plain values."""
    summary: dict[str, Any] = {
        "run_id": record["run_id"],
        "experiment": record["experiment"],
        "name": record.get("name"),
        "status": RUNNING,
        "started_at": record["started_at"],
        "ended_at": None,
        "error": None,
        "params": {},
        "metrics": {},
        "tags": {},
        "inputs": [],
        "outputs": [],
        "artifacts": {},
        "parent": record.get("parent"),
        "origin": record.get("origin"),
        "broken": broken,
    }
    for event in events:
        kind, values = event.get("kind"), event.get("values")
        if kind in ("params", "metrics") and isinstance(values, dict):
            summary[kind].update(values)
        elif kind == "tags" and isinstance(values, dict):
            summary["tags"] = {**({} if event.get("replace") else summary["tags"]), **values}
        elif kind in ("input", "output") and isinstance(values, dict):
            summary[f"{kind}s"].append(values)
        elif kind == "artifact" and isinstance(values, dict):
            summary["artifacts"][str(values.get("name"))] = values
        elif kind == "end":
            summary |= {"status": event.get("status"), "ended_at": event.get("t"), "error": event.get("error")}
    return summary


def record_of(folder: RunFolder, summary: Mapping[str, Any]) -> RunRecord:
    """A record from plain values."""
    decoded = {n: from_json(summary[n]) for n in ("params", "metrics", "tags")}
    return RunRecord(
        run_id=summary["run_id"],
        experiment=summary["experiment"],
        name=summary["name"],
        status=summary["status"],
        started_at=_time(summary["started_at"]),
        ended_at=None if summary["ended_at"] is None else _time(summary["ended_at"]),
        error=summary["error"],
        params=decoded["params"],
        metrics=decoded["metrics"],
        tags=decoded["tags"],
        inputs=tuple(summary["inputs"]),
        outputs=tuple(summary["outputs"]),
        artifacts=summary["artifacts"],
        parent=summary["parent"],
        origin=summary["origin"],
        broken=summary["broken"],
        _layout=folder.layout,
    )


def copy_hashed(source: Path, target: Path) -> str:
    """Copy a file, reading it once; ``sha256:`` and the hash of what was copied.

    Raises:
        OSError: If the file system refuses.
    """
    state = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(_BLOCK):
            state.update(block)
            writer.write(block)
    return f"sha256:{state.hexdigest()}"


def _record(folder: RunFolder) -> dict[str, Any]:
    try:
        data = folder.record.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            message(f"There is no run {folder.run_id!r} in {folder.experiment!r}.", fix="List them: store.runs().")
        ) from None
    except OSError as error:
        raise refused_by_file_system(error, f"Run {folder.run_id}") from error
    record = unsealed(data)
    if record is None or record.get("run_id") != folder.run_id or record.get("experiment") != folder.experiment:
        raise IntegrityError(
            message(
                f"The record of run {folder.run_id} is damaged.",
                where=str(folder.record),
                fix="Put it back from a copy of the store.",
            )
        )
    return record


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
