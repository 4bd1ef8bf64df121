"""Where wrong values of window features came from: the same windows, as of other times.

Takes the rows whose values are wrong and the events, gives for each whether a window that reaches past the last usable
instant has the value (no embargo, the time after the label, all events), and whether the one at the entity's last
usable event has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from timefence_pl.definitions.aggregates import uses_since_last
from timefence_pl.definitions.window import Window
from timefence_pl.durations import format_nanoseconds
from timefence_pl.leakage.equality import Tolerance, equal
from timefence_pl.leakage.history import instant
from timefence_pl.leakage.origins import LIMIT, Sought
from timefence_pl.plan.latest import LABEL_TICK, VALID, Probe
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock
from timefence_pl.plan.time_key import ENTITY, KEY, SECOND_HASH, pack_wide, rows_of
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.windows import WindowBounds, WindowMatch, aggregate

__all__ = ["FUTURE_HOW", "FUTURE_INSTANT", "PAST_HOW", "PAST_INSTANT", "window_origins"]

#: What window has the value: one that reaches too far, and one that ends too early; null where there is none.
FUTURE_HOW: Final = "__tf_future_how"
PAST_HOW: Final = "__tf_past_how"
#: When the youngest event of it became known; null where the former holds no event that came too late.
FUTURE_INSTANT: Final = "__tf_future_instant"
PAST_INSTANT: Final = "__tf_past_instant"

_SHIFT: Final = "__tf_shift"
_ROW: Final = "__tf_nth"
_KNOWN: Final = "__tf_known_at"
#: Longer than any two times are apart.
_ENDLESS: Final = 1 << 90
#: Shifts of the label time that are tried: of time zones, and of days.
_HALF_HOUR: Final = 1_800_000_000_000
_HALF_HOURS: Final = (*range(1, 29), 11.5, 72, 48, 96, 144, 336, 672, 1440)
_SHIFTS: Final = tuple(sign * int(n * _HALF_HOUR) for n in _HALF_HOURS for sign in (1, -1))
#: A shift is believed where it explains this share of at least so many of at most so many rows.
_BELIEVED, _FEWEST, _MOST = 0.8, 5, 300
#: With so many events a wrong row those of other entities are left out first.
_FEW: Final = 8
#: A later shift is believed where at least this share of the rows it explains holds an event that came too late.
_LATE: Final = 0.05


@dataclass(frozen=True)
class _Variant:
    """One other way to take the windows: bounds (for some or all lengths), and what it is, in words.

    Attributes:
        how: What it is.
        bounds: For all lengths, or for each.
        reaches: Whether it reaches past the last usable instant even where no event lies there.
    """

    how: str
    bounds: tuple[WindowBounds, ...]
    reaches: bool = False


def window_origins(
    wrong: pl.DataFrame,
    window: Window,
    bounds: WindowBounds,
    events: SortedEvents,
    clock: Clock,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """Look for the values found in windows as of other times.

    Args:
        wrong: ``ENTITY``, ``LABEL_TICK``, ``VALID``, for hashed keys ``SECOND_HASH``, ``LIMIT`` and the values found.
        window: The feature.
        bounds: As it was rebuilt.
        events: Its events.
        clock: Of the label time.
        columns: The columns that must be equal in the rows they are sought in; their ``own`` names are
            ``{feature}__{column}``.
        tolerance: For floats.

    Returns:
        ``FUTURE_HOW``, ``FUTURE_INSTANT``, ``PAST_HOW`` and ``PAST_INSTANT``, one row per row of ``wrong``, in order.
    """
    late: list[pl.DataFrame] = []
    numbered = wrong.with_row_index(_ROW)
    if _FEW * wrong.height < events.frame.select(pl.len()).collect().item():
        events = _of_entities(events, wrong[ENTITY])
    at = instant(pl.col(_KNOWN), events.clock)
    too_late = (at > pl.col(LIMIT)).fill_null(value=False)
    variants = list(_too_far(bounds))
    history = _Variant("", (replace(bounds, lengths=dict.fromkeys(bounds.lengths)),))
    *evaluated, usable = _evaluated(numbered, window, [*variants, history], events, clock)
    for variant, windows in zip(variants, evaluated, strict=True):
        made = windows.hstack(numbered.select(LIMIT, *_of_wrong(columns)))
        # A window may differ by its lower end alone, which lets nothing of the future in. Without an embargo that was
        # due, that nothing happened meanwhile is known too late as well.
        fits = _fits(columns, tolerance) if variant.reaches else _fits(columns, tolerance) & too_late
        late.append(
            made.filter(fits).select(
                _ROW, pl.when(too_late).then(at).alias(FUTURE_INSTANT), pl.lit(variant.how).alias(FUTURE_HOW)
            )
        )
    past = _at_last_event(numbered, usable[_KNOWN], window, bounds, events, columns, tolerance)
    explained = pl.concat([p.select(_ROW) for p in (*late, past)])
    shifted = _shifted(numbered.join(explained, on=_ROW, how="anti"), window, bounds, events, clock, columns, tolerance)
    if shifted is not None and FUTURE_HOW in shifted.columns:
        late.append(shifted)
    elif shifted is not None:
        past = pl.concat([past, shifted])
    future = pl.concat(late)  # the likelier ones first
    return (
        numbered.select(_ROW)
        .join(future.unique(_ROW, keep="first", maintain_order=True), on=_ROW, how="left", maintain_order="left")
        .join(past, on=_ROW, how="left", maintain_order="left")
        .select(FUTURE_HOW, FUTURE_INSTANT, PAST_HOW, PAST_INSTANT)
    )


def _shifted(
    rows: pl.DataFrame,
    window: Window,
    bounds: WindowBounds,
    events: SortedEvents,
    clock: Clock,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame | None:
    """The rows whose values are those of the windows as of label times all shifted alike; None where no shift is."""
    if clock.kind == "integer" or rows.height < _FEWEST:
        return None
    tried = rows.gather_every(-(-rows.height // _MOST))
    best, most = _best_shift(tried, window, bounds, _of_entities(events, tried[ENTITY]), clock, columns, tolerance)
    if most < max(_BELIEVED * tried.height, _FEWEST):
        return None
    moved = _Variant("", (replace(bounds, embargo=bounds.embargo - best),))
    (made,) = _evaluated(rows, window, [moved], events, clock)
    made = made.hstack(rows.select(LIMIT, *_of_wrong(columns)))
    at = instant(pl.col(_KNOWN), events.clock)
    how = f"the window {format_nanoseconds(abs(best))} {'later' if best > 0 else 'earlier'}"
    found = made.filter(_fits(columns, tolerance))
    if best < 0:
        return found.select(_ROW, at.alias(PAST_INSTANT), pl.lit(how).alias(PAST_HOW))
    late = found.select((at > pl.col(LIMIT)).fill_null(value=False)).to_series()
    if late.sum() < _LATE * found.height:
        return None  # the windows differ by their lower ends alone, which lets nothing of the future in
    # That nothing happened in the time between is known too late as well.
    return found.select(_ROW, pl.when(late).then(at).alias(FUTURE_INSTANT), pl.lit(how).alias(FUTURE_HOW))


def _best_shift(
    tried: pl.DataFrame,
    window: Window,
    bounds: WindowBounds,
    events: SortedEvents,
    clock: Clock,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> tuple[int, int]:
    """The shift, in nanoseconds, that explains most of some rows, and how many."""
    fits = _fits(columns, tolerance)
    far = max(_SHIFTS) // clock.size
    tick = pl.col(LABEL_TICK)
    since_last = any(uses_since_last(e) for e in window.aggregates.values())
    exact = not any(shift % clock.size for shift in _SHIFTS)
    if exact and not since_last and tried.select(tick.is_between(INT64_MIN + far, INT64_MAX - far).all()).item():
        # As label times of one evaluation: a variant takes far longer to prepare than to compute.
        ticks = pl.DataFrame({_SHIFT: [shift // clock.size for shift in _SHIFTS]}, schema={_SHIFT: pl.Int64})
        every = ticks.join(tried.drop(_ROW), how="cross", maintain_order="left_right")
        every = every.with_columns(tick + pl.col(_SHIFT)).drop(_SHIFT).with_row_index(_ROW)
        (made,) = _evaluated(every, window, [_Variant("", (bounds,))], events, clock)
        fitting = made.hstack(every.select(_of_wrong(columns))).select(fits).to_series()
        counts = fitting.reshape((len(_SHIFTS), tried.height)).arr.sum().to_list()
    else:
        # Times that label times cannot hold, or values that are told from the label: the embargo is moved.
        moved = [_Variant("", (replace(bounds, embargo=bounds.embargo - shift),)) for shift in _SHIFTS]
        found = tried.select(_of_wrong(columns))
        evaluated = _evaluated(tried, window, moved, events, clock)
        counts = [made.hstack(found).select(fits.sum()).item() for made in evaluated]
    most = max(counts)
    return _SHIFTS[counts.index(most)], most


def _of_entities(events: SortedEvents, entities: pl.Series) -> SortedEvents:
    """The events of a few entities, where they can be taken out without breaking the order of availability."""
    if events.bitemporal:
        return events
    every = events.frame.collect(engine="in-memory")
    some = every.select(pl.all().gather(rows_of(events.spec, every[KEY], entities)))
    return replace(events, frame=some.lazy().set_sorted(KEY))


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
    yield _Variant("all events of the entity", (everything,))


def _evaluated(
    rows: pl.DataFrame, window: Window, variants: Sequence[_Variant], events: SortedEvents, clock: Clock
) -> list[pl.DataFrame]:
    """For each variant the windows' columns, the instant of their youngest event (``_KNOWN``, in ticks) and ``_ROW``."""
    hashed = [SECOND_HASH] if SECOND_HASH in rows.columns else []
    keep = [_ROW, ENTITY, LABEL_TICK, VALID, *hashed]
    probes = rows.select(keep).sort(pack_wide(pl.col(ENTITY), pl.col(LABEL_TICK)))
    matches = [
        WindowMatch(window, bounds, known=f"{_KNOWN}/{v}/{i}", name=f"{v}/{i}")
        for v, variant in enumerate(variants)
        for i, bounds in enumerate(variant.bounds)
    ]
    found = aggregate(Probe(probes.drop(_ROW).lazy(), clock), events, matches).collect(engine="in-memory")
    made = found.with_columns(probes[_ROW]).sort(_ROW)
    evaluated = []
    for v, variant in enumerate(variants):
        parts = [f"{v}/{i}" for i in range(len(variant.bounds))]
        columns = {
            c: f"{window.name}__{c.removeprefix(p + '__')}"
            for p in parts
            for c in made.columns
            if c.startswith(p + "__")
        }
        youngest = pl.max_horizontal(f"{_KNOWN}/{p}" for p in parts).alias(_KNOWN)
        evaluated.append(made.select(_ROW, *(pl.col(c).alias(new) for c, new in columns.items()), youngest))
    return evaluated


