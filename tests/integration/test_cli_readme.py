"""The README's sections on the command line, typed as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from tests.integration.cli import Ran, run
from timefence_pl.cli.app import COMMANDS, cli
from timefence_pl.cli.config import config_at

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("\n## Command line\n") : README.index("\n## Coming from Timefence\n")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)


def test_each_command_works_where_it_stands(tmp_path: Path) -> None:
    folder, ran = tmp_path, None
    outputs: dict[str, Ran] = {}
    for line in "".join(blocks("bash")).splitlines():
        words = shlex.split(line)
        if words[0] == "cd":
            folder /= words[1]
            continue
        assert words[0] == "timefence-pl"
        outputs[line] = ran = run(folder, *words[1:])
    assert ran is not None
    assert (tmp_path / "churn/another/train.parquet").is_file()
    shown = outputs["timefence-pl audit data/train_LEAKY.parquet"].out.splitlines()
    for line in blocks("text")[0].splitlines():
        assert line in shown or line.strip() == "...", line


def test_the_configuration_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "timefence.toml").write_text(blocks("toml")[0])
    config = config_at(tmp_path / "timefence.toml")
    assert config.labels.keys == ("user_id",)
    assert config.splits is not None


def test_the_workflow_is_one_and_its_command_parses() -> None:
    yaml = pytest.importorskip("yaml")
    steps: list[dict[str, Any]] = yaml.safe_load(blocks("yaml")[0])
    commands = " ".join(s["run"].replace("\\\n", " ") for s in steps if "run" in s)
    words = shlex.split(commands[commands.index("timefence-pl audit") :])
    command = cli.get_command(None, "audit")  # type: ignore[arg-type]
    assert command is not None
    command.make_context("audit", words[2:]).close()


def test_the_table_of_differences_has_a_reason_for_each() -> None:
    table = README[README.index("\n## Coming from Timefence\n") :].split("\n## ")[1]
    rows = [r for r in table.splitlines() if r.startswith("|")]
    assert len(rows) > 15
    for row in rows:
        cells = [c.strip() for c in row.strip("|").split(" | ")]
        assert len(cells) == 3 or set(row) <= set("|-"), row
        assert all(cells), row


def test_the_table_of_commands_is_whole() -> None:
    rows = re.findall(r"^\| (`[a-z`, -]+`) \| (.*) \|$", SECTION, flags=re.MULTILINE)
    named = {name: text for names, text in rows for name in re.findall(r"`([a-z-]+)`", names)}
    assert set(named) == set(COMMANDS)
    for name, command in ((n, cli.get_command(None, n)) for n in COMMANDS):  # type: ignore[arg-type]
        if isinstance(command, click.Group):
            assert set(re.findall(r"`([a-z-]+)`", named[name])) == set(command.commands)
