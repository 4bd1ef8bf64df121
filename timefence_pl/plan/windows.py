"""Window features: aggregates of the events before each label, as of the label. The one implementation of it.

Takes a probe (label rows in time-key order) and :class:`SortedEvents`, gives the features' columns in the probe's
order. Knows nothing of files, caches or the shape of the final output.

The last event at or before a bound is found by an as-of join on the packed key, once for each distinct bound; all
windows and aggregates share these look-ups. What running totals and look-ups cannot answer is computed from the
windows' own events, in chunks. Both sides enter one step of the plan whole: running totals need all events anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import polars as pl

from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, message
from timefence_pl.plan.cached import cached
from timefence_pl.plan.latest import LABEL_TICK, VALID, Probe
from timefence_pl.plan.prepare import KNOWN, SortedFrame
from timefence_pl.plan.side_by_side import side_by_side
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import ENTITY, KEY, SECOND_HASH, rows_of
from timefence_pl.plan.window_events import KNOWN_KEY, KNOWN_ORDER, SortedEvents
from timefence_pl.plan.window_kernel import Kernel, Task, event_values
from timefence_pl.plan.window_lazily import aggregate_lazily
from timefence_pl.plan.window_look_ups import LookUps, WindowBounds
from timefence_pl.plan.window_parts import Piece, pieces, pieces_of_labels
from timefence_pl.plan.window_recipes import recipe_of
from timefence_pl.plan.window_values import EventValues

__all__ = [
    "WindowBounds",
    "WindowMatch",
    "WindowMerge",
    "WindowsOver",
    "aggregate",
    "window_bounds",
    "window_columns",
    "window_strategy",
]

_PROBES: Final = "__tf_probes"
_EVENTS: Final = "__tf_events"
_WINDOWS: Final = "__tf_windows"


@dataclass(frozen=True)
class WindowMatch:
    """One window feature to be computed, and what is wanted of it.

    Attributes:
        window: The feature.
        bounds: Its bounds.
        reason: Put out under this name the :class:`~timefence_pl.plan.latest.Reason`, of the longest window: matched
            with a value or with nulls only, too old where all usable events are older, else no history.
        known: Put out under this name the ticks (in the clock of what is known) from which the youngest usable event
            was known, where the longest window holds any.
        feature_time: Put out under this name the time of the longest window's last event.
        duplicate: Put out false under this name: every event counts, so that none is chosen among duplicates.
        name: What its columns are named by instead of the feature's name, where it is wanted several times.
        values: Whether its columns are wanted, and not what is named above alone.
    """

    window: Window
    bounds: WindowBounds
    reason: str | None = None
    known: str | None = None
    feature_time: str | None = None
    duplicate: str | None = None
    name: str | None = None
    values: bool = True

    @property
    def feature(self) -> str:
        """The feature's name, or what it is named by here."""
        return self.window.name if self.name is None else self.name

    def without_marks(self) -> WindowMatch:
        """The columns of the result, without the reason, the time known and duplicates."""
        return replace(self, reason=None, known=None, duplicate=None)


@dataclass(frozen=True)
class WindowMerge:
    """Window features over one frame of events: one step of the plan.

    Attributes:
        frame: The events.
        wanted: What is wanted of them.
        checks: As for :func:`aggregate`.
    """

    frame: SortedEvents
    wanted: tuple[WindowMatch, ...]
    checks: bool

    def over(self, probe: Probe) -> pl.LazyFrame:
        """The features' columns and marks for each probe row, in its order."""
        return aggregate(probe, self.frame, self.wanted, checks=self.checks)

    def without_marks(self) -> WindowMerge:
        """The same step for the columns of the result alone: marks cost a tenth of them."""
        return replace(self, wanted=tuple(w.without_marks() for w in self.wanted))

    def on(self, frame: SortedFrame | SortedEvents) -> WindowMerge:
        """The same step with its events taken from elsewhere."""
        assert isinstance(frame, SortedEvents)  # noqa: S101 - of the same kind
        return replace(self, frame=replace(frame, frame=frame.frame.set_sorted(KEY)))

    def limit(self, first: int | None, labels: Clock) -> None:
        """None: windows need all events."""
        del first, labels

    def at_once(self, labels: Probe, over: WindowsOver | None = None) -> pl.DataFrame:
        """What :meth:`over` gives for label rows in memory, computed now, with all threads; perhaps in several pieces.

        Args:
            labels: The label rows.
            over: Windows over the same events, which keep what is made of them.
        """
        over = WindowsOver(self.frame, keep=False) if over is None else over
        return over.at(labels.frame.collect(engine="in-memory"), labels.clock, self.wanted)

    def complete(self, merged: pl.DataFrame) -> pl.DataFrame:
        """What :meth:`at_once` gave: no values stand apart."""
        return merged.rechunk()

    def columns(self, merged: pl.DataFrame, wanted: Collection[str], order: pl.Series) -> pl.DataFrame:
        """Columns of the result.

        Args:
            merged: What :meth:`at_once` gave.
            wanted: The result's columns; others of ``merged`` are left out.
            order: Which of its rows, in order.
        """
        # In one piece: to gather from several costs more than to join them first.
        found = merged.select(c for c in merged.columns if c in wanted).rechunk()
        return found.select(pl.all().gather(order))


