"""Window features against brute force: the same expressions, evaluated by Polars on each window's events alone.

Takes seeds, gives a script where the two disagree. Which events a window holds is worked out with plain integers.
"""

from __future__ import annotations

import copy
import math
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import timefence_pl as tf
from tests.oracle.match import instant
from tests.oracle.windows import (
    AGGREGATES,
    WindowCase,
    Windowed,
    far_apart,
    in_files,
    label_of_length,
    may_be_refused,
    members,
    near,
    windowed,
)
from tests.oracle.windows import program as program_of
from timefence_pl.definitions.aggregates import SINCE_LAST
from timefence_pl.plan import running_totals, time_key, window_kernel, window_parts, window_rows
from timefence_pl.plan.window_expressions import Splitter

QUIET = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


def agree(seed: int, *paths: str) -> None:
    """Fails with a script that shows the first difference."""
    with tempfile.TemporaryDirectory(prefix="timefence-windows-") as folder:
        whole = windowed(seed)
        text = program_of(whole)
        if "files" in paths:
            whole = in_files(whole)
            text = program_of(whole, folder)
        names: dict[str, Any] = {
            "pl": pl,
            "tf": tf,
            "nan": math.nan,
            "inf": math.inf,
            "output": f"{folder}/out.parquet",
        }
        exec(compile("\n".join(text), "<case>", "exec"), names)
        _compare(seed, whole, names, paths, text)


def _compare(seed: int, whole: Windowed, names: dict[str, Any], paths: tuple[str, ...], text: list[str]) -> None:
    wanted = None
    for path in paths:
        if path == "no-python" and may_be_refused(whole):
            continue  # such labels get what is surely known
        try:
            frame = run(names, path)
        except tf.TimefenceSchemaError as raised:
            if "does not fit 64 bits" in str(raised) and far_apart(whole):
                continue
            if "finer unit of timestamp and available_at" in str(raised) and may_be_refused(whole):
                continue
            pytest.fail(f"seed {seed}, {path}: {raised}\n" + "\n".join(text), pytrace=False)
        except pl.exceptions.InvalidOperationError as raised:
            # Without Python nobody words it; a time past the range is refused all the same.
            if path == "no-python" and "from `i128` to `i64` failed" in str(raised) and far_apart(whole):
                continue
            raise
        except tf.TimefenceConfigError as raised:
            if path == "no-python" and "window by window" in str(raised):
                continue
            raise
        wanted = wanted or _answers(whole, names)
        problem = _difference(whole, wanted, frame)
        if problem:
            pytest.fail(f"seed {seed}, {path}: {problem}\n" + "\n".join(text), pytrace=False)


