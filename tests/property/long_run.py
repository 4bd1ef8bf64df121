"""The oracle's cases by the hundred thousand, over a range of seeds, in several processes.

Takes a seed range, gives one closing line with counts and a file of failing seeds with their shrunken scripts. A range
is resumed by starting where its last progress line ended: a seed always makes the same case. Run from the project's
root::

    python -m tests.property.long_run --cases 200000 --start-seed 0 --processes 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.oracle.cases import case_of
from tests.oracle.compare import DifferenceError, check
from tests.oracle.shrink import report

CHUNK = 250


def paths_of(seed: int) -> tuple[str, ...]:
    """Both engines for each seed; the dearer ways for a share of them."""
    shares: dict[int, tuple[str, ...]] = {
        0: ("build",),
        1: ("collisions",),
        2: ("files",),
        3: ("store",),
        12: ("build",),
    }
    return ("in-memory", "streaming", *shares.get(seed % 24, ()))


def run_chunk(bounds: tuple[int, int]) -> tuple[int, int, Counter[str], list[tuple[int, str]]]:
    """Checks the seeds of ``[start, end)``; gives the outcomes, and each failing seed's report."""
    outcomes: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    for seed in range(*bounds):
        paths = paths_of(seed)
        case = case_of(seed, dense="collisions" in paths)
        try:
            outcomes[check(case, paths)] += 1
        except DifferenceError as difference:
            outcomes["failed"] += 1
            text = report(case, difference, paths=paths) if len(failures) < 3 else str(difference)
            failures.append((seed, text))
    return *bounds, outcomes, failures


def chunks(start: int, cases: int) -> Iterator[tuple[int, int]]:
    """Cuts a seed range."""
    for low in range(start, start + cases, CHUNK):
        yield low, min(low + CHUNK, start + cases)


def main() -> int:
    """Runs the range; exit code 1 where any seed fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--start-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--failures", type=Path, default=Path("oracle-failures.txt"))
    parser.add_argument("--stop-after", type=int, default=50, help="give up after this many failing seeds")
    parser.add_argument("--morsel-size", type=int, help="rows of a streaming morsel; small ones cut cases up")
    options = parser.parse_args()
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # the processes are the threads
    if options.morsel_size:
        os.environ["POLARS_IDEAL_MORSEL_SIZE"] = str(options.morsel_size)
    began = time.monotonic()
    outcomes: Counter[str] = Counter()
    end = options.start_seed
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for low, high, counted, failures in pool.imap(run_chunk, chunks(options.start_seed, options.cases)):
            outcomes += counted
            end = high
            for seed, text in failures:
                with options.failures.open("a", encoding="utf-8") as file:
                    file.write(f"seed {seed}\n{text}\n\n")
                sys.stdout.write(f"seed {seed}: {text.splitlines()[0]}\n")
            if low // 2_000 != high // 2_000:
                rate = outcomes.total() / (time.monotonic() - began)
                sys.stdout.write(f"to seed {high}: {dict(outcomes)}, {rate:.0f} cases/s\n")
                sys.stdout.flush()
            if outcomes["failed"] >= options.stop_after:
                pool.terminate()
                break
    seconds = time.monotonic() - began
    counts = ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    sys.stdout.write(
        f"{outcomes.total()} cases (seeds {options.start_seed} to {end - 1}) in {seconds:.0f} s, "
        f"{outcomes.total() / seconds:.1f} cases/s: {counts or 'none'}\n"
    )
    return 1 if outcomes["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
