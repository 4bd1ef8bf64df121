"""Explanations: how features are joined, and which row a label got, and why."""

from __future__ import annotations

import random
from datetime import date, datetime
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source
from timefence_pl.errors import TimefenceValidationError

#: Entity 1 has two rows at 5; one row has no key, one no time.
ROWS = pl.DataFrame({"k": [1, 1, 1, 2, None, 1], "t": [1, 5, 5, 3, 4, None], "x": [10, 50, 51, None, 7, 8]})
ASKED = pl.DataFrame({"k": [1, 1, 1, 2, 3, None, 1, 1], "at": [7, 3, 20, 5, 5, 5, None, 10]})
BOUNDS: dict[str, Any] = {"embargo": 1, "max_lookback": 8, "max_staleness": 3, "on_duplicate": "keep_last"}


def explained(given: Any = ASKED, events: Any = ROWS, **options: Any) -> tf.ExplainResult:
    return tf.explain(labels(given), feature(events, **{**BOUNDS, **options}))


# --- the plan ----------------------------------------------------------------------------------------------------------


def test_each_feature_is_told_with_its_join() -> None:
    one = explained()["f"]
    assert (one.name, one.source, one.mode, one.embargo, one.columns) == ("f", "events", "columns", "1", ("f__x",))
    assert one.condition == "events.k = labels.k AND events.t < labels.at - 1 AND events.t >= labels.at - 8"
    assert one.window == "[label_time - 8, label_time - 1), null when older than 3"
    assert "as-of merge" in one.strategy
    assert one.cost == "sort 6 rows of 'events', then one pass over both sides"
    assert one.cached is False
    assert one.cache_reason


@pytest.mark.parametrize(
    ("options", "run", "condition", "window"),
    [
        ({}, {}, "events.k = labels.k AND events.t < labels.at", "(-inf, label_time)"),
        ({}, {"join": "inclusive"}, "events.k = labels.k AND events.t <= labels.at", "(-inf, label_time]"),
        (
            {"embargo": 2},
            {"join": "inclusive"},
            "events.k = labels.k AND events.t <= labels.at - 2",
            "(-inf, label_time - 2]",
        ),
        ({"source_keys": []}, {}, "events.t < labels.at", "(-inf, label_time)"),
        (
            {"source_available_at": "x"},
            {},
            "events.k = labels.k AND max(events.t, events.x) < labels.at",
            "(-inf, label_time)",
        ),
        (
            {"max_staleness": 4},
            {},
            "events.k = labels.k AND events.t < labels.at",
            "(-inf, label_time), null when older than 4",
        ),
    ],
)
def test_the_condition_is_in_the_users_words(options: Any, run: Any, condition: str, window: str) -> None:
    one = tf.explain(labels(), feature(**options), **run)["f"]
    assert (one.condition, one.window) == (condition, window)


def test_mapped_keys_and_durations_are_in_the_condition() -> None:
    events = pl.DataFrame({"user": [1], "t": [datetime(2024, 1, 1)], "x": [1]})
    given = labels(pl.DataFrame({"k": [1], "at": [datetime(2024, 1, 9)]}))
    one = tf.explain(given, feature(events, source_keys="user", key_mapping={"k": "user"}, embargo="1d12h"))["f"]
    assert one.condition == ("events.user = labels.k AND events.t < labels.at - 1d12h AND events.t >= labels.at - 365d")
    assert one.window == "[label_time - 365d, label_time - 1d12h)"
    assert one.embargo == "1d12h"


def test_the_text_has_every_feature_and_fact() -> None:
    text = str(tf.explain(labels(), [feature(name="a"), feature(name="b", embargo=1)]))
    assert text.startswith("Point-in-time join of 2 feature(s) to DataFrame")
    for part in (
        "a  (source events, columns)",
        "b  (source events, columns)",
        "join:",
        "window:",
        "embargo:  1",
        "columns:  a__x",
    ):
        assert part in text


def test_features_that_share_a_sort_are_told() -> None:
    one = source()
    result = tf.explain(labels(), [tf.Feature(one, columns="x", name=n) for n in "ab"])
    assert "one sort and merge with b" in result["a"].strategy


def test_polars_own_plan_is_there() -> None:
    result = explained()
    assert "ASOF JOIN" in result.plan
    assert isinstance(result.lazyframe, pl.LazyFrame)
    assert (
        result.lazyframe.collect()["f__x"].to_list()
        == tf.build(labels(ASKED), feature(ROWS, **BOUNDS)).frame()["f__x"].to_list()
    )
    assert repr(result) == "ExplainResult(['f'])"


