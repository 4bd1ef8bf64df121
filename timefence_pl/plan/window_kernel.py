"""Window features over frames in memory: look-ups, running totals, and what neither can answer.

Takes label rows and events in time-key order and recipes, gives one column for each aggregate and window. Runs inside
the plan; knows nothing of lazy frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceSchemaError, message
from timefence_pl.plan.cached import cached
from timefence_pl.plan.latest import LABEL_TICK, VALID, LabelEnds, Reason, _refuse_unclear
from timefence_pl.plan.prepare import KNOWN
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock
from timefence_pl.plan.time_key import ENTITY, KEY, SECOND_HASH, is_own, pack_wide, unpack
from timefence_pl.plan.window_events import KNOWN_KEY, KNOWN_ORDER, WIDE, SortedEvents
from timefence_pl.plan.window_look_ups import LookUp, LookUps, WindowBounds, instant
from timefence_pl.plan.window_recipes import Recipe
from timefence_pl.plan.window_results import FeatureResults
from timefence_pl.plan.window_rows import patched
from timefence_pl.plan.window_spans import KnownEvents, Spans
from timefence_pl.plan.window_values import EventValues, when

__all__ = ["Kernel", "Task", "event_values", "reason"]

#: Windows computed at once: each takes a few times its output in memory while it is.
AT_ONCE = 8

#: So few labels' expressions take less time than it takes to hand them to other threads.
_ALONE: Final = 1 << 15

_ROW: Final = "__tf_row"
_FIRST: Final = {KEY: "__tf_first", KNOWN_KEY: "__tf_known_first"}
_PROBE: Final = "__tf_probe"
_YOUNGEST: Final = "__tf_youngest"


@dataclass(frozen=True)
class Task:
    """One window feature to be computed, and the names under which more is wanted of it than its columns."""

    name: str
    recipe: Recipe
    bounds: WindowBounds
    reason: str | None
    known: str | None
    feature_time: str | None
    duplicate: str | None


@dataclass(frozen=True)
class _OfLast:
    """What is told of each label's last event.

    Attributes:
        marks: What was asked for.
        held: Whether the longest window holds events; None where neither reason nor known time is asked for.
        usable: Whether there are events that the label may use, in it or before it; as ``held``.
    """

    marks: list[pl.Series]
    held: pl.Series | None
    usable: pl.Series | None


class Kernel:
    """All windows of some labels over some events.

    Args:
        labels: ``ENTITY``, ``LABEL_TICK``, ``VALID`` and for hashed keys ``SECOND_HASH``, in the order of the first two.
        events: As in :class:`SortedEvents`.
        frame: What is known of the events.
        clock: Of the label time.
        beside: Whether other labels' windows are computed at the same time, so that each keeps to one thread.
    """

    def __init__(
        self, labels: pl.DataFrame, events: pl.DataFrame, frame: SortedEvents, clock: Clock, *, beside: bool = False
    ) -> None:
        self._events = events
        self._beside = beside
        self._keys = pl.DataFrame([column for column in events if column.name not in frame.schema])
        self._frame = frame
        self._clock = clock
        self._look_ups = LookUps(frame, clock, LabelEnds.of(labels))
        orders = [o for o in _FIRST if o in self._keys.columns]
        # In their place where they are there already: of labels looked up under the second hash.
        self._labels = labels.with_columns(self._look_ups.first(o).alias(_FIRST[o]) for o in orders)
        #: For each look-up the position behind the event found; 0 where there is none.
        self._found: dict[LookUp, pl.Series] = {}

    def outputs(self, tasks: Sequence[Task], values: EventValues | None = None) -> pl.DataFrame:
        """All columns wanted, one row a label.

        Args:
            tasks: What is wanted.
            values: The events' :func:`event_values`, where they are at hand.
        """
        self._look_up([b for t in tasks for b in self._at_first(t.bounds)])
        if values is None:
            several = sum(-(-len(t.bounds.lengths) // AT_ONCE) for t in tasks) > 1
            values = event_values(self._events, self._frame, keep=several)
        left = Counter(b for t in tasks for b in self._look_ups.all(t.bounds))
        features = []
        for task in tasks:
            left.subtract(self._look_ups.all(task.bounds))
            features.append(self._feature(task, values, left))
        return features[0] if len(features) == 1 else pl.concat(features, how="horizontal")

    def _at_first(self, bounds: WindowBounds) -> list[LookUp]:
        """A feature's look-ups; where it has more windows than are computed at once, those of its longest alone."""
        if len(bounds.lengths) <= AT_ONCE:
            return self._look_ups.all(bounds)
        longest = {bounds.longest: bounds.lengths[bounds.longest]}
        return self._look_ups.all(replace(bounds, lengths=longest))

    def _look_up(self, asked: Sequence[LookUp]) -> list[LookUp]:
        """Look up what is not there yet, and tell what that was."""
        wanted = [w for w in dict.fromkeys(asked) if w not in self._found]
        if not wanted:
            return []
        behind = {order: self._behind(order) for order in {w.order for w in wanted}}
        probe = [self._look_ups.probe(w, pl.col(_FIRST[w.order])).alias(f"{_PROBE}{i}") for i, w in enumerate(wanted)]
        # One after the other in this thread, rather than wait for those of the pool.
        alone = self._beside or self._labels.height <= _ALONE
        probes = self._labels.select_seq(probe) if alone else self._labels.select(probe)
        frames = [
            pl.DataFrame([probe.alias(_PROBE)]).lazy().join_asof(behind[w.order], on=_PROBE, check_sortedness=False)
            for probe, w in zip(probes, wanted, strict=True)
        ]
        if self._beside:  # together they would all wait for those asked for first
            found = [f.collect(engine="in-memory")[_ROW] for f in frames]
        else:
            found = [f[_ROW] for f in pl.collect_all(frames, engine="in-memory")]
        found = [_from_none(positions) for positions in found]
        valid = self._labels[VALID]
        if not valid.all():
            none = pl.Series([0], dtype=pl.get_index_type())
            found = [positions.zip_with(valid, none) for positions in found]
        self._found.update(zip(wanted, found, strict=True))
        return wanted

    def _behind(self, order: str) -> pl.LazyFrame:
        """The events' keys, each with the position behind it."""
        # One name on both sides: a join of two names costs half as much again.
        return pl.DataFrame([self._keys[order].alias(_PROBE)]).with_row_index(_ROW, offset=1).lazy()

    def _keys_at(self, rows: pl.Series, order: str) -> pl.Series:
        keys = self._keys[order]
        return keys[rows] if rows.dtype == pl.get_index_type() else keys.gather(rows)

    def _tick_at(self, rows: pl.Series, order: str) -> pl.Series:
        """The ticks of some rows' keys; null where they are not of the label's entity."""
        key = pl.lit(self._keys_at(rows, order))
        return self._labels.select(self._look_ups.tick(order, key, pl.col(_FIRST[order]))).to_series()

    def _tick_of_own(self, rows: pl.Series, order: str, held: pl.Series) -> pl.Series:
        """The ticks of some rows' keys, all of the label's entity, where one is held; null elsewhere."""
        if not held.any():
            return pl.Series([None], dtype=pl.Int64).new_from_index(0, len(rows))
        # Rows without nulls are gathered in a quarter of the time.
        keys = self._keys_at(rows.fill_null(0) if rows.null_count() else rows, order)
        return self._own_ticks(order, keys if held.all() else when(held, keys))

    def _own_ticks(self, order: str, keys: pl.Series) -> pl.Series:
        """The ticks of keys, all of the label's entity or null."""
        return self._labels.select_seq(
            self._look_ups.tick_of_own(order, pl.lit(keys), pl.col(_FIRST[order]))
        ).to_series()

    # -- spans ------------------------------------------------------------------------------------------------------

    def _spans(self, bounds: WindowBounds, windows: Sequence[str], most_rows: int | None = None) -> Spans:
        return Spans(
            events=self._keys.height,
            stop=self._found[self._look_ups.end(bounds)],
            starts={w: self._found[self._look_ups.start(bounds, w)] for w in windows},
            known=self._known_events(bounds),
            most_rows=most_rows,
        )

    def _known_events(self, bounds: WindowBounds) -> KnownEvents | None:
        look_up = self._look_ups.known_end(bounds)
        if look_up is None:
            return None

        def within(window: str) -> pl.Series | None:
            length = bounds.lengths[window]
            return None if length is None else self._delays < length

        known = KnownEvents(
            order=self._keys[KNOWN_ORDER],
            stop=self._found[look_up],
            within=within,
            since=self._keys[KNOWN],
            limit=self._labels.select(self._look_ups.limit(look_up)).to_series(),
        )
        if self._frame.mixed_clocks:
            _refuse_unclear([(self._tick_at(known.end, KNOWN_KEY) == INT64_MAX).fill_null(value=False)])
        return known

    @cached
    def _delays(self) -> pl.Series:
        """How long after its time each event was known, in nanoseconds or integer units."""
        tick = unpack(self._frame.spec, pl.col(KEY))[1]
        known = instant(pl.col(KNOWN), self._look_ups.clock(KNOWN_KEY))
        return self._keys.select(known - instant(tick, self._frame.event_clock)).to_series()

    # -- features ---------------------------------------------------------------------------------------------------

    def _feature(self, task: Task, events: EventValues, later: Counter[LookUp]) -> pl.DataFrame:
        """A feature's columns and marks.

        Args:
            task: What is wanted.
            events: The events' columns.
            later: How many of the features after it need each look-up.
        """
        columns: dict[str, pl.Series] = {}
        windows = list(task.bounds.lengths)
        together = len(windows) <= AT_ONCE
        longest = self._spans(task.bounds, windows if together else [task.bounds.longest])
        # Labels whose keys' hashes collide may be looked up again.
        last_look_ups = not any(later.values()) and not self._frame.spec.hashed
        # First: what it takes in memory is free for the columns then.
        of_last = self._of_last(task, longest)
        for start in range(0, len(windows), AT_ONCE):
            some = windows[start : start + AT_ONCE]
            own = self._look_up([self._look_ups.start(task.bounds, w) for w in some])
            spans = longest if together else self._spans(task.bounds, some, longest.most_rows)
            results = FeatureResults(task.recipe, events, spans, self._since_last)
            done = last_look_ups and start + AT_ONCE >= len(windows)
            columns.update(results.columns(partial(self._let_go, spans, longest) if done else None))
            for look_up in own:  # positions take as much memory as a column of counts
                if not later[look_up]:
                    self._found.pop(look_up, None)
        outputs = pl.DataFrame([s.alias(f"{task.name}__{n}") for n, s in columns.items()])
        outputs = pl.DataFrame([*outputs, *self._marks(task, outputs, of_last), *of_last.marks])
        collided = self._collided(longest, task.bounds.longest)
        if collided is None:
            return outputs
        again = self._by_second_hash(collided, task)
        return outputs.select(patched(outputs[c], collided, again[c]) for c in outputs.columns)

    def _let_go(self, *spans: Spans) -> None:
        """Hold no positions in the order of time any more, nor what was looked up by."""
        self._found.clear()
        self._labels = self._labels.drop(name for name in _FIRST.values() if name in self._labels.columns)
        for own in spans:
            own.let_go()

    def _since_last(self, last: pl.Series, dtype: pl.DataType) -> pl.Series:
        event = pl.lit(self._tick_of_own(last, KEY, last.is_not_null()))
        exact = self._labels.select(self._look_ups.since_last(event, dtype)).to_series()
        fits = exact.is_between(INT64_MIN, INT64_MAX)
        if not fits.all():
            raise TimefenceSchemaError(
                message(
                    f"since_last() of {(~fits).sum()} label(s) does not fit 64 bits of {dtype}.",
                    why="The label time and the last event lie too far apart for the finer of their two units.",
                    fix=(
                        "cast both times to one coarser unit, as in .dt.cast_time_unit('ms')",
                        "give the window a length, so that events that old do not count",
                    ),
                )
            )
        return exact.cast(pl.Int64).cast(dtype)

    def _of_last(self, task: Task, spans: Spans) -> _OfLast:
        marks: list[pl.Series] = []
        held = usable = None
        if task.known or task.reason:
            order, keys, usable = self._youngest(task.bounds)
            held = spans.held(task.bounds.longest)
            if task.known:  # where a window holds an event, the youngest that is usable is the entity's
                marks.append(self._own_ticks(order, keys if held.all() else when(held, keys)).alias(task.known))
        if task.feature_time:
            last = spans.last(task.bounds.longest, None)
            time = self._frame.event_clock.times(pl.lit(self._tick_of_own(last, KEY, last.is_not_null())))
            marks.append(pl.select(time).to_series().alias(task.feature_time))
        return _OfLast(marks, held, usable)

    def _youngest(self, bounds: WindowBounds) -> tuple[str, pl.Series, pl.Series]:
        """For each label the youngest event that it may use, if there is one.

        Returns:
            The order in which it is one, its key in this order, and whether it is of the label's entity.
        """
        look_up = self._look_ups.known_end(bounds) or self._look_ups.end(bounds)
        first, stop = self._labels[_FIRST[look_up.order]], self._found[look_up]
        if not self._keys.height:
            return look_up.order, first, pl.Series([False]).new_from_index(0, len(stop))
        some = stop > 0
        keys = self._keys_at(stop - some.cast(stop.dtype), look_up.order)
        own = pl.DataFrame([first, keys.alias(_YOUNGEST)]).select_seq(is_own(pl.col(_YOUNGEST), pl.col(first.name)))
        return look_up.order, keys, own.to_series() & some

    def _marks(self, task: Task, outputs: pl.DataFrame, of_last: _OfLast) -> list[pl.Series]:
        marks: list[pl.Series] = []
        if task.reason:
            held, usable = pl.lit(of_last.held), pl.lit(of_last.usable)
            # A column without nulls is empty nowhere.
            if all(c.null_count() for c in outputs):
                empty = pl.lit(outputs.select(pl.all_horizontal(pl.all().is_null())).to_series())
            else:
                empty = pl.lit(value=not outputs.width)
            marks.append(pl.select(reason(held, empty, usable)).to_series().alias(task.reason))
        if task.duplicate:
            none = pl.Series([False]).new_from_index(0, self._labels.height)
            marks.append(none.alias(task.duplicate))
        return marks

    # -- hash collisions --------------------------------------------------------------------------------------------

    def _collided(self, spans: Spans, longest: str) -> pl.Series | None:
        """Labels whose longest window holds events of another entity with the same first hash; None without any."""
        if not self._frame.spec.hashed or not self._keys.height:
            return None
        second = self._keys[SECOND_HASH]
        changes = (second != second.shift(1)).fill_null(value=False).cum_sum()
        first = spans.first(longest)
        held = first < spans.stop
        mixed = changes.gather(spans.end) != changes.gather(pl.select(pl.when(held).then(first)).to_series())
        other = second.gather(spans.end) != self._labels[SECOND_HASH]
        collided = (held & (mixed | other)).fill_null(value=False)
        return collided if collided.any() else None

    def _by_second_hash(self, collided: pl.Series, task: Task) -> pl.DataFrame:
        """The outputs for such labels, in their order: their events are looked up under the second hash instead."""
        labels = self._labels.filter(collided).with_columns(pl.col(SECOND_HASH).alias(ENTITY)).with_row_index(_ROW)
        labels = labels.sort(ENTITY, LABEL_TICK)
        tick = unpack(self._frame.spec, pl.col(KEY))[1]
        mine = self._keys[SECOND_HASH].is_in(labels[SECOND_HASH].unique().implode())
        kept = [KNOWN] if self._frame.known is not None else []
        # A stable sort: events of one entity and time stay in match order.
        events = (
            self._keys.select(pack_wide(pl.col(SECOND_HASH), tick).alias(KEY), SECOND_HASH, *kept)
            .hstack(self._events.select(list(self._frame.schema)))
            .filter(mine)
            .sort(KEY, maintain_order=True)
        )
        if kept:
            known = events.select(pack_wide(pl.col(SECOND_HASH), pl.col(KNOWN))).to_series()
            order = known.arg_sort()
            events = events.with_columns(known.gather(order).alias(KNOWN_KEY), order.alias(KNOWN_ORDER))
        again = Kernel(labels, events, replace(self._frame, spec=WIDE), self._clock).outputs([task])
        return again.select(pl.all().gather(labels[_ROW].arg_sort()))


