"""Explanations of a plan: how each feature is joined, at what cost, and whether a store has it.

Takes a training plan, gives values that print. Single label rows are explained by ``explain_rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.window import Window
from timefence_pl.explain_rows import Candidate, FeatureRow, RowExplanation, condition, explain_row, named, span
from timefence_pl.feature_cache import CacheStatus
from timefence_pl.plan.joined import JoinedFeature
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.training_set import TrainingPlan
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.windows import WindowBounds, window_strategy
from timefence_pl.reports import explain_html, explain_text

__all__ = ["Candidate", "ExplainResult", "FeatureExplanation", "FeatureRow", "RowExplanation", "explain_plan"]


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
        return named(self.features, feature)

    def __str__(self) -> str:
        return explain_text(self)

    def __repr__(self) -> str:
        return f"ExplainResult({list(self.features)})"

    def _repr_html_(self) -> str:
        return explain_html(self)


#: Features that share a sort are named up to this many.
_NAMED: Final = 4


def explain_plan(
    labels: Labels, plan: TrainingPlan, options: JoinOptions, cache: Mapping[str, CacheStatus] | None = None
) -> ExplainResult:
    """Explain a plan, which is not run; the rows of sources in memory and in Parquet files are counted for the costs.

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
        return explain_row(labels, plan, options, position, features)

    return ExplainResult(
        features={
            j.feature.name: _explain_feature(j, labels, plan.clock, by_frame[id(j.frame)], status.get(j.feature.name))
            for j in plan.features
        },
        lazyframe=plan.frame,
        labels=labels.described(),
        _row=row,
    )


def _explain_feature(
    joined: JoinedFeature, labels: Labels, clock: Clock, together: Sequence[str], status: CacheStatus | None
) -> FeatureExplanation:
    bounds = joined.bounds
    if isinstance(joined.frame, SortedEvents):
        return _explain_window(joined, labels, clock, status)
    opening = "(-inf" if bounds.lookback is None else f"[label_time - {span(bounds.lookback, joined)}"
    closing = "label_time" + (f" - {span(bounds.embargo, joined)}" if bounds.embargo else "")
    window = f"{opening}, {closing}{')' if bounds.strict else ']'}"
    if bounds.staleness is not None:
        window += f", null when older than {span(bounds.staleness, joined)}"
    kind = {"none": "time", "integer": "packed integer key and time", "hash": "packed key hash and time"}
    others = [n for n in together if n != joined.feature.name]
    named = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    shared = f"; one sort and merge with {named}" if others else ""
    rows = _known_rows(joined)
    return FeatureExplanation(
        name=joined.feature.name,
        source=joined.feature.source.name,
        mode=joined.feature.mode,
        condition=condition(joined, labels),
        window=window,
        embargo=span(bounds.embargo, joined),
        strategy=f"as-of merge on {kind[joined.frame.spec.kind]}{shared}",
        cost=f"sort {rows} of {joined.feature.source.name!r}, then one pass over both sides"
        if status is None or not status.hit
        else "read the sorted frame from the store, then one pass over both sides",
        columns=tuple(joined.columns),
        cached=status is not None and status.hit,
        cache_reason="no store" if status is None else status.reason,
    )


def _explain_window(
    joined: JoinedFeature, labels: Labels, clock: Clock, status: CacheStatus | None
) -> FeatureExplanation:
    assert isinstance(joined.feature, Window)  # noqa: S101 - the caller's frame
    assert isinstance(joined.frame, SortedEvents)  # noqa: S101
    assert isinstance(joined.bounds, WindowBounds)  # noqa: S101
    strategy, cost = window_strategy(joined.feature, joined.bounds, joined.frame, clock)
    hit = status is not None and status.hit
    if hit:
        cost = cost.replace("sort all events once", "read the sorted events from the store")
    end = "label_time" + (f" - {span(joined.bounds.embargo, joined)}" if joined.bounds.embargo else "")
    shown = []
    opening, closing = ("[", ")") if joined.bounds.strict else ("(", "]")
    for name, length in joined.bounds.lengths.items():
        start = "(-inf" if length is None else f"{opening}{end} - {span(length, joined)}"
        shown.append(f"{name}: {start}, {end}{closing}")
    return FeatureExplanation(
        name=joined.feature.name,
        source=joined.feature.source.name,
        mode="window",
        condition=condition(joined, labels),
        window="; ".join(shown),
        embargo=span(joined.bounds.embargo, joined),
        strategy=strategy,
        cost=cost if hit else cost.replace("all events", f"{_known_rows(joined)} of {joined.feature.source.name!r}", 1),
        columns=tuple(joined.columns),
        cached=hit,
        cache_reason="no store" if status is None else status.reason,
    )


def _known_rows(joined: JoinedFeature) -> str:
    source = joined.feature.source
    if source.parquet_files() or source.table.in_memory:
        count = source.scan().select(pl.len()).collect(engine="streaming").item()
        return f"{count:,} rows"
    return "all rows"
