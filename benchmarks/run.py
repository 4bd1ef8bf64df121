"""Side-by-side benchmark: builds the same training sets with this package and its peers.

For every scenario, the outputs of all peers are compared first, value by value; a peer with another
answer is not timed. Then the peers take turns, each run in a fresh process, in an order that
alternates from round to round. Medians are printed with the peers' ratios to ours and, where
``scenarios.py`` states one, the required ratio (bar) with ``ok`` or ``NOT MET``. All peers write
zstd at level 3 and have the same number of threads. Files are in the operating system's cache for
all; "cold" says that no store is used.

Usage:
    ``python benchmarks/run.py --scenario 100k_x10 --runs 3``

    ``python benchmarks/run.py --peers ours duckdb --json out.json --markdown``

    ``python benchmarks/run.py --read out.json`` prints the README's table of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.compare import difference, order_difference
from benchmarks.generate import generate
from benchmarks.processes import Run, apart, interpreters, run_peer, wait_until_idle
from benchmarks.report import BASELINE, Result, summary, table
from benchmarks.scenarios import OURS, PEERS, SCENARIOS, Case, Scenario

if TYPE_CHECKING:
    from benchmarks.peers.job import Job


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Entry:
    """One contestant of a scenario: a peer, or our own baseline."""

    peer: str
    case: Case
    folder: Path
    job: Job
    python: Path
    limit: float

    @property
    def output(self) -> Path:
        """The file it writes."""
        return Path(self.job.output)

    @property
    def _template(self) -> Path:
        return self.folder / "primed-store"

    def prime(self, job: Job) -> None:
        """Fills the store by an untimed build of ``job``."""
        done = run_peer(self.peer, job, python=self.python, folder=self.folder, limit=self.limit)
        if done.status != "ok":
            _say(f"  {self.peer}: could not fill the store: {done.message or done.status}")

    def run(self) -> Run:
        """Runs the job once, from the state its case asks for."""
        if self.case.primed != "same":
            self.output.unlink(missing_ok=True)
        if self.job.store and self.case.primed == "other_labels":
            # Each run meets the store as the first one did, without the build that run added.
            shutil.rmtree(self.job.store, ignore_errors=True)
            shutil.copytree(self._template, self.job.store)
        return run_peer(self.peer, self.job, python=self.python, folder=self.folder, limit=self.limit)


@dataclass
class Bench:
    """The settings of one invocation."""

    cache: Path
    work: Path
    pythons: dict[str, Path]
    runs: int
    threads: int
    limit: float
    patience: float
    results: list[Result] = field(default_factory=list)

    def _entry(self, peer: str, case: Case, name: str) -> Entry:
        renewed = case.primed == "other_labels"
        data = apart(generate, case.shape, self.cache / "data", sources=case.sources, renewed=renewed)
        folder = self.work / name
        folder.mkdir()
        stored = peer == OURS and case.primed != "no"
        job = case.job(
            data,
            folder / "train.parquet",
            threads=self.threads,
            store=folder / "store" if stored else None,
            renewed=renewed,
        )
        entry = Entry(peer, case, folder, job, self.pythons[peer], self.limit)
        if stored and case.primed == "same":
            entry.prime(job)
        elif stored:
            template, output = folder / "primed-store", folder / "primed.parquet"
            entry.prime(case.job(data, output, threads=self.threads, store=template))
        return entry

    def measure(self, name: str, scenario: Scenario, peers: list[str]) -> Result:
        """Compares the outputs of all peers, then times those that agree."""
        _say(f"{name}: {scenario.title}")
        result = Result(name=name, scenario=scenario)
        entries = {peer: self._entry(peer, scenario.case, peer) for peer in peers}
        if scenario.baseline is not None and OURS in peers:
            entries[BASELINE] = self._entry(OURS, scenario.baseline, BASELINE)
        ready = self._check(entries, result)
        for number in range(self.runs):
            order = list(ready)[:: -1 if number % 2 else 1]
            for key in order:
                done = self._undisturbed(ready[key])
                result.runs.setdefault(key, []).append(done)
                _say(f"  run {number + 1}: {key}: {done.wall:.3f} s {done.message}")
        result.runs.update({key: result.runs.pop(key) for key in entries if key in result.runs})
        for entry in entries.values():
            shutil.rmtree(entry.folder, ignore_errors=True)
        self.results.append(result)
        return result

    def _undisturbed(self, entry: Entry) -> Run:
        """One run; with patience, one that others leave alone if there is such a moment."""
        end = time.perf_counter() + self.patience
        while True:
            wait_until_idle(end - time.perf_counter())
            done = entry.run()
            if not done.disturbed or time.perf_counter() > end:
                return done
            _say(f"    others used {done.others:.2f} CPU s meanwhile: repeated")

    def _check(self, entries: dict[str, Entry], result: Result) -> dict[str, Entry]:
        """Runs everyone once; returns those whose output equals the first one's (ours)."""
        ready: dict[str, Entry] = {}
        for key, entry in entries.items():
            done = entry.run()
            _say(f"  check: {key}: {done.status} {done.wall:.3f} s {done.message}")
            if done.status != "ok":
                result.runs[key] = [done]
                continue
            reference = next(iter(ready.values()), None)
            found = None
            if key == OURS:
                found = apart(order_difference, entry.output, Path(entry.job.labels))
            elif key != BASELINE and reference is not None:
                found = _difference(reference.job, entry.job)
            if found is None:
                ready[key] = entry
            else:
                result.runs[key] = [done]
                result.differences[key] = found
                _say(f"  {key} DIFFERS: {found}")
        return ready


