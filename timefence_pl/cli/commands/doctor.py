"""``timefence-pl doctor``: everything that would fail later, found now."""

from __future__ import annotations

import textwrap

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.checks import Check, Doctor
from timefence_pl.cli.failures import FAILED
from timefence_pl.cli.project import LabelFlags, Project
from timefence_pl.cli.session import Session, counted

__all__ = ["command"]

_STYLES = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


@options.command(
    "doctor", "Check everything that would fail later.", "timefence-pl doctor", "timefence-pl doctor --quick --json"
)
@options.labels
@options.features
@click.option("--quick", is_flag=True, help="Read schemas only, no rows.")
@options.in_project
def command(session: Session, label_flags: LabelFlags, feature_files: tuple[str, ...], quick: bool) -> int:
    """Check the configuration, feature files, sources, labels, each join, the output and the store.

    Exits 1 where something would fail. Without labels each feature is computed for its source's own times.
    """
    try:
        project = Project(session, click.get_current_context())
    except tf.TimefenceError as error:
        first, _, rest = str(error).partition("\n")
        return _tell(session, [Check("FAIL", "configuration", first, rest.strip("\n"))])
    with session.progress(1, "Checking") as steps:
        found = Doctor(project, feature_files, label_flags, quick=quick, steps=steps).run()
    return _tell(session, found)


def _tell(session: Session, found: list[Check]) -> int:
    failed = sum(c.status == "FAIL" for c in found)
    warned = sum(c.status == "WARN" for c in found)
    session.document(
        {
            "healthy": not failed,
            "checks": [{"status": c.status, "check": c.what, "message": c.message, "detail": c.detail} for c in found],
        }
    )
    what = ""
    for c in found:
        if c.what != what:
            what = c.what
            session.line((what.capitalize(), "bold"))
        session.line("  ", (f"{c.status:<6}", _STYLES[c.status]), c.message)
        for row in textwrap.dedent(c.detail).splitlines() if c.status != "OK" else ():
            session.line((f"          {row.rstrip()}" if row.strip() else "", "dim"))
    session.line()
    summary = (
        f"{failed} would fail, {counted(warned, 'warning')}"
        if failed or warned
        else "Nothing was found that would fail."
    )
    session.line((summary, "bold red" if failed else "bold yellow" if warned else "bold green"))
    return FAILED if failed else 0
