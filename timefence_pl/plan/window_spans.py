"""Which events each label's windows hold, as positions, and what any running total gives for them.

Takes row numbers found by look-ups, gives counts, positions and differences of totals. Knows nothing of what is
added up.

A window's events lie between two rows in match order: the last row before it, and its own last row. On a bitemporal
source that span also holds events that were not known yet. Then the events known in time are counted in the order in
which they became known, and those too old in the order of their time: of the events that became known within the
window's length, each that is too old was known in time, so that the difference of the two is the window's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from timefence_pl.plan.cached import cached
from timefence_pl.plan.window_values import Totals, running_sums, when

__all__ = ["KnownEvents", "Spans", "at"]


@dataclass(frozen=True)
class KnownEvents:
    """The order in which events became known, on a bitemporal source.

    Attributes:
        order: For each event in that order its row in match order.
        stop: For each label how many events in that order it may use.
        within: For a window's name, whether each event (in match order) became known within the window's length;
            None where all did.
        since: For each event the time from which it is known.
        limit: For each label the last such time that counts; null where none does.
    """

    order: pl.Series
    stop: pl.Series
    within: Callable[[str], pl.Series | None]
    since: pl.Series
    limit: pl.Series

    @cached
    def end(self) -> pl.Series:
        """For each label the last event in that order that it may use; null where there is none."""
        return _before(self.stop)


class Spans:
    """The windows of all labels over one frame of events.

    Args:
        events: Number of events.
        stop: For each label the number of rows before the upper bound.
        starts: For each window the number of rows before its lower bound.
        known: Set where events become known later than their time.
        most_rows: Of all windows of the feature, where these are but some.
    """

    def __init__(
        self,
        events: int,
        stop: pl.Series,
        starts: Mapping[str, pl.Series],
        known: KnownEvents | None,
        most_rows: int | None = None,
    ) -> None:
        #: Number of events.
        self.events = events
        #: Where events become known later than their time, the order in which they do.
        self.known = known
        #: The windows' names.
        self.windows = list(starts)
        self._starts = dict(starts)
        self._stop = stop
        self._most_rows = most_rows
        self._lengths = pl.DataFrame([(stop - s).alias(w) for w, s in starts.items()])

    def let_go(self) -> None:
        """Hold no positions in the order of time any more: only lengths may be asked for."""
        self._starts.clear()
        self._stop = self._stop.clear()
        vars(self).pop("end", None)

    @cached
    def end(self) -> pl.Series:
        """For each label the last row before the upper bound; null where there is none."""
        return _before(self._stop)

    @property
    def stop(self) -> pl.Series:
        """The row after the windows' last, as Int64."""
        return self._stop.cast(pl.Int64)

    def first(self, window: str) -> pl.Series:
        """The first row of a window's span, as Int64; :attr:`stop` where it is empty."""
        return self._starts[window].cast(pl.Int64)

    @property
    def lengths(self) -> pl.DataFrame:
        """How many rows the windows' spans have, one column a window, of the type of row numbers."""
        return self._lengths

    @cached
    def most_rows(self) -> int:
        """No window of the feature has more rows in its span."""
        if self._most_rows is not None:
            return self._most_rows
        return max((int(n.max() or 0) for n in self._lengths), default=0)  # type: ignore[arg-type]

    def differences(self, totals: Totals) -> pl.DataFrame:
        """What columns add up to in each window.

        Args:
            totals: The columns. Their totals wrap, which is harmless where the window's own sum fits.

        Returns:
            One row a label, for each window and column a column (see :func:`at`); booleans are counted.
        """
        if self.known is None:
            return self._between(totals.running, totals.running, self._stop, self.windows)
        found = []
        for window in self.windows:
            mask = self.known.within(window)
            counted = totals if mask is None else Totals(totals.values.select(_masked(totals.values, mask)))
            as_known = running_sums(counted.values.select(pl.all().gather(self.known.order)))
            found.append(self._between(as_known, counted.running, self.known.stop, [window]))
        return pl.concat(found, how="horizontal")

    def _between(
        self, ends: pl.DataFrame, starts: pl.DataFrame, stop: pl.Series, windows: Sequence[str]
    ) -> pl.DataFrame:
        # Series one after the other, not an expression: they take the memory that totals leave, where the threads of
        # a query take new pages.
        behind = {c.name: c[stop] for c in ends}
        return pl.DataFrame(
            [(c[self._starts[w]] - behind[c.name]).alias(at(w, c.name)) for w in windows for c in starts]
        )

    def last(self, window: str, mask: pl.Series | None) -> pl.Series:
        """The row of a window's last event, of those in the mask; null where there is none."""
        if self.known is None:
            if mask is None:
                return _kept(self._stop - 1, self._stop > self._starts[window])
            row = _rows(mask).forward_fill().gather(self.end)
        else:
            order = self.known.order.cast(pl.Int64)
            if mask is not None:
                order = pl.select(pl.when(mask.gather(self.known.order)).then(order)).to_series()
            row = order.cum_max().forward_fill().gather(self.known.end)
        return _kept(row, row >= self._starts[window])

    def held(self, window: str) -> pl.Series:
        """Whether a window holds events."""
        if self.known is None:
            return self._stop > self._starts[window]
        return self.last(window, None).is_not_null()

    def first_of(self, window: str, mask: pl.Series | None) -> pl.Series:
        """The row of the first event in a window's span, of those in the mask; null where there is none."""
        row = self.first(window)
        if mask is not None:
            row = _rows(mask).backward_fill().gather(_kept(row, row < self.events))
        return _kept(row, row < self.stop)


def at(window: str, column: str) -> str:
    """The name under which :meth:`Spans.differences` puts out a column for a window."""
    return f"{window}/{column}"


def _before(positions: pl.Series) -> pl.Series:
    """The row before a position; null before the first."""
    return _kept(positions - 1, positions > 0)


def _masked(values: pl.DataFrame, mask: pl.Series) -> list[pl.Expr]:
    nothing = {c: pl.lit(value=False) if d == pl.Boolean else pl.lit(0, dtype=d) for c, d in values.schema.items()}
    return [pl.when(mask).then(pl.col(c)).otherwise(zero).alias(c) for c, zero in nothing.items()]


def _rows(mask: pl.Series) -> pl.Series:
    """The row number where the mask holds, null elsewhere."""
    return pl.select(pl.when(mask).then(pl.int_range(len(mask)))).to_series()


def _kept(rows: pl.Series, keep: pl.Series) -> pl.Series:
    return rows if keep.all(ignore_nulls=False) else when(keep, rows)
