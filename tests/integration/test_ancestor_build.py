"""What users of the ancestor (timefence 0.9) rely on in building, explaining and splitting; and where it failed there.

The numbers in the names of the first half are those of the list of its behaviours.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import warnings
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import timefence_pl as tf
from timefence_pl.execution.observation import Observation

ROOT = Path(__file__).parents[2]
START = datetime(2024, 1, 1)
USERS = [f"u{i:02}" for i in range(50)]
#: Two rows for each user but the last five: a day apart, the later one 10 to 59 days after the start.
EVENTS = pl.DataFrame(
    [
        {
            "user_id": u,
            "updated_at": START + timedelta(days=10 + i - d),
            "country": f"C{i % 3}",
            "spend": float(i * 10 - d),
        }
        for i, u in enumerate(USERS[:45])
        for d in (0, 1)
    ]
)
LABELS = pl.DataFrame(
    {
        "user_id": USERS,
        "label_time": [START + timedelta(days=40 + i % 20) for i in range(50)],
        "churned": [i % 2 for i in range(50)],
    }
)


def source(data: Any = EVENTS, **options: Any) -> tf.Source:
    return tf.Source(data, **{"keys": "user_id", "timestamp": "updated_at", "name": "users", **options})


def labels(data: Any = LABELS, **options: Any) -> tf.Labels:
    return tf.Labels(data, **{"keys": ["user_id"], "label_time": "label_time", "target": ["churned"], **options})


def country(**options: Any) -> tf.Feature:
    return tf.Feature(source(), columns="country", **{"name": "country", **options})


def spend(**options: Any) -> tf.Feature:
    return tf.Feature(source(), columns="spend", **{"name": "spend", **options})


def expected(column: str, before: timedelta = timedelta(0)) -> list[Any]:
    """The user's last value stamped before the label time, less an embargo, and at most 365 days before it."""
    values = []
    for user, at in LABELS.select("user_id", "label_time").iter_rows():
        known = EVENTS.filter(
            (pl.col("user_id") == user)
            & (pl.col("updated_at") < at - before)
            & (pl.col("updated_at") >= at - timedelta(days=365))
        )
        values.append(known.sort("updated_at")[column].last() if known.height else None)
    return values


# --- behaviours its users rely on --------------------------------------------------------------------------------------


def test_01_fifty_labels_and_one_feature_are_fifty_rows_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    result = tf.build(labels(), country(), path)
    assert path.exists()
    assert result.stats.row_count == 50
    assert pl.read_parquet(path)["country__country"].to_list() == expected("country")
    assert 0 < result.stats.feature_stats["country"]["matched"] < 50


def test_01_without_an_output_there_is_no_file_but_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = tf.build(labels(), country(), output=None)
    assert list(tmp_path.iterdir()) == []
    assert result.output_path is None
    assert result.stats.row_count == 50
    assert result.stats.feature_stats["country"]["matched"] > 0


def test_01_two_features_are_both_in_the_statistics() -> None:
    stats = tf.build(labels(), [country(), spend(embargo="1d")]).stats
    assert set(stats.feature_stats) == {"country", "spend"}
    assert stats.column_count == 5


@pytest.mark.parametrize(
    ("join", "text"),
    [("strict", "feature_time < label_time - embargo"), ("inclusive", "feature_time <= label_time - embargo")],
)
def test_03_the_invariant_is_in_the_manifest(join: Any, text: str) -> None:
    assert tf.build(labels(), country(), join=join).manifest["audit"]["invariant"] == text


@pytest.mark.parametrize(
    ("feature", "options", "match"),
    [
        ({}, {"join": "x"}, "join='x'"),
        ({}, {"on_missing": "x"}, "on_missing='x'"),
        ({"embargo": "365d"}, {}, "embargo"),
        ({"embargo": "31d"}, {"max_lookback": "30d"}, "embargo"),
        ({"embargo": "7d"}, {"max_staleness": "7d"}, "max_staleness"),
        ({"embargo": "7d"}, {"max_staleness": "1d"}, "max_staleness"),
    ],
)
def test_04_options_that_cannot_be_meant_are_config_errors(feature: Any, options: Any, match: str) -> None:
    with pytest.raises(tf.TimefenceConfigError, match=match):
        tf.build(labels(), country(**feature), **options)


