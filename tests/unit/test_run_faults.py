"""Faults that only running a plan shows: which are errors of ours in a user's own ``collect``, and that all are in a build."""

from __future__ import annotations

import io
import sqlite3
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, feature, labels, source
from timefence_pl.errors import TimefenceDuplicateError, TimefenceError, TimefenceSchemaError
from timefence_pl.faults import faults_are_ours

TEXTS = pl.DataFrame({"k": [1, 1, 1, 1], "t": ["03.01.2024", "soon", None, "later"], "x": [10, 20, 30, 40]})
GOOD = pl.DataFrame({"k": [1], "t": [datetime(2024, 1, 9)], "x": [1]})
FORMAT = "%d.%m.%Y"
Plan = tuple[tf.Labels, Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_time(given: pl.DataFrame = GOOD, **options: Any) -> tf.Labels:
    return labels(given, label_time="t", **options)


def _ways(lf: pl.LazyFrame) -> dict[str, Callable[[], object]]:
    return {
        "in memory": lambda: lf.collect(engine="in-memory"),
        "streaming": lambda: lf.collect(engine="streaming"),
        "to a file": lambda: lf.sink_parquet("o.parquet"),
        "a part": lambda: lf.select(pl.last()).head(1).collect(),
        "again": lambda: pl.LazyFrame.deserialize(io.BytesIO(lf.serialize())).collect(),
    }


# --- ours, while a user's own plan runs --------------------------------------------------------------------------------


def _sqlite_row(value: object) -> tf.SQLSource:
    connection = sqlite3.connect("e.db")
    connection.execute("CREATE TABLE e(k, t, x)")
    connection.executemany("INSERT INTO e VALUES (1, ?, 1)", [(i,) for i in range(10_000)])
    connection.execute("INSERT INTO e VALUES (1, ?, 1)", [value])
    connection.commit()
    connection.close()
    return tf.SQLSource("SELECT * FROM e", keys="k", timestamp="t", name="e", connection="sqlite:///e.db")


OURS: dict[str, tuple[Callable[[], Plan], type[TimefenceError], str]] = {
    "duplicates": (
        lambda: (labels(), feature(pl.concat([EVENTS, EVENTS]))),
        TimefenceDuplicateError,
        "Feature 'f' has duplicates",
    ),
    "a time of a source": (
        lambda: (by_time(), feature(TEXTS, source_timestamp_format=FORMAT)),
        TimefenceSchemaError,
        r"timestamp 't' of source 'events' has text that is not of timestamp_format='%d.%m.%Y': '(soon|later)'",
    ),
    "an availability": (
        lambda: (
            by_time(),
            feature(
                TEXTS.with_columns(a=pl.col("t"), t=pl.lit(datetime(2024, 1, 1))),
                source_available_at="a",
                source_timestamp_format=FORMAT,
            ),
        ),
        TimefenceSchemaError,
        "available_at 'a' of source 'events' has text",
    ),
    "a time of a window": (
        lambda: (
            by_time(),
            tf.Window(source(TEXTS, timestamp_format=FORMAT), {"n": pl.len()}, windows=["9d"], name="w"),
        ),
        TimefenceSchemaError,
        "timestamp 't' of source 'events' has text",
    ),
    "a time of labels": (
        lambda: (by_time(TEXTS, timestamp_format=FORMAT), feature(GOOD)),
        TimefenceSchemaError,
        "label_time 't' of labels has text",
    ),
    "a value of another type in SQLite": (
        lambda: (labels(), tf.Feature(_sqlite_row("late"), columns="x", name="f")),
        TimefenceSchemaError,
        r"column 't' of the query holds 'late'(.|\n)*CAST",
    ),
}


def _met(fault: str, way: str) -> bool:
    """Whether a fault is met: Polars reads no column that is not asked for, and writes down no plan over a database."""
    return fault == "duplicates" if way == "a part" else way != "again" or "SQLite" not in fault


@pytest.mark.parametrize(("fault", "way"), [(f, w) for f in OURS for w in _ways(pl.LazyFrame()) if _met(f, w)])
def test_a_fault_of_the_data_is_ours_in_every_way_of_running(fault: str, way: str) -> None:
    make, error, said = OURS[fault]
    lf = tf.point_in_time(*make())
    with pytest.raises(error, match=said):
        _ways(lf)[way]()


@pytest.mark.parametrize("fault", OURS)
@pytest.mark.parametrize("output", [None, "o.parquet", "o.csv"])
def test_and_in_a_build_which_leaves_no_file(fault: str, output: str | None) -> None:
    make, error, said = OURS[fault]
    given, features = make()
    before = sorted(Path().iterdir())
    with pytest.raises(error, match=said):
        tf.build(given, features, output)
    assert sorted(Path().iterdir()) == before


def test_texts_of_the_format_and_nulls_are_read() -> None:
    good = TEXTS.filter(pl.col("x") < 20)
    made = pl.concat([good, TEXTS.filter(pl.col("t").is_null())])
    one = feature(made, source_timestamp_format=FORMAT)
    assert tf.build(by_time(), one).frame()["f__x"].to_list() == [10]
    assert one.source.schema["t"] == pl.Date()
    timed = feature(made.with_columns(pl.col("t") + " 00:00"), source_timestamp_format=f"{FORMAT} %H:%M")
    assert timed.source.schema["t"] == pl.Datetime("us")
    zoned = feature(made.with_columns(pl.col("t") + " +0100"), source_timestamp_format=f"{FORMAT} %z")
    assert zoned.source.schema["t"] == pl.Datetime("us", "UTC")


def test_without_checks_a_plan_holds_no_python() -> None:
    given = by_time(TEXTS.head(1), timestamp_format=FORMAT)
    every = [
        feature(TEXTS.head(1), source_timestamp_format=FORMAT),
        tf.Window(source(TEXTS.head(1), timestamp_format=FORMAT), {"n": pl.len()}, windows=["9d"], name="w"),
    ]
    assert "python" in tf.point_in_time(given, every).explain(optimized=False).lower()
    assert "python" not in tf.point_in_time(given, every, checks=False).explain(optimized=False).lower()


# --- Polars' own in a user's plan, and ours in a build -----------------------------------------------------------------


def _torn() -> Plan:
    EVENTS.write_parquet("e.parquet")
    content = bytearray(Path("e.parquet").read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[4:end] = b"\xff" * (end - 4)
    Path("e.parquet").write_bytes(content)
    return labels(), feature("e.parquet")


def _late_type() -> Plan:
    Path("e.csv").write_text("k,t,x\n" + "".join(f"1,{i},1\n" for i in range(20_000)) + "1,99999,oops\n")
    return labels(), feature("e.csv")


def _own_cast() -> Plan:
    return labels(), feature(EVENTS.with_columns(s=pl.lit("two")), pl.col("s").cast(pl.Int64, strict=True).alias("x"))


def _own_lazy_frame() -> Plan:
    return labels(), feature(
        EVENTS.with_columns(x=pl.Series(["1", "two", "3"])).lazy().with_columns(pl.col("x").cast(pl.Int64))
    )


POLARS = {
    "torn file": _torn,
    "type that changes late": _late_type,
    "cast of an expression": _own_cast,
    "cast of a lazy frame": _own_lazy_frame,
}


@pytest.mark.parametrize("fault", POLARS)
def test_what_stays_polars_own_is_ours_in_a_build(fault: str) -> None:
    given, features = POLARS[fault]()
    with pytest.raises(
        (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)  # and none of ours
    ):
        tf.point_in_time(given, features).collect()
    for output in (None, "o.parquet"):
        with pytest.raises(TimefenceSchemaError, match="Fix:"):
            tf.build(given, features, output)
        with pytest.raises(TimefenceSchemaError, match="Fix:"):
            tf.build(given, features, output, store=tf.Store("store"))
    assert not Path("o.parquet").exists()


@pytest.mark.parametrize("events", [EVENTS, EVENTS.lazy()], ids=["in memory", "streamed"])
@pytest.mark.parametrize("output", [None, "o.parquet", "o.csv"])
@pytest.mark.parametrize("with_store", [False, True])
def test_labels_that_cannot_be_read_are_said_to_be_at_fault(
    events: Any, output: str | None, *, with_store: bool
) -> None:
    Path("l.csv").write_text("k,at,y\n" + "1,5,1\n" * 20_000 + "1,6,oops\n")
    store = tf.Store("store") if with_store else None
    with pytest.raises(TimefenceSchemaError, match=r"The labels cannot be read\.\n\n  labels: l\.csv\n(.|\n)*oops"):
        tf.build(labels("l.csv"), feature(events), output, store=store)
    assert not Path(output or "o").exists()


def test_a_fault_is_told_while_another_thread_imports_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", ModuleType("pyarrow"))  # as it stands before its import is done
    with pytest.raises(TimefenceSchemaError, match="It broke"), faults_are_ours("It broke.", "Mend it."):
        raise OSError


def test_what_a_users_function_raises_is_hidden_nowhere() -> None:
    def fails(_value: object) -> int:
        raise ZeroDivisionError("my own")

    one = feature(EVENTS, pl.col("x").map_elements(fails, return_dtype=pl.Int64).alias("x"))
    for run in (lambda: tf.point_in_time(labels(), one).collect(), lambda: tf.build(labels(), one)):
        with pytest.raises(ZeroDivisionError, match="my own"):
            run()


@pytest.mark.parametrize("error", [ZeroDivisionError, TypeError, KeyError])
def test_what_a_transform_raises_names_the_feature_and_its_source(error: type[Exception]) -> None:
    def fails(_events: pl.LazyFrame) -> pl.LazyFrame:
        raise error("my own")

    one = feature(EVENTS, transform=fails)
    for run in (tf.point_in_time, tf.build, tf.explain):
        with pytest.raises(error, match="my own") as caught:
            run(labels(), one)  # type: ignore[operator]
        assert caught.value.__notes__ == ["The transform of feature 'f' raised this on source 'events' (DataFrame)."]


def test_a_file_that_vanishes_after_it_was_planned() -> None:
    EVENTS.write_parquet("e.parquet")
    lf = tf.point_in_time(labels(), feature("e.parquet"))
    Path("e.parquet").unlink()
    with pytest.raises((pl.exceptions.PolarsError, FileNotFoundError)):
        lf.collect()


def test_the_documentation_says_which_faults_are_polars_own() -> None:
    said = " ".join(str(tf.point_in_time.__doc__).split())
    for part in ("torn", "vanished", "late type", "own expressions", "timestamp_format", "tf.build"):
        assert part in said
