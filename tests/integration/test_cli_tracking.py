"""``features`` and ``runs``: what was published and logged, from the command line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import timefence_pl as tf
from tests.integration.cli import run

ROWS = pl.DataFrame({"user": [1, 2, 3], "at": [10, 20, 30], "x": [0.5, 1.5, 2.5]})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    pl.DataFrame({"user": [1, 2], "label_time": [15, 25], "y": [0, 1]}).write_parquet(tmp_path / "labels.parquet")
    (tmp_path / "features.py").write_text(
        "import timefence_pl as tf\nx = tf.Feature(tf.Source('rows.parquet', keys='user', timestamp='at'), columns='x')\n"
    )
    (tmp_path / "timefence.toml").write_text('labels.path = "labels.parquet"\n')
    return tmp_path


def publish(project: Path, *words: str) -> dict[str, object]:
    told: dict[str, object] = run(project, "features", "publish", *words, "--json").json
    return told


def test_publishing_a_file(project: Path) -> None:
    ran = run(project, "features", "publish", "users", "rows.parquet", "--keys", "user", "--timestamp", "at")
    assert ran.out.startswith("Published users:v1\n")
    ROWS.with_columns(pl.col("x") + 1).write_parquet(project / "rows.parquet")
    told = publish(project, "users", "rows.parquet", "--keys", "user", "--alias", "new", "--meta", "by=hand=made")
    assert (told["ref"], told["names"], told["metadata"]) == ("users:v2", ["new"], {"by": "hand=made"})
    assert publish(project, "users", "rows.parquet", "--keys", "user")["version"] == 3
    assert publish(project, "users", "rows.parquet", "--keys", "user")["version"] == 3
    assert tf.Store(project / ".timefence").get("users:latest").frame()["x"].to_list() == [1.5, 2.5, 3.5]


def test_publishing_a_build_brings_its_origin(project: Path) -> None:
    run(project, "build", "-o", "train.parquet")
    told = publish(project, "train", "--build", "latest")
    assert (told["keys"], told["timestamp"]) == (["user"], "label_time")
    manifest = run(project, "store", "show", "latest", "--json").json
    assert told["build"]["build_id"] == manifest["build_id"]  # type: ignore[index]
    assert f"build {manifest['build_id']}" in run(project, "features", "show", "train").out
    assert publish(project, "again", "train.parquet", "--keys", "user")["build"] == told["build"]
    run(project, "build", "-o", "train.csv")
    assert "wrote no Parquet file" in run(project, "features", "publish", "t", "--build", "latest", code=3).err
    (project / "train.parquet").write_bytes((project / "rows.parquet").read_bytes())
    run(project, "features", "publish", "t", "--build", manifest["build_id"], code=4)


def test_without_copying(project: Path) -> None:
    told = publish(project, "users", "rows.parquet", "--keys", "user", "--no-copy")
    assert told["path"] == str(project / "rows.parquet")


def test_listing_and_showing(project: Path) -> None:
    for number in range(2):
        ROWS.with_columns(pl.col("x") + number).write_parquet(project / "rows.parquet")
        publish(project, "users", "rows.parquet", "--keys", "user")
    publish(project, "other", "rows.parquet", "--keys", "user")
    told = run(project, "features", "ls", "--json").json["feature_sets"]
    assert [(r["name"], r["version"]) for r in told] == [("other", 1), ("users", 2)]
    told = run(project, "features", "ls", "users", "--json").json["versions"]
    assert [(r["version"], r["names"]) for r in told] == [(1, []), (2, ["latest"])]
    assert "users:v1" in run(project, "features", "ls", "users").out
    for ref in ("users", "users:latest", "users:v2", f"users@{told[1]['content_hash'][:20]}"):
        assert run(project, "features", "show", ref, "--json").json["version"] == 2
    assert "Float64" in run(project, "features", "show", "users").out


def test_aliases_and_tags(project: Path) -> None:
    for number in range(2):
        ROWS.with_columns(pl.col("x") + number).write_parquet(project / "rows.parquet")
        publish(project, "users", "rows.parquet", "--keys", "user")
    assert "users:prod -> users:v1" in run(project, "features", "alias", "users:v1", "prod", "--expected", "none").out
    run(project, "features", "alias", "users:v2", "prod", "--expected", "v1")
    assert run(project, "features", "alias", "users:v1", "prod", "--expected", "v1", code=3).err
    assert run(project, "features", "show", "users:prod", "--json").json["version"] == 2
    run(project, "features", "tag", "users:v1", "first")
    assert run(project, "features", "show", "users:first", "--json").json["version"] == 1
    run(project, "features", "tag", "users:v2", "first", code=3)
    run(project, "features", "alias", "users", "prod", "--remove")
    run(project, "features", "show", "users:prod", code=3)


def test_verifying(project: Path) -> None:
    path = Path(str(publish(project, "users", "rows.parquet", "--keys", "user")["path"]))
    for level in ("size", "file", "content"):
        assert "is what was published" in run(project, "features", "verify", "users", "--level", level).out
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    assert run(project, "features", "verify", "users", code=4).err
    assert run(project, "features", "verify", "users", "--json", code=4).json["error"]["type"] == "IntegrityError"
    assert run(project, "features", "verify", "users", "--level", "size").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["features", "publish", "users"], 2),
        (["features", "publish", "users", "rows.parquet", "--build", "latest"], 2),
        (["features", "publish", "users", "rows.parquet"], 2),
        (["features", "publish", "../users", "rows.parquet", "--keys", "user"], 2),
        (["features", "publish", "users", "rows.parquet", "--keys", "usr"], 3),
        (["features", "publish", "users", "nothing.parquet", "--keys", "user"], 3),
        (["features", "publish", "users", "rows.parquet", "--keys", "user", "--meta", "x"], 2),
        (["features", "ls"], 3),
        (["runs", "ls"], 3),
    ],
)
def test_what_cannot_be_published(project: Path, words: list[str], code: int) -> None:
    ran = run(project, *words, code=code)
    assert ran.err.strip()
    assert "Traceback" not in ran.err


def test_a_store_elsewhere(project: Path) -> None:
    words = ["--store", "kept"]
    run(project, "features", "publish", "users", "rows.parquet", "--keys", "user", *words)
    assert not (project / ".timefence").exists()
    run(project, "features", "tag", "users:v1", "first", *words)
    assert "first" in run(project, "features", "ls", *words).out
    assert "There are no such runs." in run(project, "runs", "ls", *words).out


def test_unknown_names(project: Path) -> None:
    publish(project, "users", "rows.parquet", "--keys", "user")
    for words in (["show", "usrs"], ["show", "users:v9"], ["show", "users:nope"], ["verify", "usrs"], ["ls", "usrs"]):
        assert "users" in run(project, "features", *words, code=3).err
    for words in (["show", "nope"], ["compare", "nope"], ["ls", "nope"]):
        run(project, "runs", *words, code=3)
    assert "There are no such runs." in run(project, "runs", "ls").out


def test_runs(project: Path) -> None:
    publish(project, "users", "rows.parquet", "--keys", "user")
    store = tf.Store(project / ".timefence")
    ids = []
    for rate in (0.1, 0.2):
        with store.start_run("models", name=f"rate-{rate}", params={"rate": rate, "depth": 3}) as logged:
            logged.use("users:latest")
            logged.log_metrics({"auc": 0.5 + rate})
            logged.set_tags({"stage": "test" if rate > 0.1 else "dev"})
            ids.append(logged.run_id)
    told = run(project, "runs", "ls", "--json").json
    assert [r["run_id"] for r in told["runs"]] == ids[::-1]
    ran = run(project, "runs", "ls", "models", "--limit", "1")
    assert "0.7" in ran.out
    assert "users:v1" in ran.out
    assert "... and 1 older" in ran.out
    assert [r["run_id"] for r in run(project, "runs", "ls", "--tag", "stage=dev", "--json").json["runs"]] == ids[:1]
    assert "NAME=VALUE" in run(project, "runs", "ls", "--tag", "stage", code=2).err
    told = run(project, "runs", "show", ids[0], "--json").json
    assert (told["params"], told["metrics"]["auc"], told["status"]) == ({"rate": 0.1, "depth": 3}, 0.6, "FINISHED")
    assert "metric auc = 0.7" in run(project, "runs", "show", "latest").out
    ran = run(project, "runs", "compare", *ids)
    assert "rate" in ran.out
    assert "depth" not in ran.out
    assert "depth" in run(project, "runs", "compare", *ids, "--all").out
    rows = run(project, "runs", "compare", *ids, "--json").json["rows"]
    assert {r["name"]: r["differs"] for r in rows if r["kind"] == "param"} == {"rate": True, "depth": False}
    assert "Nothing differs." in run(project, "runs", "compare", ids[0], ids[0]).out


def test_garbage_of_versions(project: Path) -> None:
    for number in range(3):
        ROWS.with_columns(pl.col("x") + number).write_parquet(project / "rows.parquet")
        publish(project, "users", "rows.parquet", "--keys", "user")
    run(project, "store", "gc", "--keep-versions", "1", "--delete")
    told = run(project, "features", "ls", "users", "--json").json["versions"]
    assert [r["status"] for r in told] == ["deleted", "deleted", "published"]


# --- where things come from -------------------------------------------------------------------------------------------


def test_lineage_of_a_version_and_of_a_file(project: Path) -> None:
    run(project, "build", "-o", "train.parquet")
    publish(project, "train", "--build", "latest")
    told = run(project, "store", "lineage", "train:latest", "--json").json
    assert (told["kind"], told["name"]) == ("feature set", "train:v1")
    ran = run(project, "store", "lineage", "train:latest")
    assert "rows.parquet" in ran.out
    assert "labels.parquet" in ran.out
    down = run(project, "store", "lineage", str(project / "rows.parquet"), "--down")
    assert "train:v1" in down.out
    ran = run(project, "store", "lineage", "train", "--svg", "out/l.svg", "--html", "out/l.html")
    assert (project / "out/l.svg").read_text().lstrip().startswith("<svg")
    page = (project / "out/l.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "<svg" in page
    assert "out/l.html" in ran.out
    run(project, "store", "lineage", "nothing", code=3)


def test_what_changed_since(project: Path) -> None:
    run(project, "build", "-o", "train.parquet")
    publish(project, "train", "--build", "latest")
    assert run(project, "store", "check", "train", "--strict", "--json").json["ok"] is True
    ROWS.with_columns(pl.col("x") + 1).write_parquet(project / "rows.parquet")
    ran = run(project, "store", "check", "train")
    assert "rows.parquet" in ran.out
    assert run(project, "store", "check", "train", "--strict", "--json", code=1).json["ok"] is False


def test_importing_what_is_not_there(project: Path) -> None:
    assert "nowhere" in run(project, "runs", "import", "nowhere", code=3).err
    (project / "empty").mkdir()
    assert run(project, "runs", "import", "empty", "--time-zone", "Europe/Berlin", code=3).err


def test_importing_runs_of_runelog(project: Path) -> None:
    runelog = pytest.importorskip("runelog")
    tracker = runelog.get_tracker(str(project / "old"))
    with tracker.start_run(experiment_name="models"):
        tracker.log_param("depth", 3)
        tracker.log_metric("auc", 0.7)
    told = run(project, "runs", "import", "old", "--json").json["imported"]
    assert (told["experiments"], len(told["runs"])) == (["models"], 1)
    assert "1 had been imported before" in run(project, "runs", "import", "old").out
    assert "auc" in run(project, "runs", "show", "latest").out


def test_the_examples_run_from_any_directory(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    assert "examples features" in run(tmp_path, "examples", "train-fs", code=2).err
    ran = run(tmp_path, "examples", "features", "--folder", "raw")
    assert "iris_features:v1" in ran.out
    assert (tmp_path / "raw/iris_features.parquet").is_file()
    assert run(tmp_path, "examples", "features", "--folder", "raw", "--json").json["version"] == 1
    ran = run(tmp_path, "examples", "train-fs")
    assert "iris_features:v1" in ran.out
    told = run(tmp_path, "examples", "train-fs", "--json").json
    assert told["inputs"][0]["ref"] == "iris_features:v1"
    assert told["metrics"]["accuracy"] > 0.9
    assert "iris_features:v1" in run(tmp_path, "runs", "ls").out
    assert run(tmp_path, "features", "verify", "iris_features:latest", "--level", "content").code == 0
