"""``tf.Window`` as it is declared: what it takes, what it refuses, and what it says then."""

from __future__ import annotations

import pickle
import random
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf

EVENTS = pl.DataFrame(
    {"k": [1], "t": [1], "x": [1.5], "i": [3], "s": ["a"], "b": [True], "l": [[1]]},
    schema_overrides={"i": pl.Int64},
)
SOURCE = tf.Source(EVENTS, keys="k", timestamp="t", name="events")


def window(aggregates: Any, **options: Any) -> tf.Window:
    return tf.Window(SOURCE, aggregates, **{"windows": [1], "name": "w", **options})


def test_outputs_are_named_by_aggregate_and_window() -> None:
    made = window({"n": pl.len(), "sum": pl.col("x").sum()}, windows=["1d12h", timedelta(days=7), None, 30])
    assert made.outputs == ["n_1d12h", "sum_1d12h", "n_7d", "sum_7d", "n_all", "sum_all", "n_30", "sum_30"]
    assert (
        repr(made) == "Window(name='w', source='events', aggregates=['n', 'sum'], windows=['1d12h', '7d', 'all', '30'])"
    )


@pytest.mark.parametrize("windows", ["7d", timedelta(days=7)])
def test_one_length_needs_no_list(windows: Any) -> None:
    assert window({"n": pl.len()}, windows=windows).outputs == ["n_7d"]
    assert window({"n": pl.len()}, windows=None).outputs == ["n_all"]


def test_it_is_frozen() -> None:
    with pytest.raises(tf.TimefenceConfigError, match="Window is frozen; 'name' cannot be changed"):
        window({"n": pl.len()}).name = "other"


@pytest.mark.parametrize("attribute", ["aggregates", "windows", "key_mapping"])
def test_its_mappings_are_frozen(attribute: str) -> None:
    one = window({"n": pl.len()}, windows=["1d", None], key_mapping={"id": "k"})
    with pytest.raises(tf.TimefenceConfigError, match="part of a frozen definition"):
        getattr(one, attribute)["more"] = None
    again = pickle.loads(pickle.dumps(one))
    assert list(getattr(again, attribute)) == list(getattr(one, attribute))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"aggregates": {}}, "are empty"),
        ({"aggregates": [pl.len()]}, "are no mapping"),
        ({"aggregates": {"n": "x"}}, "'n' of window 'w' is a str, not an expression"),
        ({"aggregates": {"a/b": pl.len()}}, "not a valid aggregate name"),
        ({"windows": []}, "are no lengths"),
        ({"windows": ["0d"]}, "always empty"),
        ({"windows": ["1d", "1d"]}, "twice"),
        ({"windows": ["1mo"]}, "Calendar units"),
        ({"windows": [-1]}, "negative"),
        ({"aggregates": {"a": pl.len(), "a_1": pl.len()}, "windows": ["1_1", "1"]}, "not a duration"),
        ({"embargo": "1x"}, "embargo of window 'w'='1x' is not a duration"),
        ({"where": "x > 1"}, "not an expression"),
        ({"key_mapping": {"user": "nobody"}}, "does not have as keys"),
        ({"name": ""}, "not a valid window name"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: dict[str, Any], match: str) -> None:
    given = {"aggregates": {"n": pl.len()}, **arguments}
    with pytest.raises(tf.TimefenceConfigError, match=match):
        window(given.pop("aggregates"), **given)


@pytest.mark.parametrize(
    ("expr", "match"),
    [
        (pl.col("x"), "of 3 events it gives 3 values"),
        (pl.col("x").tail(3), "implode"),
        (pl.col("x").cum_sum(), r"does not give one value: of 3 events it gives 3 values\.(.|\n)*1\. aggregate it"),
        (pl.col("x").filter(pl.col("b")), "of 3 events it gives no values"),
        (pl.col("x").head(1), "of no events it gives no values"),
        (pl.col("x").sum().over("k"), r"of 3 events it gives 3 values\.(.|\n)*1\. leave out \.over\(\.\.\.\)"),
        (pl.col("x", "i").sum(), r"it gives 2 columns\.(.|\n)*Fix: name the columns one by one"),
        (pl.all().first(), "gives 7 columns"),
        (pl.col("amount").sum(), "uses the column 'amount', which its source does not have"),
        (pl.col("xx").sum(), "Did you mean 'x'"),
        (pl.col("s").sum(), "cannot be computed from its source"),
        (pl.col("x").get(0), "cannot be computed over no row"),
        (pl.col("x").item(), "cannot be computed over no row"),
    ],
)
def test_what_is_no_aggregate_is_refused(expr: pl.Expr, match: str) -> None:
    with pytest.raises(tf.TimefenceSchemaError, match=match):
        window({"a": expr})


