"""Tests for the life of a program that serves."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, globalLogBeginner
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.context import CommandContext
from relaykit.commands.runner import (
    DRAIN_LIMIT_S,
    ExitReason,
    Hangup,
    ProcessRunner,
    begin_logging,
    begin_serving,
    exit_status,
    explanation,
)
from relaykit.config.schema.sections import LogConfig
from relaykit.errors import ConnectionFailed
from relaykit.logs.observers import LogSettings, log_writer
from relaykit.supervision import Supervisor
from tests.commands.fakes import RunningReactor


class HangupTests(SynchronousTestCase):
    """Tests for :class:`Hangup`."""

    def test_told(self) -> None:
        """The supervisor hears that a reload begins, and that it is over, well or not."""
        heard: list[str] = []
        supervisor = Supervisor(
            {"NOTIFY_SOCKET": "x"}, Clock(), send=lambda address, text: heard.append(text.partition("=")[0])
        )
        path = Path(self.mktemp())
        writer = log_writer(LogSettings(to=str(path)), StringIO())
        path.unlink()
        waiting: Deferred[None] = Deferred()
        hangup = Hangup(writer, supervisor, [lambda: fail(ConnectionFailed("no")), lambda: waiting])
        hangup()
        self.assertTrue(path.exists())
        self.assertEqual(heard, ["RELOADING"])
        waiting.callback(None)
        self.assertEqual(heard, ["RELOADING", "READY"])
        supervisor.stopping()


class ProcessRunnerTests(SynchronousTestCase):
    """Tests for :class:`ProcessRunner`; the reactor is in memory, and runs until it is told to stop."""

    def setUp(self) -> None:
        """Keeps the process's signal handlers as they are."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Makes a reactor in which nothing has happened."""
        self.reactor = RunningReactor()
        self.set_signals: dict[int, Any] = {}
        self.patch(signal, "signal", self.set_signals.__setitem__)
        self.begun: Deferred[Any] = Deferred()
        self.stopped: Deferred[Any] = Deferred()
        self.stops = self.hangups = 0

    def stop(self) -> Deferred[Any]:
        """Counts how often the service was stopped."""
        self.stops += 1
        return self.stopped

    def hang_up(self) -> None:
        """Counts what SIGHUP asks for."""
        self.hangups += 1

    def live(self, begin: Callable[[], Deferred[Any]] | None = None) -> ExitReason:
        """Starts the program; why it ended is filled in as it ends."""
        lifetime = ProcessRunner(self.reactor, begin or (lambda: self.begun), self.stop, self.hang_up)
        return lifetime.run()

    def send(self, number: int) -> None:
        """Delivers a signal."""
        self.set_signals[number](number, None)

    def test_lives_on(self) -> None:
        """A service that has begun runs on."""
        reason = self.live()
        self.begun.callback(None)
        self.assertEqual((reason, self.stops, self.reactor.running), (ExitReason(), 0, True))

    def test_done(self) -> None:
        """A program whose work is done stops its service and ends without fault."""
        reason = self.live()
        self.begun.callback(True)
        self.assertTrue(self.reactor.running)
        self.stopped.callback(None)
        self.assertEqual((reason, self.reactor.running), (ExitReason(), False))

    def test_signal_drains(self) -> None:
        """A signal stops the service; the program ends when that is done, and knows the signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                self.begin_anew()
                reason = self.live()
                self.begun.callback(None)
                self.send(number)
                self.assertEqual((self.stops, self.reactor.running), (1, True))
                self.stopped.callback(None)
                self.assertEqual((reason, self.reactor.running), (ExitReason(signal=number), False))

    def test_second_signal(self) -> None:
        """Whoever sends a second signal does not wait for the draining."""
        reason = self.live()
        self.send(signal.SIGINT)
        self.send(signal.SIGTERM)
        self.assertEqual((reason.signal, self.stops, self.reactor.running), (signal.SIGINT, 1, False))

    def test_signal_after_the_end(self) -> None:
        """A signal that comes while the reactor is stopping already changes nothing."""
        stops: list[bool] = []
        self.patch(self.reactor, "stop", lambda: stops.append(self.reactor.running))
        reason = self.live()
        self.begun.callback(True)
        self.stopped.callback(None)
        self.send(signal.SIGTERM)
        self.assertEqual((reason, stops), (ExitReason(), [True]))

    def test_failure(self) -> None:
        """A failure ends the program after the service was stopped."""
        error = ConnectionFailed("no")
        reason = self.live()
        self.begun.errback(error)
        self.assertEqual((self.stops, self.reactor.running), (1, True))
        self.stopped.callback(None)
        self.assertEqual((reason, self.reactor.running), (ExitReason(failure=error), False))

    def test_raises(self) -> None:
        """What raises while it is started fails likewise."""

        def begin() -> Deferred[Any]:
            raise ConnectionFailed("at once")

        self.stopped = succeed(None)
        self.assertIsInstance(self.live(begin).failure, ConnectionFailed)
        self.assertFalse(self.reactor.running)

    def test_failure_while_stopping(self) -> None:
        """What fails because of a signal's draining is no failure of the program."""
        reason = self.live()
        self.send(signal.SIGTERM)
        self.begun.errback(ConnectionFailed("stopped"))
        self.stopped.callback(None)
        self.assertEqual(reason, ExitReason(signal=signal.SIGTERM))

    def test_stopping_fails(self) -> None:
        """A failure to stop ends the program, and is told."""
        error = ValueError("defect")
        self.stopped = fail(error)
        reason = self.live()
        self.send(signal.SIGTERM)
        self.assertEqual((reason.failure, self.reactor.running), (error, False))

    def test_stopping_takes_too_long(self) -> None:
        """What does not end in time is cut, which is told, and is neither a failure nor a defect."""
        reason = self.live()
        self.send(signal.SIGTERM)
        with capturedLogs() as events:
            self.reactor.advance(DRAIN_LIMIT_S)
        self.assertEqual((reason, self.reactor.running), (ExitReason(signal=signal.SIGTERM), False))
        self.assertEqual([event["problem"] for event in events], ["stopped-late"])

    def test_ignored_signals(self) -> None:
        """The signals that frp lives on through are ignored."""
        self.live()
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            self.assertIs(self.set_signals[number], signal.SIG_IGN)

    def test_hangup(self) -> None:
        """SIGHUP ends nothing: it has the log opened again, as often as it comes."""
        self.live()
        self.send(signal.SIGHUP)
        self.send(signal.SIGHUP)
        self.assertEqual((self.hangups, self.stops, self.reactor.running), (2, 0, True))

    def test_terminal_is_gone(self) -> None:
        """Where the terminal is gone that the program was started on, SIGHUP ends it in order."""
        terminals = {0, 1}
        self.patch(os, "isatty", terminals.__contains__)
        reason = self.live()
        self.send(signal.SIGHUP)
        self.assertEqual((self.hangups, self.stops), (1, 0))
        terminals.clear()
        self.send(signal.SIGHUP)
        self.assertEqual((self.hangups, self.stops), (1, 1))
        self.stopped.callback(None)
        self.assertEqual((reason, self.reactor.running), (ExitReason(signal=signal.SIGHUP), False))

    def test_nohup(self) -> None:
        """A hang-up that was ignored before stays ignored."""
        self.patch(signal, "getsignal", lambda number: signal.SIG_IGN)
        self.live()
        self.assertNotIn(signal.SIGHUP, self.set_signals)


