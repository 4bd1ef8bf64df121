"""Training sets with planted leaks, and sets without any: what an audit has to find, and what it must not.

Takes a seed, gives a small world (events, labels, features, the set that is right) and for each kind of fault a set
with that fault. Leaks are made the way people make them: by joining with the wrong bound, zone, direction or clock, or by
filling and scaling afterwards. Must not know: how the audit works. Run it for the figures::

    python -m tests.leakage.planted 20
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import polars as pl

import timefence_pl as tf

START = datetime(2024, 3, 1)
DAYS = 60
LABELS, EVENTS, USERS = 240, 900, 30
KEYS: dict[str, Any] = {"keys": "user", "label_time": "at"}
BOUNDS: dict[str, Any] = {"max_lookback": "30d", "max_staleness": "25d"}


@dataclass(frozen=True)
class World:
    """Events, labels and what is right.

    Attributes:
        seed: What it was made from.
        events: ``user``, ``t`` (unique for each user), values, and ``known`` (null: never).
        labels: ``user``, ``at`` and ``churned``; some users are unknown, some times stand exactly at a bound.
        join: ``"strict"`` or ``"inclusive"``.
        features: By name.
        right: The set as built, with all features.
    """

    seed: int
    events: pl.DataFrame
    labels: pl.DataFrame
    join: Any
    features: dict[str, Any]
    right: pl.DataFrame

    def built(self, feature: Any, **changed: Any) -> pl.DataFrame:
        """The set that a feature gives, with labels, join or bounds changed; in the labels' order."""
        labels = changed.pop("labels", self.labels)
        options = {"join": self.join, **BOUNDS, **changed}
        return tf.build(tf.Labels(labels, **KEYS), feature, **options).frame()

    def choose(self) -> random.Random:
        """Choices of this seed."""
        return random.Random(self.seed + 1)


@dataclass(frozen=True)
class Case:
    """A set to be audited, and what must be said of it.

    Attributes:
        data: The set.
        features: The features to audit it by.
        guilty: The feature at fault; None where all is well.
        rows: The rows of ``data`` that are wrong.
        options: Further arguments of the audit.
    """

    data: Any
    features: list[Any]
    guilty: str | None
    rows: set[int]
    options: dict[str, Any] = field(default_factory=dict)


Plant = Callable[[World], Case]
#: Kinds of leak: the audit must say leakage, of the feature at fault alone.
LEAKS: dict[str, Plant] = {}
#: Other faults: the set must not pass as clean, whether or not the audit can tell where the values come from.
FAULTS: dict[str, Plant] = {}
#: Values too old, or missing: not clean, and not leaking.
HARMLESS: dict[str, Plant] = {}
#: Nothing is wrong.
CLEAN: dict[str, Plant] = {}


def _kind(of: dict[str, Plant]) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        of[plant.__name__] = plant
        return plant

    return add


# --- the world ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def world(seed: int) -> World:
    """The world of a seed."""
    c = random.Random(seed)
    seconds = DAYS * 86_400
    rows = sorted({(c.randrange(USERS), c.randrange(seconds)) for _ in range(EVENTS)}, key=lambda r: (r[1], r[0]))
    events = pl.DataFrame(
        {
            "user": [u for u, _ in rows],
            "t": [START + timedelta(seconds=s) for _, s in rows],
            "amount": [round(c.lognormvariate(3, 1), 4) for _ in rows],
            "visits": [c.randrange(1_000_000) for _ in rows],
            "kind": [c.choice(["web", "shop", "phone", "mail", "app"]) + str(c.randrange(40)) for _ in rows],
            "vip": [c.random() < 0.4 for _ in rows],
            "known": [
                None if c.random() < 0.05 else START + timedelta(seconds=s + c.randrange(3 * 86_400)) for _, s in rows
            ],
        }
    )
    labels = _labels(c, events)
    features = {f.name: f for f in _features(events)}
    join = c.choice(["strict", "inclusive"])
    right = tf.build(tf.Labels(labels, **KEYS), list(features.values()), join=join, **BOUNDS).frame()
    return World(seed, events, labels, join, features, right)


def _labels(c: random.Random, events: pl.DataFrame) -> pl.DataFrame:
    users, times = [], []
    stamps = list(events.select("user", "t").iter_rows())
    for _ in range(LABELS):
        user, time = c.randrange(USERS + 4), START + timedelta(seconds=c.randrange(DAYS * 86_400))
        if c.random() < 0.3:  # exactly at an event, or where its embargo ends
            user, time = c.choice(stamps)
            time += c.choice([timedelta(0), timedelta(days=1), timedelta(hours=6)])
        users.append(user)
        times.append(time)
    return pl.DataFrame({"user": users, "at": times, "churned": [c.random() < 0.3 for _ in users]})


def _source(events: pl.DataFrame, **options: Any) -> tf.Source:
    return tf.Source(events, **{"keys": "user", "timestamp": "t", "name": "events", **options})


