"""The packed key of entity and time: its order, its narrow form from footers, and hashes that collide."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from importlib import import_module
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, joined, labels, source, values
from timefence_pl.errors import TimefenceValidationError
from timefence_pl.plan.hints import Hints, hints_of
from timefence_pl.plan.prepare import SortedFrame
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN
from timefence_pl.plan.time_key import (
    KeySpec,
    before,
    entity_at,
    first_key,
    key_column,
    key_spec,
    narrowed,
    pack,
    probe_from,
    rows_of,
    tick_of,
)


def integer_spec() -> KeySpec:
    column = key_column(pl.Int64())
    assert column is not None
    return key_spec([column])


def brute_force(events: pl.DataFrame, given: pl.DataFrame, embargo: int = 0) -> list[int | None]:
    """The last of the entity's values before the label, row by row."""
    found = []
    for key, at in given.select("k", "at").iter_rows():
        known = [
            (t, i, x)
            for i, (k, t, x) in enumerate(events.select("k", "t", "x").iter_rows())
            if k == key and t < at - embargo
        ]
        found.append(max(known)[2] if known else None)
    return found


# --- order -------------------------------------------------------------------------------------------------------------


EXTREMES = [INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX]


def test_keys_sort_by_entity_then_time_to_the_ends_of_64_bits() -> None:
    pairs = sorted((e, t) for e in EXTREMES for t in EXTREMES)
    frame = pl.DataFrame(pairs, schema={"e": pl.Int64, "t": pl.Int64}, orient="row")
    keys = frame.select(key=pack(integer_spec(), pl.col("e"), pl.col("t")))["key"].to_list()
    assert keys == sorted(keys)
    assert len(set(keys)) == len(pairs)


def test_the_tick_of_a_key_is_its_own_entitys_or_null() -> None:
    pairs = [(e, t, o) for e in EXTREMES for t in EXTREMES for o in EXTREMES if e <= o]
    frame = pl.DataFrame(pairs, schema={"e": pl.Int64, "t": pl.Int64, "o": pl.Int64}, orient="row")
    spec = integer_spec()
    ticks = frame.select(tick=tick_of(spec, pack(spec, pl.col("e"), pl.col("t")), first_key(spec, pl.col("o"))))[
        "tick"
    ].to_list()
    assert ticks == [t if e == o else None for e, t, o in pairs]


@pytest.mark.parametrize(
    ("entity", "tick"),
    [((0, 10), (0, 100)), ((-5, 5), (-100, 100)), ((7, 7), (3, 3)), ((0, 2**30), (10**15, 10**15 + 2**31))],
)
def test_narrow_keys_keep_order_and_probes_stay_with_their_entity(
    entity: tuple[int, int], tick: tuple[int, int]
) -> None:
    spec = narrowed(integer_spec(), entity, tick)
    assert spec.narrow is not None
    draw = random.Random(1)
    own = sorted({(draw.randint(*entity), draw.randint(*tick)) for _ in range(60)})
    frame = pl.DataFrame(own, schema={"e": pl.Int64, "t": pl.Int64}, orient="row")
    keys = frame.select(key=pack(spec, pl.col("e"), pl.col("t")))["key"]
    assert keys.dtype == pl.Int64
    assert keys.is_sorted()
    assert keys.n_unique() == len(own)
    near = [*EXTREMES, entity[0] - 1, entity[1] + 1, *entity, tick[0] - 1, tick[1] + 1, *tick]
    asked = sorted(
        {(draw.choice([*near, draw.randint(*entity)]), draw.choice([*near, draw.randint(*tick)])) for _ in range(400)}
    )
    probes = pl.DataFrame(asked, schema={"e": pl.Int64, "t": pl.Int64}, orient="row").select(
        "e", "t", key=probe_from(spec, first_key(spec, pl.col("e")), pl.col("t"))
    )
    found = probes.join_asof(
        keys.alias("found").to_frame(), left_on="key", right_on="found", coalesce=False, check_sortedness=False
    )
    ticks = found.select(tick_of(spec, pl.col("found"), first_key(spec, pl.col("e")))).to_series().to_list()
    assert ticks == [max((t for e, t in own if e == ae and t <= at), default=None) for ae, at in asked]


