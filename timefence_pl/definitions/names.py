"""Checks of the names and columns that users give; shared by all definitions.

Takes raw arguments, gives tuples of names or a ``TimefenceError``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from timefence_pl.choices import shortened
from timefence_pl.errors import TimefenceConfigError, TimefenceValidationError, listing, message

__all__ = ["checked_name", "column_list", "key_mapping_of", "one_column", "sanitised"]

_LONGEST_NAME = 128


def checked_name(role: str, name: object) -> str:
    """A name that may stand in a column, a report and (sanitised) a file name.

    Raises:
        TimefenceConfigError: If it is empty, too long, holds path separators or control characters, or starts
            with a dot.
    """
    if (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_NAME
        and name.strip() == name
        and name.isprintable()
        and not name.startswith((".", "__tf_"))
        and not set(name) & set("/\\")
    ):
        return name
    raise TimefenceConfigError(
        message(
            f"{shortened(name)} is not a valid {role} name.",
            fix=f"Use 1 to {_LONGEST_NAME} printable characters without slashes, not starting with '.' or '__tf_', as in 'spend_30d'.",
        )
    )


def sanitised(name: str) -> str:
    """The name with everything but letters, digits and underscores replaced by an underscore."""
    return re.sub(r"\W", "_", name)


def one_column(role: str, argument: str, value: object) -> str:
    """A single column name."""
    if isinstance(value, str) and value:
        return value
    raise TimefenceConfigError(
        message(
            f"{argument}={shortened(value)} of {role} is not a column name.",
            fix=f"Give {argument} one name, as a string.",
        )
    )


def column_list(role: str, argument: str, value: object, *, empty: bool = False) -> tuple[str, ...]:
    """Column names from a string or a sequence of strings, each once.

    Raises:
        TimefenceValidationError: If there are none where some are needed, one is not a string, or one repeats.
    """
    if isinstance(value, str):
        names: tuple[object, ...] = (value,)
    elif isinstance(value, Sequence):
        names = tuple(value)
    else:
        names = (value,)
    if any(not isinstance(n, str) or not n for n in names):
        raise TimefenceValidationError(
            message(
                f"{argument}={shortened(value)} of {role} are not column names.", fix="Give a name or a list of names."
            )
        )
    if not names and not empty:
        raise TimefenceValidationError(
            message(f"{argument} of {role} cannot be empty.", fix=f"Give {argument} at least one column name.")
        )
    if len(set(names)) != len(names):
        raise TimefenceValidationError(
            message(f"{argument} of {role} name a column twice: {listing(names)}.", fix="Name each column once.")
        )
    return tuple(str(n) for n in names)


def key_mapping_of(role: str, value: object, source_keys: Sequence[str]) -> dict[str, str]:
    """A checked ``{label_key: source_key}``.

    Raises:
        TimefenceConfigError: If it is no mapping of names, maps two label keys to one source key, or names a key
            that the source does not have.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or any(not isinstance(n, str) for pair in value.items() for n in pair):
        raise TimefenceConfigError(
            message(
                f"key_mapping={shortened(value)} of {role} is not a mapping.", fix="Use {'label_key': 'source_key'}."
            )
        )
    mapping = {str(k): str(v) for k, v in value.items()}
    unknown = [v for v in mapping.values() if v not in source_keys]
    if unknown:
        raise TimefenceConfigError(
            message(
                f"key_mapping of {role} names {listing(unknown)}, which the source does not have as keys.",
                where=f"source keys: {listing(source_keys)}",
                fix="Map label keys (left) to source keys (right): {'label_key': 'source_key'}.",
            )
        )
    if len(set(mapping.values())) != len(mapping):
        raise TimefenceConfigError(
            message(f"key_mapping of {role} maps two label keys to one source key.", fix="Map each source key once.")
        )
    return mapping
