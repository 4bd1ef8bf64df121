"""Folders that may not be written. As root, who may write any, the tests of them run in a process without privileges."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.privileges import writes_anywhere

ROOT = Path(__file__).parents[2]
TESTS = [
    "tests/store/test_store.py::test_a_read_only_store",
    "tests/tracking/test_published_sets.py::test_a_store_that_cannot_be_written",
    "tests/unit/test_output_files.py::test_a_folder_that_may_not_be_written_is_told",
]


@pytest.mark.skipif(not writes_anywhere(), reason="they run by themselves")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="privileges are dropped as Linux has it")
def test_read_only_folders_without_the_privileges_of_root(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.privileges", "-q", "-rs", f"--basetemp={tmp_path / 'base'}", *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^6 passed in", done.stdout, re.MULTILINE), done.stdout
