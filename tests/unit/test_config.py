"""Configuration files: found, read, checked, their paths resolved against the file."""

from __future__ import annotations

import builtins
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import timefence_pl as tf
from timefence_pl.cli.config import KEYS, Config, config_at, find_config
from timefence_pl.durations import parse_duration

#: The ancestor's documented configuration, word for word.
ANCESTOR = """name: churn-model
version: "1.0"
# Feature file(s)
features:
  - features.py
# Label configuration
labels:
  path: data/labels.parquet
  keys: [user_id]
  label_time: label_time
  target: [churned]
# Default parameters
defaults:
  max_lookback: 365d
  join: strict          # "strict" or "inclusive"
  on_missing: "null"    # "null" or "skip"
# Store directory for build tracking
store: .timefence/
# Output directory (relative paths in build resolve against this)
output:
  dir: artifacts/
"""
TOML = """name = "churn-model"
version = "1.0"
data_dir = "data"
features = ["features.py", "more.py:spend"]
store = "kept"

[labels]
path = "data/labels.csv"
keys = ["user_id"]
label_time = "at"
target = "churned"
delimiter = ";"

[defaults]
max_lookback = "180d"
max_staleness = "none"
join = "inclusive"
on_missing = "skip"
flatten_columns = true

[output]
dir = "out"
path = "train.parquet"
compression = "lz4"

[splits]
train = ["2023-01-01", "2024-01-01"]
test = [2024-01-01, 2025-01-01]
"""


def read(folder: Path, text: str, name: str = "timefence.toml") -> Config:
    (folder / name).write_text(text, encoding="utf-8")
    return config_at(folder / name)


def refused(folder: Path, text: str, name: str = "timefence.toml") -> str:
    with pytest.raises(tf.TimefenceConfigError) as caught:
        read(folder, text, name)
    return str(caught.value)


def test_all_keys_of_the_ancestor(tmp_path: Path) -> None:
    config = read(tmp_path, ANCESTOR, "timefence.yaml")
    assert (config.name, config.version) == ("churn-model", "1.0")
    assert config.features == (str(tmp_path / "features.py"),)
    assert config.labels.path == (str(tmp_path / "data/labels.parquet"),)
    assert (config.labels.keys, config.labels.label_time, config.labels.target) == (
        ("user_id",),
        "label_time",
        ("churned",),
    )
    assert config.defaults == {"max_lookback": "365d", "join": "strict", "on_missing": "null"}
    assert config.store == tmp_path / ".timefence"
    assert config.output_dir == tmp_path / "artifacts"


def test_the_files_that_the_ancestor_writes(tmp_path: Path) -> None:
    text = "# timefence.yaml\nname: my-project\nversion: 1.0\n\n# data_dir: data/\n\ndefaults:\n  max_lookback: 365d\n"
    config = read(tmp_path, text + '  join: strict\n  on_missing: "null"\n\nstore: .timefence/\n', "timefence.yml")
    assert (config.name, config.version) == ("my-project", "1.0")
    assert read(tmp_path, "data_dir: data/\nlabels:\n", "timefence.yaml").data_dir == tmp_path / "data"


def test_a_toml_file(tmp_path: Path) -> None:
    config = read(tmp_path, TOML)
    assert config.features == (str(tmp_path / "features.py"), str(tmp_path / "more.py:spend"))
    assert config.labels.options == {"delimiter": ";"}
    assert config.labels.target == ("churned",)
    assert config.defaults == {
        "max_lookback": "180d",
        "max_staleness": None,
        "join": "inclusive",
        "on_missing": "skip",
        "flatten_columns": True,
    }
    assert (config.store, config.output_dir) == (tmp_path / "kept", tmp_path / "out")
    assert (config.output_path, config.compression) == ("train.parquet", "lz4")
    assert config.splits == {
        "train": ("2023-01-01", "2024-01-01"),
        "test": (date(2024, 1, 1), date(2025, 1, 1)),
    }


def test_a_table_of_pyproject(tmp_path: Path) -> None:
    indented = TOML.replace("\n[", "\n[tool.timefence.")
    config = read(tmp_path, f'[project]\nname = "x"\n\n[tool.timefence]\n{indented}', "pyproject.toml")
    assert config.file == tmp_path / "pyproject.toml"
    assert replace(config, file=tmp_path / "timefence.toml") == read(tmp_path, TOML)


@pytest.mark.parametrize(
    ("name", "text"),
    [("timefence.toml", ""), ("timefence.yaml", ""), ("timefence.yaml", "# nothing\n"), ("timefence.yaml", "---\n")],
)
def test_an_empty_file_holds_nothing(tmp_path: Path, name: str, text: str) -> None:
    config = read(tmp_path, text, name)
    assert config == Config(file=tmp_path / name, store=tmp_path / ".timefence")


