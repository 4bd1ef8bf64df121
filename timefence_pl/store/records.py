"""JSON records that carry the hash of themselves, so that one changed digit makes them no record.

Takes plain mappings, gives bytes and mappings. Knows nothing of what is in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
import xxhash

__all__ = ["is_sealed", "sealed", "unsealed"]

_SEAL: Final = "record_hash"


def sealed(record: Mapping[str, Any], *, indent: bool = False, algorithm: str = "xxh3_128") -> bytes:
    """A record as JSON, with its hash (``"xxh3_128"`` or ``"sha256"``); what JSON does not hold becomes text."""
    own = {k: v for k, v in record.items() if k != _SEAL}
    try:
        plain = orjson.loads(orjson.dumps(own, default=str))
    except TypeError:  # it holds an integer that no 64 bits do
        plain = orjson.loads(orjson.dumps(_shortened(own), default=str))
    return orjson.dumps({**plain, _SEAL: _hash(plain, algorithm)}, option=orjson.OPT_INDENT_2 if indent else None)


def unsealed(data: bytes) -> dict[str, Any] | None:
    """The record of such bytes; None where they are no record, or not as they were written."""
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and is_sealed(record) else None


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written."""
    seal = record.get(_SEAL)
    algorithm = "sha256" if isinstance(seal, str) and seal.startswith("sha256:") else "xxh3_128"
    return seal == _hash({k: v for k, v in record.items() if k != _SEAL}, algorithm)


def _shortened(value: Any) -> Any:
    """The same with integers of more than 64 bits as text."""
    if isinstance(value, Mapping):
        return {name: _shortened(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(v) for v in value]
    return str(value) if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64 else value


def _hash(record: Mapping[str, Any], algorithm: str) -> str:
    data = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    if algorithm == "sha256":
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    return f"xxh3_128:{xxhash.xxh3_128_hexdigest(data)}"
