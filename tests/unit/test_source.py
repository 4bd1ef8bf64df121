"""Sources: what they accept, refuse and say of themselves."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, source
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, TimefenceValidationError


def test_what_was_declared_can_be_read_back() -> None:
    given = tf.Source(
        EVENTS,
        keys=["k"],
        timestamp="t",
        name="events",
        available_at="x",
        tie_breaker="k",
        date_known_at="start",
        timestamp_format="%Y",
    )
    assert list(given.keys) == ["k"]
    assert (given.timestamp, given.name, given.available_at) == ("t", "events", "x")
    assert list(given.tie_breaker) == ["k"]
    assert (given.date_known_at, given.timestamp_format) == ("start", "%Y")


def test_defaults() -> None:
    given = tf.Source(EVENTS, keys="k", timestamp="t")
    assert list(given.keys) == ["k"]
    assert (given.available_at, list(given.tie_breaker), given.date_known_at) == (None, [], "end")


@pytest.mark.parametrize("keys", ["k", ["k"], ("k",)])
def test_keys_are_a_name_or_names(keys: Any) -> None:
    assert list(source(keys=keys).keys) == ["k"]


def test_a_source_without_keys_is_a_global_series() -> None:
    assert list(source(keys=[]).keys) == []


@pytest.mark.parametrize("keys", [None, 5, [None], "", [""], {"k"}])
def test_keys_that_are_no_names_are_refused(keys: Any) -> None:
    with pytest.raises(TimefenceValidationError, match="keys=.* of source 'events' are not column names"):
        source(keys=keys)


@pytest.mark.parametrize("argument", ["timestamp", "available_at"])
@pytest.mark.parametrize("value", ["", 5, ["t"]])
def test_times_that_are_no_name_are_refused(argument: str, value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=f"{argument}=.* of source 'events' is not a column name"):
        source(**{argument: value})


def test_keys_and_timestamp_must_be_given() -> None:
    with pytest.raises(TypeError, match="'keys' and 'timestamp'"):
        tf.Source(EVENTS)  # type: ignore[call-arg]


@pytest.mark.parametrize("options", [{"timestamp": "k"}, {"available_at": "k"}])
def test_a_column_is_not_both_key_and_time(options: dict[str, str]) -> None:
    with pytest.raises(TimefenceConfigError, match="uses 'k' both as a key and as a time"):
        source(**options)


def test_a_column_is_not_both_timestamp_and_available_at() -> None:
    with pytest.raises(TimefenceConfigError, match="uses 't' both as timestamp and as available_at"):
        source(available_at="t")


@pytest.mark.parametrize("value", ["middle", None, True, 5])
def test_a_date_is_known_at_its_end_or_start(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"date_known_at=.* is not known(.|\n)*'end', 'start'"):
        source(date_known_at=value)


@pytest.mark.parametrize("value", [5, b"%Y", ["%Y"]])
def test_a_timestamp_format_is_text(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="timestamp_format=.* of source 'events' is not"):
        source(timestamp_format=value)


@pytest.mark.parametrize("value", ["", "a/b", "../x", 5, "a\n"])
def test_a_name_that_could_escape_a_folder_is_refused(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a valid source name"):
        source(name=value)


@pytest.mark.parametrize(
    ("options", "column", "argument", "near"),
    [
        ({"keys": "kk"}, "kk", "keys", "k"),
        ({"keys": ["k", "X"]}, "X", "keys", "x"),
        ({"timestamp": "tt"}, "tt", "timestamp", "t"),
        ({"available_at": "xx"}, "xx", "available_at", "x"),
        ({"tie_breaker": ["x", "xs"]}, "xs", "tie_breaker", "x"),
    ],
)
def test_a_missing_column_is_named_with_its_argument_and_the_nearest(
    options: dict[str, Any], column: str, argument: str, near: str
) -> None:
    wanted = rf"^Source 'events' has no column '{column}' \({argument}\). Did you mean '{near}'\?(.|\n)*'k', 't', 'x'"
    with pytest.raises(TimefenceSchemaError, match=wanted):
        _ = source(**options).schema


def test_nothing_is_read_when_it_is_declared() -> None:
    assert source("nowhere/events.parquet").name == "events"


@pytest.mark.parametrize("attribute", ["name", "keys", "timestamp", "new"])
def test_a_source_is_frozen(attribute: str) -> None:
    given = source()
    with pytest.raises(TimefenceConfigError, match=f"Source is frozen; '{attribute}' cannot be"):
        setattr(given, attribute, "other")
    with pytest.raises(TimefenceConfigError, match="frozen"):
        del given.name
    assert given.name == "events"


def test_its_names_cannot_be_changed_in_place() -> None:
    given = source(tie_breaker=["x"])
    for names in (given.keys, given.tie_breaker):
        assert isinstance(names, tuple)


def test_the_keys_given_may_change_afterwards() -> None:
    names = ["k"]
    given = source(keys=names)
    names.append("x")
    assert list(given.keys) == ["k"]


def test_repr_tells_the_data_and_the_roles() -> None:
    assert repr(source()) == "Source(name='events', data=DataFrame, keys=['k'], timestamp='t')"
    assert repr(source(EVENTS.lazy(), available_at="x")) == (
        "Source(name='events', data=LazyFrame, keys=['k'], timestamp='t', available_at='x')"
    )
    assert "data=a.parquet, b.parquet" in repr(source(["a.parquet", "b.parquet"]))


@pytest.mark.parametrize(
    ("make", "suffix", "kind"), [(tf.ParquetSource, "dat", "parquet"), (tf.CSVSource, "txt", "csv")]
)
def test_the_ancestors_sources_fix_the_format(make: Any, suffix: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"events.{suffix}"
    (EVENTS.write_parquet if kind == "parquet" else EVENTS.write_csv)(path)
    given = make(path, keys="k", timestamp="t")
    assert isinstance(given, tf.Source)
    assert given.name == "events." + suffix or given.name == "events"
    assert given.scan().collect().equals(EVENTS)


# --- string times ------------------------------------------------------------------------------------------------------


def test_string_times_are_read_with_the_format() -> None:
    frame = pl.DataFrame({"k": [1], "t": ["31.12.2023 22:15"], "a": ["01.01.2024 00:00"], "x": ["31.12.2023"]})
    given = source(frame, available_at="a", timestamp_format="%d.%m.%Y %H:%M")
    assert given.schema == pl.Schema({"k": pl.Int64, "t": pl.Datetime("us"), "a": pl.Datetime("us"), "x": pl.String})
    assert str(given.scan().collect()["t"][0]) == "2023-12-31 22:15:00"


def test_a_format_leaves_times_that_are_no_strings_alone() -> None:
    assert source(timestamp_format="%Y").scan().collect().equals(EVENTS)


def test_string_times_without_a_format_are_refused_with_the_way_out() -> None:
    given = source(EVENTS.cast({"t": pl.String}))
    feature = tf.Feature(given, columns="x", name="f")
    with pytest.raises(
        TimefenceSchemaError, match=r"timestamp 't' of source 'events' is String(.|\n)*timestamp_format="
    ):
        tf.point_in_time(tf.Labels(EVENTS, keys="k", label_time="t"), feature)


def test_string_times_that_do_not_fit_the_format_stop_the_build() -> None:
    frame = pl.DataFrame({"k": [1], "t": ["2024-01-01"], "x": [1]})
    given = tf.Feature(source(frame, timestamp_format="%d.%m.%Y"), columns="x", name="f")
    labels = tf.Labels(frame, keys="k", label_time="t", timestamp_format="%Y-%m-%d")
    with pytest.raises(TimefenceSchemaError, match="2024-01-01"):
        tf.build(labels, given)


@pytest.mark.parametrize("checks", [True, False])
def test_texts_of_days_are_dates_known_at_their_end(tmp_path: Path, *, checks: bool) -> None:
    (tmp_path / "days.csv").write_text("k,day,x\n1,01.02.2024,5\n1,02.02.2024,7\n")
    asked = tf.Labels(pl.DataFrame({"k": [1], "T": [datetime(2024, 2, 2, 10)]}), keys="k", label_time="T")
    for end, expected in ((True, 5), (False, 7)):
        days = tf.Source(
            tmp_path / "days.csv",
            keys="k",
            timestamp="day",
            timestamp_format="%d.%m.%Y",
            date_known_at="end" if end else "start",
        )
        assert days.schema["day"] == pl.Date()
        made = tf.point_in_time(asked, tf.Feature(days, columns="x", name="f"), checks=checks).collect()
        assert made["f__x"].to_list() == [expected]


@pytest.mark.parametrize("text", ["02/01/2024 00:00", "02.01.2024", "02-01-2024", "1/2/2024"])
@pytest.mark.parametrize("role", ["timestamp", "available_at", "label_time"])
def test_days_and_months_of_csv_files_are_not_guessed(tmp_path: Path, text: str, role: str) -> None:
    (tmp_path / "t.csv").write_text(f"k,at,known,x\n1,{text},{text},1\n1,,,2\n")
    pl.DataFrame({"k": [1], "at": [datetime(2024, 1, 1)], "known": [datetime(2024, 1, 1)], "x": [1]}).write_parquet(
        tmp_path / "t.parquet"
    )
    path = {r: tmp_path / f"t.{'csv' if r == role else 'parquet'}" for r in ("timestamp", "available_at", "label_time")}
    late = tf.Source(path["available_at"], keys="k", timestamp="at", available_at="known", name="late")
    plain = tf.Source(path["timestamp"], keys="k", timestamp="at", name="plain")
    asked = tf.Labels(path["label_time"], keys="k", label_time="at")
    features = [tf.Feature(s, columns="x", name=s.name) for s in (late, plain)]
    with pytest.raises(tf.TimefenceError, match="Give timestamp_format="):
        tf.build(asked, features)


def test_years_that_come_first_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('k,a,b,c,d,e\n1,2024-01-02,"2024-01-02T03:04:05",2024-01-02 03:04,,2024/01/02\n')
    schema = tf.Source(tmp_path / "t.csv", keys="k", timestamp="a").schema
    assert schema["a"] == pl.Date()
    assert schema["b"] == schema["c"] == pl.Datetime("us")
    assert schema["e"] == pl.Date()


def test_times_of_csv_files_keep_their_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,t,x\n1,2024-01-01T00:00:00.000000900,5\n1,2024-01-01T00:00:00,4\n")
    late = tf.Source(tmp_path / "t.csv", keys="k", timestamp="t")
    assert late.schema["t"] == pl.Datetime("ns")
    at = pl.Series(["2024-01-01T00:00:00.000000500"]).str.to_datetime("%Y-%m-%dT%H:%M:%S%.9f")
    asked = tf.Labels(pl.DataFrame({"k": [1], "T": at}), keys="k", label_time="T")
    assert tf.build(asked, tf.Feature(late, columns="x", name="f")).frame()["f__x"].to_list() == [4]


def test_times_finer_than_their_format_reads_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,t,x\n1,01.02.2024 00:00:00.000000900,5\n1,01.02.2024 00:00:00.5,4\n")
    asked = tf.Labels(pl.DataFrame({"k": [1], "T": [datetime(2025, 1, 1)]}), keys="k", label_time="T")
    cut = tf.Source(tmp_path / "t.csv", keys="k", timestamp="t", timestamp_format="%d.%m.%Y %H:%M:%S%.f")
    with pytest.raises(TimefenceSchemaError, match=r"finer than microseconds: '01.02.2024 00:00:00.000000900'"):
        tf.build(asked, tf.Feature(cut, columns="x", name="f"))
    (tmp_path / "t.csv").write_text("k,t,x\n1,01.02.2024 00:00:00.000001000,5\n1,01.02.2024 00:00:00.5,4\n")
    whole = tf.Source(tmp_path / "t.csv", keys="k", timestamp="t", timestamp_format="%d.%m.%Y %H:%M:%S%.f")
    assert tf.build(asked, tf.Feature(whole, columns="x", name="f")).frame()["f__x"].to_list() == [4]