def test_04_a_short_lookback_leaves_rows_missing() -> None:
    stats = tf.build(labels(), country(), max_lookback="1d").stats.feature_stats["country"]
    assert stats["missing"] > 0
    assert stats["matched"] + stats["missing"] == 50


def test_04_skip_leaves_rows_out() -> None:
    result = tf.build(labels(), country(), on_missing="skip")
    assert result.stats.row_count == sum(v is not None for v in expected("country")) < 50
    assert result.frame()["country__country"].null_count() == 0


@pytest.mark.parametrize(
    ("given", "feature", "match"),
    [
        ({"keys": ["user"]}, {}, r"'user'.*Did you mean 'user_id'"),
        ({"label_time": "labeltime"}, {}, r"'labeltime'.*Did you mean 'label_time'"),
        ({"target": ["churn"]}, {}, r"'churn'.*Did you mean 'churned'"),
        ({}, {"columns": "contry"}, r"'contry'.*Did you mean 'country'"),
        ({}, {"source": {"timestamp": "updated"}}, r"'updated'.*Did you mean 'updated_at'"),
    ],
    ids=["label key", "label time", "target", "feature column", "timestamp"],
)
def test_05_unknown_columns_are_schema_errors_with_near_names(given: Any, feature: Any, match: str) -> None:
    one = tf.Feature(source(**feature.get("source", {})), columns=feature.get("columns", "country"), name="f")
    with pytest.raises(tf.TimefenceSchemaError, match=match):
        tf.build(labels(**given), one)


@pytest.mark.parametrize("rows", [0, 1])
def test_06_no_labels_are_no_rows_and_one_is_one(tmp_path: Path, rows: int) -> None:
    result = tf.build(labels(LABELS.head(rows)), country(), tmp_path / "train.parquet")
    assert result.stats.row_count == rows
    assert pl.read_parquet(tmp_path / "train.parquet").shape == (rows, 4)


def test_06_an_all_null_feature_keeps_every_row() -> None:
    nulls = EVENTS.with_columns(country=pl.lit(None, pl.String))
    result = tf.build(labels(), tf.Feature(source(nulls), columns="country"))
    assert result.stats.row_count == 50
    assert result.frame()["country__country"].null_count() == 50


def test_07_one_name_for_two_features_is_an_error() -> None:
    with pytest.raises(tf.TimefenceConfigError, match="same name 'country'"):
        tf.build(labels(), [country(), country()])
    with pytest.raises(tf.TimefenceConfigError, match="same once sanitised"):
        tf.build(labels(), [country(name="feat-a"), spend(name="feat_a")])


def test_08_duplicates_are_an_error_and_keep_any_a_warning() -> None:
    twice = pl.concat([EVENTS, EVENTS.with_columns(country=pl.lit("other"))])
    with pytest.raises(tf.TimefenceDuplicateError, match="user_id"):
        tf.build(labels(), tf.Feature(source(twice), columns="country"))
    with pytest.warns(UserWarning, match="duplicate"):
        result = tf.build(labels(), tf.Feature(source(twice), columns="country", on_duplicate="keep_any"))
    assert result.stats.row_count == 50


def test_08_aware_labels_with_a_naive_feature_are_a_time_zone_error() -> None:
    aware = LABELS.with_columns(pl.col("label_time").dt.replace_time_zone("UTC"))
    with pytest.raises(tf.TimefenceTimezoneError, match=r"label_time(.|\n)*updated_at"):
        tf.build(labels(aware), country())


