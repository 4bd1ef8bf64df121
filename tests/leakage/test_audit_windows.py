"""Audits of window features: rebuilt as of each label, and explained by windows as of other times."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.leakage import other_windows, window_origins
from timefence_pl.plan.options import join_options
from timefence_pl.plan.time_key import ENTITY
from timefence_pl.plan.training_set import prepare_all, training_set
from timefence_pl.plan.windows import WindowsOver

START = datetime(2024, 1, 1)
KEYS: dict[str, Any] = {"keys": "u", "label_time": "at"}
AGGREGATES = {"sum": pl.col("x").sum(), "n": pl.len(), "last": pl.col("x").last(), "kinds": pl.col("kind").n_unique()}


@pytest.fixture(autouse=True, params=[None, 60], ids=["few rows", "many rows"])
def sampled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows are many, what explains most of a sample is looked for first."""
    if request.param is not None:
        monkeypatch.setattr(window_origins, "_MANY", request.param)
        monkeypatch.setattr(window_origins, "_MOST", request.param)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def world(seed: int, *, late: bool = False) -> tuple[tf.Source, pl.DataFrame]:
    c = random.Random(seed)
    n = 400
    events = pl.DataFrame(
        {
            "u": [c.choice("abcdefgh") for _ in range(n)],
            "t": [day(c.random() * 30) for _ in range(n)],
            "x": [float(c.randrange(1000)) for _ in range(n)],
            "kind": [c.choice(["p", "q", None]) for _ in range(n)],
        }
    ).with_columns(known=pl.col("t") + pl.duration(hours=pl.int_range(n) % 50))
    labels = pl.DataFrame(
        {"u": [c.choice("abcdefghi") for _ in range(300)], "at": [day(c.random() * 30) for _ in range(300)]}
    )
    return tf.Source(events, keys="u", timestamp="t", available_at="known" if late else None, name="events"), labels


def window(source: tf.Source, **options: Any) -> tf.Window:
    return tf.Window(source, AGGREGATES, **{"windows": ["2d", "10d", None], "name": "w", "embargo": "12h", **options})


def built(labels: pl.DataFrame, feature: Any, **options: Any) -> pl.DataFrame:
    return tf.build(tf.Labels(labels, **KEYS), feature, **options).frame()


def audit(data: pl.DataFrame, feature: Any, **options: Any) -> tf.FeatureAudit:
    return tf.audit(data, feature, **KEYS, check_lookahead=False, **options)["w"]


@pytest.mark.parametrize("join", ["strict", "inclusive"])
@pytest.mark.parametrize("late", [False, True])
def test_windows_as_built_are_clean(join: Any, *, late: bool) -> None:
    source, labels = world(1, late=late)
    one = window(source)
    found = audit(built(labels, one, join=join), one, join=join)
    assert found.clean
    assert found.charts.ages["rows"].sum() > 100


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_windows_without_their_embargo_leak_by_at_most_it(seed: int, *, late: bool) -> None:
    source, labels = world(seed, late=late)
    found = audit(built(labels, window(source, embargo=None)), window(source))
    assert found.counts["future"] > 50
    assert found.counts["differs"] == found.counts["unexpected"] == 0
    assert found.max_leakage is not None
    assert timedelta(0) <= found.max_leakage < timedelta(hours=12)  # type: ignore[operator]
    assert set(found.rows["found_as"].drop_nulls()) == {"the window without the embargo"}


def test_the_time_after_the_label_is_told_by_its_last_event() -> None:
    events = pl.DataFrame({"u": ["a"] * 3, "t": [day(1), day(6), day(7)], "x": [1.0, 2.0, 4.0], "kind": ["p"] * 3})
    source = tf.Source(events, keys="u", timestamp="t", name="events")
    one = window(source, windows=["3d"], embargo=None)
    data = pl.DataFrame(
        {"u": ["a"], "at": [day(5)], "w__sum_3d": [6.0], "w__n_3d": [2], "w__last_3d": [4.0], "w__kinds_3d": [1]}
    )
    row = audit(data, one).rows.row(0, named=True)
    assert (row["verdict"], row["found_as"]) == ("future", "the time after the label")
    assert (row["leakage"], row["found_last_event"]) == (timedelta(days=2), day(7))
    assert (row["sum_3d__found"], row["sum_3d__due"]) == (6.0, 0.0)


