"""MLflow: behaviour 25, with a real tracking store in SQLite, read by MLflow's own client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf

# Its own imports warn; what we do with it may not.
mlflow: Any = pytest.importorskip("mlflow")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FRAME = pl.DataFrame({"k": [1, 2, 3], "x": [1.5, None, float("nan")], "target": [0, 1, 0]})


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    mlflow.set_experiment(experiment_id=client.create_experiment("models", artifact_location=str(folder / "artifacts")))
    yield client
    mlflow.set_tracking_uri(before)


@pytest.fixture
def version(tmp_path: Path) -> tf.FeatureSetVersion:
    labels = tf.Labels(FRAME.select("k", "target").with_columns(at=9), keys="k", label_time="at")
    source = tf.Source(FRAME.select("k", "x").with_columns(t=1), keys="k", timestamp="t", name="events")
    store = tf.Store(tmp_path / "store")
    return store.publish("iris", tf.build(labels, tf.Feature(source, columns="x"), store=store))


def test_b25_the_logged_input_is_seen_by_mlflow(tracking: Any, version: tf.FeatureSetVersion) -> None:
    with mlflow.start_run() as run:
        version.log_to_mlflow(context="training")
    (given,) = tracking.get_run(run.info.run_id).inputs.dataset_inputs
    f = version.fingerprint
    assert given.dataset.name == "iris"
    assert len(given.dataset.digest) == 36
    assert given.dataset.digest == f.content_hash.removeprefix("sha256:")[:36]
    tags = {t.key: t.value for t in given.tags}
    assert tags == {
        "mlflow.data.context": "training",
        "timefence.ref": "iris:v1",
        "timefence.content_hash": f.content_hash,
        "timefence.file_sha256": f.file_sha256,
        "timefence.schema_hash": f.schema_hash,
        "timefence.build_id": version.build["build_id"],  # type: ignore[index]
    }
    assert json.loads(given.dataset.profile)["num_rows"] == 3
    assert [c["name"] for c in json.loads(given.dataset.schema)["columns"]] == list(f.schema)
    assert given.dataset.source_type == "local"
    assert str(version.path) in given.dataset.source
    found = tracking.search_runs([run.info.experiment_id], filter_string=f"dataset.digest = '{given.dataset.digest}'")
    assert [r.info.run_id for r in found] == [run.info.run_id]


def test_a_run_and_a_client_can_be_given(tracking: Any, version: tf.FeatureSetVersion) -> None:
    run = tracking.create_run(tracking.get_experiment_by_name("models").experiment_id)
    version.log_to_mlflow(context="testing", run_id=run.info.run_id, client=tracking)
    (given,) = tracking.get_run(run.info.run_id).inputs.dataset_inputs
    assert {t.key: t.value for t in given.tags}["mlflow.data.context"] == "testing"
    tracking.set_terminated(run.info.run_id)


def test_it_is_a_dataset_of_mlflows_own_calls(tracking: Any, version: tf.FeatureSetVersion) -> None:
    dataset = version.to_mlflow()
    assert isinstance(dataset, mlflow.data.dataset.Dataset)
    assert json.loads(dataset.to_json())["digest"] == dataset.digest
    assert dataset.profile["content_hash"] == version.fingerprint.content_hash
    assert len(dataset.schema) == len(version.fingerprint.schema)
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="eval")
    (given,) = tracking.get_run(run.info.run_id).inputs.dataset_inputs
    assert given.dataset.digest == dataset.digest
    assert version.fingerprint.content_hash in given.dataset.profile


def test_digests_differ_where_mlflows_own_do_not(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "other")
    frames = [FRAME, FRAME.rename({"x": "y"}), FRAME.with_columns(pl.col("target").cast(pl.Int32)), FRAME[:2]]
    digests = {store.publish("set", f, keys="k").to_mlflow().digest for f in frames}
    assert len(digests) == 4


def test_without_a_run(tracking: Any, version: tf.FeatureSetVersion) -> None:
    assert mlflow.active_run() is None
    with pytest.raises(tf.TimefenceConfigError, match="no active MLflow run"):
        version.log_to_mlflow()
    assert mlflow.active_run() is None
    with pytest.raises(tf.TimefenceConfigError, match="nowhere"):
        version.log_to_mlflow(run_id="nowhere", client=tracking)


def test_mlflow_is_asked_for_by_its_extra(version: tf.FeatureSetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(tf.TimefenceConfigError, match=r"timefence-pl\[mlflow\]"):
        version.to_mlflow()
    with pytest.raises(tf.TimefenceConfigError, match=r"timefence-pl\[mlflow\]"):
        version.log_to_mlflow()
