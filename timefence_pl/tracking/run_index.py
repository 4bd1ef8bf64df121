"""Many runs at once: listed, and found by tag, without reading every file.

Takes an experiment, gives summaries of its runs. Each experiment keeps an index: one line a run, with its summary and
the size of the log it was made from. A run whose log has another size now, that runs still, or that is not in the
index is read itself, and its line added. So the index only saves reading: a lost or damaged one costs time, never a run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.errors import (
    IntegrityError,
    NotFoundError,
    TimefenceConfigError,
    TimefenceStoreError,
    listing,
    message,
)
from timefence_pl.store.appends import AppendLog, line_of, read_log
from timefence_pl.store.files import write_whole
from timefence_pl.store.layout import Layout
from timefence_pl.store.locks import locked
from timefence_pl.store.names import checked_stored_name
from timefence_pl.tracking.folders import LOG, RunFolder, experiment_names, run_ids
from timefence_pl.tracking.run_records import RUNNING, read_summary
from timefence_pl.tracking.values import from_json, to_json

__all__ = ["add_to_index", "matching", "runs_frame", "summaries"]

# An index with many more lines than runs is written again.
_SLACK: Final = 1_000
_FIXED: Final[dict[str, Any]] = {
    "run_id": pl.String,
    "experiment": pl.String,
    "name": pl.String,
    "status": pl.String,
    "started_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
    "parent": pl.String,
    "inputs": pl.List(pl.String),
    "outputs": pl.List(pl.String),
    "artifacts": pl.List(pl.String),
    "error": pl.String,
}


def summaries(layout: Layout, experiment: str | None) -> list[dict[str, Any]]:
    """What is known of all runs, newest first; those whose record is damaged are passed over.

    Args:
        layout: The store.
        experiment: One experiment; all by default.

    Raises:
        NotFoundError: If there is no such experiment.
    """
    known = experiment_names(layout)
    if experiment is not None:
        checked_stored_name("experiment", experiment)
        if experiment not in known:
            raise NotFoundError(
                message(
                    f"There is no experiment {experiment!r}.",
                    where=f"experiments: {listing(known)}",
                    fix="Start a run in it, or name another.",
                )
            )
        known = [experiment]
    found = [s for name in known for s in _of_experiment(layout, name)]
    return sorted(found, key=lambda s: (s["started_at"], s["run_id"]), reverse=True)


def matching(found: list[dict[str, Any]], tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that have all of these tags with these values.

    Raises:
        TimefenceConfigError: If the tags are no mapping of values.
    """
    if not isinstance(tags, Mapping) or not tags:
        raise TimefenceConfigError(message(f"tags={shortened(tags)} are none.", fix="Give {'name': value}."))
    try:
        wanted = {checked_stored_name("tag", n): to_json(v) for n, v in tags.items()}
    except TypeError as error:
        raise TimefenceConfigError(
            message(f"tags={shortened(tags)} cannot be looked for: {error}.", fix="Look for values that JSON holds.")
        ) from error
    return [s for s in found if all(_equal(s["tags"].get(n, ...), v) for n, v in wanted.items())]


def runs_frame(found: list[dict[str, Any]]) -> pl.DataFrame:
    """A row a run, as given: what every run has, then ``param_...``, ``metric_...`` and ``tag_...`` columns.

    A column whose values are of several kinds is Float64 where all are numbers, else text.
    """
    fixed: dict[str, list[Any]] = {n: [] for n in _FIXED}
    free: dict[str, dict[int, Any]] = {}
    for row, s in enumerate(found):
        for n in ("run_id", "experiment", "name", "status", "started_at", "ended_at", "parent"):
            fixed[n].append(s[n])
        fixed["inputs"].append([_shown(i) for i in s["inputs"]])
        fixed["outputs"].append([_shown(o) for o in s["outputs"]])
        fixed["artifacts"].append(list(s["artifacts"]))
        fixed["error"].append(f"{s['error'].get('type')}: {s['error'].get('message')}" if s["error"] else None)
        for kind in ("params", "metrics", "tags"):
            for name, value in s[kind].items():
                plain = from_json(value) if isinstance(value, dict | list) else value
                free.setdefault(f"{kind[:-1]}_{name}", {})[row] = plain
    columns = [_fixed(n, fixed[n], dtype) for n, dtype in _FIXED.items()]
    order = sorted(free, key=lambda n: ("param_", "metric_", "tag_").index(n[: n.index("_") + 1]))
    return pl.DataFrame(columns + [_column(n, free[n], len(found)) for n in order])


