"""Runs what a command line means: prints help or what is wrong with it, or imports and calls the command."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from relaykit import __version__
from relaykit.commands.grammar import Call, Command, CommandLineError, Help, UnknownCommand, parse
from relaykit.commands.surroundings import Surroundings
from relaykit.commands.usage import help_text, usage_text

__all__ = ["Action", "execute"]

Action = Callable[[Call, Surroundings], int]
"""What a command is: it prints, and answers the exit status; minus N to end as by signal N."""


def execute(root: Command, words: Sequence[str], around: Surroundings, misuse_status: int) -> int:
    """Runs one command line and answers its exit status, ``misuse_status`` for one that makes no sense.

    The flag ``version`` of a root prints the version; no command is imported for it.
    """
    try:
        meant = parse(root, words)
    except UnknownCommand as error:
        around.complain(f"Error: {error}\nRun '{root.name} --help' for usage.")
        return misuse_status
    except CommandLineError as error:
        around.complain(f"Error: {error}\n{usage_text(error.path)}")
        return misuse_status
    if isinstance(meant, Help):
        return _show_help(meant, around)
    if len(meant.path) == 1 and meant.values.get("version"):
        around.say(__version__)
        return 0
    return _action(meant.path[-1])(meant, around)


def _show_help(help_: Help, around: Surroundings) -> int:
    if help_.unknown:
        topic = " ".join(f"`{word}`" for word in help_.unknown)
        around.complain(f"Unknown help topic [{topic}]\n{usage_text(help_.path)}")
    else:
        around.stdout.write(help_text(help_.path))
    return 0


def _action(command: Command) -> Action:
    module, _, name = command.action.partition(":")
    action: Action = getattr(importlib.import_module(module), name)
    return action
