"""The errors of the package and the few helpers that word them.

Takes plain values (names, counts, example rows), gives exceptions. Knows no definition, plan or frame.

Every message says what happened, where, why it matters and how to mend it. The tree::

    TimefenceError
    +-- TimefenceConfigError        an invalid argument, or combination of arguments
    +-- TimefenceValidationError    input that is missing or cannot be used
    +-- TimefenceSchemaError        a column that is missing, or has a data type that does not fit
    +-- TimefenceDuplicateError     a label would have to choose between duplicate feature rows
    +-- TimefenceTimezoneError      naive and time-zone-aware times would be compared
    +-- TimefenceLeakageError       a data set carries the future
    +-- TimefenceStoreError         the store or an output cannot be read or written
        +-- IntegrityError              bytes or rows are not those that were recorded
        |   +-- DvcMismatchError            data is not what its .dvc file says
        +-- NotFoundError               there is no such version, alias, run or artifact
        +-- AliasConflictError          an alias was not where it was expected
        +-- TagExistsError              a tag, which never moves, names another version
        +-- InUseError                  what is to be deleted is used
        +-- InvalidNameError            a name that could not stand in the store; also a ValueError
        +-- DvcUnsupportedHashError     a .dvc file whose hash cannot be checked here
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "AliasConflictError",
    "DvcMismatchError",
    "DvcUnsupportedHashError",
    "InUseError",
    "IntegrityError",
    "InvalidNameError",
    "NotFoundError",
    "TagExistsError",
    "TimefenceConfigError",
    "TimefenceDuplicateError",
    "TimefenceError",
    "TimefenceLeakageError",
    "TimefenceSchemaError",
    "TimefenceStoreError",
    "TimefenceTimezoneError",
    "TimefenceValidationError",
    "did_you_mean",
    "did_you_mean_file",
    "listing",
    "message",
    "without_secrets",
]

_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")
#: Of a whole address, or of what others say of one: ``?name=value``.
_QUERY: Final = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]+|(?<=\w)\?[\w.~%-]+=[^\s'\"]*", re.IGNORECASE)
_PASSED_THROUGH: Final = "\n\nThis error occurred in the following expression:\n"


class TimefenceError(Exception):
    """Base of all errors raised on purpose by this package."""

    def __str__(self) -> str:
        """The message, without what Polars appends where an error passes through one of its expressions."""
        return super().__str__().partition(_PASSED_THROUGH)[0]


class TimefenceConfigError(TimefenceError):
    """An invalid argument, or combination of arguments."""


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


class IntegrityError(TimefenceStoreError):
    """Bytes or rows are not those that were recorded.

    Attributes:
        expected: What was recorded: a hash, a size, columns.
        actual: What is there.
    """

    def __init__(self, text: str, *, expected: object = None, actual: object = None) -> None:
        super().__init__(text)
        self.expected = expected
        self.actual = actual


class NotFoundError(TimefenceStoreError):
    """There is no such feature set, version, alias, run or artifact."""


class AliasConflictError(TimefenceStoreError):
    """An alias was not where it was expected to be; another writer moved it.

    Attributes:
        expected: The version it was expected at; None for no alias.
        actual: The version it is at; None where there is none.
    """

    def __init__(self, text: str, *, expected: int | None = None, actual: int | None = None) -> None:
        super().__init__(text)
        self.expected = expected
        self.actual = actual


class TagExistsError(TimefenceStoreError):
    """A tag, which never moves, names another version already."""


class InUseError(TimefenceStoreError):
    """What is to be deleted is used.

    Attributes:
        users: The runs, aliases and tags that use it.
    """

    def __init__(self, text: str, *, users: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.users = tuple(users)


class InvalidNameError(TimefenceStoreError, ValueError):
    """A name that could not stand in the store, or would lead out of it."""


class DvcMismatchError(IntegrityError):
    """Data is not what its ``.dvc`` file says."""


class DvcUnsupportedHashError(TimefenceStoreError):
    """A ``.dvc`` file names no hash that can be checked here."""


def message(what: str, *, where: str = "", why: str = "", fix: str | Sequence[str] = "") -> str:
    """Lay out one error message: what happened, where, why it matters, how to mend it; without secrets of addresses.

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
    return without_secrets("\n".join(parts))


def without_secrets(text: str) -> str:
    """A text without what its addresses may carry: user and password, and the query, which may be a signature."""
    return _QUERY.sub(lambda found: f"{found[1] or ''}?...", _USER.sub("", text))


def listing(names: Iterable[object], limit: int = 12) -> str:
    """Names for a message: ``'a', 'b', 'c' and 4 more``."""
    items = list(names)
    shown = ", ".join(repr(str(n)) for n in items[:limit])
    return shown + (f" and {len(items) - limit} more" if len(items) > limit else "") or "none"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence that proposes the nearest of ``candidates``, or an empty string."""
    near = _nearest(name, candidates)
    return "" if near is None else f"Did you mean {near!r}?"


def did_you_mean_file(name: str, beside: Iterable[str]) -> str:
    """As :func:`did_you_mean`, of files' names: that all end in ``.parquet`` makes none of them alike."""
    stem, _, suffix = name.partition(".")
    files: dict[str, str] = {}
    for file in sorted(beside, key=lambda f: f.partition(".")[2] != suffix):
        files.setdefault(file.partition(".")[0] or file, file)
    near = _nearest(stem or name, files)
    return "" if near is None else f"Did you mean {files[near]!r}?"


def _nearest(name: str, candidates: Iterable[str]) -> str | None:
    names = [str(c) for c in candidates]
    folded: dict[str, str] = {}
    for candidate in names:
        folded.setdefault(candidate.lower().replace("_", ""), candidate)
    wanted = name.lower().replace("_", "")
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    if not near:
        near = [f for f in folded if len(f) > 2 and len(wanted) > 2 and (f in wanted or wanted in f)][:1]
    return folded[near[0]] if near else None
