"""Reading window aggregates: what of them running totals and look-ups can answer.

Takes aggregate expressions and the source's columns, gives for each its parts (single aggregates of row-wise
expressions) and the arithmetic that joins them, or nothing where it has no such form. Reads no rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
import polars as pl

from timefence_pl.definitions.aggregates import SINCE_LAST, columns_read, expression_tree
from timefence_pl.plan.cached import cached
from timefence_pl.plan.expressions import is_row_wise

__all__ = ["PART", "Part", "PartKind", "Split", "Splitter", "columns_of", "last_rows", "settled"]

#: The column of a part's values.
PART: Final = "__tf_part{}"

PartKind = Literal["len", "count", "null_count", "sum", "mean", "var", "any", "all", "first", "last", "since_last"]


@dataclass(frozen=True, eq=False)
class Part:
    """One aggregate of a row-wise expression.

    Attributes:
        kind: What is computed from the rows; a standard deviation is the root of a ``"var"``.
        inner: The row-wise expression; None for ``len`` and ``since_last``.
        where: Which rows it is computed from; None for all.
        inner_dtype: Of ``inner``.
        dtype: Of the result.
        ddof: Of ``var``.
        root: Whether the square root of a ``var`` is wanted.
        ignore_nulls: Of ``any`` and ``all``.
    """

    kind: PartKind
    inner: pl.Expr | None
    where: pl.Expr | None
    inner_dtype: pl.DataType
    dtype: pl.DataType
    ddof: int = 0
    root: bool = False
    ignore_nulls: bool = True


@dataclass(frozen=True, eq=False)
class Split:
    """An aggregate as arithmetic of parts.

    Attributes:
        parts: Positions of its parts.
        outer: The arithmetic, over the columns :data:`PART`.
    """

    parts: tuple[int, ...]
    outer: pl.Expr

    @cached
    def single(self) -> int | None:
        """The part that the aggregate is, as it stands; None where it is made of parts."""
        (part, *others) = self.parts or (-1,)
        return None if others or not self.outer.meta.eq(pl.col(PART.format(part))) else part


class Splitter:
    """Splits aggregates into parts; equal parts of several aggregates are one."""

    def __init__(self, schema: Mapping[str, pl.DataType], since: pl.DataType) -> None:
        self._schema = dict(schema)
        self._since = since
        self._known: dict[bytes, int] = {}
        #: All parts found.
        self.parts: list[Part] = []

    def split(self, expr: pl.Expr) -> Split | None:
        """The aggregate as arithmetic of parts; None where it has no such form."""
        tree = expression_tree(expr)
        before = len(self.parts), dict(self._known)
        used: list[int] = []
        try:
            if tree is None or not _expression(tree).meta.eq(expr):
                return None  # a literal that the text form does not hold, as NaN
            outer = _expression(self._replaced(tree, used))
        except (_NoFormError, pl.exceptions.PolarsError, ValueError, KeyError, TypeError):
            outer = None
        if outer is None or not used or not is_row_wise(outer):
            del self.parts[before[0] :]
            self._known = before[1]
            return None
        return Split(tuple(dict.fromkeys(used)), outer)

    def _replaced(self, node: Any, used: list[int], *, named: bool = False) -> Any:
        """The tree with each part replaced by its column; ``named`` as the part was, for functions that read names."""
        if self._is_part(node):
            key = orjson.dumps(node)
            if key not in self._known:
                self.parts.append(self._part(node))
                self._known[key] = len(self.parts) - 1
            used.append(self._known[key])
            column = {"Column": PART.format(self._known[key])}
            return {"Alias": [column, _expression(node).meta.output_name()]} if named else column
        if isinstance(node, list):
            return [self._replaced(n, used, named=named) for n in node]
        if not isinstance(node, dict):
            return node
        if set(node) & {"Column", "Selector", "Agg", "AnonymousFunction"}:
            raise _NoFormError
        if "Literal" in node:
            return node
        if "Function" in node:
            body = node["Function"]
            return {"Function": {**body, "input": self._replaced(body["input"], used, named=True)}}
        return {kind: self._replaced(body, used, named=named) for kind, body in node.items()}

    def _is_part(self, node: Any) -> bool:
        if node == "Len":
            return True
        if not isinstance(node, dict) or len(node) != 1:
            return False
        ((kind, body),) = node.items()
        if kind == "Agg":
            return True
        return kind == "Function" and _function_name(body["function"]) in ("NullCount", "Any", "All")

    def _part(self, node: Any) -> Part:
        """Read one aggregate.

        Raises:
            _NoFormError: If running totals and look-ups cannot answer it.
        """
        dtype = self._type(node)
        if node == "Len":
            return Part("len", None, None, pl.Null(), dtype)
        if node == {"Agg": {"First": {"Column": SINCE_LAST}}}:
            return Part("since_last", None, None, pl.Null(), dtype)
        if "Function" in node:
            name = _function_name(node["Function"]["function"])
            (inner,) = node["Function"]["input"]
            if name == "NullCount":
                return self._made("null_count", inner, dtype)
            options = node["Function"]["function"]["Boolean"][name]
            return self._made("any" if name == "Any" else "all", inner, dtype, ignore_nulls=options["ignore_nulls"])
        ((kind, body),) = node["Agg"].items()
        if kind == "Count":
            return self._made("len" if body["include_nulls"] else "count", body["input"], dtype)
        if kind == "Sum":
            return self._made("sum", body, dtype, takes=_summed)
        if kind == "Mean":
            return self._made("mean", body, dtype, takes=_averaged)
        if kind in ("Var", "Std"):
            return self._made("var", body[0], dtype, takes=_spread, ddof=body[1], root=kind == "Std")
        if kind in ("First", "Last"):
            return self._made("first" if kind == "First" else "last", body, dtype)
        if kind in ("FirstNonNull", "LastNonNull"):
            return self._made("first" if kind == "FirstNonNull" else "last", body, dtype, known=True)
        raise _NoFormError

    def _made(
        self,
        kind: PartKind,
        tree: Any,
        dtype: pl.DataType,
        *,
        takes: Callable[[pl.DataType], bool] = lambda _: True,
        known: bool = False,
        **options: Any,
    ) -> Part:
        where = None
        if isinstance(tree, dict) and "Filter" in tree:
            tree, where = tree["Filter"]["input"], _expression(tree["Filter"]["by"])
        inner = _expression(tree)
        for expr in (inner, where):
            if expr is not None and not (is_row_wise(expr) and expr.meta.root_names()):
                raise _NoFormError  # of a literal alone there is one row, whatever the window holds
        inner_dtype = self._type(tree)
        if not takes(inner_dtype):
            raise _NoFormError
        if known:
            where = inner.is_not_null() if where is None else where & inner.is_not_null()
        return Part(kind, inner, where, inner_dtype, dtype, **options)

    def _type(self, tree: Any) -> pl.DataType:
        frame = pl.LazyFrame(schema={**self._schema, SINCE_LAST: self._since})
        types = frame.select(_expression(tree)).collect_schema().dtypes()
        if len(types) != 1:
            raise _NoFormError
        return types[0]


class _NoFormError(Exception):
    """Running totals and look-ups cannot answer an expression."""


def columns_of(exprs: Sequence[pl.Expr], schema: Mapping[str, pl.DataType]) -> list[str]:
    """The source columns that expressions read, in the source's order; all where that cannot be told."""
    needed = {n for expr in exprs for n in columns_read(expr, {**schema, SINCE_LAST: pl.Null()})}
    return [n for n in schema if n in needed]