def test_all_events_of_the_entity_leak_where_some_come_later() -> None:
    source, labels = world(2)
    one = window(source, windows=["10d"])
    whole = source.scan().group_by("u").agg(**{f"w__{n}_10d": e for n, e in AGGREGATES.items()}).collect()
    data = labels.join(whole, on="u", how="left", maintain_order="left")
    found = audit(data, one)
    assert found.leaky
    assert "all events of the entity" in found.rows["found_as"].to_list()


def test_windows_as_of_the_last_event_are_stale() -> None:
    source, labels = world(3)
    one = window(source, windows=["2d"], embargo=None)
    events = source.scan().select("u", "t").sort("t").collect()
    last = labels.with_row_index("row").sort("at")
    last = last.join_asof(events, left_on="at", right_on="t", by="u", allow_exact_matches=False, check_sortedness=False)
    moved = last.sort("row").select("u", at=pl.col("t").fill_null(day(-99)))
    found = audit(built(moved, one, join="inclusive").with_columns(labels["at"]), one)
    assert found.counts["stale"] > 50
    assert not found.leaky
    assert set(found.rows["found_as"].drop_nulls()) == {"the window at the entity's last usable event"}


@pytest.mark.parametrize(("hours", "words"), [(5.5, "5h30m later"), (-7, "7h earlier"), (72, "3d later")])
def test_windows_of_shifted_labels_are_told_by_the_shift(hours: float, words: str) -> None:
    source, labels = world(4)
    one = window(source)
    moved = labels.with_columns(pl.col("at") + timedelta(hours=hours))
    found = audit(built(moved, one).with_columns(labels["at"]), one)
    assert found.leaky == (hours > 0)
    assert f"the window {words}" in found.rows["found_as"].to_list()
    assert found.counts["differs"] + found.counts["unexpected"] == 0


def test_a_lower_end_that_differs_is_no_leak() -> None:
    source, labels = world(5)
    at_events = source.scan().select("u", at=pl.col("t") + timedelta(days=2)).collect()
    one = window(source, windows=["2d"], embargo=None)
    right = built(at_events, one)
    wide = built(at_events, one, join="inclusive")
    at_label = at_events.join(source.scan().select("u", at="t").collect(), on=["u", "at"], how="semi")
    assert not at_label.height
    found = audit(wide, one)
    assert not right.equals(wide)
    assert not found.leaky
    assert labels.height


def test_counts_from_nowhere_differ_and_nothing_is_absent() -> None:
    source, labels = world(6)
    one = window(source)
    right = built(labels, one)
    wrong = right.with_columns(pl.col("w__n_all") + 10_000)
    assert audit(wrong, one).counts["differs"] == 300
    lost = right.with_columns(pl.lit(None, dtype=pl.UInt32).alias("w__n_all"))
    assert audit(lost, one).counts["absent"] == 300


