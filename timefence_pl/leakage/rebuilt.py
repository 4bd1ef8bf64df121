"""Rebuilding features for the rows of a data set, and comparing: every value due beside the value found.

Takes a training plan over the data set's own rows and the values found in it, gives for each feature the rows that
differ and the tallies of all. The values due come from the plan that builds use; the comparison is the audit's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_
from typing import Final, NamedTuple, TypeVar

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.labels import Labels
from timefence_pl.faults import CHECK_DATA, NOT_COMPUTED, faults_are_ours
from timefence_pl.leakage.columns import Pairing
from timefence_pl.leakage.equality import Tolerance, comparable, differ
from timefence_pl.leakage.places import rows_where
from timefence_pl.leakage.tallies import BUCKET, Ages, ages_of, counted
from timefence_pl.plan.alignment import LABEL_ROW, ROW_OF, Alignment, Merge
from timefence_pl.plan.guards import duplicate_problem
from timefence_pl.plan.joined import DUPLICATE_MATCH, KNOWN_TICK, REASON, AnyFrame, JoinedFeature
from timefence_pl.plan.latest import LABEL_TICK, Probe
from timefence_pl.plan.prepare import SortedFrame
from timefence_pl.plan.rows import in_source_order
from timefence_pl.plan.side_by_side import in_polars_thread
from timefence_pl.plan.training_set import TrainingPlan
from timefence_pl.plan.windows import WindowMerge, WindowsOver

__all__ = ["DUE", "DUE_KNOWN", "DUE_ROW", "DUE_TIME", "FOUND", "WRONG", "Rebuilt", "rebuild"]

#: Of a feature's column, by its place among those compared: the value found, the value due, whether they differ.
FOUND: Final = "__tf_found_{}"
DUE: Final = "__tf_due_{}"
WRONG: Final = "__tf_wrong_{}"
#: The ticks from which the row due was usable, and its feature time; null where none is due.
DUE_KNOWN: Final = "__tf_due_known"
DUE_TIME: Final = "__tf_due_time"
#: The number of the row due among the rows of its source that count, where the rebuild tells it.
DUE_ROW: Final = "__tf_due_row"

Judged = TypeVar("Judged")

_AT_ONCE: Final = 2


@dataclass(frozen=True)
class Rebuilt:
    """One feature, compared in all rows.

    Attributes:
        joined: The feature as it was joined; its frame is at hand.
        pairings: Its columns that the data set has, in the order of ``FOUND`` and ``DUE``.
        types: Of each of these the types found and due.
        failing: The rows that differ: ``LABEL_ROW``, what the plan's probe has, ``FOUND``, ``DUE``, ``WRONG``,
            ``DUE_KNOWN``, ``DUE_TIME`` and perhaps ``DUE_ROW``.
        null_rows: Rows in which every value due is null.
        ages: For the rows that do not differ, ages of the values due at label time: ``AGE_BIN`` and ``rows``.
        reasons: What became of each row: ``BUCKET``, ``reason`` and ``rows``.
        windows: Of window features: windows over their events.
    """

    joined: JoinedFeature
    pairings: tuple[Pairing, ...]
    types: tuple[tuple[pl.DataType, pl.DataType], ...]
    failing: pl.DataFrame
    null_rows: int
    ages: pl.DataFrame
    reasons: pl.DataFrame
    windows: WindowsOver | None


class _Ordered(NamedTuple):
    """The data set's rows in the order of merges: as they are probed, with their numbers, and their buckets."""

    probe: Probe
    rows: pl.DataFrame
    buckets: pl.Series


