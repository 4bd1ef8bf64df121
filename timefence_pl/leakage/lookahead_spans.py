"""Lengths of time as reports show them.

Takes nanoseconds (or units of integer times), gives words and lengths that read well.
"""

from __future__ import annotations

import math
from typing import Final

from timefence_pl.durations import NANOSECONDS, format_nanoseconds

__all__ = ["round_span", "shown_span"]

_SPANS: Final = (
    *((unit, (1, 2, 5, 10, 20, 50, 100, 200, 500)) for unit in ("ns", "us", "ms")),
    *((unit, (1, 2, 5, 10, 15, 30)) for unit in ("s", "m")),
    ("h", (1, 2, 3, 6, 12)),
    ("d", (1, 2, 5, 10, 20, 30, 60, 90, 180, 365)),
)


def shown_span(amount: int, *, integer: bool = False) -> str:
    """A length in words, without what is less than a thousandth of it: a cutoff stands a unit after a row."""
    if integer:
        return f"{amount:,}"
    rest = next((size for size in NANOSECONDS.values() if size * 1_000 <= amount), 1)
    return format_nanoseconds(amount // rest * rest)


def round_span(least: float, *, integer: bool) -> float:
    """A length that reads well, and is no shorter."""
    if integer:
        power = 10 ** max(0, math.floor(math.log10(least)))
        return float(next(power * f for f in (1, 2, 5, 10) if power * f >= least))
    parts = [NANOSECONDS[u] * n for u, ns in _SPANS for n in ns]
    return float(next((p for p in parts if p >= least), math.ceil(least / NANOSECONDS["d"]) * NANOSECONDS["d"]))
