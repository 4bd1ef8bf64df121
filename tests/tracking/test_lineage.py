"""Lineage, checks and rebuilding: behaviours 17, 18 and 23 of the specification, and what they leave open."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cloudpickle
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from timefence_pl.errors import TimefenceStoreError
from timefence_pl.reports.lineage import lineage_svg
from timefence_pl.store.records import sealed
from timefence_pl.tracking.folders import SetFolder

EVENTS = pl.DataFrame({"k": [1, 2, 1], "t": [1, 2, 4], "x": [1.0, 2.0, 3.0], "kind": ["a", "b", "a"]})
LABELS = pl.DataFrame({"k": [1, 2, 3], "at": [9, 9, 9], "y": [0, 1, 0]})


class Project:
    """Source files, a store, and definitions of every kind that a record can hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        EVENTS[:2].write_parquet(self.data / "a.parquet")
        EVENTS[2:].write_parquet(self.data / "b.parquet")
        LABELS.write_parquet(folder / "labels.parquet")
        self.store = tf.Store(folder / "store")

    @property
    def source(self) -> tf.Source:
        return tf.Source(str(self.data / "*.parquet"), keys="k", timestamp="t", name="events")

    @property
    def labels(self) -> tf.Labels:
        return tf.Labels(self.folder / "labels.parquet", keys="k", label_time="at", target="y")

    @property
    def features(self) -> list[Any]:
        return [
            tf.Feature(self.source, columns="x", name="raw"),
            tf.Feature(self.source, (pl.col("x").cum_sum().over("k") * 2 + 1.5).alias("z"), name="sum", embargo=1),
            tf.Window(
                self.source,
                {"n": pl.len(), "of_a": pl.col("x").filter(pl.col("kind") == "a").mean()},
                windows=[None, 6],
                name="recent",
            ),
        ]

    def build(self, **options: Any) -> tf.BuildResult:
        given = {"output": self.folder / "out" / "set.parquet", "store": self.store, **options}
        return tf.build(self.labels, self.features, **given)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def names(lineage: tf.Lineage, kind: str) -> list[str]:
    return [node.name for node in lineage.find(kind)]


def test_a_file_that_a_build_wrote_leads_to_it(project: Project) -> None:
    output = project.folder / "out" / "set.parquet"
    project.build()
    built = project.build(splits={"early": (0, 5), "late": (5, 100)}, output=output)
    store = project.store
    for path in (output, *(Path(p) for p in built.splits.values())):
        up = store.lineage(path)
        assert names(up, "build") == [built.manifest["build_id"]]
        assert names(up, "file")[0] == str(path)
        assert {"labels", "feature", "source"} <= {node.kind for node in up.nodes.values()}
    with store.start_run("models") as run:
        store.publish("set", built, keys="k", timestamp="at")
        run.use("set")
    assert names(store.lineage(output, "down"), "run") == [run.run_id]
    with pytest.raises(tf.NotFoundError):
        store.lineage(project.folder / "out" / "none.parquet", "down")


# --- 17: up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["build", "build without a store", "file"])
def test_b17_from_a_run_up_to_the_bytes(project: Project, way: str) -> None:
    store = project.store
    result = project.build(**({"store": None} if way == "build without a store" else {}))
    version = store.publish("train", result.output_path if way == "file" else result)
    with store.start_run("models") as run:
        run.use("train:latest")
    up = store.lineage(run.run_id)
    assert names(up, "run") == [run.run_id]
    assert names(up, "feature set") == ["train:v1"]
    assert up.find("feature set")[0].hash == version.fingerprint.content_hash
    assert names(up, "build") == [result.manifest["build_id"]]
    assert names(up, "feature") == ["raw", "sum", "recent"]
    plans = up.find("plan")
    assert len({p.hash for p in plans}) == 3
    assert all(str(p.hash).startswith("xxh3_128:") for p in plans)
    expected = {str(p): store.content_hash(p) for p in (*project.data.iterdir(), project.folder / "labels.parquet")}
    assert {f.name: f.hash for f in up.find("file")} == expected
    assert version.keys == ("k",)
    assert version.timestamp == "at"
    assert version.build is not None
    assert version.build["output"]["content_hash"] == result.manifest["output"]["content_hash"]


