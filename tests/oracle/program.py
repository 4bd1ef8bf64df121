"""A case as the package's own definitions, and as a script that anyone can run.

Takes a :class:`Case`, gives ``(labels, features, options)`` for ``tf.point_in_time`` and ``tf.build``. Must not know:
the answer. The script is the one source of both: the definitions are made by running it, so that a failing case is
reported exactly as it ran.
"""

from __future__ import annotations

from typing import Any

import polars as pl

import timefence_pl as tf
from tests.oracle.model import DEFAULT, INHERIT, Case, FeatureCase, SourceCase, Table
from tests.oracle.recipe import Output, Recipe

_UNITS = (
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
)


def polars_dtype(dtype: str) -> pl.DataType:
    """Turns a table's dtype into Polars'."""
    made: Any = eval(_dtype(dtype), {"pl": pl})  # noqa: S307 - our own text
    kept: pl.DataType = made() if isinstance(made, type) else made
    return kept


def to_definitions(case: Case, folder: str | None = None) -> tuple[Any, list[Any], dict[str, Any]]:
    """Gives the labels, the features and the options of ``tf.point_in_time``.

    Args:
        case: The case.
        folder: Put sources and labels through Parquet files of this folder: as paths, or (of a size the package does
            not know, so that it streams them) as scans.
    """
    names: dict[str, Any] = {"pl": pl, "tf": tf, "nan": float("nan"), "inf": float("inf")}
    exec(compile("\n".join(definitions(case, folder)), "<case>", "exec"), names)  # noqa: S102 - our own text
    return names["labels"], names["features"], names["options"]


def script(case: Case, path: str = "in-memory") -> str:
    """Writes a program that shows the package's output for a case, run on one path."""
    lines = ["import polars as pl", "import timefence_pl as tf", 'nan, inf = float("nan"), float("inf")', ""]
    lines += definitions(case, "case" if path == "files" else None)
    if path in ("build", "files"):
        output = ', "case/out.parquet"' if path == "files" else ""
        lines.append(f"result = tf.build(labels, features{output}, **options)")
        lines.append("print(result.frame(), result.stats.feature_stats)")
    else:
        engine = "in-memory" if path == "in-memory" else "streaming"
        lines.append(f"print(tf.point_in_time(labels, features, **options).collect(engine={engine!r}))")
    return "\n".join(lines)


def definitions(case: Case, folder: str | None = None) -> list[str]:
    """Writes the statements that define ``labels``, ``features`` and ``options``.

    Args:
        case: The case.
        folder: Where sources (in two files each) and labels are written as Parquet first, to be read from there.
    """
    lines = ["from pathlib import Path"] if folder else []
    for position, source in enumerate(case.sources):
        stored = folder is not None and _storable(source.table)
        lines += _frame(f"events_{position}", source.table, lazy=source.lazy and not stored)
        if stored:
            place = f"{folder}/events_{position}"
            lines += _stored(f"events_{position}", place, len(source.table.rows) // 2, lazy=source.lazy)
        lines.append(f"source_{position} = {_source(position, source)}")
    stored = folder is not None and _storable(case.labels.table)
    lines += _frame("label_rows", case.labels.table, lazy=case.labels.lazy and not stored)
    if stored:
        lines += _stored("label_rows", f"{folder}/labels", len(case.labels.table.rows), lazy=case.labels.lazy)
    target = "" if case.labels.target is None else f", target={case.labels.target!r}"
    keys = list(case.labels.keys)
    lines.append(f"labels = tf.Labels(label_rows, keys={keys!r}, label_time={case.labels.label_time!r}{target})")
    lines.append("features = [")
    lines += [f"    {_feature(case, feature)}," for feature in case.features]
    lines += ["]", f"options = {_options(case)}"]
    return lines


def duration(value: int | None, *, unitless: bool) -> str:
    """Writes a duration as an argument: the package's own text, or the number where times are integers."""
    if value is None or unitless:
        return repr(value)
    parts, rest = "", value
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return repr(parts or "0d")


def _dtype(dtype: str) -> str:
    if dtype.startswith("Enum:"):
        return f"pl.Enum({dtype.removeprefix('Enum:').split(',')!r})"
    if dtype.startswith("Datetime:"):
        return f"pl.Datetime({', '.join(repr(part) for part in dtype.split(':')[1:])})"
    return f"pl.{dtype}"


def _frame(name: str, table: Table, *, lazy: bool) -> list[str]:
    lines = [f"{name} = pl.DataFrame(["]
    for index, (column, dtype) in enumerate(table.schema.items()):
        values = [row[index] for row in table.rows]
        physical = {"Date": "pl.Int32", "Datetime": "pl.Int64"}.get(dtype.split(":")[0])
        series = f"pl.Series({column!r}, {values!r}, dtype={physical or _dtype(dtype)})"
        lines.append(f"    {series}{f'.cast({_dtype(dtype)})' if physical else ''},")
    lines.append("]).lazy()" if lazy else "])")
    return lines


def _storable(table: Table) -> bool:
    """Whether Parquet holds the table's types."""
    return not any("Int128" in dtype for dtype in table.schema.values())


def _stored(name: str, folder: str, rows: int, *, lazy: bool) -> list[str]:
    """Writes a frame into two files of a folder, and puts the folder's glob, or its scan, in its place."""
    glob = repr(f"{folder}/*.parquet")
    return [
        f"Path({folder!r}).mkdir(parents=True, exist_ok=True)",
        f'{name}.head({rows}).write_parquet("{folder}/part-0.parquet")',
        f'{name}.slice({rows}).write_parquet("{folder}/part-1.parquet")',
        f"{name} = {f'pl.scan_parquet({glob})' if lazy else glob}",
    ]


def _source(position: int, source: SourceCase) -> str:
    arguments = [f"events_{position}", f"keys={list(source.keys)!r}", f"timestamp={source.timestamp!r}"]
    if source.available_at is not None:
        arguments.append(f"available_at={source.available_at!r}")
    if source.tie_breaker:
        one = source.tie_breaker[0] if len(source.tie_breaker) == 1 else list(source.tie_breaker)
        arguments.append(f"tie_breaker={one!r}")
    if source.date_known_at != "end":
        arguments.append(f"date_known_at={source.date_known_at!r}")
    arguments.append(f"name={source.name!r}")
    return f"tf.Source({', '.join(arguments)})"


def _feature(case: Case, feature: FeatureCase) -> str:
    source = case.sources[feature.source]
    arguments = [f"source_{feature.source}", *_recipe(feature.recipe, source, unit=case.unitless)]
    arguments.append(f"name={feature.name!r}")
    if feature.embargo:
        arguments.append(f"embargo={duration(feature.embargo, unitless=case.unitless)}")
    for name in ("max_lookback", "max_staleness"):
        value = getattr(feature, name)
        if value != INHERIT:
            arguments.append(f"{name}={duration(value, unitless=case.unitless)}")
    if feature.key_mapping:
        arguments.append(f"key_mapping={feature.key_mapping!r}")
    if feature.on_duplicate != "error":
        arguments.append(f"on_duplicate={feature.on_duplicate!r}")
    return f"tf.Feature({', '.join(arguments)})"


def _options(case: Case) -> str:
    options = {
        "join": repr(case.join),
        "on_missing": repr(case.on_missing),
        "flatten_columns": repr(case.flatten_columns),
        "feature_times": repr(case.feature_times),
        "max_staleness": duration(case.max_staleness, unitless=case.unitless),
    }
    if case.max_lookback != DEFAULT:
        assert not isinstance(case.max_lookback, str)
        options["max_lookback"] = duration(case.max_lookback, unitless=case.unitless)
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in options.items()) + "}"


