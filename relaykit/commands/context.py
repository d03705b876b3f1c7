"""What a command sees of the process that it runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from typing import Any, TextIO

from attrs import frozen

from relaykit.escaping import printable_lines

__all__ = ["CommandContext", "error_text"]


def _installed_reactor() -> Any:
    from twisted.internet import reactor

    from relaykit.clock import tick_monotonically

    tick_monotonically(reactor)
    return reactor


def _standard(stream: TextIO | None) -> TextIO:
    """A standard stream that takes any text; one that goes nowhere, where a process was started without."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # lives as long as the process
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


@frozen
class CommandContext:
    """Where a command prints to, its environment, how it comes to a reactor if it serves, and who types."""

    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    choose_reactor: Callable[[], Any] = _installed_reactor
    stdin: TextIO | None = None

    @classmethod
    def of_process(cls) -> CommandContext:
        """That of this process.  Letters that its encoding lacks are printed as escapes."""
        return cls(_standard(sys.stdout), _standard(sys.stderr), os.environ, stdin=sys.stdin)

    def say(self, text: str) -> None:
        """Prints a line, or several; nothing in it speaks to a terminal."""
        print(printable_lines(text), file=self.stdout, flush=True)

    def complain(self, text: str) -> None:
        """Prints a line about something that is wrong, as :meth:`say` does."""
        print(printable_lines(text), file=self.stderr, flush=True)

    def write(self, text: str) -> None:
        """Prints a text of ours to be read by a program, as it is."""
        self.stdout.write(text)

    def explain(self, what: BaseException | str, problem: str = "", *, shown: bool = False) -> None:
        """Prints an error, or a text, with what is known of its problem and what to do about it.

        Of what was ``shown`` already only the rest is printed.
        """
        from relaykit.errors import problem_of
        from relaykit.known_problems.table import with_hint  # only where something is wrong

        text = error_text(what) if isinstance(what, BaseException) else what
        explained = with_hint(text, problem or problem_of(what))
        if shown:
            explained = explained.removeprefix(text).removeprefix("\n")
        if explained:
            self.complain(explained)


def error_text(error: BaseException) -> str:
    """What an error says; of the system's errors, which file and why, as frp writes it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"open {os.fsdecode(error.filename)}: {error.strerror.lower()}"
    return str(error)
