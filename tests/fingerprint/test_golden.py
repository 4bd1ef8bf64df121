"""Keys that must not change by accident: a store would be computed again, or two versions would disagree.

If a change is meant, raise ``FORMAT_VERSION`` (or ``FRAME_VERSION``) and write the new keys here:
``python -m tests.fingerprint.test_golden``.
"""

import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from timefence_pl.fingerprint import (
    FORMAT_VERSION,
    FileHasher,
    combined,
    fingerprint_callable,
    fingerprint_expr,
    fingerprint_frame,
    fingerprint_plan,
    fingerprint_series,
    hash_bytes,
    hash_parts,
)
from timefence_pl.fingerprint.frames import FRAME_VERSION

RATE = 2


def _helper(x):
    return x + RATE


def _function(x, by=3, *, plus=1.5):
    return _helper(x) * by + plus


class _Scaler:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by


def _keys():
    frame = pl.DataFrame({"a": [1, None], "b": ["x", None]})
    return {
        "nothing": hash_parts("x"),
        "plain": hash_parts("x", None, True, 1, -1, 2**70, 1.5, "é", b"\0", (1, [2]), {"b": 1, "a": None}),
        "sha256": hash_parts("x", 1, algorithm="sha256"),
        "bytes": hash_bytes(b"abc"),
        "combined": combined("x", {"a": 1, "b": combined("y", {})}).key,
        "frame": fingerprint_frame(frame).key,
        "no columns": fingerprint_frame(pl.DataFrame()).key,
        "integers": fingerprint_series(pl.Series("s", [1, None, -1])),
        "wide integers": fingerprint_series(pl.Series("s", [1, None, -(2**100)], dtype=pl.Int128)),
        "floats": fingerprint_series(pl.Series("s", [1.5, None, float("nan"), -0.0])),
        "booleans": fingerprint_series(pl.Series("s", [True, None, False])),
        "strings": fingerprint_series(pl.Series("s", ["a", None, "long enough to be elsewhere"])),
        "binary": fingerprint_series(pl.Series("s", [b"a", None, b""])),
        "categories": fingerprint_series(pl.Series("s", ["a", None, "b"], dtype=pl.Categorical)),
        "enum": fingerprint_series(pl.Series("s", ["a", None, "b"], dtype=pl.Enum(["b", "a"]))),
        "times": fingerprint_series(pl.Series("s", [dt.datetime(2024, 1, 1), None]).dt.replace_time_zone("UTC")),
        "dates": fingerprint_series(pl.Series("s", [dt.date(2024, 1, 1), None])),
        "decimals": fingerprint_series(pl.Series("s", [Decimal("1.25"), None])),
        "lists": fingerprint_series(pl.Series("s", [[1, None], None, []])),
        "arrays": fingerprint_series(pl.Series("s", [[1, 2], None], dtype=pl.Array(pl.Int64, 2))),
        "structs": fingerprint_series(pl.Series("s", [{"a": 1}, None, {"a": None}])),
        "maps": fingerprint_series(pl.Series("s", [{"a": 1}, None], dtype=pl.Map(pl.String, pl.Int64))),
        "nulls": fingerprint_series(pl.Series("s", [None, None])),
    }


def _bytecode_keys():
    return {
        "function": fingerprint_callable(_function).key,
        "lambda": fingerprint_callable(lambda x: x in {"a", "b"}).key,
        "instance": fingerprint_callable(_Scaler(2)).key,
    }


def _plan_keys():
    frame = pl.LazyFrame({"a": [1, 2], "b": ["x", "y"]})
    return {
        "expression": fingerprint_expr((pl.col("a") + 1).alias("c")).key,
        "window": fingerprint_expr(pl.col("a").rolling_mean_by("t", "30d").over("b")).key,
        "plan": fingerprint_plan(frame.filter(pl.col("a") > 1).group_by("b").agg(pl.len())).key,
        "query": fingerprint_plan(pl.SQLContext(t=frame).execute("SELECT a FROM t", eager=False)).key,
    }


