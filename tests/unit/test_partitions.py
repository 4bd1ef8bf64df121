"""Hive folders: columns, keys and values in every format, files that a filter leaves unread, and folders that differ."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, joined, labels, source, values
from timefence_pl.errors import TimefenceError, TimefenceSchemaError
from timefence_pl.errors import TimefenceValidationError as Invalid

FORMATS = {"parquet": "parquet", "csv": "csv", "ndjson": "ndjson", "ipc": "arrow"}
#: Days 1 to 4, two rows each; odd days in the EU.
ROWS = pl.DataFrame(
    {
        "k": [1, 2] * 4,
        "t": [10 * d + i for d in range(1, 5) for i in (0, 1)],
        "x": list(range(8)),
        "day": [date(2024, 1, d) for d in range(1, 5) for _ in (0, 1)],
        "region": ["eu", "eu", "us", "us"] * 2,
    }
)
ASKED = pl.DataFrame({"k": [1, 2], "at": [99, 35]})
WHOLE = [(1, 99, 6, date(2024, 1, 4), "us"), (2, 35, 5, date(2024, 1, 3), "eu")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(frame: pl.DataFrame, path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    kind = path.rsplit(".", maxsplit=1)[-1]
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "ndjson": frame.write_ndjson, "arrow": frame.write_ipc}[
        kind
    ](path)


def partitioned(kind: str = "parquet") -> str:
    for (day, region), part in ROWS.group_by("day", "region"):
        write(part.drop("day", "region"), f"data/day={day}/region={region}/0.{FORMATS[kind]}")
    return "data"


def spoil(path: str) -> None:
    """Make a file's rows unreadable, its footer whole."""
    content = bytearray(Path(path).read_bytes())
    if path.endswith(".parquet"):
        end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        content[4:end] = b"\xff" * (end - 4)
    else:
        content[:] = b"\xff" * len(content)
    Path(path).write_bytes(content)


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_folders_are_values_of_every_format(kind: str) -> None:
    frame = joined(labels(ASKED), feature(partitioned(kind), columns=["x", "day", "region"]))
    assert frame.rows() == WHOLE
    assert frame.schema["f__day"] == pl.Date


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("pattern", ["data/**/*.{}", "data/*/*/*.{}", "list"])
def test_folders_are_read_from_globs_and_lists(kind: str, pattern: str) -> None:
    partitioned(kind)
    given: Any = pattern.format(FORMATS[kind])
    if pattern == "list":
        given = [str(p) for p in sorted(Path("data").rglob(f"*.{FORMATS[kind]}"))]
    assert joined(labels(ASKED), feature(given, columns=["x", "day", "region"])).rows() == WHOLE


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_is_a_key_and_a_time(kind: str) -> None:
    for key in (1, 2):
        write(EVENTS.filter(k=key).drop("k"), f"data/k={key}/0.{FORMATS[kind]}")
        write(LABELS.filter(k=key).drop("k"), f"rows/k={key}/0.{FORMATS[kind]}")
    assert values(labels(), feature("data")) == EXPECTED
    assert values(labels("rows"), feature("data")) == [10, 50, 30]
    for time, rows in EVENTS.group_by("t"):
        write(rows.drop("t"), f"times/t={time[0]}/0.{FORMATS[kind]}")
    assert values(labels(), feature("times")) == EXPECTED


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("folders", "read"),
    [
        (["1", "__HIVE_DEFAULT_PARTITION__"], [1, None]),
        (["01", "002"], [1, 2]),
        (["1.5", "2"], [1.5, 2.0]),
        (["true", "false"], [True, False]),
        (["2024-01-01", "2024-01-02"], [date(2024, 1, 1), date(2024, 1, 2)]),
        (["2024-01-01T00:00:00", "2024-01-02T00:00:00"], [datetime(2024, 1, 1), datetime(2024, 1, 2)]),
        (["a b", "ü,%22"], ["a b", 'ü,"']),
        (["a%20b", "%2F"], ["a b", "/"]),
        (["1", "b"], ["1", "b"]),
    ],
    ids=str,
)
def test_values_of_folders_have_one_type_in_every_format(kind: str, folders: list[str], read: list[Any]) -> None:
    for i, name in enumerate(folders):
        write(pl.DataFrame({"k": [1], "t": [i], "x": [i]}), f"data/p={name}/{i}.{FORMATS[kind]}")
    assert dict(source("data").scan().select("x", "p").collect().rows()) == dict(enumerate(read))


