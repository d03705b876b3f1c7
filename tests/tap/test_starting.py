"""Tests for daemons that end when they cannot start."""

from __future__ import annotations

import signal
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.application.service import Application
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed
from relaykit.logs.floods import FloodLimit
from relaykit.logs.observers import LogSettings, log_writer
from relaykit.tap.starting import EndingProgram
from tests.commands.fakes import FakeRole, RunningReactor


class EndingProgramTests(SynchronousTestCase):
    """Tests for :class:`EndingProgram`."""

    def setUp(self) -> None:
        """Makes a reactor that can be seen to stop."""
        self.reactor = MemoryReactorClock()
        # Not the default of older versions of Twisted.
        self.reactor.hasStopped = False
        self.patch(signal, "signal", lambda number, handler: None)

    def program(self, role: FakeRole) -> EndingProgram:
        """A program of this role."""
        return EndingProgram(role, role.outcome, self.reactor)

    def test_log(self) -> None:
        """The application of twistd has what writes its log; signals open its file, and SIGHUP reloads."""
        handlers: dict[int, Any] = {}
        self.patch(signal, "signal", handlers.__setitem__)
        self.patch(signal, "getsignal", lambda number: signal.SIG_DFL)
        self.reactor = RunningReactor()
        path = Path(self.mktemp())
        writer = log_writer(LogSettings(to=str(path)), StringIO())
        program = EndingProgram(FakeRole(), FakeRole().outcome, self.reactor, writer)
        application = Application("relaykit")
        program.setServiceParent(application)
        self.assertIsInstance(application.getComponent(ILogObserver), FloodLimit)
        program.startService()
        reloads: list[int] = []
        program.reload = lambda: reloads.append(1)
        path.unlink()
        for number, count in ((signal.SIGHUP, 1), (signal.SIGUSR1, 1)):
            handlers[number](number, None)
            self.assertTrue(path.exists())
            self.assertEqual(len(reloads), count)
            path.unlink()

    def test_signals_of_others(self) -> None:
        """Signals that somebody handles or ignores, as under nohup, are left alone."""
        self.patch(signal, "signal", lambda number, handler: self.fail("it was taken"))
        self.patch(signal, "getsignal", lambda number: signal.SIG_IGN)
        self.program(FakeRole()).startService()

    def test_starts(self) -> None:
        """The role is started in both steps, and the program runs on."""
        role = FakeRole()
        program = self.program(role)
        program.privilegedStartService()
        program.startService()
        self.assertEqual(role.done, ["privileged", "started"])
        self.assertFalse(self.reactor.hasStopped)

    def test_stops(self) -> None:
        """Stopping the program stops the role."""
        role = FakeRole()
        program = self.program(role)
        program.startService()
        program.stopService()
        self.assertFalse(role.running)

    def test_failure_before_the_daemon(self) -> None:
        """What fails at once is raised to whoever starts the daemon, with or without privileges."""
        error = ConnectionFailed("port taken")
        program = self.program(FakeRole(fails_with=error))
        self.assertIs(self.assertRaises(ConnectionFailed, program.privilegedStartService), error)
        self.assertIs(self.assertRaises(ConnectionFailed, program.startService), error)

    def test_failure_later(self) -> None:
        """What fails later is logged, and ends the program."""
        role = FakeRole(decided=False)
        program = self.program(role)
        program.privilegedStartService()
        program.startService()
        self.assertFalse(self.reactor.hasStopped)
        with capturedLogs() as events:
            role.fail(ConnectionFailed("the server said no"))
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual([event["reason"] for event in events], ["the server said no"])

    def test_stopped_before(self) -> None:
        """What does not come because the program is being stopped is no failure."""
        role = FakeRole(decided=False)
        program = self.program(role)
        program.startService()
        program.stopService()
        with capturedLogs() as events:
            role.fail(ConnectionFailed("stopped before"))
        self.assertEqual((events, self.reactor.hasStopped), ([], False))
