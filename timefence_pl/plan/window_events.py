"""The events of window features, sorted by time key; free of labels, so that they can be cached and shared.

Takes a source, a filter and the columns wanted, gives a :class:`SortedEvents`: every usable event once, in match
order. Knows nothing of labels, embargoes or lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from timefence_pl.definitions.aggregates import check_aggregate
from timefence_pl.definitions.missing_columns import missing_column
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceSchemaError, message
from timefence_pl.plan.at_once import Unkeyed, rows_at_once, sorted_by_need
from timefence_pl.plan.compatibility import SourceColumns, check_no_patterns, source_columns
from timefence_pl.plan.expressions import is_row_wise
from timefence_pl.plan.hints import Hints
from timefence_pl.plan.prepare import (
    AVAILABLE_TICK,
    EVENT_TICK,
    KNOWN,
    _in_clock,
    _refuse_outside,
    known_clock,
)
from timefence_pl.plan.rows import TIE_COLUMN, in_time_order, usable_events
from timefence_pl.plan.side_by_side import in_polars_thread
from timefence_pl.plan.text_keys import TextShape
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import (
    ENTITY,
    KEY,
    SECOND_HASH,
    KeySpec,
    Narrow,
    entity_columns,
    key_spec,
    narrowed,
    pack,
    pack_wide,
    unpack,
    within,
)
from timefence_pl.plan.window_expressions import columns_of

__all__ = [
    "KNOWN_KEY",
    "KNOWN_ORDER",
    "WIDE",
    "EventSet",
    "SortedEvents",
    "earlier_events",
    "event_facts",
    "event_sets",
    "prepare_events",
    "restored_events",
    "stored_events",
    "with_known_order",
]

#: The packed (entity, time from which known), itself in order: not row by row beside the others.
KNOWN_KEY: Final = "__tf_known_key"
#: The rows' positions in the order of :data:`KNOWN_KEY`.
KNOWN_ORDER: Final = "__tf_known_order"
#: The packing of :data:`KNOWN_KEY`.
WIDE: Final = KeySpec("none", ())


@dataclass(frozen=True)
class EventSet:
    """Window features over the same events, which share one sort.

    Attributes:
        source: Their source.
        where: Which of its events count.
        windows: The features.
    """

    source: Source
    where: pl.Expr | None
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Unsorted:
    """Events with entity and ticks, and how they are sorted.

    Attributes:
        rows: The events.
        unkeyed: The same before, where they can be had.
        order: What they are sorted by after the key.
        clocks: Of event time and availability, and of the time from which events are known; None where that is the
            event time.
        values: The source's columns that are read.
    """

    rows: pl.LazyFrame
    unkeyed: Unkeyed | None
    order: tuple[str, ...]
    clocks: tuple[Clock, Clock, Clock] | None
    values: tuple[str, ...]

    def finished(self, rows: pl.LazyFrame, spec: KeySpec, at_hand: pl.DataFrame | None = None) -> pl.LazyFrame:
        """The columns of :class:`SortedEvents`, in match order.

        Args:
            rows: The events.
            spec: How their keys are packed.
            at_hand: The same events computed, inside the ranges of a narrow key.
        """
        frame = _in_match_order(rows, spec, self.order, at_hand)
        internal = [KEY, *([SECOND_HASH] if spec.hashed else [])]
        if self.clocks is not None:
            own, available, known = self.clocks
            event = _in_clock(pl.col(EVENT_TICK), own, known)
            since = pl.max_horizontal(event, _in_clock(pl.col(AVAILABLE_TICK), available, known))
            frame = with_known_order(frame.with_columns(since.alias(KNOWN)))
            internal += [KNOWN, KNOWN_KEY, KNOWN_ORDER]
        return frame.select(*internal, *self.values).set_sorted(KEY)

    def at_once(self, rows: pl.DataFrame, spec: KeySpec) -> pl.DataFrame:
        """What :meth:`finished` gives for events in memory, inside the ranges of a narrow key; computed now."""
        # Every look-up and total reads whole columns: in one piece that costs two thirds.
        return self.finished(rows.lazy(), spec, at_hand=rows).collect(engine="in-memory").rechunk()


@dataclass(frozen=True)
class SortedEvents:
    """Events in match order.

    Attributes:
        frame: ``KEY`` (packed entity and event time, ascending), for hashed keys ``SECOND_HASH``, where ``known`` is
            set ``KNOWN`` (ticks), ``KNOWN_KEY`` and ``KNOWN_ORDER``, then the source's columns that are read.
        spec: How entity and time were packed.
        event_clock: Of the event time.
        known: Clock of the time from which an event is known; None where that is the event time.
        mixed_clocks: Whether event time and availability have different units, so that far times are clamped in
            ``known``.
        schema: The columns that are read, with their types.
        unsorted: The events before they were sorted, where they can be had.
    """

    frame: pl.LazyFrame
    spec: KeySpec
    event_clock: Clock
    known: Clock | None
    mixed_clocks: bool
    schema: dict[str, pl.DataType]
    unsorted: Unsorted | None = None

    def at_once(
        self, labels: TextShape | None = None, *, apart: bool = False, limit: int | None = None
    ) -> SortedEvents:
        """The same events, computed now and in memory, their keys as cheap as they allow.

        Args:
            labels: What the labels' keys share as texts; None where they share nothing, or rows for any labels are
                wanted.
            apart: As for features; the values of events are always sorted, since windows add up neighbours.
            limit: As for features; of events all are needed.
        """
        del apart, limit
        if self.unsorted is None:
            return replace(self, frame=self.frame.collect(engine="in-memory").rechunk().lazy())
        tick = None if self.bitemporal else EVENT_TICK
        rows, spec = rows_at_once(self.unsorted.rows, self.unsorted.unkeyed, self.spec, tick, labels)
        frame = in_polars_thread(partial(self.unsorted.at_once, rows, spec))
        return replace(self, frame=frame.lazy(), spec=spec, unsorted=None)

    @property
    def has_text_keys(self) -> bool:
        """Whether :meth:`at_once` can go by what labels' keys, being texts, share."""
        unkeyed = None if self.unsorted is None else self.unsorted.unkeyed
        return unkeyed is not None and unkeyed.text is not None

    @property
    def bitemporal(self) -> bool:
        """Whether events count from when they were known."""
        return self.known is not None

    @property
    def clock(self) -> Clock:
        """Of the time from which an event is usable."""
        return self.event_clock if self.known is None else self.known


