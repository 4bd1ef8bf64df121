"""``timefence-pl lint``: what looks ahead in the features, from their plans alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.failures import FAILED
from timefence_pl.cli.gate import sarif_of_findings
from timefence_pl.cli.project import Project
from timefence_pl.cli.report_files import refuse_inputs, write_text
from timefence_pl.cli.session import Session, counted

__all__ = ["command"]


@options.command(
    "lint",
    "Find what looks ahead in features, without reading data.",
    "timefence-pl lint",
    "timefence-pl lint --features features.py --check --strict",
)
@options.features
@click.option(
    "--check", is_flag=True, help="Also compute the features from truncated sources, which proves what plans cannot."
)
@click.option("--strict", is_flag=True, help="Exit 1 where a feature looks ahead, or was neither read nor checked.")
@click.option("--allow-unread", is_flag=True, help="With --strict, pass what could not be read.")
@click.option(
    "--sarif",
    "sarif_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the findings as SARIF 2.1.0.",
)
@options.project
def command(
    project: Project,
    feature_files: tuple[str, ...],
    check: bool,
    strict: bool,
    allow_unread: bool,
    sarif_file: Path | None,
) -> int:
    """Find what looks ahead in features, without reading data: negative shifts, backward fills, whole-column statistics.

    Each finding says which part of which expression looks ahead, why, and what to write instead. What cannot be read,
    as Python functions, is said; --check runs it on the data, with and without the rows after a cutoff.
    """
    session = project.session
    features = project.features(feature_files)
    refuse_inputs(project, {"--sarif": sarif_file}, features=features)
    findings = tf.lint(features)
    report = None
    if check:
        with session.progress(None, f"Checking {len(features)} features"):
            report = tf.check_lookahead(features)
    if sarif_file is not None:
        places = {f.name: place for f in features if (place := project.files.place(f.name)) is not None}
        write_text(sarif_file, sarif_of_findings(findings, places))
    session.document(
        {
            "features": [f.name for f in features],
            "findings": [
                {
                    "feature": f.feature,
                    "rule": f.rule,
                    "expression": f.expression,
                    "message": f.message,
                    "fix": f.fix,
                    "unread": f.unread,
                }
                for f in findings
            ],
            **({} if report is None else {"lookahead": report.to_dict()}),
        }
    )
    _print(session, features, findings)
    if report is not None:
        session.line()
        session.text(str(report))
    if sarif_file is not None:
        session.line(("Written ", "bold"), session.as_given(sarif_file))
    return FAILED if strict and _failed(findings, report, allow_unread=allow_unread) else 0


def _failed(findings: Sequence[tf.Finding], report: tf.LookaheadReport | None, *, allow_unread: bool) -> bool:
    if any(not f.unread for f in findings):
        return True
    if report is not None:
        # What ran clean need not be read.
        return any(not f.clean and not (allow_unread and f.status == "unchecked") for f in report.features.values())
    return bool(findings) and not allow_unread


def _print(session: Session, features: Sequence[Any], findings: Sequence[tf.Finding]) -> None:
    for f in findings:
        word, style = ("UNREAD", "yellow") if f.unread else ("AHEAD ", "bold red")
        session.line((f"{word} ", style), (f"{f.feature}", "bold"), f"  {f.rule}")
        session.text(f"        {f.expression}", "cyan")
        session.text(f"        {f.message}")
        if f.fix:
            session.line("        ", ("Fix: ", "bold"), f.fix)
    ahead = len({f.feature for f in findings if not f.unread})
    unread = len({f.feature for f in findings if f.unread})
    if findings:
        session.line()
    told = [f"{ahead} look{'s' if ahead == 1 else ''} ahead"] if ahead else []
    told += [f"{unread} could not be read whole (--check runs them)"] if unread else []
    style = "bold red" if ahead else "bold yellow" if unread else "bold green"
    session.line((f"{counted(len(features), 'feature')}: {', '.join(told) or 'nothing looks ahead'}", style))
