"""Running the command line in a folder, in this process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from timefence_pl.cli.app import cli


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output; nothing else may be there, nor on standard error."""
        assert self.err == ""
        return json.loads(self.out)


def run(folder: Path, *words: object, code: int | None = 0, env: dict[str, str] | None = None) -> Ran:
    """Run a command in a folder; it must exit with ``code``."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(cli, [str(w) for w in words], env=env)
    finally:
        os.chdir(before)
    assert code is None or result.exit_code == code, f"{result.exit_code}\n{result.output}\n{result.exc_info}"
    return Ran(result.exit_code, result.stdout, result.stderr)
