"""``timefence-pl examples``: the two scripts that make a feature set and train on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.project import Project
from timefence_pl.cli.session import Session
from timefence_pl.errors import message

__all__ = ["command"]

Made = TypeVar("Made")


@click.group("examples", short_help="Run the examples: make a feature set, and train on it.")
def command() -> None:
    """Run the examples: make a feature set of iris flowers, and train a model on it. They need the extra `examples`."""


@options.command("features", "Build and publish the iris feature set.", "timefence-pl examples features")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fstore"),
    show_default=True,
    help="Where the raw data go.",
)
@options.store_folder
@options.project
def features(project: Project, folder: Path, store: Path | None) -> int:
    """Write the raw data, build the iris features, and publish them in a run; twice the same is no new version."""
    from timefence_pl.examples.make_features import make_features  # noqa: PLC0415 - help needs none

    version = _run(project.session, lambda: make_features(_store(project, store), folder))
    project.session.document(version.to_dict())
    project.session.text(str(version))
    return 0


@options.command("train-fs", "Train a model on the published feature set.", "timefence-pl examples train-fs")
@options.store_folder
@options.project
def train_fs(project: Project, store: Path | None) -> int:
    """Find the feature set by its run's tag, verify it, train, and link the model to that very version."""
    from timefence_pl.examples.train_with_fs import train  # noqa: PLC0415 - help needs none

    record = _run(project.session, lambda: train(_store(project, store)))
    project.session.document(record.to_dict())
    project.session.line()
    project.session.text(str(record.lineage()), whole=True)
    return 0


def _store(project: Project, given: Path | None) -> tf.Store:
    store = project.store(given)
    if store is None:
        raise tf.TimefenceConfigError(message("The configuration wants no store.", fix="Give --store PATH."))
    return store


def _run(session: Session, work: Callable[[], Made]) -> Made:
    """Run an example; what it prints is not printed beside a JSON document."""
    with _quiet(session):
        try:
            return work()
        except SystemExit as error:
            raise tf.TimefenceConfigError(str(error)) from error


@contextmanager
def _quiet(session: Session) -> Iterator[Any]:
    if not session.json:
        yield
        return
    with redirect_stdout(io.StringIO()):
        yield


for _made in (features, train_fs):
    command.add_command(_made)
