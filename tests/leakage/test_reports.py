"""Reports of audits, diffs and builds: whole pages without scripts or network, everything escaped, charts or a line."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.unit.tables import LABELS, feature, labels
from timefence_pl.leakage.tallies import AGE_BIN, BUCKET, Ages, counted
from timefence_pl.reports import charts

EVIL = "<script>alert('x')</script>\"&"
#: The same for names, which must hold no slash.
NAME = "<b onclick=alert('x')>\"&"
START = datetime(2024, 1, 1)


class Page(HTMLParser):
    """Checks that tags close, and keeps what the page would load or run."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.loads += [
            f"{n}={v}" for n, v in attrs if n in ("src", "href", "xlink:href", "action") or n.startswith("on")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def evil_world() -> tuple[pl.DataFrame, list[Any]]:
    """A leaking set in which every text wants to be HTML."""
    n = 40
    times = [START + timedelta(days=i) for i in range(n)]
    events = pl.DataFrame({EVIL: [EVIL] * n, "t": times, "x": [f"{EVIL}{i}" for i in range(n)], "y": range(n)})
    source = tf.Source(events, keys=EVIL, timestamp="t", name=NAME)
    features = [
        tf.Feature(source, columns="x", name=f"f{NAME}", embargo="1d"),
        tf.Feature(source, (pl.col("y") - pl.col("y").mean()).alias("z"), name="ahead"),
        tf.Window(source, {f"n{NAME}": pl.len()}, windows=["3d", None], name="w"),
    ]
    at = pl.DataFrame({EVIL: [EVIL] * n, "at": [t + timedelta(hours=12) for t in times], "target": [1] * n})
    data = tf.build(tf.Labels(at, keys=EVIL, label_time="at"), features).frame()
    wrong = data.with_columns(data[f"f{NAME}__x"].shift(-2), pl.col("w__n" + NAME + "_3d") + 7)
    return wrong, features


def audited() -> tf.AuditReport:
    data, features = evil_world()
    return tf.audit(data, features, keys=EVIL, label_time="at")


def temporal() -> tf.AuditReport:
    data = evil_world()[0].with_columns(pl.col("at").dt.offset_by("3h").alias(EVIL + "t"))
    return tf.audit(data, feature_time_columns={EVIL: EVIL + "t"}, label_time="at", max_lookback="30d", embargo="1h")


def compared() -> tf.DiffResult:
    data, _ = evil_world()
    changed = data.with_columns(
        pl.lit(EVIL).alias(f"f{NAME}__x"), pl.col("ahead__z") + 1, pl.lit(EVIL).alias("new" + EVIL)
    )
    return tf.diff(data, changed.tail(30), keys=EVIL, label_time="at")


def built() -> tf.BuildResult:
    data, features = evil_world()
    labels = tf.Labels(data.select(EVIL, "at"), keys=EVIL, label_time="at")
    return tf.build(
        labels, features, splits={"train": ("2024-01-01", "2024-01-20"), "rest": ("2024-01-20", "2025-01-01")}
    )


REPORTS: dict[str, Callable[[], Any]] = {"audit": audited, "times": temporal, "diff": compared, "build": built}


@pytest.mark.parametrize("kind", REPORTS)
def test_pages_run_nothing_load_nothing_and_escape_everything(kind: str, tmp_path: Path) -> None:
    report = REPORTS[kind]()
    text = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert page.loads == []
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text
    assert "alert('x')" in page.text
    assert "default-src 'none'" in text
    assert page.tags.count("h1") == page.tags.count("main") == 1


@pytest.mark.parametrize("kind", REPORTS)
def test_notebooks_get_a_table_in_which_everything_is_escaped(kind: str) -> None:
    page = Page(REPORTS[kind]()._repr_html_())
    assert "script" not in page.tags
    assert "table" in page.tags


