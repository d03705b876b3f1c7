"""A terminal in memory, and programs of their own, for the tests of commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

from attrs import field, frozen
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.context import CommandContext
from relaykit.commands.main import run
from tests.layering import ROOT

__all__ = ["Printed", "draw_as_xterm", "run_printed", "run_python"]


@frozen
class Printed:
    """What a command answered and printed."""

    status: int
    stdout: str = field(default="")
    stderr: str = field(default="")


def draw_as_xterm(test: SynchronousTestCase) -> None:
    """Has pictures of a test drawn for this terminal, whatever whoever runs the tests has, and wants."""
    test.patch(Console, "_environ", {"TERM": "xterm"})


def _no_reactor() -> Any:
    raise AssertionError("this command line was not expected to serve")


class TerminalOutput(StringIO):
    """What is printed on a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def run_printed(
    words: Sequence[str],
    environ: Mapping[str, str] | None = None,
    choose_reactor: Callable[[], Any] = _no_reactor,
    *,
    on_terminal: bool = False,
) -> Printed:
    """Runs ``relaykit WORDS`` in this process; into a pipe, or on a terminal."""
    stdout, stderr = TerminalOutput() if on_terminal else StringIO(), StringIO()
    status = run(words, CommandContext(stdout, stderr, environ or {}, choose_reactor))
    return Printed(status, stdout.getvalue(), stderr.getvalue())


def run_python(script: str) -> list[str]:
    """The lines that a script prints in an interpreter of its own; relaykit is that of these tests."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()
