"""What a feature's frame, and a build's result, depend on.

Takes definitions and options, gives fingerprints: equal keys mean equal results. Reads files and frames to hash them;
runs no feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.sql_source import SQLSource
from timefence_pl.definitions.table import Table
from timefence_pl.definitions.window import Window
from timefence_pl.fingerprint import (
    FileHasher,
    Fingerprint,
    Uncacheable,
    combined,
    fingerprint_expr,
    fingerprint_frame,
    fingerprint_plan,
)
from timefence_pl.integrations.duckdb import duckdb_version
from timefence_pl.integrations.duckdb_inputs import other_inputs
from timefence_pl.integrations.lakes import Snapshot
from timefence_pl.integrations.sql import resolve_dialect
from timefence_pl.plan.joined import JoinedFeature
from timefence_pl.plan.latest import Bounds
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.prepare import prepare
from timefence_pl.plan.rows import RowSet
from timefence_pl.plan.transforms import runs_at_once
from timefence_pl.plan.window_events import EventSet, prepare_events
from timefence_pl.plan.windows import WindowBounds
from timefence_pl.splits import Split

__all__ = [
    "build_fingerprint",
    "definition_fingerprint",
    "feature_fingerprint",
    "labels_fingerprint",
    "source_fingerprint",
]

#: How files of a format are read, where that was changed: entries of before are not to be found again.
_READING: Final = {"csv": "csv 2", "ndjson": "ndjson 2", "ipc": "ipc 2"}


def source_fingerprint(source: Source, hasher: FileHasher) -> Fingerprint:
    """The content of a source in file order, and how it is read.

    Raises:
        Uncacheable: If a database or remote object has no version.
    """
    if isinstance(source, SQLSource):
        return _sql_source(source, hasher)
    return combined(
        "source",
        {"rows": table_fingerprint(source.table, hasher), **_how_read(source)},
    )


def labels_fingerprint(labels: Labels, hasher: FileHasher) -> Fingerprint:
    """The content of the labels in their order, and the roles of their columns.

    Raises:
        Uncacheable: If a remote object has no version or a plan cannot be named.
    """
    lake = labels.table.lake()
    if lake is not None and len(lake.snapshot().files) > 1:
        raise Uncacheable("the labels are a table of several files, whose rows have no order")
    return combined(
        "labels",
        {
            "rows": table_fingerprint(labels.table, hasher),
            "keys": list(labels.keys),
            "label_time": labels.label_time,
            "target": list(labels.target),
            "timestamp_format": labels.timestamp_format,
        },
    )


def table_fingerprint(table: Table, hasher: FileHasher) -> Fingerprint:
    """The rows of a table: files by content, frames by values, lazy frames by plan.

    Raises:
        Uncacheable: If one of them cannot be named.
    """
    if table.frame is not None:
        if table.in_memory:
            return fingerprint_frame(table.frame.collect(engine="in-memory"), algorithm=hasher.algorithm)
        return fingerprint_plan(table.plan(), hasher)
    kind = table.file_format()
    lake = table.lake()
    storage = table.options.get("storage_options")
    if lake is not None:
        return _lake_fingerprint(kind, lake.snapshot(), hasher, role=table.role, storage=storage)
    files = table.files()
    names = [_partition(f) for f in files] if _hive(files, table) else None
    options = {k: repr(v) for k, v in table.options.items() if k != "storage_options"}
    how = _READING.get(kind, kind)
    content = hasher.fingerprint(files, names=names, options=storage)
    return combined("files", {"content": content, "format": how, "options": options})


def _lake_fingerprint(
    kind: str, snapshot: Snapshot, hasher: FileHasher, *, role: str, storage: Mapping[str, Any] | None
) -> Fingerprint:
    """The current files of a Delta or Iceberg table by content, in no order: its rows have none.

    Raises:
        Uncacheable: If its rows depend on more than its files, or a remote file has no version.
    """
    if snapshot.besides:
        raise Uncacheable(f"the {kind} table of {role} has {snapshot.besides}")
    hashes = hasher.hash_all([f.path for f in snapshot.files], storage)
    rows = sorted(
        (content, file.partition, sorted(hasher.hash_all(file.deletes, storage)), file.path)
        for content, file in zip(hashes, snapshot.files, strict=True)
    )
    files = hasher.fingerprint([r[3] for r in rows], names=[repr(r[1:3]) for r in rows], options=storage)
    return combined("lake", {"content": files, "format": kind, "schema": snapshot.schema})


def feature_fingerprint(feature: AnyFeature, source: Fingerprint, hasher: FileHasher | None = None) -> Fingerprint:
    """What a feature's sorted frame depends on: its plan over a source of this schema, and the source's content.

    Neither labels, embargo nor bounds are part of it; of a window neither its lengths nor what it does with the events.

    Raises:
        Uncacheable: If the plan cannot be named.
    """
    kind = "window" if isinstance(feature, Window) else "feature"
    return combined(kind, {"source": source, "plan": definition_fingerprint(feature, hasher)})


def definition_fingerprint(feature: AnyFeature, hasher: FileHasher | None = None) -> Fingerprint:
    """A feature's plan over a source of its source's schema, apart from the data; of a window, that of its events.

    Raises:
        Uncacheable: If the plan cannot be named.
    """
    return _events(feature, hasher) if isinstance(feature, Window) else _plan(feature, hasher)


def build_fingerprint(
    labels: Fingerprint,
    features: Mapping[str, Fingerprint],
    joined: Sequence[JoinedFeature],
    options: JoinOptions,
    splits: Sequence[Split],
    output: Mapping[str, str] | None,
    hasher: FileHasher | None = None,
) -> Fingerprint:
    """What a build's result depends on.

    Raises:
        Uncacheable: If an aggregate of a window cannot be named.
    """
    parts: dict[str, Any] = {"labels": labels}
    for j in joined:
        b = j.bounds
        parts[f"feature {j.feature.name}"] = features[j.feature.name]
        if isinstance(j.feature, Window) and isinstance(b, WindowBounds):
            parts[f"aggregates of {j.feature.name}"] = combined(
                "aggregates", {name: fingerprint_expr(expr, hasher) for name, expr in j.feature.aggregates.items()}
            )
            lengths = [[label, length] for label, length in b.lengths.items()]
            shown = [list(j.label_keys), list(j.columns), j.feature.source.date_known_at]
            parts[f"join of {j.feature.name}"] = [b.embargo, lengths, *shown]
            continue
        assert isinstance(b, Bounds)  # noqa: S101 - a feature's
        parts[f"join of {j.feature.name}"] = [
            b.embargo,
            b.lookback,
            b.staleness,
            list(j.label_keys),
            list(j.columns),
            j.feature.on_duplicate,
            j.feature.source.date_known_at,
        ]
    parts["order of features"] = [j.feature.name for j in joined]
    parts["join"] = options.join
    parts["on_missing"] = options.on_missing
    parts["flatten_columns"] = options.flatten_columns
    parts["feature_times"] = options.feature_times
    parts["splits"] = [[s.name, s.start, s.stop, s.end] for s in splits]
    parts["output"] = None if output is None else dict(output)
    return combined("build", parts)


def _plan(feature: Feature, hasher: FileHasher | None) -> Fingerprint:
    source = feature.source
    stub = pl.LazyFrame(schema=source.schema)
    keep_first = feature.on_duplicate == "keep_first"
    if feature.sql is not None and _in_duckdb(feature, stub):
        reason = other_inputs(feature.sql.replace("{source}", "source"), ("source", source.name))
        if reason is not None:
            raise Uncacheable(reason)
        return combined(
            "sql",
            {
                "sql": feature.sql,
                "duckdb": duckdb_version(),
                "polars": pl.__version__,
                "name": feature.name,
                "schema": [[n, str(t)] for n, t in source.schema.items()],
                "keys": list(source.keys),
                "times": [source.timestamp, source.available_at, source.date_known_at],
                "ties": [list(source.tie_breaker), feature.on_duplicate],
            },
            algorithm=None if hasher is None else hasher.algorithm,
        )
    if feature.transform is not None and (name := runs_at_once(feature.transform)) is not None:
        raise Uncacheable(f"the transform of feature {feature.name} uses {name}, which leaves no trace in its plan")
    frame = prepare(RowSet(source, (feature,), keep_first), stub).frame
    return combined("plan", {"expression": fingerprint_plan(frame, hasher), "date_known_at": _dates(source)})


def _events(window: Window, hasher: FileHasher | None) -> Fingerprint:
    stub = pl.LazyFrame(schema=window.source.schema)
    frame = prepare_events(EventSet(window.source, window.where, (window,)), stub).frame
    return combined("plan", {"expression": fingerprint_plan(frame, hasher), "date_known_at": _dates(window.source)})


def _dates(source: Source) -> str | None:
    """When dates are known, where that is part of the frame: where availability is compared with them."""
    return source.date_known_at if source.available_at else None


def _in_duckdb(feature: Feature, stub: pl.LazyFrame) -> bool:
    assert feature.sql is not None  # noqa: S101 - the caller's mode
    tables = {"source": stub, feature.source.name: stub}
    return resolve_dialect(feature.sql.replace("{source}", "source"), tables, feature.dialect) == "duckdb"


def _sql_source(source: SQLSource, hasher: FileHasher) -> Fingerprint:
    if source.dialect == "polars":
        return combined("source", {"rows": table_fingerprint(source.table, hasher), **_how_read(source)})
    if source.dialect == "database":
        raise Uncacheable(f"the database of source {source.name} has no version")
    if source.connection is not None and not isinstance(source.connection, str | Path):
        raise Uncacheable(f"the connection of source {source.name} has no version")
    reason = other_inputs(source.query, source.tables, source.connection)
    if reason is not None:
        raise Uncacheable(f"{reason} (source {source.name})")
    parts: dict[str, Any] = {"query": source.query, "duckdb": duckdb_version(), "polars": pl.__version__}
    if source.connection is not None:
        # What a writer that was killed left beside the file belongs to it.
        beside = Path(f"{source.connection}.wal")
        parts["database"] = hasher.fingerprint([str(source.connection), *([str(beside)] if beside.is_file() else [])])
    for name, table in source.tables.items():
        parts[f"table {name}"] = table_fingerprint(table, hasher)
    return combined("source", {**parts, **_how_read(source)})


def _how_read(source: Source) -> dict[str, Any]:
    return {"timestamp_format": source.timestamp_format}


def _partition(file: str) -> str:
    """The part of a path that partition columns are read from."""
    return "/".join(p for p in file.replace("\\", "/").split("/")[:-1] if "=" in p)


def _hive(files: Sequence[str], table: Table) -> bool:
    hive = table.options.get("hive_partitioning")
    return bool(hive) or (hive is None and any("=" in p for f in files for p in f.replace("\\", "/").split("/")[:-1]))
