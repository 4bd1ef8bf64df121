"""References to versions of feature sets.

Takes text, gives its parts: ``name`` or ``name:alias``, ``name:v3``, ``name@sha256:<hex>``. Looks nothing up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from timefence_pl.errors import InvalidNameError, message
from timefence_pl.store.names import checked_stored_name

__all__ = ["LATEST", "Ref", "checked_alias", "parse_ref", "version_number"]

#: The alias that a reference without one means, and that publishing moves by default.
LATEST: Final = "latest"
_VERSION: Final = re.compile(r"v([1-9][0-9]{0,8})")
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{8,64})")
_FORMS: Final = "Use 'name:latest' (an alias or tag), 'name:v3' (a version) or 'name@sha256:...' (a hash)."


@dataclass(frozen=True)
class Ref:
    """What a reference says.

    Attributes:
        name: The feature set.
        version: A version's number, if it names one.
        alias: An alias or tag, if it names one.
        digest: The beginning of a hash, with its algorithm, if it names one.
    """

    name: str
    version: int | None = None
    alias: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:v{self.version}"
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.alias}"


def parse_ref(text: object) -> Ref:
    """The parts of a reference; a name alone means its alias ``latest``.

    Raises:
        InvalidNameError: If it is none, or one of its names could not stand in a store.

    Examples:
        >>> parse_ref("iris:v3")
        Ref(name='iris', version=3, alias=None, digest=None)
    """
    if not isinstance(text, str):
        raise InvalidNameError(message(f"{text!r} is not a reference to a feature set.", fix=_FORMS))
    name, at, digest = text.partition("@")
    if at:
        checked_stored_name("feature set", name)
        if not _DIGEST.fullmatch(digest):
            raise InvalidNameError(
                message(f"{digest!r} in the reference {text!r} is not a hash.", fix="Use sha256: and 8 to 64 digits.")
            )
        return Ref(name, digest=digest)
    name, colon, label = text.partition(":")
    checked_stored_name("feature set", name)
    if not colon:
        return Ref(name, alias=LATEST)
    number = version_number(label)
    return Ref(name, version=number) if number is not None else Ref(name, alias=checked_stored_name("alias", label))


def version_number(label: object) -> int | None:
    """The number of ``v3``; None for anything else."""
    found = _VERSION.fullmatch(label) if isinstance(label, str) else None
    return int(found[1]) if found else None


def checked_alias(role: str, alias: object) -> str:
    """The name of an alias or tag, which cannot look like a version.

    Raises:
        InvalidNameError: If it does, or could not stand in a store.
    """
    name = checked_stored_name(role, alias)
    if version_number(name) is not None or re.fullmatch(r"[vV]\d+", name):
        raise InvalidNameError(
            message(f"{name!r} looks like a version: no {role} can be named so.", fix="Use a word, as in 'prod'.")
        )
    return name
