"""Labels and sorted feature frames to one lazy frame, in label order.

Takes definitions, options and (where they differ from the sources') prepared frames, gives a :class:`TrainingPlan`.
Reads schemas, never rows, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, listing, message
from timefence_pl.plan.alignment import LABEL_ROW, Alignment, Merge
from timefence_pl.plan.compatibility import check_reserved, comparable, label_clock, label_keys, source_columns
from timefence_pl.plan.guards import duplicate_guard
from timefence_pl.plan.hints import hints_of
from timefence_pl.plan.joined import DUPLICATE_MATCH, KNOWN_TICK, REASON, SOURCE_ROW, AnyBounds, AnyFrame, JoinedFeature
from timefence_pl.plan.latest import Bounds, Match, Reason
from timefence_pl.plan.options import JoinOptions, bounds_of
from timefence_pl.plan.prepare import SortedFrame, prepare
from timefence_pl.plan.rows import row_sets
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import key_column
from timefence_pl.plan.window_events import SortedEvents, event_sets, prepare_events
from timefence_pl.plan.windows import WindowBounds, WindowMatch, WindowMerge, window_bounds, window_columns

__all__ = ["TrainingPlan", "derived_plans", "plan_training_set", "prepare_all", "training_set"]


@dataclass(frozen=True)
class TrainingPlan:
    """A training set that nothing has run yet.

    Attributes:
        frame: The result: guards and ``on_missing`` applied, label columns then feature columns.
        observed: The same before guards and skips, with a reason, a duplicate mark and the usable-from tick of each feature.
        numbered: The label rows with ``LABEL_ROW``.
        alignments: The pieces the plan is made of, for runs that take them one by one.
        names: ``{feature}__{column}`` to the column's name in the output.
        features: What is joined, in order.
        label_schema: The label columns.
        clock: Of the label time.
    """

    frame: pl.LazyFrame
    observed: pl.LazyFrame
    numbered: pl.LazyFrame
    alignments: tuple[Alignment, ...]
    names: Mapping[str, str]
    features: tuple[JoinedFeature, ...]
    label_schema: pl.Schema
    clock: Clock

    @property
    def schema(self) -> pl.Schema:
        """The result's columns and their types, in order."""
        return pl.Schema({**self.label_schema, **{c: t for f in self.features for c, t in f.columns.items()}})

    @property
    def columns(self) -> list[str]:
        """Names of the result's columns, in order."""
        return [*self.label_schema, *(c for f in self.features for c in f.columns)]


def prepare_all(features: Sequence[AnyFeature], *, use_hints: bool = False, checks: bool = True) -> dict[str, AnyFrame]:
    """Sorted frames by feature name; features that share rows share one frame object.

    Args:
        features: The features.
        use_hints: Look into the footers of Parquet sources for ranges that make keys narrower; frames that are computed
            at once find these by themselves.
        checks: Whether the frames may hold Python.
    """
    frames: dict[str, AnyFrame] = {}
    for events in event_sets([f for f in features if isinstance(f, Window)]):
        rows_of = events.source.scan(checks=checks)
        history = prepare_events(events, rows_of, hints=hints_of(events.source) if use_hints else None)
        frames.update(dict.fromkeys((w.name for w in events.windows), history))
    for rows in row_sets([f for f in features if isinstance(f, Feature)]):
        scanned = rows.source.scan(checks=checks)
        frame = prepare(rows, scanned, hints=hints_of(rows.source) if use_hints else None)
        frames.update({f.name: frame for f in rows.features})
    return frames


def derived_plans(features: Sequence[AnyFeature]) -> list[pl.LazyFrame]:
    """The plans of transforms and SQL over empty sources: what they read besides them."""
    return [
        prepare(rows, pl.LazyFrame(schema=rows.source.schema)).rows
        for rows in row_sets([f for f in features if isinstance(f, Feature)])
        if rows.features[0].mode in ("sql", "transform")
    ]


def plan_training_set(
    labels: Labels, features: Sequence[AnyFeature], options: JoinOptions, *, checks: bool = True
) -> TrainingPlan:
    """The training plan straight from the sources."""
    check_definitions(labels, features, options)
    return training_set(labels, features, prepare_all(features, checks=checks), options, checks=checks)


def check_definitions(labels: Labels, features: Sequence[AnyFeature], options: JoinOptions) -> None:
    """Everything that schemas alone can tell.

    Raises:
        TimefenceError: If a column is missing, types do not compare, or bounds cannot be met.
    """
    if not isinstance(labels, Labels):
        raise TimefenceConfigError(
            message(
                f"labels is a {type(labels).__name__}.", fix="Declare them: tf.Labels(data, keys=..., label_time=...)."
            )
        )
    schema = labels.schema
    clock = label_clock(labels, schema)
    for feature in features:
        columns = source_columns(feature.source)
        label_keys(feature, columns, labels, schema)
        comparable(
            (f"labels {labels.label_time!r}", clock),
            (f"feature {feature.name!r} (source {feature.source.name!r}) {feature.source.timestamp!r}", columns.clock),
        )
        _bounds(feature, options, integer_times=clock.kind == "integer")


