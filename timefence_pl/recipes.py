"""Definitions as plain values: what a build was made of, so that it can be made again from its record alone.

Takes definitions and options, gives JSON-ready dictionaries; and back. Only what holds no code can be kept: sources and
labels in files, columns, expressions without Python functions, windows of such. For anything else it says what stands in
the way. Making definitions again runs nothing of the record and reads no more than the files' schemas.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.feature import INHERIT, Feature, Inherit
from timefence_pl.definitions.feature_set import AnyFeature, distinct_sources
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.sql_source import SQLSource
from timefence_pl.definitions.table import Table
from timefence_pl.definitions.window import Window
from timefence_pl.durations import Duration
from timefence_pl.errors import TimefenceError
from timefence_pl.fingerprint import Uncacheable
from timefence_pl.fingerprint.plain_expressions import expression_of, plain_expression
from timefence_pl.plan.options import JoinOptions

__all__ = ["NotKept", "recipe_of", "recorded_options", "restored_recipe"]

_INHERIT: Final = "inherit"
_OPTIONS: Final = ("delimiter", "hive_partitioning")
_JOIN_OPTIONS: Final = ("max_lookback", "max_staleness", "join", "on_missing", "flatten_columns", "feature_times")


class NotKept(Exception):  # noqa: N818 - not a fault: the definitions are to be given
    """A definition that cannot be kept, or made again, as plain values; says why in one sentence."""


def recipe_of(labels: Labels, features: Sequence[AnyFeature], options: JoinOptions) -> dict[str, Any]:
    """Definitions as plain values.

    Returns:
        ``{"recipe": ...}``, or ``{"recipe": None, "reason": ...}`` where something in them cannot be kept.
    """
    try:
        sources, places = distinct_sources(features)
        recipe = {
            "polars": pl.__version__,
            "labels": {
                **_table("the labels", labels.table),
                "keys": list(labels.keys),
                "label_time": labels.label_time,
                "target": list(labels.target),
                "timestamp_format": labels.timestamp_format,
            },
            "sources": [_source(s) for s in sources],
            "features": [{**_feature(f), "source": place} for f, place in zip(features, places, strict=True)],
            "options": {
                "max_lookback": None if options.lookback_is_default else [_duration(options.max_lookback)],
                "max_staleness": _duration(options.max_staleness),
                "join": options.join,
                "on_missing": options.on_missing,
                "flatten_columns": options.flatten_columns,
                "feature_times": options.feature_times,
            },
        }
    except NotKept as error:
        return {"recipe": None, "reason": str(error)}
    return {"recipe": recipe, "reason": None}


def restored_recipe(recipe: Mapping[str, Any]) -> tuple[Labels, list[AnyFeature], dict[str, Any]]:
    """The labels, features and options of :func:`build` that a recipe is of.

    Raises:
        NotKept: If they cannot be made again, or it is no recipe.
        TimefenceError: If a file is missing, or has other columns.
    """
    if recipe.get("polars") != pl.__version__:
        raise NotKept(f"it was kept with Polars {recipe.get('polars')}, and this is {pl.__version__}")
    try:
        given = recipe["labels"]
        labels = Labels(
            **_read_table(given),
            keys=given["keys"],
            label_time=given["label_time"],
            target=given["target"],
            timestamp_format=given["timestamp_format"],
        )
        sources = [_read_source(s) for s in recipe["sources"]]
        features = [_read_feature(f, sources[f["source"]]) for f in recipe["features"]]
        options = recorded_options(recipe)
    except Uncacheable as error:
        raise NotKept(error.reason) from error
    except TimefenceError:
        raise
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise NotKept(f"the record is not one of definitions ({type(error).__name__}: {error})") from error
    return labels, features, options


def recorded_options(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the join that a recipe is of; no others, whatever it says.

    Raises:
        NotKept: If it says others.
    """
    given = dict(recipe["options"])
    if set(given) != set(_JOIN_OPTIONS):
        raise NotKept(f"the record has the options {sorted(given)}")
    lookback = given.pop("max_lookback")
    options = {**given, "max_staleness": _read_duration(given["max_staleness"])}
    return options if lookback is None else {**options, "max_lookback": _read_duration(lookback[0])}


