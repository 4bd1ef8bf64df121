"""The rows of one feature that differ, judged: verdicts, leaks in time, and both source rows.

Takes a compared feature, gives a :class:`Judgement` with the rows as a frame that people read. Finds candidates by the
audit's own code, never by the match that built the values due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.definitions.window import Window
from timefence_pl.leakage.equality import Tolerance
from timefence_pl.leakage.history import instant
from timefence_pl.leakage.origins import LIMIT, NEVER, Sought
from timefence_pl.leakage.places import in_places, in_row_order
from timefence_pl.leakage.rebuilt import DUE, DUE_KNOWN, DUE_TIME, FOUND, WRONG, Rebuilt
from timefence_pl.leakage.row_origins import DUE_NUMBER, EVENT_OF, NUMBER_OF, row_origins
from timefence_pl.leakage.tallies import AGE_BIN, BUCKET, Ages, counted, numbers_of
from timefence_pl.leakage.verdicts import (
    FOUND_IN_FUTURE,
    FOUND_IN_PAST,
    NOTHING_DUE,
    NOTHING_FOUND,
    VERDICTS,
    verdicts,
)
from timefence_pl.leakage.window_origins import FUTURE_HOW, FUTURE_INSTANT, PAST_HOW, PAST_INSTANT, window_origins
from timefence_pl.plan.alignment import LABEL_ROW
from timefence_pl.plan.latest import LABEL_TICK, VALID
from timefence_pl.plan.prepare import SortedFrame
from timefence_pl.plan.ticks import INT64_MAX, Clock
from timefence_pl.plan.windows import WindowBounds

__all__ = ["Judgement", "judge", "leak_column", "times"]

_FOUND_INSTANT: Final = "__tf_found_instant"
_LEAK: Final = "__tf_leak"
_VERDICT: Final = "verdict"
_AT: Final = "__tf_at"
_FLAG_TYPES: Final = {FOUND_IN_FUTURE: pl.Boolean(), FOUND_IN_PAST: pl.Boolean()}
_ROW_TYPES: Final = {
    **{EVENT_OF.format(s): pl.Int64() for s in ("future", "past")},
    **{n: pl.UInt32() for n in (NUMBER_OF.format("future"), NUMBER_OF.format("past"), DUE_NUMBER)},
}
_WINDOW_TYPES: Final = {FUTURE_HOW: pl.String(), PAST_HOW: pl.String()}
#: Whether a column is wrong, and holds something: what is sought.
PRESENT: Final = "__tf_present_{}"


@dataclass(frozen=True)
class Judgement:
    """What became of one feature.

    Attributes:
        rebuilt: The feature, compared.
        rows: The rows that are not ``ok``, in the data set's order: ``row``, ``verdict``, ``leakage``, for each column
            ``{column}__found`` and ``{column}__due``, then the rows these come from.
        counts: Rows by verdict.
        leaks: Sizes of the leaks that are known, in nanoseconds or integer units.
        endless: Rows with values that never became known.
        ages: ``AGE_BIN``, ``verdict`` and ``rows``.
        verdicts: ``BUCKET``, ``verdict`` and ``rows``, without ``ok``.
    """

    rebuilt: Rebuilt
    rows: pl.DataFrame
    counts: dict[str, int]
    leaks: pl.Series
    endless: int
    ages: pl.DataFrame
    verdicts: pl.DataFrame


def judge(rebuilt: Rebuilt, clock: Clock, tolerance: Tolerance, bucket: pl.Series) -> Judgement:
    """Judge one feature.

    Args:
        rebuilt: The feature.
        clock: Of the label time.
        tolerance: For floats.
        bucket: Of each row of the data set, for rows over time.
    """
    bounds = rebuilt.joined.bounds
    wait = bounds.embargo + (1 if bounds.strict else 0)
    dtype = pl.Int64() if _fit(rebuilt, clock, wait) else pl.Int128()
    limit = instant(pl.col(LABEL_TICK), clock, dtype) - pl.lit(wait, dtype=dtype)
    failing = rebuilt.failing.with_columns(limit.alias(LIMIT))
    failing = failing.with_columns_seq(_flags(len(rebuilt.types)))
    found = _origins(failing, rebuilt, clock, tolerance)
    failing = failing.hstack(found)
    failing = failing.with_columns(verdicts(failing).alias(_VERDICT), *_narrowed(failing, wait))
    kind = failing.schema[LIMIT]
    future = pl.col(_VERDICT) == "future"
    past = pl.col(_VERDICT) == "stale"
    at: pl.Expr = pl.when(future).then(pl.col(FUTURE_INSTANT)).when(past).then(pl.col(PAST_INSTANT))
    endless = 0
    if kind == pl.Int128:
        endless = failing.select((future & (at >= NEVER)).fill_null(value=False).sum()).item()
        at = pl.when(at < NEVER).then(at)
    strict = pl.lit(1 if bounds.strict else 0, dtype=kind)
    failing = failing.with_columns(at.alias(_FOUND_INSTANT)).with_columns(
        pl.when(future).then(pl.col(_FOUND_INSTANT) - pl.col(LIMIT) - strict).alias(_LEAK)
    )
    counts = dict.fromkeys(VERDICTS, 0) | numbers_of(failing[_VERDICT])
    counts["ok"] = len(bucket) - failing.height
    leaks = failing[_LEAK].drop_nulls().cast(pl.Int128)
    ages = _ages(failing, rebuilt, pl.col(LIMIT) + pl.lit(wait, dtype=kind))
    told = counted({BUCKET: bucket.gather(failing[LABEL_ROW]), _VERDICT: failing[_VERDICT]})
    shown, numbers = _shown(failing, rebuilt, clock), failing[LABEL_ROW]
    del failing, found  # what they take in memory is free for the rows in their order
    return Judgement(
        rebuilt=rebuilt,
        rows=in_row_order(shown, numbers, len(bucket)),
        counts=counts,
        leaks=leaks,
        endless=int(endless),
        ages=ages,
        verdicts=told.with_columns(pl.col(_VERDICT).cast(pl.String)),
    )


def _fit(rebuilt: Rebuilt, clock: Clock, wait: int) -> bool:
    """Whether all instants that are met, and their differences, are known to fit 64 bits: those of windows may be."""
    frame, ticks = rebuilt.joined.frame, rebuilt.failing[LABEL_TICK]
    if isinstance(frame, SortedFrame) or frame.bitemporal or frame.spec.narrow is None or not len(ticks):
        return False
    ends = ((clock, (ticks.min(), ticks.max())), (frame.event_clock, frame.spec.narrow.tick))
    far = [abs(int(tick) * c.size + c.offset) for c, both in ends for tick in both]  # type: ignore[arg-type]
    return max(*far, wait) < 1 << 61


def _narrowed(failing: pl.DataFrame, wait: int) -> list[pl.Series]:
    """The instants with 64 bits where all fit, and their differences: what is told of them costs a fraction then."""
    if failing.schema[LIMIT] == pl.Int64:
        return []
    found = []
    for name in (LIMIT, FUTURE_INSTANT, PAST_INSTANT):
        narrow = failing[name].cast(pl.Int64, strict=False)
        ends = [abs(int(end)) for end in (narrow.min(), narrow.max()) if end is not None]  # type: ignore[arg-type]
        if narrow.null_count() > failing[name].null_count() or max([*ends, wait]) >= 1 << 61:
            return []
        found.append(narrow)
    return found


def _flags(columns: int) -> list[pl.Expr]:
    """Whether a row has nothing of what is due, and whether something stands where nothing is due."""
    wrong = [(pl.col(WRONG.format(i)), pl.col(FOUND.format(i)), pl.col(DUE.format(i))) for i in range(columns)]
    none = pl.lit(value=True)
    return [
        *((w & f.is_not_null()).alias(PRESENT.format(i)) for i, (w, f, _) in enumerate(wrong)),
        pl.all_horizontal(none, *(~w | f.is_null() for w, f, _ in wrong)).alias(NOTHING_FOUND),
        pl.any_horizontal(~none, *(w & f.is_not_null() & d.is_null() for w, f, d in wrong)).alias(NOTHING_DUE),
    ]


def _origins(failing: pl.DataFrame, rebuilt: Rebuilt, clock: Clock, tolerance: Tolerance) -> pl.DataFrame:
    """For each failing row where the values found come from: flags, instants, and what is shown of it."""
    columns = [
        Sought(FOUND.format(i), p.output, types, PRESENT.format(i))
        for i, (p, types) in enumerate(zip(rebuilt.pairings, rebuilt.types, strict=True))
    ]
    windows = isinstance(rebuilt.joined.feature, Window)
    types = _types(failing.schema[LIMIT], windows=windows)
    numbered = failing.with_row_index(_AT)
    valid = numbered if numbered[VALID].all() else numbered.filter(VALID)
    if not valid.height:
        return _nothing(types, failing.height)
    found = (
        _of_windows(valid, rebuilt, clock, columns, tolerance)
        if windows
        else valid.select(_AT).hstack(row_origins(valid.drop(_AT), rebuilt, clock, columns, tolerance))
    )
    if found.height == numbered.height:
        return found.select(list(types))
    whole = in_places(found.select(list(types)), found[_AT], numbered.height)
    return whole.with_columns(pl.col(c).fill_null(value=False) for c in (FOUND_IN_FUTURE, FOUND_IN_PAST))


def _types(instants: pl.DataType, *, windows: bool) -> dict[str, pl.DataType]:
    """What is told of where values come from, with instants of a type."""
    instant_types = {FUTURE_INSTANT: instants, PAST_INSTANT: instants}
    return {**_FLAG_TYPES, **instant_types, **(_WINDOW_TYPES if windows else _ROW_TYPES)}


def _nothing(types: Mapping[str, pl.DataType], height: int) -> pl.DataFrame:
    return pl.select(pl.repeat(False if t == pl.Boolean else None, height, dtype=t).alias(n) for n, t in types.items())


def _of_windows(
    valid: pl.DataFrame, rebuilt: Rebuilt, clock: Clock, columns: Sequence[Sought], tolerance: Tolerance
) -> pl.DataFrame:
    """Values of window features, sought among windows as of other times."""
    joined = rebuilt.joined
    assert isinstance(joined.feature, Window)  # noqa: S101 - chosen by it
    assert isinstance(joined.bounds, WindowBounds)  # noqa: S101
    assert rebuilt.windows is not None  # noqa: S101
    sought = valid.filter(~pl.col(NOTHING_FOUND)) if valid[NOTHING_FOUND].any() else valid
    if not sought.height:
        return valid.select(_AT).hstack(_nothing(_types(valid.schema[LIMIT], windows=True), valid.height))
    found = window_origins(sought, joined.feature, joined.bounds, rebuilt.windows, clock, columns, tolerance)
    return sought.select(_AT).hstack(
        found.with_columns(
            found[FUTURE_HOW].is_not_null().alias(FOUND_IN_FUTURE), found[PAST_HOW].is_not_null().alias(FOUND_IN_PAST)
        )
    )


# -- what people read ---------------------------------------------------------------------------------------------------


def _shown(failing: pl.DataFrame, rebuilt: Rebuilt, clock: Clock) -> pl.DataFrame:
    joined = rebuilt.joined
    leak = leak_column(failing[_LEAK], clock).alias("leakage")
    pairs = [
        pl.col(place.format(i)).alias(f"{p.column}__{word}")
        for i, p in enumerate(rebuilt.pairings)
        for place, word in ((FOUND, "found"), (DUE, "due"))
    ]
    future = pl.col(_VERDICT) == "future"
    stale = pl.col(_VERDICT) == "stale"
    origin: list[pl.Expr | pl.Series] = []
    if isinstance(joined.frame, SortedFrame):
        event = (
            pl.when(future).then(pl.col(EVENT_OF.format("future"))).when(stale).then(pl.col(EVENT_OF.format("past")))
        )
        number = (
            pl.when(future).then(pl.col(NUMBER_OF.format("future"))).when(stale).then(pl.col(NUMBER_OF.format("past")))
        )
        known = joined.frame.bitemporal
        origin = [
            joined.frame.event_clock.times(event).alias("found_feature_time"),
            *([times(failing[_FOUND_INSTANT], joined.frame.clock).alias("found_known_at")] if known else []),
            number.alias("found_source_row"),
            pl.col(DUE_TIME).alias("due_feature_time"),
            *([_known(failing, joined.frame.clock).alias("due_known_at")] if known else []),
            pl.col(DUE_NUMBER).alias("due_source_row"),
        ]
    else:
        how: pl.Expr = pl.when(future).then(pl.col(FUTURE_HOW))
        if failing[PAST_HOW].null_count() < failing.height:
            how = pl.when(stale).then(pl.col(PAST_HOW)).otherwise(how)
        origin = [
            how.alias("found_as"),
            times(failing[_FOUND_INSTANT], joined.frame.clock).alias("found_last_event"),
            pl.col(DUE_TIME).alias("due_last_event"),
        ]
    return failing.select(pl.col(LABEL_ROW).alias("row"), pl.col(_VERDICT), leak, *pairs, *origin)


def _known(failing: pl.DataFrame, clock: Clock) -> pl.Series:
    return times(failing.select(instant(pl.col(DUE_KNOWN), clock)).to_series(), clock)


def times(instants: pl.Series, clock: Clock) -> pl.Series:
    """Instants (Int128 or Int64) as times of a clock's own kind."""
    zone = getattr(clock.dtype, "time_zone", None)
    column = pl.lit(instants)
    if clock.kind == "integer":
        return pl.select(column.cast(pl.Int64, strict=False)).to_series()
    unit, size = next((u, s) for u, s in (("ms", 10**6), ("us", 10**3), ("ns", 1)) if clock.size % s == 0)
    if clock.dtype == pl.Date:
        unit, size = "us", 1_000
    ticks = (column // pl.lit(size, dtype=instants.dtype)).cast(pl.Int64, strict=False)
    return pl.select(ticks.cast(pl.Datetime(unit, zone))).to_series()  # type: ignore[arg-type]


def leak_column(leaks: pl.Series, clock: Clock) -> pl.Series:
    """Sizes of leaks (Int128 or Int64) as durations, in the finest unit that holds them all, or as integers."""
    if clock.kind == "integer":
        return pl.select(pl.lit(leaks).cast(pl.Int64, strict=False)).to_series()
    largest = int(leaks.max() or 0)  # type: ignore[arg-type]
    units = (("ns", 1), ("us", 10**3))
    unit, size = next(((u, s) for u, s in units if largest // s <= INT64_MAX), ("ms", 10**6))
    ticks = pl.lit(leaks) // pl.lit(size, dtype=leaks.dtype)
    ticks = ticks if leaks.dtype == pl.Int64 else ticks.clip(None, INT64_MAX).cast(pl.Int64)
    return pl.select(ticks.cast(pl.Duration(unit))).to_series()  # type: ignore[arg-type]


def _ages(failing: pl.DataFrame, rebuilt: Rebuilt, label: pl.Expr) -> pl.DataFrame:
    """Ages at label time of the values found, by verdict: those due in rows that are ``ok``, else where they are from."""
    good = rebuilt.ages.select(AGE_BIN, pl.lit("ok").alias("verdict"), "rows")
    if not failing.height:
        return good
    ages = failing.select(label - pl.col(_FOUND_INSTANT)).to_series()
    found = Ages.of(rebuilt.joined.frame.clock.kind).tally(ages, by=failing[_VERDICT])
    return pl.concat([good, found.with_columns(pl.col(_VERDICT).cast(pl.String))])
