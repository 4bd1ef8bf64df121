"""Labels sorted for one layout of keys, and the merges that run over them.

Takes label rows, sorted frames and what is wanted of them, gives lazy frames in the labels' sorted order. A run may
take the pieces one by one, or all of them as one lazy frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import polars as pl

from timefence_pl.plan.latest import LABEL_TICK, VALID, LabelEnds, Match, Probe, earliest_limit, match
from timefence_pl.plan.prepare import SortedFrame
from timefence_pl.plan.side_by_side import in_polars_thread
from timefence_pl.plan.text_keys import TextShape, text_shape
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import (
    ENTITY,
    KEY,
    SECOND_HASH,
    KeyColumn,
    KeySpec,
    entity_columns,
    order_key,
    pack_wide,
    without_hashes,
)
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.windows import WindowMerge

__all__ = ["LABEL_ROW", "ROW_OF", "Alignment", "LabelFacts", "Merge", "SortedLabels"]

#: Position of a label row.
LABEL_ROW: Final = "__tf_label_row"
#: The number, among the rows of its source that count, of the row matched for a feature whose values stand apart.
ROW_OF: Final = "__tf_row_of__{}"


@dataclass(frozen=True)
class Merge:
    """Features of one frame under one embargo: one as-of merge.

    Attributes:
        frame: The sorted frame.
        wanted: What is wanted of it.
        checks: As for :func:`timefence_pl.plan.latest.match`.
    """

    frame: SortedFrame
    wanted: tuple[Match, ...]
    checks: bool

    def over(self, probe: Probe) -> pl.LazyFrame:
        """The features' columns and marks for each probe row, in its order."""
        return match(probe, self.frame, self.wanted, checks=self.checks)

    def on(self, frame: SortedFrame | SortedEvents) -> Merge:
        """The same merge with its sorted frame taken from elsewhere."""
        assert isinstance(frame, SortedFrame)  # noqa: S101 - of the same kind
        return replace(self, frame=replace(frame, frame=frame.frame.set_sorted(KEY)))

    def limit(self, first: int | None, labels: Clock) -> int | None:
        """The last tick that the first label may use; None without labels."""
        return None if first is None else earliest_limit(first, labels, self.frame.clock, self.wanted[0].bounds)

    def at_once(self, labels: Probe) -> pl.DataFrame:
        """What :meth:`over` gives for label rows in memory, computed now."""
        merge = self
        if self.frame.values is not None:
            merge = replace(self, wanted=tuple(replace(w, row=ROW_OF.format(w.feature)) for w in self.wanted))
        return merge.over(labels).collect(engine="in-memory")

    def columns(self, merged: pl.DataFrame, wanted: Collection[str], order: pl.Series) -> pl.DataFrame:
        """Columns of the result, values that stand apart included.

        Args:
            merged: What :meth:`at_once` gave.
            wanted: The result's columns; others of ``merged`` are left out.
            order: Which of its rows, in order.
        """
        found = merged.select(pl.col(c).gather(order) for c in merged.columns if c in wanted)
        return self._with_values(found, {w.feature: merged[ROW_OF.format(w.feature)].gather(order) for w in self.apart})

    @property
    def apart(self) -> tuple[Match, ...]:
        """Features whose values stand apart."""
        return () if self.frame.values is None else self.wanted

    def complete(self, merged: pl.DataFrame) -> pl.DataFrame:
        """What :meth:`at_once` gave, in its order, with values that stand apart."""
        return self._with_values(merged, {w.feature: merged[ROW_OF.format(w.feature)] for w in self.apart})

    def _with_values(self, found: pl.DataFrame, rows: Mapping[str, pl.Series]) -> pl.DataFrame:
        values = self.frame.values
        if values is None:
            return found
        parts = [values.select(pl.col(self.frame.columns_of(f)).gather(at)) for f, at in rows.items()]
        return pl.concat([found, *parts], how="horizontal")


@dataclass(frozen=True)
class LabelFacts:
    """What is known of label rows before they are sorted.

    Attributes:
        shape: What all their keys share, if all frames have rows for which that gives keys.
        first: The tick of the earliest label time; None without any.
    """

    shape: TextShape | None
    first: int | None


@dataclass(frozen=True)
class SortedLabels:
    """Label rows in the order of (entity, label time), in memory.

    Attributes:
        frame: The columns of a :class:`Probe`.
        rows: Which label row each is.
        probe: For merges over these rows.
    """

    frame: pl.DataFrame
    rows: pl.Series
    probe: Probe


