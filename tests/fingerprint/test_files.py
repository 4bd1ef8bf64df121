import json
import os
import time

import pytest

from timefence_pl.errors import TimefenceValidationError
from timefence_pl.fingerprint import FileHasher, HashMemo, Uncacheable, hash_bytes
from timefence_pl.fingerprint.files import GRAIN_NS, labels_of

_SETTLED = 10 * GRAIN_NS


class _Counting(FileHasher):
    """Counts the files that are really read."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.reads = 0

    def _read(self, file):
        self.reads += 1
        return super()._read(file)


@pytest.fixture
def later(monkeypatch):
    """Lets the clock say that all files were written long ago."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + _SETTLED)


def _write(path, content, like=None):
    path.write_bytes(content)
    if like is not None:
        os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def test_a_hash_is_of_the_content_alone(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    _write(tmp_path / "a.csv", b"x\n1\n")
    _write(tmp_path / "sub" / "b.csv", b"x\n1\n")
    _write(tmp_path / "c.csv", b"x\n2\n")
    hasher = FileHasher()
    assert hasher.hash(tmp_path / "a.csv") == hasher.hash(tmp_path / "sub" / "b.csv")
    assert hasher.hash(tmp_path / "a.csv") != hasher.hash(tmp_path / "c.csv")
    monkeypatch.chdir(tmp_path)
    assert hasher.hash("a.csv") == hasher.hash(f"file://{tmp_path}/a.csv") == hasher.hash("sub/../a.csv")


@pytest.mark.parametrize("size", [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9_000_000])
@pytest.mark.parametrize("algorithm", ["xxh3_128", "sha256"])
def test_any_size_hashes_as_its_bytes(tmp_path, size, algorithm):
    content = bytes(range(256)) * (size // 256 + 1)
    _write(tmp_path / "f", content[:size])
    assert FileHasher(algorithm=algorithm).hash(tmp_path / "f") == hash_bytes(content[:size], algorithm)


def test_the_number_of_threads_does_not_matter(tmp_path):
    paths = [tmp_path / f"{i}.bin" for i in range(20)]
    for i, path in enumerate(paths):
        _write(path, bytes([i]) * (i * 10_000))
    assert FileHasher(threads=1).hash_all(paths) == FileHasher(threads=8).hash_all(paths)
    assert FileHasher(threads=1).fingerprint(paths) == FileHasher(threads=8).fingerprint(paths)


def test_order_counts_and_names_count_where_they_are_read(tmp_path):
    for name, content in {"a": b"1", "b": b"2"}.items():
        _write(tmp_path / name, content)
    a, b = tmp_path / "a", tmp_path / "b"
    hasher = FileHasher()
    plain = hasher.fingerprint([a, b])
    assert plain != hasher.fingerprint([b, a])
    assert plain != hasher.fingerprint([a])
    assert plain != hasher.fingerprint([a, b, b])
    assert plain != hasher.fingerprint([a, b], names=["d=1", "d=2"])
    assert hasher.fingerprint([a, b], names=["d=1", "d=2"]) != hasher.fingerprint([a, b], names=["d=1", "d=3"])
    assert set(plain.parts) == {"file a", "file b"}
    assert hasher.fingerprint([]).parts == {}
    with pytest.raises(ValueError, match="2 paths but 1 names"):
        hasher.fingerprint([a, b], names=["d=1"])


def test_unchanged_files_are_not_read_again(tmp_path, later):
    _write(tmp_path / "a", b"1")
    hasher = _Counting()
    first = hasher.hash(tmp_path / "a")
    assert hasher.hash(tmp_path / "a") == first
    assert hasher.reads == 1


def test_each_algorithm_is_remembered_apart(tmp_path, later):
    _write(tmp_path / "a", b"1")
    memo = HashMemo()
    quick, safe = FileHasher(memo), FileHasher(memo, algorithm="sha256")
    assert quick.hash(tmp_path / "a") == quick.hash(tmp_path / "a") != safe.hash(tmp_path / "a")
    assert safe.hash(tmp_path / "a").startswith("sha256:")


def test_a_file_written_just_now_is_read_again(tmp_path):
    _write(tmp_path / "a", b"1")
    hasher = _Counting()
    hasher.hash(tmp_path / "a")
    hasher.hash(tmp_path / "a")
    assert hasher.reads == 2
    assert len(hasher.memo) == 0


def test_a_file_from_the_future_is_read_again(tmp_path, later):
    _write(tmp_path / "a", b"1")
    ahead = time.time_ns() + 10 * _SETTLED
    os.utime(tmp_path / "a", ns=(ahead, ahead))
    hasher = _Counting()
    hasher.hash(tmp_path / "a")
    hasher.hash(tmp_path / "a")
    assert hasher.reads == 2


def test_a_rewrite_of_equal_size_and_restored_time_is_noticed(tmp_path, later):
    path = tmp_path / "a"
    _write(path, b"1111")
    hasher = FileHasher()
    first = hasher.hash(path)
    _write(path, b"2222", like=path.stat())
    assert hasher.hash(path) != first


def test_a_replaced_file_of_equal_size_and_time_is_noticed(tmp_path, later):
    path = tmp_path / "a"
    _write(path, b"1111")
    hasher = FileHasher()
    first = hasher.hash(path)
    _write(tmp_path / "new", b"2222", like=path.stat())
    os.replace(tmp_path / "new", path)
    assert hasher.hash(path) != first


def test_the_memo_survives_as_json(tmp_path, later):
    _write(tmp_path / "a", b"1")
    first = FileHasher()
    value = first.hash(tmp_path / "a")
    again = _Counting(HashMemo.from_dict(json.loads(json.dumps(first.memo.to_dict()))))
    assert (again.hash(tmp_path / "a"), again.reads) == (value, 0)


def _spoiled(good):
    ((path, entry),) = good.items()
    (hash_value,) = entry["hashes"].values()
    return [
        None, [], "text", 3, {}, {path: None}, {path: []}, {3: entry}, {path: {**entry, "stamp": entry["stamp"][:4]}},
        {path: {**entry, "stamp": [str(v) for v in entry["stamp"]]}}, {path: {**entry, "stamp": [True] * 5}},
        {path: {**entry, "hashes": {"xxh3_128": hash_value[:-1]}}}, {path: {**entry, "hashes": {"md5": hash_value}}},
        {path: {**entry, "hashes": {"sha256": hash_value}}}, {path: {**entry, "hashes": {"xxh3_128": 7}}},
        {path: {**entry, "hashes": None}}, {path: {"hashes": entry["hashes"]}},
    ]  # fmt: skip


def test_a_broken_memo_is_left_out_and_never_an_error(tmp_path, later):
    _write(tmp_path / "a", b"1")
    first = FileHasher()
    value = first.hash(tmp_path / "a")
    for broken in _spoiled(first.memo.to_dict()):
        again = _Counting(HashMemo.from_dict(broken))
        assert (again.hash(tmp_path / "a"), again.reads) == (value, 1)


def test_a_memo_that_lies_of_another_stamp_is_not_believed(tmp_path, later):
    _write(tmp_path / "a", b"1")
    first = FileHasher()
    value = first.hash(tmp_path / "a")
    for position in range(5):
        content = first.memo.to_dict()
        (entry,) = content.values()
        entry["stamp"][position] += 1
        entry["hashes"]["xxh3_128"] = "xxh3_128:" + "0" * 32
        assert FileHasher(HashMemo.from_dict(content)).hash(tmp_path / "a") == value


def test_a_file_that_is_being_written_is_uncacheable(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"0" * 5_000_000)

    class Slow(FileHasher):
        def _read(self, file):
            with path.open("ab") as more:
                more.write(b"1")
            return super()._read(file)

    with pytest.raises(Uncacheable, match="is being written"):
        Slow().hash(path)


def test_a_file_that_cannot_be_read_is_our_error(tmp_path):
    with pytest.raises(TimefenceValidationError, match="cannot be read: No such file"):
        FileHasher().hash(tmp_path / "none.parquet")
    with pytest.raises(TimefenceValidationError, match="Is a directory"):
        FileHasher().hash(tmp_path)


def test_remote_objects_have_the_hash_of_their_version():
    found = {"s3://bucket/a": "1", "s3://bucket/b": "1"}
    hasher = FileHasher(versions=lambda uri, _options: found[uri])
    first = hasher.hash("s3://bucket/a")
    assert hasher.hash("s3://bucket/b") != first
    assert hasher.hash_all(["s3://bucket/a", "s3://bucket/b"])[0] == first
    found["s3://bucket/a"] = "2"
    assert hasher.hash("s3://bucket/a") != first


def test_labels_are_short_and_distinct():
    assert labels_of(["/data/x/a.csv", "/data/x/b/a.csv"]) == ["a.csv", "b/a.csv"]
    assert labels_of(["/data/a.csv"]) == ["a.csv"]
    assert labels_of(["/data/a.csv", "/data/a.csv"]) == ["a.csv", "a.csv (2)"]
    assert labels_of(["a.csv", "s3://b/a.csv"]) == ["a.csv", "s3://b/a.csv"]
    assert labels_of([]) == []
