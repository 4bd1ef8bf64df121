"""Published feature sets: behaviours 1 to 9, 14 and 15 of the specification, and what they leave open.

A test whose name begins with ``test_b07`` is behaviour 7.
"""

from __future__ import annotations

import datetime as dt
import json
import stat
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.privileges import writes_anywhere
from timefence_pl.tracking import versions as module
from timefence_pl.tracking.content import content_of

FRAME = pl.DataFrame(
    {
        "k": [3, 1, 2, 4],
        "at": [dt.datetime(2024, 1, d) for d in (3, 1, 2, 4)],
        "x": [1.5, None, float("nan"), -0.0],
        "name": ["c", "a", None, "d"],
        "target": [0, 1, 1, 0],
    }
)


@pytest.fixture
def store(tmp_path: Path) -> tf.Store:
    return tf.Store(tmp_path / "store")


def publish(store: tf.Store, frame: Any = FRAME, **options: Any) -> Any:
    return store.publish("iris", frame, **{"keys": "k", **options})


def content(frame: pl.DataFrame) -> str:
    return content_of(frame, ["k"], None).content_hash


# --- 1 and 2: versions ------------------------------------------------------------------------------------------------


def test_b01_publishing_makes_v1_with_a_whole_fingerprint(store: tf.Store) -> None:
    made = publish(store, timestamp="at", metadata={"note": "ä", "n": [1, None]})
    assert (made.ref, made.version, made.names) == ("iris:v1", 1, ("latest",))
    got = store.get("iris:latest")
    assert got.ref == "iris:v1"
    f = got.fingerprint
    for value in (f.file_sha256, f.content_hash, f.schema_hash, *f.columns.values()):
        assert value.startswith("sha256:")
        assert len(value) == 71
    assert f.file_sha256 == store.content_hash(got.path)
    assert f.n_rows == 4
    assert f.size_bytes == got.path.stat().st_size
    assert f.schema == {n: str(t) for n, t in FRAME.schema.items()}
    assert list(f.columns) == FRAME.columns
    assert (got.keys, got.timestamp) == (("k",), "at")
    assert got.metadata == {"note": "ä", "n": [1, None]}
    assert abs(got.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert_frame_equal(got.frame("content"), FRAME)


def test_b01_stored_files_cannot_be_written(store: tf.Store) -> None:
    made = publish(store)
    files = [made.path, made.path.with_name("version.json")]
    assert [stat.S_IMODE(p.stat().st_mode) for p in files] == [0o444, 0o444]
    assert sorted(p.name for p in made.path.parent.iterdir()) == ["data.parquet", "version.json"]


@pytest.mark.parametrize(
    "again",
    [FRAME, FRAME.sample(fraction=1, shuffle=True, seed=1), FRAME.rechunk(), FRAME.lazy(), FRAME[:2].vstack(FRAME[2:])],
    ids=["same", "permuted", "rechunked", "lazy", "chunks"],
)
def test_b02_equal_content_is_no_new_version(store: tf.Store, again: Any) -> None:
    publish(store)
    assert publish(store, again).ref == "iris:v1"
    assert store.versions("iris").height == 1
    assert store.history("iris")["action"].to_list() == ["publish", "alias", "same content"]


def test_b02_equal_content_takes_the_aliases(store: tf.Store) -> None:
    publish(store)
    assert publish(store, aliases=["prod", "latest"]).names == ("latest", "prod")
    assert store.get("iris:prod").version == 1


def test_equal_to_an_earlier_version_is_a_new_one(store: tf.Store) -> None:
    other = FRAME.with_columns(pl.col("target") + 1)
    assert [publish(store, f).version for f in (FRAME, other, FRAME)] == [1, 2, 3]
    assert store.get("iris:v1").fingerprint.content_hash == store.get("iris:v3").fingerprint.content_hash


def test_other_keys_are_other_content(store: tf.Store) -> None:
    publish(store)
    assert publish(store, keys=["k", "name"]).version == 2


def test_equal_content_whose_file_is_gone_is_published_again(store: tf.Store) -> None:
    made = publish(store)
    made.path.unlink()
    assert publish(store).version == 2
    assert store.get("iris").verify("content")


# --- 3, 4 and 5: the content hash -------------------------------------------------------------------------------------


def test_b03_the_content_hash_is_of_rows_not_of_files(store: tf.Store, tmp_path: Path) -> None:
    ways: list[Callable[[Path], Any]] = [
        lambda p: FRAME.write_parquet(p, compression="zstd"),
        lambda p: FRAME.write_parquet(p, compression="uncompressed"),
        lambda p: FRAME.write_parquet(p, row_group_size=1),
        lambda p: FRAME.write_parquet(p, statistics=False),
        lambda p: FRAME.sample(fraction=1, shuffle=True, seed=3).write_parquet(p, compression="lz4"),
    ]
    found = []
    for i, way in enumerate(ways):
        path = tmp_path / f"{i}.parquet"
        way(path)
        version = store.publish(f"set{i}", path, keys="k")
        found.append(version.fingerprint)
        assert version.fingerprint.file_sha256 == store.content_hash(path)
    assert len({f.content_hash for f in found}) == 1
    assert len({f.file_sha256 for f in found}) == len(ways)


def test_b03_targets_shuffled_across_keys_are_other_content() -> None:
    shuffled = FRAME.with_columns(target=pl.Series([1, 0, 1, 0]))
    assert sorted(shuffled["target"]) == sorted(FRAME["target"])
    assert content(shuffled) != content(FRAME)


@pytest.mark.parametrize("seed", range(20))
def test_b03_every_order_of_rows_with_equal_keys_has_one_hash(seed: int) -> None:
    frame = pl.DataFrame(
        {
            "k": [1, 1, 1, 1, None, None, 2],
            "f": [0.0, -0.0, float("nan"), None, 1.0, 1.0, 1.0],
            "l": [[1], [1], [], None, [2], [1], [1]],
            "s": [{"a": 1}, {"a": None}, None, {"a": 2}, {"a": 1}, {"a": 1}, {"a": 1}],
            "b": [b"", None, b"x", b"y", b"", b"", b""],
            "d": [Decimal("1.1"), None, Decimal("0.1"), Decimal("1.1"), None, None, None],
            "c": pl.Series(["b", "a", None, "b", "a", "b", "a"], dtype=pl.Categorical),
        }
    )
    assert content(frame.sample(fraction=1, shuffle=True, seed=seed)) == content(frame)


@pytest.mark.parametrize(
    "change",
    [
        pl.col("x").alias("y"),
        pl.col("target").cast(pl.Int32),
        pl.col("target").cast(pl.Float64),
        pl.col("at").dt.cast_time_unit("ms"),
        pl.col("at").dt.replace_time_zone("UTC"),
        pl.col("at").dt.replace_time_zone("Europe/Berlin"),
        pl.col("name").cast(pl.Categorical),
        pl.col("name").cast(pl.Enum(["a", "c", "d"])),
    ],
    ids=["name", "width", "kind", "unit", "utc", "zone", "categorical", "enum"],
)
def test_b04_names_and_types_count(change: pl.Expr) -> None:
    name = change.meta.output_name()
    other = FRAME.with_columns(change) if name in FRAME.columns else FRAME.rename({"x": name})
    assert content(other) != content(FRAME)


def test_b04_zones_differ_from_each_other() -> None:
    zoned = [FRAME.with_columns(pl.col("at").dt.replace_time_zone(z)) for z in ("UTC", "Europe/Berlin")]
    assert len({content(f) for f in zoned}) == 2


def test_b05_null_is_not_nan_and_every_row_counts() -> None:
    changed = [
        FRAME.with_columns(pl.col("x").fill_nan(None)),
        FRAME.with_columns(pl.col("x").fill_null(float("nan"))),
        FRAME[:3],
        FRAME[1:],
        FRAME.vstack(FRAME[:1]),
        FRAME.with_columns(pl.col("x").abs()),  # -0.0
        FRAME.clear(),
        FRAME.select("k", "target", "at", "x", "name"),  # a model sees columns in their order
    ]
    hashes = [content(f) for f in [FRAME, *changed]]
    assert len(set(hashes)) == len(hashes)


def test_nan_payloads_and_chunks_do_not_count() -> None:
    strange = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0]
    other = FRAME.with_columns(x=pl.Series([1.5, None, strange, -0.0]))
    assert content(other) == content(FRAME)