def training_set(
    labels: Labels,
    features: Sequence[AnyFeature],
    frames: Mapping[str, AnyFrame],
    options: JoinOptions,
    *,
    checks: bool = True,
    source_rows: bool = False,
) -> TrainingPlan:
    """Join prepared frames to labels.

    Args:
        labels: The rows to be filled.
        features: The features, in output order.
        frames: For each feature's name its sorted frame.
        options: Bounds, strictness and output options.
        checks: Guard against matched duplicates (runs Python inside the plan).
        source_rows: Put out the matched source row's number as ``__tf_row__{feature}`` in ``observed``.

    Raises:
        TimefenceSchemaError: If output names clash.
    """
    schema = labels.schema
    clock = label_clock(labels, schema)
    integer_times = clock.kind == "integer"
    joined = []
    for feature in features:
        prepared = frames[feature.name]
        comparable((f"labels {labels.label_time!r}", clock), (f"feature {feature.name!r} time", prepared.event_clock))
        keys = label_keys(feature, source_columns(feature.source), labels, schema)
        bounds = _bounds(feature, options, integer_times=integer_times)
        joined.append(JoinedFeature(feature, bounds, keys, _columns(feature, prepared, options, clock), prepared))
    names = _output_names(schema, joined, options)

    numbered = labels.scan(checks=checks).with_row_index(LABEL_ROW)
    alignments = _alignments(joined, labels, schema, clock, checks=checks, source_rows=source_rows)
    # The labels enter once: evaluated twice, a plan with a group_by in it gives two orders.
    once = numbered.cache()

    def whole(aligned: Sequence[Alignment], marked: Sequence[JoinedFeature]) -> pl.LazyFrame:
        marks = [m.format(j.feature.name) for j in marked for m in (REASON, DUPLICATE_MATCH, KNOWN_TICK)]
        marks += [SOURCE_ROW.format(j.feature.name) for j in marked if source_rows and isinstance(j.feature, Feature)]
        found = pl.concat([once.drop(LABEL_ROW), *(a.in_label_order(once) for a in aligned)], how="horizontal")
        return found.select(*schema, *(pl.col(old).alias(new) for old, new in names.items()), *marks)

    observed = whole(alignments, joined)
    frame = observed
    if any(isinstance(j.feature, Window) for j in joined):  # nothing below asks for their marks
        frame = whole([a.without_marks() for a in alignments], [j for j in joined if isinstance(j.feature, Feature)])
    renamed = tuple(_renamed(j, names) for j in joined)
    guarded = [j for j in renamed if j.feature.on_duplicate in ("error", "keep_any")]
    if checks and guarded:
        frame = frame.filter(duplicate_guard(guarded, labels, observed, DUPLICATE_MATCH))
    if options.on_missing == "skip":
        frame = frame.filter(found_everywhere([j.feature.name for j in joined if isinstance(j.feature, Feature)]))
    return TrainingPlan(
        frame=frame.select(*schema, *names.values()),
        observed=observed,
        numbered=numbered,
        alignments=alignments,
        names=names,
        features=renamed,
        label_schema=schema,
        clock=clock,
    )


def found_everywhere(features: Sequence[str]) -> pl.Expr:
    """Whether every one of these features found a row for the label, from the reasons in an observed frame."""
    if not features:
        return pl.lit(value=True)
    return pl.all_horizontal(pl.col(REASON.format(f)) >= Reason.NULL_VALUE.value for f in features)


def _bounds(feature: AnyFeature, options: JoinOptions, *, integer_times: bool) -> AnyBounds:
    if isinstance(feature, Window):
        return window_bounds(feature, strict=options.strict, integer_times=integer_times)
    return bounds_of(feature, options, integer_times=integer_times)


def own_columns(feature: AnyFeature, frame: AnyFrame, clock: Clock) -> dict[str, pl.DataType]:
    """A feature's columns, under their own names.

    Args:
        feature: The feature.
        frame: Its sorted frame.
        clock: Of the label time.
    """
    if isinstance(feature, Window):
        assert isinstance(frame, SortedEvents)  # noqa: S101 - what windows are prepared as
        return window_columns(feature, frame.schema, frame.event_clock, clock)
    assert isinstance(frame, SortedFrame)  # noqa: S101 - what features are prepared as
    return frame.outputs[feature.name]


def _columns(feature: AnyFeature, frame: AnyFrame, options: JoinOptions, clock: Clock) -> dict[str, pl.DataType]:
    columns = {f"{feature.name}__{c}": dtype for c, dtype in own_columns(feature, frame, clock).items()}
    if options.feature_times:
        columns[f"{feature.name}__feature_time"] = frame.event_clock.dtype
    return columns


