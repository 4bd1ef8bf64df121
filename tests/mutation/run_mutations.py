"""Shows that the oracle test notices each rule of the match: without the rule, it fails.

Takes the mutations of ``mutations.py``, gives one line each and exit code 1 where one survives. Each is a textual edit
of a copy of the package, in a temporary folder, on which the property tests are run; the work tree is never written.
Must not know: what a mutation means. An edit whose text is not in its file exactly as often as it says is an error, so
that the list cannot rot. Run from the project's root::

    python -m tests.mutation.run_mutations            # all of them
    python -m tests.mutation.run_mutations strict     # those whose name contains a word
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/unit/test_text_keys.py", "tests/unit/test_at_once.py", "tests/property/test_match_oracle.py")


class StaleMutationError(Exception):
    """A mutation's text is no longer in its file as it says."""


def mutated(mutation: Mutation, text: str) -> str:
    """Applies a mutation to its file's text.

    Raises:
        StaleMutationError: If the text to replace does not occur exactly ``mutation.count`` times.
    """
    found = text.count(mutation.old)
    if found != mutation.count or mutation.old == mutation.new:
        raise StaleMutationError(
            f"{mutation.name}: {mutation.file} has the text {found} times, not {mutation.count}:\n{mutation.old}"
        )
    return text.replace(mutation.old, mutation.new)


def check_list() -> None:
    """Checks that every mutation still applies and still compiles, before any test is run."""
    names = [mutation.name for mutation in MUTATIONS]
    stale = [] if len(set(names)) == len(names) else ["two mutations have one name"]
    for mutation in MUTATIONS:
        try:
            compile(mutated(mutation, (ROOT / mutation.file).read_text(encoding="utf-8")), mutation.file, "exec")
        except (StaleMutationError, SyntaxError, OSError) as error:
            stale.append(str(error))
    if stale:
        raise StaleMutationError("\n\n".join(stale))


def run_copy(mutation: Mutation | None) -> tuple[int, str]:
    """Runs the property test on a copy of the package, mutated or not; gives pytest's exit code and output."""
    with tempfile.TemporaryDirectory(prefix="timefence-mutation-") as folder:
        copy = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for name in ("timefence_pl", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        if (ROOT / "pyproject.toml").exists():
            shutil.copy(ROOT / "pyproject.toml", copy)
        if mutation is not None:
            path = copy / mutation.file
            path.write_text(mutated(mutation, path.read_text(encoding="utf-8")), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "POLARS_MAX_THREADS": "1"}
        environment["TIMEFENCE_NO_SHRINK"] = "1"
        where = [sys.executable, "-c", "import timefence_pl; print(timefence_pl.__file__)"]
        imported = subprocess.run(where, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        if imported.returncode == 0 and not imported.stdout.startswith(folder):
            raise RuntimeError(f"the tests would import {imported.stdout.strip()} instead of the copy")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *TESTS]
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def report(mutation: Mutation) -> bool:
    """Runs one mutation and prints how it fared; gives whether the test noticed."""
    began = time.monotonic()
    code, output = run_copy(mutation)
    caught = code == 1
    first = next((line for line in output.splitlines() if "engine" in line or "raised" in line or ": " in line), "")
    seconds = time.monotonic() - began
    verdict = "caught" if caught else "SURVIVED" if code == 0 else f"BROKEN (pytest exit code {code})"
    sys.stdout.write(f"{verdict:9} {seconds:5.0f} s  {mutation.name}{f'  [{first[:110]}]' if caught else ''}\n")
    if code not in (0, 1):
        sys.stdout.write(output[-2_000:] + "\n")
    sys.stdout.flush()
    return caught


def main() -> int:
    """Runs the chosen mutations; exit code 1 where one survives, 2 where the unmutated package fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="run only mutations whose name contains one of these")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--skip-unmutated", action="store_true", help="do not first run the package as it is")
    options = parser.parse_args()
    check_list()
    chosen = [m for m in MUTATIONS if not options.words or any(word in m.name for word in options.words)]
    if not options.skip_unmutated:
        code, output = run_copy(None)
        if code:
            sys.stdout.write(f"the unmutated package fails its property test:\n{output[-3_000:]}\n")
            return 2
    with ThreadPoolExecutor(options.processes) as pool:
        caught = list(pool.map(report, chosen))
    sys.stdout.write(f"{sum(caught)} of {len(chosen)} mutations caught\n")
    return 0 if chosen and all(caught) else 1


if __name__ == "__main__":
    raise SystemExit(main())
