"""Reading the plans of transforms: what in their steps looks ahead, and when their rows are stamped.

Takes a decoded plan over an empty source, gives findings through a report and what became of the rows' times. Runs
nothing; steps that are not known are reported as unread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from timefence_pl.fingerprint.layout import output_name
from timefence_pl.leakage.lint_expressions import Order, Report, Scope, Shape, read_expression
from timefence_pl.leakage.lint_functions import SEVERAL_ROWS
from timefence_pl.leakage.lint_joins import joined
from timefence_pl.leakage.lint_nodes import function_name, time_column
from timefence_pl.leakage.lint_rows import NO_ORDER, Rows
from timefence_pl.leakage.lint_spans import span
from timefence_pl.leakage.lint_stamps import Stamp, stamp_of
from timefence_pl.leakage.lint_tree import PlanTree, shown

__all__ = ["PlanReader", "reads_several_rows"]

#: Steps of ``MapFunction`` after which the rows' times and order are what they were.
_HARMLESS: Final = ("Unnest", "Explode", "Unpivot", "Hint", "FastCount", "Rechunk")
_HEIGHT: Final = "__POLARS_INTERNAL_HEIGHT_COLUMN"
#: Steps that give each row from one row.
_ROW_BY_ROW: Final = (
    "Select",
    "HStack",
    "Filter",
    "Sort",
    "Cache",
    "IR",
    "DataFrameScan",
    "Scan",
    "PythonScan",
    "Union",
)
_SEVERAL: Final = frozenset(
    {"Agg", "Over", "Rolling", "Gather", "Slice", "SortBy", "Sort", "Explode", "AnonymousFunction"}
)


class PlanReader:
    """Reads one plan.

    Args:
        tree: The plan.
        source: The rows that the source gives.
        at_end: Whether a Date is known at its day's end.
        report: Told of what is found.
        loose: Whether only expressions over rows count, and all inputs are what they are: for the plans of sources.
    """

    def __init__(self, tree: PlanTree, source: Rows, *, at_end: bool, report: Report, loose: bool = False) -> None:
        self._tree = tree
        self._source = source
        self._at_end = at_end
        self._tell = report
        self._loose = loose
        self._known: dict[int, Rows] = {}

    def read(self) -> Rows:
        """The rows that the plan gives."""
        return self._rows(self._tree.root)

    def _rows(self, reference: Any) -> Rows:
        number = reference.get("idx")
        if number in self._known:
            return self._known[number]
        kind, fields = self._tree.node(reference)
        handler = getattr(self, f"_read_{kind.lower()}", None)
        if handler is not None:
            made: Rows = handler(fields)
        else:
            below = [self._rows(r) for r in self._tree.inputs(fields)]
            self._report("unknown", kind, what=f"The step {kind} of the plan")
            made = Rows(other=any(b.other for b in below))
        if number is not None:
            self._known[number] = made
        return made

    def _report(self, rule: str, part: Any, **words: str) -> None:
        """Report a step; the plans of sources are judged by their expressions alone."""
        if not self._loose:
            self._tell(rule, part, **words)

    def _expressions(self, exprs: Sequence[Any], rows: Rows, *, known: bool = False) -> list[Shape]:
        """Read expressions over rows. What other inputs hold is reported where they come in."""
        order = Order() if self._loose and not rows.order.direction else rows.order
        times = rows.exact | self._source.exact if self._loose else rows.exact
        scope = Scope(times, order, known=known or rows.other)
        return [read_expression(e, scope, self._tell) for e in exprs if not _is_height(e)]

    def _stamps(self, exprs: Sequence[Any], rows: Rows) -> dict[str, Stamp]:
        """The times among the outputs of expressions."""
        found = {output_name(e): stamp_of(e, rows.stamps, at_end=self._at_end) for e in exprs}
        return {n: s for n, s in found.items() if s is not None}

    def _input(self, fields: Mapping[str, Any]) -> Rows:
        return self._rows(self._tree.inputs(fields)[0])

    def _read_dataframescan(self, fields: Any) -> Rows:
        return self._source if self._loose or self._tree.is_empty(fields) else self._other("a frame in memory")

    def _read_scan(self, fields: Any) -> Rows:
        sources = fields.get("sources")
        paths = sources.get("Paths", []) if isinstance(sources, dict) else []
        named = [str(p["inner"]) if isinstance(p, dict) and "inner" in p else str(p) for p in paths]
        return self._source if self._loose else self._other(repr(named[0]) if named else "files")

    def _read_pythonscan(self, _fields: Any) -> Rows:
        return self._source if self._loose else self._other("a table read by Python")

    def _other(self, what: str) -> Rows:
        self._report("second-input", f"rows of {what}", what=what)
        return Rows(other=True)

    def _read_cache(self, fields: Any) -> Rows:
        return self._input(fields)

    def _read_ir(self, fields: Any) -> Rows:
        return self._rows(fields["dsl"])

    def _read_filter(self, fields: Any) -> Rows:
        rows = self._input(fields)
        self._expressions([fields["predicate"]], rows)
        return rows

    def _read_hstack(self, fields: Any) -> Rows:
        rows = self._input(fields)
        exprs = [e for e in fields["exprs"] if not _is_height(e)]
        self._expressions(exprs, rows)
        replaced = {output_name(e) for e in exprs}
        kept = {n: s for n, s in rows.stamps.items() if n not in replaced}
        order = rows.order if not rows.order.within & replaced else NO_ORDER
        return replace(rows, stamps={**kept, **self._stamps(exprs, rows)}, order=order)

    def _read_select(self, fields: Any) -> Rows:
        rows = self._input(fields)
        exprs = [e for e in fields["expr"] if not _is_height(e)]
        whole = [_frame_method(e) for e in exprs]
        if whole and all(whole):
            return self._whole_frame(str(whole[0]), exprs[0], rows)
        self._expressions(exprs, rows)
        stamps: dict[str, Stamp] = {}
        for expr in exprs:
            chosen = _chosen(expr)
            if chosen is not None:
                stamps.update({n: s for n, s in rows.stamps.items() if n not in _names_in(chosen)})
        return replace(rows, stamps={**stamps, **self._stamps(exprs, rows)})

    def _whole_frame(self, method: str, expr: Any, rows: Rows) -> Rows:
        """Methods of frames that move whole rows."""
        if method == "Reverse":
            return replace(rows, order=replace(rows.order, direction=-rows.order.direction))
        if rows.order.direction == 0:
            self._report("unordered", shown(expr))
        return rows

    def _read_sort(self, fields: Any) -> Rows:
        rows = self._input(fields)
        self._expressions(fields["by_column"], rows)
        within: set[str] = set()
        for by, descending in zip(fields["by_column"], fields["sort_options"]["descending"], strict=False):
            if time_column(by, rows.exact) is not None:
                return replace(rows, order=Order(-1 if descending else 1, frozenset(within)))
            if not isinstance(by, dict) or "Column" not in by:
                break
            within.add(by["Column"])
        return replace(rows, order=NO_ORDER)

    def _read_slice(self, fields: Any) -> Rows:
        rows = self._input(fields)
        offset, length = fields["offset"], fields["len"]
        if offset < 0 or rows.order.direction < 0:
            self._report("last-rows", f".slice({offset}, {length})")
        elif rows.order.of_groups(frozenset()) == 0 and not rows.lasting:
            self._report("unordered", f".slice({offset}, {length})")
        return rows

    def _read_distinct(self, fields: Any) -> Rows:
        rows = self._input(fields)
        options = fields["options"]
        subset, keep = options["subset"], options["keep_strategy"]
        if subset is None or rows.lasting or any(time_column(s, rows.exact) is not None for s in subset):
            return rows
        columns = frozenset(s["Column"] for s in subset if isinstance(s, dict) and "Column" in s)
        shows = f".unique({sorted(columns)}, keep={keep.lower()!r})"
        direction = rows.order.of_groups(columns)
        if keep == "None" or (keep == "Last" and direction > 0) or (keep == "First" and direction < 0):
            self._report("keeps-later-row", shows)
        elif direction == 0 or keep == "Any":
            self._report("unordered", shows)
        return rows

    def _read_groupby(self, fields: Any) -> Rows:
        rows = self._input(fields)
        keys, aggs, options = fields["keys"], fields["aggs"], fields["options"]
        columns = frozenset(k["Column"] for k in keys if isinstance(k, dict) and "Column" in k)
        self._expressions(keys, rows)
        if fields.get("apply") is not None:
            self._report("python", ".group_by(...).map_groups(...)")
            return replace(rows, stamps={}, order=NO_ORDER)
        spans = options.get("dynamic") or options.get("rolling")
        if spans is not None:
            self._expressions(aggs, rows, known=True)
            stamps = self._spans(spans, rows, dynamic=options.get("dynamic") is not None)
            return Rows(stamps, Order(1, columns), rows.other)
        stamps = self._stamps(keys, rows)
        if stamps or rows.other:
            self._expressions(aggs, rows, known=True)
            return Rows({n: replace(s, exact=False) for n, s in stamps.items()}, NO_ORDER, rows.other)
        scope = Scope(rows.exact, rows.order, columns, grouped=True)
        if self._loose:
            return Rows({}, NO_ORDER, rows.other)
        shapes = [read_expression(a, scope, self._tell) for a in aggs]
        lasting = all(s in (Shape.FIRST, Shape.CONSTANT) for s in shapes)
        first = {n: s for n, s in ((output_name(a), _first_time(a, rows)) for a in aggs) if s is not None}
        return Rows(first, NO_ORDER, rows.other, lasting=lasting)

    def _spans(self, options: Mapping[str, Any], rows: Rows, *, dynamic: bool) -> dict[str, Stamp]:
        """The stamps of ``group_by_dynamic`` and ``rolling``."""
        name = options["index_column"]
        stamp = rows.stamps.get(name)
        if stamp is None:
            if not rows.other:
                self._report("other-index", f"windows along {name!r}", by=repr(name))
            return {}
        if dynamic:
            lag = 0 if options["label"] == "Right" else span(options["period"])
            return {name: replace(stamp, lag=max(stamp.lag, 0) + lag, exact=False)}
        ahead = span(options["offset"]) + span(options["period"])
        return {name: replace(stamp, lag=stamp.lag + max(ahead, 0), exact=stamp.exact and ahead <= 0)}

    def _read_pivot(self, fields: Any) -> Rows:
        rows = self._input(fields)
        index = [n for n in _names_in(fields["index"]) if n in rows.stamps]
        if not index and not rows.other:
            self._report("group-aggregate", ".pivot(...)")
        return Rows({n: replace(rows.stamps[n], exact=False) for n in index}, NO_ORDER, rows.other)

    def _read_join(self, fields: Any) -> Rows:
        left, right = (self._rows(fields[n]) for n in ("input_left", "input_right"))
        return joined(left, right, fields, self._report)

    def _read_union(self, fields: Any) -> Rows:
        parts = [self._rows(r) for r in self._tree.inputs(fields)]
        names = set.intersection(*(set(p.stamps) for p in parts))
        stamps = {}
        for name in names:
            several = [p.stamps[name] for p in parts]
            if len({s.date for s in several}) == 1:
                stamps[name] = Stamp(max(s.lag for s in several), all(s.exact for s in several), several[0].date)
        return Rows(stamps, NO_ORDER, any(p.other for p in parts))

    def _read_mergesorted(self, fields: Any) -> Rows:
        left, right = (self._rows(fields[n]) for n in ("input_left", "input_right"))
        key = fields["key"][0] if isinstance(fields["key"], list) else fields["key"]
        one, other = left.stamps.get(key), right.stamps.get(key)
        if one is None or other is None:
            return Rows({}, NO_ORDER, left.other or right.other)
        stamp = Stamp(max(one.lag, other.lag), one.exact and other.exact, one.date)
        return Rows({key: stamp}, Order() if stamp.exact else NO_ORDER, left.other or right.other)

    def _read_mapfunction(self, fields: Any) -> Rows:
        rows = self._input(fields)
        function = fields["function"]
        options: Any
        name, options = next(iter(function.items())) if isinstance(function, dict) else (function, {})
        if name == "Rename":
            return rows.renamed(dict(zip(options["existing"], options["new"], strict=True)))
        if name == "RowIndex":
            direction = rows.order.of_groups(frozenset())
            if direction <= 0 and not rows.other:
                self._report("unordered" if direction == 0 else "reversed", ".with_row_index()")
            return rows
        if name in _HARMLESS:
            return rows
        if name == "Stats":
            self._report("whole-column", f".{str(options).lower()}()" if isinstance(options, str) else "a statistic")
        elif name == "OpaquePython":
            self._report("python", ".map_batches(...)")
        else:
            self._report("unknown", name, what=f"The step {name} of the plan")
        return Rows({}, NO_ORDER, rows.other)


def reads_several_rows(tree: PlanTree) -> bool:
    """Whether a plan makes rows of several rows, as far as can be seen."""
    for kind, fields in tree.steps():
        if kind == "MapFunction":
            function = fields["function"]
            name = function if isinstance(function, str) else next(iter(function))
            if name not in (*_HARMLESS, "Rename"):
                return True
        elif kind not in _ROW_BY_ROW:
            return True
        if any(_several(fields.get(name)) for name in ("exprs", "expr", "predicate")):
            return True
    return False


def _several(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_several, node))
    if not isinstance(node, dict):
        return bool(node == "Len")
    if set(node) & _SEVERAL:
        return True
    if "Eval" in node:
        return "Cumulative" in str(node["Eval"]["variant"]) or _several(node["Eval"]["expr"])
    body = node.get("Function")
    if isinstance(body, dict) and function_name(body["function"]) in SEVERAL_ROWS:
        return True
    return any(map(_several, node.values()))


def _first_time(agg: Any, rows: Rows) -> Stamp | None:
    """The time of a group's first row, where an aggregate is that."""
    while isinstance(agg, dict) and "Alias" in agg:
        agg = agg["Alias"][0]
    body = agg.get("Agg") if isinstance(agg, dict) else None
    if not isinstance(body, dict):
        return None
    ((kind, inner),) = body.items()
    column = time_column(inner["input"] if kind == "Min" else inner, rows.exact) if kind in ("Min", "First") else None
    return rows.stamps[column] if column is not None and (kind == "Min" or rows.order.direction > 0) else None


