"""Runs peers in processes of their own, and makes the environment of those with pinned versions."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
import venv
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from benchmarks.scenarios import PEERS, PINNED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.peers.job import Job

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")

_STAT = Path("/proc/stat")
#: Shares of the machine's CPU time: what others may use during a run, and what must be idle before.
_DISTURBED = 0.05
_IDLE = 0.9
_GLANCE = 0.5

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a peer.

    Attributes:
        status: ``ok``, ``over`` the time limit, or ``failed``.
        wall: Seconds of the main job, without interpreter start and imports.
        cpu: User and system seconds of the main job.
        peak: Peak resident bytes of the process (VmHWM).
        peak_imported: The same before the main job.
        process_wall: Seconds of the whole process.
        process_cpu: User and system seconds of the whole process.
        others: CPU seconds of everything else on the machine meanwhile.
        version: What ran.
        message: Why it failed.
    """

    status: Literal["ok", "over", "failed"]
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    peak_imported: int = 0
    process_wall: float = 0.0
    process_cpu: float = 0.0
    others: float = 0.0
    version: str = ""
    message: str = ""

    @property
    def disturbed(self) -> bool:
        """Whether others used so much of the machine that the wall time says little."""
        return self.others > _DISTURBED * self.process_wall * (os.cpu_count() or 1)


def _machine() -> tuple[float, float]:
    """Busy and idle CPU seconds of the machine since its start; zeros where it does not tell."""
    if not _STAT.exists():
        return 0.0, 0.0
    ticks = [int(field) for field in _STAT.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    rate = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - idle) / rate, idle / rate


def wait_until_idle(patience: float) -> None:
    """Waits until nine tenths of the machine are idle, or for ``patience`` seconds."""
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        busy, idle = _machine()
        time.sleep(_GLANCE)
        later_busy, later_idle = _machine()
        busy, idle = later_busy - busy, later_idle - idle
        if idle >= _IDLE * (busy + idle):
            return


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_peer(peer: str, job: Job, *, python: Path, folder: Path, limit: float) -> Run:
    """Runs a job in a fresh interpreter.

    Args:
        peer: A key of ``PEERS``.
        job: What to build.
        python: The peer's interpreter.
        folder: Where the job's file is put; the working directory.
        limit: Seconds after which the process is killed.
    """
    path = folder / "job.json"
    job.save(path)
    environment = {
        # As installed packages are, our own modules are compiled once, in the check's run, and not in each timed one.
        **{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(ROOT),
        "POLARS_MAX_THREADS": str(job.threads),
        "OMP_NUM_THREADS": str(job.threads),
    }
    # What earlier runs wrote must not be flushed on this one's time.
    os.sync()
    others, _ = _machine()
    cpu, wall = _children_cpu(), time.perf_counter()
    try:
        done = subprocess.run(
            [str(python), "-m", f"benchmarks.peers.{PEERS[peer]}", str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return Run(status="over", wall=limit)
    wall, cpu = time.perf_counter() - wall, _children_cpu() - cpu
    others = max(0.0, _machine()[0] - others - cpu)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Run(status="failed", message=lines[-1], process_wall=wall, process_cpu=cpu)
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    return Run(status="ok", process_wall=wall, process_cpu=cpu, others=others, **measured)


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function in a process of its own, gone with its memory before anything is timed."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def interpreters(peers: set[str], given: Mapping[str, Path], cache: Path) -> dict[str, Path]:
    """The interpreter of each peer; makes a venv at the first use of pinned ones without one.

    Args:
        peers: Who will run.
        given: Interpreters from the command line.
        cache: Where the venv goes, named by the requirements' hash.
    """
    found = {peer: given.get(peer, Path(sys.executable)) for peer in peers}
    missing = [peer for peer in PINNED if peer in peers and peer not in given]
    if not missing:
        return found
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache / f"peers-{digest}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = folder / "complete"
    if not complete.exists():
        print(f"Making an environment for {', '.join(missing)} in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
        subprocess.run(install, check=True)
        complete.touch()
    return {**found, **dict.fromkeys(missing, python)}
