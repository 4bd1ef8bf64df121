"""What transforms and SQL must return, and what happens where they do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, feature, joined, labels, values
from timefence_pl.errors import TimefenceConfigError, TimefenceError, TimefenceSchemaError

Transform = Callable[[pl.LazyFrame], Any]


def transformed(transform: Transform, **options: Any) -> tf.Feature:
    return feature(options.pop("data", EVENTS), transform=transform, **options)


# --- what is returned --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "kind"), [(None, "NoneType"), (5, "int"), (pl.col("x"), "Expr"), ([EVENTS], "list"), ("x", "str")]
)
def test_a_transform_returns_a_lazy_frame(returned: Any, kind: str) -> None:
    with pytest.raises(TimefenceSchemaError, match=f"transform of feature 'f' returns a {kind}, not a LazyFrame"):
        tf.point_in_time(labels(), transformed(lambda _events: returned))


@pytest.mark.parametrize(
    ("columns", "missing"), [(["t", "x"], "'k'"), (["k", "x"], "'t'"), (["x"], "'k', 't'"), ([], "'k', 't'")]
)
def test_keys_and_time_are_returned(columns: list[str], missing: str) -> None:
    wanted = rf"transform of feature 'f' does not return {missing}\.(.|\n)*needed: 'k', 't'"
    with pytest.raises(TimefenceSchemaError, match=wanted):
        tf.point_in_time(labels(), transformed(lambda events: events.select(columns)))


def test_a_missing_key_is_proposed_its_nearest() -> None:
    with pytest.raises(TimefenceSchemaError, match="does not return 'user_id'. Did you mean 'userid'"):
        tf.point_in_time(
            labels(EVENTS.rename({"k": "user_id", "t": "at"}), keys="user_id"),
            transformed(
                lambda events: events.rename({"user_id": "userid"}),
                data=EVENTS.rename({"k": "user_id"}),
                source_keys="user_id",
            ),
        )


def test_a_value_is_returned() -> None:
    with pytest.raises(TimefenceSchemaError, match="Feature 'f' returns no value column"):
        tf.point_in_time(labels(), transformed(lambda events: events.select("k", "t")))


@pytest.mark.parametrize("dtype", [pl.String, pl.Float64, pl.Boolean, pl.Duration], ids=str)
def test_a_returned_time_is_a_time(dtype: Any) -> None:
    with pytest.raises(TimefenceSchemaError, match="Feature 'f' returns 't' as .*, not a time type"):
        tf.point_in_time(labels(), transformed(lambda events: events.with_columns(pl.col("t").cast(dtype))))


def test_a_returned_time_compares_with_the_labels() -> None:
    with pytest.raises(TimefenceSchemaError, match="Integer times and date times do not compare"):
        tf.point_in_time(labels(), transformed(lambda events: events.with_columns(t=pl.lit(date(2024, 1, 1)))))


@pytest.mark.parametrize("dtype", [pl.String, pl.Float64, pl.Date], ids=str)
def test_a_returned_key_keeps_its_kind(dtype: Any) -> None:
    with pytest.raises(TimefenceSchemaError, match=r"Feature 'f' returns the key 'k' as .*, not Int64"):
        tf.point_in_time(labels(), transformed(lambda events: events.with_columns(pl.col("k").cast(dtype))))


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Int128], ids=str)
def test_a_returned_key_may_change_its_width(dtype: Any) -> None:
    assert values(labels(), transformed(lambda events: events.with_columns(pl.col("k").cast(dtype)))) == EXPECTED


def test_a_returned_time_may_change_its_unit() -> None:
    assert values(labels(), transformed(lambda events: events.with_columns(pl.col("t").cast(pl.Int8)))) == EXPECTED


def test_feature_time_wins_over_the_timestamp_which_is_a_value_then() -> None:
    frame = joined(labels(), transformed(lambda events: events.with_columns(feature_time=pl.col("t") + 1)))
    assert frame["f__x"].to_list() == [10, 10, None, None]
    assert frame["f__t"].to_list() == [1, 1, None, None]


@pytest.mark.parametrize("column", ["k", "t"])
def test_returned_rows_without_key_or_time_are_dropped(column: str) -> None:
    one = transformed(lambda events: events.with_columns(pl.when(pl.col("x") != 50).then(column).alias(column)))
    assert values(labels(), one) == [10, 10, 30, None]


def test_no_returned_rows_are_no_matches() -> None:
    assert values(labels(), transformed(lambda events: events.filter(pl.lit(value=False)))) == [None] * 4


def test_fewer_and_more_rows_may_be_returned() -> None:
    summed = transformed(lambda events: events.group_by("k").agg(pl.col("t").max(), pl.col("x").sum()))
    assert values(labels(), summed) == [None, 60, 30, None]
    doubled = transformed(lambda events: pl.concat([events, events.with_columns(pl.col("t") + 1, pl.col("x") + 1)]))
    given = labels(pl.DataFrame({"k": [1, 1], "at": [2, 3]}))
    assert values(given, doubled) == [10, 11]


def test_reserved_names_of_values_do_no_harm() -> None:
    one = transformed(lambda events: events.with_columns(__tf_key=1, __tf_tick=2, __tf_k0=3))
    assert joined(labels(), one)["f__x"].to_list() == EXPECTED


# --- what is seen ------------------------------------------------------------------------------------------------------


def test_a_transform_sees_time_order_without_rows_that_have_no_key_or_time() -> None:
    seen: list[dict[str, list[Any]]] = []

    def look(events: pl.LazyFrame) -> pl.LazyFrame:
        seen.append(events.collect().to_dict(as_series=False))
        return events

    events = pl.DataFrame({"k": [2, 1, None, 1], "t": [3, 5, 4, None], "x": [1, 2, 3, 4], "z": [5, 6, 7, 8]})
    tf.build(labels(), feature(events.sort("x", descending=True), transform=look))
    assert seen[0] == {"k": [2, 1], "t": [3, 5], "x": [1, 2], "z": [5, 6]}


def test_sql_sees_the_source_by_both_names() -> None:
    for table in ("{source}", "events"):
        one = feature(sql=f"SELECT k, t, x FROM {table} WHERE x > 10")
        assert values(labels(), one) == [None, 50, 30, None]


def test_sql_groups_and_renames() -> None:
    one = feature(sql="SELECT k, MAX(t) AS feature_time, SUM(x) AS total FROM {source} GROUP BY k")
    assert values(labels(), one, "f__total") == [None, 60, 30, None]


def test_braces_in_sql_are_left_alone() -> None:
    one = feature(sql="SELECT k, t, x, '{x}' AS b FROM {source}")
    assert joined(labels(), one)["f__b"].to_list() == ["{x}", "{x}", "{x}", None]


# --- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC k FROM {source}",
        "SELECT k, t, nope FROM {source}",
        "SELECT k, t, x FROM elsewhere",
        "SELECT k, t, x FROM {source} WHERE",
        "SELECT * FROM {source}; SELECT 1",
        "/queries/large.sql",
    ],
)
def test_sql_that_does_not_work_is_refused_with_its_columns(sql: str) -> None:
    with pytest.raises(TimefenceError, match="(?i)sql of feature 'f'"):
        tf.point_in_time(labels(), feature(sql=sql))


def test_sql_that_returns_no_key_is_refused() -> None:
    with pytest.raises(TimefenceSchemaError, match="(?i)sql of feature 'f' does not return 'k'"):
        tf.point_in_time(labels(), feature(sql="SELECT t, x FROM {source}"))


@pytest.mark.parametrize("run", [tf.point_in_time, tf.build, tf.explain])
@pytest.mark.parametrize(
    "transform",
    [
        lambda events: events.select("nope"),
        lambda events: events.select("nope").collect(),
        lambda events: events.with_columns(pl.col("x").str.to_uppercase()).collect(),
    ],
    ids=["lazily", "eagerly", "by type"],
)
def test_a_transform_that_polars_refuses_is_named_with_its_source(run: Any, transform: Transform) -> None:
    if run is tf.point_in_time and "collect" in transform.__code__.co_names:
        with pytest.raises(TimefenceConfigError, match="uses collect, so it would run while it is planned"):
            run(labels(), transformed(transform))
        return
    with pytest.raises(
        TimefenceSchemaError, match=r"transform of feature 'f' (fails|does not work) on its source(.|\n)*Polars: "
    ):
        run(labels(), transformed(transform))


def test_a_transforms_own_error_is_not_hidden() -> None:
    def fails(_events: pl.LazyFrame) -> pl.LazyFrame:
        raise ZeroDivisionError("my own")

    with pytest.raises(ZeroDivisionError, match="my own"):
        tf.build(labels(), transformed(fails))


def test_a_failure_while_it_runs_is_ours_in_a_build() -> None:
    def fails(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.with_columns(pl.col("s").cast(pl.Int64, strict=True))

    events = EVENTS.with_columns(s=pl.Series(["1", "two", "3"]))
    with pytest.raises(TimefenceSchemaError, match=r"(?s)cannot be computed from the data.*two"):
        tf.build(labels(), feature(events, transform=fails))


# --- order of what has none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"), [("keep_last", [11, 51, 31, None]), ("keep_first", [10, 50, 30, None])]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_duplicates_of_a_transform_are_ordered_by_their_values(
    policy: Any, expected: list[Any], *, reverse: bool
) -> None:
    def twice(events: pl.LazyFrame) -> pl.LazyFrame:
        parts = [events, events.with_columns(pl.col("x") + 1)]
        return pl.concat(parts[::-1] if reverse else parts)

    assert values(labels(), transformed(twice, on_duplicate=policy)) == expected


def test_duplicates_of_a_transform_are_refused_by_default() -> None:
    with pytest.raises(tf.TimefenceDuplicateError, match="Feature 'f' has duplicates"):
        tf.build(labels(), transformed(lambda events: pl.concat([events, events])))


def test_a_tie_breaker_that_is_returned_settles_ties_and_is_no_value() -> None:
    def ranked(events: pl.LazyFrame) -> pl.LazyFrame:
        return pl.concat([events.with_columns(s=pl.lit(2)), events.with_columns(pl.col("x") + 1, s=pl.lit(1))])

    events = EVENTS.with_columns(s=pl.lit(0))
    frame = joined(labels(), feature(events, transform=ranked, source_tie_breaker="s"))
    assert frame["f__x"].to_list() == EXPECTED
    assert "f__s" not in frame.columns


# --- availability ------------------------------------------------------------------------------------------------------


def test_a_transform_on_a_bitemporal_source_returns_availability() -> None:
    events = EVENTS.with_columns(a=pl.col("t") + 1)
    with pytest.raises(TimefenceSchemaError, match=r"does not return 'available_at'(.|\n)*before it was known"):
        tf.point_in_time(labels(), feature(events, transform=lambda e: e.drop("a"), source_available_at="a"))
    kept = feature(events, transform=lambda e: e, source_available_at="a")
    renamed = feature(events, transform=lambda e: e.rename({"a": "available_at"}), source_available_at="a")
    for one in (kept, renamed):
        assert values(labels(), one) == [10, 10, None, None]


def test_returned_rows_without_availability_are_dropped() -> None:
    events = EVENTS.with_columns(a=pl.col("t"))
    one = feature(
        events,
        transform=lambda e: e.with_columns(pl.when(pl.col("x") != 50).then("a").alias("a")),
        source_available_at="a",
    )
    assert values(labels(), one) == [10, 10, 30, None]


def test_another_file_may_be_read(tmp_path: Path) -> None:
    rates = pl.DataFrame({"k": [1, 2], "rate": [2, 3]})
    rates.write_parquet(tmp_path / "rates.parquet")
    scan = pl.scan_parquet(tmp_path / "rates.parquet")
    one = transformed(lambda e: e.join(scan, on="k").select("k", "t", pl.col("x") * pl.col("rate")))
    assert values(labels(), one) == [20, 100, 90, None]
