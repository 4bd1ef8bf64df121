"""``timefence-pl init``: a project for existing data."""

from __future__ import annotations

import glob
import os
import shlex
from contextlib import suppress
from pathlib import Path

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.config import config_at, config_file
from timefence_pl.cli.feature_files import FeatureFiles, importing
from timefence_pl.cli.proposal import MOST, Proposal, audits, find_data, propose
from timefence_pl.cli.report_files import write_text
from timefence_pl.cli.session import Session
from timefence_pl.errors import did_you_mean_file, listing, message

__all__ = ["command"]


@options.command(
    "init",
    "Look at your data files and propose sources, keys and times for a new project.",
    "timefence-pl init",
    "timefence-pl init my-project --labels data/churn.csv --dry-run",
)
@click.argument("path", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    type=click.Path(),
    help="A data file, glob or folder, as seen from here, or from PATH. Repeatable. "
    "[default: the folder data of PATH, or PATH itself]",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(),
    help="Which data file holds the labels, as seen from here, or from PATH.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
def command(session: Session, path: Path, data: tuple[str, ...], labels: str | None, dry_run: bool) -> int:
    """Look at the data files below PATH, and write a configuration and a feature file that fit them.

    Each source is proposed with keys, a time, its latest values and a few windows; what could not be told is said.
    An existing configuration or feature file is left as it is.
    """
    there = config_file(path) if path.is_dir() else None
    if there is not None:
        session.document({"path": str(path), "written": [], "exists": str(there)})
        session.line(f"{there} already exists; nothing was written.")
        return 0
    if dry_run and not path.is_dir():
        session.warn(f"There is no folder {path} yet, so there are no data to look at.")
        path = Path()
    data = tuple(_seen_from(path, given, "--data") for given in data)
    labels = None if labels is None else _seen_from(path, labels, "--labels")
    before = Path.cwd()
    made = _made_folders(path)
    os.chdir(path)
    try:
        found = [f for given in data for f in _files(given)] if data else _default_files(session)
        if len(found) > MOST:
            session.warn(f"Only the first {MOST} of {len(found)} data sets are looked at; name others with --data.")
        proposal = propose(found, labels=labels, name=Path.cwd().name)
        _refuse_unread(proposal, labels)
        written = [] if dry_run else _write(session, proposal)
        problem = None if dry_run or proposal.labels is None else _problem()
    except BaseException:
        os.chdir(before)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
    finally:
        os.chdir(before)
    session.document(
        {
            "path": str(path),
            "written": [str(path / w) for w in written],
            "data": [
                {
                    "path": d.path,
                    "kind": d.kind,
                    "note": d.note,
                    "keys": list(d.profile.keys) if d.profile else [],
                    "timestamp": d.profile.timestamp if d.profile else None,
                    "rows": d.profile.rows if d.profile else None,
                }
                for d in proposal.data
            ],
            "config": proposal.config,
            "features": proposal.features,
            "problem": problem,
            "audits": audits(proposal),
        }
    )
    _print(session, proposal, path, written, problem, dry_run=dry_run)
    return 0


def _seen_from(path: Path, given: str, option: str) -> str:
    """A path that was given, as the project's files are to name it: found from here first, then from the project.

    Raises:
        TimefenceValidationError: If there is nothing of that name.
    """
    file = Path(given).expanduser()
    if "://" in given or (file.is_absolute() and _there(file)):
        return given if "://" in given else str(file)
    if not file.is_absolute() and _there(file):
        here, there = file.absolute(), path.resolve()
        return os.path.normpath(given) if there == Path.cwd().resolve() else os.path.relpath(here, there)
    if not file.is_absolute() and _there(path.resolve() / file):
        return os.path.normpath(given)
    beside = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
    raise tf.TimefenceValidationError(
        message(
            f"{option} {given!r} is not there. {did_you_mean_file(file.name, beside)}".rstrip(),
            where=f"looked from {Path.cwd()}"
            + (f", and from {path.resolve()}" if path.resolve() != Path.cwd() else ""),
            fix="Give a path as seen from here.",
        )
    )


def _there(file: Path) -> bool:
    """Whether there is a file or folder, or one that a pattern finds."""
    return file.exists() or bool(glob.has_magic(str(file)) and glob.glob(str(file), recursive=True))  # noqa: PTH207


def _made_folders(path: Path) -> list[Path]:
    """Make a folder; gives those that were not there, the innermost first."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    return made


def _refuse_unread(proposal: Proposal, labels: str | None) -> None:
    """Refuse labels that were named and cannot be read.

    Raises:
        TimefenceValidationError: If they cannot be.
    """
    if labels is not None and proposal.labels is None:
        why = next((d.note for d in proposal.data if d.path == labels), "")
        raise tf.TimefenceValidationError(
            message(f"--labels {labels!r} cannot be read.", where=why, fix="Check the file, or name another.")
        )


def _files(given: str) -> list[str]:
    return find_data(Path(given)) if Path(given).is_dir() else [given]


def _default_files(session: Session) -> list[str]:
    if not Path("data").is_dir():
        return find_data(Path())
    found = find_data(Path("data"))
    beside = [f for f in find_data(Path()) if f not in found]
    if beside:
        session.warn(
            f"Only the folder data is looked at, not {listing(beside, limit=4)}; --data . looks at everything here."
        )
    return found


def _write(session: Session, proposal: Proposal) -> list[str]:
    written = []
    for name, text in (("timefence.toml", proposal.config), ("features.py", proposal.features)):
        if Path(name).exists():
            session.warn(f"{name} exists and is left as it is.")
            continue
        write_text(Path(name), text)
        written.append(name)
    return written


def _problem() -> str | None:
    """What does not fit in what was written, if anything: the sources are joined to the labels, without running it."""
    config = config_at(Path("timefence.toml"))
    try:
        with importing():
            features = FeatureFiles().load(["features.py"])
            told = config.labels
            made = tf.Labels(
                list(told.path), keys=list(told.keys or ()), label_time=told.label_time or "", **told.options
            )
            tf.explain(made, features)
    except tf.TimefenceError as error:
        return str(error)
    return None


def _print(
    session: Session, proposal: Proposal, path: Path, written: list[str], problem: str | None, *, dry_run: bool
) -> None:
    rows = []
    for d in proposal.data:
        keys = ", ".join(d.profile.keys) or "-" if d.profile else "-"
        time = (d.profile.timestamp or "-") if d.profile else "-"
        count = f"{d.profile.rows:,}" if d.profile else "-"
        style = {"source": "green", "labels": "cyan"}.get(d.kind, "yellow")
        rows.append((d.path, (d.kind, style), count, keys, time, d.note))
    if rows:
        session.table(("data", "taken as", "rows", "keys", "time", "note"), rows, right=(2,))
    else:
        session.line("No data files were found; the files written are a template.")
    session.line()
    if dry_run:
        for name, text in (("timefence.toml", proposal.config), ("features.py", proposal.features)):
            session.line((f"# --- {name}", "bold"))
            session.text(text, whole=True)
        return
    for file in written:
        session.line(("Created ", "green"), str(path / file))
    if rows and proposal.labels is None:
        session.line(("No file looked like labels: ", "yellow"), "say which with --labels, or fill in [labels].")
    audited = {words[2] for words in audits(proposal)}
    for d in proposal.data:
        if d.kind == "training set" and d.path not in audited:
            session.line(
                (f"No proposed feature fits the columns of {d.path}: ", "yellow"), "audit it with its own features."
            )
    if problem is not None:
        session.line()
        session.line(("The proposal does not fit yet:", "yellow"))
        session.text(problem)
    session.line()
    session.line("Look through the files, then:")
    builds = ["timefence-pl build -o train.parquet"] if proposal.labels is not None else []
    elsewhere = [f"cd {shlex.quote(str(path))}"] if path != Path() else []
    for line in (*elsewhere, "timefence-pl doctor", *(shlex.join(words) for words in audits(proposal)), *builds):
        session.line(("  " + line, "bold"))
