"""Checks of plain arguments: one of a few words, a boolean, a function.

Takes what the user passed, of whatever type, gives it back or a ``TimefenceError``. Nothing is compared with ``==`` before
its type is known: frames and arrays answer such a question with a frame, or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from timefence_pl.errors import TimefenceConfigError, TimefenceError, did_you_mean, listing, message

__all__ = ["boolean", "is_file", "mapping_of_names", "one_of", "optional_callable", "path_of", "shortened"]


def one_of(
    value: object,
    known: Sequence[str],
    argument: str,
    *,
    of: str = "",
    fix: str = "",
    error: type[TimefenceError] = TimefenceConfigError,
) -> str:
    """A word of a few.

    Args:
        value: What was passed.
        known: The words.
        argument: The argument's name, for the error.
        of: Whose it is, as in ``feature 'x'``.
        fix: What else helps, after the words.
        error: The error's type.

    Raises:
        TimefenceConfigError: If it is none of them.
    """
    if isinstance(value, str) and value in known:
        return value
    hint = did_you_mean(value, known) if isinstance(value, str) else ""
    raise error(
        message(
            f"{argument}={shortened(value)}{f' of {of}' if of else ''} is not known. {hint}".rstrip(),
            fix=f"Use one of {listing(known)}{fix or '.'}",
        )
    )


def boolean(value: object, argument: str, *, of: str = "") -> bool:
    """True or False, and nothing else.

    Raises:
        TimefenceConfigError: If it is neither.
    """
    if isinstance(value, bool):
        return value
    raise TimefenceConfigError(
        message(f"{argument}={shortened(value)}{f' of {of}' if of else ''} is not a boolean.", fix="Use True or False.")
    )


def optional_callable(value: Callable[..., Any] | None, argument: str) -> None:
    """Refuse what cannot be called, where something is given.

    Raises:
        TimefenceConfigError: If it cannot be.
    """
    if value is not None and (not callable(value) or isinstance(value, type)):
        raise TimefenceConfigError(
            message(f"{argument}={shortened(value)} cannot be called.", fix=f"Give a function, as {argument}=print.")
        )


def mapping_of_names(value: object, argument: str, fix: str) -> Mapping[str, str]:
    """A mapping of texts to texts.

    Raises:
        TimefenceConfigError: If it is none.
    """
    if isinstance(value, Mapping) and all(isinstance(n, str) for pair in value.items() for n in pair):
        return value
    raise TimefenceConfigError(message(f"{argument}={shortened(value)} is not a mapping of names.", fix=fix))


def path_of(value: object, argument: str) -> Path:
    """A path, of a file that need not exist.

    Raises:
        TimefenceConfigError: If it is none.
    """
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str) and text.strip() and "\0" not in text:
            return Path(text).expanduser() if text.startswith("~") else Path(text)
    raise TimefenceConfigError(message(f"{argument}={shortened(value)} is not a path.", fix="Give the path of a file."))


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file; names that are too long for the file system are none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path raises for them


def shortened(value: object, longest: int = 80) -> str:
    """A value in one line, for messages; of frames and other large values their type."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - what a foreign value raises is no answer to a wrong argument
        text = ""
    if not text or "\n" in text:
        return f"a {type(value).__name__}"
    return text if len(text) <= longest else text[: longest - 3] + "..."
