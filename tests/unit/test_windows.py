"""Window features at work: exact numbers whatever stands outside the window, availability, and what they share."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.plan import running_totals, window_kernel, window_parts, window_rows, window_spans, windows
from timefence_pl.plan import window_values as of_events
from timefence_pl.plan.hints import hints_of
from timefence_pl.plan.window_events import event_sets, prepare_events, restored_events, stored_events
from timefence_pl.plan.windows import window_bounds, window_strategy

AGGREGATES = {
    "n": pl.len(),
    "sum": pl.col("x").sum(),
    "mean": pl.col("x").mean(),
    "var": pl.col("x").var(),
}


def source(events: pl.DataFrame, **options: Any) -> tf.Source:
    return tf.Source(events, **{"keys": "k", "timestamp": "t", "name": "events", **options})


def labels(rows: pl.DataFrame) -> tf.Labels:
    return tf.Labels(rows, keys="k", label_time="at")


def computed(
    events: tf.Source, rows: pl.DataFrame, aggregates: dict[str, pl.Expr], windows: Any, **options: Any
) -> Any:
    made = tf.Window(events, aggregates, windows=windows, name="w", **options)
    return tf.point_in_time(labels(rows), made).collect()


def random_events(values: list[float], entities: int, seed: int = 0) -> pl.DataFrame:
    r = random.Random(seed)  # noqa: S311
    n = len(values)
    return pl.DataFrame(
        {"k": [r.randrange(entities) for _ in range(n)], "t": [r.randrange(10 * n) for _ in range(n)], "x": values}
    )


def random_labels(count: int, entities: int, last: int, seed: int = 1) -> pl.DataFrame:
    r = random.Random(seed)  # noqa: S311
    return pl.DataFrame(
        {"k": [r.randrange(entities) for _ in range(count)], "at": [r.randrange(last) for _ in range(count)]}
    )


def window_values(events: pl.DataFrame, key: int, at: int, length: int | None) -> list[float]:
    """Values of the entity's events in ``[at - length, at)``, in match order."""
    rows = [
        (t, i, x)
        for i, (k, t, x) in enumerate(events.select("k", "t", "x").iter_rows())
        if k == key and t < at and (length is None or t >= at - length)
    ]
    return [x for _, _, x in sorted(rows, key=lambda row: row[:2])]


REGIMES = {
    "outliers of 1e15 to 1e18 among values near 1": lambda r: (
        r.choice((1e15, -1e18, 1e18)) if r.random() < 0.05 else r.gauss(0, 1)
    ),
    "alternating signs": lambda r: r.choice((1.0, -1.0)) * (1e16 + r.randrange(5)),
    "all magnitudes": lambda r: 10.0 ** r.uniform(-140, 140) * r.choice((1, -1)),
    "tiny beside huge": lambda r: r.choice((1e-150, 1e-140, 1e150)),
    "cents": lambda r: r.randrange(100_000) / 100,
    "mean 1e9, deviation 1e-3": lambda r: 1e9 + r.gauss(0, 1e-3),
    "constant": lambda r: 0.1,
    "zeros": lambda r: r.choice((0.0, 0.0, 0.0, 1.5)),
}


