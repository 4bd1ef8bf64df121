"""Outputs that are inputs of the same build, or would be of the next one, are refused, however they are reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, LABELS, feature, labels
from timefence_pl.errors import TimefenceStoreError

SPLITS = {"a": (0, 6), "b": (6, 10)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _plain() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    return "e.parquet", "e.parquet"


def _dotted() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    return "e.parquet", "./x/../e.parquet"


def _absolute() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    return Path("e.parquet"), str(Path("e.parquet").absolute())


def _through_a_link() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    Path("link.parquet").symlink_to("e.parquet")
    return "e.parquet", "link.parquet"


def _read_through_a_link() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    Path("link.parquet").symlink_to("e.parquet")
    return "link.parquet", "e.parquet"


def _through_a_linked_folder() -> tuple[Any, str]:
    Path("real").mkdir()
    Path("linked").symlink_to("real")
    EVENTS.write_parquet("real/e.parquet")
    return "real/e.parquet", "linked/e.parquet"


def _in_a_folder() -> tuple[Any, str]:
    Path("data").mkdir()
    EVENTS.write_parquet("data/e.parquet")
    return "data", "data/e.parquet"


def _in_a_hive_folder() -> tuple[Any, str]:
    for key in (1, 2):
        Path(f"hive/k={key}").mkdir(parents=True)
        EVENTS.filter(k=key).drop("k").write_parquet(f"hive/k={key}/0.parquet")
    return "hive", "hive/k=2/0.parquet"


def _in_a_list() -> tuple[Any, str]:
    for i in range(3):
        EVENTS[i : i + 1].write_parquet(f"e{i}.parquet")
    return [f"e{i}.parquet" for i in range(3)], "e2.parquet"


def _by_a_pattern() -> tuple[Any, str]:
    EVENTS.write_parquet("e1.parquet")
    return "e?.parquet", "e1.parquet"


def _scanned() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    return pl.scan_parquet("e.parquet").filter(pl.col("x") > 0), "e.parquet"


def _scanned_folder() -> tuple[Any, str]:
    _in_a_hive_folder()
    return pl.scan_parquet("hive"), "hive/k=1/0.parquet"


def _scanned_pattern() -> tuple[Any, str]:
    _in_a_folder()
    return pl.scan_parquet("da*/*.parquet"), "data/e.parquet"


def _scanned_list() -> tuple[Any, str]:
    for i in range(12):
        EVENTS[i % 3 : i % 3 + 1].with_columns(pl.col("t") + i).write_parquet(f"e{i}.parquet")
    return pl.scan_parquet([f"e{i}.parquet" for i in range(12)]), "e9.parquet"


def _scanned_with_a_comma() -> tuple[Any, str]:
    EVENTS.write_parquet("a, b.parquet")
    return pl.scan_parquet("a, b.parquet"), "a, b.parquet"


def _scanned_with_a_bracket() -> tuple[Any, str]:
    EVENTS.write_parquet("a]b.parquet")
    return pl.scan_parquet("a]b.parquet", glob=False), "a]b.parquet"


def _scanned_uri() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    return pl.scan_parquet(Path("e.parquet").absolute().as_uri()), "e.parquet"


def _uri() -> tuple[Any, str]:
    EVENTS.write_parquet("a b.parquet")
    return f"file://{Path('a b.parquet').absolute()}", "a b.parquet"


def _scanned_in_a_union() -> tuple[Any, str]:
    EVENTS.write_parquet("e.parquet")
    EVENTS.clear().write_parquet("f.parquet")
    return pl.concat([pl.scan_parquet("f.parquet"), pl.scan_parquet("e.parquet")]), "e.parquet"


def _scanned_csv() -> tuple[Any, str]:
    EVENTS.write_csv("e.csv")
    return pl.scan_csv("e.csv"), "e.csv"


def _scanned_arrow() -> tuple[Any, str]:
    EVENTS.write_ipc("e.arrow")
    return pl.scan_ipc("e.arrow"), "e.arrow"


def _scanned_ndjson() -> tuple[Any, str]:
    EVENTS.write_ndjson("e.ndjson")
    return pl.scan_ndjson("e.ndjson"), "e.ndjson"


READERS: list[Callable[[], tuple[Any, str]]] = [
    _plain,
    _dotted,
    _absolute,
    _through_a_link,
    _read_through_a_link,
    _through_a_linked_folder,
    _in_a_folder,
    _in_a_hive_folder,
    _in_a_list,
    _by_a_pattern,
    _scanned,
    _scanned_folder,
    _scanned_pattern,
    _scanned_list,
    _scanned_with_a_comma,
    _scanned_with_a_bracket,
    _scanned_uri,
    _uri,
    _scanned_in_a_union,
    _scanned_csv,
    _scanned_arrow,
    _scanned_ndjson,
]


@pytest.mark.parametrize("make", READERS, ids=lambda f: f.__name__.strip("_").replace("_", " "))
def test_an_output_that_is_an_input_is_refused_and_left_as_it_is(
    folder: Path, make: Callable[[], tuple[Any, str]]
) -> None:
    data, output = make()
    before = contents(folder)
    with pytest.raises(TimefenceStoreError, match=r"is one of the build's own inputs(.|\n)*destroy the data"):
        tf.build(labels(), feature(data, on_duplicate="keep_last"), output)
    assert contents(folder) == before


@pytest.mark.parametrize("lazy", [False, True])
def test_an_output_that_is_the_labels_is_refused(folder: Path, *, lazy: bool) -> None:
    LABELS.write_parquet("labels.parquet")
    before = contents(folder)
    with pytest.raises(TimefenceStoreError, match="own inputs"):
        tf.build(labels(pl.scan_parquet("labels.parquet") if lazy else "labels.parquet"), feature(), "labels.parquet")
    assert contents(folder) == before


def test_a_split_that_is_an_input_is_refused(folder: Path) -> None:
    EVENTS.write_parquet("set_a.parquet")
    before = contents(folder)
    with pytest.raises(TimefenceStoreError, match=r"set_a.parquet' is one of the build's own inputs"):
        tf.build(labels(), feature("set_a.parquet"), "set.parquet", splits=SPLITS)
    assert contents(folder) == before


def test_what_a_transform_reads_is_an_input(folder: Path) -> None:
    EVENTS.select("k", z="x").unique("k").write_parquet("other.parquet")
    before = contents(folder)
    given = feature(transform=lambda events: events.join(pl.scan_parquet("other.parquet"), on="k", how="left"))
    with pytest.raises(TimefenceStoreError, match="own inputs"):
        tf.build(labels(), given, "other.parquet")
    assert contents(folder) == before


@pytest.mark.parametrize("data", ["data", "data/*.parquet", "data/**/*.parquet"])
def test_an_output_that_its_source_would_read_from_then_on_is_refused(folder: Path, data: str) -> None:
    (folder / "data").mkdir()
    EVENTS.write_parquet("data/e.parquet")
    before = contents(folder)
    with pytest.raises(TimefenceStoreError, match="would become one of the files of source 'events'"):
        tf.build(labels(), feature(data), "data/set.parquet")
    assert contents(folder) == before


def test_an_output_of_another_format_may_stand_in_the_sources_folder(folder: Path) -> None:
    (folder / "data").mkdir()
    EVENTS.write_parquet("data/e.parquet")
    assert tf.build(labels(), feature("data"), "data/set.csv").validate()
    assert tf.build(labels(), feature("data"), "data.parquet").validate()
    assert tf.build(labels(), feature("data"), "database/set.parquet").validate()