def _table(role: str, table: Table) -> dict[str, Any]:
    if table.frame is not None:
        what = "a frame in memory" if table.in_memory else "a lazy frame"
        raise NotKept(f"{role} are {what}" if role == "the labels" else f"{role} is {what}")
    if any("://" in p and not p.startswith("file://") for p in table.patterns):
        raise NotKept(f"the files of {role} are not on this machine")
    other = [n for n in table.options if n not in (*_OPTIONS, "parse_dates")]
    if other:
        raise NotKept(f"{role} has the reading option {other[0]!r}")
    return {
        "patterns": [os.path.abspath(p) for p in table.patterns],  # noqa: PTH100 - patterns and "~" stay as they are
        "format": table.format,
        "reading": {n: table.options[n] for n in _OPTIONS if n in table.options},
    }


def _read_table(given: Mapping[str, Any]) -> dict[str, Any]:
    patterns = [str(p) for p in given["patterns"]]
    reading = {n: v for n, v in given["reading"].items() if n in _OPTIONS}
    return {"data": patterns[0] if len(patterns) == 1 else patterns, "format": given["format"], **reading}


def _source(source: Source) -> dict[str, Any]:
    if isinstance(source, SQLSource):
        raise NotKept(f"source {source.name!r} is a SQL query")
    return {
        **_table(f"source {source.name!r}", source.table),
        "name": source.name,
        "keys": list(source.keys),
        "timestamp": source.timestamp,
        "available_at": source.available_at,
        "tie_breaker": list(source.tie_breaker) or None,
        "date_known_at": source.date_known_at,
        "timestamp_format": source.timestamp_format,
    }


def _read_source(given: Mapping[str, Any]) -> Source:
    own = ("name", "keys", "timestamp", "available_at", "tie_breaker", "date_known_at", "timestamp_format")
    return Source(**_read_table(given), **{n: given[n] for n in own})


def _feature(feature: AnyFeature) -> dict[str, Any]:
    shared = {
        "name": feature.name,
        "mode": feature.mode,
        "embargo": _duration(feature.embargo),
        "key_mapping": dict(feature.key_mapping),
    }
    if isinstance(feature, Window):
        return {
            **shared,
            "aggregates": [[n, _expression(feature.name, e)] for n, e in feature.aggregates.items()],
            "windows": [
                None if w is None else w.amount if w.integer else label for label, w in feature.windows.items()
            ],
            "where": None if feature.where is None else _expression(feature.name, feature.where),
        }
    if feature.mode not in ("columns", "expressions"):
        what = "a Python function" if feature.mode == "transform" else "SQL"
        raise NotKept(f"feature {feature.name!r} is {what}")
    return {
        **shared,
        "exprs": [_expression(feature.name, e) for e in feature.exprs],
        "max_lookback": _bound(feature.max_lookback),
        "max_staleness": _bound(feature.max_staleness),
        "on_duplicate": feature.on_duplicate,
    }


def _read_feature(given: Mapping[str, Any], source: Source) -> AnyFeature:
    shared: dict[str, Any] = {
        "name": given["name"],
        "embargo": _read_duration(given["embargo"]),
        "key_mapping": given["key_mapping"] or None,
    }
    if given["mode"] == "window":
        windows = [_read_duration(w) for w in given["windows"]]
        where = None if given["where"] is None else expression_of(given["where"])
        return Window(
            source, {n: expression_of(e) for n, e in given["aggregates"]}, windows=windows, where=where, **shared
        )
    return Feature(
        source,
        *(expression_of(e) for e in given["exprs"]),
        max_lookback=_read_bound(given["max_lookback"]),
        max_staleness=_read_bound(given["max_staleness"]),
        on_duplicate=given["on_duplicate"],
        **shared,
    )


def _expression(feature: str, expr: pl.Expr) -> Any:
    try:
        return plain_expression(expr)
    except Uncacheable as error:
        raise NotKept(f"feature {feature!r}: {error.reason}") from error


def _duration(value: Duration | None) -> Any:
    if value is None:
        return None
    return value.amount if value.integer else f"{value.amount}ns"


def _read_duration(value: Any) -> Any:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, str):
        return value
    raise NotKept(f"{value!r:.60} is no duration")


def _bound(value: Duration | Inherit | None) -> Any:
    return _INHERIT if isinstance(value, Inherit) else _duration(value)


def _read_bound(value: Any) -> Any:
    return INHERIT if value == _INHERIT else _read_duration(value)