@pytest.mark.parametrize("regime", REGIMES, ids=str)
def test_floats_are_exact_whatever_stands_outside_the_window(regime: str) -> None:
    r = random.Random(7)  # noqa: S311
    values = [REGIMES[regime](r) for _ in range(3_000)]
    events = random_events(values, entities=20)
    rows = random_labels(60, 22, 30_000)
    lengths = (300, 4_000, None)
    found = computed(source(events), rows, AGGREGATES, list(lengths))
    for row in found.iter_rows(named=True):
        for length in lengths:
            suffix = "all" if length is None else length
            inside = window_values(events, row["k"], row["at"], length)
            n, total = len(inside), math.fsum(inside)
            size = math.fsum(map(abs, inside))
            assert row[f"w__n_{suffix}"] == n
            assert abs(row[f"w__sum_{suffix}"] - total) <= 1e-9 * size
            mean, var = row[f"w__mean_{suffix}"], row[f"w__var_{suffix}"]
            assert (mean is None) == (n == 0)
            assert (var is None) == (n < 2)
            if n:
                assert abs(mean - total / n) <= 1e-9 * size / n
            if n > 1:
                exact = [Fraction(*v.as_integer_ratio()) for v in inside]
                middle = sum(exact) / n
                true = sum((v - middle) ** 2 for v in exact) / (n - 1)
                assert abs(Fraction(*var.as_integer_ratio()) - true) <= Fraction(1, 10**9) * true


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (lambda r: r.choice((None, float(r.randrange(-(2**40), 2**40)))), True),
        (lambda r: r.randrange(-1_000, 1_000) / 4, "64"),
        (lambda r: r.random(), "64"),
        (lambda r: math.ldexp(r.randrange(2**20), 900), "64"),
        (lambda r: 0.0, "64"),
        (lambda r: r.randrange(100_000) / 100, "128"),
        (lambda r: r.choice((1.0, 2.0**-80)), "128"),
        (lambda r: r.choice((2.0**300, 2.0**-1000)), "128"),
        (lambda r: r.random() * 2.0 ** r.randrange(30), "128"),
        (lambda r: r.choice((1.0, math.nan)), "128"),
    ],
    ids=["whole", "quarters", "random", "huge", "zero", "cents", "far apart", "vanishing", "many bits", "nan"],
)
def test_values_of_few_bits_have_narrow_totals(value: Any, bits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    r = random.Random(5)
    events = random_events([value(r) for _ in range(2_500)], entities=9)
    rows = random_labels(60, 10, 25_000)
    wide = []
    kept = running_totals.Column._scaled_sum

    def spied(self: Any, *options: Any) -> Any:
        wide.append(options)
        return kept(self, *options)

    monkeypatch.setattr(running_totals.Column, "_scaled_sum", spied)
    monkeypatch.setattr(running_totals, "WORTH", 0)
    monkeypatch.setattr(running_totals, "FREE", 0)
    found = computed(source(events), rows, {"sum": pl.col("x").sum()}, [300, None])
    assert bool(wide) == (bits == "128")
    for row in found.iter_rows(named=True):
        for length, suffix in ((300, "300"), (None, "all")):
            inside = [x for x in window_values(events, row["k"], row["at"], length) if x is not None]
            total = math.fsum(inside)
            if bits == "64":
                assert row[f"w__sum_{suffix}"] == total
            elif not math.isnan(total):
                assert row[f"w__sum_{suffix}"] == pytest.approx(total, rel=1e-9, abs=0.0)


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([10.0 ** (i % 7) for i in range(20_000)], 0.0),
        ([1e9 + (i * 7 % 13) * 1e-3 for i in range(20_000)], 0.0),
        ([math.ldexp(1 + i % 5, 40 * (i % 2)) for i in range(20_000)], 0.0),
        ([1e18 if i % 200 == 0 else (i % 11) - 5.5 for i in range(20_000)], 0.6),
        ([math.nan if i % 2_000 == 0 else i % 7 + 0.25 for i in range(20_000)], 0.2),
    ],
    ids=["seven decades", "large mean", "two scales", "outliers", "rare nan"],
)
def test_totals_answer_all_but_the_windows_that_need_more(
    monkeypatch: pytest.MonkeyPatch, values: list[float], share: float
) -> None:
    asked = []
    kept = window_rows.OwnEvents.aggregate

    def aggregate(self: Any, exprs: Any, which: Any = None, **options: Any) -> Any:
        asked.append(0 if not exprs else len(self.first) if which is None else int(which.sum()))
        return kept(self, exprs, which, **options)

    monkeypatch.setattr(window_rows.OwnEvents, "aggregate", aggregate)
    rows = random_labels(1_000, 40, 200_000)
    computed(source(random_events(values, 40)), rows, AGGREGATES, [20_000, None])
    assert sum(asked) <= share * 2 * rows.height


def test_entities_of_very_different_magnitude_have_scales_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    r = random.Random(3)  # noqa: S311
    events = random_events([0.0] * 20_000, 6)
    events = events.with_columns(
        pl.Series("x", [r.uniform(1, 2) * 10.0 ** (40 * k - 100) for k in events["k"].to_list()])
    )
    rows = random_labels(400, 6, 200_000)
    asked: list[int] = []
    kept = window_rows.OwnEvents.aggregate

    def aggregate(self: Any, exprs: Any, which: Any = None, **options: Any) -> Any:
        asked.append(0 if which is None else int(which.sum()))
        return kept(self, exprs, which, **options)

    monkeypatch.setattr(window_rows.OwnEvents, "aggregate", aggregate)
    found = computed(source(events), rows, AGGREGATES, [50_000])
    assert sum(asked) == 0
    for k, at, total in found.select("k", "at", "w__sum_50000").iter_rows():
        assert total == pytest.approx(math.fsum(window_values(events, k, at, 50_000)), rel=1e-12, abs=0)


