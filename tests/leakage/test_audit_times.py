"""Audits by feature-time columns: any join mode, embargo, dates and bounds; nothing is rebuilt."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, labels, source

DAY = datetime(2024, 6, 1)


def audit(labels_at: list[Any], known: list[Any], **options: Any) -> tf.FeatureAudit:
    data = pl.DataFrame({"label_time": labels_at, "spend_30d": [1.0] * len(known), "computed_at": known})
    return tf.audit(data, feature_time_columns={"spend_30d": "computed_at"}, **options)["spend_30d"]


def verdicts(labels_at: list[Any], known: list[Any], **options: Any) -> list[str]:
    found = audit(labels_at, known, **options)
    words = dict(found.rows.select("row", pl.col("verdict").cast(pl.String)).iter_rows())
    return [words.get(i, "ok") for i in range(found.total_rows)]


# --- the ancestor's -------------------------------------------------------------------------------------------------------


def test_times_after_the_labels_all_leak() -> None:
    data = pl.DataFrame({"label_time": [DAY] * 100}).with_columns(at=pl.col("label_time") + timedelta(days=5), v=1)
    report = tf.audit(data, feature_time_columns={"v": "at"})
    assert report.mode == "temporal"
    assert report.has_leakage
    assert report["v"].leaky_row_count == 100
    assert report["v"].max_leakage == report["v"].median_leakage == timedelta(days=5)
    assert report["v"].severity == "HIGH"
    with pytest.raises(tf.TimefenceLeakageError):
        report.assert_clean()


def test_times_before_the_labels_are_clean() -> None:
    data = pl.DataFrame({"label_time": [DAY] * 100}).with_columns(at=pl.col("label_time") - timedelta(days=5), v=1)
    report = tf.audit(data, feature_time_columns={"v": "at"}, keys="v")
    assert report.clean
    report.assert_clean()


def test_what_was_built_with_feature_times_audits_clean() -> None:
    window = tf.Window(source(), {"n": pl.len()}, windows=[3, None], name="w")
    for join in ("strict", "inclusive"):
        result = tf.build(labels(), [feature(), window], feature_times=True, join=join)
        columns = {"f__x": "f__feature_time", "w__n_3": "w__feature_time"}
        report = tf.audit(result, feature_time_columns=columns, join=join)
        assert report.clean, str(report)
        if join == "inclusive":
            assert not tf.audit(result, feature_time_columns=columns).clean


# --- bounds ------------------------------------------------------------------------------------------------------------


def test_strict_excludes_the_label_time_itself_and_inclusive_does_not() -> None:
    tick = timedelta(microseconds=1)
    times = [DAY - tick, DAY, DAY + tick]
    assert verdicts([DAY] * 3, times) == ["ok", "future", "future"]
    assert verdicts([DAY] * 3, times, join="inclusive") == ["ok", "ok", "future"]


@pytest.mark.parametrize("embargo", ["1d", timedelta(days=1), {"spend_30d": "1d"}])
def test_an_embargo_moves_the_limit(embargo: Any) -> None:
    day, tick = timedelta(days=1), timedelta(microseconds=1)
    times = [DAY - day - tick, DAY - day, DAY - day + tick]
    assert verdicts([DAY] * 3, times, embargo=embargo) == ["ok", "future", "future"]
    assert verdicts([DAY] * 3, times, embargo=embargo, join="inclusive") == ["ok", "ok", "future"]
    found = audit([DAY], [DAY], embargo=embargo)
    assert found.max_leakage == day
    assert found.bounds == "embargo 1d"


def test_bounds_below_hold_where_they_are_given() -> None:
    times = [DAY - timedelta(days=n) for n in (1, 10, 400)]
    assert verdicts([DAY] * 3, times) == ["ok", "ok", "ok"]
    assert verdicts([DAY] * 3, times, max_lookback="10d") == ["ok", "ok", "stale"]
    assert verdicts([DAY] * 3, times, max_staleness="9d") == ["ok", "stale", "stale"]
    assert verdicts([DAY] * 3, times, max_lookback="500d", max_staleness=timedelta(days=10)) == ["ok", "ok", "stale"]
    stale = audit([DAY], [times[2]], max_lookback="365d")
    assert (stale.clean, stale.leaky, stale.severity) == (False, False, "LOW")


def test_a_date_is_known_when_its_day_is_over() -> None:
    dates = [date(2024, 5, 31), date(2024, 6, 1)]
    assert verdicts([DAY, DAY + timedelta(hours=23)], dates) == ["ok", "future"]
    assert verdicts([DAY, DAY + timedelta(hours=23)], dates, date_known_at="start") == ["ok", "ok"]
    assert verdicts([date(2024, 6, 1)] * 2, dates) == ["ok", "future"]
    assert audit([DAY], [date(2024, 6, 1)]).max_leakage == timedelta(days=1) - timedelta(microseconds=1)


def test_zones_compare_as_instants() -> None:
    known = pl.Series([datetime(2024, 6, 1, 12, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo")
    at = pl.Series([datetime(2024, 6, 1, 13, tzinfo=UTC)]).dt.convert_time_zone("America/New_York")
    data = pl.DataFrame({"label_time": at, "v": [1], "t": known})
    assert tf.audit(data, feature_time_columns={"v": "t"}).clean
    assert not tf.audit(data, feature_time_columns={"v": "t"}, embargo="1h").clean
    assert tf.audit(data, feature_time_columns={"v": "t"}, embargo="1h", join="inclusive").clean


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("other", ["ms", "us", "ns"])
def test_units_mix_exactly(unit: Any, other: Any) -> None:
    at = pl.Series([DAY, DAY]).cast(pl.Datetime(unit))
    known = pl.Series([DAY - timedelta(milliseconds=1), DAY]).cast(pl.Datetime(other))
    data = pl.DataFrame({"label_time": at, "v": [1, 1], "t": known})
    assert tf.audit(data, feature_time_columns={"v": "t"})["v"].counts["future"] == 1


def test_the_ends_of_time_do_not_overflow() -> None:
    ends = pl.Series([-(2**63), 2**63 - 1, 0], dtype=pl.Int64)
    data = pl.DataFrame({"label_time": ends.cast(pl.Datetime("ms")), "t": ends.reverse().cast(pl.Datetime("us"))})
    report = tf.audit(data, feature_time_columns={"v": "t"}, embargo="365d")
    assert report["v"].counts["future"] == 1
    assert report["v"].rows["leakage"].dtype.is_temporal()
    assert str(report)
    assert report.to_html()


def test_integer_times_have_integer_sizes() -> None:
    found = audit([10, 10, 10], [3, 12, 16], embargo=2)
    assert (found.counts["future"], found.max_leakage, found.median_leakage) == (2, 8, 6)
    assert found.severity == "HIGH"
    assert found.rows["leakage"].to_list() == [4, 8]


def test_times_in_text_are_read_by_their_format() -> None:
    assert verdicts(["01.06.2024"], ["02.06.2024"], timestamp_format="%d.%m.%Y") == ["future"]


# --- what is shown, and what is not checked ----------------------------------------------------------------------------


def test_failing_rows_show_keys_times_and_value() -> None:
    data = pl.DataFrame({"u": ["a", "b"], "label_time": [DAY, DAY], "v": [1, 2], "t": [DAY, DAY - timedelta(days=1)]})
    report = tf.audit(data, feature_time_columns={"v": "t"}, keys="u")
    assert report.failing_rows("v").row(0, named=True) == {
        "row": 0,
        "u": "a",
        "label_time": DAY,
        "t": DAY,
        "v": 1,
        "verdict": "future",
        "leakage": timedelta(0),
    }
    assert report["v"].leaky_rows.height == 1


def test_rows_without_a_feature_time_are_counted_and_told() -> None:
    found = audit([DAY, DAY], [None, DAY - timedelta(days=1)])
    assert found.clean
    assert found.null_rows == 1
    assert "1 row(s) have a value but no feature time" in found.notes[0]


def test_rows_without_a_label_time_are_no_clean_rows() -> None:
    found = audit([None, DAY], [DAY, DAY - timedelta(days=1)])
    assert not found.clean
    assert "no label time" in found.problems[0]
    assert audit([None, DAY], [None, DAY - timedelta(days=1)]).clean


@pytest.mark.parametrize("known", [[], [None, None]])
def test_nothing_checked_is_not_clean(known: list[Any]) -> None:
    data = pl.DataFrame(
        {"label_time": [DAY] * len(known), "t": known}, schema={"label_time": pl.Datetime, "t": pl.Datetime}
    )
    report = tf.audit(data, feature_time_columns={"v": "t"})
    assert not report.clean
    assert not report.has_leakage
    assert sum(report.counts.values()) == 0
    with pytest.raises(tf.TimefenceLeakageError):
        report.assert_clean()


def test_files_are_read(tmp_path: Path) -> None:
    data = pl.DataFrame({"label_time": [DAY], "v": [1], "t": [DAY + timedelta(days=1)]})
    data.write_csv(tmp_path / "set.csv")
    assert tf.audit(tmp_path / "set.csv", feature_time_columns={"v": "t"}).has_leakage


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"feature_time_columns": {}}, tf.TimefenceValidationError, "names no column"),
        ({"feature_time_columns": ["t"]}, tf.TimefenceValidationError, "names no column"),
        ({"feature_time_columns": {"v": "gone"}}, tf.TimefenceSchemaError, "no column 'gone'"),
        ({"feature_time_columns": {"t": "v"}}, tf.TimefenceSchemaError, "not a time type"),
        ({"label_time": "gone"}, tf.TimefenceSchemaError, "no column 'gone' .label_time"),
        ({"keys": "gone"}, tf.TimefenceSchemaError, "no column 'gone' .keys"),
        ({"embargo": {"w": "1d"}}, tf.TimefenceConfigError, "embargo names 'w'"),
        ({"embargo": 5}, tf.TimefenceConfigError, "does not fit the times"),
        ({"embargo": "-1d"}, tf.TimefenceConfigError, "negative"),
        ({"max_lookback": 5}, tf.TimefenceConfigError, "max_lookback=5 does not fit"),
        ({"date_known_at": "noon"}, tf.TimefenceConfigError, "date_known_at='noon'"),
        ({"columns": {"a": "b"}}, tf.TimefenceConfigError, "columns= does not apply"),
        ({"check_lookahead": True}, tf.TimefenceConfigError, "check_lookahead= does not apply"),
        ({"feature_time_columns": {"v": "^t$"}}, tf.TimefenceSchemaError, "read as patterns"),
        ({"join": "left"}, tf.TimefenceConfigError, "join='left'"),
        ({"label_time": "aware"}, tf.TimefenceTimezoneError, "Naive and time-zone-aware"),
        ({"label_time": "v"}, tf.TimefenceSchemaError, "Integer times and date times"),
    ],
)
def test_arguments_that_cannot_be_meant(options: dict[str, Any], error: type[Exception], text: str) -> None:
    data = pl.DataFrame({"label_time": [DAY], "v": [1], "t": [DAY], "aware": [DAY.replace(tzinfo=UTC)]})
    data = data.with_columns(pl.col("t").alias("^t$"))
    if options.get("feature_time_columns") == {"t": "v"}:
        data = data.with_columns(v=pl.lit("x"))
    with pytest.raises(error, match=text):
        tf.audit(data, **{"feature_time_columns": {"v": "t"}, **options})


def test_what_is_checked_must_be_there() -> None:
    data = pl.DataFrame({"label_time": [5], "ft": [3], "spend__x": [1.0]})
    for name in ("spend__x", "spend"):
        assert tf.audit(data, feature_time_columns={name: "ft"}).clean
    with pytest.raises(tf.TimefenceSchemaError, match="no column 'spend__y'.* Did you mean 'spend__x'"):
        tf.audit(data, feature_time_columns={"spend__y": "ft"})