class ExitStatusTests(SynchronousTestCase):
    """Tests for the exit status of a program."""

    def test_failures(self) -> None:
        """A failure is reported; that nobody reads the output any more is for the process to tell nobody."""
        told: list[BaseException] = []
        failure = ConnectionFailed("no way")
        self.assertEqual(exit_status(ExitReason(), told.append), 0)
        self.assertEqual(exit_status(ExitReason(failure=failure), told.append), 1)
        self.assertEqual(told, [failure])
        self.assertRaises(BrokenPipeError, exit_status, ExitReason(failure=BrokenPipeError()), told.append)
        self.assertEqual(told, [failure])


class ExplanationTests(SynchronousTestCase):
    """Tests for :func:`explanation`."""

    def test_once(self) -> None:
        """At a terminal, what the log has just said is only explained; anywhere else all of it is said."""

        class Terminal(StringIO):
            """A terminal, or none."""

            is_one = True

            def isatty(self) -> bool:
                return self.is_one

        error = ConnectionFailed("no way", problem="connection-refused")
        said = []
        for logged, is_one in ((True, True), (False, True), (True, False)):
            stdout, stderr = Terminal(), StringIO()
            stdout.is_one = is_one
            writer = log_writer(LogSettings(), stdout)
            if logged:
                Logger("relaykit.x", observer=writer).error("it failed: {reason}", reason=str(error))
            explanation(CommandContext(stdout, stderr, {}), writer)(error)
            said.append(stderr.getvalue().startswith("no way\n"))
            self.assertIn("  The machine answers", stderr.getvalue())
        self.assertEqual(said, [False, True, True])


class LoggingTests(SynchronousTestCase):
    """Tests for :func:`begin_logging`."""

    def begin(self, config: LogConfig) -> tuple[list[Any], str]:
        """The observers that the log begins with, and what is complained about."""
        observers: list[Any] = []
        self.patch(globalLogBeginner, "beginLoggingTo", lambda found, **options: observers.extend(found))
        stdout, stderr = StringIO(), StringIO()
        begin_logging(config, True, CommandContext(stdout, stderr, {}, RunningReactor))
        observers[0]({"log_level": None})
        return observers, stderr.getvalue()

    def test_console(self) -> None:
        """By default there is one observer, and nothing to complain about."""
        observers, complaints = self.begin(LogConfig())
        self.assertEqual((len(observers), complaints), (1, ""))

    def test_unusable_file(self) -> None:
        """A file that cannot be opened is told, and the log goes to the console."""
        observers, complaints = self.begin(LogConfig(to="/dev/null/x.log"))
        self.assertEqual(len(observers), 1)
        self.assertIn("cannot log to /dev/null/x.log: ", complaints)

    def test_file(self) -> None:
        """A file is opened at once."""
        path = Path(self.mktemp())
        self.begin(LogConfig(to=str(path)))
        self.assertTrue(path.exists())

    def test_serving(self) -> None:
        """A role begins with its log, in a process that is prepared."""
        limits: list[Any] = []
        self.patch(resource, "setrlimit", lambda which, limit: limits.append(limit))
        self.patch(globalLogBeginner, "beginLoggingTo", lambda found, **options: None)
        begin_serving(LogConfig(), CommandContext(StringIO(), StringIO(), {}, RunningReactor), color=False)
        self.assertEqual(len(limits), 1)
