"""Output files: whole or not at all, checked before work, and as the manifest says."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.privileges import writes_anywhere
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels
from timefence_pl.errors import TimefenceConfigError, TimefenceDuplicateError, TimefenceError, TimefenceStoreError

SPLITS = {"a": (0, 6), "b": (6, 10)}
SUFFIXES = ["parquet", "csv", "ndjson", "arrow"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*SUFFIXES, "pq", "PARQUET"])
@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "streamed"])
def test_the_suffix_tells_the_format(folder: Path, suffix: str, *, lazy: bool) -> None:
    result = tf.build(labels(), feature(EVENTS.lazy() if lazy else EVENTS), f"out/set.{suffix}")
    assert [p.name for p in (folder / "out").iterdir()] == [f"set.{suffix}"]
    assert result.output_path == f"out/set.{suffix}"
    assert result.frame()["f__x"].to_list() == EXPECTED
    assert_frame_equal(result.scan().collect(), tf.build(labels(), feature()).frame())
    assert result.validate()


@pytest.mark.parametrize(
    ("suffix", "compression"),
    [
        *(("parquet", c) for c in ("zstd", "lz4", "snappy", "gzip", "brotli", "uncompressed")),
        *(("arrow", c) for c in ("zstd", "lz4", "uncompressed")),
    ],
)
def test_every_compression_can_be_read_back(folder: Path, suffix: str, compression: str) -> None:
    result = tf.build(labels(), feature(), folder / f"set.{suffix}", compression=compression)
    assert result.frame()["f__x"].to_list() == EXPECTED


@pytest.mark.parametrize("compression", ["snappy", "gzip", "brotli"])
def test_a_compression_that_arrow_files_do_not_have_is_refused(folder: Path, compression: str) -> None:
    for events in (EVENTS, EVENTS.lazy()):
        with pytest.raises(TimefenceConfigError, match=f"compression='{compression}'(.|\n)*'zstd', 'lz4'"):
            tf.build(labels(), feature(events), "set.arrow", compression=compression)
    assert contents(folder) == {}


VALUES = {
    "strings that look like numbers": pl.Series(["01", "2.0", "", "null"]),
    "strings that look like dates": pl.Series(["2024-01-01", "12:00", "True", "1e5"]),
    "quotes, commas and lines": pl.Series(['a"b', "a,b", "a\nb", "ä"]),
    "dates": pl.Series([date(2024, 1, 1), date(1, 1, 1), date(9999, 12, 31), None]),
    "times": pl.Series([time(1, 2, 3, 4), None, time(0), time(23, 59, 59, 999_999)]),
    "milliseconds": pl.Series([datetime(2024, 1, 1, 0, 0, 0, 1_000), None] * 2).cast(pl.Datetime("ms")),
    "nanoseconds": pl.Series([1, None, 10**18 + 1, -1], dtype=pl.Int64).cast(pl.Datetime("ns")),
    "a zone": pl.Series([datetime(2024, 7, 1), datetime(2024, 1, 1)] * 2).dt.replace_time_zone("Europe/Berlin"),
    "the hour that comes twice": pl.Series([datetime(2024, 10, 27, 0, 30), datetime(2024, 10, 27, 1, 30)] * 2)
    .dt.replace_time_zone("UTC")
    .dt.convert_time_zone("Europe/Berlin"),
    "decimals": pl.Series([Decimal("1.10"), Decimal("-0.01"), None, Decimal("12345678.90")]),
    "categories": pl.Series(["a", "b", None, "a"], dtype=pl.Categorical),
    "enums": pl.Series(["a", "b", None, "a"], dtype=pl.Enum(["b", "a"])),
    "small integers": pl.Series([1, -128, None, 127], dtype=pl.Int8),
    "unsigned integers": pl.Series([2**64 - 1, 0, None, 1], dtype=pl.UInt64),
    "wide integers": pl.Series([2**100, -(2**100), None, 1], dtype=pl.Int128),
    "wide unsigned integers": pl.Series([2**127 + 1, 0, None, 1], dtype=pl.UInt128),
    "floats": pl.Series([0.1, 1e300, None, -0.0]),
    "single floats": pl.Series([0.1, 1.5, None, -2.0], dtype=pl.Float32),
    "booleans": pl.Series([True, False, None, True]),
    "nothing": pl.Series([None] * 4),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("column", VALUES.values(), ids=VALUES.keys())
def test_a_file_is_read_back_with_the_types_it_was_written_from(tmp_path: Path, suffix: str, column: pl.Series) -> None:
    frame = LABELS.with_columns(z=column)
    result = tf.build(labels(frame), feature(), tmp_path / f"set.{suffix}")
    read = result.frame()
    assert_frame_equal(read.drop("f__x"), frame)
    assert read["f__x"].to_list() == EXPECTED


NOT_FINITE = [float("nan"), float("inf"), float("-inf"), 1.0]


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv"])
def test_nan_and_infinities_are_read_back(tmp_path: Path, suffix: str) -> None:
    frame = LABELS.with_columns(z=pl.Series(NOT_FINITE))
    assert_frame_equal(tf.build(labels(frame), feature(), tmp_path / f"set.{suffix}").frame().drop("f__x"), frame)


@pytest.mark.parametrize(
    ("column", "count"),
    [
        (pl.Series(NOT_FINITE), 3),
        (pl.Series([None, 1.0, float("nan"), None], dtype=pl.Float32), 1),
        (pl.Series([[1.0], [], None, [float("inf"), None]]), 1),
        (pl.Series([{"a": [{"b": v}]} for v in NOT_FINITE]), 3),
        (pl.Series([{"a": v, "b": 1.0} for v in NOT_FINITE], dtype=pl.Map(pl.String, pl.Float64)), 3),
    ],
    ids=["floats", "single floats", "lists", "structs", "maps"],
)
def test_nan_and_infinities_are_refused_in_ndjson(folder: Path, column: pl.Series, count: int) -> None:
    frame = LABELS.with_columns(z=column)
    for splits in (None, SPLITS):
        with pytest.raises(TimefenceConfigError, match=rf"NaN and infinite values of 'z'(.|\n)*z: {count} value"):
            tf.build(labels(frame), feature(), "set.ndjson", splits=splits)
    assert contents(folder) == {}


def test_a_feature_that_gives_nan_is_refused_in_ndjson(folder: Path) -> None:
    ratio = feature(EVENTS.with_columns(x=pl.lit(0.0) / 0))
    with pytest.raises(TimefenceConfigError, match="'f__x'"):
        tf.build(labels(), ratio, "set.ndjson")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "ndjson"])
@pytest.mark.parametrize(
    "column",
    [
        pl.Series([[1], [], None, [2, None]]),
        pl.Series([{"a": 1, "b": "x"}, {"a": None, "b": None}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]),
        pl.Series([[1, 2], [3, 4], None, [5, 6]], dtype=pl.Array(pl.Int64, 2)),
    ],
    ids=["lists", "structs", "arrays"],
)
def test_nested_values_are_read_back(tmp_path: Path, suffix: str, column: pl.Series) -> None:
    frame = LABELS.with_columns(z=column)
    assert_frame_equal(tf.build(labels(frame), feature(), tmp_path / f"set.{suffix}").frame().drop("f__x"), frame)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "column",
    [pl.Series([b"a", b"", None, b"\xff"]), pl.Series([timedelta(1), None, timedelta(microseconds=1), timedelta(-1)])],
    ids=["bytes", "durations"],
)
def test_bytes_and_durations_are_read_back(tmp_path: Path, suffix: str, column: pl.Series) -> None:
    frame = LABELS.with_columns(z=column)
    assert_frame_equal(tf.build(labels(frame), feature(), tmp_path / f"set.{suffix}").frame().drop("f__x"), frame)


@pytest.mark.parametrize(
    ("suffix", "column"),
    [
        ("csv", pl.Series([[1]] * 4)),
        ("csv", pl.Series([{"a": 1}] * 4)),
        ("csv", pl.Series([b"a"] * 4)),
        ("csv", pl.Series([timedelta(1)] * 4)),
        ("ndjson", pl.Series([b"a"] * 4)),
        ("ndjson", pl.Series([[b"a"]] * 4)),
        ("parquet", pl.Series([object()] * 4, dtype=pl.Object)),
        ("arrow", pl.Series([object()] * 4, dtype=pl.Object)),
    ],
    ids=lambda v: v if isinstance(v, str) else str(v.dtype),
)
def test_what_a_format_cannot_hold_is_refused_before_work(tmp_path: Path, suffix: str, column: pl.Series) -> None:
    steps: list[str] = []
    with pytest.raises(TimefenceConfigError, match="file cannot hold 'z'"):
        tf.build(labels(LABELS.with_columns(z=column)), feature(), tmp_path / f"set.{suffix}", progress=steps.append)
    assert contents(tmp_path) == {}
    assert not any("Joining" in s for s in steps)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_labels_are_a_file_with_columns(tmp_path: Path, suffix: str) -> None:
    result = tf.build(labels(LABELS.clear()), feature(), tmp_path / f"set.{suffix}")
    assert result.frame().shape == (0, 4)
    assert result.frame().schema == tf.point_in_time(labels(), feature()).collect_schema()


# --- refused paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["set", "set.xlsx", "set.parquet.gz", "set.", ".parquet", "parquet"])
def test_a_suffix_that_tells_no_format_is_refused_with_those_known(folder: Path, output: str) -> None:
    with pytest.raises(TimefenceConfigError, match=r"cannot be told from its suffix(.|\n)*'.parquet'"):
        tf.build(labels(), feature(), output)
    assert contents(folder) == {}


@pytest.mark.parametrize("output", ["", 5, b"set.parquet", "a\0.parquet", ["set.parquet"], True])
def test_what_is_no_path_is_refused(output: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="output=.* is not a path"):
        tf.build(labels(), feature(), output)


@pytest.mark.parametrize("output", ["s3://bucket/set.parquet", "gs://b/set.csv", "file:///tmp/set.parquet"])
def test_a_uri_is_refused_and_never_taken_for_a_folder(folder: Path, output: str) -> None:
    with pytest.raises(TimefenceConfigError, match="not on this machine"):
        tf.build(labels(), feature(), output)
    assert list(folder.iterdir()) == []


def test_a_folder_is_refused(folder: Path) -> None:
    (folder / "set.parquet").mkdir()
    with pytest.raises(TimefenceConfigError, match="is a folder"):
        tf.build(labels(), feature(), "set.parquet")


def test_a_name_the_file_system_refuses_is_refused(folder: Path) -> None:
    with pytest.raises(TimefenceError, match="too long"):
        tf.build(labels(), feature(), "x" * 300 + ".parquet")
    (folder / "file").write_text("", encoding="utf-8")
    with pytest.raises(TimefenceError, match=r"(?i)not a directory|file exists"):
        tf.build(labels(), feature(), "file/set.parquet")
    assert contents(folder) == {"file": b""}


def test_the_longest_name_is_written(folder: Path) -> None:
    name = "ü" * 120 + ".parquet"
    assert tf.build(labels(), feature(), name).validate()
    assert [p.name for p in folder.iterdir()] == [name]


@pytest.mark.parametrize("compression", ["zst", None, "", 5, True])
def test_an_unknown_compression_is_refused(folder: Path, compression: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"compression=.* is not known(.|\n)*'zstd'"):
        tf.build(labels(), feature(), "set.parquet", compression=compression)
    assert contents(folder) == {}


def test_a_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "home").mkdir()
    monkeypatch.setenv("HOME", str(folder / "home"))
    result = tf.build(labels(), feature(), "~/new/set.parquet")
    assert list(contents(folder)) == ["home/new/set.parquet"]
    assert result.validate()


# --- whole or not at all -----------------------------------------------------------------------------------------------


def _full_disk(*_args: object, **_options: object) -> None:
    raise OSError(28, "No space left on device")


def _torn(self: pl.DataFrame, path: Path, **_options: object) -> None:
    Path(path).write_bytes(b"PAR1 half of it")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "name", "failure"),
    [
        (pl.DataFrame, "write_parquet", _full_disk),
        (pl.DataFrame, "write_parquet", _torn),
        (os, "fsync", _full_disk),
        (os, "replace", _full_disk),
    ],
    ids=["refused", "torn", "not durable", "not renamed"],
)
@pytest.mark.parametrize("splits", [None, SPLITS], ids=["alone", "with splits"])
def test_a_failed_write_leaves_the_old_files_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, failure: Any, splits: Any
) -> None:
    tf.build(labels(), feature(), "set.parquet", splits=SPLITS)
    before = contents(folder)
    monkeypatch.setattr(owner, name, failure)
    with pytest.raises(TimefenceStoreError, match="No space left on device"):
        tf.build(labels(LABELS.head(1)), feature(), "set.parquet", splits=splits and {"a": (0, 100)})
    assert contents(folder) == before


def test_a_failed_second_write_leaves_the_old_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tf.build(labels(), feature(), "set.parquet", splits=SPLITS)
    before = contents(folder)
    write, calls = pl.DataFrame.write_parquet, []

    def failing(self: pl.DataFrame, path: Any, **options: Any) -> None:
        calls.append(path)
        if len(calls) == 3:
            _full_disk()
        write(self, path, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", failing)
    with pytest.raises(TimefenceStoreError, match="No space left"):
        tf.build(labels(LABELS.head(2)), feature(), "set.parquet", splits=SPLITS)
    assert len(calls) == 3
    assert contents(folder) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interrupted_write_leaves_the_old_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    tf.build(labels(), feature(), "set.parquet")
    before = contents(folder)

    def interrupted(self: pl.DataFrame, path: Path, **_options: object) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupted)
    with pytest.raises(error):
        tf.build(labels(LABELS.head(1)), feature(), "set.parquet")
    assert contents(folder) == before


@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "streamed"])
def test_duplicates_found_while_it_runs_leave_the_old_file(folder: Path, *, lazy: bool) -> None:
    tf.build(labels(), feature(), "set.parquet")
    before = contents(folder)
    twice = pl.concat([EVENTS, EVENTS])
    with pytest.raises(TimefenceDuplicateError):
        tf.build(labels(), feature(twice.lazy() if lazy else twice), "set.parquet")
    assert contents(folder) == before


@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "streamed"])
def test_data_that_cannot_be_computed_leaves_the_old_file(folder: Path, *, lazy: bool) -> None:
    tf.build(labels(), feature(), "set.parquet")
    before = contents(folder)
    texts = EVENTS.with_columns(x=pl.Series(["1", "2", "three"]))
    with pytest.raises(TimefenceError, match="three"):
        tf.build(labels(), feature(texts.lazy() if lazy else texts, pl.col("x").cast(pl.Int64)), "set.parquet")
    assert contents(folder) == before


def test_a_failure_after_the_join_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tf.build(labels(), feature(), "set.parquet")
    before = contents(folder)

    def fails(*_args: object, **_options: object) -> None:
        raise TimefenceStoreError("the counts failed")

    monkeypatch.setattr(importlib.import_module("timefence_pl.build"), "dropped_rows", fails)
    with pytest.raises(TimefenceStoreError, match="the counts failed"):
        tf.build(labels(LABELS.head(1)), feature(), "set.parquet")
    assert contents(folder) == before


@pytest.mark.skipif(writes_anywhere(), reason="root writes anywhere: run by tests/faults/test_read_only.py")
def test_a_folder_that_may_not_be_written_is_told(folder: Path) -> None:
    (folder / "sealed").mkdir(mode=0o500)
    with pytest.raises(TimefenceStoreError, match=r"(?i)permission"):
        tf.build(labels(), feature(), "sealed/set.parquet")


def test_building_again_replaces_the_file(folder: Path) -> None:
    tf.build(labels(), feature(), "set.parquet")
    second = tf.build(labels(LABELS.head(1)), feature(), "set.parquet")
    assert second.frame().height == 1
    assert list(contents(folder)) == ["set.parquet"]


def test_a_link_at_the_outputs_place_keeps_what_it_points_to(folder: Path) -> None:
    (folder / "precious.parquet").write_bytes(b"precious")
    Path("set.parquet").symlink_to("precious.parquet")
    tf.build(labels(), feature(), "set.parquet")
    assert (folder / "precious.parquet").read_bytes() == b"precious"


# --- validate ----------------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    """Another bit, the same size and times."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.unlink(),
        lambda p: os.truncate(p, 10),
        lambda p: os.truncate(p, 0),
        EVENTS.write_parquet,
        lambda p: p.write_bytes(p.read_bytes() + b"\0"),
        _flip,
        lambda p: (p.unlink(), p.mkdir()),
    ],
    ids=["removed", "truncated", "emptied", "replaced", "longer", "one bit, same size and times", "a folder"],
)
@pytest.mark.parametrize("name", ["set.parquet", "set_b.parquet"])
def test_validate_sees_any_change_of_any_file(folder: Path, name: str, damage: Callable[[Path], Any]) -> None:
    result = tf.build(labels(), feature(), "set.parquet", splits=SPLITS)
    assert result.validate() is True
    damage(folder / name)
    assert result.validate() is False


def test_validate_knows_a_file_that_another_build_replaced(folder: Path) -> None:
    first = tf.build(labels(), feature(), "set.parquet")
    second = tf.build(labels(), feature(name="g"), "set.parquet")
    assert (first.validate(), second.validate()) == (False, True)


def test_validate_follows_the_file_not_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tf.build(labels(), feature(), "set.parquet", splits=SPLITS)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert result.validate() is True
    assert result.frame().height == 4
    assert result.output_path == "set.parquet"


def test_a_build_without_a_file_has_nothing_to_validate() -> None:
    with pytest.raises(tf.TimefenceValidationError, match="wrote no file to validate"):
        tf.build(labels(), feature()).validate()