def _features(events: pl.DataFrame) -> list[Any]:
    plain, late = _source(events), _source(events, available_at="known", name="reports")
    return [
        tf.Feature(plain, columns="amount", name="spend"),
        tf.Feature(plain, columns=["visits", "kind"], name="visit", embargo="1d"),
        tf.Feature(plain, columns="vip", name="vip"),
        tf.Feature(late, columns={"visits": "reported"}, name="report"),
        tf.Feature(plain, pl.col("amount").cum_sum().over("user").alias("total"), name="total"),
        _window(plain),
    ]


def _window(source: tf.Source, **options: Any) -> tf.Window:
    aggregates = {"sum": pl.col("amount").sum(), "n": pl.len(), "top": pl.col("visits").max()}
    return tf.Window(
        source, aggregates, **{"windows": ["3d", "14d", None], "name": "activity", "embargo": "6h", **options}
    )


# --- helpers ------------------------------------------------------------------------------------------------------------


def _columns(w: World, feature: str) -> list[str]:
    return [c for c in w.right.columns if c.startswith(f"{feature}__")]


def differing(w: World, feature: str, found: pl.DataFrame) -> set[int]:
    """The rows in which a set is not what is right."""
    wrong: set[int] = set()
    for name in _columns(w, feature):
        one, two = found[name], w.right[name]
        if two.dtype.is_float():
            same = ((one - two).abs() <= 1e-6 * two.abs()) | (one.is_null() & two.is_null())
            same = same.fill_null(value=False)
        else:
            same = one.eq_missing(two)
        wrong |= set((~same).arg_true().to_list())
    return wrong


def planted(w: World, feature: str, found: pl.DataFrame, share: float = 1.0, **options: Any) -> Case:
    """The right set with a feature's wrong values in a share of the rows in which they are wrong, at least one."""
    wrong = sorted(differing(w, feature, found))
    assert wrong, "nothing was planted"
    taken = set(w.choose().sample(wrong, max(1, int(len(wrong) * share))))
    mask = pl.Series([i in taken for i in range(w.right.height)])
    data = w.right.with_columns(
        pl.when(mask).then(found[name].cast(w.right[name].dtype)).otherwise(pl.col(name)).alias(name)
        for name in _columns(w, feature)
    )
    return Case(data, list(w.features.values()), feature, taken, options)


def shifted(w: World, **by: float) -> pl.DataFrame:
    """The labels at another time."""
    return w.labels.with_columns(pl.col("at") + timedelta(**by))


def _at_labels(w: World, data: pl.DataFrame) -> pl.DataFrame:
    return data.with_columns(w.labels["at"])


def _asof(w: World, columns: list[str], strategy: Any, feature: str) -> pl.DataFrame:
    """What an as-of join in pandas' manner gives."""
    rows = w.labels.with_row_index("row").sort("at")
    events = w.events.sort("t").select("user", "t", *columns)
    found = rows.join_asof(events, left_on="at", right_on="t", by="user", strategy=strategy, check_sortedness=False)
    return found.sort("row").rename({c: f"{feature}__{c}" for c in columns})


# --- leaks: bounds ------------------------------------------------------------------------------------------------------


@_kind(LEAKS)
def off_by_one_tick(w: World) -> Case:
    strict = World(w.seed, w.events, w.labels, "strict", w.features, w.built(list(w.features.values()), join="strict"))
    return planted(strict, "spend", strict.built(w.features["spend"], join="inclusive"), join="strict")


@_kind(LEAKS)
def off_by_one_tick_after_an_embargo(w: World) -> Case:
    strict = World(w.seed, w.events, w.labels, "strict", w.features, w.built(list(w.features.values()), join="strict"))
    return planted(strict, "visit", strict.built(w.features["visit"], join="inclusive"), join="strict")


@_kind(LEAKS)
def one_tick_past_an_inclusive_bound(w: World) -> Case:
    loose = World(
        w.seed, w.events, w.labels, "inclusive", w.features, w.built(list(w.features.values()), join="inclusive")
    )
    early = w.events.with_columns(pl.col("t") + timedelta(microseconds=1))
    loose = World(w.seed, early, w.labels, "inclusive", {f.name: f for f in _features(early)}, pl.DataFrame())
    right = loose.built(list(loose.features.values()))
    loose = World(w.seed, early, w.labels, "inclusive", loose.features, right)
    return planted(loose, "spend", w.built(w.features["spend"], join="inclusive"), join="inclusive")


def _embargo(w: World, embargo: str | None) -> pl.DataFrame:
    return w.built(tf.Feature(_source(w.events), columns=["visits", "kind"], name="visit", embargo=embargo))


@_kind(LEAKS)
def embargo_forgotten(w: World) -> Case:
    return planted(w, "visit", _embargo(w, None))


