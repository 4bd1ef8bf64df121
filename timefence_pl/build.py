"""Building a training set: check, fingerprint, plan, run, write, count. The only orchestrator.

Takes definitions and options, gives a :class:`BuildResult`. Every step is another module's.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from timefence_pl.choices import boolean, one_of, optional_callable, shortened
from timefence_pl.definitions.feature_set import AnyFeature, Features, flat_features
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.table import Table
from timefence_pl.durations import DurationLike
from timefence_pl.errors import TimefenceConfigError, TimefenceError, TimefenceStoreError, message
from timefence_pl.execution.dropped import dropped_rows
from timefence_pl.execution.local import Engine, LabelOrders, LocalRun, choose_engine, run_local
from timefence_pl.execution.output import COMPRESSIONS, OutputFile, check_output, refuse_inputs
from timefence_pl.execution.steps import Progress, Steps
from timefence_pl.faults import CHECK_DATA, NOT_COMPUTED, faults_are_ours, polars_faults
from timefence_pl.feature_cache import FeatureCache
from timefence_pl.fingerprint import FileHasher, Fingerprint, Uncacheable
from timefence_pl.identity import build_fingerprint, labels_fingerprint
from timefence_pl.manifest import Made, build_manifest, feature_statistics, file_record, manifest_status, now
from timefence_pl.plan.guards import chosen_among_duplicates
from timefence_pl.plan.joined import AnyFrame
from timefence_pl.plan.latest import Reason
from timefence_pl.plan.options import DEFAULT_LOOKBACK, JoinOptions, join_options
from timefence_pl.plan.training_set import (
    TrainingPlan,
    check_definitions,
    derived_plans,
    plan_training_set,
    prepare_all,
    training_set,
)
from timefence_pl.provenance import hashed_inputs, inputs_of
from timefence_pl.recipes import recipe_of
from timefence_pl.result import BuildResult, BuildStats
from timefence_pl.reuse import builds_of, find_again
from timefence_pl.splits import Split, SplitBound, make_splits
from timefence_pl.store.base import BuildStore
from timefence_pl.store.files import whole_files

if TYPE_CHECKING:
    from timefence_pl.explain import ExplainResult
    from timefence_pl.leakage.profile import Profile

__all__ = ["build"]


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
    store: BuildStore | None = None,
    progress: Progress | None = None,
    compression: str = "zstd",
    check_lookahead: bool = False,
) -> BuildResult:
    """Build a training set: join, check, count, write.

    Args:
        labels: The rows to be filled.
        features: A feature, features, or sets of them.
        output: Where to write: ``.parquet``, ``.csv``, ``.ndjson`` or ``.arrow``; kept in memory where None. It appears
            whole or not at all. What a format cannot
            hold is refused: lists and structs in CSV, NaN and infinities in NDJSON, binary values and durations in
            both.
        max_lookback: As for :func:`point_in_time`.
        max_staleness: As for :func:`point_in_time`.
        join: As for :func:`point_in_time`.
        on_missing: As for :func:`point_in_time`.
        flatten_columns: As for :func:`point_in_time`.
        feature_times: As for :func:`point_in_time`.
        splits: ``{name: (start, end)}``, half-open ``[start, end)`` by label time, in the label column's zone; each is
            written to ``{stem}_{name}{suffix}`` beside the output.
        purge: With splits, the time before a later split's start from which rows of the split before it are dropped
            (``label_time >= later start - purge``), so that nothing is learnt from labels whose outcome reaches into
            the later split. The main output keeps them; ``stats.purged_rows`` counts them.
        store: Take features that it has from it, keep those that it has not, keep the manifest; a build whose result it
            has already is not run again but verified and copied.
        progress: Called with a line of text at each step.
        compression: ``"zstd"``, ``"lz4"`` or ``"uncompressed"``; for Parquet also ``"snappy"``, ``"gzip"`` and
            ``"brotli"``. Text files are not compressed.
        check_lookahead: Check first, as :func:`check_lookahead` does, that no feature looks ahead; nothing is built
            where one does, does not repeat itself, or cannot be checked.

    Returns:
        The set as it was written, or in memory, with its statistics, manifest and explanations. It has every label row
        once, in the labels' order (with ``on_missing="skip"`` those for which every feature but windows found a
        row): the label columns, then ``{feature}__{column}``.

    Raises:
        TimefenceLeakageError: If ``check_lookahead`` is set and not every feature passes.
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
    boolean(check_lookahead, "check_lookahead")
    optional_callable(progress, "progress")
    one_of(compression, COMPRESSIONS, "compression")
    flat = flat_features(features)
    say = Steps(progress, len(flat))
    say.loading_labels()
    check_definitions(labels, flat, options)
    if store is not None and not isinstance(store, BuildStore):
        raise TimefenceConfigError(
            message(f"store={shortened(store)} is not a store.", fix="Use tf.Store('.timefence').")
        )
    if check_lookahead:
        from timefence_pl.leakage.lookahead import check_lookahead as look_ahead  # noqa: PLC0415 - most builds do without

        say.checking_lookahead()
        look_ahead(flat).assert_clean()
    inputs = inputs_of(labels, flat)
    with faults_are_ours("The inputs cannot be read.", CHECK_DATA):
        engine = _engine(labels, flat)
        # Frames that are computed at once find by themselves what hints tell.
        hinted = engine == "streaming" and store is None
        planned = prepare_all(flat, use_hints=hinted)
        plan = training_set(labels, flat, planned, options)
        parts = make_splits(splits, purge, plan.clock)
        target = _target(output, compression, plan, parts, labels, flat)
        if target is not None and target.format not in ("parquet", "ipc"):
            engine = "in-memory"  # text files lose types, which the streamed way reads back
        streamed = engine == "streaming"
    if store is not None:
        store.layout.create()
    with (
        faults_are_ours(NOT_COMPUTED, CHECK_DATA),
        _hasher(store) as hasher,
        ExitStack() as begun,
    ):
        ahead: LabelOrders | None = None
        cache = None if store is None or hasher is None else FeatureCache(store.layout, hasher)
        key, found = None, None
        if store is not None and cache is not None and hasher is not None:
            rows = _labels_key(labels, hasher)
            earlier = [] if rows is None or target is None else builds_of(store.list_builds(), rows)
            if not earlier and not streamed:
                # No build to be found again: the labels are sorted while Python tells which features are there.
                ahead = begun.enter_context(LabelOrders.begun(plan, labels))
            cache.identify(flat)
            key = None if rows is None else _build_key(rows, plan, options, parts, target, cache, hasher)
            found = None if key is None or target is None else find_again(earlier, key, target)
        if found is not None and cache is not None:
            say.verifying()
            cache.not_needed()
            made = found
        else:
            algorithm = "xxh3_128" if hasher is None else hasher.algorithm
            attempt = partial(
                _run, labels, flat, planned, plan, options, parts, target, engine, cache, algorithm=algorithm
            )
            done = None
            try:
                done = attempt(ahead=ahead, say=say)
            except polars_faults(TimefenceError):
                if cache is None or not cache.lost():
                    raise
            if done is None and cache is not None:
                # An entry was removed after it was found, by gc or repair in another process: once more without any.
                cache.forget_entries()
                done = attempt(ahead=None, say=Steps(progress, len(flat)))
            assert done is not None  # noqa: S101 - without a cache it was raised
            plan, made = done
            if key is not None and cache is not None and hasher is not None:
                key = key if _unchanged(labels, key, cache, hasher) else None
    seconds = time.perf_counter() - clock
    manifest = build_manifest(
        build_id=f"{started:%Y%m%dT%H%M%S}{started.microsecond:06d}Z-{uuid.uuid4().hex[:8]}",
        started=started,
        seconds=seconds,
        labels=labels,
        options=options,
        plan=plan,
        made=made,
        cache={} if cache is None else cache.status,
        build_key=key,
        reused=found is not None,
        engine=engine if target is not None else "in-memory",  # what is kept in memory is made there
        inputs=inputs,
    )
    messages = list(made.messages)
    if store is not None:
        try:
            manifest["manifest_path"] = str(store.save_build(manifest))
        except TimefenceStoreError as error:
            messages.append(f"The build is done, but its manifest is not kept: {str(error).splitlines()[0]}")
    for line in messages:
        warnings.warn(line, UserWarning, stacklevel=2)
    stats = BuildStats(
        row_count=made.rows,
        column_count=len(plan.columns),
        duration_seconds=seconds,
        feature_stats=made.statistics,
        label_count=made.label_count,
        split_rows=made.split_rows,
        purged_rows=made.purged,
        unassigned_rows=made.unassigned,
        incomplete_labels=made.incomplete,
    )
    return BuildResult(
        output_path=None if output is None else str(output),
        splits={} if target is None else {s.name: target.beside(s.name).path for s in parts},
        stats=stats,
        manifest=manifest,
        plan=plan.frame,
        _output=target,
        _frame=made.frame,
        _explain=lambda: _explained(labels, flat, options, manifest),
        _profile=lambda: _profiled(labels, flat, options),
        _provenance=lambda hasher: {
            **hashed_inputs(inputs, labels, flat, hasher, int(started.timestamp() * 1e9)),
            **recipe_of(labels, flat, options),
        },
    )