# --- 6 and 7: verification --------------------------------------------------------------------------------------------


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("level", ["file", "content"])
def test_b06_a_flipped_byte_is_refused_before_any_row(
    store: tf.Store, place: float, level: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"k": range(5000), "x": [i * 7 % 113 for i in range(5000)]})
    made = publish(store, frame)
    data = bytearray(made.path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x10
    rewrite(made.path, bytes(data))
    if level == "content":
        try:
            rows = store.get("iris").frame("content")
        except tf.IntegrityError:
            return
        assert rows.equals(frame)  # a byte that no value depends on, as in a statistic
        return
    monkeypatch.setattr(module.pl, "scan_parquet", lambda *_, **__: pytest.fail("rows were scanned"))
    with pytest.raises(tf.IntegrityError) as refused:
        store.get("iris").scan(verify=level)
    assert refused.value.expected == made.fingerprint.file_sha256
    assert refused.value.actual == store.content_hash(made.path)
    assert str(refused.value.expected) in str(refused.value)
    assert str(refused.value.actual) in str(refused.value)


def test_b07_a_truncated_file_is_refused_by_its_size(store: tf.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = publish(store)
    assert made.verify("size")
    rewrite(made.path, made.path.read_bytes()[:-1])
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("the file was read"))
    monkeypatch.setattr(Path, "read_bytes", lambda *_, **__: pytest.fail("the file was read"))
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("the file was read"))
    with pytest.raises(tf.IntegrityError, match="bytes") as refused:
        made.verify("size")
    assert refused.value.expected == made.fingerprint.size_bytes
    assert refused.value.actual == made.fingerprint.size_bytes - 1


