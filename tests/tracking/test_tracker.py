"""The seed's tracker: its calls as the seed's guide writes them, over the same runs as the store's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl import exceptions, get_tracker

FEATURE_EXPERIMENT = "feature-sets"
ARTIFACT_FILENAME = "iris_features.parquet"


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_features() -> str:
    """The guide's feature engineering script."""
    tracker = get_tracker()
    with tracker.start_run(experiment_name=FEATURE_EXPERIMENT) as run_id:
        df = pl.DataFrame({"sepal": [5.1, 4.9, 6.2, 5.9], "width": [3.5, 3.0, 2.9, 3.2], "target": [0, 0, 1, 1]})
        df = df.with_columns(sepal_area=pl.col("sepal") * pl.col("width"))
        output_dir = Path("fstore") / run_id
        output_dir.mkdir(parents=True)
        feature_path = output_dir / ARTIFACT_FILENAME
        df.write_parquet(feature_path)
        tracker.log_artifact(str(feature_path))
        tracker.log_dataset(str(feature_path), name="iris_features")
        tracker.set_run_tags({"latest_feature_set": True})
    return run_id


def test_the_guides_two_scripts() -> None:
    tracker = get_tracker()
    with pytest.raises(exceptions.ExperimentNotFound):
        tracker.load_results(FEATURE_EXPERIMENT)
    make_features()
    run_id = make_features()
    all_runs = tracker.load_results(FEATURE_EXPERIMENT).sort("start_time", descending=True)
    assert all_runs["run_id"][0] == run_id
    assert all_runs["tag_latest_feature_set"].to_list() == [True, True]
    feature_path = tracker.download_artifact(run_id, ARTIFACT_FILENAME)
    assert feature_path == str(Path.cwd() / ARTIFACT_FILENAME)
    df = pl.read_parquet(feature_path)
    with tracker.start_run(experiment_name="production-models") as model_run:
        tracker.log_input_run(name="feature_set", run_id=run_id, artifact_name=ARTIFACT_FILENAME)
        tracker.log_params({"C": 50, "max_iter": 10_000})
        tracker.log_metric("accuracy", float(df["target"].mean() or 0))  # type: ignore[arg-type]
        tracker.log_model({"coefficients": [1.0]}, "model.pkl")
    results = tracker.load_results("production-models")
    assert results.select("status", "param_C", "accuracy").rows() == [("FINISHED", 50, 0.5)]
    store = tf.Store()
    assert store.run(model_run).inputs[0]["run_id"] == run_id
    assert [n.name for n in store.lineage(model_run).find("run")] == [model_run, run_id]
    assert store.check(model_run).ok


def test_calls_outside_of_a_run() -> None:
    tracker = get_tracker()
    calls: list[Any] = [
        lambda: tracker.log_param("a", 1),
        lambda: tracker.log_metric("a", 1),
        lambda: tracker.log_artifact("a"),
        lambda: tracker.log_dataset("a", "b"),
        lambda: tracker.log_model(1, "b"),
        lambda: tracker.log_dvc_input("a", "b"),
        lambda: tracker.set_run_tags({}),
        tracker.get_run_tags,
    ]
    for call in calls:
        with pytest.raises(exceptions.NoActiveRun):
            call()


def test_what_is_not_found_has_the_seeds_names() -> None:
    tracker = get_tracker()
    with tracker.start_run() as run_id:
        for kind, call in (
            (exceptions.ArtifactNotFound, lambda: tracker.log_artifact("nothing.txt")),
            (exceptions.ArtifactNotFound, lambda: tracker.log_dataset("nothing.txt", "a")),
            (exceptions.ArtifactNotFound, lambda: tracker.log_dvc_input("nothing.txt", "a")),
            (exceptions.RunNotFound, lambda: tracker.log_input_run("a", "nothing")),
            (exceptions.ArtifactNotFound, lambda: tracker.log_input_run("a", run_id, "nothing")),
            (exceptions.RunNotFound, lambda: tracker.download_artifact("nothing", "a")),
            (exceptions.ArtifactNotFound, lambda: tracker.download_artifact(run_id, "nothing")),
        ):
            with pytest.raises(kind) as caught:
                call()  # type: ignore[no-untyped-call]
            assert isinstance(caught.value, tf.NotFoundError)
    assert tracker.list_experiments() == [{"experiment_id": "default-experiment", "name": "default-experiment"}]


def test_b20_nested_runs_and_threads_get_their_own_values() -> None:
    tracker = get_tracker()
    ids: dict[str, str] = {}

    def other() -> None:
        with pytest.raises(exceptions.NoActiveRun):
            tracker.log_metric("m", 0)
        with tracker.start_run(experiment_name="models") as run_id:
            tracker.log_metric("m", 3)
            ids["thread"] = run_id

    with tracker.start_run(experiment_name="models") as outer:
        tracker.log_metric("m", 1)
        with tracker.start_run(experiment_name="models") as inner:
            tracker.log_metric("m", 2)
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            tracker.log_metric("n", 2)
        tracker.log_metric("n", 1)
    metrics = {name: tracker.get_run(i).metrics for name, i in (("outer", outer), ("inner", inner), *ids.items())}
    assert metrics == {"outer": {"m": 1, "n": 1}, "inner": {"m": 2, "n": 2}, "thread": {"m": 3}}


def test_two_trackers_do_not_share_their_runs() -> None:
    one, two = get_tracker("one"), get_tracker("two")
    with one.start_run():
        with pytest.raises(exceptions.NoActiveRun):
            two.log_metric("m", 1)
        with two.start_run() as run_id:
            two.log_metric("m", 1)
            one.log_metric("m", 2)
    assert two.get_run(run_id).metrics == {"m": 1}
    assert two.get_run(run_id).parent is None


def test_a_run_that_fails() -> None:
    tracker = get_tracker()
    with pytest.raises(KeyError), tracker.start_run() as run_id:
        raise KeyError("no")
    assert tracker.get_run(run_id).status == "FAILED"
    assert tracker.load_results("default-experiment")["status"].to_list() == ["FAILED"]


def test_results_are_sorted() -> None:
    tracker = get_tracker()
    for value in (2, 3, 1):
        with tracker.start_run():
            tracker.log_metric("m", value)
            tracker.log_metric("status", value)  # a name that results have already
    assert tracker.load_results("default-experiment")["m"].to_list() == [1, 3, 2]
    assert tracker.load_results("default-experiment", sort_by="m")["m"].to_list() == [1, 2, 3]
    assert tracker.load_results("default-experiment", "m", ascending=False)["m"].to_list() == [3, 2, 1]
    assert tracker.load_results("default-experiment")["metric_status"].to_list() == [1, 3, 2]
    with pytest.raises(tf.TimefenceStoreError, match="no column"):
        tracker.load_results("default-experiment", sort_by="x")


def test_tags_are_replaced_as_in_the_seed() -> None:
    tracker = get_tracker()
    with tracker.start_run() as run_id:
        tracker.set_run_tags({"a": 1, "b": 2})
        tracker.set_run_tags({"c": 3})
        assert tracker.get_run_tags() == {"c": 3}
    assert tracker.get_run(run_id).tags == {"c": 3}


def test_the_names_of_the_seed_are_importable() -> None:
    assert issubclass(exceptions.ExperimentNotFound, tf.TimefenceError)
    assert repr(get_tracker("x")).startswith("Tracker(")
    assert tf.exceptions is exceptions  # type: ignore[attr-defined]
