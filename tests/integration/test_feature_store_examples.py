"""The feature store example: two scripts, from any directory, with no more than the package; behaviour 27."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.examples import make_features, train_with_fs

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "feature_store"


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_b27_nothing_to_train_on(tmp_path: Path) -> None:
    done = run(str(SCRIPTS / "train_with_fs.py"), folder=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "timefence-pl examples features" in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_two_scripts(tmp_path: Path) -> None:
    made = run(str(SCRIPTS / "make_features.py"), folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "iris_features:v1: 150 rows, 8 columns" in made.stdout
    trained = run("-m", "timefence_pl.examples.train_with_fs", folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "Training on iris_features:v1: 150 rows, verified" in trained.stdout
    assert "measurements.parquet  sha256:" in trained.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == [".timefence", "fstore"]


def test_the_story_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="No feature set to train on"):
        train_with_fs.main([])
    for _ in range(2):  # the same rows are no new version
        make_features.main([])
    train_with_fs.main([])
    store = tf.Store()
    assert store.versions(make_features.FEATURE_SET).height == 1
    assert store.runs(make_features.EXPERIMENT).height == 2
    record = store.run(store.runs(train_with_fs.MODELS)["run_id"][0])
    assert record.metrics["accuracy"] > 0.9
    assert list(record.artifacts) == ["model.joblib"]
    version = store.get(record.inputs[0]["ref"])
    rows = version.frame("content")
    assert rows.height == 150
    assert rows["sepal_area"].equals((rows["sepal_length"] * rows["sepal_width"]).alias("sepal_area"))
    up = store.lineage(record.run_id)
    expected = {
        str(p.absolute()): store.content_hash(p) for p in Path("fstore").glob("*s.parquet") if "iris" not in p.name
    }
    assert {f.name: f.hash for f in up.find("file")} == expected
    assert store.check(record.run_id).ok
    assert store.rebuild(version.ref).identical
    assert store.verify() == []

    # The source changes: the check names it, a new version is made, and the old run stays with the old one.
    measured = Path("fstore/measurements.parquet")
    changed = pl.read_parquet(measured).with_columns(pl.col("sepal_length") + 0.1)
    changed.write_parquet(measured)
    assert [Path(c.name).name for c in store.check(record.run_id).stale] == ["measurements.parquet"]
    assert not store.rebuild(version.ref).identical
    assert store.get("iris_features:latest").version == 1

    # A published byte changes: the next training refuses to begin.
    version.path.chmod(0o644)
    data = bytearray(version.path.read_bytes())
    data[len(data) // 2] ^= 1
    version.path.write_bytes(bytes(data))
    with pytest.raises(tf.IntegrityError, match="iris_features:v1"):
        train_with_fs.main([])
    assert store.runs(train_with_fs.MODELS)["status"].to_list() == ["FAILED", "FINISHED"]
    assert "Model trained with accuracy" in capsys.readouterr().out


def test_scikit_learn_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make_features, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=r"timefence-pl\[examples\]"):
        make_features.main([])