def other_files() -> dict[str, tuple[pl.DataFrame, str]]:
    return {
        "swapped": (pl.DataFrame({"z": [1]}), "column 'k': expected Int64, actual missing"),
        "shuffled target": (FRAME.with_columns(target=pl.Series([1, 0, 1, 0])), "values of 'target'"),
        "missing column": (FRAME.drop("x"), "column 'x': expected Float64, actual missing"),
        "extra column": (FRAME.with_columns(extra=1), "column 'extra': expected no such column, actual Int32"),
        "other type": (
            FRAME.with_columns(pl.col("target").cast(pl.Int8)),
            "column 'target': expected Int64, actual Int8",
        ),
        "row dropped": (FRAME[1:], "rows: expected 4, actual 3"),
        "order of columns": (FRAME.select(FRAME.columns[::-1]), "order of columns"),
    }


@pytest.mark.parametrize("what", other_files())
@pytest.mark.parametrize("level", ["file", "content"])
def test_a_replaced_file_is_refused_and_told_apart(store: tf.Store, what: str, level: Any) -> None:
    made = publish(store)
    frame, told = other_files()[what]
    made.path.chmod(0o644)
    frame.write_parquet(made.path)
    with pytest.raises(tf.IntegrityError) as refused:
        made.scan(verify=level)
    assert told in str(refused.value)
    assert refused.value.expected is not None
    assert refused.value.actual is not None


def test_a_file_written_again_equal_passes_as_content_only(store: tf.Store) -> None:
    made = publish(store)
    made.path.chmod(0o644)
    FRAME.reverse().write_parquet(made.path, compression="lz4", row_group_size=2)
    assert made.verify("content")
    assert made.frame("content").height == 4
    with pytest.raises(tf.IntegrityError, match=r'the rows are the same[\s\S]*verify="content"'):
        made.verify("file")
    assert made.verify("none")


def test_a_missing_file_and_one_too_many_are_refused(store: tf.Store) -> None:
    made = publish(store)
    (made.path.parent / "stray").write_text("x")
    for level in ("size", "file", "content"):
        with pytest.raises(tf.IntegrityError, match="stray"):
            made.verify(level)  # type: ignore[arg-type]
    (made.path.parent / "stray").unlink()
    made.path.unlink()
    for level in ("size", "file", "content"):
        with pytest.raises(tf.IntegrityError, match="not there"):
            made.verify(level)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(store: tf.Store, data: bytes) -> None:
    made = publish(store)
    rewrite(made.path, data)
    for level in ("size", "file", "content"):
        with pytest.raises(tf.IntegrityError):
            made.scan(level)  # type: ignore[arg-type]