def test_texts_of_csv_files_in_folders_stay_as_they_are_written() -> None:
    for day, text in {"2024-01-01": "A1,1,10", "2024-01-02": "007,2,20", "2024-01-03": ""}.items():
        Path(f"data/day={day}").mkdir(parents=True)
        Path(f"data/day={day}/0.csv").write_text(f"k,t,x\n{text}\n", encoding="utf-8")
    given = labels(pl.DataFrame({"k": ["A1", "007"], "at": [9, 9]}))
    frame = joined(given, feature("data", columns=["x", "day"]))
    assert frame.rows() == [("A1", 9, 10, date(2024, 1, 1)), ("007", 9, 20, date(2024, 1, 2))]


@pytest.mark.parametrize("kind", FORMATS)
def test_folders_can_be_left_unread(kind: str) -> None:
    assert list(source(partitioned(kind), hive_partitioning=False).schema) == ["k", "t", "x"]


@pytest.mark.parametrize("kind", FORMATS)
def test_folders_that_differ_are_named(kind: str) -> None:
    write(EVENTS, f"data/p=1/q=2/a.{FORMATS[kind]}")
    write(EVENTS, f"data/p=1/b.{FORMATS[kind]}")
    with pytest.raises(Invalid, match=r"same partition folders(.|\n)*'p'(.|\n)*hive_partitioning=False"):
        tf.build(labels(), feature("data"))
    one = feature("data", source_hive_partitioning=False, on_duplicate="keep_last")
    assert values(labels(), one) == EXPECTED


# --- files left unread -------------------------------------------------------------------------------------------------


def filters(data: Any) -> dict[str, tf.Feature | tf.Window]:
    one = source(data)
    return {
        "transform": tf.Feature(one, transform=lambda e: e.filter(pl.col("region") == "eu"), name="f"),
        "sql": tf.Feature(one, sql="SELECT * FROM {source} WHERE region = 'eu'", name="f"),
        "where": tf.Window(one, {"x": pl.col("x").max()}, windows=[None], name="f", where=pl.col("region") == "eu"),
        "lazy frame": feature(one.scan().filter(pl.col("region") == "eu")),
    }


@pytest.mark.parametrize("way", ["transform", "sql", "where", "lazy frame"])
@pytest.mark.parametrize("run", ["point_in_time", "build", "store", "file"])
def test_a_filter_on_a_folder_leaves_other_files_unread(way: str, run: str) -> None:
    one = filters(partitioned())[way]
    given = labels(ASKED)
    whole = tf.build(given, one).frame()
    for name in Path("data").rglob("region=us/*.parquet"):
        spoil(str(name))
    with pytest.raises(TimefenceError):
        tf.build(given, feature("data"))  # they cannot be read indeed
    if run == "point_in_time":
        assert tf.point_in_time(given, one).collect(engine="in-memory").equals(whole)
        assert tf.point_in_time(given, one).collect(engine="streaming").equals(whole)
    elif run == "build":
        assert tf.build(given, one).frame().equals(whole)
    elif run == "store":
        for _ in range(2):
            assert tf.build(given, one, store=tf.Store("store")).frame().equals(whole)
    else:
        assert tf.build(given, one, "set.parquet").frame().equals(whole)


def test_the_plan_says_which_files_are_left() -> None:
    plan = tf.explain(labels(ASKED), filters(partitioned())["transform"]).plan
    assert "region=eu" in plan
    assert "region=us" not in plan


def test_a_value_of_a_folder_and_a_filter_on_it() -> None:
    one = tf.Feature(source(partitioned()), transform=lambda e: e.filter(pl.col("day") < date(2024, 1, 3)), name="f")
    assert values(labels(ASKED), one, "f__day") == [date(2024, 1, 2)] * 2