@pytest.mark.parametrize("entity", [(0, 10), (-5, 5), (7, 7)])
@pytest.mark.parametrize("tick", [(0, 100), (-100, 27), (3, 3), (10**15, 10**15 + 2**31)])
def test_probes_between_known_ends_find_the_same(entity: tuple[int, int], tick: tuple[int, int]) -> None:
    spec = narrowed(integer_spec(), entity, tick)
    assert spec.narrow is not None
    draw = random.Random(1)
    own = sorted({(draw.randint(*entity), draw.randint(*tick)) for _ in range(60)})
    frame = pl.DataFrame(own, schema={"e": pl.Int64, "t": pl.Int64}, orient="row")
    keys = frame.select(found=pack(spec, pl.col("e"), pl.col("t")))
    room = 1 << spec.narrow.bits
    near = sorted(
        {tick[0] + s * d + o for s in (0, 1, 2) for d in (room, -room, tick[1] - tick[0]) for o in (-1, 0, 1)}
    )
    beside = [e for end in entity for e in (end - 1, end, end + 1)]
    pairs = list(combinations_with_replacement(range(len(near)), 2))
    for entities in ([*EXTREMES, *beside], beside, entity):
        for first, last in draw.sample(pairs, min(60, len(pairs))):
            some = [*near[first : last + 1], *(draw.randint(near[first], near[last]) for _ in range(5))]
            asked = sorted({(e, t) for e in entities for t in some})
            ends = ((asked[0][0], asked[-1][0]), (min(some), max(some)))
            lowest = first_key(spec, pl.col("e"), ends[0])
            probes = pl.DataFrame(asked, schema={"e": pl.Int64, "t": pl.Int64}, orient="row").with_columns(
                key=probe_from(spec, lowest, pl.col("t"), ends[1]), below=before(spec, pl.col("e"), ends[0])
            )
            assert probes.filter(pl.col("e").is_between(*entity))["key"].is_sorted()
            assert probes["below"].is_sorted()
            found = probes.join_asof(keys, left_on="key", right_on="found", coalesce=False, check_sortedness=False)
            ticks = found.select(tick_of(spec, pl.col("found"), lowest)).to_series().to_list()
            assert ticks == [max((t for e, t in own if e == ae and t <= at), default=None) for ae, at in asked]
            rows = keys["found"].search_sorted(probes["below"].fill_null(INT64_MIN), side="right").to_list()
            assert rows == [sum(e < ae for e, _ in own) if ae > INT64_MIN else 0 for ae, _ in asked]


@pytest.mark.parametrize("ranges", [None, ((-3, 7), (-20, 50)), ((INT64_MAX - 9, INT64_MAX - 1), (5, 5))])
def test_the_entity_of_one_key_is_that_of_a_column_of_keys(ranges: Any) -> None:
    """And the probe below its keys, of numbers as of columns."""
    spec = integer_spec() if ranges is None else narrowed(integer_spec(), *ranges)
    assert (spec.narrow is None) == (ranges is None)
    ends = ((INT64_MIN, INT64_MAX), (INT64_MIN, INT64_MAX)) if ranges is None else ranges
    entities, ticks = (
        [n for n in sorted({e[0], e[0] + 1, -1, 0, 1, e[1] - 1, e[1]}) if e[0] <= n <= e[1]] for e in ends
    )
    rows = pl.DataFrame({"e": entities}).join(pl.DataFrame({"t": ticks}), how="cross")
    made = rows.select("e", k=pack(spec, pl.col("e"), pl.col("t")), b=before(spec, pl.col("e")))
    assert [entity_at(spec, k) for k in made["k"]] == list(zip(made["e"], made["b"], strict=True))


