"""One window feature's columns, from spans.

Takes a recipe, the events' values and the windows' spans, gives one column for each aggregate and window: by running
totals and look-ups where the recipe says so and they can tell, else from the windows' own events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from timefence_pl.definitions.aggregates import uses_since_last
from timefence_pl.plan.running_totals import Column, Quotients, Results
from timefence_pl.plan.window_expressions import PART, Part
from timefence_pl.plan.window_recipes import Recipe
from timefence_pl.plan.window_rows import OwnEvents, patched
from timefence_pl.plan.window_spans import Spans
from timefence_pl.plan.window_values import EventValues, text

__all__ = ["FeatureResults"]


class FeatureResults:
    """One window feature over known spans.

    Args:
        recipe: How its aggregates are computed.
        events: The events' columns.
        spans: The windows.
        since_last: Gives the time from some events (rows, null for none) to the labels.
    """

    def __init__(
        self,
        recipe: Recipe,
        events: EventValues,
        spans: Spans,
        since_last: Callable[[pl.Series, pl.DataType], pl.Series],
    ) -> None:
        self._recipe = recipe
        self._events = events
        self._spans = spans
        self._since_last = since_last
        self._columns: dict[tuple[str, str], Column] = {}

    def columns(self, let_go: Callable[[], None] | None = None) -> dict[str, pl.Series]:
        """By ``{aggregate}_{window}``, window by window.

        Args:
            let_go: Called when no window is looked up any more, before means are divided, which takes memory; not where
                an aggregate reads windows' own events.
        """
        made = [self._part(p) for p in self._recipe.parts]
        self._columns.clear()
        reads_events = len(self._recipe.splits) < len(self._recipe.exprs) or any(_doubtful(m) for m in made)
        if let_go is not None and not reads_events:
            let_go()
        parts = [m.results() if isinstance(m, Quotients) else m for m in made]
        return {
            f"{name}_{window}": column
            for window in self._spans.windows
            for name, column in self._of_window(window, parts).items()
        }

    def _of_window(self, window: str, parts: list[Results]) -> dict[str, pl.Series]:
        columns: dict[str, pl.Series] = {}
        splits = self._recipe.splits
        made = {name: split.outer.alias(name) for name, split in splits.items() if split.single is None}
        quick = {n: parts[s.single].values[window] for n, s in splits.items() if s.single is not None}
        if made:
            frame = pl.DataFrame([r.values[window].alias(PART.format(i)) for i, r in enumerate(parts)])
            quick |= frame.select(made.values()).to_dict()
        unsure = {name: _together(parts, split.parts, window) for name, split in splits.items()}
        marked = {name: mark for name, mark in unsure.items() if mark is not None}
        which = _any(marked.values())
        again = self._from_events(window, {n: self._recipe.exprs[n] for n in marked}, which)
        slow = self._from_events(window, {n: e for n, e in self._recipe.exprs.items() if n not in splits}, None)
        for name in self._recipe.exprs:
            if name in marked and which is not None:
                own = marked[name]
                columns[name] = patched(quick[name], own, again[name].filter(own.filter(which)))
            else:
                columns[name] = quick[name] if name in splits else slow[name]
        return columns

    def _from_events(self, window: str, exprs: Mapping[str, pl.Expr], which: pl.Series | None) -> dict[str, pl.Series]:
        """Aggregates from the windows' own events."""
        groups: dict[tuple[bool, int | None, bool], dict[str, pl.Expr]] = {}
        for name, expr in exprs.items():
            # Among the last events in match order some may not be known yet.
            tail = self._recipe.tails.get(name) if self._spans.known is None else None
            groups.setdefault((name in self._recipe.singly, tail, uses_since_last(expr)), {})[name] = expr
        found: dict[str, pl.Series] = {}
        for (singly, tail, asks), group in groups.items():
            first, stop = self._spans.first(window), self._spans.stop
            if tail is not None:
                first = pl.select(pl.max_horizontal(first, stop - tail)).to_series()
            since = None
            if asks:
                since = self._since_last(self._spans.last(window, None), self._recipe.since)
            known = self._spans.known
            own = OwnEvents(
                values=self._events.frame,
                first=first,
                stop=stop,
                since_last=since,
                known=None if known is None else (known.since, known.limit),
            )
            found.update(own.aggregate(group, which, singly=singly).to_dict())
        return found

    # -- parts ------------------------------------------------------------------------------------------------------

    def _part(self, part: Part) -> Results | Quotients:
        windows = self._spans.windows
        if part.kind == "since_last":
            last = {w: self._spans.last(w, None) for w in windows}
            return Results({w: self._since_last(rows, part.dtype) for w, rows in last.items()})
        if part.inner is None:
            return _cast(self._column(None, None).len(), part.dtype)
        if part.kind in ("first", "last"):
            return self._by_place(part)
        column = self._column(part.inner, part.where)
        if part.kind == "len":
            return _cast(column.len(), part.dtype)
        if part.kind == "count":
            return _cast(column.count(), part.dtype)
        if part.kind == "null_count":
            return _cast(column.null_count(), part.dtype)
        if part.kind == "any":
            return column.any(ignore_nulls=part.ignore_nulls)
        if part.kind == "all":
            return column.all(ignore_nulls=part.ignore_nulls)
        if part.kind == "sum":
            return column.sum(part.dtype)
        if part.kind == "mean":
            return column.mean(part.dtype)
        return column.var(part.dtype, ddof=part.ddof, root=part.root)

    def _column(self, inner: pl.Expr | None, where: pl.Expr | None) -> Column:
        """The values of a row-wise expression, shared by all its aggregates."""
        key = text(inner), text(where)
        if key not in self._columns:
            self._columns[key] = Column(self._events.of(inner, where), self._spans)
        return self._columns[key]

    def _by_place(self, part: Part) -> Results:
        """The first or last value, by the row it is in."""
        assert part.inner is not None  # noqa: S101 - all kinds but two have one
        values = self._events.evaluated(part.inner)
        mask = None if part.where is None else self._events.evaluated(part.where).fill_null(value=False)
        found, doubtful = {}, {}
        for window in self._spans.windows:
            if part.kind == "last":
                rows = self._spans.last(window, mask)
            else:
                rows = self._spans.first_of(window, mask)
                if self._spans.known is not None:  # the first in match order may be known too late
                    doubtful[window] = self._spans.lengths[window] > 0
            found[window] = values.gather(rows).cast(part.dtype)
        return Results(found, doubtful)


def _doubtful(made: Results | Quotients) -> bool:
    return bool(made.sums.doubtful if isinstance(made, Quotients) else made.doubtful)


def _cast(results: Results, dtype: pl.DataType) -> Results:
    return Results({w: s.cast(dtype) for w, s in results.values.items()}, results.doubtful)


def _together(parts: list[Results], wanted: tuple[int, ...], window: str) -> pl.Series | None:
    return _any([parts[i].doubtful[window] for i in wanted if window in parts[i].doubtful])


def _any(marks: object) -> pl.Series | None:
    together: pl.Series | None = None
    for mark in marks:  # type: ignore[attr-defined]
        together = mark if together is None else together | mark
    return together