def test_options_are_checked_as_in_a_join() -> None:
    with pytest.raises(tf.TimefenceConfigError, match="join='x' is not known"):
        tf.explain(labels(), feature(), join="x")  # type: ignore[arg-type]
    with pytest.raises(tf.TimefenceSchemaError, match="no column 'nope'"):
        tf.explain(labels(label_time="nope"), feature())


# --- HTML --------------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert('x')<&>\""


@pytest.mark.parametrize("what", ["explain", "build"])
def test_html_is_escaped(what: str) -> None:
    events = EVENTS.rename({"k": "<b>k", "x": "<i>x"})
    one = feature(
        events,
        columns=["<i>x"],
        name=HOSTILE.replace("/", ""),
        source_keys="<b>k",
        source_name=HOSTILE,
        key_mapping={"<u>k": "<b>k"},
    )
    given = labels(LABELS.rename({"k": "<u>k"}), keys="<u>k")
    result = tf.explain(given, one) if what == "explain" else tf.build(given, one)
    html = result._repr_html_()
    found = Tags(html)
    assert not found.tags & {"script", "b", "i", "u"}
    assert HOSTILE in found.text
    assert "<script" not in html


def test_html_has_a_block_for_each_feature_with_every_fact() -> None:
    result = tf.explain(labels(), [feature(name="first", embargo=1), feature(name="second")])
    html = result._repr_html_()
    assert html.count("font-weight:600") == 3  # the title and two names
    for one in result.features.values():
        for fact in (one.name, one.window, one.strategy, one.cost, one.cache_reason, *one.columns):
            assert fact in Tags(html).text
        for part in one.condition.split(" AND "):
            assert part in Tags(html).text


def test_text_breaks_between_parts_and_loses_none() -> None:
    columns = [f"column_number_{i}" for i in range(30)]
    events = EVENTS.with_columns(pl.lit(i).alias(c) for i, c in enumerate(columns))
    wide = tf.explain(labels(), [feature(events, columns=columns, name="wide")])
    text = str(wide)
    assert max(len(line) for line in text.splitlines()) <= 120
    found = text.split("columns:")[1].replace(",", " ").split()
    assert found == [f"wide__{c}" for c in columns]
    window = tf.Window(source(), {"n": pl.len()}, windows=[*range(1, 20), None], name="w")
    shown = tf.explain(labels(), window)
    assert shown["w"].window.endswith("all: (-inf, label_time)")
    between = str(shown).split("window:")[1].split("embargo:")[0]
    assert " ".join(between.split()) == shown["w"].window
    for part in shown["w"].window.split("; "):
        assert part in Tags(shown._repr_html_()).text


def test_a_row_as_html_tells_what_its_text_tells() -> None:
    result = explained()
    for position in range(8):
        row = result.row(position)
        found = Tags(row._repr_html_())
        for one in row["f"].passed_over:
            assert one.verdict in found.text
            assert one.why in found.text
        assert row["f"].reason.replace("_", " ") in found.text
        assert row["f"].condition in found.text
        assert row["f"].note in found.text
        assert ("\u2192 chosen" in found.text) == (row["f"].chosen is not None)
    events = EVENTS.rename({"x": "<i>x"}).with_columns(pl.lit(HOSTILE).alias("<b>"))
    hostile = tf.explain(labels(), feature(events, columns=["<i>x", "<b>"])).row(0)._repr_html_()
    assert not Tags(hostile).tags & {"script", "i"}
    assert HOSTILE in Tags(hostile).text


# --- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "reason", "chosen", "verdicts", "note"),
    [
        (0, "matched_value", ("chosen", 51), ["superseded", "superseded"], "one of several duplicates"),
        (1, "matched_value", ("chosen", 10), ["not usable yet", "not usable yet"], ""),
        (2, "too_old", None, ["too old", "too old", "too old"], ""),
        (3, "null_value", ("chosen", None), [], ""),
        (4, "no_history", None, [], ""),
        (5, "no_history", None, [], "null"),
        (6, "no_history", None, [], "null"),
        (7, "stale", ("chosen, stale", 51), ["superseded", "too old"], ""),
    ],
    ids=["matched", "not usable yet", "too old", "null value", "no history", "null key", "null time", "stale"],
)
def test_a_row_tells_the_choice_and_what_was_passed_over(
    position: int, reason: str, chosen: tuple[str, Any] | None, verdicts: list[str], note: str
) -> None:
    row = explained().row(position)
    one = row["f"]
    assert row.row == position
    assert row.label == dict(zip(("k", "at"), ASKED.row(position), strict=True))
    assert one.reason == reason
    assert (None if one.chosen is None else (one.chosen.verdict, one.chosen.values["x"])) == chosen
    assert [c.verdict for c in one.passed_over] == verdicts
    assert note in one.note
    assert bool(one.note) == bool(note)


