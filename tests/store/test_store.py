"""The store: the seed's methods and layout, upkeep, repeats of whole builds, broken records, refusing disks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.privileges import writes_anywhere
from tests.store.outcomes import BUILD, Inputs, assert_same, engine, outcome
from tests.store.test_nothing_stale import EVENTS, LABELS, TWICE, labels, last, more, plain, source, window
from timefence_pl.store.records import sealed

SPLITS = {"a": (0, 6), "b": (6, 20)}


@pytest.fixture
def store(tmp_path: Path) -> tf.Store:
    return tf.Store(tmp_path / "store")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return plain(EVENTS, tmp_path / "events.parquet")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def entries(store: tf.Store, name: str = "f") -> tuple[Path, Path]:
    """The Parquet file and the record of a feature's only entry."""
    (path,) = store.layout.features.glob(f"{name}__*.parquet")
    return path, path.with_suffix(".json")


def same_as_without(given: Inputs, output: Path | None, store: tf.Store) -> tf.BuildResult:
    made, result = outcome(given, output, store)
    reference = None if output is None else output.parent / "reference" / output.name
    assert_same(made, outcome(given, reference)[0])
    assert result is not None
    return result


# --- the seed's methods ---------------------------------------------------------------------------------------------------


def test_a_manifest_saved_is_a_manifest_got(store: tf.Store) -> None:
    path = store.save_build({"build_id": "one", "note": [1, None, "ä"]})
    assert path == store.path / "builds" / "one" / "build.json"
    assert json.loads(path.read_text())["note"] == [1, None, "ä"]
    found = store.get_build("one")
    assert found is not None
    assert found["note"] == [1, None, "ä"]
    assert [b["build_id"] for b in store.list_builds()] == ["one"]


def test_an_output_that_a_later_build_wrote_again_is_no_damage(store: tf.Store, events: Path, tmp_path: Path) -> None:
    output = tmp_path / "set.parquet"
    for rows in (EVENTS, EVENTS.with_columns(pl.col("x") + 1), EVENTS.head(2)):
        plain(rows, events)
        tf.build(labels(), last(source(events)), output, splits=SPLITS, store=store)
        assert store.verify() == []
    (tmp_path / "link").symlink_to(tmp_path)
    plain(EVENTS.head(1), events)
    newest = tf.build(labels(), last(source(events)), tmp_path / "link" / "set.parquet", store=store)
    assert store.verify() == []
    EVENTS.write_parquet(output)
    (problem,) = store.verify()
    assert problem.what == f"output of build {newest.manifest['build_id']}"
    output.unlink()
    assert [p.reason for p in store.verify()] == ["No such file or directory"]


def test_a_manifest_without_an_id_gets_one(store: tf.Store) -> None:
    paths = {store.save_build({"note": n}) for n in range(3)}
    assert len(paths) == 3
    assert sorted(b["note"] for b in store.list_builds()) == [0, 1, 2]


def test_an_id_is_given_once(store: tf.Store) -> None:
    store.save_build({"build_id": "one", "note": 1})
    with pytest.raises(tf.TimefenceStoreError, match="one"):
        store.save_build({"build_id": "one", "note": 2})
    assert store.list_builds()[0]["note"] == 1


def test_builds_are_listed_newest_first(store: tf.Store, tmp_path: Path) -> None:
    made = [tf.build(labels(), last(), tmp_path / f"{i}.parquet", store=store).manifest["build_id"] for i in range(3)]
    assert [b["build_id"] for b in store.list_builds()] == made[::-1]


def test_three_builds_in_a_second_are_three(store: tf.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BUILD, "now", lambda: datetime(2024, 1, 1, tzinfo=UTC))
    for _ in range(3):
        tf.build(labels(), last(), tmp_path / "set.parquet", store=store)
    builds = store.list_builds()
    assert len({b["build_id"] for b in builds}) == 3
    assert all(store.get_build(b["build_id"]) == b for b in builds)


def test_a_manifest_names_itself_and_its_output(store: tf.Store, tmp_path: Path) -> None:
    manifest = tf.build(labels(), last(), tmp_path / "set.parquet", store=store).manifest
    kept = store.get_build(manifest["build_id"])
    assert kept is not None
    assert kept["manifest_path"] == manifest["manifest_path"]
    assert kept["output"] == manifest["output"]
    assert kept["output"]["row_count"] == LABELS.height


