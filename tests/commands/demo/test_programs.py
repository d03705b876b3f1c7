"""Tests for programs on machines of a laboratory."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.error import ProcessDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.demo import programs
from relaykit.commands.demo.programs import Event, Programs
from relaykit.errors import RelaykitError


class FakeReactor:
    """Keeps what was started, where, and what was sent to it."""

    def __init__(self) -> None:
        self.place = ""
        self.started: list[tuple[str, Any, list[str], Any]] = []
        self.signals: list[str] = []

    def spawnProcess(self, protocol: Any, program: str, command: list[str], environ: Any) -> None:
        """Starts nothing."""
        self.started.append((self.place, protocol, command, environ))
        protocol.transport = self

    def signalProcess(self, name: str) -> None:
        """What its protocol sends it."""
        self.signals.append(name)

    @contextmanager
    def entered(self, place: str) -> Iterator[None]:
        """What is started meanwhile is there."""
        self.place = place
        yield
        self.place = ""


class ProgramTests(SynchronousTestCase):
    """Tests for the server of a laboratory."""

    def setUp(self) -> None:
        """Starts it."""
        self.reactor = FakeReactor()
        self.patch(programs, "entered", self.reactor.entered)
        self.events: list[tuple[str, Event]] = []
        self.lost: list[RelaykitError] = []
        self.programs = Programs(
            self.reactor, {"A": "B"}, lambda *event: self.events.append(event), self.lost.append
        )
        self.addCleanup(self.end)
        self.programs.start("server", "server", "bindPort = 7000\n", "/the/internet")
        self.place, self.protocol, self.command, self.environ = self.reactor.started[0]

    def end(self) -> None:
        """Ends it, which takes the test's word that it is gone."""
        ended = self.programs.end()
        if self.reactor.signals:
            self.protocol.processEnded(Failure(ProcessDone(0)))
        self.successResultOf(ended)

    def test_started(self) -> None:
        """It is started in its namespace, with a file and a state of its own, and dies with this process."""
        file = self.programs.folder / "server.toml"
        self.assertEqual((self.place, self.environ), ("/the/internet", {"A": "B"}))
        self.assertEqual(self.command[:3], ["setpriv", "--pdeathsig", "KILL"])
        self.assertEqual(self.command[5:8], ["relaykit", "server", "-c"])
        self.assertEqual(self.command[8:], [str(file), "--state-dir", str(self.programs.folder / "server")])
        self.assertEqual(file.read_text(), "bindPort = 7000\n")
        self.assertEqual(self.programs.folder.stat().st_mode & 0o777, 0o700)

    def test_events(self) -> None:
        """Events are told as their lines are complete, and who waits for one learns of it."""
        waiting = self.programs.when("server", lambda event: event["message"] == "ready")
        other = self.programs.when("owner", lambda event: True)
        self.protocol.outReceived(b'{"message": "one"}\n{"mess')
        self.assertEqual(self.events, [("server", {"message": "one"})])
        self.assertNoResult(waiting)
        self.protocol.outReceived(b'age": "ready"}\n')
        self.successResultOf(waiting)
        self.protocol.outReceived(b'{"message": "ready"}\n')
        self.assertEqual(len(self.events), 3)
        self.assertNoResult(other)

    def test_lost(self) -> None:
        """A program that ends by itself is told of, with its last words."""
        self.protocol.outReceived(b"something that is no event\n")
        self.protocol.errReceived(b"the port is taken\n")
        self.protocol.processEnded(Failure(ProcessDone(0)))
        (error,) = self.lost
        for words in ("the program of the server", "no event", "the port is taken"):
            self.assertIn(words, str(error))

    def test_ended(self) -> None:
        """At the end it is killed, which is no news, and its files are removed once it is gone."""
        ended = self.programs.end()
        self.assertEqual(self.reactor.signals, ["KILL"])
        self.assertTrue(self.programs.folder.exists())
        self.protocol.processEnded(Failure(ProcessDone(signal.SIGKILL)))
        self.successResultOf(ended)
        self.assertFalse(self.programs.folder.exists())
        self.assertEqual(self.lost, [])
        self.reactor.signals.clear()
