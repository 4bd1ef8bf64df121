"""Explanations: how each feature is joined, and which source row a label row got, and why.

Takes a training plan, gives values that print. The chosen row is the plan's; the verdicts on the rows passed over are
worked out here, with plain integers, from the rule in the documentation of the match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import polars as pl

from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.window import Window
from timefence_pl.durations import format_nanoseconds
from timefence_pl.errors import TimefenceValidationError, did_you_mean, listing, message
from timefence_pl.feature_cache import CacheStatus
from timefence_pl.plan.latest import Reason
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.prepare import EVENT_TICK, KNOWN, ROW, SortedFrame
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import ENTITY, SECOND_HASH, entity_columns, key_column
from timefence_pl.plan.training_set import (
    DUPLICATE_MATCH,
    REASON,
    SOURCE_ROW,
    JoinedFeature,
    TrainingPlan,
    training_set,
)
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.windows import WindowBounds
from timefence_pl.printing import plain_rows
from timefence_pl.reports import explain_html, explain_text, row_text

__all__ = ["Candidate", "ExplainResult", "FeatureExplanation", "FeatureRow", "RowExplanation", "explain_plan"]

_SHOWN: Final = 4


@dataclass(frozen=True)
class FeatureExplanation:
    """How one feature is joined.

    Attributes:
        name: The feature.
        source: Its source's name.
        mode: How it is computed.
        condition: The join condition.
        window: The usable span of feature times.
        embargo: The embargo, shown.
        strategy: How the join runs.
        cost: What has to be done for it.
        columns: Output columns.
        cached: Whether its frame is taken from a store.
        cache_reason: Why not, where it is not.
    """

    name: str
    source: str
    mode: str
    condition: str
    window: str
    embargo: str
    strategy: str
    cost: str
    columns: tuple[str, ...]
    cached: bool = False
    cache_reason: str = "no store"


@dataclass(frozen=True)
class Candidate:
    """One source row of the label's entity.

    Attributes:
        time: Its feature time.
        usable_from: When it became usable, where the source says.
        verdict: ``"chosen"``, ``"chosen, stale"``, ``"not usable yet"``, ``"too old"`` or ``"superseded"``.
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
    """

    feature: str
    condition: str
    reason: str
    chosen: Candidate | None
    passed_over: tuple[Candidate, ...]
    entity_rows: int
    note: str = ""


@dataclass(frozen=True)
class RowExplanation:
    """Why one label row got what it got."""

    row: int
    label: dict[str, Any]
    features: dict[str, FeatureRow]

    def __getitem__(self, feature: str) -> FeatureRow:
        return _named(self.features, feature)

    def __str__(self) -> str:
        return row_text(self)


@dataclass(frozen=True, repr=False)
class ExplainResult:
    """How a training set is joined.

    Attributes:
        features: One explanation a feature.
        lazyframe: The lazy frame that would run.
        labels: The labels, in a few words.
    """

    features: dict[str, FeatureExplanation]
    lazyframe: pl.LazyFrame
    labels: str
    _row: Callable[[int, Sequence[str] | None], RowExplanation] = field(compare=False)

    @property
    def plan(self) -> str:
        """Polars' own optimised plan, as text."""
        return self.lazyframe.explain()

    def row(self, row: int, features: Sequence[str] | None = None) -> RowExplanation:
        """Why one label row got what it got: the row chosen, those passed over, and the arithmetic.

        Args:
            row: Position of the label row, from 0.
            features: Names of the features to explain; all by default.

        Raises:
            TimefenceValidationError: If there is no such row or feature.
        """
        return self._row(row, features)

    def __getitem__(self, feature: str) -> FeatureExplanation:
        return _named(self.features, feature)

    def __str__(self) -> str:
        return explain_text(self)

    def __repr__(self) -> str:
        return f"ExplainResult({list(self.features)})"

    def _repr_html_(self) -> str:
        return explain_html(self)


_Value = TypeVar("_Value")