def test_definitions_have_one_hash_however_they_are_published(project: Project) -> None:
    result = project.build()
    versions = [
        project.store.publish("a", result),
        project.store.publish("b", result.output_path),
        project.store.publish("c", project.build(store=None)),
    ]
    hashes = [{n: f["definition_hash"] for n, f in v.inputs["features"].items()} for v in versions]
    assert hashes[0] == hashes[1] == hashes[2]
    assert None not in hashes[0].values()


def test_a_lineage_as_frame_dictionary_and_text(project: Project) -> None:
    store = project.store
    store.publish("train", project.build())
    with store.start_run("models") as run:
        run.use("train")
    up = store.lineage(f"run:{run.run_id}")
    frame = up.to_frame()
    assert frame.columns == ["depth", "kind", "name", "status", "hash", "id", "parent"]
    assert frame["depth"][0] == 0
    assert set(frame["parent"].drop_nulls()) <= set(frame["id"])
    tree = json.loads(json.dumps(up.to_dict(), default=str))
    build = tree["children"][0]["children"][0]
    assert [c["kind"] for c in build["children"]] == ["labels", "feature", "feature", "feature"]
    source = build["children"][1]["children"][0]["children"][0]
    assert source["name"] == "events"
    assert [Path(f["name"]).name for f in source["children"]] == ["a.parquet", "b.parquet"]
    text = str(up)
    assert text.splitlines()[0] == f"run {run.run_id} [FINISHED]"
    assert "│   " in text
    assert "source events (see above)" in text
    assert up.find("file")[0].hash[:19] in text  # type: ignore[index]


def test_frames_in_memory_are_known_by_their_content(project: Project) -> None:
    source = tf.Source(EVENTS, keys="k", timestamp="t", name="events")
    labels = tf.Labels(LABELS, keys="k", label_time="at")
    version = project.store.publish("train", tf.build(labels, tf.Feature(source, columns="x")))
    up = version.lineage()
    (found,) = up.find("source")
    assert str(found.hash).startswith("sha256:")
    assert str(up.find("labels")[0].hash).startswith("sha256:")
    assert len(version.check().unchecked) == 2
    assert version.check().ok


def test_other_files_of_a_transform_stand_with_it(project: Project) -> None:
    extra = project.folder / "extra.parquet"
    pl.DataFrame({"k": [1, 2], "w": [5, 6]}).write_parquet(extra)
    feature = tf.Feature(
        project.source, transform=lambda lf: lf.join(pl.scan_parquet(extra), on="k").select("k", "t", "w"), name="extra"
    )
    version = project.store.publish("train", tf.build(project.labels, feature, store=project.store))
    assert str(extra) in names(version.lineage(), "file")
    pl.DataFrame({"k": [1, 2], "w": [5, 7]}).write_parquet(extra)
    assert [c.name for c in version.check().stale] == [str(extra)]


def test_a_source_that_changed_before_publication_is_not_vouched_for(project: Project) -> None:
    result = project.build()
    path = project.data / "a.parquet"
    EVENTS.write_parquet(path)
    with pytest.warns(UserWarning, match=r"changed since the build read them[\s\S]*a\.parquet"):
        version = project.store.publish("train", result)
    (file,) = [f for f in version.lineage().find("file") if f.name == str(path)]
    assert (file.hash, file.status) == (None, "changed")
    report = version.check()
    assert any("a.parquet" in reason for reason in report.unchecked)
    assert (report.ok, report.unknown, report.stale) == (False, (str(path),), ())
    assert report.to_dict()["ok"] is False
    first = str(report).splitlines()[0]
    assert "nothing" not in first
    assert "1 file(s) upstream were written to between the build and the publication" in first


