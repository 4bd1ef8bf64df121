"""Stores of RuneLog, made by the real package, brought in."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf

runelog: Any = pytest.importorskip("runelog")


@pytest.fixture
def store(tmp_path: Path) -> tf.Store:
    return tf.Store(tmp_path / "store")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A RuneLog store: the feature script and the training script of its guide, and more."""
    folder = tmp_path_factory.mktemp("runelog")
    tracker = runelog.get_tracker(str(folder))
    ids = {}
    pl.DataFrame({"x": [1, 2], "target": [0, 1]}).write_parquet(folder / "iris_features.parquet")
    (folder / "data.csv").write_bytes(b"a,b\r\n1,2\r\n")
    (folder / "data.csv.dvc").write_text(
        "outs:\n- md5: b202f333fba4fd38d4b8e5e693077aab\n  hash: md5\n  path: data.csv\n"
    )
    quiet = {"log_git_meta": False, "log_code": False}
    with tracker.start_run(experiment_name="feature-sets", **quiet) as run_id:
        tracker.log_artifact(str(folder / "iris_features.parquet"))
        tracker.log_dataset(str(folder / "iris_features.parquet"), name="iris_features")
        tracker.log_dvc_input(str(folder / "data.csv"), name="raw")
        tracker.set_run_tags({"latest_feature_set": True})
        ids["features"] = run_id
    with tracker.start_run(experiment_name="production-models", **quiet) as run_id:
        tracker.log_input_run(name="feature_set", run_id=ids["features"], artifact_name="iris_features.parquet")
        for key, value in {"C": 50, "kernel": "rbf", "none": None, "missing": float("nan"), "layers": [1, 2]}.items():
            tracker.log_param(key, value)
        tracker.log_param("learning rate", 0.1)
        tracker.log_metric("accuracy", 0.97)
        tracker.log_metric("loss", float("inf"))
        tracker.log_model({"weights": [1, 2]}, "model.pkl")
        ids["model"] = run_id
    with tracker.start_run(experiment_name="production-models", **quiet) as run_id:
        ids["failed"] = run_id
    with tracker.start_run(**quiet) as run_id:
        ids["default"] = run_id
    return folder, ids


