"""Where wrong values of window features came from: the same windows, as of other times.

Takes the rows whose values are wrong and the events, gives for each whether a window that reaches past the last usable
instant has the value (no embargo, the time after the label, all events; with availability also the same windows by event
time alone), and whether the one at the entity's last usable event has it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from timefence_pl.definitions.aggregates import uses_since_last
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.durations import format_nanoseconds
from timefence_pl.leakage.equality import Tolerance, equal
from timefence_pl.leakage.history import instant
from timefence_pl.leakage.origins import LIMIT, Sought
from timefence_pl.leakage.places import in_places
from timefence_pl.plan.cached import cached
from timefence_pl.plan.latest import LABEL_TICK, VALID
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock
from timefence_pl.plan.time_key import ENTITY, SECOND_HASH, order_key
from timefence_pl.plan.windows import WindowBounds, WindowMatch, WindowsOver

__all__ = ["FUTURE_HOW", "FUTURE_INSTANT", "PAST_HOW", "PAST_INSTANT", "window_origins"]

#: What window has the value: one that reaches too far, and one that ends too early; null where there is none.
FUTURE_HOW: Final = "__tf_future_how"
PAST_HOW: Final = "__tf_past_how"
#: When the youngest event of it became known; null where the former holds no event that came too late.
FUTURE_INSTANT: Final = "__tf_future_instant"
PAST_INSTANT: Final = "__tf_past_instant"

_PLACE: Final = "__tf_place"
_ROW: Final = "__tf_nth"
_KNOWN: Final = "__tf_known_at"
_SINCE: Final = "__tf_since"
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
#: Over so few events windows of all events are computed for each row of a sample: to prepare another evaluation costs more.
_LITTLE: Final = 1 << 15
#: Of more rows than these, windows that have the values of this share of a sample are looked for first.
_MANY: Final = 5_000
_MOSTLY: Final = 0.5
#: So many times as many rows of a sample are plainly more.
_PLAIN: Final = 4
#: A later shift is believed where at least this share of the rows it explains holds an event that came too late.
_LATE: Final = 0.05


@dataclass(frozen=True)
class _Variant:
    """One other way to take the windows: bounds (for some or all lengths), and what it is, in words.

    Attributes:
        how: What it is.
        bounds: For all lengths, or for each.
        reaches: Whether it reaches past the last usable instant even where no event lies there.
        endless: Whether it has the same events whatever the label.
    """

    how: str
    bounds: tuple[WindowBounds, ...]
    reaches: bool = False
    endless: bool = False


@dataclass(frozen=True)
class _Shift:
    """A shift of the label times that is believed.

    Attributes:
        later: Whether to later times.
        variant: The windows as of these.
        found: If later, the rows that were looked at whose values these have, as :meth:`_Search.future` gives them.
    """

    later: bool
    variant: _Variant
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
    numbered = wrong.with_row_index(_ROW)
    search = _Search(window, bounds, windows, clock, columns, tolerance)
    if _FEW * wrong.height < search.windows.height:
        search = search.of(wrong[ENTITY])
    variants = list(_too_far(bounds))
    first, settled = search.likely(numbered, variants) if numbered.height > _MANY else ([], False)
    late = search.future(numbered, first)
    others = [v for v in variants if v not in first]
    late = pl.concat([late, search.future(_without(numbered, late), others)])
    if windows.frame.bitemporal:
        late = pl.concat([late, search.by_event_time(_without(numbered, late))])
    # Where values of the future are the rule, what else has one of them decides nothing.
    past = search.at_last_event(_without(numbered, late) if settled else numbered)
    left, asked = _without(numbered, late, past), _without(numbered, late)
    shift = search.shift(left, asked if asked.height <= _MANY else None)
    if shift is not None and shift.later:
        # In rows of the past, too: where values stand on both sides, it counts which side more rows show alone.
        late = pl.concat([late, shift.found if asked.height <= _MANY else search.future(asked, [shift.variant])])
    elif shift is not None:
        past = pl.concat([past, search.past(left, shift.variant)])
    return pl.concat(
        [
            in_places(late.select(FUTURE_HOW, FUTURE_INSTANT), late[_ROW], numbered.height),
            in_places(past.select(PAST_HOW, PAST_INSTANT), past[_ROW], numbered.height),
        ],
        how="horizontal",
    )


@dataclass(frozen=True)
class _Search:
    """What values are sought in: other windows of a feature.

    Attributes:
        window: The feature.
        bounds: As it was rebuilt.
        windows: Over its events.
        clock: Of the label time.
        columns: What is sought.
        tolerance: For floats.
    """

    window: Window
    bounds: WindowBounds
    windows: WindowsOver
    clock: Clock
    columns: Sequence[Sought]
    tolerance: Tolerance

    def of(self, entities: pl.Series) -> _Search:
        """The same among the events of a few entities, where these can be taken out without breaking their order."""
        return replace(self, windows=self.windows.of(entities))

    def likely(self, rows: pl.DataFrame, variants: Sequence[_Variant]) -> tuple[list[_Variant], bool]:
        """What to look for first: the windows that have the values of most of a sample of the rows.

        Args:
            rows: The rows.
            variants: The windows that are tried, besides those of shifted label times.

        Returns:
            These windows, and whether it is plain that more rows have values of the future alone than of the past alone.
        """
        tried = _sample(rows)
        few = self.of(tried[ENTITY])
        found = [few.fitting(tried, v, made) for v, made in zip(variants, few.evaluated(tried, variants), strict=True)]
        past = few.at_last_event(tried)
        most = [fits.height > _MOSTLY * tried.height for fits in found]
        likely = [v for v, is_most in zip(variants, most, strict=True) if is_most]
        future = _first(tried, [fits for fits, is_most in zip(found, most, strict=True) if is_most])
        if not likely:
            shift = few.shift(_without(tried, *found, past), tried)
            if shift is not None and shift.later:
                likely, future = [shift.variant], shift.found
        if future.height <= _MOSTLY * tried.height:
            return [], False
        alone = _without(future, past).height, _without(past, future, *found).height
        return likely, alone[0] > max(_PLAIN * alone[1], _FEWEST)

    def future(self, rows: pl.DataFrame, variants: Sequence[_Variant]) -> pl.DataFrame:
        """The rows whose values one of these windows has: ``_ROW``, ``FUTURE_INSTANT``, ``FUTURE_HOW``, of the first."""
        if not rows.height:
            return _first(rows, [])
        evaluated = self.evaluated(rows, variants)
        return _first(rows, [self.fitting(rows, v, made) for v, made in zip(variants, evaluated, strict=True)])

    def fitting(self, rows: pl.DataFrame, variant: _Variant, made: pl.DataFrame) -> pl.DataFrame:
        """The rows whose values these windows have, as :meth:`future` gives them."""
        at = instant(pl.col(_KNOWN), self.windows.frame.clock)
        too_late = (at > pl.col(LIMIT)).fill_null(value=False)
        # A window may differ by its lower end alone, which lets nothing of the future in. Without an embargo that was
        # due, that nothing happened meanwhile is known too late as well.
        fits = self._fits if variant.reaches else self._fits & too_late
        return (
            made.hstack(rows.select(LIMIT, *self._sought))
            .filter(fits)
            .select(_ROW, pl.when(too_late).then(at).alias(FUTURE_INSTANT), pl.lit(variant.how).alias(FUTURE_HOW))
        )

    def past(self, rows: pl.DataFrame, variant: _Variant) -> pl.DataFrame:
        """The rows whose values these windows, of usable events alone, have: ``_ROW``, ``PAST_INSTANT``, ``PAST_HOW``."""
        (made,) = self.evaluated(rows, [variant])
        at = instant(pl.col(_KNOWN), self.windows.frame.clock).alias(PAST_INSTANT)
        found = made.hstack(rows.select(self._sought)).filter(self._fits)
        return found.select(_ROW, at, pl.lit(variant.how).alias(PAST_HOW))

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
            fitting = left.filter(made.hstack(left.select(self._sought)).select(self._fits).to_series())
            if fitting.height:
                at = instant(pl.col(_KNOWN), self.windows.frame.clock)
                since = search.known_last(fitting, variant).hstack(fitting.select(_ROW, LIMIT))
                late = since.filter(at > pl.col(LIMIT))
                found.append(late.select(_ROW, at.alias(FUTURE_INSTANT), pl.lit(variant.how).alias(FUTURE_HOW)))
        return pl.concat(found)

    def known_last(self, rows: pl.DataFrame, variant: _Variant) -> pl.DataFrame:
        """When the last event became known (``_KNOWN``, in ticks) of those windows whose values are sought in each row."""
        times = {_SINCE: pl.Int64(), LABEL_TICK: pl.Int64()}
        source = Source(pl.DataFrame(schema=times), keys=[], timestamp=LABEL_TICK, name="known")
        latest = Window(source, {"last": pl.col(_SINCE).max()}, windows=None, name=self.window.name)
        (made,) = replace(self, window=latest).evaluated(rows, [variant])
        lasts = [
            pl.when(pl.col(c.wanted)).then(pl.col(f"{latest.name}__last_{label}"))
            for label in self.bounds.lengths
            for c in self.columns
            if c.own in {f"{latest.name}__{a}_{label}" for a in self.window.aggregates}
        ]
        return made.hstack(rows.select(self._sought)).select(pl.max_horizontal(lasts).alias(_KNOWN))

    def at_last_event(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose values are those of the windows as of the entity's last usable event, as :meth:`past`."""
        if not rows.height:
            return pl.DataFrame(schema={_ROW: rows.schema[_ROW], PAST_INSTANT: pl.Int128, PAST_HOW: pl.String})
        every = (replace(self.bounds, lengths=dict.fromkeys(self.bounds.lengths)),)
        (usable,) = self.evaluated(rows, [_Variant("", every)], values=False)
        rows = rows.with_columns(usable[_KNOWN].alias(LABEL_TICK)).filter(pl.col(LABEL_TICK).is_not_null())
        # Up to that event, without it and with it: both are met in practice.
        variants = [_Variant("", (WindowBounds(0, self.bounds.lengths, strict),)) for strict in (True, False)]
        events = self.windows.frame.clock
        at = instant(pl.col(LABEL_TICK), events).alias(PAST_INSTANT)
        how = pl.lit("the window at the entity's last usable event").alias(PAST_HOW)
        sought = rows.select(LABEL_TICK, *self._sought)
        fitting = [
            made.hstack(sought).filter(self._fits).select(_ROW, at, how)
            for made in replace(self, clock=events).evaluated(rows, variants)
        ]
        return pl.concat(fitting).unique(_ROW, keep="first", maintain_order=True)

    def shift(self, rows: pl.DataFrame, among: pl.DataFrame | None) -> _Shift | None:
        """The windows as of label times all shifted alike that have the values of most rows; None where none is believed.

        Args:
            rows: The rows.
            among: Rows, these and others, in which the values of later windows are looked for; a sample of the rows
                where it is None.
        """
        if self.clock.kind == "integer" or rows.height < _FEWEST:
            return None
        tried = _sample(rows)
        few = self if self.windows.height <= _LITTLE else self.of(tried[ENTITY])
        # With the rows it is looked for in, where these are few: once more would take longer than they do.
        every = among if among is not None and among.height <= _MOST else tried
        best, most, made = few.best_shift(every, every[_ROW].is_in(tried[_ROW].implode()))
        if most < max(_BELIEVED * tried.height, _FEWEST):
            return None
        how = f"the window {format_nanoseconds(abs(best))} {'later' if best > 0 else 'earlier'}"
        # That nothing happened in the time between is known too late as well.
        variant = _Variant(how, (replace(self.bounds, embargo=self.bounds.embargo - best),), reaches=best > 0)
        if best < 0:
            return _Shift(later=False, variant=variant, found=_first(rows, []))
        if made is not None and (among is None or every is among):
            found = few.fitting(every, variant, made)
        else:
            found = few.future(tried, [variant]) if among is None else self.future(among, [variant])
        theirs = found.filter(found[_ROW].is_in(rows[_ROW].implode()))
        if theirs[FUTURE_INSTANT].is_not_null().sum() < _LATE * theirs.height:
            return None  # the windows differ by their lower ends alone, which lets nothing of the future in
        return _Shift(later=True, variant=variant, found=found)

    def best_shift(self, rows: pl.DataFrame, counted: pl.Series) -> tuple[int, int, pl.DataFrame | None]:
        """The shift, in nanoseconds, that explains most rows, how many, and the windows of all rows, if they are at hand.

        Args:
            rows: The rows.
            counted: Which of them count.
        """
        sought = rows.select(self._sought)
        if not any(s % self.clock.size for s in _SHIFTS) and not self._since_last:
            # As label times of one evaluation: a variant takes far longer to prepare than to compute.
            ticks = [shift // self.clock.size for shift in _SHIFTS]
            if _fit(rows[LABEL_TICK], ticks):
                made = self._as_of(rows, ticks)
                fits = made.hstack(pl.concat([sought] * len(ticks))).select(self._fits).to_series()
                counts = (
                    (fits & pl.concat([counted] * len(ticks))).reshape((len(ticks), rows.height)).arr.sum().to_list()
                )
                best = counts.index(max(counts))
                own = made[best * rows.height : (best + 1) * rows.height]
                return _SHIFTS[best], max(counts), own.with_columns(rows[_ROW])
        # Times that label times cannot hold, or values that are told from the label: the embargo is moved.
        moved = [_Variant("", (replace(self.bounds, embargo=self.bounds.embargo - shift),)) for shift in _SHIFTS]
        marks = [made.hstack(sought).select(self._fits).to_series() & counted for made in self.evaluated(rows, moved)]
        counts = [int(mark.sum()) for mark in marks]
        return _SHIFTS[counts.index(max(counts))], max(counts), None

    def evaluated(self, rows: pl.DataFrame, variants: Sequence[_Variant], *, values: bool = True) -> list[pl.DataFrame]:
        """For each variant the windows' columns, the instant of their youngest event (``_KNOWN``, in ticks) and ``_ROW``.

        Args:
            rows: The label rows.
            variants: The windows.
            values: Compute the columns, too.
        """
        moved = self._by_moves(rows, variants) if values and rows.height <= _MANY else {}
        others = [v for i, v in enumerate(variants) if i not in moved]
        unmoved = iter(self._unmoved(rows, others, values=values) if others else [])
        return [moved[i] if i in moved else next(unmoved) for i in range(len(variants))]

    def _unmoved(self, rows: pl.DataFrame, variants: Sequence[_Variant], *, values: bool) -> list[pl.DataFrame]:
        little = rows.height <= _MOST and self.windows.height <= _LITTLE
        if self._since_last or little or not any(v.endless for v in variants):
            return self._each(rows, variants, values=values)
        entity = [c for c in (ENTITY, SECOND_HASH) if c in rows.columns]
        alone = iter(self._each(rows, [v for v in variants if not v.endless], values=values))
        # Once an entity, with all its events, not once a row.
        some = rows.unique(entity)
        once = iter(self._each(some, [v for v in variants if v.endless], values=values))
        place = rows.select(entity).join(
            some.select(*entity, pl.int_range(pl.len()).alias(_PLACE)), on=entity, how="left", maintain_order="left"
        )[_PLACE]
        return [
            next(once).select(pl.all().gather(place)).with_columns(rows[_ROW]) if v.endless else next(alone)
            for v in variants
        ]

    def _by_moves(self, rows: pl.DataFrame, variants: Sequence[_Variant]) -> dict[int, pl.DataFrame]:
        """By number, those variants that are the feature's own windows as of moved label times, all computed at once."""
        moves = {i: [m for m in map(self._move, v.bounds) if m is not None] for i, v in enumerate(variants)}
        moves = {i: own for i, own in moves.items() if len(own) == len(variants[i].bounds)}
        every = list(dict.fromkeys(m for own in moves.values() for m in own))
        if not every or not rows.height or not _fit(rows[LABEL_TICK], every):
            return {}
        made = self._as_of(rows, every)
        blocks = {m: made[n * rows.height : (n + 1) * rows.height] for n, m in enumerate(every)}
        return {i: self._of_blocks(rows, variants[i], [blocks[m] for m in own]) for i, own in moves.items()}

    def _of_blocks(self, rows: pl.DataFrame, variant: _Variant, blocks: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """One variant's windows, put together from those of its bounds."""
        name, every = self.window.name, list(zip(variant.bounds, blocks, strict=True))
        columns = [block[f"{name}__{a}_{w}"] for b, block in every for w in b.lengths for a in self.window.aggregates]
        # Windows of several bounds begin together: the longest holds the youngest event of all.
        (youngest,) = (block[_KNOWN] for b, block in every if self.bounds.longest in b.lengths)
        return pl.DataFrame([*columns, youngest, rows[_ROW]])

    def _move(self, bounds: WindowBounds) -> int | None:
        """By how many ticks label times are moved for the feature's own windows to be these; None where they cannot be."""
        own = self.bounds
        if not self._movable or not bounds.lengths.items() <= own.lengths.items():
            return None
        # On one grid, up to and with a tick is before the next one.
        move = own.embargo - bounds.embargo + (own.strict - bounds.strict) * self.clock.size
        return None if move % self.clock.size else move // self.clock.size

    @cached
    def _movable(self) -> bool:
        """Whether windows as of moved label times can be told by moving label times, at the cost of one evaluation."""
        frame, size = self.windows.frame, self.clock.size
        lengths = [n for n in self.bounds.lengths.values() if n is not None]
        return (
            not frame.bitemporal
            and self.clock.ticks_like(frame.event_clock)
            and self.clock.kind == frame.event_clock.kind
            and not any(n % size for n in (self.bounds.embargo, *lengths))
            and not self._since_last
            and self.windows.quick(self.window, self.clock)
        )

    def _as_of(self, rows: pl.DataFrame, moves: Sequence[int]) -> pl.DataFrame:
        """The feature's own windows as of moved label times, all rows for each move: its columns and ``_KNOWN``."""
        hashed = [SECOND_HASH] if SECOND_HASH in rows.columns else []
        ticks = pl.DataFrame({_PLACE: moves}, schema={_PLACE: pl.Int64})
        every = ticks.join(rows.select(ENTITY, LABEL_TICK, VALID, *hashed), how="cross", maintain_order="left_right")
        moved = every.with_columns(pl.col(LABEL_TICK) + pl.col(_PLACE)).drop(_PLACE)
        return self._in_order(moved, [WindowMatch(self.window, self.bounds, known=_KNOWN)])

    def _in_order(self, rows: pl.DataFrame, matches: Sequence[WindowMatch]) -> pl.DataFrame:
        """Windows for label rows in any order."""
        key = order_key(rows[ENTITY], rows[LABEL_TICK])
        if key.is_sorted():
            return self.windows.at(rows, self.clock, matches)
        order = key.arg_sort()
        made = self.windows.at(rows.select(pl.all().gather(order)), self.clock, matches)
        return made.select(pl.all().gather(order.arg_sort()))

    def _each(self, rows: pl.DataFrame, variants: Sequence[_Variant], *, values: bool) -> list[pl.DataFrame]:
        if not variants:
            return []
        name, hashed = self.window.name, [SECOND_HASH] if SECOND_HASH in rows.columns else []
        matches = [
            WindowMatch(self.window, bounds, known=f"{_KNOWN}/{v}/{i}", name=f"{v}/{i}", values=values)
            for v, variant in enumerate(variants)
            for i, bounds in enumerate(variant.bounds)
        ]
        made = self._in_order(rows.select(ENTITY, LABEL_TICK, VALID, *hashed), matches)
        evaluated = []
        for v, variant in enumerate(variants):
            parts = [f"{v}/{i}" for i in range(len(variant.bounds))]
            columns = {
                c: f"{name}__{c.removeprefix(p + '__')}" for p in parts for c in made.columns if c.startswith(p + "__")
            }
            youngest = pl.max_horizontal(f"{_KNOWN}/{p}" for p in parts).alias(_KNOWN)
            own = made.select(*(pl.col(c).alias(new) for c, new in columns.items()), youngest)
            evaluated.append(own.with_columns(rows[_ROW]))
        return evaluated

    @property
    def _since_last(self) -> bool:
        """Whether values are told from the label, so that windows of the same events may differ."""
        return any(uses_since_last(e) for e in self.window.aggregates.values())

    @property
    def _sought(self) -> list[str]:
        return [name for c in self.columns for name in (c.found, c.wanted)]

    @property
    def _fits(self) -> pl.Expr:
        """Whether a window has all values that are sought in its row."""
        # The type of since_last() follows the clock of the time it is taken at.
        return pl.all_horizontal(
            ~pl.col(c.wanted) | equal(pl.col(c.found), pl.col(c.own).cast(c.types[1]), c.types, self.tolerance)
            for c in self.columns
        )


def _first(rows: pl.DataFrame, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows found of the future, each as it was found first: ``_ROW``, ``FUTURE_INSTANT`` and ``FUTURE_HOW``."""
    if not found:
        return pl.DataFrame(schema={_ROW: rows.schema[_ROW], FUTURE_INSTANT: pl.Int128, FUTURE_HOW: pl.String})
    every = pl.concat(found)
    return every.unique(_ROW, keep="first", maintain_order=True) if len(found) > 1 else every


def _fit(ticks: pl.Series, moves: Sequence[int]) -> bool:
    """Whether all ticks, moved, are of 64 bits, and not its ends."""
    far = max(abs(m) for m in moves)
    return bool(ticks.is_between(INT64_MIN + far + 1, INT64_MAX - far - 1).all()) if far < INT64_MAX else False


def _sample(rows: pl.DataFrame) -> pl.DataFrame:
    """Some of the rows, in order, always the same: at random, since labels of an entity may come at regular numbers."""
    if rows.height <= _MOST:
        return rows
    return rows[sorted(random.Random(rows.height).sample(range(rows.height), _MOST))]  # noqa: S311 - no secret


def _without(rows: pl.DataFrame, *found: pl.DataFrame) -> pl.DataFrame:
    """The rows that are in none of the frames."""
    if not rows.height or all(not f.height for f in found):
        return rows
    if any(f[_ROW].equals(rows[_ROW]) for f in found):
        return rows.clear()
    numbers = [rows[_ROW], *(f[_ROW] for f in found if f.height)]
    most = max(int(n.max()) for n in numbers)  # type: ignore[arg-type]
    left = pl.repeat(value=True, n=most + 1, eager=True)
    for taken in numbers[1:]:
        left = left.scatter(taken, values=False)
    return rows.filter(left[rows[_ROW]])


def _by_event_time(bounds: WindowBounds) -> Iterator[_Variant]:
    """Windows of events by their own time, whenever they became known."""
    ignored = "by event time, availability ignored"
    yield _Variant(f"the window {ignored}", (bounds,))
    for variant in _too_far(bounds):
        if not variant.endless:  # which holds the same events either way
            yield replace(variant, how=f"{variant.how}, {ignored}")


def _too_far(bounds: WindowBounds) -> Iterator[_Variant]:
    """Windows that may reach past the last usable instant."""
    without = "without the embargo" if bounds.embargo else "with events exactly at the label"
    for strict in (True, False):
        if bounds.embargo or (bounds.strict and not strict):
            variant = (replace(bounds, embargo=0, strict=strict),)
            yield _Variant(f"the window {without}", variant, reaches=bounds.embargo > 0)
    for strict in (True, False):
        after = tuple(
            WindowBounds(-(length or _ENDLESS), {w: length or _ENDLESS}, strict) for w, length in bounds.lengths.items()
        )
        yield _Variant("the time after the label", after)
    everything = WindowBounds(-_ENDLESS, dict.fromkeys(bounds.lengths), strict=False)
    yield _Variant("all events of the entity", (everything,), endless=True)
