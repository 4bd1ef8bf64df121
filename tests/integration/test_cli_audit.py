"""``audit``: the report, and the gate that it is in continuous integration."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest

import timefence_pl as tf
from tests.integration.cli import run
from timefence_pl.cli.gate import failures_of, junit, markdown, sarif, summary

START = datetime(2024, 1, 1)
EVENTS = pl.DataFrame(
    {"user": [i % 5 for i in range(60)], "at": [START + timedelta(hours=5 * i) for i in range(60)], "x": range(60)}
)
LABELS = pl.DataFrame(
    {
        "user": [0, 1, 2, 3, 4],
        "label_time": [START + timedelta(days=6 + i) for i in range(5)],
        "churned": [0, 1, 0, 1, 0],
    }
)
FEATURES = """import polars as pl
import timefence_pl as tf
events = tf.Source("events.parquet", keys="user", timestamp="at")
last = tf.Feature(events, columns="x", name="last")
total = tf.Window(events, {"n": pl.len()}, windows="2d", name="total")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    EVENTS.write_parquet(tmp_path / "events.parquet")
    LABELS.write_parquet(tmp_path / "labels.parquet")
    (tmp_path / "features.py").write_text(FEATURES)
    (tmp_path / "timefence.toml").write_text(
        'labels = { path = "labels.parquet", keys = ["user"], target = ["churned"] }\nstore = false\n'
    )
    run(tmp_path, "build", "-o", "clean.parquet")
    clean = pl.read_parquet(tmp_path / "clean.parquet")
    newest = pl.col("user").replace_strict({u: 55 + u for u in range(5)}, return_dtype=pl.Int64)
    clean.with_columns(last__x=newest).write_parquet(tmp_path / "leaky.parquet")
    return tmp_path


def test_a_clean_set(project: Path) -> None:
    ran = run(project, "audit", "clean.parquet", "--strict")
    assert "ALL CLEAN" in ran.out
    told = run(project, "audit", "clean.parquet", "--strict", "--json").json
    assert (told["has_leakage"], told["clean"], told["total_rows"], told["mode"]) == (False, True, 5, "rebuild")


def test_a_leaking_set_can_be_built_again(project: Path) -> None:
    assert "Next: timefence-pl build -o CLEAN.parquet" in run(project, "audit", "leaky.parquet").out


def test_a_leaking_set(project: Path) -> None:
    ran = run(project, "audit", "leaky.parquet")
    assert "LEAKAGE DETECTED in 1 of 2 features" in ran.out
    assert "last  row 0 (user=0, label_time=2024-01-07 00:00:00) has x=55" in ran.out
    assert "timefence-pl build" in ran.out
    told = run(project, "audit", "leaky.parquet", "--json").json
    assert told["features"]["last"]["leaky_row_count"] == 5
    assert told["features"]["total"]["clean"] is True
    run(project, "audit", "leaky.parquet", "--strict", code=1)
    assert run(project, "audit", "leaky.parquet", "--strict", "--json", code=1).json["has_leakage"] is True


def test_steps_are_told(project: Path) -> None:
    err = run(project, "audit", "clean.parquet", "-v").err
    assert err.splitlines()[0] == "Reading the data set"
    assert "(2/2)" in err
    assert err.splitlines()[-1] == "Checking for look-ahead"
    env = {"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm-256color"}
    assert "left" in run(project, "audit", "clean.parquet", env=env).err


def test_a_summary_is_short(project: Path) -> None:
    lines = run(project, "audit", "leaky.parquet", "--summary").out.splitlines()
    assert lines[0] == "LEAK 5 rows of leaky.parquet: 1 of 2 features leak"
    assert lines[1].startswith("LEAK last: HIGH, 5 rows future, up to ")
    assert lines[2:] == ["OK   total: clean"]


def test_rows_can_be_shown_or_not(project: Path) -> None:
    assert run(project, "audit", "leaky.parquet", "--rows", "3").out.count("has x=") == 3
    assert "has x=" not in run(project, "audit", "leaky.parquet", "--rows", "0").out


