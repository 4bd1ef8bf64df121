"""The examples of docstrings run, and give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import timefence_pl

ROOT = Path(timefence_pl.__file__).parent
MODULES = [
    ".".join(("timefence_pl", *p.relative_to(ROOT).with_suffix("").parts))
    for p in sorted(ROOT.rglob("*.py"))
    if ">>> " in p.read_text(encoding="utf-8")
]


def test_there_are_some() -> None:
    assert len(MODULES) > 15


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_show(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = doctest.testmod(importlib.import_module(module), report=True)
    assert ran.attempted > 0
    assert ran.failed == 0
