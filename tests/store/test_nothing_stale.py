"""Whatever changes, a build with a store gives what a build without one gives.

Every change is a generator: it yields the inputs of a build, changes something, and yields the inputs again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.fingerprint.modules import project
from tests.store.outcomes import Inputs, assert_same, differ, engine, outcome

Change = Callable[[Path], Iterator[Inputs]]

EVENTS = pl.DataFrame(
    {
        "k": [1, 1, 1, 2, 2, 2, 4],
        "j": [2, 1, 1, 1, 2, 3, 1],
        "t": [1, 3, 5, 2, 3, 6, 1],
        "u": [2, 4, 9, 3, 4, 8, 1],
        "x": [10, 30, 50, 20, 35, 60, 70],
        "z": [0.5, None, 2.5, 1.0, 1.5, 3.0, None],
    }
)
#: Entity 1 has two rows at 3.
TWICE = pl.DataFrame({"k": [1, 1, 1, 2], "t": [1, 3, 3, 2], "x": [10, 30, 31, 20], "c": [1, 9, 8, 1]})
LABELS = pl.DataFrame(
    {
        "k": [1, 1, 2, 2, 3, None],
        "j": [1, 2, 2, 1, 1, 1],
        "at": [5, 6, 4, 9, 9, 5],
        "later": [6, 4, 5, 10, 9, 5],
        "y": [0, 1, 0, 1, 1, 0],
        "w": [1, 1, 0, 0, 1, 0],
    }
)
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    CHANGES[function.__name__] = function
    return function


def source(data: Any = EVENTS, **options: Any) -> tf.Source:
    return tf.Source(data, **{"keys": "k", "timestamp": "t", "name": "events", **options})


def labels(data: Any = LABELS, **options: Any) -> tf.Labels:
    return tf.Labels(data, **{"keys": "k", "label_time": "at", "target": "y", **options})


def last(data: Any = EVENTS, **options: Any) -> tf.Feature:
    """The feature ``f`` of ``x``; a source, or its data."""
    given = data if isinstance(data, tf.Source) else source(data)
    how = {"columns": "x"} if not {"columns", "sql", "transform"} & set(options) else {}
    return tf.Feature(given, **{**how, "name": "f", **options})


def of(*exprs: pl.Expr, **options: Any) -> Inputs:
    return Inputs(labels(), tf.Feature(source(), *exprs, name="f", **options))


def more(frame: pl.DataFrame, by: int = 1) -> pl.DataFrame:
    return frame.with_columns(pl.col("x") + by)


def plain(frame: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path, compression="uncompressed", statistics=False)
    return path


# --- the data of sources ------------------------------------------------------------------------------------------------


@change
def bytes_of_a_file(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "events.parquet")
    yield Inputs(labels(), last(path))
    plain(more(EVENTS).head(6), path)
    yield Inputs(labels(), last(path))


@change
def same_size_and_restored_modification_time(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "events.parquet")
    before = path.stat()
    time.sleep(0.05)
    yield Inputs(labels(), last(path))
    plain(more(EVENTS), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    yield Inputs(labels(), last(path))


@change
def a_file_replaced_by_another_of_its_size_and_times(folder: Path) -> Iterator[Inputs]:
    path, other = plain(EVENTS, folder / "events.parquet"), plain(more(EVENTS), folder / "other")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    time.sleep(0.05)
    yield Inputs(labels(), last(path))
    other.replace(path)
    yield Inputs(labels(), last(path))


@change
def one_definition_over_a_changed_file(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "events.parquet")
    given = Inputs(labels(), last(path))
    yield given
    plain(more(EVENTS), path)
    yield given


@change
def bytes_of_a_file_of_a_lazy_frame(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "events.parquet")
    yield Inputs(labels(), last(pl.scan_parquet(path).filter(pl.col("x") < 55)))
    plain(more(EVENTS), path)
    yield Inputs(labels(), last(pl.scan_parquet(path).filter(pl.col("x") < 55)))


@change
def bytes_of_a_csv(folder: Path) -> Iterator[Inputs]:
    path = folder / "events.csv"
    EVENTS.write_csv(path)
    yield Inputs(labels(), last(path))
    more(EVENTS).write_csv(path)
    yield Inputs(labels(), last(path))


@change
def schema_of_a_csv(folder: Path) -> Iterator[Inputs]:
    path = folder / "events.csv"
    EVENTS.write_csv(path)
    yield Inputs(labels(), last(path))
    yield Inputs(labels(), last(source(path, schema={**EVENTS.schema, "x": pl.Float64})))


@change
def timestamp_format_of_a_csv(folder: Path) -> Iterator[Inputs]:
    path = folder / "events.csv"
    pl.DataFrame({"k": [1, 1], "t": ["2024-01-03 00:00", "2024-04-01 00:00"], "x": [1, 2]}).write_csv(path)
    given = labels(LABELS.with_columns(at=pl.lit(datetime(2024, 2, 15))), target=None)
    text = {"k": pl.Int64, "t": pl.String, "x": pl.Int64}
    yield Inputs(given, last(source(path, schema=text, timestamp_format="%Y-%m-%d %H:%M")))
    yield Inputs(given, last(source(path, schema=text, timestamp_format="%Y-%d-%m %H:%M")))


@change
def a_file_added_to_a_glob(folder: Path) -> Iterator[Inputs]:
    plain(EVENTS.head(4), folder / "in" / "a.parquet")
    yield Inputs(labels(), last(str(folder / "in" / "*.parquet")))
    plain(EVENTS.tail(3), folder / "in" / "b.parquet")
    yield Inputs(labels(), last(str(folder / "in" / "*.parquet")))


@change
def a_file_removed_from_a_glob(folder: Path) -> Iterator[Inputs]:
    plain(EVENTS.head(4), folder / "in" / "a.parquet")
    path = plain(EVENTS.tail(3), folder / "in" / "b.parquet")
    yield Inputs(labels(), last(str(folder / "in" / "*.parquet")))
    path.unlink()
    yield Inputs(labels(), last(str(folder / "in" / "*.parquet")))


@change
def files_of_a_glob_reordered(folder: Path) -> Iterator[Inputs]:
    one = plain(TWICE, folder / "in" / "a.parquet")
    other = plain(more(TWICE), folder / "in" / "b.parquet")
    yield Inputs(labels(), last(str(folder / "in" / "*.parquet"), on_duplicate="keep_last"))
    one.rename(folder / "in" / "c")
    other.rename(one)
    (folder / "in" / "c").rename(other)
    yield Inputs(labels(), last(str(folder / "in" / "*.parquet"), on_duplicate="keep_last"))


@change
def files_of_a_folder(folder: Path) -> Iterator[Inputs]:
    plain(EVENTS.head(4), folder / "in" / "a.parquet")
    yield Inputs(labels(), last(folder / "in"))
    plain(EVENTS.tail(3), folder / "in" / "b.parquet")
    yield Inputs(labels(), last(folder / "in"))


@change
def files_of_a_list(folder: Path) -> Iterator[Inputs]:
    paths = [plain(EVENTS.head(4), folder / "a.parquet"), plain(EVENTS.tail(3), folder / "b.parquet")]
    yield Inputs(labels(), last(paths))
    yield Inputs(labels(), last(paths[:1]))


@change
def name_of_a_hive_partition(folder: Path) -> Iterator[Inputs]:
    plain(EVENTS.drop("x"), folder / "in" / "x=1" / "a.parquet")
    yield Inputs(labels(), last(folder / "in"))
    (folder / "in" / "x=1").rename(folder / "in" / "x=2")
    yield Inputs(labels(), last(folder / "in"))


@change
def a_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(EVENTS))
    yield Inputs(labels(), last(more(EVENTS)))


@change
def the_type_of_a_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(EVENTS))
    yield Inputs(labels(), last(EVENTS.with_columns(pl.col("x").cast(pl.Int32))))


@change
def the_order_of_a_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(TWICE, on_duplicate="keep_last"))
    yield Inputs(labels(), last(TWICE.reverse(), on_duplicate="keep_last"))


@change
def null_and_nan_of_a_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(EVENTS, columns="z"))
    yield Inputs(labels(), last(EVENTS.with_columns(pl.col("z").fill_null(float("nan"))), columns="z"))


@change
def an_arrow_table(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(EVENTS.to_arrow()))
    yield Inputs(labels(), last(more(EVENTS).to_arrow()))


@change
def a_lazy_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(EVENTS.lazy().filter(pl.col("x") < 45)))
    yield Inputs(labels(), last(EVENTS.lazy().filter(pl.col("x") < 35)))


@change
def a_frame_under_a_lazy_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(EVENTS.lazy().with_columns(pl.col("x") * 2)))
    yield Inputs(labels(), last(more(EVENTS).lazy().with_columns(pl.col("x") * 2)))


@change
def two_sources_of_one_name_swapped(folder: Path) -> Iterator[Inputs]:
    one, other = source(EVENTS), source(more(EVENTS))
    yield Inputs(labels(), [last(one, name="f"), last(other, name="g")])
    yield Inputs(labels(), [last(other, name="f"), last(one, name="g")])


# --- SQL ----------------------------------------------------------------------------------------------------------------


def selected(query: str, **options: Any) -> tf.Feature:
    return last(tf.SQLSource(query, keys="k", timestamp="t", name="events", **options))


@change
def query_of_a_source(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), selected("SELECT * FROM e WHERE x < 45", tables={"e": EVENTS}))
    yield Inputs(labels(), selected("SELECT * FROM e WHERE x < 35", tables={"e": EVENTS}))


@change
def frame_under_a_query(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), selected("SELECT * FROM e", tables={"e": EVENTS}))
    yield Inputs(labels(), selected("SELECT * FROM e", tables={"e": more(EVENTS)}))


@change
def file_under_a_query(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "e.parquet")
    yield Inputs(labels(), selected("SELECT * FROM e", tables={"e": path}))
    plain(more(EVENTS), path)
    yield Inputs(labels(), selected("SELECT * FROM e", tables={"e": path}))


@change
def file_named_in_a_query(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "e.parquet")
    yield Inputs(labels(), selected(f"SELECT * FROM read_parquet('{path}')"))
    plain(more(EVENTS), path)
    yield Inputs(labels(), selected(f"SELECT * FROM read_parquet('{path}')"))


@change
def tables_of_a_query_swapped(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), selected("SELECT * FROM e", tables={"e": EVENTS, "d": more(EVENTS)}))
    yield Inputs(labels(), selected("SELECT * FROM e", tables={"d": EVENTS, "e": more(EVENTS)}))


@change
def rows_of_a_database_file(folder: Path) -> Iterator[Inputs]:
    duckdb = pytest.importorskip("duckdb")
    path = folder / "events.duckdb"
    for add in (0, 1):
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE OR REPLACE TABLE e AS SELECT 1 AS k, 1 AS t, {10 + add} AS x")
        yield Inputs(labels(), selected("SELECT * FROM e", connection=str(path)))


@change
def rows_behind_a_connection(folder: Path) -> Iterator[Inputs]:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE e AS SELECT 1 AS k, 1 AS t, 10 AS x")
        yield Inputs(labels(), selected("SELECT * FROM e", connection=connection))
        connection.execute("UPDATE e SET x = 11")
        yield Inputs(labels(), selected("SELECT * FROM e", connection=connection))


@change
def sql_of_a_feature(folder: Path) -> Iterator[Inputs]:
    text = "SELECT k, t, x + {} AS x FROM {{source}}"
    yield Inputs(labels(), last(sql=text.format(1)))
    yield Inputs(labels(), last(sql=text.format(2)))


@change
def sql_of_a_feature_in_duckdb(folder: Path) -> Iterator[Inputs]:
    pytest.importorskip("duckdb")
    text = "SELECT k, t, x + {} AS x FROM {{source}} QUALIFY row_number() OVER (PARTITION BY k, t ORDER BY x) = 1"
    yield Inputs(labels(), last(sql=text.format(1), dialect="duckdb"))
    yield Inputs(labels(), last(sql=text.format(2), dialect="duckdb"))


@change
def dialect_of_a_feature(folder: Path) -> Iterator[Inputs]:
    pytest.importorskip("duckdb")
    yield Inputs(labels(), last(sql="SELECT k, t, length('ab') AS x FROM {source}", dialect="polars"))
    yield Inputs(labels(), last(sql="SELECT k, t, length('ab') AS x FROM {source}", dialect="duckdb"))


@change
def text_of_a_sql_file(folder: Path) -> Iterator[Inputs]:
    path = folder / "f.sql"
    path.write_text("SELECT k, t, x + 1 AS x FROM {source}")
    yield Inputs(labels(), last(sql=path))
    path.write_text("SELECT k, t, x + 2 AS x FROM {source}")
    yield Inputs(labels(), last(sql=path))


# --- roles and labels ---------------------------------------------------------------------------------------------------


@change
def timestamp_column(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(source()))
    yield Inputs(labels(), last(source(timestamp="u")))


@change
def availability_column(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(source()))
    yield Inputs(labels(), last(source(available_at="u")))


@change
def tie_breaker(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(source(TWICE), on_duplicate="keep_last"))
    yield Inputs(labels(), last(source(TWICE, tie_breaker="c"), on_duplicate="keep_last"))


@change
def keys_of_labels_and_source(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(source()))
    yield Inputs(labels(keys=["k", "j"]), last(source(keys=["k", "j"])))


@change
def order_of_keys_of_the_source(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(keys=["k", "j"]), last(source(keys=["k", "j"])))
    mapping = {"k": "j", "j": "k"}
    yield Inputs(labels(keys=["k", "j"]), last(source(keys=["k", "j"]), key_mapping=mapping))


@change
def no_keys(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(source()))
    yield Inputs(labels(), last(source(keys=[]), on_duplicate="keep_last"))


@change
def key_mapping(folder: Path) -> Iterator[Inputs]:
    given = labels(keys=["k", "w"])
    yield Inputs(given, last(source(keys="j"), key_mapping={"k": "j"}, on_duplicate="keep_last"))
    yield Inputs(given, last(source(keys="j"), key_mapping={"w": "j"}, on_duplicate="keep_last"))


@change
def rows_of_a_labels_frame(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last())
    yield Inputs(labels(LABELS.with_columns(pl.col("at") + 1)), last())


@change
def order_of_labels(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last())
    yield Inputs(labels(LABELS.reverse()), last())


@change
def bytes_of_a_labels_file(folder: Path) -> Iterator[Inputs]:
    path = plain(LABELS, folder / "labels.parquet")
    yield Inputs(labels(path), last())
    plain(LABELS.with_columns(pl.col("w") + 1), path)
    yield Inputs(labels(path), last())


@change
def label_time(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last())
    yield Inputs(labels(label_time="later"), last())


@change
def label_keys(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(keys="k"), last(source(keys="k"), key_mapping={"k": "k"}, on_duplicate="keep_last"))
    yield Inputs(labels(keys="j"), last(source(keys="k"), key_mapping={"j": "k"}, on_duplicate="keep_last"))


@change
def target(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last())
    yield Inputs(labels(target="w"), last())


@change
def no_target(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last())
    yield Inputs(labels(target=None), last())


@change
def when_a_date_is_known(folder: Path) -> Iterator[Inputs]:
    events = EVENTS.with_columns(t=pl.date(2024, 1, 1) + pl.duration(days="t"))
    given = labels(LABELS.with_columns(at=pl.datetime(2024, 1, 1) + pl.duration(days="at", hours=6)))
    yield Inputs(given, last(source(events)))
    yield Inputs(given, last(source(events, date_known_at="start")))


@change
def when_an_availability_date_is_known(folder: Path) -> Iterator[Inputs]:
    events = EVENTS.with_columns(
        t=pl.datetime(2024, 1, 1) + pl.duration(days="t"), u=pl.date(2024, 1, 1) + pl.duration(days="u")
    )
    given = labels(LABELS.with_columns(at=pl.datetime(2024, 1, 1) + pl.duration(days="at", hours=6)))
    yield Inputs(given, last(source(events, available_at="u")))
    yield Inputs(given, last(source(events, available_at="u", date_known_at="start")))


# --- options ------------------------------------------------------------------------------------------------------------

EACH = {"a": (0, 6), "b": (6, 20)}
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "strictness": ({}, {"join": "inclusive"}),
    "lookback": ({}, {"max_lookback": 2}),
    "another lookback": ({"max_lookback": 3}, {"max_lookback": 2}),
    "staleness": ({}, {"max_staleness": 1}),
    "missing": ({}, {"on_missing": "skip"}),
    "flatten": ({}, {"flatten_columns": True}),
    "feature times": ({}, {"feature_times": True}),
    "splits": ({}, {"splits": EACH}),
    "no splits": ({"splits": EACH}, {}),
    "bounds of splits": ({"splits": EACH}, {"splits": {"a": (0, 5), "b": (5, 20)}}),
    "names of splits": ({"splits": EACH}, {"splits": {"a": (0, 6), "c": (6, 20)}}),
    "ranges of splits swapped": ({"splits": EACH}, {"splits": {"b": (0, 6), "a": (6, 20)}}),
    "purge": ({"splits": EACH}, {"splits": EACH, "purge": 1}),
}


def changed_option(before: dict[str, Any], after: dict[str, Any], folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(), before)
    yield Inputs(labels(), last(), after)


CHANGES.update({f"option {n}": partial(changed_option, *pair) for n, pair in OPTIONS.items()})

OF_FEATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "embargo": ({}, {"embargo": 2}),
    "another embargo": ({"embargo": 1}, {"embargo": 2}),
    "lookback": ({}, {"max_lookback": 2}),
    "no lookback": ({"max_lookback": 2}, {"max_lookback": None}),
    "staleness": ({}, {"max_staleness": 1}),
    "name": ({}, {"name": "g"}),
    "columns": ({}, {"columns": ["x", "c"]}),
    "output columns": ({"columns": {"x": "a", "c": "b"}}, {"columns": {"x": "b", "c": "a"}}),
    "first of duplicates": ({}, {"on_duplicate": "keep_first"}),
    "any of duplicates": ({}, {"on_duplicate": "keep_any"}),
    "no duplicates": ({}, {"on_duplicate": "error"}),
    "duplicates again": ({"on_duplicate": "error"}, {}),
}


def changed_feature(before: dict[str, Any], after: dict[str, Any], folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(TWICE, **{"on_duplicate": "keep_last", **before}))
    yield Inputs(labels(), last(TWICE, **{"on_duplicate": "keep_last", **after}))


CHANGES.update({f"feature's {n}": partial(changed_feature, *pair) for n, pair in OF_FEATURES.items()})


def changed_duplicates(how: dict[str, Any], after: str, folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), last(TWICE, **how, on_duplicate="keep_last"))
    yield Inputs(labels(), last(TWICE, **how, on_duplicate=after))


CHANGES.update(
    {
        f"duplicates of {mode}: {after}": partial(changed_duplicates, how, after)
        for mode, how in {
            "sql": {"sql": "SELECT k, t, x FROM {source}"},
            "a transform": {"transform": lambda lf: lf.select("k", "t", "x")},
        }.items()
        for after in ("keep_first", "error")
    }
)


@change
def order_of_features(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), [last(name="f"), last(name="g", columns="z")])
    yield Inputs(labels(), [last(name="g", columns="z"), last(name="f")])


@change
def a_feature_added(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), [last(name="f")])
    yield Inputs(labels(), [last(name="f"), last(name="g", columns="z")])


@change
def definitions_of_features_swapped(folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), [last(name="f", columns={"x": "a"}), last(name="g", columns={"j": "a"})])
    yield Inputs(labels(), [last(name="g", columns={"x": "a"}), last(name="f", columns={"j": "a"})])


# --- expressions --------------------------------------------------------------------------------------------------------

X = pl.col("x")
EXPRESSIONS: dict[str, tuple[pl.Expr, pl.Expr]] = {
    "constant": (X + 1, X + 2),
    "type of a constant": (X * pl.lit(2), X * pl.lit(2.0)),
    "column": (X, pl.col("u").alias("x")),
    "operator": (X + 1, X - 1),
    "members": (X.is_in([10, 30]), X.is_in([10, 50])),
    "series": (X.is_in(pl.Series([10, 30]).implode()), X.is_in(pl.Series([10, 50]).implode())),
    "mapping": (X.replace({10: 1, 30: 2}), X.replace({10: 1, 30: 3})),
    "branch": (pl.when(X > 20).then(1).otherwise(0).alias("x"), pl.when(X > 40).then(1).otherwise(0).alias("x")),
    "window": (X.rolling_sum_by("t", "2i"), X.rolling_sum_by("t", "4i")),
    "group": (X.cum_sum().over("k"), X.cum_sum().over("j")),
    "cast": (X.cast(pl.Int32), X.cast(pl.Float32)),
    "name": (X.alias("a"), X.alias("b")),
    "string": (pl.format("a{}", X).alias("x"), pl.format("b{}", X).alias("x")),
    "date": (pl.lit(date(2024, 1, 1)).alias("x"), pl.lit(date(2024, 1, 2)).alias("x")),
    "function": (X.map_elements(lambda x: int(f"{x}1"), pl.Int64), X.map_elements(lambda x: int(f"{x}2"), pl.Int64)),
    "batch function": (
        X.map_batches(lambda s: s + 1, return_dtype=pl.Int64),
        X.map_batches(lambda s: s + 2, return_dtype=pl.Int64),
    ),
    "struct": (pl.struct(a="x").alias("x"), pl.struct(b="x").alias("x")),
    "nan": (X + pl.lit(float("nan")), X + pl.lit(float("inf"))),
}


def changed_expression(before: pl.Expr, after: pl.Expr, folder: Path) -> Iterator[Inputs]:
    yield of(before)
    yield of(after)


CHANGES.update({f"expression: {n}": partial(changed_expression, *pair) for n, pair in EXPRESSIONS.items()})


def window(aggregates: Any = None, data: Any = EVENTS, **options: Any) -> tf.Window:
    """The window feature ``w`` of the last 3 units."""
    given = data if isinstance(data, tf.Source) else source(data)
    made = {"a": X.sum(), "n": pl.len()} if aggregates is None else aggregates
    return tf.Window(given, made, **{"windows": [3], "name": "w", **options})


#: Two windows, and options of the build.
WINDOWS: dict[str, tuple[tf.Window, tf.Window]] = {
    "aggregate": (window(), window({"a": X.max(), "n": pl.len()})),
    "column": (window(), window({"a": pl.col("u").sum(), "n": pl.len()})),
    "names of aggregates swapped": (window({"a": X.sum(), "b": X.max()}), window({"b": X.sum(), "a": X.max()})),
    "order of aggregates": (window({"a": X.sum(), "b": X.max()}), window({"b": X.max(), "a": X.sum()})),
    "aggregate's filter": (window({"a": X.filter(X > 20).sum()}), window({"a": X.filter(X > 30).sum()})),
    "aggregate's constant": (window({"a": X.sum() + 1}), window({"a": X.sum() + 2})),
    "aggregate's function": (
        window({"a": X.map_elements(lambda x: int(f"{x}1"), pl.Int64).sum()}),
        window({"a": X.map_elements(lambda x: int(f"{x}2"), pl.Int64).sum()}),
    ),
    "length": (window(), window(windows=[4])),
    "one length more": (window(), window(windows=[3, 5])),
    "no length": (window(), window(windows=[None])),
    "order of lengths": (window(windows=[3, 5]), window(windows=[5, 3])),
    "embargo": (window(), window(embargo=1)),
    "filter": (window(), window(where=X > 20)),
    "filter's constant": (window(where=X > 20), window(where=X > 30)),
    "no filter": (window(where=X > 20), window()),
    "time since": (window(), window({"a": X.sum(), "n": tf.since_last()})),
    "rows": (window(), window(data=more(EVENTS))),
    "one row more": (window({"n": pl.len()}), window({"n": pl.len()}, pl.concat([EVENTS, EVENTS.tail(3)]))),
    "order of rows": (window({"a": X.last()}, TWICE), window({"a": X.last()}, TWICE.reverse())),
    "time": (window(), window(data=source(timestamp="u"))),
    "availability": (window(), window(data=source(available_at="u"))),
    "another availability": (
        window(data=source(available_at="u")),
        window(data=source(EVENTS.with_columns(u=pl.col("u") + 2), available_at="u")),
    ),
    "keys": (window(), window(key_mapping={"j": "k"})),
    "tie breaker": (
        window({"a": X.last()}, source(TWICE, tie_breaker="c")),
        window({"a": X.last()}, source(TWICE, tie_breaker="x")),
    ),
    "feature instead": (window({"a": X.sum()}, name="f"), last()),
}


def changed_window(before: Any, after: Any, folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), before)
    yield Inputs(labels(), after)


def window_options(before: dict[str, Any], after: dict[str, Any], folder: Path) -> Iterator[Inputs]:
    yield Inputs(labels(), [window(), last()], before)
    yield Inputs(labels(), [window(), last()], after)


CHANGES.update({f"window's {n}": partial(changed_window, *pair) for n, pair in WINDOWS.items()})
CHANGES.update({f"window, option {n}": partial(window_options, *pair) for n, pair in OPTIONS.items()})


@change
def file_under_a_window(folder: Path) -> Iterator[Inputs]:
    path = plain(EVENTS, folder / "events.parquet")
    yield Inputs(labels(), window(data=path))
    plain(more(EVENTS), path)
    yield Inputs(labels(), window(data=path))


# --- transforms ---------------------------------------------------------------------------------------------------------

#: Two versions of a user's project; ``made`` is the transform.
PROJECTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
_FEATURES = """
    import functools
    import polars as pl
    import helpers
    from helpers import shift, Base

    FACTOR = 2
    TABLE = {"by": 3}

    class Scale(Base):
        RATE = 4

        def __init__(self, by):
            self.by = by

        def run(self, lf):
            return lf.with_columns(pl.col("x") * self.RATE + self.by + self.start())

    def body(lf, by=5, *, plus=6):
        return lf.with_columns(shift(pl.col("x")) * FACTOR + TABLE["by"] + by + plus + helpers.offset())

    def closed(by):
        def inner(lf):
            return lf.with_columns(pl.col("x") + by)
        return inner

    def mapped(lf):
        return lf.with_columns(pl.col("x").map_elements(lambda x: int(str(x)) + FACTOR + helpers.offset(), pl.Int64))

    def batches(lf):
        return lf.map_batches(lambda df: df.with_columns(pl.col("x") + FACTOR))

    made = body
    scaled = Scale(7).run
    enclosed = closed(8)
    bound = functools.partial(body, by=9)
