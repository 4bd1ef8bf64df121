"""Names that stand in a store: of feature sets, aliases, tags, experiments, runs, artifacts, parameters and metrics.

Takes what a user gives, gives it back or a ``TimefenceError``. No name becomes part of a path before it was here.
"""

from __future__ import annotations

import re
from typing import Final

from timefence_pl.errors import InvalidNameError, message

__all__ = ["checked_stored_name", "is_stored_name", "nearest_stored_name"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_FORM: Final = (
    "Use 1 to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit, as in 'iris_features'."
)


def is_stored_name(name: object) -> bool:
    """Whether a name may stand in a store: ``[A-Za-z0-9][A-Za-z0-9_.-]{0,127}``, ASCII only."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def checked_stored_name(role: str, name: object) -> str:
    """A name that may stand in a store.

    Args:
        role: What it names, for the message.
        name: The name.

    Raises:
        InvalidNameError: If it is no text, or not ``[A-Za-z0-9][A-Za-z0-9_.-]{0,127}``.

    Examples:
        >>> checked_stored_name("experiment", "feature-sets")
        'feature-sets'
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    shown = repr(name) if len(repr(name)) < 200 else f"{repr(name)[:200]}..."
    raise InvalidNameError(message(f"{shown} is not a valid name of {_article(role)} {role}.", fix=_FORM))


def nearest_stored_name(name: str) -> str:
    """A valid name as near to a given one as can be: what may not stand is replaced by ``_``."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:128]
    return plain if _NAME.fullmatch(plain) else f"x{plain}"[:128]


def _article(role: str) -> str:
    return "an" if role[0] in "aeiou" else "a"
