"""Data that DVC versions: behaviour 24. The hashes are those that DVC 3.67.1 gave for the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import timefence_pl as tf

CRLF, BINARY = b"a,b\r\n1,2\r\n", bytes(range(256)) * 4 + b"\r\n"
#: Text and binary blocks of a mebibyte; DVC tells text from binary block by block.
MIXED = b"text\r\n" * 200_000 + b"\0\r\n" * 1_000
MIXED_2 = b"text\r\n" * 180_000 + b"\0\r\n" * 400_000
FOLDER = {"one.csv": b"x\r\n1\r\n", "sub/two.bin": b"\0\1\2\r\n", "Zed.txt": b"", "ä.txt": "ä".encode()}


@pytest.fixture
def store(tmp_path: Path) -> tf.Store:
    return tf.Store(tmp_path / "store")


def pointer(path: Path, **entry: Any) -> Path:
    file = path.with_name(f"{path.name}.dvc")
    lines = [f"{k}: {v}" for k, v in {"path": path.name, **entry}.items()]
    file.write_text("outs:\n- " + "\n  ".join(lines) + "\n")
    return file


def folder(path: Path) -> Path:
    for name, data in FOLDER.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def logged(store: tf.Store, path: Path) -> dict[str, Any]:
    with store.start_run("models") as run:
        return run.log_dvc_input(path, name="data")


@pytest.mark.parametrize(
    ("data", "md5", "legacy"),
    [
        (CRLF, "b202f333fba4fd38d4b8e5e693077aab", False),
        (CRLF, "e5ebd4c02cefbe7955977c67ada242b7", True),
        (BINARY, "e04db66e93b995df7cd3a3520434145c", False),
        (BINARY, "e04db66e93b995df7cd3a3520434145c", True),
        (MIXED, "009d57e4a61a2c67789501fbfbe9eff1", False),
        (MIXED, "40b94414ce58e7c6c0ee67c3d37f29cc", True),
        (MIXED_2, "adefa12945f0c4a9d207f65f4e3bb905", False),
        (MIXED_2, "1567127ac57f8e7a619913d994a475eb", True),
        (b"", "d41d8cd98f00b204e9800998ecf8427e", False),
        (b"", "d41d8cd98f00b204e9800998ecf8427e", True),
    ],
)
def test_b24_hashes_are_those_of_dvc(store: tf.Store, tmp_path: Path, data: bytes, md5: str, legacy: bool) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(data)
    pointer(path, md5=md5, size=len(data), **({} if legacy else {"hash": "md5"}))
    found = logged(store, path)
    assert (found["md5"], found["legacy"], found["size_bytes"], found["n_files"]) == (md5, legacy, len(data), 1)
    assert found["path"] == str(path)
    assert logged(store, tmp_path / "data.csv.dvc") == found


@pytest.mark.parametrize(
    ("md5", "entry"),
    [
        ("63a7b1fb5f8b9d8862915db54162d912.dir", {"hash": "md5", "size": 13, "nfiles": 4}),
        ("cc95af19910ed85bf4599cc07aa82d11.dir", {}),
    ],
)
def test_b24_folders(store: tf.Store, tmp_path: Path, md5: str, entry: dict[str, Any]) -> None:
    path = folder(tmp_path / "folder")
    pointer(path, md5=md5, **entry)
    assert logged(store, path)["n_files"] == 4
    (path / "more.csv").write_bytes(b"1")
    with pytest.raises(tf.DvcMismatchError):
        logged(store, path)
    (path / "more.csv").unlink()
    (path / "one.csv").rename(path / "two.csv")
    with pytest.raises(tf.DvcMismatchError):
        logged(store, path)


def test_b24_stale_data_is_refused_with_both_hashes(store: tf.Store, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,3\r\n\n")
    pointer(path, md5="b202f333fba4fd38d4b8e5e693077aab", hash="md5")
    with pytest.raises(tf.DvcMismatchError) as refused:
        logged(store, path)
    assert refused.value.expected == "md5:b202f333fba4fd38d4b8e5e693077aab"
    assert str(refused.value.actual) in str(refused.value)
    assert isinstance(refused.value, tf.IntegrityError)
    assert store.runs()["inputs"].to_list() == [[]]
    for size in (9, 11):
        pointer(path, md5="b202f333fba4fd38d4b8e5e693077aab", hash="md5", size=size)
        with pytest.raises(tf.DvcMismatchError, match="size"):
            logged(store, path)


@pytest.mark.parametrize("kinds", [("file", "folder"), ("folder", "file")])
def test_b24_a_file_is_no_folder(store: tf.Store, tmp_path: Path, kinds: tuple[str, str]) -> None:
    path = tmp_path / "data"
    if kinds[0] == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")
    suffix = ".dir" if kinds[1] == "folder" else ""
    pointer(path, md5=f"d41d8cd98f00b204e9800998ecf8427e{suffix}", hash="md5")
    with pytest.raises(tf.DvcMismatchError, match=kinds[1]):
        logged(store, path)


@pytest.mark.parametrize(
    "entry",
    [
        {"etag": "7d9f", "size": 3},
        {"checksum": "00", "size": 3},
        {"md5": "", "etag": "x"},
        {"md5": "ab", "hash": "blake3"},
        {},
    ],
)
def test_b24_other_hashes_are_refused(store: tf.Store, tmp_path: Path, entry: dict[str, Any]) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"abc")
    pointer(path, **entry)
    with pytest.raises(tf.DvcUnsupportedHashError):
        logged(store, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "outs: 5",
        "outs:\n- 5",
        "outs: []",
        "[1, 2]",
        "outs:\n- path: other.csv\n  md5: ab",
        "outs:\n- path: data.csv\n- path: data.csv",
        "{",
        "outs: !!python/object/apply:os.system ['touch pwned']",
        "\0",
    ],
)
def test_broken_dvc_files(store: tf.Store, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.csv"
    path.write_bytes(b"abc")
    (tmp_path / "data.csv.dvc").write_text(text)
    with pytest.raises(tf.TimefenceValidationError, match=r"data\.csv\.dvc"):
        logged(store, path)
    assert not (tmp_path / "pwned").exists()


def test_what_is_missing(store: tf.Store, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with pytest.raises(tf.NotFoundError, match="dvc add"):
        logged(store, path)
    pointer(path, md5="ab")
    with pytest.raises(tf.NotFoundError, match="dvc checkout"):
        logged(store, path)
    with pytest.raises(tf.TimefenceConfigError):
        logged(store, 5)  # type: ignore[arg-type]


def test_checks_tell_when_it_changed(store: tf.Store, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(CRLF)
    pointer(path, md5="b202f333fba4fd38d4b8e5e693077aab", hash="md5")
    with store.start_run("models") as run:
        run.log_dvc_input(path, name="data")
    assert store.check(run.run_id).ok
    (node,) = store.lineage(run.run_id).find("data")
    assert node.hash == "md5:b202f333fba4fd38d4b8e5e693077aab"
    path.write_bytes(BINARY)
    (change,) = store.check(run.run_id).stale
    assert (change.expected, change.actual) == (node.hash, "md5:e04db66e93b995df7cd3a3520434145c")
    pointer(path, md5="e04db66e93b995df7cd3a3520434145c", hash="md5")  # dvc add, of other bytes
    assert [c.what for c in store.check(run.run_id).stale] == ["changed"]
    path.unlink()
    assert [c.what for c in store.check(run.run_id).stale] == ["missing"]
