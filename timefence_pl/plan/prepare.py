"""A feature frame, sorted by time key; free of labels, so that it can be cached, truncated, sharded and shared.

Takes a row set and its events, gives a :class:`SortedFrame`. Knows nothing of labels, embargo or bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceValidationError, message
from timefence_pl.plan.at_once import Unkeyed, rows_at_once, sorted_by_need, without_superseded
from timefence_pl.plan.compatibility import SourceColumns, source_columns
from timefence_pl.plan.hints import Hints
from timefence_pl.plan.rows import (
    AVAILABLE_COLUMN,
    KEY_COLUMN,
    TIME_COLUMN,
    FeatureRows,
    RowSet,
    feature_rows,
    usable_events,
)
from timefence_pl.plan.side_by_side import in_polars_thread
from timefence_pl.plan.text_keys import TextShape
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock
from timefence_pl.plan.time_key import (
    ENTITY,
    KEY,
    SECOND_HASH,
    KeyColumn,
    KeySpec,
    entity_columns,
    key_spec,
    narrowed,
    pack,
    pack_wide,
    within,
)

__all__ = [
    "AVAILABLE_TICK",
    "COLLIDED",
    "DUPLICATE",
    "EMPTY",
    "EVENT_TICK",
    "KNOWN",
    "ROW",
    "SortedFrame",
    "known_clock",
    "prepare",
]

#: The event time's ticks, carried where the key holds the time of availability instead.
EVENT_TICK: Final = "__tf_tick"
#: Whether a row is equal to the one before it in keys, time, availability and tie breaker.
DUPLICATE: Final = "__tf_duplicate"
#: Whether the row before has the same key of another entity with the same first hash.
COLLIDED: Final = "__tf_collided"
#: Row number in an entity's rows, where asked for.
ROW: Final = "__tf_row"
#: Whether all columns of a feature are null, beside row numbers.
EMPTY: Final = "__tf_empty__{}"
#: The time from which a row of a bitemporal source is usable, and its availability; before packing.
KNOWN: Final = "__tf_known"
AVAILABLE_TICK: Final = "__tf_available"
_LATER: Final = "__tf_later"


@dataclass(frozen=True)
class SortedFrame:
    """A feature frame in time-key order.

    Attributes:
        frame: ``KEY`` (packed), for hashed keys ``SECOND_HASH`` and ``COLLIDED``, ``EVENT_TICK`` where ``bitemporal``,
            ``DUPLICATE`` where ``duplicates``, then the feature columns.
        spec: How entity and time were packed.
        clock: Of the time in the key: the event time, or the time from which a row is usable.
        event_clock: Of the event time.
        available_clock: Of the availability; None where rows are usable from their event time on.
        outputs: For each feature its columns: own name to type.
        rows: The same rows before packing, for the entities that share a first hash.
        keep_first: Whether the first of duplicate rows was kept.
        ties: The columns in which rows must be equal, besides the key, to be duplicates; they settle ties in order.
        order: The columns that rows are sorted by after the key.
        duplicates: Whether there may be duplicate rows.
        marked: Whether ``rows`` are in their final order and carry their marks already, as stored frames do.
        unkeyed: The rows before their keys became entities, where they can be had.
        values: The feature columns, by the numbers in :data:`ROW`, where the frame holds these in their place; for
            features in some of whose rows all columns are null, it holds ``EMPTY`` too.
    """

    frame: pl.LazyFrame
    spec: KeySpec
    clock: Clock
    event_clock: Clock
    available_clock: Clock | None
    outputs: dict[str, dict[str, pl.DataType]]
    rows: pl.LazyFrame
    keep_first: bool
    ties: tuple[str, ...]
    order: tuple[str, ...]
    duplicates: bool = True
    marked: bool = False
    unkeyed: Unkeyed | None = None
    values: pl.DataFrame | None = None

    @property
    def has_text_keys(self) -> bool:
        """Whether :meth:`at_once` can go by what labels' keys, being texts, share."""
        return self.unkeyed is not None and self.unkeyed.text is not None

    @property
    def bitemporal(self) -> bool:
        """Whether the key holds availability."""
        return self.available_clock is not None

    @property
    def mixed_clocks(self) -> bool:
        """Whether event time and availability have different units, so that far times are clamped in the key."""
        return self.available_clock is not None and not self.available_clock.ticks_like(self.event_clock)

    def columns_of(self, feature: str) -> list[str]:
        """The names of a feature's columns in the frame, or in :attr:`values`."""
        return [f"{feature}__{c}" for c in self.outputs[feature]]

    def at_once(self, labels: TextShape | None = None, *, apart: bool = False, limit: int | None = None) -> SortedFrame:
        """The same frame, computed now and in memory, its keys as cheap as its rows allow.

        Args:
            labels: What the labels' keys share as texts; None where they share nothing, or rows for any labels are
                wanted.
            apart: Leave the feature columns in the order they are in, to be looked up by row, where hashes cannot
                collide and no values settle ties: nothing but keys is sorted then.
            limit: The last tick that the earliest label may use: of the rows up to it, those that a later one of the
                same entity supersedes need not be kept; None to keep all.
        """
        if self.marked:
            return replace(self, frame=self.frame.collect(engine="in-memory").lazy())
        tick = None if self.bitemporal else EVENT_TICK
        rows, spec = rows_at_once(self.rows, self.unkeyed, self.spec, tick, labels)
        return in_polars_thread(partial(self._of_rows_at_hand, rows, spec, tick, apart=apart, limit=limit))

    def _of_rows_at_hand(
        self, rows: pl.DataFrame, spec: KeySpec, tick: str | None, *, apart: bool, limit: int | None
    ) -> SortedFrame:
        like = replace(self, spec=spec)
        columns = {f: self.columns_of(f) for f in self.outputs}
        everything = [c for own in columns.values() for c in own]
        if apart and not spec.hashed and not set(everything) & set(self.order):
            values = rows.select(everything).rechunk()
            marks = [
                values.select(pl.all_horizontal(pl.col(own).is_null()).alias(EMPTY.format(f)))
                for f, own in columns.items()
                if all(values[c].null_count() for c in own)
            ]
            rows = pl.concat([rows.drop(everything).with_row_index(ROW), *marks], how="horizontal")
            if limit is not None and tick is not None and (spec.kind == "integer" or spec.exact):
                rows = without_superseded(rows, tick, limit)
            like = replace(like, values=values)
        frame = _sorted(rows.lazy(), like, at_hand=rows).collect(engine="in-memory")
        if not frame[DUPLICATE].any():  # one column less to be merged
            return replace(like, frame=frame.drop(DUPLICATE).lazy(), duplicates=False)
        return replace(like, frame=frame.lazy())

    def of_entity(self, entity: int, second_hash: int | None) -> SortedFrame:
        """The rows of one entity, numbered by :data:`ROW` in source order."""
        mine = pl.col(ENTITY) == pl.lit(entity, dtype=pl.Int64)
        if second_hash is not None:
            mine &= pl.col(SECOND_HASH) == pl.lit(second_hash, dtype=pl.Int64)
        return self._of(self.rows.filter(mine).drop(ROW, strict=False).with_row_index(ROW))

    def by_second_hash(self, hashes: pl.Series) -> SortedFrame:
        """The rows of the entities with these second hashes, packed by the second hash instead of the first."""
        rows = self.rows.filter(pl.col(SECOND_HASH).is_in(hashes.implode())).with_columns(
            pl.col(SECOND_HASH).alias(ENTITY)
        )
        return self._of(rows)

    def _of(self, rows: pl.LazyFrame) -> SortedFrame:
        """A frame of some of the rows, whose duplicates are marked anew unless rows carry their marks.

        There may be more of them: where hashes collide, other entities' rows may have stood between.
        """
        return replace(self, rows=rows, frame=_sorted(rows, self), duplicates=self.duplicates or not self.marked)


