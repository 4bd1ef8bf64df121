"""Runs of other trackers, brought into a store.

Takes what an integration read, gives runs of ours with the ids they had, and a report of what was broken or changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from timefence_pl.errors import TimefenceConfigError, TimefenceError, listing, message
from timefence_pl.integrations.runelog import ForeignExperiment, ForeignRun, read_runelog
from timefence_pl.store.appends import AppendLog, line_of
from timefence_pl.store.files import refused_by_file_system, write_whole
from timefence_pl.store.layout import STORE_FORMAT, Layout
from timefence_pl.store.names import is_stored_name, nearest_stored_name
from timefence_pl.store.records import sealed
from timefence_pl.tracking.folders import RunFolder, experiment_names
from timefence_pl.tracking.inputs import artifact_file
from timefence_pl.tracking.run_index import add_to_index, summaries
from timefence_pl.tracking.run_records import FINISHED, read_summary
from timefence_pl.tracking.values import logged_metrics, to_json

__all__ = ["ImportReport", "import_runelog"]

_SOURCE: Final = "runelog"


@dataclass
class ImportReport:
    """What an import brought.

    Attributes:
        experiments: Names of the experiments.
        runs: Ids of the runs that are new here, by the ids they had.
        known: Ids of runs that an earlier import had brought.
        counts: How many ``params``, ``metrics``, ``tags``, ``artifacts`` and ``inputs`` came with them.
        problems: What was broken, or is called otherwise here.
    """

    experiments: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.items())
        lines = [f"{len(self.runs)} run(s) of {len(self.experiments)} experiment(s) imported: {counts}"]
        if self.known:
            lines.append(f"  {len(self.known)} had been imported before")
        return "\n".join([*lines, *(f"  {problem}" for problem in self.problems)])


def import_runelog(layout: Layout, path: str | Path, time_zone: str | None) -> ImportReport:
    """Bring the runs of a RuneLog store in; those that an earlier import brought are left as they are.

    Args:
        layout: The store.
        path: The RuneLog tracker's folder.
        time_zone: The zone of the machine that wrote it; this machine's where None.

    Raises:
        NotFoundError: If there is no such store.
        TimefenceConfigError: If the zone is not known.
    """
    found = read_runelog(path, _zone(time_zone))
    layout.create()
    origin = str(Path(path).expanduser().resolve())
    known = {
        (str(o.get("experiment_id")), str(o.get("run_id"))): s["run_id"]
        for s in summaries(layout, None)
        if (o := s.get("origin")) and o.get("tracker") == _SOURCE and o.get("path") == origin
    }
    report = ImportReport(counts=dict.fromkeys(("params", "metrics", "tags", "artifacts", "inputs"), 0))
    names: dict[str, str] = {}
    for experiment in found:
        names[experiment.experiment_id] = _experiment_name(experiment, names, report)
    for experiment in found:
        for run in experiment.runs:
            place = (experiment.experiment_id, run.run_id)
            if place in known:
                report.known.append(run.run_id)
                report.runs.setdefault(run.run_id, known[place])
            else:
                report.runs[run.run_id] = _free_id(layout, run.run_id, report)
    new = {e.experiment_id: [r for r in e.runs if (e.experiment_id, r.run_id) not in known] for e in found}
    for experiment in found:
        for run in new[experiment.experiment_id]:
            told = {"tracker": _SOURCE, "path": origin, "run_id": run.run_id, "experiment_id": experiment.experiment_id}
            folder = RunFolder(layout, names[experiment.experiment_id], report.runs[run.run_id])
            _bring(folder, run, told, names, report)
    report.runs = {theirs: ours for theirs, ours in report.runs.items() if theirs not in report.known}
    report.experiments = list(dict.fromkeys(names.values()))
    return report


def _bring(
    folder: RunFolder, run: ForeignRun, origin: Mapping[str, Any], names: Mapping[str, str], report: ImportReport
) -> None:
    said = [f"run {run.run_id}: {problem}" for problem in run.problems]
    values = {kind: _values(run, kind, said) for kind in ("params", "metrics", "tags")}
    inputs = _inputs(run, names, report.runs, said)
    try:
        folder.path.mkdir(parents=True)
        log = AppendLog(folder.log)
        began = _microseconds(run.started_at)
        for kind, found in values.items():
            if found:
                log.append(line_of({"kind": kind, "t": began, "values": found}))
        for given in inputs:
            log.append(line_of({"kind": "input", "t": began, "values": given}))
        artifacts = 0
        for name, path in run.artifacts.items():
            label = _label(name, run.artifacts, f"run {run.run_id}: artifact", said)
            try:
                log.append(line_of({"kind": "artifact", "t": began, "values": artifact_file(folder, path, label)}))
                artifacts += 1
            except TimefenceError as error:
                said.append(f"run {run.run_id}: artifact {name!r} cannot be copied ({str(error).splitlines()[0]})")
        if run.status == FINISHED and run.ended_at is not None:
            ended = _microseconds(run.ended_at)
            log.append(line_of({"kind": "end", "t": ended, "values": None, "status": FINISHED}))
        else:
            said.append(f"run {run.run_id}: it never ended, and counts as interrupted")
        log.close()
        record = {
            "store_format": STORE_FORMAT,
            "run_id": folder.run_id,
            "experiment": folder.experiment,
            "name": None,
            "started_at": began,
            "parent": None,
            "origin": {**origin, "besides": run.besides},
        }
        write_whole(folder.record, sealed(record, indent=True))
    except OSError as error:
        raise refused_by_file_system(error, f"Run {folder.run_id}") from error
    add_to_index(folder, *read_summary(folder))
    for kind, found in values.items():
        report.counts[kind] += len(found)
    report.counts["artifacts"] += artifacts
    report.counts["inputs"] += len(inputs)
    report.problems += said


def _values(run: ForeignRun, kind: str, said: list[str]) -> dict[str, Any]:
    """Parameters, metrics or tags; what cannot stand is left out, and told."""
    given: Mapping[str, Any] = getattr(run, kind)
    found: dict[str, Any] = {}
    for name, value in given.items():
        label = _label(name, given, f"run {run.run_id}: {kind[:-1]}", said)
        try:
            found |= logged_metrics({label: value}) if kind == "metrics" else {label: to_json(value)}
        except (TimefenceError, TypeError) as error:
            said.append(f"run {run.run_id}: {kind[:-1]} {name!r} is left out: {str(error).splitlines()[0]}")
    return found


def _inputs(run: ForeignRun, names: Mapping[str, str], ids: Mapping[str, str], said: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    data = run.besides.get("data_meta")
    if isinstance(data, Mapping):
        digest = data.get("hash_sha256")
        found.append(
            {
                "kind": "dataset",
                "name": nearest_stored_name(str(data.get("name"))),
                "path": None,
                "file": str(data.get("filename")),
                "size_bytes": data.get("filesize_bytes"),
                "file_sha256": f"sha256:{digest}" if digest else None,
            }
        )
    dvc = run.besides.get("dvc_inputs")
    if isinstance(dvc, Mapping):
        found.append(
            {
                "kind": "dvc",
                "name": nearest_stored_name(str(dvc.get("name"))),
                "path": str(dvc.get("path")),
                "dvc_file": str(dvc.get("dvc_file")),
                "md5": dvc.get("md5_hash"),
            }
        )
    lineage = run.besides.get("lineage")
    for link in lineage if isinstance(lineage, list) else []:
        if not isinstance(link, Mapping) or str(link.get("run_id")) not in ids:
            said.append(
                f"run {run.run_id}: it is linked to run {link.get('run_id') if isinstance(link, Mapping) else link!r}, which is not there"
            )
            continue
        digest = link.get("artifact_hash_sha256")
        artifact = link.get("artifact_name")
        found.append(
            {
                "kind": "run",
                "name": nearest_stored_name(str(link.get("name"))),
                "run_id": ids[str(link["run_id"])],
                "experiment": names.get(str(link.get("experiment_id"))),
                **({"artifact": nearest_stored_name(str(artifact))} if artifact else {}),
                **({"file_sha256": f"sha256:{digest}"} if digest else {}),
            }
        )
    return found


def _experiment_name(experiment: ForeignExperiment, taken: Mapping[str, str], report: ImportReport) -> str:
    report.problems += [f"experiment {experiment.experiment_id}: {problem}" for problem in experiment.problems]
    given = experiment.name if experiment.name is not None else f"experiment-{experiment.experiment_id}"
    name = given if is_stored_name(given) else nearest_stored_name(given)
    if name in taken.values() and name != given:
        name = nearest_stored_name(f"{name[:100]}-{experiment.experiment_id}")
    if name != given:
        report.problems.append(f"experiment {given!r} is called {name!r} here")
    return name


def _label(name: str, among: Mapping[str, Any], what: str, said: list[str]) -> str:
    """A name that may stand here, and that no other of its kind has."""
    if is_stored_name(name):
        return name
    label = nearest_stored_name(name)
    number = 1
    while label in among:
        number += 1
        label = f"{nearest_stored_name(name)[:120]}_{number}"
    said.append(f"{what} {name!r} is called {label!r} here")
    return label


def _free_id(layout: Layout, run_id: str, report: ImportReport) -> str:
    """The id a run had, if no run here has it; an id is never used twice."""
    taken = set(report.runs.values())
    plain = run_id if is_stored_name(run_id) else nearest_stored_name(run_id)
    free = plain not in taken and not any(
        RunFolder(layout, experiment, plain).path.exists() for experiment in experiment_names(layout)
    )
    if free and plain == run_id:
        return plain
    other = f"{plain[:100]}-{uuid.uuid4().hex[:8]}"
    report.problems.append(f"run {run_id!r} is called {other!r} here")
    return other


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise TimefenceConfigError(
            message(f"time_zone={name!r} is not known.", fix=f"Use a name as {listing(['UTC', 'Europe/Berlin'])}.")
        ) from error


def _microseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1e6)