def add_to_index(folder: RunFolder, summary: Mapping[str, Any], size: int) -> None:
    """Note a run's summary; one that cannot be noted is read again each time."""
    if summary["status"] != RUNNING:
        with suppress(TimefenceStoreError):
            log = AppendLog(folder.index)
            log.append(line_of({"size": size, "summary": summary}))
            log.close(durable=False)


def _of_experiment(layout: Layout, experiment: str) -> Iterator[dict[str, Any]]:
    home = layout.runs / experiment
    ids = run_ids(layout, experiment)
    if not ids:
        return
    index = RunFolder(layout, experiment, ids[0]).index
    contents = read_log(index)
    known = {r["summary"]["run_id"]: r for r in contents.records if _is_entry(r)}
    prefix = f"{home}{os.sep}"
    for run_id in ids:
        entry = known.get(run_id)
        # Ten thousand of these: text is joined, for paths as objects would take most of the time.
        if entry is not None and entry["size"] == _size(f"{prefix}{run_id}{os.sep}{LOG}"):
            yield entry["summary"]
            continue
        folder = RunFolder(layout, experiment, run_id)
        try:
            summary, size = read_summary(folder)
        except (NotFoundError, IntegrityError):
            continue
        add_to_index(folder, summary, size)
        yield summary
    if len(contents.records) + contents.broken > 2 * len(ids) + _SLACK:
        _compact(index, set(ids))


def _compact(index: Path, living: set[str]) -> None:
    """Write an index again with one line a run; what is added meanwhile is only read again."""
    with suppress(OSError, TimefenceStoreError), locked(index.with_name(".index.lock")):
        latest = {str(r["summary"]["run_id"]): r for r in read_log(index).records if _is_entry(r)}
        write_whole(index, b"".join(line_of(r) for n, r in latest.items() if n in living))


def _is_entry(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("summary"), dict) and "run_id" in record["summary"] and "size" in record


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def _shown(given: Mapping[str, Any]) -> str:
    return str(given.get("ref") or given.get("path") or given.get("run_id") or given.get("name"))


def _fixed(name: str, cells: list[Any], dtype: Any) -> pl.Series:
    if isinstance(dtype, pl.List):
        # By Arrow: Polars makes a Series of each list first, a second for ten thousand.
        import pyarrow as pa  # noqa: PLC0415 - dearer than all else that a store needs

        return pl.Series(name, pa.array(cells, type=pa.large_list(pa.large_string())))
    stored = pl.Int64 if isinstance(dtype, pl.Datetime) else dtype
    return pl.Series(name, cells, dtype=stored).cast(dtype)


def _column(name: str, values: Mapping[int, Any], rows: int) -> pl.Series:
    cells = [values.get(row) for row in range(rows)]
    kinds = {type(v) for v in values.values() if v is not None}
    if kinds <= {int} and all(v is None or abs(v) < 1 << 63 for v in cells):
        return pl.Series(name, cells, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(name, [None if v is None else float(v) for v in cells], dtype=pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, cells, dtype=pl.Boolean)
    shown = [v if v is None or isinstance(v, str) else json.dumps(v) for v in cells]
    return pl.Series(name, shown, dtype=pl.String)


def _equal(left: Any, right: Any) -> bool:
    """Whether tag values are the same; True is not 1."""
    return type(left) is type(right) and bool(left == right)