def test_the_layout_is_the_seeds(store: tf.Store, events: Path, tmp_path: Path) -> None:
    os.utime(events, (1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timefence_pl.fingerprint.files.GRAIN_NS", 1)
        result = tf.build(labels(), last(events, name="spend"), tmp_path / "set.parquet", store=store)
    build = store.path / "builds" / result.manifest["build_id"]
    assert sorted(p.name for p in build.iterdir()) == ["build.json", "set.parquet"]
    assert (build / "set.parquet").is_symlink()
    assert (build / "set.parquet").resolve() == (tmp_path / "set.parquet").resolve()
    (entry,) = (store.path / "cache" / "features").glob("*.parquet")
    key = result.manifest["features"]["spend"]["cache_key"]
    assert entry.name == f"spend__{key.split(':')[1]}.parquet"
    assert str(events) in json.loads((store.path / "cache" / "hashes.json").read_text())
    assert not [p for p in store.path.rglob("*") if ".tmp" in p.name]


@pytest.mark.parametrize("data", [b"", b"abc", b"x" * 5_000_000], ids=["empty", "small", "blocks"])
def test_content_hash_is_sha256(store: tf.Store, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert store.content_hash(path) == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert store.content_hash(str(path)) == store.content_hash(path)


@pytest.mark.parametrize("name", ["nothing", "."])
def test_content_hash_of_no_file(store: tf.Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(tf.TimefenceValidationError):
        store.content_hash(tmp_path / name)


HOSTILE = ["../x", "..", ".", "a/b", "/etc", "a\0b", "x" * 200, " ", "-x", ".hidden", "a\\b", "a..b", "ä"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_build_ids(store: tf.Store, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "x"
    outside.mkdir()
    (outside / "build.json").write_text('{"build_id": "../x", "store_format": 1}')
    before = contents(tmp_path)
    assert store.get_build(name) is None
    with pytest.raises(tf.TimefenceStoreError, match="build id"):
        store.save_build({"build_id": name})
    assert {n: d for n, d in contents(tmp_path).items() if not n.startswith("store")} == before


@pytest.mark.parametrize("name", [None, 5, b"x", Path("x")])
def test_build_ids_that_are_no_text(store: tf.Store, name: Any) -> None:
    assert store.get_build(name) is None


@pytest.mark.parametrize("name", ["a/b", "../../x", "..", "/x", "a\\b", "x" * 200, "ä ö", "nul:", "a\nb", ".tmp", "*"])
def test_hostile_feature_names_stay_inside(store: tf.Store, tmp_path: Path, name: str) -> None:
    try:
        feature = last(name=name)
    except tf.TimefenceError:
        return
    for _ in range(2):
        result = same_as_without(Inputs(labels(), feature), None, store)
    assert result.manifest["features"][name]["cached"]
    assert {p.name for p in tmp_path.iterdir()} == {"store"}
    assert len(list(store.layout.features.iterdir())) == 2


@pytest.mark.parametrize("names", [("ü", "ö"), ("x" * 60 + "a", "x" * 60 + "b"), ("Spend", "spend")])
@pytest.mark.parametrize("together", [False, True])
def test_windows_over_the_same_events_have_an_entry_each(
    store: tf.Store, names: tuple[str, str], *, together: bool
) -> None:
    given = [window(name=name) for name in names]
    for features in [given] if together else [[g] for g in given]:
        same_as_without(Inputs(labels(), features), None, store)
    again = tf.build(labels(), given, store=store).manifest["features"]
    assert all(again[name]["cached"] for name in names)
    assert store.cache_info()["set_aside"] == 0


@pytest.mark.parametrize("aggregate", [pl.len(), tf.since_last(), pl.lit(1).sum()])
@pytest.mark.parametrize("first", [False, True])
def test_a_window_that_reads_no_column_is_stored_beside_one_that_does(
    store: tf.Store, aggregate: pl.Expr, *, first: bool
) -> None:
    bare, other = window({"n": aggregate}, name="bare"), window({"a": pl.col("x").sum()}, name="other")
    for features in ([bare, other] if first else [other, bare], [bare], [other], [other, bare]):
        result = same_as_without(Inputs(labels(), features), None, store)
    assert all(f["cached"] for f in result.manifest["features"].values())


def test_windows_whose_names_look_alike_on_disk_leave_each_other_alone(store: tf.Store) -> None:
    for _ in range(2):
        for name in ("a b", "a_b"):
            result = same_as_without(Inputs(labels(), window(name=name)), None, store)
    assert result.manifest["features"]["a_b"]["cached"]
    assert store.cache_info()["set_aside"] == 0


def test_names_that_look_alike_on_disk_are_two_entries(store: tf.Store) -> None:
    same_as_without(Inputs(labels(), last(name="a b", columns={"x": "v"})), None, store)
    result = same_as_without(Inputs(labels(), last(name="a_b", columns={"j": "v"})), None, store)
    assert not result.manifest["features"]["a_b"]["cached"]
    assert store.cache_info()["features"] == {"a b": 1, "a_b": 1}


@pytest.mark.parametrize("given", ["", 5, None])
def test_a_path_that_is_none(given: Any) -> None:
    with pytest.raises(tf.TimefenceConfigError):
        tf.Store(given)


def test_an_unknown_hash(tmp_path: Path) -> None:
    with pytest.raises(tf.TimefenceConfigError, match="md5"):
        tf.Store(tmp_path, hash="md5")  # type: ignore[arg-type]


def test_sha256_everywhere(tmp_path: Path, events: Path) -> None:
    store = tf.Store(tmp_path / "store", hash="sha256")
    for _ in range(2):
        result = same_as_without(Inputs(labels(), last(events)), tmp_path / "set.parquet", store)
    assert result.manifest["reused"]


# --- upkeep ---------------------------------------------------------------------------------------------------------------


def test_an_empty_store(store: tf.Store) -> None:
    assert store.list_builds() == []
    assert store.verify() == []
    info = store.cache_info()
    assert (info["entries"], info["bytes"], info["builds"], info["set_aside"]) == (0, 0, 0, 0)
    assert store.gc(keep_builds=0, max_size=0, dry_run=False).paths == ()


def test_cache_info_counts(store: tf.Store, tmp_path: Path) -> None:
    tf.build(labels(), [last(name="f"), last(name="g")], tmp_path / "set.parquet", store=store)
    tf.build(labels(), last(more(EVENTS), name="f"), store=store)
    info = store.cache_info()
    assert (info["entries"], info["builds"], info["features"]) == (3, 2, {"f": 2, "g": 1})
    assert info["bytes"] == sum(p.stat().st_size for p in store.layout.features.glob("*.parquet"))


def test_gc_is_dry_by_default(store: tf.Store, tmp_path: Path) -> None:
    tf.build(labels(), last(), tmp_path / "set.parquet", store=store)
    before = contents(tmp_path)
    garbage = store.gc(keep_builds=0, max_size=0)
    assert garbage.dry_run
    assert {p.name for p in garbage.paths} >= {"build.json", *(p.name for p in entries(store))}
    assert contents(tmp_path) == before
    assert "would free" in str(garbage)


def test_gc_keeps_outputs_and_what_is_new(store: tf.Store, tmp_path: Path) -> None:
    for i in range(3):
        tf.build(labels(), last(more(EVENTS, i)), tmp_path / f"{i}.parquet", store=store)
    ids = [b["build_id"] for b in store.list_builds()]
    entry_bytes = store.cache_info()["bytes"] // 3
    garbage = store.gc(keep_builds=1, max_size=entry_bytes + 20, dry_run=False)
    assert not garbage.dry_run
    assert [b["build_id"] for b in store.list_builds()] == ids[:1]
    assert store.cache_info()["entries"] == 1
    assert sorted(p.name for p in (store.path / "builds").iterdir()) == ids[:1]
    assert all((tmp_path / f"{i}.parquet").is_file() for i in range(3))
    # The newest one is the one that is left.
    assert tf.build(labels(), last(more(EVENTS, 2)), store=store).manifest["features"]["f"]["cached"]
    assert not tf.build(labels(), last(more(EVENTS, 0)), store=store).manifest["features"]["f"]["cached"]


def test_gc_by_age(store: tf.Store) -> None:
    tf.build(labels(), last(), store=store)
    assert store.gc(older_than="1d", dry_run=False).paths == ()
    time.sleep(0.02)
    assert len(store.gc(older_than="1ms", dry_run=False).paths) == 2
    assert store.cache_info()["entries"] == 0


def test_gc_takes_what_killed_writers_left_but_not_what_is_being_written(store: tf.Store) -> None:
    tf.build(labels(), last(), store=store)
    old, fresh = (store.layout.features / f".f.{n}.tmp.parquet" for n in ("old", "new"))
    orphan = store.layout.features / "f__0123.parquet"
    for path in (old, fresh, orphan):
        path.write_bytes(b"half")
    for path in (old, orphan):
        os.utime(path, (1, 1))
    removed = store.gc(dry_run=False)
    assert sorted(removed.paths) == sorted([old, orphan])
    assert fresh.exists()
    assert store.cache_info()["entries"] == 1


def test_gc_removes_nothing_through_a_link(store: tf.Store, tmp_path: Path) -> None:
    tf.build(labels(), last(), store=store)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "build.json").write_text('{"build_id": "linked", "store_format": 1, "created_at": "1"}')
    (store.path / "builds" / "linked").symlink_to(outside)
    store.gc(keep_builds=0, max_size=0, dry_run=False)
    assert (outside / "build.json").is_file()


@pytest.mark.parametrize("limits", [{"keep_builds": -1}, {"max_size": True}, {"max_size": "1"}, {"older_than": 5}])
def test_gc_refuses_what_cannot_be_meant(store: tf.Store, limits: dict[str, Any]) -> None:
    with pytest.raises(tf.TimefenceConfigError):
        store.gc(**limits)


def test_verify_finds_and_repairs(store: tf.Store, tmp_path: Path) -> None:
    given = Inputs(labels(), last(), {"splits": SPLITS})
    same_as_without(given, tmp_path / "set.parquet", store)
    assert store.verify() == []
    path, _ = entries(store)
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "set_a.parquet").unlink()
    problems = store.verify()
    assert {p.path for p in problems} == {path, tmp_path / "set_a.parquet"}
    assert all(str(p.path) in str(p) and p.reason for p in problems)
    assert len(store.verify(repair=True)) == 2
    assert store.cache_info()["set_aside"] == 2
    assert [p.path for p in store.verify()] == [tmp_path / "set_a.parquet"]
    same_as_without(given, tmp_path / "set.parquet", store)
    assert store.verify() == []


def test_verify_finds_records_and_manifests_that_changed(store: tf.Store, tmp_path: Path) -> None:
    same_as_without(Inputs(labels(), last()), tmp_path / "set.parquet", store)
    path, record = entries(store)
    (build,) = store.layout.builds.iterdir()
    record.write_bytes(record.read_bytes()[:-9])
    manifest = build / "build.json"
    manifest.write_text(manifest.read_text().replace('"matched"', '"mached"').replace('"duration', '"durations'))
    assert {(p.path, p.reason) for p in store.verify()} == {
        (path, "its record cannot be read"),
        (build, "its manifest has changed"),
    }
    manifest.write_bytes(b"{")
    assert (build, "its manifest cannot be read") in {(p.path, p.reason) for p in store.verify(repair=True)}
    assert [p.path for p in store.verify()] == [build]
    assert set(store.gc(keep_builds=0).paths) >= {build, manifest}
    store.gc(keep_builds=0, dry_run=False)
    assert store.verify() == []
    assert not build.exists()


def test_gc_takes_entries_whose_record_cannot_be_read(store: tf.Store) -> None:
    same_as_without(Inputs(labels(), last()), None, store)
    path, record = entries(store)
    record.write_bytes(b"{}")
    assert set(store.gc(dry_run=False).paths) == {path, record}
    assert not list(store.layout.features.iterdir())


def test_a_build_that_is_being_written_is_no_damage(store: tf.Store) -> None:
    store.save_build({"features": {}})
    new = store.layout.builds / "new"
    new.mkdir()
    assert store.verify() == []
    store.gc(keep_builds=0, dry_run=False)
    assert [p.name for p in store.layout.builds.iterdir()] == ["new"]
    os.utime(new, (0, 0))
    assert [p.reason for p in store.verify()] == ["it has no manifest"]
    store.gc(keep_builds=0, dry_run=False)
    assert not list(store.layout.builds.iterdir())


@pytest.mark.parametrize("manifest", [{"output": "set.parquet"}, {"output": {"path": 5}}, {"build_id": 5}])
def test_manifests_that_are_none_leave_nothing(store: tf.Store, manifest: dict[str, Any]) -> None:
    with pytest.raises(tf.TimefenceStoreError):
        store.save_build({"build_id": "one", **manifest})
    assert not list(store.layout.builds.iterdir())


def test_an_id_whose_manifest_could_not_be_written_can_be_given_again(
    store: tf.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("timefence_pl.store.builds.write_whole", full)
        with pytest.raises(tf.TimefenceStoreError, match="No space left"):
            store.save_build({"build_id": "one"})
    store.save_build({"build_id": "one"})
    assert store.get_build("one") is not None


# --- repeats --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def given() -> Inputs:
    return Inputs(labels(), [last(name="f"), last(name="g", columns="z")], {"splits": SPLITS})


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson", "arrow"])
def test_a_repeat_gives_the_output_asked_for(store: tf.Store, tmp_path: Path, suffix: str) -> None:
    given = Inputs(labels(), last(), {"splits": SPLITS})
    first = tf.build(given.labels, given.features, tmp_path / f"one.{suffix}", store=store, **given.options)
    again = tf.build(given.labels, given.features, tmp_path / "new" / f"two.{suffix}", store=store, **given.options)
    assert again.manifest["reused"]
    assert again.output_path == str(tmp_path / "new" / f"two.{suffix}")
    assert again.validate()
    assert_frame_equal(again.frame(), first.frame())
    for name in SPLITS:
        assert again.splits[name] == tmp_path / "new" / f"two_{name}.{suffix}"
        assert again.splits[name].read_bytes() == first.splits[name].read_bytes()
    assert not (tmp_path / "new" / f"two.{suffix}").samefile(tmp_path / f"one.{suffix}")
    assert again.stats.feature_stats == first.stats.feature_stats
    assert again.stats.split_rows == first.stats.split_rows


def test_a_copy_and_its_origin_change_apart(store: tf.Store, tmp_path: Path, given: Inputs) -> None:
    same_as_without(given, tmp_path / "one.parquet", store)
    same_as_without(given, tmp_path / "two.parquet", store)
    kept = (tmp_path / "two.parquet").read_bytes()
    (tmp_path / "one.parquet").write_bytes(b"gone")
    assert (tmp_path / "two.parquet").read_bytes() == kept


def damage_deleted(path: Path) -> None:
    path.unlink()


def damage_replaced(path: Path) -> None:
    EVENTS.write_parquet(path)


def damage_same_size(path: Path) -> None:
    stat, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_copy_that_does_not_arrive_is_built(store: tf.Store, tmp_path: Path, given: Inputs) -> None:
    same_as_without(given, tmp_path / "one.parquet", store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.copyfile", lambda _, to: Path(to).write_bytes(b"half"))
        result = same_as_without(given, tmp_path / "two.parquet", store)
    assert not result.manifest["reused"]


def damage_link(path: Path) -> None:
    other = path.with_name("moved")
    path.rename(other)
    path.symlink_to(other)


@pytest.mark.parametrize("file", ["one.parquet", "one_a.parquet"])
@pytest.mark.parametrize("damage", [damage_deleted, damage_replaced, damage_same_size, damage_link])
@pytest.mark.parametrize("to", ["one", "two"])
def test_a_repeat_after_its_output_was_lost(
    store: tf.Store, tmp_path: Path, given: Inputs, file: str, damage: Callable[[Path], None], to: str
) -> None:
    same_as_without(given, tmp_path / "one.parquet", store)
    damage(tmp_path / file)
    result = same_as_without(given, tmp_path / f"{to}.parquet", store)
    assert result.validate()
    assert all(f["cached"] for f in result.manifest["features"].values())
    assert result.manifest["reused"] == (damage is damage_link)


def test_one_path_built_over_and_over(store: tf.Store, tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    one, other = Inputs(labels(), last()), Inputs(labels(), last(embargo=2))
    for given in (one, other, one, other, other, one):
        result = same_as_without(given, path, store)
        assert result.validate()
    assert len(store.list_builds()) == 6


def test_splits_asked_for_later(store: tf.Store, tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    same_as_without(Inputs(labels(), last()), path, store)
    same_as_without(Inputs(labels(), last(), {"splits": SPLITS}), path, store)
    same_as_without(Inputs(labels(), last(), {"splits": {"a": SPLITS["a"]}}), tmp_path / "new.parquet", store)
    assert not (tmp_path / "new_b.parquet").exists()


@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_no_output(store: tf.Store, tmp_path: Path, given: Inputs, by: str) -> None:
    with engine(by):
        for _ in range(2):
            result = same_as_without(given, None, store)
        assert all(f["cached"] for f in result.manifest["features"].values())
        assert not same_as_without(given, tmp_path / "set.parquet", store).manifest["reused"]
        same_as_without(given, None, store)


def test_warnings_are_repeated(store: tf.Store, tmp_path: Path) -> None:
    given = Inputs(labels(), last(TWICE, on_duplicate="keep_any"), {"splits": {"a": (0, 5), "b": (6, 20)}})
    for name in ("one", "two"):
        result = same_as_without(given, tmp_path / f"{name}.parquet", store)
    assert result.manifest["reused"]


def test_duplicates_are_refused_from_the_cache_too(store: tf.Store) -> None:
    tf.build(labels(), last(TWICE, on_duplicate="keep_last"), store=store)
    for _ in range(2):
        with pytest.raises(tf.TimefenceDuplicateError):
            tf.build(labels(), last(TWICE), store=store)


def test_an_error_leaves_the_store_usable(store: tf.Store, tmp_path: Path) -> None:
    with pytest.raises(tf.TimefenceError):
        tf.build(labels(), last(columns="nope"), tmp_path / "set.parquet", store=store)
    assert store.list_builds() == []
    same_as_without(Inputs(labels(), last()), tmp_path / "set.parquet", store)


def test_an_output_is_never_an_input_of_a_repeat(store: tf.Store, events: Path) -> None:
    before = events.read_bytes()
    with pytest.raises(tf.TimefenceStoreError, match="own inputs"):
        tf.build(labels(), last(events), events, store=store)
    assert events.read_bytes() == before


@pytest.mark.parametrize("what", ["labels", "source"])
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_an_input_that_changes_during_the_build_names_no_later_one(
    store: tf.Store, tmp_path: Path, events: Path, what: str, by: str
) -> None:
    """A build that read new rows under the name of old ones must not be found again for the old ones."""
    rows = plain(LABELS, tmp_path / "labels.parquet")
    changed = {
        "source": (EVENTS, more(EVENTS), events),
        "labels": (LABELS, LABELS.with_columns(pl.col("w") + 5), rows),
    }
    old, new, path = changed[what]

    def late(*args: Any, **kwargs: Any) -> Any:
        plain(new, path)  # everything has been hashed
        return run_local(*args, **kwargs)

    run_local = BUILD.run_local
    given = Inputs(labels(rows), last(events))
    with engine(by):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BUILD, "run_local", late)
            outcome(given, tmp_path / "out" / "one.parquet", store)
        plain(old, path)
        same_as_without(given, tmp_path / "out" / "two.parquet", store)
        plain(new, path)
        same_as_without(given, tmp_path / "out" / "three.parquet", store)


# --- explanations ---------------------------------------------------------------------------------------------------------


def reason(store: tf.Store, feature: tf.Feature) -> str:
    made = tf.explain(labels(), feature, store=store).features[feature.name]
    assert not made.cached
    return made.cache_reason


def test_explain_says_whether_and_why(store: tf.Store, events: Path, tmp_path: Path) -> None:
    assert reason(store, last(events)) == "never computed"
    before = contents(tmp_path)
    manifest = tf.build(labels(), last(events), store=store).manifest
    assert manifest["features"]["f"]["cache_reason"] == "never computed"
    made = tf.explain(labels(), last(events), store=store).features["f"]
    assert (made.cached, made.cache_reason) == (True, "")
    assert tf.explain(labels(), last(events)).features["f"].cache_reason == "no store"
    assert before.keys() <= contents(tmp_path).keys()


def test_explain_names_the_file(store: tf.Store, tmp_path: Path) -> None:
    for i in range(3):
        plain(EVENTS.slice(2 * i, 2), tmp_path / "in" / f"part-{i}.parquet")
    feature = last(str(tmp_path / "in" / "*.parquet"))
    tf.build(labels(), feature, store=store)
    plain(more(EVENTS.slice(2, 2)), tmp_path / "in" / "part-1.parquet")
    found = reason(store, feature)
    assert "part-1.parquet changed" in found
    assert "part-0" not in found
    assert tf.build(labels(), feature, store=store).manifest["features"]["f"]["cache_reason"] == found
    plain(EVENTS.tail(1), tmp_path / "in" / "part-3.parquet")
    assert "part-3.parquet is new" in reason(store, feature)
    for path in (tmp_path / "in").glob("part-[13]*"):
        path.unlink()
    assert "part-1.parquet is gone" in reason(store, feature)


def test_explain_names_no_file_that_only_has_another_name(store: tf.Store, tmp_path: Path) -> None:
    for i in range(3):
        plain(EVENTS.slice(2 * i, 2), tmp_path / "in" / f"part-{i}.parquet")
    tf.build(labels(), last(str(tmp_path / "in" / "*.parquet")), store=store)
    (tmp_path / "in").rename(tmp_path / "moved")
    for i in range(3):
        (tmp_path / "moved" / f"part-{i}.parquet").rename(tmp_path / "moved" / f"month-{i}.parquet")
    plain(EVENTS.tail(1), tmp_path / "moved" / "month-3.parquet")
    found = reason(store, last(str(tmp_path / "moved" / "*.parquet")))
    assert "month-3.parquet is new" in found
    assert "month-0" not in found
    (tmp_path / "moved" / "month-3.parquet").unlink()
    (tmp_path / "moved" / "month-0.parquet").rename(tmp_path / "moved" / "month-9.parquet")  # which is read last
    assert "content changed" in reason(store, last(str(tmp_path / "moved" / "*.parquet")))


def test_explain_names_the_column(store: tf.Store) -> None:
    tf.build(labels(), last(EVENTS), store=store)
    assert "column x" in reason(store, last(more(EVENTS)))


def test_explain_names_the_expression(store: tf.Store) -> None:
    def feature(by: int) -> tf.Feature:
        return tf.Feature(source(), pl.col("x") + by, pl.col("z"), name="f")

    tf.build(labels(), feature(1), store=store)
    found = reason(store, feature(2))
    assert "f__x" in found
    assert "f__z" not in found


def test_explain_names_the_function(store: tf.Store) -> None:
    def feature(by: int) -> tf.Feature:
        def helper(x: int) -> int:
            return int(str(x)) + by

        return tf.Feature(source(), pl.col("x").map_elements(helper, pl.Int64), name="f")

    tf.build(labels(), feature(1), store=store)
    assert "helper" in reason(store, feature(2))


def test_explain_says_what_cannot_be_cached(store: tf.Store) -> None:
    feature = tf.Feature(source(), pl.col("x").map_elements(lambda x: x + time.time_ns() * 0, pl.Int64), name="f")
    assert "clock" in reason(store, feature)
    tf.build(labels(), feature, store=store)
    assert store.cache_info()["entries"] == 0


def test_explain_of_a_build_says_what_it_took(store: tf.Store, tmp_path: Path) -> None:
    result = tf.build(labels(), last(), tmp_path / "set.parquet", store=store)
    assert not result.explain().features["f"].cached
    assert tf.build(labels(), last(), store=store).explain().features["f"].cached


# --- broken records -------------------------------------------------------------------------------------------------------

GARBAGE = {
    "empty": b"",
    "half": b'{"store_format": 1, ',
    "list": b"[1, 2]",
    "null": b"null",
    "other": b'{"a": {"stamp": [1, 2], "hashes": 5}}',
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("what", ["cache/hashes.json", "builds/*/build.json", "cache/features/*.json", "*.json"])
def test_broken_json_stops_nothing(store: tf.Store, tmp_path: Path, events: Path, name: str, what: str) -> None:
    given = Inputs(labels(), last(events))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timefence_pl.fingerprint.files.GRAIN_NS", 1)
        same_as_without(given, tmp_path / "set.parquet", store)
        paths = list(store.path.glob(what))
        assert paths
        for path in paths:
            path.write_bytes(GARBAGE[name])
        store.list_builds(), store.cache_info(), store.gc(), store.verify()
        for output in ("set.parquet", "other.parquet"):
            same_as_without(given, tmp_path / output, store)
    tf.explain(given.labels, given.features, store=store)


@pytest.mark.parametrize(
    "what", ["cache/hashes.json", "builds/*/build.json", "cache/features/*.json", "cache/features/*.parquet"]
)
@pytest.mark.parametrize("by", ["a folder", "nothing", "a dangling link"])
def test_files_that_are_no_files(store: tf.Store, tmp_path: Path, events: Path, what: str, by: str) -> None:
    given = Inputs(labels(), last(events))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timefence_pl.fingerprint.files.GRAIN_NS", 1)
        same_as_without(given, tmp_path / "set.parquet", store)
        for path in store.path.glob(what):
            path.unlink()
            if by == "a folder":
                path.mkdir()
            elif by == "a dangling link":
                path.symlink_to(tmp_path / "nowhere")
        store.list_builds(), store.cache_info(), store.gc(), store.verify()
        for output in ("set.parquet", "other.parquet"):
            same_as_without(given, tmp_path / output, store)
    assert not (tmp_path / "nowhere").exists()


ALTERED: list[Any] = [None, -1, "x", [], {}, [None], {"path": 5}, {"f": 5}, 1e300, "../../x", "a\0b"]
FIELDS = ["build_id", "created_at", "counts", "features", "output", "splits", "store_format", "manifest_path"]


def copied(source: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to, symlinks=True)


@pytest.mark.parametrize("field", ["feature", "bytes", "parts", "created_at", "store_format", "record_hash"])
def test_records_of_entries_with_other_values_stop_nothing(store: tf.Store, tmp_path: Path, field: str) -> None:
    given = Inputs(labels(), last())
    same_as_without(given, None, store)
    _, path = entries(store)
    record = json.loads(path.read_text())
    copied(store.path, tmp_path / "keep")
    for value in (None, [], {"a": 1}, "../../x"):
        for write in (lambda r: json.dumps(r).encode(), sealed):
            copied(tmp_path / "keep", store.path)
            path.write_bytes(write({**record, field: value}))
            store.list_builds(), store.cache_info(), store.gc(max_size=0), store.gc(older_than="1d"), store.verify()
            # What another version of a feature's record says is asked for, to say what changed.
            tf.explain(labels(), last(more(EVENTS)), store=store)
            same_as_without(given, None, store)


@pytest.mark.parametrize("field", FIELDS)
def test_manifests_with_other_values_stop_nothing(store: tf.Store, tmp_path: Path, field: str) -> None:
    given = Inputs(labels(), last(), {"splits": {"a": (0, 20)}})
    same_as_without(given, tmp_path / "set.parquet", store)
    (path,) = store.layout.builds.glob("*/build.json")
    manifest = json.loads(path.read_text())
    copied(store.path, tmp_path / "keep")
    outside = contents(tmp_path)
    reference, _ = outcome(given, None)
    for value in ALTERED:
        for write in (lambda r: json.dumps(r).encode(), sealed):
            copied(tmp_path / "keep", store.path)
            path.write_bytes(write({**manifest, field: value}))
            store.list_builds(), store.cache_info(), store.gc(keep_builds=0), store.verify()
            result = tf.build(
                given.labels, given.features, tmp_path / "out" / "two.parquet", store=store, **given.options
            )
            assert_frame_equal(result.frame(), reference.frames[""])
            if write is not sealed:
                assert result.stats.row_count == LABELS.height, value
                assert result.stats.feature_stats == reference.values["stats"]["feature_stats"], value
            store.gc(keep_builds=0, dry_run=False)
            shutil.rmtree(tmp_path / "out")
    assert {n for n in contents(tmp_path) if not n.startswith("store")} == {
        n for n in outside if not n.startswith("store")
    }


@pytest.mark.parametrize(
    "field", ["rows", "narrow", "duplicates", "dropped", "rows_hash", "content_hash", "bytes", "schema"]
)
def test_facts_of_an_entry_are_not_trusted(store: tf.Store, tmp_path: Path, field: str) -> None:
    """A record whose facts were changed is a damaged entry, and never a wrong result."""
    given = Inputs(labels(), [last(source(plain(EVENTS, tmp_path / "e.parquet"))), last(columns="z", name="g")])
    same_as_without(given, None, store)
    _, record = entries(store)
    facts = json.loads(record.read_text())
    values = {"narrow": [0, 9, 0, 9, 5], "rows_hash": "xxh3_128:" + "0" * 32, "content_hash": "x", "schema": {}}
    record.write_text(json.dumps({**facts, field: values.get(field, 3)}))
    result = same_as_without(given, None, store)
    assert not result.manifest["features"]["f"]["cached"]
    assert "set aside" in result.manifest["features"]["f"]["cache_reason"]


@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_bad_entries_are_set_aside_and_computed_again(store: tf.Store, given: Inputs, by: str) -> None:
    with engine(by):
        same_as_without(given, None, store)
        path, _ = entries(store)
        good = path.read_bytes()
        for bad in (b"", good[:-4], good[:40] + bytes([good[40] ^ 255]) + good[41:], good + b"x", b"x" * len(good)):
            path.write_bytes(bad)
            result = same_as_without(given, None, store)
            assert not result.manifest["features"]["f"]["cached"]
            assert result.manifest["features"]["g"]["cached"]
            assert "set aside" in result.manifest["features"]["f"]["cache_reason"]
            assert same_as_without(given, None, store).manifest["features"]["f"]["cached"]
    assert store.cache_info()["set_aside"] == 10


def test_an_entry_under_anothers_key_is_not_taken(store: tf.Store) -> None:
    tf.build(labels(), last(EVENTS), store=store)
    path, record = entries(store)
    data = path.read_bytes(), record.read_bytes()
    tf.build(labels(), last(more(EVENTS)), store=store)
    (other,) = set(store.layout.features.glob("*.parquet")) - {path}
    other.write_bytes(data[0])
    other.with_suffix(".json").write_bytes(data[1])
    result = same_as_without(Inputs(labels(), last(more(EVENTS))), None, store)
    assert not result.manifest["features"]["f"]["cached"]


# --- refusing disks -------------------------------------------------------------------------------------------------------


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


FULL = {
    "frames": "polars.DataFrame.write_parquet",
    "bytes": "pathlib.Path.write_bytes",
    "durability": "os.fsync",
    "renaming": "pathlib.Path.replace",
    "copies": "shutil.copyfile",
    "folders": "pathlib.Path.mkdir",
}


@pytest.mark.parametrize("what", FULL)
@pytest.mark.parametrize("when", ["first", "again", "changed"])
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_a_full_disk(store: tf.Store, tmp_path: Path, what: str, when: str, by: str) -> None:
    first, other = (
        Inputs(labels(), last(), {"splits": SPLITS}),
        Inputs(labels(), last(more(EVENTS)), {"splits": SPLITS}),
    )
    target = tmp_path / "set.parquet"
    with engine(by):
        if when != "first":
            same_as_without(first, target, store)
        given = other if when == "changed" else first
        reference, _ = outcome(given, None)
        before = {n: d for n, d in contents(tmp_path).items() if not n.startswith("reference")}
        again = tmp_path / "again.parquet"
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            patch.setattr(FULL[what], full)
            try:
                result = tf.build(given.labels, given.features, again, store=store, **given.options)
            except tf.TimefenceStoreError as error:
                said = str(error)
            else:
                said = "cannot be written"
                assert_frame_equal(result.frame(), reference.frames[""])
            assert "cannot be written" in said
        after = contents(tmp_path)
        for name, data in before.items():
            assert after[name] == data or name.endswith("hashes.json")
        assert not [n for n in after if ".tmp" in n]
        assert store.verify() == []
        same_as_without(given, tmp_path / "last.parquet", store)
        assert store.verify() == []


def test_a_full_disk_at_every_write(store: tf.Store, tmp_path: Path) -> None:
    """The disk is full from the n-th write on, for every n: the next build is right."""
    real, given = os.fsync, Inputs(labels(), [last(name="f"), last(name="g", columns="z")], {"splits": SPLITS})
    calls = [0]
    failed = 0
    for allowed in range(40):
        folder = tmp_path / str(allowed)
        store = tf.Store(folder / "store")
        calls[0] = 0

        def some(handle: int, limit: int = allowed) -> None:
            calls[0] += 1
            if calls[0] > limit:
                full()
            real(handle)

        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            patch.setattr(os, "fsync", some)
            try:
                tf.build(given.labels, given.features, folder / "set.parquet", store=store, **given.options)
            except tf.TimefenceStoreError:
                failed += 1
        assert not [p for p in folder.rglob("*") if ".tmp" in p.name]
        if calls[0] <= allowed:
            break
        same_as_without(given, folder / "set.parquet", store)
        assert store.verify() == []
    else:
        pytest.fail("more writes than expected")
    assert failed > 3


@pytest.mark.skipif(writes_anywhere(), reason="root writes anywhere: run by tests/faults/test_read_only.py")
@pytest.mark.parametrize("part", ["", "builds", "cache", "cache/features"])
def test_a_read_only_store(store: tf.Store, tmp_path: Path, part: str) -> None:
    same_as_without(Inputs(labels(), last()), tmp_path / "set.parquet", store)
    before = contents(store.path)
    folder = store.path / part
    folder.chmod(0o555)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with suppress(tf.TimefenceStoreError):
                tf.build(labels(), last(more(EVENTS)), tmp_path / "new.parquet", store=store)
        assert before.items() <= contents(store.path).items()
    finally:
        folder.chmod(0o755)
    same_as_without(Inputs(labels(), last(more(EVENTS))), tmp_path / "new.parquet", store)


def test_a_store_where_a_file_stands(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(tf.TimefenceStoreError):
        tf.build(labels(), last(), tmp_path / "set.parquet", store=tf.Store(tmp_path / "store"))
    assert not (tmp_path / "set.parquet").exists()


# --- kinds of keys and times ----------------------------------------------------------------------------------------------

DAY = pl.datetime(2024, 1, 1)


def kinds() -> dict[str, Inputs]:
    named = pl.format("entity {}", "k").alias("name")
    dated = EVENTS.with_columns(
        t=pl.date(2024, 1, 1) + pl.duration(days="t"), u=pl.date(2024, 1, 1) + pl.duration(days="u")
    )
    timed = LABELS.with_columns(at=DAY + pl.duration(days="at", hours=6))
    nulls = EVENTS.with_columns(
        pl.when(pl.col("t") > 1).then("t"), u=pl.when(pl.col("u") > 2).then("u"), k=pl.when(pl.col("j") < 3).then("k")
    )
    zoned = EVENTS.with_columns(
        t=(DAY + pl.duration(days="t")).dt.replace_time_zone("Europe/Berlin").dt.cast_time_unit("ms")
    )
    both = ["k", "j"]
    far = EVENTS.with_columns(k=pl.col("k").cast(pl.Int64) * 2**60, t=pl.col("t") * 2**58)
    return {
        "strings": Inputs(
            labels(LABELS.with_columns(named), keys="name"), last(source(EVENTS.with_columns(named), keys="name"))
        ),
        "strings and integers": Inputs(
            labels(LABELS.with_columns(named), keys=["name", "j"]),
            last(source(EVENTS.with_columns(named), keys=["name", "j"])),
        ),
        "categories": Inputs(
            labels(LABELS.with_columns(named.cast(pl.Categorical)), keys="name"),
            last(source(EVENTS.with_columns(named), keys="name")),
        ),
        "composite": Inputs(labels(keys=both), last(source(keys=both))),
        "coarser": Inputs(
            labels(keys=both), [last(source(keys="j"), on_duplicate="keep_last"), last(source(), name="g")]
        ),
        "global": Inputs(labels(), last(source(keys=[]), on_duplicate="keep_last")),
        "global without keys": Inputs(labels(keys=[]), last(source(keys=[]), on_duplicate="keep_first")),
        "bitemporal": Inputs(labels(), last(source(available_at="u")), {"max_lookback": 4}),
        "bitemporal strings": Inputs(
            labels(LABELS.with_columns(named), keys="name"),
            last(source(EVENTS.with_columns(named), keys="name", available_at="u"), embargo=1),
        ),
        "bitemporal dates": Inputs(labels(timed), last(source(dated, available_at="u"))),
        "bitemporal, mixed units": Inputs(
            labels(timed),
            last(
                source(
                    dated.with_columns(u=(DAY + pl.duration(days="j", hours=3)).dt.cast_time_unit("ns")),
                    available_at="u",
                )
            ),
        ),
        "dates": Inputs(labels(timed), last(source(dated)), {"max_staleness": "1d"}),
        "dates known at their start": Inputs(labels(timed), last(source(dated, date_known_at="start"))),
        "labels by date": Inputs(
            labels(LABELS.with_columns(at=pl.date(2024, 1, 1) + pl.duration(days="at"))), last(source(dated))
        ),
        "zones": Inputs(
            labels(LABELS.with_columns(at=(DAY + pl.duration(days="at")).dt.replace_time_zone("UTC"))),
            last(source(zoned)),
        ),
        "nulls": Inputs(labels(), [last(source(nulls)), last(source(nulls, available_at="u"), name="g")]),
        "no rows": Inputs(labels(), last(EVENTS.clear())),
        "no labels": Inputs(labels(LABELS.clear()), last()),
        "far apart": Inputs(
            labels(LABELS.with_columns(pl.col("k").cast(pl.Int64) * 2**60, pl.col("at") * 2**58)), last(far)
        ),
        "unsigned": Inputs(
            labels(LABELS.with_columns(pl.col("k").cast(pl.UInt8))),
            last(EVENTS.with_columns(pl.col("k").cast(pl.UInt64))),
        ),
        "ties": Inputs(
            labels(), [last(TWICE, on_duplicate="keep_last"), last(source(TWICE, tie_breaker="c"), name="g")]
        ),
        "first of ties": Inputs(labels(), last(TWICE, on_duplicate="keep_first")),
        "ties of a transform": Inputs(
            labels(), last(TWICE, transform=lambda lf: lf.select("k", "t", "x"), on_duplicate="keep_first")
        ),
        "nested values": Inputs(
            labels(),
            tf.Feature(
                source(),
                pl.struct("x", "z").alias("s"),
                pl.concat_list("x", "j").alias("l"),
                pl.lit(None).alias("n"),
                pl.col("x").cast(pl.Decimal(20, 2)).alias("d"),
                pl.format("{}", "x").cast(pl.Categorical).alias("c"),
                pl.col("x").cast(pl.Int128).alias("i"),
                pl.duration(seconds="x").alias("p"),
                pl.lit(b"ab").alias("b"),
                name="f",
            ),
        ),
        "features of several sources and rows": Inputs(
            labels(),
            [
                last(name="f"),
                last(name="g", columns="z", embargo=1),
                last(name="h", transform=lambda lf: lf.filter(pl.col("x") > 10)),
                last(more(EVENTS), name="i"),
                last(name="l", sql="SELECT k, t, x * 2 AS x FROM {source}"),
            ],
            {"feature_times": True},
        ),
    }


KINDS = kinds()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_the_cache_gives_what_computing_gives(store: tf.Store, tmp_path: Path, name: str, by: str) -> None:
    given = KINDS[name]
    with engine(by):
        for number, at in enumerate((None, tmp_path / "set.parquet", None)):
            result = same_as_without(given, at, store)
            assert all(f["cached"] == (number > 0) for f in result.manifest["features"].values())
        # Other labels over the same frames.
        turned = Inputs(
            labels(given.labels.table.scan().collect().reverse(), keys=list(given.labels.keys)),
            given.features,
            given.options,
        )
        result = same_as_without(turned, tmp_path / "turned.parquet", store)
        assert all(f["cached"] for f in result.manifest["features"].values())
        # Some features from the store, some computed.
        for path in sorted(store.layout.features.glob("*.json"))[::2]:
            path.unlink()
        same_as_without(given, None, store)
    assert store.verify() == []


def test_sha256_is_used_everywhere(tmp_path: Path) -> None:
    pl.DataFrame({"k": [1, 2], "t": [1, 2], "x": [1.0, 2.0]}).write_parquet(tmp_path / "events.parquet")
    source = tf.Source(tmp_path / "events.parquet", keys="k", timestamp="t")
    labels = tf.Labels(pl.DataFrame({"k": [1], "at": [5]}), keys="k", label_time="at")
    features = [
        tf.Feature(source, "x", name="f"),
        tf.Feature(source, transform=lambda events: events.with_columns(pl.col("x") + 1), name="g"),
        tf.Feature(source, sql="SELECT k, t, x FROM {source}", dialect="duckdb", name="h"),
        tf.Window(source, {"n": pl.len()}, windows=[2], name="w"),
    ]
    store = tf.Store(tmp_path / "store", hash="sha256")
    for _ in range(2):
        manifest = tf.build(labels, features, tmp_path / "set.parquet", store=store).manifest
        assert "xxh3_128:" not in json.dumps(manifest, default=str)
    assert manifest["reused"]
    records = [p.read_text() for p in (tmp_path / "store").rglob("*.json")]
    assert len(records) >= 6
    assert [r for r in records if "xxh3_128:" in r] == []


def test_bounds_that_no_64_bits_hold_are_kept(store: tf.Store, tmp_path: Path) -> None:
    events = tf.Source(pl.DataFrame({"k": [0], "t": [1], "x": [2.0]}), keys="k", timestamp="t")
    given = tf.Labels(pl.DataFrame({"k": [0], "at": [5]}), keys="k", label_time="at")
    one = tf.Feature(events, columns="x", name="f", embargo=2, max_lookback=2**70)
    first, again = (tf.build(given, one, tmp_path / f"{n}.parquet", store=store) for n in "ab")
    assert again.frame()["f__x"].to_list() == [2.0]
    assert [m["build_id"] for m in store.list_builds()] == [again.manifest["build_id"], first.manifest["build_id"]]
    assert not first.manifest["reused"]
    assert again.manifest["reused"]


@pytest.mark.parametrize(
    ("value", "codec"), [(pl.col("i").hash(1).cast(pl.Float64), "UNCOMPRESSED"), (pl.col("i") % 2 + 0.5, "LZ4")]
)
def test_entries_are_compressed_where_that_makes_them_smaller(
    store: tf.Store, tmp_path: Path, value: pl.Expr, codec: str
) -> None:
    number = [(pl.col("i").hash(seed) // 4).cast(pl.Int64) for seed in (2, 3)]
    rows = pl.select(i=pl.int_range(200_000)).select(k=number[0], t=number[1], x=value)
    events = tf.Source(rows, keys="k", timestamp="t")
    given = tf.Labels(pl.DataFrame({"k": [rows["k"][7]], "at": [1 << 62]}), keys="k", label_time="at")
    built = tf.build(given, tf.Feature(events, columns="x", name="f"), tmp_path / "a.parquet", store=store)
    (entry,) = [p for p in entries(store) if p.suffix == ".parquet"]
    column = pq.ParquetFile(entry).metadata.row_group(0)
    assert column.column(column.num_columns - 1).compression == codec
    assert built.frame()["f__x"].to_list() == [rows["x"][7]]
