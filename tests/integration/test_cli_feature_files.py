"""Feature files: modules that declare features; and configuration, flags and files as the commands put them together."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.integration.cli import run
from timefence_pl.cli.feature_files import FeatureFiles, importing

HEAD = """import polars as pl
import timefence_pl as tf
events = tf.Source('events.parquet', keys='user', timestamp='at')
"""


@pytest.fixture(autouse=True)
def clean() -> Any:
    with importing():
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    start = datetime(2024, 1, 1)
    times = [start + timedelta(days=d) for d in (0, 5, 3)]
    pl.DataFrame({"user": [1, 1, 2], "at": times, "x": [10, 50, 30], "y": [1.0, 2.0, 3.0]}).write_parquet(
        tmp_path / "events.parquet"
    )
    at = [start + timedelta(days=d) for d in (6, 4, 9)]
    pl.DataFrame({"user": [1, 2, 3], "label_time": at, "churned": [0, 1, 1], "weight": [1, 1, 2]}).write_parquet(
        tmp_path / "labels.parquet"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path, text: str, *given: str, file: str = "features.py") -> list[str]:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(HEAD + text)
    return [f.name for f in FeatureFiles().load(given or (file,))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("b = tf.Feature(events, columns='x')\na = tf.Feature(events, columns='y')\n", ["x", "y"]),
        ("features = [tf.Feature(events, columns='y'), tf.Feature(events, columns='x')]\n", ["y", "x"]),
        ("features = (tf.Feature(events, columns='y'),)\n", ["y"]),
        ("features = {'one': tf.Feature(events, columns='y')}\n", ["y"]),
        (
            "features = [[tf.Feature(events, columns='y')], tf.FeatureSet('s', [tf.Feature(events, columns='x')])]\n",
            ["y", "x"],
        ),
        ("base = tf.FeatureSet('base', [tf.Feature(events, columns='y')])\n", ["y"]),
        ("w = tf.Window(events, {'n': pl.len()}, windows='7d', name='w')\n", ["w"]),
        ("one = tf.Feature(events, columns='x')\nfeatures = [one]\nbase = tf.FeatureSet('b', [one])\n", ["x"]),
        ("_hidden = tf.Feature(events, columns='x')\n", ["x"]),
        ("__all__ = ['a']\na = tf.Feature(events, columns='x')\nb = tf.Feature(events, columns='y')\n", ["x"]),
        ("for c in 'xy':\n    globals()[c] = tf.Feature(events, columns=c)\n", ["x", "y"]),
    ],
)
def test_features_are_found_in_the_order_of_declaration(project: Path, text: str, found: list[str]) -> None:
    assert names(project, text) == found


def test_a_set_of_python_is_taken_in_order_of_name(project: Path) -> None:
    assert names(project, "features = {tf.Feature(events, columns='y'), tf.Feature(events, columns='x')}\n") == [
        "x",
        "y",
    ]


TWO = """one = tf.Feature(events, columns='x', name='first')
both = [one, tf.Feature(events, columns='y', name='second')]
group = tf.FeatureSet('base', [tf.Feature(events, columns='y', name='third')])
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("first", ["first"]),
        ("second", ["second"]),
        ("both", ["first", "second"]),
        ("base", ["third"]),
        ("group", ["third"]),
    ],
)
def test_a_feature_a_set_or_a_variable_can_be_named(project: Path, name: str, found: list[str]) -> None:
    assert names(project, TWO, f"features.py:{name}") == found


def test_a_name_that_is_not_there_is_an_error_with_the_nearest(project: Path) -> None:
    with pytest.raises(tf.TimefenceConfigError, match="no feature 'secnd'. Did you mean 'second'"):
        names(project, TWO, "features.py:secnd")


def test_several_files_and_globs_and_folders(project: Path) -> None:
    names(project, "a = tf.Feature(events, columns='x', name='a')\n", file="features/a.py")
    names(project, "b = tf.Feature(events, columns='x', name='b')\n", file="features/b.py")
    (project / "features/_helper.py").write_text("raise RuntimeError\n")
    for given in (
        ["features/a.py", "features/b.py"],
        ["features/[ab].py"],
        ["features"],
        ["features/a.py", "features"],
    ):
        with importing():
            assert [f.name for f in FeatureFiles().load(given)] == ["a", "b"]


