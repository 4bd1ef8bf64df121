"""``lint``: what looks ahead, found in the plans of a feature file; and what ``doctor`` says of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.integration.cli import run

HEAD = """import polars as pl
import timefence_pl as tf
events = tf.Source("events.parquet", keys="user", timestamp="at")
fine = tf.Feature(events, pl.col("x").cum_sum().over("user"), name="fine")
"""
AHEAD = 'ahead = tf.Feature(events, (pl.col("x") - pl.col("x").shift(-1).over("user")).alias("d"), name="ahead")\n'
UNREAD = """def wild(frame):
    return frame.select("user", "at", pl.col("x").map_batches(lambda s: s * 2, return_dtype=pl.Int64).alias("v"))
unread = tf.Feature(events, transform=wild, name="unread")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    times = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(40)]
    pl.DataFrame({"user": [i % 4 for i in range(40)], "at": times, "x": [i * 7 % 11 for i in range(40)]}).write_parquet(
        tmp_path / "events.parquet"
    )
    return tmp_path


def test_nothing_found(project: Path) -> None:
    (project / "features.py").write_text(HEAD)
    assert run(project, "lint", "--strict").out == "1 feature: nothing looks ahead\n"
    assert run(project, "lint", "--json").json == {"features": ["fine"], "findings": []}


def test_what_looks_ahead_is_told_with_its_fix(project: Path) -> None:
    (project / "features.py").write_text(HEAD + AHEAD)
    ran = run(project, "lint")
    assert "ahead  negative-shift" in ran.out
    assert "shift" in ran.out
    assert "Fix: " in ran.out
    assert "2 features: 1 looks ahead" in ran.out
    told = run(project, "lint", "--strict", "--json", code=1).json
    assert [(f["feature"], f["rule"], f["unread"]) for f in told["findings"]] == [("ahead", "negative-shift", False)]
    run(project, "lint", "--strict", "--allow-unread", code=1)


def test_what_cannot_be_read_is_no_pass_unless_it_runs_clean(project: Path) -> None:
    (project / "features.py").write_text(HEAD + UNREAD)
    assert "UNREAD unread" in run(project, "lint").out
    run(project, "lint", "--strict", code=1)
    run(project, "lint", "--strict", "--allow-unread")
    told = run(project, "lint", "--strict", "--check", "--json").json
    assert told["findings"][0]["unread"] is True
    assert told["lookahead"]


def test_the_check_finds_what_the_plan_hides(project: Path) -> None:
    hidden = UNREAD.replace("lambda s: s * 2", "lambda s: s * 0 + int(s.sum())")
    (project / "features.py").write_text(HEAD + hidden)
    run(project, "lint", "--strict", "--allow-unread")
    ran = run(project, "lint", "--strict", "--allow-unread", "--check", code=1)
    assert "unread" in ran.out


def test_sarif(project: Path) -> None:
    (project / "features.py").write_text(HEAD + AHEAD + UNREAD)
    run(project, "lint", "--sarif", "out/lint.sarif")
    log = json.loads((project / "out/lint.sarif").read_text())["runs"][0]
    found = {r["ruleId"]: (r["level"], r["locations"][0]["physicalLocation"]) for r in log["results"]}
    level, place = found["timefence/negative-shift"]
    assert (level, place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("error", "features.py", 5)
    assert {r["id"] for r in log["tool"]["driver"]["rules"]} == set(found)
    assert all(r[t]["text"] for r in log["tool"]["driver"]["rules"] for t in ("fullDescription", "help"))
    assert {v[0] for k, v in found.items() if k != "timefence/negative-shift"} == {"note"}


def test_doctor_warns_of_it(project: Path) -> None:
    (project / "features.py").write_text(HEAD + AHEAD + UNREAD)
    told = run(project, "doctor", "--json").json
    warned = [c["message"] for c in told["checks"] if c["status"] == "WARN" and c["check"] == "features"]
    assert len(warned) == 1
    assert warned[0].startswith("ahead: looks ahead: ")