def test_reasons_agree_with_the_statistics() -> None:
    draw = random.Random(4)
    events = pl.DataFrame(
        {"k": [draw.randint(0, 4) for _ in range(30)], "t": draw.sample(range(60), 30), "x": list(range(30))}
    )
    given = pl.DataFrame({"k": [draw.randint(0, 5) for _ in range(40)], "at": [draw.randint(0, 70) for _ in range(40)]})
    one = feature(events, embargo=2, max_lookback=14, max_staleness=7)
    result = tf.build(labels(given), one)
    rows = [result.explain().row(i)["f"] for i in range(40)]
    counted = {
        r: sum(x.reason == r for x in rows) for r in ("matched_value", "null_value", "stale", "too_old", "no_history")
    }
    assert counted == {r: result.stats.feature_stats["f"][r] for r in counted}
    assert min(counted[r] for r in ("matched_value", "stale", "too_old", "no_history")) > 0
    values = [r.chosen.values["x"] if r.reason == "matched_value" and r.chosen else None for r in rows]
    assert values == result.frame()["f__x"].to_list()


def test_the_arithmetic_is_told() -> None:
    result = explained()
    text = str(result.row(7))
    assert text.startswith("label row 7: k=1, at=10")
    assert "f: stale" in text
    assert "age 5, more than the staleness of 3" in text
    assert "age 9, more than the lookback of 8" in text
    assert "3 after the limit" in str(result.row(1))
    assert "exactly at the limit, which strict excludes" in str(tf.explain(labels(), feature()).row(0))
    assert "the entity has no row of this feature" in str(result.row(4))
    assert "the entity has no row of this feature" not in str(result.row(5))


def test_a_choice_among_duplicates_is_told() -> None:
    assert "raises" in explained(on_duplicate="error").row(0)["f"].note
    assert "raises" not in explained(on_duplicate="keep_last").row(0)["f"].note
    first = explained(on_duplicate="keep_first").row(0)["f"]
    assert first.chosen is not None
    assert first.chosen.values == {"x": 50}


def test_only_the_nearest_rows_are_shown_and_the_rest_counted() -> None:
    events = pl.DataFrame({"k": [1] * 30, "t": list(range(30)), "x": list(range(30))})
    row = tf.explain(labels(pl.DataFrame({"k": [1], "at": [15]})), feature(events)).row(0)
    shown = [c.time for c in row["f"].passed_over]
    assert shown[0] == 15
    assert len(shown) < 29
    assert row["f"].entity_rows == 30
    assert f"and {29 - len(shown)} more rows of the entity" in str(row)


def test_availability_is_told() -> None:
    events = pl.DataFrame({"k": [1, 1, 1], "t": [1, 1, 2], "a": [1, 5, 9], "x": [1, 2, 3]})
    given = labels(pl.DataFrame({"k": [1], "at": [7]}))
    row = tf.explain(given, feature(events, source_available_at="a")).row(0)
    one = row["f"]
    assert one.chosen is not None
    assert (one.chosen.time, one.chosen.usable_from, one.chosen.values) == (1, 5, {"x": 2})
    assert {(c.values["x"], c.verdict) for c in one.passed_over} == {(3, "not usable yet"), (1, "superseded")}
    assert "usable from 5" in str(row)


def test_availability_is_told_in_the_sources_zone() -> None:
    utc = (
        pl.Series([datetime(2024, 7, 1), datetime(2024, 7, 2)])
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone("Asia/Tokyo")
    )
    events = pl.DataFrame({"k": [1], "t": utc.head(1), "a": utc.tail(1), "x": [1]})
    given = labels(
        pl.DataFrame({"k": [1], "at": [datetime(2024, 7, 9)]}).with_columns(pl.col("at").dt.replace_time_zone("UTC"))
    )
    row = tf.explain(given, feature(events, source_available_at="a")).row(0)
    assert "2024-07-01 09:00:00+09:00, usable from 2024-07-02 09:00:00+09:00" in str(row)


def test_dates_are_told_with_the_age_from_their_end() -> None:
    events = pl.DataFrame({"k": [1], "t": [date(2024, 1, 1)], "x": [1]})
    row = tf.explain(labels(pl.DataFrame({"k": [1], "at": [datetime(2024, 1, 5)]})), feature(events)).row(0)
    assert row["f"].chosen is not None
    assert row["f"].chosen.time == date(2024, 1, 1)
    assert row["f"].chosen.why == "age 3d1ns"