@pytest.mark.parametrize("kind", REPORTS)
def test_text_and_json_and_frames_tell_the_same(kind: str, tmp_path: Path) -> None:
    report = REPORTS[kind]()
    text = report.to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == text
    assert isinstance(orjson.loads(text), dict)
    assert str(report)
    assert report.to_polars().height > 0


def test_a_page_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(tf.TimefenceStoreError, match="cannot be written"):
        built().to_html(tmp_path / "gone" / "x.html")


# --- charts -------------------------------------------------------------------------------------------------------------


def test_charts_are_svg_with_identifiers_of_their_own() -> None:
    page = audited().to_html()
    assert page.count("<svg") >= 5
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    assert "embargo 1d" in page


@pytest.mark.parametrize("kind", ["audit", "times", "build"])
def test_without_the_extra_a_line_says_so(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(charts, "import_module", missing)
    charts.drawn.cache_clear()
    try:
        text = REPORTS[kind]().to_html()
    finally:
        charts.drawn.cache_clear()
    assert "<svg" not in text
    assert "Charts are left out" in text
    assert "timefence-pl[report]" in text


def test_the_charts_of_a_build_are_left_out_once_its_sources_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [1, 2]}).write_parquet(path)
    result = tf.build(labels(), feature(path))
    assert "<svg" in result.to_html()
    path.unlink()
    gone = result.to_html()
    assert "<svg" not in gone
    assert "Charts are left out" in gone


def test_changed_sources_are_told() -> None:
    events = [pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [1, 2]})]
    source = tf.Source(
        pl.LazyFrame(schema=events[0].schema).map_batches(lambda _: events[0]), keys="k", timestamp="t", name="events"
    )
    result = tf.build(labels(), tf.Feature(source, columns="x", name="f"))
    assert "<svg" in result.to_html()
    events[0] = events[0].head(0)
    assert "have changed since the build" in result.to_html()


def test_the_charts_of_a_build_add_up_to_its_statistics() -> None:
    result = tf.build(labels(LABELS), feature(), max_staleness=1)
    profile = result._profile()["f"]
    stats = result.stats.feature_stats["f"]
    assert {p: profile.counts.get(p, 0) for p in ("matched_value", "stale", "no_history")} == {
        "matched_value": 2,
        "stale": 1,
        "no_history": 1,
    }
    assert profile.charts.ages["rows"].sum() == stats["matched"]
    assert profile.charts.reasons["rows"].sum() == 4
    assert sum(profile.charts.totals.values()) == 4