@pytest.mark.parametrize("narrow", [True, False])
def test_the_rows_of_some_entities(narrow: bool) -> None:
    draw = random.Random(2)
    entities = [-3, 0, 2, 7] if narrow else [*EXTREMES, 5]
    times = [0, 1, 50] if narrow else EXTREMES
    own = sorted((draw.choice(entities), draw.choice(times)) for _ in range(200))
    spec = narrowed(integer_spec(), (-3, 7), (0, 50)) if narrow else integer_spec()
    assert (spec.narrow is not None) == narrow
    frame = pl.DataFrame(own, schema={"e": pl.Int64, "t": pl.Int64}, orient="row")
    keys = frame.select(pack(spec, pl.col("e"), pl.col("t"))).to_series()
    for size in range(6):
        asked = [draw.choice([*entities, *EXTREMES, 1, 8, -4]) for _ in range(size)]
        rows = rows_of(spec, keys, pl.Series(asked, dtype=pl.Int64))
        assert rows.to_list() == [i for i, (e, _) in enumerate(own) if e in asked]
        assert rows_of(spec, keys.clear(), pl.Series(asked, dtype=pl.Int64)).to_list() == []


@pytest.mark.parametrize(
    ("entity", "tick"),
    [
        ((INT64_MIN, 0), (0, 1)),
        ((0, INT64_MAX), (0, 1)),
        ((0, 1), (INT64_MIN, 0)),
        ((0, 2**31), (0, 2**32)),
        ((-1, INT64_MAX - 1), (0, 0)),
        ((INT64_MIN, INT64_MIN + 5), (0, 1)),
        ((INT64_MAX - 5, INT64_MAX), (0, 1)),
        ((0, 1), (INT64_MIN, INT64_MIN + 5)),
        ((-(2**62), 2**62), (0, 0)),
    ],
)
def test_ranges_that_do_not_fit_stay_wide(entity: tuple[int, int], tick: tuple[int, int]) -> None:
    assert narrowed(integer_spec(), entity, tick).narrow is None


@pytest.mark.parametrize("dtype", [pl.String(), pl.Int128(), pl.Decimal(10, 2), pl.Datetime("us")], ids=str)
def test_hashed_keys_stay_wide(dtype: Any) -> None:
    column = key_column(dtype)
    assert column is not None
    assert narrowed(key_spec([column]), (0, 1), (0, 1)).narrow is None


# --- narrow keys from footers ------------------------------------------------------------------------------------------


def _narrow(path: Path, **options: Any) -> bool:
    """Whether a build from this file uses narrow keys."""
    hints = hints_of(source(path, **options))
    return hints is not None and narrowed(integer_spec(), hints.entity, hints.tick).narrow is not None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("embargo", [None, 3])
def test_narrow_and_wide_keys_match_alike(tmp_path: Path, seed: int, embargo: int | None) -> None:
    draw = random.Random(seed)
    first, last = draw.choice([(0, 9), (-7, 7), (10**12, 10**12 + 30), (-(2**62), -(2**62) + 5)])
    early, late = draw.choice([(0, 40), (-20, 20), (-(2**60), -(2**60) + 50), (2**61, 2**61 + 9)])
    distinct = sorted(
        {(draw.randint(first, last), draw.randint(early, late)) for _ in range(80)}, key=lambda _: draw.random()
    )
    events = pl.DataFrame(distinct, schema={"k": pl.Int64, "t": pl.Int64}, orient="row").with_row_index("x")
    keys = [first - 1, last + 1, INT64_MIN, INT64_MAX, 0, *range(first, last + 1)]
    times = [early - 1, late + 1, late + 2, late + 5, INT64_MIN, INT64_MAX, *range(early, late + 1)]
    rows = [(draw.choice(keys), draw.choice(times)) for _ in range(300)]
    given = pl.DataFrame(rows, schema={"k": pl.Int64, "at": pl.Int64}, orient="row")
    path = tmp_path / "events.parquet"
    events.write_parquet(path)
    assert _narrow(path)
    expected = brute_force(events, given, embargo or 0)
    assert any(v is not None for v in expected)
    assert tf.build(labels(given), feature(path, embargo=embargo)).frame()["f__x"].to_list() == expected
    assert tf.build(labels(given), feature(events, embargo=embargo)).frame()["f__x"].to_list() == expected


