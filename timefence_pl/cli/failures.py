"""Errors as exit codes.

Takes an exception, gives what to say of it and the code to exit with. Imports neither Polars nor Arrow: what has not
been imported has not raised anything.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from timefence_pl.errors import TimefenceError, message

if TYPE_CHECKING:
    from traceback import FrameSummary

__all__ = ["DATA", "FAILED", "STORE", "USAGE", "Failure", "failure_of"]

FAILED: Final = 1
USAGE: Final = 2
DATA: Final = 3
STORE: Final = 4
_FAULT: Final = 70
_INTERRUPTED: Final = 130
#: What only those meet who write.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Failure:
    """Why a command ended.

    Attributes:
        kind: The error's name.
        text: What to say.
        code: The exit code.
        usage: The line that shows how the command is used, for errors in its words.
    """

    kind: str
    text: str
    code: int
    usage: str = ""


def failure_of(error: BaseException) -> Failure | None:
    """What to say of an error, and the exit code; None for one that is to be raised on."""
    kind = type(error).__name__
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return Failure("Interrupted", "Interrupted.", _INTERRUPTED)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Failure("Help", error.format_message(), USAGE)
    if isinstance(error, click.UsageError):
        usage = "" if error.ctx is None else error.ctx.get_usage()
        return Failure("UsageError", _misplaced(error) or error.format_message(), USAGE, usage)
    if isinstance(error, click.ClickException):
        return Failure(kind, error.format_message(), USAGE)
    if isinstance(error, TimefenceError):
        return Failure(kind, str(error), _code(error))
    if isinstance(error, BrokenPipeError) or kind == "ReaderGoneError":
        return None
    if isinstance(error, OSError) and error.errno in _FULL:
        what = repr(str(error.filename)) if error.filename else "The output"
        text = message(f"{what} cannot be written: {error.strerror}.", fix="Make room, and try again.")
        return Failure(kind, text, STORE)
    if _from_data(error):
        first = str(error).strip().splitlines() or [kind]
        text = message(
            f"The data cannot be read or computed: {first[0][:300]}",
            fix="`timefence-pl doctor` says which source or feature it is; --debug shows the traceback.",
        )
        return Failure(kind, text, DATA)
    if not isinstance(error, Exception):
        return None
    import sysconfig  # noqa: PLC0415 - only for errors
    import traceback  # noqa: PLC0415

    place = _users_line(traceback.extract_tb(error.__traceback__), sysconfig.get_paths())
    if place:
        fix = "Correct the function; --debug shows the traceback."
        return Failure(kind, message(f"{place}: {kind}: {error}", fix=fix), USAGE)
    text = message(
        f"Unexpected {kind}: {str(error)[:300]}",
        fix="This is a fault of the program; report it with what --debug shows.",
    )
    return Failure(kind, text, _FAULT)


def _misplaced(error: click.UsageError) -> str:
    """What to say of an option that is known, but not to the command it was given to; nothing of others."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None or error.ctx.parent is None:
        return ""
    root = error.ctx.find_root()
    known = next((p for p in root.command.params if error.option_name in p.opts), None)
    if known is None:
        return ""
    value = "" if isinstance(known, click.Option) and known.is_flag else f" {known.make_metavar(root)}"
    words = error.ctx.command_path.removeprefix(root.command_path).strip()
    return f"{error.option_name} goes before the command: timefence-pl {error.option_name}{value} {words} ..."


def _code(error: TimefenceError) -> int:
    kinds = {c.__name__ for c in type(error).__mro__}
    if "TimefenceLeakageError" in kinds:
        return FAILED
    if kinds & {"TimefenceConfigError", "InvalidNameError"}:
        return USAGE
    if kinds & {"NotFoundError", "AliasConflictError", "InUseError", "TagExistsError"}:
        return DATA
    return STORE if "TimefenceStoreError" in kinds else DATA


def _users_line(frames: Sequence[FrameSummary], paths: Mapping[str, str]) -> str:
    """The innermost line of the user's own code that it was raised from, if it was: neither ours nor installed."""
    ours = str(Path(__file__).parents[1])
    installed = tuple(paths[n] for n in ("stdlib", "platstdlib", "purelib", "platlib"))
    for frame in reversed(frames):
        if frame.filename.startswith((ours, "<")):
            break
        if not frame.filename.startswith(installed):
            file = Path(frame.filename)
            shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
            return f"{shown}, line {frame.lineno}, in {frame.name}"
    return ""


def _from_data(error: BaseException) -> bool:
    """Whether it is what the engine, Arrow or the file system says of the user's data."""
    if isinstance(error, OSError | MemoryError | UnicodeError):
        return True
    packages = {c.__module__.split(".")[0] for c in type(error).__mro__}
    return (
        bool(packages & {"polars", "pyarrow", "duckdb"} & set(sys.modules)) or type(error).__name__ == "PanicException"
    )