@_kind(LEAKS)
def embargo_of_hours_for_a_day(w: World) -> Case:
    return planted(w, "visit", _embargo(w, "1h"))


@_kind(LEAKS)
def embargo_added_to_the_wrong_side(w: World) -> Case:
    return planted(w, "visit", _at_labels(w, w.built(w.features["visit"], labels=shifted(w, days=2))))


@_kind(LEAKS)
def seconds_cut_off(w: World) -> Case:
    events = w.events.with_columns(pl.col("t").dt.truncate("1d"))
    one = tf.Feature(_source(events), columns="amount", name="spend", on_duplicate="keep_last")
    return planted(w, "spend", w.built(one))


# --- leaks: clocks ------------------------------------------------------------------------------------------------------


@_kind(LEAKS)
def labels_in_a_zone_two_hours_off(w: World) -> Case:
    return planted(w, "spend", _at_labels(w, w.built(w.features["spend"], labels=shifted(w, hours=2))))


@_kind(LEAKS)
def labels_in_indian_time(w: World) -> Case:
    return planted(w, "total", _at_labels(w, w.built(w.features["total"], labels=shifted(w, hours=5.5))))


@_kind(LEAKS)
def events_in_local_time(w: World) -> Case:
    events = w.events.with_columns(pl.col("t") - timedelta(hours=8))
    return planted(w, "spend", w.built(tf.Feature(_source(events), columns="amount", name="spend")))


@_kind(LEAKS)
def labels_at_the_end_of_their_day(w: World) -> Case:
    ends = w.labels.with_columns(pl.col("at").dt.truncate("1d") + timedelta(days=1))
    return planted(w, "spend", _at_labels(w, w.built(w.features["spend"], labels=ends)))


@_kind(LEAKS)
def labels_at_the_end_of_their_month(w: World) -> Case:
    return planted(
        w,
        "visit",
        _at_labels(w, w.built(w.features["visit"], labels=w.labels.with_columns(pl.col("at").dt.month_end()))),
    )


@_kind(LEAKS)
def a_week_ahead(w: World) -> Case:
    return planted(w, "vip", _at_labels(w, w.built(w.features["vip"], labels=shifted(w, days=7))))


# --- leaks: joins -------------------------------------------------------------------------------------------------------


@_kind(LEAKS)
def joined_to_the_nearest(w: World) -> Case:
    return planted(w, "spend", _asof(w, ["amount"], "nearest", "spend").rename({"spend__amount": "spend__amount"}))


@_kind(LEAKS)
def joined_forward(w: World) -> Case:
    return planted(w, "spend", _asof(w, ["amount"], "forward", "spend"))


@_kind(LEAKS)
def joined_to_the_last_row_of_the_user(w: World) -> Case:
    last = w.events.sort("t").group_by("user", maintain_order=True).last()
    found = w.labels.join(last, on="user", how="left", maintain_order="left").rename({"amount": "spend__amount"})
    return planted(w, "spend", found)


@_kind(LEAKS)
def joined_to_a_snapshot_of_today(w: World) -> Case:
    last = w.events.sort("t").group_by("user", maintain_order=True).last()
    found = w.labels.join(last, on="user", how="left", maintain_order="left")
    return planted(w, "visit", found.rename({"visits": "visit__visits", "kind": "visit__kind"}))


@_kind(LEAKS)
def joined_by_day(w: World) -> Case:
    days = w.events.sort("t").group_by("user", pl.col("t").dt.date().alias("day"), maintain_order=True).last()
    rows = w.labels.with_columns(day=pl.col("at").dt.date())
    found = rows.join(days, on=["user", "day"], how="left", maintain_order="left").rename({"amount": "spend__amount"})
    filled = found.with_columns(pl.coalesce("spend__amount", w.right["spend__amount"]))
    return planted(w, "spend", filled)


@_kind(LEAKS)
def shifted_by_a_row(w: World) -> Case:
    ahead = tf.Feature(_source(w.events), pl.col("amount").shift(-1).over("user").alias("amount"), name="spend")
    return planted(w, "spend", w.built(ahead))


@_kind(LEAKS)
def filled_backward(w: World) -> Case:
    found = _asof(w, ["amount"], "forward", "spend")
    return planted(w, "spend", found.with_columns(pl.coalesce(w.right["spend__amount"], "spend__amount")))


@_kind(LEAKS)
def the_global_last_row(w: World) -> Case:
    world_events = w.events.sort("t")
    source = tf.Source(
        world_events.select("t", "amount").unique("t", maintain_order=True), keys=[], timestamp="t", name="g"
    )
    one = tf.Feature(source, columns="amount", name="spend")
    right = w.built(one)
    small = World(w.seed, w.events, w.labels, w.join, {"spend": one}, right)
    return planted(small, "spend", _at_labels(w, w.built(one, labels=shifted(w, hours=3))))


