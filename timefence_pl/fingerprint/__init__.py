"""What a result depends on: files, frames, callables, plans, and keys made of them. Knows no definitions and no store.

A fingerprint is a key, and the named parts that it was made of. Equal keys mean equal results; what cannot be named
for certain raises :class:`Uncacheable`, whose ``reason`` says what it is.
"""

from timefence_pl.fingerprint.callables import fingerprint_callable, names_used, reached_state, read_besides
from timefence_pl.fingerprint.files import FileHasher, HashMemo, Versions
from timefence_pl.fingerprint.frames import fingerprint_frame, fingerprint_series
from timefence_pl.fingerprint.keys import (
    FORMAT_VERSION,
    Algorithm,
    Fingerprint,
    Uncacheable,
    changes,
    combined,
    hash_bytes,
    hash_parts,
)
from timefence_pl.fingerprint.objects import object_version
from timefence_pl.fingerprint.plans import fingerprint_expr, fingerprint_plan

__all__ = [
    "FORMAT_VERSION",
    "Algorithm",
    "FileHasher",
    "Fingerprint",
    "HashMemo",
    "Uncacheable",
    "Versions",
    "changes",
    "combined",
    "fingerprint_callable",
    "fingerprint_expr",
    "fingerprint_frame",
    "fingerprint_plan",
    "fingerprint_series",
    "hash_bytes",
    "hash_parts",
    "names_used",
    "object_version",
    "reached_state",
    "read_besides",
]
