"""A source that gains files: what was computed of the others is kept, and the result is that of a whole build."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.store.outcomes import Inputs, assert_same, engine, outcome
from timefence_pl import feature_cache

FORMATS = ["parquet", "csv", "ndjson", "arrow"]
ONLY = "only 1 new file computed"


def rows(seed: int, count: int = 40, *, text: bool = False, low: int = 0, high: int = 6) -> pl.DataFrame:
    """Events with ties within a file and across files, and some without key or time."""
    r = random.Random(seed)
    keys = [None if r.random() < 0.05 else r.randrange(low, high) for _ in range(count)]
    return pl.DataFrame(
        {
            "k": [None if k is None else f"customer-{k}" for k in keys] if text else keys,
            "t": [None if r.random() < 0.05 else r.randrange(30) for _ in range(count)],
            "x": [None if r.random() < 0.1 else r.randrange(100) for _ in range(count)],
            "y": [r.random() for _ in range(count)],
        },
        schema_overrides={"k": pl.String if text else pl.Int64, "t": pl.Int64, "x": pl.Int64},
    )


def write(frame: pl.DataFrame, folder: Path, name: str, kind: str = "parquet") -> None:
    folder.mkdir(exist_ok=True)
    getattr(frame, f"write_{'ipc' if kind == 'arrow' else kind}")(folder / f"{name}.{kind}")


def labels(*, text: bool = False) -> tf.Labels:
    keys = [*range(8), None] * 6
    made = [None if k is None else f"customer-{k}" for k in keys] if text else keys
    return tf.Labels(pl.DataFrame({"k": made, "at": [(7 * i) % 33 for i in range(54)]}), keys="k", label_time="at")


def source(folder: Path, kind: str = "parquet", **options: Any) -> tf.Source:
    return tf.Source(folder / f"*.{kind}", **{"keys": "k", "timestamp": "t", "name": "events", **options})


def features(given: tf.Source) -> list[Any]:
    x, y = pl.col("x"), pl.col("y")
    return [
        tf.Feature(given, (x * 2 + 1).alias("a"), y.round(2), name="f", on_duplicate="keep_last"),
        tf.Feature(given, columns="y", name="g", on_duplicate="keep_last"),
        tf.Feature(given, columns="x", name="h", on_duplicate="keep_first"),
        tf.Window(given, {"s": x.sum(), "n": pl.len(), "last": y.last()}, windows=[4, None], name="w"),
        tf.Window(given, {"m": y.max()}, windows=[9], name="v"),
        tf.Window(given, {"n": pl.len()}, windows=[9], name="u", where=x > 20),
    ]


def built(given: Inputs, folder: Path, store: tf.Store) -> dict[str, str]:
    """Why each feature was computed, where it was, after a check against a build without a store."""
    made, result = outcome(given, folder / "out" / "set.parquet", store)
    assert_same(made, outcome(given, folder / "out" / "reference.parquet")[0])
    assert result is not None
    return {n: f["cache_reason"] for n, f in result.manifest["features"].items() if not f["cached"]}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows given to features to be computed from, where these are not the whole source."""
    given: list[int] = []

    def watched(function: Any) -> Any:
        def run(rows: Any, events: pl.LazyFrame | None = None, **options: Any) -> Any:
            if events is not None:
                given.append(events.select(pl.len()).collect().item())
            return function(rows, events, **options)

        return run

    for name in ("prepare", "prepare_events"):
        monkeypatch.setattr(feature_cache, name, watched(getattr(feature_cache, name)))
    return given


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("text", [False, True], ids=["integers", "texts"])
@pytest.mark.parametrize("by", ["in-memory", "streaming"])
def test_only_new_files_are_computed(tmp_path: Path, computed: list[int], kind: str, text: bool, by: str) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    for i in range(3):
        write(rows(i, text=text), folder, f"part-{i}", kind)
    given = Inputs(labels(text=text), features(source(folder, kind)))
    with engine(by):
        assert set(built(given, tmp_path, store).values()) == {"never computed"}
        assert computed == []
        for i in (3, 4):
            write(rows(i, 25 + i, text=text), folder, f"part-{i}", kind)
            given = Inputs(labels(text=text), features(source(folder, kind)))
            reasons = built(given, tmp_path, store)
            assert len(reasons) == 6
            assert all(ONLY in reason and f"part-{i}.{kind} is new" in reason for reason in reasons.values())
            assert set(computed) == {25 + i}
            computed.clear()
        assert built(given, tmp_path, store) == {}