@_kind(LEAKS)
def composite_keys(w: World) -> Case:
    events = w.events.with_columns(shop=pl.col("user") % 3)
    labels = w.labels.with_columns(shop=pl.col("user") % 3)
    one = tf.Feature(
        tf.Source(events, keys=["user", "shop"], timestamp="t", name="both"), columns="kind", name="both", embargo="2h"
    )
    keys: Any = {"keys": ["shop", "user"], "label_time": "at"}
    right = tf.build(tf.Labels(labels, **keys), one, join=w.join, **BOUNDS).frame()
    moved = labels.with_columns(pl.col("at") + timedelta(days=1))
    found = tf.build(tf.Labels(moved, **keys), one, join=w.join, **BOUNDS).frame()
    return planted(World(w.seed, events, labels, w.join, {"both": one}, right), "both", found, keys=keys["keys"])


@_kind(LEAKS)
def integer_times(w: World) -> Case:
    events = w.events.with_columns(pl.col("t").dt.epoch("s"))
    labels = w.labels.with_columns(pl.col("at").dt.epoch("s"))
    one = tf.Feature(_source(events.drop("known")), columns="visits", name="visit", embargo=3600)
    right = tf.build(tf.Labels(labels, **KEYS), one, join=w.join).frame()
    found = tf.build(tf.Labels(labels.with_columns(pl.col("at") + 7200), **KEYS), one, join=w.join).frame()
    small = World(w.seed, events, labels, w.join, {"visit": one}, right)
    return planted(small, "visit", found, max_lookback=None, max_staleness=None)


@_kind(LEAKS)
def daily_aggregates_of_their_own_day(w: World) -> Case:
    days = w.events.group_by("user", pl.col("t").dt.date(), maintain_order=True).agg(pl.col("amount").sum())
    right_one, wrong_one = (
        tf.Feature(_source(days, date_known_at=at), columns="amount", name="daily") for at in ("end", "start")
    )
    small = World(w.seed, w.events, w.labels, w.join, {"daily": right_one}, w.built(right_one))
    return planted(small, "daily", w.built(wrong_one))


# --- leaks: availability ------------------------------------------------------------------------------------------------


@_kind(LEAKS)
def availability_ignored(w: World) -> Case:
    known = w.events.filter(pl.col("known").is_not_null())
    return planted(w, "report", w.built(tf.Feature(_source(known), columns={"visits": "reported"}, name="report")))


@_kind(LEAKS)
def rows_that_never_became_known(w: World) -> Case:
    never = w.events.filter(pl.col("known").is_null())
    one = tf.Feature(_source(never), columns={"visits": "reported"}, name="report")
    found = w.built(one)
    found = found.with_columns(pl.coalesce("report__reported", w.right["report__reported"]))
    return planted(w, "report", found)


@_kind(LEAKS)
def corrections_used_too_early(w: World) -> Case:
    corrected = w.events.filter(pl.col("known").is_not_null()).with_columns(
        visits=pl.col("visits") + 7, known=pl.col("t") + timedelta(days=9)
    )
    both = pl.concat([w.events, corrected])
    one = tf.Feature(_source(both, available_at="known"), columns={"visits": "reported"}, name="report")
    early = both.with_columns(known=pl.when(pl.col("known").is_not_null()).then("t"))
    wrong = tf.Feature(
        _source(early, available_at="known"), columns={"visits": "reported"}, name="report", on_duplicate="keep_last"
    )
    return planted(World(w.seed, both, w.labels, w.join, {"report": one}, w.built(one)), "report", w.built(wrong))


# --- leaks where nothing is due ------------------------------------------------------------------------------------------


def _where_null(w: World, feature: str, found: pl.DataFrame) -> pl.DataFrame:
    """The right values, and the found ones where nothing is due."""
    return w.right.with_columns(
        pl.coalesce(w.right[c], found[c].cast(w.right[c].dtype)).alias(c) for c in _columns(w, feature)
    )


@_kind(LEAKS)
def the_first_value_before_any_is_known(w: World) -> Case:
    first = w.events.sort("t").group_by("user", maintain_order=True).first()
    found = w.labels.join(first, on="user", how="left", maintain_order="left").rename({"amount": "spend__amount"})
    return planted(w, "spend", _where_null(w, "spend", found))


@_kind(LEAKS)
def the_mean_for_the_unknown(w: World) -> Case:
    found = w.right.with_columns(pl.col("spend__amount").fill_null(w.events["amount"].mean()))
    return planted(w, "spend", found)


@_kind(LEAKS)
def a_constant_for_the_unknown(w: World) -> Case:
    found = w.right.with_columns(pl.col("visit__visits").fill_null(-1), pl.col("visit__kind").fill_null("?"))
    return planted(w, "visit", found)


@_kind(LEAKS)
def next_value_where_the_last_is_too_old(w: World) -> Case:
    small = World(
        w.seed, w.events, w.labels, w.join, w.features, w.built(list(w.features.values()), max_lookback="40h")
    )
    found = _where_null(small, "spend", _asof(w, ["amount"], "forward", "spend"))
    return planted(small, "spend", found, max_lookback="40h")