class WindowsOver:
    """Windows over the same events, asked for again and again.

    Args:
        frame: The events.
        keep: Keep what is made of them, for the next time.
    """

    def __init__(self, frame: SortedEvents, *, keep: bool = True) -> None:
        #: The events.
        self.frame = frame
        self._keep = keep
        self._values: dict[int, EventValues] = {}

    @property
    def height(self) -> int:
        """How many events there are."""
        return self._events.height

    def at(self, labels: pl.DataFrame, clock: Clock, wanted: Sequence[WindowMatch]) -> pl.DataFrame:
        """What :func:`aggregate` gives for label rows in memory, computed now, with all threads.

        Args:
            labels: As in :class:`~timefence_pl.plan.window_kernel.Kernel`.
            clock: Of the label time.
            wanted: What is wanted.
        """
        return self.outputs(labels, clock, _tasks(self.frame, wanted, clock))

    def outputs(self, labels: pl.DataFrame, clock: Clock, tasks: Sequence[Task]) -> pl.DataFrame:
        """The same for what tasks want."""
        parts = pieces_of_labels(labels, self._pieces)
        beside = len(parts) > 1

        def run(piece: int) -> pl.DataFrame:
            events = self._pieces[piece].events
            values = self._values_of(piece, events)
            return _outputs(
                parts[piece], events, frame=self.frame, clock=clock, tasks=tasks, values=values, beside=beside
            )

        if not beside:
            return run(0)
        try:
            found = side_by_side([partial(run, piece) for piece in range(len(parts))])
        except TimefenceSchemaError:  # it counts the labels of one part: told again, of all
            return _outputs(labels, self._events, frame=self.frame, clock=clock, tasks=tasks)
        return pl.concat(found, rechunk=False)

    def quick(self, window: Window, clock: Clock) -> bool:
        """Whether all aggregates of a window feature cost the same however long its windows are.

        Args:
            window: The feature.
            clock: Of the label time.
        """
        recipe = recipe_of(window, self.frame.schema, self.frame.event_clock, clock)
        return all(name in recipe.splits for name in window.aggregates)

    def _values_of(self, piece: int, events: pl.DataFrame) -> EventValues | None:
        if not self._keep:
            return None
        if piece not in self._values:
            self._values[piece] = event_values(events, self.frame, keep=True)
        return self._values[piece]

    def of(self, entities: pl.Series) -> WindowsOver:
        """The same over the events of a few entities.

        Args:
            entities: The entities (``ENTITY``), in any order and perhaps several times.
        """
        rows = rows_of(self.frame.spec, self._events[KEY], entities)
        some = self._events.select(pl.all().gather(rows))
        if KNOWN_ORDER in some.columns:  # in which an entity's events stand in the same rows
            order = some[KNOWN_ORDER]
            some = some.with_columns(rows.search_sorted(order).cast(order.dtype).alias(KNOWN_ORDER))
        return WindowsOver(replace(self.frame, frame=some.lazy().set_sorted(KEY)))

    def by_event_time(self, known: str) -> WindowsOver:
        """The same over all events as of their own time, as though each had been known at once.

        Args:
            known: The name of a further column that aggregates may read: the ticks from which events were known.
        """
        events = self._events.drop(KNOWN_KEY, KNOWN_ORDER).rename({KNOWN: known})
        schema: dict[str, pl.DataType] = {**self.frame.schema, known: events.schema[known]}
        frame = events.lazy().set_sorted(KEY)
        return WindowsOver(
            replace(self.frame, frame=frame, known=None, mixed_clocks=False, schema=schema, unsorted=None)
        )

    @cached
    def _events(self) -> pl.DataFrame:
        return self.frame.frame.collect(engine="in-memory")

    @cached
    def _pieces(self) -> list[Piece]:
        return pieces(self._events, self.frame, pl.thread_pool_size())


def window_bounds(window: Window, *, strict: bool, integer_times: bool) -> WindowBounds:
    """A window feature's exact bounds.

    Raises:
        TimefenceConfigError: If a duration is of the wrong kind for the times.
    """
    durations = [("embargo", window.embargo), *(("windows", d) for d in window.windows.values())]
    for name, value in durations:
        if value is not None and value.amount and value.integer != integer_times:
            raise TimefenceConfigError(
                message(
                    f"{name}={value} of window {window.name!r} does not fit its times, "
                    f"which are {'integers' if integer_times else 'dates or datetimes'}.",
                    fix=(
                        f"Give {name} as integers in the unit of the time columns."
                        if integer_times
                        else f'Give {name} with a unit, as in "1d" or "6h".'
                    ),
                )
            )
    lengths = {label: None if d is None else d.amount for label, d in window.windows.items()}
    return WindowBounds(window.embargo.amount if window.embargo else 0, lengths, strict)