def _of_wrong(columns: Sequence[Sought]) -> list[str]:
    return [name for c in columns for name in (c.found, c.wanted)]


def _fits(columns: Sequence[Sought], tolerance: Tolerance) -> pl.Expr:
    """Whether a window has all values that are sought in its row."""
    # The type of since_last() follows the clock of the time it is taken at.
    return pl.all_horizontal(
        ~pl.col(c.wanted) | equal(pl.col(c.found), pl.col(c.own).cast(c.types[1]), c.types, tolerance) for c in columns
    )


def _at_last_event(
    numbered: pl.DataFrame,
    last: pl.Series,
    window: Window,
    bounds: WindowBounds,
    events: SortedEvents,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """The rows whose values are those of the windows as of the entity's last usable event, known at ``last``."""
    rows = numbered.with_columns(last.alias(LABEL_TICK)).filter(pl.col(LABEL_TICK).is_not_null())
    # Up to that event, without it and with it: both are met in practice.
    variants = [_Variant("", (WindowBounds(0, bounds.lengths, strict),)) for strict in (True, False)]
    at = instant(pl.col(LABEL_TICK), events.clock).alias(PAST_INSTANT)
    how = pl.lit("the window at the entity's last usable event").alias(PAST_HOW)
    fitting = [
        made.hstack(rows.select(LABEL_TICK, *_of_wrong(columns)))
        .filter(_fits(columns, tolerance))
        .select(_ROW, at, how)
        for made in _evaluated(rows, window, variants, events, events.clock)
    ]
    return pl.concat(fitting).unique(_ROW, keep="first", maintain_order=True)
