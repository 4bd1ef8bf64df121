"""Runs the package on a case and puts its output beside the oracle's.

Takes a :class:`Case`, gives nothing where they agree, raises :class:`DifferenceError` where they do not. Must not know:
how either of them works. Values, their order, the columns' names and dtypes, the statistics and the errors must agree
exactly; NaN equals NaN.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import polars as pl

import timefence_pl as tf
from tests.oracle.match import MATCHED, REASONS, Answer, ColumnClashError, DuplicateMatchError
from tests.oracle.model import Case, answer, may_be_refused
from tests.oracle.program import polars_dtype, to_definitions
from timefence_pl.plan import time_key

ENGINES = ("in-memory", "streaming")
#: Ways to run a case: ``build`` in memory, ``files`` through Parquet and ``store`` from kept features give statistics
#: too, ``collisions`` makes distinct keys share their first hash. ``unchecked`` is for cases without
#: ``on_duplicate="error"``.
PATHS = (*ENGINES, "build", "files", "store", "collisions")


class DifferenceError(AssertionError):
    """The package and the oracle disagree.

    Attributes:
        kind: What disagrees, in few words; shrinking keeps it.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


def check(case: Case, paths: Iterable[str] = PATHS, *, store: str | None = None) -> str:
    """Compares the package with the oracle on every path.

    Args:
        case: The case.
        paths: Of :data:`PATHS`.
        store: The folder that the path ``store`` keeps its features in; one of its own by default.

    Returns:
        ``rows``, ``duplicate`` or ``clash``: what the oracle wants of this case; ``refused`` where the package says that
        it cannot tell, as :func:`may_be_refused` allows.

    Raises:
        DifferenceError: Where the package gives anything else.
    """
    expected: Answer | None = None
    error: type[tf.TimefenceError] | None = None
    try:
        expected, outcome = answer(case), "rows"
    except DuplicateMatchError:
        error, outcome = tf.TimefenceDuplicateError, "duplicate"
    except ColumnClashError:
        error, outcome = tf.TimefenceError, "clash"
    runs = Run(case, store)
    for path in paths:
        try:
            frame, statistics = runs.by(path)
        except tf.TimefenceError as raised:
            if "finer unit of timestamp and available_at" in str(raised) and may_be_refused(case):
                return "refused"
            if error is None or not isinstance(raised, error):
                raise DifferenceError(f"{path} raised {type(raised).__name__}", str(raised)) from raised
            continue
        except (Exception, pl.exceptions.PanicException) as raised:
            raise DifferenceError(f"{path} raised {type(raised).__name__}", str(raised)) from raised
        if error is not None:
            raise DifferenceError(f"{path} did not raise {error.__name__}", f"gave {frame.shape}")
        assert expected is not None
        _compare_frames(case, expected, frame, path)
        if statistics is not None:
            _compare_statistics(expected, statistics, path)
    return outcome


