"""Tests for :mod:`relaykit.commands.status.follower`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from io import StringIO
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, globalLogBeginner, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.status import ClientStatus
from relaykit.commands.context import CommandContext
from relaykit.commands.status.client import FollowedClient
from relaykit.commands.status.follower import LogFollower, client_renderer
from relaykit.commands.status.live import LiveRenderer
from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.view import ConnectionState, LastProblem, Snapshot, StatusView, UserRequest
from relaykit.commands.tunnels.logins import ServerName
from relaykit.known_problems.table import KNOWN_PROBLEMS
from tests.commands.fakes import FakeRole

CONNECTED = ClientStatus(connected=True, since=0.0, round_trip_s=0.01)


class RecordingRenderer:
    """Keeps the snapshots."""

    def __init__(self, period_s: float | None) -> None:
        self.period_s = period_s
        self.snapshots: list[Snapshot] = []
        self.told: list[str] = []
        self.requests: list[UserRequest] = []
        self.log: list[tuple[str, LogLevel]] = []
        self.closed = False
        self.error: Exception | None = None
        """What showing fails with."""

    def begin(self, on_key: Callable[[str], None]) -> None:
        """Keeps whom keys are for."""
        self.on_key = on_key

    def show(self, snapshot: Snapshot) -> None:
        """Keeps it."""
        if self.error is not None:
            raise self.error
        self.snapshots.append(snapshot)

    def tell(self, text: str) -> None:
        """Keeps it."""
        self.told.append(text)

    def tell_log(self, line: str, level: LogLevel) -> None:
        """Keeps it."""
        self.log.append((line, level))

    def tell_request(self, request: UserRequest) -> None:
        """Keeps it."""
        self.requests.append(request)

    def close(self) -> None:
        """Remembers it."""
        self.closed = True


class LogFollowerTests(SynchronousTestCase):
    """Tests for :class:`LogFollower`."""

    def setUp(self) -> None:
        """Takes the place of the log."""
        self.clock = Clock()
        self.client = FakeRole()
        self.log = Logger("relaykit.client.service")
        self.patch(globalLogBeginner, "beginLoggingTo", self.begin_logging)

    def begin_logging(self, observers: list[Any], **options: Any) -> None:
        """Lets the log begin, for the duration of the test."""
        for observer in observers:
            globalLogPublisher.addObserver(observer)
            self.addCleanup(globalLogPublisher.removeObserver, observer)

    def followed(self, period_s: float | None) -> tuple[LogFollower[Snapshot], RecordingRenderer]:
        """A follower that has begun, and its renderer."""
        renderer = RecordingRenderer(period_s)
        follower = LogFollower(
            FollowedClient(self.client, StatusView(server=ServerName("relay.example")), self.clock),
            renderer,
            self.clock,
        )
        follower.begin()
        return follower, renderer

    def test_lines(self) -> None:
        """Without a period there is a snapshot at the start, and one for what is logged in one turn."""
        follower, renderer = self.followed(None)
        self.clock.advance(0)
        self.assertEqual([each.state for each in renderer.snapshots], [ConnectionState.CONNECTING])
        self.log.info("login to server success")
        self.log.warn("something else")
        self.client.now = CONNECTED
        self.clock.advance(0)
        self.assertEqual([each.state for each in renderer.snapshots[1:]], [ConnectionState.CONNECTED])
        assert renderer.snapshots[1].problem is not None
        self.assertEqual(renderer.snapshots[1].problem.text, "something else")
        self.clock.advance(100.0)
        self.assertEqual((len(renderer.snapshots), self.client.measured), (2, 0))
        follower.end()

    def test_live(self) -> None:
        """With a period there are snapshots all the time."""
        self.client.now = CONNECTED
        follower, renderer = self.followed(0.5)
        self.clock.pump([0.5] * 4)
        self.assertEqual(len(renderer.snapshots), 5)
        follower.end()

    def test_end(self) -> None:
        """The end is a last snapshot; then the renderer is closed, and no call is left."""
        for period_s in (None, 0.5):
            follower, renderer = self.followed(period_s)
            self.log.info("a snapshot is due")
            before = len(renderer.snapshots)
            follower.end()
            self.assertEqual((len(renderer.snapshots), renderer.closed), (before + 1, True))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_keys(self) -> None:
        """One key ends the program as Ctrl-C does; the others are for what is followed."""
        sent: list[int] = []
        self.patch(signal, "raise_signal", sent.append)
        follower, renderer = self.followed(0.5)
        for letter in "qr":
            renderer.on_key(letter)
        self.assertEqual((sent, self.client.done), ([signal.SIGINT], ["reconnected"]))
        follower.end()

    def test_log(self) -> None:
        """What is logged from information on is told with its time, as one line."""
        follower, renderer = self.followed(0.5)
        self.log.debug("details")
        self.log.info("[{run}] hello {who}", run="0123", who="\n")
        ((line, level),) = renderer.log
        self.assertRegex(line, r"^\d\d:\d\d:\d\d hello \\n$")
        self.assertEqual(level, LogLevel.info)
        follower.end()

    def test_ended_twice(self) -> None:
        """The end is shown once, and nothing before the beginning."""
        follower, renderer = self.followed(None)
        follower.end()
        follower.end()
        self.assertEqual([each.state for each in renderer.snapshots], [ConnectionState.ENDED])
        never = LogFollower(
            FollowedClient(self.client, StatusView(server=ServerName("r")), self.clock), renderer, self.clock
        )
        never.end()
        self.assertEqual(len(renderer.snapshots), 1)

    def test_problem(self) -> None:
        """The last warning or error of ours is the problem, without the run id, with what is known of it."""
        follower, _ = self.followed(None)
        self.log.info("all is well")
        Logger("twisted.internet").error("something else")
        self.assertIsNone(follower.problem)
        self.clock.advance(7.0)
        self.log.warn("[{run}] [ssh] start error: taken", run="0123", problem="port-in-use")
        known = KNOWN_PROBLEMS["port-in-use"]
        self.assertEqual(follower.problem, LastProblem(text="[ssh] start error: taken", known=known, at=7.0))
        self.log.warn("[{proxy}] is closed", proxy="ssh", closed=True)
        self.assertEqual(
            follower.problem,
            LastProblem(text="[ssh] is closed", known=None, at=7.0, proxy="ssh", closes=True),
        )
        follower.end()

    def test_controls(self) -> None:
        """What a peer sent cannot speak to the terminal."""
        follower, _ = self.followed(None)
        self.log.warn("it said {text}", text="\x1b[2J\n")
        assert follower.problem is not None
        self.assertEqual(follower.problem.text, "it said \\x1b[2J\\n")
        follower.end()

    def test_has_told(self) -> None:
        """What was shown as a problem need not be said again."""
        follower, _ = self.followed(None)
        self.assertFalse(follower.has_told("refused"))
        self.log.warn("connect to server error: refused")
        self.assertTrue(follower.has_told("refused"))
        self.log.warn("something else")
        self.assertFalse(follower.has_told("refused"))
        follower.end()

    def test_defect(self) -> None:
        """The traceback of a defect is shown as a text."""
        follower, renderer = self.followed(None)
        try:
            raise ZeroDivisionError("a defect")
        except ZeroDivisionError:
            self.log.failure("a defect in the client")
        follower.end()
        self.assertIn("ZeroDivisionError", renderer.told[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_broken_look(self) -> None:
        """A look that fails says so, with nothing that speaks to a terminal, and others come after it."""
        for period_s in (0.5, None):
            follower, renderer = self.followed(period_s)
            self.clock.advance(0)
            renderer.error = ZeroDivisionError("\x1b[2J")
            before = len(renderer.snapshots)
            self.log.warn("something")
            self.clock.advance(0.5)
            self.assertIn("ZeroDivisionError: \\x1b[2J", renderer.told[0])
            renderer.error = None
            self.log.warn("something else")
            self.clock.advance(0.5)
            self.assertGreater(len(renderer.snapshots), before)
            follower.end()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_looks(self) -> None:
        """Where nobody takes what is shown any more, that is nobody's business."""
        follower, renderer = self.followed(0.5)
        renderer.error = BrokenPipeError()
        self.clock.pump([0.5] * 5)
        self.assertEqual(renderer.told, [])
        renderer.error = None
        follower.end()

    def test_broken_measurement(self) -> None:
        """So does a measurement that fails, once."""
        follower, renderer = self.followed(0.5)
        self.client.error = ZeroDivisionError()
        self.client.now = CONNECTED
        self.clock.pump([0.5] * 30)
        self.assertEqual(len([each for each in renderer.told if "ZeroDivisionError" in each]), 1)
        follower.end()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Terminal(StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class ChooseTests(SynchronousTestCase):
    """Tests for :func:`client_renderer`."""

    def chosen(self, stream: StringIO, plain: bool = False, **environ: str) -> type:
        """What is chosen for a stream."""
        return type(
            client_renderer(CommandContext(stream, StringIO(), environ), Clock(), "relaykit", plain=plain)
        )

    def test_choice(self) -> None:
        """The live one is for terminals that can be drawn on, unless lines are asked for."""
        self.assertIs(self.chosen(Terminal()), LiveRenderer)
        self.assertIs(self.chosen(Terminal(), plain=True), PlainRenderer)
        self.assertIs(self.chosen(Terminal(), TERM="dumb"), PlainRenderer)
        self.assertIs(self.chosen(StringIO()), PlainRenderer)
