"""The manifest of a build: what went in, how it was joined, what came out.

Takes plain values, gives a JSON-ready dictionary. Field names are the ancestor's; what is new stands beside them.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from timefence_pl._version import __version__
from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.window import Window
from timefence_pl.durations import format_nanoseconds
from timefence_pl.execution.local import LocalRun
from timefence_pl.feature_cache import CacheStatus
from timefence_pl.fingerprint import Algorithm, FileHasher, Fingerprint
from timefence_pl.plan.joined import JoinedFeature
from timefence_pl.plan.latest import Reason
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.training_set import TrainingPlan
from timefence_pl.printing import plain_rows
from timefence_pl.provenance import definition_hash
from timefence_pl.store.files import WholeFiles, hash_file

__all__ = ["Made", "build_manifest", "feature_statistics", "file_record", "manifest_status"]


def file_record(files: WholeFiles, path: Path, rows: int, algorithm: str = "xxh3_128") -> dict[str, Any]:
    """What a file that is about to stand at ``path`` is: path, size, hash and rows."""
    written = files.written(path)
    return {
        "path": str(path),
        "content_hash": hash_file(written, algorithm),
        "file_size_bytes": written.stat().st_size,
        "row_count": rows,
    }


@dataclass(frozen=True)
class Made:
    """What a build gave, whether it was run or found again: plain values.

    Attributes:
        rows: Rows of the output.
        label_count: Label rows.
        label_range: First and last label tick.
        statistics: Per feature.
        split_rows: Rows of each split.
        purged: Rows the purge dropped.
        unassigned: Rows in no split.
        incomplete: Label rows with a null key or a null label time.
        output: The record of the output file, if any.
        splits: The records of the splits' files.
        frame: The result, where nothing was written.
        messages: What the user is warned of.
    """

    rows: int
    label_count: int
    label_range: tuple[int | None, int | None]
    statistics: Mapping[str, Any]
    split_rows: Mapping[str, int]
    purged: int
    unassigned: int
    incomplete: int
    output: Mapping[str, Any] | None
    splits: Sequence[Mapping[str, Any]]
    frame: pl.DataFrame | None
    messages: tuple[str, ...]


def feature_statistics(plan: TrainingPlan, run: LocalRun, dropped: Mapping[tuple[object, ...], int]) -> dict[str, Any]:
    """Per feature the partition of all label rows, and what its source lost."""
    statistics: dict[str, Any] = {}
    for j in plan.features:
        counts = run.observation.features[j.feature.name]
        parts = {reason.name.lower(): counts.reasons[reason] for reason in sorted(Reason, reverse=True)}
        matched = parts["matched_value"] + parts["null_value"]
        statistics[j.feature.name] = {
            "matched": matched,
            "missing": run.observation.rows - matched,
            **parts,
            "duplicates": counts.duplicates,
            "dropped_source_rows": dropped[j.feature.source.identity()],
            "youngest_value": _span(counts.youngest, j.frame.clock),
        }
    return statistics


def build_manifest(
    *,
    build_id: str,
    started: datetime,
    seconds: float,
    labels: Labels,
    options: JoinOptions,
    plan: TrainingPlan,
    made: Made,
    cache: Mapping[str, CacheStatus],
    build_key: Fingerprint | None,
    reused: bool,
    engine: str,
    inputs: Mapping[str, Any],
) -> dict[str, Any]:
    """Lay out a manifest; the fields are those of the ancestor's ``build.json``."""
    sign = "<" if options.strict else "<="
    return {
        "timefence_version": __version__,
        "build_id": build_id,
        "created_at": started.isoformat(),
        "duration_seconds": round(seconds, 6),
        "labels": {
            "path": labels.described(),
            "row_count": made.label_count,
            "time_range": [_time(t, plan.clock) for t in made.label_range],
            "keys": list(labels.keys),
            "label_time_column": labels.label_time,
            "target_columns": list(labels.target),
        },
        "features": {
            j.feature.name: _feature(j, made.statistics[j.feature.name], cache.get(j.feature.name))
            for j in plan.features
        },
        "parameters": {
            "max_lookback": None if options.max_lookback is None else str(options.max_lookback),
            "max_staleness": None if options.max_staleness is None else str(options.max_staleness),
            "join": options.join,
            "on_missing": options.on_missing,
            "flatten_columns": options.flatten_columns,
            "feature_times": options.feature_times,
        },
        "output": {
            **(dict(made.output) if made.output else {"path": None, "content_hash": None, "file_size_bytes": None}),
            "row_count": made.rows,
            "column_count": len(plan.columns),
            "columns": {n: str(t) for n, t in plan.schema.items()},
        },
        "splits": [dict(s) for s in made.splits],
        "audit": {
            "passed": True,
            "invariant": f"feature_time {sign} label_time - embargo",
            "rows_checked": made.label_count,
        },
        "counts": {
            "labels": made.label_count,
            "label_ticks": list(made.label_range),
            "split_rows": dict(made.split_rows),
            "purged": made.purged,
            "unassigned": made.unassigned,
            "incomplete_labels": made.incomplete,
            "messages": list(made.messages),
        },
        "inputs": dict(inputs),
        "build_cache_key": None if build_key is None else build_key.key,
        "build_cache_parts": {} if build_key is None else dict(build_key.parts),
        "reused": reused,
        "environment": {
            "python_version": platform.python_version(),
            "polars_version": pl.__version__,
            "os": platform.platform(),
            "engine": engine,
        },
    }


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def manifest_status(manifest: Mapping[str, Any]) -> dict[str, CacheStatus]:
    """Whether each feature of a build came from its store, from the manifest."""
    return {
        name: CacheStatus(f["cached"], f["cache_reason"], f["cache_key"], {})
        for name, f in manifest["features"].items()
    }


