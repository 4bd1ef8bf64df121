"""Audits by rebuilding: what is clean, what leaks, how columns are found, and what is invalid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, LABELS, feature, labels, source

KEYS: dict[str, Any] = {"keys": "k", "label_time": "at"}
#: The set that EVENTS make of LABELS, as built: 10, 50, 30 and none.
SET = LABELS.with_columns(f__x=pl.Series([10, 50, 30, None]))


def audit(data: Any = SET, features: Any = None, **options: Any) -> tf.AuditReport:
    features = feature() if features is None else features
    return tf.audit(data, features, **{**KEYS, "check_lookahead": False, **options})


def wrong(values: list[Any], dtype: Any = None, **options: Any) -> tf.AuditReport:
    """The audit of SET with other values."""
    return audit(SET.with_columns(pl.Series("f__x", values, dtype=dtype)), **options)


# --- clean -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["strict", "inclusive"])
@pytest.mark.parametrize("on_missing", ["null", "skip"])
@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("feature_times", [False, True])
def test_what_was_built_audits_clean(join: Any, on_missing: Any, *, flatten: bool, feature_times: bool) -> None:
    window = tf.Window(source(), {"n": pl.len(), "s": pl.col("x").sum()}, windows=[3, None], name="w", embargo=1)
    features = [feature(), feature(name="late", columns={"x": "y2"}, embargo=1), window]
    result = tf.build(
        labels(), features, join=join, on_missing=on_missing, flatten_columns=flatten, feature_times=feature_times
    )
    report = audit(result, features, join=join, check_lookahead=None)
    assert report.clean
    assert not report.has_leakage
    assert report.clean_features == ["f", "late", "w"]
    assert report.counts == {**dict.fromkeys(report.counts, 0), "ok": 3 * result.stats.row_count}
    report.assert_clean()
    other = audit(result, features, join="inclusive" if join == "strict" else "strict")
    assert not other.clean  # label times stand exactly at events


def test_a_build_names_its_own_keys_and_label_time() -> None:
    assert tf.audit(tf.build(labels(), feature()), feature(), check_lookahead=False).clean


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson", "arrow", "lazy", "pandas", "pyarrow"])
def test_a_set_from_anywhere_is_read(tmp_path: Path, kind: str) -> None:
    data: Any = tmp_path / f"set.{kind}"
    writers = {"parquet": "write_parquet", "csv": "write_csv", "ndjson": "write_ndjson", "arrow": "write_ipc"}
    if kind in writers:
        getattr(SET, writers[kind])(data)
    else:
        data = {"lazy": SET.lazy, "pandas": SET.to_pandas, "pyarrow": SET.to_arrow}[kind]()
    assert audit(data).clean


def test_rows_may_be_missing_repeated_and_in_any_order() -> None:
    data = pl.concat([SET.sample(fraction=1, shuffle=True, seed=3), SET.head(2), SET.head(2)]).tail(6)
    assert audit(data).clean
    leaking = data.with_columns(f__x=pl.when(pl.int_range(pl.len()) == 4).then(50).otherwise("f__x"))
    assert audit(leaking).failing_rows("f")["row"].to_list() == [4]


def test_a_lazy_set_is_read_once() -> None:
    reads = []
    data = SET.lazy().map_batches(lambda f: reads.append(1) or f.sample(fraction=1, shuffle=True))
    assert audit(data).clean
    assert len(reads) == 1


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64, pl.Decimal(20, 3)])
def test_numbers_of_another_type_are_compared_by_value(dtype: Any) -> None:
    assert wrong([10, 50, 30, None], dtype).clean
    assert not wrong([10, 50, 31, None], dtype).clean


def test_text_and_times_of_another_type_are_compared_by_value() -> None:
    day = datetime(2024, 1, 5, tzinfo=UTC)
    events = pl.DataFrame({"k": [1], "t": [1], "s": ["a"], "d": [day]})
    features = [feature(events, columns="s", name="s"), feature(events, columns="d", name="d")]
    data = pl.DataFrame({"k": [1], "at": [5], "s": ["a"], "d": [day]})
    data = data.with_columns(pl.col("s").cast(pl.Categorical), pl.col("d").dt.convert_time_zone("Asia/Kolkata"))
    assert audit(data, features).clean
    assert audit(data.with_columns(pl.col("d").dt.cast_time_unit("ms")), features).clean


def test_a_set_without_matches_is_clean_where_nothing_is_due() -> None:
    data = pl.DataFrame({"k": [7, 8], "at": [1, 2], "f__x": [None, None]})
    report = audit(data)
    assert report.clean
    assert report["f"].null_rows == 2


def test_null_keys_and_times_are_rows_without_a_value_due() -> None:
    data = pl.DataFrame({"k": [None, 1], "at": [5, None], "f__x": pl.Series([None, None], dtype=pl.Int64)})
    assert audit(data).clean
    assert audit(data.with_columns(f__x=pl.lit(3)))["f"].counts["unexpected"] == 2


def test_global_features_need_no_keys() -> None:
    world = tf.Feature(tf.Source(EVENTS, keys=[], timestamp="t", name="world"), columns="x", name="f")
    data = pl.DataFrame({"at": [4, 9], "f__x": [30, 50]})
    assert audit(data, world, keys=[]).clean
    assert audit(data.reverse(), world, keys=[]).clean
    assert audit(data.with_columns(f__x=pl.Series([50, 50])), world, keys=[])["f"].counts["future"] == 1


def test_mapped_keys_are_those_of_the_set() -> None:
    one = feature(EVENTS.rename({"k": "id"}), source_keys="id", key_mapping={"k": "id"})
    assert audit(SET, one).clean


# --- the ancestor's failures --------------------------------------------------------------------------------------------


def test_a_leak_where_nothing_is_due_is_found() -> None:
    report = wrong([10, 50, 30, 99])
    assert report["f"].counts["unexpected"] == 1
    assert report.has_leakage
    early = audit(pl.DataFrame({"k": [1], "at": [1], "f__x": [10]}))
    assert early["f"].counts["future"] == 1


def test_a_feature_that_the_set_does_not_have_is_no_clean_feature() -> None:
    report = audit(SET, [feature(), feature(name="gone", columns={"x": "z"})])
    gone = report["gone"]
    assert not gone.clean
    assert not gone.leaky
    assert sum(gone.counts.values()) == 0
    assert "no column of this feature (looked for 'gone__z')" in gone.problems[0]
    assert report.failing_features == ["gone"]
    assert not report.clean
    with pytest.raises(tf.TimefenceLeakageError, match="1 of 2 feature"):
        report.assert_clean()


def test_a_column_that_the_set_does_not_have_leaves_its_feature_unclean() -> None:
    events = EVENTS.with_columns(z=pl.lit(1))
    report = audit(SET, feature(events, columns=["x", "z"]))
    assert report["f"].counts["ok"] == 4
    assert not report["f"].clean
    assert "no column for 'f__z'" in report["f"].problems[0]


def test_an_old_value_is_stale_and_no_leak() -> None:
    report = wrong([10, 10, 30, None])
    assert report["f"].counts["stale"] == 1
    assert not report.has_leakage
    assert not report.clean
    row = report.failing_rows("f").row(0, named=True)
    assert (row["verdict"], row["x__found"], row["x__due"]) == ("stale", 10, 50)
    assert (row["found_source_row"], row["due_source_row"], row["leakage"]) == (0, 1, None)
    assert (row["found_feature_time"], row["due_feature_time"]) == (1, 5)


def test_a_value_past_the_lookback_is_stale() -> None:
    report = audit(SET, max_lookback=2)
    assert report["f"].counts == {**dict.fromkeys(report.counts, 0), "ok": 3, "stale": 1}


def test_integers_are_equal_exactly() -> None:
    events = pl.DataFrame({"k": [1], "t": [1], "x": [10**10]})
    data = pl.DataFrame({"k": [1], "at": [5], "f__x": [10**10 + 899]})
    assert audit(data, feature(events))["f"].counts["differs"] == 1
    assert audit(data, feature(events.cast({"x": pl.Float64}))).clean


def test_nan_equals_nan_only() -> None:
    events = pl.DataFrame({"k": [1, 2, 3], "t": [1, 1, 1], "x": [5.0, float("nan"), None]})
    data = pl.DataFrame({"k": [1, 2, 3], "at": [5, 5, 5], "f__x": [float("nan"), float("nan"), float("nan")]})
    report = audit(data, feature(events))
    assert report.failing_rows("f")["verdict"].to_list() == ["differs", "unexpected"]


def test_texts_are_equal_exactly() -> None:
    events = pl.DataFrame({"k": [1], "t": [1], "x": ["1"]})
    data = pl.DataFrame({"k": [1], "at": [5], "f__x": ["01"]})
    assert audit(data, feature(events))["f"].counts["differs"] == 1


def test_text_never_equals_a_number() -> None:
    report = wrong(["10", "50", "30", None])
    assert report["f"].counts["differs"] == 3
    assert "is String where Int64 is due" in report["f"].problems[0]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float32, pl.Boolean, pl.Date, pl.Datetime("ms"), pl.String])
def test_a_column_of_nulls_equals_nulls_due_whatever_its_type(tmp_path: Path, kind: str, dtype: Any) -> None:
    events = EVENTS.with_columns(x=pl.lit(None, dtype=dtype))
    tf.build(labels(), feature(events), tmp_path / f"set.{kind}")
    report = audit(tmp_path / f"set.{kind}", feature(events))
    assert report["f"].problems == ()
    assert report.clean
    for found in (pl.String, pl.Null, pl.List(pl.Int64), pl.Time):
        assert wrong([None] * 4, found, features=feature(events)).clean


def test_a_column_of_nulls_where_values_are_due_is_absent() -> None:
    report = wrong([None] * 4, pl.String)
    assert report["f"].counts["absent"] == 3
    assert not report.clean
    assert report.failing_rows("f")["x__found"].null_count() == 3


def test_no_features_are_an_error() -> None:
    with pytest.raises(tf.TimefenceValidationError, match="no features"):
        audit(SET, [])


def test_a_set_without_rows_is_not_clean() -> None:
    report = audit(SET.head(0))
    assert not report.clean
    assert not report.has_leakage
    assert "no rows" in str(report).lower()
    with pytest.raises(tf.TimefenceLeakageError, match="Nothing was audited"):
        report.assert_clean()


# --- verdicts ----------------------------------------------------------------------------------------------------------


def test_a_future_value_is_shown_with_its_size_and_both_source_rows() -> None:
    report = wrong([50, 50, 30, None])
    assert report.leaky_features == ["f"]
    assert (report["f"].leaky_row_count, report["f"].leaky_row_pct) == (1, 0.25)
    assert (report["f"].max_leakage, report["f"].median_leakage, report["f"].severity) == (0, 0, "HIGH")
    row = report.failing_rows("f").row(0, named=True)
    assert row == {
        "row": 0,
        "k": 1,
        "at": 5,
        "verdict": "future",
        "leakage": 0,
        "x__found": 50,
        "x__due": 10,
        "found_feature_time": 5,
        "found_source_row": 1,
        "due_feature_time": 1,
        "due_source_row": 0,
    }
    with pytest.raises(tf.TimefenceLeakageError, match="Temporal leakage in 1 of 1 feature.*'f'"):
        report.assert_clean()


def test_nothing_where_a_value_is_due_is_absent() -> None:
    report = wrong([None, 50, 30, None])
    assert report["f"].counts["absent"] == 1
    assert report.failing_rows("f")["due_source_row"].to_list() == [0]


def test_a_value_from_nowhere_differs() -> None:
    assert wrong([11, 50, 30, None])["f"].counts["differs"] == 1


@pytest.mark.parametrize(("more", "verdict"), [("future", "future"), ("stale", "stale"), ("tie", "future")])
def test_values_on_both_sides_go_by_what_the_feature_shows_more(more: str, verdict: str) -> None:
    events = pl.DataFrame({"k": [1] * 4 + [2, 2, 3, 3], "t": [1, 2, 5, 6, 1, 9, 1, 2], "x": [7, 8, 7, 9, 1, 2, 3, 4]})
    rows = {"k": [1], "at": [4], "f__x": [7]}  # 7 stands before and after; 8 is due
    if more in ("future", "tie"):
        rows = {"k": [*rows["k"], 2], "at": [*rows["at"], 5], "f__x": [*rows["f__x"], 2]}
    if more in ("stale", "tie"):
        rows = {"k": [*rows["k"], 3], "at": [*rows["at"], 5], "f__x": [*rows["f__x"], 3]}
    report = audit(pl.DataFrame(rows), feature(events))
    assert report.failing_rows("f")["verdict"][0] == verdict


def test_wrong_columns_are_sought_together() -> None:
    events = pl.DataFrame({"k": [1, 1, 1], "t": [1, 5, 7], "a": [1, 2, 3], "b": [1, 2, 3]})
    two = feature(events, columns=["a", "b"])
    data = pl.DataFrame({"k": [1, 1], "at": [3, 3], "f__a": [2, 2], "f__b": [2, 3]})
    assert audit(data, two).failing_rows("f")["verdict"].to_list() == ["future", "differs"]


def test_a_leak_in_one_column_is_not_hidden_by_nothing_in_another() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 5], "a": [1, 2], "b": [1, 2]})
    data = pl.DataFrame({"k": [1], "at": [3], "f__a": [2], "f__b": pl.Series([None], dtype=pl.Int64)})
    assert audit(data, feature(events, columns=["a", "b"])).failing_rows("f")["verdict"].to_list() == ["future"]


def test_the_size_counts_from_the_embargo_and_the_nearest_row() -> None:
    hours = [datetime(2024, 1, 1, h) for h in (1, 10, 12, 20)]
    events = pl.DataFrame({"k": [1] * 4, "t": hours, "x": [1, 2, 2, 2]})
    data = pl.DataFrame({"k": [1], "at": [datetime(2024, 1, 1, 11)], "f__x": [2]})
    report = audit(data, feature(events, embargo="3h"))
    assert report["f"].max_leakage == timedelta(hours=2)  # known at 10, usable until 8
    assert report.failing_rows("f")["leakage"].to_list() == [timedelta(hours=2)]


def test_a_correction_used_before_it_was_known_leaks_by_its_availability() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 1], "a": [2, 8], "x": [10, 11]})
    one = feature(events, source_available_at="a")
    report = audit(pl.DataFrame({"k": [1, 1], "at": [5, 9], "f__x": [11, 11]}), one)
    row = report.failing_rows("f").row(0, named=True)
    assert report.failing_rows("f").height == 1
    assert (row["verdict"], row["leakage"]) == ("future", 3)
    assert (row["found_feature_time"], row["found_known_at"], row["found_source_row"]) == (1, 8, 1)
    assert (row["due_feature_time"], row["due_known_at"], row["due_source_row"]) == (1, 2, 0)


def test_duplicates_that_a_label_would_choose_between_are_the_builds_error() -> None:
    twice = pl.concat([EVENTS, EVENTS])
    with pytest.raises(tf.TimefenceDuplicateError):
        audit(SET, feature(twice))
    assert audit(SET, feature(twice, on_duplicate="keep_last")).clean


def test_rows_of_transforms_have_times_and_no_numbers() -> None:
    one = feature(transform=lambda events: events.with_columns(pl.col("x") + 1))
    report = audit(SET.with_columns(f__x=pl.Series([51, 51, 31, None])), one)
    row = report.failing_rows("f").row(0, named=True)
    assert (row["verdict"], row["found_feature_time"], row["found_source_row"]) == ("future", 5, None)


@pytest.mark.parametrize(("atol", "rtol"), [(0.05, 0), (0, 0.01)])
def test_rounded_floats_are_told_by_the_tolerance_given(atol: float, rtol: float) -> None:
    events = EVENTS.with_columns(x=pl.Series([10.04, 50.04, 30.04]))
    one = feature(events)
    clean = SET.with_columns(f__x=pl.Series([10.0, 50.0, 30.0, None]))
    assert not audit(clean, one).clean
    assert audit(clean, one, atol=atol, rtol=rtol).clean
    leaking = SET.with_columns(f__x=pl.Series([50.0, 50.0, 30.0, None]))
    assert audit(leaking, one, atol=atol, rtol=rtol)["f"].counts["future"] == 1


@pytest.mark.parametrize("case", range(4))
def test_severity_is_the_ancestors(case: int) -> None:
    day = 86_400_000_000_000
    known, due, size = [("OK", 0, 0), ("LOW", 1, day - 1), ("MEDIUM", 1, day), ("HIGH", 1, 7 * day + 1)][case]
    events = pl.DataFrame({"k": [1, 1], "t": [0, 10**6 + size], "x": [1, 2]}).with_columns(
        pl.col("t").cast(pl.Datetime("ns"))
    )
    at = pl.Series("at", [10**6] * 200, dtype=pl.Int64).cast(pl.Datetime("ns"))
    data = pl.DataFrame([pl.Series("k", [1] * 200), at, pl.Series("f__x", [1 + due] + [1] * 199)])
    assert audit(data, feature(events))["f"].severity == known


# --- columns ------------------------------------------------------------------------------------------------------------


def test_columns_are_found_by_their_plain_name_and_noted() -> None:
    report = audit(SET.rename({"f__x": "x"}))
    assert report.clean
    assert report["f"].notes == ("Column 'x' of the data set is taken for 'f__x'.",)


def test_columns_are_mapped() -> None:
    data = SET.rename({"f__x": "renamed"})
    assert not audit(data).clean
    assert audit(data, columns={"f__x": "renamed"}).clean
    assert audit(data.with_columns(renamed=pl.lit(50)), columns={"f__x": "renamed"}).has_leakage


def test_the_prefixed_name_wins_over_the_plain_one() -> None:
    assert audit(SET.with_columns(x=pl.lit(0))).clean


def test_targets_keys_and_times_are_never_taken_for_features() -> None:
    data = SET.drop("f__x").with_columns(x=pl.lit(1))
    assert audit(data)["f"].columns == {"x": "x"}
    assert audit(data, target="x")["f"].columns == {"x": None}
    own = feature(EVENTS.with_columns(at=pl.col("t")), columns="at")
    assert audit(SET, own)["f"].columns == {"at": None}


def test_one_column_for_two_features_is_an_error() -> None:
    two = [feature(name="a"), feature(name="b")]
    data = SET.rename({"f__x": "x"})
    with pytest.raises(tf.TimefenceSchemaError, match="could be that of several features: 'a__x', 'b__x'"):
        audit(data, two)
    assert audit(data.with_columns(y2="x"), two, columns={"a__x": "x", "b__x": "y2"}).clean


def test_odd_names_are_read_as_they_stand() -> None:
    data = SET.rename({"k": "^k$", "f__x": "*"})
    events = EVENTS.rename({"k": "id"})
    with pytest.raises(tf.TimefenceSchemaError, match="read as patterns"):
        audit(data, feature(events, source_keys="id", key_mapping={"^k$": "id"}), keys="^k$")
    assert audit(SET.rename({"f__x": "^x.*$"}), columns={"f__x": "^x.*$"}).clean


# --- what is invalid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"keys": None}, tf.TimefenceValidationError, "needs 'keys'"),
        ({"label_time": None}, tf.TimefenceValidationError, "needs 'label_time'"),
        ({"keys": "f_x"}, tf.TimefenceSchemaError, "no column 'f_x' .keys=.. Did you mean 'f__x'"),
        ({"label_time": "att"}, tf.TimefenceSchemaError, "Did you mean 'at'"),
        ({"target": "yy"}, tf.TimefenceSchemaError, "target="),
        ({"join": "x"}, tf.TimefenceConfigError, "join='x'"),
        ({"atol": -1}, tf.TimefenceConfigError, "atol=-1"),
        ({"rtol": float("nan")}, tf.TimefenceConfigError, "rtol=nan"),
        ({"atol": True}, tf.TimefenceConfigError, "atol=True"),
        ({"columns": {"f_x": "y"}}, tf.TimefenceConfigError, "which no feature puts out. Did you mean 'f__x'"),
        ({"columns": {"f__x": "fx"}}, tf.TimefenceSchemaError, "which the data set does not have. Did you mean 'f__x'"),
        ({"embargo": 1}, tf.TimefenceConfigError, "embargo= does not apply"),
        ({"date_known_at": "start"}, tf.TimefenceConfigError, "date_known_at= does not apply"),
        ({"feature_time_columns": {"f__x": "at"}}, tf.TimefenceValidationError, "it got both"),
        ({"max_lookback": "1d"}, tf.TimefenceConfigError, "does not fit its times"),
    ],
)
def test_arguments_that_cannot_be_meant(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        audit(SET, feature(), **options)


def test_neither_features_nor_times_are_an_error() -> None:
    with pytest.raises(tf.TimefenceValidationError, match="either features"):
        tf.audit(SET, keys="k", label_time="at")


def test_data_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(tf.TimefenceValidationError, match="does not exist"):
        audit(tmp_path / "gone.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    with pytest.raises(tf.TimefenceError):
        audit(broken)
    with pytest.raises(tf.TimefenceValidationError, match="cannot be read from a int"):
        audit(3)


def test_times_of_another_kind_are_errors() -> None:
    data = SET.with_columns(at=pl.lit(datetime(2024, 1, 1)))
    with pytest.raises(tf.TimefenceSchemaError, match="Integer times and date times"):
        audit(data)
    with pytest.raises(tf.TimefenceSchemaError, match="timestamp_format"):
        audit(SET.with_columns(at=pl.lit("2024-01-01")))


def test_label_times_in_text_are_read_by_their_format() -> None:
    events = pl.DataFrame({"k": [1], "t": [datetime(2024, 1, 1)], "x": [5]})
    data = pl.DataFrame({"k": [1], "at": ["03/01/2024"], "f__x": [5]})
    assert audit(data, feature(events), timestamp_format="%d/%m/%Y").clean
    with pytest.raises(tf.TimefenceSchemaError, match="not of timestamp_format='%Y-%m-%d': '03/01/2024'"):
        audit(data, feature(events), timestamp_format="%Y-%m-%d")


def test_features_that_fail_on_the_data_are_an_error_of_ours() -> None:
    events = EVENTS.with_columns(x=pl.lit("a"))
    with pytest.raises(tf.TimefenceSchemaError, match="cannot be computed"):
        audit(SET, feature(events, pl.col("x").str.to_integer().alias("x")))


# --- look-ahead -------------------------------------------------------------------------------------------------------


def test_features_are_checked_for_looking_ahead_by_default() -> None:
    ahead = feature(EVENTS, pl.col("x").mean().over("k").alias("x"))
    result = tf.build(labels(), ahead)
    blind = audit(result, ahead, check_lookahead=False)
    assert blind.clean
    assert blind.lookahead is None
    report = audit(result, ahead, check_lookahead=None)
    assert report.has_leakage
    assert report.leaky_features == ["f"]
    assert report["f"].counts["ok"] == 4
    assert report["f"].severity == "HIGH"
    assert not report.clean
    with pytest.raises(tf.TimefenceLeakageError, match="look-ahead check: leaky"):
        report.assert_clean()


def test_a_feature_that_could_not_be_checked_is_not_clean() -> None:
    count = 200  # of fewer rows two shuffles may be the same
    events = pl.DataFrame({"k": [1] * count, "t": range(count), "x": [0.0] * count})
    noisy = feature(events, transform=lambda e: e.with_columns(x=pl.col("x") * 0 + pl.int_range(pl.len()).shuffle()))
    with pytest.raises(tf.TimefenceLeakageError, match="nondeterministic|leaky"):
        audit(tf.build(labels(), noisy), noisy, check_lookahead=True).assert_clean()


# --- nested values ----------------------------------------------------------------------------------------------------

_PAIRS = pl.struct(a="x", b=pl.concat_list(pl.col("x").cast(pl.Float64), pl.lit(0.5)))
_MAP = pl.concat_list(pl.struct(key=pl.lit("a"), value="x")).cast(pl.Map(pl.String, pl.Int64))
_OTHER_ORDER = pl.struct(
    b=pl.element().struct.field("b").cast(pl.List(pl.Float32)), a=pl.element().struct.field("a").cast(pl.Int16)
)


@pytest.mark.parametrize(
    ("value", "type_found"),
    [
        (pl.concat_list("x", "x"), pl.col("f__x").cast(pl.List(pl.Int32))),
        (pl.concat_list("x", "x"), pl.col("f__x").cast(pl.List(pl.Float64))),
        (pl.concat_list("x", "x"), pl.col("f__x").list.to_array(2)),
        (pl.concat_list("x", "x").list.to_array(2), pl.col("f__x").arr.to_list()),
        (pl.concat_list(pl.col("x").cast(pl.Decimal(9, 1))), pl.col("f__x").cast(pl.List(pl.Float64))),
        (_PAIRS, pl.when(pl.col("f__x").is_not_null()).then(pl.struct(pl.col("f__x").struct.field("b", "a")))),
        (pl.concat_list(_PAIRS), pl.col("f__x").list.eval(_OTHER_ORDER)),
        (_MAP, pl.col("f__x")),
        (_MAP, pl.col("f__x").cast(pl.Map(pl.String, pl.Float64))),
        (_MAP, pl.col("f__x").map.entries()),
    ],
)
def test_nested_values_of_another_type_are_compared_and_sought(value: pl.Expr, type_found: pl.Expr) -> None:
    lists = feature(EVENTS, value.alias("x"))
    built = tf.build(labels(), lists).frame()
    assert audit(built.with_columns(type_found.alias("f__x")), lists).clean
    # Row by row: what the entity's other event has, known later than the label or earlier.
    moved = built.with_columns(pl.col("f__x").gather([1, 0, 2, 3]))
    verdicts = audit(moved, lists)["f"].counts
    assert verdicts["ok"] == 2
    assert verdicts["future"] == verdicts["stale"] == 1
    assert audit(moved.with_columns(type_found.alias("f__x")), lists)["f"].counts == verdicts


@pytest.mark.parametrize(
    "type_found",
    [
        pl.lit("[10, 10]"),
        pl.lit([1, 2, 3], dtype=pl.Array(pl.Int64, 3)),
        pl.struct(a=1),
        pl.col("f__x").cast(pl.List(pl.String)),
    ],
)
def test_nested_values_of_a_type_that_cannot_be_equal_differ(type_found: pl.Expr) -> None:
    lists = feature(EVENTS, pl.concat_list("x", "x").list.to_array(2).alias("x"))
    built = tf.build(labels(), lists).frame()
    counts = audit(built.with_columns(type_found.alias("f__x")), lists)["f"].counts
    assert counts["ok"] + counts["future"] + counts["stale"] <= 1
    assert counts["differs"] >= 3 - counts["absent"]


def test_leaks_are_sized_exactly_beyond_the_range_of_the_finer_unit() -> None:
    far = 2**62  # milliseconds: no nanoseconds reach as far
    events = pl.DataFrame(
        {"k": [1, 1], "t": [1, far], "a": [2, 3], "x": [10, 20]},
        schema={"k": pl.Int64, "t": pl.Int64, "a": pl.Int64, "x": pl.Int64},
    ).with_columns(pl.col("t").cast(pl.Datetime("ms")), pl.col("a").cast(pl.Datetime("ns")))
    data = pl.DataFrame({"k": [1], "at": [1_000], "f__x": [20]}).with_columns(pl.col("at").cast(pl.Datetime("ms")))
    report = audit(data, feature(events, source_available_at="a"))
    assert report["f"].counts["future"] == 1
    assert report["f"].leaks.to_list() == [(far - 1_000) * 10**6]


def test_nested_floats_of_another_width_are_sought() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [0.1, 0.7]})
    pair = feature(events, pl.concat_list("x", "x").alias("x"))
    data = pl.DataFrame({"k": [1], "at": [3], "f__x": [[0.7, 0.7]]})
    for dtype in (pl.List(pl.Float64), pl.List(pl.Float32), pl.Array(pl.Float32, 2)):
        assert audit(data.with_columns(pl.col("f__x").cast(dtype)), pair)["f"].counts["future"] == 1


@pytest.mark.parametrize(("others", "due"), [(False, 2), (True, 2)])
def test_the_row_due_is_told_whatever_features_share_its_source(*, others: bool, due: int) -> None:
    events = pl.DataFrame({"k": [0, 0, 0], "t": [9, 1, 1], "x": [30.0, 10.0, 20.0]})
    given = tf.Source(events, keys="k", timestamp="t")
    one = tf.Feature(given, columns=["x"], name="f", on_duplicate="keep_last")
    running = tf.Feature(given, pl.col("x").cum_sum().over("k").alias("s"), name="g", on_duplicate="keep_last")
    asked = pl.DataFrame({"k": [0], "at": [5], "f__x": [-1.0], "g__s": [30.0]})
    report = tf.audit(asked, [one, running] if others else one, keys="k", label_time="at", check_lookahead=False)
    assert report["f"].failing_rows["due_source_row"].to_list() == [due]


@pytest.mark.parametrize("lookback", ["3649d", "3650d", "20000d"])
def test_a_bound_past_the_last_age_is_drawn_at_it(lookback: str) -> None:
    asked = pl.DataFrame({"k": [0], "at": [datetime(2024, 1, 1)], "f__x": [1.0]})
    events = pl.DataFrame({"k": [1], "t": [datetime(2023, 1, 1)], "x": [2.0]})
    one = tf.Feature(tf.Source(events, keys="k", timestamp="t"), columns=["x"], name="f")
    report = tf.audit(asked, one, keys="k", label_time="at", check_lookahead=False, max_lookback=lookback)
    assert report["f"].counts["unexpected"] == 1
    assert "lookback" in report.to_html()


def test_columns_of_features_that_were_not_given_are_named() -> None:
    events = pl.DataFrame({"u": [1], "t": [1], "x": [1.0], "y": [2.0]})
    source = tf.Source(events, keys="u", timestamp="t", name="events")
    one, other = (tf.Feature(source, columns=c, name=f"f_{c}") for c in "xy")
    labels = tf.Labels(pl.DataFrame({"u": [1], "at": [5], "label__y": [1]}), keys="u", label_time="at")
    data = tf.build(labels, [one, other], feature_times=True).frame()
    given = {"keys": "u", "label_time": "at", "check_lookahead": False}
    report = tf.audit(data, one, **given)
    assert report.clean
    assert report.unaudited_columns == ("label__y", "f_y__y", "f_y__feature_time")
    assert "ALL CLEAN" not in str(report)
    for text in (str(report), report.to_html(), report._repr_html_()):
        assert "Not audited: 3 columns" in text
        assert "f_y__y" in text
    assert report.to_dict()["unaudited_columns"] == ["label__y", "f_y__y", "f_y__feature_time"]
    whole = tf.audit(data.drop("label__y"), [one, other], **given)
    assert whole.unaudited_columns == ()
    assert "ALL CLEAN" in str(whole)
    assert tf.audit(data, [one, other], **given, target="label__y").unaudited_columns == ()
    part = tf.audit(data, feature_time_columns={"f_x": "f_x__feature_time"}, keys="u", label_time="at")
    assert part.unaudited_columns == ("label__y", "f_y__y", "f_y__feature_time")