def last_rows(expr: pl.Expr) -> int | None:
    """How many of a window's last rows an aggregate reads (``tail(3)``); None for all of them."""
    tree = expression_tree(expr)
    return None if tree is None else _last_rows(tree)


def _last_rows(node: Any) -> int | None:
    if isinstance(node, list):
        counts = [_last_rows(n) for n in node]
        return None if None in counts else max((c for c in counts if c is not None), default=0)
    if node == "Len":
        return None
    if not isinstance(node, dict):
        return 0
    if "Slice" in node:
        body = node["Slice"]
        offset, length = (_integer(body[k]) for k in ("offset", "length"))
        if offset is not None and offset < 0 and length is not None and _row_wise(body["input"]):
            return -offset
        return None
    if set(node) & {"Column", "Selector", "AnonymousFunction"}:
        return None
    if "Literal" in node:
        return 0
    return _last_rows(list(node.values()))


def settled(expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """The expression as it is computed in groups: sorts are stable, and variances are exact.

    Ties of a sort go by the order of the rows. A variance within ``group_by`` loses digits where the mean is large,
    and is 0 of nothing (Polars 2.1); written out in two passes it does neither.
    """
    tree = expression_tree(expr)
    try:
        if tree is None or not _expression(tree).meta.eq(expr):
            return expr
        return _expression(_rewritten(tree, schema))
    except (pl.exceptions.PolarsError, ValueError):
        return expr


def _rewritten(node: Any, schema: Mapping[str, pl.DataType]) -> Any:
    if isinstance(node, list):
        return [_rewritten(n, schema) for n in node]
    if not isinstance(node, dict) or "Literal" in node:
        return node
    made = {kind: _rewritten(body, schema) for kind, body in node.items()}
    if "SortBy" in made:
        options = {**made["SortBy"]["sort_options"], "maintain_order": True}
        return {"SortBy": {**made["SortBy"], "sort_options": options}}
    if "Agg" in made and isinstance(made["Agg"], dict) and set(made["Agg"]) & {"Var", "Std"}:
        ((kind, (inner, ddof)),) = made["Agg"].items()
        return expression_tree(_two_passes(_expression(inner), ddof, schema, root=kind == "Std"))
    return made


def _two_passes(inner: pl.Expr, ddof: int, schema: Mapping[str, pl.DataType], *, root: bool) -> pl.Expr:
    single = pl.LazyFrame(schema=schema).select(inner).collect_schema().dtypes() == [pl.Float32()]
    wide = inner.cast(pl.Float64)
    away = wide - wide.mean()
    count = wide.count().cast(pl.Int64)
    squares = (away * away).sum()
    rounding = away.sum() * away.sum() / count  # of the mean
    exact = pl.when(squares.is_infinite()).then(squares).otherwise(squares - rounding)
    spread = pl.when(exact < 0).then(0.0).otherwise(exact) / (count - ddof)
    result = pl.when(count > ddof).then(spread.sqrt() if root else spread)
    return result.cast(pl.Float32) if single else result


def _expression(tree: Any) -> pl.Expr:
    return pl.Expr.deserialize(io.BytesIO(orjson.dumps(tree)), format="json")


def _row_wise(tree: Any) -> bool:
    try:
        return is_row_wise(_expression(tree))
    except (pl.exceptions.PolarsError, ValueError):
        return False


def _integer(tree: Any) -> int | None:
    try:
        value = tree["Literal"]["Dyn"]["Int"]
    except (KeyError, TypeError):
        return None
    return int(value)


def _function_name(function: Any) -> str | None:
    if isinstance(function, str):
        return function
    if isinstance(function, dict) and isinstance(function.get("Boolean"), dict):
        return str(next(iter(function["Boolean"])))
    return None


def _summed(dtype: pl.DataType) -> bool:
    return _averaged(dtype) or isinstance(dtype, pl.Duration)


def _averaged(dtype: pl.DataType) -> bool:
    return _spread(dtype) or dtype.is_decimal()


def _spread(dtype: pl.DataType) -> bool:
    return dtype.is_integer() or dtype in (pl.Boolean, pl.Float32, pl.Float64)
