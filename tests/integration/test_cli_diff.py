"""``diff``: two data sets compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.integration.cli import run

OLD = pl.DataFrame(
    {
        "uid": [1, 2, 3, 4, 5],
        "lt": [datetime(2024, 6, 1) + timedelta(days=i) for i in range(5)],
        "val": [100.0, 100.0, None, 100.0, 100.0],
        "kind": ["a", "b", "c", "d", "e"],
    }
)
KEYS = ["--keys", "uid", "--label-time", "lt"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    OLD.write_parquet(tmp_path / "v1.parquet")
    OLD.with_columns(pl.col("val") + 0.0001).write_parquet(tmp_path / "v2.parquet")
    return tmp_path


def test_identical_sets(data: Path) -> None:
    told = run(data, "diff", "v1.parquet", "v1.parquet", *KEYS, "--strict", "--json").json
    assert (told["identical"], told["value_changes"], told["matched_rows"]) == (True, {}, 5)


def test_changes_and_tolerances(data: Path) -> None:
    told = run(data, "diff", "v1.parquet", "v2.parquet", *KEYS, "--json").json
    assert told["value_changes"]["val"]["changed_count"] == 4
    assert (told["old_rows"], told["new_rows"]) == (5, 5)
    run(data, "diff", "v1.parquet", "v2.parquet", *KEYS, "--strict", code=1)
    run(data, "diff", "v1.parquet", "v2.parquet", *KEYS, "--strict", "--atol", "0.01")
    run(data, "diff", "v1.parquet", "v2.parquet", *KEYS, "--strict", "--rtol", "0.001")
    ran = run(data, "diff", "v1.parquet", "v2.parquet", *KEYS, "--column", "val")
    assert "val" in ran.out
    assert "Largest changes of val" in ran.out
    assert "100.0001" in ran.out


def test_columns_and_rows_that_come_and_go(data: Path) -> None:
    new = OLD.head(4).drop("kind").with_columns(more=1, uid=pl.col("uid") + 1)
    new.write_csv(data / "new.csv")
    told = run(data, "diff", "v1.parquet", "new.csv", *KEYS, "--json").json
    kinds = {c["column"]: c["type"] for c in told["schema_changes"]}
    assert (kinds["kind"], kinds["more"]) == ("-", "+")
    assert told["removed_rows"] > 0
    run(data, "diff", "v1.parquet", "new.csv", *KEYS, "--html", "out/diff.html")
    assert "<html" in (data / "out/diff.html").read_text().lower()


def test_keys_of_the_configuration_or_the_features(data: Path) -> None:
    assert "Give --keys COLUMNS" in run(data, "diff", "v1.parquet", "v2.parquet", code=2).err
    (data / "timefence.toml").write_text('labels = { keys = ["uid"], label_time = "lt" }\n')
    assert run(data, "diff", "v1.parquet", "v1.parquet", "--strict").code == 0
    (data / "timefence.toml").write_text('labels.label_time = "lt"\n')
    (data / "features.py").write_text(
        "import timefence_pl as tf\nx = tf.Feature(tf.Source('v1.parquet', keys='uid', timestamp='lt'), columns='val')\n"
    )
    assert run(data, "diff", "v1.parquet", "v1.parquet", "--strict").code == 0


def test_times_in_text(data: Path) -> None:
    OLD.with_columns(pl.col("lt").dt.strftime("%d.%m.%Y")).write_csv(data / "text.csv")
    words = ["diff", "v1.parquet", "text.csv", *KEYS, "--timestamp-format", "%d.%m.%Y"]
    assert run(data, *words, "--json").json["matched_rows"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["v1.parquet", "v3.parquet", *KEYS], "v3.parquet"),
        (["v1.parquet", "v2.parquet", "--keys", "id", "--label-time", "lt"], "'id'"),
        (["v1.parquet", "v2.parquet", "--keys", "uid", "--label-time", "lx"], "'lx'"),
        (["v1.parquet", "v2.parquet", *KEYS, "--column", "vl"], "Did you mean 'val'?"),
    ],
)
def test_what_cannot_be_compared(data: Path, words: list[str], said: str) -> None:
    ran = run(data, "diff", *words, code=3)
    assert said in ran.err
    assert "Traceback" not in ran.err