def test_everything_is_brought_in(store: tf.Store, made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, ids = made
    report = store.import_runelog(folder)
    assert set(store.experiments()) == set(report.experiments) >= {"feature-sets", "production-models"}
    assert report.runs == {i: i for i in ids.values()}
    assert report.counts == {"params": 6, "metrics": 2, "tags": 1, "artifacts": 2, "inputs": 3}
    model = store.run(ids["model"])
    assert model.status == "FINISHED"
    params = dict(model.params)
    assert params.pop("missing") != params.get("missing")  # NaN
    assert params == {"C": 50, "kernel": "rbf", "none": None, "layers": [1, 2], "learning_rate": 0.1}
    assert model.metrics == {"accuracy": 0.97, "loss": float("inf")}
    assert any("'learning rate' is called 'learning_rate'" in p for p in report.problems)
    copy = model.download_artifact("model.pkl", tmp_path / "to")
    (original,) = (folder / ".mlruns").glob(f"*/{ids['model']}/artifacts/model.pkl")
    assert copy.read_bytes() == original.read_bytes()
    (link,) = model.inputs
    assert (link["kind"], link["run_id"], link["artifact"]) == ("run", ids["features"], "iris_features.parquet")
    assert link["file_sha256"] == store.content_hash(folder / "iris_features.parquet")
    dataset, dvc = store.run(ids["features"]).inputs
    assert dataset["file_sha256"] == link["file_sha256"]
    assert dvc["md5"] == "b202f333fba4fd38d4b8e5e693077aab"
    assert store.find_runs({"latest_feature_set": True})["run_id"].to_list() == [ids["features"]]
    lineage = store.lineage(ids["model"])
    assert [n.name for n in lineage.find("run")] == [ids["model"], ids["features"]]
    assert store.check(ids["model"]).to_dict()["stale"] == []
    assert store.verify() == []
    assert "4 run(s)" in str(report)


def test_times_are_utc(store: tf.Store, made: tuple[Path, dict[str, str]]) -> None:
    folder, ids = made
    store.import_runelog(folder, time_zone="Asia/Tokyo")
    (meta,) = (folder / ".mlruns").glob(f"*/{ids['model']}/meta.json")
    local = dt.datetime.fromisoformat(json.loads(meta.read_text())["start_time"])
    run = store.run(ids["model"])
    assert run.started_at == local.replace(tzinfo=dt.timezone(dt.timedelta(hours=9)))
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at
    with pytest.raises(tf.TimefenceConfigError, match="Mars"):
        store.import_runelog(folder, time_zone="Mars/North")


def test_importing_again_brings_what_is_new(store: tf.Store, made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    first = store.import_runelog(folder)
    again = store.import_runelog(folder)
    assert again.runs == {}
    assert set(again.known) == set(first.runs)
    with runelog.get_tracker(str(folder)).start_run(
        experiment_name="new", log_git_meta=False, log_code=False
    ) as run_id:
        pass
    assert store.import_runelog(folder).runs == {run_id: run_id}
    assert store.runs().height == 5


def test_an_id_that_is_taken_is_another_here(
    store: tf.Store, made: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    store.import_runelog(made[0])
    shutil.copytree(made[0], tmp_path / "copy")
    report = store.import_runelog(tmp_path / "copy")
    assert len(report.runs) == 4
    assert not set(report.runs) & set(report.runs.values())
    assert store.runs().height == 8
    renamed = report.runs[made[1]["model"]]
    assert store.run(renamed).inputs[0]["run_id"] == report.runs[made[1]["features"]]
    assert any("is called" in p for p in report.problems)


def test_what_is_broken_is_told(store: tf.Store, made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, ids = made
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    runs = {name: next((copy / ".mlruns").glob(f"*/{run_id}")) for name, run_id in ids.items()}
    (runs["model"] / "params" / "C.json").write_text("{")
    (runs["model"] / "metrics" / "accuracy.json").write_text('{"value": "high"}')
    (runs["model"] / "lineage.json").write_text(json.dumps([{"name": "x", "run_id": "gone1234"}, 5]))
    (runs["failed"] / "meta.json").write_text('{"status": "RUNNING"')
    (runs["default"] / "meta.json").unlink()
    (runs["features"].parent / "meta.json").unlink()
    (runs["features"] / "meta.json").write_text(
        json.dumps({"status": "FINISHED", "start_time": "yesterday", "tags": 5})
    )
    (copy / ".mlruns" / "stray").write_text("x")
    (copy / ".mlruns" / "9").mkdir()
    (copy / ".mlruns" / "9" / "meta.json").write_text('{"name": "../../evil name"}')
    (copy / ".mlruns" / "9" / "a b").mkdir()
    report = store.import_runelog(copy)
    told = "\n".join(report.problems)
    for part in (
        "params/C.json cannot be read",
        "metric 'accuracy' is left out",
        "linked to run 'gone1234'",
        "has lost its name",
        "start_time 'yesterday' is no time",
        "its tags are no mapping",
        "never ended",
        "'../../evil name' is called",
        "run 'a b' is called",
    ):
        assert part in told
    assert store.run(ids["model"]).params["kernel"] == "rbf"
    assert store.run(ids["failed"]).status == "INTERRUPTED"
    assert store.run(ids["default"]).status == "INTERRUPTED"
    assert store.runs().height == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "store"]
    assert store.verify() == []


def test_links_are_not_followed(store: tf.Store, made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "meta.json").write_text('{"name": "secret"}')
    (copy / ".mlruns" / "linked").symlink_to(secret)
    run = next((copy / ".mlruns").glob(f"*/{made[1]['model']}"))
    (run / "artifacts" / "passwd").symlink_to("/etc/passwd")
    store.import_runelog(copy)
    assert "secret" not in store.experiments()
    assert "passwd" not in store.run(made[1]["model"]).artifacts


@pytest.mark.parametrize("name", ["nothing", "."])
def test_no_store_there(store: tf.Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(tf.NotFoundError, match="mlruns"):
        store.import_runelog(tmp_path / name)