def test_paths_resolve_against_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project/timefence.toml").write_text(
        'features = "f.py"\nlabels.path = ["s3://bucket/x.parquet", "/abs/y.parquet", "z/*.parquet"]\n'
    )
    config = config_at(Path("project/timefence.toml"))
    assert config.features == ("project/f.py",)
    assert config.labels.path == ("s3://bucket/x.parquet", "/abs/y.parquet", "project/z/*.parquet")
    assert config.store == Path("project/.timefence")


def test_a_file_is_found_in_this_order(tmp_path: Path) -> None:
    assert find_config(tmp_path) == (Config(), [])
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "not ours"\n')
    assert find_config(tmp_path)[0].file is None
    for name in ("timefence.yml", "timefence.yaml", "pyproject.toml", "timefence.toml"):
        (tmp_path / name).write_text('[tool.timefence]\nname = "x"\n' if name == "pyproject.toml" else "")
        config, warnings = find_config(tmp_path)
        assert config.file == tmp_path / name
    assert warnings == [f"{tmp_path / 'timefence.toml'} is used; timefence.yaml, timefence.yml is not read."]


def test_no_store_is_kept_where_it_is_false(tmp_path: Path) -> None:
    assert read(tmp_path, "store = false\n").store is None


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "timefence.toml").write_bytes(b'\xef\xbb\xbfname = "x"\r\nfeatures = ["f.py"]\r\n')
    assert config_at(tmp_path / "timefence.toml").name == "x"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "line", "reason"),
    [
        ("timefence.toml", 'name = "x"\n\nfeatures = [\n', 3, "Invalid value"),
        ("timefence.toml", 'name = "x"\nname = "y"\n', 2, "overwrite"),
        ("timefence.toml", "a = 1\n[labels\n", 2, "TOML"),
        ("timefence.yaml", "name: x\nlabels:\n  keys: [a\n  path: x\n", 4, "expected"),
        ("timefence.yaml", ":\n  - [\n  bad: yaml: here\n", 1, "expected"),
        ("timefence.yaml", "name: x\n\tlabels: 1\n", 2, "cannot start"),
        ("timefence.yaml", "42\n", 1, "it is a single value, not a mapping"),
        ("timefence.yaml", "\n- one\n- two\n", 2, "it is a list, not a mapping"),
        ("timefence.yaml", "name: x\nstore: y\nname: z\n", 3, "'name' is given twice, first in line 1"),
        ("timefence.yaml", "name: a\x00b\n", 1, "not allowed"),
        ("timefence.yaml", "name: x\nversion: 2024-13-45\n", 1, "month"),
        ("timefence.yaml", "? [a, b]\n: 1\n", 1, "key"),
        ("timefence.yaml", "1: x\n", 1, "the key 1 is not text"),
    ],
)
def test_a_malformed_file_is_an_error_with_its_line(
    tmp_path: Path, name: str, text: str, line: int, reason: str
) -> None:
    said = refused(tmp_path, text, name)
    assert said.splitlines()[0].startswith(f"{tmp_path / name}, line {line}: ")
    assert reason in said


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "timefence.toml").write_bytes(b'name = "x"\nversion = "\xff"\n')
    with pytest.raises(tf.TimefenceConfigError, match="line 2: .*not UTF-8"):
        config_at(tmp_path / "timefence.toml")