def _renamed(joined: JoinedFeature, names: Mapping[str, str]) -> JoinedFeature:
    columns = {names[c]: dtype for c, dtype in joined.columns.items()}
    return JoinedFeature(joined.feature, joined.bounds, joined.label_keys, columns, joined.frame)


def _output_names(schema: pl.Schema, joined: Sequence[JoinedFeature], options: JoinOptions) -> dict[str, str]:
    """The output name of each ``{feature}__{column}``.

    Raises:
        TimefenceSchemaError: If two columns would have the same name.
    """
    owners: dict[str, list[str]] = {name: ["labels"] for name in schema}
    names: dict[str, str] = {}
    for j in joined:
        if options.feature_times and "feature_time" in _own(j):
            owners.setdefault(f"{j.feature.name}__feature_time", []).append(f"feature {j.feature.name!r}")
        for column in j.columns:
            plain = column.removeprefix(f"{j.feature.name}__")
            flat = options.flatten_columns and not (options.feature_times and plain == "feature_time")
            output = plain if flat else column
            owners.setdefault(output, []).append(f"feature {j.feature.name!r}")
            names[column] = output
    clashes = {name: who for name, who in owners.items() if len(who) > 1}
    check_reserved("the output", dict.fromkeys(names.values(), pl.Null()))
    if clashes:
        where = "\n".join(f"{name!r}: {', '.join(who)}" for name, who in clashes.items())
        raise TimefenceSchemaError(
            message(
                f"Output columns would have the same name: {listing(clashes)}.",
                where=where,
                fix=(
                    "leave out flatten_columns=True, which drops the feature names",
                    "rename a column with .alias(...) or columns={column: output}",
                )
                if options.flatten_columns
                else ("rename a feature with name=...", "rename the label column"),
            )
        )
    return names


def _alignments(
    joined: Sequence[JoinedFeature],
    labels: Labels,
    schema: pl.Schema,
    clock: Clock,
    *,
    checks: bool,
    source_rows: bool,
) -> tuple[Alignment, ...]:
    """Features grouped into merges (same frame, label keys and embargo), merges by how their labels sort."""
    merges: dict[object, list[JoinedFeature]] = {}
    for j in joined:
        embargo = None if isinstance(j.feature, Window) else j.bounds.embargo
        merges.setdefault((id(j.frame), j.label_keys, embargo), []).append(j)
    layouts: dict[object, list[list[JoinedFeature]]] = {}
    for group in merges.values():
        layouts.setdefault((group[0].label_keys, group[0].frame.spec.order), []).append(group)
    alignments = []
    for groups in layouts.values():
        first = groups[0][0]
        sides = tuple(s for s in (key_column(schema[k]) for k in first.label_keys) if s is not None)
        made = tuple(_merge(g, checks=checks, source_rows=source_rows) for g in groups)
        alignments.append(Alignment(first.frame.spec, first.label_keys, sides, labels.label_time, clock, made))
    return tuple(alignments)


def _merge(group: Sequence[JoinedFeature], *, checks: bool, source_rows: bool) -> Merge | WindowMerge:
    """One step of the plan: one as-of merge, or windows over one frame of events."""
    frame = group[0].frame
    if isinstance(frame, SortedEvents):
        return WindowMerge(frame, tuple(_wanted_of_window(j) for j in group), checks)
    return Merge(frame, tuple(_wanted(j, source_rows=source_rows) for j in group), checks)


def _wanted_of_window(joined: JoinedFeature) -> WindowMatch:
    name = joined.feature.name
    assert isinstance(joined.feature, Window)  # noqa: S101 - grouped by frame
    assert isinstance(joined.bounds, WindowBounds)  # noqa: S101
    return WindowMatch(
        window=joined.feature,
        bounds=joined.bounds,
        reason=REASON.format(name),
        known=KNOWN_TICK.format(name),
        feature_time=_time_column(joined),
        duplicate=DUPLICATE_MATCH.format(name),
    )


def _wanted(joined: JoinedFeature, *, source_rows: bool) -> Match:
    name = joined.feature.name
    assert isinstance(joined.bounds, Bounds)  # noqa: S101 - grouped by frame
    return Match(
        feature=name,
        bounds=joined.bounds,
        reason=REASON.format(name),
        feature_time=_time_column(joined),
        known=KNOWN_TICK.format(name),
        duplicate=DUPLICATE_MATCH.format(name),
        row=SOURCE_ROW.format(name) if source_rows else None,
    )


def _own(joined: JoinedFeature) -> list[str]:
    """A feature's own column names; a window's are never called ``feature_time``."""
    if isinstance(joined.frame, SortedFrame):
        return list(joined.frame.outputs[joined.feature.name])
    return []


def _time_column(joined: JoinedFeature) -> str | None:
    name = f"{joined.feature.name}__feature_time"
    return name if name in joined.columns and "feature_time" not in _own(joined) else None