def test_what_is_not_checked_fails_under_strict(project: Path) -> None:
    frame = pl.read_parquet(project / "clean.parquet")
    frame.drop("last__x").write_parquet(project / "less.parquet")
    ran = run(project, "audit", "less.parquet", "--strict", code=1)
    assert "ALL CLEAN" not in ran.out
    assert "FAIL last" in run(project, "audit", "less.parquet", "--summary").out
    frame.clear().write_parquet(project / "none.parquet")
    assert "ALL CLEAN" not in run(project, "audit", "none.parquet", "--strict", code=1).out


def test_one_feature_and_columns_of_other_names(project: Path) -> None:
    pl.read_parquet(project / "leaky.parquet").rename({"last__x": "spend"}).write_parquet(project / "own.parquet")
    words = ["audit", "own.parquet", "--column", "last__x=spend", "--features", "features.py:last"]
    assert run(project, *words, "--json").json["features"]["last"]["leaky_row_count"] == 5
    assert "NAME=COLUMN" in run(project, "audit", "own.parquet", "--column", "spend", code=2).err
    ran = run(project, "audit", "own.parquet", "--feature-time", "spend", code=2)
    assert "'spend' is not COLUMN=TIME_COLUMN" in ran.err


def test_bounds_and_tolerances_are_passed_on(project: Path) -> None:
    run(project, "build", "-o", "short.parquet", "--max-lookback", "5d", "--join-mode", "inclusive")
    flags = ["--max-lookback", "5d", "--join-mode", "inclusive"]
    run(project, "audit", "short.parquet", "--strict", *flags, "--max-staleness", "1h", code=1)
    run(project, "audit", "short.parquet", "--strict", *flags)
    EVENTS.with_columns(pl.col("x") + 0.5).write_parquet(project / "events.parquet")
    run(project, "build", "-o", "floats.parquet")
    pl.read_parquet(project / "floats.parquet").with_columns(pl.col("last__x") + 1e-3).write_parquet(
        project / "off.parquet"
    )
    run(project, "audit", "off.parquet", "--strict", code=1)
    run(project, "audit", "off.parquet", "--strict", "--atol", "0.01")
    run(project, "audit", "off.parquet", "--strict", "--rtol", "0.01")


def test_features_that_look_ahead_are_found_unless_told_not_to(project: Path) -> None:
    (project / "features.py").write_text(
        FEATURES + "mean = tf.Feature(events, pl.col('x').mean().over('user').alias('m'), name='mean')\n"
    )
    assert "mean" in run(project, "build", "-o", "ahead.parquet", "--check-lookahead", code=1).err
    assert not (project / "ahead.parquet").exists()
    run(project, "build", "-o", "ahead.parquet")
    ran = run(project, "audit", "ahead.parquet", "--strict", code=1)
    assert "mean" in ran.out
    assert run(project, "audit", "ahead.parquet", "--strict", "--no-lookahead").code == 0


@pytest.mark.parametrize(("days", "code"), [(-1, 0), (1, 1)])
def test_feature_times_need_no_features(tmp_path: Path, days: int, code: int) -> None:
    LABELS.with_columns(spend=1.0, seen=pl.col("label_time") + pl.duration(days=days)).write_parquet(
        tmp_path / "t.parquet"
    )
    words = ["audit", "t.parquet", "--feature-time", "spend=seen", "--strict"]
    ran = run(tmp_path, *words, code=code)
    assert ("LEAK" in ran.out) is bool(code)
    assert ("Next: timefence-pl init " in ran.out) is bool(code)  # there is no feature that could be built
    told = run(tmp_path, *words, "--json", code=code).json
    assert told["mode"] == "temporal"
    assert told["features"]["spend"]["leaky_row_count"] == 5 * code
    run(tmp_path, *words, "--embargo", "3d", code=1)
    run(tmp_path, *words, "--max-lookback", "1h", "--keys", "user", code=1)


