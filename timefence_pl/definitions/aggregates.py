"""Whether an expression is an aggregate: one value, in every run the same, of whatever rows a window holds.

Takes expressions and a schema, gives facts or a ``TimefenceError``. The only rows it runs on are a few rows of nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import polars as pl

from timefence_pl.definitions.missing_columns import missing_column
from timefence_pl.definitions.python_functions import effect_of, functions_in
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, message

__all__ = [
    "SINCE_LAST",
    "aggregate_type",
    "check_aggregate",
    "columns_read",
    "expression_tree",
    "since_last",
    "uses_since_last",
    "with_since_last",
]

#: The column in which a window's rows carry the time from its last event to the label.
SINCE_LAST: Final = "__tf_since_last"

#: Functions whose rows come in no defined order, with what would define it.
_UNORDERED: Final = {
    "Unique": (False, ".unique(maintain_order=True)"),
    "Mode": ({"maintain_order": False}, ".mode(maintain_order=True)"),
    "TopK": (None, ".sort(descending=True).head(k)"),
    "TopKBy": (None, ".sort_by(..., descending=True).head(k)"),
    "ValueCounts": (None, ".value_counts(sort=True)"),
}
#: Aggregates and functions that give the same for every order of their rows.
_ANY_ORDER: Final = frozenset(
    {
        *("Sum", "Mean", "Median", "Min", "Max", "NUnique", "Std", "Var", "Count", "NullCount", "Quantile", "Product"),
        *("Any", "All", "Sort", "Skew", "Kurtosis", "ApproxNUnique", "Entropy", "Boolean", "BitwiseAnd", "BitwiseOr"),
    }
)
#: What the methods of a list do to its order.
_LISTS_IN_ORDER: Final = frozenset({"Sort", "Length", "Sum", "Mean", "Median", "Min", "Max", "Std", "Var", "NUnique"})


def since_last() -> pl.Expr:
    """The time from a window's last event to the label: an aggregate for :class:`Window`, null where it is empty.

    A duration in the finer unit of label time and event time (a plain integer where times are integers), to be used
    like any other aggregate.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> txns = tf.Source(pl.DataFrame({"user": [1], "at": [3], "x": [9.5]}), keys="user", timestamp="at")
        >>> labels = tf.Labels(pl.DataFrame({"user": [1, 1], "T": [5, 3]}), keys="user", label_time="T")
        >>> recency = tf.Window(txns, {"since": tf.since_last()}, windows=[10, None], name="recency")
        >>> tf.point_in_time(labels, recency).select("recency__since_10", "recency__since_all").collect().rows()
        [(2, 2), (None, None)]
    """
    return pl.col(SINCE_LAST).first()


def expression_tree(expr: pl.Expr) -> Any:
    """The expression as nested dictionaries and lists; None where it cannot be written down."""
    try:
        return orjson.loads(expr.meta.serialize(format="json"))
    except (pl.exceptions.PolarsError, orjson.JSONDecodeError, ValueError, RecursionError):
        return None


def uses_since_last(expr: pl.Expr) -> bool:
    """Whether the expression holds :func:`since_last`."""
    return SINCE_LAST in expr.meta.root_names()


def check_aggregate(role: str, name: str, expr: pl.Expr, schema: Mapping[str, pl.DataType], timestamp: str) -> None:
    """Check that an expression is an aggregate over rows of this schema.

    Args:
        role: The window feature, for messages.
        name: The aggregate's name.
        expr: The expression.
        schema: The source's columns.
        timestamp: Its time column: where it is an integer, so is :func:`since_last`.

    Raises:
        TimefenceConfigError: If its result would depend on an undefined order, on chance, or on the state that a
            Python function keeps.
        TimefenceSchemaError: If a column is missing, types do not fit, or it does not give exactly one value.
    """
    tree = expression_tree(expr)
    if tree is not None:
        _check_order(role, name, expr, tree)
    python = functions_in(tree)
    for function in python:
        effect = effect_of(function)
        if effect:
            raise _refused(
                role,
                name,
                expr,
                f"calls a Python function that {effect}",
                "A window's function is called once for every window, in no defined order.",
                "Use Polars expressions, or a function of its arguments alone.",
            )
    integer = schema.get(timestamp, pl.Null()).is_integer()
    whole = with_since_last(expr, schema, pl.Int64() if integer else pl.Duration("us"))
    _check_types(role, name, expr, whole, python=bool(python))
    frames = _nulls({n: d for n, d in whole.items() if n in columns_read(expr, whole)})
    first = [_evaluated(role, name, expr, frame, python=bool(python)) for frame in frames]
    # The most rows tell most: of none an expression gives none, whatever it does.
    for rows, value in reversed(list(enumerate(first))):
        if value is not None and (value.height != 1 or value.width != 1):
            raise _many(role, name, expr, tree, value, rows)
    if python:
        again = [_evaluated(role, name, expr, frame, python=True) for frame in frames]
        if any(a is not None and b is not None and not a.equals(b) for a, b in zip(first, again, strict=True)):
            raise _refused(
                role,
                name,
                expr,
                "calls a Python function that gives different values for the same rows",
                "The result of a build would change from run to run.",
                "Use a function of its arguments alone.",
            )


def aggregate_type(expr: pl.Expr, schema: Mapping[str, pl.DataType], since: pl.DataType) -> pl.DataType:
    """The data type an aggregate gives.

    Args:
        expr: The expression.
        schema: The source's columns.
        since: Of :func:`since_last`.
    """
    (dtype,) = pl.LazyFrame(schema=with_since_last(expr, schema, since)).select(expr).collect_schema().dtypes()
    return dtype


def with_since_last(expr: pl.Expr, schema: Mapping[str, pl.DataType], since: pl.DataType) -> dict[str, pl.DataType]:
    """The columns an aggregate is computed on: the source's, and that of :func:`since_last` where it is used."""
    return {**schema, SINCE_LAST: since} if uses_since_last(expr) else dict(schema)