def test_siblings_import_early_and_late(project: Path) -> None:
    (project / "lib").mkdir()
    (project / "lib/helpers.py").write_text("import timefence_pl as tf\nCOLUMN = 'x'\ndef double(c): return c * 2\n")
    text = """from helpers import COLUMN
def late(frame):
    from helpers import double
    return frame.select('user', 'at', double(pl.col('x')).alias('v'))
one = tf.Feature(events, columns=COLUMN, name='one')
two = tf.Feature(events, transform=late)
"""
    (project / "lib/features.py").write_text(HEAD + text)
    ran = run(project, "build", "--features", "lib/features.py", "--labels", "labels.parquet", "-o", "o.parquet")
    assert "late" in ran.out
    frame = pl.read_parquet(project / "o.parquet")
    assert frame["late__v"].to_list() == [100, 60, None]
    assert "helpers" not in sys.modules
    assert str(project / "lib") not in sys.path


def test_two_projects_with_equal_names_do_not_mix(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for folder, column in ((project, "x"), (other, "y")):
        (folder / "helpers.py").write_text(f"COLUMN = {column!r}\n")
        (folder / "features.py").write_text(
            f"from helpers import COLUMN\n{HEAD}a = tf.Feature(events, columns=COLUMN, name='a')\n"
        )
    for folder, column in ((project, "x"), (other, "y")):
        assert run(folder, "catalog", "--json").json["features"][0]["columns"] == [column]


def test_two_feature_files_of_one_stem(project: Path) -> None:
    names(project, "a = tf.Feature(events, columns='x', name='a')\n", file="one/features.py")
    found = names(
        project,
        "b = tf.Feature(events, columns='x', name='b')\n",
        "one/features.py",
        "two/features.py",
        file="two/features.py",
    )
    assert found == ["a", "b"]


def test_a_file_of_a_package_may_import_relatively(project: Path) -> None:
    (project / "pkg/sub").mkdir(parents=True)
    for folder in ("pkg", "pkg/sub"):
        (project / folder / "__init__.py").write_text("")
    (project / "pkg/columns.py").write_text("X = 'x'\n")
    text = "from ..columns import X\na = tf.Feature(events, columns=X)\n"
    assert names(project, text, file="pkg/sub/features.py") == ["x"]


def test_a_sibling_that_imports_the_feature_file_gets_the_same_features(project: Path) -> None:
    (project / "more.py").write_text("from features import one\nrest = [one]\n")
    text = "one = tf.Feature(events, columns='x')\n"
    assert names(project, text, "features.py", "more.py") == ["x"]


def test_a_file_named_like_a_module_of_the_standard_library(project: Path) -> None:
    assert names(project, "a = tf.Feature(events, columns='x')\n", file="json.py") == ["x"]
    assert names(project, "a = tf.Feature(events, columns='x')\n", file="my-features.py") == ["x"]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("def broken(:\n", 2, "features.py, line 4: SyntaxError"),
        ("\n\nx = 1 / 0\n", 2, "features.py, line 6: ZeroDivisionError: division by zero"),
        ("import nothing_of_this_name\n", 2, "features.py, line 4: ModuleNotFoundError"),
        ("import timefence\n", 2, "import timefence_pl as timefence"),
        ("raise SystemExit(0)\n", 2, "features.py, line 4: SystemExit: 0"),
        ("tf.Feature(events)\n", 2, "features.py, line 4: Feature needs exactly one of"),
        ("tf.Feature(events, columns=[])\n", 3, "line 4: columns of Feature cannot be empty"),
        (
            "a = tf.Feature(events, columns='x')\nb = tf.Feature(events, columns='x')\n",
            2,
            "Two features have the same name",
        ),
        ("def spend(frame): return frame\n", 2, "functions, which are not called: 'spend'"),
        ("", 2, "declares no feature"),
    ],
)
def test_a_file_that_cannot_be_used(project: Path, text: str, code: int, said: str) -> None:
    (project / "features.py").write_text(HEAD + text)
    ran = run(project, "catalog", code=code)
    assert said in ran.err
    assert str(project) not in ran.err.replace(f"looked from {project}", "")
    assert "Traceback" not in ran.err


def test_a_fault_in_a_sibling_is_told_with_its_file(project: Path) -> None:
    (project / "helpers.py").write_text("x = (\n")
    (project / "features.py").write_text("import helpers\n" + HEAD)
    said = run(project, "catalog", code=2).err
    assert "features.py, line 1: SyntaxError" in said
    assert "helpers.py, line 1" in said


