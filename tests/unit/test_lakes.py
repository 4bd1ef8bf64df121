"""Delta and Iceberg tables as sources and labels: by path and as open tables, with a store, and where they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source, values
from timefence_pl.errors import TimefenceDuplicateError, TimefenceSchemaError, TimefenceStoreError
from timefence_pl.errors import TimefenceValidationError as Invalid

pytest.importorskip("deltalake")
pytest.importorskip("pyiceberg")

Lake = tuple[str, Any]


def _catalog(folder: Path) -> Any:
    from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415 - optional

    folder.mkdir(exist_ok=True)
    return SqlCatalog("tests", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")


def _iceberg(folder: Path, frame: pl.DataFrame, name: str = "lake.events") -> Any:
    catalog = _catalog(folder)
    catalog.create_namespace_if_not_exists("lake")
    table = catalog.create_table(name, schema=frame.to_arrow().schema)
    table.append(frame.to_arrow())
    return table


def _delta(path: str, *frames: pl.DataFrame, **options: Any) -> str:
    for frame in frames:
        frame.write_delta(path, mode="append", delta_write_options=options or None)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["delta by path", "delta opened", "iceberg by path", "iceberg opened"])
def lake(request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    """A function that writes a frame as a table and gives what names it."""
    from deltalake import DeltaTable  # noqa: PLC0415 - optional

    def write(frame: pl.DataFrame, name: str) -> dict[str, Any]:
        if request.param.startswith("delta"):
            path = _delta(name, frame)
            return {"data": path if "path" in request.param else DeltaTable(path)}
        table = _iceberg(folder / "warehouse", frame, f"lake.{name}")
        if "path" in request.param:
            return {"data": table.metadata_location, "format": "iceberg"}
        return {"data": table}

    return write


# --- as sources and labels --------------------------------------------------------------------------------------------


def test_a_table_is_a_source_and_labels(lake: Any) -> None:
    events, given = lake(EVENTS, "events"), lake(LABELS, "rows")
    one = feature(events.pop("data"), **{f"source_{k}": v for k, v in events.items()})
    frame = labels(given.pop("data"), **given)
    assert values(frame, one) == EXPECTED
    assert one.source.schema == EVENTS.schema
    assert "events.t < labels.at" in str(tf.explain(frame, one))


def test_a_window_over_a_table(lake: Any) -> None:
    events = lake(EVENTS, "events")
    one = tf.Window(source(**events), {"sum": pl.col("x").sum(), "last": pl.col("x").last()}, windows=[None], name="w")
    assert values(labels(), one, "w__sum_all") == [10, 60, 30, 0]
    assert values(labels(), one, "w__last_all") == EXPECTED


def test_a_default_name_is_the_tables(folder: Path) -> None:
    assert tf.Source(_delta("data/events", EVENTS), keys="k", timestamp="t").name == "events"
    table = _iceberg(folder / "warehouse", EVENTS)
    assert "lake.events" in repr(tf.Source(table, keys="k", timestamp="t"))


@pytest.mark.usefixtures("folder")
def test_a_path_is_read_as_it_stands_and_an_open_table_as_it_was_opened() -> None:
    from deltalake import DeltaTable  # noqa: PLC0415 - optional

    path = _delta("events", EVENTS)
    by_path, opened = feature(path), feature(DeltaTable(path))
    _delta(path, pl.DataFrame({"k": [3], "t": [8], "x": [70]}))
    assert values(labels(), by_path) == [10, 50, 30, 70]
    assert values(labels(), opened) == EXPECTED
    both = tf.point_in_time(labels(), [by_path, feature(DeltaTable(path, version=0), name="g")]).collect()
    assert both["f__x"].to_list() == [10, 50, 30, 70]
    assert both["g__x"].to_list() == EXPECTED


@pytest.mark.usefixtures("folder")
def test_a_partitioned_delta_table_gives_its_partition_as_key_and_value() -> None:
    rows = pl.DataFrame({"k": [1, 1, 2, None], "t": [1, 5, 3, 4], "x": [10, 50, 30, 9]})
    path = _delta("events", rows, partition_by=["k"])
    assert values(labels(), feature(path, columns=["x", "k"])) == EXPECTED
    assert values(labels(), feature(path, columns=["x", "k"]), "f__k") == [1, 1, 2, None]


# --- ties: rows without an order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("policy", "expected"), [("keep_last", [51, 10]), ("keep_first", [50, 10])])
@pytest.mark.usefixtures("folder")
def test_ties_go_by_the_values_whatever_the_order_of_writing(policy: Any, expected: list[int], flip: Any) -> None:
    parts = [EVENTS, EVENTS.with_columns(pl.col("x") + 1)]
    path = _delta("events", *(parts[::-1] if flip else parts))
    given = labels(pl.DataFrame({"k": [1, 1], "at": [6, 5]}))
    one = feature(path, on_duplicate=policy)
    assert values(given, one) == [expected[0], expected[1] + (policy == "keep_last")]
    last = tf.Window(one.source, {"last": pl.col("x").last()}, windows=[None], name="w")
    assert values(given, last, "w__last_all") == [51, 11]
    shifted = feature(path, pl.col("x").shift(1).over("k").alias("x"), on_duplicate="keep_last")
    assert values(given, shifted) == [50, 10]


@pytest.mark.usefixtures("folder")
def test_ties_that_matter_are_refused_by_default() -> None:
    with pytest.raises(TimefenceDuplicateError, match="Feature 'f' has duplicates"):
        tf.build(labels(), feature(_delta("events", EVENTS, EVENTS)))


@pytest.mark.usefixtures("folder")
def test_ties_are_settled_alike_with_and_without_a_store_and_whoever_is_beside() -> None:
    rows = pl.DataFrame({"k": [1, 1, 1], "t": [1, 1, 1], "x": [1, 2, 3], "y": [3, 2, 1], "z": [2, 3, 1]})
    one = source(_delta("events", rows, rows.reverse().with_columns(pl.col("x") + 1)))
    given = labels(pl.DataFrame({"k": [1], "at": [5]}))
    make: dict[str, Any] = {
        c: tf.Feature(one, columns=[c], name=c, on_duplicate="keep_last") for c in ("x", "y", "z")
    } | {
        f"w{i}": tf.Window(one, {f"{c}_last": pl.col(c).last() for c in columns}, windows=[None], name=f"w{i}")
        for i, columns in enumerate(("xy", "yz"))
    }
    alone = pl.concat([tf.build(given, f).frame().drop("k", "at") for f in make.values()], how="horizontal")
    store = tf.Store("store")
    for some in (["y"], ["w1"], ["w0"], list(make), list(make)[::-1], list(make)):
        found = tf.build(given, [make[n] for n in some], store=store).frame()
        assert_frame_equal(found.drop("k", "at"), alone.select(found.columns[2:]))


# --- with a store -----------------------------------------------------------------------------------------------------


def _cached(features: Any, given: tf.Labels | None = None) -> tuple[bool, str, list[Any]]:
    result = tf.build(given or labels(), features, store=tf.Store("store"))
    found = result.manifest["features"]["f"]
    return found["cached"], found["cache_reason"], result.frame()["f__x"].to_list()


def test_a_table_is_had_from_the_store_until_it_changes(lake: Any, folder: Path) -> None:
    events = lake(EVENTS, "events")
    options = {f"source_{k}": v for k, v in events.items() if k != "data"}
    assert _cached(feature(events["data"], **options))[0] is False
    assert _cached(feature(events["data"], **options)) == (True, "", EXPECTED)
    assert tf.explain(labels(), feature(events["data"], **options), store=tf.Store("store"))["f"].cached


@pytest.mark.usefixtures("folder")
def test_new_rows_of_a_delta_table_are_computed_and_told() -> None:
    path = _delta("events", EVENTS)
    _cached(feature(path))
    _delta(path, pl.DataFrame({"k": [3], "t": [8], "x": [70]}))
    cached, reason, found = _cached(feature(path))
    assert (cached, found) == (False, [10, 50, 30, 70])
    assert "source" in reason
    assert ".parquet" in reason
    assert _cached(feature(path))[0]


def test_new_rows_and_columns_of_an_iceberg_table_are_computed(folder: Path) -> None:
    table = _iceberg(folder / "warehouse", EVENTS)
    _cached(feature(table))
    table.append(pl.DataFrame({"k": [3], "t": [8], "x": [70]}).to_arrow())
    assert _cached(feature(table))[2] == [10, 50, 30, 70]
    assert _cached(feature(table))[0]
    with table.update_schema() as update:
        update.rename_column("x", "y")
    again = feature(_catalog(folder / "warehouse").load_table("lake.events"), columns={"y": "x"})
    assert _cached(again)[::2] == (False, [10, 50, 30, 70])


def test_deleted_rows_of_an_iceberg_table_are_gone(folder: Path) -> None:
    table = _iceberg(folder / "warehouse", EVENTS)
    _cached(feature(table))
    table.delete("x = 50")
    cached, _, found = _cached(feature(table))
    assert (cached, found) == (False, [10, 10, 30, None])


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_partitions_whose_folders_have_escapes_are_read_and_kept(folder: Path, scheme: str) -> None:
    from pyiceberg.transforms import IdentityTransform  # noqa: PLC0415 - optional

    rows = EVENTS.with_columns(p=pl.Series(["d/e", "x y", "ü%2F#?"]))
    catalog = _catalog(folder / "ware house")
    catalog.create_namespace("lake")
    options = {"location": f"{scheme}{folder}/ware house/events"}
    with catalog.create_table_transaction("lake.events", rows.to_arrow().schema, **options) as made:
        made.update_spec().add_field("p", IdentityTransform(), "p").commit()
    table = catalog.load_table("lake.events")
    table.append(rows.to_arrow())
    path = _delta("events", rows, partition_by=["p"])
    for data in (table, path):
        one = feature(data, columns=["x", "p"])
        assert _cached(one)[::2] == (False, EXPECTED)
        assert _cached(one) == (True, "", EXPECTED)
        assert tf.build(labels(), one).frame()["f__p"].to_list() == ["d/e", "x y", "ü%2F#?", None]
        found = [Path(name) for name in one.source.table.inputs() if name.endswith(".parquet")]
        assert [p.is_file() for p in found] == [True] * 3


@pytest.mark.usefixtures("folder")
def test_a_compacted_delta_table_gives_the_same() -> None:
    from deltalake import DeltaTable  # noqa: PLC0415 - optional

    path = _delta("events", EVENTS.head(1), EVENTS.tail(2))
    assert _cached(feature(path))[2] == EXPECTED
    DeltaTable(path).optimize.compact()
    assert _cached(feature(path))[2] == EXPECTED


@pytest.mark.usefixtures("folder")
def test_labels_of_several_files_are_no_key_of_a_build_but_features_are_kept() -> None:
    given = labels(_delta("rows", LABELS.head(2), LABELS.tail(2)))
    first = tf.build(given, feature(), "set.parquet", store=tf.Store("store"))
    again = tf.build(given, feature(), "again.parquet", store=tf.Store("store"))
    assert first.manifest["build_cache_key"] is again.manifest["build_cache_key"] is None
    assert again.manifest["features"]["f"]["cached"]
    assert sorted(again.frame()["f__x"].to_list(), key=str) == sorted(EXPECTED, key=str)
    single = tf.build(labels(_delta("one", LABELS)), feature(), "set.parquet", store=tf.Store("store"))
    assert single.manifest["build_cache_key"]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("run", [tf.point_in_time, tf.build, tf.explain])
def test_a_table_that_does_not_exist_is_named_with_the_nearest(run: Any) -> None:
    _delta("events", EVENTS)
    with pytest.raises(Invalid, match=r"no delta table at 'event'(.|\n)*source 'events'(.|\n)*Did you mean 'events'"):
        run(labels(), feature("event", source_format="delta"))
    with pytest.raises(Invalid, match="no iceberg table at 'gone.metadata.json'"):
        run(labels(), feature("gone.metadata.json", source_format="iceberg"))


@pytest.mark.usefixtures("folder")
def test_a_folder_that_is_no_table_is_refused() -> None:
    Path("folder").mkdir()
    EVENTS.write_parquet("folder/e.parquet")
    for kind in ("delta", "iceberg"):
        with pytest.raises(Invalid, match=f"There is no {kind} table at 'folder'"):
            tf.build(labels("folder", format=kind), feature())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["_delta_log/00000000000000000000.json", "data file"])
def test_a_broken_delta_table_is_an_error_of_ours(name: str) -> None:
    path = _delta("events", EVENTS)
    broken = next(Path(path).glob("*.parquet")) if name == "data file" else Path(path) / name
    broken.write_bytes(b"{oops")
    with pytest.raises((TimefenceSchemaError, Invalid), match="source 'events'|Source 'events'"):
        tf.build(labels(), feature(path))


@pytest.mark.usefixtures("folder")
def test_several_tables_are_not_one() -> None:
    paths = [_delta("a", EVENTS), _delta("b", EVENTS)]
    with pytest.raises(Invalid, match="source 'events': a delta table is one path"):
        tf.build(labels(), feature(paths, source_format="delta"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("kind", "package"), [("delta", "deltalake"), ("iceberg", "pyiceberg")])
def test_a_missing_package_is_named_with_its_extra(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _delta("events", EVENTS)
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    path = "events" if kind == "delta" else "./events/x.metadata.json"
    with pytest.raises(Invalid, match=rf"needs the package {package}(.|\n)*pip install \"timefence-pl\[{kind}\]\""):
        tf.build(labels(), feature(path, source_format=kind))
    with pytest.raises(Invalid, match=f"needs the package {package}"):
        tf.build(labels(), feature(path, source_format=kind), store=tf.Store("store"))


@pytest.mark.usefixtures("folder")
def test_a_data_file_of_a_table_is_not_overwritten(lake: Any) -> None:
    events = lake(EVENTS, "events")
    one = source(**events)
    target = next(p for p in one.table.inputs() if p.endswith(".parquet")).removeprefix("file://")
    before = Path(target).read_bytes()
    with pytest.raises(TimefenceStoreError, match="one of the build's own inputs"):
        tf.build(labels(), tf.Feature(one, columns="x", name="f"), target)
    assert Path(target).read_bytes() == before