def test_times_that_python_cannot_hold_are_told_as_ticks() -> None:
    far = pl.Series([-(2**63), 2**63 - 2]).cast(pl.Datetime("us"))
    events = pl.DataFrame({"k": [1, 1], "t": far, "x": [1, 2]})
    asked = pl.Series([-(2**63) + 1, 2**63 - 1]).cast(pl.Datetime("us"))
    result = tf.explain(labels(pl.DataFrame({"k": [1, 1], "at": asked})), feature(events, max_lookback=None))
    for position, value in ((0, 1), (1, 2)):
        chosen = result.row(position)["f"].chosen
        assert chosen is not None
        assert chosen.values == {"x": value}
        assert chosen.why == "age 1us"
        assert "9223372036854775" in str(result.row(position))


@pytest.mark.parametrize(
    ("keys", "dtype"), [(["k"], pl.String), (["k"], pl.UInt64), (["k", "y"], pl.Int64), ([], pl.Int64)], ids=str
)
def test_keys_of_every_kind_are_explained(keys: list[str], dtype: Any) -> None:
    events = EVENTS.with_columns(pl.col("k").cast(dtype), y=pl.lit(1))
    given = labels(LABELS.with_columns(pl.col("k").cast(dtype), y=pl.lit(1)), keys=keys)
    result = tf.explain(given, feature(events, source_keys=keys))
    found = [result.row(i)["f"].chosen for i in range(4)]
    expected = EXPECTED if keys else [30, 50, 30, 50]
    assert [None if c is None else c.values["x"] for c in found] == expected


def test_rows_that_come_in_another_order_each_time_are_told_from_one_run() -> None:
    runs: list[int] = []

    def shuffled(events: pl.LazyFrame) -> pl.LazyFrame:
        def turned(frame: pl.DataFrame) -> pl.DataFrame:
            runs.append(frame.height)
            return frame[len(runs) % frame.height :].vstack(frame[: len(runs) % frame.height])

        return events.map_batches(turned)

    events = pl.DataFrame({"k": [1] * 7, "t": list(range(7)), "x": list(range(7))})
    result = tf.explain(labels(pl.DataFrame({"k": [1], "at": [4]})), feature(events, transform=shuffled))
    for _ in range(8):
        one = result.row(0)["f"]
        assert (None if one.chosen is None else one.chosen.values) == {"x": 3}
        assert "chosen" not in {c.verdict for c in one.passed_over}


@pytest.mark.parametrize(
    "options", [{"sql": "SELECT k, t, x FROM {source}"}, {"transform": lambda lf: lf}], ids=["sql", "transform"]
)
def test_features_of_every_kind_are_explained(options: Any) -> None:
    result = tf.explain(labels(), feature(**options))
    assert [c and c.values["x"] for c in (result.row(i)["f"].chosen for i in range(4))] == EXPECTED


@pytest.mark.parametrize("position", [-1, 8, 10**9])
def test_a_row_that_is_not_there_is_refused(position: int) -> None:
    with pytest.raises(TimefenceValidationError, match=f"The labels have no row {position}: there are 8"):
        explained().row(position)


@pytest.mark.parametrize("position", [None, "a", 1.5, True, [0]])
def test_a_row_is_a_position(position: Any) -> None:
    with pytest.raises(TimefenceValidationError, match="is not the position of a row"):
        explained().row(position)


def test_an_unknown_feature_is_refused_with_those_known() -> None:
    result = explained()
    for ask in (lambda: result["g"], lambda: result.row(0)["g"], lambda: result.row(0, ["g"])):
        with pytest.raises(TimefenceValidationError, match=r"There is no feature 'g'(.|\n)*'f'"):
            ask()


def test_some_features_may_be_asked_for() -> None:
    result = tf.explain(labels(), [feature(name="a"), feature(name="b")])
    assert list(result.row(0, ["b"]).features) == ["b"]
    assert list(result.row(0).features) == ["a", "b"]


def test_rows_are_explained_whatever_the_output_looks_like() -> None:
    options: dict[str, Any] = {"flatten_columns": True, "feature_times": True, "on_missing": "skip"}
    result = tf.explain(labels(), feature(), **options)
    assert result.row(3)["f"].reason == "no_history"
    chosen = result.row(1)["f"].chosen
    assert chosen is not None
    assert chosen.values == {"x": 50}


def test_explaining_writes_and_runs_nothing() -> None:
    twice = pl.concat([EVENTS, EVENTS])
    assert "events.t < labels.at" in str(tf.explain(labels(), feature(twice)))


