"""The match rule: for each label row the latest eligible row of a sorted frame. The one implementation of it.

Takes a probe (label rows in time-key order) and a :class:`SortedFrame`, gives the features' columns in the probe's
order. Knows nothing of files, caches or the shape of the final output.

Eligible are rows of the same entity with (bitemporal: availability) ``< label_time - embargo`` (strict) or ``<=``
(inclusive) and event time ``>= label_time - lookback``; the last in key order wins. A winner older than the staleness
is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import polars as pl

from timefence_pl.errors import TimefenceSchemaError, message
from timefence_pl.plan.prepare import COLLIDED, DUPLICATE, EMPTY, EVENT_TICK, ROW, SortedFrame
from timefence_pl.plan.ticks import INT64_MAX, Clock, Ends, lower_bound, upper_bound
from timefence_pl.plan.time_key import ENTITY, KEY, SECOND_HASH, first_key, probe_from, tick_of

__all__ = [
    "LABEL_TICK",
    "UNKNOWN_ENDS",
    "VALID",
    "Bounds",
    "LabelEnds",
    "Match",
    "Probe",
    "Reason",
    "earliest_limit",
    "match",
    "rows_behind",
]

#: The label time's ticks; 0 where the row can match nothing.
LABEL_TICK: Final = "__tf_label_tick"
#: Whether the label row has all keys and a time.
VALID: Final = "__tf_valid"

_FIRST: Final = "__tf_first"
_PROBE: Final = "__tf_probe"
_TICK: Final = "__tf_found"
_ALIVE: Final = "__tf_alive"
_PLACE: Final = "__tf_place"


class Reason(IntEnum):
    """What became of a label row for one feature: a partition of all label rows."""

    NO_HISTORY = 0
    TOO_OLD = 1
    STALE = 2
    NULL_VALUE = 3
    MATCHED_VALUE = 4


_CODES: Final = {reason: pl.lit(reason.value, dtype=pl.UInt8) for reason in Reason}


@dataclass(frozen=True)
class Bounds:
    """One feature's bounds: nanoseconds, or integer units where times are integers; None is unbounded."""

    embargo: int
    lookback: int | None
    staleness: int | None
    strict: bool


@dataclass(frozen=True)
class Match:
    """One feature to be matched, and what is wanted of it.

    Attributes:
        feature: Its name.
        bounds: Its bounds.
        reason: Put out the :class:`Reason` under this name.
        feature_time: Put out the matched row's event time under this name.
        known: Put out the ticks of the time from which the matched row was usable, in the frame's clock.
        duplicate: Put out whether the matched row is one of several duplicates under this name.
        row: Put out the matched row's number in its source under this name.
    """

    feature: str
    bounds: Bounds
    reason: str | None = None
    feature_time: str | None = None
    known: str | None = None
    duplicate: str | None = None
    row: str | None = None


@dataclass(frozen=True)
class LabelEnds:
    """What label rows hold at the ends; None where it is not known.

    Attributes:
        entity: The least and greatest of ``ENTITY``.
        tick: Of ``LABEL_TICK``.
    """

    entity: Ends | None = None
    tick: Ends | None = None

    @classmethod
    def of(cls, labels: pl.DataFrame) -> LabelEnds:
        """Of rows in memory, in the order of (entity, label time)."""
        if not labels.height:
            return cls()
        entity, ticks = labels[ENTITY], labels[LABEL_TICK]
        return cls((int(entity[0]), int(entity[-1])), (int(ticks.min()), int(ticks.max())))  # type: ignore[arg-type]


#: Of label rows that are not in memory.
UNKNOWN_ENDS: Final = LabelEnds()


@dataclass(frozen=True)
class Probe:
    """Label rows in the order of (entity, label time).

    Attributes:
        frame: ``ENTITY``, ``LABEL_TICK``, ``VALID`` and for hashed keys ``SECOND_HASH``; no nulls in the first three.
        clock: Of the label time.
        ends: Of the rows.
    """

    frame: pl.LazyFrame
    clock: Clock
    ends: LabelEnds = UNKNOWN_ENDS


def earliest_limit(label: int, labels: Clock, known: Clock, bounds: Bounds) -> int:
    """The last tick that a label may use.

    Args:
        label: The label's tick.
        labels: The clock of the label time.
        known: The clock of the result.
        bounds: What decides.
    """
    upper = upper_bound(pl.lit(label, dtype=pl.Int64), labels, known, bounds.embargo, strict=bounds.strict)
    return int(pl.select(upper.tick).item())