def test_what_other_entities_hold_changes_no_bit() -> None:
    r = random.Random(4)  # noqa: S311
    mine = random_events([r.randrange(100_000) / 100 for _ in range(2_000)], entities=30)
    rows = random_labels(300, 30, 20_000)
    made = {
        "sum": pl.col("x").sum(),
        "mean": pl.col("x").mean(),
        "whole": pl.col("x").sum().cast(pl.Int64),
        "spread": (pl.col("x") * pl.col("x")).mean() - pl.col("x").mean() ** 2,
    }
    alone = computed(source(mine), rows, made, [300, None])
    for other in (250_000.37, 1e6, 0.1, 2.0**-30):
        beside = pl.concat([mine, pl.DataFrame({"k": [99] * 50, "t": list(range(50)), "x": [other] * 50})])
        assert computed(source(beside), rows, made, [300, None]).equals(alone)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pl.Int64, [2**63 - 1, -(2**63), 2**63 - 1, 5]),
        (pl.UInt64, [2**64 - 1, 2**63, 1, 5]),
        (pl.Int32, [2**31 - 1, 2**31 - 1, 1, 5]),
        (pl.UInt32, [2**32 - 1, 7, 1, 5]),
        (pl.Int128, [2**127 - 1, -(2**127), 1, 5]),
        (pl.UInt128, [2**128 - 1, 2**127, 1, 5]),
        (pl.Int8, [127, 127, -128, 5]),
        (pl.UInt8, [255, 255, 1, 5]),
    ],
    ids=str,
)
def test_integers_overflow_as_polars_do(dtype: Any, values: list[int]) -> None:
    events = pl.DataFrame({"k": [1] * 4, "t": [1, 2, 3, 4], "x": pl.Series(values, dtype=dtype)})
    rows = pl.DataFrame({"k": [1] * 5, "at": [1, 2, 3, 4, 5]})
    found = computed(source(events), rows, {"sum": pl.col("x").sum(), "mean": pl.col("x").mean()}, [2, None])
    for at in range(1, 6):
        for suffix, first in (("2", max(at - 2, 1)), ("all", 1)):
            inside = events.filter(pl.col("t").is_between(first, at - 1))
            row = found.filter(pl.col("at") == at)
            wanted = inside.select(pl.col("x").sum())
            assert row[f"w__sum_{suffix}"].dtype == wanted["x"].dtype
            assert row[f"w__sum_{suffix}"].item() == wanted.item()
            exact = inside["x"].to_list()
            size = sum(map(abs, exact)) / max(len(exact), 1)
            mean = row[f"w__mean_{suffix}"].item()
            assert mean == (pytest.approx(sum(exact) / len(exact), rel=0, abs=1e-12 * size) if exact else None)


def test_decimals_that_overflow_raise_as_polars_does() -> None:
    huge = pl.Series(["9" * 38, "9" * 38]).cast(pl.Decimal(38, 0))
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "x": huge})
    rows = pl.DataFrame({"k": [1], "at": [2]})
    assert str(computed(source(events), rows, {"sum": pl.col("x").sum()}, [None])["w__sum_all"].item()) == "9" * 38
    with pytest.raises(pl.exceptions.ComputeError, match="overflow"):
        computed(source(events), rows.with_columns(at=pl.lit(3)), {"sum": pl.col("x").sum()}, [None])


# --- availability ------------------------------------------------------------------------------------------------------


def test_an_event_counts_from_when_it_was_known_and_corrections_do_not_replace() -> None:
    events = pl.DataFrame({"k": [1, 1, 1], "t": [10, 10, 12], "known": [10, 14, 13], "x": [1.0, 100.0, 10.0]})
    rows = pl.DataFrame({"k": [1] * 7, "at": [10, 11, 13, 14, 15, 16, 18]})
    aggregates = {"n": pl.len(), "sum": pl.col("x").sum(), "last": pl.col("x").last(), "first": pl.col("x").first()}
    found = computed(source(events, available_at="known"), rows, aggregates, [5, None])
    assert found["w__n_5"].to_list() == [0, 1, 1, 2, 3, 1, 0]
    assert found["w__sum_5"].to_list() == [0.0, 1.0, 1.0, 11.0, 111.0, 10.0, 0.0]
    assert found["w__last_all"].to_list() == [None, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0]
    assert found["w__first_5"].to_list() == [None, 1.0, 1.0, 1.0, 1.0, 10.0, None]
    assert found["w__n_all"].to_list() == [0, 1, 1, 2, 3, 3, 3]