@pytest.mark.parametrize(
    ("expr", "match"),
    [
        (pl.col("x").unique().first(), "order of Unique, which is undefined"),
        (pl.col("s").unique().implode(), "order of Unique"),
        (pl.col("s").unique().str.join("|"), "order of Unique"),
        (pl.col("s").mode().last(), "order of Mode"),
        (pl.col("x").top_k(2).implode(), "order of TopK"),
        (pl.col("s").value_counts().implode(), "order of ValueCounts"),
        (pl.col("x").shuffle().first(), "depends on chance"),
        (pl.col("x").sample(1, with_replacement=True).sum(), "depends on chance"),
    ],
)
def test_undefined_order_and_chance_are_refused(expr: pl.Expr, match: str) -> None:
    with pytest.raises(tf.TimefenceConfigError, match=match):
        window({"a": expr})


@pytest.mark.parametrize(
    "expr",
    [
        pl.col("s").unique().len(),
        pl.col("x").unique().sum(),
        pl.col("s").unique().sort().first(),
        pl.col("s").unique(maintain_order=True).first(),
        pl.col("s").unique().implode().list.sort(),
        pl.col("x").mode().max(),
        pl.col("x").top_k(3).mean(),
        pl.col("s").value_counts(sort=True).first(),
        pl.col("x").tail(3).implode(),
        pl.col("x").sort_by("i").last(),
        pl.col("l").list.sum().sum(),
        pl.struct("x", "i").last(),
        pl.lit(1),
        tf.since_last(),
        pl.col("i").sum() / pl.len(),
        pl.corr("x", "i"),
    ],
)
def test_aggregates_are_accepted(expr: pl.Expr) -> None:
    assert window({"a": expr}).outputs == ["a_1"]


COUNT = 0
SEEN: list[Any] = []


def writes_a_global(values: pl.Series) -> float:
    global COUNT  # noqa: PLW0603
    COUNT += 1
    return COUNT


def keeps_what_it_saw(values: pl.Series) -> int:
    SEEN.append(values)
    return len(SEEN)


def draws(values: pl.Series) -> float:
    return random.random()  # noqa: S311


def shows(values: pl.Series) -> int:
    print(values)
    return 1


def spread(values: pl.Series) -> float | None:
    lowest, highest = values.min(), values.max()
    parts = []
    parts.append(highest)
    return None if lowest is None else parts[0] - lowest


def closure() -> Any:
    calls = 0

    def count(values: pl.Series) -> int:
        nonlocal calls
        calls += 1
        return calls

    return count


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (writes_a_global, "writes the global 'COUNT'"),
        (keeps_what_it_saw, "may change 'SEEN' outside itself"),
        (draws, "'random', which depends on chance"),
        (shows, r"calls print\(\)"),
        (closure(), "writes 'calls' outside itself"),
    ],
)
def test_python_functions_with_side_effects_are_refused(function: Any, match: str) -> None:
    with pytest.raises(tf.TimefenceConfigError, match=match):
        window({"a": pl.col("x").map_batches(function, returns_scalar=True, return_dtype=pl.Float64)})


def test_python_functions_of_their_arguments_are_accepted() -> None:
    made = window({"a": pl.col("x").map_batches(spread, returns_scalar=True, return_dtype=pl.Float64)})
    assert made.outputs == ["a_1"]


def test_a_source_that_cannot_be_read_yet_is_checked_by_the_plan() -> None:
    missing = tf.Source("nowhere.parquet", keys="k", timestamp="t")
    made = tf.Window(missing, {"a": pl.col("x").cum_sum()}, windows=["1d"], name="w")
    labels = tf.Labels(pl.DataFrame({"k": [1], "T": [1]}), keys="k", label_time="T")
    with pytest.raises(tf.TimefenceValidationError, match=r"nowhere\.parquet"):
        tf.point_in_time(labels, made)
