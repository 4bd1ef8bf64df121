"""The content hash of published rows, pinned: a store outlives the version that wrote it."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from timefence_pl.tracking.content import CONTENT_VERSION, content_of, schema_hash

ROOT = Path(__file__).parents[2]
FRAME = pl.DataFrame(
    {
        "k": [2, 1, 1],
        "at": pl.Series([dt.datetime(2024, 1, 3), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)]).dt.cast_time_unit(
            "ms"
        ),
        "zoned": pl.Series([dt.datetime(2024, 1, 3), None, None]).dt.replace_time_zone("Europe/Berlin"),
        "x": [1.5, float("nan"), None],
        "s": ["ä", None, ""],
        "c": pl.Series(["b", "a", None], dtype=pl.Categorical),
        "e": pl.Series(["b", "a", None], dtype=pl.Enum(["b", "a"])),
        "l": [[1, None], [], None],
        "d": [Decimal("1.10"), None, Decimal("2.00")],
        "b": [True, None, False],
    }
)
GOLDEN = {
    "all": "sha256:95a021e825be722c53cf8b58a78de0e6338de4c936f6222f8b0f178ea2ba6213",
    "k": "sha256:51b03d657a8611a8e2e50554cb6fcb4efa95ea5f638bd70393e411f50d548943",
    "empty": "sha256:226f7936ad644d179716d96c76fc7e843cc32be0625c579de28940897952dafa",
    "schema": "sha256:4a2cbf9813d71b58310ae429ef8b7cdd4c6c9c572a62ba435d585f3b91a79fa0",
}


def hashes() -> dict[str, str]:
    return {
        "all": content_of(FRAME, ["k"], "at").content_hash,
        "k": content_of(FRAME, ["k"], "at").columns["k"],
        "empty": content_of(FRAME.clear(), ["k"], None).content_hash,
        "schema": schema_hash(FRAME.schema),
    }


def test_the_hashes_are_these() -> None:
    assert CONTENT_VERSION == 1
    assert hashes() == GOLDEN


@pytest.mark.parametrize("threads", ["1", "4"])
def test_other_processes_find_the_same(threads: str) -> None:
    code = "from tests.contract.test_content_hash import hashes; print(hashes())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": threads, "POLARS_MAX_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert eval(done.stdout) == hashes()
