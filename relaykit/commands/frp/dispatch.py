"""Runs what a command line of frp means: prints help or what is wrong with it, or calls the command."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence

from relaykit import __version__
from relaykit.commands.context import CommandContext
from relaykit.commands.frp.flags import FRPC, FRPS
from relaykit.flags.grammar import (
    Call,
    Command,
    CommandLineError,
    Help,
    UnknownCommand,
    command_of,
    flags_of,
    parse,
)
from relaykit.flags.usage import help_text, usage_text

__all__ = ["Action", "completions", "execute", "print_completion"]

MISUSE_STATUS = 1
"""Exit status of frp's programs for a command line that makes no sense."""

PROGRAMS = {program.name: program for program in (FRPS, FRPC)}

Action = Callable[[Call, CommandContext], int]
"""What a command is: it prints, and answers the exit status; minus N to end as by signal N."""


def execute(program: str, words: Sequence[str], context: CommandContext) -> int:
    """Runs one command line of ``frps`` or ``frpc`` and answers its exit status.

    No command is imported for the version.
    """
    root = PROGRAMS[program]
    try:
        meant = parse(root, words)
    except UnknownCommand as error:
        context.complain(f"Error: {error}\nRun '{root.name} --help' for usage.")
        return MISUSE_STATUS
    except CommandLineError as error:
        context.complain(f"Error: {error}\n{usage_text(error.path)}")
        return MISUSE_STATUS
    if isinstance(meant, Help):
        return _show_help(meant, context)
    if len(meant.path) == 1 and meant["version"]:
        context.say(__version__)
        return 0
    return _action(meant.path[-1])(meant, context)


def completions(program: str, words: Sequence[str], incomplete: str) -> Iterator[tuple[str, str]]:
    """What a word may become that follows these words, each with what it is about."""
    path = command_of(PROGRAMS[program], words)
    own, inherited = flags_of(path)
    names = [(child.name, child.summary) for child in path[-1].children]
    names += [(f"--{flag.name.replace('_', '-')}", flag.summary) for flag in (*own, *inherited)]
    return ((name, about) for name, about in names if name.startswith(incomplete))


def print_completion(call: Call, context: CommandContext) -> int:
    """Prints the script that lets a shell complete command lines."""
    from relaykit.commands.completion import run

    return run(context, call.path[-1].name)


def _show_help(help_: Help, context: CommandContext) -> int:
    if help_.unknown:
        topic = " ".join(f"`{word}`" for word in help_.unknown)
        context.complain(f"Unknown help topic [{topic}]\n{usage_text(help_.path)}")
    else:
        context.write(help_text(help_.path))
    return 0


def _action(command: Command) -> Action:
    module, _, name = command.action.partition(":")
    action: Action = getattr(importlib.import_module(module), name)
    return action