def match(probe: Probe, frame: SortedFrame, wanted: Sequence[Match], *, checks: bool = True) -> pl.LazyFrame:
    """Match features of one frame under one embargo and strictness: one as-of merge.

    Args:
        probe: The label rows.
        frame: The feature rows.
        wanted: Features of the frame, all with the same embargo and strictness.
        checks: Look entities with colliding hashes up again, which runs Python where there are any; without it such
            labels get nulls.

    Returns:
        One row per probe row, in its order, with the columns wanted: ``{feature}__{column}`` and those named.
    """
    joined = _as_of(probe, frame, wanted[0].bounds, checks=checks)
    outputs = [c for w in wanted for c in _outputs(w, frame, probe)]
    if frame.spec.hashed:
        outputs = _looked_up_elsewhere(probe, frame, wanted, outputs, checks=checks)
    return joined.select(outputs)


def rows_behind(probe: Probe, frame: SortedFrame, bounds: Bounds) -> pl.LazyFrame:
    """For each probe row how many rows of the frame, whatever their entity, stand up to the last that it may use."""
    places = replace(frame, frame=frame.frame.select(KEY).with_row_index(_PLACE, offset=1))
    joined = _as_of(probe, places, bounds, checks=False)
    return joined.select(pl.when(_ALIVE).then(pl.col(_PLACE)).fill_null(0))


def _as_of(probe: Probe, frame: SortedFrame, bounds: Bounds, *, checks: bool) -> pl.LazyFrame:
    """The last row of the frame at or before each probe, with its tick and whether the probe could match at all."""
    upper = upper_bound(
        pl.col(LABEL_TICK), probe.clock, frame.clock, bounds.embargo, strict=bounds.strict, ends=probe.ends.tick
    )
    alive = pl.col(VALID) if upper.below is None else pl.col(VALID) & ~upper.below
    joined = (
        probe.frame.with_columns(first_key(frame.spec, pl.col(ENTITY), probe.ends.entity).alias(_FIRST))
        .with_columns(probe_from(frame.spec, pl.col(_FIRST), upper.tick, upper.ends).alias(_PROBE), alive.alias(_ALIVE))
        .join_asof(
            frame.frame,
            left_on=_PROBE,
            right_on=KEY,
            coalesce=False,
            check_sortedness=False,
            suffix="__tf_right",
        )
        .with_columns(tick_of(frame.spec, pl.col(KEY), pl.col(_FIRST)).alias(_TICK))
    )
    if not (checks and frame.mixed_clocks):
        return joined
    unclear = pl.col(_ALIVE) & (pl.col(_TICK) == INT64_MAX)
    clear = pl.map_batches([unclear], _refuse_unclear, return_dtype=pl.Boolean, is_elementwise=True)
    return joined.with_columns(pl.col(_ALIVE) & clear)


def _refuse_unclear(columns: Sequence[pl.Series]) -> pl.Series:
    """True for every row, or an error where a label met a row known only past the range of the finer time unit."""
    (unclear,) = columns
    if unclear.any():
        raise TimefenceSchemaError(
            message(
                f"{unclear.sum()} label(s) meet rows that become known later than the finer unit of timestamp and "
                "available_at can hold.",
                why="Such rows cannot be ordered exactly.",
                fix="Cast timestamp and available_at of the source to one unit, as in .dt.cast_time_unit('us').",
            )
        )
    return pl.repeat(value=True, n=len(unclear), eager=True, dtype=pl.Boolean)


def _outputs(wanted: Match, frame: SortedFrame, probe: Probe) -> list[pl.Expr]:
    """The columns of one feature, null where nothing fresh was found."""
    bounds = wanted.bounds
    event = pl.col(EVENT_TICK) if frame.bitemporal else pl.col(_TICK)
    reached = pl.col(_ALIVE) & pl.col(_TICK).is_not_null()
    in_bounds = _not_before(reached, event, frame, probe, bounds.lookback)
    fresh = _not_before(in_bounds, event, frame, probe, bounds.staleness)
    columns = frame.columns_of(wanted.feature) if frame.values is None else []
    outputs = [pl.when(fresh).then(pl.col(c)).alias(c) for c in columns]
    if wanted.feature_time:
        time = frame.event_clock.times(pl.when(fresh).then(event))
        outputs.append(time.alias(wanted.feature_time))
    if wanted.known:
        outputs.append(pl.when(fresh).then(pl.col(_TICK)).alias(wanted.known))
    if wanted.reason:
        if frame.values is None:
            empty = pl.all_horizontal(pl.col(c).is_null() for c in columns)
        else:
            mark = EMPTY.format(wanted.feature)
            empty = pl.col(mark) if mark in frame.frame.collect_schema() else pl.lit(value=False)
        outputs.append(_reason(reached, in_bounds, fresh, empty).alias(wanted.reason))
    if wanted.duplicate:
        duplicate = pl.col(DUPLICATE) if frame.duplicates else pl.lit(value=False)
        outputs.append((fresh & duplicate).fill_null(value=False).alias(wanted.duplicate))
    if wanted.row:
        outputs.append(pl.when(fresh).then(pl.col(ROW)).alias(wanted.row))
    return outputs


