"""Hostile names, in every call that takes one: behaviour 21. Nothing outside of the store is touched, or made inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf

FRAME = pl.DataFrame({"k": [1], "x": [1.5]})
HOSTILE = [
    "..",
    ".",
    "",
    "/abs",
    "a/b",
    "../x",
    "a\\b",
    "a\0b",
    "a b",
    " a",
    "a\n",
    ".hidden",
    "-x",
    "_x",
    "ä",
    "a" * 129,
    "a:b:c",
    "*",
    "~",
    "$HOME",
    "%2e%2e",
    "C:x",
    "nul\x00",
    "a/../../b",
]
NO_TEXT = [None, 5, b"x", Path("x"), ["a"], object()]


class There:
    """A store with one of everything, in a folder where anything else would show."""

    def __init__(self, folder: Path) -> None:
        self.store = tf.Store(folder / "inner" / "store")
        self.file = folder / "file.txt"
        self.file.write_text("x")
        self.version = self.store.publish("set", FRAME, keys="k")
        self.run = self.store.start_run("models")
        self.run.log_artifact(self.file, name="artifact")
        self.tracker = tf.get_tracker(self.store.path)

    def active(self, call: Callable[[], Any]) -> None:
        with self.store.start_run("models"):
            call()


CALLS: dict[str, Callable[[There, Any], Any]] = {
    "publish": lambda t, n: t.store.publish(n, FRAME, keys="k"),
    "publish alias": lambda t, n: t.store.publish("set", FRAME, keys="k", aliases=[n]),
    "publish alias of rows that are new": lambda t, n: t.store.publish("set", FRAME[:0], keys="k", aliases=[n]),
    "get": lambda t, n: t.store.get(n),
    "get alias": lambda t, n: t.store.get(f"set:{n}"),
    "get hash": lambda t, n: t.store.get(f"set@{n}"),
    "versions": lambda t, n: t.store.versions(n),
    "history": lambda t, n: t.store.history(n),
    "set_alias ref": lambda t, n: t.store.set_alias(n, "prod"),
    "set_alias": lambda t, n: t.store.set_alias("set:v1", n),
    "remove_alias name": lambda t, n: t.store.remove_alias(n, "latest"),
    "remove_alias": lambda t, n: t.store.remove_alias("set", n),
    "create_tag ref": lambda t, n: t.store.create_tag(n, "release"),
    "create_tag": lambda t, n: t.store.create_tag("set:v1", n),
    "delete": lambda t, n: t.store.delete(n, force=True),
    "delete version": lambda t, n: t.store.delete(f"{n}:v1", force=True),
    "start_run": lambda t, n: t.store.start_run(n),
    "run name": lambda t, n: t.store.start_run("models", name=n if n is not None else ""),
    "run": lambda t, n: t.store.run(n),
    "open_run": lambda t, n: t.store.open_run(n),
    "runs": lambda t, n: t.store.runs(n if n is not None else ""),
    "find_runs": lambda t, n: t.store.find_runs({n: 1}),
    "find_runs experiment": lambda t, n: t.store.find_runs({"a": 1}, experiment=n if n is not None else ""),
    "compare_runs": lambda t, n: t.store.compare_runs(n),
    "delete_run": lambda t, n: t.store.delete_run(n, force=True),
    "delete_experiment": lambda t, n: t.store.delete_experiment(n, force=True),
    "log_params": lambda t, n: t.run.log_params({n: 1}),
    "start_run params": lambda t, n: t.store.start_run("models", params={n: 1}),
    "log_metrics": lambda t, n: t.run.log_metrics({n: 1}),
    "set_tags": lambda t, n: t.run.set_tags({n: 1}),
    "use": lambda t, n: t.run.use(n),
    "run.publish": lambda t, n: t.run.publish(n, FRAME, keys="k"),
    "log_dataset": lambda t, n: t.run.log_dataset(t.file, name=n),
    "log_dataset frame": lambda t, n: t.run.log_dataset(FRAME, name=n),
    "log_artifact": lambda t, n: t.run.log_artifact(t.file, name=n if n is not None else ""),
    "log_model": lambda t, n: t.run.log_model(b"x", n),
    "log_model path": lambda t, n: t.run.log_model(t.file, n if n is not None else ""),
    "log_model object": lambda t, n: t.run.log_model({}, n),
    "log_input_run name": lambda t, n: t.run.log_input_run(n, t.run.run_id),
    "log_input_run id": lambda t, n: t.run.log_input_run("x", n),
    "log_input_run artifact": lambda t, n: t.run.log_input_run("x", t.run.run_id, n if n is not None else ""),
    "log_dvc_input": lambda t, n: t.run.log_dvc_input(t.file, n),
    "download_artifact": lambda t, n: t.run.download_artifact(n, t.file.parent / "to"),
    "tracker.start_run": lambda t, n: t.tracker.start_run(n).__enter__(),
    "tracker.load_results": lambda t, n: t.tracker.load_results(n if n is not None else ""),
    "tracker.download_artifact": lambda t, n: t.tracker.download_artifact(t.run.run_id, n, t.file.parent / "to"),
    "tracker.download_artifact id": lambda t, n: t.tracker.download_artifact(n, "a", t.file.parent / "to"),
    "tracker.log_param": lambda t, n: t.active(lambda: t.tracker.log_param(n, 1)),
    "tracker.log_metric": lambda t, n: t.active(lambda: t.tracker.log_metric(n, 1)),
    "tracker.log_model": lambda t, n: t.active(lambda: t.tracker.log_model(b"", n)),
}
REFERENCES = {"get", "set_alias ref", "create_tag ref", "delete", "use"}
TEXT = {"get alias", "get hash", "delete version"}
KEYS = {"find_runs", "log_params", "start_run params", "log_metrics", "set_tags"}


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder but what each new run of these tests brings."""
    found = {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
    return {n: d for n, d in found.items() if "/runs/models/" not in n}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> There:
    return There(tmp_path_factory.mktemp("there"))


@pytest.mark.parametrize("call", CALLS)
def test_b21_no_hostile_name_gets_through(there: There, call: str) -> None:
    root = there.file.parent
    before = contents(root)
    for name in [*HOSTILE, *([] if call in TEXT else NO_TEXT)]:
        if call in REFERENCES and name == "C:x":
            continue  # alias x of feature set C
        if call in KEYS and isinstance(name, list):
            continue  # no key of a dictionary
        if "alias" in call and isinstance(name, list):
            continue  # several
        with pytest.raises(tf.InvalidNameError) as refused:
            CALLS[call](there, name)
        assert isinstance(refused.value, ValueError)
        assert isinstance(refused.value, tf.TimefenceStoreError)
        assert len(str(refused.value)) < 1000
    assert contents(root) == before
    assert there.version.verify("content")


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "0", "a..b", "x" * 128, "v", "con", "1.5"])
def test_plain_names_are_taken_everywhere(tmp_path: Path, name: str) -> None:
    there = There(tmp_path)
    assert there.store.publish(name, FRAME, keys="k", aliases=[name, "latest"]).names == (name, "latest")
    assert there.store.get(f"{name}:{name}").version == 1
    with there.store.start_run(name, name=name, params={name: 1}) as run:
        run.log_metrics({name: 1})
        run.set_tags({name: 1})
        run.log_artifact(there.file, name=name)
        run.log_dataset(FRAME, name=name)
    assert there.store.find_runs({name: 1}, experiment=name)["run_id"].to_list() == [run.run_id]
    assert run.download_artifact(name, tmp_path / "to").name == name


def test_versions_and_aliases_are_not_mixed_up(there: There) -> None:
    for name in ("v1", "v01", "V1", "v99999999999"):
        with pytest.raises(tf.InvalidNameError, match=f"'{name}' looks like a version: no alias can"):
            there.store.set_alias("set:v1", name)
        with pytest.raises(tf.InvalidNameError, match="looks like a version: no tag can"):
            there.store.create_tag("set:v1", name)


def test_links_do_not_lead_out_of_a_store(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store = tf.Store(tmp_path / "store")
    store.publish("real", FRAME, keys="k")
    with store.start_run("models"):
        pass
    (store.path / "feature_sets" / "linked").symlink_to(outside)
    (store.path / "runs" / "linked").symlink_to(outside)
    with pytest.raises(tf.TimefenceStoreError, match="link"):
        store.publish("linked", FRAME, keys="k")
    with pytest.raises(tf.TimefenceStoreError, match="link"):
        store.start_run("linked")
    assert store.feature_sets() == ["real"]
    assert store.experiments() == ["models"]
    store.gc(keep_builds=0, keep_versions=0, dry_run=False)
    assert list(outside.iterdir()) == []