def prepare(
    rows: RowSet,
    events: pl.LazyFrame | None = None,
    *,
    hints: Hints | None = None,
    earlier: pl.LazyFrame | None = None,
) -> SortedFrame:
    """Compute a row set's features from events and sort them by time key.

    Args:
        rows: The features.
        events: Events with the source's columns; the source's own by default.
        hints: Ranges of the events' entity and time, where they are known; a row outside is an error when it runs.
        earlier: Rows computed from earlier events, as :func:`timefence_pl.plan.stored.earlier_rows` gives them, which
            stand before those of the events; for row-wise features of sources without availability and tie breakers.

    Raises:
        TimefenceSchemaError: If a definition does not fit the source.
    """
    columns = source_columns(rows.source)
    events = rows.source.scan() if events is None else events
    made = feature_rows(rows, usable_events(rows.source, events))
    unfiltered = None if made.each is None else events.select(made.each)
    return _keyed(rows, columns, made, unfiltered, hints, earlier=earlier)


def known_clock(event: Clock, available: Clock) -> Clock:
    """The coarsest clock in which the later of an event time and an availability is a whole tick."""
    if event.size == available.size and event.offset == available.offset:
        return event
    if event.kind == "integer":
        # One of them is UInt64: the later of the two is not negative, and fits it.
        return event if event.offset else available
    size = min(event.size, available.size)
    if (event.offset - available.offset) % size:
        size = 1
    kind = available.kind if event.kind == "date" else event.kind
    return Clock(size, event.offset % size, kind, event.dtype)


