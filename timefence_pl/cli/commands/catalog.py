"""``timefence-pl catalog``: the features of a project."""

from __future__ import annotations

from typing import Any

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.project import Project

__all__ = ["command"]


@options.command(
    "catalog",
    "List the features of a project.",
    "timefence-pl catalog",
    "timefence-pl catalog --features features.py --json",
)
@options.features
@options.project
def command(project: Project, feature_files: tuple[str, ...]) -> int:
    """List the features of a project: name, source, keys, embargo, how each is computed, and its output columns."""
    told = [_entry(f) for f in project.features(feature_files)]
    project.session.document({"features": told})
    rows = [
        (
            e["name"],
            e["source"],
            ", ".join(e["keys"]) or "none",
            e["embargo"] or "-",
            e["mode"],
            ", ".join(e["columns"]),
        )
        for e in told
    ]
    project.session.table(("name", "source", "keys", "embargo", "mode", "columns"), rows)
    return 0


def _entry(feature: tf.Feature | tf.Window) -> dict[str, Any]:
    embargo = feature.embargo
    source = feature.source
    return {
        "name": feature.name,
        "source": source.name,
        "data": source.described(),
        "keys": list(source.keys),
        "timestamp": source.timestamp,
        "available_at": source.available_at,
        "key_mapping": dict(feature.key_mapping),
        "embargo": str(embargo) if embargo is not None and embargo.amount else None,
        "mode": feature.mode,
        "on_duplicate": feature.on_duplicate,
        "columns": _columns(feature),
    }


def _columns(feature: tf.Feature | tf.Window) -> list[str]:
    """Output columns; of SQL and transforms as far as the source's schema tells them."""
    if isinstance(feature, tf.Window):
        return feature.outputs
    names = [e.meta.output_name(raise_if_undetermined=False) for e in feature.exprs]
    if names and None not in names:
        return [n for n in names if n is not None]
    import polars as pl  # noqa: PLC0415 - help needs none

    try:
        source = feature.source
        named = {s: k for k, s in feature.key_mapping.items()}
        schema = {named.get(k, k): source.schema[k] for k in source.keys}
        time = next(n for n in ("label_time", "label_time_") if n not in schema)
        empty = pl.DataFrame(schema={**schema, time: source.schema[source.timestamp]})
        told = tf.explain(tf.Labels(empty, keys=list(schema), label_time=time), feature)
    except Exception:  # noqa: BLE001 - the data may not be there, and the list of features needs none
        return []
    return [c.removeprefix(f"{feature.name}__") for c in told[feature.name].columns]
