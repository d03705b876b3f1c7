"""Tests for :mod:`relaykit.commands.status.follower`."""

from __future__ import annotations

from io import StringIO
from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import Logger, globalLogBeginner, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.status import ClientStatus
from relaykit.commands.context import CommandContext
from relaykit.commands.status.follower import MEASURE_S, LogFollower, choose_renderer
from relaykit.commands.status.live import LiveRenderer
from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.view import ConnectionState, Snapshot, StatusView
from relaykit.commands.tunnels.logins import ServerName
from tests.commands.fakes import FakeRole

CONNECTED = ClientStatus(connected=True, since=0.0, round_trip_s=0.01)


class RecordingShow:
    """Keeps the pictures."""

    def __init__(self, period_s: float | None) -> None:
        self.period_s = period_s
        self.pictures: list[Snapshot] = []
        self.told: list[str] = []
        self.closed = False

    def show(self, picture: Snapshot) -> None:
        """Keeps it."""
        self.pictures.append(picture)

    def tell(self, text: str) -> None:
        """Keeps it."""
        self.told.append(text)

    def close(self) -> None:
        """Remembers it."""
        self.closed = True


class FollowerTests(SynchronousTestCase):
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

    def followed(self, period_s: float | None) -> tuple[LogFollower, RecordingShow]:
        """A follower that has begun, and its show."""
        show = RecordingShow(period_s)
        follower = LogFollower(self.client, StatusView(server=ServerName("relay.example")), show, self.clock)
        follower.begin()
        return follower, show

    def test_lines(self) -> None:
        """Without a period there is a picture at the start, and one for what is logged in one turn."""
        follower, show = self.followed(None)
        self.clock.advance(0)
        self.assertEqual([each.standing for each in show.pictures], [ConnectionState.CONNECTING])
        self.log.info("login to server success")
        self.log.warn("something else")
        self.client.now = CONNECTED
        self.clock.advance(0)
        self.assertEqual([each.standing for each in show.pictures[1:]], [ConnectionState.CONNECTED])
        assert show.pictures[1].problem is not None
        self.assertEqual(show.pictures[1].problem.text, "something else")
        self.clock.advance(100.0)
        self.assertEqual((len(show.pictures), self.client.measured), (2, 0))
        follower.end()

    def test_screen(self) -> None:
        """With a period there are pictures all the time, and round trips are measured."""
        self.client.now = CONNECTED
        follower, show = self.followed(0.5)
        self.clock.pump([0.5] * 4)
        self.assertEqual(len(show.pictures), 5)
        self.assertEqual(self.client.measured, 1)
        self.clock.pump([0.5] * int(MEASURE_S / 0.5))
        self.assertEqual(self.client.measured, 2)
        follower.end()

    def test_first_round_trip(self) -> None:
        """Until there is a first measurement, one is asked for with every picture."""
        self.client.now = evolve(CONNECTED, round_trip_s=None)
        follower, _ = self.followed(0.5)
        self.clock.pump([0.5] * 4)
        self.assertEqual(self.client.measured, 1 + 5)
        follower.end()

    def test_end(self) -> None:
        """The end is a last picture; then the show is closed, and no call is left."""
        for period_s in (None, 0.5):
            follower, show = self.followed(period_s)
            self.log.info("a picture is due")
            before = len(show.pictures)
            follower.end()
            self.assertEqual((len(show.pictures), show.closed), (before + 1, True))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_has_told(self) -> None:
        """What was shown as a problem need not be said again."""
        follower, _ = self.followed(None)
        self.assertFalse(follower.has_told("refused"))
        self.log.warn("connect to server error: refused")
        self.assertTrue(follower.has_told("refused"))
        follower.end()

    def test_defect(self) -> None:
        """The traceback of a defect reaches the show as a text."""
        follower, show = self.followed(None)
        try:
            raise ZeroDivisionError("a defect")
        except ZeroDivisionError:
            self.log.failure("a defect in the client")
        follower.end()
        self.assertIn("ZeroDivisionError", show.told[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Terminal(StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class ChooseTests(SynchronousTestCase):
    """Tests for :func:`choose_renderer`."""

    def chosen(self, stream: StringIO, plain: bool = False, **environ: str) -> type:
        """What is chosen for a stream."""
        return type(choose_renderer(CommandContext(stream, StringIO(), environ), "relaykit", plain=plain))

    def test_choice(self) -> None:
        """A screen is for terminals that can be drawn on, unless lines are asked for."""
        self.assertIs(self.chosen(Terminal()), LiveRenderer)
        self.assertIs(self.chosen(Terminal(), plain=True), PlainRenderer)
        self.assertIs(self.chosen(Terminal(), TERM="dumb"), PlainRenderer)
        self.assertIs(self.chosen(StringIO()), PlainRenderer)