# --- down -------------------------------------------------------------------------------------------------------------


def test_down_from_a_file(project: Project) -> None:
    store = project.store
    store.publish("train", project.build())
    with store.start_run("models") as run:
        run.use("train")
    down = store.lineage(project.data / "a.parquet", direction="down")
    assert names(down, "run") == [run.run_id]
    assert names(down, "feature set") == ["train:v1"]
    assert set(names(down, "feature")) == {"raw", "sum", "recent"}
    assert names(store.lineage(f"file:{project.folder / 'labels.parquet'}", "down"), "run") == [run.run_id]
    with pytest.raises(tf.NotFoundError):
        store.lineage(str(project.folder / "nothing.parquet"), "down")


def test_a_file_of_the_working_directory_is_named_as_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    store = project.store
    store.publish("train", project.build())
    monkeypatch.chdir(project.folder)
    assert names(store.lineage("labels.parquet", "down"), "feature set") == ["train:v1"]
    assert names(store.lineage(Path("labels.parquet")), "file") == [str(project.folder / "labels.parquet")]
    (project.folder / "train").write_text("a feature set of this name comes first")
    assert names(store.lineage("train"), "feature set") == ["train:v1"]
    assert store.check("train:v1").ok


def test_down_from_a_file_of_two_contents(project: Project) -> None:
    store = project.store
    store.publish("train", project.build())
    EVENTS.with_columns(pl.col("x") + 1)[:2].write_parquet(project.data / "a.parquet")
    store.publish("train", project.build())
    down = store.lineage(project.data / "a.parquet", "down")
    assert sorted(names(down, "feature set")) == ["train:v1", "train:v2"]
    assert len(down.find("file")) == 3


def test_down_from_versions_and_through_runs(project: Project) -> None:
    store = project.store
    store.publish("raw", LABELS, keys="k")
    with store.start_run("features") as made:
        made.use("raw")
        store.publish("derived", LABELS[1:], keys="k")
    with store.start_run("models") as run:
        run.use("derived:latest")
        run.log_input_run("made", made.run_id)
    down = store.lineage("raw:v1", "down")
    assert set(names(down, "run")) == {made.run_id, run.run_id}
    assert names(down, "feature set") == ["raw:v1", "derived:v1"]
    up = store.lineage(run.run_id)
    assert names(up, "feature set") == ["derived:v1", "raw:v1"]


def test_datasets_and_bytes_used_directly(project: Project) -> None:
    store = project.store
    path = project.data / "a.parquet"
    store.publish("train", project.build())
    with store.start_run("models") as run:
        run.log_dataset(path, name="raw")
        run.log_dataset(LABELS, name="frame")
    assert {f.hash for f in store.lineage(run.run_id).find("file")} == {store.content_hash(path)}
    assert run.run_id in names(store.lineage(path, "down"), "run")
    assert len(store.lineage(run.run_id).find("dataset")) == 1


def test_chains_of_any_length(project: Project) -> None:
    store = project.store
    ids = []
    for _ in range(350):
        run = store.start_run("chain")
        if ids:
            run.log_input_run("before", ids[-1])
        run.end()
        ids.append(run.run_id)
    for start, way in ((ids[-1], "up"), (ids[0], "down")):
        found = store.lineage(start, way)  # type: ignore[arg-type]
        assert len(found.find("run")) == 350
        assert str(found).count("\n") == 349
        assert found.to_frame()["depth"].max() == 349
        assert found.to_svg()
        assert found.to_dict()["children"]


def test_a_run_that_uses_what_it_published(project: Project) -> None:
    store = project.store
    with store.start_run("loop") as run:
        store.publish("own", LABELS, keys="k")
        run.use("own")
        run.log_input_run("self", run.run_id)
    for way in ("up", "down"):
        for ref in (run.run_id, "own:v1"):
            found = store.lineage(ref, way)  # type: ignore[arg-type]
            assert set(names(found, "run")) | set(names(found, "feature set")) == {run.run_id, "own:v1"}
            assert str(found)
            assert found.to_dict()


