"""One run of the command line: what was asked for globally, and where its words go.

Takes text, tables and JSON-ready values, gives them to standard output; progress, warnings and errors go to standard
error. Knows no command. Rich is imported when something is printed with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TextIO

from timefence_pl.cli.failures import Failure
from timefence_pl.cli.layout import broken, column_widths

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["ReaderGoneError", "Session", "Steps", "counted", "plain", "shown_path"]

#: A pipe has no width: tables are as wide as their cells, lines are not broken.
_UNBROKEN: Final = 100_000


def plain(value: object) -> str:
    """Text that is safe to print: control characters, which may steer a terminal, are spelt out."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 build``, ``1,000 builds``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def shown_path(path: str | Path) -> str:
    """A path as seen from where the command was started, where it lies below."""
    import click  # noqa: PLC0415 - what is printed without a command needs none

    ctx = click.get_current_context(silent=True)
    session = None if ctx is None else ctx.find_object(Session)
    here = Path.cwd()
    if session is not None and session.started is not None:
        path, here = os.path.normpath(here / path), session.started
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else str(path)


class ReaderGoneError(Exception):
    """Whoever read standard output reads no more."""


@dataclass(frozen=True)
class Steps:
    """Steps of some work, as they are done.

    Attributes:
        step: Told of each step.
        expect: Told how many there will be, once that is known.
    """

    step: Callable[[str], None]
    expect: Callable[[int], None]