def event_sets(windows: Sequence[Window]) -> list[EventSet]:
    """Group window features by the events they aggregate, in order of first appearance."""
    groups: list[list[Window]] = []
    for window in windows:
        same = (g for g in groups if _same_events(g[0], window))
        group = next(same, None)
        if group is None:
            groups.append([window])
        else:
            group.append(window)
    return [EventSet(g[0].source, g[0].where, tuple(g)) for g in groups]


def prepare_events(
    rows: EventSet,
    events: pl.LazyFrame | None = None,
    *,
    hints: Hints | None = None,
    earlier: pl.LazyFrame | None = None,
) -> SortedEvents:
    """Sort a source's usable events in match order.

    Args:
        rows: Which events, and who reads them.
        events: Events with the source's columns; the source's own by default.
        hints: Ranges of the events' entity and time, where they are known; a row outside is an error when it runs.
        earlier: Earlier events, as :func:`earlier_events` gives them, which stand before these; for sources without
            availability and tie breakers.

    Raises:
        TimefenceSchemaError: If an aggregate or filter does not fit the source.
        TimefenceConfigError: If an aggregate is not one defined value.
    """
    source = rows.source
    columns = source_columns(source)
    for window in (w for w in rows.windows if not w.checked):
        for name, expr in window.aggregates.items():
            check_aggregate(f"window {window.name!r}", name, expr, columns.schema, window.source.timestamp)
    events = source.scan() if events is None else events
    unfiltered = events if source.has_order and rows.where is None else None
    frame = usable_events(source, events)
    frame = frame if source.has_order else in_time_order(source, frame)
    if rows.where is not None:
        _check_filter(rows, columns.schema)
        frame = frame.filter(rows.where)
    spec = key_spec(columns.keys)
    if hints is not None:
        spec = narrowed(spec, hints.entity, hints.tick)
    values = _values_of(rows.windows, source, columns.schema)
    check_no_patterns(f"source {source.name!r}", values)
    ties = [TIE_COLUMN.format(i) for i in range(len(source.tie_breaker))]
    keyed = partial(_with_ticks, source=source, columns=columns, spec=spec, values=values)
    ready = keyed(frame, None)
    if earlier is not None:
        ready = pl.concat([earlier.select(ready.collect_schema().names()), ready])
    clocks = None
    if columns.available is not None:
        clocks = columns.clock, columns.available, known_clock(columns.clock, columns.available)
    further = [] if source.available_at is None else [source.available_at]
    read = list(dict.fromkeys((*source.keys, source.timestamp, *source.tie_breaker, *further, *values)))
    text = source.keys[0] if spec.of_one_text else None
    complete = (*source.keys, source.timestamp, *further)
    unfiltered = None if unfiltered is None else unfiltered.select(cs.by_name(read))
    unsorted = Unsorted(
        rows=ready,
        unkeyed=None
        if earlier is not None
        else Unkeyed(frame.select(cs.by_name(read)), text, keyed, unfiltered, complete),
        order=(*([] if columns.available is None else [AVAILABLE_TICK]), *ties),
        clocks=clocks,
        values=tuple(values),
    )
    return SortedEvents(
        frame=unsorted.finished(ready, spec),
        spec=spec,
        event_clock=columns.clock,
        known=None if clocks is None else clocks[2],
        mixed_clocks=columns.available is not None and not columns.available.ticks_like(columns.clock),
        schema={c: columns.schema[c] for c in values},
        unsorted=unsorted,
    )