def test_b23_a_deleted_version_keeps_its_hashes(project: Project) -> None:
    store = project.store
    version = store.publish("train", project.build())
    with store.start_run("models") as run:
        run.use("train")
    store.delete("train:v1", force=True)
    for lineage in (store.lineage(run.run_id), store.lineage("train:v1")):
        (node,) = lineage.find("feature set")
        assert node.status == "missing"
        assert node.hash == version.fingerprint.content_hash
        assert node.details["file_sha256"] == version.fingerprint.file_sha256
        assert len(lineage.find("file")) == 3
        assert "[missing]" in str(lineage)
    (change,) = store.check(run.run_id).stale
    assert (change.kind, change.what, change.expected) == ("feature set", "missing", version.fingerprint.file_sha256)


def test_what_a_run_recorded_outlives_the_whole_set(project: Project) -> None:
    store = project.store
    version = store.publish("train", LABELS, keys="k")
    with store.start_run("models") as run:
        run.use("train")
    folder = SetFolder(store.layout, "train").path
    folder.rename(project.folder / "gone")
    (node,) = store.lineage(run.run_id).find("feature set")
    assert (node.status, node.hash) == ("missing", version.fingerprint.content_hash)
    assert [c.what for c in store.check(run.run_id).stale] == ["missing"]


def test_references_that_could_be_several_things(project: Project) -> None:
    store = project.store
    result = project.build()
    store.publish("train", result)
    build_id = result.manifest["build_id"]
    for ref in (build_id, f"build:{build_id}"):
        assert store.lineage(ref).root == f"build:{build_id}"
    for ref in (
        "train",
        "train:v1",
        "train:latest",
        store.get("train"),
        f"train@{store.get('train').fingerprint.content_hash}",
    ):
        assert store.lineage(ref).root == "feature set:train:v1"
    for ref in ("nothing", "nothing:v1", "run:nothing", "build:nothing"):
        with pytest.raises(tf.NotFoundError):
            store.lineage(ref)
    with pytest.raises(tf.TimefenceConfigError, match="Did you mean 'down'"):
        store.lineage("train", "dwn")  # type: ignore[arg-type]


def test_drawings_are_whole_and_escaped(project: Project) -> None:
    store = project.store
    hostile = project.folder / "<script>alert(1)</script>&\"'\x1b[31m.parquet"
    if os.sep in "<script>alert(1)</script>":
        hostile = project.folder / "<script>alert(1)<&\"'\x1b[31m\n.parquet"
    LABELS.write_parquet(hostile)
    with store.start_run("models") as run:
        run.log_dataset(hostile, name="x")
    lineage = store.lineage(run.run_id)
    for drawn in (lineage.to_html(), lineage.to_svg(), lineage._repr_html_()):
        assert "<script" not in drawn
        assert "\x1b" not in drawn
    assert ET.fromstring(lineage.to_svg()).tag.endswith("svg")
    assert ET.fromstring(lineage.to_html()).tag == "div"
    lineage.to_html(project.folder / "lineage.html")
    page = (project.folder / "lineage.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert lineage.to_svg() in page
    assert "<script" not in page
    text = str(lineage)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    ("columns", "least", "most"), [(1, 200, 240), (3, 700, 800), (7, 1_150, 1_232), (12, 1_700, 1_900)]
)
def test_drawings_of_many_columns_fit_a_window_as_far_as_they_can_be_read(columns: int, least: int, most: int) -> None:
    long = "a-name-that-is-much-longer-than-its-box"
    nodes = [
        {"id": str(i), "kind": "run", "name": long, "status": "", "hash": "sha256:" + "0123456789abcdef", "depth": i}
        for i in range(columns)
    ]
    drawn = ET.fromstring(lineage_svg(nodes, [(str(i), str(i + 1)) for i in range(columns - 1)]))
    assert least <= int(drawn.attrib["width"]) <= most
    boxes = [node for node in drawn if node.tag.endswith("}g")]
    places = [int(box.attrib["transform"].partition("(")[2].partition(",")[0]) for box in boxes]
    widths = [int(next(e for e in box if e.tag.endswith("rect")).attrib["width"]) for box in boxes]
    assert all(x + w < y for x, w, y in zip(places, widths, places[1:], strict=False))  # none lies over another
    for box, wide in zip(boxes, widths, strict=True):
        name, lower = [str(e.text) for e in box if e.tag.endswith("text")]
        assert 8 <= len(name) <= wide / 7
        assert lower.startswith("run · 01234567")


