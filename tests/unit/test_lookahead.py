"""The look-ahead check: what it finds, what it leaves alone, and what it says it cannot tell."""

from __future__ import annotations

import configparser
import datetime as dt
import fileinput
import itertools
import linecache
import math
import os
import random
import re
import sqlite3
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.leakage import lookahead_events
from timefence_pl.leakage.lookahead_compare import differences
from timefence_pl.leakage.lookahead_report import FeatureLookahead

START = dt.datetime(2024, 1, 1)
X = pl.col("x")


def events(rows: int = 400, users: int = 8, seed: int = 1) -> pl.DataFrame:
    rng = random.Random(seed)
    minutes = sorted(rng.sample(range(60 * 24 * 40), rows))
    return pl.DataFrame(
        {
            "user": [rng.randrange(users) for _ in minutes],
            "at": [START + dt.timedelta(minutes=m) for m in minutes],
            "x": [rng.gauss(10, 3) for _ in minutes],
            "kind": [rng.choice("abc") for _ in minutes],
        },
        schema_overrides={"at": pl.Datetime("us")},
    )


def source(frame: pl.DataFrame | None = None, **options: Any) -> tf.Source:
    data = events() if frame is None else frame
    return tf.Source(data, **{"keys": "user", "timestamp": "at", "name": "events", **options})


def checked(feature: tf.Feature | tf.Window, **options: Any) -> FeatureLookahead:
    return tf.check_lookahead(feature, **options)[feature.name]


def of(*exprs: pl.Expr, frame: pl.DataFrame | None = None, embargo: str | None = None, **options: Any) -> str:
    return checked(tf.Feature(source(frame, **options), *exprs, name="f", embargo=embargo)).status


CLEAN = {
    "the row's own value": X * 2,
    "a running sum": X.cum_sum().over("user"),
    "the row before": X.shift(1).over("user"),
    "a trailing window of rows": X.rolling_mean(5, min_samples=1).over("user"),
    "a trailing window of time": X.rolling_sum_by("at", "3d").over("user"),
    "the first value": X.first().over("user"),
    "time since the first event": pl.col("at") - pl.col("at").min().over("user"),
    "a rank among rows of the same time": X.rank().over("at"),
    "a literal": pl.lit(1).alias("one"),
    "a Python function of one value": X.map_elements(lambda v: math.lgamma(abs(v) + 1), return_dtype=pl.Float64),
}
LEAKY = {
    "the row after": X.shift(-1).over("user"),
    "less the mean of all": X - X.mean(),
    "the entity's mean": X.mean().over("user"),
    "a target encoding": X.mean().over("kind"),
    "a centred window": X.rolling_mean(5, center=True).over("user"),
    "a reversed running sum": X.cum_sum(reverse=True).over("user"),
    "a window turned around": X.reverse().rolling_sum(3).reverse().over("user"),
    "a rank": X.rank(),
    "a quantile cut": X.bin_quantiles([0.5], labels=["low", "high"]),
    "a backward fill": pl.when(X > 9).then(X).backward_fill().over("user"),
    "an interpolation": pl.when(X > 9).then(X).interpolate().over("user"),
    "the number of events": pl.len().over("user"),
    "the last value": X.last().over("user"),
    "a share of all": X / X.sum(),
    "a Python function of the column": X.map_batches(lambda s: s - s.mean(), return_dtype=pl.Float64),
}


@pytest.mark.parametrize("expr", CLEAN.values(), ids=CLEAN)
def test_what_reads_the_past_alone_is_clean(expr: pl.Expr) -> None:
    report = checked(tf.Feature(source(), expr, name="f"))
    assert (report.status, report.reason, report.rows_differing) == ("clean", "", 0)
    assert report.rows_compared > 500


@pytest.mark.parametrize("expr", LEAKY.values(), ids=LEAKY)
def test_what_reads_the_future_is_leaky(expr: pl.Expr) -> None:
    report = checked(tf.Feature(source(), expr, name="f"))
    assert report.status == "leaky"
    assert 0 < report.rows_differing <= report.rows_compared
    assert not report.examples.is_empty()