def _named(features: Mapping[str, _Value], name: str) -> _Value:
    if name not in features:
        raise TimefenceValidationError(
            message(
                f"There is no feature {name!r}. {did_you_mean(str(name), features)}".rstrip(),
                where=f"features: {listing(features)}",
                fix="Name a feature of the plan.",
            )
        )
    return features[name]


def explain_plan(
    labels: Labels, plan: TrainingPlan, options: JoinOptions, cache: Mapping[str, CacheStatus] | None = None
) -> ExplainResult:
    """Explain a plan; runs nothing.

    Args:
        labels: The labels.
        plan: The plan, from the sources.
        options: Its options.
        cache: For each feature whether a store has it.
    """
    status = cache or {}
    by_frame: dict[int, list[str]] = {}
    for j in plan.features:
        by_frame.setdefault(id(j.frame), []).append(j.feature.name)

    def row(position: int, features: Sequence[str] | None) -> RowExplanation:
        return _explain_row(labels, plan, options, position, features)

    return ExplainResult(
        features={
            j.feature.name: _explain_feature(j, labels, by_frame[id(j.frame)], status.get(j.feature.name))
            for j in plan.features
        },
        lazyframe=plan.frame,
        labels=labels.described(),
        _row=row,
    )


def condition(joined: JoinedFeature, labels: Labels) -> str:
    """The join condition in words of the user's own columns."""
    source, bounds = joined.feature.source, joined.bounds
    keys = [f"{source.name}.{s} = labels.{k}" for s, k in zip(source.keys, joined.label_keys, strict=True)]
    limit = f"labels.{labels.label_time}" + (f" - {_span(bounds.embargo, joined)}" if bounds.embargo else "")
    time = f"{source.name}.{source.timestamp}"
    known = f"max({time}, {source.name}.{source.available_at})" if joined.frame.bitemporal else time
    parts = [*keys, f"{known} {'<' if bounds.strict else '<='} {limit}"]
    if bounds.lookback is not None:
        parts.append(f"{time} >= labels.{labels.label_time} - {_span(bounds.lookback, joined)}")
    return " AND ".join(parts)


def _explain_feature(
    joined: JoinedFeature, labels: Labels, together: Sequence[str], status: CacheStatus | None
) -> FeatureExplanation:
    bounds = joined.bounds
    if isinstance(joined.frame, SortedEvents):
        return _explain_window(joined, labels, status)
    opening = "(-inf" if bounds.lookback is None else f"[label_time - {_span(bounds.lookback, joined)}"
    closing = "label_time" + (f" - {_span(bounds.embargo, joined)}" if bounds.embargo else "")
    window = f"{opening}, {closing}{')' if bounds.strict else ']'}"
    if bounds.staleness is not None:
        window += f", null when older than {_span(bounds.staleness, joined)}"
    kind = {"none": "time", "integer": "packed integer key and time", "hash": "packed key hash and time"}
    others = [n for n in together if n != joined.feature.name]
    shared = f"; one sort and merge with {', '.join(others)}" if others else ""
    rows = _known_rows(joined)
    return FeatureExplanation(
        name=joined.feature.name,
        source=joined.feature.source.name,
        mode=joined.feature.mode,
        condition=condition(joined, labels),
        window=window,
        embargo=_span(bounds.embargo, joined),
        strategy=f"as-of merge on {kind[joined.frame.spec.kind]}{shared}",
        cost=f"sort {rows} of {joined.feature.source.name!r}, then one pass over both sides"
        if status is None or not status.hit
        else "read the sorted frame from the store, then one pass over both sides",
        columns=tuple(joined.columns),
        cached=status is not None and status.hit,
        cache_reason="no store" if status is None else status.reason,
    )