def test_several_files_and_a_wider_range_of_keys(tmp_path: Path, computed: list[int]) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    write(rows(0), folder, "part-0")
    built(Inputs(labels(), features(source(folder))), tmp_path, store)
    write(rows(1, 30, low=-1_000_000, high=7), folder, "part-1")
    write(rows(2, 31, high=2**40).with_columns(pl.col("t") * 1_000), folder, "part-2")
    reasons = built(Inputs(labels(), features(source(folder))), tmp_path, store)
    assert all("only 2 new files computed" in r for r in reasons.values())
    assert set(computed) == {61}


def test_duplicates_across_files_are_refused_as_by_a_whole_build(tmp_path: Path) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    one = pl.DataFrame({"k": [1, 2], "t": [1, 1], "x": [1, 2]})
    write(one, folder, "part-0")
    rows_of = tf.Labels(pl.DataFrame({"k": [1], "at": [5]}), keys="k", label_time="at")
    tf.build(rows_of, tf.Feature(source(folder), columns="x", name="f"), store=store)
    write(one, folder, "part-1")
    with pytest.raises(tf.TimefenceDuplicateError):
        tf.build(rows_of, tf.Feature(source(folder), columns="x", name="f"), store=store)


def _moved(folder: Path) -> None:
    (folder / "part-1.parquet").rename(folder / "part-9.parquet")


