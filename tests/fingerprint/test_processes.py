"""The same key in every process, whatever its hash seed, folder and way of spelling paths."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
FEATURES = """
    import dataclasses
    import enum
    import functools
    import polars as pl
    from helpers import shift

    NAMES = {"b", "a", "c"}
    TABLE = {"x": {1, 2, 3}, "y": frozenset(["p", "q", "r"])}

    class Kind(enum.Enum):
        LOW = "low"
        HIGH = "high"

    @dataclasses.dataclass
    class Scale:
        by: int = 2

        def __call__(self, s):
            return shift(s) * self.by + len(NAMES) + len(TABLE)

    def function(s, kind=Kind.LOW):
        return shift(s) if s.name in {"a", "b", "c", "d"} else s

    def expressions():
        return {
            "plain": pl.col("a").rolling_mean(3).over("b"),
            "lambda": pl.col("a").map_batches(lambda s: Scale(3)(s)),
            "function": pl.col("a").map_elements(function, return_dtype=pl.Int64),
            "partial": pl.col("a").map_batches(functools.partial(function, kind=Kind.HIGH)),
            "instance": pl.col("a").map_batches(Scale(5)),
            "names": pl.col("a").is_in(sorted(NAMES)),
        }
"""
HELPERS = "OFFSETS = {'one', 'two'}\n\ndef shift(s):\n    return s + len(OFFSETS)\n"
SCRIPT = """
    import json, sys, warnings
    import polars as pl
    warnings.simplefilter("ignore")
    from timefence_pl.fingerprint import (
        FileHasher, combined, fingerprint_callable, fingerprint_expr, fingerprint_frame, fingerprint_plan)
    import features

    class Main:
        def __call__(self, s): return s + {"p": 1, "q": 2}[s.name]

    root = sys.argv[1]
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    found = {f"expression {n}": fingerprint_expr(e) for n, e in features.expressions().items()}
    found |= {
        "callable": fingerprint_callable(features.Scale(4)),
        "main": fingerprint_callable(Main()),
        "main in a plan": fingerprint_expr(pl.col("a").map_batches(lambda s: Main()(s))),
        "frame": fingerprint_frame(frame),
        "categories": fingerprint_frame(frame.cast({"b": pl.Categorical})),
        "scan": fingerprint_plan(pl.scan_parquet(f"{root}data/*.parquet").filter(pl.col("a") > 1).cache()),
        "hive": fingerprint_plan(pl.scan_parquet(f"{root}data/", hive_partitioning=True)),
        "sql": fingerprint_plan(pl.SQLContext(x=frame.lazy(), y=frame.lazy().head(1), z=frame.lazy().tail(1)).execute(
            "SELECT x.a FROM x JOIN y ON x.a = y.a JOIN z ON x.a = z.a", eager=False)),
        "files": FileHasher().fingerprint([f"{root}data/a.parquet", f"{root}data/b.parquet"]),
        "all": combined("all", {"z": 1, "a": [1, {"y": 2, "x": None}]}),
    }
    print(json.dumps({n: [f.key, sorted(f.parts.items())] for n, f in found.items()}))
"""


def _project(folder):
    (folder / "data").mkdir(parents=True)
    for name, source in {"features": FEATURES, "helpers": HELPERS, "script": SCRIPT}.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    for name, values in {"a": [1, 2], "b": [3]}.items():
        pl.DataFrame({"a": values}).write_parquet(folder / "data" / f"{name}.parquet")
    return folder


def _run(project, *, cwd, root, seed, threads):
    done = subprocess.run(
        [sys.executable, str(project / "script.py"), root],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": threads},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    top = tmp_path_factory.mktemp("processes")
    first = _project(top / "first")
    found = {
        "relative": _run(first, cwd=first, root="", seed="1", threads="1"),
        "absolute": _run(first, cwd=top, root=f"{first}/", seed="2", threads="4"),
    }
    shutil.copytree(first, top / "moved" / "second", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(first)
    second = top / "moved" / "second"
    script = second / "script.py"
    script.write_text("# moved\n\n\n" + script.read_text())
    found["moved"] = _run(second, cwd=top, root="moved/second/", seed="3", threads="2")
    return found


@pytest.mark.parametrize("other", ["absolute", "moved"])
def test_every_process_gives_the_same_keys(runs, other):
    one, two = runs["relative"], runs[other]
    assert {name for name in one if one[name][0] != two[name][0]} == set()
    assert len({key for key, _ in one.values()}) == len(one)


def test_every_process_gives_the_same_parts(runs):
    assert runs["relative"] == runs["moved"]
