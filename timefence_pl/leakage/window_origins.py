"""Where wrong values of window features came from: the same windows, as of other times.

Takes the rows whose values are wrong and the events, gives for each whether a window that reaches past the last usable
instant has the value (no embargo, the time after the label, all events; with availability also the same windows by event
time alone), and whether the one at the entity's last usable event has it.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.durations import format_nanoseconds
from timefence_pl.leakage.equality import Tolerance
from timefence_pl.leakage.history import instant
from timefence_pl.leakage.origins import LIMIT, Sought
from timefence_pl.leakage.other_windows import FITS, KNOWN_AT, LITTLE, NUMBER, Moved, OtherWindows, Variant
from timefence_pl.leakage.places import in_places, rows_where
from timefence_pl.plan.latest import LABEL_TICK
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import ENTITY
from timefence_pl.plan.window_values import when
from timefence_pl.plan.windows import WindowBounds, WindowsOver

__all__ = ["FUTURE_HOW", "FUTURE_INSTANT", "PAST_HOW", "PAST_INSTANT", "window_origins"]

#: What window has the value: one that reaches too far, and one that ends too early; null where there is none.
FUTURE_HOW: Final = "__tf_future_how"
PAST_HOW: Final = "__tf_past_how"
#: When the youngest event of it became known; null where the former holds no event that came too late.
FUTURE_INSTANT: Final = "__tf_future_instant"
PAST_INSTANT: Final = "__tf_past_instant"

_SINCE: Final = "__tf_since"
_TOO_LATE: Final = "__tf_too_late"
#: Longer than any two times are apart.
_ENDLESS: Final = 1 << 90
#: Shifts of the label time that are tried: of time zones, and of days.
_HALF_HOUR: Final = 1_800_000_000_000
_HALF_HOURS: Final = (*range(1, 29), 11.5, 72, 48, 96, 144, 336, 672, 1440)
_SHIFTS: Final = tuple(sign * int(n * _HALF_HOUR) for n in _HALF_HOURS for sign in (1, -1))
#: A shift is believed where it explains this share of at least so many of at most so many rows.
_BELIEVED, _FEWEST, _MOST = 0.8, 5, 300
#: With so many events a wrong row those of other entities are left out first: their totals are made anew.
_FEW: Final = 128
#: Of more rows than these, windows that have the values of this share of a sample are looked for first.
_MANY: Final = 5_000
_MOSTLY: Final = 0.5
#: So many times as many rows of a sample are plainly more.
_PLAIN: Final = 4
#: A later shift is believed where at least this share of the rows it explains holds an event that came too late.
_LATE: Final = 0.05


@dataclass(frozen=True)
class _Shift:
    """A shift of the label times that is believed.

    Attributes:
        later: Whether to later times.
        variant: The windows as of these.
        found: If later, the rows that were looked at whose values these have, as :meth:`_Search.future` gives them.
    """

    later: bool
    variant: Variant
    found: pl.DataFrame


def window_origins(
    wrong: pl.DataFrame,
    window: Window,
    bounds: WindowBounds,
    windows: WindowsOver,
    clock: Clock,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """Look for the values found in windows as of other times.

    Of many rows, what explains most of a sample is looked for first, and anything else in those that it leaves.

    Args:
        wrong: ``ENTITY``, ``LABEL_TICK``, ``VALID``, for hashed keys ``SECOND_HASH``, ``LIMIT`` and the values found.
        window: The feature.
        bounds: As it was rebuilt.
        windows: Over its events.
        clock: Of the label time.
        columns: The columns that must be equal in the rows they are sought in; their ``own`` names are
            ``{feature}__{column}``.
        tolerance: For floats.

    Returns:
        ``FUTURE_HOW``, ``FUTURE_INSTANT``, ``PAST_HOW`` and ``PAST_INSTANT``, one row per row of ``wrong``, in order.
    """
    numbered = wrong.with_row_index(NUMBER)
    # What is sought in no row decides nothing, and may cost the most.
    columns = [c for c in columns if wrong[c.wanted].any()]
    window = _of_columns(window, bounds, {c.own for c in columns})
    bounds = replace(bounds, lengths={w: n for w, n in bounds.lengths.items() if w in window.windows})
    search = _Search(window, bounds, windows, clock, columns, tolerance)
    if _FEW * wrong.height < search.windows.height:
        search = search.of(wrong[ENTITY])
    variants = list(_too_far(bounds))
    if numbered.height > _MANY:
        (first, settled), ready = search.likely(numbered, variants), None
        late = search.future(numbered, first)
        others = [v for v in variants if v not in first]
        late = pl.concat([late, search.future(_without(numbered, late), others)])
    else:
        settled, ready = False, search.ready(numbered, variants, shifts=False)
        late = search.future(numbered, variants, ready)
    if windows.frame.bitemporal:
        late = pl.concat([late, search.by_event_time(_without(numbered, late))])
    # Where values of the future are the rule, what else has one of them decides nothing.
    past = search.at_last_event(_without(numbered, late) if settled else numbered, ready)
    left, asked = _without(numbered, late, past), _without(numbered, late)
    shift = search.shift(left, asked if asked.height <= _MANY else None)
    if shift is not None and shift.later:
        # In rows of the past, too: where values stand on both sides, it counts which side more rows show alone.
        late = pl.concat([late, shift.found if asked.height <= _MANY else search.future(asked, [shift.variant])])
    elif shift is not None:
        past = pl.concat([past, search.past(left, shift.variant)])
    return pl.concat(
        [
            in_places(late.select(FUTURE_HOW, FUTURE_INSTANT), late[NUMBER], numbered.height),
            in_places(past.select(PAST_HOW, PAST_INSTANT), past[NUMBER], numbered.height),
        ],
        how="horizontal",
    )


def _of_columns(window: Window, bounds: WindowBounds, columns: Collection[str]) -> Window:
    """The feature without the aggregates and windows that no column is of; the longest, which has all events, stays."""
    named = {(a, w): f"{window.name}__{a}_{w}" for w in bounds.lengths for a in window.aggregates}
    needed = [pair for pair, name in named.items() if name in columns]
    return window.only({a for a, _ in needed}, {bounds.longest, *(w for _, w in needed)})


@dataclass(frozen=True)
class _Ready:
    """All that a sample is tried with, computed at once where it can be.

    Attributes:
        moved: The windows as of moved label times.
        usable: The rows as of the entity's last usable event.
        last: The windows as of these, moved.
    """

    moved: Moved
    usable: pl.DataFrame
    last: Moved


class _Search(OtherWindows):
    """What values are sought in: other windows of a feature."""

    def likely(self, rows: pl.DataFrame, variants: Sequence[Variant]) -> tuple[list[Variant], bool]:
        """What to look for first: the windows that have the values of most of a sample of the rows.

        Args:
            rows: The rows.
            variants: The windows that are tried, besides those of shifted label times.

        Returns:
            These windows, and whether it is plain that more rows have values of the future alone than of the past alone.
        """
        tried = _sample(rows)
        few = self.of(tried[ENTITY])
        ready = few.ready(tried, variants, shifts=True)
        evaluated = few.evaluated(tried, variants, moved=None if ready is None else ready.moved)
        found = [few.fitting(tried, v, made) for v, made in zip(variants, evaluated, strict=True)]
        past = few.at_last_event(tried, ready)
        most = [fits.height > _MOSTLY * tried.height for fits in found]
        likely = [v for v, is_most in zip(variants, most, strict=True) if is_most]
        future = _first(tried, [fits for fits, is_most in zip(found, most, strict=True) if is_most])
        if not likely:
            shift = few.shift(_without(tried, *found, past), tried, ready)
            if shift is not None and shift.later:
                likely, future = [shift.variant], shift.found
        if future.height <= _MOSTLY * tried.height:
            return [], False
        alone = _without(future, past).height, _without(past, future, *found).height
        return likely, alone[0] > max(_PLAIN * alone[1], _FEWEST)

    def ready(self, rows: pl.DataFrame, variants: Sequence[Variant], *, shifts: bool) -> _Ready | None:
        """All windows that are the feature's own as of moved label times; None where some cannot be moved.

        Args:
            rows: A few rows.
            variants: The windows that are tried, besides those at the last usable event.
            shifts: Those of shifted label times, too.
        """
        own = [self.moves(v) for v in (*variants, *_at_last_event(self.bounds))]
        last = [m for moves in own[len(variants) :] for m in moves or ()]
        if not last:  # no window is moved
            return None
        shifted = (self._shifts if shifts else None) or []
        moves = list(dict.fromkeys([*(m for moves in own[: len(variants)] for m in moves or ()), *shifted]))
        usable = self.last_usable(rows)
        if not self.movable(rows, moves) or not self.movable(usable, last):
            return None
        moved, at_last = self.as_of([(rows, moves), (usable, last)])
        return _Ready(moved, usable, at_last)

    def future(self, rows: pl.DataFrame, variants: Sequence[Variant], ready: _Ready | None = None) -> pl.DataFrame:
        """The rows whose values one of these windows has: ``NUMBER``, ``FUTURE_INSTANT``, ``FUTURE_HOW``, of the first."""
        if not rows.height:
            return _first(rows, [])
        evaluated = self.evaluated(rows, variants, moved=None if ready is None else ready.moved)
        return _first(rows, [self.fitting(rows, v, made) for v, made in zip(variants, evaluated, strict=True)])

    def fitting(self, rows: pl.DataFrame, variant: Variant, made: pl.DataFrame) -> pl.DataFrame:
        """The rows whose values these windows have, as :meth:`future` gives them."""
        if not made[FITS].any():
            return _first(rows, [])
        at = instant(pl.col(KNOWN_AT), self.windows.frame.clock, rows.schema[LIMIT])
        told = pl.DataFrame([made[KNOWN_AT], rows[LIMIT]]).select_seq(at, (at > pl.col(LIMIT)).alias(_TOO_LATE))
        too_late = told[_TOO_LATE].fill_null(value=False)
        # A window may differ by its lower end alone, which lets nothing of the future in. Without an embargo that was
        # due, that nothing happened meanwhile is known too late as well.
        fits = made[FITS] if variant.reaches else made[FITS] & too_late
        late = when(too_late, told[KNOWN_AT]).alias(FUTURE_INSTANT)
        return _found(made[NUMBER], late, fits, variant.how, FUTURE_HOW)

    def past(self, rows: pl.DataFrame, variant: Variant) -> pl.DataFrame:
        """The rows whose values these windows, of usable events alone, have: ``NUMBER``, ``PAST_INSTANT``, ``PAST_HOW``."""
        (made,) = self.evaluated(rows, [variant])
        at = instant(pl.col(KNOWN_AT), self.windows.frame.clock, rows.schema[LIMIT]).alias(PAST_INSTANT)
        return made.filter(FITS).select(NUMBER, at, pl.lit(variant.how).alias(PAST_HOW))

    def by_event_time(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose values windows by event time alone have, as :meth:`future`: of events that were known too late.

        ``FUTURE_INSTANT`` is when the last of the window's events became known.
        """
        nothing = _first(rows, [])
        if not rows.height:
            return nothing
        search = replace(self, windows=self.windows.by_event_time(_SINCE).of(rows[ENTITY]))
        found = [nothing]
        for variant in _by_event_time(self.bounds):
            left = _without(rows, *found)
            (made,) = search.evaluated(left, [variant])
            fitting = left.filter(made[FITS])
            if fitting.height:
                at = instant(pl.col(KNOWN_AT), self.windows.frame.clock, rows.schema[LIMIT])
                since = search.known_last(fitting, variant).hstack(fitting.select(NUMBER, LIMIT))
                late = since.filter(at > pl.col(LIMIT))
                found.append(late.select(NUMBER, at.alias(FUTURE_INSTANT), pl.lit(variant.how).alias(FUTURE_HOW)))
        return pl.concat(found)

    def known_last(self, rows: pl.DataFrame, variant: Variant) -> pl.DataFrame:
        """When the last event became known (``KNOWN_AT``, in ticks) of those windows whose values are sought in each row."""
        times = {_SINCE: pl.Int64(), LABEL_TICK: pl.Int64()}
        source = Source(pl.DataFrame(schema=times), keys=[], timestamp=LABEL_TICK, name="known")
        latest = Window(source, {"last": pl.col(_SINCE).max()}, windows=None, name=self.window.name)
        (made,) = replace(self, window=latest, columns=()).evaluated(rows, [variant])
        lasts = [
            pl.when(pl.col(c.wanted)).then(pl.col(f"{latest.name}__last_{label}"))
            for label in self.bounds.lengths
            for c in self.columns
            if c.own in {f"{latest.name}__{a}_{label}" for a in self.window.aggregates}
        ]
        return made.hstack(rows.select(self._sought)).select(pl.max_horizontal(lasts).alias(KNOWN_AT))

    def last_usable(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as of the entity's last usable event, those that have one."""
        every = (replace(self.bounds, lengths=dict.fromkeys(self.bounds.lengths)),)
        (usable,) = self.evaluated(rows, [Variant("", every)], values=False)
        return rows_where(rows.with_columns(usable[KNOWN_AT].alias(LABEL_TICK)), usable[KNOWN_AT].is_not_null())

    def at_last_event(self, rows: pl.DataFrame, ready: _Ready | None = None) -> pl.DataFrame:
        """The rows whose values are those of the windows as of the entity's last usable event, as :meth:`past`."""
        if not rows.height:
            return _none(rows, PAST_INSTANT, PAST_HOW)
        events = self.windows.frame.clock
        usable = self.last_usable(rows) if ready is None else ready.usable
        at = instant(pl.col(LABEL_TICK), events, rows.schema[LIMIT]).alias(PAST_INSTANT)
        at_last = usable[[LABEL_TICK]].select_seq(at).to_series()
        evaluated = replace(self, clock=events).evaluated(
            usable, _at_last_event(self.bounds), moved=None if ready is None else ready.last
        )
        how = "the window at the entity's last usable event"
        return _first(rows, [_found(made[NUMBER], at_last, made[FITS], how, PAST_HOW) for made in evaluated])

    def shift(self, rows: pl.DataFrame, among: pl.DataFrame | None, ready: _Ready | None = None) -> _Shift | None:
        """The windows as of label times all shifted alike that have the values of most rows; None where none is believed.

        Args:
            rows: The rows.
            among: Rows, these and others, in which the values of later windows are looked for; a sample of the rows
                where it is None.
            ready: Of the latter, where it is at hand.
        """
        if self.clock.kind == "integer" or rows.height < _FEWEST:
            return None
        tried = _sample(rows)
        # With the rows it is looked for in, where these are few: once more would take longer than they do.
        every = among if among is not None and among.height <= _MOST else tried
        few = self if self.windows.height <= LITTLE else self.of(every[ENTITY])
        counted = every[NUMBER].is_in(tried[NUMBER].implode())
        best, most, made = few.best_shift(every, counted, None if ready is None else ready.moved)
        if most < max(_BELIEVED * tried.height, _FEWEST):
            return None
        how = f"the window {format_nanoseconds(abs(best))} {'later' if best > 0 else 'earlier'}"
        # That nothing happened in the time between is known too late as well.
        variant = Variant(how, (replace(self.bounds, embargo=self.bounds.embargo - best),), reaches=best > 0)
        if best < 0:
            return _Shift(later=False, variant=variant, found=_first(rows, []))
        found = few.fitting(every, variant, made) if among is None or every is among else self.future(among, [variant])
        theirs = found.filter(found[NUMBER].is_in(rows[NUMBER].implode()))
        if theirs[FUTURE_INSTANT].is_not_null().sum() < _LATE * theirs.height:
            return None  # the windows differ by their lower ends alone, which lets nothing of the future in
        return _Shift(later=True, variant=variant, found=found)

    def best_shift(self, rows: pl.DataFrame, counted: pl.Series, moved: Moved | None) -> tuple[int, int, pl.DataFrame]:
        """The shift, in nanoseconds, that explains most rows, how many, and the windows of all rows as of it.

        Args:
            rows: The rows.
            counted: Which of them count.
            moved: What :meth:`as_of` gave for the rows, where it is at hand.
        """
        if self._shifts is not None and self.movable(rows, self._shifts):
            (moved,) = self.as_of([(rows, self._shifts)]) if moved is None else (moved,)
            fitting = moved.fitting(counted)
            counts = [fitting[m] for m in self._shifts]
            best = counts.index(max(counts))
            return _SHIFTS[best], counts[best], moved.by(self._shifts[best])
        # Times that label times cannot hold, or values that are told from the label: the embargo is moved.
        shifted = [Variant("", (replace(self.bounds, embargo=self.bounds.embargo - shift),)) for shift in _SHIFTS]
        every = self.evaluated(rows, shifted)
        counts = [int((made[FITS] & counted).sum()) for made in every]
        best = counts.index(max(counts))
        return _SHIFTS[best], counts[best], every[best]

    @property
    def _shifts(self) -> list[int] | None:
        """The shifts that are tried as ticks; None where label times cannot tell them."""
        if self.clock.kind == "integer" or self.since_last or any(s % self.clock.size for s in _SHIFTS):
            return None
        return [shift // self.clock.size for shift in _SHIFTS]


def _at_last_event(bounds: WindowBounds) -> list[Variant]:
    """The windows up to an event, without it and with it: both are met in practice."""
    return [Variant("", (WindowBounds(0, bounds.lengths, strict),)) for strict in (True, False)]


def _found(numbers: pl.Series, at: pl.Series, fits: pl.Series, how: str, name: str) -> pl.DataFrame:
    """The rows that fit: their numbers, an instant of each, and how."""
    found = numbers.filter(fits)
    return pl.DataFrame([found, at.filter(fits), pl.repeat(how, len(found), eager=True, dtype=pl.String).alias(name)])


def _none(rows: pl.DataFrame, at: str, how: str) -> pl.DataFrame:
    """What is found of none of the rows."""
    return pl.DataFrame(schema={NUMBER: rows.schema[NUMBER], at: rows.schema[LIMIT], how: pl.String})


def _first(rows: pl.DataFrame, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows that were found, each as it was found first; of none what :meth:`_Search.future` gives of none."""
    if not found:
        return _none(rows, FUTURE_INSTANT, FUTURE_HOW)
    some = [f for f in found if f.height] or found[:1]
    return some[0] if len(some) == 1 else pl.concat(some).unique(NUMBER, keep="first", maintain_order=True)


def _sample(rows: pl.DataFrame) -> pl.DataFrame:
    """Some of the rows, in order, always the same: at random, since labels of an entity may come at regular numbers."""
    if rows.height <= _MOST:
        return rows
    return rows[sorted(random.Random(rows.height).sample(range(rows.height), _MOST))]  # noqa: S311 - no secret


def _without(rows: pl.DataFrame, *found: pl.DataFrame) -> pl.DataFrame:
    """The rows that are in none of the frames."""
    if not rows.height or all(not f.height for f in found):
        return rows
    if any(f[NUMBER].equals(rows[NUMBER]) for f in found):
        return rows.clear()
    numbers = [rows[NUMBER], *(f[NUMBER] for f in found if f.height)]
    most = max(int(n.max()) for n in numbers)  # type: ignore[arg-type]
    left = pl.repeat(value=True, n=most + 1, eager=True)
    for taken in numbers[1:]:
        left = left.scatter(taken, values=False)
    return rows_where(rows, left[rows[NUMBER]])


def _by_event_time(bounds: WindowBounds) -> Iterator[Variant]:
    """Windows of events by their own time, whenever they became known."""
    ignored = "by event time, availability ignored"
    yield Variant(f"the window {ignored}", (bounds,))
    for variant in _too_far(bounds):
        if not variant.endless:  # which holds the same events either way
            yield replace(variant, how=f"{variant.how}, {ignored}")


def _too_far(bounds: WindowBounds) -> Iterator[Variant]:
    """Windows that may reach past the last usable instant."""
    without = "without the embargo" if bounds.embargo else "with events exactly at the label"
    for strict in (True, False):
        if bounds.embargo or (bounds.strict and not strict):
            variant = (replace(bounds, embargo=0, strict=strict),)
            yield Variant(f"the window {without}", variant, reaches=bounds.embargo > 0)
    for strict in (True, False):
        after = tuple(
            WindowBounds(-(length or _ENDLESS), {w: length or _ENDLESS}, strict) for w, length in bounds.lengths.items()
        )
        yield Variant("the time after the label", after)
    everything = WindowBounds(-_ENDLESS, dict.fromkeys(bounds.lengths), strict=False)
    yield Variant("all events of the entity", (everything,), endless=True)
