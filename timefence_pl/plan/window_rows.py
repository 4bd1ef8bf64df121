"""Aggregates of windows from the windows' own events: any expression, at the cost of reading every event of every one.

Takes events, the positions of windows and expressions, gives one value a window. Windows are read in chunks of a
bounded number of events, so that memory stays flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

import polars as pl

from timefence_pl.definitions.aggregates import SINCE_LAST, columns_read

__all__ = ["CHUNK", "OwnEvents", "alike_in_groups", "patched"]

#: Events read at once, unless a single window holds more.
CHUNK = 2_000_000

_LABEL: Final = "__tf_label"
_EVENT: Final = "__tf_event"
#: Made-up rows to try expressions on.
_ROWS: Final = 10


@dataclass(frozen=True)
class OwnEvents:
    """Where the events of some windows are.

    Attributes:
        values: The columns that expressions read, for all events.
        first: The first row of each window, Int64.
        stop: The row after its last.
        since_last: What ``since_last()`` is in each window; None where no expression asks.
        known: For each event the time from which it is known, and for each window the last that counts; None where
            all events between its first and last row do.
    """

    values: pl.DataFrame
    first: pl.Series
    stop: pl.Series
    since_last: pl.Series | None
    known: tuple[pl.Series, pl.Series] | None

    def aggregate(
        self, exprs: Mapping[str, pl.Expr], which: pl.Series | None = None, *, singly: bool = False
    ) -> pl.DataFrame:
        """Evaluate expressions over the events of each window.

        Args:
            exprs: By name.
            which: The windows wanted, as a mask; all by default.
            singly: Evaluate each window by itself, for expressions that mean something else in ``group_by``.

        Returns:
            One row for each window wanted, in order.
        """
        spans = pl.DataFrame({"first": self.first, "stop": self.stop}).with_row_index(_LABEL)
        if which is not None:
            spans = spans.filter(which)
        nothing = self._on(self.values.clear(), None).select(**exprs)
        full = spans.filter(pl.col("first") < pl.col("stop"))
        if full.height == 0:
            return nothing.clear() if spans.height == 0 else nothing.select(pl.all().gather([0] * spans.height))
        parts = [self._singly(c, exprs) if singly else self._grouped(c, exprs) for c in _chunks(full)]
        found = pl.concat(parts)
        row = spans.join(found.select(_LABEL).with_row_index("row"), on=_LABEL, how="left", maintain_order="left")[
            "row"
        ]
        values = pl.concat([found.drop(_LABEL), nothing.cast(found.drop(_LABEL).schema)])
        return values.select(pl.all().gather(row.fill_null(found.height)))

    def _grouped(self, spans: pl.DataFrame, exprs: Mapping[str, pl.Expr]) -> pl.DataFrame:
        rows = spans.select(_LABEL, pl.int_ranges("first", "stop").alias(_EVENT)).explode(_EVENT)
        if self.known is not None:
            since, limit = self.known
            rows = rows.filter(since.gather(rows[_EVENT]) <= limit.gather(rows[_LABEL]))
        events = self._on(self.values.select(pl.all().gather(rows[_EVENT])), rows[_LABEL])
        labelled = events.with_columns(rows[_LABEL].set_sorted())
        return labelled.group_by(_LABEL, maintain_order=True).agg(**exprs)

    def _singly(self, spans: pl.DataFrame, exprs: Mapping[str, pl.Expr]) -> pl.DataFrame:
        parts = []
        for label, first, stop in spans.iter_rows():
            events = self.values.slice(first, stop - first)
            if self.known is not None:
                since, limit = self.known
                events = events.filter(since.slice(first, stop - first) <= limit[label])
            owner = pl.repeat(label, events.height, eager=True, dtype=pl.UInt32)
            made = self._on(events, owner).select(**exprs)
            parts.append(made.select(pl.lit(label, dtype=pl.UInt32).alias(_LABEL), pl.all()))
        return pl.concat(parts)

    def _on(self, events: pl.DataFrame, label: pl.Series | None) -> pl.DataFrame:
        """Events with the time since the last of them to their label."""
        if self.since_last is None:
            return events
        since = self.since_last.clear() if label is None else self.since_last.gather(label)
        return events.with_columns(since.alias(SINCE_LAST))


def patched(values: pl.Series, marked: pl.Series, found: pl.Series) -> pl.Series:
    """Values with those marked replaced by others, in order."""
    place = pl.select(pl.when(marked).then(marked.cum_sum().cast(pl.Int64) - 1)).to_series()
    return pl.select(pl.when(marked).then(found.gather(place)).otherwise(values)).to_series().rename(values.name)


def alike_in_groups(expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> bool:
    """Whether an expression gives in ``group_by`` what it gives on each group by itself, tried on a few made-up rows."""
    needed = columns_read(expr, schema)
    made_up = pl.DataFrame({n: _made_up(d) for n, d in schema.items() if n in needed} or {"row": range(_ROWS)})
    alike = _alike(expr, made_up)
    if alike is None:  # it may not take these values, as a date's parser does not take "3"
        alike = _alike(expr, made_up.select(pl.lit(None, dtype=d).alias(n) for n, d in made_up.schema.items()))
    return bool(alike)


def _alike(expr: pl.Expr, rows: pl.DataFrame) -> bool | None:
    """The same for given rows; None where the expression fails on them whichever way."""
    sizes = [1, 2, 3, _ROWS - 6]
    groups = pl.Series([g for g, size in enumerate(sizes) for _ in range(size)], dtype=pl.UInt32)
    if rows.height != _ROWS:
        rows = pl.concat([rows] * _ROWS)
    frame = rows.with_columns(groups.alias(_LABEL))
    try:
        parts = [rows.filter(groups == g).select(expr.alias("value")) for g in range(len(sizes))]
        singly = pl.concat(parts)["value"]
    except Exception:  # noqa: BLE001 - whatever a user's expression raises
        return None
    try:
        grouped = frame.group_by(_LABEL, maintain_order=True).agg(expr.alias("value"))["value"]
    except Exception:  # noqa: BLE001 - some expressions do not work in groups
        return False
    if grouped.dtype != singly.dtype:
        return False
    if grouped.dtype.is_float():
        both = pl.DataFrame({"a": grouped, "b": singly}).select(
            pl.col("a").eq_missing(pl.col("b"))
            | (pl.col("b").is_finite() & ((pl.col("a") - pl.col("b")).abs() <= 1e-6 * pl.col("b").abs()))
        )
        return bool(both.to_series().fill_null(value=False).all())
    return grouped.equals(singly, null_equal=True)


def _made_up(dtype: pl.DataType) -> pl.Series:
    numbers: list[float | None] = [3.0, 1.0, 4.0, None, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0]
    if dtype.is_float():
        numbers[0] = inf  # alone in its group
    if dtype == pl.Boolean:
        return pl.Series([None if n is None else n > 3 for n in numbers], dtype=dtype)
    if dtype == pl.String:
        return pl.Series([None if n is None else f"{n:.0f}" for n in numbers], dtype=dtype)
    try:
        return pl.Series(numbers).cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series([None] * _ROWS, dtype=dtype)


def _chunks(spans: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Windows in runs that together hold at most :data:`CHUNK` rows, or of a single window."""
    ends = (spans["stop"] - spans["first"]).cum_sum()
    start, done = 0, 0
    while start < spans.height:
        stop = max(int(ends.search_sorted(done + CHUNK, side="right")), start + 1)
        yield spans.slice(start, stop - start)
        done = int(ends[stop - 1])
        start = stop
