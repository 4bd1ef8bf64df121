"""The packed time key: (entity, time) as one sorted integer. Nothing else knows the packing.

Takes key columns and Int64 ticks, gives packed keys, probes, and ticks back from keys. Knows nothing of bounds,
features or labels' meaning.

``key = entity * 2**64 + (tick + 2**63)``: the entity is a signed 64-bit integer, so keys sort by entity, then time,
and an as-of join over them needs no ``by``. An integer key column is its own entity (unsigned 64-bit values by their
bits); where its range and the times' are known and small, the key takes 64 bits. Everything else enters as a 64-bit
hash, with a second, independent hash beside it: a match whose second hash differs is another entity with the same first
hash, and is looked up again under the second. The hash of a text keeps the order of its end, so that rows that come in
runs of ascending names (``user-1001``, ``user-1002``, ...) are sorted as cheaply as ascending integers. Where all texts
of the labels have one shape, numbers take the place of both hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import polars as pl

from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Ends

__all__ = [
    "ENTITY",
    "KEY",
    "SECOND_HASH",
    "KeyColumn",
    "KeySpec",
    "Narrow",
    "before",
    "entity_at",
    "entity_columns",
    "entity_of",
    "first_key",
    "is_own",
    "key_column",
    "key_spec",
    "narrowed",
    "order_key",
    "pack",
    "pack_wide",
    "probe_from",
    "rows_of",
    "tick_of",
    "tick_of_own",
    "unpack",
    "within",
    "without_hashes",
]

ENTITY: Final = "__tf_entity"
SECOND_HASH: Final = "__tf_hash2"
KEY: Final = "__tf_key"

_SEEDS: Final = (0x7F4A7C15, 0x1CE4E5B9)
#: Bits kept of the first hash. Tests lower it to force collisions.
HASH_BITS = 64
#: Bytes of a text's end that its hash keeps.
_END: Final = 8

Family = Literal["integer", "wide", "text", "boolean", "other"]


@dataclass(frozen=True)
class KeyColumn:
    """How one key column compares: its family, and for families without lossless casts its data type."""

    family: Family
    dtype: pl.DataType

    def fits(self, other: KeyColumn) -> bool:
        """Whether values of the two columns compare by value."""
        numbers = ("integer", "wide")
        if self.family in numbers or other.family in numbers:
            return self.family in numbers and other.family in numbers
        return self.family == other.family and (self.family != "other" or self.dtype == other.dtype)

    @property
    def unsigned(self) -> bool:
        """Whether values may exceed the signed 64-bit range."""
        return self.dtype == pl.UInt64


def key_column(dtype: pl.DataType) -> KeyColumn | None:
    """How a column of this data type compares as a key; None where it cannot be one (floats, nested types)."""
    if dtype in (pl.Int128, pl.UInt128):
        return KeyColumn("wide", dtype)
    if dtype.is_integer() or dtype == pl.Null:
        return KeyColumn("integer", dtype)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return KeyColumn("text", dtype)
    if dtype == pl.Boolean:
        return KeyColumn("boolean", dtype)
    if dtype.is_float() or dtype.is_nested() or dtype == pl.Object:
        return None
    return KeyColumn("other", dtype)


@dataclass(frozen=True)
class Narrow:
    """Closed ranges of a frame's entities and ticks, and the bits its ticks take in a 64-bit key."""

    entity: tuple[int, int]
    tick: tuple[int, int]
    bits: int


@dataclass(frozen=True)
class KeySpec:
    """How a frame's entity and time were packed.

    Attributes:
        kind: ``"none"`` (one global series), ``"integer"`` (one key column, its own entity) or ``"hash"``.
        columns: How each key column compares, in the source's key order.
        seeds: The seeds of the two hashes.
        hash_bits: Bits kept of the first hash.
        narrow: Ranges that let the key be 64 bits wide; None for 128.
        exact: Whether numbers take the place of hashes, so that no second hash is carried.
        version: Of this packing.
    """

    kind: Literal["none", "integer", "hash"]
    columns: tuple[KeyColumn, ...]
    seeds: tuple[int, int] = _SEEDS
    hash_bits: int = 64
    narrow: Narrow | None = None
    exact: bool = False
    version: int = 2

    @property
    def hashed(self) -> bool:
        """Whether two entities may share a first hash, and rows carry a second."""
        return self.kind == "hash" and not self.exact

    @property
    def of_one_text(self) -> bool:
        """Whether there is one key, and it is a text."""
        return [c.family for c in self.columns] == ["text"]

    @property
    def order(self) -> tuple[object, ...]:
        """Equal for specifications that give equal keys equal entities."""
        unsigned = self.kind == "integer" and self.columns[0].unsigned
        families = tuple("number" if c.family == "integer" else c.family for c in self.columns)
        return self.kind, families, unsigned, self.seeds, self.hash_bits