@_kind(LEAKS)
def next_value_where_the_last_is_stale(w: World) -> Case:
    small = World(
        w.seed, w.events, w.labels, w.join, w.features, w.built(list(w.features.values()), max_staleness="30h")
    )
    found = _where_null(small, "spend", _asof(w, ["amount"], "forward", "spend"))
    return planted(small, "spend", found, max_staleness="30h")


# --- leaks: how few, and how the set is laid out -------------------------------------------------------------------------


def _ahead(w: World, feature: str = "spend") -> pl.DataFrame:
    return _at_labels(w, w.built(w.features[feature], labels=shifted(w, days=3)))


@_kind(LEAKS)
def a_single_row(w: World) -> Case:
    return planted(w, "spend", _ahead(w), share=0)


@_kind(LEAKS)
def a_tenth_of_the_rows(w: World) -> Case:
    return planted(w, "visit", _ahead(w, "visit"), share=0.1)


@_kind(LEAKS)
def one_column_of_two(w: World) -> Case:
    found = _ahead(w, "visit").with_columns(w.right["visit__kind"])
    return planted(w, "visit", found)


def _reordered(w: World, case: Case, order: list[int]) -> Case:
    data = case.data.select(pl.all().gather(order))
    return Case(data, case.features, case.guilty, {i for i, o in enumerate(order) if o in case.rows}, case.options)


@_kind(LEAKS)
def shuffled_rows(w: World) -> Case:
    return _reordered(w, planted(w, "spend", _ahead(w), share=0.2), w.choose().sample(range(LABELS), LABELS))