@dataclass(frozen=True)
class Alignment:
    """Label rows under one layout of keys, and the merges over them.

    Attributes:
        spec: How keys are packed; all merges' frames order entities alike.
        keys: The label columns that are the keys.
        sides: How they compare.
        label_time: The label time column.
        clock: Its clock.
        merges: The merges.
    """

    spec: KeySpec
    keys: tuple[str, ...]
    sides: tuple[KeyColumn, ...]
    label_time: str
    clock: Clock
    merges: tuple[Merge | WindowMerge, ...] = field(default=())

    @property
    def order(self) -> tuple[object, ...]:
        """Equal for alignments of one plan's labels that put them into one order."""
        return self.keys, self.spec.order, self.spec.hashed

    def without_marks(self) -> Alignment:
        """The same with windows that leave no marks; see :meth:`WindowMerge.without_marks`."""
        return replace(self, merges=tuple(m.without_marks() if isinstance(m, WindowMerge) else m for m in self.merges))

    def facts(self, numbered: pl.DataFrame) -> LabelFacts:
        """What sorted frames may be made cheaper by."""
        alike = self.spec.hash_bits == 64 and all(m.frame.has_text_keys for m in self.merges)
        shape = text_shape(numbered[self.keys[0]]) if alike else None
        return LabelFacts(shape, numbered.select(self.clock.ticks(pl.col(self.label_time)).min()).item())

    def at_once(self, numbered: pl.DataFrame, facts: LabelFacts | None = None) -> SortedLabels:
        """The label rows in the order of :meth:`probe`, computed now and in memory.

        Args:
            numbered: The label rows.
            facts: What :meth:`facts` gives for them, if frames are computed by it too.
        """
        shape = None if facts is None else facts.shape
        entity = None if shape is None else shape.numbers(numbered[self.keys[0]])
        return in_polars_thread(partial(self._of_entities, numbered, entity))

    def _of_entities(self, numbered: pl.DataFrame, entity: pl.Series | None) -> SortedLabels:
        rows = self._keyed(numbered.lazy(), entity).collect(engine="in-memory")
        rows = rows.sort(order_key(rows[ENTITY], rows[LABEL_TICK]))
        frame = rows.drop(LABEL_ROW)
        return SortedLabels(frame, rows[LABEL_ROW], Probe(frame.lazy(), self.clock, LabelEnds.of(frame)))

    def probe(self, numbered: pl.LazyFrame) -> pl.LazyFrame:
        """Label rows in the order of (entity, label time): ``LABEL_ROW`` and the columns of a :class:`Probe`.

        Args:
            numbered: The label rows.
        """
        return self._keyed(numbered, None).sort(pack_wide(pl.col(ENTITY), pl.col(LABEL_TICK)))

    def _keyed(self, numbered: pl.LazyFrame, entity: pl.Series | None) -> pl.LazyFrame:
        spec = self.spec if entity is None else without_hashes(self.spec)
        entities = entity_columns(spec, self.keys, self.sides) if entity is None else [pl.lit(entity).alias(ENTITY)]
        valid = pl.all_horizontal(pl.col(ENTITY).is_not_null(), pl.col(LABEL_TICK).is_not_null())
        filled = [ENTITY, LABEL_TICK]
        keep = [LABEL_ROW, *filled, VALID, *([SECOND_HASH] if spec.hashed else [])]
        return (
            numbered.select(LABEL_ROW, *dict.fromkeys((*self.keys, self.label_time)))
            .with_columns(*entities, self.clock.ticks(pl.col(self.label_time)).alias(LABEL_TICK))
            .with_columns(valid.alias(VALID))
            .with_columns(pl.when(VALID).then(pl.col(c)).otherwise(0).alias(c) for c in filled)
            .select(keep)
        )

    def in_label_order(self, numbered: pl.LazyFrame) -> pl.LazyFrame:
        """All merges as one lazy frame: one sort of the labels, one merge each, one sort back."""
        probe = self.probe(numbered).cache()
        merged = [m.over(Probe(probe, self.clock)) for m in _sharing(self.merges)]
        return pl.concat([probe.select(LABEL_ROW), *merged], how="horizontal").sort(LABEL_ROW).drop(LABEL_ROW)


def _sharing(merges: Sequence[Merge | WindowMerge]) -> list[Merge | WindowMerge]:
    """The merges, with frames that several of them use behind one cache."""
    frames = [id(m.frame) for m in merges]
    cached: dict[int, pl.LazyFrame] = {}
    shared: list[Merge | WindowMerge] = []
    for merge in merges:
        if frames.count(id(merge.frame)) == 1:
            shared.append(merge)
            continue
        cached.setdefault(id(merge.frame), merge.frame.frame.cache())
        shared.append(merge.on(replace(merge.frame, frame=cached[id(merge.frame)])))
    return shared
