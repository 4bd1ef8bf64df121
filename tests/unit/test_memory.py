"""How much memory may be used: as the machine, and the control groups of the process, tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from timefence_pl import memory
from timefence_pl.execution.local import choose_engine

MEMINFO = "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that tells of 4,000 kB, and of no control groups."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_OF_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path


def group(folder: Path, version: int, limit: object, used: int, given_back: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = memory._FILES[version]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 3\n{names[2]} {given_back}\n")


def test_memory_that_holds_files_is_free(system: Path) -> None:
    assert memory.free_memory() == 4_000 * 1024


@pytest.mark.parametrize("told", ["", "MemFree: 1 kB\n", "MemAvailable: much\n", "MemAvailable:\n"])
def test_a_system_that_does_not_tell_is_asked_otherwise(system: Path, told: str) -> None:
    (system / "meminfo").write_text(told)
    assert memory.free_memory() > 1 << 20
    (system / "meminfo").unlink()
    assert memory.free_memory() > 1 << 20


@pytest.mark.parametrize(("limit", "left"), [("5000", 1010), ("max", 4_000 * 1024), ("100", 0), ("?", 4_000 * 1024)])
@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_the_control_group_counts(system: Path, limit: str, left: int, version: int) -> None:
    folder = system / "groups" / ("memory" if version == 1 else ".")
    (system / "cgroup").write_text("4:cpu,memory:/\n1:cpu:/elsewhere\n" if version == 1 else "0::/\n")
    group(folder, version, limit, 4_000, 10)
    assert memory.free_memory() == left


def test_the_least_of_all_groups_a_process_stands_in_counts(system: Path) -> None:
    (system / "cgroup").write_text("0::/slice/job/step\n")
    group(system / "groups" / "slice", 2, 2_000, 500, 0)
    group(system / "groups" / "slice" / "job", 2, 1_000, 300, 50)
    group(system / "groups" / "slice" / "job" / "step", 2, "max", 100, 0)
    group(system / "groups" / "other", 2, 1, 0, 0)
    assert memory.free_memory() == 750


def test_a_container_in_which_its_group_is_the_root(system: Path) -> None:
    (system / "cgroup").write_text("0::/../../somewhere\n")
    group(system / "groups", 2, 900, 0, 0)
    assert memory.free_memory() == 900


def test_a_build_streams_what_does_not_fit_in_its_container(system: Path) -> None:
    data = system / "data"
    data.write_bytes(bytes(10_000))
    assert choose_engine([str(data)], known=True) == "in-memory"
    group(system / "groups", 2, 100_000, 0, 0)
    assert choose_engine([str(data)], known=True) == "streaming"