@dataclass
class Session:
    """What one run was asked for, and where it writes.

    Attributes:
        json: Whether standard output is one JSON document.
        verbose: Whether plans and steps are shown.
        debug: Whether errors show their tracebacks.
        config_file: The configuration that was asked for; None to look for one.
        started: Where the command was started, if it works in another folder now: that of the configuration.
        warnings: What was warned of so far.
    """

    json: bool = False
    verbose: bool = False
    debug: bool = False
    config_file: Path | None = None
    started: Path | None = None
    warnings: list[str] = field(default_factory=list)
    _document_to: TextIO | None = field(default=None, init=False)

    def as_given(self, path: Path) -> str:
        """A path of the command line as it was given there."""
        return str(path) if self.started is None else shown_path(path)

    # --- standard output ----------------------------------------------------------------------------------------------

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print one line of parts: text, or text and its style."""
        if not self.json:
            _put(self._out, _text(parts))

    def raw(self, text: str) -> None:
        """Print text as it is, without a thought for terminals."""
        if not self.json:
            sys.stdout.write(text + "\n")

    def text(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """Print text line by line.

        Args:
            text: Lines.
            style: Of all of them.
            whole: Leave it to the terminal to break lines, for code and trees.
        """
        if self.json:
            return
        for row in plain(text).split("\n"):
            line = _text([(row, style)])
            if whole:
                self._out.print(line, soft_wrap=True)
            else:
                _put(self._out, line)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
        """Print a table.

        Wide columns are broken between words where the terminal is narrow, and paths folded; where it is too narrow
        for that, each row is a few lines.

        Args:
            columns: Heads.
            rows: Cells: text, or text and its style.
            right: Columns aligned right.
        """
        if self.json:
            return
        from rich.table import Table  # noqa: PLC0415 - rich costs as much as all of click

        cells = [[_text([c if isinstance(c, tuple) else str(c)]) for c in row] for row in rows]
        heads = [plain(name) for name in columns]
        widths = column_widths([[h, *(row[i].plain for row in cells)] for i, h in enumerate(heads)], self._out.width)
        if widths is None:
            self._records(heads, cells)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, head in enumerate(heads):
            justify: Literal["left", "right"] = "right" if number in right else "left"
            table.add_column(head, overflow="fold", justify=justify, width=widths[number])
        for row in cells:
            table.add_row(*row)
        if self._out.is_terminal:
            self._out.print(table)
            return
        console = self._out
        with console.capture() as captured:
            console.print(table)
        console.file.write("".join(row.rstrip() + "\n" for row in captured.get().splitlines()))

    def _records(self, heads: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
        """A table for a terminal too narrow for it: a line for each cell that is not empty."""
        width = max(len(h) for h in heads) + 2
        for row in cells:
            for head, cell in zip(heads, row, strict=True):
                if cell.plain.strip():
                    _put(self._out, _text([(f"{head:<{width}}", "bold")]).append_text(cell))
            self._out.print()

    def document(self, value: Mapping[str, Any]) -> None:
        """Print the one JSON document, if JSON was asked for."""
        if not self.json:
            return
        import orjson  # noqa: PLC0415 - only where JSON is printed

        told = {**value, "warnings": self.warnings} if self.warnings else value
        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        text = orjson.dumps(_json_ready(told), default=str, option=options) + b"\n"
        out = self._document_to or sys.stdout
        stream = getattr(out, "buffer", None)
        if stream is None:
            out.write(text.decode())
        else:  # JSON is UTF-8, whatever the terminal is
            stream.write(text)

    @contextmanager
    def others_words_aside(self) -> Iterator[None]:
        """While JSON is asked for, what feature files and their functions print goes to standard error."""
        if not self.json:
            yield
            return
        self._document_to = sys.stdout
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            self._document_to = None

    def flush(self) -> None:
        """Write out what is buffered, so that a broken pipe is noticed now."""
        sys.stdout.flush()

    # --- standard error -----------------------------------------------------------------------------------------------

    def note(self, *parts: str | tuple[str, str]) -> None:
        """Print a line to standard error, unless JSON was asked for."""
        if not self.json:
            _put(self._err, _text(parts))

    def warn(self, text: str) -> None:
        """Warn once."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.note(("warning: ", "yellow"), text)

    def showwarning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Take over from :func:`warnings.showwarning`."""
        del category, filename, lineno, file, line
        self.warn(str(message).strip())

    def tell_failure(self, failure: Failure) -> None:
        """Say why the command ended: as the JSON document, or on standard error."""
        if self.json:
            told = {"type": failure.kind, "message": failure.text, "exit_code": failure.code}
            self.document({"error": told})
            return
        if failure.usage:
            self.note(failure.usage)
        if failure.kind == "Help":
            self.note(failure.text)
            return
        for number, row in enumerate(plain(failure.text).split("\n")):
            self.note(*([("error: ", "bold red"), row] if number == 0 else [row]))

    @contextmanager
    def progress(self, total: int | None, what: str) -> Iterator[Steps]:
        """Show steps with the time left: a bar on a terminal, lines where steps were asked for, else nothing.

        Args:
            total: How many steps are expected; None where that cannot be told.
            what: What is done, until the first step says more.
        """
        if self.json or not self._err.is_terminal:
            yield Steps(self._told if self.verbose else _silent, _unexpected)
            return
        from rich.progress import (  # noqa: PLC0415 - only on a terminal
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        if total is not None:
            columns += [BarColumn(bar_width=24), MofNCompleteColumn()]
        columns.append(TimeElapsedColumn())
        if total is not None:
            columns += [TextColumn("left"), TimeRemainingColumn()]
        with Progress(*columns, console=self._err, transient=True) as bar:
            task = bar.add_task(what, total=total)

            def step(text: str) -> None:
                bar.update(task, advance=1, description=plain(text))

            def expect(steps: int) -> None:
                bar.update(task, total=steps)

            yield Steps(step, expect)

    def _told(self, step: str) -> None:
        self.note(step)

    # --- consoles -----------------------------------------------------------------------------------------------------

    @property
    def _out(self) -> Console:
        return _console(stderr=False)

    @property
    def _err(self) -> Console:
        return _console(stderr=True)


def _gone() -> NoReturn:
    raise ReaderGoneError


def _put(console: Console, text: Text) -> None:
    for line in broken(text, console):
        console.print(line, soft_wrap=True)


def _silent(_step: str) -> None:
    """Steps that nobody asked for."""


def _unexpected(_steps: int) -> None:
    """A number of steps that nobody is shown."""


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    console.on_broken_pipe = _gone  # type: ignore[method-assign] # rich would exit with the code of leakage
    if not console.is_terminal:
        console.width = _UNBROKEN
    return console


def _text(parts: Sequence[str | tuple[str, str]]) -> Text:
    from rich.text import Text  # noqa: PLC0415

    return Text.assemble(*((plain(p[0]), p[1]) if isinstance(p, tuple) else plain(p) for p in parts), overflow="fold")


def _json_ready(value: Any) -> Any:
    """Durations in seconds, everything else as JSON has it."""
    from datetime import timedelta  # noqa: PLC0415

    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(k): _json_ready(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(v) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