_WIDE: Final = KeySpec("none", ())


def key_spec(columns: Sequence[KeyColumn]) -> KeySpec:
    """The packing for a source with these key columns."""
    if not columns:
        return KeySpec("none", ())
    single = len(columns) == 1
    if single and (columns[0].family in ("integer", "boolean") or columns[0].dtype == pl.Date):
        return KeySpec("integer", tuple(columns))
    return KeySpec("hash", tuple(columns), hash_bits=HASH_BITS)


def entity_columns(
    spec: KeySpec,
    names: Sequence[str],
    side: Sequence[KeyColumn],
    *,
    complete: bool = False,
) -> list[pl.Expr]:
    """The entity (Int64, null where any key is null or has no equal on the other side) and, for hashes, the second.

    Args:
        spec: How the source's keys are packed.
        names: The key columns on this side, in the source's key order.
        side: How this side's columns compare; the source's own for the source.
        complete: The key columns hold no nulls, and are the source's own.
    """
    if spec.kind == "none":
        return [pl.lit(0, dtype=pl.Int64).alias(ENTITY)]
    if spec.kind == "integer":
        return [_integer_entity(pl.col(names[0]), spec.columns[0], side[0]).alias(ENTITY)]
    texts = [_hashable(pl.col(n), own) for n, own in zip(names, spec.columns, strict=True)]
    no_null = pl.all_horizontal([text.is_not_null() for text in texts])
    first, second = (_hash(texts, seed) for seed in spec.seeds)
    if len(texts) == 1 and spec.columns[0].family == "text":
        first = _ordered_hash(texts[0], spec.seeds[0])
    if spec.hash_bits < 64:
        first = first & ((1 << spec.hash_bits) - 1)
    hashes = ((first.reinterpret(signed=True), ENTITY), (second.reinterpret(signed=True), SECOND_HASH))
    return [(h if complete else pl.when(no_null).then(h)).alias(name) for h, name in hashes]


def without_hashes(spec: KeySpec) -> KeySpec:
    """The specification for keys that are numbers instead of their hashes, on both sides."""
    return replace(spec, exact=True)


def narrowed(spec: KeySpec, entity: tuple[int, int], tick: tuple[int, int]) -> KeySpec:
    """The specification with 64-bit keys, if all keys of these closed ranges, and one entity more, fit 63 bits."""
    bits = (tick[1] - tick[0]).bit_length()
    if not (spec.kind == "integer" or spec.exact) or (entity[1] - entity[0] + 2) << bits >= 1 << 63:
        return spec
    # One tick below the first and one entity on either side must be representable too.
    if tick[0] <= INT64_MIN or entity[0] <= INT64_MIN or entity[1] >= INT64_MAX:
        return spec
    return replace(spec, narrow=Narrow(entity, tick, bits))


def pack(spec: KeySpec, entity: pl.Expr, tick: pl.Expr) -> pl.Expr:
    """The key of entities and ticks (both Int64) of the frame itself: Int128, or Int64 where the keys are narrow."""
    return _first(spec, entity) + _offset(spec, tick)


def pack_wide(entity: pl.Expr, tick: pl.Expr) -> pl.Expr:
    """The 128-bit key, whatever the frame's own."""
    return _first(_WIDE, entity) + _offset(_WIDE, tick)


def order_key(entity: pl.Series, tick: pl.Series) -> pl.Series:
    """A key that orders rows by entity, then tick (both Int64, no nulls); of 64 bits where their ranges allow."""
    if not len(entity):
        return entity
    (first, last), (early, late) = ((int(s.min()), int(s.max())) for s in (entity, tick))  # type: ignore[arg-type]
    bits = (late - early).bit_length()
    if (last - first + 1) << bits < 1 << 63:
        return (entity - first) * (1 << bits) + (tick - early)
    return pl.select(pack_wide(pl.lit(entity), pl.lit(tick))).to_series()


