"""Explanations of one label row: which source row it got from each feature, or which events, and why.

Takes a training plan and a position, gives values that print. The chosen row, and the windows' values, are the plan's;
the verdicts on the source's rows are worked out here, with plain integers, from the rule in the documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.window import Window
from timefence_pl.durations import format_nanoseconds
from timefence_pl.errors import TimefenceValidationError, did_you_mean, listing, message
from timefence_pl.plan.joined import DUPLICATE_MATCH, REASON, SOURCE_ROW, JoinedFeature
from timefence_pl.plan.latest import Reason
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.prepare import EVENT_TICK, KNOWN, ROW, SortedFrame
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import ENTITY, KEY, SECOND_HASH, entity_columns, key_column, unpack
from timefence_pl.plan.training_set import TrainingPlan, training_set
from timefence_pl.plan.window_events import SortedEvents, with_known_order
from timefence_pl.plan.windows import WindowBounds
from timefence_pl.printing import plain_rows
from timefence_pl.reports import row_html, row_text

__all__ = ["Candidate", "FeatureRow", "RowExplanation", "condition", "explain_row", "named", "span"]

#: Rows shown of each verdict, the nearest to the limit; of events that count, more: what a window adds up.
_SHOWN: Final = 3
_SHOWN_COUNTED: Final = 8


@dataclass(frozen=True)
class Candidate:
    """One source row of the label's entity.

    Attributes:
        time: Its feature time.
        usable_from: When it became usable, where the source says.
        verdict: ``"chosen"``, ``"chosen, stale"``, ``"not usable yet"``, ``"too old"`` or ``"superseded"``; of a
            window's events ``"counted"``, ``"not usable yet"`` or ``"too old"``.
        why: The verdict's arithmetic.
        values: The feature's columns.
    """

    time: Any
    usable_from: Any
    verdict: str
    why: str
    values: dict[str, Any]


@dataclass(frozen=True)
class FeatureRow:
    """What one label row got from one feature.

    Attributes:
        feature: The feature.
        condition: The join condition.
        reason: The row's place in the partition, as in ``stats.feature_stats``.
        chosen: The row chosen; None where there was none.
        passed_over: Other rows of the entity, nearest to the limit first.
        entity_rows: All rows of the entity.
        note: What else is to be known: a null key, or a choice among duplicates.
        windows: Of a window feature, how many events each of its windows holds; none is chosen or passed over then, and
            ``passed_over`` holds the events nearest to the limit, counted or not.
        values: Of a window feature, its columns in the output.
    """

    feature: str
    condition: str
    reason: str
    chosen: Candidate | None
    passed_over: tuple[Candidate, ...]
    entity_rows: int
    note: str = ""
    windows: dict[str, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowExplanation:
    """Why one label row got what it got."""

    row: int
    label: dict[str, Any]
    features: dict[str, FeatureRow]

    def __getitem__(self, feature: str) -> FeatureRow:
        return named(self.features, feature)

    def __str__(self) -> str:
        return row_text(self)

    def _repr_html_(self) -> str:
        return row_html(self)


_Value = TypeVar("_Value")


def named(features: Mapping[str, _Value], name: str) -> _Value:
    """The value of a feature.

    Raises:
        TimefenceValidationError: If there is no such feature.
    """
    if not isinstance(name, str) or name not in features:
        raise TimefenceValidationError(
            message(
                f"There is no feature {shortened(name)}. {did_you_mean(name, features) if isinstance(name, str) else ''}".rstrip(),
                where=f"features: {listing(features)}",
                fix="Name a feature of the plan.",
            )
        )
    return features[name]


def condition(joined: JoinedFeature, labels: Labels) -> str:
    """The join condition in words of the user's own columns."""
    source, bounds = joined.feature.source, joined.bounds
    keys = [f"{source.name}.{s} = labels.{k}" for s, k in zip(source.keys, joined.label_keys, strict=True)]
    limit = f"labels.{labels.label_time}" + (f" - {span(bounds.embargo, joined)}" if bounds.embargo else "")
    time = f"{source.name}.{source.timestamp}"
    known = f"max({time}, {source.name}.{source.available_at})" if joined.frame.bitemporal else time
    parts = [*keys, f"{known} {'<' if bounds.strict else '<='} {limit}"]
    if bounds.lookback is not None:
        parts.append(f"{time} >= labels.{labels.label_time} - {span(bounds.lookback, joined)}")
    if isinstance(joined.feature, Window) and joined.feature.where is not None:
        where = str(joined.feature.where)
        parts.append(where if len(where) <= 160 else f"{where[:157]}...")
    return " AND ".join(parts)