@pytest.mark.parametrize("dtype", [pl.Int8, pl.Int16, pl.Int32, pl.Int64], ids=str)
def test_every_signed_integer_key_is_narrow(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.cast({"k": dtype}).write_parquet(path)
    assert _narrow(path)
    for other in (pl.Int8, pl.UInt64, pl.Int128):
        assert tf.build(labels(LABELS.cast({"k": other})), feature(path)).frame()["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_times_of_every_unit_are_narrow(tmp_path: Path, unit: Any, zone: str | None) -> None:
    start = datetime(2024, 1, 1)
    times = pl.Series([start + timedelta(days=d) for d in (1, 5, 3)]).cast(pl.Datetime(unit)).dt.replace_time_zone(zone)
    path = tmp_path / "events.parquet"
    EVENTS.with_columns(t=times).write_parquet(path)
    assert _narrow(path)
    at = pl.Series([start + timedelta(days=d) for d in (5, 6, 4, 9)]).dt.replace_time_zone(zone)
    assert tf.build(labels(LABELS.with_columns(at=at)), feature(path)).frame()["f__x"].to_list() == EXPECTED


def test_dates_are_narrow(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.with_columns(t=pl.Series([date(2024, 1, d) for d in (1, 5, 3)])).write_parquet(path)
    given = LABELS.with_columns(at=pl.Series([date(2024, 1, d) for d in (5, 6, 4, 9)]))
    assert _narrow(path)
    assert tf.build(labels(given), feature(path)).frame()["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (EVENTS.cast({"k": pl.UInt64}), {}),
        (EVENTS.cast({"k": pl.String}), {}),
        (EVENTS.cast({"t": pl.UInt64}), {}),
        (EVENTS.with_columns(a=pl.col("t")), {"available_at": "a"}),
        (EVENTS.with_columns(p=pl.col("k")), {"keys": ["k", "p"]}),
        (EVENTS, {"keys": []}),
        (EVENTS.with_columns(k=pl.lit(None, pl.Int64)), {}),
        (EVENTS.clear(), {}),
    ],
    ids=["unsigned", "strings", "unsigned times", "available_at", "two keys", "no keys", "all null", "no rows"],
)
def test_other_sources_are_not(tmp_path: Path, frame: pl.DataFrame, options: dict[str, Any]) -> None:
    path = tmp_path / "events.parquet"
    frame.write_parquet(path)
    assert hints_of(source(path, **options)) is None


def test_hints_cover_all_files(tmp_path: Path) -> None:
    EVENTS.head(1).write_parquet(tmp_path / "a.parquet")
    EVENTS.tail(2).write_parquet(tmp_path / "b.parquet", row_group_size=1)
    assert hints_of(source(tmp_path)) == Hints(entity=(1, 2), tick=(1, 5))
    assert tf.build(labels(), feature(tmp_path)).frame()["f__x"].to_list() == EXPECTED


def test_nulls_are_no_part_of_the_ranges(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    extra = pl.DataFrame({"k": [None, 1], "t": [100, None], "x": [7, 8]})
    pl.concat([EVENTS, extra]).write_parquet(path)
    result = tf.build(labels(), feature(path))
    assert result.frame()["f__x"].to_list() == EXPECTED
    assert result.stats.feature_stats["f"]["dropped_source_rows"] == 2


def test_a_file_without_statistics_stays_wide(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path, statistics=False)
    assert hints_of(source(path)) is None
    assert tf.build(labels(), feature(path)).frame()["f__x"].to_list() == EXPECTED


def test_files_of_other_writers_are_narrow(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(EVENTS.to_arrow(), path)
    assert _narrow(path)
    assert tf.build(labels(), feature(path)).frame()["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize("column", ["k", "t"])
@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_footer_that_is_wrong(tmp_path: Path, column: str, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    path, output = tmp_path / "events.parquet", tmp_path / "set.parquet"
    EVENTS.write_parquet(path)
    lying = Hints(entity=(1, 1), tick=(1, 5)) if column == "k" else Hints(entity=(1, 2), tick=(1, 4))
    monkeypatch.setattr("timefence_pl.plan.training_set.hints_of", lambda _source: lying)
    monkeypatch.setattr(import_module("timefence_pl.build"), "choose_engine", lambda *_args, **_options: engine)
    if engine == "in-memory":  # the rows themselves tell their ranges
        assert tf.build(labels(), feature(path), output).frame()["f__x"].to_list() == EXPECTED
        return
    with pytest.raises(TimefenceValidationError, match=r"1 source row\(s\) have a key or time outside the range"):
        tf.build(labels(), feature(path), output)
    assert not output.exists()


def test_a_footer_that_is_wrong_and_rows_that_fit_no_narrow_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.with_columns(pl.col("k") * 2**61).write_parquet(path)
    lying = Hints(entity=(1, 1), tick=(1, 4))
    monkeypatch.setattr("timefence_pl.plan.training_set.hints_of", lambda _source: lying)
    monkeypatch.setattr(import_module("timefence_pl.build"), "choose_engine", lambda *_args, **_options: "streaming")
    at = tf.Labels(pl.DataFrame({"k": [2**61, 2**62], "at": [9, 9]}), keys="k", label_time="at")
    expected = tf.point_in_time(at, feature(path)).collect()
    assert expected["f__x"].null_count() == 0
    assert tf.build(at, feature(path)).frame().equals(expected)


def test_a_flat_column_is_not_taken_for_a_nested_one(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    nested = EVENTS.rename({"k": "a.k"}).with_columns(a=pl.struct(k=pl.Series([None, 99, None], dtype=pl.Int64)))
    nested.write_parquet(path)
    result = tf.build(labels(), feature(path, source_keys="a.k", key_mapping={"k": "a.k"}))
    assert result.frame()["f__x"].to_list() == EXPECTED
    assert result.stats.feature_stats["f"]["dropped_source_rows"] == 0


def test_old_96_bit_timestamps_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    times = pa.array([datetime(2024, 1, d) for d in (1, 5, 3)], pa.timestamp("ns"))
    pq.write_table(
        pa.table({"k": [1, 1, 2], "t": times, "x": [10, 50, 30]}), path, use_deprecated_int96_timestamps=True
    )
    given = LABELS.with_columns(at=pl.Series([datetime(2024, 1, d) for d in (5, 6, 4, 9)]))
    assert tf.build(labels(given), feature(path)).frame()["f__x"].to_list() == EXPECTED


# --- entities far apart ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["strict", "inclusive"])
@pytest.mark.parametrize(("own", "other"), [(INT64_MIN, INT64_MAX), (INT64_MAX, INT64_MIN), (-2, INT64_MAX), (-1, 0)])
def test_another_entity_never_joins_however_far(own: int, other: int, join: Any) -> None:
    events = pl.DataFrame({"k": [own] * 2, "t": [INT64_MIN, INT64_MAX - 1], "x": [1, 2]})
    given = labels(
        pl.DataFrame({"k": [own, other, own, other], "at": [INT64_MAX, INT64_MAX, INT64_MIN + 1, INT64_MIN]})
    )
    assert values(given, feature(events), join=join, feature_times=True) == [2, None, 1, None]


# --- hashes ------------------------------------------------------------------------------------------------------------


TEXT_EVENTS = EVENTS.cast({"k": pl.String})
TEXT_LABELS = LABELS.cast({"k": pl.String})


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_colliding_hashes_do_not_mix_entities(monkeypatch: pytest.MonkeyPatch, bits: int, seed: int) -> None:
    monkeypatch.setattr("timefence_pl.plan.time_key.HASH_BITS", bits)
    draw = random.Random(seed)
    names = [f"user {i}" for i in range(12)]
    distinct = sorted({(draw.choice(names), draw.randint(0, 20)) for _ in range(60)}, key=lambda _: draw.random())
    events = pl.DataFrame(distinct, schema={"k": pl.String, "t": pl.Int64}, orient="row").with_row_index("x")
    rows = [(draw.choice([*names, "nobody"]), draw.randint(-1, 22)) for _ in range(120)]
    given = pl.DataFrame(rows, schema={"k": pl.String, "at": pl.Int64}, orient="row")
    expected = brute_force(events, given)
    assert values(labels(given), feature(events)) == expected
    assert values(labels(given), feature(events, embargo=2)) == brute_force(events, given, 2)


def test_colliding_hashes_leave_statistics_and_feature_times_right(monkeypatch: pytest.MonkeyPatch) -> None:
    given, one = labels(TEXT_LABELS), feature(TEXT_EVENTS, embargo=1, max_lookback=4)
    expected = tf.build(given, one, feature_times=True)
    monkeypatch.setattr("timefence_pl.plan.time_key.HASH_BITS", 1)
    found = tf.build(given, feature(TEXT_EVENTS, embargo=1, max_lookback=4), feature_times=True)
    assert found.frame().equals(expected.frame())
    assert found.stats.feature_stats == expected.stats.feature_stats
    assert found.stats.feature_stats["f"]["matched"] > 0


def test_colliding_hashes_are_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timefence_pl.plan.time_key.HASH_BITS", 1)
    events = pl.DataFrame({"k": list("abcdefgh"), "t": [1] * 8, "x": list(range(8))})
    given = labels(pl.DataFrame({"k": list("hgfedcba"), "at": [2] * 8}))
    assert values(given, feature(events)) == list(range(8))[::-1]
    twice = pl.concat([events, pl.DataFrame({"k": ["c"], "t": [1], "x": [9]})])
    assert values(given, feature(twice, on_duplicate="keep_last")) == [7, 6, 5, 4, 3, 9, 1, 0]
    assert values(given, feature(twice, on_duplicate="keep_first")) == [7, 6, 5, 4, 3, 2, 1, 0]
    with pytest.raises(tf.TimefenceDuplicateError, match="1 label row"):
        tf.build(given, feature(twice))


def test_colliding_hashes_are_explained_by_their_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timefence_pl.plan.time_key.HASH_BITS", 1)
    events = pl.DataFrame({"k": list("abcdefgh"), "t": [1] * 8, "x": list(range(8))})
    row = tf.explain(labels(pl.DataFrame({"k": ["f"], "at": [2]})), feature(events)).row(0)["f"]
    assert row.chosen is not None
    assert row.chosen.values == {"x": 5}
    assert row.entity_rows == 1


def test_composite_keys_depend_on_the_order_of_their_values() -> None:
    events = pl.DataFrame({"a": [1, 2, 1, 2], "b": [1, 2, 2, 1], "t": [1] * 4, "x": [11, 22, 12, 21]})
    given = labels(pl.DataFrame({"a": [2, 1, 1, 2], "b": [1, 2, 1, 2], "at": [9] * 4}), keys=["a", "b"])
    assert values(given, feature(events, source_keys=["a", "b"])) == [21, 12, 11, 22]
    assert values(given, feature(events, source_keys=["b", "a"])) == [21, 12, 11, 22]


def test_composite_keys_do_not_run_into_each_other() -> None:
    events = pl.DataFrame({"a": ["x", "xy"], "b": ["yz", "z"], "t": [1, 1], "x": [1, 2]})
    given = labels(pl.DataFrame({"a": ["xy", "x", "xyz"], "b": ["z", "yz", ""], "at": [9] * 3}), keys=["a", "b"])
    assert values(given, feature(events, source_keys=["a", "b"])) == [2, 1, None]


def test_labels_keep_their_own_order() -> None:
    draw = random.Random(3)
    rows = [(draw.randint(0, 5), draw.randint(0, 30), i) for i in range(200)]
    given = pl.DataFrame(rows, schema={"k": pl.Int64, "at": pl.Int64, "y": pl.Int64}, orient="row")
    frame = joined(labels(given), [feature(), feature(TEXT_EVENTS.rename({"k": "z"}), name="g", source_keys=[])])
    assert frame["y"].to_list() == list(range(200))


# -- texts of one shape: numbers instead of hashes -------------------------------------------------------------------

SHAPED = ["user-00000001", "user-00000002"]


def _texts(source_keys: list[str], label_keys: list[str | None]) -> tuple[tf.Labels, tf.Feature]:
    rows = {"k": source_keys, "t": range(len(source_keys)), "x": range(len(source_keys))}
    events = tf.Source(pl.DataFrame(rows), keys="k", timestamp="t", name="events")
    at = pl.DataFrame({"k": label_keys, "at": [100] * len(label_keys)}, schema={"k": pl.String, "at": pl.Int64})
    return tf.Labels(at, keys="k", label_time="at"), tf.Feature(events, columns="x", name="f")


@pytest.mark.parametrize(
    ("label_keys", "values", "exact"),
    [
        ([SHAPED[1], SHAPED[0], "user-00000009"], [1, 0, None], True),
        ([SHAPED[1], None], [1, None], True),
        ([SHAPED[1], "item-00000002"], [1, None], False),
        (["item-00000001", "item-00000002"], [None, None], True),
        (["00000001", "00000002"], [None, None], True),
        (["user-0000000a", "user-00000001"], [None, 0], True),
        ([], [], False),
    ],
)
def test_texts_of_one_shape(
    label_keys: list[str | None], values: list[int | None], exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs: list[bool] = []
    original = SortedFrame.at_once

    def spied(self: SortedFrame, *args: Any, **how: Any) -> SortedFrame:
        made = original(self, *args, **how)
        specs.append(made.spec.exact)
        assert ("__tf_hash2" in made.frame.collect_schema()) is not made.spec.exact
        return made

    monkeypatch.setattr(SortedFrame, "at_once", spied)
    assert tf.build(*_texts(SHAPED, label_keys)).frame()["f__x"].to_list() == values
    assert specs == [exact]


def test_kept_frames_have_both_hashes(tmp_path: Path) -> None:
    labels, feature = _texts(SHAPED, [SHAPED[1]])
    store = tf.Store(tmp_path / "store")
    tf.build(labels, feature, store=store)
    others, _ = _texts(SHAPED, ["item-00000002", "user-1", SHAPED[0]])
    result = tf.build(others, feature, store=store)
    assert result.manifest["features"]["f"]["cached"]
    assert result.frame()["f__x"].to_list() == [None, None, 0]


@pytest.mark.parametrize("values", [[[1], [2], [3], [4]], [{"a": n} for n in range(4)], [None] * 4])
def test_collisions_with_values_of_any_type(values: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timefence_pl.plan.time_key.HASH_BITS", 1)
    events = pl.DataFrame({"k": list("abcd"), "t": [1] * 4, "x": values})
    asked = tf.Labels(events.select("k", T=pl.lit(3)), keys="k", label_time="T")
    one = tf.Feature(tf.Source(events, keys="k", timestamp="t"), columns="x", name="f")
    assert tf.point_in_time(asked, one).collect()["f__x"].to_list() == values
    assert tf.build(asked, one).frame()["f__x"].to_list() == values