@pytest.mark.parametrize("file", ["features.py", "my-features.py", "json.py"])
def test_features_of_files_are_had_from_the_store(simple: Path, file: str) -> None:
    text = "def double(e):\n    return e.select('user', 'at', v=pl.col('x') * helper())\ndef helper():\n    return 2\n"
    (simple / file).write_text(HEAD + text + "f = tf.Feature(events, transform=double)\n")
    words = ["build", "--labels", "labels.parquet", "--features", file, "--json"]
    cached = [run(simple, *words, "-o", f"{n}.parquet").json["features"]["double"]["cached"] for n in range(2)]
    assert cached == [False, True]
    (simple / file).write_text((simple / file).read_text().replace("return 2", "return 3"))
    assert run(simple, *words, "-o", "3.parquet").json["features"]["double"]["cached"] is False


def test_without_files_it_says_where_it_looked(project: Path) -> None:
    ran = run(project, "catalog", code=2)
    assert "'features.py', 'features/*.py'" in ran.err
    assert "--features PATH.py" in ran.err
    assert "is not a Python file" in run(project, "catalog", "--features", "events.parquet", code=2).err


# --- put together -----------------------------------------------------------------------------------------------------


@pytest.fixture
def simple(project: Path) -> Path:
    (project / "features.py").write_text(HEAD + "x = tf.Feature(events, columns='x')\n")
    return project


def columns(project: Path, *words: str, output: str = "o.parquet") -> list[str]:
    run(project, "build", "-o", output, *words)
    return pl.read_parquet_schema(project / output).names()


def test_keys_come_from_features_and_targets_from_the_rest(simple: Path) -> None:
    manifest = run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet", "--json").json
    assert manifest["labels"]["keys"] == ["user"]
    assert manifest["labels"]["target_columns"] == ["churned", "weight"]
    words = ["--keys", "user", "--target", "churned"]
    manifest = run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet", *words, "--json").json
    assert manifest["labels"]["target_columns"] == ["churned"]


def test_mapped_keys_are_the_labels(project: Path) -> None:
    pl.read_parquet(project / "labels.parquet").rename({"user": "person"}).write_parquet(project / "labels.parquet")
    (project / "features.py").write_text(HEAD + "x = tf.Feature(events, columns='x', key_mapping={'person': 'user'})\n")
    assert columns(project, "--labels", "labels.parquet")[0] == "person"


def test_flags_win_over_the_configuration(simple: Path) -> None:
    (simple / "timefence.toml").write_text(
        'labels.path = "labels.parquet"\nstore = false\n[defaults]\nmax_lookback = "1h"\njoin = "inclusive"\n'
        'flatten_columns = true\n[output]\ndir = "made"\npath = "auto.csv"\n'
    )
    told = run(simple, "build", "--json").json
    assert told["parameters"]["max_lookback"] == "1h"
    assert told["parameters"]["flatten_columns"] is True
    assert told["output"]["path"] == str(simple / "made/auto.csv")
    assert not (simple / ".timefence").exists()
    told = run(simple, "build", "-o", "x.parquet", "--max-lookback", "9d", "--join-mode", "strict", "--json").json
    assert (told["parameters"]["max_lookback"], told["parameters"]["join"]) == ("9d", "strict")
    assert told["output"]["path"] == str(simple / "made/x.parquet")
    told = run(simple, "build", "-o", simple / "y.parquet", "--max-lookback", "none", "--json").json
    assert told["parameters"]["max_lookback"] is None
    assert told["output"]["path"] == str(simple / "y.parquet")


