"""``relaykit completion``: scripts that let shells ask ``relaykit`` how to complete a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


_WHERE = {
    "bash": "For every shell, put this line into ~/.bashrc:  source <(relaykit completion bash)",
    "fish": "For every shell:  relaykit completion fish > ~/.config/fish/completions/relaykit.fish",
    "zsh": "For every shell, put this line into ~/.zshrc, after compinit:  source <(relaykit completion zsh)",
}


def run(context: CommandContext, shell: str) -> int:
    """Prints the script for a shell: ``bash``, ``fish`` or ``zsh``."""
    completion = get_completion_class(shell)
    assert completion is not None
    # The script has no commands: it asks the program for them.
    asking = completion(click.Command(None), {}, "relaykit", "_RELAYKIT_COMPLETE")
    context.write(f"# {_WHERE[shell]}\n{asking.source()}")
    return 0
