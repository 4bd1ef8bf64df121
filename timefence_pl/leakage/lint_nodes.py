"""What single nodes of serialized expressions are: names, numbers, times.

Takes nodes, gives plain values. Reports nothing.
"""

from __future__ import annotations

from typing import Any

from timefence_pl.leakage.lint_functions import FUTURE, IN_ORDER, SUBSETS, WHOLE

__all__ = [
    "aggregated",
    "follows_time",
    "function_name",
    "integer",
    "is_length",
    "is_number",
    "offset_of",
    "samples_lists",
    "time_column",
]


def time_column(node: Any, times: frozenset[str]) -> str | None:
    """The event time column that an expression is, under whatever name; None for anything else."""
    if isinstance(node, dict) and len(node) == 1:
        ((kind, body),) = node.items()
        if kind == "Alias":
            return time_column(body[0], times)
        if kind == "Column" and body in times:
            return str(body)
        if kind == "Function" and function_name(body["function"]) == "SetSortedFlag":
            return time_column(body["input"][0], times)
    return None


def integer(tree: Any) -> int | None:
    """The whole number that a literal is; None for anything else."""
    while isinstance(tree, dict) and len(tree) == 1:
        ((kind, body),) = tree.items()
        if kind in ("Literal", "Dyn", "Scalar"):
            tree = body
        elif kind == "Cast":
            tree = body["expr"]
        elif kind == "Alias":
            tree = body[0]
        else:
            return int(body) if kind.startswith(("Int", "UInt")) and isinstance(body, int) else None
    return None


def function_name(function: Any) -> str:
    """A function's name: of booleans, texts, bits and the like that of the method."""
    if isinstance(function, str):
        return function
    ((name, options),) = function.items()
    if name in ("Boolean", "Bitwise", "StringExpr", "ArrayExpr", "ListExpr"):
        method = options if isinstance(options, str) else next(iter(options))
        known = WHOLE | SUBSETS | IN_ORDER | frozenset(FUTURE)
        inner = name in ("Boolean", "Bitwise") or method in ("ConcatVertical", "Explode")
        return str(method) if inner and method in known else str(name)
    return str(name)


def samples_lists(function: Any) -> bool:
    """Whether a function draws from lists by chance."""
    options = function.get("ListExpr", function.get("ArrayExpr")) if isinstance(function, dict) else None
    return "Sample" in options if isinstance(options, dict | str) else False


def aggregated(inner: Any) -> list[Any]:
    """The expressions of an aggregate."""
    if isinstance(inner, dict) and "input" in inner:
        return [inner["input"]]
    if isinstance(inner, dict) and "expr" in inner:
        return [v for v in inner.values() if isinstance(v, dict)]
    if isinstance(inner, list):
        return [inner[0]]
    return [] if inner is None else [inner]


def follows_time(node: Any, times: frozenset[str]) -> bool:
    """Whether an expression never falls as time rises."""
    if time_column(node, times) is not None:
        return True
    if not isinstance(node, dict) or len(node) != 1:
        return False
    ((kind, body),) = node.items()
    if kind == "Cast":
        dtype = body["dtype"].get("Literal") if isinstance(body["dtype"], dict) else None
        timed = isinstance(dtype, dict) and "Datetime" in dtype
        return (timed or dtype in ("Date", "Int64", "UInt64")) and follows_time(body["expr"], times)
    if kind == "Alias":
        return follows_time(body[0], times)
    if kind == "Function" and isinstance(body["function"], dict) and "TemporalExpr" in body["function"]:
        method = body["function"]["TemporalExpr"]
        rising = ("Date", "Truncate", "Round", "Year", "Century", "TimeStamp", "MonthStart", "MonthEnd")
        named = method if isinstance(method, str) else next(iter(method))
        return named in rising and follows_time(body["input"][0], times)
    return False


def is_length(node: Any) -> bool:
    """Whether an expression is the number of rows, give or take a number."""
    if node == "Len":
        return True
    if isinstance(node, dict) and "Cast" in node:
        return is_length(node["Cast"]["expr"])
    if isinstance(node, dict) and "BinaryExpr" in node and node["BinaryExpr"]["op"] in ("Plus", "Minus"):
        sides = [node["BinaryExpr"]["left"], node["BinaryExpr"]["right"]]
        return any(map(is_length, sides)) and any(map(is_number, sides))
    return isinstance(node, dict) and "Agg" in node and isinstance(node["Agg"], dict) and "Count" in node["Agg"]


def is_number(node: Any) -> bool:
    """Whether an expression is a whole number written out."""
    return integer(node) is not None


def offset_of(function: Any) -> int:
    """The row at which ``gather_every`` starts."""
    options = function["GatherEvery"] if isinstance(function, dict) else {}
    return int(options.get("offset", 0))
