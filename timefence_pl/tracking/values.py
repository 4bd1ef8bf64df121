"""Values that runs log, as JSON holds them and back.

Takes what a user logs, gives plain values or an error before anything is written. Numbers that JSON cannot spell (NaN,
infinities, integers past 64 bits) stand as ``{"$number": "nan"}``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from timefence_pl.errors import TimefenceValidationError, message
from timefence_pl.store.names import checked_stored_name

__all__ = ["from_json", "logged_metrics", "logged_values", "to_json"]

_MARK: Final = "$number"
_WIDE: Final = 1 << 63
_DEEPEST: Final = 32


def logged_values(role: str, given: object) -> dict[str, Any]:
    """Parameters or tags, as JSON holds them.

    Raises:
        InvalidNameError: If a name could not stand in the store.
        TimefenceValidationError: If JSON does not hold a value.
    """
    if not isinstance(given, Mapping):
        raise TimefenceValidationError(
            message(f"{given!r:.200} is no mapping of {role}s.", fix=f"Give {{'name': value}}, for one {role} too.")
        )
    values = {checked_stored_name(role, name): value for name, value in given.items()}
    plain = {}
    for name, value in values.items():
        try:
            plain[name] = to_json(value)
        except TypeError as error:
            raise TimefenceValidationError(
                message(
                    f"The {role} {name!r} cannot be kept: {error}.",
                    fix="Log numbers, text, lists and dictionaries; str(value) of anything else.",
                )
            ) from error
    return plain


def logged_metrics(given: object) -> dict[str, Any]:
    """Metrics, as JSON holds them: each a number.

    Raises:
        InvalidNameError: If a name could not stand in the store.
        TimefenceValidationError: If a value is not a number.
    """
    if not isinstance(given, Mapping):
        raise TimefenceValidationError(message(f"{given!r:.200} is no mapping of metrics.", fix="Give {'name': 0.9}."))
    plain: dict[str, Any] = {}
    for name, value in given.items():
        checked_stored_name("metric", name)
        number = _scalar(value)
        if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
            raise TimefenceValidationError(
                message(
                    f"The metric {name!r} is {value!r:.100}, a {type(value).__name__}, not a number.",
                    fix="Log numbers as metrics, and anything else as parameters or tags.",
                )
            )
        plain[name] = to_json(float(number) if isinstance(number, Decimal) else number)
    return plain


def to_json(value: Any, depth: int = 0) -> Any:
    """A value as JSON holds it; lists for tuples and sets, text for times and paths.

    Raises:
        TypeError: If it is nothing that JSON holds.
    """
    if depth > _DEEPEST:
        raise TypeError("it is nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return to_json(value.value, depth + 1)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if -_WIDE <= value < _WIDE else {_MARK: str(int(value))}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_MARK: str(float(value))}
    if isinstance(value, Mapping):
        if any(not isinstance(k, str) for k in value):
            raise TypeError("a dictionary in it has keys that are not text")
        return {_text(k): to_json(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [to_json(v, depth + 1) for v in items]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    if isinstance(value, os.PathLike):
        return _text(str(os.fspath(value)))
    plain = _scalar(value)
    if plain is value:
        raise TypeError(f"a value of type {type(value).__name__} has no JSON form")
    return to_json(plain, depth + 1)


def from_json(value: Any) -> Any:
    """The value that :func:`to_json` was given, as nearly as JSON holds it."""
    if isinstance(value, dict):
        if value.keys() == {_MARK} and isinstance(value[_MARK], str):
            return _number(value[_MARK])
        return {k: from_json(v) for k, v in value.items()}
    return [from_json(v) for v in value] if isinstance(value, list) else value


def _number(text: str) -> Any:
    try:
        return float(text) if text in ("nan", "inf", "-inf") else int(text)
    except ValueError:
        return text


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise TypeError("a text in it is not Unicode") from error
    return str(value)


def _scalar(value: Any) -> Any:
    """The Python value of a scalar of another library, as NumPy's; what is none stays what it is."""
    item = getattr(value, "item", None)
    if item is None or isinstance(value, int | float | str | bool) or getattr(value, "shape", ()) not in ((), (1,)):
        return value
    try:
        return item()
    except (TypeError, ValueError):
        return value
