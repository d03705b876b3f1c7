"""Tests for :mod:`relaykit.commands.status.view`."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.commands.known_problems import KNOWN_PROBLEMS
from relaykit.commands.status.view import (
    ConnectionState,
    EntryPoint,
    ProblemListener,
    Snapshot,
    StatusView,
    state_text,
)
from relaykit.commands.tunnels.logins import ServerName
from relaykit.dataplane.plane import FlowCounts
from relaykit.values import Address

RELAY = ServerName("relay.example")


def proxy(address: str = "", running: bool = True, name: str = "ssh") -> ProxyStatus:
    """A proxy as a client tells of it."""
    state = RegistrationState.RUNNING if running else RegistrationState.WAITING
    return ProxyStatus(name=name, type="tcp", state=state, address=address)


class PainterTests(SynchronousTestCase):
    """Tests for :class:`StatusView`."""

    def painted(self, status: ClientStatus, **known: Any) -> Snapshot:
        """The picture of a status, at 100 seconds."""
        return StatusView(**{"server": RELAY, **known}).paint(status, 100.0, None)

    def entry_point(self, status: ClientStatus, **known: Any) -> EntryPoint:
        """The only entry_point of it."""
        (entry_point,) = self.painted(status, **known).entry_points
        return entry_point

    def test_standing(self) -> None:
        """A client is connected, connects, or waits; each for some time."""
        for status, standing, seconds in (
            (ClientStatus(), ConnectionState.CONNECTING, 0.0),
            (ClientStatus(since=90.0), ConnectionState.CONNECTING, 10.0),
            (ClientStatus(connected=True, since=40.0), ConnectionState.CONNECTED, 60.0),
            (ClientStatus(since=90.0, next_try=103.0), ConnectionState.WAITING, 3.0),
            (ClientStatus(since=90.0, next_try=99.0), ConnectionState.WAITING, 0.0),
            (ClientStatus(connected=True, since=40.0, stopping=True), ConnectionState.STOPPING, 0.0),
        ):
            picture = self.painted(status)
            self.assertEqual((picture.standing, picture.seconds), (standing, seconds))

    def test_words(self) -> None:
        """Each has its words; who stops says whom it waits for."""
        for status, words in (
            (ClientStatus(), "connecting to relay.example:7000"),
            (ClientStatus(connected=True), "connected to relay.example:7000"),
            (
                ClientStatus(since=0.0, next_try=102.6),
                "not connected to relay.example:7000, next attempt in 3 s",
            ),
            (ClientStatus(stopping=True), "stopping"),
            (
                ClientStatus(stopping=True, flows=FlowCounts(present=2)),
                "stopping: 2 users may end what they do",
            ),
        ):
            self.assertEqual(state_text(self.painted(status)), words)

    def test_public_address(self) -> None:
        """The server tells a port; users need the name that it was dialed by."""
        status = ClientStatus(proxies=(proxy(":6000"),))
        self.assertEqual(self.entry_point(status).address, "relay.example:6000")
        self.assertEqual(self.entry_point(status, server=ServerName("::1")).address, "[::1]:6000")
        told = ClientStatus(proxies=(proxy("192.0.2.1:6000"),))
        self.assertEqual(self.entry_point(told).address, "192.0.2.1:6000")

    def test_url(self) -> None:
        """What is for browsers has a URL: told by the server, or known to whoever typed the line."""
        status = ClientStatus(proxies=(proxy(":6000"),))
        self.assertEqual(self.entry_point(status).url, "")
        self.assertEqual(self.entry_point(status, web=frozenset({"ssh"})).url, "http://relay.example:6000/")
        told = ClientStatus(proxies=(proxy("https://app.relay.example"),))
        self.assertEqual(self.entry_point(told).url, "https://app.relay.example")

    def test_visitor(self) -> None:
        """A visitor is open once it listens."""
        closed = self.entry_point(ClientStatus(visitors=(VisitorStatus(name="v"),)), leads_to={"v": "db"})
        self.assertEqual(closed, EntryPoint(name="v", leads_to="db"))
        listening = VisitorStatus(name="v", listening=Address("127.0.0.1", 5432))
        opened = self.entry_point(ClientStatus(visitors=(listening,)))
        self.assertEqual((opened.open, opened.address), (True, "127.0.0.1:5432"))

    def test_all_the_rest(self) -> None:
        """Traffic and round trip are passed on; a proxy without an address has its hint."""
        flows = FlowCounts(present=1, total=2, near_to_far=3, far_to_near=4)
        status = ClientStatus(proxies=(proxy(),), flows=flows, round_trip_s=0.02)
        picture = self.painted(status, leads_to={"ssh": "127.0.0.1:22"}, hints={"ssh": "how to"})
        self.assertEqual((picture.flows, picture.round_trip_s), (flows, 0.02))
        self.assertEqual(
            picture.entry_points, (EntryPoint(name="ssh", leads_to="127.0.0.1:22", open=True, hint="how to"),)
        )


class ProblemListenerTests(SynchronousTestCase):
    """Tests for :class:`ProblemListener`."""

    def setUp(self) -> None:
        """Listens to the log."""
        self.heard = 0
        self.told: list[str] = []
        self.listener = ProblemListener(lambda: 7.0, self.hear, self.told.append)
        globalLogPublisher.addObserver(self.listener)
        self.addCleanup(globalLogPublisher.removeObserver, self.listener)

    def hear(self) -> None:
        """Counts."""
        self.heard += 1

    def test_problem(self) -> None:
        """The last warning or error of ours is the problem, without the run id, with what is known of it."""
        log = Logger("relaykit.client.service")
        log.info("all is well")
        self.assertIsNone(self.listener.problem)
        log.warn("[{run}] [ssh] start error: port already used", run="0123", problem="port-in-use")
        problem = self.listener.problem
        assert problem is not None and problem.known is not None
        self.assertEqual((problem.text, problem.at), ("[ssh] start error: port already used", 7.0))
        self.assertIs(problem.known, KNOWN_PROBLEMS["port-in-use"])
        self.assertEqual(self.heard, 2)

    def test_strangers(self) -> None:
        """What others log is not ours to show."""
        Logger("twisted.internet").error("something else")
        self.assertEqual((self.heard, self.listener.problem), (0, None))

    def test_controls(self) -> None:
        """What a peer sent cannot speak to the terminal."""
        Logger("relaykit.client").warn("it said {text}", text="\x1b[2J\n")
        assert self.listener.problem is not None
        self.assertEqual(self.listener.problem.text, "it said \\x1b[2J\\n")

    def test_defect(self) -> None:
        """The traceback of a defect is told at once."""
        log = Logger("relaykit.client")
        try:
            raise ZeroDivisionError("a defect")
        except ZeroDivisionError:
            log.failure("a defect in the client", Failure(), level=LogLevel.critical)
        self.assertIn("ZeroDivisionError: a defect", self.told[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