def test_09_overlapping_splits_are_an_error_and_gaps_a_warning(tmp_path: Path) -> None:
    overlap = {"train": ("2024-02-01", "2024-02-20"), "test": ("2024-02-15", "2024-03-05")}
    with pytest.raises(tf.TimefenceConfigError, match="overlap"):
        tf.build(labels(), country(), tmp_path / "o.parquet", splits=overlap)
    gap = {"train": ("2024-02-01", "2024-02-15"), "test": ("2024-02-20", "2024-03-05")}
    with pytest.warns(UserWarning, match="gap|in no split") as caught:
        tf.build(labels(), country(), tmp_path / "o.parquet", splits=gap)
    assert [("gap" in str(w.message), "in no split" in str(w.message)) for w in caught] == [
        (True, False),
        (False, True),
    ]
    with pytest.warns(UserWarning, match="in no split"):
        tf.build(labels(), country(), tmp_path / "o.parquet", splits={"train": ("2024-02-01", "2024-02-15")})


def test_09_split_files_stand_beside_the_output(tmp_path: Path) -> None:
    splits = {"train": ("2024-02-01", "2024-02-20"), "test": ("2024-02-20", "2024-03-05")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tf.build(labels(), country(), tmp_path / "data.parquet", splits=splits)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.parquet", "data_test.parquet", "data_train.parquet"]
    assert set(result.splits) == {"train", "test"}
    heights = [pl.read_parquet(tmp_path / f"data_{n}.parquet").height for n in ("train", "test")]
    assert sum(heights) == 50
    assert min(heights) > 0


def test_12_columns_and_sql_agree() -> None:
    sql = tf.Feature(source(), sql="SELECT user_id, updated_at, country FROM {source}", name="by_sql")
    timed = tf.Feature(source(), sql="SELECT user_id, updated_at AS feature_time, country FROM {source};", name="timed")
    frame = tf.build(labels(), [country(), sql, timed]).frame()
    assert (
        frame["by_sql__country"].to_list() == frame["country__country"].to_list() == frame["timed__country"].to_list()
    )


def test_12_composite_keys_round_trip(tmp_path: Path) -> None:
    events = EVENTS.with_columns(shop=pl.lit(7))
    given = LABELS.with_columns(shop=pl.lit(7))
    one = tf.Feature(source(events, keys=["user_id", "shop"]), columns="country")
    tf.build(labels(given, keys=["user_id", "shop"]), one, tmp_path / "train.parquet")
    frame = pl.read_parquet(tmp_path / "train.parquet")
    assert frame["country__country"].to_list() == expected("country")
    assert frame.drop("country__country").equals(given)


def test_12_a_csv_source_matches_labels_from_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    EVENTS.write_csv(path)
    one = tf.Feature(tf.CSVSource(path, keys="user_id", timestamp="updated_at"), columns="country")
    early = LABELS.head(30)
    frame = tf.build(labels(early), one).frame()
    assert frame["country__country"].to_list() == expected("country")[:30]
    assert frame["country__country"].null_count() == 0


def totals(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.group_by("user_id", "updated_at").agg(pl.col("spend").sum())


def test_14_names_are_derived(tmp_path: Path) -> None:
    (tmp_path / "recent_spend.sql").write_text("SELECT user_id, updated_at, spend FROM {source}", encoding="utf-8")
    assert tf.Feature(source(), columns=["country", "spend"]).name == "country_spend"
    assert tf.Feature(source(), transform=totals).name == "totals"
    assert tf.Feature(source(), sql=tmp_path / "recent_spend.sql").name == "recent_spend"
    with pytest.raises(tf.TimefenceConfigError, match="inline SQL"):
        tf.Feature(source(), sql="SELECT user_id, updated_at, spend FROM {source}")


def test_16_progress_tells_each_step(tmp_path: Path) -> None:
    lines: list[str] = []
    tf.build(labels(), [country(), spend(embargo="1d")], tmp_path / "o.parquet", progress=lines.append)
    assert lines[0] == "Loading labels"
    # Two features are worked on at a time, so either may be first.
    for step in ("Computing", "Joining"):
        told = [line for line in lines if line.startswith(step)]
        assert {line.split(" (")[0] for line in told} == {f"{step} country", f"{step} spend"}
        assert [line[-5:] for line in told] == ["(1/2)", "(2/2)"]
    assert any(line.startswith("Writing output") for line in lines)
    assert lines[-1] == "Verifying"


def test_17_explain_tells_condition_window_embargo_and_strategy() -> None:
    result = tf.explain(labels(), spend(embargo="1d"), max_lookback="30d")
    one = result["spend"]
    assert one.condition == (
        "users.user_id = labels.user_id AND users.updated_at < labels.label_time - 1d "
        "AND users.updated_at >= labels.label_time - 30d"
    )
    assert one.window == "[label_time - 30d, label_time - 1d)"
    assert one.embargo == "1d"
    assert one.strategy.startswith("as-of merge")
    for text in (one.condition, one.window, one.strategy):
        assert text in " ".join(str(result).split())  # long lines are wrapped


def test_18_results_are_reported_in_the_terminal_and_in_notebooks() -> None:
    result = tf.build(labels(), [country(), spend()])
    missing = sum(v is None for v in expected("country"))
    assert f"country  {50 - missing} / 50 matched" in str(result)
    assert "country" in result._repr_html_()
    assert result._repr_html_().startswith("<div")


# --- where it failed: joins --------------------------------------------------------------------------------------------


def test_two_sources_of_one_name_keep_their_own_data() -> None:
    other = EVENTS.with_columns(country=pl.lit("elsewhere"))
    one = tf.Feature(tf.Source(EVENTS, keys="user_id", timestamp="updated_at"), columns="country", name="a")
    two = tf.Feature(tf.Source(other, keys="user_id", timestamp="updated_at"), columns="country", name="b")
    assert one.source.name == two.source.name
    frame = tf.build(labels(), [one, two]).frame()
    assert frame["a__country"].to_list() == expected("country")
    assert set(frame["b__country"].drop_nulls()) == {"elsewhere"}


def test_a_source_keyed_more_finely_than_the_labels_is_refused() -> None:
    events = EVENTS.with_columns(product=pl.lit("p"))
    with pytest.raises(tf.TimefenceSchemaError, match="keyed more finely"):
        tf.build(labels(), tf.Feature(source(events, keys=["user_id", "product"]), columns="country"))


def test_an_embargo_of_half_a_second_is_kept() -> None:
    events = pl.DataFrame({"user_id": ["a"], "updated_at": [START], "x": [1]})
    at = [START + timedelta(milliseconds=m) for m in (499, 500, 501)]
    given = labels(pl.DataFrame({"user_id": ["a"] * 3, "label_time": at}), target=None)
    frame = tf.build(given, tf.Feature(source(events), columns="x", embargo="500ms")).frame()
    assert frame["x__x"].to_list() == [None, None, 1]


def test_a_negative_embargo_is_refused() -> None:
    with pytest.raises(tf.TimefenceConfigError, match="It is negative"):
        country(embargo=timedelta(days=-1))


def test_a_lookback_of_nothing_is_not_a_year() -> None:
    with pytest.raises(tf.TimefenceConfigError, match="nothing can ever match"):
        tf.build(labels(), country(), max_lookback="0d")


def test_a_daily_aggregate_stamped_with_a_date_does_not_join_its_own_day() -> None:
    daily = pl.DataFrame({"user_id": ["a", "a"], "updated_at": [date(2024, 1, 1), date(2024, 1, 2)], "x": [1, 2]})
    given = labels(pl.DataFrame({"user_id": ["a"], "label_time": [datetime(2024, 1, 2, 12)]}), target=None)
    assert tf.build(given, tf.Feature(source(daily), columns="x")).frame()["x__x"].to_list() == [1]


def test_integer_keys_do_not_match_rounded_floats() -> None:
    events = pl.DataFrame({"user_id": [float(2**53)], "updated_at": [START], "x": [1]})
    given = pl.DataFrame({"user_id": [2**53 + 1], "label_time": [START + timedelta(days=1)]})
    with pytest.raises(tf.TimefenceSchemaError, match="Float64"):
        tf.build(labels(given, target=None), tf.Feature(source(events), columns="x"))


def test_a_matched_null_counts_as_matched() -> None:
    events = pl.DataFrame({"user_id": ["a"], "updated_at": [START], "x": [None]}, schema_overrides={"x": pl.Int64})
    given = labels(pl.DataFrame({"user_id": ["a"], "label_time": [START + timedelta(days=1)]}), target=None)
    result = tf.build(given, tf.Feature(source(events), columns="x"), on_missing="skip")
    assert result.stats.feature_stats["x"]["matched"] == 1
    assert result.stats.row_count == 1


def test_a_one_shot_arrow_reader_gives_its_values_to_every_feature() -> None:
    table = EVENTS.to_arrow()
    one = source(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))
    features = [tf.Feature(one, columns="country"), tf.Feature(one, columns="spend", embargo="1d")]
    for _ in range(2):
        frame = tf.build(labels(), features).frame()
        assert frame["country__country"].to_list() == expected("country")
        assert frame["spend__spend"].to_list() == expected("spend", timedelta(days=1))


def test_names_that_run_into_each_other_are_refused() -> None:
    features = [tf.Feature(source(), columns={"country": c}, name=n) for n, c in (("a__b", "c"), ("a", "b__c"))]
    with pytest.raises(tf.TimefenceSchemaError, match="'a__b__c'"):
        tf.build(labels(), features)


def test_flattening_does_not_rename_the_target() -> None:
    one = tf.Feature(source(), columns={"country": "churned"}, name="f")
    with pytest.raises(tf.TimefenceSchemaError, match="'churned'"):
        tf.build(labels(), one, flatten_columns=True)
    frame = tf.build(labels(), country(), flatten_columns=True).frame()
    assert frame["churned"].to_list() == LABELS["churned"].to_list()


def test_a_failing_check_of_the_result_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check = Observation.check

    def broken(self: Observation) -> None:
        for counts in self.features.values():
            counts.youngest = 0
        check(self)

    monkeypatch.setattr(Observation, "check", broken)
    with pytest.raises(tf.TimefenceLeakageError, match="Feature 'country' used a value 0 units old"):
        tf.build(labels(), country(), tmp_path / "train.parquet")
    assert list(tmp_path.iterdir()) == []


# --- where it failed: time zones ---------------------------------------------------------------------------------------


def test_the_machines_zone_does_not_matter(tmp_path: Path) -> None:
    EVENTS.with_columns(pl.col("updated_at").dt.replace_time_zone("Europe/Berlin")).write_parquet(
        tmp_path / "e.parquet"
    )
    at = EVENTS["updated_at"].dt.replace_time_zone("Europe/Berlin").dt.convert_time_zone("UTC")
    pl.DataFrame({"user_id": EVENTS["user_id"], "label_time": at}).write_parquet(tmp_path / "l.parquet")
    code = """
import timefence_pl as tf
source = tf.Source("e.parquet", keys="user_id", timestamp="updated_at")
labels = tf.Labels("l.parquet", keys="user_id", label_time="label_time")
splits = {"a": ("2024-01-01", "2024-01-20"), "b": ("2024-01-20", "2024-03-01")}
result = tf.build(labels, tf.Feature(source, columns="spend"), splits=splits)
print(result.frame()["spend__spend"].to_list(), dict(result.stats.split_rows))
"""
    answers = set()
    for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TZ": zone}
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        answers.add(done.stdout)
    assert len(answers) == 1
    assert "None" in answers.pop()


def test_an_embargo_of_a_day_is_24_hours_across_a_clock_change() -> None:
    zone = "Europe/Berlin"
    stamp = pl.Series([datetime(2024, 3, 30, 12)]).dt.replace_time_zone(zone)
    at = pl.Series([datetime(2024, 3, 31, 12, 30), datetime(2024, 3, 31, 13, 30)]).dt.replace_time_zone(zone)
    events = pl.DataFrame({"user_id": ["a"], "updated_at": stamp, "x": [1]})
    given = labels(pl.DataFrame({"user_id": ["a"] * 2, "label_time": at}), target=None)
    assert tf.build(given, tf.Feature(source(events), columns="x", embargo="1d")).frame()["x__x"].to_list() == [None, 1]


# --- where it failed: robustness ---------------------------------------------------------------------------------------


def test_a_failed_write_leaves_no_truncated_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(_self: pl.DataFrame, path: Path, **_options: object) -> None:
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", torn)
    with pytest.raises(tf.TimefenceStoreError, match="No space left"):
        tf.build(labels(), country(), tmp_path / "train.parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_the_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    EVENTS.write_parquet(path)
    before = path.read_bytes()
    with pytest.raises(tf.TimefenceStoreError, match="own inputs"):
        tf.build(labels(), tf.Feature(source(path), columns="country"), path)
    assert path.read_bytes() == before


def test_an_output_in_the_cloud_is_no_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tf.TimefenceConfigError, match="s3://bucket"):
        tf.build(labels(), country(), "s3://bucket/train.parquet")
    assert list(tmp_path.iterdir()) == []


def test_lists_of_paths_and_compressed_text_are_read(tmp_path: Path) -> None:
    EVENTS.head(40).write_parquet(tmp_path / "1.parquet")
    EVENTS.tail(50).write_parquet(tmp_path / "2.parquet")
    with gzip.open(tmp_path / "users.csv.gz", "wb") as file:
        EVENTS.write_csv(file)
    for data in ([tmp_path / "1.parquet", str(tmp_path / "2.parquet")], tmp_path / "users.csv.gz"):
        frame = tf.build(labels(), tf.Feature(source(data), columns="country")).frame()
        assert frame["country__country"].to_list() == expected("country")


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "users.parquet")
    with pytest.raises(tf.TimefenceValidationError, match="Did you mean 'users.parquet'"):
        tf.build(labels(), tf.Feature(source(tmp_path / "user.parquet"), columns="country"))