# --- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("join", "expected"), [("strict", [1, 2, 1, 0]), ("inclusive", [2, 1, 1, 0])])
def test_the_two_ends_of_a_window_are_closed_in_turn(join: Any, expected: list[int]) -> None:
    at = datetime(2024, 1, 10)
    events = pl.DataFrame({"k": [1, 1], "t": [at - timedelta(days=1), at], "x": [1.0, 2.0]})
    rows = pl.DataFrame(
        {"k": [1] * 4, "at": [at, at + timedelta(microseconds=1), at + timedelta(days=1), at + timedelta(days=3)]}
    )
    window = tf.Window(source(events), {"n": pl.len()}, windows=["1d1us"], name="w")
    found = tf.point_in_time(labels(rows), window, join=join).collect()
    assert found["w__n_1d1us"].to_list() == expected


def test_since_last_that_fits_no_64_bits_is_refused() -> None:
    events = pl.DataFrame({"k": [1], "t": pl.Series([-(2**62)], dtype=pl.Int64).cast(pl.Datetime("ns"))})
    rows = pl.DataFrame({"k": [1], "at": pl.Series([2**62], dtype=pl.Int64).cast(pl.Datetime("us"))})
    with pytest.raises(tf.TimefenceSchemaError, match="does not fit 64 bits"):
        computed(source(events), rows, {"since": tf.since_last()}, [None])


def test_errors_name_since_last_as_it_is_written() -> None:
    events = source(pl.DataFrame({"k": [1], "t": [1], "x": [1.0]}))
    with pytest.raises(tf.TimefenceSchemaError, match=r"expression: .*since_last\(\)") as raised:
        tf.Window(events, {"a": tf.since_last() + pl.duration(days=1)}, windows=[3], name="w")
    assert "__tf" not in str(raised.value)


def test_errors_count_the_labels_of_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_parts, "LEAST", 1)
    monkeypatch.setattr(pl, "thread_pool_size", lambda: 4)
    events = pl.DataFrame({"k": [1, 2, 3, 4], "t": [-(2**62)] * 4, "x": [1.0] * 4})
    rows = pl.DataFrame({"k": [1, 2, 3, 4], "at": [2**62 + 1] * 4})
    labels = tf.Labels(rows, keys="k", label_time="at")
    window = tf.Window(source(events), {"since": tf.since_last()}, windows=[None], name="w")
    with pytest.raises(tf.TimefenceSchemaError, match=r"since_last\(\) of 4 label"):
        tf.build(labels, window)
    with pytest.raises(tf.TimefenceSchemaError, match=r"since_last\(\) of 4 label"):
        tf.point_in_time(labels, window).collect()


def test_durations_must_fit_the_times() -> None:
    events = source(pl.DataFrame({"k": [1], "t": [1], "x": [1.0]}))
    rows = labels(pl.DataFrame({"k": [1], "at": [5]}))
    with pytest.raises(tf.TimefenceConfigError, match="windows=1d of window 'w' does not fit its times"):
        tf.point_in_time(rows, tf.Window(events, AGGREGATES, windows=["1d"], name="w"))
    with pytest.raises(tf.TimefenceConfigError, match="embargo=1h of window 'w' does not fit"):
        tf.point_in_time(rows, tf.Window(events, AGGREGATES, windows=[1], name="w", embargo="1h"))


# --- where, empty sides, statistics -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "match"),
    [
        (pl.col("x") > pl.col("x").mean(), "reads several rows"),
        (pl.col("x") + 1, "gives Float64"),
        (pl.col("X") > 1, "which its source does not have. Did you mean 'x'"),
        (pl.col("x") + pl.date(2024, 1, 1), "cannot be computed"),
    ],
)
def test_where_is_a_row_wise_condition(where: pl.Expr, match: str) -> None:
    events = source(pl.DataFrame({"k": [1], "t": [1], "x": [1.0]}))
    with pytest.raises(tf.TimefenceSchemaError, match=match):
        computed(events, pl.DataFrame({"k": [1], "at": [5]}), AGGREGATES, [1], where=where)