def explain_row(
    labels: Labels, plan: TrainingPlan, options: JoinOptions, position: int, features: Sequence[str] | None
) -> RowExplanation:
    """Explain one label row.

    Args:
        labels: The labels.
        plan: The plan, from the sources.
        options: Its options.
        position: Of the label row, from 0.
        features: Names of the features to explain; all where None.

    Raises:
        TimefenceValidationError: If there is no such row or feature.
    """
    by_name = {j.feature.name: j for j in plan.features}
    names = [features] if isinstance(features, str) else by_name if features is None else features
    if not isinstance(names, Iterable):
        raise TimefenceValidationError(
            message(f"features={shortened(features)} is no list of names.", fix="Name features of the plan, or none.")
        )
    wanted = [named(by_name, f) for f in names]
    if not isinstance(position, int) or isinstance(position, bool):
        raise TimefenceValidationError(
            message(f"{shortened(position)} is not the position of a row.", fix="Count rows from 0.")
        )
    inside = 0 <= position < 1 << 32
    row = labels.scan().slice(position, 1).collect(engine="streaming") if inside else pl.DataFrame()
    if row.height != 1:
        count = labels.scan().select(pl.len()).collect(engine="streaming").item()
        raise TimefenceValidationError(
            message(f"The labels have no row {shortened(position)}: there are {count:,}.", fix="Count rows from 0.")
        )
    one = Labels(row, keys=labels.keys, label_time=labels.label_time)
    explained = {j.feature.name: _explain_feature_row(one, row, plan.clock, j, options) for j in wanted}
    return RowExplanation(position, plain_rows(row)[0], explained)


def _explain_feature_row(
    one: Labels, row: pl.DataFrame, clock: Clock, joined: JoinedFeature, options: JoinOptions
) -> FeatureRow:
    name = joined.feature.name
    sides = [key_column(row.schema[k]) for k in joined.label_keys]
    entity = row.select(entity_columns(joined.frame.spec, joined.label_keys, [s for s in sides if s is not None]))
    text = condition(joined, one)
    tick = row.select(clock.ticks(pl.col(one.label_time))).item()
    if entity[ENTITY][0] is None or tick is None:
        return FeatureRow(
            name, text, "no_history", None, (), 0, note="the label's key or time is null: nothing matches"
        )
    second = entity[SECOND_HASH][0] if SECOND_HASH in entity.columns else None
    if isinstance(joined.frame, SortedEvents):
        return _explain_window_row(one, tick * clock.size + clock.offset, joined, (entity[ENTITY][0], second), options)
    # Computed once: of rows that are made in no fixed order, another run would give each another number.
    kept = joined.frame.of_entity(entity[ENTITY][0], second).rows.collect(engine="in-memory")
    mine = replace(joined.frame, rows=kept.lazy()).of_entity(entity[ENTITY][0], second)
    plan = training_set(one, [joined.feature], {name: mine}, options, checks=False, source_rows=True)
    wanted = [m.format(name) for m in (REASON, SOURCE_ROW, DUPLICATE_MATCH)]
    answer = plan.observed.select(wanted).collect(engine="in-memory").row(0)
    reason, chosen = Reason(answer[0]), answer[1]
    note = ""
    if answer[2]:
        refused = joined.feature.on_duplicate == "error"
        note = "the row is one of several duplicates" + ("; a build raises TimefenceDuplicateError" if refused else "")
    label_instant = tick * clock.size + clock.offset
    rows = _rows(mine, name)
    winner = chosen if chosen is not None else _stale_winner(rows, joined, label_instant, reason)
    won = next((r for r in rows if r["row"] == winner), None)
    candidates = [_judge(r, joined, label_instant, won, stale=reason is Reason.STALE) for r in rows]
    best = next((c for c in candidates if c.verdict.startswith("chosen")), None)
    limit = label_instant - joined.bounds.embargo
    others = sorted(
        (
            (abs(r["known"] - limit), -i, c)
            for i, (r, c) in enumerate(zip(rows, candidates, strict=True))
            if c is not best
        ),
        key=lambda item: item[:2],
    )
    return FeatureRow(name, text, reason.name.lower(), best, _some(c for _, _, c in others), len(rows), note)