def _reason(reached: pl.Expr, in_bounds: pl.Expr, fresh: pl.Expr, empty: pl.Expr) -> pl.Expr:
    """The reason by what holds, of which each but the last includes the next; no nulls."""
    return (
        pl.when(~reached)
        .then(_CODES[Reason.NO_HISTORY])
        .when(~in_bounds)
        .then(_CODES[Reason.TOO_OLD])
        .when(~fresh)
        .then(_CODES[Reason.STALE])
        .when(empty)
        .then(_CODES[Reason.NULL_VALUE])
        .otherwise(_CODES[Reason.MATCHED_VALUE])
    )


def _not_before(so_far: pl.Expr, event: pl.Expr, frame: SortedFrame, probe: Probe, age: int | None) -> pl.Expr:
    """``so_far``, and the event is at most ``age`` older than the label."""
    if age is None:
        return so_far
    lower = lower_bound(pl.col(LABEL_TICK), probe.clock, frame.event_clock, age, probe.ends.tick)
    young = so_far & (event >= lower.tick)
    return young if lower.above is None else young & ~lower.above


def _looked_up_elsewhere(
    probe: Probe, frame: SortedFrame, wanted: Sequence[Match], outputs: list[pl.Expr], *, checks: bool
) -> list[pl.Expr]:
    """Outputs in which labels whose match is another entity's row are matched again under the second hash.

    The match is another entity's where the second hashes differ. Of several rows with the same key and different
    second hashes only the last is seen, so a row that follows such a one is looked up again as well.
    """
    met = pl.col(_ALIVE) & pl.col(_TICK).is_not_null()
    other = pl.col(SECOND_HASH) != pl.col(f"{SECOND_HASH}__tf_right")
    elsewhere = (met & (other | pl.col(COLLIDED))).fill_null(value=False)
    if not checks:
        return [pl.when(~elsewhere).then(o).alias(o.meta.output_name()) for o in outputs]
    needed = [pl.col(SECOND_HASH), pl.col(LABEL_TICK)]
    patched = []
    types = _output_types(frame, wanted)
    for position, output in enumerate(outputs):

        def look_up(columns: Sequence[pl.Series], position: int = position) -> pl.Series:
            flag, second, tick, found = columns
            if not flag.any():
                return found
            again = _match_by_second_hash(probe, frame, wanted, second.filter(flag), tick.filter(flag))
            both = pl.concat([found, again.to_series(position).alias(found.name)])
            row = pl.int_range(len(found), eager=True)
            return both.gather(
                pl.select(pl.when(flag).then(len(found) - 1 + flag.cum_sum()).otherwise(row)).to_series()
            )

        name = output.meta.output_name()
        patched.append(
            pl.map_batches(
                [elsewhere, *needed, output],
                look_up,
                return_dtype=types[position],
                is_elementwise=True,
            ).alias(name)
        )
    return patched


def _output_types(frame: SortedFrame, wanted: Sequence[Match]) -> list[pl.DataType]:
    """The data types of :func:`_outputs`, in its order."""
    types: list[pl.DataType] = []
    for w in wanted:
        types += list(frame.outputs[w.feature].values())
        types += [frame.event_clock.dtype] if w.feature_time else []
        types += [pl.Int64()] if w.known else []
        types += [pl.UInt8()] if w.reason else []
        types += [pl.Boolean()] if w.duplicate else []
        types += [pl.UInt32()] if w.row else []
    return types


def _match_by_second_hash(
    probe: Probe, frame: SortedFrame, wanted: Sequence[Match], second: pl.Series, tick: pl.Series
) -> pl.DataFrame:
    """The outputs for a few label rows, matched under their second hash, in the order given."""
    order = "__tf_order"
    rows = pl.DataFrame({ENTITY: second, SECOND_HASH: second, LABEL_TICK: tick}).with_columns(
        pl.lit(value=True).alias(VALID)
    )
    rows = rows.with_row_index(order).sort(ENTITY, LABEL_TICK)
    again = Probe(rows.lazy(), probe.clock)
    few = frame.by_second_hash(second.unique())
    outputs = [c for w in wanted for c in _outputs(w, few, again)]
    found = (
        _as_of(again, few, wanted[0].bounds, checks=False).select(pl.col(order), *outputs).collect(engine="in-memory")
    )
    return found.sort(order).drop(order)
