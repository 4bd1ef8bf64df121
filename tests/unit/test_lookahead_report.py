"""Look-ahead reports: terminal, notebook, JSON, frame and page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.leakage.lookahead_spans import round_span, shown_span
from timefence_pl.reports import lookahead as pages

X = pl.col("x")
EVENTS = pl.DataFrame({"user": [1, 2] * 30, "at": range(60), "x": [float(i * i % 17) for i in range(60)]})
EVIL = '<script>alert("x")</script>'


def reported(**names: Any) -> tf.LookaheadReport:
    events = EVENTS.with_columns(pl.datetime(2024, 1, 1) + pl.duration(hours="at").alias("at"), t=pl.col("at"))
    data = tf.Source(events.drop("at").rename({"datetime": "at"}), keys="user", timestamp="at", name=f"s{EVIL[:8]}")
    twelve = {"every": "12h", "group_by": "user"}
    return tf.check_lookahead(
        [
            tf.Feature(data, columns="x", name="plain"),
            tf.Feature(data, X.shift(-1).over("user").alias(EVIL[:8]), name="lead & more"),
            tf.Feature(data, X / X.sum(), name="share"),
            tf.Feature(data, X.shuffle(), name="shuffled"),
            tf.Feature(
                data, transform=lambda f: f.group_by_dynamic("at", **twelve).agg(X.sum()), name="bin", embargo="1d"
            ),
            tf.Feature(data, transform=lambda f: f.unique("user", keep="last").select("user", "at", "x"), name="last"),
            tf.Feature(data, transform=lambda f: f.filter(X > 100).select("user", "at", "x"), name="nothing"),
            tf.Window(data, {"n": pl.len()}, windows=["1d"], name="window"),
        ],
        **names,
    )


REPORT = reported()


def test_features_are_told_by_verdict() -> None:
    assert REPORT.leaky_features == ["lead & more", "share", "last"]
    assert REPORT.needs_embargo_features == ["bin"]
    assert REPORT.clean_features == ["plain", "window"]
    assert REPORT.nondeterministic_features == ["shuffled"]
    assert REPORT.unchecked_features == ["nothing"]
    assert REPORT.has_lookahead
    assert repr(REPORT) == "LookaheadReport(3 leaky, 1 nondeterministic, 1 unchecked, 1 needs_embargo, 2 clean)"


def test_text_has_the_worst_first_and_what_was_covered() -> None:
    lines = str(REPORT).splitlines()
    assert lines[0] == "LookaheadReport: 3 of 8 features look ahead, 2 cannot be told"
    assert [line.split("  ")[1] for line in lines[1:9]] == [
        *("lead & more", "share", "last", "shuffled", "nothing", "bin", "plain", "window")
    ]
    assert "within embargo" in lines[6]
    assert lines[9:] == [
        "  covered:",
        "    s<script>: all 60 rows of 2 entities, 5 cutoffs",
        "    s<script>: labels of 2 of 2 entities at 5 cutoffs",
    ]


def test_assert_clean_names_what_fails_and_lets_embargoes_pass() -> None:
    with pytest.raises(tf.TimefenceLeakageError) as caught:
        REPORT.assert_clean()
    said = str(caught.value)
    assert "Look-ahead in 3 feature(s): 'lead & more', 'share', 'last'." in said
    assert "shuffled: nondeterministic" in said
    assert "nothing: unchecked" in said
    assert "bin" not in said
    data = tf.Source(EVENTS, keys="user", timestamp="at", name="s")
    tf.check_lookahead(tf.Feature(data, X.shift(-1), name="f", embargo=1)).assert_clean()


def test_the_frame_has_a_row_a_feature() -> None:
    frame = REPORT.to_polars()
    assert frame["feature"].to_list() == list(REPORT)
    assert frame["status"].to_list() == [f.status for f in REPORT.features.values()]
    assert frame.filter(pl.col("feature") == "plain").select("reach", "rows_differing").row(0) == (None, 0)
    assert frame.schema["reach"] == pl.Int64


def test_json_is_whole_and_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    text = REPORT.to_json(path)
    assert path.read_text() == text
    found = json.loads(text)
    assert found["has_lookahead"] is True
    assert found["clean"] is False
    lead = found["features"]["lead & more"]
    assert (lead["status"], lead["reach_unit"]) == ("leaky", "nanoseconds")
    assert lead["rows_differing"] == sum(c["rows_differing"] for c in lead["cutoffs"])
    assert lead["examples"][0]["cutoff"].startswith("2024-01-01T")
    assert sum(b["rows"] for b in lead["distances"]) == lead["rows_differing"]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(v) for n, v in attrs if n in ("src", "href", "xlink:href") and not str(v).startswith("#")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone_and_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    text = REPORT.to_html(path)
    assert path.read_text(encoding="utf-8") == text
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert page.links == []
    assert "lead & more" in page.words
    assert EVIL[:8] not in text
    said = " ".join(page.words)
    assert "3 of 8 features look ahead" in said
    assert "no row" in said
    assert "within the embargo of 1d" in said
    assert "all 60 rows of 2 entities, 5 cutoffs" in said


def test_charts_are_left_out_with_a_line_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "drawn", lambda: False)
    monkeypatch.setattr(pages, "histogram", lambda *_: None)
    text = REPORT.to_html()
    assert "<svg" not in text
    assert "Charts are left out" in text


def test_the_notebook_has_a_table() -> None:
    html = REPORT._repr_html_()
    assert html.count("<tr>") == 9
    assert EVIL[:8] not in html


def test_a_file_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(tf.TimefenceStoreError, match="cannot be written"):
        REPORT.to_html(tmp_path / "none" / "report.html")


def test_a_clean_report_says_so() -> None:
    data = tf.Source(EVENTS, keys="user", timestamp="at", name="s")
    report = tf.check_lookahead(tf.Feature(data, columns="x"))
    assert str(report).splitlines()[0] == "LookaheadReport: none of 1 feature looks ahead"
    assert "no look-ahead found" in report.to_html()
    assert report["x"].examples.is_empty()
    assert json.loads(report.to_json())["clean"] is True


def test_integer_times_have_spans_of_their_own() -> None:
    data = tf.Source(EVENTS, keys="user", timestamp="at", name="s")
    report = tf.check_lookahead(tf.Feature(data, X.shift(-4).over("user"), name="f", embargo=3))["f"]
    assert (report.reach, report.shown_reach, report.embargo) == (8, "8", "3")
    assert report.distances["to"].to_list() == [str(i) for i in range(1, 9)]
    assert report.embargo_at == 3.0


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (86_400_000_000_001_000 // 1_000, "1d"),
        (90_000_000_000, "1m30s"),
        (1_000_001, "1ms"),
        (1_000_001_000, "1s"),
        (999, "999ns"),
    ],
)
def test_spans_leave_out_a_thousandth(amount: int, shown: str) -> None:
    assert shown_span(amount) == shown


@pytest.mark.parametrize(
    ("least", "integer", "found"),
    [
        (1, False, 1),
        (3.6e12, False, 3_600_000_000_000),
        (3.7e12, False, 7_200_000_000_000),
        (11, True, 20),
        (1e20, False, None),
    ],
)
def test_bars_have_round_lengths(least: float, integer: bool, found: int | None) -> None:
    width = round_span(least, integer=integer)
    assert width >= least
    assert found is None or width == found
