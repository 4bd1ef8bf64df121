"""JSON records that carry the hash of themselves, so that one changed digit makes them no record.

Takes plain mappings, gives bytes and mappings. Knows nothing of what is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import xxhash

__all__ = ["is_sealed", "sealed", "unsealed"]

_SEAL: Final = "record_hash"


def sealed(record: Mapping[str, Any], *, indent: bool = False) -> bytes:
    """A record as JSON, with its hash; what JSON does not hold becomes text."""
    plain = orjson.loads(orjson.dumps({k: v for k, v in record.items() if k != _SEAL}, default=str))
    return orjson.dumps({**plain, _SEAL: _hash(plain)}, option=orjson.OPT_INDENT_2 if indent else None)


def unsealed(data: bytes) -> dict[str, Any] | None:
    """The record of such bytes; None where they are no record, or not as they were written."""
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and is_sealed(record) else None


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written."""
    return _SEAL in record and record[_SEAL] == _hash({k: v for k, v in record.items() if k != _SEAL})


def _hash(record: Mapping[str, Any]) -> str:
    return f"xxh3_128:{xxhash.xxh3_128_hexdigest(orjson.dumps(record, option=orjson.OPT_SORT_KEYS))}"