def _explained(
    labels: Labels, features: list[AnyFeature], options: JoinOptions, manifest: Mapping[str, Any]
) -> ExplainResult:
    from timefence_pl.explain import explain_plan  # noqa: PLC0415 - loaded where somebody asks

    return explain_plan(labels, plan_training_set(labels, features, options), options, manifest_status(manifest))


def _profiled(labels: Labels, features: list[AnyFeature], options: JoinOptions) -> Mapping[str, Profile]:
    from timefence_pl.leakage.profile import profile  # noqa: PLC0415 - loaded where somebody asks

    return profile(labels, features, options)


def _hasher(store: BuildStore | None) -> AbstractContextManager[FileHasher | None]:
    return nullcontext() if store is None else store.hasher()


def _run(
    labels: Labels,
    features: list[AnyFeature],
    planned: Mapping[str, AnyFrame],
    plan: TrainingPlan,
    options: JoinOptions,
    splits: Sequence[Split],
    target: OutputFile | None,
    engine: Engine,
    cache: FeatureCache | None,
    *,
    ahead: LabelOrders | None,
    say: Steps,
    algorithm: str,
) -> tuple[TrainingPlan, Made]:
    """Run the plan, with what the store has in it, count, write; what can fail does so before any file is put in place.

    Returns:
        The plan that was run, and what it gave.
    """
    frames = None if cache is None else cache.frames(features, use_hints=engine == "streaming", planned=planned)
    dropped = dropped_rows([f.source for f in features], {} if cache is None else cache.dropped)
    if cache is not None and frames is not None:
        frames = cache.computed(features, frames, dropped) if engine == "streaming" else frames
        plan = training_set(labels, features, frames, options)
    keep = None if cache is None else partial(cache.keep, dropped=dropped)
    with nullcontext() if target is None else whole_files() as files:
        run = run_local(
            plan,
            labels,
            skip=options.on_missing == "skip",
            engine=engine,
            output=target,
            splits=splits,
            files=files,
            say=say,
            keep=keep,
            ahead=ahead,
        )
        say.verifying()
        output, records = None, []
        if target is not None and files is not None:
            output = file_record(files, target.path, run.rows, algorithm)
            records = [
                {"name": s.name, **file_record(files, target.beside(s.name).path, run.split_rows[s.name], algorithm)}
                for s in splits
            ]
    made = Made(
        rows=run.rows,
        label_count=run.observation.rows,
        label_range=run.label_range,
        statistics=feature_statistics(plan, run, dropped),
        split_rows=run.split_rows,
        purged=run.purged,
        unassigned=run.unassigned,
        incomplete=run.observation.incomplete,
        output=output,
        splits=records,
        frame=run.frame,
        messages=_messages(run, splits, plan),
    )
    return plan, made