def _explain_window(joined: JoinedFeature, labels: Labels, status: CacheStatus | None) -> FeatureExplanation:
    assert isinstance(joined.feature, Window)  # noqa: S101 - the caller's frame
    assert isinstance(joined.bounds, WindowBounds)  # noqa: S101
    end = "label_time" + (f" - {_span(joined.bounds.embargo, joined)}" if joined.bounds.embargo else "")
    shown = []
    for name, length in joined.bounds.lengths.items():
        start = "-inf" if length is None else f"{end} - {_span(length, joined)}"
        shown.append(
            f"{name}: {'[' if joined.bounds.strict else '('}{start}, {end}{')' if joined.bounds.strict else ']'}"
        )
    return FeatureExplanation(
        name=joined.feature.name,
        source=joined.feature.source.name,
        mode="window",
        condition=condition(joined, labels),
        window="; ".join(shown),
        embargo=_span(joined.bounds.embargo, joined),
        strategy="running totals and as-of look-ups, or the windows' own events, over events sorted by key and time",
        cost=f"sort {_known_rows(joined)} of {joined.feature.source.name!r}, then one look-up for each distinct bound",
        columns=tuple(joined.columns),
        cached=False,
        cache_reason="no store" if status is None else status.reason,
    )


def _known_rows(joined: JoinedFeature) -> str:
    source = joined.feature.source
    if source.parquet_files() or source.table.in_memory:
        count = source.scan().select(pl.len()).collect(engine="streaming").item()
        return f"{count:,} rows"
    return "all rows"


def _explain_row(
    labels: Labels, plan: TrainingPlan, options: JoinOptions, position: int, features: Sequence[str] | None
) -> RowExplanation:
    by_name = {j.feature.name: j for j in plan.features}
    wanted = [_named(by_name, f) for f in (by_name if features is None else features)]
    if not isinstance(position, int) or isinstance(position, bool):
        raise TimefenceValidationError(message(f"{position!r} is not the position of a row.", fix="Count rows from 0."))
    row = labels.scan().slice(position, 1).collect(engine="streaming") if position >= 0 else pl.DataFrame()
    if row.height != 1:
        raise TimefenceValidationError(message(f"The labels have no row {position}.", fix="Count rows from 0."))
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
    if not isinstance(joined.frame, SortedFrame):
        return FeatureRow(name, text, "window", None, (), 0, note="aggregates of the events in its windows")
    if entity[ENTITY][0] is None or tick is None:
        return FeatureRow(
            name, text, "no_history", None, (), 0, note="the label's key or time is null: nothing matches"
        )
    second = entity[SECOND_HASH][0] if SECOND_HASH in entity.columns else None
    mine = joined.frame.of_entity(entity[ENTITY][0], second)
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
    candidates = [_judge(r, joined, label_instant, winner, stale=reason is Reason.STALE) for r in rows]
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
    return FeatureRow(name, text, reason.name.lower(), best, tuple(c for _, _, c in others[:_SHOWN]), len(rows), note)


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


def _judge(r: dict[str, Any], joined: JoinedFeature, label: int, winner: int | None, *, stale: bool) -> Candidate:
    bounds = joined.bounds
    limit = label - bounds.embargo
    age = _span(label - r["event"], joined)
    instant = joined.frame.bitemporal and r["known"] != r["event"]
    usable_from = _instant(r["known"], joined) if instant else None
    if not _usable(r["known"], joined, label):
        late = r["known"] - limit
        gap = f"{_span(late, joined)} after the limit" if late else "exactly at the limit, which strict excludes"
        verdict, why = "not usable yet", gap
    elif bounds.lookback is not None and r["event"] < label - bounds.lookback:
        verdict, why = "too old", f"age {age}, more than the lookback of {_span(bounds.lookback, joined)}"
    elif r["row"] == winner:
        verdict = "chosen, stale" if stale else "chosen"
        why = f"age {age}" + (f", more than the staleness of {_span(bounds.staleness or 0, joined)}" if stale else "")
    else:
        verdict, why = "superseded", f"age {age}: a later usable row won"
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


def _span(amount: int, joined: JoinedFeature) -> str:
    return str(amount) if joined.frame.clock.kind == "integer" else format_nanoseconds(amount)