def test_a_damaged_record_is_refused(store: tf.Store) -> None:
    made = publish(store)
    record = made.path.with_name("version.json")
    rewrite(record, record.read_bytes().replace(b'"n_rows": 4', b'"n_rows": 5'))
    with pytest.raises(tf.IntegrityError, match="version.json"):
        store.get("iris:v1")
    assert store.versions("iris")["status"].to_list() == ["damaged"]
    assert [p.what for p in store.verify()] == ["feature set version"]


def test_an_unknown_level_is_told(store: tf.Store) -> None:
    with pytest.raises(tf.TimefenceConfigError, match="Did you mean 'content'"):
        publish(store).scan(verify="contents")


# --- 8: what can be published -----------------------------------------------------------------------------------------


def test_b08_a_lazy_frame_is_published_like_its_rows(store: tf.Store) -> None:
    lazy = FRAME.lazy().with_columns(y=pl.col("k") * 2).filter(pl.col("k") > 1)
    one = store.publish("lazy", lazy, keys="k").fingerprint
    two = store.publish("eager", lazy.collect(), keys="k").fingerprint
    assert (one.content_hash, one.schema, one.n_rows) == (two.content_hash, two.schema, two.n_rows)


def test_frames_of_others_are_published(store: tf.Store) -> None:
    simple = FRAME.select("k", "target")
    assert store.publish("a", simple.to_arrow(), keys="k").fingerprint.content_hash == content(simple)
    assert store.publish("b", simple.to_pandas(), keys="k").fingerprint.content_hash == content(simple)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1, None], dtype=pl.Int128),
        pl.Series([1.5, None], dtype=pl.Float32),
        pl.Series([Decimal("1.10"), None]),
        pl.Series([[1.5, None], None]),
        pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2)),
        pl.Series([{"a": 1, "b": "x"}, None]),
        pl.Series(["a", None], dtype=pl.Categorical),
        pl.Series(["a", None], dtype=pl.Enum(["b", "a"])),
        pl.Series([dt.time(1, 2), None]),
        pl.Series([dt.timedelta(days=1), None]),
        pl.Series([dt.datetime(2024, 1, 1), None], dtype=pl.Datetime("ns", "Asia/Tokyo")),
        pl.Series([b"a", None]),
        pl.Series([None, None], dtype=pl.Null),
        pl.Series([True, None]),
    ],
    ids=lambda s: str(s.dtype),
)
def test_every_type_comes_back_or_is_refused(store: tf.Store, column: pl.Series) -> None:
    frame = pl.DataFrame({"k": [1, 2], "v": column})
    try:
        made = publish(store, frame)
    except tf.TimefenceSchemaError as error:
        assert "'v'" in str(error)  # noqa: PT017 - either is right
        return
    assert made.verify("content")
    assert_frame_equal(made.frame(), frame)


def test_objects_are_refused(store: tf.Store) -> None:
    with pytest.raises(tf.TimefenceSchemaError, match="'o'"):
        publish(store, pl.DataFrame({"k": [1], "o": pl.Series([object()], dtype=pl.Object)}))
    assert store.feature_sets() == []


@pytest.mark.parametrize("frame", [FRAME.clear(), FRAME[:1]], ids=["no rows", "one row"])
def test_few_rows(store: tf.Store, frame: pl.DataFrame) -> None:
    made = publish(store, frame)
    assert made.verify("content")
    assert_frame_equal(made.frame(), frame)


def test_columns_of_strange_names(store: tf.Store) -> None:
    frame = pl.DataFrame({"^k.*$": [2, 1], "*": [1, 2], "": [1, 2], "ä b/../c": [3, 4]})
    made = store.publish("strange", frame, keys="^k.*$")
    assert made.verify("content")
    assert_frame_equal(made.frame(), frame)


