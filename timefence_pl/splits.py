"""Splits of a training set by label time.

Takes what the user passes and the label time's clock, gives checked half-open intervals as filters. Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.durations import Duration, DurationLike, parse_duration
from timefence_pl.errors import TimefenceConfigError, message
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock

__all__ = ["Split", "make_splits"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SplitBound = str | date | datetime | int


@dataclass(frozen=True)
class Split:
    """One split: label times in ``[start, end)``, without the rows that a purge drops.

    Attributes:
        name: Its name, part of a file name.
        start: First label tick that belongs to it.
        end: First label tick past it.
        stop: First label tick that is purged, at most ``end``.
        instants: Start and end as they were given, in nanoseconds or integer units.
        shown: Start and end as they were given.
    """

    name: str
    start: int
    end: int
    stop: int
    instants: tuple[int, int]
    shown: tuple[str, str]

    def rows(self, tick: pl.Expr) -> pl.Expr:
        """Whether a label tick is in the split."""
        return (tick >= self.start) & _before(tick, self.stop)

    def purged(self, tick: pl.Expr) -> pl.Expr:
        """Whether a label tick would be in the split but is purged."""
        return ~_before(tick, self.stop) & _before(tick, self.end)


def _before(tick: pl.Expr, end: int) -> pl.Expr:
    return tick < end if end <= INT64_MAX else tick.is_not_null()


def make_splits(
    splits: Mapping[str, Sequence[SplitBound]] | None,
    purge: DurationLike | None,
    clock: Clock,
) -> list[Split]:
    """Check splits and put them into label ticks, in order of start.

    Args:
        splits: ``{name: (start, end)}``; strings (ISO 8601), dates or datetimes, read in the label column's zone;
            integers for integer times.
        purge: Rows of an earlier split with ``label_time >= later start - purge`` are dropped.
        clock: Of the label time.

    Raises:
        TimefenceConfigError: For a bad name, bound or purge, an empty interval, or splits that overlap.
    """
    if splits is None:
        if purge is not None:
            raise TimefenceConfigError(message("purge= is given without splits=.", fix="Give splits, or leave it out."))
        return []
    if not isinstance(splits, Mapping) or not splits:
        raise TimefenceConfigError(
            message(
                f"splits={shortened(splits)} is not a mapping.", fix="Use {'train': ('2024-01-01', '2024-07-01'), ...}."
            )
        )
    gap = parse_duration(purge, name="purge")
    if gap is not None and gap.amount and gap.integer != (clock.kind == "integer"):
        raise TimefenceConfigError(
            message(
                f"purge={purge!r} does not fit the label time ({clock.dtype}).",
                fix="Use a duration with a unit for times, an integer for integers.",
            )
        )
    made = sorted((_split(name, bounds, clock) for name, bounds in splits.items()), key=lambda s: s.instants)
    folded: dict[str, str] = {}
    for split in made:
        other = folded.setdefault(split.name.lower(), split.name)
        if other != split.name:
            raise TimefenceConfigError(
                message(f"Splits {other!r} and {split.name!r} differ in case only.", fix="Rename one.")
            )
    for earlier, later in pairwise(made):
        if later.instants[0] < earlier.instants[1]:
            raise TimefenceConfigError(
                message(
                    f"Splits {earlier.name!r} and {later.name!r} overlap.",
                    where=f"{earlier.name}: {' to '.join(earlier.shown)}\n{later.name}: {' to '.join(later.shown)}",
                    why="Rows in both would be trained on and evaluated on.",
                    fix="Make them half-open and disjoint: one may end where the next starts.",
                )
            )
    return [_purged(split, made[i + 1 :], gap, clock) for i, split in enumerate(made)]


def _purged(split: Split, later: Sequence[Split], gap: Duration | None, clock: Clock) -> Split:
    if gap is None or not later:
        return split
    stop = _first_tick(later[0].instants[0] - gap.amount, clock)
    return replace(split, stop=max(split.start, min(split.end, stop)))


def _split(name: object, bounds: object, clock: Clock) -> Split:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TimefenceConfigError(
            message(
                f"{shortened(name)} is not a valid split name.",
                why="It becomes part of a file name.",
                fix="Use letters, digits, '_', '.' and '-', starting with a letter or digit.",
            )
        )
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise TimefenceConfigError(
            message(
                f"Split {name!r} is {shortened(bounds)}, not a start and an end.", fix="Use (start, end), half-open."
            )
        )
    instants = (_instant(name, bounds[0], clock), _instant(name, bounds[1], clock))
    start, end = (_first_tick(i, clock) for i in instants)
    if instants[0] >= instants[1]:
        raise TimefenceConfigError(
            message(
                f"Split {name!r} is empty: its start {bounds[0]} is not before its end {bounds[1]}.",
                fix="Give an earlier start or a later end.",
            )
        )
    return Split(name, start, end, end, instants, (str(bounds[0]), str(bounds[1])))


def _first_tick(instant: int, clock: Clock) -> int:
    """The first label tick at or after an instant."""
    return max(INT64_MIN, min(INT64_MAX + 1, -((clock.offset - instant) // clock.size)))


def _instant(name: str, bound: object, clock: Clock) -> int:
    """A bound in nanoseconds since 1970 in UTC (naive: in its own zone), or integer units."""
    if clock.kind == "integer":
        if isinstance(bound, int) and not isinstance(bound, bool):
            return bound
        raise _bad_bound(name, bound, "Label times are integers: give an integer.")
    value = bound
    below_micro = getattr(bound, "nanosecond", 0)  # pandas' timestamps have one
    if isinstance(value, str):
        value, below_micro = _without_nanoseconds(value)
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _bad_bound(name, bound, "Use ISO 8601, as in '2024-01-31' or '2024-01-31T12:00:00'.") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - read in the label's zone below
    if not isinstance(value, datetime):
        raise _bad_bound(name, bound, "Use a string, a date or a datetime.")
    aware = value.tzinfo is not None
    if aware and clock.kind != "aware":
        raise _bad_bound(name, bound, "The label time has no time zone: give it without one.")
    try:
        if aware:
            text = pl.Series([value], dtype=pl.Datetime("us", "UTC"))
        else:
            text = pl.Series([value], dtype=pl.Datetime("us"))
            if clock.kind == "aware":
                zone = clock.dtype.time_zone  # type: ignore[attr-defined]
                text = text.dt.replace_time_zone(zone, ambiguous="earliest")
    except pl.exceptions.PolarsError as error:
        raise _bad_bound(name, bound, f"It does not exist in the label's zone ({clock.dtype}).") from error
    return int(text.to_physical()[0]) * 1_000 + below_micro


def _without_nanoseconds(text: str) -> tuple[str, int]:
    """A time's text with its fraction cut to microseconds, and the nanoseconds cut off."""
    found = re.search(r"\.(\d{6})(\d{1,3})(?!\d)", text)
    if found is None:
        return text, 0
    return text[: found.end(1)] + text[found.end(2) :], int(found[2].ljust(3, "0"))


def _bad_bound(name: str, bound: object, fix: str) -> TimefenceConfigError:
    return TimefenceConfigError(message(f"Bound {shortened(bound)} of split {name!r} cannot be read.", fix=fix))
