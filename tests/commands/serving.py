"""What the tests of the commands that serve have in common."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogBeginner, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.assembly import ClientAssembly, ServerAssembly
from tests.commands.fakes import FakeRole, RunningReactor
from tests.commands.terminal import Printed, run_printed

__all__ = ["ServingTestCase"]


class ServingTestCase(SynchronousTestCase):
    """Runs commands with roles that do nothing, and leaves the process as it is.

    ``events`` are the texts that were logged.

    :cvar on_terminal: whether what is printed goes to a terminal.
    """

    on_terminal = False

    def setUp(self) -> None:
        """Takes the place of roles, log, limits and signals."""
        self.role = FakeRole()
        self.handlers: dict[int, Any] = {}
        self.events: list[str] = []
        self.patch(ServerAssembly, "make", self.make)
        self.patch(ClientAssembly, "make", self.make)
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(resource, "setrlimit", lambda which, limit: None)
        self.patch(globalLogBeginner, "beginLoggingTo", self.begin_logging)

    def make(self, reactor: Any, steering: Any = None) -> FakeRole:
        """Makes the role of a test."""
        return self.role

    def begin_logging(self, observers: list[ILogObserver], **options: Any) -> None:
        """Lets the log begin, for the duration of the test."""

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_namespace"].startswith("relaykit."):
                self.events.append(formatEvent(event))

        for observer in (*observers, observe):
            globalLogPublisher.addObserver(observer)
            self.addCleanup(globalLogPublisher.removeObserver, observer)

    def file(self, text: str) -> str:
        """The path of a file with this text."""
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def serve(self, *words: str, during: Callable[[], None] | None = None, **environ: str) -> Printed:
        """Runs a command; ``during`` is what happens while it serves, by default a SIGTERM."""

        def terminate() -> None:
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)

        return run_printed(
            words, environ, lambda: RunningReactor(during or terminate), on_terminal=self.on_terminal
        )
