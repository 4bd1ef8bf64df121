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

from timefence_pl.definitions.window import Window
from timefence_pl.leakage.equality import Tolerance, equal
from timefence_pl.leakage.history import instant
from timefence_pl.leakage.origins import LIMIT, Sought
from timefence_pl.plan.latest import LABEL_TICK, VALID, Probe
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import ENTITY, SECOND_HASH, pack_wide
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.windows import WindowBounds, WindowMatch, aggregate

__all__ = ["FUTURE_HOW", "FUTURE_INSTANT", "IN_PAST", "PAST_INSTANT", "window_origins"]

#: When the youngest event of the window that reaches too far became known; null where there is no such window.
FUTURE_INSTANT: Final = "__tf_future_instant"
#: What that window is, in words.
FUTURE_HOW: Final = "__tf_future_how"
#: Whether the window at the last usable event has the value, and when that event became known.
IN_PAST: Final = "__tf_in_past_window"
PAST_INSTANT: Final = "__tf_past_instant"

_ROW: Final = "__tf_at"
_KNOWN: Final = "__tf_known_at"
#: Longer than any two times are apart.
_ENDLESS: Final = 1 << 90


@dataclass(frozen=True)
class _Variant:
    """One other way to take the windows: bounds (for some or all lengths) and what it is, in words."""

    how: str
    bounds: tuple[WindowBounds, ...]


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
        columns: The columns that must be equal, all together; their ``own`` names are ``{feature}__{column}``.
        tolerance: For floats.

    Returns:
        ``FUTURE_INSTANT``, ``FUTURE_HOW``, ``IN_PAST`` and ``PAST_INSTANT``, one row per row of ``wrong``, in order.
    """
    late: list[pl.DataFrame] = []
    numbered = wrong.with_row_index(_ROW)
    for variant in _too_far(bounds):
        made = _evaluated(numbered, window, variant, events, clock)
        at = instant(pl.col(_KNOWN), events.clock)
        # A window may differ by its lower end alone, which lets nothing of the future in.
        fits = (_fits(columns, tolerance) & (at > pl.col(LIMIT))).fill_null(value=False)
        late.append(
            made.hstack(numbered.select(LIMIT, *(c.found for c in columns)))
            .filter(fits)
            .select(_ROW, at.alias(FUTURE_INSTANT), pl.lit(variant.how).alias(FUTURE_HOW))
        )
    future = pl.concat(late).sort(FUTURE_INSTANT, maintain_order=True).unique(_ROW, keep="first", maintain_order=True)
    past = _at_last_event(numbered, window, bounds, events, clock, columns, tolerance)
    return (
        numbered.select(_ROW)
        .join(future, on=_ROW, how="left", maintain_order="left")
        .join(past, on=_ROW, how="left", maintain_order="left")
        .select(FUTURE_INSTANT, FUTURE_HOW, pl.col(PAST_INSTANT).is_not_null().alias(IN_PAST), PAST_INSTANT)
    )


def _too_far(bounds: WindowBounds) -> Iterator[_Variant]:
    """Windows that may reach past the last usable instant."""
    without = "without the embargo" if bounds.embargo else "with events exactly at the label"
    for strict in (True, False):
        if bounds.embargo or (bounds.strict and not strict):
            yield _Variant(f"the window {without}", (replace(bounds, embargo=0, strict=strict),))
    for strict in (True, False):
        after = tuple(
            WindowBounds(-(length or _ENDLESS), {w: length or _ENDLESS}, strict) for w, length in bounds.lengths.items()
        )
        yield _Variant("the time after the label", after)
    everything = WindowBounds(-_ENDLESS, dict.fromkeys(bounds.lengths), strict=False)
    yield _Variant("all events of the entity", (everything,))


def _evaluated(
    rows: pl.DataFrame, window: Window, variant: _Variant, events: SortedEvents, clock: Clock
) -> pl.DataFrame:
    """The windows' columns, the instant of their youngest event (``_KNOWN``, in ticks) and ``_ROW``, in order."""
    hashed = [SECOND_HASH] if SECOND_HASH in rows.columns else []
    keep = [_ROW, ENTITY, LABEL_TICK, VALID, *hashed]
    probes = rows.select(keep).sort(pack_wide(pl.col(ENTITY), pl.col(LABEL_TICK)))
    parts = []
    for i, bounds in enumerate(variant.bounds):
        match = WindowMatch(window=window, bounds=bounds, known=f"{_KNOWN}{i}")
        made = aggregate(Probe(probes.drop(_ROW).lazy(), clock), events, [match]).collect(engine="in-memory")
        parts.append(made)
    made = pl.concat([probes.select(_ROW), *parts], how="horizontal")
    youngest = pl.max_horizontal(f"{_KNOWN}{i}" for i in range(len(parts))).alias(_KNOWN)
    return made.with_columns(youngest).sort(_ROW)


def _fits(columns: Sequence[Sought], tolerance: Tolerance) -> pl.Expr:
    # The type of since_last() follows the clock of the time it is taken at.
    return pl.all_horizontal(
        equal(pl.col(c.found), pl.col(c.own).cast(c.types[1]), c.types, tolerance) for c in columns
    )


def _at_last_event(
    numbered: pl.DataFrame,
    window: Window,
    bounds: WindowBounds,
    events: SortedEvents,
    clock: Clock,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """The rows whose values are those of the windows as of the entity's last usable event."""
    history = _Variant("", (replace(bounds, lengths=dict.fromkeys(bounds.lengths)),))
    last = _evaluated(numbered, window, history, events, clock)[_KNOWN]
    rows = numbered.with_columns(last.alias(LABEL_TICK)).filter(pl.col(LABEL_TICK).is_not_null())
    fitting = []
    for strict in (True, False):
        # Up to that event, without it and with it: both are met in practice.
        variant = _Variant("", (WindowBounds(0, bounds.lengths, strict),))
        made = _evaluated(rows, window, variant, events, events.clock)
        whole = made.hstack(rows.select(LABEL_TICK, *(c.found for c in columns)))
        at = instant(pl.col(LABEL_TICK), events.clock).alias(PAST_INSTANT)
        fitting.append(whole.filter(_fits(columns, tolerance)).select(_ROW, at))
    return pl.concat(fitting).unique(_ROW, maintain_order=True)