class Run:
    """The package's runs of one case; both engines run one plan."""

    def __init__(self, case: Case, store: str | None = None) -> None:
        self._case = case
        self._store = store

    @cached_property
    def _definitions(self) -> tuple[Any, list[Any], dict[str, Any]]:
        return to_definitions(self._case)

    @cached_property
    def _plan(self) -> pl.LazyFrame:
        labels, features, options = self._definitions
        return tf.point_in_time(labels, features, **options)

    def by(self, path: str) -> tuple[pl.DataFrame, Mapping[str, Any] | None]:
        """Runs the case one way; gives the frame, and the statistics where that way has them."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="Every label row has a null key")
            if any(feature.on_duplicate == "keep_any" for feature in self._case.features):
                warnings.filterwarnings("ignore", message="Feature .* (has duplicates|met duplicate rows)")
            if path == "build":
                labels, features, options = self._definitions
                result = tf.build(labels, features, output=None, **options)
                return result.frame(), result.stats.feature_stats
            if path == "files":
                with tempfile.TemporaryDirectory(prefix="timefence-case-") as folder:
                    labels, features, options = to_definitions(self._case, folder)
                    result = tf.build(labels, features, f"{folder}/out.parquet", **options)
                    return result.frame(), result.stats.feature_stats
            if path == "store":
                with tempfile.TemporaryDirectory(prefix="timefence-case-") as folder:
                    labels, features, options = self._definitions
                    for _ in ("cold", "warm"):
                        result = tf.build(labels, features, store=tf.Store(self._store or folder), **options)
                    return result.frame(), result.stats.feature_stats
            if path == "unchecked":
                labels, features, options = self._definitions
                return tf.point_in_time(labels, features, checks=False, **options).collect(engine="streaming"), None
            if path == "collisions":
                rows = len(self._case.labels.table.rows)
                with _few_hash_bits(rows % 2):
                    return Run(self._case).by("build" if rows % 3 == 0 else "streaming")
            return self._plan.collect(engine="in-memory" if path == "in-memory" else "streaming"), None


@contextmanager
def _few_hash_bits(bits: int) -> Iterator[None]:
    """Leaves so few bits of the first key hash that nearly all entities collide."""
    kept = time_key.HASH_BITS
    time_key.HASH_BITS = bits
    try:
        yield
    finally:
        time_key.HASH_BITS = kept


def _compare_frames(case: Case, expected: Answer, frame: pl.DataFrame, path: str) -> None:
    if frame.columns != expected.columns:
        raise DifferenceError(f"{path} columns", f"{frame.columns} instead of {expected.columns}")
    wanted = dtypes(case)
    for name, dtype in frame.schema.items():
        if name in wanted and dtype != wanted[name]:
            raise DifferenceError(f"{path} dtype", f"{name} is {dtype} instead of {wanted[name]}")
    if frame.height != len(expected.rows):
        raise DifferenceError(f"{path} height", f"{frame.height} rows instead of {len(expected.rows)}")
    for name in expected.columns:
        column = frame[name]
        values = (column.to_physical() if column.dtype.is_temporal() else column).to_list()
        for position, (row, value) in enumerate(zip(expected.rows, values, strict=True)):
            if not _equal(row[name], value):
                raise DifferenceError(
                    f"{path} values", f"row {position} of {name!r} is {value!r} instead of {row[name]!r}; label {row}"
                )


def _equal(wanted: object, given: object) -> bool:
    if isinstance(wanted, float) and isinstance(given, float):
        return wanted == given or (math.isnan(wanted) and math.isnan(given))
    return wanted == given and (wanted is None) == (given is None)


def _compare_statistics(expected: Answer, statistics: Mapping[str, Any], path: str) -> None:
    if set(statistics) != set(expected.reasons):
        raise DifferenceError(f"{path} statistics", f"of {sorted(statistics)} instead of {sorted(expected.reasons)}")
    for name, counts in expected.reasons.items():
        wanted = dict(counts)
        wanted["matched"] = sum(counts[reason] for reason in MATCHED)
        wanted["missing"] = sum(counts[reason] for reason in REASONS if reason not in MATCHED)
        given = statistics[name]
        found = {key: given[key] if isinstance(given, Mapping) else getattr(given, key) for key in wanted}
        if found != wanted:
            raise DifferenceError(f"{path} statistics", f"of {name}: {found} instead of {wanted}")


def dtypes(case: Case) -> dict[str, pl.DataType]:
    """Gives the dtypes that the output must have: the labels' own, the sources' where a column is passed on."""
    kept = ("identity", "shift", "forward_fill", "rolling_max_by")
    computed = {"plus": "Int64", "literal": "Int64", "cum_sum": "Int64", "rolling_sum": "Int64"}
    computed |= {"suffix": "String", "is_null": "Boolean"}
    wanted = dict(case.labels.table.schema)
    for feature in case.features:
        source = case.sources[feature.source]
        for output in feature.recipe.outputs:
            name = output.name if case.flatten_columns else f"{feature.name}__{output.name}"
            if output.kind in kept:
                wanted[name] = source.table.schema[output.column]
            elif output.kind in computed:
                wanted[name] = computed[output.kind]
        if case.feature_times:
            wanted[f"{feature.name}__feature_time"] = source.table.schema[source.timestamp]
    return {name: polars_dtype(dtype) for name, dtype in wanted.items()}
