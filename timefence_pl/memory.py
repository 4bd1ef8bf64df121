"""How much memory may be used.

Takes what the operating system tells, gives bytes. Knows nothing of what they are for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

__all__ = ["free_memory"]

_MEMINFO: Final = Path("/proc/meminfo")
_OF_PROCESS: Final = Path("/proc/self/cgroup")
_GROUPS: Final = Path("/sys/fs/cgroup")
#: Where the system tells nothing.
_UNKNOWN: Final = 4 << 30
#: For each version of control groups: the limit, what is used, and what of that is given back at need.
_FILES: Final = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory() -> int:
    """Bytes that may be used: by the machine, and by the control groups the process runs in, as a container's.

    Of the machine's memory that holds files' content counts as free, since it is given back at need.
    """
    return max(min([_of_machine(), *_of_groups()]), 0)


def _of_machine() -> int:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(available) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not this system
        return _UNKNOWN


def _of_groups() -> Iterator[int]:
    """What each control group with a limit leaves: that of the process, and those it stands in."""
    for version, folder in _folders():
        limit, used, given_back = _FILES[version]
        try:
            statistics = dict(
                line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            )
            most, now = (int((folder / name).read_text(encoding="ascii")) for name in (limit, used))
            yield most - now + int(statistics[given_back])
        except (OSError, ValueError, KeyError):  # no such group here, or no limit ("max")
            continue


def _folders() -> Iterator[tuple[int, Path]]:
    try:
        lines = _OF_PROCESS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = ["0::/"]
    for line in lines:
        _, _, rest = line.partition(":")
        kinds, _, name = rest.partition(":")
        if kinds and "memory" not in kinds.split(","):
            continue
        version, root = (1, _GROUPS / "memory") if kinds else (2, _GROUPS)
        group = PurePosixPath("/", name)
        for place in (group, *group.parents):
            yield version, root / place.relative_to("/")
