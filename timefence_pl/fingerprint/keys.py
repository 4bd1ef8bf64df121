"""Keys: many parts combined into one hash, so that no two different inputs can spell the same bytes.

Takes plain values and other fingerprints, gives ``"xxh3_128:<hex>"`` (or ``"sha256:<hex>"``). Knows nothing of files,
frames, functions or plans.

The encoding of a value is one tag byte, the length of what follows in eight bytes, and what follows: UTF-8 text,
bytes, the shortest signed big-endian integer, IEEE 754 double, or the encodings of the members. Mappings are sorted by
encoded key. ``1``, ``1.0``, ``True``, ``"1"`` and ``b"1"`` all differ; so do lists and tuples.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeAlias

import xxhash

from timefence_pl.errors import TimefenceError, without_secrets

__all__ = [
    "FORMAT_VERSION",
    "Algorithm",
    "Fingerprint",
    "Hasher",
    "Part",
    "Uncacheable",
    "changes",
    "combined",
    "encode",
    "hash_bytes",
    "hash_parts",
    "new_hasher",
]

#: Raised whenever a key of unchanged input would change, or one of changed input would not. Golden tests pin it.
FORMAT_VERSION: Final = 2

Algorithm = Literal["xxh3_128", "sha256"]
#: Anything that a key can be made of: nested plain values (tuples, lists, mappings with any of these as keys).
Part: TypeAlias = Any


class Uncacheable(TimefenceError):  # noqa: N818 - not a fault of the user's: the result is computed every time
    """What a result depends on cannot be named, so that the result must be computed every time.

    Attributes:
        reason: One short sentence that names what.
    """

    def __init__(self, reason: str) -> None:
        self.reason = without_secrets(reason)
        super().__init__(self.reason)


@dataclass(frozen=True)
class Fingerprint:
    """A key, and what it was made of.

    Attributes:
        key: ``"<algorithm>:<hex>"``.
        parts: Names for people (``file part-003.parquet``, ``global features.FACTOR``) and the hash, or the version,
            of each. Equal keys may have parts of different names; the key alone decides.
    """

    key: str
    parts: Mapping[str, str] = field(hash=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))

    def __reduce__(self) -> tuple[type[Fingerprint], tuple[str, dict[str, str]]]:
        return Fingerprint, (self.key, dict(self.parts))


class Hasher(Protocol):
    """A running hash: ``update`` with any buffer, then ``hexdigest``."""

    def update(self, data: Any, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes taken so far."""


def new_hasher(algorithm: Algorithm = "xxh3_128") -> Hasher:
    """An empty running hash.

    Raises:
        ValueError: If the algorithm is not known.
    """
    if algorithm == "xxh3_128":
        return xxhash.xxh3_128()
    if algorithm == "sha256":
        return hashlib.sha256()
    raise ValueError(f"unknown hash algorithm {algorithm!r}; known are xxh3_128 and sha256")


def hash_bytes(data: Any, algorithm: Algorithm = "xxh3_128") -> str:
    """The hash of a buffer, with its algorithm: ``"xxh3_128:<hex>"``."""
    hasher = new_hasher(algorithm)
    hasher.update(data)
    return f"{algorithm}:{hasher.hexdigest()}"


def hash_parts(kind: str, *parts: Part, algorithm: Algorithm = "xxh3_128") -> str:
    """The key of some parts, in order, under a kind that keeps keys of different meaning apart.

    Args:
        kind: What the key is of (``"file"``, ``"plan"``).
        *parts: Plain values, nested at will.
        algorithm: ``"xxh3_128"`` for caches, ``"sha256"`` for what is published.

    Raises:
        TypeError: If a part is not a plain value.

    Examples:
        >>> hash_parts("pair", "a", "b") == hash_parts("pair", "ab", "")
        False
    """
    return hash_bytes(encode((FORMAT_VERSION, kind, parts)), algorithm)


def combined(kind: str, parts: Mapping[str, Part | Fingerprint], *, algorithm: Algorithm | None = None) -> Fingerprint:
    """One fingerprint of named parts; their order does not matter.

    Args:
        kind: What the key is of.
        parts: Plain values or fingerprints, by name. The parts of a fingerprint are named ``"<name>: <part>"``.
        algorithm: As in :func:`hash_parts`; by default that of the fingerprints among the parts, SHA-256 where one has it.

    Examples:
        >>> sorted(combined("feature", {"embargo": "1d", "plan": Fingerprint("x:1", {"polars": "2.1.0"})}).parts)
        ['embargo', 'plan', 'plan: polars']
    """
    if algorithm is None:
        inner = [part.key for part in parts.values() if isinstance(part, Fingerprint)]
        algorithm = "sha256" if any(key.startswith("sha256:") for key in inner) else "xxh3_128"
    named: dict[str, str] = {}
    plain: dict[str, Part] = {}
    for name, part in parts.items():
        if isinstance(part, Fingerprint):
            plain[name] = part.key
            named[name] = part.key
            named.update({f"{name}: {inner}": value for inner, value in part.parts.items()})
        else:
            plain[name] = part
            named[name] = hash_parts("part", part, algorithm=algorithm)
    return Fingerprint(hash_parts(kind, plain, algorithm=algorithm), named)


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs between two breakdowns, in words: ``"file a.parquet changed"``, in the order of the new one.

    A part that only sums up others (``plan`` beside ``plan: polars``) is left out where one of them says more.
    """
    found = []
    for name in [*new, *(n for n in old if n not in new)]:
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if before is None:
            found.append((name, f"{name} is new"))
        elif now is None:
            found.append((name, f"{name} is gone"))
        elif ":" in before or ":" in now:
            found.append((name, f"{name} changed"))
        else:
            found.append((name, f"{name} changed from {before} to {now}"))
    return [words for name, words in found if not any(other.startswith(f"{name}: ") for other, _ in found)]


def encode(value: Part) -> bytes:
    """The unambiguous bytes of a plain value.

    Raises:
        TypeError: If it holds anything else than ``None``, booleans, integers, floats, text, bytes, tuples, lists
            and mappings.
    """
    if value is None:
        return _tagged(b"z", b"")
    if isinstance(value, bool):
        return _tagged(b"b", b"\1" if value else b"\0")
    if isinstance(value, str):
        return _tagged(b"s", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, int):
        return _tagged(b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if isinstance(value, float):
        return _tagged(b"f", struct.pack(">d", value))
    if isinstance(value, bytes | bytearray | memoryview):
        return _tagged(b"y", bytes(value))
    if isinstance(value, tuple):
        return _tagged(b"t", b"".join(map(encode, value)))
    if isinstance(value, list):
        return _tagged(b"l", b"".join(map(encode, value)))
    if isinstance(value, Mapping):
        items = sorted((encode(k), encode(v)) for k, v in value.items())
        return _tagged(b"m", b"".join(k + v for k, v in items))
    raise TypeError(f"a {type(value).__name__} cannot be part of a key")


def _tagged(tag: bytes, payload: bytes) -> bytes:
    return tag + len(payload).to_bytes(8, "little") + payload
