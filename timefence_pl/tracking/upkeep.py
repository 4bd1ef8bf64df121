"""Upkeep of feature sets and runs: who uses what, what is damaged, what can go; and plain views of runs.

Takes a layout, gives lists and frames. Deletes only inside the store, and only what it lists.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.errors import (
    InUseError,
    NotFoundError,
    TimefenceConfigError,
    TimefenceError,
    TimefenceStoreError,
    listing,
    message,
)
from timefence_pl.store.files import refused_by_file_system
from timefence_pl.store.layout import Layout
from timefence_pl.store.locks import is_held, locked
from timefence_pl.store.names import checked_stored_name
from timefence_pl.store.upkeep import Garbage, Problem, collect_garbage, is_old, verify_store
from timefence_pl.tracking.aliases import read_state
from timefence_pl.tracking.fingerprints import hash_sha256
from timefence_pl.tracking.folders import RunFolder, experiment_names, folders_in, run_folders, set_folders
from timefence_pl.tracking.names import delete_version, expired_versions
from timefence_pl.tracking.publishing import abandoned
from timefence_pl.tracking.run_index import summaries
from timefence_pl.tracking.run_records import RUNNING, RunRecord, find_run_folder, read_run
from timefence_pl.tracking.versions import FeatureSetVersion, published, read_version

__all__ = ["collect", "compared", "delete_experiment", "delete_run", "filtered", "users_of", "verify_all"]

_DELETING: Final = ".deleting-"


def users_of(layout: Layout, version: FeatureSetVersion) -> list[str]:
    """Ids of the runs that use a version."""
    return [
        s["run_id"]
        for s in summaries(layout, None)
        if any(i.get("kind") == "feature set" and i.get("ref") == version.ref for i in s["inputs"])
    ]


def filtered(frame: pl.DataFrame, where: pl.Expr | None) -> pl.DataFrame:
    """The rows for which an expression holds.

    Raises:
        TimefenceConfigError: If it does not fit the columns.
    """
    if where is None:
        return frame
    try:
        return frame.filter(where)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise TimefenceConfigError(
            message(
                f"where={where!s:.200} does not fit the runs: {str(error).splitlines()[0]}.",
                where=f"columns: {listing(frame.columns, 40)}",
                fix='Give a boolean expression, as in pl.col("metric_accuracy") > 0.9.',
            )
        ) from error


def compared(runs: Sequence[RunRecord]) -> pl.DataFrame:
    """A row a parameter, metric, tag and input of any of the runs."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        for kind, values in (("param", run.params), ("metric", run.metrics), ("tag", run.tags)):
            for name, value in values.items():
                rows.setdefault((kind, name), {})[run.run_id] = str(value)
        for given in run.inputs:
            shown = given.get("ref") or given.get("content_hash") or given.get("file_sha256") or given.get("run_id")
            rows.setdefault(("input", str(given.get("name"))), {})[run.run_id] = str(shown)
    ids = [run.run_id for run in runs]
    order = {"param": 0, "metric": 1, "tag": 2, "input": 3}
    table = [
        {"kind": kind, "name": name, "differs": len({cells.get(i) for i in ids}) > 1, **{i: cells.get(i) for i in ids}}
        for (kind, name), cells in sorted(rows.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    ]
    schema = {"kind": pl.String, "name": pl.String, "differs": pl.Boolean, **dict.fromkeys(ids, pl.String)}
    return pl.DataFrame(table, schema=schema)


def delete_run(layout: Layout, run_id: str, *, force: bool) -> None:
    """Delete a run.

    Raises:
        InUseError: If it runs still, or another run uses it, and ``force`` is not given.
        NotFoundError: If there is no such run.
    """
    folder = find_run_folder(layout, run_id)
    _refuse_used(layout, {run_id}, force=force)
    _remove_run(folder)


def delete_experiment(layout: Layout, name: str, *, force: bool) -> None:
    """Delete an experiment with all its runs.

    Raises:
        InUseError: As :func:`delete_run`, for any of them.
        NotFoundError: If there is no such experiment.
    """
    checked_stored_name("experiment", name)
    if name not in experiment_names(layout):
        raise NotFoundError(
            message(
                f"There is no experiment {name!r}.",
                where=f"experiments: {listing(experiment_names(layout))}",
                fix="Name one of these.",
            )
        )
    folders = run_folders(layout, name)
    _refuse_used(layout, {f.run_id for f in folders}, force=force)
    for folder in folders:
        _remove_run(folder)
    home = layout.runs / name
    try:
        for path in home.glob(".*"):
            if path.is_file():
                path.unlink()
        home.rmdir()
    except OSError as error:
        if list(home.iterdir()):  # a run that began meanwhile, or a stray file, stays
            return
        raise refused_by_file_system(error, f"The experiment {name}") from error


def verify_all(layout: Layout, *, repair: bool) -> list[Problem]:
    """Everything that is not what its record says."""
    problems = verify_store(layout, repair=repair)
    for folder in set_folders(layout):
        try:
            state = read_state(folder)
        except TimefenceStoreError as error:
            problems.append(Problem("aliases", folder.state, _first(error)))
            continue
        for number in published(folder, state):
            try:
                read_version(folder, number, state).verify("file")
            except TimefenceError as error:
                problems.append(Problem("feature set version", folder.version(number), _first(error)))
    for experiment in experiment_names(layout):
        for run in run_folders(layout, experiment):
            problems += _problems_of_run(run)
    return problems


def collect(layout: Layout, keep_versions: int | None, *, dry_run: bool, **limits: Any) -> Garbage:
    """Remove what is not needed, of builds and frames, feature sets and runs."""
    if keep_versions is not None and (
        not isinstance(keep_versions, int) or isinstance(keep_versions, bool) or keep_versions < 0
    ):
        raise TimefenceConfigError(message(f"keep_versions={keep_versions!r} is not a count.", fix="Give 0 or more."))
    garbage = collect_garbage(layout, dry_run=dry_run, **limits)
    paths: list[Path] = []
    size = 0
    for folder in set_folders(layout):
        with locked(folder.lock):
            left = abandoned(folder)
            left += [folder.data(n) for n in folder.claimed() if folder.deleted(n).exists() and folder.data(n).exists()]
            size += sum(map(_size, left))
            if not dry_run:
                _remove(left)
        paths += left
        for number in (
            [] if keep_versions is None else expired_versions(layout, folder.name, keep_versions, _users(layout))
        ):
            data = folder.data(number)
            paths.append(data)
            size += _size(data)
            if not dry_run:
                delete_version(layout, f"{folder.name}:v{number}", force=False, users=_users(layout))
    for experiment in experiment_names(layout):
        # A folder is made before its lock: one that is young may be a run that just begins.
        left = [
            f.path
            for f in run_folders(layout, experiment)
            if is_old(f.path) and not is_held(f.alive) and not f.record.exists()
        ]
        left += [p for p in folders_in(layout.runs / experiment) if p.name.startswith(_DELETING)]
        size += sum(map(_size, left))
        paths += left
        if not dry_run:
            _remove(left)
    return replace(garbage, paths=(*garbage.paths, *paths), bytes=garbage.bytes + size)


def _users(layout: Layout) -> Any:
    return lambda version: users_of(layout, version)


def _refuse_used(layout: Layout, doomed: set[str], *, force: bool) -> None:
    if force:
        return
    found = summaries(layout, None)
    users = [
        f"run {s['run_id']} (input {i.get('name')})"
        for s in found
        if s["run_id"] not in doomed
        for i in s["inputs"]
        if i.get("kind") == "run" and i.get("run_id") in doomed
    ]
    users += [f"run {s['run_id']} (still running)" for s in found if s["run_id"] in doomed and s["status"] == RUNNING]
    if users:
        raise InUseError(
            message(
                f"What is to be deleted is used by {listing(users)}.",
                why="Their lineage would lead nowhere.",
                fix="Delete these first, or give force=True.",
            ),
            users=users,
        )


def _remove_run(folder: RunFolder) -> None:
    try:
        folder.path.rename(folder.doomed)  # from here on it does not exist; gc finishes what is killed here
        shutil.rmtree(folder.doomed)
    except OSError as error:
        raise refused_by_file_system(error, f"Run {folder.run_id}") from error


def _problems_of_run(folder: RunFolder) -> list[Problem]:
    if not folder.record.exists():
        return []
    try:
        run = read_run(folder)
    except TimefenceError as error:
        return [Problem("run", folder.path, _first(error))]
    problems = [Problem("run", folder.log, f"{run.broken} line(s) of its log are damaged")] if run.broken else []
    for name, artifact in run.artifacts.items():
        path = folder.artifact(name)
        try:
            actual = hash_sha256(path)
        except TimefenceError as error:
            problems.append(Problem(f"artifact of run {run.run_id}", path, _first(error)))
            continue
        if actual != artifact.get("sha256"):
            problems.append(
                Problem(f"artifact of run {run.run_id}", path, f"expected {artifact.get('sha256')}, actual {actual}")
            )
    return problems


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 1 if len(lines) < 3 else 3])


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    return path.stat().st_size if path.is_file() and not path.is_symlink() else 0


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:  # another removes it just now
            continue
        except OSError as error:
            raise refused_by_file_system(error, str(path)) from error
