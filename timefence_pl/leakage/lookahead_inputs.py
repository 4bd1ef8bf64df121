"""What a feature reads besides its source, which no cutoff can truncate.

Takes definitions, gives words for what they read besides, nothing where they read their source alone; and what their
Python code holds. Runs transforms
over an empty source only; judges code by the names and values it refers to, and cannot find everything.
"""

from __future__ import annotations

import dis
import functools
import re
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.aggregates import expression_tree
from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceError
from timefence_pl.fingerprint import names_used, reached_state, read_besides
from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.integrations.sql import resolve_dialect
from timefence_pl.leakage.lint_python import python_parts
from timefence_pl.leakage.lint_tree import PlanTree, plan_tree
from timefence_pl.plan.rows import RowSet, feature_rows, usable_events
from timefence_pl.plan.transforms import runs_at_once

__all__ = ["derived_plan", "held_values", "other_input"]

_FRAMES: Final = (pl.DataFrame, pl.LazyFrame, pl.Series)
_READERS: Final = ("read_", "scan_")
_SQL_READER: Final = re.compile(
    r"\b(?:read_\w+|scan_\w+|\w+_scan|glob)\s*\(|\battach\b|\b(?:from|join)\s+'[^']+'", re.IGNORECASE
)
#: The clock, chance aside, which shows when a query runs again.
_SQL_CLOCK: Final = re.compile(
    r"""(?<![\w."'`])(?:current_(?:date|time|timestamp)|local(?:time|timestamp))(?![\w."'`])"""
    r"""|(?<![\w."'`])(?:now|today|getdate|get_current_time(?:stamp)?)\s*\(""",
    re.IGNORECASE,
)


def other_input(feature: AnyFeature) -> str | None:
    """What a feature reads besides its source, in words; None where nothing of the kind is seen."""
    if isinstance(feature, Feature) and feature.mode == "sql":
        return _of_sql(feature)
    if isinstance(feature, Feature) and feature.transform is not None:
        return _of_transform(feature, feature.transform)
    return _of_expressions(_expressions(feature))


def held_values(feature: AnyFeature) -> dict[str, str]:
    """What a feature's Python code holds at the moment: defaults, globals, closures, attributes; a hash of each."""
    if isinstance(feature, Feature) and feature.transform is not None:
        functions: list[Any] = [feature.transform]
    else:
        functions = _functions([expression_tree(e) for e in _expressions(feature)])
    found: dict[str, str] = {}
    for number, function in enumerate(functions):
        found.update({f"{number} {name}": value for name, value in reached_state(function).items()})
    return found


def _expressions(feature: AnyFeature) -> list[pl.Expr]:
    if isinstance(feature, Window):
        return [*feature.aggregates.values(), *([] if feature.where is None else [feature.where])]
    return list(feature.exprs)


def _functions(trees: Iterable[Any]) -> list[Any]:
    return [f for tree in trees for part in python_parts(tree) for f in part.functions]


def derived_plan(feature: Feature) -> PlanTree | None:
    """The plan of a transform or SQL over an empty source; None where it cannot be made or read."""
    stub = pl.LazyFrame(schema=feature.source.schema)
    try:
        made = feature_rows(RowSet(feature.source, (feature,), keep_first=False), usable_events(feature.source, stub))
    except Exception:  # noqa: BLE001 - a transform that does not take an empty frame has no plan to be read
        return None
    return plan_tree(made.frame)


def _of_expressions(exprs: Iterable[pl.Expr]) -> str | None:
    trees = [expression_tree(e) for e in exprs]
    other = _of_functions(_functions(trees))
    return (
        "it may read what its Python code holds, which cannot be written down" if None in trees and not other else other
    )


def _of_transform(feature: Feature, transform: Callable[..., Any]) -> str | None:
    at_once = runs_at_once(transform)
    try:
        reads = sorted(n for n in names_used(transform) if n == "open" or n.startswith(_READERS))
    except Uncacheable:
        reads = []
    if reads:
        return f"it calls {reads[0]}()"
    other = _of_functions([transform], lazy=at_once is None)
    if other is not None or at_once is not None:
        return other
    tree = derived_plan(feature)
    if tree is None:
        return None
    # What its plan holds runs on rows, though the transform itself only builds the plan.
    return _of_leaves(tree) or _of_functions(_functions(fields for _, fields in tree.steps()))


def _of_sql(feature: Feature) -> str | None:
    assert feature.sql is not None  # noqa: S101 - the caller's mode
    found = _SQL_READER.search(feature.sql)
    if found is not None:
        return f"its SQL reads {found.group(0).strip()}"
    clock = _SQL_CLOCK.search(feature.sql)
    if clock is not None:
        return f"its SQL reads the clock ({clock.group(0).rstrip('( ')})"
    stub = pl.LazyFrame(schema=feature.source.schema)
    try:
        query = feature.sql.replace("{source}", "source")
        if resolve_dialect(query, {"source": stub, feature.source.name: stub}, feature.dialect) == "duckdb":
            return None
    except TimefenceError:
        return None
    tree = derived_plan(feature)
    return None if tree is None else _of_leaves(tree)


def _of_leaves(tree: PlanTree) -> str | None:
    for kind, fields in tree.leaves():
        if kind == "Scan":
            paths = fields.get("sources", {}).get("Paths", []) if isinstance(fields.get("sources"), dict) else []
            named = [str(p["inner"]) if isinstance(p, dict) and "inner" in p else str(p) for p in paths]
            return f"it scans {named[0]!r}" if named else "it scans files"
        if kind == "PythonScan":
            return "it reads a table through a Python function"
        if kind == "DataFrameScan" and not tree.is_empty(fields):
            return "it reads a frame in memory"
    return None


def _of_functions(functions: Sequence[Any], *, lazy: bool = False) -> str | None:
    for function in functions:
        for name, value in _held(function, set()):
            kind = type(value)
            if isinstance(value, _FRAMES) or str(kind.__module__).split(".")[0] in ("pandas", "pyarrow"):
                return f"its Python code reads {name!r}, a {kind.__name__}"
    reasons = (read_besides(f, lazy=lazy) for f in functions)
    return next((f"its Python code {reason}" for reason in reasons if reason is not None), None)


def _held(function: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The values that a function's code refers to, those of the functions it calls included."""
    if id(function) in seen or len(seen) > 500:
        return
    seen.add(id(function))
    if isinstance(function, functools.partial):
        named = {**{f"argument {i}": a for i, a in enumerate(function.args)}, **function.keywords}
        yield from named.items()
        yield from _held(function.func, seen)
    elif isinstance(function, types.MethodType):
        yield from getattr(function.__self__, "__dict__", {}).items()
        yield from _held(function.__func__, seen)
    elif isinstance(function, types.FunctionType):
        yield from _of_code(function, seen)
    elif callable(function) and not isinstance(function, type) and hasattr(function, "__dict__"):
        yield from vars(function).items()
        yield from _held(vars(type(function)).get("__call__"), seen)


def _of_code(function: types.FunctionType, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if str(function.__module__).split(".")[0] in ("polars", "timefence_pl"):
        return
    values: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue
    steps = (step for code in _codes(function.__code__) for step in dis.get_instructions(code))
    names = {step.argval for step in steps if step.opname == "LOAD_GLOBAL"}
    values.update({n: v for n, v in function.__globals__.items() if n in names})
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    values.update({f"default {i}": v for i, v in enumerate(defaults)})
    yield from values.items()
    for value in values.values():
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            yield from _held(value, seen)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