def test_an_example_shows_both_values_and_the_cutoff() -> None:
    frame = pl.DataFrame({"user": [1, 1, 1, 1], "at": [1, 2, 3, 4], "x": [10, 20, 30, 40]})
    report = checked(tf.Feature(source(frame), X.shift(-1).alias("next"), name="f"), cutoffs=1)
    assert report.examples.to_dicts() == [
        {
            "cutoff": 3,
            "difference": "changed",
            "user": 1,
            "feature_time": 2,
            "next__all_rows": 30,
            "next__before_cutoff": None,
        }
    ]
    assert report.cutoffs.to_dicts() == [
        {"cutoff": 3, "rows_compared": 2, "rows_differing": 1, "rows_within_embargo": 0}
    ]
    assert report.reach == 1


def test_cutoffs_stand_one_unit_after_rows_and_always_leave_rows_out() -> None:
    frame = pl.DataFrame({"user": [1] * 5, "at": [START + dt.timedelta(days=d) for d in range(5)], "x": range(5)})
    found = checked(tf.Feature(source(frame), columns="x"), cutoffs=50).cutoffs["cutoff"].to_list()
    assert found == [START + dt.timedelta(days=d, microseconds=1) for d in range(4)]


def test_missing_and_extra_rows_are_differences() -> None:
    def last_of_each(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.unique("user", keep="last")

    report = checked(tf.Feature(source(), transform=last_of_each))
    assert report.status == "leaky"
    assert "appear or vanish" in report.reason
    assert set(report.examples["difference"]) == {"extra"}


def daily(label: str) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    def transform(frame: pl.LazyFrame) -> pl.LazyFrame:
        grouped = frame.group_by_dynamic("at", every="1d", group_by="user", label=label)  # type: ignore[arg-type]
        return grouped.agg(X.sum())

    return transform


@pytest.mark.parametrize(
    ("label", "embargo", "status"),
    [
        ("left", None, "leaky"),
        ("left", "1h", "leaky"),
        ("left", "1d", "needs_embargo"),
        ("right", None, "clean"),
        ("right", "1d", "clean"),
    ],
)
def test_a_daily_total_is_known_at_the_end_of_its_day(label: str, embargo: str | None, status: str) -> None:
    report = checked(tf.Feature(source(), transform=daily(label), name="f", embargo=embargo))
    assert report.status == status
    assert report.clean == (status != "leaky")
    if status == "needs_embargo":
        assert report.rows_within_embargo == report.rows_differing > 0
        assert report.reach is not None
        assert 0 < report.reach <= 86_400_000_000_000


def test_an_embargo_covers_only_what_it_spans() -> None:
    frame = pl.DataFrame({"user": [1] * 40, "at": range(0, 400, 10), "x": range(40)})
    ahead = tf.Feature(source(frame), X.shift(-3), name="f", embargo=29)
    enough = tf.Feature(source(frame), X.shift(-3), name="f", embargo=30)
    assert [checked(ahead).status, checked(enough).status] == ["needs_embargo", "needs_embargo"]
    # The third row before the last one known stands 20 units before it: 21 before the cutoff.
    assert checked(ahead).reach == 21
    assert checked(tf.Feature(source(frame), X.shift(-3), name="f", embargo=20)).status == "leaky"


def test_a_date_is_known_at_its_end_unless_said_otherwise() -> None:
    days = events().with_columns(pl.col("at").dt.date())

    def of_the_day(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.group_by("user", "at").agg(X.sum())

    by_day = tf.Feature(source(days), transform=of_the_day)
    assert checked(by_day).status == "clean"

    def stamped_at_midnight(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.group_by("user", "at").agg(X.sum()).with_columns(pl.col("at").cast(pl.Datetime("us")))

    assert checked(tf.Feature(source(days), transform=stamped_at_midnight)).status == "leaky"
    known_early = source(days, date_known_at="start")
    assert checked(tf.Feature(known_early, transform=stamped_at_midnight)).status == "clean"


def late(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns((pl.col("at") + pl.duration(hours=pl.int_range(pl.len()) % 50)).alias("known"))


def test_on_a_bitemporal_source_rows_are_cut_by_when_they_were_known() -> None:
    two_times = source(late(events()), available_at="known")
    assert checked(tf.Feature(two_times, columns="x")).status == "clean"

    def running(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(X.cum_sum().over("user"))

    def running_as_known(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.sort("known").with_columns(X.cum_sum().over("user"))

    assert checked(tf.Feature(two_times, transform=running)).status == "leaky"
    assert checked(tf.Feature(two_times, transform=running_as_known)).status == "clean"
    assert "known_at" in checked(tf.Feature(two_times, transform=running)).examples.columns


def daily_of_all(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("user", pl.col("at").dt.truncate("1d")).agg(X.sum(), pl.col("known").max())


def daily_of_what_had_arrived(frame: pl.LazyFrame) -> pl.LazyFrame:
    day = pl.col("at").dt.truncate("1d")
    timely = frame.with_columns(day, pl.col("known"), (day + pl.duration(days=2)).alias("closed"))
    daily = (
        timely.filter(pl.col("known") <= pl.col("closed")).group_by("user", "at").agg(X.sum(), pl.col("closed").first())
    )
    return daily.rename({"closed": "known"})


def running_in_order_of_availability(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", "known", X.cum_sum().over("user", order_by="known"))


@pytest.mark.parametrize(
    ("transform", "status"),
    [(daily_of_all, "leaky"), (daily_of_what_had_arrived, "clean"), (running_in_order_of_availability, "clean")],
)
def test_the_advice_for_several_rows_with_availability_leads_to_clean_features(transform: Any, status: str) -> None:
    late = events().with_columns(known=pl.col("at") + pl.duration(hours=pl.int_range(400) % 70, minutes=7))
    bitemporal = source(late, available_at="known")
    assert checked(tf.Feature(bitemporal, transform=transform, name="f")).status == status
    wanted = "make each value of rows alone that were known by the available_at it returns"
    with pytest.raises(tf.TimefenceSchemaError, match=wanted):
        tf.check_lookahead(tf.Feature(bitemporal, X.cum_sum().over("user"), name="g"))


def test_sql_is_checked_like_everything_else() -> None:
    mean = 'SELECT "user", "at", AVG(x) OVER (PARTITION BY "user") AS m FROM {source}'
    sofar = 'SELECT "user", "at", AVG(x) OVER (PARTITION BY "user" ORDER BY "at") AS m FROM {source}'
    assert checked(tf.Feature(source(), sql=mean, name="f")).status == "leaky"
    assert checked(tf.Feature(source(), sql=sofar, name="f")).status == "clean"
    assert checked(tf.Feature(source(), sql=mean, name="f", dialect="duckdb")).status == "leaky"
    assert checked(tf.Feature(source(), sql=sofar, name="f", dialect="duckdb")).status == "clean"


def test_windows_are_computed_at_the_cutoffs() -> None:
    window = tf.Window(
        source(late(events()), available_at="known"),
        {"sum": X.sum(), "median": X.median(), "n": pl.len(), "last": X.last()},
        windows=["2d", None],
        name="w",
        where=pl.col("kind") != "a",
        embargo="1h",
    )
    report = checked(window)
    assert (report.status, report.rows_compared, report.reach) == ("clean", 5 * 8, None)
    assert report.covered == "labels of 8 of 8 entities at 5 cutoffs"


def test_a_window_whose_function_keeps_count_does_not_repeat_itself() -> None:
    state = itertools.count()

    class Counter:
        def __call__(self, values: pl.Series) -> float:
            return next(state)

    window = tf.Window(
        source(),
        {"x": X.map_batches(Counter(), returns_scalar=True, return_dtype=pl.Float64)},
        windows=[None],
        name="w",
    )
    assert checked(window).status in ("nondeterministic", "unchecked")


def test_keys_of_windows_may_have_other_names_in_the_labels() -> None:
    window = tf.Window(source(), {"n": pl.len()}, windows=["1d"], name="w", key_mapping={"customer": "user"})
    assert checked(window).status == "clean"


@pytest.mark.parametrize(
    "expr",
    [
        X.map_batches(lambda s: s + random.random(), return_dtype=pl.Float64),
        X.shuffle(),
        X.sort_by(X.shuffle()).over("user"),
    ],
    ids=["Python chance", "shuffle", "shuffled order"],
)
def test_what_does_not_repeat_itself_is_never_clean(expr: pl.Expr) -> None:
    report = tf.check_lookahead(tf.Feature(source(), expr, name="f"))
    assert report["f"].status == "nondeterministic"
    assert not report.clean_features
    assert not report.has_lookahead
    with pytest.raises(tf.TimefenceLeakageError, match="f: nondeterministic, two equal runs"):
        report.assert_clean()


@pytest.mark.parametrize("dtype", [pl.Float64, pl.List(pl.Float64)], ids=str)
def test_small_changes_from_run_to_run_are_seen(dtype: Any) -> None:
    def clock(values: pl.Series) -> pl.Series:
        return (
            (values + time.time()).reshape((len(values), 1)).cast(dtype) if dtype.is_nested() else values + time.time()
        )

    report = checked(tf.Feature(source(), X.map_batches(clock, return_dtype=dtype), name="f"))
    assert (report.status, report.reason) == ("nondeterministic", "two equal runs give different values")


@pytest.mark.parametrize(("apart", "rows"), [(4e-16, 0), (1e-12, 1)])
def test_two_runs_over_the_same_rows_may_differ_by_rounding_alone(apart: float, rows: int) -> None:
    one = pl.DataFrame({"k": [1, 2], "x": [1.0, 2.0]})
    other = one.with_columns(X * (1 + pl.when(pl.col("k") == 2).then(apart).otherwise(0.0)))
    assert differences(one, other, ["k"], ["x"], again=True).height == rows
    assert differences(one, other, ["k"], ["x"]).is_empty()


def test_chance_that_shows_on_fewer_rows_alone_is_not_called_a_leak() -> None:
    def sometimes(values: pl.Series) -> pl.Series:
        return values if len(values) == 400 else values + random.random()

    report = checked(tf.Feature(source(), X.map_batches(sometimes, return_dtype=pl.Float64), name="f"))
    assert report.status == "nondeterministic"


def test_a_source_that_does_not_repeat_itself() -> None:
    changing = events().lazy().with_columns(X.map_batches(lambda s: s + random.random(), return_dtype=pl.Float64))
    report = checked(tf.Feature(source(changing), columns="x"))  # type: ignore[arg-type]
    assert (report.status, report.reason) == ("nondeterministic", "its source gives other rows when it is read again")


LOOKUP = pl.DataFrame({"kind": ["a", "b", "c"], "price": [1, 2, 3]})


def joins_a_frame(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.join(LOOKUP.lazy(), on="kind").select("user", "at", "price")


def looks_a_value_up(frame: pl.LazyFrame) -> pl.LazyFrame:
    known = dict(LOOKUP.iter_rows())
    return frame.select("user", "at", pl.col("kind").replace_strict(known))


def test_a_second_input_cannot_be_truncated(tmp_path: Path) -> None:
    LOOKUP.write_parquet(tmp_path / "lookup.parquet")

    def scans_a_file(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(pl.scan_parquet(tmp_path / "lookup.parquet"), on="kind").select("user", "at", "price")

    def reads_a_file(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(pl.read_parquet(tmp_path / "lookup.parquet").lazy(), on="kind").select("user", "at", "price")

    for transform in (joins_a_frame, looks_a_value_up, scans_a_file, reads_a_file):
        report = checked(tf.Feature(source(), transform=transform))
        assert (report.status, "no cutoff truncates" in report.reason) == ("unchecked", True), transform
    text = f"SELECT s.* EXCLUDE (x), l.price FROM {{source}} s JOIN '{tmp_path}/lookup.parquet' l ON s.kind = l.kind"
    assert checked(tf.Feature(source(), sql=text, name="f", dialect="duckdb")).status == "unchecked"
    expr = X.map_elements(lambda v: math.lgamma(LOOKUP.height), return_dtype=pl.Float64)
    assert of(expr) == "unchecked"
    window = tf.Window(
        source(),
        {"x": X.map_batches(lambda s: s.sum() + LOOKUP.height, returns_scalar=True, return_dtype=pl.Float64)},
        windows=[None],
        name="w",
    )
    assert checked(window).status == "unchecked"


FOLDER = Path("no/such/folder")
READS = {
    "a model by a path": lambda v: np.load(FOLDER / "model.npy")[0],
    "a model, imported inside": lambda v: __import__("joblib").load("model"),
    "a mapped file": lambda v: np.memmap("values")[0],
    "a database": lambda v: sqlite3.connect("values.db").execute("SELECT 1").fetchone()[0],
    "settings": lambda v: configparser.ConfigParser().read("settings.ini"),
    "an archive": lambda v: zipfile.ZipFile("values.zip").read("a"),
    "a line of a file": lambda v: linecache.getline("values", 1),
    "another process": lambda v: os.popen("true").read(),
    "lines of files": lambda v: next(fileinput.input("values")),  # noqa: SIM115
    "a path held by the module": lambda v: FOLDER.read_text(),
    "a path": lambda v: Path("values").read_text(),
    "a table": lambda v: pl.read_parquet("values.parquet").height,
    "SQL": lambda v: pl.sql("SELECT * FROM read_parquet('values.parquet')").collect().height,
    "the clock": lambda v: dt.datetime.now().year,
    "the environment": lambda v: float(os.environ["RATE"]),
}


def _after(used: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that reads something else, though never in this test."""
    return lambda v: used(v) if v is None else v


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_what_python_code_reads_beside_its_source_cannot_be_truncated(reads: Callable[[Any], Any]) -> None:
    value = _after(reads)

    def transform(frame: pl.LazyFrame) -> pl.LazyFrame:
        return value(frame.select("user", "at", "x"))

    def transform_of_values(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.select("user", "at", X.map_elements(value, return_dtype=pl.Float64))

    found = {
        "transform": tf.Feature(source(), transform=transform, name="f"),
        "transform of values": tf.Feature(source(), transform=transform_of_values, name="f"),
        "expression": tf.Feature(source(), X.map_elements(value, return_dtype=pl.Float64), name="f"),
        "expression of columns": tf.Feature(source(), X.map_batches(value, return_dtype=pl.Float64), name="f"),
    }
    for kind, feature in found.items():
        report = checked(feature)
        assert report.status == "unchecked", (kind, report.status, report.reason)
        assert report.reason.startswith(("its Python code ", "it calls ")), report.reason
        assert report.reason.endswith("; no cutoff truncates that"), report.reason


def test_the_reason_names_what_is_read() -> None:
    value = _after(READS["a model by a path"])
    report = checked(tf.Feature(source(), X.map_elements(value, return_dtype=pl.Float64), name="f"))
    said = "its Python code reads files that are not inputs of its own (numpy.load); no cutoff truncates that"
    assert report.reason == said


def test_sql_that_reads_the_clock_is_not_clean() -> None:
    text = 'SELECT "user", at, x, CURRENT_DATE AS today FROM {source}'
    assert checked(tf.Feature(source(), sql=text, name="f")).status == "unchecked"
    assert checked(tf.Feature(source(), sql=text.replace("CURRENT_DATE", "1"), name="f")).status == "clean"


KEPT: dict[str, float] = {}


def _mean(frame: pl.LazyFrame) -> float:
    return frame.select(X.mean()).collect().item()


def _less(frame: pl.LazyFrame, mean: float) -> pl.LazyFrame:
    return frame.select("user", "at", X - mean)


def fits_a_default(frame: pl.LazyFrame, kept: dict[str, float] = {}) -> pl.LazyFrame:  # noqa: B006
    if "mean" not in kept:
        kept["mean"] = _mean(frame)
    return _less(frame, kept["mean"])


def fits_a_global(frame: pl.LazyFrame) -> pl.LazyFrame:
    return _less(frame, KEPT.setdefault("mean", _mean(frame)))


def fits_itself(frame: pl.LazyFrame) -> pl.LazyFrame:
    if not hasattr(fits_itself, "mean"):
        fits_itself.mean = _mean(frame)  # type: ignore[attr-defined]
    return _less(frame, fits_itself.mean)  # type: ignore[attr-defined]


def _fits_a_closure() -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    kept: list[float] = []

    def fits(frame: pl.LazyFrame) -> pl.LazyFrame:
        if not kept:
            kept.append(_mean(frame))
        return _less(frame, kept[0])

    return fits


class Fits:
    mean: float | None = None

    def __call__(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        if self.mean is None:
            self.mean = _mean(frame)
        return _less(frame, self.mean)


class Hidden:
    """Keeps what it was given first, in a way that its code does not show."""

    def __call__(self, values: pl.Series) -> pl.Series:
        vars(self).setdefault("mean", values.mean())
        return values - vars(self)["mean"]


@pytest.mark.parametrize(
    "transform",
    [fits_a_default, fits_a_global, fits_itself, _fits_a_closure(), Fits()],
    ids=["a default", "a global", "a function's attribute", "a closure", "an object's attribute"],
)
def test_a_transform_fitted_in_its_first_run_is_not_clean(transform: Callable[[pl.LazyFrame], pl.LazyFrame]) -> None:
    feature = tf.Feature(source(), transform=transform, name="f")
    for _ in range(2):  # the second time it is fitted already
        report = checked(feature)
        assert report.status == "unchecked"
        assert report.reason.startswith("its Python code keeps values from ")


def test_values_that_change_from_run_to_run_are_seen() -> None:
    report = checked(tf.Feature(source(), X.map_batches(Hidden(), return_dtype=pl.Float64), name="f"))
    said = "its Python code keeps values from run to run (state of Hidden changed), which no cutoff truncates"
    assert (report.status, report.reason) == ("unchecked", said)


def test_what_is_kept_within_one_call_is_no_matter() -> None:
    class Sums:
        def __init__(self) -> None:
            self.total, self.seen = 0.0, {}  # type: ignore[var-annotated]

    def running(values: pl.Series, scale: dict[str, float] = {"by": 2.0}) -> pl.Series:  # noqa: B006
        import json  # noqa: PLC0415

        sums, found = Sums(), []
        for value in values:
            sums.total += value * scale["by"]
            sums.seen[value] = json.dumps(value)
            found.append(sums.total)
        return pl.Series(found)

    expr = X.map_batches(running, return_dtype=pl.Float64).over("user")
    assert checked(tf.Feature(source(), expr, name="f")).status == "clean"


def test_a_leak_is_told_even_beside_a_second_input() -> None:
    def both(frame: pl.LazyFrame) -> pl.LazyFrame:
        joined = frame.join(LOOKUP.lazy(), on="kind")
        return joined.select("user", "at", pl.col("price") * X.mean())

    assert checked(tf.Feature(source(), transform=both)).status == "leaky"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (events().clear(), "its source has no usable rows"),
        (events().head(1), "its source has rows of one time only, so there is nothing to cut off"),
        (events().with_columns(user=pl.lit(None, pl.Int64)), "its source has no usable rows"),
    ],
    ids=["empty", "one row", "null keys"],
)
def test_nothing_compared_is_not_clean(frame: pl.DataFrame, reason: str) -> None:
    for feature in (
        tf.Feature(source(frame), columns="x"),
        tf.Window(source(frame), {"n": pl.len()}, windows=[None], name="x"),
    ):
        report = tf.check_lookahead(feature)
        assert (report["x"].status, report["x"].reason) == ("unchecked", reason)
        with pytest.raises(tf.TimefenceLeakageError, match="Not all features are clean"):
            report.assert_clean()


def test_a_transform_that_gives_no_rows_is_not_clean() -> None:
    report = checked(tf.Feature(source(), transform=lambda frame: frame.filter(X > 1_000), name="f"))
    assert (report.status, "no rows before any cutoff" in report.reason) == ("unchecked", True)


def test_one_failing_feature_does_not_hide_the_others() -> None:
    def fails_on_few(values: pl.Series) -> pl.Series:
        if len(values) < 400:
            raise ValueError("too few")
        return values

    def fails(_values: pl.Series) -> pl.Series:
        raise ValueError("never")

    data = source()
    report = tf.check_lookahead(
        [
            tf.Feature(data, X.map_batches(fails_on_few, return_dtype=pl.Float64), name="few"),
            tf.Feature(data, X.map_batches(fails, return_dtype=pl.Float64), name="never"),
            tf.Feature(data, X.shift(-1), name="lead"),
            tf.Feature(data, X.shift(1), name="lag"),
        ]
    )
    assert {n: f.status for n, f in report.features.items()} == {
        "few": "unchecked",
        "never": "unchecked",
        "lead": "leaky",
        "lag": "clean",
    }
    assert "it fails on the rows known before 2024" in report["few"].reason
    assert "it fails on its source" in report["never"].reason


def test_large_sources_are_sampled_by_entity_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead_events, "ROWS", 150)
    report = checked(tf.Feature(source(), X.shift(-1).over("user"), name="f"))
    again = checked(tf.Feature(source(), X.shift(-1).over("user"), name="f"))
    assert report.status == "leaky"
    numbers = [int(n) for n in re.findall(r"\d+", report.covered)]
    rows, of_rows, entities, of_entities = numbers[:4]
    assert (of_rows, of_entities) == (400, 8)
    assert 150 <= rows < 400
    assert 1 < entities < 8
    assert again.covered == report.covered
    assert again.examples.equals(report.examples)


def test_a_sample_may_be_asked_for() -> None:
    report = checked(tf.Feature(source(), columns="x"), sample=3)
    assert report.covered.startswith(f"{report.covered.split()[0]} of 400 rows (3 of 8 entities)")
    assert checked(tf.Feature(source(), columns="x"), sample=800).covered == "all 400 rows of 8 entities, 5 cutoffs"


def test_a_global_series_is_taken_whole() -> None:
    series = tf.Source(events(), keys=[], timestamp="at", name="series")
    assert checked(tf.Feature(series, X.shift(-1), name="f"), sample=1).status == "leaky"
    assert checked(tf.Feature(series, X.shift(1), name="f")).covered == "all 400 rows, 5 cutoffs"
    assert (
        checked(tf.Window(series, {"n": pl.len()}, windows=["1d"], name="w")).covered
        == "labels of all events at 5 cutoffs"
    )


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_units_and_zones(unit: Any, zone: str | None) -> None:
    frame = events(120).with_columns(
        pl.col("at").cast(pl.Datetime(unit)).dt.replace_time_zone(zone, ambiguous="earliest")
    )
    data = source(frame)
    report = tf.check_lookahead(
        [
            tf.Feature(data, X.shift(-1).over("user"), name="lead"),
            tf.Feature(data, X.shift(1).over("user"), name="lag"),
            tf.Window(data, {"n": pl.len()}, windows=["1d"], name="w"),
        ]
    )
    assert [f.status for f in report.features.values()] == ["leaky", "clean", "clean"]
    assert report["lag"].cutoffs["cutoff"].dtype == pl.Datetime(unit, zone)


def test_values_of_any_type_are_compared() -> None:
    frame = events(150).with_columns(
        cat=pl.col("kind").cast(pl.Categorical),
        lists=pl.concat_list("x", "x"),
        arrays=pl.concat_list("x", "x").list.to_array(2),
        structs=pl.struct("x", "kind"),
        nothing=pl.lit(None),
        single=X.cast(pl.Float32),
        decimal=X.cast(pl.Decimal(12, 3)),
        text=pl.col("kind"),
    )
    names = ["cat", "lists", "arrays", "structs", "single", "decimal", "text", "at"]
    data = source(frame)
    clean = [tf.Feature(data, pl.col(n).shift(1).over("user"), name=f"lag_{n}") for n in names]
    leaky = [tf.Feature(data, pl.col(n).shift(-1).over("user"), name=f"lead_{n}") for n in names]
    report = tf.check_lookahead([*clean, *leaky, tf.Feature(data, pl.col("nothing"))])
    assert report.leaky_features == [f.name for f in leaky]
    assert report.clean_features == [*(f.name for f in clean), "nothing"]


def test_rounding_is_no_difference_and_small_leaks_are() -> None:
    noise = X.map_batches(lambda s: s * (1 + len(s) * 1e-14), return_dtype=pl.Float64)
    assert of(noise) == "clean"
    small = X.map_batches(lambda s: s * (1 + len(s) * 1e-10), return_dtype=pl.Float64)
    assert of(small) == "leaky"
    tiny = (X - X.mean()) * 1e-15
    assert of(tiny) == "leaky"
    huge = pl.when(X.shift(1).is_null()).then(1e15).otherwise(X - X.mean())
    assert of(huge) == "leaky"


def test_nan_equals_nan_and_null_equals_null() -> None:
    assert of(pl.when(X > 10).then(float("nan")).when(X > 8).then(None).otherwise(X)) == "clean"
    assert of(pl.when(X.mean() < X).then(float("nan")).otherwise(X)) == "leaky"


def test_duplicates_are_compared_as_a_multiset() -> None:
    frame = pl.concat([events(100)] * 3)

    def in_any_order(lazy: pl.LazyFrame) -> pl.LazyFrame:
        return lazy.with_columns(n=pl.int_range(pl.len()).over("user", "at")).sort(
            "n", descending=True, maintain_order=True
        )

    assert checked(tf.Feature(source(frame), transform=in_any_order)).status == "clean"

    def fewer(lazy: pl.LazyFrame) -> pl.LazyFrame:
        return lazy.filter(pl.int_range(pl.len()).over("user", "at") < pl.len().over("user") % 2 + 1)

    assert checked(tf.Feature(source(frame), transform=fewer)).status == "leaky"


def test_features_of_several_sources_and_sets() -> None:
    one, other = source(), source(events(seed=2), name="others")
    group = tf.FeatureSet("g", [tf.Feature(one, columns="x", name="a"), tf.Feature(other, X.shift(-1), name="b")])
    report = tf.check_lookahead([group, tf.Window(other, {"n": pl.len()}, windows=["1d"], name="c")])
    assert list(report) == ["a", "b", "c"]
    assert [report[n].source for n in report] == ["events", "others", "others"]
    assert (report.leaky_features, report.clean_features, len(report)) == (["b"], ["a", "c"], 3)


@pytest.mark.parametrize(
    "options", [{"cutoffs": 0}, {"cutoffs": True}, {"cutoffs": 1.5}, {"sample": 0}, {"sample": "x"}]
)
def test_arguments_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(tf.TimefenceConfigError, match=next(iter(options))):
        tf.check_lookahead(tf.Feature(source(), columns="x"), **options)


def test_definitions_that_do_not_fit_are_errors_of_ours() -> None:
    with pytest.raises(tf.TimefenceSchemaError, match="'amuont'"):
        tf.check_lookahead(tf.Feature(source(), columns="amuont"))
    with pytest.raises(tf.TimefenceValidationError, match="no features"):
        tf.check_lookahead([])
    with pytest.raises(tf.TimefenceValidationError, match="Did you mean 'x'"):
        tf.check_lookahead(tf.Feature(source(), columns="x"))["xx"]


def test_floats_far_apart_in_size() -> None:
    frame = events(100).with_columns(x=pl.when(pl.int_range(pl.len()) == 3).then(1e300).otherwise(X))
    assert of(X.cum_sum().over("user"), frame=frame) == "clean"
    assert of(X.shift(-1).over("user"), frame=frame) == "leaky"
    infinite = events(100).with_columns(x=pl.when(pl.int_range(pl.len()) == 3).then(math.inf).otherwise(X))
    assert of(X.cum_sum().over("user"), frame=infinite) == "clean"


def test_a_build_can_be_made_to_check_first(tmp_path: Path) -> None:
    labels = tf.Labels(pl.DataFrame({"user": [1, 2], "T": [dt.datetime(2024, 1, 20)] * 2}), keys="user", label_time="T")
    lag = tf.Feature(source(), X.shift(1).over("user"), name="lag")
    lead = tf.Feature(source(), X.shift(-1).over("user"), name="lead")
    output = tmp_path / "train.parquet"
    store = tf.Store(tmp_path / "store")
    said: list[str] = []
    with pytest.raises(tf.TimefenceLeakageError, match="Look-ahead in 1 feature"):
        tf.build(labels, [lag, lead], output, store=store, check_lookahead=True, progress=said.append)
    assert not output.exists()
    assert said == ["Loading labels", "Checking look-ahead"]
    assert tf.build(labels, [lag, lead], output, store=store).stats.row_count == 2
    assert tf.build(labels, lag, output, store=store, check_lookahead=True).stats.row_count == 2


@pytest.mark.parametrize("seed", range(5))
def test_rare_gaps_filled_from_behind_are_met_by_a_cutoff(seed: int) -> None:
    n = 4_000
    events = pl.select(i=pl.int_range(n)).select(
        k=pl.col("i").hash(seed) % 50, at=pl.col("i").hash(seed + 1) % 10**6, x=pl.col("i").cast(pl.Float64)
    )
    gaps = events.with_columns(pl.when(pl.col("x").hash(seed + 2) % 50 > 0).then("x"))
    given = tf.Source(gaps, keys="k", timestamp="at")
    filled = tf.Feature(given, pl.col("x").fill_null(strategy="backward"), name="filled", on_duplicate="keep_last")
    hidden = tf.Feature(given, transform=_filled_from_behind, name="hidden", on_duplicate="keep_last")
    report = tf.check_lookahead([filled, hidden])
    assert report.leaky_features == ["filled", "hidden"]


def _filled_from_behind(events: pl.LazyFrame) -> pl.LazyFrame:
    def fill(values: pl.Series) -> pl.Series:
        return values.fill_null(strategy="backward")

    return events.with_columns(pl.col("x").map_batches(fill, return_dtype=pl.Float64))


def test_a_plan_that_looks_ahead_is_not_clean_where_no_row_shows_it() -> None:
    given = tf.Source(pl.DataFrame({"k": [1] * 8, "at": range(8), "x": [1.0] * 8}), keys="k", timestamp="at")
    ahead = tf.Feature(given, pl.col("x").max().over("k"), name="ahead")
    found = tf.check_lookahead(ahead)["ahead"]
    assert found.status == "unchecked"
    assert found.reason.startswith("its plan looks ahead (group-aggregate: ")
    assert found.reason.endswith("though no row differs at 5 cutoffs")
    assert tf.check_lookahead(tf.Feature(given, pl.col("x").cum_max().over("k"), name="f"))["f"].status == "clean"
