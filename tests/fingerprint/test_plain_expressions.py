"""Expressions as plain values: those that are kept come back the same, and nothing that is read back runs anything."""

import datetime as dt
import json

import cloudpickle
import polars as pl
import pytest

from timefence_pl.fingerprint import Uncacheable, fingerprint_expr
from timefence_pl.fingerprint.plain_expressions import _KNOWN, expression_of, plain_expression

x, y, k = pl.col("x"), pl.col("y"), pl.col("k")
KEPT = {
    "column": x,
    "columns": pl.col("x", "y"),
    "all": pl.all(),
    "exclude": pl.exclude("k"),
    "pattern": pl.col("^x.*$"),
    "alias": x.alias("a b/ä"),
    "arithmetic": ((x + y) * 2 - 1.5) / 3 // 4 % 5**2,
    "logic": (x > 1) & (y < 2) | ~(x == y),
    "integers": x * 2**62 - 2**63,
    "aggregates": x.sum() / y.mean() + x.std(ddof=0) + x.quantile(0.3) + x.n_unique() + pl.len(),
    "filtered": x.filter(k == "refund").mean(),
    "over": x.cum_sum().over("k", order_by="t"),
    "shift": x.shift(1).over("k"),
    "rolling by": x.rolling_mean_by("t", "30d").over("k").alias("avg_30d"),
    "rolling": x.rolling_max(3) + x.sum().rolling("t", period="3d"),
    "ewm": x.ewm_mean(alpha=0.5) + x.ewm_mean_by("t", half_life="1d"),
    "when": pl.when(x > 1).then(y).when(x > 2).then(0.5).otherwise(None),
    "cast": x.cast(pl.Datetime("us", "UTC")).dt.hour().cast(pl.Int8, strict=False),
    "nulls": x.fill_null(0).fill_nan(None).is_null(),
    "text": pl.col("s").str.to_lowercase().str.replace_all("a", "ü").str.len_chars(),
    "times": pl.col("t").dt.truncate("1d") - pl.duration(days=1),
    "literals": pl.lit(dt.date(2024, 1, 1)).is_between(pl.lit(dt.datetime(2024, 1, 1)), pl.lit("2025")),
    "lists": pl.col("l").list.eval(pl.element() + 1).list.sum(),
    "structs": pl.struct("x", "y").struct.field("x"),
    "horizontal": pl.max_horizontal("x", "y") + pl.sum_horizontal("x", "y") + pl.coalesce(x, y, 0),
    "rank": x.rank("dense"),
    "sort": x.sort_by("t", descending=True).first(),
}
REFUSED = {
    "elements": x.map_elements(lambda v: v, return_dtype=pl.Int64),
    "batches": x.map_batches(lambda s: s),
    "names": x.name.map(str.upper),
    "fold": pl.fold(0, lambda a, b: a + b, [x, y]),
    "series": x.is_in([1, 2]),
    "literal series": x + pl.lit(pl.Series([1])),
    "objects": pl.lit(object(), dtype=pl.Object),
    "plugin": None,
}
try:
    from polars.plugins import register_plugin_function

    REFUSED["plugin"] = register_plugin_function(plugin_path="/nowhere/lib.so", function_name="f", args=[x])
except (ImportError, OSError, pl.exceptions.PolarsError):
    del REFUSED["plugin"]


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_comes_back(name):
    plain = plain_expression(KEPT[name])
    again = expression_of(json.loads(json.dumps(plain)))
    assert again.meta.eq(KEPT[name])
    if name != "rank":  # which has no fingerprint
        assert fingerprint_expr(again) == fingerprint_expr(KEPT[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_code_or_data_is_refused(name):
    with pytest.raises(Uncacheable):
        plain_expression(REFUSED[name])


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle of a record was loaded",))


PICKLE = b"PLPYFN" + cloudpickle.dumps(Bomb())
HOSTILE = [
    {"AnonymousFunction": {"input": [{"Column": "x"}], "function": list(PICKLE), "options": {}}},
    {"AnonymousFunction": {"input": [{"Column": "x"}], "function": PICKLE.decode("latin-1"), "options": {}}},
    {"Function": {"input": [{"Column": "x"}], "function": {"FfiPlugin": {"lib": "/tmp/x.so", "symbol": "f"}}}},
    {"RenameAlias": {"expr": {"Column": "x"}, "function": {"Map": list(PICKLE)}}},
    {"Literal": {"Series": list(PICKLE)}},
    {"Literal": {"Scalar": {"Object": list(PICKLE)}}},
    {"Function": {"input": [], "function": {"OpaquePython": list(PICKLE)}}},
    {"SubPlan": [{"Scan": {}}, []]},
    {"Column": {"$int128": "00"}},
    {"Column": {"$int128": "zz" * 16}},
    {"Column": {"$int128": ["00" * 16]}},
    {"Alias": [{"Alias": [{"Column": "x"}, "a"]}]},
    [{"Column": "x"}],
    "AnonymousFunction",
    12,
    None,
    1 << 70,
    b"bytes",
    {1: "x"},
    {},
    {"Column": "x", "Alias": 5},
    float("nan"),
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_run_nothing(value):
    try:
        made = expression_of(value)
    except Uncacheable:
        return
    assert isinstance(made, pl.Expr)  # harmless, whatever it says
    assert "map" not in str(made)


def test_values_nested_without_end():
    deep = {"Column": "x"}
    for _ in range(5_000):
        deep = {"Alias": [deep, "a"]}
    with pytest.raises(Uncacheable, match="deeply"):
        expression_of(deep)


def test_known_names_hold_no_code():
    for word in ("Anonymous", "Opaque", "Python", "Plugin", "Ffi", "Map", "Udf", "Series", "Object", "Scan", "SubPlan"):
        assert not [n for n in _KNOWN if word in n]