@_kind(LEAKS)
def missing_rows(w: World) -> Case:
    return _reordered(w, planted(w, "spend", _ahead(w)), w.choose().sample(range(LABELS), LABELS // 2))


@_kind(LEAKS)
def repeated_labels(w: World) -> Case:
    case = planted(w, "spend", _ahead(w), share=0.3)
    data = pl.concat([w.right, case.data])
    return Case(data, case.features, case.guilty, {i + w.right.height for i in case.rows}, case.options)


@_kind(LEAKS)
def renamed_columns(w: World) -> Case:
    case = planted(w, "spend", _ahead(w))
    options = {"columns": {"spend__amount": "Feature 17"}}
    return Case(case.data.rename({"spend__amount": "Feature 17"}), case.features, case.guilty, case.rows, options)


@_kind(LEAKS)
def plain_column_names(w: World) -> Case:
    case = planted(w, "visit", _ahead(w, "visit"))
    data = case.data.rename({"visit__visits": "visits", "visit__kind": "kind"})
    return Case(data, case.features, case.guilty, case.rows)


@_kind(LEAKS)
def rounded_floats(w: World) -> Case:
    case = planted(w, "spend", _ahead(w), atol=0.06)
    far = (case.data["spend__amount"] - w.right["spend__amount"]).abs() > 0.2
    unsure = case.rows - set(
        (far | w.right["spend__amount"].is_null() | case.data["spend__amount"].is_null()).arg_true()
    )
    keep = [i for i in range(LABELS) if i not in unsure]
    data = case.data.with_columns(
        pl.col("spend__amount", "total__total").round(1), pl.selectors.starts_with("activity__sum").round(1)
    )
    return _reordered(w, Case(data, case.features, case.guilty, case.rows, {"atol": 0.06}), keep)


@_kind(LEAKS)
def single_precision(w: World) -> Case:
    case = planted(w, "spend", _ahead(w))
    return Case(case.data.cast({pl.Float64: pl.Float32}), case.features, case.guilty, case.rows)


@_kind(LEAKS)
def through_a_text_file(w: World) -> Case:
    case = planted(w, "spend", _ahead(w))
    text = pl.read_csv(io.BytesIO(case.data.write_csv().encode()), try_parse_dates=True, infer_schema_length=None)
    return Case(text, case.features, case.guilty, case.rows)


@_kind(LEAKS)
def through_pandas(w: World) -> Case:
    case = planted(w, "visit", _ahead(w, "visit"))
    return Case(case.data.to_pandas(), case.features, case.guilty, case.rows)


@_kind(LEAKS)
def categories(w: World) -> Case:
    case = planted(w, "visit", _ahead(w, "visit"))
    return Case(
        case.data.with_columns(pl.col("visit__kind").cast(pl.Categorical)), case.features, case.guilty, case.rows
    )


@_kind(LEAKS)
def nanoseconds(w: World) -> Case:
    case = planted(w, "spend", _ahead(w))
    return Case(case.data.with_columns(pl.col("at").cast(pl.Datetime("ns"))), case.features, case.guilty, case.rows)


# --- leaks: the target ----------------------------------------------------------------------------------------------------


@_kind(LEAKS)
def the_target_among_the_features(w: World) -> Case:
    outcomes = w.labels.unique(["user", "at"], keep="first", maintain_order=True)
    source = tf.Source(
        outcomes.with_columns(known=pl.col("at") + timedelta(days=30)),
        keys="user",
        timestamp="at",
        available_at="known",
        name="outcomes",
    )
    one = tf.Feature(source, columns={"churned": "before"}, name="churned_before")
    labels = w.labels.unique(["user", "at"], keep="first", maintain_order=True)
    small = World(w.seed, w.events, labels, w.join, {one.name: one}, w.built(one, labels=labels))
    return planted(small, one.name, labels.with_columns(churned_before__before="churned"), target="churned")


# --- leaks: windows -----------------------------------------------------------------------------------------------------


@_kind(LEAKS)
def windows_without_their_embargo(w: World) -> Case:
    return planted(w, "activity", w.built(_window(_source(w.events), embargo=None)))


@_kind(LEAKS)
def windows_one_tick_too_far(w: World) -> Case:
    strict = World(w.seed, w.events, w.labels, "strict", w.features, w.built(list(w.features.values()), join="strict"))
    plain = _window(_source(w.events), embargo=None)
    right = strict.built(plain)
    small = World(w.seed, w.events, w.labels, "strict", {"activity": plain}, right)
    # At the lower end too an inclusive window differs, which alone is no leak: only rows with an event at the label.
    at = w.events.select("user", at="t", event=pl.lit(1)).unique()
    marked = w.labels.join(at, on=["user", "at"], how="left", maintain_order="left")["event"].is_not_null()
    wide = small.built(plain, join="inclusive")
    found = right.with_columns(
        pl.when(marked).then(wide[c]).otherwise(right[c]).alias(c) for c in _columns(small, "activity")
    )
    return planted(small, "activity", found, join="strict")


@_kind(LEAKS)
def windows_after_the_label(w: World) -> Case:
    labels = w.labels.with_columns(pl.col("at") + timedelta(days=3, hours=6))
    source = _source(w.events)
    one = _window(source, windows=["3d"])
    small = World(w.seed, w.events, w.labels, w.join, {"activity": one}, w.built(one))
    return planted(small, "activity", _at_labels(w, w.built(one, labels=labels)))


@_kind(LEAKS)
def windows_of_all_events(w: World) -> Case:
    one = _window(_source(w.events), windows=["14d"])
    whole = w.events.group_by("user").agg(
        activity__sum_14d=pl.col("amount").sum(), activity__n_14d=pl.len(), activity__top_14d=pl.col("visits").max()
    )
    small = World(w.seed, w.events, w.labels, w.join, {"activity": one}, w.built(one))
    found = w.labels.join(whole, on="user", how="left", maintain_order="left").with_columns(
        pl.col("activity__sum_14d", "activity__n_14d").fill_null(0)
    )
    return planted(small, "activity", found)


@_kind(LEAKS)
def windows_in_another_zone(w: World) -> Case:
    return planted(w, "activity", _at_labels(w, w.built(w.features["activity"], labels=shifted(w, hours=9))))


@_kind(LEAKS)
def windows_a_day_ahead(w: World) -> Case:
    return planted(w, "activity", _at_labels(w, w.built(w.features["activity"], labels=shifted(w, days=1))), share=0.5)


@_kind(LEAKS)
def counts_of_events_not_known_yet(w: World) -> Case:
    one = _window(_source(w.events, available_at="known"), windows=[None], embargo="6h")
    small = World(w.seed, w.events, w.labels, w.join, {"activity": one}, w.built(one))
    return planted(small, "activity", _at_labels(w, w.built(one, labels=shifted(w, days=2))))


# --- leaks in the definition: the look-ahead check -------------------------------------------------------------------------


def _ahead_by_definition(w: World, *exprs: Any, **options: Any) -> Case:
    one = tf.Feature(_source(w.events), *exprs, name="ahead", **options)
    others = [w.features["spend"], w.features["visit"]]
    return Case(w.built([*others, one]), [*others, one], "ahead", set(), {"check_lookahead": True})


@_kind(LEAKS)
def a_whole_column_mean(w: World) -> Case:
    return _ahead_by_definition(w, (pl.col("amount") / pl.col("amount").mean()).alias("x"))


@_kind(LEAKS)
def a_mean_of_the_whole_user(w: World) -> Case:
    return _ahead_by_definition(w, (pl.col("amount") - pl.col("amount").mean().over("user")).alias("x"))


@_kind(LEAKS)
def a_centred_window(w: World) -> Case:
    return _ahead_by_definition(w, pl.col("amount").rolling_mean(5, center=True, min_samples=1).over("user").alias("x"))


@_kind(LEAKS)
def a_rank(w: World) -> Case:
    return _ahead_by_definition(w, pl.col("visits").rank().alias("x"))


@_kind(LEAKS)
def a_negative_shift(w: World) -> Case:
    return _ahead_by_definition(w, pl.col("amount").shift(-1).over("user").alias("x"))


@_kind(LEAKS)
def an_encoding_by_all_rows(w: World) -> Case:
    return _ahead_by_definition(w, pl.col("vip").mean().over(pl.col("kind").str.head(1)).alias("x"))


@_kind(LEAKS)
def a_share_of_the_greatest(w: World) -> Case:
    return _ahead_by_definition(w, (pl.col("amount") / pl.col("amount").max()).alias("x"))


@_kind(LEAKS)
def a_function_that_reads_all_rows(w: World) -> Case:
    def scaled(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.with_columns(x=pl.col("amount") / pl.col("amount").sum()).select("user", "t", "x")

    return _ahead_by_definition(w, transform=scaled)


# --- other faults ------------------------------------------------------------------------------------------------------


@_kind(FAULTS)
def scaled_afterwards(w: World) -> Case:
    column = pl.col("spend__amount")
    return planted(w, "spend", w.right.with_columns((column - column.mean()) / column.std()))


@_kind(FAULTS)
def the_target_in_place_of_a_feature(w: World) -> Case:
    return planted(w, "spend", w.right.with_columns(spend__amount=pl.col("churned").cast(pl.Float64)))


@_kind(FAULTS)
def another_users_values(w: World) -> Case:
    other = w.labels.with_columns((pl.col("user") + 1) % USERS)
    return planted(w, "visit", w.built(w.features["visit"], labels=other))


@_kind(FAULTS)
def rows_out_of_step(w: World) -> Case:
    return planted(w, "spend", w.right.with_columns(pl.col("spend__amount").shift(1)))


@_kind(FAULTS)
def noise(w: World) -> Case:
    return planted(w, "total", w.right.with_columns(pl.col("total__total") * 1.001))


@_kind(FAULTS)
def a_feature_that_is_not_there(w: World) -> Case:
    return Case(w.right.drop("spend__amount"), list(w.features.values()), "spend", set())


@_kind(FAULTS)
def numbers_as_text(w: World) -> Case:
    data = w.right.with_columns(pl.col("visit__visits").cast(pl.String))
    return Case(data, list(w.features.values()), "visit", set(w.right["visit__visits"].is_not_null().arg_true()))


# --- old values, and nothing -------------------------------------------------------------------------------------------


@_kind(HARMLESS)
def a_row_too_old(w: World) -> Case:
    before = tf.Feature(_source(w.events), pl.col("amount").shift(1).over("user").alias("amount"), name="spend")
    found = w.built(before)
    kept = found.with_columns(pl.coalesce("spend__amount", w.right["spend__amount"]))
    return planted(w, "spend", kept)


@_kind(HARMLESS)
def no_lookback(w: World) -> Case:
    short = w.built(list(w.features.values()), max_lookback="40h", max_staleness=None)
    small = World(w.seed, w.events, w.labels, w.join, w.features, short)
    found = w.built(w.features["spend"], max_lookback=None, max_staleness=None)
    return planted(small, "spend", found, max_lookback="40h", max_staleness=None)


@_kind(HARMLESS)
def labels_two_hours_early(w: World) -> Case:
    return planted(w, "total", _at_labels(w, w.built(w.features["total"], labels=shifted(w, hours=-2))))


@_kind(HARMLESS)
def values_lost(w: World) -> Case:
    return planted(
        w,
        "visit",
        w.right.with_columns(visit__visits=pl.lit(None, dtype=pl.Int64), visit__kind=pl.lit(None, dtype=pl.String)),
        share=0.3,
    )


@_kind(HARMLESS)
def windows_as_of_the_last_event(w: World) -> Case:
    one = _window(_source(w.events), windows=["3d"], embargo=None)
    right = w.built(one)
    last = _asof_last(w)
    found = _at_labels(w, w.built(one, labels=last, join="inclusive"))
    small = World(w.seed, w.events, w.labels, w.join, {"activity": one}, right)
    return planted(small, "activity", found)


def _asof_last(w: World) -> pl.DataFrame:
    rows = w.labels.with_row_index("row").sort("at")
    events = w.events.sort("t").select("user", "t")
    found = rows.join_asof(
        events, left_on="at", right_on="t", by="user", allow_exact_matches=w.join == "inclusive", check_sortedness=False
    )
    return found.sort("row").select("user", at=pl.col("t").fill_null(START - timedelta(days=99)), churned="churned")


@_kind(HARMLESS)
def windows_two_hours_early(w: World) -> Case:
    one = _window(_source(w.events), windows=["14d", None])
    small = World(w.seed, w.events, w.labels, w.join, {"activity": one}, w.built(one))
    return planted(small, "activity", _at_labels(w, w.built(one, labels=shifted(w, hours=-6))))


# --- clean --------------------------------------------------------------------------------------------------------------


def _clean(w: World, data: Any, **options: Any) -> Case:
    return Case(data, list(w.features.values()), None, set(), options)


@_kind(CLEAN)
def as_built(w: World) -> Case:
    return _clean(w, w.right, check_lookahead=True)


@_kind(CLEAN)
def clean_shuffled(w: World) -> Case:
    return _clean(w, w.right.sample(fraction=1, shuffle=True, seed=w.seed))


@_kind(CLEAN)
def clean_with_missing_rows(w: World) -> Case:
    return _clean(w, w.right.sample(fraction=0.4, shuffle=True, seed=w.seed))


@_kind(CLEAN)
def clean_with_repeated_rows(w: World) -> Case:
    return _clean(w, pl.concat([w.right, w.right.head(50), w.right]))


@_kind(CLEAN)
def clean_renamed(w: World) -> Case:
    names = {c: f"col {i}" for i, c in enumerate(c for c in w.right.columns if "__" in c)}
    return _clean(w, w.right.rename(names), columns=names)


@_kind(CLEAN)
def clean_with_plain_names(w: World) -> Case:
    data = w.right.rename({"spend__amount": "amount", "visit__kind": "kind", "total__total": "total"})
    return _clean(w, data.with_columns(other=pl.lit(1)))


@_kind(CLEAN)
def clean_in_single_precision(w: World) -> Case:
    return _clean(w, w.right.cast({pl.Float64: pl.Float32}))


@_kind(CLEAN)
def clean_rounded(w: World) -> Case:
    floats = pl.selectors.float()
    return _clean(w, w.right.with_columns(floats.round(2)), atol=0.0051)


@_kind(CLEAN)
def clean_through_a_text_file(w: World) -> Case:
    text = pl.read_csv(io.BytesIO(w.right.write_csv().encode()), try_parse_dates=True, infer_schema_length=None)
    return _clean(w, text)


@_kind(CLEAN)
def clean_through_pandas(w: World) -> Case:
    return _clean(w, w.right.to_pandas())


@_kind(CLEAN)
def clean_in_nanoseconds_and_categories(w: World) -> Case:
    return _clean(
        w, w.right.with_columns(pl.col("at").cast(pl.Datetime("ns")), pl.col("visit__kind").cast(pl.Categorical))
    )


@_kind(CLEAN)
def clean_of_known_labels_only(w: World) -> Case:
    return _clean(w, w.right.drop_nulls())


@_kind(CLEAN)
def clean_as_a_lazy_frame(w: World) -> Case:
    return _clean(w, w.right.lazy().filter(pl.col("user") % 2 == 0))


# --- judging -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What the audit said of one case.

    Attributes:
        leaking: Whether it said leakage.
        clean: Whether it said clean.
        guilty_only: Whether it blamed the feature at fault, and no other.
        rows_wrong: Planted rows.
        rows_failing: Of these, rows that did not pass as ``ok``.
        rows_leaking: Of these, rows called ``future`` or ``unexpected``.
        rows_blamed: Other rows of the feature that did not pass.
    """

    leaking: bool
    clean: bool
    guilty_only: bool
    rows_wrong: int
    rows_failing: int
    rows_leaking: int
    rows_blamed: int


def audited(w: World, case: Case) -> Outcome:
    """Audits a case."""
    options = {"check_lookahead": False, "join": w.join, **BOUNDS, **KEYS, **case.options}
    report = tf.audit(case.data, case.features, **options)
    if case.guilty is None:
        return Outcome(report.has_leakage, report.clean, not report.failing_features, 0, 0, 0, 0)
    rows = report.failing_rows(case.guilty)
    failing = set(rows["row"].to_list())
    leaking = set(report[case.guilty].leaky_rows["row"].to_list())
    return Outcome(
        leaking=report.has_leakage,
        clean=report.clean,
        guilty_only=report.failing_features == [case.guilty],
        rows_wrong=len(case.rows),
        rows_failing=len(failing & case.rows),
        rows_leaking=len(leaking & case.rows),
        rows_blamed=len(failing - case.rows),
    )


def main(seeds: int) -> None:
    """Prints the figures over some seeds."""
    for title, kinds in (("leaks", LEAKS), ("other faults", FAULTS), ("old or missing", HARMLESS), ("clean", CLEAN)):
        sets = leaking = clean = rows = failing = called = 0
        for plant in kinds.values():
            for seed in range(seeds):
                outcome = audited(world(seed), plant(world(seed)))
                sets += 1
                leaking += outcome.leaking
                clean += outcome.clean
                rows += outcome.rows_wrong
                failing += outcome.rows_failing
                called += outcome.rows_leaking
        print(
            f"{title}: {len(kinds)} kinds x {seeds} seeds = {sets} sets; {leaking} called leaking, {clean} called clean; "
            f"{rows:,} wrong rows, {failing:,} found, {called:,} called leaking"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
