"""Durations: ``"1d12h"`` to exact nanoseconds, and back.

Takes strings, ``timedelta`` or (for integer times) integers, gives a :class:`Duration`. Knows nothing of columns.
A day is 24 hours of elapsed time, on every machine and in every time zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from timefence_pl.choices import shortened
from timefence_pl.errors import TimefenceConfigError, message

__all__ = ["NANOSECONDS", "Duration", "DurationLike", "format_nanoseconds", "parse_duration", "short_span"]

#: Nanoseconds in one of each accepted unit.
NANOSECONDS: Final = {
    "w": 604_800_000_000_000,
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
ACCEPTED: Final = (
    'a string of fixed units w, d, h, m, s, ms, us, ns, as in "30d", "1d12h" or "500ms"; a timedelta; None for '
    "unbounded; or, where times are integers, a non-negative integer in the same unit"
)
# More than the distance between any two 64-bit nanosecond, microsecond or millisecond times.
_LARGEST: Final = 1 << 90
_TOO_LONG: Final = "It is longer than any two times can be apart; None is unbounded."
_PART = re.compile(r"(\d+)(ms|us|ns|w|d|h|m|s)")

DurationLike = str | timedelta | int


@dataclass(frozen=True)
class Duration:
    """An exact, non-negative length of time.

    Attributes:
        amount: Nanoseconds, or units of the integer time column where ``integer`` is set.
        integer: Whether the duration was given as a plain integer, for integer times.
    """

    amount: int
    integer: bool = False

    def __str__(self) -> str:
        return str(self.amount) if self.integer else format_nanoseconds(self.amount)


def parse_duration(value: DurationLike | None, *, name: str = "duration") -> Duration | None:
    """Read a duration exactly.

    Args:
        value: See the accepted forms in the error. ``None`` stays ``None``.
        name: The argument's name, for the error.

    Raises:
        TimefenceConfigError: For empty strings, negative amounts, calendar units and anything else.

    Examples:
        >>> parse_duration("1d12h")
        Duration(amount=129600000000000, integer=False)
        >>> str(parse_duration("90m"))
        '1h30m'
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise _refused(name, value)
    if isinstance(value, int):
        if value < 0:
            raise _refused(name, value, "It is negative.")
        if value > _LARGEST:
            raise _refused(name, value, _TOO_LONG)
        return Duration(value, integer=True)
    if isinstance(value, timedelta):
        amount = (value.days * 86_400_000_000 + value.seconds * 1_000_000 + value.microseconds) * 1_000
        if amount < 0:
            raise _refused(name, value, "It is negative.")
        return Duration(amount)
    if not isinstance(value, str):
        raise _refused(name, value)
    text = value.strip()
    parts = _PART.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise _refused(name, value, _reason(text))
    units = [unit for _, unit in parts]
    if len(set(units)) != len(units):
        raise _refused(name, value, "A unit is given twice.")
    amount = sum(int(number) * NANOSECONDS[unit] for number, unit in parts)
    if amount > _LARGEST:
        raise _refused(name, value, _TOO_LONG)
    return Duration(amount)


def format_nanoseconds(amount: int) -> str:
    """Write nanoseconds in the fewest fixed units (``"1d12h"``); negative amounts get a leading minus."""
    if amount < 0:
        return "-" + format_nanoseconds(-amount)
    if amount == 0:
        return "0s"
    parts = []
    for unit, size in NANOSECONDS.items():
        if unit == "w":
            continue
        count, amount = divmod(amount, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def short_span(amount: int) -> str:
    """Write nanoseconds to the two largest units that count, rounded down: ``"1d12h"`` for a day and 12 h 59 min.

    Examples:
        >>> short_span(131_999_000_000_000)
        '1d12h'
    """
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    sizes = [size for unit, size in NANOSECONDS.items() if unit != "w"]
    place = next((i for i, size in enumerate(sizes) if amount >= size), None)
    if place is None:
        return "0s"
    finest = sizes[min(place + 1, len(sizes) - 1)]
    return sign + format_nanoseconds(amount // finest * finest)


#: What people call units, without an s at the end; M may be a month.
_CALLED: Final = {
    "w": ("week", "wk"),
    "d": ("day",),
    "h": ("hour", "hr"),
    "m": ("minute", "min"),
    "s": ("second", "sec"),
    "ms": ("millisecond",),
    "us": ("microsecond",),
    "ns": ("nanosecond",),
}


def _reason(text: str) -> str:
    if not text:
        return "It is empty; None is unbounded."
    if text.startswith("-"):
        return "It is negative."
    if re.search(r"\d\s*(mo|q|y|mon|months?|quarters?|years?)\b", text, re.IGNORECASE):
        return "Calendar units (mo, q, y) have no fixed length: give days."
    if text.lower() in ("all", "inf", "unbounded", "none"):
        return "None, without quotes, is all of it."
    meant = re.fullmatch(r"(\d+)\s*([a-zA-Z]+)", text)
    if meant is None or meant[2] == "M":
        return ""
    word = meant[2].lower()
    units = [u for u, called in _CALLED.items() if word == u or word.removesuffix("s") in called]
    return f"Did you mean '{meant[1]}{units[0]}'?" if units else ""


def _refused(name: str, value: object, reason: str = "") -> TimefenceConfigError:
    return TimefenceConfigError(
        message(f"{name}={shortened(value)} is not a duration. {reason}".rstrip(), fix=f"Use {ACCEPTED}.")
    )
