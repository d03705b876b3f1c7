"""The command ``relaykit``: its process, and whose command line it was given.

``relaykit frps ...`` and ``relaykit frpc ...`` take frp's own command lines (:mod:`relaykit.commands.frp`);
all others are in :mod:`relaykit.commands.program`.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

import click

from relaykit.commands.context import CommandContext

__all__ = ["main", "run"]

_UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What says that nobody reads our output any more, or that there is no room for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line of this process and answers its exit status.

    A command that a signal ended is ended by that signal, so that whoever started it can see it.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    context = CommandContext.of_process()
    warnings.formatwarning = _warning
    try:
        status = run(words, context)
        context.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        status = -signal.SIGINT
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        # What is still buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), context.stdout.fileno())
        if error.errno != errno.EPIPE:
            context.explain(f"the output cannot be written: {os.strerror(error.errno)}", "output")
        return 1
    if status < 0:
        _end_by_signal(-status, context)
        return 128 - status  # as the first process of a container, which its own signals do not end
    return status


def run(words: Sequence[str], context: CommandContext) -> int:
    """Runs one command line: an exit status, or minus the number of the signal that it ended by."""
    if words and words[0] in ("frps", "frpc"):
        from relaykit.commands.frp.dispatch import execute

        return execute(words[0], words[1:], context)
    from relaykit.commands.program import RELAYKIT

    with redirect_stdout(context.stdout), redirect_stderr(context.stderr):
        try:
            return RELAYKIT.main(list(words), "relaykit", standalone_mode=False, obj=context) or 0
        except click.ClickException as error:
            error.show()
            return error.exit_code


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning as people who run a command read it: of where it was made they know nothing."""
    return f"WARNING: {message}\n"


def _end_by_signal(number: int, context: CommandContext) -> None:
    context.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