@pytest.mark.parametrize(
    ("text", "line", "key", "near"),
    [
        ('name = "x"\nfeatrues = ["f.py"]\n', 2, "featrues", "features"),
        ('[labels]\npath = "x"\nlabeltime = "t"\n', 3, "labels.labeltime", "label_time"),
        ('name = "x"\nlabels.key = "t"\n', 2, "labels.key", "keys"),
        ('[defaults]\n\n\nmax_look_back = "3d"\n', 4, "defaults.max_look_back", "max_lookback"),
        ('text = """\nfeatrues = 1\n"""\n', 1, "text", ""),
        ('labels = { path = "x", tagret = "y" }\n', 1, "labels.tagret", "target"),
        ("[label]\n", 1, "label", "labels"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest(
    tmp_path: Path, text: str, line: int, key: str, near: str
) -> None:
    first = refused(tmp_path, text).splitlines()[0]
    assert first.startswith(f"{tmp_path / 'timefence.toml'}, line {line}: the key {key!r} is not known.")
    assert (f"Did you mean {near!r}?" in first) is bool(near)


def test_an_unknown_key_of_yaml(tmp_path: Path) -> None:
    first = refused(tmp_path, "name: x\ndefaults:\n  joins: strict\n", "timefence.yaml").splitlines()[0]
    assert "line 3: the key 'defaults.joins' is not known. Did you mean 'join'?" in first


def test_an_unknown_key_of_pyproject(tmp_path: Path) -> None:
    text = "[build-system]\nrequires = []\n\n[tool.timefence]\nstores = 'x'\n"
    first = refused(tmp_path, text, "pyproject.toml").splitlines()[0]
    assert "line 5: the key 'stores' is not known. Did you mean 'store'?" in first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 3\n", None),
        ("features = 3\n", "line 1: features = 3 is not a name or a list of names"),
        ("features = [1]\n", "is not a name or a list of names"),
        ("labels = 3\n", "is not a table of keys"),
        ("[labels]\nkeys = true\n", "line 2: labels.keys = True is not a name or a list of names"),
        ("[defaults]\njoin = 'strickt'\n", "is not one of 'strict', 'inclusive'. Did you mean 'strict'?"),
        ("[defaults]\nmax_lookback = 1.5\n", 'is not a duration, as "30d", or "none"'),
        ("[defaults]\njoin = 'incl'\n", "Did you mean 'inclusive'?\n"),
        (
            "[defaults]\nmax_lookback = '365d'\nmax_staleness = '7x'\n",
            "line 3: defaults.max_staleness = '7x' is not a du",
        ),
        ("[defaults]\npurge = '1mo'\n", "line 2: defaults.purge = '1mo' is not a duration"),
        ("[defaults]\npurge = '1mo'\n", "Calendar units (mo, q, y) have no fixed length: give days."),
        ("[defaults]\npurge = -1\n", "is not a duration"),
        ("[defaults]\nflatten_columns = 'yes'\n", "is not true or false"),
        ("store = true\n", "is not a folder, or false for none"),
        ("[splits]\ntrain = '2024'\n", "splits.train = '2024' is not a start and an end"),
        ("[splits]\ntrain = ['2024-01-01', '2024-13-01']\n", "is not a start and an end"),
        ("[splits]\ntrain = [true, 3]\n", "is not a start and an end"),
        ("splits = 3\n", "is not a table of keys"),
        ("[output]\ndir = ''\n", "is not text"),
    ],
)
def test_a_value_of_another_kind_is_refused(tmp_path: Path, text: str, said: str | None) -> None:
    assert (said or "name = 3 is not text") in refused(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    ["30d", "1d12h", " 500ms ", "2w", "7", "0s", "", " ", "d", "30", "-1d", "1.5d", "1 d", "1mo", "3x", "1d!", "30D"],
)
def test_a_duration_is_refused_where_it_would_be_when_used(tmp_path: Path, text: str) -> None:
    try:
        parse_duration(text)
    except tf.TimefenceConfigError:
        assert "is not a duration" in refused(tmp_path, f"[defaults]\nmax_lookback = '{text}'\n")
    else:
        assert read(tmp_path, f"[defaults]\nmax_lookback = '{text}'\n").defaults == {"max_lookback": text}


def test_yaml_nulls_where_their_text_was_meant(tmp_path: Path) -> None:
    config = read(tmp_path, "defaults:\n  on_missing: null\n  max_lookback: null\n", "timefence.yaml")
    assert config.defaults == {"on_missing": "null", "max_lookback": None}


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "timefence.toml").write_text("")
    with pytest.raises(tf.TimefenceConfigError, match="Did you mean 'timefence.toml'"):
        config_at(tmp_path / "timefenc.toml")
    with pytest.raises(tf.TimefenceConfigError, match="not a configuration file"):
        config_at(Path(__file__))
    (tmp_path / "pyproject.toml").write_text("")
    with pytest.raises(tf.TimefenceConfigError, match="no table"):
        config_at(tmp_path / "pyproject.toml")


def test_a_broken_pyproject_of_others_does_not_concern_us(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert find_config(tmp_path) == (Config(), [])
    (tmp_path / "pyproject.toml").write_text("[tool.timefence]\nname = \n")
    with pytest.raises(tf.TimefenceConfigError, match="line 2"):
        find_config(tmp_path)


def test_yaml_names_the_package_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = builtins.__import__

    def blocked(name: str, *rest: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return import_(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)
    assert 'pip install "timefence-pl[yaml]"' in refused(tmp_path, ANCESTOR, "timefence.yaml")


def test_every_table_of_keys_is_checked() -> None:
    assert set(KEYS) == {"name", "version", "data_dir", "features", "labels", "defaults", "store", "output", "splits"}