def rebuild(
    plan: TrainingPlan,
    labels: Labels,
    data: pl.DataFrame,
    pairings: Mapping[str, Sequence[Pairing]],
    tolerance: Tolerance,
    bucket: pl.Series,
    judge: Callable[[Rebuilt], Judged],
) -> dict[str, Judged]:
    """Rebuild all features and hand each, compared, to a judge.

    Args:
        plan: Of the data set's rows, in their order.
        labels: These rows.
        data: The data set.
        pairings: For each feature its columns.
        tolerance: For floats.
        bucket: Of each row of the data set, for rows over time.
        judge: Called once a feature, while its sorted frame is in memory.

    Raises:
        TimefenceDuplicateError: If a label meets duplicates that must not be chosen between.
        TimefenceSchemaError: If the features cannot be computed from the data.
    """
    by_name = {j.feature.name: j for j in plan.features}
    judged: dict[str, Future[Judged]] = {}
    numbered = plan.numbered.collect(engine="in-memory")

    def in_order(alignment: Alignment) -> _Ordered:
        ordered = alignment.at_once(numbered)
        rows = ordered.frame.with_columns(ordered.rows.alias(LABEL_ROW))
        return _Ordered(ordered.probe, rows, bucket[ordered.rows])

    def compare(joined: JoinedFeature, merged: pl.DataFrame, ordered: _Ordered, windows: WindowsOver | None) -> Judged:
        pairs = pairings[joined.feature.name]
        compared = in_polars_thread(
            partial(_compared, joined, merged, ordered.rows, data, pairs, tolerance, ordered.buckets, plan)
        )
        judged = partial(judge, replace(compared, windows=windows))
        return in_polars_thread(judged) if _at_hand(joined) else judged()

    # Rows are sorted while frames are, and judges wait for nothing: each may have a pool of its own. Its threads read, and
    # wait for Polars', in which the rest is done.
    with (
        faults_are_ours(NOT_COMPUTED, CHECK_DATA),
        ThreadPoolExecutor(1) as sorter,
        ThreadPoolExecutor(_AT_ONCE) as pool,
        ThreadPoolExecutor(_AT_ONCE) as judges,
    ):
        try:
            for alignment in plan.alignments:
                ordered = sorter.submit(in_order, alignment)
                by_frame: dict[int, list[Merge | WindowMerge]] = {}
                for merge in alignment.merges:
                    by_frame.setdefault(id(merge.frame), []).append(merge)

                def work(
                    merges: Sequence[Merge | WindowMerge], ordered: Future[_Ordered] = ordered
                ) -> list[tuple[str, Future[Judged]]]:
                    # With all hashes: rows that values came from are found by them.
                    frame = merges[0].frame.at_once(apart=True)
                    numbered_as_source = _in_source_order(frame, by_name)
                    over = merges[0].on(frame)
                    windows = WindowsOver(over.frame) if isinstance(over, WindowMerge) else None
                    probe = ordered.result().probe
                    done = []
                    for merge in merges:
                        names = [w.feature for w in merge.wanted]
                        merged = in_polars_thread(partial(_merged, _timed(merge).on(frame), probe, windows))
                        if not numbered_as_source:
                            merged = merged.drop(
                                ROW_OF.format(name) for name in names if ROW_OF.format(name) in merged.columns
                            )
                        for name in names:
                            joined = by_name[name]
                            if joined.feature.on_duplicate == "error" and merged[DUPLICATE_MATCH.format(name)].any():
                                raise duplicate_problem(joined, labels, plan.observed, DUPLICATE_MATCH.format(name))
                            at_hand = replace(joined, frame=merge.on(frame).frame)
                            done.append((name, judges.submit(compare, at_hand, merged, ordered.result(), windows)))
                    return done

                for future in [pool.submit(work, merges) for merges in by_frame.values()]:
                    judged.update(future.result())
            return {name: judged[name].result() for name in by_name}
        finally:
            for threads in (sorter, pool, judges):
                threads.shutdown(cancel_futures=True)


def _at_hand(joined: JoinedFeature) -> bool:
    """Whether judging reads nothing that is not in memory: of rows that differ, a row feature's source is read again."""
    feature = joined.feature
    if not isinstance(feature, Feature):
        return True
    return feature.source.table.in_memory and feature.mode in ("columns", "expressions")


def _in_source_order(frame: AnyFrame, by_name: Mapping[str, JoinedFeature]) -> bool:
    """Whether a frame's rows are numbered as those of each of its features alone would be."""
    features = [by_name[name].feature for name in frame.outputs] if isinstance(frame, SortedFrame) else []
    return all(isinstance(f, Feature) and in_source_order(f.source, [f]) for f in features)


def _merged(merge: Merge | WindowMerge, probe: Probe, windows: WindowsOver | None) -> pl.DataFrame:
    """What a merge gives for all rows."""
    if isinstance(merge, WindowMerge):
        return merge.complete(merge.at_once(probe, windows))
    return merge.complete(merge.at_once(probe))


