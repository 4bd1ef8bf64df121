"""The README's Python, run as it stands on small real files, and the trees and reports that it shows."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
TEXTS = re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL)
START = datetime(2024, 1, 1)


def daily_totals(events: pl.LazyFrame) -> pl.LazyFrame:
    day = pl.col("created_at").dt.truncate("1d").dt.offset_by("1d").alias("created_at")
    return events.group_by("user_id", day).agg(pl.col("amount").sum().alias("total"))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty users, with an event every few hours for a hundred days, in two files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/transactions").mkdir(parents=True)
    hours = [(u, h) for u in range(30) for h in range(u, 2400, 31)]
    events = pl.DataFrame(
        {
            "user_id": [u for u, _ in hours],
            "created_at": [START + timedelta(hours=h, minutes=u) for u, h in hours],
            "amount": [float((u * 7 + h) % 200) for u, h in hours],
        },
        schema_overrides={"created_at": pl.Datetime("us")},
    )
    events.head(1000).write_parquet("data/transactions/part-0.parquet")
    events.slice(1000).write_parquet("data/transactions/part-1.parquet")
    stamps = [(u, d) for u in range(30) for d in (0, 40, 80)]
    pl.DataFrame(
        {
            "user_id": [u for u, _ in stamps],
            "updated_at": [START + timedelta(days=d, minutes=u) for u, d in stamps],
            "country": ["FR", "DE", "US"] * 30,
            "plan": ["free", "pro"] * 45,
        }
    ).write_parquet("users.parquet")
    pl.DataFrame(
        {
            "user_id": [u for u in range(30) for _ in range(2)],
            "label_time": [START + timedelta(days=d) for _ in range(30) for d in (60, 95)],
            "churned": [False, True] * 30,
        }
    ).write_parquet("labels.parquet")
    return tmp_path


def test_the_code_runs_as_it_stands(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, Any] = {"daily_totals": daily_totals}
    for name in ("old.parquet", "new.parquet"):
        (files / name).write_bytes((files / "labels.parquet").read_bytes())
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), known)
    out = capsys.readouterr().out
    assert "activity  60 / 60 matched" in out
    assert "label row 17: user_id=8" in out
    assert "nothing changed upstream" in out
    assert (files / "audit.html").is_file()


def _shape(tree: str) -> list[str]:
    """Branches and kinds, without names, ids and hashes."""
    kinds = r"run|feature set|build|labels|feature|plan|source|file"
    return [re.sub(rf"^(\W*)({kinds}) .*?(\s+\w+:[0-9a-f]{{12}}|\[\w+\])?$", r"\1\2", r) for r in tree.splitlines()]


def test_lineage_looks_as_shown(files: Path) -> None:
    (shown,) = (t for t in TEXTS if t.startswith("run "))
    events = tf.Source("data/transactions/part-0.parquet", keys="user_id", timestamp="created_at", name="payments")
    store = tf.Store(".timefence")
    labels = tf.Labels("labels.parquet", keys="user_id", label_time="label_time")
    spend = tf.Feature(events, pl.col("amount").cum_sum().over("user_id").alias("spend"), name="spend")
    made = tf.build(labels, spend, output="train.parquet", store=store)
    store.publish("churn", made, keys="user_id", timestamp="label_time")
    with store.start_run("churn-model") as run:
        run.use("churn:latest").collect()
    assert _shape(str(store.lineage(f"run:{run.run_id}"))) == _shape(shown)


def test_the_linter_says_what_is_shown() -> None:
    (shown,) = (t for t in TEXTS if t.startswith("ratio: "))
    events = tf.Source(
        pl.DataFrame({"user": [1, 1], "at": [1, 2], "amount": [1.0, 2.0]}), keys="user", timestamp="at", name="events"
    )
    (found,) = tf.lint(tf.Feature(events, pl.col("amount") / pl.col("amount").mean().over("user"), name="ratio"))
    assert " ".join(str(found).split()) == " ".join(shown.split())