@pytest.mark.parametrize("no_events", [True, False])
@pytest.mark.parametrize("no_labels", [True, False])
def test_empty_sides(no_events: bool, no_labels: bool) -> None:
    events = pl.DataFrame({"k": ["a"], "t": [1], "known": [1], "x": [1.0]})
    rows = pl.DataFrame({"k": ["a"], "at": [5]})
    events, rows = events.clear() if no_events else events, rows.clear() if no_labels else rows
    aggregates = {**AGGREGATES, "max": pl.col("x").max(), "list": pl.col("x").implode(), "since": tf.since_last()}
    for known in (None, "known"):
        found = computed(source(events, available_at=known), rows, aggregates, [2, None])
        assert found.height == rows.height
        if not no_labels:
            assert found["w__n_all"].to_list() == [0 if no_events else 1]
            assert found["w__list_2"].to_list() == [[]]


def test_statistics_are_of_the_longest_window() -> None:
    events = pl.DataFrame({"k": [1, 1, 2], "t": [1, 50, 1], "x": [None, 5.0, None]})
    rows = pl.DataFrame({"k": [1, 1, 1, 2, 3, None], "at": [51, 5, 200, 2, 9, 9]})
    window = tf.Window(source(events), {"mean": pl.col("x").mean()}, windows=[3, 10], name="w")
    counts = tf.build(labels(rows), window).stats.feature_stats["w"]
    names = ("matched_value", "null_value", "stale", "too_old", "no_history", "matched", "missing")
    assert [counts[n] for n in names] == [1, 2, 0, 1, 2, 3, 3]
    assert counts["youngest_value"] == 1


def test_feature_times_are_those_of_the_last_event() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [1.0, 2.0]})
    rows = pl.DataFrame({"k": [1, 1, 1], "at": [1, 5, 9]})
    window = tf.Window(source(events), {"n": pl.len()}, windows=[2, 4], name="w")
    found = tf.point_in_time(labels(rows), window, feature_times=True).collect()
    assert found["w__feature_time"].to_list() == [None, 1, 5]


# --- what is shared, stored, narrow -------------------------------------------------------------------------------------


def test_windows_over_the_same_events_share_one_sort() -> None:
    events = source(pl.DataFrame({"k": [1], "t": [1], "x": [1.0]}))
    one = tf.Window(events, {"n": pl.len()}, windows=[1], name="one")
    two = tf.Window(events, {"x": pl.col("x").sum()}, windows=[5], name="two", embargo=1)
    few = tf.Window(events, {"n": pl.len()}, windows=[1], name="few", where=pl.col("x") > 0)
    same = tf.Window(events, {"n": pl.len()}, windows=[1], name="same", where=pl.col("x") > 0)
    assert [[w.name for w in s.windows] for s in event_sets([one, few, two, same])] == [["one", "two"], ["few", "same"]]


def test_many_windows_share_totals_and_hold_few_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[str]] = []
    held: list[int] = []
    sums, look_up = of_events.running_sums, window_kernel.Kernel._look_up

    def running_sums(values: pl.DataFrame) -> pl.DataFrame:
        made.append(values.columns)
        return sums(values)

    def looked_up(self: Any, asked: Any) -> Any:
        found = look_up(self, asked)
        held.append(len(self._found))
        return found

    monkeypatch.setattr(of_events, "running_sums", running_sums)
    monkeypatch.setattr(window_kernel.Kernel, "_look_up", looked_up)
    events = random_events([i % 7 / 4 for i in range(5_000)], entities=3)
    lengths = [1 << i for i in range(16)] + [3 << i for i in range(14)]
    found = computed(
        source(events), random_labels(50, 4, 50_000), {"sum": pl.col("x").sum(), "mean": pl.col("x").mean()}, lengths
    )
    assert made == [["x"]]
    assert max(held) <= window_kernel.AT_ONCE + 2  # one more for the windows' end, one for the longest
    for row in found.iter_rows(named=True):
        for length in lengths:
            assert row[f"w__sum_{length}"] == sum(window_values(events, row["k"], row["at"], length))


