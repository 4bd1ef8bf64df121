"""How each aggregate of a window feature is computed.

Takes a window feature and its source's columns, gives a :class:`Recipe`. Reads no rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import polars as pl

from timefence_pl.definitions.aggregates import aggregate_type, with_since_last
from timefence_pl.definitions.window import Window
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.window_expressions import Part, Split, Splitter, last_rows, settled
from timefence_pl.plan.window_rows import alike_in_groups

__all__ = ["Recipe", "recipe_of", "since_type"]


_RECIPES: WeakKeyDictionary[Window, dict[object, Recipe]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a window feature is computed.

    Attributes:
        types: For each aggregate its type.
        parts: What running totals and look-ups give.
        splits: The aggregates made of parts.
        exprs: All aggregates, as they are computed from a window's own events.
        singly: Those that ``group_by`` would not compute alike, so that each window is evaluated by itself.
        tails: Those that read only so many of a window's last events.
        since: The type of ``since_last()``.
    """

    types: dict[str, pl.DataType]
    parts: tuple[Part, ...]
    splits: dict[str, Split]
    exprs: dict[str, pl.Expr]
    singly: frozenset[str]
    tails: dict[str, int]
    since: pl.DataType

    def only(self, *, values: bool) -> Recipe:
        """This recipe, or with ``values=False`` one of no aggregates."""
        return self if values else replace(self, types={}, parts=(), splits={}, exprs={})

    def of_nothing(self, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """One row: what each aggregate gives for no events, of columns of this schema."""
        return pl.DataFrame(
            [
                pl.DataFrame(schema=with_since_last(e, schema, self.since)).select(e.alias(n)).to_series()
                for n, e in self.exprs.items()
            ]
        )

    def strategy(self, name: str) -> str:
        """How one aggregate is computed, in words for reports."""
        if name in self.splits:
            return "running totals and look-ups"
        if name in self.singly:
            return "each window's events, window by window"
        if name in self.tails:
            return f"each window's last {self.tails[name]} events"
        return "each window's events, grouped"


def recipe_of(window: Window, schema: Mapping[str, pl.DataType], events: Clock, labels: Clock) -> Recipe:
    """Read a window feature.

    Args:
        window: The feature.
        schema: Of its source's columns.
        events: The clock of the event time.
        labels: The clock of the label time.
    """
    known = _RECIPES.setdefault(window, {})
    key = (tuple(schema.items()), events, labels)
    if key not in known:
        known[key] = _read(window, schema, since_type(events, labels))
    return known[key]


def _read(window: Window, schema: Mapping[str, pl.DataType], since: pl.DataType) -> Recipe:
    splitter = Splitter(schema, since)
    splits, exprs, singly, tails = {}, {}, set(), {}
    for name, expr in window.aggregates.items():
        split = splitter.split(expr)
        exprs[name] = settled(expr, with_since_last(expr, schema, since))
        if split is not None:
            splits[name] = split
            # Sums of decimals that overflow raise by themselves, and wrap in groups.
            if any(splitter.parts[i].inner_dtype.is_decimal() for i in split.parts):
                singly.add(name)
            continue
        count = last_rows(expr)
        if count is not None:
            tails[name] = count
        if not alike_in_groups(exprs[name], with_since_last(expr, schema, since)):
            singly.add(name)
    types = {name: aggregate_type(expr, schema, since) for name, expr in window.aggregates.items()}
    return Recipe(types, tuple(splitter.parts), splits, exprs, frozenset(singly), tails, since)


def since_type(events: Clock, labels: Clock) -> pl.DataType:
    """The type of ``since_last()``: the finer of the two units, microseconds for two Dates."""
    if events.kind == "integer":
        return pl.Int64()
    sizes = [c.size for c in (events, labels) if c.kind != "date"]
    units = {1: pl.Duration("ns"), 1_000: pl.Duration("us"), 1_000_000: pl.Duration("ms")}
    return units[min(sizes, default=1_000)]
