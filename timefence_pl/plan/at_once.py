"""Rows computed at once, in memory, with keys as cheap as the rows allow. The results are those of the lazy plan.

Takes rows that are not packed yet, gives them as a frame, and the packing that suits them: narrow where entities and
times fit 64 bits, and without hashes where the labels' texts have one shape. Knows nothing of bounds or features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from timefence_pl.plan.text_keys import TextShape
from timefence_pl.plan.time_key import ENTITY, KeySpec, narrowed, without_hashes

__all__ = ["Unkeyed", "rows_at_once", "sorted_by_need", "without_superseded"]

#: Share of ascending neighbours from which a sort is cheap as it is; random entities have half.
_RUNS = 0.6


@dataclass(frozen=True)
class Unkeyed:
    """Rows whose keys are still columns.

    Attributes:
        frame: The rows.
        text: The key, where there is one and it is a text.
        keyed: Gives the rows with their entity and ticks instead; the entity by the expression given, else by the keys.
        unfiltered: The same with rows that have no key or time, where that changes no other row.
        complete: The columns that these rows lack.
    """

    frame: pl.LazyFrame
    text: str | None
    keyed: Callable[[pl.LazyFrame, pl.Expr | None], pl.LazyFrame]
    unfiltered: pl.LazyFrame | None = None
    complete: tuple[str, ...] = ()

    def read(self) -> pl.DataFrame:
        """The rows, computed now: rows without key or time are left out where there are any, which costs a look."""
        if self.unfiltered is None:
            return self.frame.collect(engine="in-memory")
        try:
            rows = self.unfiltered.collect(engine="in-memory")
        except pl.exceptions.PolarsError:  # perhaps of a row that does not count
            return self.frame.collect(engine="in-memory")
        return rows.drop_nulls(self.complete) if any(rows[c].null_count() for c in self.complete) else rows


def rows_at_once(
    rows: pl.LazyFrame, unkeyed: Unkeyed | None, spec: KeySpec, tick: str | None, labels: TextShape | None
) -> tuple[pl.DataFrame, KeySpec]:
    """Compute rows, and choose their packing.

    Args:
        rows: The rows with their entity and ticks.
        unkeyed: The same before, where they can be had.
        spec: How their keys are packed.
        tick: The tick that goes into the key; None where keys are to stay 128 bits wide.
        labels: What the labels' keys, which are texts as the rows' are, share: rows with other keys, which no label can
            match, are left out. None where they share nothing, or rows for any labels are wanted.
    """
    if unkeyed is not None:
        read, entity = unkeyed.read(), None
        if labels is not None and unkeyed.text is not None:
            numbers = labels.numbers(read[unkeyed.text]).alias(ENTITY)
            if numbers.null_count():
                read, numbers = read.filter(numbers.is_not_null()), numbers.drop_nulls()
            read, entity, spec = read.with_columns(numbers), pl.col(ENTITY), without_hashes(spec)
        rows = unkeyed.keyed(read.lazy(), entity)
    made = rows.collect(engine="in-memory")
    if tick is None or not made.height:
        return made, spec
    ends = made.select(
        *(pl.col(c).min().alias(f"{c}/least") for c in (ENTITY, tick)),
        *(pl.col(c).max().alias(f"{c}/most") for c in (ENTITY, tick)),
    ).row(0)
    # Never by ranges that a footer gave: that they hold is not looked at here.
    return made, narrowed(replace(spec, narrow=None), (ends[0], ends[2]), (ends[1], ends[3]))


def without_superseded(rows: pl.DataFrame, tick: str, limit: int) -> pl.DataFrame:
    """Rows without those that no label can match, since all labels may use a later one of the same entity.

    Of the rows up to the limit each entity's last is kept, so that a label that finds only rows too old still finds one.
    Rows are returned as they are where this would not pay, or cannot be told without sorting: unless times ascend
    strictly up to the limit, and entities are integers in a range that is not larger than the rows are many.

    Args:
        rows: With their entity and tick.
        tick: The tick's column.
        limit: The last tick that the earliest label may use.
    """
    ticks = rows[tick]
    if not ticks.is_sorted():
        return rows
    count = int(ticks.search_sorted(limit, side="right"))
    if 2 * count < len(ticks) or not count or (ticks[1:count] == ticks[: count - 1]).any():
        return rows
    entity = rows[ENTITY][:count]
    least, most = entity.min(), entity.max()
    span = int(most) - int(least) + 1  # type: ignore[arg-type]
    if span > count:
        return rows
    place = (entity - least).cast(pl.UInt32)
    position = pl.int_range(count, dtype=pl.UInt32, eager=True)
    last = pl.repeat(count, span, dtype=pl.UInt32, eager=True).scatter(place, position)
    if not (last.gather(place) >= position).all():  # of several values for one place the last must have won
        return rows
    kept = last.filter(last < count)
    return pl.concat([rows.select(pl.all().gather(kept)), rows[count:]])


def sorted_by_need(rows: pl.DataFrame, tick: str, key: pl.Expr, name: str) -> pl.DataFrame:
    """Rows with their key, in its order: in time order already, a stable sort by entity is enough, and costs half.

    Args:
        rows: With their entity and tick.
        tick: The tick's column.
        key: The key, of both.
        name: The key's name.
    """
    if not rows[tick].is_sorted():
        return rows.with_columns(key.alias(name)).sort(name, maintain_order=True)
    entity = rows[ENTITY]
    ordered = None
    if (entity > entity.shift(1)).sum() < _RUNS * len(entity):
        ordered = rows.select(pl.all().gather(_stable_order(entity)))
    if ordered is None or not ordered[ENTITY].is_sorted():
        ordered = rows.sort(ENTITY, maintain_order=True)
    return ordered.with_columns(key.alias(name))


def _stable_order(entity: pl.Series) -> pl.Series:
    """Row positions by entity, then position, if entities differ in their high bits, as hashes nearly always do.

    The position takes the low bits of each entity, so that plain integers are sorted instead of pairs: a third of the
    time of ``arg_sort`` on 2M random entities.
    """
    bits = max(len(entity) - 1, 1).bit_length()
    low = (1 << bits) - 1
    position = pl.int_range(len(entity), dtype=pl.Int64)
    packed = pl.select((pl.lit(entity) & ~low) | position).to_series()
    return (
        pl.select(pl.lit(packed.sort(multithreaded=False)) & low)
        .to_series()
        .cast(pl.UInt32 if bits <= 32 else pl.UInt64)
    )