def test_nothing_to_explain_is_explained() -> None:
    result = tf.explain(labels(LABELS.clear()), feature(EVENTS.clear()))
    assert "sort 0 rows" in result["f"].cost
    with pytest.raises(TimefenceValidationError, match="no row 0"):
        result.row(0)


@pytest.mark.parametrize("available", [None, "a"])
@pytest.mark.parametrize("join", ["strict", "inclusive"])
@pytest.mark.parametrize("text", [False, True])
def test_a_row_of_a_window_is_explained_as_the_plan_computes_it(available: str | None, join: Any, text: bool) -> None:
    times = [1, 2, 2, 4, 5, 7, 8, 9, 12, 15]
    key = (lambda k: f"entity-{k}") if text else int
    events = pl.DataFrame(
        {
            "k": [key(k) for k in (1, 1, 2, 1, 2, 1, 1, 2, 1, 1)],
            "t": times,
            "a": [3, 2, 9, 8, None, 7, 20, 9, 12, 15],
            "x": [1.0, None, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
        }
    )
    labels = tf.Labels(
        pl.DataFrame({"k": [key(k) for k in (1, 1, 2, 3, 1)], "at": [10, 4, 11, 11, None]}), keys="k", label_time="at"
    )
    window = tf.Window(
        tf.Source(events, keys="k", timestamp="t", available_at=available, name="events"),
        {"n": pl.len(), "s": pl.col("x").sum(), "m": pl.col("x").median()},
        windows=[3, 6, None],
        embargo=1,
        where=pl.col("x").is_null() | (pl.col("x") != 6),
        name="w",
    )
    explained = tf.explain(labels, window, join=join)
    assert "each window's events" in explained["w"].strategy
    found = tf.point_in_time(labels, window, join=join).collect()
    stats = tf.build(labels, window, join=join).stats.feature_stats["w"]
    reasons = []
    for row in range(found.height - 1):
        one = explained.row(row)["w"]
        assert one.values == found.select("^w__.*$").row(row, named=True)
        assert one.windows == {w: found[f"w__n_{w}"][row] for w in ("3", "6", "all")}
        counted = [c for c in one.passed_over if c.verdict == "counted"]
        assert bool(counted) == (one.windows["all"] > 0)
        reasons.append(one.reason)
    null = explained.row(found.height - 1)["w"]
    assert null.reason == "no_history"
    assert "null" in null.note
    for reason in ("matched_value", "null_value", "too_old", "no_history"):
        assert [*reasons, null.reason].count(reason) == stats[reason]
    assert "events: " in str(explained.row(0))


def test_features_that_share_a_sort_are_named_up_to_a_few() -> None:
    one = source()
    many = tf.explain(labels(), [tf.Feature(one, columns="x", name=f"f{i}") for i in range(40)])
    assert many["f0"].strategy.endswith("one sort and merge with f1, f2, f3, f4 and 35 more")


def test_the_condition_names_which_events_count() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "x": [1.0, 2.0], "kind": ["rent", "food"]})
    source = tf.Source(events, keys="k", timestamp="t", name="e")
    window = tf.Window(source, {"n": pl.len()}, windows=[3], name="w", where=pl.col("kind") == "rent")
    labels = tf.Labels(pl.DataFrame({"k": [1], "at": [5]}), keys="k", label_time="at")
    explained = tf.explain(labels, window)
    for text in (str(explained), str(explained.row(0))):
        assert '(col("kind")) == ("rent")' in " ".join(text.split())


def test_events_that_count_are_shown_before_later_ones() -> None:
    events = pl.DataFrame({"k": [1] * 40, "t": [*range(0, 400, 20), *range(401, 421)], "x": range(40)})
    source = tf.Source(events, keys="k", timestamp="t", name="e")
    window = tf.Window(source, {"n": pl.len()}, windows=[130, 190], name="w")
    labels = tf.Labels(pl.DataFrame({"k": [1], "at": [400]}), keys="k", label_time="at")
    shown = tf.explain(labels, window).row(0)["w"]
    verdicts = [c.verdict for c in shown.passed_over]
    assert {v: verdicts.count(v) for v in verdicts} == {"not usable yet": 3, "counted": 8, "too old": 3}
    feature = tf.Feature(source, columns="x", name="f")
    one = tf.explain(labels, feature, max_lookback=70).row(0)["f"]
    verdicts = [c.verdict for c in one.passed_over]
    assert verdicts.count("superseded") == 2
    assert verdicts.count("not usable yet") == verdicts.count("too old") == 3