CHANGES: dict[str, Any] = {
    "a file in front": lambda folder: write(rows(9), folder, "part-"),
    "a file between": lambda folder: write(rows(9), folder, "part-0b"),
    "a file changed": lambda folder: write(rows(9), folder, "part-0"),
    "a file gone": lambda folder: (folder / "part-1.parquet").unlink(),
    "another order": _moved,
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_changes_compute_all(tmp_path: Path, computed: list[int], name: str) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    for i in range(3):
        write(rows(i), folder, f"part-{i}")
    built(Inputs(labels(), features(source(folder))), tmp_path, store)
    CHANGES[name](folder)
    reasons = built(Inputs(labels(), features(source(folder))), tmp_path, store)
    assert len(reasons) == 6
    assert not any("only" in r for r in reasons.values())
    assert computed == []


X = pl.col("x")
WHOLE: dict[str, Any] = {
    "running sum": lambda s: tf.Feature(s, X.cum_sum().over("k"), name="f", on_duplicate="keep_last"),
    "shift": lambda s: tf.Feature(s, X.shift(1).over("k"), name="f", on_duplicate="keep_last"),
    "transform": lambda s: tf.Feature(s, transform=lambda lf: lf.unique(["k", "t"], keep="last"), name="f"),
    "sql": lambda s: tf.Feature(
        s, sql="SELECT k, t, max(x) AS x FROM {source} GROUP BY k, t", dialect="polars", name="f"
    ),
    "function": lambda s: tf.Feature(
        s, X.map_elements(lambda x: int(f"{x}1"), pl.Int64), name="f", on_duplicate="keep_last"
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_reads_several_rows_is_computed_whole(tmp_path: Path, computed: list[int], name: str) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    for i in range(2):
        write(rows(i), folder, f"part-{i}")
    built(Inputs(labels(), WHOLE[name](source(folder))), tmp_path, store)
    write(rows(5), folder, "part-2")
    reasons = built(Inputs(labels(), WHOLE[name](source(folder))), tmp_path, store)
    assert list(reasons) == ["f"]
    assert "only" not in reasons["f"]
    assert computed == []


@pytest.mark.parametrize("options", [{"available_at": "known"}, {"tie_breaker": "y"}], ids=["availability", "ties"])
def test_sources_with_more_than_a_time_are_computed_whole(
    tmp_path: Path, computed: list[int], options: dict[str, Any]
) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    for i in range(2):
        write(rows(i).with_columns(known=pl.col("t") + 3), folder, f"part-{i}")
    built(Inputs(labels(), features(source(folder, **options))), tmp_path, store)
    write(rows(5).with_columns(known=pl.col("t") + 1), folder, "part-2")
    built(Inputs(labels(), features(source(folder, **options))), tmp_path, store)
    assert computed == []


def test_a_file_that_widens_a_type_computes_all(tmp_path: Path, computed: list[int]) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    for i in range(2):
        write(rows(i), folder, f"part-{i}", "csv")
    one = [tf.Feature(source(folder, "csv"), columns="x", name="f", on_duplicate="keep_last")]
    built(Inputs(labels(), one), tmp_path, store)
    write(rows(5).with_columns(pl.col("x") + 0.5), folder, "part-2", "csv")
    one = [tf.Feature(source(folder, "csv"), columns="x", name="f", on_duplicate="keep_last")]
    assert "only" not in built(Inputs(labels(), one), tmp_path, store)["f"]
    assert computed == []


def test_a_new_file_is_read_with_the_types_of_all(tmp_path: Path, computed: list[int]) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    write(rows(0), folder, "part-0", "csv")
    write(rows(1).with_columns(pl.col("x") + 0.5), folder, "part-1", "csv")

    def one() -> list[Any]:
        return [tf.Feature(source(folder, "csv"), columns="x", name="f", on_duplicate="keep_last")]

    built(Inputs(labels(), one()), tmp_path, store)
    write(rows(5), folder, "part-2", "csv")  # whole numbers again
    assert ONLY in built(Inputs(labels(), one()), tmp_path, store)["f"]
    assert set(computed) == {40}


def test_texts_of_a_new_file_stay_as_they_are_written(tmp_path: Path, computed: list[int]) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    folder.mkdir()
    (folder / "0.csv").write_text("k,t,x\nA1,1,10\n007,2,20\n", encoding="utf-8")
    given = tf.Labels(pl.DataFrame({"k": ["A1", "007", "7"], "at": [9, 9, 9]}), keys="k", label_time="at")

    def one() -> list[Any]:
        return [tf.Feature(source(folder, "csv"), columns="x", name="f", on_duplicate="keep_last")]

    built(Inputs(given, one()), tmp_path, store)
    for i, more in enumerate(("007,3,30\n", "7,4,40\n007,5,\n", "")):
        (folder / f"{i + 1}.csv").write_text(f"k,t,x\n{more}", encoding="utf-8")
        assert ONLY in built(Inputs(given, one()), tmp_path, store)["f"]
    assert tf.build(given, one(), store=store).frame()["f__x"].to_list() == [10, None, 40]
    assert set(computed) == {1, 2, 0}


def test_a_damaged_entry_is_not_continued(tmp_path: Path, computed: list[int]) -> None:
    folder, store = tmp_path / "events", tf.Store(tmp_path / "store")
    write(rows(0), folder, "part-0")
    one = Inputs(labels(), features(source(folder))[1])
    built(one, tmp_path, store)
    (entry,) = (tmp_path / "store" / "cache" / "features").glob("*.parquet")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(bytes(data))
    write(rows(1), folder, "part-1")
    assert "only" not in built(Inputs(labels(), features(source(folder))[1]), tmp_path, store)["g"]
    assert computed == []


# --- files that read otherwise by themselves -------------------------------------------------------------------------------


def _ipc(value: Any) -> Callable[[Path], object]:
    return lambda path: pl.DataFrame({"k": [2], "t": [3], "x": [value]}).write_ipc(path)


@pytest.mark.parametrize(
    ("suffix", "contents"),
    [
        ("ndjson", ['{"k":1,"t":1,"x":10}\n', '{"k":2,"t":2,"x":1.5}\n']),
        ("ndjson", ['{"k":1,"t":1,"x":true}\n', '{"k":2,"t":2,"x":3}\n']),
        ("ndjson", ['{"k":1,"t":1,"x":1}\n', '{"k":2,"t":8.7,"x":2}\n']),
        ("ndjson", ['{"k":1,"t":1,"x":1}\n', '{"k":2,"t":8}\n']),
        ("csv", ["k,t,x\n1,1,A1\n", "k,t,x\n2,1,007\n"]),
        ("csv", ["k,t,x\n1,1,1\n", "k,t,x\n2,1,1.5\n", "k,t,x\n3,1,3\n"]),
        ("csv", ["k,t,x\n1,1,A1\n", "k,t,x\n2,1,007\n", "k,t,x\n", "k,t,x\n3,1,true\n"]),
        ("csv", ["k,t,x\n1,1,1\n", "k,t,x\n2,1,\n", "k,t,x\n3,1,3\n"]),
        ("csv", ["k,t,x\n1,1,1.5\n", "k,t,x\n2,1,99999999999999999999\n", "k,t,x\n3,1,2024-01-01\n"]),
        ("csv", [f"k,t,x\n1,1,2024-01-01{time}\n" for time in ("T05:00:00", "", "T05:00:00.123456789", "T06:00:00")]),
        ("arrow", [_ipc(1), _ipc(1.5)]),
        ("arrow", [_ipc(date(2024, 1, 1)), _ipc(datetime(2024, 1, 1, 5))]),
    ],
)
def test_files_of_other_types_come_out_as_without_a_store(tmp_path: Path, suffix: str, contents: list[Any]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    store = tf.Store(tmp_path / "store")
    asked = tf.Labels(pl.DataFrame({"k": [1, 2, 3], "T": [9] * 3}), keys="k", label_time="T")
    for number, content in enumerate(contents):
        path = folder / f"{number}.{suffix}"
        content(path) if callable(content) else path.write_text(content)
        source = tf.Source(folder, keys="k", timestamp="t", name="e")
        given = [
            tf.Feature(source, columns="x", name="f"),
            tf.Window(source, {"x": pl.col("x").last()}, windows=[None], name="w"),
        ]
        made = [outcome(Inputs(asked, given, {"join": "inclusive"}), None, s)[0] for s in (store, None)]
        assert_same(*made)