def _with_ticks(
    events: pl.LazyFrame,
    entity: pl.Expr | None,
    *,
    source: Source,
    columns: SourceColumns,
    spec: KeySpec,
    values: Sequence[str],
) -> pl.LazyFrame:
    """Events with their entity (by an expression where it is known already), ticks, ties and the columns that are read."""
    return events.select(
        *(entity_columns(spec, source.keys, columns.keys, complete=True) if entity is None else [entity.alias(ENTITY)]),
        columns.clock.ticks(pl.col(source.timestamp)).alias(EVENT_TICK),
        *(pl.col(c).alias(TIE_COLUMN.format(i)) for i, c in enumerate(source.tie_breaker)),
        *([] if columns.available is None else [_available(source, columns.available)]),
        *values,
    )


def stored_events(frame: SortedEvents, window: Window) -> list[pl.Expr]:
    """The columns kept for one window of a computed frame, in a form that Parquet holds: 128-bit keys as entity and time.

    Args:
        frame: The sorted events.
        window: The window, one of those that they are prepared for.
    """
    key = [pl.col(KEY)]
    if frame.spec.narrow is None:
        entity, tick = unpack(frame.spec, pl.col(KEY))
        key = [entity.alias(ENTITY), tick.alias(EVENT_TICK)]
    values = _values_of([window], window.source, pl.Schema(frame.schema))
    return [*key, *(pl.col(c) for c in (*_marks(frame), *values))]


def event_facts(
    frame: SortedEvents, computed: pl.DataFrame, hash_rows: Callable[[pl.DataFrame], str]
) -> dict[str, Any]:
    """What is known of computed events, as plain values.

    Args:
        frame: The sorted events.
        computed: Their rows.
        hash_rows: Names the content of a frame; equal names mean that rows stand in one order.
    """
    narrow = frame.spec.narrow
    return {
        "rows": computed.height,
        "rows_hash": hash_rows(computed.select(KEY, *_marks(frame))),
        "duplicates": 0,
        "narrow": None if narrow is None else [*narrow.entity, *narrow.tick, narrow.bits],
    }


def restored_events(
    like: SortedEvents, parts: Sequence[pl.LazyFrame], narrow: tuple[int, int, int, int, int] | None
) -> SortedEvents:
    """Sorted events of their stored columns.

    Args:
        like: The frame that computing them would give; nothing of it is run.
        parts: For each window that shares the rows its columns, those of :func:`stored_events`.
        narrow: The ranges of their keys as in :func:`event_facts`.
    """
    spec, frame = _spec(like, narrow), _side_by_side(parts)
    if narrow is None:
        frame = frame.with_columns(pack_wide(pl.col(ENTITY), pl.col(EVENT_TICK)).alias(KEY))
    if like.known is not None:
        key = pack_wide(pl.col(ENTITY), pl.col(KNOWN))
        frame = frame.with_columns(key.gather(pl.col(KNOWN_ORDER)).alias(KNOWN_KEY))
    frame = frame.select(like.frame.collect_schema().names())
    return replace(like, frame=frame.set_sorted(KEY), spec=spec, unsorted=None)


def earlier_events(
    like: SortedEvents, parts: Sequence[pl.LazyFrame], narrow: tuple[int, int, int, int, int] | None
) -> pl.LazyFrame:
    """Stored events as they were before packing, for :func:`prepare_events` to put others behind them.

    Args:
        like: The frame that computing them would give; nothing of it is run, and it is not bitemporal.
        parts: As for :func:`restored_events`.
        narrow: As for :func:`restored_events`.
    """
    frame = _side_by_side(parts)
    if narrow is not None:
        entity, tick = unpack(_spec(like, narrow), pl.col(KEY))
        frame = frame.with_columns(entity.alias(ENTITY), tick.alias(EVENT_TICK))
    hashed = [SECOND_HASH] if like.spec.hashed else []
    return frame.select(ENTITY, EVENT_TICK, *hashed, *like.schema)


