"""Random bytes of every kind of store file are flipped, cut off or added; the next build is right."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

import timefence_pl as tf
from tests.store.outcomes import Inputs, Outcome, assert_same, outcome
from tests.store.test_nothing_stale import EVENTS, LABELS, labels, last, more, plain, source

KINDS = {
    "frame": "cache/features/*.parquet",
    "record": "cache/features/*.json",
    "hashes": "cache/hashes.json",
    "manifest": "builds/*/build.json",
    "marker": "timefence_pl.json",
    "output": "../out/*.parquet",
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    where, how = chance.randrange(max(len(data), 1)), chance.randrange(6)
    if how == 0:
        return data[:where]
    if how == 1:
        return data + chance.randbytes(7)
    if how == 2:
        return data[:where] + chance.randbytes(5) + data[where + 5 :]
    if how == 3 and b"0" in data:
        # A digit for another: JSON stays JSON.
        digits = [i for i, b in enumerate(data) if 48 <= b <= 57]
        at = chance.choice(digits)
        return data[:at] + bytes([48 + (data[at] - 47) % 10]) + data[at + 1 :]
    return data[:where] + bytes([data[where] ^ 1 << chance.randrange(8)]) + data[where + 1 :]


def flip(folder: Path, kinds: list[str], times: int, seed: int) -> Counter[str]:
    named = EVENTS.with_columns(name=EVENTS["k"].cast(str))
    path = plain(named, folder / "events.parquet")
    given = Inputs(
        labels(LABELS.with_columns(name=LABELS["k"].cast(str)), keys=["k", "name"]),
        [
            last(path, name="f"),
            last(source(path, keys="name"), name="g"),
            last(source(path, available_at="u"), name="h"),
            last(more(EVENTS), name="i"),
        ],
        {"splits": {"a": (0, 6), "b": (6, 20)}},
    )
    chance, found = random.Random(seed), Counter[str]()
    store = tf.Store(folder / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timefence_pl.fingerprint.files.GRAIN_NS", 1)
        reference, _ = outcome(given, folder / "reference" / "set.parquet")
        outcome(given, folder / "out" / "set.parquet", store)
        for name in ("store", "out"):
            shutil.copytree(folder / name, folder / "keep" / name, symlinks=True)
        for number in range(times):
            for kind in kinds:
                for name in ("store", "out"):
                    shutil.rmtree(folder / name)
                    shutil.copytree(folder / "keep" / name, folder / name, symlinks=True)
                files = sorted(p for p in store.path.glob(KINDS[kind]) if not p.is_symlink())
                assert files, kind
                for file in chance.sample(files, chance.randint(1, len(files))):
                    stat = file.stat()
                    file.write_bytes(damaged(file.read_bytes(), chance))
                    if chance.random() < 0.5:
                        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
                store.list_builds(), store.cache_info(), store.gc(keep_builds=0, max_size=0)
                output = (
                    None if number % 3 == 0 else folder / "out" / ("set.parquet" if number % 3 == 1 else "new.parquet")
                )
                made, result = outcome(given, output, store)
                if made.error == "TimefenceStoreError" and kind == "marker":
                    found[f"{kind}: refused"] += 1
                    continue
                expected = reference
                if output is None:
                    expected = Outcome({"": reference.frames[""]}, made.values, made.warned)
                    assert made.values["stats"] == reference.values["stats"]
                assert_same(made, expected)
                assert result is not None
                found[f"{kind}: {'reused' if result.manifest['reused'] else 'built'}"] += 1
                # A build found again reads no entry.
                assert result.manifest["reused"] or not [p for p in store.verify() if p.what == "cache entry"]
    return found


def test_flipped_bytes(tmp_path: Path) -> None:
    print(dict(flip(tmp_path, list(KINDS), 8, 1)))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_many_flipped_bytes(tmp_path: Path, kind: str) -> None:
    print(dict(flip(tmp_path, [kind], 300, 2)))
