"""Data sets larger than memory: sorted runs and their ranges, the order of rows told in parts, what memory is free."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl.leakage.diff_rows import ROW
from timefence_pl.leakage.diff_runs import RowOrder, SortedRuns


def test_ranges_of_several_runs_hold_every_row_once_and_equal_ones_together(tmp_path: Path) -> None:
    rows = pl.DataFrame({"k": [i % 7_001 if i % 3 else None for i in range(120_000)]}).with_row_index(ROW)
    runs = SortedRuns(tmp_path / "runs", rows.lazy(), ["k"], run=1)
    assert len(list((tmp_path / "runs").iterdir())) > 1
    assert runs.size > rows.estimated_size() * 0.9
    parts = [runs.part(i, 5) for i in range(5)]
    assert all(p[ROW].is_sorted() and p.height for p in parts)
    assert pl.concat(parts).sort(ROW).equals(rows)
    assert sum(p["k"].n_unique() for p in parts) == rows["k"].n_unique()


def test_rows_that_are_none_have_a_range(tmp_path: Path) -> None:
    frame = pl.DataFrame({"k": [1]}).with_row_index(ROW)
    assert SortedRuns(tmp_path / "runs", frame.lazy().head(0), ["k"]).part(0, 2).equals(frame.head(0))


@pytest.mark.parametrize("seed", range(60))
def test_the_order_of_pairs_is_told_from_parts(tmp_path: Path, seed: int) -> None:
    c = random.Random(seed)
    old, new = (sorted(c.sample(range(40), 20)) for _ in range(2))
    for _ in range(c.choice([0, 0, 1])):
        i, j = sorted(c.sample(range(20), 2))
        new[i], new[j] = new[j], new[i]
    order = RowOrder(tmp_path / "pairs", step=c.choice([1, 7, 1_000]))
    parts: list[list[tuple[int, int]]] = [[] for _ in range(4)]
    for pair in zip(old, new, strict=True):
        c.choice(parts).append(pair)
    for part in parts:
        order.add(*(pl.Series([p[side] for p in part], dtype=pl.UInt32) for side in (0, 1)))
    assert order.kept() == (new == sorted(new))


def test_two_rows_that_changed_places_are_told_in_any_number_of_parts() -> None:
    old = pl.DataFrame({"k": range(1_000), "at": [1] * 1_000, "x": range(1_000)})
    swapped = old[[*range(500), 501, 500, *range(502, 1_000)]]
    for parts in (1, 2, 50):
        options = {"keys": "k", "label_time": "at", "parts": parts}
        assert tf.diff(old, swapped, **options).reordered  # type: ignore[arg-type]
        assert not tf.diff(old, old.filter(pl.col("k") % 3 > 0), **options).reordered  # type: ignore[arg-type]
        assert not tf.diff(old.tail(900), old.head(900), **options).reordered  # type: ignore[arg-type]


def test_as_many_parts_as_memory_asks_for_agree_with_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = pl.DataFrame({"k": range(3_000), "at": [1] * 3_000, "x": range(3_000)})
    old.write_parquet(tmp_path / "old.parquet")
    new = old.with_columns(pl.col("x") // 2 * 2).reverse().lazy()
    wanted = tf.diff(tmp_path / "old.parquet", new, keys="k", label_time="at", parts=1)
    taken: list[int] = []
    part = SortedRuns.part
    monkeypatch.setattr(SortedRuns, "part", lambda s, n, parts: (taken.append(parts), part(s, n, parts))[1])
    for free in (1 << 40, 100_000):
        monkeypatch.setattr("timefence_pl.leakage.diff.free_memory", lambda free=free: free)
        assert tf.diff(tmp_path / "old.parquet", new, keys="k", label_time="at").to_dict() == wanted.to_dict()
    assert set(taken) == {1, max(taken)}
    assert max(taken) > 5


def test_a_full_disk_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        text = "parquet: File out of specification: underlying IO error: No space left on device (os error 28)"
        raise pl.exceptions.ComputeError(text)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    frame = pl.DataFrame({"k": [1], "at": [1]})
    with pytest.raises(tf.TimefenceStoreError, match=r"cannot be spread over temporary files[\s\S]*TMPDIR"):
        tf.diff(frame, frame, keys="k", label_time="at", parts=2)


PROGRAM = """
import resource, sys
import timefence_pl as tf
folder, parts = sys.argv[1], int(sys.argv[2])
tf.diff(folder + "/old.parquet", folder + "/new.parquet", keys="k", label_time="at", parts=parts)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    used = []
    for millions in (4, 16):
        rows = pl.select(
            k=pl.int_range(millions * 1_000_000).hash(1), at=pl.int_range(millions * 1_000_000) // 3
        ).lazy()
        wide = rows.with_columns(pl.col("at").hash(i).alias(f"x{i}") for i in range(8))
        for name in ("old", "new"):
            wide.sink_parquet(tmp_path / f"{name}.parquet", row_group_size=100_000, engine="streaming")
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(4 * millions)]
        used.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    assert used[1] < used[0] * 1.4, used