def test_string_times_are_read_with_a_format_and_refused_without() -> None:
    texts = EVENTS.with_columns(pl.col("updated_at").dt.strftime("%d.%m.%Y %H:%M"))
    with pytest.raises(tf.TimefenceSchemaError, match="timestamp_format="):
        tf.build(labels(), tf.Feature(source(texts), columns="country"))
    one = tf.Feature(source(texts, timestamp_format="%d.%m.%Y %H:%M"), columns="country")
    assert tf.build(labels(), one).frame()["country__country"].to_list() == expected("country")


def test_a_semicolon_after_sql_does_no_harm() -> None:
    one = tf.Feature(source(), sql="SELECT user_id, updated_at, country FROM {source} ;\n", name="f")
    assert tf.build(labels(), one).frame()["f__country"].to_list() == expected("country")


@pytest.mark.parametrize("name", ["../escape", "a/b", "/tmp/x", "..", ".hidden"])
def test_split_names_do_not_escape_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(tf.TimefenceConfigError, match="not a valid split name"):
        tf.build(labels(), country(), tmp_path / "in" / "train.parquet", splits={name: ("2024-01-01", "2025-01-01")})
    assert list(tmp_path.rglob("*.parquet")) == []


def test_html_is_escaped() -> None:
    name = "<img src=x onerror=alert(1)>"
    one = tf.Feature(source(name=name), columns="country", name=name)
    for html in (tf.build(labels(), one)._repr_html_(), tf.explain(labels(), one)._repr_html_()):
        assert "<img" not in html
        assert "&lt;img" in html


# --- where it was slow -------------------------------------------------------------------------------------------------


def test_an_embargo_is_the_same_one_merge() -> None:
    for options in ({}, {"embargo": "7d"}):
        plan = tf.point_in_time(labels(), country(**options)).explain()
        assert re.findall(r"^ *([A-Z ]*JOIN)", plan, re.MULTILINE) == ["ASOF JOIN", "END ASOF JOIN"]


def test_columns_that_are_not_used_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    EVENTS.with_columns(**{f"unused_{i}": pl.lit(i) for i in range(200)}).write_parquet(path)
    assert "3/204 COLUMNS" in tf.point_in_time(labels(), tf.Feature(source(path), columns="country")).explain()
