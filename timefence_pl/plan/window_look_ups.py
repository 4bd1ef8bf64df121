"""The look-ups that find windows: which bounds, in which order of the events, and as what keys.

Takes bounds and clocks, gives probes to be joined as-of with the events' keys. The row found by each is the last
before a window, or a window's last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.plan.latest import LABEL_TICK, UNKNOWN_ENDS, LabelEnds
from timefence_pl.plan.ticks import Bound, Clock, upper_bound
from timefence_pl.plan.time_key import ENTITY, KEY, KeySpec, before, first_key, probe_from, tick_of, tick_of_own
from timefence_pl.plan.window_events import KNOWN_KEY, WIDE, SortedEvents

__all__ = ["LookUp", "LookUps", "WindowBounds"]


@dataclass(frozen=True)
class WindowBounds:
    """One window feature's bounds: nanoseconds, or integer units where times are integers.

    Attributes:
        embargo: How long before the label the windows end.
        lengths: Of the windows, by the suffix of their columns; None is all history.
        strict: Whether an event exactly at the upper bound is out, and one exactly at the lower bound in; or the
            other way around.
    """

    embargo: int
    lengths: dict[str, int | None]
    strict: bool
    #: Lookback and staleness do not apply to windows.
    lookback: None = None
    staleness: None = None

    @property
    def longest(self) -> str:
        """The suffix of the longest window."""
        return max(self.lengths, key=lambda w: (self.lengths[w] is None, self.lengths[w] or 0))


@dataclass(frozen=True)
class LookUp:
    """The last event at or before a bound.

    Attributes:
        order: The key column that is searched: by event time, or by the time from which events are known.
        shift: How long before the label; None for before all events.
        strict: Whether an event exactly at the bound is after it.
    """

    order: str
    shift: int | None
    strict: bool


@dataclass(frozen=True)
class LookUps:
    """How look-ups are made over one frame of events.

    Attributes:
        frame: The events.
        labels: The clock of the label time.
        ends: Of the label rows.
    """

    frame: SortedEvents
    labels: Clock
    ends: LabelEnds = UNKNOWN_ENDS

    def end(self, bounds: WindowBounds) -> LookUp:
        """The last event before the upper bound, by event time."""
        return LookUp(KEY, bounds.embargo, bounds.strict)

    def known_end(self, bounds: WindowBounds) -> LookUp | None:
        """The last event known before the upper bound; None where events are known at their time."""
        return None if self.frame.known is None else LookUp(KNOWN_KEY, bounds.embargo, bounds.strict)

    def start(self, bounds: WindowBounds, window: str) -> LookUp:
        """The last event before a window."""
        length = bounds.lengths[window]
        shift = None if length is None else bounds.embargo + length
        return LookUp(KEY, shift, bounds.strict if length is not None else True)

    def all(self, bounds: WindowBounds) -> list[LookUp]:
        """All look-ups of a feature."""
        known = self.known_end(bounds)
        ends = [self.end(bounds), *([] if known is None else [known])]
        return [*ends, *(self.start(bounds, w) for w in bounds.lengths)]

    def first(self, order: str) -> pl.Expr:
        """The lowest key of ``ENTITY``."""
        return first_key(self._spec(order), pl.col(ENTITY), self.ends.entity)

    def probe(self, look_up: LookUp, first: pl.Expr | None = None) -> pl.Expr:
        """The key to search for, of ``ENTITY`` and ``LABEL_TICK``.

        Args:
            look_up: The look-up.
            first: What :meth:`first` gave for its order, where it is at hand.
        """
        spec = self._spec(look_up.order)
        if look_up.shift is None:
            return before(spec, pl.col(ENTITY), self.ends.entity)
        bound = self._bound(look_up, look_up.shift)
        key = probe_from(spec, self.first(look_up.order) if first is None else first, bound.tick, bound.ends)
        if bound.below is None:
            return key
        return pl.when(bound.below).then(before(spec, pl.col(ENTITY), self.ends.entity)).otherwise(key)

    def limit(self, look_up: LookUp) -> pl.Expr:
        """The last tick that counts; null where none does."""
        bound = self._bound(look_up, look_up.shift or 0)
        return bound.tick if bound.below is None else pl.when(~bound.below).then(bound.tick)

    def tick(self, order: str, key: pl.Expr, first: pl.Expr | None = None) -> pl.Expr:
        """The tick of a key found by a look-up in this order; null where it is not of ``ENTITY``; as :meth:`probe`."""
        return tick_of(self._spec(order), key, self.first(order) if first is None else first)

    def tick_of_own(self, order: str, key: pl.Expr, first: pl.Expr) -> pl.Expr:
        """The same of a key that is of ``ENTITY``."""
        return tick_of_own(self._spec(order), key, first)

    def clock(self, order: str) -> Clock:
        """The clock of the ticks in an order."""
        return self.frame.clock if order == KNOWN_KEY else self.frame.event_clock

    def since_last(self, event: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """The time from an event's tick to the label, rounded down to the unit of the type, as Int128."""
        passed = instant(pl.col(LABEL_TICK), self.labels) - instant(event, self.frame.event_clock)
        size = _SIZES[dtype.time_unit] if isinstance(dtype, pl.Duration) else 1
        return passed if size == 1 else passed // pl.lit(size, dtype=pl.Int128)

    def _spec(self, order: str) -> KeySpec:
        return self.frame.spec if order == KEY else WIDE

    def _bound(self, look_up: LookUp, shift: int) -> Bound:
        to = self.clock(look_up.order)
        return upper_bound(pl.col(LABEL_TICK), self.labels, to, shift, strict=look_up.strict, ends=self.ends.tick)


_SIZES: Final = {"ms": 1_000_000, "us": 1_000, "ns": 1}


def instant(tick: pl.Expr, clock: Clock) -> pl.Expr:
    """The exact instant of a tick, as Int128 nanoseconds (or integer units)."""
    return tick.cast(pl.Int128) * pl.lit(clock.size, dtype=pl.Int128) + pl.lit(clock.offset, dtype=pl.Int128)