def test_a_configuration_elsewhere_resolves_its_own_paths(
    simple: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = (simple / "features.py").read_text().replace("'events.parquet'", repr(str(simple / "events.parquet")))
    (simple / "features.py").write_text(text)
    (simple / "timefence.toml").write_text(
        'features = "features.py"\nlabels.path = "labels.parquet"\noutput.path = "o.csv"\n'
    )
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    run(elsewhere, "--config", simple / "timefence.toml", "build")
    assert (simple / "o.csv").is_file()
    assert (simple / ".timefence").is_dir()
    assert list(elsewhere.iterdir()) == []


def test_splits_and_purge(simple: Path) -> None:
    words = ["--split", "a:2024-01-01:2024-01-06", "--split", "b:2024-01-06T00:00:2024-02-01T00:00:00", "--purge", "3d"]
    ran = run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet", *words)
    assert "Split     a:" in ran.out
    assert "Purged    1 rows" in ran.out
    assert pl.read_parquet(simple / "o_b.parquet").height == 2
    (simple / "timefence.toml").write_text('splits.c = ["2024-01-01", "2025-01-01"]\ndefaults.purge = "1d"\n')
    run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet")
    assert pl.read_parquet(simple / "o_c.parquet").height == 3


def test_a_purge_without_splits_is_refused(simple: Path) -> None:
    words = ["build", "--labels", "labels.parquet", "-o", "o.parquet", "--purge", "7d"]
    for more in ([], ["--dry-run"]):
        assert "error: --purge needs --split" in run(simple, *words, *more, code=2).err
    assert not (simple / "o.parquet").exists()


def test_options_of_the_join_and_the_file(simple: Path) -> None:
    words = ["build", "--labels", "labels.parquet", "-o", "o.parquet"]
    told = run(simple, *words, "--max-staleness", "2h", "--json").json
    assert told["parameters"]["max_staleness"] == "2h"
    assert told["features"]["x"]["statistics"]["stale"] == 2
    assert run(simple, "explain", "--labels", "labels.parquet", "--max-staleness", "2h").out.count("older than 2h") == 1
    run(simple, *words, "--on-missing", "skip")
    assert pl.read_parquet(simple / "o.parquet").height == 2
    run(simple, *words, "--flatten", "--feature-times")
    assert {"x", "x__feature_time"} <= set(pl.read_parquet_schema(simple / "o.parquet"))
    sizes = []
    for compression in ("uncompressed", "brotli"):
        run(simple, *words, "--compression", compression)
        sizes.append((simple / "o.parquet").stat().st_size)
    assert sizes[0] != sizes[1]


def test_a_store_elsewhere(simple: Path) -> None:
    run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet", "--store", "kept")
    assert not (simple / ".timefence").exists()
    assert run(simple, "explain", "--labels", "labels.parquet", "--store", "kept", "--json").json["plan"][0]["cached"]
    assert len(run(simple, "store", "ls", "--store", "kept", "--json").json["builds"]) == 1
    (entry,) = (simple / "kept/cache/features").glob("*.parquet")
    entry.write_bytes(entry.read_bytes()[:-9] + b"\0" * 9)
    assert "FAIL" in run(simple, "store", "verify", "--store", "kept", code=4).out
    assert "set aside" in run(simple, "store", "verify", "--store", "kept", "--repair", code=4).out
    run(simple, "store", "verify", "--store", "kept")
    (simple / "timefence.toml").write_text("store = 'kept'\n")
    run(simple, "build", "--labels", "labels.parquet", "-o", "o2.parquet", "--on-missing", "skip")
    gone = run(simple, "store", "gc", "--older-than", "0s", "--json").json
    assert any("features" in p for p in gone["paths"])
    assert run(simple, "store", "gc", "--older-than", "5", code=2).err


def test_integer_times(project: Path) -> None:
    pl.DataFrame({"user": [1], "at": [3], "x": [1]}).write_parquet(project / "events.parquet")
    pl.DataFrame({"user": [1, 1], "label_time": [5, 20_000]}).write_parquet(project / "labels.parquet")
    (project / "features.py").write_text(HEAD + "x = tf.Feature(events, columns='x')\n")
    words = ["--max-lookback", "10", "--split", "a:0:10", "--split", "b:10:30000"]
    run(project, "build", "--labels", "labels.parquet", "-o", "o.parquet", *words)
    assert pl.read_parquet(project / "o.parquet")["x__x"].to_list() == [1, None]
    assert pl.read_parquet(project / "o_b.parquet").height == 1


@pytest.mark.parametrize("configured", [False, True])
def test_an_output_elsewhere_is_refused_and_makes_no_folder(simple: Path, configured: bool) -> None:
    if configured:
        (simple / "timefence.toml").write_text('output.path = "s3://bucket/x.parquet"\n')
    words = ["--labels", "labels.parquet", *([] if configured else ["-o", "s3://bucket/x.parquet"])]
    assert "'s3://bucket/x.parquet' is not on this machine" in run(simple, "build", *words, code=2).err
    assert not (simple / "s3:").exists()


def test_dry_run_writes_nothing(simple: Path) -> None:
    before = sorted(simple.rglob("*"))
    ran = run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet", "--dry-run")
    assert ran.out.startswith("JOIN PLAN")
    assert "Nothing was built" in ran.out
    assert sorted(p for p in simple.rglob("*") if "__pycache__" not in p.parts) == [
        p for p in before if "__pycache__" not in p.parts
    ]


def test_a_feature_that_matches_nothing_is_told(simple: Path) -> None:
    ran = run(simple, "build", "--labels", "labels.parquet", "-o", "o.parquet", "--max-lookback", "1s")
    assert "NONE  x" in ran.out
    assert "matched no label row" in ran.err


def test_explaining(simple: Path) -> None:
    told = run(simple, "explain", "--labels", "labels.parquet", "--json").json
    assert told["label_count"] == 3
    (plan,) = told["plan"]
    assert plan["name"] == "x"
    assert "events.at < labels.label_time" in plan["join_condition"]
    assert "polars_plan" in run(simple, "-v", "explain", "--labels", "labels.parquet", "--json").json
    row = run(simple, "explain", "--labels", "labels.parquet", "--row", "0", "--json").json
    assert row["features"]["x"]["chosen"]["values"] == {"x": 50}
    assert "superseded" in run(simple, "explain", "--labels", "labels.parquet", "--row", "0").out
    assert not (simple / ".timefence").exists()


def test_the_store(simple: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        run(simple, "build", "--labels", "labels.parquet", "-o", name)
    told = run(simple, "store", "ls", "--json").json
    assert [Path(b["output"]["path"]).name for b in told["builds"]] == ["b.parquet", "a.parquet"]
    assert "... and 1 older" in run(simple, "store", "ls", "--limit", "1").out
    first = told["builds"][1]["build_id"]
    assert run(simple, "store", "show", first[:-3], "--json").json["build_id"] == first
    assert "feature_time < label_time" in run(simple, "store", "show", "latest").out
    assert "There is no build" in run(simple, "store", "show", "nothing", code=3).err
    assert "beginning of 2" in run(simple, "store", "show", "2", code=3).err
    assert run(simple, "store", "verify", "--json").json["whole"] is True
    (simple / "a.parquet").write_bytes(b"x")
    ran = run(simple, "store", "verify", code=4)
    assert "its size has changed" in ran.out
    assert run(simple, "store", "verify", "--json", code=4).json["problems"][0]["reason"] == "its size has changed"
    assert "would be freed" in run(simple, "store", "gc", "--keep-builds", "1").out
    assert len(run(simple, "store", "ls", "--json").json["builds"]) == 2
    assert "freed" in run(simple, "store", "gc", "--keep-builds", "1", "--max-size", "0kB", "--delete").out
    told = run(simple, "store", "ls", "--json").json
    assert (len(told["builds"]), told["cache"]["entries"]) == (1, 0)
    assert "is not a size" in run(simple, "store", "gc", "--max-size", "big", code=2).err


def test_a_fault_in_a_users_function_is_told_with_its_line(project: Path) -> None:
    text = "def spend(events):\n    rows = events.collect()\n    return {}[rows.height]\nf = tf.Feature(events, transform=spend)\n"
    (project / "features.py").write_text(HEAD + text)
    ran = run(project, "build", "--labels", "labels.parquet", "-o", "o.parquet", code=None)
    assert ran.code in (2, 3)
    assert "KeyError" in ran.err
    assert "spend" in ran.err
    assert "fault of the program" not in ran.err


def test_the_catalog_tells_columns_of_sql_and_transforms(project: Path) -> None:
    text = (
        "a = tf.Feature(events, sql='SELECT \"user\", at, x + 1 AS more FROM {source}', name='a', embargo='1d')\n"
        "b = tf.Feature(events, transform=lambda e: e.select('user', 'at', z='y'), name='b')\n"
        "c = tf.Feature(events, pl.all().exclude('user', 'at'), name='c')\n"
        "d = tf.Feature(tf.Source('no.parquet', keys='k', timestamp='t'), sql='SELECT 1 FROM {source}', name='d')\n"
        "e = tf.Window(events, {'n': pl.len()}, windows=['1d', None], name='e')\n"
    )
    (project / "features.py").write_text(HEAD + text)
    told = {f["name"]: f for f in run(project, "catalog", "--json").json["features"]}
    assert [told[n]["columns"] for n in "abcde"] == [["more"], ["z"], ["x", "y"], [], ["n_1d", "n_all"]]
    assert (told["a"]["embargo"], told["b"]["embargo"], told["a"]["mode"]) == ("1d", None, "sql")
