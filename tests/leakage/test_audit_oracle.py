"""Audits of random corrupted sets against the verdicts spelled out in loops: every row, leak and source row."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.leakage.audit_oracle import NEVER, corrupted, expected, frame_of
from tests.oracle.cases import case_of
from tests.oracle.compare import _few_hash_bits
from tests.oracle.match import ColumnClashError, DuplicateMatchError
from tests.oracle.model import Case, answer, may_be_refused
from tests.oracle.program import to_definitions
from timefence_pl.printing import plain_rows


def audited(seed: int, *, dense: bool = False) -> Counter[str]:
    """Audits the corrupted set of a seed; fails where it disagrees with the loops."""
    case: Case = replace(case_of(seed, dense=dense), flatten_columns=False, feature_times=False, on_missing="null")
    try:
        right = answer(case)
    except (DuplicateMatchError, ColumnClashError):
        return Counter()
    if may_be_refused(case):
        return Counter()
    labels, features, options = to_definitions(case)
    bounds = {k: options[k] for k in ("join", "max_lookback", "max_staleness") if k in options}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Feature .* met duplicate rows")
        warnings.filterwarnings("ignore", message="Every label row has a null key")
        built = tf.build(labels, features, **options).frame()
    found = corrupted(case, right.rows, seed)
    data = frame_of(built, found)
    report = tf.audit(data, features, keys=case.labels.keys, label_time="label_time", check_lookahead=False, **bounds)
    seen: Counter[str] = Counter()
    for name, rows in expected(case, right.rows, found).items():
        failing = report.failing_rows(name)
        given = dict(zip(failing["row"].to_list(), failing["verdict"].to_list(), strict=True))
        for position, row in enumerate(rows):
            assert given.get(position, "ok") == row.verdict, (seed, name, position, row, failing)
            seen[row.verdict] += 1
        _compare(case, failing, rows, report[name], seed)
    assert report.total_rows == len(found)
    return seen


def _compare(case: Case, failing: pl.DataFrame, rows: Any, feature: tf.FeatureAudit, seed: int) -> None:
    for row in plain_rows(failing):
        want = rows[row["row"]]
        if case.unitless:
            assert row["leakage"] == want.leak, (seed, row, want)
        if "due_source_row" in row and row["found_source_row"] is not None:
            assert row["due_source_row"] == want.due_row, (seed, row, want)
    leaks = sorted(r.leak for r in rows if r.leak is not None)
    assert feature.leaks.sort().to_list() == leaks, (seed, leaks)
    assert feature.endless == sum(r.verdict == "future" and r.leak is None for r in rows)
    assert feature.leaky_row_count == sum(r.verdict in ("future", "unexpected") for r in rows)


@pytest.mark.parametrize("start", range(0, 96, 24))
def test_verdicts_leaks_and_source_rows_are_those_of_the_loops(start: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(start, start + 24):
        seen += audited(seed)
    assert all(seen[v] for v in ("ok", "absent", "future", "stale", "differs")), seen


@pytest.mark.parametrize("bits", [0, 1])
def test_colliding_key_hashes_change_no_verdict(bits: int) -> None:
    with _few_hash_bits(bits):
        for seed in range(12):
            audited(seed, dense=True)


@pytest.mark.long
def test_many_more_seeds_agree_too() -> None:
    for seed in range(10_000, 14_000):
        audited(seed, dense=bool(random.Random(seed).randint(0, 1)))


def test_the_loops_know_of_values_that_never_became_known() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "a": [1, None], "x": [10, 20]})
    source = tf.Source(events, keys="k", timestamp="t", available_at="a")
    data = pl.DataFrame({"k": [1], "at": [9], "f__x": [20]})
    report = tf.audit(data, tf.Feature(source, columns="x", name="f"), keys="k", label_time="at", check_lookahead=False)
    assert report["f"].counts["future"] == report["f"].endless == 1
    assert report["f"].max_leakage is None
    assert report["f"].severity == "HIGH"
    row = report.failing_rows("f").row(0, named=True)
    assert (row["found_source_row"], row["due_source_row"], row["leakage"]) == (1, 0, None)
    assert NEVER > 1 << 100