def _timed(merge: Merge | WindowMerge) -> Merge | WindowMerge:
    """The merge, asked for feature times too where they are not those from which rows are usable."""
    if not merge.frame.bitemporal:
        return merge
    if isinstance(merge, Merge):
        return replace(merge, wanted=tuple(replace(w, feature_time=DUE_TIME + w.feature) for w in merge.wanted))
    return replace(merge, wanted=tuple(replace(w, feature_time=DUE_TIME + w.feature) for w in merge.wanted))


def _compared(
    joined: JoinedFeature,
    merged: pl.DataFrame,
    rows: pl.DataFrame,
    data: pl.DataFrame,
    pairings: Sequence[Pairing],
    tolerance: Tolerance,
    bucket: pl.Series,
    plan: TrainingPlan,
) -> Rebuilt:
    name = joined.feature.name
    present = tuple(p for p in pairings if p.data is not None)
    columns = [
        _typed(data.get_column(str(p.data)), merged[p.output]).alias(FOUND.format(i)) for i, p in enumerate(present)
    ]
    found = [c[rows[LABEL_ROW]] for c in columns]
    due = [merged[p.output].alias(DUE.format(i)) for i, p in enumerate(present)]
    types = tuple((f.dtype, d.dtype) for f, d in zip(found, due, strict=True))
    known = merged[KNOWN_TICK.format(name)].alias(DUE_KNOWN)
    wrong = _wrong(found, due, tolerance)
    fails = None if wrong is None else reduce(or_, wrong.get_columns())
    if wrong is None or fails is None or not fails.any():
        failing = _at(slice(0, 0), joined, merged, [rows, pl.DataFrame([*found, *due]), _nothing_wrong(len(present))])
        fails = None
    else:
        failing = _at(fails, joined, merged, [rows, pl.DataFrame([*found, *due]), wrong])
    own = merged.select(p.output for p in pairings)
    nulls = (
        own.to_series().null_count()
        if own.width == 1
        else own.select(pl.all_horizontal(pl.all().is_null()).sum()).item()
        if own.width
        else 0
    )
    ages, size = ages_of(rows[LABEL_TICK], plan.clock, known, joined.frame.clock)
    if fails is not None:
        ages = ages.filter(~fails)
    return Rebuilt(
        joined=joined,
        pairings=present,
        types=types,
        failing=failing,
        null_rows=int(nulls),
        ages=Ages.of(joined.frame.clock.kind).tally(ages, size=size),
        reasons=counted({BUCKET: bucket, "reason": merged[REASON.format(name)]}),
        windows=None,
    )


def _typed(found: pl.Series, due: pl.Series) -> pl.Series:
    """A column found; where it holds nothing, of the type due: text files do not tell the type of a column of nulls."""
    if comparable(found.dtype, due.dtype) or found.null_count() < len(found):
        return found
    return due.clear(len(found))


def _wrong(found: Sequence[pl.Series], due: Sequence[pl.Series], tolerance: Tolerance) -> pl.DataFrame | None:
    """For each column whether its values differ; None where none does."""
    if all(f.dtype == d.dtype and f.equals(d, null_equal=True) for f, d in zip(found, due, strict=True)):
        return None
    return pl.DataFrame(
        [differ(f, d, tolerance).alias(WRONG.format(i)) for i, (f, d) in enumerate(zip(found, due, strict=True))]
    )


def _nothing_wrong(columns: int) -> pl.DataFrame:
    return pl.DataFrame(schema={WRONG.format(i): pl.Boolean for i in range(columns)})


def _at(
    which: pl.Series | slice, joined: JoinedFeature, merged: pl.DataFrame, frames: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """Some rows of several frames side by side, with the times of the rows due."""
    name, event = joined.feature.name, joined.frame.event_clock
    names = {KNOWN_TICK.format(name): DUE_KNOWN, DUE_TIME + name: DUE_TIME, ROW_OF.format(name): DUE_ROW}
    due = pl.DataFrame([merged[old].alias(new) for old, new in names.items() if old in merged.columns])
    parts = [rows_where(f, which) if isinstance(which, pl.Series) else f[which] for f in (*frames, due)]
    made = pl.concat(parts, how="horizontal")
    if DUE_TIME in made.columns:
        return made
    return made.with_columns(event.times(pl.col(DUE_KNOWN)).alias(DUE_TIME))
