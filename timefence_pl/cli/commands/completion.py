"""``timefence-pl completion``: the shell's script."""

from __future__ import annotations

import click

from timefence_pl.cli import options
from timefence_pl.cli.session import Session

__all__ = ["command"]


@options.command(
    "completion",
    "Print the script that completes commands in your shell.",
    'bash:  eval "$(timefence-pl completion bash)"',
    'zsh:   eval "$(timefence-pl completion zsh)"',
    "fish:  timefence-pl completion fish | source",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(session: Session, shell: str) -> int:
    """Print the script that completes commands, options and files in your shell."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    from timefence_pl.cli.app import cli  # noqa: PLC0415 - it imports this module by name

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - one of click's own
    script = kind(cli, {}, "timefence-pl", "_TIMEFENCE_PL_COMPLETE").source()
    session.document({"shell": shell, "script": script})
    session.raw(script)
    return 0
