"""Which expressions read one row at a time, and which give one value per row."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, feature, joined, labels, values
from timefence_pl.errors import TimefenceSchemaError
from timefence_pl.plan.expressions import is_row_wise, output_columns


def _next(value: int) -> int:
    return hash(value) + 1


X, Y, K, T, S = pl.col("x"), pl.col("y"), pl.col("k"), pl.col("t"), pl.col("s")

ROW_WISE = {
    "a column": X,
    "columns": pl.col("x", "y"),
    "all columns": pl.all(),
    "a selector": pl.selectors.numeric(),
    "a pattern": pl.col("^x.*$"),
    "a literal": pl.lit(1),
    "a null": pl.lit(None),
    "an alias": X.alias("z"),
    "a prefix": X.name.prefix("z_"),
    "a name that is kept": X.abs().name.keep(),
    "a cast": X.cast(pl.Float64),
    "a sum of columns": X + Y,
    "a ratio": X / (Y + 1),
    "integer division": X // 2,
    "a remainder": X % 7,
    "a power": X**2,
    "a comparison": X > Y,
    "logic": (X > 1) & ~(Y < 2) | X.is_null(),
    "negation": -X,
    "a choice": pl.when(X > 1).then(Y).otherwise(0),
    "nested choices": pl.when(X > 1).then(Y).when(Y > 2).then(X).otherwise(pl.lit(None)),
    "is_null": X.is_null(),
    "is_not_null": X.is_not_null(),
    "is_nan": X.cast(pl.Float64).is_nan(),
    "is_in a literal": X.is_in([1, 2, 3]),
    "is_between": X.is_between(1, 5),
    "fill_null with a value": X.fill_null(0),
    "clip": X.clip(0, 10),
    "abs": X.abs(),
    "log1p": X.log1p(),
    "exp": X.exp(),
    "sqrt": X.sqrt(),
    "sign": X.sign(),
    "round": X.cast(pl.Float64).round(2),
    "floor": X.cast(pl.Float64).floor(),
    "hash": X.hash(),
    "replace": X.replace({1: 2}),
    "replace_strict": X.replace_strict({1: 2}, default=0),
    "coalesce": pl.coalesce(X, Y, 0),
    "horizontal sum": pl.sum_horizontal(X, Y),
    "horizontal max": pl.max_horizontal(X, Y),
    "horizontal any": pl.any_horizontal(X > 1, Y > 1),
    "a struct": pl.struct("x", "y"),
    "a field of a struct": pl.struct("x", "y").struct.field("x"),
    "a list": pl.concat_list("x", "y"),
    "the sum of a list": pl.concat_list("x", "y").list.sum(),
    "evaluation in a list": pl.concat_list("x", "y").list.eval(pl.element() + 1),
    "length of text": S.str.len_chars(),
    "lower case": S.str.to_lowercase(),
    "contains": S.str.contains("a"),
    "split": S.str.split(","),
    "concatenated text": pl.concat_str([S, S], separator="-"),
    "formatted text": pl.format("{}-{}", S, X),
    "the hour": T.dt.hour(),
    "a truncated time": T.dt.truncate("1d"),
    "an offset time": T.dt.offset_by("1d"),
    "a difference of times": T - T.dt.truncate("1d"),
    "a time plus a duration": T + timedelta(days=1),
    "strftime": T.dt.strftime("%Y"),
}
MANY_ROWS = {
    "a kept name over many rows": X.cum_sum().name.keep(),
    "sum": X.sum(),
    "mean": X.mean(),
    "first": X.first(),
    "last": X.last(),
    "len": pl.len(),
    "count": X.count(),
    "n_unique": X.n_unique(),
    "quantile": X.quantile(0.5),
    "a ratio of sums": X.sum() / Y.sum(),
    "a difference from the mean": X - X.mean(),
    "a share of the whole": X / X.sum(),
    "an aggregate in a choice": pl.when(X - X.mean() > 0).then(1).otherwise(0),
    "an aggregate in a predicate": X.is_between(X.min(), X.max()),
    "clip by an aggregate": X.clip(X.min(), 10),
    "an aggregate in a list": pl.concat_list(X, X.sum()),
    "an aggregate in a struct": pl.struct(X, X.sum().alias("z")),
    "an aggregate horizontally": pl.max_horizontal(X, X.mean()),
    "an aggregate in a format": pl.format("{}", X.max()),
    "an aggregate under an alias": X.max().alias("x"),
    "an aggregate under a cast": X.max().cast(pl.Int8),
    "over a key": X.sum().over("k"),
    "rank over a key": X.rank().over("k"),
    "a row over a key": X.over("k"),
    "len over a key": pl.len().over("k"),
    "shift": X.shift(1),
    "lead": X.shift(-1),
    "shift over a key": X.shift(1).over("k"),
    "diff": X.diff(),
    "pct_change": X.pct_change(),
    "cum_sum": X.cum_sum(),
    "cum_count": X.cum_count(),
    "cum_max over a key": X.cum_max().over("k"),
    "rolling_sum": X.rolling_sum(3),
    "rolling_mean_by": X.rolling_mean_by("t", "1d"),
    "rolling": X.sum().rolling("t", period="1d"),
    "ewm_mean": X.ewm_mean(com=1),
    "forward_fill": X.forward_fill(),
    "backward_fill": X.backward_fill(),
    "fill_null with a strategy": X.fill_null(strategy="forward"),
    "fill_null with the mean": X.fill_null(X.mean()),
    "interpolate": X.interpolate(),
    "rank": X.rank(),
    "sort": X.sort(),
    "sort_by": X.sort_by("t"),
    "reverse": X.reverse(),
    "unique": X.unique(),
    "is_duplicated": X.is_duplicated(),
    "is_first_distinct": X.is_first_distinct(),
    "rle_id": X.rle_id(),
    "shuffle": X.shuffle(seed=1),
    "sample": X.sample(1),
    "filter": X.filter(X > 1),
    "head": X.head(3),
    "slice": X.slice(0, 1),
    "gather": X.gather([0]),
    "get": X.get(0),
    "top_k": X.top_k(1),
    "mode": X.mode(),
    "drop_nulls": X.drop_nulls(),
    "explode": pl.concat_list("x", "y").explode(),
    "implode": X.implode(),
    "append": X.append(Y),
    "is_in another column": X.is_in(Y.implode()),
    "value_counts": X.value_counts(),
    "arg_sort": X.arg_sort(),
    "arg_true": (X > 1).arg_true(),
    "search_sorted": X.search_sorted(3),
    "int_range of the length": pl.int_range(pl.len()),
    "a row number": pl.row_index(),
    "a series": pl.lit(pl.Series([1, 2, 3])),
    "corr": pl.corr(X, Y),
    "map_batches": X.map_batches(lambda s: s, return_dtype=pl.Int64),
    "map_elements": X.map_elements(_next, return_dtype=pl.Int64),
    "map_batches in an expression": 1 + X.map_batches(lambda s: s, return_dtype=pl.Int64),
}


@pytest.mark.parametrize("expr", ROW_WISE.values(), ids=ROW_WISE.keys())
def test_expressions_of_one_row_are_row_wise(expr: pl.Expr) -> None:
    assert is_row_wise(expr)


@pytest.mark.parametrize("expr", MANY_ROWS.values(), ids=MANY_ROWS.keys())
def test_expressions_of_several_rows_are_not(expr: pl.Expr) -> None:
    assert not is_row_wise(expr)


FRAME = pl.DataFrame(
    {
        "k": [1, 2, 1, 2, 1, 1],
        "x": [3, 1, 2, 5, None, 2],
        "y": [1, None, 4, 2, 2, 9],
        "s": ["a,b", "", None, "cab", "d", "a"],
        "t": [date(2024, 1, d) for d in (1, 2, 3, 4, 5, 6)],
    }
).with_columns(pl.col("t").cast(pl.Datetime("us")))


@pytest.mark.parametrize("name", sorted(set(ROW_WISE) - {"a literal", "a null"}))
def test_a_row_wise_expression_gives_the_same_on_any_part_of_the_rows(name: str) -> None:
    parts = [FRAME[i : i + 1].select(ROW_WISE[name]) for i in range(FRAME.height)]
    assert pl.concat(parts).equals(FRAME.select(ROW_WISE[name]))


@pytest.mark.parametrize("expr", MANY_ROWS.values(), ids=MANY_ROWS.keys())
def test_expressions_of_several_rows_are_refused_with_available_at(expr: pl.Expr) -> None:
    events = FRAME.with_columns(a=pl.col("t"))
    given = labels(pl.DataFrame({"k": [1], "at": [date(2024, 2, 1)]}))
    one = feature(events, expr.alias("z"), source_available_at="a")
    with pytest.raises(TimefenceSchemaError, match="several rows of a source with available_at|one value per row"):
        tf.point_in_time(given, one)


# --- one value per row -------------------------------------------------------------------------------------------------


CHANGES_HEIGHT = [
    "sum",
    "mean",
    "first",
    "last",
    "len",
    "count",
    "a ratio of sums",
    "an aggregate under an alias",
    "unique",
    "sample",
    "filter",
    "head",
    "slice",
    "gather",
    "get",
    "top_k",
    "mode",
    "drop_nulls",
    "explode",
    "implode",
    "append",
    "value_counts",
    "arg_true",
    "a series",
    "corr",
]
FIVE = pl.DataFrame({"k": [1] * 5, "t": [1, 2, 3, 4, 5], "x": [10, 20, None, 40, 50], "y": [1, 2, 3, 4, 5]})
FIVE_LABELS = labels(pl.DataFrame({"k": [1] * 5, "at": [2, 3, 4, 5, 6]}))


@pytest.mark.parametrize("name", CHANGES_HEIGHT)
def test_what_gives_another_height_is_refused_when_it_is_planned(name: str) -> None:
    wanted = r"Feature 'f' has an expression that does not give one value per row(.|\n)*future"
    with pytest.raises(TimefenceSchemaError, match=wanted):
        tf.point_in_time(FIVE_LABELS, feature(FIVE, MANY_ROWS[name].alias("z")))


@pytest.mark.parametrize(
    "expr",
    [
        X.filter(K.is_null() | (T == 1)),
        X.is_null().arg_true(),
        pl.arg_where(X.is_null()),
        X.head(3),
        X.head(5),
        X.tail(4),
        X.limit(3),
        X.slice(0, 4),
        X.gather([0, 1, 2]),
        X.top_k(3),
        X.extend_constant(1, 0),
        pl.int_range(3),
        pl.date_range(date(2024, 1, 1), date(2024, 1, 3)),
        pl.lit(pl.Series([1])),
        pl.lit(pl.Series([1, 2, 3])),
        X + X.filter(X > 10),
    ],
    ids=str,
)
def test_what_happens_to_keep_the_height_of_the_trial_is_refused_too(expr: pl.Expr) -> None:
    with pytest.raises(
        TimefenceSchemaError, match="Feature 'f' .*(does not give one value per row|cannot be computed)"
    ):
        tf.point_in_time(FIVE_LABELS, feature(FIVE, expr.alias("z")))


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (X.shift(1), [None, 10, 20, None, 40]),
        (X.cum_sum(), [10, 30, None, 70, 120]),
        (X.forward_fill(), [10, 20, 20, 40, 50]),
        (X.fill_null(0), [10, 20, 0, 40, 50]),
        (X.sum().over("k"), [120] * 5),
        (X - X.first(), [0, 10, None, 30, 40]),
        (X.filter(X > 10).sum().over("k"), [110] * 5),
        (X.rolling_sum_by("t", "2i"), [10, 30, 20, 40, 90]),
        (pl.lit(7), [7] * 5),
        (pl.lit(None), [None] * 5),
        (pl.lit(1) + 1, [2] * 5),
        (pl.lit([1, 2]), [[1, 2]] * 5),
        (X.map_elements(_next, return_dtype=pl.Int64), [11, 21, None, 41, 51]),
        (X.map_batches(lambda s: s * 2, return_dtype=pl.Int64), [20, 40, None, 80, 100]),
        (pl.struct("x", "y"), [{"x": x, "y": y} for x, y in zip(FIVE["x"], FIVE["y"], strict=True)]),
        (X.repeat_by(2), [[10, 10], [20, 20], [None, None], [40, 40], [50, 50]]),
    ],
    ids=lambda v: str(v) if isinstance(v, pl.Expr) else "",
)
def test_what_gives_one_value_per_row_is_joined(expr: pl.Expr, expected: list[Any]) -> None:
    assert values(FIVE_LABELS, feature(FIVE, expr.alias("z")), "f__z") == expected


def test_a_functions_own_error_is_not_hidden() -> None:
    def fails(_column: pl.Series) -> pl.Series:
        raise ZeroDivisionError("my own")

    with pytest.raises(Exception, match="my own"):
        tf.build(FIVE_LABELS, feature(FIVE, X.map_batches(fails, return_dtype=pl.Int64)))


def test_a_function_that_takes_no_nulls_is_accepted() -> None:
    def strict(column: pl.Series) -> pl.Series:
        if column.null_count():
            raise ValueError("no nulls, please")
        return column + 1

    assert values(FIVE_LABELS, feature(FIVE, Y.map_batches(strict, return_dtype=pl.Int64)), "f__y") == [2, 3, 4, 5, 6]


# --- order -------------------------------------------------------------------------------------------------------------


SHUFFLED = pl.DataFrame({"k": [1, 2, 1, 1], "t": [5, 1, 1, 3], "x": [4, 100, 1, 2]})
LATE = labels(pl.DataFrame({"k": [1, 1, 1, 2], "at": [2, 4, 6, 9]}))


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (X.cum_sum().over("k"), [1, 3, 7, 100]),
        (X.shift(1).over("k"), [None, 1, 2, None]),
        (X.last().over("k"), [4, 4, 4, 100]),
        (X.rolling_sum_by("t", "3i").over("k"), [1, 3, 6, 100]),
        (X.diff().over("k"), [None, 1, 2, None]),
    ],
    ids=str,
)
def test_expressions_see_the_source_in_time_order(expr: pl.Expr, expected: list[Any]) -> None:
    assert values(LATE, feature(SHUFFLED, expr)) == expected


def test_ties_in_time_are_seen_in_the_order_of_the_tie_breaker() -> None:
    events = pl.DataFrame({"k": [1, 1, 1], "t": [1, 1, 1], "s": [2, None, 1], "x": [1, 10, 100]})
    one = feature(events, X.cum_sum(), source_tie_breaker="s")
    assert values(labels(pl.DataFrame({"k": [1], "at": [2]})), one) == [111]
    first = feature(events, X.first(), pl.col("x").cum_sum().alias("c"), source_tie_breaker="s")
    with pytest.raises(TimefenceSchemaError, match="one value per row"):
        tf.point_in_time(labels(), first)


# --- columns of expressions --------------------------------------------------------------------------------------------


def test_output_columns_are_names_and_types() -> None:
    schema = pl.Schema({"x": pl.Int64, "s": pl.String})
    assert output_columns("f", [pl.all(), (X * 1.5).alias("z")], schema) == {
        "x": pl.Int64,
        "s": pl.String,
        "z": pl.Float64,
    }


def test_a_column_put_out_twice_is_refused() -> None:
    with pytest.raises(TimefenceSchemaError, match=r"Feature 'f' puts out the column 'x' twice(.|\n)*\.alias"):
        tf.point_in_time(labels(), feature(EVENTS, X, X + 1))
    with pytest.raises(TimefenceSchemaError, match="puts out the column 'literal' twice"):
        tf.point_in_time(labels(), feature(EVENTS, pl.lit(1), pl.lit(2)))


@pytest.mark.parametrize("expr", [pl.selectors.string(), pl.col("^zz.*$"), pl.selectors.by_dtype(pl.Date)], ids=str)
def test_an_expression_that_selects_nothing_is_refused(expr: Any) -> None:
    with pytest.raises(TimefenceSchemaError, match=r"Feature 'f' selects no column(.|\n)*'k', 't', 'x'"):
        tf.point_in_time(labels(), feature(EVENTS, expr))


@pytest.mark.parametrize(
    "expr", [X.str.len_chars(), X.dt.hour(), X.list.sum(), X.struct.field("a"), X + pl.lit("a").str.to_date()], ids=str
)
def test_types_that_do_not_fit_are_refused_when_planned(expr: pl.Expr) -> None:
    with pytest.raises(
        TimefenceSchemaError, match=r"Feature 'f' cannot be computed from its source's columns(.|\n)*Polars: "
    ):
        tf.point_in_time(labels(), feature(EVENTS, expr))


def test_all_fields_of_a_struct_are_joined() -> None:
    one = feature(EVENTS, pl.struct("x", z="t").struct.unnest())
    frame = joined(labels(), one)
    assert frame.columns[-2:] == ["f__x", "f__z"]
    assert frame["f__z"].to_list() == [1, 5, 3, None]


def test_keys_and_times_may_be_values() -> None:
    frame = joined(labels(), feature(EVENTS, "k", "t"))
    assert frame["f__k"].to_list() == [1, 1, 2, None]
    assert frame["f__t"].to_list() == [1, 5, 3, None]
