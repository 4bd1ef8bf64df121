"""Origins of many wrong rows: told by the neighbours of the row due as by a search of the whole history."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.leakage import row_origins

START = datetime(2024, 1, 1)
KEYS: dict[str, Any] = {"keys": "u", "label_time": "at"}


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Counter[bool]:
    """Counts how often neighbours were looked at, and whether they decided."""
    seen: Counter[bool] = Counter()
    origins = row_origins._Neighbours.origins

    def counted(self: Any) -> pl.DataFrame | None:
        found = origins(self)
        seen[found is not None] += 1
        return found

    monkeypatch.setattr(row_origins._Neighbours, "origins", counted)
    return seen


def world(c: random.Random) -> tuple[tf.Source, pl.DataFrame]:
    """Events with few and many distinct values, and labels, some of them of unknown entities or without a key or time."""
    n, users, values = c.choice([60, 300]), c.choice([8, 25]), c.choice([3, 8, 40])
    minutes = c.sample(range(40 * 24 * 60), n)
    events = pl.DataFrame(
        {
            "u": [c.choice([*range(users), None]) if c.random() < 0.1 else c.randrange(users) for _ in range(n)],
            "t": [None if c.random() < 0.02 else START + timedelta(minutes=m) for m in minutes],
            "x": [
                c.choice([None, float("nan"), c.random() * 1e3]) if c.random() < 0.1 else c.random() for _ in range(n)
            ],
            "n": [c.randrange(c.choice([2, 50])) for _ in range(n)],
            # Rows that follow one another have one value, which may come again.
            "s": [str(m // 2_000 % values) if c.random() < 0.95 else None for m in minutes],
        },
        schema_overrides={"u": pl.Int64, "t": pl.Datetime("us"), "x": pl.Float64},
    )
    rows = 250
    labels = pl.DataFrame(
        {
            "u": [c.choice([*range(users + 1), None]) for _ in range(rows)],
            "at": [START + timedelta(minutes=c.randrange(-1_000, 41 * 24 * 60)) for _ in range(rows)],
        },
        schema_overrides={"u": pl.Int64, "at": pl.Datetime("us")},
    )
    tie = c.choice([None, "n"])
    return tf.Source(events, keys="u", timestamp="t", tie_breaker=tie, name="events"), labels


def corrupted(
    c: random.Random, labels: pl.DataFrame, features: list[tf.Feature], bounds: dict[str, Any]
) -> pl.DataFrame:
    """A training set in which most wrong rows have values of later, or of earlier, and some any other."""

    def built(shift: timedelta) -> pl.DataFrame:
        moved = labels.with_columns(pl.col("at") + shift)
        return tf.build(tf.Labels(moved, **KEYS), features, **bounds).frame().with_columns(labels["at"])

    good = built(timedelta(0))
    sign = c.choice([1, -1])
    others = [built(timedelta(hours=h)) for h in (24 * sign, 48 * sign, -24 * sign, 24 * 30 * sign)]
    weights = c.choice([(6, 3, 0, 0), (6, 2, 1, 1), (3, 1, 3, 1), (1, 0, 0, 0), (40, 10, 1, 0)])
    apart = c.choice([0, 0, 0.3])
    values = [v for v in good.columns if v not in ("u", "at")]
    data = good
    taken: list[int | None] = []
    for v in values:
        if not taken or c.random() < apart:  # else columns of one row hold together
            taken = [c.choices(range(4), weights)[0] if c.random() < 0.8 else None for _ in range(good.height)]
        column = [good[v][i] if t is None else others[t][v][i] for i, t in enumerate(taken)]
        if c.random() < 0.3:
            column[c.randrange(len(column))] = None  # absent, where a value is due
        data = data.with_columns(pl.Series(v, column, dtype=good.schema[v]))
    nudge = c.choice([0.0, 1e-9])
    return data.with_columns(pl.col(pl.Float64) * (1 + nudge))


def case(seed: int) -> tuple[pl.DataFrame, list[tf.Feature], dict[str, Any]]:
    """A training set with wrong values, its features, and the bounds it was built with."""
    c = random.Random(seed)
    source, labels = world(c)
    features = [
        tf.Feature(source, columns=["x", "n"], name="two", embargo=c.choice([None, "1d"])),
        tf.Feature(source, columns="s", name="few"),
        tf.Feature(source, (pl.col("x") * 2).alias("double"), name="made", embargo="2h"),
    ]
    bounds = {"max_lookback": c.choice([None, "5d"]), "join": c.choice(["strict", "inclusive"])}
    return corrupted(c, labels, features, bounds), features, bounds


def audited(case: tuple[pl.DataFrame, list[tf.Feature], dict[str, Any]]) -> tf.AuditReport:
    data, features, bounds = case
    return tf.audit(data, features, **KEYS, check_lookahead=False, **bounds)


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_neighbours_tell_what_a_search_of_everything_tells(
    start: int, decided: Counter[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(start, start + 20):
        c = random.Random(seed)
        given = case(seed)
        monkeypatch.setattr(row_origins, "_MANY", 10**9)
        want = audited(given)
        monkeypatch.setattr(row_origins, "_MANY", 0)
        monkeypatch.setattr(row_origins, "_SAMPLE", c.choice([1, 5, 40]))
        monkeypatch.setattr(row_origins, "_NEAR", c.choice([2, 4]))
        monkeypatch.setattr(row_origins, "_MOST", c.choice([0.5, 2.0]))
        found = audited(given)
        for name in want.features:
            assert found[name].counts == want[name].counts, (seed, name)
            assert found.failing_rows(name).equals(want.failing_rows(name)), (seed, name)
            assert found[name].max_leakage == want[name].max_leakage, (seed, name)
    assert decided[True] > 5, decided
    assert decided[False] > 5, decided


def test_of_many_wrong_rows_few_are_searched_for(decided: Counter[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shift by two days of many rows is told by neighbours and a sample."""
    users, days = 200, 60
    events = pl.DataFrame({"u": list(range(users)) * days}).with_columns(
        t=pl.lit(START) + pl.duration(days=pl.int_range(pl.len()) // users, minutes=pl.col("u")),
        x=pl.int_range(pl.len()).hash(1) % 10**9,
    )
    source = tf.Source(events, keys="u", timestamp="t", name="events")
    feature = tf.Feature(source, columns="x", name="f")
    labels = pl.DataFrame({"u": list(range(users)) * 40}).with_columns(
        at=pl.lit(START) + pl.duration(days=10 + pl.int_range(pl.len()) // users, hours=5)
    )
    late = tf.build(tf.Labels(labels.with_columns(pl.col("at") + pl.duration(days=2)), **KEYS), feature).frame()
    asked = []
    searched = row_origins.origins
    monkeypatch.setattr(
        row_origins, "origins", lambda wrong, *rest: (asked.append(wrong.height), searched(wrong, *rest))[1]
    )
    report = tf.audit(late.with_columns(labels["at"]), feature, **KEYS, check_lookahead=False)
    assert report["f"].counts["future"] == labels.height
    assert decided == {True: 1}
    assert sum(asked) < labels.height / 10
    row = report.failing_rows("f").row(0, named=True)
    assert events["x"][row["found_source_row"]] == row["x__found"]
    assert events["x"][row["due_source_row"]] == row["x__due"]
    assert row["leakage"] > timedelta(days=1)


def daily(users: int, days: int, value: pl.Expr) -> tf.Source:
    """An event a day of each user; ``value`` of ``u`` and ``day``."""
    events = pl.DataFrame({"u": [u for u in range(users) for _ in range(days)]}).with_columns(
        day=pl.int_range(pl.len()) % days
    )
    events = events.select("u", value.alias("x"), t=pl.lit(START) + pl.duration(days=pl.col("day")))
    return tf.Source(events, keys="u", timestamp="t", name="events")


def noon(days: list[int], users: int) -> pl.DataFrame:
    """Labels of each user at noon of some days."""
    every = pl.DataFrame({"u": range(users)}).join(pl.DataFrame({"day": days}), how="cross")
    return every.select("u", at=pl.lit(START) + pl.duration(days=pl.col("day"), hours=12))


def test_what_neighbours_show_does_not_outvote_the_rest(
    decided: Counter[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly all values stand on both sides, and of the few that do not all are older: then all are stale."""
    monkeypatch.setattr(row_origins, "_MANY", 0)
    monkeypatch.setattr(row_origins, "_SAMPLE", 5)
    feature = tf.Feature(daily(50, 40, pl.when(pl.col("day") == 0).then(-1).otherwise(pl.col("day") % 8)), columns="x")
    labels = noon(list(range(10, 30)), 50)
    data = labels.with_columns(
        x=pl.when(pl.int_range(pl.len()) % 100 == 0)
        .then(-1)
        .otherwise(((pl.col("at") - START).dt.total_days() + 1) % 8)
        .cast(pl.Int32)
    )
    report = tf.audit(data, feature, **KEYS, check_lookahead=False)
    assert report["x"].counts["stale"] == labels.height
    assert decided == {False: 1}


def test_neighbours_of_another_entity_tell_nothing(decided: Counter[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Users have events after the last of the user before them, whose labels hold the values of these."""
    monkeypatch.setattr(row_origins, "_MANY", 0)
    monkeypatch.setattr(row_origins, "_SAMPLE", 5)
    users = 300
    events = pl.DataFrame({"u": range(users), "x": range(users)}).with_columns(
        t=pl.lit(START) + pl.duration(days=pl.col("u"))
    )
    feature = tf.Feature(tf.Source(events, keys="u", timestamp="t", name="events"), columns="x")
    data = events.select("u", at=pl.col("t") + pl.duration(hours=12), x=pl.col("x") + 1)
    report = tf.audit(data, feature, **KEYS, check_lookahead=False)
    assert report["x"].counts["differs"] == users
    assert sum(decided.values()) == 1


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_sources_of_hardly_any_rows_have_hardly_any_neighbours(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_origins, "_MANY", 0)
    events = pl.DataFrame(
        {"u": [5] * rows, "t": [START + timedelta(days=d) for d in range(1, rows + 1)], "x": list(range(1, rows + 1))},
        schema={"u": pl.Int64, "t": pl.Datetime("us"), "x": pl.Int64},
    )
    feature = tf.Feature(tf.Source(events, keys="u", timestamp="t", name="events"), columns="x")
    data = pl.DataFrame({"u": range(10), "x": [7, 7, 7, 7, 7, 1, 7, 7, 7, 7]}).with_columns(at=START)
    counts = tf.audit(data, feature, **KEYS, check_lookahead=False)["x"].counts
    assert (counts["future"], counts["unexpected"]) == ((1, 9) if rows else (0, 10))
