"""What a feature's frame, and a build's result, depend on.

Takes definitions and options, gives fingerprints: equal keys mean equal results. Reads files and frames to hash them;
runs no feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from timefence_pl.integrations.sql import resolve_dialect
from timefence_pl.plan.latest import Bounds
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.prepare import prepare
from timefence_pl.plan.rows import RowSet
from timefence_pl.plan.training_set import JoinedFeature
from timefence_pl.plan.transforms import runs_at_once
from timefence_pl.plan.window_events import EventSet, prepare_events
from timefence_pl.plan.windows import WindowBounds
from timefence_pl.splits import Split

__all__ = ["build_fingerprint", "feature_fingerprint", "labels_fingerprint", "reads_partitions", "source_fingerprint"]


def source_fingerprint(source: Source, hasher: FileHasher) -> Fingerprint:
    """The content of a source in file order, and how it is read.

    Raises:
        Uncacheable: If a database or remote object has no version.
    """
    if isinstance(source, SQLSource):
        return _sql_source(source, hasher)
    return combined(
        "source",
        {"rows": table_fingerprint(source.table, hasher), "timestamp_format": source.timestamp_format},
    )


def labels_fingerprint(labels: Labels, hasher: FileHasher) -> Fingerprint:
    """The content of the labels in their order, and the roles of their columns.

    Raises:
        Uncacheable: If a remote object has no version or a plan cannot be named.
    """
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
            return fingerprint_frame(table.frame.collect(engine="in-memory"))
        return fingerprint_plan(table.frame, hasher)
    kind = table.file_format()
    if kind in ("delta", "iceberg"):
        return fingerprint_plan(table.scan(), hasher)
    files = table.files()
    names = [_partition(f) for f in files] if _hive(files, table) else None
    options = {k: repr(v) for k, v in table.options.items() if k != "storage_options"}
    return combined("files", {"content": hasher.fingerprint(files, names=names), "format": kind, "options": options})


def feature_fingerprint(feature: AnyFeature, source: Fingerprint) -> Fingerprint:
    """What a feature's sorted frame depends on: its plan over a source of this schema, and the source's content.

    Neither labels, embargo nor bounds are part of it; of a window neither its lengths nor what it does with the events.

    Raises:
        Uncacheable: If the plan cannot be named.
    """
    if isinstance(feature, Window):
        return combined("window", {"source": source, "plan": _events(feature)})
    return combined("feature", {"source": source, "plan": _plan(feature)})


def build_fingerprint(
    labels: Fingerprint,
    features: Mapping[str, Fingerprint],
    joined: Sequence[JoinedFeature],
    options: JoinOptions,
    splits: Sequence[Split],
    output: Mapping[str, str] | None,
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
                "aggregates", {name: fingerprint_expr(expr) for name, expr in j.feature.aggregates.items()}
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


def _plan(feature: Feature) -> Fingerprint:
    source = feature.source
    stub = pl.LazyFrame(schema=source.schema)
    keep_first = feature.on_duplicate == "keep_first"
    if feature.sql is not None and _in_duckdb(feature, stub):
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
        )
    if feature.transform is not None and (name := runs_at_once(feature.transform)) is not None:
        raise Uncacheable(f"the transform of feature {feature.name} uses {name}, which leaves no trace in its plan")
    frame = prepare(RowSet(source, (feature,), keep_first), stub).frame
    return combined("plan", {"expression": fingerprint_plan(frame), "date_known_at": _dates(source)})


def _events(window: Window) -> Fingerprint:
    stub = pl.LazyFrame(schema=window.source.schema)
    frame = prepare_events(EventSet(window.source, window.where, (window,)), stub).frame
    return combined("plan", {"expression": fingerprint_plan(frame), "date_known_at": _dates(window.source)})


def _dates(source: Source) -> str | None:
    """When dates are known, where that is part of the frame: where availability is compared with them."""
    return source.date_known_at if source.available_at else None


def _in_duckdb(feature: Feature, stub: pl.LazyFrame) -> bool:
    assert feature.sql is not None  # noqa: S101 - the caller's mode
    tables = {"source": stub, feature.source.name: stub}
    return resolve_dialect(feature.sql.replace("{source}", "source"), tables, feature.dialect) == "duckdb"


def _sql_source(source: SQLSource, hasher: FileHasher) -> Fingerprint:
    if source.connection is not None and not isinstance(source.connection, str):
        raise Uncacheable(f"the connection of source {source.name} has no version")
    if isinstance(source.connection, str) and "://" in source.connection:
        raise Uncacheable(f"the database of source {source.name} has no version")
    parts: dict[str, Any] = {"query": source.query, "duckdb": duckdb_version(), "polars": pl.__version__}
    if isinstance(source.connection, str):
        parts["database"] = hasher.fingerprint([source.connection])
    elif not source.tables:
        raise Uncacheable(f"the files that the query of source {source.name} reads are not known")
    for name, table in source.tables.items():
        parts[f"table {name}"] = table_fingerprint(table, hasher)
    return combined("source", parts)


def _partition(file: str) -> str:
    """The part of a path that partition columns are read from."""
    return "/".join(p for p in file.replace("\\", "/").split("/")[:-1] if "=" in p)


def reads_partitions(table: Table) -> bool:
    """Whether columns are read from the names of a table's folders."""
    return _hive(table.files(), table)


def _hive(files: Sequence[str], table: Table) -> bool:
    hive = table.options.get("hive_partitioning")
    return bool(hive) or (hive is None and any("=" in p for f in files for p in f.replace("\\", "/").split("/")[:-1]))