# --- 18: checks -------------------------------------------------------------------------------------------------------


def test_b18_an_edited_source_is_named(project: Project) -> None:
    store = project.store
    version = store.publish("train", project.build())
    with store.start_run("models") as run:
        run.use("train")
    report = store.check("train:v1")
    assert report.ok
    assert report.checked == 4
    assert "nothing changed" in str(report)
    path = project.data / "a.parquet"
    before = store.content_hash(path)
    EVENTS[:1].write_parquet(path)
    for found in (store.check("train:v1"), version.check(), store.check(run.run_id), store.run(run.run_id).check()):
        assert not found.ok
        (change,) = found.stale
        assert (change.kind, change.name, change.what, change.of) == ("file", str(path), "changed", "events")
        assert (change.expected, change.actual) == (before, store.content_hash(path))
        for part in (str(path), before, store.content_hash(path)):
            assert part in str(found)
    assert json.loads(json.dumps(found.to_dict()))["stale"][0]["name"] == str(path)


def test_files_that_went_and_came(project: Project) -> None:
    store = project.store
    store.publish("train", project.build())
    (project.data / "b.parquet").rename(project.data / "c.parquet")
    (project.folder / "labels.parquet").unlink()
    changes = {(Path(c.name).name, c.what) for c in store.check("train").stale}
    assert changes == {("b.parquet", "missing"), ("c.parquet", "new"), ("labels.parquet", "missing")}


def test_the_published_file_is_checked_too(project: Project) -> None:
    store = project.store
    version = store.publish("train", project.build())
    version.path.chmod(0o644)
    LABELS.write_parquet(version.path)
    (change,) = store.check("train").stale
    assert (change.kind, change.name) == ("feature set", "train:v1")


def test_definitions_are_compared_where_they_are_given(project: Project) -> None:
    store = project.store
    store.publish("train", project.build())
    assert store.check("train", features=project.features).ok
    other = [tf.Feature(project.source, pl.col("x") * 3, name="raw"), *project.features[1:]]
    (change,) = store.check("train", features=other).stale
    assert (change.kind, change.name, change.what) == ("definition", "raw", "changed")
    assert [c.what for c in store.check("train", features=project.features[1:]).stale] == ["missing"]
    aggregates = {"n": pl.len(), "of_a": pl.col("x").filter(pl.col("kind") == "b").mean()}
    window = tf.Window(project.source, aggregates, windows=[None, 6], name="recent")
    (change,) = store.check("train", features=[*project.features[:2], window]).stale
    assert change.name == "recent"


def test_inputs_of_runs_are_checked(project: Project) -> None:
    store = project.store
    data = project.data / "a.parquet"
    with store.start_run("features") as made:
        made.log_artifact(data, name="a.parquet")
        made.log_dataset(data, name="raw")
    with store.start_run("models") as run:
        run.log_input_run("made", made.run_id, "a.parquet")
        run.log_dataset(LABELS, name="frame")
    assert store.check(run.run_id).ok
    artifact = store.run(made.run_id).folder.artifact("a.parquet")
    artifact.chmod(0o644)
    artifact.write_bytes(b"other")
    EVENTS.write_parquet(data)
    found = {(c.kind, c.what) for c in store.check(run.run_id).stale}
    assert found == {("artifact", "changed"), ("file", "changed")}
    store.delete_run(made.run_id, force=True)
    assert [(c.kind, c.what) for c in store.check(run.run_id).stale] == [("run", "missing")]