def _feature(joined: JoinedFeature, statistics: Mapping[str, Any], status: CacheStatus | None) -> dict[str, Any]:
    integer = joined.frame.clock.kind == "integer"

    def shown(amount: int | None) -> str | int | None:
        return amount if amount is None or integer else format_nanoseconds(amount)

    return {
        "source": joined.feature.source.name,
        "source_data": joined.feature.source.described(),
        "mode": joined.feature.mode,
        "embargo": shown(joined.bounds.embargo),
        "max_lookback": shown(joined.bounds.lookback),
        "max_staleness": shown(joined.bounds.staleness),
        "on_duplicate": joined.feature.on_duplicate,
        "matched_rows": statistics["matched"],
        "missing_rows": statistics["missing"],
        "statistics": dict(statistics),
        "output_columns": list(joined.columns),
        "cached": status is not None and status.hit,
        "cache_key": None if status is None else status.key,
        "cache_reason": "no store" if status is None else status.reason,
        "definition_hash": None if status is None else _definition(joined.feature, status),
        "source_content_hash": None if status is None else status.parts.get("source"),
    }


def _definition(feature: AnyFeature, status: CacheStatus) -> str | None:
    """The hash of a feature's plan; of a window, that of its aggregates and lengths too, which its key has not."""
    if not isinstance(feature, Window):
        return status.parts.get("plan")
    algorithm: Algorithm = "sha256" if (status.key or "").startswith("sha256:") else "xxh3_128"
    found: str | None = definition_hash(feature, FileHasher(algorithm=algorithm))["definition_hash"]
    return found


def _span(amount: int | None, clock: Clock) -> str | int | None:
    return amount if amount is None or clock.kind == "integer" else format_nanoseconds(amount)


def _time(tick: int | None, clock: Clock) -> str | int | None:
    if tick is None:
        return None
    if clock.kind == "integer":
        return tick + clock.offset
    (row,) = plain_rows(pl.select(clock.times(pl.lit(tick, dtype=pl.Int64)).alias("time")))
    return str(row["time"])
