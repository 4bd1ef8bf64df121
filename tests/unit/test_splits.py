"""Splits: half-open, in the label's zone, disjoint, purged, with names that stay in the folder."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, labels, source
from timefence_pl.errors import TimefenceConfigError
from timefence_pl.plan.ticks import clock_of
from timefence_pl.splits import Split, make_splits

NAIVE = pl.Datetime("us")
BERLIN = pl.Datetime("us", "Europe/Berlin")
DAYS = pl.DataFrame({"k": [1] * 4, "at": [datetime(2024, 1, d) for d in (1, 2, 3, 4)]})
EVENT = pl.DataFrame({"k": [1], "t": [datetime(2023, 12, 31)], "x": [1]})


def made(splits: Any, purge: Any = None, dtype: Any = NAIVE) -> list[Split]:
    clock = clock_of(dtype)
    assert clock is not None
    return make_splits(splits, purge, clock)


def instants(splits: Any, dtype: Any = NAIVE) -> tuple[int, int]:
    (split,) = made(splits, dtype=dtype)
    return split.instants


def built(splits: Any, frame: pl.DataFrame = DAYS, purge: Any = None, **options: Any) -> tf.BuildResult:
    zone = getattr(frame.schema["at"], "time_zone", None)
    events = EVENT.with_columns(pl.col("t").dt.replace_time_zone(zone))
    return tf.build(labels(frame), feature(events), splits=splits, purge=purge, **options)


# --- intervals ---------------------------------------------------------------------------------------------------------


def test_splits_are_half_open() -> None:
    result = built({"train": ("2024-01-01", "2024-01-03"), "test": ("2024-01-03", "2024-01-05")})
    assert dict(result.stats.split_rows) == {"train": 2, "test": 2}
    assert result.stats.unassigned_rows == 0
    assert result.stats.row_count == 4


def test_splits_are_ordered_by_start() -> None:
    names = [s.name for s in made({"b": ("2024-01-03", "2024-01-05"), "a": ("2024-01-01", "2024-01-03")})]
    assert names == ["a", "b"]


@pytest.mark.parametrize(
    "bound",
    [
        "2024-01-01",
        "20240101",
        "2024-01-01T00:00",
        "2024-01-01 00:00:00",
        "2024-01-01T00:00:00.000000",
        date(2024, 1, 1),
        datetime(2024, 1, 1),
        pd.Timestamp("2024-01-01"),
    ],
    ids=repr,
)
def test_bounds_are_strings_dates_or_datetimes(bound: Any) -> None:
    start, _ = instants({"a": (bound, "2025-01-01")})
    assert start == 1_704_067_200_000_000_000


@pytest.mark.parametrize(
    ("bound", "nanoseconds"),
    [
        ("2024-01-01T00:00:00.000000001", 1),
        ("2024-01-01T00:00:00.0000001", 100),
        ("2024-01-01T00:00:00.123456789", 123_456_789),
        ("2024-01-01T00:00:00.5", 500_000_000),
        (pd.Timestamp("2024-01-01T00:00:00.000000001"), 1),
    ],
    ids=repr,
)
def test_bounds_are_read_to_the_nanosecond(bound: Any, nanoseconds: int) -> None:
    start, _ = instants({"a": (bound, "2025-01-01")}, pl.Datetime("ns"))
    assert start == 1_704_067_200_000_000_000 + nanoseconds


def test_a_bound_between_two_label_ticks_starts_at_the_next() -> None:
    (split,) = made({"a": ("1970-01-01T00:00:00.000001", "1970-01-01T00:00:00.001001")}, dtype=pl.Datetime("ms"))
    assert (split.start, split.end) == (1, 2)
    (split,) = made({"a": ("1970-01-01T12:00", "1970-01-02T12:00")}, dtype=pl.Date())
    assert (split.start, split.end) == (1, 2)


@pytest.mark.parametrize(
    "bound",
    ["2024-13-01", "2024-02-30", "soon", "", " 2024-01-01", "01.01.2024", None, 5, 1.5, True, b"2024-01-01", ["2024"]],
    ids=repr,
)
def test_other_bounds_are_refused_with_the_split_and_the_way_out(bound: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"Bound .* of split 'a' cannot be read(.|\n)*Use "):
        made({"a": ("2024-01-01", bound)})
    with pytest.raises(TimefenceConfigError, match="Bound .* of split 'a' cannot be read"):
        made({"a": (bound, "2024-01-01")})


@pytest.mark.parametrize("bounds", ["2024-01-01", ("2024-01-01",), ("a", "b", "c"), None, 5, {"start": "2024-01-01"}])
def test_a_split_is_a_start_and_an_end(bounds: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"Split 'a' is .*, not a start and an end"):
        made({"a": bounds})


@pytest.mark.parametrize("bounds", [("2024-01-01", "2024-01-01"), ("2024-01-02", "2024-01-01")])
def test_an_empty_split_is_refused(bounds: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="Split 'a' is empty: its start .* is not before its end"):
        made({"a": bounds})


@pytest.mark.parametrize("splits", [{}, [], [("a", ("2024-01-01", "2024-01-02"))], "train", 5])
def test_splits_are_a_mapping(splits: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="splits=.* is not a mapping"):
        made(splits)


def test_no_splits_are_no_splits() -> None:
    assert made(None) == []
    assert built(None).stats.split_rows == {}


@pytest.mark.parametrize("second", ["2024-01-02T23:59:59.999999", "2024-01-01", "2023-01-01"])
def test_overlapping_splits_are_refused(second: str) -> None:
    wanted = r"Splits '.' and '.' overlap(.|\n)*trained on and evaluated on"
    with pytest.raises(TimefenceConfigError, match=wanted):
        built({"a": ("2024-01-01", "2024-01-03"), "b": (second, "2024-01-05")})


def test_a_split_inside_another_is_refused_whatever_their_order() -> None:
    with pytest.raises(TimefenceConfigError, match="overlap"):
        made({"c": ("2024-01-02", "2024-01-03"), "a": ("2024-01-01", "2024-01-05"), "b": ("2024-01-06", "2024-01-07")})


# --- zones -------------------------------------------------------------------------------------------------------------


def test_bounds_are_read_in_the_labels_zone() -> None:
    utc = [
        datetime(2023, 12, 31, 22, 59, tzinfo=UTC),
        datetime(2023, 12, 31, 23, tzinfo=UTC),
        datetime(2024, 1, 1, 22, 59, tzinfo=UTC),
    ]
    frame = pl.DataFrame({"k": [1] * 3, "at": utc}).with_columns(pl.col("at").dt.convert_time_zone("Europe/Berlin"))
    result = built({"a": ("2024-01-01", "2024-01-02"), "before": ("2023-12-01", "2024-01-01")}, frame)
    assert dict(result.stats.split_rows) == {"before": 1, "a": 2}


@pytest.mark.parametrize(
    "bound",
    [
        "2023-12-31T23:00:00+00:00",
        "2023-12-31T23:00:00Z",
        "2024-01-01T00:00:00+01:00",
        datetime(2023, 12, 31, 23, tzinfo=UTC),
        datetime(2024, 1, 1, 4, tzinfo=timezone(timedelta(hours=5))),
        "2024-01-01",
    ],
    ids=repr,
)
def test_aware_bounds_are_instants(bound: Any) -> None:
    start, _ = instants({"a": (bound, "2025-01-01")}, BERLIN)
    assert start == 1_704_063_600_000_000_000


@pytest.mark.parametrize(
    "bound", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00+01:00", datetime(2024, 1, 1, tzinfo=UTC)]
)
def test_aware_bounds_do_not_fit_naive_labels(bound: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="has no time zone"):
        made({"a": (bound, "2025-01-01")})
    with pytest.raises(TimefenceConfigError, match="has no time zone"):
        made({"a": (bound, "2025-01-01")}, dtype=pl.Date())


def test_days_of_a_clock_change_keep_their_own_length() -> None:
    spring, _ = instants({"a": ("2024-03-31", "2024-04-01")}, BERLIN)
    _, after = instants({"a": ("2024-03-31", "2024-04-01")}, BERLIN)
    assert after - spring == 23 * 3_600_000_000_000
    autumn = instants({"a": ("2024-10-27", "2024-10-28")}, BERLIN)
    assert autumn[1] - autumn[0] == 25 * 3_600_000_000_000


def test_a_bound_in_the_hour_that_is_skipped_is_refused() -> None:
    with pytest.raises(
        TimefenceConfigError, match=r"'2024-03-31T02:30'(.|\n)*does not exist in the label's zone(.|\n)*Europe/Berlin"
    ):
        made({"a": ("2024-03-31T02:30", "2025-01-01")}, dtype=BERLIN)


def test_a_bound_in_the_hour_that_comes_twice_is_its_first() -> None:
    start, _ = instants({"a": ("2024-10-27T02:30", "2025-01-01")}, BERLIN)
    assert start == instants({"a": ("2024-10-27T00:30Z", "2025-01-01")}, BERLIN)[0]


# --- integers ----------------------------------------------------------------------------------------------------------


def test_integer_labels_have_integer_splits() -> None:
    result = tf.build(labels(), feature(), splits={"a": (0, 6), "b": (6, 10)}, purge=1)
    assert dict(result.stats.split_rows) == {"a": 1, "b": 2}
    assert result.stats.purged_rows == 1


@pytest.mark.parametrize("bound", ["0", 0.0, False, None, date(2024, 1, 1)], ids=repr)
def test_integer_labels_have_no_other_bounds(bound: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"Bound .* of split 'a' cannot be read(.|\n)*give an integer"):
        made({"a": (bound, 10)}, dtype=pl.Int64())


@pytest.mark.parametrize("dtype", [pl.Int64(), pl.UInt64()], ids=str)
def test_integer_bounds_may_lie_outside_the_columns_range(dtype: Any) -> None:
    frame = pl.DataFrame({"k": [1] * 3, "at": pl.Series([0, 5, 2**63 - 1], dtype=dtype)})
    result = tf.build(labels(frame), feature(), splits={"a": (-(10**40), 5), "b": (5, 10**40)})
    assert dict(result.stats.split_rows) == {"a": 1, "b": 2}


# --- gaps, leftovers, names --------------------------------------------------------------------------------------------


def test_a_gap_between_splits_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="gap|no split") as caught:
        result = built({"a": ("2024-01-01", "2024-01-02"), "b": ("2024-01-03", "2024-01-05")})
    texts = [str(w.message) for w in caught]
    assert texts[0].startswith("There is a gap between the splits 'a' (to 2024-01-02) and 'b' (from 2024-01-03)")
    assert texts[1] == "1 of 4 rows are in no split; the main output keeps them."
    assert {Path(w.filename).name for w in caught} == {Path(__file__).name}
    assert result.stats.unassigned_rows == 1
    assert result.stats.row_count == 4


def test_splits_narrower_than_the_labels_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="3 of 4 rows are in no split"):
        assert built({"a": ("2024-01-01", "2024-01-02")}).stats.unassigned_rows == 3


def test_a_null_label_time_is_in_no_split() -> None:
    frame = DAYS.with_columns(at=pl.when(pl.col("at") > datetime(2024, 1, 1)).then("at"))
    with pytest.warns(UserWarning, match="1 of 4 rows are in no split"):
        result = built({"a": ("2024-01-01", "2024-01-05")}, frame)
    assert dict(result.stats.split_rows) == {"a": 3}


def test_no_labels_are_in_no_split() -> None:
    result = built({"a": ("2024-01-01", "2024-01-05")}, DAYS.clear())
    assert (dict(result.stats.split_rows), result.stats.unassigned_rows) == ({"a": 0}, 0)


@pytest.mark.parametrize("name", ["train", "2024", "a-b", "a_b", "a.b", "A", "x" * 128])
def test_names_of_letters_digits_and_marks_are_accepted(name: str) -> None:
    assert made({name: ("2024-01-01", "2024-01-02")})[0].name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "a\\b",
        "/etc/x",
        ".a",
        "..",
        "-a",
        "a b",
        "ä",
        "a\n",
        "a\0",
        "x" * 129,
        "~",
        "*",
        5,
        None,
        ("a",),
    ],
    ids=repr,
)
def test_names_that_could_escape_the_folder_are_refused(name: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"is not a valid split name(.|\n)*part of a file name"):
        made({name: ("2024-01-01", "2024-01-02")})


def test_names_that_are_one_file_on_some_systems_are_refused() -> None:
    with pytest.raises(TimefenceConfigError, match="differ in case only"):
        made({"Test": ("2024-01-01", "2024-01-02"), "test": ("2024-01-02", "2024-01-03")})


# --- purge -------------------------------------------------------------------------------------------------------------


def purged(purge: Any, splits: Any = None, frame: pl.DataFrame = DAYS) -> tuple[dict[str, int], int]:
    splits = splits or {"a": ("2024-01-01", "2024-01-03"), "b": ("2024-01-03", "2024-01-05")}
    result = built(splits, frame, purge)
    assert result.stats.row_count == frame.height
    return dict(result.stats.split_rows), result.stats.purged_rows


@pytest.mark.parametrize(
    ("purge", "expected"),
    [
        (None, ({"a": 2, "b": 2}, 0)),
        ("0d", ({"a": 2, "b": 2}, 0)),
        (0, ({"a": 2, "b": 2}, 0)),
        ("23h59m", ({"a": 2, "b": 2}, 0)),
        ("1d", ({"a": 1, "b": 2}, 1)),
        (timedelta(days=1), ({"a": 1, "b": 2}, 1)),
        ("1d23h59m59s999ms999us999ns", ({"a": 1, "b": 2}, 1)),
        ("2d", ({"a": 0, "b": 2}, 2)),
        ("9999w", ({"a": 0, "b": 2}, 2)),
    ],
)
def test_rows_nearer_than_the_purge_to_the_next_split_are_dropped(purge: Any, expected: Any) -> None:
    assert purged(purge) == expected


def test_every_earlier_split_is_purged() -> None:
    splits = {
        "c": ("2024-01-03", "2024-01-05"),
        "a": ("2024-01-01", "2024-01-02"),
        "b": ("2024-01-02", "2024-01-03"),
    }
    assert purged("36h", splits) == ({"a": 0, "b": 0, "c": 2}, 2)


def test_a_purge_counts_from_the_bound_not_from_the_first_tick() -> None:
    frame = DAYS.with_columns(pl.col("at").cast(pl.Date))
    splits = {"a": ("2024-01-01", "2024-01-02T12:00"), "b": ("2024-01-02T12:00", "2024-01-05")}
    assert purged("12h", splits, frame) == ({"a": 1, "b": 2}, 1)
    assert purged("11h", splits, frame) == ({"a": 2, "b": 2}, 0)


def test_a_purge_across_a_clock_change_is_elapsed_time() -> None:
    hours = pl.datetime_range(datetime(2024, 3, 30, 22), datetime(2024, 3, 31, 22), "1h", time_zone="UTC", eager=True)
    frame = pl.DataFrame({"k": [1] * len(hours), "at": hours}).with_columns(
        pl.col("at").dt.convert_time_zone("Europe/Berlin")
    )
    splits = {"a": ("2024-03-30", "2024-04-01"), "b": ("2024-04-01", "2024-04-02")}
    counts, dropped = purged("24h", splits, frame)
    assert (counts["a"], dropped) == (0, 24)
    assert counts["b"] == 1


@pytest.mark.parametrize("purge", ["-1d", "", "1mo", 1.5, True])
def test_a_purge_is_a_duration(purge: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="purge=.* is not a duration"):
        made({"a": ("2024-01-01", "2024-01-02")}, purge)


@pytest.mark.parametrize(
    ("purge", "dtype", "bounds"), [(5, NAIVE, ("2024-01-01", "2024-01-02")), ("1d", pl.Int64(), (0, 1))]
)
def test_a_purge_fits_the_label_time(purge: Any, dtype: Any, bounds: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="purge=.* does not fit the label time"):
        made({"a": bounds}, purge, dtype)


def test_a_purge_without_splits_is_refused() -> None:
    with pytest.raises(TimefenceConfigError, match="purge= is given without splits="):
        made(None, "1d")


# --- files -------------------------------------------------------------------------------------------------------------


READ = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ndjson": pl.read_ndjson, "arrow": pl.read_ipc}


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "streamed"])
def test_each_split_is_a_file_beside_the_output(suffix: str, tmp_path: Path, *, lazy: bool) -> None:
    splits = {"a": ("2024-01-01", "2024-01-03"), "b": ("2024-01-03", "2024-01-05")}
    given = feature(EVENT.lazy() if lazy else EVENT)
    result = tf.build(labels(DAYS), given, tmp_path / f"set.{suffix}", splits=splits, purge="1d")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"set.{suffix}", f"set_a.{suffix}", f"set_b.{suffix}"]
    assert {n: Path(p).name for n, p in result.splits.items()} == {"a": f"set_a.{suffix}", "b": f"set_b.{suffix}"}
    heights = {n: READ[suffix](p).height for n, p in result.splits.items()}
    assert heights == {"a": 1, "b": 2} == dict(result.stats.split_rows)
    assert READ[suffix](tmp_path / f"set.{suffix}").height == 4
    assert result.validate()


def test_splits_after_a_skip_hold_the_rows_that_stayed(tmp_path: Path) -> None:
    frame = DAYS.with_columns(k=pl.Series([1, 2, 2, 1]))
    splits = {"a": ("2024-01-01", "2024-01-03"), "b": ("2024-01-03", "2024-01-05")}
    result = tf.build(labels(frame), feature(EVENT), tmp_path / "set.parquet", splits=splits, on_missing="skip")
    assert dict(result.stats.split_rows) == {"a": 1, "b": 1}
    assert result.frame()["at"].to_list() == [datetime(2024, 1, 1), datetime(2024, 1, 4)]


def test_the_join_runs_once_for_all_splits(tmp_path: Path) -> None:
    runs = []

    def counted(frame: pl.DataFrame) -> pl.DataFrame:
        runs.append(frame.height)
        return frame

    given = tf.Feature(source(EVENT), transform=lambda events: events.map_batches(counted), name="f")
    splits = {"a": ("2024-01-01", "2024-01-03"), "b": ("2024-01-03", "2024-01-05")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tf.build(labels(DAYS), given, tmp_path / "set.parquet", splits=splits)
    assert runs == [1]