def window_columns(
    window: Window, schema: Mapping[str, pl.DataType], events: Clock, labels: Clock
) -> dict[str, pl.DataType]:
    """The columns of a window feature, ``{aggregate}_{window}``, with their types.

    Args:
        window: The feature.
        schema: Of its source's columns.
        events: The clock of the event time.
        labels: The clock of the label time.
    """
    types = recipe_of(window, schema, events, labels).types
    return {f"{name}_{w}": dtype for w in window.windows for name, dtype in types.items()}


def window_strategy(window: Window, bounds: WindowBounds, frame: SortedEvents, labels: Clock) -> tuple[str, str]:
    """How a window feature is computed, and what has to be done for it, in words.

    Args:
        window: The feature.
        bounds: Its bounds.
        frame: Its sorted events.
        labels: The clock of the label time.
    """
    recipe = recipe_of(window, frame.schema, frame.event_clock, labels)
    groups: dict[str, list[str]] = {}
    for name in window.aggregates:
        groups.setdefault(recipe.strategy(name), []).append(name)
    strategy = "; ".join(f"{', '.join(names)}: {how}" for how, names in groups.items())
    cost = f"sort all events once, then {len(set(LookUps(frame, labels).all(bounds)))} look-ups a label"
    if recipe.splits:
        cost += f" and {len(recipe.parts)} running total(s) or positions over all events"
    slow = [n for n in window.aggregates if n not in recipe.splits]
    if slow:
        cost += f"; every event of every window is read for {', '.join(slow)}"
    return strategy, cost


def aggregate(probe: Probe, frame: SortedEvents, wanted: Sequence[WindowMatch], *, checks: bool = True) -> pl.LazyFrame:
    """Compute window features over one frame of events.

    Args:
        probe: The label rows.
        frame: The events.
        wanted: Features over these events, with any embargo and strictness.
        checks: Without it no Python runs, and every aggregate is computed from the windows' own events at once: the
            same result, at a cost in time and memory.

    Returns:
        One row per probe row, in its order: ``{feature}__{aggregate}_{window}`` for each feature, and what else of it
        is wanted.
    """
    tasks = _tasks(frame, wanted, probe.clock)
    if not checks:
        return aggregate_lazily(probe, frame, tasks)
    types = {n: d for task in tasks for n, d in _output_types(task, frame).items()}
    hashed = [SECOND_HASH] if frame.spec.hashed else []
    labels = probe.frame.select(pl.struct(ENTITY, LABEL_TICK, VALID, *hashed).implode().alias(_PROBES))
    events = frame.frame.select(pl.struct(pl.all()).implode().alias(_EVENTS))
    run = partial(_run, frame=frame, clock=probe.clock, tasks=tasks)
    return (
        pl.concat([labels, events], how="horizontal")
        .select(pl.map_batches([_PROBES, _EVENTS], run, return_dtype=pl.Struct(types)).alias(_WINDOWS))
        .unnest(_WINDOWS)
    )


def _tasks(frame: SortedEvents, wanted: Sequence[WindowMatch], labels: Clock) -> tuple[Task, ...]:
    return tuple(
        Task(
            name=w.feature,
            recipe=recipe_of(w.window, frame.schema, frame.event_clock, labels).only(values=w.values),
            bounds=w.bounds,
            reason=w.reason,
            known=w.known,
            feature_time=w.feature_time,
            duplicate=w.duplicate,
        )
        for w in wanted
    )


def _output_types(task: Task, frame: SortedEvents) -> dict[str, pl.DataType]:
    columns = {f"{n}_{w}": dtype for w in task.bounds.lengths for n, dtype in task.recipe.types.items()}
    types = {f"{task.name}__{name}": dtype for name, dtype in columns.items()}
    if task.reason:
        types[task.reason] = pl.UInt8()
    if task.known:
        types[task.known] = pl.Int64()
    if task.feature_time:
        types[task.feature_time] = frame.event_clock.dtype
    if task.duplicate:
        types[task.duplicate] = pl.Boolean()
    return types


def _run(columns: Sequence[pl.Series], *, frame: SortedEvents, clock: Clock, tasks: Sequence[Task]) -> pl.Series:
    labels, events = (column[0].struct.unnest() for column in columns)
    over = WindowsOver(replace(frame, frame=events.lazy()), keep=False)
    return over.outputs(labels, clock, tasks).to_struct(_WINDOWS)


def _outputs(
    labels: pl.DataFrame,
    events: pl.DataFrame,
    *,
    frame: SortedEvents,
    clock: Clock,
    tasks: Sequence[Task],
    values: EventValues | None = None,
    beside: bool = False,
) -> pl.DataFrame:
    types = {n: d for task in tasks for n, d in _output_types(task, frame).items()}
    outputs = {s.name: s for s in Kernel(labels, events, frame, clock, beside=beside).outputs(tasks, values)}
    return pl.DataFrame([outputs[n] if outputs[n].dtype == d else outputs[n].cast(d) for n, d in types.items()])