def test_features_of_many_windows_share_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[Any] = []
    kept = window_kernel.Kernel._look_up

    def spied(self: Any, asked: Any) -> Any:
        looked_up.extend(found := kept(self, asked))
        return found

    monkeypatch.setattr(window_kernel.Kernel, "_look_up", spied)
    events = source(random_events([1.0] * 500, entities=3))
    features = [
        tf.Window(events, {"n": pl.len()}, windows=[10 * (i + 1) for i in range(12)], name=f"w{j}") for j in range(3)
    ]
    tf.point_in_time(labels(random_labels(50, 4, 5_000)), features).collect()
    assert len(looked_up) == 13


@pytest.mark.parametrize(
    ("aggregate", "goes"), [(pl.col("x").mean(), True), (pl.col("x").median(), False)], ids=["totals", "own events"]
)
def test_positions_are_let_go_where_no_window_reads_its_events(
    aggregate: pl.Expr, goes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[int] = []
    kept = window_spans.Spans.let_go

    def spied(self: Any) -> None:
        kept(self)
        gone.append(sum(map(len, self._starts.values())) + len(self._stop))

    monkeypatch.setattr(window_spans.Spans, "let_go", spied)
    rows = random_labels(50, 4, 5_000)
    computed(source(random_events([1.0] * 500, entities=3)), rows, {"a": aggregate}, [100, None])
    assert set(gone) == ({0} if goes else set())


def test_point_in_time_computes_in_pieces_and_leaves_no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    marked: list[Any] = []
    kept, youngest = windows.side_by_side, window_kernel.Kernel._youngest

    def side_by_side(calls: Any) -> Any:
        pieces.append(len(calls))
        return kept(calls)

    def asked(self: Any, bounds: Any) -> Any:
        marked.append(bounds)
        return youngest(self, bounds)

    monkeypatch.setattr(window_parts, "LEAST", 1)
    monkeypatch.setattr(pl, "thread_pool_size", lambda: 3)
    monkeypatch.setattr(windows, "side_by_side", side_by_side)
    monkeypatch.setattr(window_kernel.Kernel, "_youngest", asked)
    rows = labels(random_labels(50, 9, 5_000))
    window = tf.Window(source(random_events([1.0] * 500, entities=9)), {"n": pl.len()}, windows=[100], name="w")
    found = tf.point_in_time(rows, window).collect()
    assert (pieces, marked) == ([3], [])
    assert found.equals(tf.build(rows, window).frame())
    assert len(marked) == 3


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        (pl.struct(pl.col("x").sum(), pl.len().alias("n")), {"x": 3.0, "n": 2}),
        (pl.struct(pl.col("x").sum() + 1, (pl.col("x").mean() * 2).name.prefix("m_")), {"x": 4.0, "m_x": 3.0}),
        (tf.since_last() // 2, 1),
        (tf.since_last() / 2 + pl.len(), 3.5),
        (pl.max_horizontal(pl.col("x").sum(), pl.len()), 3.0),
    ],
    ids=["struct", "struct of arithmetic", "whole since_last", "since_last and len", "greatest"],
)
@pytest.mark.parametrize("checks", [True, False])
def test_aggregates_made_of_aggregates(aggregate: pl.Expr, expected: Any, checks: bool) -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "x": [1.0, 2.0]})
    window = tf.Window(source(events), {"a": aggregate}, windows=[9], name="w")
    rows = labels(pl.DataFrame({"k": [1], "at": [5]}))
    assert tf.point_in_time(rows, window, checks=checks).collect()["w__a_9"].to_list() == [expected]


@pytest.mark.parametrize("known", [None, "known"])
def test_columns_that_no_window_needs_are_not_read(known: str | None) -> None:
    events = pl.DataFrame({"k": ["a"], "t": [1], "known": [1], "tie": [1], "x": [1.0], "y": [1.0]})
    made = source(events, available_at=known, tie_breaker="tie")
    (rows,) = event_sets([tf.Window(made, {"x": pl.col("x").sum()}, windows=[5], name="w", where=pl.col("y") > 0)])
    unsorted = prepare_events(rows).unsorted
    assert unsorted is not None
    assert unsorted.unkeyed is not None
    read = unsorted.unkeyed.frame.collect_schema().names()
    assert read == ["k", "t", "tie", *([] if known is None else ["known"]), "x"]