def test_rows_without_keys_keep_their_order_as_content(store: tf.Store) -> None:
    publish(store, keys=[])
    assert publish(store, FRAME.reverse(), keys=[]).version == 2


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"keys": None}, tf.TimefenceConfigError, "keys"),
        ({"keys": "kk"}, tf.TimefenceSchemaError, "Did you mean 'k'"),
        ({"timestamp": "att"}, tf.TimefenceSchemaError, "Did you mean 'at'"),
        ({"timestamp": "k"}, tf.TimefenceConfigError, "both"),
        ({"metadata": {"f": object()}}, tf.TimefenceValidationError, "metadata"),
        ({"metadata": [1]}, tf.TimefenceValidationError, "metadata"),
        ({"copy": False}, tf.TimefenceConfigError, "copy=False"),
        ({"aliases": ["v3"]}, tf.InvalidNameError, "looks like a version"),
    ],
)
def test_what_cannot_be_meant(store: tf.Store, options: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        publish(store, **options)
    assert store.feature_sets() == [] or store.versions("iris").is_empty()


@pytest.mark.parametrize("data", [5, None, "nowhere.parquet", pl.DataFrame(), pl.LazyFrame({"k": [1]}).select("z")])
def test_what_is_no_data(store: tf.Store, data: Any) -> None:
    with pytest.raises(tf.TimefenceError):
        publish(store, data)
    assert store.feature_sets() == []


def test_a_text_file_is_published_as_parquet(store: tf.Store, tmp_path: Path) -> None:
    FRAME.select("k", "target").write_csv(tmp_path / "set.csv")
    assert publish(store, tmp_path / "set.csv").fingerprint.content_hash == content(FRAME.select("k", "target"))


def test_a_reference_is_checked_where_it_stands(store: tf.Store, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    FRAME.write_parquet(path)
    made = publish(store, path, copy=False)
    assert made.is_reference
    assert made.path == path
    assert [p.name for p in (store.path / "feature_sets" / "iris" / "v1").iterdir()] == ["version.json"]
    assert_frame_equal(made.frame("content"), FRAME)
    FRAME.reverse().write_parquet(path)
    assert store.get("iris").verify("content")
    with pytest.raises(tf.IntegrityError, match="out.parquet"):
        store.get("iris").scan()
    path.unlink()
    with pytest.raises(tf.IntegrityError, match="not there"):
        store.get("iris").scan()


# --- references, aliases and tags -------------------------------------------------------------------------------------


def three(store: tf.Store) -> list[Any]:
    return [publish(store, FRAME.with_columns(pl.col("target") + i)) for i in range(3)]


def test_references(store: tf.Store) -> None:
    made = three(store)
    store.create_tag("iris:v2", "release-1")
    f = made[1].fingerprint
    for ref in (
        "iris:v2",
        "iris:release-1",
        f"iris@{f.content_hash}",
        f"iris@{f.file_sha256}",
        f"iris@{f.content_hash[:20]}",
    ):
        assert store.get(ref).version == 2
    for ref in ("iris", "iris:latest", "iris:v3"):
        assert store.get(ref).version == 3


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("irs:latest", "Did you mean 'iris'"),
        ("iris:lates", "Did you mean 'latest'"),
        ("iris:v9", "versions: 'v1', 'v2', 'v3'"),
        ("iris@sha256:" + "0" * 64, "versions"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(store: tf.Store, ref: str, told: str) -> None:
    three(store)
    with pytest.raises(tf.NotFoundError, match=told):
        store.get(ref)


@pytest.mark.parametrize(
    "ref", ["", "iris:", ":v1", "iris@", "iris@md5:00000000", "iris@sha256:xyz", "a b:v1", 5, None]
)
def test_what_is_no_reference(store: tf.Store, ref: Any) -> None:
    publish(store)
    with pytest.raises(tf.InvalidNameError):
        store.get(ref)


def test_b09_latest_set_back(store: tf.Store) -> None:
    publish(store)
    publish(store, FRAME[1:])
    assert store.get("iris:latest").version == 2
    store.set_alias("iris:v1", "latest")
    assert store.get("iris").version == 1
    assert_frame_equal(store.get("iris").frame(), FRAME)
    moves = store.history("iris").filter(pl.col("action") == "alias").select("name", "from", "to").rows()
    assert moves == [("latest", None, 1), ("latest", 1, 2), ("latest", 2, 1)]


def test_compare_and_set(store: tf.Store) -> None:
    three(store)
    assert store.set_alias("iris:v1", "prod", expected=None).names == ("prod",)
    store.set_alias("iris:v2", "prod", expected="v1")
    with pytest.raises(tf.AliasConflictError, match=r"expected: v1\n +actual: +v2") as conflict:
        store.set_alias("iris:v3", "prod", expected=1)
    assert (conflict.value.expected, conflict.value.actual) == (1, 2)
    with pytest.raises(tf.AliasConflictError):
        store.set_alias("iris:v3", "prod", expected=None)
    assert store.set_alias("iris:v3", "prod", expected=store.get("iris:prod")).version == 3
    with pytest.raises(tf.TimefenceConfigError, match="expected"):
        store.set_alias("iris:v3", "prod", expected="newest")


def test_an_alias_is_removed(store: tf.Store) -> None:
    three(store)
    store.remove_alias("iris", "latest")
    with pytest.raises(tf.NotFoundError, match="latest"):
        store.get("iris")
    with pytest.raises(tf.NotFoundError, match="latest"):
        store.remove_alias("iris", "latest")
    assert store.get("iris:v3").names == ()


def test_b14_a_clock_moved_back(store: tf.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store)

    class Past(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return dt.datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr("timefence_pl.tracking.publishing.datetime", Past)
    monkeypatch.setattr("timefence_pl.tracking.aliases.datetime", Past)
    made = publish(store, FRAME[1:])
    assert made.created_at.year == 2001
    assert store.get("iris:latest").version == made.version == 2


def test_b15_a_tag_never_moves(store: tf.Store) -> None:
    three(store)
    store.create_tag("iris:v1", "release-1")
    with pytest.raises(tf.TagExistsError, match="release-1.*v1"):
        store.create_tag("iris:v2", "release-1")
    with pytest.raises(tf.TagExistsError):
        store.set_alias("iris:v2", "release-1")
    with pytest.raises(tf.TagExistsError):
        publish(store, FRAME[1:], aliases=["release-1"])
    with pytest.raises(tf.TagExistsError):
        store.create_tag("iris:v2", "latest")
    with pytest.raises(tf.NotFoundError):
        store.remove_alias("iris", "release-1")
    store.create_tag("iris:v1", "release-1")  # the same again is no other
    assert store.get("iris:release-1").version == 1
    assert store.versions("iris").height == 3


def test_a_tag_holds_off_expiry(store: tf.Store) -> None:
    for i in range(6):
        publish(store, FRAME.with_columns(pl.col("target") + i))
    store.create_tag("iris:v1", "release-1")
    store.set_alias("iris:v2", "prod")
    with store.start_run("models") as run:
        run.use("iris:v3")
    dry = store.gc(keep_versions=1)
    assert [p.parent.name for p in dry.paths] == ["v4", "v5"]
    assert dry.bytes > 0
    assert store.versions("iris").filter(pl.col("status") == "published").height == 6
    store.gc(keep_versions=1, dry_run=False)
    left = store.versions("iris").filter(pl.col("status") == "published")["version"].to_list()
    assert left == [1, 2, 3, 6]
    assert store.verify() == []


# --- the state of aliases ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["removed", "emptied", "flipped", "another"])
def test_a_state_that_is_lost_is_made_again(store: tf.Store, how: str) -> None:
    three(store)
    store.create_tag("iris:v2", "release-1")
    store.set_alias("iris:v1", "prod")
    state = store.path / "feature_sets" / "iris" / "aliases.json"
    if how == "removed":
        state.unlink()
    else:
        data = state.read_bytes()
        state.write_bytes({"emptied": b"", "flipped": data.replace(b"3", b"2", 1), "another": b"[1]"}[how])
    assert [store.get(f"iris:{n}").version for n in ("latest", "release-1", "prod")] == [3, 2, 1]
    assert publish(store, FRAME[1:]).version == 4
    assert json.loads(state.read_bytes())["aliases"] == {"latest": 4, "prod": 1}


def test_where_the_history_is_lost_too_versions_are_found_by_number(store: tf.Store) -> None:
    three(store)
    folder = store.path / "feature_sets" / "iris"
    (folder / "aliases.json").write_bytes(b"")
    history = folder / "history.ndjson"
    history.write_bytes(history.read_bytes().replace(b'"publish"', b'"publisX"', 1))
    with pytest.raises(tf.IntegrityError, match="history"):
        store.get("iris:latest")
    assert store.get("iris:v2").verify("content")
    assert [p.what for p in store.verify()] == ["aliases"]


# --- deletion ---------------------------------------------------------------------------------------------------------


def test_b26_a_deleted_versions_number_is_not_used_again(store: tf.Store) -> None:
    three(store)
    store.delete("iris:v3", force=True)
    assert publish(store, FRAME[1:]).version == 4
    with pytest.raises(tf.NotFoundError, match="deleted"):
        store.get("iris:v3")
    frame = store.versions("iris")
    assert frame["status"].to_list() == ["published", "published", "deleted", "published"]
    assert frame["content_hash"].null_count() == 0


def test_b26_stray_files_are_no_versions(store: tf.Store) -> None:
    publish(store)
    folder = store.path / "feature_sets" / "iris"
    (folder / "v2").write_text("a file")
    (folder / "v7").mkdir()
    (folder / "v03").mkdir()
    (store.path / "feature_sets" / "stray").write_text("x")
    assert store.versions("iris").height == 1
    assert publish(store, FRAME[1:]).version == 8
    assert store.feature_sets() == ["iris"]


def test_delete_needs_a_version(store: tf.Store) -> None:
    publish(store)
    with pytest.raises(tf.TimefenceConfigError, match="iris:v1"):
        store.delete("iris")
    with pytest.raises(tf.InUseError, match="alias latest"):
        store.delete("iris:latest")
    store.remove_alias("iris", "latest")
    store.delete("iris:v1")
    with pytest.raises(tf.NotFoundError):
        store.delete("iris:v1")
    assert not (store.path / "feature_sets" / "iris" / "v1" / "data.parquet").exists()
    with pytest.raises(tf.NotFoundError):
        store.get("iris:v1")


# --- versions as values -----------------------------------------------------------------------------------------------


def test_versions_print(store: tf.Store) -> None:
    made = publish(store, timestamp="at", metadata={"note": "first"})
    assert repr(made).startswith("FeatureSetVersion('iris:v1', 4 rows")
    shown = str(made)
    assert "keys:      k, timestamp at" in shown
    assert made.fingerprint.content_hash in shown
    assert "note: first" in shown
    assert json.loads(json.dumps(made.to_dict()))["ref"] == "iris:v1"


def test_versions_are_listed(store: tf.Store) -> None:
    made = three(store)
    frame = store.versions("iris")
    assert frame["version"].to_list() == [1, 2, 3]
    assert frame["names"].to_list() == [[], [], ["latest"]]
    assert frame["content_hash"].to_list() == [m.fingerprint.content_hash for m in made]
    with pytest.raises(tf.NotFoundError):
        store.versions("other")


@pytest.mark.skipif(writes_anywhere(), reason="root writes anywhere: run by tests/faults/test_read_only.py")
def test_a_store_that_cannot_be_written(store: tf.Store) -> None:
    publish(store)
    folder = store.path / "feature_sets" / "iris"
    folder.chmod(0o555)
    try:
        with pytest.raises(tf.TimefenceStoreError, match="iris"):
            publish(store, FRAME[1:])
        assert store.get("iris").version == 1
    finally:
        folder.chmod(0o755)


def test_a_set_whose_first_publication_was_cut_off_is_none_yet(tmp_path: Path) -> None:
    store = tf.Store(tmp_path / "store")
    store.publish("other", pl.DataFrame({"k": [1], "x": [2]}), keys="k")
    (next((tmp_path / "store").rglob("other")).parent / "set").mkdir()
    assert store.feature_sets() == ["other"]
    with pytest.raises(tf.NotFoundError, match="There is no feature set 'set'") as told:
        store.versions("set")
    assert "mean 'set'" not in str(told.value)
    store.gc(keep_versions=5, dry_run=False)
    assert list(store.verify()) == []
    store.publish("set", pl.DataFrame({"k": [1], "x": [2]}), keys="k")
    assert store.feature_sets() == ["other", "set"]