# --- compressed and separated text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize(("name", "separator"), [("e.csv", ","), ("e.csv", ";"), ("e.tsv", "\t"), ("e.csv", "|")])
def test_compressed_text_with_any_delimiter(suffix: str, name: str, separator: str) -> None:
    text = EVENTS.write_csv(separator=separator).encode()
    packed = gzip.compress(text) if suffix == ".gz" else pa.compress(text, codec="zstd", asbytes=True)
    Path(name + suffix).write_bytes(packed)
    options = {} if separator in ",\t" else {"source_delimiter": separator}
    assert values(labels(), feature(name + suffix, **options)) == EXPECTED
    assert tf.Source(name + suffix, keys="k", timestamp="t").name == "e"
    twice = [tf.build(labels(), feature(name + suffix, **options), store=tf.Store("store")) for _ in range(2)]
    assert [r.manifest["features"]["f"]["cached"] for r in twice] == [False, True]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_ndjson(suffix: str) -> None:
    text = EVENTS.write_ndjson().encode()
    packed = gzip.compress(text) if suffix == ".gz" else pa.compress(text, codec="zstd", asbytes=True)
    Path("e.ndjson" + suffix).write_bytes(packed)
    assert values(labels(), feature("e.ndjson" + suffix)) == EXPECTED


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_readers_go_by_the_bytes_not_by_the_suffix(suffix: str) -> None:
    Path(f"e.csv{suffix}").write_bytes(EVENTS.write_csv().encode())
    assert values(labels(), feature(f"e.csv{suffix}")) == EXPECTED


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_torn_compressed_text_is_an_error_of_ours(suffix: str) -> None:
    text = pl.concat([EVENTS] * 2_000).write_csv().encode()
    packed = gzip.compress(text) if suffix == ".gz" else pa.compress(text, codec="zstd", asbytes=True)
    Path(f"e.csv{suffix}").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(TimefenceError, match="ource 'events'"):
        tf.build(labels(), feature(f"e.csv{suffix}", on_duplicate="keep_last"))


@pytest.mark.parametrize(
    ("text", "given", "read"),
    [
        ("03.01.2024 14:30", "%d.%m.%Y %H:%M", datetime(2024, 1, 3, 14, 30)),
        ("2024-01-03T14:30:00.123456", "%Y-%m-%dT%H:%M:%S%.f", datetime(2024, 1, 3, 14, 30, 0, 123456)),
        ("01/03/24 02:30:00 PM", "%m/%d/%y %I:%M:%S %p", datetime(2024, 1, 3, 14, 30)),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "ndjson", "parquet"])
def test_times_of_text_in_a_given_format(text: str, given: str, read: datetime, kind: str) -> None:
    events = pl.DataFrame({"k": [1], "t": [text], "x": [10]})
    rows = pl.DataFrame({"k": [1], "at": [text]})
    for frame, name in ((events, "e"), (rows, "l")):
        if kind == "csv.gz":
            Path(f"{name}.csv.gz").write_bytes(gzip.compress(frame.write_csv().encode()))
        else:
            write(frame, f"{name}.{kind}")
    one = feature(f"e.{kind}", source_timestamp_format=given)
    asked = labels(f"l.{kind}", timestamp_format=given)
    assert one.source.scan().collect()["t"].to_list() == [read]
    assert values(asked, one, join="inclusive") == [10]
    assert values(asked, one) == [None]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("of", ["source", "labels"])
def test_a_time_that_is_not_of_the_format_is_named(kind: str, of: str) -> None:
    rows = pl.DataFrame({"k": [1, 1, 1], "t": ["03.01.2024", "soon", None], "x": [10, 20, 30]})
    good = pl.DataFrame({"k": [1], "at": [datetime(2024, 1, 9)], "t": [datetime(2024, 1, 9)], "x": [1]})
    write(rows, f"e.{kind}")
    if of == "source":
        given, one = labels(good), feature(f"e.{kind}", source_timestamp_format="%d.%m.%Y")
    else:
        given, one = labels(f"e.{kind}", label_time="t", timestamp_format="%d.%m.%Y"), feature(good)
    with pytest.raises(TimefenceSchemaError, match="soon"):
        tf.build(given, one)


def test_csv_files_of_other_columns_are_named() -> None:
    write(EVENTS, "data/a.csv")
    write(EVENTS.rename({"x": "y"}), "data/b.csv")
    with pytest.raises(TimefenceSchemaError, match=r"data/a\.csv has the columns(.|\n)*data/b\.csv has 'k', 't', 'y'"):
        tf.build(labels(), feature("data"))