def test_records_that_name_devices_and_pipes_are_no_files(project: Project) -> None:
    store = project.store
    os.mkfifo(project.folder / "pipe")
    with store.start_run("models") as run:
        for path in ("/dev/zero", str(project.folder / "pipe"), str(project.folder), "a\0b"):
            run._append("input", {"kind": "dataset", "name": "x", "path": path, "file_sha256": "sha256:0"})
    assert [c.what for c in store.check(run.run_id).stale] == ["missing"] * 4


def test_files_and_builds_are_no_versions(project: Project) -> None:
    result = project.build()
    for ref in (project.data / "a.parquet", result.manifest["build_id"]):
        with pytest.raises(tf.TimefenceConfigError, match="neither"):
            project.store.check(ref)


# --- rebuilding -------------------------------------------------------------------------------------------------------


def test_a_version_is_made_again_from_its_record(project: Project) -> None:
    store = project.store
    version = store.publish("train", project.build(max_lookback=8, max_staleness=7, feature_times=True))
    again = store.rebuild("train:v1")
    assert again.identical
    assert again.expected == again.actual == version.fingerprint.content_hash
    assert again.differences == ()
    assert again.upstream.ok
    assert_frame_equal(again.result.frame(), version.frame())
    assert "identical" in str(again)


@pytest.mark.parametrize(
    "options",
    [
        {"join": "inclusive"},
        {"on_missing": "skip"},
        {"max_lookback": None, "max_staleness": 5},
        {"flatten_columns": True, "feature_times": True},
        {"splits": {"a": (0, 9), "b": (9, 20)}},
        {"output": None},
    ],
    ids=str,
)
def test_every_option_is_made_again(project: Project, options: dict[str, Any]) -> None:
    version = project.store.publish("train", project.build(**options))
    assert project.store.rebuild(version.ref).identical
    assert project.store.rebuild(version.ref, labels=project.labels, features=project.features).identical


def test_what_is_made_of_other_bytes_is_told(project: Project) -> None:
    store = project.store
    store.publish("train", project.build())
    EVENTS[:2].with_columns(x=pl.Series([1.0, 7.0])).write_parquet(project.data / "a.parquet")
    again = store.rebuild("train")
    assert not again.identical
    assert "values of 'raw__x' differ" in again.differences
    assert [Path(c.name).name for c in again.upstream.stale] == ["a.parquet"]
    assert "not identical" in str(again)
    assert "values of 'k' differ" not in again.differences


def test_definitions_are_given_where_the_record_has_none(project: Project) -> None:
    store = project.store
    double = tf.Feature(project.source, transform=lambda lf: lf.select("k", "t", y2=pl.col("x") * 2), name="double")
    store.publish("train", tf.build(project.labels, double))
    with pytest.raises(TimefenceStoreError, match=r"feature 'double' is a Python function[\s\S]*labels=\.\.\."):
        store.rebuild("train")
    assert store.rebuild("train", labels=project.labels, features=double).identical
    with pytest.raises(tf.TimefenceConfigError, match="together"):
        store.rebuild("train", features=double)


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (lambda s: tf.Feature(s, sql="SELECT k, t, x FROM {source}", name="f"), "SQL"),
        (lambda s: tf.Feature(s, pl.col("x").map_elements(lambda v: v, return_dtype=pl.Float64), name="f"), "'f'"),
        (lambda s: tf.Feature(s, pl.col("x").is_in([1.0, 2.0]), name="f"), "'f'"),
        (lambda _: tf.Feature(tf.Source(EVENTS, keys="k", timestamp="t"), columns="x"), "frame in memory"),
        (lambda _: tf.Feature(tf.Source(EVENTS.lazy(), keys="k", timestamp="t"), columns="x"), "lazy frame"),
    ],
    ids=["sql", "function", "list", "frame", "lazy"],
)
def test_what_a_record_cannot_hold_is_told(project: Project, features: Any, told: str) -> None:
    feature = features(project.source)
    version = project.store.publish("train", tf.build(project.labels, feature))
    with pytest.raises(TimefenceStoreError, match=told):
        project.store.rebuild(version.ref)
    assert project.store.rebuild(version.ref, labels=project.labels, features=feature).identical