def _difference(one: Job, other: Job) -> str | None:
    by = [*one.label_keys, one.label_time, one.target]
    pairs = [(one.output, other.output)]
    pairs += [(one.split_path(name), other.split_path(name)) for name in one.splits]
    for left, right in pairs:
        found = apart(difference, Path(left), Path(right), by)
        if found is not None:
            return f"{Path(right).name}: {found}"
    return None


def _environment(threads: int) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": threads,
    }


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "timefence-pl-benchmarks"


def _named_path(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or name not in PEERS:
        message = f"expected NAME=PATH with NAME among {', '.join(PEERS)}, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return name, Path(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the same builds with this package and its peers.")
    parser.add_argument("--scenario", nargs="+", choices=list(SCENARIOS), metavar="NAME", help="default: all")
    parser.add_argument("--list", action="store_true", help="list the scenarios and exit")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), help="default: the scenario's")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--quiet",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="time for each run in which to wait for an idle machine and repeat disturbed runs",
    )
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a run may take (default: 120)")
    parser.add_argument(
        "--peer-python",
        type=_named_path,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a peer's interpreter; pinned peers without one share a venv in the cache folder",
    )
    parser.add_argument("--cache", type=Path, default=_cache_folder(), help="data, and the venv")
    parser.add_argument("--json", type=Path, help="write the figures of every run")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--summary", action="store_true", help="one row a scenario, as in the README")
    parser.add_argument(
        "--read", type=Path, nargs="+", metavar="JSON", help="measure nothing: summarize what --json wrote earlier"
    )
    return parser.parse_args()


def main() -> int:
    """Runs the scenarios; returns 1 where an output differs or ours fails."""
    options = _options()
    if options.list:
        print("\n".join(f"{name}: {scenario.title}" for name, scenario in SCENARIOS.items()))
        return 0
    if options.read:
        earlier = [json.loads(path.read_text(encoding="utf-8"))["scenarios"] for path in options.read]
        print(summary([scenario for document in earlier for scenario in document.values()]))
        return 0
    chosen = {name: SCENARIOS[name] for name in options.scenario or SCENARIOS}
    peers = {name: options.peers or list(scenario.peers) for name, scenario in chosen.items()}
    options.cache.mkdir(parents=True, exist_ok=True)
    pythons = interpreters(
        {peer for names in peers.values() for peer in names},
        dict(options.peer_python),
        options.cache,
    )
    with tempfile.TemporaryDirectory(dir=options.cache, prefix="run-") as work:
        bench = Bench(
            cache=options.cache.resolve(),
            work=Path(work).resolve(),
            pythons=pythons,
            runs=options.runs,
            threads=options.threads,
            limit=options.limit,
            patience=options.quiet,
        )
        for name, scenario in chosen.items():
            bench.measure(name, scenario, peers[name])
            if options.json:
                document = {
                    "environment": _environment(options.threads),
                    "scenarios": {result.name: result.to_dict() for result in bench.results},
                }
                options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    if options.summary:
        print(summary([result.to_dict() for result in bench.results]))
    else:
        print(table(bench.results, markdown=options.markdown))
    failed = any(
        result.differences or any(run.status != "ok" for run in result.runs.get(OURS, [])) for result in bench.results
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
