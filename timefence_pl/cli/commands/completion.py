"""``timefence-pl completion``: the shell's script."""

from __future__ import annotations

from typing import Final

import click

from timefence_pl.cli import options
from timefence_pl.cli.session import Session

__all__ = ["command"]

#: Completion of zsh is off until its own start-up files turn it on; those of many do not.
_ZSH: Final = """#compdef timefence-pl

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
"""
#: As click's, but help texts keep what follows their first comma.
_FISH: Final = """function _timefence_pl_completion
    set -l response (env _TIMEFENCE_PL_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) timefence-pl)
    for completion in $response
        set -l metadata (string split -m 1 "," -- $completion)
        switch $metadata[1]
            case dir
                __fish_complete_directories $metadata[2]
            case file
                __fish_complete_path $metadata[2]
            case plain
                echo $metadata[2]
        end
    end
end

complete --no-files --command timefence-pl --arguments "(_timefence_pl_completion)"
"""


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
    if shell == "zsh":
        script = _ZSH + script.removeprefix("#compdef timefence-pl\n")
    elif shell == "fish":
        script = _FISH
    session.document({"shell": shell, "script": script})
    session.raw(script)
    return 0