"""
_HELPERS = """
    import deeper

    class Base:
        def start(self):
            return 100

    def shift(x):
        return x + 10

    def offset():
        return deeper.DEEP + 1
"""
_DEEPER = "DEEP = 1000\n"


def _version(made: str, *edits: tuple[str, str]) -> dict[str, str]:
    texts = {"features": _FEATURES, "helpers": _HELPERS, "deeper": _DEEPER}
    for old, new in edits:
        assert any(old in text for text in texts.values())
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    return {**texts, "chosen": f"from features import {made} as made\n"}


for _name, _made, _edit in (
    ("body", "body", ("* FACTOR + TABLE", "* FACTOR - TABLE")),
    ("global", "body", ("FACTOR = 2", "FACTOR = 3")),
    ("global table", "body", ('{"by": 3}', '{"by": 4}')),
    ("default", "body", ("by=5", "by=6")),
    ("keyword default", "body", ("plus=6", "plus=7")),
    ("helper in another module", "body", ("return x + 10", "return x + 11")),
    ("global of a module further on", "body", ("DEEP = 1000", "DEEP = 1001")),
    ("closure value", "enclosed", ("closed(8)", "closed(9)")),
    ("partial argument", "bound", ("by=9", "by=10")),
    ("function under a partial", "bound", ("FACTOR = 2", "FACTOR = 3")),
    ("attribute of a method's object", "scaled", ("Scale(7)", "Scale(8)")),
    ("constant of a method's class", "scaled", ("RATE = 4", "RATE = 5")),
    ("body of a method", "scaled", ("self.RATE + self.by", "self.RATE - self.by")),
    ("method of a base class", "scaled", ("return 100", "return 101")),
    (
        "base class",
        "scaled",
        ("class Scale(Base):", "class Other(Base):\n        def start(self): return 1\n    class Scale(Other):"),
    ),
    ("global of a function of elements", "mapped", ("FACTOR = 2", "FACTOR = 3")),
    ("helper of a function of elements", "mapped", ("DEEP + 1", "DEEP + 2")),
    ("global of a function of frames", "batches", ("FACTOR = 2", "FACTOR = 3")),
):
    PROJECTS[_name] = (_version(_made), _version(_made, _edit))


def changed_project(before: dict[str, str], after: dict[str, str], folder: Path) -> Iterator[Inputs]:
    for texts in (before, after):
        with project(folder / "project", texts) as load:
            yield Inputs(labels(), last(transform=load("chosen").made))


CHANGES.update({f"transform's {n}": partial(changed_project, *pair) for n, pair in PROJECTS.items()})


@change
def file_that_a_transform_scans(folder: Path) -> Iterator[Inputs]:
    path = folder / "rates.parquet"

    def rated(lf: pl.LazyFrame) -> pl.LazyFrame:
        return lf.join(pl.scan_parquet(path), on="k").select("k", "t", pl.col("x") * pl.col("rate"))

    plain(pl.DataFrame({"k": [1, 2], "rate": [2, 3]}), path)
    yield Inputs(labels(), last(transform=rated))
    plain(pl.DataFrame({"k": [1, 2], "rate": [2, 4]}), path)
    yield Inputs(labels(), last(transform=rated))


@change
def frame_that_a_transform_joins(folder: Path) -> Iterator[Inputs]:
    for rate in (3, 4):
        rates = pl.LazyFrame({"k": [1, 2], "rate": [2, rate]})
        yield Inputs(
            labels(),
            last(transform=lambda lf, r=rates: lf.join(r, on="k").select("k", "t", pl.col("x") * pl.col("rate"))),
        )


@change
def file_that_a_transform_reads(folder: Path) -> Iterator[Inputs]:
    path = folder / "rate.txt"

    def rated(lf: pl.LazyFrame) -> pl.LazyFrame:
        return lf.select("k", "t", pl.col("x") * int(path.read_text()))

    path.write_text("2")
    yield Inputs(labels(), last(transform=rated))
    path.write_text("3")
    yield Inputs(labels(), last(transform=rated))


@change
def rows_of_a_transform_that_collects(folder: Path) -> Iterator[Inputs]:
    def collects(lf: pl.LazyFrame) -> pl.LazyFrame:
        frame = lf.collect()
        return frame.with_columns(pl.col("x") - frame["x"].max()).lazy()

    yield Inputs(labels(), last(EVENTS, transform=collects))
    yield Inputs(labels(), last(more(EVENTS.head(5)), transform=collects))


@change
def environment_that_a_transform_reads(folder: Path) -> Iterator[Inputs]:
    def rated(lf: pl.LazyFrame) -> pl.LazyFrame:
        return lf.with_columns(pl.col("x") * int(os.environ["TF_TEST_RATE"]))

    with pytest.MonkeyPatch.context() as patch:
        for rate in "23":
            patch.setenv("TF_TEST_RATE", rate)
            yield Inputs(labels(), last(transform=rated))


# --- the test -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_a_changed_build_is_what_it_is_without_a_store(tmp_path: Path, name: str, by: str) -> None:
    store = tf.Store(tmp_path / "store")
    references = []
    with engine(by), pytest.MonkeyPatch.context() as patch:
        patch.setattr("timefence_pl.fingerprint.files.GRAIN_NS", 1)  # every hash is remembered at once
        for number, given in enumerate(CHANGES[name](tmp_path)):
            reference, _ = outcome(given, tmp_path / "reference" / "set.parquet")
            # The first build leaves an output behind; the second must not take it for its own.
            made, result = outcome(given, tmp_path / "out" / "set.parquet", store)
            assert_same(made, reference)
            assert result is None or not result.manifest["reused"]
            assert_same(outcome(given, tmp_path / "out" / "again.parquet", store)[0], reference)
            if number == 1:
                kept, _ = outcome(given, None, store)
                assert_same(kept, outcome(given, None)[0])
            references.append(reference)
    assert len(references) == 2
    assert differ(*references), "the change changes nothing: it tests nothing"
    assert store.verify() == [] or references[-1].error is None


@pytest.mark.parametrize("name", ["a_frame", "bytes_of_a_file", "option splits", "expression: constant"])
def test_there_and_back_again(tmp_path: Path, name: str) -> None:
    store = tf.Store(tmp_path / "store")
    for given in [*CHANGES[name](tmp_path), *CHANGES[name](tmp_path), *CHANGES[name](tmp_path)]:
        reference, _ = outcome(given, tmp_path / "reference" / "set.parquet")
        made, _ = outcome(given, tmp_path / "out" / "set.parquet", store)
        assert_same(made, reference)


# --- versions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["polars.__version__", "timefence_pl.fingerprint.keys.FORMAT_VERSION"])
def test_another_version_computes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    store = tf.Store(tmp_path / "store")
    tf.build(labels(), last(), store=store)
    assert tf.build(labels(), last(), store=store).manifest["features"]["f"]["cached"]
    monkeypatch.setattr(what, "0.0.0" if what.startswith("polars") else 999)
    manifest = tf.build(labels(), last(), tmp_path / "out.parquet", store=store).manifest
    assert not manifest["features"]["f"]["cached"]
    assert not manifest["reused"]


def test_a_store_of_a_later_format_is_refused(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    tf.build(labels(), last(), store=store)
    store.layout.marker.write_text('{"format": 99}')
    with pytest.raises(tf.TimefenceStoreError, match="format 99"):
        tf.build(labels(), last(), store=store)


# --- scans that were run before their files changed ------------------------------------------------------------------------


def _rows(path: Path, numbers: range) -> None:
    pl.DataFrame({"k": [1] * len(numbers), "t": list(numbers), "v": [10 * n + 1 for n in numbers]}).write_parquet(path)


def _added(folder: Path) -> None:
    _rows(folder / "2.parquet", range(3, 5))


def _rewritten(folder: Path) -> None:
    _rows(folder / "1.parquet", range(1, 400))


def _removed(folder: Path) -> None:
    (folder / "0.parquet").unlink()


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("change", [_added, _rewritten, _removed])
@pytest.mark.parametrize("where", ["source", "window", "labels", "transform", "source with a function"])
def test_a_scan_is_read_anew_whenever_its_files_changed(
    tmp_path: Path, where: str, change: Callable[[Path], None], *, stored: bool
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    _rows(folder / "0.parquet", range(1))
    _rows(folder / "1.parquet", range(1, 3))
    kept = pl.scan_parquet(folder / "*.parquet")
    known = pl.DataFrame({"k": [1], "t": [0], "v": [0]})

    def inputs(scan: pl.LazyFrame) -> tuple[tf.Labels, Any]:
        of = tf.Source(scan, keys="k", timestamp="t", name="s")
        if where == "labels":
            return tf.Labels(scan, keys="k", label_time="t"), last(
                tf.Source(known, keys="k", timestamp="t"), columns="v"
            )
        asked = tf.Labels(pl.DataFrame({"k": [1], "T": [1000]}), keys="k", label_time="T")
        if where == "window":
            return asked, tf.Window(of, {"n": pl.len(), "v": pl.col("v").sum()}, windows=[None], name="w")
        if where == "transform":
            summed = scan.group_by("k").agg(total=pl.col("v").sum())
            return asked, tf.Feature(
                tf.Source(known, keys="k", timestamp="t"), transform=lambda lf: lf.join(summed, on="k"), name="f"
            )
        if where == "source with a function":
            mapped = scan.with_columns(pl.col("v").map_batches(lambda s: s + 1, return_dtype=pl.Int64))
            return asked, tf.Feature(tf.Source(mapped, keys="k", timestamp="t", name="s"), columns="v", name="f")
        return asked, tf.Feature(of, columns="v", name="f")

    store = tf.Store(tmp_path / "store") if stored else None
    given = inputs(kept)
    before = tf.build(*given, store=store).frame()
    change(folder)
    expected = tf.build(*inputs(pl.scan_parquet(folder / "*.parquet"))).frame()
    assert not expected.equals(before) or (where, change) in {
        ("source", _removed),
        ("source with a function", _removed),
    }
    for again in (given, inputs(kept), inputs(pl.scan_parquet(folder / "*.parquet"))):
        assert_frame_equal(tf.build(*again, store=store).frame(), expected)
        assert_frame_equal(tf.point_in_time(*again).collect(), expected)
