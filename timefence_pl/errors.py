"""The errors of the package and the few helpers that word them.

Takes plain values (names, counts, example rows), gives exceptions. Knows no definition, plan or frame.

Every message says what happened, where, why it matters and how to mend it. The tree::

    TimefenceError
    +-- TimefenceConfigError        an argument, or a combination of arguments, that cannot be meant
    +-- TimefenceValidationError    input that is missing or cannot be used
    +-- TimefenceSchemaError        a column that is missing, or has a data type that does not fit
    +-- TimefenceDuplicateError     a label would have to choose between duplicate feature rows
    +-- TimefenceTimezoneError      naive and time-zone-aware times would be compared
    +-- TimefenceLeakageError       a data set carries the future
    +-- TimefenceStoreError         the store or an output cannot be read or written
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "TimefenceConfigError",
    "TimefenceDuplicateError",
    "TimefenceError",
    "TimefenceLeakageError",
    "TimefenceSchemaError",
    "TimefenceStoreError",
    "TimefenceTimezoneError",
    "TimefenceValidationError",
    "did_you_mean",
    "listing",
    "message",
]


class TimefenceError(Exception):
    """Base of all errors raised on purpose by this package."""


class TimefenceConfigError(TimefenceError):
    """An argument, or a combination of arguments, that cannot be meant."""


class TimefenceValidationError(TimefenceError):
    """Input that is missing or cannot be used."""


class TimefenceSchemaError(TimefenceError):
    """A column that is missing, or has a data type that does not fit."""


class TimefenceDuplicateError(TimefenceError):
    """A label would have to choose between duplicate feature rows."""


class TimefenceTimezoneError(TimefenceError):
    """Naive and time-zone-aware times would be compared."""


class TimefenceLeakageError(TimefenceError):
    """A data set carries the future."""


class TimefenceStoreError(TimefenceError):
    """The store, or an output, cannot be read or written."""


def message(what: str, *, where: str = "", why: str = "", fix: str | Sequence[str] = "") -> str:
    """Lay out one error message: what happened, where, why it matters, how to mend it.

    Args:
        what: One sentence, the first line.
        where: Facts that locate the fault (source, column, counts, examples), one per line.
        why: Why it matters.
        fix: One way to mend it, or several.
    """
    parts = [what]
    if where:
        parts += ["", *(f"  {line}" for line in where.splitlines())]
    if why:
        parts += ["", *(f"  {line}" for line in why.splitlines())]
    if fix:
        ways = [fix] if isinstance(fix, str) else list(fix)
        if len(ways) == 1:
            parts += ["", f"  Fix: {ways[0]}"]
        else:
            parts += ["", "  Fix (pick one):", *(f"    {i}. {way}" for i, way in enumerate(ways, 1))]
    return "\n".join(parts)


def listing(names: Iterable[object], limit: int = 12) -> str:
    """Names for a message: ``'a', 'b', 'c' and 4 more``."""
    items = list(names)
    shown = ", ".join(repr(str(n)) for n in items[:limit])
    return shown + (f" and {len(items) - limit} more" if len(items) > limit else "") or "none"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence that proposes the nearest of ``candidates``, or an empty string."""
    names = [str(c) for c in candidates]
    folded: dict[str, str] = {}
    for candidate in names:
        folded.setdefault(candidate.lower().replace("_", ""), candidate)
    wanted = name.lower().replace("_", "")
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    if not near:
        near = [f for f in folded if len(f) > 2 and len(wanted) > 2 and (f in wanted or wanted in f)][:1]
    return f"Did you mean {folded[near[0]]!r}?" if near else ""