def run(names: dict[str, Any], path: str) -> pl.DataFrame:
    """Runs the definitions one way."""
    labels, features, options = names["labels"], names["features"], names["options"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Every label row has a null key")
        if path == "build":
            return tf.build(labels, features, **options).frame()
        if path == "files":
            return tf.build(labels, features, names["output"], **options).frame()
        if path == "no-python":
            return tf.point_in_time(labels, features, checks=False, **options).collect(engine="streaming")
        if path.startswith("parts"):
            cut = [(window_parts, "LEAST", 1), (pl, "thread_pool_size", lambda: 5)]
            with changed([*cut, *([(time_key, "HASH_BITS", 1)] if "collisions" in path else [])]):
                return tf.build(labels, features, **options).frame()
        changes = {
            "collisions": [(time_key, "HASH_BITS", 1)],
            "chunks": [(window_rows, "CHUNK", 3), (window_kernel, "AT_ONCE", 1)],
            "events": [(Splitter, "split", lambda _self, _expr: None)],
            "wide": [(running_totals.Column, "_whole_sum", lambda *_: None)],
            "attempts": [(running_totals, "WORTH", 0), (running_totals, "FREE", 0)],
        }
        if path == "events":
            features = _anew(names)
        with changed(changes.get(path, [])):
            engine = "streaming" if path == "streaming" else "in-memory"
            return tf.point_in_time(labels, features, **options).collect(engine=engine)


def _anew(names: dict[str, Any]) -> list[tf.Window]:
    """The same features, of which nothing is known yet."""
    return [copy.copy(feature) for feature in names["features"]]


@contextmanager
def changed(values: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Sets module constants for a while."""
    kept = [(module, name, getattr(module, name)) for module, name, _ in values]
    for module, name, value in values:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


def _answers(whole: Windowed, names: dict[str, Any]) -> dict[str, list[tuple[Any, Any, pl.DataFrame]]]:
    """For each output column and label: Polars' value, what it is measured by, and the window's events."""
    answers: dict[str, list[tuple[Any, Any, pl.DataFrame]]] = {}
    for window, feature in zip(whole.windows, names["features"], strict=True):
        given = names[f"events_{window.source}"]
        events = pl.read_parquet(given) if isinstance(given, str) else given.lazy().collect()
        mask = [True] * events.height
        if feature.where is not None:
            mask = [bool(v) for v in events.select(feature.where.alias("where")).to_series()]
        known: dict[tuple[Any, ...], tuple[pl.DataFrame, pl.DataFrame]] = {}
        for length in window.lengths:
            for label in whole.case.labels.table.dicts():
                found = members(whole, window, mask, label, length)
                rows = [e.position for e in found]
                since = _since(whole, window, label, found[-1].stamp if found else None, events)
                key = (*rows, None, since.to_physical().item(), length)
                if key not in known:
                    part = events[rows] if rows else events.clear()
                    whole_part = part.with_columns(
                        (since.new_from_index(0, len(rows)) if rows else since.clear()).alias(SINCE_LAST)
                    )
                    exprs = feature.aggregates
                    known[key] = (
                        part,
                        pl.concat(
                            [
                                (whole_part if "since_last" in window.aggregates[n] else part).select(e.alias(n))
                                for n, e in exprs.items()
                            ],
                            how="horizontal",
                        ),
                    )
                part, values = known[key]
                for name, text in window.aggregates.items():
                    column = f"{window.name}__{name}_{label_of_length(whole, length)}"
                    answers.setdefault(column, []).append((values[name], AGGREGATES[text], part))
    return answers


def _since(
    whole: Windowed, window: WindowCase, label: dict[str, Any], last: int | None, events: pl.DataFrame
) -> pl.Series:
    """The time from the last event to the label, in the finer unit of the two times."""
    case = whole.case
    sizes = {"ns": 1, "us": 1_000, "ms": 1_000_000}
    units = {case.labels.table.unit(case.labels.label_time), case.sources[window.source].table.unit("ts")} - {"date"}
    passed = None
    if last is not None:
        passed = instant(label[case.labels.label_time], case.labels.table.unit(case.labels.label_time)) - last
    if "int" in units:
        return pl.Series([passed if passed is None or passed < 2**63 else None], dtype=pl.Int64)
    unit = min(units, key=lambda u: sizes[u], default="us")
    whole_units = None if passed is None else passed // sizes[unit]
    fits = whole_units is None or -(2**63) <= whole_units < 2**63  # else it is refused where it is asked for
    return pl.Series([whole_units if fits else None], dtype=pl.Int64).cast(pl.Duration(unit))


def _difference(
    whole: Windowed, wanted: dict[str, list[tuple[Any, Any, pl.DataFrame]]], frame: pl.DataFrame
) -> str | None:
    rows = whole.case.labels.table.rows
    if frame.height != len(rows):
        return f"{frame.height} rows instead of {len(rows)}"
    expected = [*whole.case.labels.table.schema]
    for window in whole.windows:
        expected += [c for c in wanted if c.startswith(f"{window.name}__")]
        expected += [f"{window.name}__feature_time"] if whole.case.feature_times else []
    if frame.columns != expected:
        return f"columns {frame.columns} instead of {expected}"
    for column, answers in wanted.items():
        for position, (value, measure, part) in enumerate(answers):
            given = frame[column].slice(position, 1)
            if given.dtype != value.dtype:
                return f"{column} is {given.dtype} instead of {value.dtype}"
            one, other = (v.to_physical().item() if v.dtype.is_temporal() else v.item() for v in (given, value))
            one, other = (v.to_list() if isinstance(v, pl.Series) else v for v in (one, other))
            if not near(one, other, measure, part):
                return f"row {position} of {column} is {one!r} instead of {other!r}; window:\n{part.to_dicts()}"
    return None


@settings(QUIET, max_examples=300)
@given(seed=st.integers(0, 2**48))
def test_both_engines_give_what_polars_gives_on_the_windows_events(seed: int) -> None:
    agree(seed, "in-memory", "streaming")


@settings(QUIET, max_examples=100)
@example(seed=288)  # a time since the last event that no 64 bits hold
@given(seed=st.integers(0, 2**48))
def test_every_way_of_computing_gives_the_same(seed: int) -> None:
    agree(seed, "collisions", "chunks", "events", "wide", "attempts", "no-python")


@settings(QUIET, max_examples=70)
@given(seed=st.integers(0, 2**48))
def test_builds_give_the_same(seed: int) -> None:
    agree(seed, "build")


@settings(QUIET, max_examples=70)
@given(seed=st.integers(0, 2**48))
def test_builds_through_files_give_the_same(seed: int) -> None:
    agree(seed, "files")


@settings(QUIET, max_examples=70)
@given(seed=st.integers(0, 2**48))
def test_parts_side_by_side_give_the_same(seed: int) -> None:
    agree(seed, "parts", "parts, collisions")
