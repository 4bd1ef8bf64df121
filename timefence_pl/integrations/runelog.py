"""RuneLog: its stores, read as plain values.

Takes the folder of a RuneLog tracker, gives its experiments and runs, and what was broken in them. Reads JSON and hashes
files; loads no model, and needs no RuneLog. Written against RuneLog 0.2.0, whose runs are folders of small files:
``.mlruns/<experiment id>/<run id>/{meta.json, params/*.json, metrics/*.json, artifacts/*, data_meta.json, lineage.json,
dvc_inputs.json, source_control.json, environment.json}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from timefence_pl.choices import path_of
from timefence_pl.errors import NotFoundError, message

__all__ = ["ForeignExperiment", "ForeignRun", "read_runelog"]

_RUNS: Final = ".mlruns"
#: Facts of a run that RuneLog keeps beside its logs.
_BESIDES: Final = ("data_meta.json", "dvc_inputs.json", "lineage.json", "source_control.json", "environment.json")


@dataclass
class ForeignRun:
    """A run as RuneLog has it.

    Attributes:
        run_id: Its id.
        status: ``"FINISHED"`` (whatever happened in it), or ``"RUNNING"`` where its process was killed.
        started_at: Of the local time that RuneLog wrote, in UTC; of the file where it wrote none.
        ended_at: In UTC.
        params: Parameters.
        metrics: Metrics.
        tags: Tags.
        artifacts: Files by name.
        besides: What stands beside its logs, by the file's stem.
        problems: What was broken.
    """

    run_id: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    besides: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass
class ForeignExperiment:
    """An experiment as RuneLog has it.

    Attributes:
        experiment_id: Its id: the name of its folder.
        name: Its name; None where its record is lost.
        runs: Its runs, oldest first.
        problems: What was broken.
    """

    experiment_id: str
    name: str | None
    runs: list[ForeignRun]
    problems: list[str]


def read_runelog(path: str | Path, zone: tzinfo | None) -> list[ForeignExperiment]:
    """All experiments and runs of a RuneLog tracker.

    Args:
        path: The folder given to ``get_tracker``, or the ``.mlruns`` in it.
        zone: The time zone of the machine that wrote it, which RuneLog does not note; this machine's where None.

    Raises:
        NotFoundError: If there is no such store.
    """
    root = path_of(path, "path").expanduser()
    home = root if root.name == _RUNS else root / _RUNS
    if not os.path.isdir(home):  # noqa: PTH112 - names of any length
        raise NotFoundError(
            message(f"There is no RuneLog store in {str(path)!r}.", fix=f"Give the folder that has {_RUNS!r} in it.")
        )
    return [_experiment(folder, zone) for folder in _folders(home)]


def _experiment(folder: Path, zone: tzinfo | None) -> ForeignExperiment:
    problems: list[str] = []
    meta = _object(folder / "meta.json", problems)
    name = meta.get("name")
    if not isinstance(name, str):
        problems.append(f"experiment {folder.name!r} has lost its name")
        name = None
    runs = [_run(run, zone) for run in _folders(folder)]
    return ForeignExperiment(folder.name, name, sorted(runs, key=lambda r: r.started_at), problems)


def _run(folder: Path, zone: tzinfo | None) -> ForeignRun:
    problems: list[str] = []
    meta = _object(folder / "meta.json", problems)
    started = _instant(meta.get("start_time"), zone, "start_time", problems)
    if started is None:
        started = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    ended = meta.get("end_time")
    tags = meta.get("tags", {})
    if not isinstance(tags, dict):
        problems.append("its tags are no mapping")
        tags = {}
    run = ForeignRun(
        run_id=folder.name,
        status=str(meta.get("status", "RUNNING")),
        started_at=started,
        ended_at=None if ended is None else _instant(ended, zone, "end_time", problems),
        tags=tags,
        problems=problems,
    )
    for kind, values in (("params", run.params), ("metrics", run.metrics)):
        for file in _files(folder / kind):
            content = _object(file, problems)
            if "value" in content:
                values[file.stem] = content["value"]
    run.artifacts = {file.name: file for file in _files(folder / "artifacts")}
    for name in _BESIDES:
        if (folder / name).exists():
            found = _json(folder / name, problems)
            if found is not None:
                run.besides[Path(name).stem] = found
    return run


def _instant(text: object, zone: tzinfo | None, what: str, problems: list[str]) -> datetime | None:
    if isinstance(text, str):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is not None:
            local = found if found.tzinfo is not None else found.replace(tzinfo=zone) if zone else found.astimezone()
            return local.astimezone(UTC)
    problems.append(f"its {what} {text!r:.40} is no time" if text is not None else f"it has no {what}")
    return None


def _object(path: Path, problems: list[str]) -> dict[str, Any]:
    found = _json(path, problems)
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return dict(found)
    problems.append(f"{path.parent.name}/{path.name} is no object")
    return {}


def _json(path: Path, problems: list[str]) -> Any:
    """The content of a JSON file, with the NaN and infinities that Python writes."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__})")
        return None


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))


def _files(path: Path) -> list[Path]:
    if not path.is_dir() or path.is_symlink():
        return []
    with os.scandir(path) as entries:
        return sorted(Path(e.path) for e in entries if e.is_file(follow_symlinks=False))