def _spec(like: SortedEvents, narrow: tuple[int, int, int, int, int] | None) -> KeySpec:
    if narrow is None:
        return like.spec
    return replace(like.spec, narrow=Narrow((narrow[0], narrow[1]), (narrow[2], narrow[3]), narrow[4]))


def _side_by_side(parts: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    frame = parts[0]
    for part in parts[1:]:
        further = [c for c in part.collect_schema() if c not in frame.collect_schema()]
        if further:
            frame = pl.concat([frame, part.select(further)], how="horizontal")
    return frame


def _marks(frame: SortedEvents) -> list[str]:
    """The columns beside key and values that are stored."""
    return [*([SECOND_HASH] if frame.spec.hashed else []), *([KNOWN, KNOWN_ORDER] if frame.known else [])]


def _values_of(windows: Sequence[Window], source: Source, schema: pl.Schema) -> list[str]:
    """The source's columns that windows read; the time for one that reads none, as ``pl.len()``: no columns, no rows."""
    needed = {n for w in windows for n in columns_of([*w.aggregates.values()], schema) or [source.timestamp]}
    return [n for n in schema if n in needed]


def _in_match_order(
    frame: pl.LazyFrame, spec: KeySpec, order: Sequence[str], at_hand: pl.DataFrame | None
) -> pl.LazyFrame:
    """Events with their key, in its order; ties by further columns, then in the order they came in."""
    key = pack(spec, pl.col(ENTITY), pl.col(EVENT_TICK))
    if at_hand is not None and spec.narrow is None and not order:
        return sorted_by_need(at_hand, EVENT_TICK, key, KEY).lazy()
    if spec.narrow is not None and at_hand is None:
        inside = within(spec, pl.col(ENTITY), pl.col(EVENT_TICK))
        frame = frame.filter(pl.map_batches([inside], _refuse_outside, return_dtype=pl.Boolean, is_elementwise=True))
    return frame.with_columns(key.alias(KEY)).sort([KEY, *order] if order else KEY, maintain_order=True)


def with_known_order(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Events with the order in which they became known, and that order's keys."""
    return (
        frame.with_columns(pack_wide(pl.col(ENTITY), pl.col(KNOWN)).alias(KNOWN_KEY))
        .with_columns(pl.col(KNOWN_KEY).arg_sort().alias(KNOWN_ORDER))
        .with_columns(pl.col(KNOWN_KEY).gather(pl.col(KNOWN_ORDER)))
    )


def _available(source: Source, clock: Clock) -> pl.Expr:
    assert source.available_at is not None  # noqa: S101 - it has a clock
    return clock.ticks(pl.col(source.available_at)).alias(AVAILABLE_TICK)


def _same_events(one: Window, other: Window) -> bool:
    if one.source.identity() != other.source.identity():
        return False
    if one.where is None or other.where is None:
        return one.where is other.where
    return one.where.meta.eq(other.where)


def _check_filter(rows: EventSet, schema: pl.Schema) -> None:
    assert rows.where is not None  # noqa: S101 - the caller's case
    names = ", ".join(repr(w.name) for w in rows.windows)
    where = f"where: {rows.where}"
    if not is_row_wise(rows.where):
        raise TimefenceSchemaError(
            message(
                f"where of window {names} reads several rows.",
                where=where,
                why="Whether an event counts would depend on events that are not known yet.",
                fix="Compare columns of the same row; filter inside an aggregate to compare with the window's own.",
            )
        )
    try:
        (dtype,) = pl.LazyFrame(schema=schema).select(rows.where).collect_schema().dtypes()
    except pl.exceptions.ColumnNotFoundError as error:
        raise missing_column(f"where of window {names}", rows.where, str(rows.where), schema, error) from error
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise TimefenceSchemaError(
            message(
                f"where of window {names} cannot be computed from its source's columns.",
                where=f"{where}\nPolars: {str(error).splitlines()[0]}",
                fix="Check its columns and their types.",
            )
        ) from error
    if dtype not in (pl.Boolean, pl.Null):
        raise TimefenceSchemaError(
            message(f"where of window {names} gives {dtype}.", where=where, fix="Give a boolean expression.")
        )
