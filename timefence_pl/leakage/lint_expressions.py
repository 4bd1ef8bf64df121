"""Reading expressions: whether a row's value is computed from later rows.

Takes serialized expressions and how the rows stand, gives what looks ahead in them. Reads no rows.

Each part of an expression has a shape: a constant, a value a row, a value known from the first row on, or something
that has been reported already. An aggregate is reported where its rows go beyond the row's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

import orjson

from timefence_pl.leakage.lint_functions import ALONG_TIME, CHANCE, EACH_ROW, FUTURE, IN_ORDER, SUBSETS, WHOLE
from timefence_pl.leakage.lint_nodes import (
    aggregated,
    follows_time,
    function_name,
    integer,
    is_length,
    is_number,
    offset_of,
    samples_lists,
    time_column,
)
from timefence_pl.leakage.lint_python import python_parts
from timefence_pl.leakage.lint_rules import RULES
from timefence_pl.leakage.lint_spans import span
from timefence_pl.leakage.lint_tree import shown
from timefence_pl.plan.expressions import _function_row_wise

__all__ = ["Order", "Report", "Scope", "Shape", "read_expression"]

#: ``report(rule, tree, **words)``: a rule is broken by a part of an expression.
Report = Callable[..., None]


class Shape(Enum):
    """What a part of an expression gives."""

    #: The same for all rows, whatever they are.
    CONSTANT = "constant"
    #: A value a row, from rows up to its own time.
    ROWS = "rows"
    #: One value, known from the first row on.
    FIRST = "first"
    #: The first rows, of which the first is known from the first row on.
    HEAD = "head"
    #: Other rows than the frame's.
    SUBSET = "subset"
    #: Reported already.
    SETTLED = "settled"


@dataclass(frozen=True)
class Order:
    """How rows stand in time.

    Attributes:
        direction: 1 for ascending, -1 for descending, 0 for no known order.
        within: The columns whose groups are in that order; empty where the whole frame is.
    """

    direction: int = 1
    within: frozenset[str] = frozenset()

    def of_groups(self, keys: frozenset[str]) -> int:
        """The direction within groups of these columns."""
        return self.direction if self.within <= keys else 0


@dataclass(frozen=True)
class Scope:
    """Where an expression stands.

    Attributes:
        times: Columns that hold the row's own event time.
        order: How the rows stand.
        groups: The columns of the enclosing ``.over(...)``.
        grouped: Whether there is one.
        known: Whether all rows in sight are known at the row's time: those of a window that ends at it, or of one time.
    """

    times: frozenset[str]
    order: Order = field(default_factory=Order)
    groups: frozenset[str] = frozenset()
    grouped: bool = False
    known: bool = False

    @property
    def direction(self) -> int:
        """How the rows in sight stand in time."""
        return self.order.of_groups(self.groups)


_ROW_NODES: Final = ("Element", "Field", "Column", "Selector")
_THROUGH: Final = ("Alias", "KeepName", "RenameAlias", "Cast")


def read_expression(tree: Any, scope: Scope, report: Report) -> Shape:
    """Report what looks ahead in an expression, and give its shape."""
    try:
        shape = _Reader(report).read(tree, scope)
    except RecursionError:
        report("unknown", "a deeply nested expression", what="An expression nested so deeply")
        return Shape.SETTLED
    if shape in (Shape.SUBSET, Shape.HEAD) and not scope.known:
        report("selected-rows", tree)
        return Shape.SETTLED
    return shape


class _Reader:
    """Walks one expression."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def read(self, node: Any, scope: Scope) -> Shape:
        if node == "Len":
            return self._aggregate(node, Shape.ROWS, scope)
        if node == "Element":
            return Shape.ROWS
        if not isinstance(node, dict) or len(node) != 1:
            self._report("unknown", node, what=f"The expression {shown(node)}")
            return Shape.ROWS
        ((kind, body),) = node.items()
        if kind in _ROW_NODES:
            return Shape.ROWS
        if kind == "Literal":
            return Shape.CONSTANT
        if kind in _THROUGH:
            inner = body[0] if kind == "Alias" else body["expr"] if isinstance(body, dict) and "expr" in body else body
            return self.read(inner, scope)
        handler = getattr(self, f"_read_{kind.lower()}", None)
        if handler is None:
            self._report("unknown", node, what=f"The expression {kind}")
            return Shape.ROWS
        made: Shape = handler(node, body, scope)
        return made

    def _all(self, nodes: Sequence[Any], scope: Scope) -> Shape:
        """Parts joined row by row."""
        shapes = {self.read(n, scope) for n in nodes} - {Shape.CONSTANT}
        if not shapes:
            return Shape.CONSTANT
        for shape in (Shape.SETTLED, Shape.SUBSET, Shape.HEAD, Shape.ROWS):
            if shape in shapes:
                return shape
        return Shape.FIRST

    def _read_binaryexpr(self, _node: Any, body: Any, scope: Scope) -> Shape:
        parts = []
        while True:  # a chain of operators as long as it likes, without going deeper for each
            parts.append(body["right"])
            left = body["left"]
            if not isinstance(left, dict) or "BinaryExpr" not in left:
                return self._all([left, *reversed(parts)], scope)
            body = left["BinaryExpr"]

    def _read_ternary(self, _node: Any, body: Any, scope: Scope) -> Shape:
        return self._all([body["predicate"], body["truthy"], body["falsy"]], scope)

    def _read_structeval(self, _node: Any, body: Any, scope: Scope) -> Shape:
        return self._all([body["expr"], *body["evaluation"]], scope)

    def _read_eval(self, node: Any, body: Any, scope: Scope) -> Shape:
        """``list.eval`` sees one row's list; ``cumulative_eval`` the rows so far."""
        shape = self.read(body["expr"], scope)
        self.read(body["evaluation"], replace(scope, known=True))
        if isinstance(body["variant"], dict) and "Cumulative" in body["variant"]:
            return self._in_order(node, scope, shape, forward=True)
        return shape

    def _read_filter(self, _node: Any, body: Any, scope: Scope) -> Shape:
        shapes = {self.read(body["input"], scope), self.read(body["by"], scope)}
        return Shape.SETTLED if Shape.SETTLED in shapes else Shape.SUBSET

    def _read_explode(self, _node: Any, body: Any, scope: Scope) -> Shape:
        shape = self.read(body["input"], scope)
        return shape if shape in (Shape.SETTLED, Shape.CONSTANT) else Shape.SUBSET

    def _read_slice(self, _node: Any, body: Any, scope: Scope) -> Shape:
        shape = self.read(body["input"], scope)
        offset, length = integer(body["offset"]), integer(body["length"])
        if shape in (Shape.SETTLED, Shape.CONSTANT):
            return shape
        if offset == 0 and scope.direction > 0 and shape in (Shape.ROWS, Shape.HEAD, Shape.FIRST):
            return Shape.FIRST if length == 1 else Shape.HEAD
        return Shape.SUBSET

    def _read_gather(self, node: Any, body: Any, scope: Scope) -> Shape:
        shape = self._all([body["expr"], body["idx"]], scope)
        if shape in (Shape.SETTLED, Shape.CONSTANT) or scope.known:
            return shape
        first = integer(body["idx"]) == 0 and scope.direction > 0 and shape in (Shape.ROWS, Shape.HEAD, Shape.FIRST)
        if first:
            return Shape.FIRST
        self._report("by-position", node)
        return Shape.SETTLED

    def _read_sort(self, node: Any, body: Any, scope: Scope) -> Shape:
        shape = self.read(body["expr"], scope)
        return self._sorted(node, shape, scope)

    def _read_sortby(self, node: Any, body: Any, scope: Scope) -> Shape:
        shape = self.read(body["expr"], scope)
        for by in body["by"]:
            self.read(by, scope)
        descending = body["sort_options"]["descending"]
        if time_column(body["by"][0], scope.times) is not None and not any(descending[:1]):
            if scope.direction > 0 or shape in (Shape.SETTLED, Shape.CONSTANT, Shape.FIRST):
                return shape
            return Shape.HEAD
        return self._sorted(node, shape, scope)

    def _sorted(self, node: Any, shape: Shape, scope: Scope) -> Shape:
        if shape in (Shape.SETTLED, Shape.CONSTANT, Shape.FIRST) or scope.known:
            return shape
        self._report("sorted-by-value", node)
        return Shape.SETTLED

    def _read_over(self, node: Any, body: Any, scope: Scope) -> Shape:
        partition = list(body["partition_by"] or [])
        for key in partition:
            self.read(key, scope)
        columns = frozenset(k["Column"] for k in partition if isinstance(k, dict) and "Column" in k)
        same_time = any(time_column(k, scope.times) is not None for k in partition)
        inner = replace(scope, groups=columns, grouped=True, known=scope.known or same_time)
        if body["order_by"] is not None:
            by, options = body["order_by"]
            self.read(by, scope)
            inner = replace(inner, order=Order(self._direction(by, options, scope)))
        shape = self.read(body["function"], inner)
        if inner.known or shape in (Shape.SETTLED, Shape.CONSTANT):
            return Shape.ROWS if shape is not Shape.SETTLED else shape
        mapping = body["mapping"]
        if mapping == "Join":
            self._report("group-aggregate", node)
        elif mapping == "Explode" or shape in (Shape.SUBSET, Shape.HEAD):
            self._report("regrouped", node)
        else:
            return Shape.ROWS
        return Shape.SETTLED

    def _direction(self, by: Any, options: Any, scope: Scope) -> int:
        """How rows stand in time once they are ordered by an expression."""
        first = by
        several = by.get("Function") if isinstance(by, dict) else None
        if several is not None and function_name(several["function"]) in ("AsStruct", "RowEncode"):
            first = several["input"][0]
        if time_column(first, scope.times) is None:
            return 0
        return -1 if options["descending"] else 1

    def _read_rolling(self, node: Any, body: Any, scope: Scope) -> Shape:
        shape = self.read(body["function"], replace(scope, known=True))
        if scope.known or shape is Shape.SETTLED:
            return shape
        if time_column(body["index_column"], scope.times) is None:
            self._report("other-index", node, by=shown(body["index_column"]))
            return Shape.SETTLED
        if span(body["offset"]) + span(body["period"]) > 0:
            self._report("forward-window", node)
            return Shape.SETTLED
        return self._in_order(node, scope, Shape.ROWS, forward=True)  # it goes wrong along an index out of order

    def _read_agg(self, node: Any, body: Any, scope: Scope) -> Shape:
        kind, inner = next(iter(body.items())) if isinstance(body, dict) else (str(body), None)
        parts = aggregated(inner)
        if kind == "Min" and len(parts) == 1 and follows_time(parts[0], scope.times):
            return Shape.FIRST  # the least time is that of the first row, however the rows stand
        shape = self._all(parts, scope)
        if kind == "First" or (kind == "Last" and scope.direction < 0):
            if shape is Shape.ROWS and scope.direction == (1 if kind == "First" else -1):
                return Shape.FIRST
            if shape is Shape.HEAD and kind == "First":
                return Shape.FIRST
            if shape is Shape.ROWS and scope.direction == 0:
                return self._in_order(node, scope, shape, forward=True)
        return self._aggregate(node, shape, scope)

    def _aggregate(self, node: Any, shape: Shape, scope: Scope) -> Shape:
        if shape in (Shape.CONSTANT, Shape.FIRST, Shape.SETTLED):
            return shape
        if scope.known:
            return Shape.ROWS
        self._report("group-aggregate" if scope.grouped else "whole-column", node)
        return Shape.SETTLED

    def _read_anonymousfunction(self, node: Any, body: Any, scope: Scope) -> Shape:
        shape = self._all(body["input"], scope)
        parts = python_parts(body)
        if parts and all(p.each_value for p in parts):
            return shape
        if scope.known:
            return Shape.ROWS
        self._report("python", node)
        return Shape.ROWS

    _read_anonymousagg = _read_anonymousfunction

    def _read_function(self, node: Any, body: Any, scope: Scope) -> Shape:
        function, inputs = body["function"], body["input"]
        name = function_name(function)
        if name == "Range":
            return self._range(node, function, inputs, scope)
        if name == "Repeat":
            return self.read(inputs[0], scope)
        if name in CHANCE or samples_lists(function):
            self._all(inputs, scope)
            self._report("sampling", node)
            return Shape.SETTLED
        if name == "Bin":
            shape = self._all(inputs, scope)
            fixed = "Intervals" in function["Bin"]["method"]
            return shape if fixed or scope.known else self._told("quantile-cut", node, shape)
        if name in ("FoldHorizontal", "ReduceHorizontal", "CumFoldHorizontal", "CumReduceHorizontal"):
            shape = self._all(inputs, scope)
            return shape if scope.known else self._told("python", node, shape)
        if name in SUBSETS:
            shape = self._all(inputs, scope)
            if name == "GatherEvery" and shape is Shape.ROWS and scope.direction > 0 and not offset_of(function):
                return Shape.HEAD
            return shape if shape in (Shape.SETTLED, Shape.CONSTANT) else Shape.SUBSET
        if name in ALONG_TIME:
            return self._along(node, inputs, scope)
        if name in IN_ORDER:
            return self._ordered(node, name, function, inputs, scope)
        shape = self._all(inputs, scope)
        if name in WHOLE:
            return self._aggregate(node, shape, scope)
        if name in FUTURE:
            turned = name == "IsLastDistinct" and scope.direction < 0
            return shape if turned or scope.known else self._told(FUTURE[name], node, shape)
        if name in EACH_ROW or _function_row_wise(orjson.dumps(function, default=list), len(inputs)):
            return shape
        self._report("unknown", node, what=f"The function {name}")
        return Shape.ROWS

    def _told(self, rule: str, node: Any, shape: Shape) -> Shape:
        if shape in (Shape.CONSTANT, Shape.FIRST, Shape.SETTLED):
            return shape
        self._report(rule, node)
        # What could not be read may be clean, and what is made of it may not.
        return Shape.ROWS if RULES[rule].unread else Shape.SETTLED

    def _range(self, node: Any, function: Any, inputs: Sequence[Any], scope: Scope) -> Shape:
        """Row numbers count the rows so far; any other range with a length in it looks to the end."""
        numbers = function["Range"].get("IntRange") if isinstance(function["Range"], dict) else None
        if numbers is not None and len(inputs) == 2 and is_length(inputs[1]) and is_number(inputs[0]):
            step = numbers["step"] if isinstance(numbers, dict) else 1
            if isinstance(step, int) and step > 0:
                return self._in_order(node, scope, Shape.ROWS, forward=True)
        shape = self._all(inputs, scope)
        return Shape.SUBSET if shape in (Shape.ROWS, Shape.HEAD) else shape

    def _along(self, node: Any, inputs: Sequence[Any], scope: Scope) -> Shape:
        shape = self._all(inputs, scope)
        if scope.known or time_column(inputs[-1], scope.times) is not None:
            return shape
        self._report("other-index", node, by=shown(inputs[-1]))
        return Shape.SETTLED

    def _ordered(self, node: Any, name: str, function: Any, inputs: Sequence[Any], scope: Scope) -> Shape:
        shape = self._all(inputs, scope)
        if shape in (Shape.SUBSET, Shape.HEAD):
            return Shape.SUBSET
        if scope.known or shape in (Shape.SETTLED, Shape.CONSTANT, Shape.FIRST):
            return shape
        options: Any = function[name] if isinstance(function, dict) and name in function else {}
        if name in ("Shift", "ShiftAndFill", "Diff", "PctChange"):
            steps = integer(inputs[1]) if len(inputs) > 1 else 1
            if steps is None:
                return self._told("unknown-shift", node, shape)
            if steps == 0:
                return shape
            return self._in_order(node, scope, shape, forward=steps > 0, rule="negative-shift")
        if name.startswith("Cum"):
            return self._in_order(node, scope, shape, forward=not options["reverse"], rule="reversed-cumulative")
        if name == "RollingExpr":
            if options["options"].get("center"):
                return self._told("centred-window", node, shape)
            return self._in_order(node, scope, shape, forward=True)
        if name == "FillNullWithStrategy":
            return self._fill(node, options, scope, shape)
        return self._in_order(node, scope, shape, forward=True)

    def _fill(self, node: Any, options: Any, scope: Scope, shape: Shape) -> Shape:
        strategy = options if isinstance(options, str) else next(iter(options))
        if strategy in ("Zero", "One"):
            return shape
        if strategy in ("Forward", "Backward"):
            return self._in_order(node, scope, shape, forward=strategy == "Forward", rule="backward-fill")
        return self._told("statistic-fill", node, shape)

    def _in_order(self, node: Any, scope: Scope, shape: Shape, *, forward: bool, rule: str = "reversed") -> Shape:
        """What is right in one direction of time only."""
        if scope.known or shape in (Shape.SETTLED, Shape.CONSTANT):
            return shape
        if scope.direction == 0:
            self._report("unordered" if scope.order.direction else "sorted-by-value", node)
            return Shape.SETTLED
        if (scope.direction > 0) == forward:
            return shape
        self._report(rule if scope.direction > 0 else "reversed", node)
        return Shape.SETTLED
