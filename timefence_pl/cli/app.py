"""The ``timefence-pl`` command: which commands there are, and what becomes of their errors.

Takes words, gives an exit code. Imports a command's module when it is called, and never Polars.

Exit codes: 0 fine; 1 leakage or a failed check under ``--strict``, or a failure that ``doctor`` found; 2 usage or
configuration; 3 bad input or data; 4 the store, or a file that was to be written. Besides: 70 a fault of the program,
130 interrupted, 141 the reader of a pipe has gone.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from timefence_pl._version import __version__
from timefence_pl.cli.failures import Failure, failure_of
from timefence_pl.cli.session import ReaderGoneError, Session
from timefence_pl.errors import did_you_mean

__all__ = ["cli", "main"]

_HERE: Final = "timefence_pl.cli.commands"
#: Each command's module and one line about it, in the order of the help.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "quickstart": ("quickstart", "Write an example project: users, transactions, labels and a leaking training set."),
    "init": ("init", "Look at your data files and propose sources, keys and times for a new project."),
    "inspect": ("inspect", "Show a data file's columns, and which may be keys and times."),
    "build": ("build", "Build a training set."),
    "audit": ("audit", "Check a data set for values from the future."),
    "explain": ("explain", "Tell how features would be joined, or why a label row gets what it gets."),
    "diff": ("diff", "Compare two data sets."),
    "catalog": ("catalog", "List the features of a project."),
    "doctor": ("doctor", "Check everything that would fail later."),
    "lint": ("lint", "Find what looks ahead in features, without reading data."),
    "store": ("store", "Look into the store, check it, and free its space."),
    "features": ("features", "Publish feature sets, and look into them."),
    "runs": ("runs", "List, show and compare runs."),
    "examples": ("examples", "Run the examples: make a feature set, and train on it."),
    "completion": ("completion", "Print the script that completes commands in your shell."),
}


class Commands(click.Group):
    """A group whose commands are imported when they are called, and whose errors become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of the name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{_HERE}.{COMMANDS[cmd_name][0]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of a misspelt one name the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"There is no command {args[0]!r}. {near}".rstrip(), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete a command's name without importing one."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only when completing

        found = [CompletionItem(n, help=line) for n, (_, line) in COMMANDS.items() if n.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has gone is told apart from errors, which click would not do."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, tell errors in the way that was asked for, and exit."""
        del standalone_mode
        words = list(sys.argv[1:] if args is None else args)
        _open_closed_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # for terminals that lack the letters of a name
        session = Session(json="--json" in words, debug="--debug" in words)
        code: object = 0
        with warnings.catch_warnings():
            warnings.showwarning = session.showwarning
            warnings.filterwarnings("always", category=UserWarning)
            try:
                try:
                    code = super().main(words, prog_name, complete_var, standalone_mode=False, obj=session, **extra)
                    session.flush()
                except (SystemExit, GeneratorExit):
                    raise
                except BaseException as error:
                    failure = failure_of(error)
                    if failure is None:
                        raise
                    code = _told(failure, session, error)
                    session.flush()
            except (BrokenPipeError, ReaderGoneError):
                _drop_output()
                code = 141
            except OSError as error:  # standard output takes no more, not even the failure as JSON
                _drop_output()
                session.json = False
                failure = failure_of(error)
                code = code if failure is None else _told(failure, session, error)
        sys.exit(code if isinstance(code, int) else 0)


def _open_closed_streams() -> None:
    """Where standard output or error is closed, nobody wants what would be said: it goes nowhere."""
    if sys.stdout is not None and sys.stderr is not None:
        return
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # so that no file that is written to becomes standard output
    os.close(handle)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the program


def _drop_output() -> None:
    """Forget what is still buffered, which nobody takes; else the interpreter complains when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(failure: Failure, session: Session, error: BaseException) -> int:
    if session.debug:
        import traceback  # noqa: PLC0415 - only for errors

        traceback.print_exception(error)
    session.tell_failure(failure)
    return failure.code


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 leakage or failed checks (--strict, doctor), 2 usage or configuration, "
    "3 bad input or data, 4 store.",
)
@click.version_option(__version__, "-V", "--version", prog_name="timefence-pl", help="Show the version and exit.")
@click.option("--json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Show plans, and each step as it is done.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; by default timefence.toml, [tool.timefence] in pyproject.toml, or timefence.yaml.",
)
@click.option(
    "-C",
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run as if started in this folder.",
)
@click.pass_context
def cli(
    ctx: click.Context, json: bool, verbose: bool, debug: bool, config: Path | None, directory: Path | None
) -> None:
    """Point-in-time correct training sets: find out whether yours leaks, and build a clean one.

    Start with `timefence-pl quickstart churn`, or with `timefence-pl init` in a folder of data files.
    """
    session = ctx.obj if isinstance(ctx.obj, Session) else Session()
    ctx.obj = session
    session.json |= json
    session.verbose |= verbose
    session.debug |= debug
    session.config_file = None if config is None else config.absolute()
    if directory is not None:
        before = Path.cwd()
        os.chdir(directory)
        ctx.call_on_close(lambda: os.chdir(before))


def main(prog_name: str | None = None) -> None:
    """Run the command line."""
    cli.main(prog_name=prog_name)
