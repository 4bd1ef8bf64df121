"""Runs: behaviours 16, 19, 20, 22, 23 and 26 of the specification, and what they leave open.

A test whose name begins with ``test_b19`` is behaviour 19.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from timefence_pl.tracking import run_index

FRAME = pl.DataFrame({"k": [1, 2, 3], "x": [1.5, 2.5, 3.5], "target": [0, 1, 0]})
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> tf.Store:
    return tf.Store(tmp_path / "store")


def in_process(code: str, store: tf.Store, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    head = f"import os, signal, sys\nimport timefence_pl as tf\nstore = tf.Store({str(store.path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert not check or done.returncode == 0, done.stderr
    return done


# --- what is logged ---------------------------------------------------------------------------------------------------


def test_a_run_keeps_what_it_is_given(store: tf.Store, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with store.start_run("models", name="first", params={"C": 50}) as run:
        run.log_params({"kernel": "rbf", "layers": [8, 4], "none": None, "deep": {"a": [1, {"b": 2.5}]}})
        run.log_metrics({"loss": 1.0}, step=0)
        run.log_metrics({"loss": 0.5, "accuracy": 0.9}, step=1)
        run.set_tags({"stage": "test", "keep": True})
        run.log_artifact(tmp_path / "notes.txt")
        assert run.record().status == "RUNNING"
    record = store.run(run.run_id)
    assert (record.experiment, record.name, record.status, record.error) == ("models", "first", "FINISHED", None)
    assert record.params == {
        "C": 50,
        "kernel": "rbf",
        "layers": [8, 4],
        "none": None,
        "deep": {"a": [1, {"b": 2.5}]},
    }
    assert record.metrics == {"loss": 0.5, "accuracy": 0.9}
    assert record.tags == {"stage": "test", "keep": True}
    history = record.metric_history("loss")
    assert history.select("step", "value").rows() == [(0, 1.0), (1, 0.5)]
    assert history.schema["at"] == pl.Datetime("us", "UTC")
    assert record.started_at <= record.ended_at <= dt.datetime.now(dt.UTC)  # type: ignore[operator]
    copy = record.download_artifact("notes.txt", tmp_path / "new" / "folder")
    assert copy == tmp_path / "new" / "folder" / "notes.txt"
    assert copy.read_text() == "hello"
    assert json.loads(json.dumps(record.to_dict()))["status"] == "FINISHED"
    shown = str(record)
    for part in (
        "FINISHED",
        "param C = 50",
        "metric accuracy = 0.9",
        "tag stage = test",
        "artifact notes.txt (5 bytes)",
    ):
        assert part in shown


class Kind(enum.Enum):
    A = "a"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array([3]), 3),
        (float("inf"), float("inf")),
        (-float("inf"), -float("inf")),
        (2**70, 2**70),
        (-(2**63), -(2**63)),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (Path("a/b"), "a/b"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (Decimal("1.10"), "1.10"),
        (Kind.A, "a"),
        ("ä\n\0", "ä\n\0"),
        ("", ""),
        ({"$number": 5}, {"$number": 5}),
    ],
    ids=repr,
)
def test_params_are_kept(store: tf.Store, value: Any, kept: Any) -> None:
    with store.start_run("models") as run:
        run.log_params({"p": value})
    found = store.run(run.run_id).params["p"]
    assert found == kept
    assert type(found) is type(kept)
    assert store.runs("models").height == 1


def test_numbers_that_json_has_not(store: tf.Store) -> None:
    with store.start_run("models", params={"missing": float("nan")}) as run:
        run.log_metrics({"loss": float("nan"), "gain": float("inf"), "n": 3, "half": Decimal("0.5")})
    record = store.run(run.run_id)
    assert np.isnan(record.params["missing"])
    assert np.isnan(record.metrics["loss"])
    assert record.metrics["gain"] == float("inf")
    assert record.metric_history("gain")["value"].to_list() == [float("inf")]
    frame = store.runs("models")
    assert frame["metric_loss"].is_nan().all()
    assert frame["metric_half"].to_list() == [0.5]


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, b"x", lambda: 1, np.zeros(3), "\ud800", FRAME], ids=lambda v: type(v).__name__
)
def test_b22_a_param_that_cannot_be_kept_raises_and_harms_nothing(store: tf.Store, value: Any) -> None:
    with store.start_run("models") as run:
        with pytest.raises(tf.TimefenceValidationError, match="'p'"):
            run.log_params({"q": 1, "p": value})
        with pytest.raises(tf.TimefenceValidationError):
            store.start_run("models", params={"p": value})
        run.log_params({"after": 1})
    assert store.run(run.run_id).params == {"after": 1}
    assert store.runs("models")["param_after"].to_list() == [1]
    assert store.find_runs({"x": 1}).is_empty()
    assert store.verify() == []


def test_b22_values_nested_too_deeply(store: tf.Store) -> None:
    deep: list[Any] = []
    deep.append(deep)
    with store.start_run("models") as run, pytest.raises(tf.TimefenceValidationError, match="deeply"):
        run.log_params({"p": deep})


@pytest.mark.parametrize("value", ["0.5", None, True, [1.0], float, 1j], ids=repr)
def test_metrics_are_numbers(store: tf.Store, value: Any) -> None:
    with store.start_run("models") as run, pytest.raises(tf.TimefenceValidationError, match="not a number"):
        run.log_metrics({"good": 1.0, "bad": value})
    assert store.run(run.run_id).metrics == {}


@pytest.mark.parametrize("step", [1.0, "1", True])
def test_steps_are_integers(store: tf.Store, step: Any) -> None:
    with store.start_run("models") as run, pytest.raises(tf.TimefenceConfigError, match="step"):
        run.log_metrics({"m": 1.0}, step=step)


def test_tags_are_added_or_replaced(store: tf.Store) -> None:
    with store.start_run("models") as run:
        run.set_tags({"a": 1, "b": 2})
        run.set_tags({"b": 3})
        assert run.record().tags == {"a": 1, "b": 3}
        run.set_tags({"c": 4}, replace=True)
    assert store.run(run.run_id).tags == {"c": 4}


def test_after_its_end_a_run_takes_tags_only(store: tf.Store) -> None:
    with store.start_run("models") as run:
        pass
    with pytest.raises(tf.TimefenceStoreError, match="has ended"):
        run.log_metrics({"m": 1.0})
    run.set_tags({"late": True})
    store.open_run(run.run_id).set_tags({"later": True})
    assert store.run(run.run_id).tags == {"late": True, "later": True}
    assert store.find_runs({"later": True})["run_id"].to_list() == [run.run_id]


# --- artifacts and models ---------------------------------------------------------------------------------------------


def test_artifacts_are_checked_when_they_are_copied(store: tf.Store, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 3_000_000)
    with store.start_run("models") as run:
        kept = run.log_artifact(tmp_path / "a.bin", name="b.bin")
    assert kept["sha256"] == store.content_hash(tmp_path / "a.bin")
    path = store.run(run.run_id).folder.artifact("b.bin")
    path.chmod(0o644)
    path.write_bytes(b"x" * 2_999_999 + b"y")
    with pytest.raises(tf.IntegrityError) as refused:
        store.run(run.run_id).download_artifact("b.bin", tmp_path / "to")
    assert refused.value.expected == kept["sha256"]
    assert list((tmp_path / "to").iterdir()) == []
    assert [p.path for p in store.verify()] == [path]
    path.unlink()
    with pytest.raises(tf.IntegrityError, match="no file"):
        store.run(run.run_id).download_artifact("b.bin", tmp_path / "to")
    with pytest.raises(tf.NotFoundError, match=r"Did you mean 'b.bin'"):
        store.run(run.run_id).download_artifact("b.bi", tmp_path)


def test_an_artifact_gives_way_to_one_of_its_name(store: tf.Store, tmp_path: Path) -> None:
    with store.start_run("models") as run:
        for text in ("one", "two"):
            (tmp_path / "a.txt").write_text(text)
            run.log_artifact(tmp_path / "a.txt")
    assert run.download_artifact("a.txt", tmp_path / "to").read_text() == "two"


@pytest.mark.parametrize("given", ["nothing.txt", ".", 5])
def test_what_is_no_artifact(store: tf.Store, given: Any) -> None:
    with store.start_run("models") as run, pytest.raises(tf.TimefenceError):
        run.log_artifact(given, name="a")


class Model:
    def __init__(self, coefficient: float) -> None:
        self.coefficient = coefficient


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


def test_models_are_kept_as_they_are_given(store: tf.Store, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    with store.start_run("models") as run:
        ways = [
            run.log_model(Model(0.5), "model.pkl")["model"],
            run.log_model(Model(1.5), "model.joblib")["model"],
            run.log_model(b"bytes", "model.onnx")["model"],
            run.log_model(tmp_path / "weights.bin", "weights.bin")["model"],
        ]
        with pytest.raises(tf.TimefenceValidationError, match="Unpicklable[\\s\\S]*not me"):
            run.log_model(Unpicklable(), "bad.pkl")
    assert ways == ["cloudpickle", "joblib", "bytes", "file"]
    record = store.run(run.run_id)
    assert list(record.artifacts) == ["model.pkl", "model.joblib", "model.onnx", "weights.bin"]
    copies = {name: record.download_artifact(name, tmp_path / "to") for name in record.artifacts}
    assert cloudpickle.loads(copies["model.pkl"].read_bytes()).coefficient == 0.5
    assert joblib.load(copies["model.joblib"]).coefficient == 1.5
    assert copies["model.onnx"].read_bytes() == b"bytes"
    assert copies["weights.bin"].read_bytes() == b"weights"


def test_nothing_of_a_store_is_ever_unpickled(store: tf.Store, tmp_path: Path) -> None:
    """A pickle that writes a file when it is loaded stands wherever a store keeps bytes; everything is read."""
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.write_text, (marker, "boom"))

    with store.start_run("models") as run:
        run.log_model(Bomb(), "model.pkl")
    store.publish("iris", FRAME, keys="k")
    bomb = cloudpickle.dumps(Bomb())
    for path in list(store.path.rglob("*")):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(bomb)
            for act in (store.verify, store.runs, lambda: store.get("iris").scan(), lambda: store.versions("iris")):
                try:
                    act()  # type: ignore[operator]
                except tf.TimefenceError:
                    continue
    assert not marker.exists()


# --- 16: inputs -------------------------------------------------------------------------------------------------------


def test_b16_an_input_stays_pinned(store: tf.Store) -> None:
    first = store.publish("iris", FRAME, keys="k", aliases=["prod", "latest"])
    with store.start_run("models") as run:
        assert_frame_equal(run.use("iris:prod").collect(), FRAME)
    store.publish("iris", FRAME[1:], keys="k", aliases=["prod"])
    assert store.get("iris:prod").version == 2
    first.path.chmod(0o644)
    FRAME[:2].write_parquet(first.path)
    (used,) = store.run(run.run_id).inputs
    assert used["ref"] == "iris:v1"
    assert used["asked"] == "iris:prod"
    assert used["file_sha256"] == first.fingerprint.file_sha256
    assert used["content_hash"] == first.fingerprint.content_hash
    with pytest.raises(tf.IntegrityError):
        store.get(used["ref"]).verify("file")
    with store.start_run("models") as again:
        with pytest.raises(tf.IntegrityError):
            again.use("iris:v1")
        assert_frame_equal(again.use("iris:prod", verify="content").collect(), FRAME[1:])
    assert [i["ref"] for i in store.run(again.run_id).inputs] == ["iris:v2"]


def test_datasets_are_linked_by_their_hash(store: tf.Store, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "set.parquet")
    with store.start_run("models") as run:
        run.log_dataset(tmp_path / "set.parquet", name="train")
        run.log_dataset(FRAME, name="frame")
        run.log_dataset(FRAME.lazy(), name="lazy")
        with pytest.raises(tf.NotFoundError):
            run.log_dataset(tmp_path / "nothing.parquet", name="x")
    file, frame, lazy = store.run(run.run_id).inputs
    assert file["file_sha256"] == store.content_hash(tmp_path / "set.parquet")
    assert file["size_bytes"] == (tmp_path / "set.parquet").stat().st_size
    assert frame["content_hash"] == lazy["content_hash"]
    assert frame["n_rows"] == 3


def test_runs_are_linked_with_their_artifacts(store: tf.Store, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with store.start_run("features") as made:
        made.log_artifact(tmp_path / "a.txt")
    with store.start_run("models") as run:
        run.log_input_run("features", made.run_id, "a.txt")
        run.log_input_run("again", made.run_id)
        for run_id, artifact in (("20010101-nothing", None), (made.run_id, "b.txt")):
            with pytest.raises(tf.NotFoundError):
                run.log_input_run("x", run_id, artifact)
    first, second = store.run(run.run_id).inputs
    assert first["file_sha256"] == store.content_hash(tmp_path / "a.txt")
    assert (second["run_id"], second["experiment"]) == (made.run_id, "features")


def test_what_a_run_publishes_is_its_output(store: tf.Store) -> None:
    with store.start_run("features") as run:
        version = store.publish("iris", FRAME, keys="k")
        run.publish("other", FRAME, keys="k")
    assert version.run_id == run.run_id
    assert [o["ref"] for o in store.run(run.run_id).outputs] == ["iris:v1", "other:v1"]
    assert store.publish("alone", FRAME, keys="k").run_id is None


# --- 19: how runs end -------------------------------------------------------------------------------------------------


def test_b19_an_exception_is_recorded(store: tf.Store) -> None:
    def fails(run: tf.Run) -> None:
        with run:
            run.log_metrics({"before": 1.0})
            _ = 1 / 0

    run = store.start_run("models")
    with pytest.raises(ZeroDivisionError):
        fails(run)
    record = store.run(run.run_id)
    assert record.status == "FAILED"
    assert record.error is not None
    assert (record.error["type"], record.error["message"]) == ("ZeroDivisionError", "division by zero")
    assert "test_runs.py" in record.error["traceback"]
    assert record.metrics == {"before": 1.0}
    assert store.runs("models")["error"].to_list() == ["ZeroDivisionError: division by zero"]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("sys.exit(3)", "FAILED", 3),
        ("sys.exit('no')", "FAILED", 1),
        ("sys.exit(0)", "FINISHED", 0),
        ("raise KeyboardInterrupt", "FAILED", None),
        ("os.kill(os.getpid(), signal.SIGKILL)", "INTERRUPTED", -9),
        ("os._exit(0)", "INTERRUPTED", 0),
    ],
)
def test_b19_every_end_shows(store: tf.Store, how: str, status: str, code: int | None) -> None:
    done = in_process(
        f"with store.start_run('models') as run:\n    run.log_metrics({{'m': 1.0}})\n    {how}\n", store, check=False
    )
    assert code is None or done.returncode == code
    frame = store.runs("models")
    assert frame.select("status", "metric_m").rows() == [(status, 1.0)]
    record = store.run(frame["run_id"][0])
    assert (record.status, record.metrics) == (status, {"m": 1.0})
    assert (record.ended_at is None) == (status == "INTERRUPTED")
    if how == "sys.exit(3)":
        assert record.error is not None
        assert (record.error["type"], record.error["message"]) == ("SystemExit", "3")


def test_b19_a_living_run_is_no_interrupted_one(store: tf.Store) -> None:
    with store.start_run("models") as run:
        seen = in_process(
            "print(store.runs()['status'].to_list(), store.run(sys.argv[0] and store.runs()['run_id'][0]).status)",
            store,
        )
        assert seen.stdout.split() == ["['RUNNING']", "RUNNING"]
        assert store.run(run.run_id).status == "RUNNING"
        assert store.runs()["status"].to_list() == ["RUNNING"]
    assert store.runs()["status"].to_list() == ["FINISHED"]


def test_a_run_without_with_ends_when_it_is_told(store: tf.Store) -> None:
    run = store.start_run("models")
    run.log_metrics({"m": 1})
    run.end("FAILED")
    run.end()
    assert store.run(run.run_id).status == "FAILED"
    with pytest.raises(tf.TimefenceConfigError):
        store.start_run("models").end("DONE")  # type: ignore[arg-type]


# --- 20: each value in its own run ------------------------------------------------------------------------------------


def test_b20_nested_runs(store: tf.Store) -> None:
    with store.start_run("outer") as outer:
        outer.log_metrics({"m": 1.0})
        with store.start_run("inner") as inner:
            inner.log_metrics({"m": 2.0})
            store.publish("iris", FRAME, keys="k")
            outer.log_metrics({"n": 3.0})
        store.publish("other", FRAME, keys="k")
    first, second = store.run(outer.run_id), store.run(inner.run_id)
    assert (first.metrics, second.metrics) == ({"m": 1.0, "n": 3.0}, {"m": 2.0})
    assert second.parent == outer.run_id
    assert first.parent is None
    assert [[o["ref"] for o in r.outputs] for r in (first, second)] == [["other:v1"], ["iris:v1"]]


def test_b20_threads(store: tf.Store) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> str:
        with store.start_run("models", params={"number": number}) as run:
            for step in range(50):
                run.log_metrics({"m": number * 1000 + step}, step=step)
                if step == 25:
                    barrier.wait(30)
                    store.publish(f"set{number}", FRAME, keys="k")
        return run.run_id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(work, range(4)))
    for number, run_id in enumerate(ids):
        record = store.run(run_id)
        assert record.params == {"number": number}
        assert record.metric_history("m")["value"].to_list() == [number * 1000.0 + s for s in range(50)]
        assert [o["ref"] for o in record.outputs] == [f"set{number}:v1"]
        assert record.parent is None


def test_b20_tasks(store: tf.Store) -> None:
    async def work(number: int) -> tuple[str, str | None]:
        with store.start_run("models") as run:
            await asyncio.sleep(0.01)
            version = store.publish(f"set{number}", FRAME, keys="k")
        return run.run_id, version.run_id

    async def main() -> list[Any]:
        return await asyncio.gather(*(work(n) for n in range(3)))

    for mine, recorded in asyncio.run(main()):
        assert mine == recorded


def test_threads_log_to_one_run(store: tf.Store) -> None:
    with store.start_run("models") as run, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: run.log_metrics({"m": float(i)}, step=i), range(400)))
    history = store.run(run.run_id).metric_history("m")
    assert sorted(history["step"].to_list()) == list(range(400))


# --- 23 and 26: deletion ----------------------------------------------------------------------------------------------


def test_b23_a_version_in_use(store: tf.Store) -> None:
    version = store.publish("iris", FRAME, keys="k", aliases=[])
    with store.start_run("models") as run:
        run.use("iris:v1")
    with pytest.raises(tf.InUseError, match=run.run_id) as refused:
        store.delete("iris:v1")
    assert refused.value.users == (f"run {run.run_id}",)
    assert store.get("iris:v1").verify("content")
    store.delete("iris:v1", force=True)
    with pytest.raises(tf.NotFoundError, match="deleted"):
        store.get("iris:v1")
    (used,) = store.run(run.run_id).inputs
    assert used["content_hash"] == version.fingerprint.content_hash


def test_b26_ids_are_not_used_again(store: tf.Store) -> None:
    ids = []
    for _ in range(5):
        with store.start_run("models") as run:
            ids.append(run.run_id)
        store.delete_experiment("models")
        assert store.experiments() == []
    (store.path / "runs" / "models").mkdir()
    (store.path / "runs" / "models" / "0").mkdir()
    (store.path / "runs" / "models" / "stray.json").write_text("{")
    (store.path / "runs" / "stray").write_text("x")
    with store.start_run("models") as run:
        ids.append(run.run_id)
    assert len(set(ids)) == 6
    assert ids == sorted(ids)
    assert store.runs("models")["run_id"].to_list() == [run.run_id]
    assert store.experiments() == ["models"]


def test_runs_in_use_are_not_deleted(store: tf.Store) -> None:
    with store.start_run("features") as made:
        pass
    with store.start_run("models") as run:
        run.log_input_run("f", made.run_id)
        with pytest.raises(tf.InUseError, match="still running"):
            store.delete_run(run.run_id)
    with pytest.raises(tf.InUseError, match=run.run_id):
        store.delete_run(made.run_id)
    with pytest.raises(tf.InUseError, match=run.run_id):
        store.delete_experiment("features")
    store.delete_run(run.run_id)
    with pytest.raises(tf.NotFoundError):
        store.run(run.run_id)
    store.delete_run(made.run_id)
    assert store.runs().is_empty()
    with pytest.raises(tf.NotFoundError):
        store.delete_experiment("nothing")


# --- lists ------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(store: tf.Store) -> None:
    ids = []
    for rate in (0.1, 0.2, 0.3):
        with store.start_run("models", params={"rate": rate}) as run:
            run.log_metrics({"loss": 1 - rate})
        ids.append(run.run_id)
    with store.start_run("other") as run:
        pass
    frame = store.runs("models")
    assert frame["run_id"].to_list() == ids[::-1]
    assert frame.schema["started_at"] == pl.Datetime("us", "UTC")
    assert store.runs("models", where=pl.col("metric_loss") < 0.85)["param_rate"].to_list() == [0.3, 0.2]
    assert store.runs().height == 4
    with pytest.raises(tf.NotFoundError, match="models"):
        store.runs("model")
    with pytest.raises(tf.TimefenceConfigError, match="metric_loss"):
        store.runs("models", where=pl.col("metric_los") < 1)
    assert store.runs("other").height == 1


def test_columns_of_several_kinds(store: tf.Store) -> None:
    for value in (1, 2.5, "a", [1], True, None):
        with store.start_run("mixed", params={"p": value, "n": 1 if value == 1 else 2.5, "b": True}):
            pass
    frame = store.runs("mixed")
    assert frame["param_p"].to_list() == [None, "true", "[1]", "a", "2.5", "1"]
    assert frame.schema["param_n"] == pl.Float64
    assert frame.schema["param_b"] == pl.Boolean


def test_an_empty_store(store: tf.Store) -> None:
    assert store.runs().is_empty()
    assert store.runs().columns[:4] == ["run_id", "experiment", "name", "status"]
    assert store.find_runs({"a": 1}).is_empty()
    assert store.experiments() == []
    assert store.feature_sets() == []
    assert not store.path.exists()


def test_runs_are_found_by_tag(store: tf.Store) -> None:
    ids = {}
    for name, tags in {"a": {"latest": True}, "b": {"latest": 1}, "c": {"latest": True, "x": "y"}, "d": {}}.items():
        with store.start_run("models", name=name) as run:
            run.set_tags(tags)
        ids[name] = run.run_id
    assert store.find_runs({"latest": True})["name"].to_list() == ["c", "a"]
    assert store.find_runs({"latest": True, "x": "y"})["name"].to_list() == ["c"]
    assert store.find_runs({"latest": 1})["name"].to_list() == ["b"]
    assert store.find_runs({"latest": "True"}).is_empty()
    store.open_run(ids["d"]).set_tags({"latest": True})
    assert store.find_runs({"latest": True}, experiment="models")["name"].to_list() == ["d", "c", "a"]
    for tags in ({}, None, {"a/b": 1}, {"a": object()}):
        with pytest.raises(tf.TimefenceError):
            store.find_runs(tags)  # type: ignore[arg-type]


def test_finding_reads_one_file_not_each_run(store: tf.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        with store.start_run("models") as run:
            run.set_tags({"number": i})
    read: list[Path] = []
    real = Path.read_bytes

    def counted(path: Path) -> bytes:
        read.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert store.find_runs({"number": 7}).height == 1
    assert [p.name for p in read] == [".index.ndjson"]


@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "flipped", "stale"])
def test_the_index_only_saves_reading(store: tf.Store, how: str) -> None:
    for i in range(5):
        with store.start_run("models") as run:
            run.log_metrics({"m": i})
    index = store.path / "runs" / "models" / ".index.ndjson"
    data = index.read_bytes()
    if how == "removed":
        index.unlink()
    elif how == "stale":
        store.open_run(run.run_id).set_tags({"new": True})
    else:
        index.write_bytes({"emptied": b"", "cut": data[:-40], "flipped": data.replace(b'"m":3', b'"m":9')}[how])
    for _ in range(2):
        assert sorted(store.runs("models")["metric_m"].to_list()) == [0, 1, 2, 3, 4]
    assert store.find_runs({"new": True}).height == (how == "stale")


def test_an_index_that_grew_is_written_again(store: tf.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "_SLACK", 3)
    with store.start_run("models") as run:
        pass
    for i in range(10):
        run.set_tags({"i": i})
        assert store.runs("models")["tag_i"].to_list() == [i]
    assert (store.path / "runs" / "models" / ".index.ndjson").read_bytes().count(b"\n") <= 6


def test_a_log_with_damaged_lines(store: tf.Store) -> None:
    with store.start_run("models") as run:
        for i in range(3):
            run.log_metrics({f"m{i}": i})
    log = store.run(run.run_id).folder.log
    data = log.read_bytes().replace(b'"m1"', b'"mX"')
    log.write_bytes(data + b"\n0123456789abcdef {torn")
    record = store.run(run.run_id)
    assert record.broken == 2
    assert set(record.metrics) == {"m0", "m2"}
    assert record.status == "FINISHED"
    assert "2 line(s)" in str(record)
    assert [p.what for p in store.verify()] == ["run"]
    store.open_run(run.run_id).set_tags({"after": 1})
    assert store.run(run.run_id).tags == {"after": 1}


def test_runs_are_compared(store: tf.Store) -> None:
    store.publish("iris", FRAME, keys="k")
    ids = []
    for rate in (0.1, 0.2):
        with store.start_run("models", params={"rate": rate, "same": 1}) as run:
            run.use("iris")
        ids.append(run.run_id)
    frame = store.compare_runs(*ids)
    assert frame.select("kind", "name", "differs").rows() == [
        ("param", "rate", True),
        ("param", "same", False),
        ("input", "iris", False),
    ]
    assert frame[ids[1]].to_list() == ["0.2", "1", "iris:v1"]


def test_runs_imported_into_other_processes_log_together(store: tf.Store) -> None:
    with store.start_run("models") as run:
        in_process(
            f"run = store.open_run({run.run_id!r})\nrun.log_metrics({{'theirs': 1.0}})\nrun.log_params({{'p': 2}})",
            store,
        )
        run.log_metrics({"ours": 2.0})
    record = store.run(run.run_id)
    assert record.metrics == {"theirs": 1.0, "ours": 2.0}
    assert record.params == {"p": 2}
