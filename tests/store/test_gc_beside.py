"""gc while others build: what it removes under their hands costs work, and neither a build nor a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.store.outcomes import Inputs, assert_same, engine, outcome
from tests.store.test_growth import features, labels, rows, source, write

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
