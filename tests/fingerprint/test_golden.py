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
    "nothing": "xxh3_128:c352e9cd709ab93d9919f6ba81fa291f",
    "plain": "xxh3_128:54b02f6e9897ffbb5de957de52bda857",
    "sha256": "sha256:329f2f37b209b54ac164642c67e197a4164c64e8576547c5dd7b35882be21b69",
    "bytes": "xxh3_128:06b05ab6733a618578af5f94892f3950",
    "combined": "xxh3_128:08493c74f06dccccd1ad6c60ef15f8e3",
    "frame": "xxh3_128:11af30fcb860401d207044b6ce525ac3",
    "no columns": "xxh3_128:c3c6c396eb0203cc106580ff408dfab8",
    "integers": "xxh3_128:4f8bc7b2cd695c6cd615d2387661447b",
    "wide integers": "xxh3_128:c35fdc3b7311ebefaf161b4dfb5fb0c8",
    "floats": "xxh3_128:ea92761fe282c40eda6556a3f6716d52",
    "booleans": "xxh3_128:d3e6e1c9699d2137aae23126dce38ce1",
    "strings": "xxh3_128:311a6f797006790c913304c81a050bbe",
    "binary": "xxh3_128:ff20f2fff95cf002e5853c3243bc1fd1",
    "categories": "xxh3_128:7a7b14f0183c20a3945abd873635c882",
    "enum": "xxh3_128:0105695d6d92b35c189d5bb67a615083",
    "times": "xxh3_128:459ab1e9c806bab4f4e2acf00224dcd6",
    "dates": "xxh3_128:f183710fd25e1b6e3bfb2648522ad704",
    "decimals": "xxh3_128:7bf8402671a6ffa4096171fdc467e3f8",
    "lists": "xxh3_128:ae81641327232947a1fb04d80f7fb85e",
    "arrays": "xxh3_128:acc2f84e9b3a14ce7e225893cbad2b8d",
    "structs": "xxh3_128:eae751ef8534046103ed422ed832785d",
    "maps": "xxh3_128:0a22ffeb7827ec8de2d09e932873d4ad",
    "nulls": "xxh3_128:d35b6530085621e6ec366dfd9117707b",
}
# Of CPython 3.11, and of Polars 2.1.0.
GOLDEN_BYTECODE: dict[str, str] = {
    "function": "xxh3_128:de787f256bb99d2c10c9af632940711a",
    "lambda": "xxh3_128:3fbd9e1436b7720bedc0897dd5b54794",
    "instance": "xxh3_128:34aaa71ea00ad548f075e6c32c05499c",
}
GOLDEN_PLANS: dict[str, str] = {
    "expression": "xxh3_128:805604d14704670b85acd3664cd2a545",
    "window": "xxh3_128:b9e7889a9a8b6458f91803fec6f5a794",
    "plan": "xxh3_128:ad6fe2e75ec9cbe6fc06951feda13b4b",
    "query": "xxh3_128:9da974945b3ad30440c86c1a68b4a696",
}


def test_versions():
    assert (FORMAT_VERSION, FRAME_VERSION) == (1, 1)


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