def test_ages_lie_in_their_bins() -> None:
    for kind, size in (("naive", 1000), ("integer", 1)):
        ages = Ages.of(kind)
        edges = list(ages.edges)
        values = sorted({e + d for e in edges for d in (-size, 0, size)})
        ticks = [v // size for v in values]
        expected: Counter[int] = Counter()
        for tick in ticks:
            place = min(max(sum(e <= tick * size for e in edges), 1), len(edges) - 1)
            assert ages.tally(pl.Series([tick], dtype=pl.Int64), size=size).rows() == [(place, 1)]
            expected[place] += 1
        for dtype in (pl.Int64, pl.Int128):
            assert ages.tally(pl.Series(ticks, dtype=dtype), size=size).rows() == sorted(expected.items())
    far = pl.Series([-(1 << 100), None, 1 << 100, 1], dtype=pl.Int128)
    assert ages.tally(far).rows() == [(1, 1), (edges.index(1) + 1, 1), (len(edges) - 1, 1)]
    assert ages.tally(far.clear()).rows() == ages.tally(far.filter(far.is_null())).rows() == []


@pytest.mark.parametrize("seed", range(4))
def test_small_columns_are_counted_as_groups_are(seed: int) -> None:
    rng = random.Random(seed)
    words = pl.Enum(["ok", "future", "stale", "never"])
    size = rng.choice([0, 1, 2000])
    bucket = pl.Series([rng.choice([None, 3, 4, 29]) for _ in range(size)], dtype=pl.UInt8)
    word = pl.Series(
        "word", [rng.choice(["ok", "stale", "future", *([None] * (seed % 2))]) for _ in range(size)], dtype=words
    )
    frame = pl.DataFrame({BUCKET: bucket, "word": word})
    grouped = frame.group_by(BUCKET, "word").len("rows").with_columns(pl.col("rows").cast(pl.Int64))
    assert_frame_equal(counted({BUCKET: bucket, "word": word}), grouped.sort(BUCKET, "word"))
    ages = Ages.of("integer")
    ticks = pl.Series([rng.choice([None, -5, 0, 7, 99, 10**6]) for _ in range(size)], dtype=pl.Int64)
    found = ages.tally(ticks, by=word)
    assert found.schema == {AGE_BIN: pl.UInt8, "word": words, "rows": pl.Int64}
    for of in words.categories:
        assert_frame_equal(found.filter(word=of).drop("word"), ages.tally(ticks.filter((word == of).fill_null(False))))


def test_axes_write_each_count_by_itself() -> None:
    if not charts.drawn():
        pytest.skip("charts need the extra")
    for most, words in ((1_500, (">500<", ">1,000<")), (3_000_000, (">1M<", ">2M<"))):
        svg = charts.histogram(charts.Histogram(["a", "b"], [(0, "s", most)], [], "x", "rows"), {"s": "red"})
        over = charts.over_time(charts.Bars([(0, 1)], [(0, "s", most)], "x", "rows", times=False), {"s": "red"})
        for drawn in (svg, over):
            assert drawn is not None
            assert all(w in drawn for w in (">0<", *words)), (most, re.findall(">([^<]*)<", drawn))


def test_examples_keep_the_names_of_the_users_own_columns() -> None:
    events = tf.Source(pl.DataFrame({"user_id": [1, 1], "t": [1, 5], "x_y": [10, 50]}), keys="user_id", timestamp="t")
    leaking = pl.DataFrame({"user_id": [1, 1], "label_time": [3, 6], "x_y": [50, 50]})
    report = tf.audit(leaking, tf.Feature(events, columns="x_y"), keys="user_id", label_time="label_time")
    page = report.to_html()
    for heading in ("user_id", "label_time", "x_y found", "x_y due", "found feature time", "due source row"):
        assert f">{heading}<" in page, heading


def test_the_youngest_value_is_told_in_two_units() -> None:
    times = [START, START + timedelta(hours=7, minutes=50, seconds=3, microseconds=792)]
    events = tf.Source(pl.DataFrame({"k": [1], "t": times[:1], "x": [1]}), keys="k", timestamp="t")
    rows = tf.Labels(pl.DataFrame({"k": [1], "at": times[1:]}), keys="k", label_time="at")
    result = tf.build(rows, tf.Feature(events, columns="x"))
    assert result.stats.feature_stats["x"]["youngest_value"] == "7h50m3s792us"
    assert ">7h50m<" in result.to_html()


def test_a_long_name_breaks_into_lines_beside_the_verdicts() -> None:
    events = tf.Source(pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [10, 50]}), keys="k", timestamp="t")
    leaking = pl.DataFrame({"k": [1, 1], "label_time": [3, 6], "x": [50, 50]})
    for name, breaks in (("n" * 128, True), ("n" * 32, False)):
        report = tf.audit(leaking, tf.Feature(events, columns="x", name=name), keys="k", label_time="label_time")
        page = report.to_html()
        assert (f'<td class="l"><span class="n">{name}</span></td>' in page) is breaks
        assert (f'<td class="l">{name}</td>' in page) is not breaks
    (rule,) = re.findall(r"^\.n\{(.*)\}$", page, re.MULTILINE)
    assert {"max-width:24ch", "white-space:normal", "overflow-wrap:break-word"} <= set(rule.split(";"))