def _explain_window_row(
    one: Labels, label: int, joined: JoinedFeature, entity: tuple[int, int | None], options: JoinOptions
) -> FeatureRow:
    """What a window feature counted for one label row."""
    assert isinstance(joined.frame, SortedEvents)  # noqa: S101 - the caller's case
    assert isinstance(joined.bounds, WindowBounds)  # noqa: S101
    name = joined.feature.name
    mine = unpack(joined.frame.spec, pl.col(KEY))[0] == entity[0]
    if entity[1] is not None:
        mine &= pl.col(SECOND_HASH) == entity[1]
    # The order in which events became known goes by rows of all entities: it is made again from those of this one.
    kept = joined.frame.frame.filter(mine).collect(engine="in-memory")
    frame = kept.lazy()
    if joined.frame.bitemporal:
        frame = with_known_order(frame.with_columns(pl.lit(entity[0], dtype=pl.Int64).alias(ENTITY))).drop(ENTITY)
    events = replace(joined.frame, frame=frame)
    plan = training_set(one, [joined.feature], {name: events}, options, checks=False)
    (values,) = plain_rows(plan.frame.select(list(joined.columns)).collect(engine="in-memory"))
    rows = _events(kept, joined.frame)
    candidates = [_judge_event(r, joined, joined.bounds, label) for r in rows]
    counts = {w: sum(w in c[1] for c in candidates) for w in joined.bounds.lengths}
    limit = label - joined.bounds.embargo
    nearest = sorted(range(len(rows)), key=lambda i: (abs(rows[i]["known"] - limit), -i))
    held = any(counts.values())
    empty = all(v is None for v in values.values())
    reason = Reason.NULL_VALUE if held and empty else Reason.MATCHED_VALUE if held else Reason.NO_HISTORY
    if not held and any(c[0].verdict == "too old" for c in candidates):
        reason = Reason.TOO_OLD
    return FeatureRow(
        name,
        condition(joined, one),
        reason.name.lower(),
        None,
        _some(candidates[i][0] for i in nearest),
        len(rows),
        windows=counts,
        values=values,
    )


