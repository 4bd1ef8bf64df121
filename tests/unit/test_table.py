"""Where rows come from: paths, globs, folders, lists, frames and Arrow objects."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, feature, labels, source, values
from timefence_pl.errors import TimefenceSchemaError, TimefenceValidationError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(data: Any, **options: Any) -> list[int]:
    read: list[int] = source(data, **options).scan().collect()["x"].to_list()
    return read


# --- files -------------------------------------------------------------------------------------------------------------


def _write(frame: pl.DataFrame, name: str) -> None:
    if name.endswith(".csv.gz"):
        with gzip.open(name, "wb") as file:
            frame.write_csv(file)
    elif name.endswith(".tsv"):
        frame.write_csv(name, separator="\t")
    else:
        {
            "parquet": frame.write_parquet,
            "pq": frame.write_parquet,
            "csv": frame.write_csv,
            "ndjson": frame.write_ndjson,
            "jsonl": frame.write_ndjson,
            "arrow": frame.write_ipc,
            "ipc": frame.write_ipc,
            "feather": frame.write_ipc,
        }[name.rsplit(".", maxsplit=1)[-1].lower()](name)


@pytest.mark.parametrize(
    "name",
    [
        "e.parquet",
        "e.pq",
        "E.PARQUET",
        "e.csv",
        "e.tsv",
        "e.csv.gz",
        "e.ndjson",
        "e.jsonl",
        "e.arrow",
        "e.ipc",
        "e.feather",
        "we[i]rd*?.parquet",
        "a, b.parquet",
        "ünï cödé.parquet",
    ],
)
@pytest.mark.usefixtures("folder")
def test_the_suffix_tells_the_format(name: str) -> None:
    _write(EVENTS, name)
    assert values(labels(), feature(name)) == EXPECTED
    assert values(labels(), feature(Path(name))) == EXPECTED


@pytest.mark.usefixtures("folder")
def test_format_tells_where_the_suffix_does_not() -> None:
    EVENTS.write_parquet("events")
    assert values(labels(), feature("events", source_format="parquet")) == EXPECTED


@pytest.mark.usefixtures("folder")
def test_a_file_without_a_known_suffix_needs_format() -> None:
    EVENTS.write_parquet("events.dat")
    with pytest.raises(TimefenceValidationError, match=r"format of source 'events' cannot be told(.|\n)*Give format="):
        source("events.dat").scan()


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(TimefenceValidationError, match="format='parqet' .*Did you mean 'parquet'"):
        source("events", format="parqet")


@pytest.mark.parametrize(("suffix", "given"), [("csv", ";"), ("csv", "|"), ("tsv", ",")])
@pytest.mark.usefixtures("folder")
def test_the_delimiter_of_csv_files_can_be_told(suffix: str, given: str) -> None:
    EVENTS.write_csv(f"e.{suffix}", separator=given)
    assert values(labels(), feature(f"e.{suffix}", source_delimiter=given)) == EXPECTED


@pytest.mark.parametrize("delimiter", [";;", "", 5, "é"])
def test_a_delimiter_is_one_byte(delimiter: Any) -> None:
    with pytest.raises((TimefenceValidationError, TimefenceSchemaError), match="delimiter"):
        source("e.csv", delimiter=delimiter)


@pytest.mark.usefixtures("folder")
def test_csv_dates_and_times_are_parsed() -> None:
    Path("e.csv").write_text("k,t,x\n1,2024-01-02,10\n", encoding="utf-8")
    Path("f.csv").write_text("k,t,x\n1,2024-01-02T03:04:05,10\n", encoding="utf-8")
    assert source("e.csv").schema["t"] == pl.Date
    assert source("f.csv").schema["t"] == pl.Datetime("us")


@pytest.mark.usefixtures("folder")
def test_a_schema_replaces_inference() -> None:
    EVENTS.write_csv("e.csv")
    given = {"k": pl.String, "t": pl.Int64, "x": pl.Float64}
    assert source("e.csv", schema=given).schema == pl.Schema(given)


# --- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_files_of_a_folder_are_read_by_relative_name() -> None:
    for name, value in (("b/0", 3), ("a", 1), ("b/1", 4), ("a-1", 2), ("c", 5)):
        target = Path(f"data/{name}.parquet")
        target.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"k": [1], "t": [1], "x": [value]}).write_parquet(target)
    names = sorted(["b/0.parquet", "a.parquet", "b/1.parquet", "a-1.parquet", "c.parquet"])
    expected = [{"b/0": 3, "a": 1, "b/1": 4, "a-1": 2, "c": 5}[n.removesuffix(".parquet")] for n in names]
    for data in ("data", "data/", Path("data"), "data/**/*.parquet", str(Path("data").absolute())):
        assert rows(data) == expected


@pytest.mark.usefixtures("folder")
def test_a_list_keeps_the_order_in_which_files_are_named() -> None:
    for value, name in enumerate(("b", "a", "c")):
        pl.DataFrame({"k": [1], "t": [1], "x": [value]}).write_parquet(f"{name}.parquet")
    assert rows(["b.parquet", "a.parquet", "c.parquet"]) == [0, 1, 2]
    assert rows(("c.parquet", Path("a.parquet"))) == [2, 1]


@pytest.mark.usefixtures("folder")
def test_the_last_file_wins_a_tie() -> None:
    for value, name in enumerate(("b", "a", "c")):
        pl.DataFrame({"k": [1], "t": [1], "x": [value]}).write_parquet(f"{name}.parquet")
    given = labels(pl.DataFrame({"k": [1], "at": [9]}))
    assert values(given, feature("*.parquet", on_duplicate="keep_last")) == [2]
    assert values(given, feature("*.parquet", on_duplicate="keep_first")) == [1]
    assert values(given, feature(["c.parquet", "a.parquet"], on_duplicate="keep_last")) == [1]


@pytest.mark.usefixtures("folder")
def test_hidden_files_and_files_of_other_formats_are_left_out() -> None:
    Path("data/_tmp").mkdir(parents=True)
    EVENTS.write_parquet("data/e.parquet")
    for name in ("_SUCCESS", ".hidden.parquet", "_metadata.parquet", "_tmp/x.parquet", "readme.txt", "e.csv"):
        Path(f"data/{name}").write_text("no parquet", encoding="utf-8")
    assert [Path(n).name for n in source("data").files()] == ["e.parquet"]


@pytest.mark.parametrize("pattern", ["hive", "hive/**/*.parquet", "hive/*/*.parquet"])
@pytest.mark.usefixtures("folder")
def test_hive_folders_are_columns(pattern: str) -> None:
    for key in (1, 2):
        Path(f"hive/k={key}").mkdir(parents=True)
        EVENTS.filter(k=key).drop("k").write_parquet(f"hive/k={key}/0.parquet")
    assert values(labels(), feature(pattern)) == EXPECTED


@pytest.mark.usefixtures("folder")
def test_hive_folders_can_be_left_unread() -> None:
    Path("hive/k=1").mkdir(parents=True)
    EVENTS.drop("k").write_parquet("hive/k=1/0.parquet")
    with pytest.raises(TimefenceSchemaError, match="no column 'k'"):
        _ = source("hive", hive_partitioning=False).schema


@pytest.mark.usefixtures("folder")
def test_a_hive_column_wins_over_the_files_own_in_every_way_of_running() -> None:
    Path("hive/k=7").mkdir(parents=True)
    EVENTS.write_parquet("hive/k=7/0.parquet")
    given = labels(pl.DataFrame({"k": [7, 1], "at": [9, 9]}))
    assert values(given, feature("hive/k=7/0.parquet")) == [50, None]


# --- what is missing or broken ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_a_missing_file_is_named_with_the_nearest_beside_it() -> None:
    EVENTS.write_parquet("events.parquet")
    with pytest.raises(
        TimefenceValidationError, match=r"'event.parquet'. Did you mean 'events.parquet'(.|\n)*looked from"
    ):
        source("event.parquet").scan()


def test_a_missing_folder_is_named(folder: Path) -> None:
    with pytest.raises(
        TimefenceValidationError, match=r"does not exist: 'no/e.parquet'(.|\n)*the folder no does not exist"
    ):
        source("no/e.parquet").scan()
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_one_missing_file_of_a_list_is_named() -> None:
    EVENTS.write_parquet("events.parquet")
    with pytest.raises(TimefenceValidationError, match="does not exist: 'gone.parquet'"):
        source(["events.parquet", "gone.parquet"]).scan()


@pytest.mark.parametrize("pattern", ["no*.parquet", "no/**/*.parquet", "e[0-9].parquet"])
@pytest.mark.usefixtures("folder")
def test_a_pattern_without_files_is_named(pattern: str) -> None:
    EVENTS.write_parquet("ex.parquet")
    with pytest.raises(TimefenceValidationError, match="finds no parquet file in"):
        source(pattern).scan()


@pytest.mark.usefixtures("folder")
def test_an_empty_folder_is_refused() -> None:
    Path("empty").mkdir()
    with pytest.raises(TimefenceValidationError, match="'empty'"):
        source("empty").scan()
    with pytest.raises(TimefenceValidationError, match="finds no parquet file in 'empty'"):
        source("empty", format="parquet").scan()


@pytest.mark.parametrize(
    ("name", "content"), [("e.parquet", b""), ("e.parquet", b"junk" * 99), ("e.csv", b""), ("e.arrow", b"x")]
)
def test_a_file_that_cannot_be_read_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(TimefenceSchemaError, match=rf"columns of source 'events' \({name}\) cannot be read"):
        _ = source(name).schema


@pytest.mark.usefixtures("folder")
def test_files_of_two_formats_are_refused() -> None:
    EVENTS.write_parquet("e.parquet")
    EVENTS.write_csv("e.csv")
    with pytest.raises(TimefenceValidationError, match="format"):
        source(["e.parquet", "e.csv"]).scan()


@pytest.mark.usefixtures("folder")
def test_a_file_that_vanished_is_named_when_it_is_read() -> None:
    EVENTS.write_parquet("e.parquet")
    given = source("e.parquet")
    Path("e.parquet").unlink()
    with pytest.raises(TimefenceValidationError, match="does not exist: 'e.parquet'"):
        given.scan()


def test_a_lazy_frame_that_cannot_be_resolved_is_refused() -> None:
    with pytest.raises(TimefenceSchemaError, match=r"columns of source 'events' \(LazyFrame\) cannot be read"):
        _ = source(EVENTS.lazy().select("nope")).schema
    with pytest.raises(TimefenceSchemaError, match="cannot be read"):
        _ = source(pl.scan_parquet("/nowhere/e.parquet")).schema


@pytest.mark.parametrize(
    "value", [5, 1.5, b"e.parquet", {"k": [1]}, [], [1], [None], ["e.parquet", None], [{"k": 1}], object()]
)
def test_what_holds_no_rows_is_refused(value: Any) -> None:
    with pytest.raises(TimefenceValidationError, match=f"cannot be read from an? {type(value).__name__}"):
        source(value)


@pytest.mark.parametrize("value", ["", "  ", "a\0b"])
def test_an_empty_or_invalid_path_is_refused(value: str) -> None:
    with pytest.raises(TimefenceValidationError, match="empty or invalid path"):
        source(value)


def test_data_path_and_df_exclude_each_other() -> None:
    with pytest.raises(TimefenceValidationError, match="exactly one of data, path or df; got none"):
        source(None)
    with pytest.raises(TimefenceValidationError, match="exactly one of data, path or df; got 'data', 'df'"):
        source(EVENTS, df=EVENTS)
    with pytest.raises(TimefenceValidationError, match="got 'path', 'df'"):
        source(None, path="e.parquet", df=EVENTS)


@pytest.mark.usefixtures("folder")
def test_path_and_df_are_data_by_another_name() -> None:
    EVENTS.write_parquet("e.parquet")
    assert rows(None, path="e.parquet") == rows(None, df=EVENTS) == rows(EVENTS)


# --- frames and Arrow --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: EVENTS,
        EVENTS.lazy,
        EVENTS.to_arrow,
        lambda: EVENTS.to_arrow().to_batches()[0],
        lambda: pa.RecordBatchReader.from_batches(EVENTS.to_arrow().schema, EVENTS.to_arrow().to_batches()),
        EVENTS.to_pandas,
        lambda: pd.DataFrame({"k": [1, 1, 2], "t": [1, 5, 3], "x": [10, 50, 30]}, index=[7, 8, 9]),
    ],
    ids=["DataFrame", "LazyFrame", "Arrow table", "Arrow batch", "Arrow reader", "pandas", "pandas with an index"],
)
def test_frames_of_every_kind_are_read(make: Any) -> None:
    assert values(labels(), feature(make())) == EXPECTED


class OneShot:
    """An Arrow stream that can be taken once."""

    def __init__(self) -> None:
        self.taken = 0

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        self.taken += 1
        return EVENTS.__arrow_c_stream__(requested_schema)


def test_a_one_shot_arrow_reader_is_read_once_when_declared() -> None:
    stream = OneShot()
    given = source(stream)
    assert stream.taken == 1
    for _ in range(2):
        assert given.scan().collect().equals(EVENTS)
    assert values(labels(), [feature(EVENTS), tf.Feature(given, columns="x", name="again")], "again__x") == EXPECTED
    assert stream.taken == 1


def test_objects_that_give_arrow_tables_are_read() -> None:
    class Relation:
        def to_arrow_table(self) -> pa.Table:
            return EVENTS.to_arrow()

    assert values(labels(), feature(Relation())) == EXPECTED


@pytest.mark.parametrize(
    "make",
    [
        lambda: pa.table([pa.array([1])] * 4, names=["k", "t", "x", "x"]),
        lambda: pd.DataFrame([[1, 1, 1, 1]], columns=["k", "t", "x", "x"]),
    ],
    ids=["Arrow", "pandas"],
)
def test_column_names_given_twice_are_refused(make: Any) -> None:
    with pytest.raises((TimefenceSchemaError, TimefenceValidationError), match="source 'events'"):
        source(make())


def test_changing_the_frame_afterwards_changes_nothing() -> None:
    frame = EVENTS.clone()
    given = source(frame)
    frame.insert_column(0, pl.Series("k2", [0, 0, 0]))
    frame.replace_column(3, pl.Series("x", [0, 0, 0]))
    assert given.scan().collect()["x"].to_list() == [10, 50, 30]


# --- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("users.parquet", "users"),
        ("a/b/users.csv.gz", "users"),
        ("data/users", "users"),
        ("data/users/", "users"),
        ("data/users/*.parquet", "users"),
        ("data/users/**/*.parquet", "users"),
        ("data/users/day=*/*.parquet", "users"),
        ("data/users/day=2024-01-01/", "users"),
        ("s3://bucket/users.parquet", "users"),
        ("*.parquet", "source"),
        (["users.parquet", "more.parquet"], "users"),
        (Path("a.b/users.v1.parquet"), "users.v1"),
        (EVENTS, "dataframe"),
        (EVENTS.lazy(), "lazyframe"),
        (EVENTS.to_arrow(), "dataframe"),
    ],
    ids=str,
)
def test_the_default_name_is_the_files_stem_or_the_kind_of_frame(data: Any, name: str) -> None:
    assert source(data, name=None).name == name


def test_a_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    EVENTS.write_parquet("e.parquet")
    assert rows("~/e.parquet") == [10, 50, 30]


@pytest.mark.usefixtures("folder")
def test_schemas_are_told_without_reading_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        pytest.fail("rows were read")

    monkeypatch.setattr(pl.LazyFrame, "collect", refuse)
    EVENTS.write_parquet("e.parquet")
    assert list(source("e.parquet").schema) == ["k", "t", "x"]


# --- text files as they come -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"k,t,x\n1,1,10\n1,5,50\n2,3,30\n",
        b"\xef\xbb\xbfk,t,x\n1,1,10\n1,5,50\n2,3,30\n",
        b"k,t,x\r\n1,1,10\r\n1,5,50\r\n2,3,30\r\n",
        b"k,t,x\n1,1,10\n1,5,50\n2,3,30",
        b'"k","t","x"\n1,1,10\n1,5,50\n2,3,30\n',
    ],
    ids=["plain", "byte order mark", "carriage returns", "no last line end", "quoted"],
)
def test_csv_as_it_comes(folder: Path, content: bytes) -> None:
    (folder / "e.csv").write_bytes(content)
    assert values(labels(), feature("e.csv")) == EXPECTED


@pytest.mark.usefixtures("folder")
def test_columns_of_csv_files_are_brought_together() -> None:
    Path("data").mkdir()
    Path("data/a.csv").write_text("k,t,x\n1,1,10\n", encoding="utf-8")
    Path("data/b.csv").write_text("k,t,x\n1,5,5.5\n", encoding="utf-8")
    assert values(labels(), feature("data")) == [10.0, 5.5, None, None]
    Path("data/c.csv").write_text("k,t,y\n1,5,5.5\n", encoding="utf-8")
    with pytest.raises(TimefenceSchemaError, match="columns of source 'events'"):
        _ = source("data").schema


@pytest.mark.usefixtures("folder")
def test_texts_of_csv_files_stay_as_they_are_written() -> None:
    Path("data").mkdir()
    Path("data/a.csv").write_text('k,t,x\nA1,1,10\n" 8",5,\n', encoding="utf-8")
    Path("data/b.csv").write_text("k,t,x\n007,5,5.0\n1e3,5,1\n", encoding="utf-8")
    given = labels(pl.DataFrame({"k": ["A1", "007", "7", " 8", "1e3"], "at": [9] * 5}))
    for data in ("data", "data/*.csv", ["data/b.csv", "data/a.csv"]):
        assert values(given, feature(data)) == [10.0, 5.0, None, None, 1.0]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("one", "other", "read"),
    [
        ("1", "2.50", [1.0, 2.5]),
        ("1", "99999999999999999999", [1, 99999999999999999999]),
        ("01", "b", ["01", "b"]),
        ("1", "true", ["1", "true"]),
        ("1.50", "true", ["1.50", "true"]),
        ("1", "2024-01-01", ["1", "2024-01-01"]),
        ("1.0", "2024-01-01T00:00:00", ["1.0", "2024-01-01T00:00:00"]),
        ("99999999999999999999", "2024-01-01", ["99999999999999999999", "2024-01-01"]),
        ("10:00:00", "2024-01-01", ["10:00:00", "2024-01-01"]),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"]),
        ("02/01/2024", "2024-01-01", ["02/01/2024", "2024-01-01"]),
        ("2024-01-02", "2024-01-01T05:00:00", ["2024-01-02", "2024-01-01T05:00:00"]),
        ("2024-01-02", "", [date(2024, 1, 2), None]),
        ("", "", [None, None]),
    ],
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_column_of_csv_files_has_a_type_that_holds_all(one: str, other: str, read: list[Any], flip: bool) -> None:
    Path("data").mkdir()
    for i, text in enumerate([other, one] if flip else [one, other]):
        Path(f"data/{i}.csv").write_text(f"k,t,x\n1,{i},{text}\n", encoding="utf-8")
    expected = read[::-1] if flip else read
    frame = source("data").scan().collect()
    assert frame["x"].to_list() == expected
    assert source("data").schema == frame.schema
    single = "".join(f"1,{i},{text}\n" for i, text in enumerate([one, other]))
    Path("both.csv").write_text(f"k,t,x\n{single}", encoding="utf-8")
    if not isinstance(read[0], datetime):  # one file of both is text
        assert source("both.csv").scan().collect()["x"].to_list() == read


@pytest.mark.usefixtures("folder")
def test_csv_files_and_columns_without_values_have_no_say_in_types() -> None:
    Path("data").mkdir()
    Path("data/a.csv").write_text("k,t,x\n", encoding="utf-8")
    with pytest.raises(TimefenceSchemaError, match="timestamp 't' of source 'events' is String"):
        tf.point_in_time(labels(), feature("data"))
    EVENTS.head(1).write_csv("data/b.csv")
    EVENTS.tail(2).write_csv("data/c.csv")
    assert source("data").schema == EVENTS.schema
    assert values(labels(), feature("data")) == EXPECTED
    Path("data/d.csv").write_text("k,t,x\n1,7,\n" + "2,9,\n" * 12_000, encoding="utf-8")
    assert source("data").schema == EVENTS.schema
    with Path("data/d.csv").open("a", encoding="utf-8") as file:
        file.write("2,9,none\n")
    assert source("data").schema["x"] == pl.String
    assert source("data").scan().collect()["x"].drop_nulls().to_list() == ["10", "50", "30", "none"]


@pytest.mark.usefixtures("folder")
def test_parquet_files_of_other_columns_or_types_are_told_apart() -> None:
    Path("data").mkdir()
    EVENTS.write_parquet("data/a.parquet")
    EVENTS.cast({"x": pl.String}).write_parquet("data/b.parquet")
    with pytest.raises(
        TimefenceSchemaError, match=r"do not have the same columns(.|\n)*a.parquet and (.|\n)*x: Int64 and String"
    ):
        tf.point_in_time(labels(), feature("data"))
    EVENTS.drop("x").write_parquet("data/b.parquet")
    with pytest.raises(TimefenceSchemaError, match=r"do not have the same columns(.|\n)*x: Int64 and missing"):
        tf.point_in_time(labels(), feature("data"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.csv", "k,t,x\n" + "1,1,1\n" * 20_000 + "1,2,oops\n"),
        ("e.csv", b"k,t,x\n1,1,caf\xe9\n"),
        ("e.ndjson", '{"k":1,"t":1,"x":10}\n{oops\n'),
    ],
    ids=["a type that changes late", "not UTF-8", "no JSON"],
)
def test_text_that_cannot_be_read_stops_the_build(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((TimefenceSchemaError, TimefenceValidationError)):
        tf.build(labels(), feature(name, on_duplicate="keep_last"))


@pytest.mark.usefixtures("folder")
def test_a_csv_file_of_a_header_needs_a_schema() -> None:
    Path("e.csv").write_text("k,t,x\n", encoding="utf-8")
    with pytest.raises(TimefenceSchemaError, match="timestamp 't' of source 'events' is String"):
        tf.point_in_time(labels(), feature("e.csv"))
    given = {"k": pl.Int64, "t": pl.Int64, "x": pl.Int64}
    assert values(labels(), feature("e.csv", source_schema=given)) == [None] * 4


# --- schemas that are handed out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [tf.Source, tf.Labels])
def test_a_schema_that_is_changed_changes_nothing_else(made: type[tf.Source | tf.Labels]) -> None:
    time = {"timestamp": "t"} if made is tf.Source else {"label_time": "t"}
    table: Any = made(pl.DataFrame({"k": [1], "t": [1], "x": [1.0]}), keys="k", **time)
    for _ in range(2):
        schema = table.schema
        assert list(schema) == ["k", "t", "x"]
        schema["evil"] = pl.Int64()
        schema.pop("x")
    assert list(table.schema) == ["k", "t", "x"]