def _from_none(positions: pl.Series) -> pl.Series:
    """What an ascending look-up found, 0 for nothing: it finds nothing at the beginning only, so that most stay."""
    nothing = positions.null_count()
    if not nothing:
        return positions
    none = pl.Series(positions.name, [0], dtype=positions.dtype).new_from_index(0, nothing)
    return pl.concat([none, positions.slice(nothing)], rechunk=True)


def event_values(events: pl.DataFrame, frame: SortedEvents, *, keep: bool) -> EventValues:
    """The values that windows over these events are made of.

    Args:
        events: As in :class:`SortedEvents`.
        frame: What is known of them.
        keep: Keep what is made of them, since more windows will need it.
    """

    def entities() -> pl.Series:
        return events.select(unpack(frame.spec, pl.col(KEY))[0].alias(ENTITY)).to_series()

    return EventValues(events.select(list(frame.schema)), entities, keep=keep)


def reason(held: pl.Expr, empty: pl.Expr, usable: pl.Expr) -> pl.Expr:
    """The reason of the longest window.

    Args:
        held: Whether it holds events.
        empty: Whether all columns are null.
        usable: Whether the entity has usable events at all.
    """
    return (
        pl.when(held & ~empty)
        .then(Reason.MATCHED_VALUE.value)
        .when(held)
        .then(Reason.NULL_VALUE.value)
        .when(usable)
        .then(Reason.TOO_OLD.value)
        .otherwise(Reason.NO_HISTORY.value)
        .cast(pl.UInt8)
    )