def _some(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The first of each verdict, in order."""
    left: dict[str, int] = {}
    picked = []
    for candidate in candidates:
        verdict = candidate.verdict
        left[verdict] = left.get(verdict, _SHOWN_COUNTED if verdict == "counted" else _SHOWN) - 1
        if left[verdict] >= 0:
            picked.append(candidate)
    return tuple(picked)


def _events(kept: pl.DataFrame, frame: SortedEvents) -> list[dict[str, Any]]:
    """All events of an entity: instants as exact integers, times and values as they print, in match order."""
    tick = unpack(frame.spec, pl.col(KEY))[1]
    known = pl.col(KNOWN) if frame.bitemporal else tick
    found = kept.select(
        tick.alias("event"), known.alias("known"), frame.event_clock.times(tick).alias("time"), *frame.schema
    )
    return [
        {
            "event": r["event"] * frame.event_clock.size + frame.event_clock.offset,
            "known": r["known"] * frame.clock.size + frame.clock.offset,
            "time": r["time"],
            "values": {c: r[c] for c in frame.schema},
        }
        for r in plain_rows(found)
    ]


def _judge_event(
    r: dict[str, Any], joined: JoinedFeature, bounds: WindowBounds, label: int
) -> tuple[Candidate, list[str]]:
    """The verdict on one event, and the windows that count it."""
    limit = label - bounds.embargo
    usable_from = _instant(r["known"], joined) if r["known"] != r["event"] else None
    age = span(label - r["event"], joined)
    inside: list[str] = []
    if not _usable(r["known"], joined, label):
        late = r["known"] - limit
        gap = f"{span(late, joined)} after the limit" if late else "exactly at the limit, which strict excludes"
        verdict, why = "not usable yet", gap
    else:
        for window, length in bounds.lengths.items():
            start = None if length is None else limit - length
            if start is None or r["event"] > start or (bounds.strict and r["event"] == start):
                inside.append(window)
        verdict = "counted" if inside else "too old"
        why = f"age {age}: in {', '.join(inside)}" if inside else f"age {age}: before all windows"
    return Candidate(r["time"], usable_from, verdict, why, r["values"]), inside


def _rows(frame: SortedFrame, feature: str) -> list[dict[str, Any]]:
    """All rows of an entity: instants as exact integers, times and values as they print, in match order."""
    event = frame.event_clock
    known = pl.col(KNOWN) if frame.bitemporal else pl.col(EVENT_TICK)
    columns = [f"{feature}__{c}" for c in frame.outputs[feature]]
    rows = frame.rows.select(
        pl.col(ROW),
        pl.col(EVENT_TICK),
        known.alias("known"),
        event.times(pl.col(EVENT_TICK)).alias("time"),
        *(pl.col(c) for c in frame.order if c.startswith("__tf_") and c != EVENT_TICK),
        *columns,
    )
    order = ["known", *[c for c in frame.order if c not in columns]]
    found = rows.sort(order, maintain_order=True).collect(engine="in-memory")
    return [
        {
            "row": r[ROW],
            "event": r[EVENT_TICK] * event.size + event.offset,
            "known": r["known"] * frame.clock.size + frame.clock.offset,
            "time": r["time"],
            "values": {c.removeprefix(f"{feature}__"): r[c] for c in columns},
        }
        for r in plain_rows(found)
    ]


def _stale_winner(rows: Sequence[dict[str, Any]], joined: JoinedFeature, label: int, reason: Reason) -> int | None:
    """The row that was found but is too stale to be used, which the plan gives no number for."""
    if reason is not Reason.STALE:
        return None
    usable = [r for r in rows if _usable(r["known"], joined, label)]
    return max(enumerate(usable), key=lambda item: (item[1]["event"], item[0]))[1]["row"] if usable else None


def _usable(known: int, joined: JoinedFeature, label: int) -> bool:
    limit = label - joined.bounds.embargo
    return known < limit if joined.bounds.strict else known <= limit


def _judge(
    r: dict[str, Any], joined: JoinedFeature, label: int, winner: dict[str, Any] | None, *, stale: bool
) -> Candidate:
    bounds = joined.bounds
    limit = label - bounds.embargo
    age = span(label - r["event"], joined)
    instant = joined.frame.bitemporal and r["known"] != r["event"]
    usable_from = _instant(r["known"], joined) if instant else None
    if not _usable(r["known"], joined, label):
        late = r["known"] - limit
        gap = f"{span(late, joined)} after the limit" if late else "exactly at the limit, which strict excludes"
        verdict, why = "not usable yet", gap
    elif bounds.lookback is not None and r["event"] < label - bounds.lookback:
        verdict, why = "too old", f"age {age}, more than the lookback of {span(bounds.lookback, joined)}"
    elif r is winner:
        verdict = "chosen, stale" if stale else "chosen"
        why = f"age {age}" + (f", more than the staleness of {span(bounds.staleness or 0, joined)}" if stale else "")
    else:
        tied = winner is not None and (r["event"], r["known"]) == (winner["event"], winner["known"])
        other = "another row of the same time" if tied else "a later usable row"
        verdict, why = "superseded", f"age {age}: {other} won"
    return Candidate(r["time"], usable_from, verdict, why, r["values"])


def _instant(value: int, joined: JoinedFeature) -> Any:
    clock = joined.frame.clock
    if clock.kind == "integer":
        return value
    zone = getattr(joined.frame.event_clock.dtype, "time_zone", None)
    series = pl.Series([value], dtype=pl.Int64).cast(pl.Datetime("ns")) if abs(value) < 2**63 else None
    if series is None:
        return value
    if zone:
        series = series.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return series.cast(pl.Datetime("us", zone))[0]


def span(amount: int, joined: JoinedFeature) -> str:
    """A length of time as it is written in definitions."""
    return str(amount) if joined.frame.clock.kind == "integer" else format_nanoseconds(amount)