def columns_read(expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> set[str]:
    """The columns of a schema that an expression reads; all where that cannot be told."""
    names = set(expr.meta.root_names())
    if not names <= set(schema) or _selects(expression_tree(expr)):
        return set(schema)
    return names


def _selects(tree: Any) -> bool:
    """Whether columns are chosen by a selector, whose choice depends on the columns there are."""
    if isinstance(tree, list):
        return any(map(_selects, tree))
    return isinstance(tree, dict) and ("Selector" in tree or any(map(_selects, tree.values())))


def _check_types(role: str, name: str, expr: pl.Expr, whole: Mapping[str, pl.DataType], *, python: bool) -> None:
    try:
        pl.LazyFrame(schema=whole).select(expr).collect_schema()
    except pl.exceptions.ColumnNotFoundError as error:
        raise missing_column(f"Aggregate {name!r} of {role}", expr, _shown(expr), whole, error) from error
    except Exception as error:
        if python:  # a user's function may not take what Polars tries it on
            return
        raise TimefenceSchemaError(
            message(
                f"Aggregate {name!r} of {role} cannot be computed from its source's columns.",
                where=f"expression: {_shown(expr)}\nPolars: {str(error).splitlines()[0]}",
                fix="Check the data types it works on.",
            )
        ) from error


def _nulls(schema: Mapping[str, pl.DataType]) -> list[pl.DataFrame]:
    """Frames of no, one, two and three rows of nulls."""
    one = pl.select(pl.lit(None, dtype=d).alias(n) for n, d in schema.items()) if schema else pl.DataFrame(height=1)
    return [one.clear(), one, pl.concat([one] * 2), pl.concat([one] * 3)]


def _evaluated(role: str, name: str, expr: pl.Expr, frame: pl.DataFrame, *, python: bool) -> pl.DataFrame | None:
    """The expression over a few rows of nulls; None where a Python function does not take them."""
    rows = frame.height
    try:
        return frame.lazy().select(expr).collect(engine="in-memory")
    except Exception as error:
        if python:  # the run itself will tell
            return None
        raise TimefenceSchemaError(
            message(
                f"Aggregate {name!r} of {role} cannot be computed over {rows or 'no'} row(s).",
                where=f"expression: {_shown(expr)}\n{type(error).__name__}: {str(error).splitlines()[0]}",
                why="A window may hold any number of events, and none.",
                fix="Use what takes any number of rows: .first(), .last(), .get(..., null_on_oob=True).",
            )
        ) from error


def _check_order(role: str, name: str, expr: pl.Expr, tree: Any) -> None:
    found = _undefined_order(tree)
    if found == "chance":
        raise _refused(
            role,
            name,
            expr,
            "depends on chance",
            "The result of a build would change from run to run.",
            "Leave out .shuffle() and .sample().",
        )
    if found is not None:
        raise _refused(
            role,
            name,
            expr,
            f"depends on the order of {found}, which is undefined",
            "The result of a build would change from run to run.",
            f"Sort it, or use {_UNORDERED[found][1]}.",
        )


def _undefined_order(node: Any) -> str | None:
    """What makes the order of an expression's rows undefined: a function's name, ``"chance"``, or None."""
    if isinstance(node, list):
        return next((found for found in map(_undefined_order, node) if found), None)
    if not isinstance(node, dict):
        return None
    if len(node) != 1:
        return _undefined_order(list(node.values()))
    ((kind, body),) = node.items()
    if kind in ("Literal", "Sort"):
        return None if kind == "Literal" or _undefined_order(body) != "chance" else "chance"
    if kind == "Agg":
        kind, body = next(iter(body.items())) if isinstance(body, dict) else (str(body), None)
        inner = _undefined_order(body)
        return None if kind in _ANY_ORDER and inner != "chance" else inner
    if kind == "Function":
        return _undefined_function(body)
    if kind in ("AnonymousFunction", "AnonymousAgg"):
        return _undefined_order(body["input"])
    return _undefined_order(body)


def _undefined_function(body: dict[str, Any]) -> str | None:
    inner = _undefined_order(body["input"])
    function = body["function"]
    name, options = next(iter(function.items())) if isinstance(function, dict) else (function, None)
    if name == "Random" or inner == "chance":
        return "chance"
    if name == "ListExpr":
        method = next(iter(options)) if isinstance(options, dict) else options
        return None if method in _LISTS_IN_ORDER else inner
    if name in _UNORDERED and not (isinstance(options, dict) and options.get("sort")):
        unordered = _UNORDERED[name][0]
        return str(name) if unordered is None or options == unordered else inner
    return None if name in _ANY_ORDER else inner


def _many(role: str, name: str, expr: pl.Expr, tree: Any, value: pl.DataFrame, rows: int) -> TimefenceSchemaError:
    events = f"{rows or 'no'} event{'' if rows == 1 else 's'}"
    gave = f"{value.height or 'no'} value{'' if value.height == 1 else 's'}"
    fix = ["aggregate it: .sum(), .mean(), .last()", "put several values in a list: pl.col(...).tail(3).implode()"]
    if value.width != 1:
        gave, fix = f"{value.width} columns", ["name the columns one by one, each with an aggregate of its own"]
    elif _has_over(tree):
        fix = ["leave out .over(...): a window holds the events of one entity already", *fix]
    return TimefenceSchemaError(
        message(
            f"Aggregate {name!r} of {role} does not give one value: of {events} it gives {gave}.",
            where=f"expression: {_shown(expr)}",
            why="A label row has one value of each aggregate and window.",
            fix=fix,
        )
    )


def _has_over(tree: Any) -> bool:
    if isinstance(tree, list):
        return any(map(_has_over, tree))
    return isinstance(tree, dict) and ("Over" in tree or any(map(_has_over, tree.values())))


def _refused(role: str, name: str, expr: pl.Expr, what: str, why: str, fix: str) -> TimefenceConfigError:
    return TimefenceConfigError(
        message(f"Aggregate {name!r} of {role} {what}.", where=f"expression: {_shown(expr)}", why=why, fix=fix)
    )


def _shown(expr: pl.Expr) -> str:
    text = str(expr).replace(f'col("{SINCE_LAST}").first()', "since_last()")
    return text if len(text) <= 200 else text[:197] + "..."