@pytest.mark.parametrize("keys", [["k"], ["name"], ["k", "name"], []])
@pytest.mark.parametrize("known", [None, "known"])
def test_stored_events_are_the_same_events(tmp_path: Path, keys: list[str], known: str | None) -> None:
    r = random.Random(5)  # noqa: S311
    events = random_events([r.gauss(0, 1) for _ in range(300)], 5)
    events = events.with_columns(name=pl.col("k").cast(pl.String), known=pl.col("t") + pl.int_range(pl.len()) % 7 * 40)
    made = source(events, keys=keys, available_at=known)
    window = tf.Window(made, AGGREGATES, windows=[100, None], name="w")
    (rows,) = event_sets([window])
    planned = prepare_events(rows)
    file = tmp_path / "events.parquet"
    planned.frame.select(stored_events(planned, window)).collect().write_parquet(file)
    again = restored_events(planned, [pl.scan_parquet(file)], None)
    assert again.frame.collect().equals(planned.frame.collect())


def test_narrow_keys_from_footers_change_nothing(tmp_path: Path) -> None:
    r = random.Random(9)  # noqa: S311
    events = random_events([r.gauss(0, 1) for _ in range(2_000)], 9).with_columns(pl.col("k") - 4)
    rows = random_labels(300, 12, 25_000).with_columns(pl.col("k") - 6, pl.col("at") - 2_000)
    file = tmp_path / "events.parquet"
    events.write_parquet(file)
    read = tf.Source(file, keys="k", timestamp="t", name="events")
    hints = hints_of(read)
    assert hints is not None
    aggregates = {**AGGREGATES, "max": pl.col("x").max(), "since": tf.since_last(), "last": pl.col("x").last()}
    window = tf.Window(read, aggregates, windows=[50, 900, None], name="w", embargo=3)
    (whole,) = event_sets([window])
    assert prepare_events(whole, hints=hints).spec.narrow is not None
    wide = tf.point_in_time(labels(rows), window).collect()
    narrow = tf.build(labels(rows), window).frame()
    assert narrow.equals(wide)


def test_the_strategy_tells_what_each_aggregate_costs() -> None:
    events = source(pl.DataFrame({"k": [1], "t": [1], "x": [1.0]}))
    aggregates = {"sum": pl.col("x").sum(), "top": pl.col("x").max(), "last": pl.col("x").tail(2).implode()}
    window = tf.Window(events, aggregates, windows=[1, 5, None], name="w")
    (rows,) = event_sets([window])
    frame = prepare_events(rows)
    bounds = window_bounds(window, strict=True, integer_times=True)
    strategy, cost = window_strategy(window, bounds, frame, frame.event_clock)
    assert strategy == (
        "sum: running totals and look-ups; top: each window's events, grouped; last: each window's last 2 events"
    )
    assert cost == (
        "sort all events once, then 4 look-ups a label and 1 running total(s) or positions over all events; "
        "every event of every window is read for top, last"
    )


@pytest.mark.parametrize(
    ("expr", "alike"),
    [
        (pl.col("x").max(), True),
        (pl.col("s").str.to_date("%Y-%m-%d").max(), True),
        (pl.col("s").cast(pl.Int64).sum(), True),
        (pl.col("x").tail(2).implode(), True),
        (pl.col("x").sum().over("s").max(), True),
        (pl.col("x").tail(2), False),
        (pl.len(), True),
    ],
    ids=str,
)
def test_what_group_by_computes_alike(expr: pl.Expr, alike: bool) -> None:
    assert window_rows.alike_in_groups(expr, {"x": pl.Float64(), "s": pl.String()}) is alike


def test_windows_stand_beside_features() -> None:
    events = source(pl.DataFrame({"k": [1, 1, 2], "t": [1, 2, 3], "x": [1.0, 2.0, 3.0]}))
    rows = labels(pl.DataFrame({"k": [1, 2, 3], "at": [5, 5, 5]}))
    features = [
        tf.Feature(events, pl.col("x"), name="latest", on_duplicate="keep_last"),
        tf.Window(events, {"n": pl.len()}, windows=[None], name="count"),
    ]
    found = tf.point_in_time(rows, features).collect()
    assert found.drop("k", "at").rows() == [(2.0, 2), (3.0, 1), (None, 0)]
    assert tf.point_in_time(rows, features, on_missing="skip").collect().height == 2
    assert tf.point_in_time(rows, features[1:], on_missing="skip").collect().height == 3
