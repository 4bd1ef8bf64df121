"""Options that several commands share, each with its help.

Takes a command's function, gives it the options; the function gets the session or the project first.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

import timefence_pl as tf
from timefence_pl.cli.project import LabelFlags, Project, durations, names_of
from timefence_pl.cli.session import Session
from timefence_pl.errors import message

__all__ = [
    "Command",
    "bounds",
    "command",
    "existing_store",
    "features",
    "in_project",
    "key_columns",
    "labels",
    "project",
    "store",
    "store_folder",
]

Function = Callable[..., Any]

_IN_PROJECT: Final = "in_project"


class Command(click.Command):
    """A command whose help ends in examples.

    Attributes:
        examples: Lines as they are typed.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, unwrapped."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def command(name: str, short_help: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """A command that has ``--json``, ``-v`` and ``--debug``; its function takes the session, and may give a code."""

    def wrap(function: Callable[..., Any]) -> Command:
        @functools.wraps(function)
        def run(json: bool, verbose: bool, debug: bool, **arguments: Any) -> Any:
            session = click.get_current_context().find_object(Session) or Session()
            session.json |= json
            session.verbose |= verbose
            session.debug |= debug
            with session.others_words_aside(), _in_folder(session, function, arguments) as seen:
                return function(session, **seen)

        for option in (
            click.option("--debug", is_flag=True, help="Show the traceback of an error."),
            click.option("-v", "--verbose", is_flag=True, help="Show plans, and each step as it is done."),
            click.option("--json", is_flag=True, help="Print one JSON document and nothing else."),
        ):
            run = option(run)
        return click.command(name, cls=Command, short_help=short_help, examples=examples)(run)

    return wrap


@contextmanager
def _in_folder(session: Session, function: Function, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a project's command in the folder of the configuration that was named, as if it had been started there.

    Gives the arguments: paths among them stay those that are seen from where it was started.
    """
    folder = None if session.config_file is None else session.config_file.parent
    if not hasattr(function, _IN_PROJECT) or folder is None or not folder.is_dir() or folder.samefile(Path()):
        yield arguments
        return
    here = Path.cwd()
    ctx = click.get_current_context()
    paths = {
        p.name
        for p in ctx.command.params
        if p.name is not None
        and ctx.get_parameter_source(p.name) is ParameterSource.COMMANDLINE
        and (isinstance(p.type, click.Path) or (p.name == "ref" and Path(arguments["ref"]).exists()))
    } - {"output"}  # which starts where the configuration says
    seen = {n: _seen_from(folder.resolve(), v) if n in paths else v for n, v in arguments.items()}
    session.started = here
    os.chdir(folder)
    try:
        yield seen
    finally:
        os.chdir(here)


def _seen_from(folder: Path, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_seen_from(folder, v) for v in value)
    text = str(value)
    if value is None or "://" in text or text.startswith("~") or Path(text).is_absolute():
        return value
    return type(value)(os.path.relpath(Path.cwd() / text, folder))


def in_project(function: Function) -> Function:
    """Mark a command that works in the project's folder."""
    setattr(function, _IN_PROJECT, True)
    return function


def project(function: Function) -> Function:
    """Give the function the project, in place of the session."""

    @functools.wraps(function)
    def run(session: Session, **arguments: Any) -> Any:
        return function(Project(session, click.get_current_context()), **arguments)

    return in_project(run)


def features(function: Function) -> Function:
    """``--features``, as ``feature_files``."""
    return click.option(
        "--features",
        "feature_files",
        multiple=True,
        metavar="PATH.py[:NAME]",
        type=click.Path(),
        help="A feature file; `:NAME` picks one feature, set or variable. Repeatable. "
        "[default: the configuration's, or features.py]",
    )(function)


def labels(function: Function) -> Function:
    """``--labels``, ``--keys``, ``--label-time`` and ``--target``, as ``label_flags``."""

    @functools.wraps(function)
    def run(
        *arguments: Any,
        label_files: tuple[str, ...],
        keys: tuple[str, ...] | None,
        label_time: str | None,
        target: tuple[str, ...] | None,
        **rest: Any,
    ) -> Any:
        flags = LabelFlags(label_files, keys, label_time, target)
        return function(*arguments, label_flags=flags, **rest)

    wrapped: Function = click.option(
        "--target",
        callback=names_of,
        metavar="COLUMNS",
        help="Target columns, separated by commas. [default: the configuration's, or all that are neither key nor time]",
    )(run)
    wrapped = key_columns(wrapped)
    return click.option(
        "--labels",
        "label_files",
        multiple=True,
        metavar="PATH",
        type=click.Path(),
        help="The labels: a file, glob, folder or URI. Repeatable. [default: the configuration's]",
    )(wrapped)


def key_columns(function: Function) -> Function:
    """``--keys`` and ``--label-time``."""
    function = click.option(
        "--label-time", metavar="COLUMN", help="The label time column. [default: the configuration's, or label_time]"
    )(function)
    return click.option(
        "--keys",
        callback=names_of,
        metavar="COLUMNS",
        help="Key columns, separated by commas. [default: the configuration's, or the features']",
    )(function)


def bounds(function: Function) -> Function:
    """``--max-lookback``, ``--max-staleness`` and ``--join-mode``, as ``max_lookback``, ``max_staleness``, ``join``."""
    for option in (
        click.option(
            "--join-mode",
            "--join",
            "join",
            type=click.Choice(["strict", "inclusive"]),
            help="Whether a value stamped exactly at the limit is excluded (strict, the default) or used (inclusive).",
        ),
        click.option(
            "--max-staleness",
            callback=durations,
            metavar="DURATION",
            help="The age past which a found value is null, as 30d; none for no limit, which is the default.",
        ),
        click.option(
            "--max-lookback",
            callback=durations,
            metavar="DURATION",
            help="The oldest usable feature time before the label time, as 365d, which is the default; none for no limit.",
        ),
    ):
        function = option(function)
    return function


def store(function: Function) -> Function:
    """``--store`` and ``--no-store``, as ``store`` and ``no_store``."""
    function = click.option("--no-store", is_flag=True, help="Neither read nor keep features and builds.")(function)
    return store_folder(function)


def existing_store(function: Function) -> Function:
    """``--store``; the function gets the session and the store, which is there."""

    @functools.wraps(function)
    def run(given: Project, store: Path | None, **arguments: Any) -> Any:
        found = given.store(store)
        if found is None or not found.path.is_dir():
            where = "the configuration wants no store" if found is None else f"there is no folder {found.path}"
            raise tf.TimefenceValidationError(
                message("There is no store.", where=where, fix="Give --store PATH; `timefence-pl build` makes one.")
            )
        return function(given.session, found, **arguments)

    return store_folder(project(run))


def store_folder(function: Function) -> Function:
    """``--store`` alone."""
    return click.option(
        "--store",
        type=click.Path(file_okay=False, path_type=Path),
        help="The store's folder. [default: the configuration's, or .timefence]",
    )(function)