def entity_of(key: pl.Expr) -> pl.Expr:
    """The entity of a 128-bit key."""
    return (key // _number(_WIDE, 1 << 64)).cast(pl.Int64)


def within(spec: KeySpec, entity: pl.Expr, tick: pl.Expr) -> pl.Expr:
    """Whether a row of the frame itself is inside the ranges its narrow keys were made for."""
    if spec.narrow is None:
        return pl.lit(value=True)
    return entity.is_between(*spec.narrow.entity) & tick.is_between(*spec.narrow.tick)


def first_key(spec: KeySpec, entity: pl.Expr, ends: Ends | None = None) -> pl.Expr:
    """The lowest key that an entity from elsewhere can have; for one that the frame cannot have, one beside its keys.

    Args:
        spec: How the frame's keys are packed.
        entity: The entities.
        ends: Their least and greatest, where known: then only clamps that they meet are made.
    """
    return _first(spec, _known_entity(spec, entity, ends))


def probe_from(spec: KeySpec, first: pl.Expr, tick: pl.Expr, ends: Ends | None = None) -> pl.Expr:
    """The key of ticks from elsewhere, of an entity by its :func:`first_key`: never inside a neighbour's keys.

    Args:
        spec: How the frame's keys are packed.
        first: The entity's first key.
        tick: The ticks.
        ends: The least and greatest of the ticks, as for :func:`first_key`.
    """
    if spec.narrow is not None:
        early, late = spec.narrow.tick
        # Ticks past the last are still the entity's own where the key has bits for them.
        room = early + (1 << spec.narrow.bits) - 1
        most = room if ends is not None and ends[1] <= room else late
        tick = _clamped(tick, early - 1, most, ends)
    return first + _offset(spec, tick)


def tick_of(spec: KeySpec, key: pl.Expr, first: pl.Expr) -> pl.Expr:
    """The tick of the greatest key at or before a probe of an entity, as Int64; null where it is another entity's.

    Such a key is the entity's own if and only if it is not below the entity's :func:`first_key`. That is asked before
    subtracting: the distance of two entities leaves 128 bits.
    """
    return pl.when(is_own(key, first)).then(_tick(spec, key, first)).cast(pl.Int64)


def is_own(key: pl.Expr, first: pl.Expr) -> pl.Expr:
    """Whether the greatest key at or before a probe of an entity is the entity's own, by its :func:`first_key`."""
    return key >= first


def tick_of_own(spec: KeySpec, key: pl.Expr, first: pl.Expr) -> pl.Expr:
    """The tick of a key that is an entity's own, as Int64."""
    return _tick(spec, key, first).cast(pl.Int64)


def before(spec: KeySpec, entity: pl.Expr, ends: Ends | None = None) -> pl.Expr:
    """A probe below all keys of an entity and above those of lower ones; null where there is nothing below.

    Args:
        spec: How the frame's keys are packed.
        entity: The entities.
        ends: As for :func:`first_key`.
    """
    lower = first_key(spec, entity, ends) - _number(spec, 1)
    return lower if ends is not None and ends[0] > INT64_MIN else pl.when(entity > INT64_MIN).then(lower)


def unpack(spec: KeySpec, key: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The entity and the tick, both Int64, of keys of the frame itself."""
    if spec.narrow is not None:
        entity = key // (1 << spec.narrow.bits)
        tick = key - entity * (1 << spec.narrow.bits) + spec.narrow.tick[0]
        return entity + spec.narrow.entity[0], tick
    entity = key // _number(spec, 1 << 64)
    return entity.cast(pl.Int64), (key - entity * _number(spec, 1 << 64) - _number(spec, 1 << 63)).cast(pl.Int64)


def entity_at(spec: KeySpec, key: int) -> tuple[int, int | None]:
    """The entity of a key of the frame itself, and what :func:`before` gives for it.

    Args:
        spec: How the frame's keys are packed.
        key: The key.
    """
    bits, least = (64, 0) if spec.narrow is None else (spec.narrow.bits, spec.narrow.entity[0])
    entity = (key >> bits) + least
    return entity, None if entity == INT64_MIN else (key >> bits << bits) - 1


def rows_of(spec: KeySpec, keys: pl.Series, entities: pl.Series) -> pl.Series:
    """The numbers of the rows of some entities, ascending.

    Args:
        spec: How the frame's keys are packed.
        keys: The frame's keys, in order.
        entities: The entities (Int64), in any order and perhaps several times.
    """
    first = first_key(spec, pl.col(ENTITY))
    bits = 64 if spec.narrow is None else spec.narrow.bits
    ends = (
        entities.unique()
        .sort()
        .alias(ENTITY)
        .to_frame()
        .select(first=first, last=first + _number(spec, (1 << bits) - 1))
    )
    spans = pl.DataFrame(
        {
            "from": keys.search_sorted(ends["first"], side="left"),
            "to": keys.search_sorted(ends["last"], side="right"),
        }
    ).filter(pl.col("from") < pl.col("to"))
    return spans.select(pl.int_ranges("from", "to", dtype=pl.get_index_type()).explode()).to_series()


def _first(spec: KeySpec, entity: pl.Expr) -> pl.Expr:
    """An entity's lowest key."""
    if spec.narrow is not None:
        return (entity - spec.narrow.entity[0]) * (1 << spec.narrow.bits)
    return entity.cast(pl.Int128) * _number(spec, 1 << 64)


def _offset(spec: KeySpec, tick: pl.Expr) -> pl.Expr:
    """A tick's distance from the lowest."""
    if spec.narrow is not None:
        return tick - spec.narrow.tick[0]
    return tick.cast(pl.Int128) + _number(spec, 1 << 63)


def _tick(spec: KeySpec, key: pl.Expr, first: pl.Expr) -> pl.Expr:
    """An own key's tick."""
    return key - first - _number(spec, -INT64_MIN if spec.narrow is None else -spec.narrow.tick[0])


def _number(spec: KeySpec, value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.Int128 if spec.narrow is None else pl.Int64)


def _known_entity(spec: KeySpec, entity: pl.Expr, ends: Ends | None) -> pl.Expr:
    """The entity, or the nearest that the frame cannot have."""
    if spec.narrow is None:
        return entity
    first, last = spec.narrow.entity
    return _clamped(entity, first - 1, last + 1, ends)


def _clamped(value: pl.Expr, least: int, greatest: int, ends: Ends | None) -> pl.Expr:
    # Not `clip`, which takes ten times as long; nulls stay.
    clamped = value
    if ends is None or ends[0] < least:
        clamped = pl.when(value < least).then(pl.lit(least, dtype=pl.Int64)).otherwise(clamped)
    if ends is None or ends[1] > greatest:
        clamped = pl.when(value > greatest).then(pl.lit(greatest, dtype=pl.Int64)).otherwise(clamped)
    return clamped


def _integer_entity(column: pl.Expr, own: KeyColumn, side: KeyColumn) -> pl.Expr:
    if own.unsigned:
        return column.cast(pl.UInt64, strict=False).reinterpret(signed=True)
    if own.dtype == pl.Date and side.dtype == pl.Date:
        column = column.to_physical()
    return column.cast(pl.Int64, strict=False)


def _hashable(column: pl.Expr, own: KeyColumn) -> pl.Expr:
    if own.family == "integer":
        return column.cast(pl.Int128, strict=False)
    if own.family == "wide":  # decimal digits: the one form that holds every signed and unsigned value
        return column.cast(pl.String)
    if own.family == "boolean":
        return column.cast(pl.UInt8)
    if own.dtype == pl.Binary:
        return column
    if own.family == "text" or own.dtype.is_decimal():
        return column.cast(pl.String)
    return column.to_physical().cast(pl.Int64)


def _ordered_hash(text: pl.Expr, seed: int) -> pl.Expr:
    """One 64-bit hash of a text: its last eight bytes as a number, moved by the hash of what stands before them.

    Texts of the same beginning never collide, and keep their order (but where the number passes its greatest value);
    others collide as rarely as random numbers do. Shorter texts are hashed.
    """
    data = text.cast(pl.Binary)
    end = data.bin.tail(_END).bin.reinterpret(dtype=pl.UInt64, endianness="big")
    return (end + data.bin.head(-_END).hash(seed)).fill_null(text.hash(seed))


def _hash(columns: Sequence[pl.Expr], seed: int) -> pl.Expr:
    """One 64-bit hash of all columns: each column has a seed of its own, so that order counts."""
    total = columns[0].hash(seed)
    for place, column in enumerate(columns[1:], 1):
        total = (total * pl.lit(0x9E3779B97F4A7C15, dtype=pl.UInt64)) ^ column.hash(seed + place * 0x2545F491)
    return total