def test_a_column_that_is_wrong_alone_is_sought_alone() -> None:
    source, labels = world(7)
    one = window(source)
    early = built(labels, window(source, embargo=None))
    mixed = built(labels, one).with_columns(early["w__n_all"])
    found = audit(mixed, one)
    assert found.counts["future"] == 300 - found.counts["ok"] > 50


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("wrong", "kept"), [("w__sum_2d", {"2d", "all"}), ("w__since_all", {"all"})])
def test_columns_that_are_right_are_not_computed_as_of_other_times(
    wrong: str, kept: set[str], monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    source, labels = world(3, late=late)
    one = tf.Window(
        source, {**AGGREGATES, "since": tf.since_last()}, windows=["2d", "10d", None], name="w", embargo="12h"
    )
    data = built(labels, one).with_columns(
        pl.when(pl.int_range(pl.len()) % 30 == 0).then(pl.col(wrong) * 3).otherwise(wrong).alias(wrong)
    )
    asked: list[tuple[set[str], set[str]]] = []
    kept_in_order = other_windows.OtherWindows._in_order

    def in_order(self: Any, rows: Any, matches: Any) -> Any:
        asked.extend((set(m.window.aggregates), set(m.bounds.lengths)) for m in matches if m.values)
        return kept_in_order(self, rows, matches)

    monkeypatch.setattr(other_windows.OtherWindows, "_in_order", in_order)
    found = audit(data, one)
    assert found.counts["differs"] > 0
    assert asked
    name = wrong.removeprefix("w__").partition("_")[0]
    assert all(aggregates in ({name}, {"last"}) and lengths <= kept for aggregates, lengths in asked)


@pytest.mark.parametrize("seed", range(4))
def test_windows_over_some_entities_are_theirs_among_all(seed: int) -> None:
    """Those of a source with availability too, whose events have a second order."""
    source, labels = world(seed, late=True)
    one = window(source)
    options = join_options(feature_times=True)
    plan = training_set(tf.Labels(labels, **KEYS), [one], prepare_all([one]), options)
    (alignment,) = plan.alignments
    rows = alignment.at_once(plan.numbered.collect())
    (merge,) = alignment.merges
    over = WindowsOver(merge.on(merge.frame.at_once()).frame)
    some = rows.frame.filter(pl.col(ENTITY).is_in(rows.frame[ENTITY].unique().sort()[seed::3].implode()))
    whole = over.at(some, alignment.clock, merge.wanted)
    part = over.of(some[ENTITY])
    assert part.height < over.height
    assert part.at(some, alignment.clock, merge.wanted).equals(whole)


def test_columns_are_told_by_how_many_of_their_rows_are_wrong() -> None:
    source, labels = world(4)
    one = window(source)
    data = built(labels, one)
    one_in = {c: pl.int_range(pl.len()) % n == 0 for c, n in (("w__sum_2d", 10), ("w__n_all", 50))}
    report = tf.audit(
        data.with_columns(
            pl.when(mask).then(pl.col(c) + 1_000_000).otherwise(c).alias(c) for c, mask in one_in.items()
        ),
        one,
        **KEYS,
        check_lookahead=False,
    )
    assert dict(report["w"].wrong_rows) == {"sum_2d": 30, "n_all": 6}
    assert list(report["w"].wrong_rows) == ["sum_2d", "n_all"]
    told = "Not as due, of 12 columns, in rows: sum_2d in 30, n_all in 6"
    assert told in str(report)
    assert told in report.to_html()
    assert report.to_dict()["features"]["w"]["wrong_rows"] == {"sum_2d": 30, "n_all": 6}
    assert audit(data, one).wrong_rows == {}


def test_integer_times_and_hashed_keys() -> None:
    source, labels = world(8)
    events = source.scan().with_columns(pl.col("t").dt.epoch("s")).drop("known").collect()
    whole = tf.Source(events, keys=["u", "kind"], timestamp="t", name="events")
    labels = labels.with_columns(pl.col("at").dt.epoch("s"), kind=pl.lit("p"))
    keys: dict[str, Any] = {"keys": ["u", "kind"], "label_time": "at"}
    one = tf.Window(whole, {"n": pl.len(), "s": pl.col("x").sum()}, windows=[86_400, None], name="w", embargo=3_600)
    no = tf.Window(whole, {"n": pl.len(), "s": pl.col("x").sum()}, windows=[86_400, None], name="w")
    clean = tf.build(tf.Labels(labels, **keys), one).frame()
    leaking = tf.build(tf.Labels(labels, **keys), no).frame()
    assert tf.audit(clean, one, **keys, check_lookahead=False).clean
    found = tf.audit(leaking, one, **keys, check_lookahead=False)["w"]
    assert found.leaky
    assert isinstance(found.max_leakage, int)
    assert 0 <= found.max_leakage < 3_600


def test_since_last_is_compared_too() -> None:
    source, labels = world(9)
    one = tf.Window(source, {"since": tf.since_last()}, windows=[None], name="w", embargo="12h")
    early = tf.Window(source, {"since": tf.since_last()}, windows=[None], name="w")
    assert audit(built(labels, one), one).clean
    assert audit(built(labels, early), one).leaky


def test_a_set_that_leaks_everywhere_is_judged_in_reasonable_time() -> None:
    c = random.Random(1)
    n, users = 60_000, 2_000
    events = pl.DataFrame(
        {
            "u": [c.randrange(users) for _ in range(n)],
            "t": pl.Series([c.randrange(10**9) for _ in range(n)]).cast(pl.Datetime("us")),
            "x": [c.random() for _ in range(n)],
        }
    ).unique(["u", "t"], keep="first", maintain_order=True)
    source = tf.Source(events, keys="u", timestamp="t", name="events")
    labels = pl.DataFrame(
        {
            "u": [c.randrange(users) for _ in range(n)],
            "at": pl.Series([c.randrange(10**9) for _ in range(n)]).cast(pl.Datetime("us")),
        }
    )
    features = [
        tf.Feature(source, columns="x", name="x"),
        tf.Window(source, {"s": pl.col("x").sum()}, windows=["1m", None], name="w", embargo="5s"),
    ]
    moved = labels.with_columns(pl.col("at") + timedelta(seconds=300))
    data = built(moved, features).with_columns(labels["at"])
    report = tf.audit(data, features, **KEYS, check_lookahead=False)
    assert report["x"].leaky_row_pct > 0.95
    assert report["w"].counts["ok"] < n * 0.05


@pytest.mark.parametrize(("hours", "verdict"), [(5, "future"), (-5, "stale")])
@pytest.mark.parametrize("days", [20, 400])
def test_shifted_labels_are_found_near_the_end_of_their_units_range(hours: int, verdict: str, days: int) -> None:
    hour = 3_600 * 10**9
    end = 2**63 - 1 - days * 24 * hour
    at = pl.Series([end - i * hour for i in range(400)]).cast(pl.Datetime("ns"))
    events = pl.DataFrame({"k": 1, "t": at, "x": [i * i % 97 for i in range(400)]})
    label_times = pl.Series([end - i * 2 * hour - 10 * hour - 1 for i in range(100)]).cast(pl.Datetime("ns"))
    labels = pl.DataFrame({"k": 1, "at": label_times})
    window = tf.Window(
        tf.Source(events, keys="k", timestamp="t", name="e"), {"s": pl.col("x").sum()}, windows=["24h"], name="w"
    )
    moved = tf.Labels(labels.with_columns(pl.col("at") + pl.duration(hours=hours)), keys="k", label_time="at")
    data = tf.build(moved, window).frame().with_columns(labels["at"])
    counts = tf.audit(data, window, keys="k", label_time="at", check_lookahead=False)["w"].counts
    assert counts[verdict] >= 90
    assert counts["differs"] <= 5


@pytest.mark.parametrize("late", [False, True])
def test_all_events_are_aggregated_once_an_entity_with_the_same_result(
    *, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, labels = world(5, late=late)
    one = window(source, windows=["10d"])
    whole = source.scan().group_by("u").agg(**{f"w__{n}_10d": e for n, e in AGGREGATES.items()}).collect()
    data = labels.join(whole, on="u", how="left", maintain_order="left")
    asked: list[int] = []
    at = window_origins.WindowsOver.at

    def counted(self: Any, rows: pl.DataFrame, clock: Any, wanted: Any) -> pl.DataFrame:
        if any(w.values and set(w.bounds.lengths.values()) == {None} for w in wanted):
            asked.append(rows.height)
        return at(self, rows, clock, wanted)

    monkeypatch.setattr(window_origins.WindowsOver, "at", counted)
    monkeypatch.setattr(other_windows, "LITTLE", 0)
    once = audit(data, one).rows
    assert asked
    assert max(asked) <= labels["u"].n_unique()
    too_far = window_origins._too_far
    monkeypatch.setattr(window_origins, "_too_far", lambda bounds: [replace(v, endless=False) for v in too_far(bounds)])
    assert once.equals(audit(data, one).rows)
    assert max(asked) > labels["u"].n_unique()


@pytest.mark.parametrize(
    ("label", "value", "how", "leak"), [(8, 6, "the window by event", 12), (10, 8, "the time", 20)]
)
def test_windows_of_events_that_were_known_too_late_are_of_the_future(
    label: int, value: int, how: str, leak: int
) -> None:
    events = pl.DataFrame({"k": [1] * 4, "t": [1, 4, 7, 12], "a": [1, 20, 7, 30], "x": [1, 2, 4, 8]})
    source = tf.Source(events, keys="k", timestamp="t", available_at="a", name="s")
    one = tf.Window(source, {"x": pl.col("x").sum()}, windows=5, name="w")
    data = pl.DataFrame({"k": [1], "T": [label], "w__x_5": [value]})
    report = tf.audit(data, one, keys="k", label_time="T", check_lookahead=False)
    row = report["w"].rows.row(0, named=True)
    assert report.has_leakage
    assert (row["verdict"], row["leakage"], row["found_last_event"]) == ("future", leak, label + leak)
    assert row["found_as"].startswith(how)
    assert row["found_as"].endswith("by event time, availability ignored")


@pytest.mark.parametrize("join", ["strict", "inclusive"])
@pytest.mark.parametrize("seed", range(3))
def test_windows_that_ignore_availability_leak_until_their_last_event_was_known(seed: int, join: Any) -> None:
    source, labels = world(seed, late=True)
    plain, _ = world(seed)
    right, data = built(labels, window(source), join=join), built(labels, window(plain), join=join)
    found = audit(data, window(source), join=join)
    assert found.counts["differs"] == found.counts["unexpected"] == found.counts["stale"] == 0
    assert found.counts["future"] > 100
    told = found.rows.filter(pl.col("found_as").str.starts_with("the window by event time"))
    assert told.height > 100
    columns = [c for c in right.columns if c.startswith("w__")]
    for row in told.iter_rows(named=True):
        at, mine = data.row(row["row"], named=True), right.row(row["row"], named=True)
        lengths = {c.rpartition("_")[2] for c in columns if at[c] != mine[c]}
        days = max(1_000 if w == "all" else int(w.removesuffix("d")) for w in lengths)
        end = at["at"] - timedelta(hours=12)
        held = source.scan().collect().filter(u=at["u"]).filter(pl.col("t").is_between(end - timedelta(days=days), end))
        assert row["leakage"] == held.select(pl.max_horizontal("t", "known").max()).item() - end


def test_values_of_later_windows_that_the_last_event_has_too_go_with_the_others() -> None:
    """A window an hour and a half later has the value of the one at the last event in a third of the rows."""
    start = [datetime(2024, 1, 1) + timedelta(days=3 * i) for i in range(90)]
    rows = []
    for i, T in enumerate(start):
        rows += [(1, T - timedelta(hours=26), 2), (1, T - timedelta(hours=5), 1)]
        rows += [(1, T - timedelta(hours=1), 1 if i % 3 == 0 else 5 + i), (1, T - timedelta(minutes=15), 1_000)]
    events = pl.DataFrame(rows, schema={"k": pl.Int64, "t": pl.Datetime("us"), "x": pl.Int64}, orient="row")
    source = tf.Source(events, keys="k", timestamp="t", name="e")
    one = tf.Window(source, {"s": pl.col("x").sum()}, windows=["1d"], embargo="2h", name="w")
    later = tf.Window(source, {"s": pl.col("x").sum()}, windows=["1d"], embargo="30m", name="w")
    labels = pl.DataFrame({"k": 1, "at": start})
    data = tf.build(tf.Labels(labels, keys="k", label_time="at"), later).frame()
    found = tf.audit(data, one, keys="k", label_time="at", check_lookahead=False)["w"]
    assert found.counts["future"] == found.leaky_row_count == 90
    assert found.rows["found_as"].unique().to_list() == ["the window 1h30m later"]


def test_a_sample_of_a_panel_is_no_picture_of_its_first_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty labels a user, of which the first has values of the future alone, and half those of the past alone."""
    monkeypatch.setattr(window_origins, "_MANY", 500)
    monkeypatch.setattr(window_origins, "_MOST", 40)
    events, labels = [], []
    for u in range(40):
        for j in range(20):
            T = datetime(2020, 1, 1) + timedelta(days=10 * j)
            kind = "future" if j == 0 else "both" if j < 10 else "past"
            events += [(u, T - timedelta(hours=36.5), 2), (u, T - timedelta(hours=13), 1)]
            events.append((u, T - timedelta(hours=1), {"future": 5, "both": 2, "past": 7}[kind]))
            labels.append((u, T, 6 if kind == "future" else 3))
    frame = pl.DataFrame(events, schema={"u": pl.Int64, "t": pl.Datetime("us"), "x": pl.Int64}, orient="row")
    source = tf.Source(frame, keys="u", timestamp="t", name="e")
    one = tf.Window(source, {"s": pl.col("x").sum()}, windows=["1d"], embargo="12h", name="w")
    data = pl.DataFrame(labels, schema={"u": pl.Int64, "at": pl.Datetime("us"), "w__s_1d": pl.Int64}, orient="row")
    counts = tf.audit(data, one, **KEYS, check_lookahead=False)["w"].counts
    assert (counts["future"], counts["stale"]) == (40, 760)


def _times(random_: random.Random, count: int, kind: str) -> pl.Series:
    ticks = pl.Series([random_.randrange(40) for _ in range(count)])
    if kind == "integer":
        return ticks
    if kind == "date":
        return pl.select(pl.date(2024, 1, 1) + pl.duration(days=pl.lit(ticks))).to_series()
    return pl.select(
        (pl.datetime(2024, 1, 1) + pl.duration(hours=pl.lit(ticks) * 6)).dt.cast_time_unit(kind)
    ).to_series()  # type: ignore[arg-type]


@pytest.mark.parametrize("join", ["strict", "inclusive"])
@pytest.mark.parametrize("seed", range(10))
def test_windows_as_of_moved_label_times_are_the_others(seed: int, join: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other windows hold is the same, whether they are told by moving label times or computed as they are."""
    c = random.Random(seed)
    kinds = c.choice([("us", "us"), ("us", "us"), ("ns", "ns"), ("us", "ms"), ("date", "date"), ("integer", "integer")])
    whole = kinds[0] == "integer"
    unit = (lambda n: n) if whole else lambda n: f"{24 * n}h"
    events = pl.DataFrame(
        {
            "u": [c.randrange(6) for _ in range(150)],
            "t": _times(c, 150, kinds[0]),
            "x": [c.choice([1, 2, 5, 100, None]) for _ in range(150)],
            "f": [c.choice([0.5, -0.5, 3.25, float("nan")]) for _ in range(150)],
        }
    )
    labels = pl.DataFrame({"u": [c.randrange(7) for _ in range(200)], "at": _times(c, 200, kinds[1])})
    sums = {"s": pl.col("x").sum(), "n": pl.len(), "m": pl.col("f").mean(), "l": pl.col("x").last()}
    aggregates = {n: sums[n] for n in c.sample(list(sums), c.randrange(1, 4))}
    lengths = c.choice([[unit(2)], [unit(1), unit(5)], [unit(3), None], [None]])
    embargo = c.choice([None, unit(1), unit(2)])

    def of(embargo: Any) -> tf.Window:
        source = tf.Source(events, keys="u", timestamp="t", name="events")
        return tf.Window(source, aggregates, windows=lengths, embargo=embargo, name="w")

    def values(moved: int, embargo: Any, join: Any) -> pl.DataFrame:
        step = moved if whole else pl.duration(days=moved)
        found = built(labels.with_columns(pl.col("at") + step), of(embargo), join=join)
        return found.select(c for c in found.columns if c.startswith("w__"))

    others = [
        *(values(0, e, j) for e in (None, embargo) for j in ("strict", "inclusive")),
        *(values(n, embargo, join) for n in (c.choice([1, 2]), c.choice([-1, -2]), 5)),
    ]
    chosen = [
        c.choice([0, 0, *range(len(others))]) if seed % 2 else c.choice([c.randrange(len(others)), 4])
        for _ in range(200)
    ]
    stacked = pl.concat([o.with_row_index("row").with_columns(of=pl.lit(i)) for i, o in enumerate(others)])
    wanted = pl.DataFrame({"row": range(200), "of": chosen}, schema={"row": pl.UInt32, "of": pl.Int32})
    data = labels.hstack(wanted.join(stacked, on=["row", "of"], how="left", maintain_order="left").drop("row", "of"))
    moved: list[int] = []
    moves = other_windows.OtherWindows.moves

    def counted(self: Any, variant: Any) -> Any:
        own = moves(self, variant)
        moved.extend(own or ())
        return own

    monkeypatch.setattr(other_windows.OtherWindows, "moves", counted)
    at_once = audit(data, of(embargo), join=join)
    assert moved or kinds == ("us", "ms")
    monkeypatch.setattr(other_windows, "MANY_VALUES", 0)
    one_by_one = audit(data, of(embargo), join=join)
    assert at_once.counts == one_by_one.counts
    assert at_once.counts["ok"] < 200
    assert at_once.rows.equals(one_by_one.rows)


def test_windows_after_the_label_that_are_empty_hold_no_event_that_came_too_late() -> None:
    """What lies between the embargo and the label is in none of them, though it is later than any that counts."""
    events = pl.DataFrame({"u": "a", "t": [day(8.9), day(9), day(10)]})
    one = tf.Window(
        tf.Source(events, keys="u", timestamp="t", name="e"),
        {"n": pl.len()},
        windows=["1d", "5d"],
        embargo="1d",
        name="w",
    )
    data = pl.DataFrame({"u": ["a"], "at": [day(10.5)], "w__n_1d": [0], "w__n_5d": [0]})
    assert audit(data, one).counts["differs"] == 1


def test_a_shift_is_looked_for_among_the_events_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """All values of one entity are of later windows, all of the other of those at its last event, which are empty."""
    monkeypatch.setattr(window_origins, "LITTLE", 0)
    times = [START + timedelta(minutes=30 * i + 15) for i in range(600)]
    events = pl.concat(
        pl.DataFrame({"u": u, "t": times, "x": [float((i * 7919) % 1009 + 1) for i in range(600)]}) for u in "AB"
    )
    sums = {"s": pl.col("x").sum(), "n": pl.len()}
    one = tf.Window(tf.Source(events, keys="u", timestamp="t", name="e"), sums, windows=["15m"], name="w")
    later = pl.DataFrame({"u": "A", "at": [START + timedelta(hours=50 + 7 * i, minutes=20) for i in range(20)]})
    last = pl.DataFrame({"u": "B", "at": [START + timedelta(hours=60 + 9 * i, minutes=20) for i in range(10)]})
    parts = [
        built(rows.with_columns(pl.col("at") + moved), one).with_columns(rows["at"])
        for rows, moved in ((later, timedelta(hours=3)), (last, timedelta(minutes=-5)))
    ]
    found = audit(pl.concat(parts), one)
    assert (found.counts["future"], found.counts["stale"]) == (20, 10)
    assert found.rows.filter(u="B")["found_as"].unique().to_list() == ["the window at the entity's last usable event"]