def _keyed(
    rows: RowSet,
    columns: SourceColumns,
    made: FeatureRows,
    unfiltered: pl.LazyFrame | None,
    hints: Hints | None,
    *,
    earlier: pl.LazyFrame | None,
) -> SortedFrame:
    spec = key_spec(columns.keys)
    derived = rows.features[0].mode in ("sql", "transform")
    if hints is not None and not derived:
        spec = narrowed(spec, hints.entity, hints.tick)
    bitemporal = made.available is not None
    clock = made.clock if made.available is None else known_clock(made.clock, made.available)
    ties = [*([EVENT_TICK, AVAILABLE_TICK] if bitemporal else []), *made.ties]
    keyed = partial(_with_ticks, made=made, spec=spec, sides=columns.keys, clock=clock)
    values = [f"{f}__{c}" for f, cols in made.outputs.items() for c in cols]
    # What transforms and SQL return has no order that could be relied on: the values themselves settle ties.
    order = [*ties, *values] if derived and rows.features[0].on_duplicate != "error" else ties
    frame = keyed(made.frame, None)
    if earlier is not None:
        frame = pl.concat([earlier.select(frame.collect_schema().names()), frame])
    text = KEY_COLUMN.format(0) if spec.of_one_text else None
    unsorted = SortedFrame(
        frame=frame,
        spec=spec,
        clock=clock,
        event_clock=made.clock,
        available_clock=made.available,
        outputs=made.outputs,
        rows=frame,
        keep_first=rows.keep_first,
        ties=tuple(ties),
        order=tuple(order),
        unkeyed=None if earlier is not None else Unkeyed(made.frame, text, keyed, unfiltered, tuple(made.complete)),
    )
    return replace(unsorted, frame=_sorted(frame, unsorted))


def _with_ticks(
    rows: pl.LazyFrame,
    entity: pl.Expr | None,
    *,
    made: FeatureRows,
    spec: KeySpec,
    sides: Sequence[KeyColumn],
    clock: Clock,
) -> pl.LazyFrame:
    """A feature's rows with their entity (by an expression where it is known already) and ticks for keys and times."""
    names = [KEY_COLUMN.format(i) for i in range(made.keys)]
    frame = rows.with_columns(
        *(entity_columns(spec, names, sides, complete=True) if entity is None else [entity.alias(ENTITY)]),
        made.clock.ticks(pl.col(TIME_COLUMN)).alias(EVENT_TICK),
    )
    if made.available is None:
        return frame.drop(*names, TIME_COLUMN)
    available = made.available.ticks(pl.col(AVAILABLE_COLUMN))
    known = pl.max_horizontal(
        _in_clock(pl.col(EVENT_TICK), made.clock, clock), _in_clock(available, made.available, clock)
    )
    frame = frame.with_columns(known.alias(KNOWN), available.alias(AVAILABLE_TICK))
    return frame.drop(*names, TIME_COLUMN, AVAILABLE_COLUMN)