def _target(
    output: str | Path | None,
    compression: str,
    plan: TrainingPlan,
    splits: Sequence[Split],
    labels: Labels,
    features: list[AnyFeature],
) -> OutputFile | None:
    if output is None:
        return None
    target = check_output(output, compression, plan.schema)
    refuse_inputs(
        [target.path, *(target.beside(s.name).path for s in splits)], _tables(labels, features), derived_plans(features)
    )
    return target


def _labels_key(labels: Labels, hasher: FileHasher) -> Fingerprint | None:
    """The labels' fingerprint; None where they cannot be named."""
    try:
        return labels_fingerprint(labels, hasher)
    except Uncacheable:
        return None


def _build_key(
    rows: Fingerprint,
    plan: TrainingPlan,
    options: JoinOptions,
    splits: Sequence[Split],
    target: OutputFile | None,
    cache: FeatureCache,
    hasher: FileHasher,
) -> Fingerprint | None:
    """The build's key, for labels of this fingerprint; None where a feature cannot be named."""
    if any(j.feature.name not in cache.fingerprints for j in plan.features):
        return None
    written = None if target is None else {"format": target.format, "compression": target.compression}
    return build_fingerprint(rows, cache.fingerprints, plan.features, options, splits, written, hasher)


def _unchanged(labels: Labels, key: Fingerprint, cache: FeatureCache, hasher: FileHasher) -> bool:
    """Whether a build that has run may keep its key: its inputs may have changed between hashing and reading."""
    try:
        in_memory = labels.table.frame is not None and labels.table.in_memory
        same = in_memory or labels_fingerprint(labels, hasher).key == key.parts["labels"]
    except (Uncacheable, TimefenceError):
        return False
    return same and cache.unchanged(name for name, status in cache.status.items() if not status.hit)


def _tables(labels: Labels, features: list[AnyFeature]) -> list[Table]:
    tables = [labels.table, *(f.source.table for f in features)]
    return list({id(t): t for t in tables}.values())


def _engine(labels: Labels, features: list[AnyFeature]) -> Engine:
    tables = _tables(labels, features)
    files = [name for table in tables for name in table.local_files()]
    return choose_engine(files, known=all(table.size_known() for table in tables))


def _messages(run: LocalRun, splits: Sequence[Split], plan: TrainingPlan) -> tuple[str, ...]:
    """What the user is warned of."""
    lines = [
        chosen_among_duplicates(j.feature.name)
        for j in plan.features
        if run.observation.features[j.feature.name].duplicates and j.feature.on_duplicate == "keep_any"
    ]
    lines += [
        f"There is a gap between the splits {earlier.name!r} (to {earlier.shown[1]}) and {later.name!r} "
        f"(from {later.shown[0]})."
        for earlier, later in pairwise(splits)
        if earlier.instants[1] < later.instants[0]
    ]
    seen = run.observation
    none = not any(c.reasons[r] for c in seen.features.values() for r in Reason if r is not Reason.NO_HISTORY)
    if seen.rows and seen.incomplete == seen.rows and none:
        lines.append("Every label row has a null key or a null label time, and no feature found a row for any.")
    if run.unassigned:
        lines.append(f"{run.unassigned} of {run.rows} rows are in no split; the main output keeps them.")
    return tuple(lines)
