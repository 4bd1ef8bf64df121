"""Running a training plan on this machine.

Takes a plan and where to write, gives the observation of the run. Two ways, the same result: all in memory (faster),
or streamed from the sources to the file (for what does not fit).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial, reduce
from operator import and_
from pathlib import Path
from typing import Literal, Self

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.labels import Labels
from timefence_pl.errors import listing
from timefence_pl.execution.observation import Observation
from timefence_pl.execution.output import OutputFile
from timefence_pl.execution.steps import Steps
from timefence_pl.faults import CHECK_DATA, NOT_COMPUTED, faults_are_ours, polars_faults
from timefence_pl.memory import free_memory
from timefence_pl.plan.alignment import LABEL_ROW, Alignment, LabelFacts, Merge, SortedLabels
from timefence_pl.plan.guards import duplicate_problem
from timefence_pl.plan.joined import DUPLICATE_MATCH, AnyFrame
from timefence_pl.plan.latest import LABEL_TICK
from timefence_pl.plan.side_by_side import in_polars_thread
from timefence_pl.plan.training_set import TrainingPlan, found_everywhere
from timefence_pl.plan.windows import WindowMerge
from timefence_pl.splits import Split
from timefence_pl.store.files import WholeFiles

__all__ = ["LabelOrders", "LocalRun", "choose_engine", "run_local"]

Engine = Literal["in-memory", "streaming"]
Keep = Callable[[AnyFrame, AnyFrame], None]

# A Parquet file grows to a few times its size in memory, and a sort holds it twice.
_GROWTH = 8
_SHARE = 0.5
_FOUND = "__tf_found_"
_AT_ONCE = 3


#: Labels as merges take them, and the way back to their own order.
_Ordered = tuple[SortedLabels, pl.Series]


class LabelOrders:
    """The label rows in memory, and in the orders of a plan's merges, computed on a thread of their own.

    With the labels in the pool of frames, steps that wait for them would keep frames from being begun. Leaving the
    context waits for what is being computed, and lets go of all of it.

    Attributes:
        numbered: The label rows.
    """

    def __init__(self, plan: TrainingPlan, labels: Labels, *, any_labels: bool) -> None:
        """Begin to read the labels.

        Args:
            plan: Whose labels.
            labels: For errors.
            any_labels: Frames are computed for any labels: keys do not depend on what these labels share.
        """
        self._any_labels = any_labels
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._facts: dict[object, Future[LabelFacts]] = {}
        self._ordered: dict[object, Future[_Ordered]] = {}
        self.numbered: Future[pl.DataFrame] = self._pool.submit(_read, plan, labels)

    @classmethod
    def begun(cls, plan: TrainingPlan, labels: Labels) -> Self:
        """All orders of a plan, begun at once, for frames that are computed for any labels."""
        orders = cls(plan, labels, any_labels=True)
        for alignment in plan.alignments:
            orders.ordered(alignment)
        return orders

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._facts.clear()
        self._ordered.clear()
        vars(self).pop("numbered", None)

    def facts(self, alignment: Alignment) -> Future[LabelFacts]:
        """What frames may be made cheaper by."""
        if alignment.order not in self._facts:
            self._facts[alignment.order] = self._pool.submit(lambda: alignment.facts(self.numbered.result()))
        return self._facts[alignment.order]

    def ordered(self, alignment: Alignment) -> Future[_Ordered]:
        """The labels as the merges of an alignment take them, and the way back to their own order."""
        if alignment.order not in self._ordered:
            facts = None if self._any_labels else self.facts(alignment)
            self._ordered[alignment.order] = self._pool.submit(self._sorted, alignment, facts)
        return self._ordered[alignment.order]

    def _sorted(self, alignment: Alignment, facts: Future[LabelFacts] | None) -> _Ordered:
        rows = alignment.at_once(self.numbered.result(), None if facts is None else facts.result())
        return rows, _inverse(rows.rows)


def _read(plan: TrainingPlan, labels: Labels) -> pl.DataFrame:
    """The label rows in memory."""
    with _reading(labels):
        return plan.numbered.collect(engine="in-memory")


def _reading(labels: Labels) -> AbstractContextManager[None]:
    return faults_are_ours(
        "The labels cannot be read.",
        "Check the column, type, value or file Polars names; schema= says the types of a text file's columns.",
        where=f"labels: {labels.described()}",
    )


@dataclass(frozen=True)
class LocalRun:
    """What a run gave.

    Attributes:
        observation: Counts over all label rows.
        rows: Rows of the result, after skips.
        frame: The result, where it was asked to be kept in memory.
        label_range: First and last label tick; None without any.
        split_rows: Rows of each split.
        purged: Rows dropped by the purge.
        unassigned: Rows in no split.
    """

    observation: Observation
    rows: int
    frame: pl.DataFrame | None
    label_range: tuple[int | None, int | None]
    split_rows: dict[str, int]
    purged: int
    unassigned: int


def choose_engine(files: Sequence[str], *, known: bool) -> Engine:
    """In memory where all inputs are known and fit comfortably, else streaming.

    Args:
        files: Input files on this machine.
        known: Whether these files, and frames in memory, are all there is.
    """
    if not known:
        return "streaming"
    needed = sum(Path(f).stat().st_size for f in files if Path(f).is_file()) * _GROWTH
    return "in-memory" if needed <= free_memory() * _SHARE else "streaming"


def run_local(
    plan: TrainingPlan,
    labels: Labels,
    *,
    skip: bool,
    engine: Engine,
    output: OutputFile | None,
    splits: Sequence[Split],
    files: WholeFiles | None,
    say: Steps,
    keep: Keep | None = None,
    ahead: LabelOrders | None = None,
) -> LocalRun:
    """Run a plan once.

    Args:
        plan: What to run.
        labels: For errors and the label time.
        skip: Drop rows for which some feature found nothing.
        engine: Which way.
        output: Where the result goes; kept in memory where None.
        splits: Splits, written beside the output.
        files: The files being written; None without an output.
        say: Told of each step.
        keep: Given each sorted frame once it is computed; a streamed run computes none by itself.
        ahead: The labels, where they were begun before, for frames that are kept.

    Raises:
        TimefenceDuplicateError: If a label met duplicates that must not be chosen between.
        TimefenceLeakageError: If the check of the result fails.
        Exception: What Polars and the file system raise, for the caller to word.
    """
    observation = Observation(plan, labels)
    if engine == "streaming" and output is not None and files is not None:
        run = _streamed(plan, labels, observation, skip=skip, output=output, splits=splits, files=files, say=say)
    else:
        run = _in_memory(
            plan,
            labels,
            observation,
            skip=skip,
            output=output,
            splits=splits,
            files=files,
            say=say,
            keep=keep,
            ahead=ahead,
        )
    observation.check()
    return run


def _in_memory(
    plan: TrainingPlan,
    labels: Labels,
    observation: Observation,
    *,
    skip: bool,
    output: OutputFile | None,
    splits: Sequence[Split],
    files: WholeFiles | None,
    say: Steps,
    keep: Keep | None,
    ahead: LabelOrders | None,
) -> LocalRun:
    assert ahead is None or keep is not None  # noqa: S101 - the labels were begun for frames of any labels
    rows = LabelOrders(plan, labels, any_labels=keep is not None) if ahead is None else ahead
    with rows:
        frame = _piecewise(plan, labels, observation, skip=skip, say=say, keep=keep, rows=rows)
    tick = plan.clock.ticks(pl.col(labels.label_time))
    with ThreadPoolExecutor(max_workers=1) as beside:  # writing leaves some time between row groups
        counts = beside.submit(_split_counts, frame.lazy(), tick, splits)
        if output is not None and files is not None:
            say.writing(str(output.path))
            with files.writing(output.path) as path:
                output.write(frame, path)
            for split in splits:
                part = output.beside(split.name)
                with files.writing(part.path) as path:
                    part.write(frame.filter(split.rows(tick)), path)
    return LocalRun(observation, frame.height, frame if output is None else None, *counts.result())


def _piecewise(
    plan: TrainingPlan,
    labels: Labels,
    observation: Observation,
    *,
    skip: bool,
    say: Steps,
    keep: Keep | None,
    rows: LabelOrders,
) -> pl.DataFrame:
    """The result, frame by frame: each source is read, sorted, merged, counted and let go of.

    Marks are counted in the order of the merge, so only the columns of the result are put back into label order, by
    the inverse of the labels' permutation. Three frames are worked on at a time, since one alone keeps about one core
    busy, and the labels beside them: frames that need not know the labels are read while these are. The threads read,
    and wait for Polars' own, in which the rest is done.
    """
    columns: dict[str, pl.Series] = {}
    everywhere: list[pl.Series] = []

    def work(alignment: Alignment, merges: Sequence[Merge | WindowMerge]) -> pl.DataFrame:
        """All merges over one frame: their result columns and whether they found a row, in label order."""
        names = [w.feature for m in merges for w in m.wanted]
        say.computing(names)
        known = rows.facts(alignment).result() if keep is None else None
        source = next(j.feature.source for j in plan.features if j.feature.name == names[0])
        where = f"source {source.name!r}: {source.described()}\nfeatures: {listing(names)}"
        with faults_are_ours(NOT_COMPUTED, CHECK_DATA, where=where):
            if known is None:  # it serves other labels too
                frame = merges[0].frame.at_once()
            else:
                limits = [m.limit(known.first, plan.clock) for m in merges]
                limit = min((t for t in limits if t is not None), default=None)
                frame = merges[0].frame.at_once(known.shape, apart=True, limit=limit)
        if keep is not None:
            keep(merges[0].frame, frame)
        ordered, back = rows.ordered(alignment).result()
        say.joining(names)
        parts: list[pl.DataFrame] = []
        for merge in merges:
            features = [w.feature for w in merge.wanted]
            ready = merge.on(frame)
            merged = in_polars_thread(partial(ready.at_once, ordered.probe))
            marked = merged.with_columns(ordered.frame[LABEL_TICK])
            observation.add_features(marked, features, pl.col(LABEL_TICK), ordered.probe.ends.tick)
            _check_duplicates(plan, labels, observation, plan.observed, features)
            parts.append(in_polars_thread(partial(ready.columns, merged, plan.names, back)))
            if skip and isinstance(merge, Merge):
                parts.append(merged.select(found_everywhere(features).gather(back).alias(f"{_FOUND}{len(parts)}")))
        return pl.concat(parts, how="horizontal")

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        try:
            futures = []
            for alignment in plan.alignments:
                rows.ordered(alignment)
                by_frame: dict[int, list[Merge | WindowMerge]] = {}
                for merge in alignment.merges:
                    by_frame.setdefault(id(merge.frame), []).append(merge)
                futures += [pool.submit(work, alignment, merges) for merges in by_frame.values()]
            for future in futures:
                done = future.result()
                for name in done.columns:
                    if name.startswith(_FOUND):
                        everywhere.append(done[name])
                    else:
                        columns[plan.names[name]] = done[name]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    numbered = rows.numbered.result()
    observation.add_labels(numbered)
    made = numbered.drop(LABEL_ROW).hstack([columns[c].alias(c) for j in plan.features for c in j.columns])
    return made.filter(reduce(and_, everywhere)) if everywhere else made


def _inverse(permutation: pl.Series) -> pl.Series:
    """Where each row went: the inverse of a permutation of 0 to n - 1."""
    positions = pl.int_range(0, len(permutation), eager=True).cast(permutation.dtype)
    inverse: pl.Series = positions.clone().scatter(permutation, positions)
    return inverse


def _streamed(
    plan: TrainingPlan,
    labels: Labels,
    observation: Observation,
    *,
    skip: bool,
    output: OutputFile,
    splits: Sequence[Split],
    files: WholeFiles,
    say: Steps,
) -> LocalRun:
    columns = observation.columns()

    def observe(series: Sequence[pl.Series]) -> pl.Series:
        observation.add(pl.DataFrame(dict(zip(columns, series, strict=True))))
        _check_duplicates(plan, labels, observation, plan.observed)
        return pl.repeat(value=True, n=len(series[0]), eager=True, dtype=pl.Boolean)

    tap = pl.map_batches([pl.col(c) for c in columns], observe, return_dtype=pl.Boolean, is_elementwise=True)
    frame = plan.observed.filter(tap)
    if skip:
        frame = frame.filter(
            found_everywhere([j.feature.name for j in plan.features if isinstance(j.feature, Feature)])
        )
    for j in plan.features:
        say.computing([j.feature.name])
        say.joining([j.feature.name])
    say.writing(str(output.path))
    with files.writing(output.path) as written:
        try:
            output.sink(frame.select(plan.columns), written)
        except polars_faults():
            with _reading(labels):  # once more, to tell whose fault it is
                plan.numbered.select(pl.all().null_count()).collect(engine="streaming")
            raise
    # Splits and counts read the file just written: the join runs once.
    result = output.at(written).scan()
    tick = plan.clock.ticks(pl.col(labels.label_time).cast(plan.clock.dtype))
    for split in splits:
        part = output.beside(split.name)
        with files.writing(part.path) as path:
            part.sink(result.filter(split.rows(tick)), path)
    rows = result.select(pl.len()).collect(engine="streaming").item()
    return LocalRun(observation, rows, None, *_split_counts(result, tick, splits))


def _check_duplicates(
    plan: TrainingPlan,
    labels: Labels,
    observation: Observation,
    observed: pl.LazyFrame,
    features: Sequence[str] | None = None,
) -> None:
    for j in plan.features:
        if features is not None and j.feature.name not in features:
            continue
        if j.feature.on_duplicate == "error" and observation.features[j.feature.name].duplicates:
            raise duplicate_problem(j, labels, observed, DUPLICATE_MATCH.format(j.feature.name))


def _split_counts(
    frame: pl.LazyFrame, tick: pl.Expr, splits: Sequence[Split]
) -> tuple[tuple[int | None, int | None], dict[str, int], int, int]:
    inside = [s.rows(tick).sum().alias(f"in/{s.name}") for s in splits]
    purged = [s.purged(tick).sum().alias(f"purged/{s.name}") for s in splits]
    made = (
        frame.select(tick.min().alias("first"), tick.max().alias("last"), pl.len().alias("rows"), *inside, *purged)
        .collect(engine="streaming")
        .row(0, named=True)
    )
    rows = {s.name: int(made[f"in/{s.name}"]) for s in splits}
    dropped = sum(int(made[f"purged/{s.name}"]) for s in splits)
    unassigned = made["rows"] - sum(rows.values()) - dropped if splits else 0
    return (made["first"], made["last"]), rows, dropped, unassigned
