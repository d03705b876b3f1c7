"""What a command sees of the process that it runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from attrs import frozen

__all__ = ["Surroundings"]


def _installed_reactor() -> Any:
    from twisted.internet import reactor

    from relaykit.clock import tick_monotonically

    tick_monotonically(reactor)
    return reactor


@frozen
class Surroundings:
    """Where a command prints to, its environment, and how it comes to a reactor if it serves."""

    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    choose_reactor: Callable[[], Any] = _installed_reactor

    @classmethod
    def of_process(cls) -> Surroundings:
        """Those of this process."""
        return cls(sys.stdout, sys.stderr, os.environ)

    def say(self, text: str) -> None:
        """Prints a line."""
        print(text, file=self.stdout, flush=True)

    def complain(self, text: str) -> None:
        """Prints a line about something that is wrong."""
        print(text, file=self.stderr, flush=True)

    def explain(self, text: str) -> None:
        """Prints the same, with what it means and what to do about it."""
        from relaykit.commands.advice import explained  # only where something is wrong

        self.complain(explained(text))