def _frame_method(expr: Any) -> str | None:
    """The method of a frame that an expression over all its columns is; None for any other expression."""
    body = expr.get("Function") if isinstance(expr, dict) else None
    if not isinstance(body, dict) or not isinstance(body["input"][0], dict) or "Selector" not in body["input"][0]:
        return None
    function = body["function"]
    name = function if isinstance(function, str) else next(iter(function))
    return name if name in ("Reverse", "Shift", "GatherEvery") else None


def _chosen(expr: Any) -> Any:
    """The selector whose columns an expression gives, with their times as they are; None for anything else."""
    while isinstance(expr, dict) and "Selector" not in expr:
        body = expr.get("Function")
        if not isinstance(body, dict):
            return None
        name = body["function"] if isinstance(body["function"], str) else next(iter(body["function"]))
        if name not in ("FillNull", "FillNullWithStrategy", "Interpolate"):
            return None
        expr = body["input"][0]
    return expr["Selector"] if isinstance(expr, dict) else None


def _is_height(expr: Any) -> bool:
    """Whether an expression only carries a frame's height, as Polars adds it."""
    if isinstance(expr, dict) and "Column" in expr:
        return bool(expr["Column"] == _HEIGHT)
    return isinstance(expr, dict) and "Alias" in expr and bool(expr["Alias"][1] == _HEIGHT)


def _names_in(selector: Any) -> list[str]:
    """The column names that a selector spells out."""
    if isinstance(selector, dict):
        if "ByName" in selector:
            return list(selector["ByName"]["names"])
        return [n for v in selector.values() for n in _names_in(v)]
    return [n for v in selector for n in _names_in(v)] if isinstance(selector, list) else []
