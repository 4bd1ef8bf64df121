"""Building a training set: check, plan, run, write, count. The only orchestrator.

Takes definitions and options, gives a :class:`BuildResult`. Every step is another module's.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import Features, flat_features
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.table import Table
from timefence_pl.durations import DurationLike
from timefence_pl.execution.dropped import dropped_rows
from timefence_pl.execution.local import LocalRun, choose_engine, run_local
from timefence_pl.execution.output import OutputFile, check_output, refuse_inputs
from timefence_pl.execution.steps import Progress, Steps
from timefence_pl.explain import ExplainResult, explain_plan
from timefence_pl.manifest import build_manifest, feature_statistics, file_record, now
from timefence_pl.plan.guards import chosen_among_duplicates
from timefence_pl.plan.options import DEFAULT_LOOKBACK, JoinOptions, join_options
from timefence_pl.plan.training_set import TrainingPlan, check_definitions, prepare_all, training_set
from timefence_pl.result import BuildResult, BuildStats
from timefence_pl.splits import Split, SplitBound, make_splits
from timefence_pl.store.files import whole_files

__all__ = ["build", "explain", "point_in_time"]


def point_in_time(
    labels: Labels,
    features: Features,
    *,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: Literal["strict", "inclusive"] = "strict",
    on_missing: Literal["null", "skip"] = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
    checks: bool = True,
) -> pl.LazyFrame:
    """Join features to labels, each as it was known at the label time; nothing is run.

    Of a feature's rows with the label's keys, those with ``feature_time < label_time - embargo`` (``<=`` where
    inclusive) and ``feature_time >= label_time - max_lookback`` are eligible, and the latest wins; on a source with
    ``available_at`` the upper bound holds for availability too. A winner older than ``max_staleness`` is null.

    Args:
        labels: The rows to be filled.
        features: A feature, features, or sets of them.
        max_lookback: The oldest usable feature time before the label time (closed); None is unbounded. Unset, it is
            365 days, or unbounded where times are integers. Features may override it.
        max_staleness: The age past which a found value is null; None is unbounded. Features may override it.
        join: ``"strict"`` excludes a value stamped exactly at the limit, ``"inclusive"`` includes it.
        on_missing: ``"null"`` keeps rows for which a feature found nothing, ``"skip"`` drops them.
        flatten_columns: Name columns without their feature's name.
        feature_times: Add ``{feature}__feature_time``.
        checks: Guard against choosing between duplicates, by Python inside the plan. Without it, for engines that
            run no Python, the last of duplicates is taken.

    Returns:
        Every label row once, in the labels' order: the label columns, then ``{feature}__{column}``. While it runs it
        raises :class:`TimefenceDuplicateError` where a label's match is one of several duplicates.

    Raises:
        TimefenceError: If schemas or options do not fit; no data is read.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> events = tf.Source(pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [10, 50]}), keys="k", timestamp="t")
        >>> labels = tf.Labels(pl.DataFrame({"k": [1, 1], "at": [5, 6]}), keys="k", label_time="at")
        >>> tf.point_in_time(labels, tf.Feature(events, columns="x")).collect()["x__x"].to_list()
        [10, 50]
    """
    options = join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing=on_missing,
        flatten_columns=flatten_columns,
        feature_times=feature_times,
    )
    return _plan(labels, flat_features(features), options, checks=checks).frame


def explain(
    labels: Labels,
    features: Features,
    *,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: Literal["strict", "inclusive"] = "strict",
    on_missing: Literal["null", "skip"] = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
) -> ExplainResult:
    """Explain how features would be joined; ``.row(n)`` explains what one label row gets.

    Args:
        labels: As for :func:`point_in_time`.
        features: As for :func:`point_in_time`.
        max_lookback: As for :func:`point_in_time`.
        max_staleness: As for :func:`point_in_time`.
        join: As for :func:`point_in_time`.
        on_missing: As for :func:`point_in_time`.
        flatten_columns: As for :func:`point_in_time`.
        feature_times: As for :func:`point_in_time`.

    Raises:
        TimefenceError: If schemas or options do not fit.
    """
    options = join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing=on_missing,
        flatten_columns=flatten_columns,
        feature_times=feature_times,
    )
    return explain_plan(labels, _plan(labels, flat_features(features), options, checks=True), options)


def build(
    labels: Labels,
    features: Features,
    output: str | Path | None = None,
    *,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: Literal["strict", "inclusive"] = "strict",
    on_missing: Literal["null", "skip"] = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
    splits: Mapping[str, Sequence[SplitBound]] | None = None,
    purge: DurationLike | None = None,
    progress: Progress | None = None,
    compression: str = "zstd",
) -> BuildResult:
    """Build a training set: join, check, count, write.

    Args:
        labels: The rows to be filled.
        features: A feature, features, or sets of them.
        output: Where to write: ``.parquet``, ``.csv``, ``.ndjson`` or ``.arrow``; kept in memory where None. It appears
            whole or not at all.
        max_lookback: As for :func:`point_in_time`.
        max_staleness: As for :func:`point_in_time`.
        join: As for :func:`point_in_time`.
        on_missing: As for :func:`point_in_time`.
        flatten_columns: As for :func:`point_in_time`.
        feature_times: As for :func:`point_in_time`.
        splits: ``{name: (start, end)}``, half-open ``[start, end)`` by label time, in the label column's zone; each is
            written to ``{stem}_{name}{suffix}`` beside the output.
        purge: Drop rows of an earlier split with ``label_time >= later start - purge``.
        progress: Called with a line of text at each step.
        compression: Of Parquet and Arrow output.

    Raises:
        TimefenceError: If definitions, options or data do not fit; nothing is left half-written.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> events = tf.Source(pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [10, 50]}), keys="k", timestamp="t")
        >>> labels = tf.Labels(pl.DataFrame({"k": [1, 2], "at": [5, 6]}), keys="k", label_time="at")
        >>> result = tf.build(labels, tf.Feature(events, columns="x"))
        >>> result.stats.feature_stats["x"]["matched"], result.stats.feature_stats["x"]["no_history"]
        (1, 1)
    """
    started, clock = now(), time.perf_counter()
    options = join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing=on_missing,
        flatten_columns=flatten_columns,
        feature_times=feature_times,
    )
    flat = flat_features(features)
    say = Steps(progress, len(flat))
    say.loading_labels()
    check_definitions(labels, flat, options)
    plan = _plan(labels, flat, options, checks=True, hints=True)
    parts = make_splits(splits, purge, plan.clock)
    file = None if output is None else check_output(output, compression, plan.schema)
    paths = {} if file is None else {s.name: file.beside(s.name).path for s in parts}
    if file is not None:
        refuse_inputs([file.path, *paths.values()], _tables(labels, flat))
    engine = _engine(labels, flat, file)
    with whole_files() if file is not None else nullcontext() as files:
        run = run_local(
            plan,
            labels,
            skip=options.on_missing == "skip",
            engine=engine,
            output=file,
            splits=parts,
            files=files,
            say=say,
        )
        say.verifying()
        # Whatever can fail does so before the files are put in place.
        statistics = feature_statistics(plan, run, dropped_rows([f.source for f in flat]))
        record = None if file is None or files is None else file_record(files, file.path, run.rows)
        records = (
            [] if files is None else [{"name": n, **file_record(files, p, run.split_rows[n])} for n, p in paths.items()]
        )
    _warn(run, parts, plan)
    seconds = time.perf_counter() - clock
    manifest = build_manifest(
        build_id=f"{started:%Y%m%dT%H%M%S}{started.microsecond:06d}Z-{uuid.uuid4().hex[:8]}",
        started=started,
        seconds=seconds,
        labels=labels,
        options=options,
        plan=plan,
        run=run,
        statistics=statistics,
        output=record,
        splits=records,
        engine=engine,
    )
    stats = BuildStats(
        row_count=run.rows,
        column_count=len(plan.columns),
        duration_seconds=seconds,
        feature_stats=statistics,
        label_count=run.observation.rows,
        split_rows=run.split_rows,
        purged_rows=run.purged,
        unassigned_rows=run.unassigned,
    )
    return BuildResult(
        output_path=None if output is None else str(output),
        splits=paths,
        stats=stats,
        manifest=manifest,
        plan=plan.frame,
        _output=file,
        _frame=run.frame,
        _explain=lambda: explain_plan(labels, plan, options),
    )


def _plan(
    labels: Labels,
    features: list[Feature],
    options: JoinOptions,
    *,
    checks: bool,
    hints: bool = False,
) -> TrainingPlan:
    check_definitions(labels, features, options)
    frames = prepare_all(features, use_hints=hints)
    return training_set(labels, features, frames, options, checks=checks)


def _tables(labels: Labels, features: list[Feature]) -> list[Table]:
    tables = [labels.table, *(f.source.table for f in features)]
    return list({id(t): t for t in tables}.values())


def _engine(labels: Labels, features: list[Feature], file: OutputFile | None) -> Any:
    if file is not None and file.format not in ("parquet", "ipc"):
        return "in-memory"  # text files lose types, which the streamed way reads back
    tables = _tables(labels, features)
    files = [name for table in tables for name in table.local_files()]
    return choose_engine(files, known=all(table.size_known() for table in tables))


def _warn(run: LocalRun, splits: Sequence[Split], plan: TrainingPlan) -> None:
    for j in plan.features:
        count = run.observation.features[j.feature.name].duplicates
        if count and j.feature.on_duplicate == "keep_any":
            warnings.warn(chosen_among_duplicates(j.feature.name), UserWarning, stacklevel=3)
    for earlier, later in pairwise(splits):
        if earlier.instants[1] < later.instants[0]:
            warnings.warn(
                f"There is a gap between the splits {earlier.name!r} (to {earlier.shown[1]}) and {later.name!r} "
                f"(from {later.shown[0]}).",
                UserWarning,
                stacklevel=3,
            )
    if run.unassigned:
        warnings.warn(
            f"{run.unassigned} of {run.rows} rows are in no split; the main output keeps them.",
            UserWarning,
            stacklevel=3,
        )