GOLDEN: dict[str, str] = {
    "nothing": "xxh3_128:b156a9b6ac031200e3c997a02fed535d",
    "plain": "xxh3_128:428ffda3b28434ab1ca36c152b1a16ed",
    "sha256": "sha256:615bffef9d4254c2aafc6b0c5a5cc71095e88d1f1bb83210de6fcde1b0028452",
    "bytes": "xxh3_128:06b05ab6733a618578af5f94892f3950",
    "combined": "xxh3_128:33814e31a71d15e0f622c69e4f4f829c",
    "frame": "xxh3_128:e8061451ae2aa7cbcc933e8a886d2f9e",
    "no columns": "xxh3_128:5f3085de553cee3fdba0db384ae39788",
    "integers": "xxh3_128:9aebbfdbae2fe32eb80bfac50d5878f5",
    "wide integers": "xxh3_128:a1ebc93f63e5da9fe26ac1b29dfb58ab",
    "floats": "xxh3_128:5e9b33c0242aa03a739fc54ad20771f7",
    "booleans": "xxh3_128:e9386043cdd6563d72f22dfb9246e569",
    "strings": "xxh3_128:c34bb151f8b45bbaacf753c89662f004",
    "binary": "xxh3_128:f08265c376cefc77b88c680c9580dd01",
    "categories": "xxh3_128:3a6d3ede1f5175b29f8c482c70eede6c",
    "enum": "xxh3_128:09d7592d30fba8cfdbea54772e8cbe8c",
    "times": "xxh3_128:87d7a280172ae9ff5378dcb79710c795",
    "dates": "xxh3_128:e22d239b7c39f1a1ba71442554435d78",
    "decimals": "xxh3_128:47f9f46fbb9f2edcd6d8ecf2ef1d5f2c",
    "lists": "xxh3_128:6179728ed27166db33b98a3bf7723cd1",
    "arrays": "xxh3_128:37d7033d24734abc7aeafb34c05c874a",
    "structs": "xxh3_128:49cdfb9558a753218bf69b21004b9773",
    "maps": "xxh3_128:ac5750b4cfc678609f2b6887cc53124a",
    "nulls": "xxh3_128:17ef232763ca126550b12fe292caf912",
}
# Of CPython 3.11, and of Polars 2.1.0.
GOLDEN_BYTECODE: dict[str, str] = {
    "function": "xxh3_128:3006cc9c43446d9c2e7c4ffcbd8d5507",
    "lambda": "xxh3_128:43349068077b22f1fc0f3278710e4e8b",
    "instance": "xxh3_128:b4cb0e170dc8f04c85ffb1225f93ab11",
}
GOLDEN_PLANS: dict[str, str] = {
    "expression": "xxh3_128:ea1c2057593946502c691710edad7255",
    "window": "xxh3_128:92596cdd762797e622bb4cb422782ed8",
    "plan": "xxh3_128:c60c1be17fd34f08109e527c8baadb6f",
    "query": "xxh3_128:bb79f86017dbd2ec9d85110662df0603",
}


def test_versions():
    assert (FORMAT_VERSION, FRAME_VERSION) == (2, 1)


def test_keys_of_values_and_frames():
    assert _keys() == GOLDEN


def test_keys_of_files(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert FileHasher().hash(tmp_path / "a") == GOLDEN["bytes"] == "xxh3_128:06b05ab6733a618578af5f94892f3950"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="bytecode is that of one version")
def test_keys_of_callables():
    assert _bytecode_keys() == GOLDEN_BYTECODE


@pytest.mark.skipif(pl.__version__ != "2.1.0", reason="plans are those of one version")
def test_keys_of_plans():
    assert _plan_keys() == GOLDEN_PLANS


def _write_down():
    path = Path(__file__)
    text = path.read_text()
    for name, keys in (("", _keys()), ("_BYTECODE", _bytecode_keys()), ("_PLANS", _plan_keys())):
        start = text.index(f"GOLDEN{name}: dict[str, str] = {{")
        stop = text.index("}", start) + 1
        lines = "".join(f'    "{k}": "{v}",\n' for k, v in keys.items())
        text = f"{text[:start]}GOLDEN{name}: dict[str, str] = {{\n{lines}}}{text[stop:]}"
    path.write_text(text)


if __name__ == "__main__":
    _write_down()
