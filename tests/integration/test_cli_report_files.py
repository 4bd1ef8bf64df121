"""Reports are written where they destroy nothing, and whole or not at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import timefence_pl as tf
from tests.integration.cli import run

START = datetime(2024, 1, 1)
FEATURES = """import polars as pl
import helper
import timefence_pl as tf
events = tf.Source("data/events.parquet", keys="user", timestamp="at")
daily = tf.Source("daily/*", keys="user", timestamp="at", name="daily", format="parquet")
last = tf.Feature(events, columns="x", name="last")
other = tf.Feature(daily, columns={"x": "y"}, name="other")
more = tf.Feature(events, transform=helper.joined, name="more")
"""
HELPER = """import polars as pl
def joined(events):
    return events.join(pl.scan_parquet("more.parquet"), on="user").select("user", "at", "z")
"""
CONFIG = 'labels = { path = "labels.parquet", keys = ["user"], target = ["y"] }\nfeatures = ["features.py"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    times = [START + timedelta(days=i) for i in range(6)]
    events = pl.DataFrame({"user": [1, 2] * 3, "at": times, "x": range(6)})
    for name in ("data", "daily"):
        (tmp_path / name).mkdir()
        events.write_parquet(tmp_path / name / "events.parquet")
    pl.DataFrame({"user": [1, 2], "z": [1, 2]}).write_parquet(tmp_path / "more.parquet")
    labels = pl.DataFrame({"user": [1, 2], "label_time": [START + timedelta(days=9)] * 2, "y": [0, 1]})
    labels.write_parquet(tmp_path / "labels.parquet")
    (tmp_path / "features.py").write_text(FEATURES)
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "timefence.toml").write_text(CONFIG)
    run(tmp_path, "build", "-o", "train.parquet")
    (tmp_path / "link.html").symlink_to("train.parquet")
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts}


AUDIT = ("audit", "train.parquet")
REFUSED = [
    *((*AUDIT, option, "train.parquet") for option in ("--html", "--junit", "--sarif", "--markdown")),
    *((*AUDIT, option, "./data/../features.py") for option in ("--html", "--junit", "--sarif", "--markdown")),
    (*AUDIT, "--html", "link.html"),
    (*AUDIT, "--html", "data/events.parquet"),
    (*AUDIT, "--html", "daily/events.parquet"),
    (*AUDIT, "--html", "daily/report.html"),
    (*AUDIT, "--html", "{here}/daily/report.html"),
    (*AUDIT, "--html", "more.parquet"),
    (*AUDIT, "--html", "labels.parquet"),
    (*AUDIT, "--html", "helper.py"),
    (*AUDIT, "--markdown", "timefence.toml"),
    (*AUDIT, "--html", "same.out", "--junit", "same.out"),
    (*AUDIT, "--html", ".timefence/builds/report.html"),
    ("audit", "train.parquet", "--feature-time", "y=label_time", "--html", "train.parquet"),
    ("diff", "train.parquet", "labels.parquet", "--html", "labels.parquet"),
    ("diff", "labels.parquet", "train.parquet", "--html", "labels.parquet"),
    ("lint", "--sarif", "features.py"),
    ("lint", "--sarif", "data/events.parquet"),
    ("store", "lineage", "labels.parquet", "--down", "--html", "labels.parquet"),
    ("store", "lineage", "labels.parquet", "--down", "--svg", "data/events.parquet"),
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_report_is_never_written_over_an_input(project: Path, words: tuple[str, ...]) -> None:
    words = tuple(w.format(here=project) for w in words)
    before = contents(project)
    ran = run(project, *words, code=4)
    assert ran.err.startswith(f"error: {words[-2]} ") or "are the same file" in ran.err
    assert contents(project) == before


def test_a_report_of_an_earlier_run_is_written_anew(project: Path) -> None:
    for _ in range(2):
        run(project, *AUDIT, "--html", "a.html", "--junit", "a.xml", "--sarif", "a.sarif", "--markdown", "a.md")
        run(project, *AUDIT, "--html", "/dev/null", "--junit", "/dev/null")
        run(project, "lint", "--sarif", "lint.sarif")
        run(project, "diff", "train.parquet", "train.parquet", "--html", ".timefence/diff.html")


@contextmanager
def full_disk() -> Iterator[None]:
    """Files of this process stay below 1,000 bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


LONG = [
    (*AUDIT, "--html", "old.out"),
    (*AUDIT, "--junit", "old.out"),
    (*AUDIT, "--sarif", "old.out"),
    (*AUDIT, "--markdown", "old.out"),
    ("diff", "train.parquet", "train.parquet", "--html", "old.out"),
    ("lint", "--sarif", "old.out"),
]


@pytest.mark.parametrize("words", LONG, ids=" ".join)
def test_a_report_that_does_not_fit_leaves_the_one_before(project: Path, words: tuple[str, ...]) -> None:
    (project / "old.out").write_text("good" * 240)
    if "--junit" in words:  # short where all is clean
        run(project, "build", "-o", "train.parquet", "--max-staleness", "1h")
    before = contents(project)
    with full_disk():
        ran = run(project, *words, code=4)
    assert "'old.out' cannot be written: File too large." in ran.err
    assert contents(project) == before


@pytest.mark.parametrize("kind", ["to_html", "to_json"])
def test_a_report_of_the_library_that_does_not_fit_leaves_the_one_before(project: Path, kind: str) -> None:
    train = project / "train.parquet"
    (project / "old.out").write_text("good")
    before = contents(project)
    report = tf.audit(train, keys="user", label_time="label_time", feature_time_columns={"y": "label_time"})
    with full_disk(), pytest.raises(tf.TimefenceStoreError, match="cannot be written to"):
        getattr(report, kind)(project / "old.out")
    assert contents(project) == before
    (project / "link.out").symlink_to("old.out")
    text = getattr(report, kind)(project / "link.out")
    assert (project / "link.out").is_symlink()
    assert (project / "old.out").read_text() == text


def test_a_report_through_a_link_keeps_the_link(project: Path) -> None:
    (project / "a.html").symlink_to("b.html")
    run(project, *AUDIT, "--html", "a.html")
    assert (project / "a.html").is_symlink()
    assert "<html" in (project / "b.html").read_text().lower()
