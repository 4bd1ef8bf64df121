"""How bad a leak is, from its share of the rows and its size in time.

Takes plain numbers, gives one word. The rule is the ancestor's.
"""

from __future__ import annotations

from typing import Final

__all__ = ["severity_of"]

_DAY: Final = 86_400_000_000_000


def severity_of(share: float, largest: int | None, *, clean: bool, endless: bool = False) -> str:
    """``"HIGH"``, ``"MEDIUM"``, ``"LOW"``, or ``"OK"`` where the feature is clean.

    HIGH above 7 days or above 5 % of the rows; MEDIUM above 1 %, or from 1 day; else LOW. A feature that fails without
    leaking is LOW.

    Args:
        share: Leaking rows, as a share of all rows.
        largest: The largest leak, in nanoseconds; None where none is known, or times are integers.
        clean: Whether every row is as it should be.
        endless: Whether a value leaked that never became known.

    Examples:
        >>> severity_of(0.05, 7 * 86_400_000_000_000, clean=False)
        'MEDIUM'
        >>> severity_of(0.01, None, clean=False)
        'LOW'
    """
    if clean:
        return "OK"
    days = (largest or 0) / _DAY
    if endless or days > 7 or share > 0.05:
        return "HIGH"
    return "MEDIUM" if share > 0.01 or days >= 1 else "LOW"