def _sorted(rows: pl.LazyFrame, like: SortedFrame, at_hand: pl.DataFrame | None = None) -> pl.LazyFrame:
    """Pack, sort, mark duplicates, and keep only rows that some label could match.

    Args:
        rows: The rows.
        like: How.
        at_hand: The same rows computed, inside the ranges of a narrow key: the sort looks for the cheaper way.
    """
    tick = KNOWN if like.bitemporal else EVENT_TICK
    hashed = like.spec.hashed
    key = pack(like.spec, pl.col(ENTITY), pl.col(tick))
    by_need = at_hand is not None and like.spec.narrow is None and not like.order
    if like.spec.narrow is not None and at_hand is None:
        inside = within(like.spec, pl.col(ENTITY), pl.col(tick))
        rows = rows.filter(pl.map_batches([inside], _refuse_outside, return_dtype=pl.Boolean, is_elementwise=True))
    if at_hand is not None and by_need:
        frame = sorted_by_need(at_hand, tick, key, KEY).lazy()
    else:
        frame = rows.with_columns(key.alias(KEY))
    if like.marked:
        known = [KNOWN] if like.bitemporal else [EVENT_TICK]
        return frame.drop(ENTITY, *known).sort(KEY, maintain_order=True).set_sorted(KEY)
    if not like.bitemporal:
        frame = frame.drop(ENTITY, EVENT_TICK)
    if not by_need:
        frame = frame.sort([KEY, *like.order] if like.order else KEY, maintain_order=True)
    equal = [pl.col(KEY) == pl.col(KEY).shift(1), *(pl.col(t).eq_missing(pl.col(t).shift(1)) for t in like.ties)]
    marks = [pl.all_horizontal(equal).fill_null(value=False).alias(DUPLICATE)]
    if hashed:
        another = pl.col(SECOND_HASH) != pl.col(SECOND_HASH).shift(1)
        marks = [
            (pl.all_horizontal(equal) & ~another).fill_null(value=False).alias(DUPLICATE),
            ((pl.col(KEY) == pl.col(KEY).shift(1)) & another).fill_null(value=False).alias(COLLIDED),
        ]
    frame = frame.with_columns(marks)
    drop = [t for t in like.ties if t != EVENT_TICK]
    if like.keep_first:
        later = pl.col(DUPLICATE).alias(_LATER)
        frame = (
            frame.with_columns(later, pl.col(DUPLICATE).shift(-1, fill_value=False))
            .filter(~pl.col(_LATER))
            .drop(_LATER)
        )
    if like.bitemporal:
        # In the order of availability only running maxima of the event time can ever win.
        event = pack_wide(pl.col(ENTITY), pl.col(EVENT_TICK))
        frame = frame.filter(event == event.cum_max())
        drop += [ENTITY, KNOWN]
    return frame.drop(drop).set_sorted(KEY) if drop else frame.set_sorted(KEY)


def _refuse_outside(columns: Sequence[pl.Series]) -> pl.Series:
    """True for every row, or an error where one is outside the ranges that its file's footer gives."""
    (inside,) = columns
    if not inside.all():
        raise TimefenceValidationError(
            message(
                f"{(~inside).sum()} source row(s) have a key or time outside the range their Parquet file claims.",
                why="The file's statistics are wrong, or it changed while it was read.",
                fix="Write the file again with a current writer; build from scan_parquet(...) to leave statistics unused.",
            )
        )
    return inside


def _in_clock(tick: pl.Expr, of: Clock, to: Clock) -> pl.Expr:
    """Ticks of a finer clock, exact, clamped to its range (labels that meet a row at the end of it are refused)."""
    if of.size == to.size and of.offset == to.offset:
        return tick
    exact = tick.cast(pl.Int128) * (of.size // to.size) + (of.offset - to.offset) // to.size
    return (
        pl.when(exact < INT64_MIN)
        .then(INT64_MIN)
        .when(exact > INT64_MAX)
        .then(INT64_MAX)
        .otherwise(exact)
        .cast(pl.Int64)
    )
