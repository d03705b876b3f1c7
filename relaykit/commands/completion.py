"""``relaykit completion``: scripts that let shells ask ``relaykit`` how to complete a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext

__all__ = ["run"]


def run(context: CommandContext, shell: str) -> int:
    """Prints the script for a shell: ``bash``, ``fish`` or ``zsh``."""
    completion = get_completion_class(shell)
    assert completion is not None
    # The script has no commands: it asks the program for them.
    asking = completion(click.Command(None), {}, "relaykit", "_RELAYKIT_COMPLETE")
    context.stdout.write(asking.source())
    return 0