@pytest.mark.parametrize(
    "words",
    [
        ["--embargo", "300d"],
        ["--feature-time", "last__x=label_time", "--features", "features.py"],
        ["--feature-time", "last__x=label_time", "--column", "last__x=last__x"],
        ["--feature-time", "last__x=label_time", "--atol", "1"],
        ["--feature-time", "last__x=label_time", "--rtol", "1"],
    ],
    ids=" ".join,
)
def test_an_option_that_would_do_nothing_is_refused(project: Path, words: list[str]) -> None:
    err = run(project, "audit", "clean.parquet", *words, code=2).err
    assert f"error: {words[-2]} " in err
    assert "--feature-time" in err


def test_what_cannot_be_audited_is_said(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert "Did you mean 'clean.parquet'" in run(project, "audit", "clen.parquet", code=3).err
    assert (
        "Did you mean 'label_time'" in run(project, "audit", "clean.parquet", "--label-time", "labeltime", code=3).err
    )
    assert "Did you mean 'user'" in run(project, "audit", "clean.parquet", "--keys", "usr", code=3).err
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    LABELS.write_parquet(elsewhere / "t.parquet")
    assert "--feature-time COLUMN=TIME_COLUMN" in run(elsewhere, "audit", "t.parquet", code=2).err


def test_csv_with_times_in_text(project: Path) -> None:
    frame = pl.read_parquet(project / "clean.parquet")
    frame.with_columns(pl.col("label_time").dt.strftime("%d.%m.%Y %H-%M")).write_csv(project / "own.csv")
    run(project, "audit", "own.csv", "--strict", "--timestamp-format", "%d.%m.%Y %H-%M")
    frame.write_csv(project / "plain.csv")
    run(project, "audit", "plain.csv", "--strict")


# --- for machines -----------------------------------------------------------------------------------------------------


def report(project: Path, data: str, code: int, option: str) -> Path:
    file = project / "out" / f"{data}{option}"
    ran = run(project, "audit", data, "--strict", option, str(file), code=code)
    assert str(file) in ran.out
    return file


def test_junit_has_one_case_for_each_feature(project: Path) -> None:
    for data, code in (("leaky.parquet", 1), ("clean.parquet", 0)):
        root = ET.parse(report(project, data, code, "--junit")).getroot()
        suite = root[0]
        assert (
            (root.get("tests"), root.get("failures")) == ("2", str(code)) == (suite.get("tests"), suite.get("failures"))
        )
        cases = {c.get("name"): c for c in suite}
        assert list(cases) == ["last", "total"]
        assert len(cases["total"]) == 0
        assert len(cases["last"]) == code
        if code:
            failure = cases["last"][0]
            assert failure.get("type") == "future (HIGH)"
            assert "5 of 5 rows" in (failure.get("message") or "")
            assert "has x=55" in (failure.text or "")


def test_sarif_points_to_the_declaration(project: Path) -> None:
    log = json.loads(report(project, "leaky.parquet", 1, "--sarif").read_text())
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    (found,) = log["runs"][0]["results"]
    assert (found["ruleId"], found["level"]) == ("timefence/future", "error")
    place = found["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "features.py"}, "region": {"startLine": 4}}
    rules = {r["id"] for r in log["runs"][0]["tool"]["driver"]["rules"]}
    assert found["ruleId"] in rules
    assert json.loads(report(project, "clean.parquet", 0, "--sarif").read_text())["runs"][0]["results"] == []


@pytest.mark.parametrize("given", ["features.py", "{here}/features.py", "{there}/features.py"])
def test_sarif_names_files_below_here_as_seen_from_here_and_others_whole(
    project: Path, tmp_path_factory: pytest.TempPathFactory, given: str
) -> None:
    there = tmp_path_factory.mktemp("else where")
    (there / "features.py").write_text((project / "features.py").read_text())
    words = ["--features", given.format(here=project, there=there), "--sarif", "out.sarif"]
    run(project, "audit", "leaky.parquet", *words)
    (found,) = json.loads((project / "out.sarif").read_text())["runs"][0]["results"]
    uri = found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == ((there / "features.py").as_uri() if "there" in given else "features.py")


def test_sarif_has_the_shape_that_its_schema_asks_for(project: Path) -> None:
    log = json.loads(report(project, "leaky.parquet", 1, "--sarif").read_text())
    run_ = log["runs"][0]
    assert set(run_) <= {"tool", "columnKind", "results"}
    assert set(run_["tool"]["driver"]) <= {"name", "semanticVersion", "rules"}
    for rule in run_["tool"]["driver"]["rules"]:
        # GitHub wants the full description and the help, which the schema does not.
        texts = {"shortDescription", "fullDescription", "help"}
        assert set(rule) == {"id", "name", "defaultConfiguration"} | texts
        assert all(rule[t]["text"].endswith(".") for t in texts)
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    for result in run_["results"]:
        assert set(result) <= {"ruleId", "level", "message", "locations", "partialFingerprints", "properties"}
        assert result["message"]["text"]
        assert all(isinstance(v, str) for v in result["partialFingerprints"].values())


def test_markdown_is_appended(project: Path) -> None:
    report(project, "leaky.parquet", 1, "--markdown")
    file = report(project, "leaky.parquet", 1, "--markdown")
    text = file.read_text()
    assert text.count("### Training set audit: LEAKAGE") == 2
    assert "| LEAK | last | HIGH | 5 of 5 rows (100.0%)" in text


def test_html_is_a_page(project: Path) -> None:
    assert report(project, "clean.parquet", 0, "--html").read_text().lstrip().lower().startswith("<!doctype html")


def test_all_reports_at_once(project: Path) -> None:
    names = ("--junit", "--sarif", "--markdown")
    flags = [w for n in names for w in (n, str(project / f"out{n}"))]
    run(project, "audit", "leaky.parquet", "--json", *flags)
    assert all((project / f"out{n}").is_file() for n in names)


def test_a_report_that_cannot_be_written_is_told(project: Path) -> None:
    ran = run(project, "audit", "clean.parquet", "--junit", "features.py/x.xml", code=4)
    assert "cannot be written" in ran.err


def test_strange_names_are_escaped_everywhere() -> None:
    name = "a<b>|\x0b&\"'`é\u2028"
    name = "".join(c for c in name if c.isprintable())
    events = tf.Source(EVENTS, keys="user", timestamp="at", name="events")
    feature = tf.Feature(events, columns={"x": "v<|>"}, name=name)
    data = LABELS.with_columns(pl.lit(59).alias(f"{name}__v<|>"))
    report = tf.audit(data, feature, keys="user", label_time="label_time")
    root = ET.fromstring(junit(report, 0.5))
    assert root[0][0].get("name") == name
    assert json.loads(sarif(report, {}))["runs"][0]["results"][0]["message"]["text"].startswith(name)
    rows = [r for r in markdown(report).splitlines() if r.startswith("| LEAK")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 5
    assert "\x0b" not in junit(report, 0.0)


@pytest.mark.parametrize(
    ("frame", "word", "rules"),
    [
        (LABELS.with_columns(last__x=pl.lit(59)), "LEAK", {"future", "differs"}),
        (LABELS.with_columns(last__x=pl.lit(None, dtype=pl.Int64)), "FAIL", {"absent"}),
        (LABELS.with_columns(last__x=pl.lit(-5)), "FAIL", {"differs"}),
        (LABELS, "FAIL", {"unchecked"}),
        (LABELS.clear().with_columns(last__x=pl.lit(1, dtype=pl.Int64)), "FAIL", {"unchecked"}),
    ],
)
def test_every_way_to_fail_has_a_rule(frame: pl.DataFrame, word: str, rules: set[str]) -> None:
    events = tf.Source(EVENTS, keys="user", timestamp="at", name="events")
    report = tf.audit(frame, tf.Feature(events, columns="x", name="last"), keys="user", label_time="label_time")
    found: dict[str, Any] = failures_of(report["last"])
    assert set(found) == rules
    assert [w for w, _ in summary(report)] == [word, word]
    assert ET.fromstring(junit(report, 0.0)).get("failures") == "1"
    assert {r["ruleId"] for r in json.loads(sarif(report, {}))["runs"][0]["results"]} == {
        f"timefence/{r}" for r in rules
    }
