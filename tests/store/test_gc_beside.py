"""gc while others work: what it removes under a build's hands costs work, and neither a build nor a value; what is
being published or begun is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.store.outcomes import Inputs, assert_same, engine, outcome
from tests.store.test_growth import features, labels, rows, source, write
from timefence_pl.store import builds
from timefence_pl.store import features as stored
from timefence_pl.store.locks import Holding
from timefence_pl.tracking import publishing, run

REMOVED = "entries were removed from the store while they were read"


def at(beginning: str, action: Callable[[], Any], told: list[str]) -> Callable[[str], None]:
    """A progress function that does something once, at the first line that begins so."""

    def progress(line: str) -> None:
        told.append(line)
        if line.startswith(beginning) and sum(t.startswith(beginning) for t in told) == 1:
            action()

    return progress


def remove_all(store: tf.Store) -> None:
    """What another process does that has no object in common with this one."""
    tf.Store(store.path).gc(max_size=0, dry_run=False)


@pytest.mark.parametrize("by", ["in-memory", "streaming"])
@pytest.mark.parametrize("start", ["found", "grown", "some"])
def test_entries_removed_after_they_were_found(tmp_path: Path, by: str, start: str) -> None:
    store, folder, told = tf.Store(tmp_path / "store"), tmp_path / "events", []
    write(rows(1), folder, "a")
    write(rows(2), folder, "b")
    given = source(folder)
    with engine(by):
        first = features(given)[::2] if start == "some" else features(given)
        tf.build(labels(), first, tmp_path / "first.parquet", store=store)
        if start == "grown":
            write(rows(3), folder, "c")
        progress = at("Computing", lambda: remove_all(store), told)
        split = {"splits": {"early": (0, 20), "late": (20, 40)}}
        made, result = outcome(
            Inputs(labels(), features(given), {**split, "progress": progress}), tmp_path / "set.parquet", store
        )
        reference, _ = outcome(Inputs(labels(), features(given), split), tmp_path / "reference" / "set.parquet")
        assert_same(made, reference)
        assert result is not None
        assert told.count("Computing f (1/6)") == 2 or by == "in-memory"
        assert {f["cache_reason"] for f in result.manifest["features"].values()} == {REMOVED}
        again, _ = outcome(Inputs(labels(), features(given), split), tmp_path / "again.parquet", store)
        assert_same(again, reference)
    assert store.verify() == []
    assert not [p for p in tmp_path.rglob(".*") if ".tmp" in p.name]


def test_an_entry_replaced_by_another_writer_is_lost_too(tmp_path: Path) -> None:
    store, told = tf.Store(tmp_path / "store"), []
    events = tf.Source(rows(1), keys="k", timestamp="t", name="events")
    feature = tf.Feature(events, columns="y", name="g", on_duplicate="keep_last")
    want = tf.build(labels(), feature, store=store).frame()
    (path,) = store.layout.features.glob("*.parquet")

    def replace() -> None:
        path.unlink()
        path.write_bytes(b"PAR1")  # nothing that can be read, though something is there

    result = tf.build(labels(), feature, store=store, progress=at("Computing", replace, told))
    assert result.frame().equals(want)
    assert result.manifest["features"]["g"]["cache_reason"] == REMOVED


def test_other_faults_are_told_at_once(tmp_path: Path) -> None:
    store, told = tf.Store(tmp_path / "store"), []
    events = pl.DataFrame({"k": [1, 1], "t": [1, 2], "x": ["1", "a"]})
    source = tf.Source(events, keys="k", timestamp="t", name="events")
    fine = tf.Feature(source, columns="x", name="fine")
    broken = tf.Feature(source, pl.col("x").cast(pl.Int64).alias("n"), name="broken")
    rows = tf.Labels(pl.DataFrame({"k": [1], "at": [3]}), keys="k", label_time="at")
    tf.build(rows, fine, store=store)
    with pytest.raises(tf.TimefenceSchemaError):
        tf.build(rows, [fine, broken], store=store, progress=told.append)
    assert len({*told}) == len(told)


def test_a_fault_that_is_there_without_entries_too(tmp_path: Path) -> None:
    store, told = tf.Store(tmp_path / "store"), []
    write(rows(1), tmp_path / "events", "a")
    feature = tf.Feature(source(tmp_path / "events"), columns="y", name="g", on_duplicate="keep_last")
    tf.build(labels(), feature, tmp_path / "set.parquet", store=store)

    def remove() -> None:
        remove_all(store)
        (tmp_path / "events" / "a.parquet").unlink()

    with pytest.raises(tf.TimefenceError):
        tf.build(labels(), feature, tmp_path / "set_.arrow", store=store, progress=at("Computing", remove, told))
    assert not (tmp_path / "set_.arrow").exists()


# --- what is being written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["publication", "run"])
def test_what_just_begins_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    store, began = tf.Store(tmp_path / "store"), []

    def holding(path: Path) -> Holding:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert tf.Store(store.path).gc(dry_run=False).paths == ()  # the folder is there, and its lock is not
        began.append(path.parent)
        return Holding(path)

    monkeypatch.setattr(publishing if what == "publication" else run, "Holding", holding)
    if what == "publication":
        assert store.publish("set", rows(1).drop_nulls().unique("k"), keys="k").version == 1
    else:
        with store.start_run("models") as begun:
            begun.log_metrics({"m": 1.0})
        assert store.run(begun.run_id).status == "FINISHED"
    assert len(began) == 1


@pytest.mark.parametrize("what", ["publication", "run"])
def test_what_never_began_goes_after_an_hour(tmp_path: Path, what: str) -> None:
    store = tf.Store(tmp_path / "store")
    store.publish("set", rows(1).drop_nulls().unique("k"), keys="k")
    with store.start_run("models"):
        pass
    left = store.path / ("feature_sets/set/.publishing-x" if what == "publication" else "runs/models/begun")
    left.mkdir()
    (left / "data.parquet").write_bytes(b"half")
    (left / (".lock" if what == "publication" else ".alive")).touch()
    assert store.gc(dry_run=False).paths == ()
    os.utime(left, (1, 1))
    holding = Holding(left / (".lock" if what == "publication" else ".alive"))
    os.utime(left, (1, 1))
    assert store.gc(dry_run=False).paths == ()  # it lives, however long it takes
    holding.release()
    os.utime(left, (1, 1))
    assert store.gc(dry_run=False).paths == (left,)
    assert not left.exists()


def test_a_manifest_written_while_gc_looks_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tf.Store(tmp_path / "store")
    manifest = store.save_build({"build_id": "one"})
    data = manifest.read_bytes()
    manifest.unlink()
    read, told = builds._read, []

    def read_then_written(path: Path) -> Any:
        found = read(path)
        told.append(path)
        if len(told) == 2:
            path.write_bytes(data)
        return found

    monkeypatch.setattr(builds, "_read", read_then_written)
    store.gc(keep_builds=1, dry_run=False)
    assert manifest.read_bytes() == data


def test_an_entry_written_again_while_gc_looks_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, told = tf.Store(tmp_path / "store"), []
    events = tf.Source(rows(1), keys="k", timestamp="t", name="events")
    tf.build(labels(), tf.Feature(events, columns="y", name="g", on_duplicate="keep_last"), store=store)
    read = stored._record

    def gone_for_a_moment(path: Path) -> Any:
        told.append(path)
        return None if len(told) == 2 else read(path)

    monkeypatch.setattr(stored, "_record", gone_for_a_moment)
    assert store.gc(dry_run=False).paths == ()
    assert len(told) > 2
    assert store.cache_info()["entries"] == 1


def test_a_folder_that_vanishes_while_gc_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tf.Store(tmp_path / "store")
    store.publish("set", rows(1).drop_nulls().unique("k"), keys="k")
    ends = store.path / "feature_sets" / "set" / ".publishing-ends"
    ends.mkdir()
    scandir = os.scandir

    def ended(path: Any = ".") -> Any:
        if str(path) == str(ends) and ends.exists():
            ends.rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", ended)
    assert store.gc(dry_run=False).paths == ()
    assert not ends.exists()


def test_two_collections_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tf.Store(tmp_path / "store")
    events = tf.Source(rows(1), keys="k", timestamp="t", name="events")
    feature = tf.Feature(events, columns="y", name="g", on_duplicate="keep_last")
    tf.build(labels(), feature, tmp_path / "set.parquet", store=store)
    rmdir = Path.rmdir

    def the_other_first(path: Path) -> None:
        rmdir(path)
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", the_other_first)
    store.gc(keep_builds=0, max_size=0, dry_run=False)
    info = store.cache_info()
    assert (info["entries"], info["builds"]) == (0, 0)