def test_rows_without_a_build_are_not_made_again(project: Project) -> None:
    project.store.publish("rows", LABELS, keys="k")
    with pytest.raises(TimefenceStoreError, match="published from rows"):
        project.store.rebuild("rows")


def test_a_build_whose_output_changed_is_not_published(project: Project) -> None:
    result = project.build()
    LABELS.write_parquet(str(result.output_path))
    with pytest.raises(tf.IntegrityError, match="not what the build wrote") as refused:
        project.store.publish("train", result)
    assert refused.value.expected == result.manifest["output"]["content_hash"]
    Path(str(result.output_path)).unlink()
    with pytest.raises(tf.IntegrityError):
        project.store.publish("train", result)


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "arrow", "parquet"])
@pytest.mark.parametrize("copy", [True, False])
def test_builds_of_every_format_are_published(project: Project, suffix: str, copy: bool) -> None:
    result = project.build(output=project.folder / f"set.{suffix}")
    if not copy and suffix != "parquet":
        with pytest.raises(tf.TimefenceConfigError, match="copy=False"):
            project.store.publish("train", result, copy=False)
        return
    version = project.store.publish("train", result, copy=copy)
    assert_frame_equal(version.frame("content"), result.frame())
    assert version.is_reference == (not copy)
    if suffix == "parquet":
        assert version.fingerprint.file_sha256 == project.store.content_hash(str(result.output_path))


def tampered(version: tf.FeatureSetVersion, change: Any) -> None:
    """Write a version's record as a forger would: changed, and sealed again."""
    path = version.path.with_name("version.json")
    record = json.loads(path.read_bytes())
    change(record["inputs"]["recipe"])
    path.chmod(0o644)
    path.write_bytes(sealed(record))


def test_a_forged_record_runs_nothing(project: Project) -> None:
    store = project.store
    marker = project.folder / "executed"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.write_text, (marker, "boom"))

    pickled = list(b"PLPYFN" + cloudpickle.dumps(Bomb()))
    forged: list[Any] = [
        lambda r: r["features"][1].update(
            exprs=[{"AnonymousFunction": {"input": [{"Column": "x"}], "function": pickled, "options": {}}}]
        ),
        lambda r: r["features"][1].update(mode="transform", transform=pickled),
        lambda r: r["features"][1].update(sql="SELECT 1", mode="sql"),
        lambda r: r["features"][1].update(exprs=["x"]),
        lambda r: r["features"].append(5),
        lambda r: r["sources"][0].update(patterns=[]),
        lambda r: r["sources"][0].update(reading={"storage_options": {"a": "b"}}),
        lambda r: r.update(features=None),
        lambda r: r.update(options=None),
        lambda r: r.update(polars="0.1"),
        lambda r: r["labels"].update(keys={"a": 1}),
        lambda r: r["options"].update(output="/etc/passwd"),
        lambda r: r["options"].update(store="x"),
        lambda r: r["options"].update(progress="print"),
    ]
    for i, change in enumerate(forged):
        version = store.publish(f"forged{i}", project.build(store=None))
        tampered(version, change)
        try:
            again = store.rebuild(version.ref)
        except tf.TimefenceError:
            continue
        # What the record says besides is not looked at.
        assert change in (forged[1], forged[2], forged[6]), i
        assert again.identical
    assert not marker.exists()


def test_options_of_a_record_are_those_of_joins_alone(project: Project) -> None:
    version = project.store.publish("train", project.build(store=None))
    target = project.folder / "written.parquet"
    tampered(version, lambda r: r["options"].update(output=str(target)))
    with pytest.raises(TimefenceStoreError, match="cannot be made again"):
        project.store.rebuild("train")
    assert not target.exists()
