"""All rows of a feature, those that no label may use included.

Takes a feature as it was joined, gives its rows with the instants from which they were usable and their numbers in the
source. Knows nothing of what was found in a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.source import Source
from timefence_pl.leakage.origins import KNOWN_INSTANT, NEVER
from timefence_pl.plan.expressions import is_row_wise
from timefence_pl.plan.joined import JoinedFeature
from timefence_pl.plan.prepare import AVAILABLE_TICK, EVENT_TICK, KNOWN, SortedFrame, prepare
from timefence_pl.plan.rows import RowSet, in_time_order, row_sets, usable_events
from timefence_pl.plan.ticks import INT64_MAX, Clock
from timefence_pl.plan.time_key import ENTITY, SECOND_HASH

__all__ = ["SOURCE_NUMBER", "History", "entity_of", "history", "instant", "source_numbers"]

#: A row's number in its source, from 0; null where feature rows are no source rows.
SOURCE_NUMBER: Final = "__tf_number"
_NEVER_KNOWN: Final = "__tf_never"
#: Rows of other entities are left out where no more than this share would remain, told from the first rows if it can be.
_WORTH: Final = 0.7
_GLANCE: Final = 10_000


def instant(tick: pl.Expr, clock: Clock, dtype: pl.DataType | None = None) -> pl.Expr:
    """The exact instant of a tick: nanoseconds, or integer units.

    Args:
        tick: The tick.
        clock: Its clock.
        dtype: Int128, the default; or Int64 where all instants are known to fit.
    """
    dtype = pl.Int128() if dtype is None else dtype
    return tick.cast(dtype) * pl.lit(clock.size, dtype=dtype) + pl.lit(clock.offset, dtype=dtype)


def entity_of(frame: SortedFrame) -> list[str]:
    """The columns that tell entities."""
    return [ENTITY, *([SECOND_HASH] if frame.spec.hashed else [])]


@dataclass(frozen=True)
class History:
    """A feature's rows.

    Rows of a source with ``available_at`` that never became known are among them, where the feature is made of
    expressions: no label may use them, but a data set may have.

    Attributes:
        rows: Those of the entities asked for. By ``KNOWN_INSTANT``, then the frame's order, of rows with the same times
            the last is taken. The entity's columns, ``EVENT_TICK``, with availability ``KNOWN``, the columns of the
            frame's order, ``KNOWN_INSTANT`` (Int128, or Int64), ``SOURCE_NUMBER`` and the feature's ``{feature}__{column}``.
        usable: The entity, ``EVENT_TICK`` and ``SOURCE_NUMBER`` of all rows that became known, in the order in which
            they are numbered for this feature alone.
    """

    rows: pl.DataFrame
    usable: pl.DataFrame


def history(joined: JoinedFeature, entities: pl.Series) -> History:
    """Read a feature's rows.

    Args:
        joined: The feature.
        entities: The entities (``ENTITY``) whose rows are needed; perhaps several times each.
    """
    feature, frame = joined.feature, joined.frame
    assert isinstance(feature, Feature)  # noqa: S101 - windows have events
    assert isinstance(frame, SortedFrame)  # noqa: S101
    entity = entity_of(frame)
    derived = feature.mode in ("sql", "transform")
    rows, numbers = frame.rows, []
    if not derived:
        events = _numbered(feature.source)
        (alone,) = row_sets([feature])
        rows = prepare(alone, events.drop(SOURCE_NUMBER, _NEVER_KNOWN)).rows
        numbers = [_numbers(alone, events, frame.event_clock)]
    known = [KNOWN] if frame.bitemporal else []
    values = [f"{feature.name}__{c}" for c in frame.outputs[feature.name]]
    kept = rows.select(*dict.fromkeys([*entity, EVENT_TICK, *known, *frame.order, *values]))
    # Together, so that the source is read once.
    made, *counted = pl.collect_all([kept, *numbers], engine="in-memory")
    made = made.with_columns(_aligned(made, counted))
    never = made[_NEVER_KNOWN]
    usable = made.select(ENTITY, EVENT_TICK, SOURCE_NUMBER)
    usable = usable.filter(~never) if never.any() else usable
    made = _of_entities(made, entities)
    made = made.with_columns(_known(made, frame).alias(KNOWN_INSTANT)).drop(_NEVER_KNOWN)
    # The last of equal rows is the one taken.
    return History(made.reverse() if feature.on_duplicate == "keep_first" else made, usable)


def source_numbers(joined: JoinedFeature) -> pl.DataFrame | None:
    """For each of a feature's rows, in the order they are made in, ``SOURCE_NUMBER`` and ``EVENT_TICK``.

    None where feature rows are no source rows.
    """
    feature, frame = joined.feature, joined.frame
    assert isinstance(feature, Feature)  # noqa: S101 - windows have events
    assert isinstance(frame, SortedFrame)  # noqa: S101
    if feature.mode in ("sql", "transform"):
        return None
    (alone,) = row_sets([feature])
    numbers = _numbers(alone, _numbered(feature.source), frame.event_clock)
    return numbers.select(SOURCE_NUMBER, EVENT_TICK).collect(engine="in-memory")


def _of_entities(rows: pl.DataFrame, entities: pl.Series) -> pl.DataFrame:
    """At least the rows of these entities: fewer where it pays to leave others out."""
    for looked_at in (rows[ENTITY].head(_GLANCE), rows[ENTITY]):
        theirs = looked_at.is_in(entities.implode())
        if theirs.sum() > _WORTH * len(looked_at):
            return rows
    return rows.filter(theirs)


def _known(rows: pl.DataFrame, frame: SortedFrame) -> pl.Expr:
    """The instants from which rows were usable: of 64 bits where all fit, at half the cost."""
    event, clock = pl.col(EVENT_TICK), frame.event_clock
    if frame.available_clock is None and not rows[_NEVER_KNOWN].any():
        ends = [int(e) for e in (rows[EVENT_TICK].min(), rows[EVENT_TICK].max()) if e is not None]  # type: ignore[arg-type]
        if all(abs(step) <= INT64_MAX for e in ends for step in (e * clock.size, e * clock.size + clock.offset)):
            return event * clock.size + clock.offset
    at = instant(event, clock)
    if frame.available_clock is not None:  # not by KNOWN, whose clock may not reach as far
        at = pl.max_horizontal(at, instant(pl.col(AVAILABLE_TICK), frame.available_clock))
    return pl.when(pl.col(_NEVER_KNOWN)).then(pl.lit(NEVER, dtype=pl.Int128)).otherwise(at)


def _numbered(source: Source) -> pl.LazyFrame:
    """The events with their numbers; those that never became known are marked, and given the last time there is."""
    events = source.scan().with_row_index(SOURCE_NUMBER)
    name = source.available_at
    if name is None:
        return events.with_columns(pl.lit(value=False).alias(_NEVER_KNOWN))
    dtype = source.schema[name]
    if dtype == pl.Date:
        last = pl.lit((1 << 31) - 1, dtype=pl.Int32).cast(pl.Date)
    elif dtype.is_integer():
        last = dtype.max()  # type: ignore[attr-defined]
    else:
        last = pl.lit(INT64_MAX, dtype=pl.Int64).cast(dtype)
    return events.with_columns(pl.col(name).is_null().alias(_NEVER_KNOWN), pl.col(name).fill_null(last))


def _numbers(rows: RowSet, events: pl.LazyFrame, clock: Clock) -> pl.LazyFrame:
    """For each feature row its number in the source, whether it never became known, and its time."""
    events = usable_events(rows.source, events)
    if not all(is_row_wise(e) for f in rows.features for e in f.exprs):
        events = in_time_order(rows.source, events)
    time = clock.ticks(pl.col(rows.source.timestamp)).alias(EVENT_TICK)
    return events.select(SOURCE_NUMBER, _NEVER_KNOWN, time)


def _aligned(made: pl.DataFrame, counted: Sequence[pl.DataFrame]) -> list[pl.Series]:
    """The numbers, if they are those of the rows: a lazy frame may give its rows in another order each time."""
    for numbers in counted:
        if numbers[EVENT_TICK].equals(made[EVENT_TICK]):
            return [numbers[SOURCE_NUMBER], numbers[_NEVER_KNOWN]]
    return [
        pl.repeat(None, made.height, eager=True, dtype=pl.UInt32).alias(SOURCE_NUMBER),
        pl.repeat(value=False, n=made.height, eager=True, dtype=pl.Boolean).alias(_NEVER_KNOWN),
    ]