def _recipe(recipe: Recipe, source: SourceCase, *, unit: bool) -> list[str]:
    names = [output.name for output in recipe.outputs]
    kept = [
        *source.keys,
        source.timestamp,
        *([source.available_at] if source.available_at else []),
        *source.tie_breaker,
    ]
    if recipe.mode == "columns":
        return [f"columns={names!r}"]
    if recipe.mode == "renamed":
        return [f"columns={ {output.column: output.name for output in recipe.outputs}!r}"]
    if recipe.mode == "sql":
        selected = ", ".join(f'"{name}"' for name in [*kept, *(name for name in names if name not in kept)])
        where = "" if recipe.where is None else f' WHERE "{recipe.where[0]}" >= {recipe.where[1]}'
        query = f"SELECT {selected} FROM {{source}}{where}"  # noqa: S608 - our own text
        return [f"sql={query!r}"]
    expressions = [_expression(output, source, unitless=unit) for output in recipe.outputs]
    if recipe.mode == "expressions":
        return expressions
    where = "" if recipe.where is None else f".filter(pl.col({recipe.where[0]!r}) >= {recipe.where[1]})"
    return [
        f"transform=lambda events: events{where}.with_columns({', '.join(expressions)}).select({[*kept, *names]!r})"
    ]


def _expression(output: Output, source: SourceCase, *, unitless: bool) -> str:
    column = f"pl.col({output.column!r})"
    by = source.timestamp
    if output.kind == "rolling_max_by":
        if unitless:
            span = f"{output.argument}i"
        else:
            unit = source.table.unit(by)
            span = f"{output.argument}{'d' if unit == 'date' else unit}"
        text = f"{column}.rolling_max_by({by!r}, {span!r})"
    else:
        text = {
            "identity": column,
            "plus": f"({column} + {output.argument})",
            "suffix": f"({column} + '!')",
            "is_null": f"{column}.is_null()",
            "literal": f"pl.lit({output.argument}, dtype=pl.Int64)",
            "shift": f"{column}.shift({output.argument})",
            "forward_fill": f"{column}.forward_fill()",
            "cum_sum": f"{column}.cum_sum()",
            "cum_count": f"{column}.cum_count()",
            "rolling_sum": f"{column}.rolling_sum({output.argument}, min_samples=1)",
        }[output.kind]
    if output.over:
        text += f".over({list(output.over)!r})"
    return f"{text}.alias({output.name!r})"
