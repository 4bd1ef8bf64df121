"""Sorted frames as plain columns, and back: the form in which a cache keeps them.

Takes a computed sorted frame, gives columns that Parquet holds and a few facts; and the sorted frame again from both.
Knows nothing of files.

A narrow key is stored as it is, one Int64 column in sorted order; a 128-bit key as its entity and its time. Frames in
which two entities share a first hash are not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from timefence_pl.plan.prepare import COLLIDED, DUPLICATE, EVENT_TICK, KNOWN, SortedFrame
from timefence_pl.plan.time_key import (
    ENTITY,
    KEY,
    SECOND_HASH,
    KeySpec,
    Narrow,
    entity_of,
    first_key,
    pack,
    tick_of,
    unpack,
)

__all__ = ["can_be_stored", "earlier_rows", "facts_of", "restored", "stored_columns"]

_TICK: Final = "__tf_stored_tick"


def can_be_stored(frame: SortedFrame, computed: pl.DataFrame) -> bool:
    """Whether no two entities of a hashed frame share a first hash."""
    if not frame.spec.hashed:
        return True
    shared = (entity_of(pl.col(KEY)) == entity_of(pl.col(KEY).shift(1))) & (
        pl.col(SECOND_HASH) != pl.col(SECOND_HASH).shift(1)
    )
    return not computed.select(shared.any()).item()


def stored_columns(frame: SortedFrame, feature: str, columns: Sequence[str]) -> list[pl.Expr]:
    """The columns kept for one feature of a computed frame.

    Args:
        frame: The sorted frame.
        feature: The feature.
        columns: The computed frame's columns.
    """
    if frame.spec.narrow is not None:
        key = [pl.col(KEY)]
    else:
        entity = entity_of(pl.col(KEY))
        key = [entity.alias(ENTITY), tick_of(frame.spec, pl.col(KEY), first_key(frame.spec, entity)).alias(_TICK)]
    marks = [pl.col(c) for c in (SECOND_HASH, EVENT_TICK) if c in columns]
    return [*key, *marks, _duplicate(columns), *(pl.col(f"{feature}__{c}") for c in frame.outputs[feature])]


def facts_of(frame: SortedFrame, computed: pl.DataFrame, hash_rows: Callable[[pl.DataFrame], str]) -> dict[str, Any]:
    """What is known of a computed frame, as plain values.

    Args:
        frame: The sorted frame.
        computed: Its rows.
        hash_rows: Names the content of a frame; equal names mean that rows stand in one order.
    """
    narrow = frame.spec.narrow
    marks = [pl.col(c) for c in (KEY, SECOND_HASH, EVENT_TICK) if c in computed.columns]
    order = computed.select(*marks, _duplicate(computed.columns))
    return {
        "rows": computed.height,
        "rows_hash": hash_rows(order),
        "duplicates": int(order[DUPLICATE].sum()),
        "narrow": None if narrow is None else [*narrow.entity, *narrow.tick, narrow.bits],
    }


def restored(like: SortedFrame, parts: Mapping[str, pl.LazyFrame], facts: Mapping[str, Any]) -> SortedFrame:
    """A sorted frame of the stored columns of features that share their rows.

    Args:
        like: The frame that computing them would give; nothing of it is run.
        parts: For each feature its stored columns.
        facts: The facts stored with them.
    """
    spec = _spec(like, facts)
    together = _side_by_side(like, parts)
    duplicates = bool(facts["duplicates"])
    if not duplicates:
        together = together.drop(DUPLICATE)
    if spec.narrow is None:
        tick = KNOWN if like.bitemporal else EVENT_TICK
        rows = together.rename({_TICK: tick})
        frame = rows.with_columns(pack(spec, pl.col(ENTITY), pl.col(tick)).alias(KEY)).drop(ENTITY, tick)
    else:
        rows = frame = together
    if spec.hashed:
        frame, rows = (f.with_columns(pl.lit(value=False).alias(COLLIDED)) for f in (frame, rows))
    return replace(
        like,
        frame=frame.set_sorted(KEY),
        rows=rows,
        spec=spec,
        outputs={f: like.outputs[f] for f in parts},
        duplicates=duplicates,
        marked=True,
        unkeyed=None,
    )


def earlier_rows(like: SortedFrame, parts: Mapping[str, pl.LazyFrame], facts: Mapping[str, Any]) -> pl.LazyFrame:
    """Stored rows as they were before packing, for :func:`timefence_pl.plan.prepare.prepare` to put others behind them.

    Args:
        like: The frame that computing them would give; nothing of it is run, and it is not bitemporal.
        parts: For each feature its stored columns.
        facts: The facts stored with them.
    """
    spec = _spec(like, facts)
    together = _side_by_side(like, parts)
    if spec.narrow is None:
        rows = together.rename({_TICK: EVENT_TICK})
    else:
        entity, tick = unpack(spec, pl.col(KEY))
        rows = together.with_columns(entity.alias(ENTITY), tick.alias(EVENT_TICK))
    hashed = [SECOND_HASH] if spec.hashed else []
    if like.keep_first and facts["duplicates"]:
        # A copy behind each row that was the first of several stands for the others, so that it is marked again.
        times = pl.col(DUPLICATE).cast(pl.UInt32) + 1
        rows = rows.select(pl.all().gather(pl.int_range(pl.len()).repeat_by(times).explode()))
    return rows.select(ENTITY, EVENT_TICK, *hashed, *(f"{f}__{c}" for f in parts for c in like.outputs[f]))


def _duplicate(columns: Sequence[str]) -> pl.Expr:
    return pl.col(DUPLICATE) if DUPLICATE in columns else pl.lit(value=False).alias(DUPLICATE)


def _spec(like: SortedFrame, facts: Mapping[str, Any]) -> KeySpec:
    narrow = facts["narrow"]
    ranges = None if narrow is None else Narrow((narrow[0], narrow[1]), (narrow[2], narrow[3]), narrow[4])
    return replace(like.spec, narrow=ranges)


def _side_by_side(like: SortedFrame, parts: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    first, *others = parts
    if not others:
        return parts[first]
    values = [parts[f].select(f"{f}__{c}" for c in like.outputs[f]) for f in others]
    return pl.concat([parts[first], *values], how="horizontal")
