"""The package against the brute-force oracle, on random cases full of ties, boundary hits and odd dtypes.

Takes seeds and draws from hypothesis, gives a shrunken case as a script where the two disagree. Must not know: how
either works. ``long_run.py`` runs the same cases by the hundred thousand.
"""

from __future__ import annotations

import os
import random
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import timefence_pl as tf
from tests.oracle.cases import Draws, case_of, generate
from tests.oracle.compare import ENGINES, PATHS, DifferenceError, check
from tests.oracle.match import REASONS, ColumnClashError, DuplicateMatchError
from tests.oracle.model import Case, answer, may_be_refused
from tests.oracle.program import to_definitions
from tests.oracle.shrink import report, smaller
from tests.oracle.splits import split_case

QUIET = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


def agree(case: Case, paths: tuple[str, ...]) -> None:
    """Fails with the smallest case that shows the same difference, written as a script."""
    try:
        check(case, paths)
    except DifferenceError as difference:
        shrunken = "TIMEFENCE_NO_SHRINK" not in os.environ  # the mutations only ask whether a test fails
        pytest.fail(report(case, difference, paths=paths) if shrunken else str(difference), pytrace=False)


@settings(QUIET, max_examples=200)
@given(seed=st.integers(0, 2**48))
def test_builds_give_the_oracles_rows_and_statistics(seed: int) -> None:
    agree(case_of(seed), ("build",))


@settings(QUIET, max_examples=60)
@given(seed=st.integers(0, 2**48))
def test_splits_are_the_oracles(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    asked = split_case(seed)
    labels, features, options = to_definitions(asked.case)
    output = tmp_path_factory.mktemp("splits") / "train.parquet"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a gap between the splits|.* in no split|Every label row")
        built = tf.build(labels, features, output, splits=asked.splits, purge=asked.purge, **options)
    wanted, outside = asked.rows
    found = {name: pl.read_parquet(path)["row"].to_list() for name, path in built.splits.items()}
    assert (found, built.stats.unassigned_rows) == (wanted, outside), asked
    assert built.frame()["row"].to_list() == list(range(len(asked.case.labels.table.rows)))


@settings(QUIET, max_examples=300)
@given(seed=st.integers(0, 2**48))
def test_colliding_key_hashes_change_nothing(seed: int) -> None:
    agree(case_of(seed, dense=True), ("collisions",))


@settings(QUIET, max_examples=250)
@given(seed=st.integers(0, 2**48))
def test_files_give_the_oracles_rows_and_statistics(seed: int) -> None:
    agree(case_of(seed), ("files",))


def test_one_store_never_mixes_cases_up(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    for seed in range(8):
        case = case_of(seed)
        near = list(smaller(case))
        for neighbour in (case, *random.Random(seed).sample(near, 3), case):
            check(neighbour, ("store",), store=store)


@settings(QUIET, max_examples=1_300)
@given(seed=st.integers(0, 2**48))
def test_both_engines_give_the_oracles_rows(seed: int) -> None:
    agree(case_of(seed), ENGINES)


@settings(QUIET, max_examples=50)
@given(seed=st.integers(0, 2**48))
def test_without_checks_the_last_duplicate_is_taken(seed: int) -> None:
    case = case_of(seed)
    lenient = [replace(f, on_duplicate="keep_last") if f.on_duplicate == "error" else f for f in case.features]
    case = replace(case, features=tuple(lenient))
    if not may_be_refused(case):
        agree(case, ("unchecked",))


@pytest.mark.parametrize("seed", range(8))
def test_larger_cases_agree_too(seed: int) -> None:
    agree(case_of(seed, max_labels=300, max_events=500, dense=seed % 4 == 0), (*ENGINES, "files"))


class _Drawn:
    """Hypothesis' integers as the generator's choices, so that hypothesis searches and shrinks the case itself."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def randint(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))


@settings(QUIET, max_examples=40, phases=[Phase.generate, Phase.shrink])
@given(data=st.data())
def test_drawn_cases_agree_too(data: Any) -> None:
    draws: Draws = _Drawn(data)
    check(generate(draws, max_labels=6, max_events=7), PATHS)


def test_the_cases_reach_every_reason_and_error() -> None:
    seen = dict.fromkeys((*REASONS, "duplicate", "clash"), 0)
    for seed in range(300):
        try:
            for counts in answer(case_of(seed)).reasons.values():
                for reason, count in counts.items():
                    seen[reason] += count
        except DuplicateMatchError:
            seen["duplicate"] += 1
        except ColumnClashError:
            seen["clash"] += 1
    assert all(count >= 5 for count in seen.values()), seen
    assert seen["matched_value"] > seen["too_old"] > 50
