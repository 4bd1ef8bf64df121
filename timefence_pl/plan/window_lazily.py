"""Window features in Polars alone, for engines that run no Python.

Takes what the kernel takes, gives a lazy frame with the same columns: every event of every window is joined to its
label and grouped, all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from timefence_pl.definitions.aggregates import SINCE_LAST, uses_since_last
from timefence_pl.errors import TimefenceConfigError, listing, message
from timefence_pl.plan.latest import LABEL_TICK, VALID, Probe
from timefence_pl.plan.prepare import EVENT_TICK, KNOWN
from timefence_pl.plan.ticks import INT64_MAX
from timefence_pl.plan.time_key import KEY, SECOND_HASH, unpack
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.window_kernel import Task, reason
from timefence_pl.plan.window_look_ups import LookUp, LookUps

__all__ = ["aggregate_lazily"]

_LABEL: Final = "__tf_label"
_EVENT: Final = "__tf_event"
_PROBE: Final = "__tf_probe"
_HELD: Final = "__tf_held"
_LIMIT: Final = "__tf_limit"
_RIGHT: Final = "__tf_right"


def aggregate_lazily(probe: Probe, frame: SortedEvents, tasks: Sequence[Task]) -> pl.LazyFrame:
    """Compute window features without Python.

    Raises:
        TimefenceConfigError: If an aggregate means something else in ``group_by``.
    """
    alone = [n for t in tasks for n in t.recipe.exprs if n in t.recipe.singly and n not in t.recipe.splits]
    if alone:
        raise TimefenceConfigError(
            message(
                f"The aggregates {listing(alone)} have to be computed window by window, which takes Python.",
                fix="Leave out checks=False, or use other expressions.",
            )
        )
    look_ups = LookUps(frame, probe.clock)
    labels = probe.frame.with_row_index(_LABEL)
    events = frame.frame.with_row_index(_EVENT).cache()
    found: dict[LookUp, str] = {}
    for look_up in dict.fromkeys(b for t in tasks for b in look_ups.all(t.bounds)):
        found[look_up] = f"__tf_at{len(found)}"
        order = look_up.order
        keys = events.select(pl.col(order).alias(f"{found[look_up]}k"), pl.int_range(pl.len()).alias(found[look_up]))
        labels = labels.with_columns(look_ups.probe(look_up).alias(_PROBE)).join_asof(
            keys, left_on=_PROBE, right_on=f"{found[look_up]}k", coalesce=False, check_sortedness=False
        )
        labels = labels.with_columns(pl.when(VALID).then(pl.col(found[look_up])))
    labels = labels.cache()
    parts = [_task(labels, events, look_ups, found, task) for task in tasks]
    return pl.concat(parts, how="horizontal")


def _task(
    labels: pl.LazyFrame, events: pl.LazyFrame, look_ups: LookUps, found: Mapping[LookUp, str], task: Task
) -> pl.LazyFrame:
    bounds, frame = task.bounds, look_ups.frame
    # A frame of one row, not literals: Polars takes null literals of different types for one another.
    nothing = task.recipe.of_nothing(frame.schema).lazy().select(pl.all().name.suffix(_RIGHT))
    columns = []
    for window in bounds.lengths:
        rows = _rows(labels, events, look_ups, found, task, window)
        since = [SINCE_LAST] if any(uses_since_last(e) for e in task.recipe.exprs.values()) else []
        made = (
            rows.select(_LABEL, *frame.schema, *since)
            .group_by(_LABEL, maintain_order=True)
            .agg(pl.len().alias(_HELD), **task.recipe.exprs)
        )
        filled = {
            f"{task.name}__{n}_{window}": pl.when(pl.col(_HELD).is_null())
            .then(pl.col(f"{n}{_RIGHT}"))
            .otherwise(pl.col(n))
            for n in task.recipe.exprs
        }
        joined = labels.select(_LABEL).join(made, on=_LABEL, how="left", maintain_order="left")
        whole = joined.join(nothing, how="cross", maintain_order="left").select(**filled)
        columns.append(whole)
        if window == bounds.longest and (task.reason or task.known or task.feature_time or task.duplicate):
            last = rows.group_by(_LABEL, maintain_order=True).agg(pl.col(EVENT_TICK).last())
            spans = pl.concat([labels, whole], how="horizontal")
            marked = spans.join(last, on=_LABEL, how="left", maintain_order="left")
            columns.append(marked.select(_marks(task, look_ups, found, list(filled))))
    return pl.concat(columns, how="horizontal")


def _rows(
    labels: pl.LazyFrame,
    events: pl.LazyFrame,
    look_ups: LookUps,
    found: Mapping[LookUp, str],
    task: Task,
    window: str,
) -> pl.LazyFrame:
    """All events of all windows of one length: ``_LABEL``, ``EVENT_TICK``, ``SINCE_LAST`` where asked for, values."""
    frame, bounds = look_ups.frame, task.bounds
    first, stop = (
        (pl.col(found[look_up]) + 1).fill_null(0) for look_up in (look_ups.start(bounds, window), look_ups.end(bounds))
    )
    known = look_ups.known_end(bounds)
    hashed = [SECOND_HASH] if frame.spec.hashed else []
    rows = (
        labels.filter(first < stop)
        .select(
            _LABEL,
            LABEL_TICK,
            *hashed,
            *([] if known is None else [look_ups.limit(known).alias(_LIMIT)]),
            pl.int_ranges(first, stop).alias(_EVENT),
        )
        .explode(_EVENT)
        .join(events.with_columns(pl.col(_EVENT).cast(pl.Int64)), on=_EVENT, maintain_order="left", suffix=_RIGHT)
    )
    if known is not None:
        rows = rows.filter(pl.col(KNOWN) <= pl.col(_LIMIT))
        if frame.mixed_clocks:  # what the kernel refuses: events known past the range of the finer unit
            rows = rows.filter(pl.col(KNOWN) < INT64_MAX)
    if hashed:
        rows = rows.filter(pl.col(SECOND_HASH) == pl.col(f"{SECOND_HASH}{_RIGHT}"))
    rows = rows.with_columns(unpack(frame.spec, pl.col(KEY))[1].alias(EVENT_TICK))
    if any(uses_since_last(e) for e in task.recipe.exprs.values()):
        last = pl.col(EVENT_TICK).last().over(_LABEL)
        since = look_ups.since_last(last, task.recipe.since).cast(pl.Int64).cast(task.recipe.since)
        rows = rows.with_columns(since.alias(SINCE_LAST))
    return rows


def _marks(task: Task, look_ups: LookUps, found: Mapping[LookUp, str], columns: Sequence[str]) -> list[pl.Expr]:
    held = pl.col(EVENT_TICK).is_not_null()
    known = look_ups.known_end(task.bounds)
    end = look_ups.end(task.bounds) if known is None else known
    usable = look_ups.tick(end.order, pl.col(f"{found[end]}k"))
    marks = []
    if task.reason:
        empty = pl.all_horizontal(pl.col(c).is_null() for c in columns)
        marks.append(reason(held, empty, usable.is_not_null()).alias(task.reason))
    if task.known:
        marks.append(pl.when(held).then(usable).alias(task.known))
    if task.feature_time:
        marks.append(look_ups.frame.event_clock.times(pl.col(EVENT_TICK)).alias(task.feature_time))
    if task.duplicate:
        marks.append((held & ~held).alias(task.duplicate))
    return marks
