"""``timefence-pl quickstart``: an example project that runs offline."""

from __future__ import annotations

from pathlib import Path

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.churn import LEAKING, NEXT, write_churn
from timefence_pl.cli.session import Session
from timefence_pl.errors import message

__all__ = ["command"]


@options.command("quickstart", "Write an example project.")
@click.argument("name", default="churn-example", type=click.Path(path_type=Path))
@click.option(
    "--template", type=click.Choice(["churn"]), default="churn", show_default=True, help="Which example to write."
)
@click.option("--minimal", is_flag=True, help="Write a tenth of the data.")
def command(session: Session, name: Path, template: str, minimal: bool) -> int:
    """Write an example project to the folder NAME: users, transactions, labels, and a training set that leaks.

    Nothing is downloaded, and the data are the same every time.
    """
    if name.exists() and (not name.is_dir() or any(name.iterdir())):
        raise tf.TimefenceConfigError(
            message(f"{str(name)!r} exists already.", fix="Give the name of a new folder, or an empty one.")
        )
    files = write_churn(name, minimal=minimal)
    session.document(
        {
            "project": str(name),
            "template": template,
            "files": [str(f) for f in files],
            "leaking_features": list(LEAKING),
            "next": [f"cd {name}", *NEXT],
        }
    )
    session.line(("Created ", "green"), f"{name}: {len(files)} files")
    session.line()
    session.line("Next:")
    for line in (f"cd {name}", *NEXT):
        session.line(("  " + line, "bold"))
    return 0
