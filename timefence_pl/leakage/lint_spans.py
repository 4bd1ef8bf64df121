"""Lengths of time as serialized plans write them.

Takes durations of plans and literals, gives nanoseconds. A month counts as its longest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["DAY", "duration_literal", "span", "text_span"]

DAY: Final = 86_400_000_000_000
_UNITS: Final = {"Nanoseconds": 1, "Microseconds": 1_000, "Milliseconds": 1_000_000}
_MONTH: Final = 31
#: Lengths of units in texts, calendar units at their longest; ``i`` counts integers.
_LENGTHS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": DAY,
    "w": 7 * DAY,
    "mo": _MONTH * DAY,
    "q": 92 * DAY,
    "y": 366 * DAY,
    "i": 1,
}
_SHORTEST: Final = {"mo": 28 * DAY, "q": 90 * DAY, "y": 365 * DAY}


def span(duration: Mapping[str, Any]) -> int:
    """A plan's duration in nanoseconds; rows, where times are integers."""
    days = duration["months"] * _MONTH + duration["weeks"] * 7 + duration["days"]
    length = int(days * DAY + duration["nsecs"])
    return -length if duration["negative"] else length


def text_span(text: str, *, shortest: bool = False) -> int | None:
    """``"1d12h"`` or ``"-1mo"`` in nanoseconds; None where it is no duration.

    Args:
        text: The duration.
        shortest: Take calendar units at their shortest instead of their longest.
    """
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    found = re.findall(r"(\d+)([a-z]+)", rest)
    if not found or "".join(n + u for n, u in found) != rest or any(u not in _LENGTHS for _, u in found):
        return None
    lengths = {**_LENGTHS, **_SHORTEST} if shortest else _LENGTHS
    return sign * sum(int(n) * lengths[u] for n, u in found)


def duration_literal(tree: Any, *, shortest: bool = False) -> int | None:
    """A literal duration, or a text that is one, in nanoseconds; None for anything else."""
    while isinstance(tree, dict) and len(tree) == 1:
        ((kind, body),) = tree.items()
        if kind == "Alias":
            tree = body[0]
        elif kind in ("Literal", "Scalar"):
            tree = body
        elif kind == "Duration" and isinstance(body, list) and isinstance(body[0], int):
            return int(body[0]) * _UNITS[body[1]]
        elif kind == "String":
            return text_span(str(body), shortest=shortest)
        else:
            return None
    return None
