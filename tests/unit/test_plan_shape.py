"""What a plan does not do twice, and does not read: sorts, merges and columns, counted in Polars' own plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, LABELS, feature, labels, source

EMPTY = pl.QueryOptFlags.none()


def text(features: Any, given: tf.Labels | None = None, **options: Any) -> str:
    lazy = tf.point_in_time(given or labels(), features, **options)
    return lazy.explain()


def merges(plan: str) -> int:
    return len(re.findall(r"^\s*ASOF JOIN", plan, re.MULTILINE))


def shared(plan: str, pattern: str) -> int:
    """Matches of a pattern, each part of the plan that is cached under one id counted once."""
    lines, seen, count, skipped_to = plan.splitlines(), set(), 0, -1
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if skipped_to >= 0:
            if depth > skipped_to:
                continue
            skipped_to = -1
        cache = re.search(r"CACHE\[id: ([^\]]+)", line)
        if cache:
            if cache[1] in seen:
                skipped_to = depth
                continue
            seen.add(cache[1])
        count += bool(re.search(pattern, line))
    return count


def of_one_source(number: int, **options: Any) -> list[tf.Feature]:
    one = source(EVENTS)
    return [tf.Feature(one, (pl.col("x") * i).alias("x"), name=f"f{i}", **options) for i in range(number)]


@pytest.mark.parametrize("number", [1, 2, 20])
def test_features_of_one_source_share_one_sort_and_one_merge(number: int) -> None:
    plan = text(of_one_source(number))
    assert merges(plan) == 1
    assert shared(plan, r"^\s*DF \[\"k\", \"t\", \"x\"") == 1


def test_features_of_equal_sources_share_too(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    plan = text([feature(path, name="a"), feature(path, name="b")])
    assert merges(plan) == 1
    assert plan.count("Parquet SCAN") == 1


def test_bounds_after_the_merge_do_not_split_it() -> None:
    one = source(EVENTS)
    features = [
        tf.Feature(one, columns="x", name="a"),
        tf.Feature(one, columns="x", name="b", max_lookback=5),
        tf.Feature(one, columns="x", name="c", max_staleness=2),
        tf.Feature(one, columns="x", name="d", on_duplicate="keep_last"),
    ]
    assert merges(text(features)) == 1


def test_another_embargo_is_another_merge_over_the_same_sort() -> None:
    one = source(EVENTS)
    features = [tf.Feature(one, columns="x", name=f"f{e}", embargo=e) for e in (0, 1, 2)]
    plan = text(features)
    assert merges(plan) == 3
    assert shared(plan, r"^\s*DF \[\"k\", \"t\", \"x\"") == 1


def test_other_rows_are_another_sort() -> None:
    one = source(EVENTS)
    features = [
        tf.Feature(one, columns="x", name="a"),
        tf.Feature(one, columns="x", name="b", on_duplicate="keep_first"),
    ]
    assert merges(text(features)) == 2
    assert merges(text([feature(name="a"), feature(EVENTS.reverse(), name="b")])) == 2


def test_the_labels_plan_enters_once() -> None:
    given = labels(LABELS.lazy().group_by("k", "at").agg(pl.col("y").first()))
    features = [
        feature(name="a"),
        feature(name="b", embargo=1),
        feature(EVENTS.rename({"k": "z"}), name="c", source_keys=[]),
    ]
    plan = text(features, given)
    assert plan.count("AGGREGATE") >= 1
    assert shared(plan, "AGGREGATE") == 1


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_labels_without_a_row_order_do_not_come_apart(engine: Any) -> None:
    """A ``group_by`` gives its rows in another order each time it runs; every feature must see the same one."""
    rows = pl.DataFrame({"k": list(range(2_000)) * 2, "at": [10] * 4_000})
    events = pl.DataFrame({"k": list(range(2_000)), "t": [1] * 2_000, "x": list(range(2_000))})
    given = labels(rows.lazy().group_by("k").agg(pl.col("at").first()))
    lazy = tf.point_in_time(given, [feature(events, name="a"), feature(events, name="b", embargo=2)])
    for flags in (pl.QueryOptFlags(), EMPTY):
        frame = lazy.collect(engine=engine, optimizations=flags)
        assert frame.height == 2_000
        assert frame["a__x"].equals(frame["k"])
        assert frame["b__x"].equals(frame["k"])


@pytest.mark.parametrize("run", ["explain", "collect"])
def test_columns_that_are_not_used_are_not_read(tmp_path: Path, run: str) -> None:
    path = tmp_path / "wide.parquet"
    EVENTS.with_columns(**{f"u{i}": pl.lit(i) for i in range(50)}).write_parquet(path)
    lazy = tf.point_in_time(labels(), feature(path))
    if run == "explain":
        scan = next(line for line in lazy.explain().splitlines() if "/53 COLUMNS" in line)
        assert re.search(r"\b(\d+)/53 COLUMNS", scan)[1] == "3"  # type: ignore[index]
    assert lazy.collect()["f__x"].to_list() == [10, 50, 30, None]


@pytest.mark.parametrize(
    ("exprs", "options", "read"),
    [
        ((pl.col("x") + pl.col("u1"),), {}, 4),
        ((pl.lit(1),), {}, 2),
        (("x",), {"source_tie_breaker": "u3"}, 4),
        (("x",), {"source_available_at": "u3"}, 4),
        (("x",), {"source_keys": []}, 2),
    ],
)
def test_what_is_used_is_read(tmp_path: Path, exprs: Any, options: dict[str, Any], read: int) -> None:
    path = tmp_path / "wide.parquet"
    EVENTS.with_columns(**{f"u{i}": pl.lit(i) for i in range(9)}).write_parquet(path)
    plan = text(feature(path, *exprs, **options))
    assert f"{read}/12 COLUMNS" in plan


def test_features_that_are_not_asked_for_are_not_computed(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    EVENTS.with_columns(z=pl.col("x")).write_parquet(path)
    features = [feature(path, name="f"), feature(path, "z", name="g")]
    plan = tf.point_in_time(labels(), features).select("k", "f__x").explain()
    assert "3/4 COLUMNS" in plan


def test_filters_of_the_source_reach_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    plan = text(feature(pl.scan_parquet(path).filter(pl.col("x") > 20)))
    assert "SELECTION" in plan


def test_a_row_wise_feature_costs_no_sort_by_time() -> None:
    by_time = r"SORT BY \[.*col\(\"t\"\)"
    assert not re.search(by_time, text(feature(EVENTS, pl.col("x") * 2)))
    assert re.search(by_time, text(feature(EVENTS, pl.col("x").cum_sum())))


def test_making_a_plan_reads_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        pytest.fail("rows were read")

    def untouched(frame: pl.DataFrame) -> pl.DataFrame:
        pytest.fail("rows were read")
        return frame

    lazy = EVENTS.lazy().map_batches(untouched, schema=EVENTS.schema)
    tf.point_in_time(labels(LABELS.lazy().map_batches(untouched, schema=LABELS.schema)), feature(lazy)).explain()
    tf.explain(labels(LABELS.lazy().map_batches(untouched, schema=LABELS.schema)), feature(lazy))
    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", refuse)
    assert tf.point_in_time(labels(), feature(lazy)).collect_schema().names() == ["k", "at", "y", "f__x"]
