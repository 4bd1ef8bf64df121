"""A corpus of planted leaks: all of them found, in the rows they are in, and no clean set called leaking.

``python -m tests.leakage.planted 20`` prints the figures over as many seeds.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.leakage.planted import CLEAN, FAULTS, HARMLESS, LEAKS, Outcome, audited, world

SEEDS = (0, 1)
MORE = range(2, 32)


def outcome(kinds: dict[str, Any], kind: str, seed: int) -> Outcome:
    return audited(world(seed), kinds[kind](world(seed)))


def check_leak(kind: str, seed: int) -> None:
    found = outcome(LEAKS, kind, seed)
    assert found.leaking, found
    assert found.guilty_only, found
    assert (found.rows_failing, found.rows_blamed) == (found.rows_wrong, 0), found
    # A leak can give a row nothing, or a value that no row explains; these rows still fail.
    assert found.rows_leaking >= 0.75 * found.rows_wrong, found


def check_fault(kind: str, seed: int) -> None:
    found = outcome(FAULTS, kind, seed)
    assert not found.clean, found
    assert found.guilty_only, found
    assert (found.rows_failing, found.rows_blamed) == (found.rows_wrong, 0), found


def check_harmless(kind: str, seed: int) -> None:
    found = outcome(HARMLESS, kind, seed)
    assert not found.clean, found
    assert not found.leaking, found
    assert found.guilty_only, found
    assert (found.rows_failing, found.rows_blamed) == (found.rows_wrong, 0), found


def check_clean(kind: str, seed: int) -> None:
    found = outcome(CLEAN, kind, seed)
    assert found.clean, found
    assert not found.leaking, found


def test_there_are_enough_kinds() -> None:
    assert len(LEAKS) >= 60
    assert len(CLEAN) + len(HARMLESS) >= 19


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", LEAKS)
def test_planted_leaks_are_found(kind: str, seed: int) -> None:
    check_leak(kind, seed)


@pytest.mark.parametrize("kind", FAULTS)
def test_other_faults_never_pass_as_clean(kind: str) -> None:
    check_fault(kind, 0)


@pytest.mark.parametrize("kind", HARMLESS)
def test_old_and_missing_values_are_no_leaks(kind: str) -> None:
    check_harmless(kind, 1)


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_sets_are_clean(kind: str) -> None:
    check_clean(kind, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", MORE)
def test_more_seeds(seed: int) -> None:
    checks = ((LEAKS, check_leak), (FAULTS, check_fault), (HARMLESS, check_harmless), (CLEAN, check_clean))
    for kinds, check in checks:
        for kind in kinds:
            check(kind, seed)
