"""Tests of reaching a server by whichever carrier gets there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.paths import OneRoute
from relaykit.client.racing import ASKED_AFTER_S, RacedRoute, racing_carriers
from relaykit.client.remembered import RememberedServers
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport
from relaykit.errors import (
    BrokenCarrier,
    ConnectionFailed,
    LoginRefusedError,
    NoWayError,
    RefusalCode,
    SessionLost,
    TransportSecurityError,
)
from relaykit.interfaces import IStreamPath
from relaykit.plugins import Carriers
from relaykit.sansio.control.race import HEAD_START_S, LAST_PATIENCE_S, LOGIN_PATIENCE_S
from relaykit.sansio.control.ways import DEMOTED_S, WORKED_S
from relaykit.state import StateDirectory
from relaykit.values import Address, CarrierCapabilities, Ended

SERVER = "relay.example:7000"


class Line(OneRoute):
    """A way of the test's own: what opening it and logging in by it come to is the test's to say."""

    def __init__(self, what: str, host: Host) -> None:
        self.what = what
        self.host = host
        self.opening: Deferred[IStreamPath] = Deferred()
        self.login: Deferred[Any] = Deferred()
        self.closed = False

    async def open_path(self) -> IStreamPath:
        path: IStreamPath = await self.opening
        return path

    def open(self, peer: str = "192.0.2.1") -> None:
        """It is open now, to this address."""
        self.host.peer = Address(peer, 1)
        path: Any = SimpleNamespace(close=self._close)
        self.opening.callback(path)

    def _close(self) -> None:
        self.closed = True


class Host:
    """What the carriers of the test dial with."""

    is_proxied = False

    def __init__(self, port: int = 0, choose: Any = None) -> None:
        self.port = port
        self.choose = choose
        self.peer: Address | None = None

    def at(self, port: int, choose: Any) -> Host:
        """The same for a port."""
        return Host(port, choose)


@frozen
class Carrier:
    """A carrier of another package."""

    name: str
    capabilities: CarrierCapabilities


@frozen
class Asked:
    """A session that notes when it was asked for a sign of life."""

    line: Any
    probe: Callable[[], None]


CARRIERS = (
    Carrier("stream", CarrierCapabilities(race=1)),
    Carrier("packets", CarrierCapabilities(race=2, own_port=True)),
    Carrier("web", CarrierCapabilities(race=3, https=True)),
)


class RacedRouteTests(SynchronousTestCase):
    """Three carriers of another package, and one server."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.now = 1_000_000.0
        self.network = "at home"
        self.lines: list[Line] = []
        self.probes: list[float] = []
        self.servers = RememberedServers(StateDirectory(Path(self.mktemp())))
        self.host = Host()
        self.route = self.make_route()

    def make_route(self, **tls: Any) -> RacedRoute:
        """The route of a client that has just started."""
        host: Any = self.host
        carriers: Any = CARRIERS
        transport = ClientTransport(protocol="auto", tls=ClientTls(**tls))
        config = ClientConfig(server_addr="relay.example", transport=transport)
        return RacedRoute(
            config, host, carriers, self.route_by, lambda: self.network, self.clock, lambda: self.now
        )

    def route_by(self, carrier: Any, host: Any) -> Any:
        """What makes the routes of carriers."""
        self.lines.append(Line(f"{carrier.name}:{host.port}", host))
        return self.lines[-1]

    def reach(self) -> Deferred[Any]:
        """An attempt at a session."""
        self.lines.clear()

        async def use(way: OneRoute) -> Any:
            await way.open_path()
            line = next(each for each in reversed(self.lines) if each.what.startswith(way.carrier))
            await line.login
            return Asked(line, lambda: self.probes.append(self.clock.seconds()))

        return Deferred.fromCoroutine(self.route.reach(use, self.servers))

    @property
    def tried(self) -> list[str]:
        """The ways that were opened in this attempt."""
        return [each.what for each in self.lines]

    def in_order(self) -> list[str]:
        """The ways in their order, found out by an attempt in which all fail."""
        reaching = self.reach()
        while not reaching.called:
            self.lines[-1].opening.errback(ConnectionFailed("no"))
        self.failureResultOf(reaching, ConnectionFailed)
        return self.tried

    def succeed_by(self, what: str, peer: str = "192.0.2.1") -> None:
        """A session by this way, all others being blocked."""
        reaching = self.reach()
        while self.tried[-1] != what:
            self.clock.advance(HEAD_START_S)
        self.lines[-1].open(peer)
        self.lines[-1].login.callback(None)
        self.session = self.successResultOf(reaching)

    def end(self, why: Ended) -> None:
        """The last session of :meth:`succeed_by` is over."""
        self.route.session_ended(self.session, why)

    def test_first(self) -> None:
        """Where the best way is open at once no other is tried."""
        reaching = self.reach()
        self.lines[0].open()
        self.lines[0].login.callback(None)
        self.assertIs(self.successResultOf(reaching).line, self.lines[0])
        self.clock.advance(ASKED_AFTER_S[-1])
        self.assertEqual(self.tried, ["stream:7000"])
        self.assertEqual((self.route.way, self.route.way_reason), ("stream", ""))

    def test_losers(self) -> None:
        """Who is late is given up, and what was open is closed; nobody logs in there."""
        reaching = self.reach()
        self.clock.advance(HEAD_START_S)
        self.clock.advance(HEAD_START_S)
        stream, packets, web = self.lines
        packets.open()
        web.open()
        packets.login.callback(None)
        self.successResultOf(reaching)
        self.assertTrue(web.closed)
        self.assertFalse(packets.closed)
        self.assertTrue(stream.opening.called)
        self.assertFalse(web.login.called)

    def test_login_elsewhere(self) -> None:
        """Where it is no server that answers, another way is used, and the log says why."""
        reaching = self.reach()
        self.lines[0].open()
        self.lines[0].login.errback(SessionLost("that was no server"))
        # The name has no other address there.
        self.lines[1].opening.errback(ConnectionFailed("no address"))
        self.lines[2].open()
        self.lines[2].login.callback(None)
        self.successResultOf(reaching)
        self.assertEqual(self.tried, ["stream:7000", "stream:7000", "packets:7000"])
        self.assertEqual(self.route.way_reason, "stream at port 7000: that was no server")

    def test_another_address(self) -> None:
        """An address that was not the server is left out in the next attempt at the same way."""
        reaching = self.reach()
        self.lines[0].open("192.0.2.66")
        self.lines[0].login.errback(TransportSecurityError("not the certificate"))
        again = self.lines[1]
        self.assertEqual(again.what, "stream:7000")
        self.assertEqual(again.host.choose(["192.0.2.66", "192.0.2.1"]), ["192.0.2.1"])
        again.open()
        again.login.callback(None)
        self.successResultOf(reaching)

    def test_silent_login(self) -> None:
        """Who answers nothing is given up for one that is open, too."""
        reaching = self.reach()
        self.lines[0].open()
        for _ in range(8):
            self.clock.advance(LOGIN_PATIENCE_S / 8)
            if len(self.lines) == 2 and not self.lines[1].opening.called:
                self.lines[1].open()
        self.lines[1].login.callback(None)
        self.assertIs(self.successResultOf(reaching).line, self.lines[1])
        self.assertIn("not answered", self.route.way_reason)

    def test_refused(self) -> None:
        """A server that says no says so by every way."""
        reaching = self.reach()
        self.clock.advance(HEAD_START_S)
        self.lines[0].open()
        self.lines[0].login.errback(LoginRefusedError(RefusalCode.OTHER, "no"))
        self.failureResultOf(reaching, LoginRefusedError)
        self.clock.advance(100)
        self.assertEqual(len(self.lines), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_way(self) -> None:
        """Where none leads there, one error says what happened by each, and what to do."""
        reaching = self.reach()
        for number in range(4):
            self.lines[number].opening.errback(ConnectionFailed(f"reason {number}"))
        text = str(self.failureResultOf(reaching, NoWayError).value)
        for part in ("by stream at port 7000: reason 0", "by web at port 443: reason 3", "proxyURL", SERVER):
            self.assertIn(part, text)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_reason(self) -> None:
        """What all ways have in common is said once, and is what the error is about; UDP tells nothing."""
        reaching = self.reach()
        for number in (0, 2, 3):
            self.clock.advance(HEAD_START_S)
            self.lines[number].opening.errback(ConnectionFailed("refused", problem="connection-refused"))
        self.clock.advance(LAST_PATIENCE_S)
        error = self.failureResultOf(reaching, NoWayError).value
        self.assertEqual(error.problem, "connection-refused")
        alike = "by stream at port 7000, web at port 7000, web at port 443: refused"
        self.assertIn(f"{alike}; by packets at port 7000: no answer", str(error))

    def test_cancelled(self) -> None:
        """Who gives up leaves nothing."""
        reaching = self.reach()
        self.clock.advance(HEAD_START_S)
        self.lines[1].open()
        reaching.cancel()
        self.failureResultOf(reaching)
        self.assertTrue(self.lines[0].opening.called)
        self.clock.advance(100)
        self.assertEqual((len(self.lines), self.clock.getDelayedCalls()), (2, []))

    def test_remembered(self) -> None:
        """What worked on a network is first there, for the next program as well, and not elsewhere."""
        usual = self.in_order()
        self.succeed_by("web:443")
        self.assertEqual(self.route.way, "web at port 443")
        self.route = self.make_route()
        self.assertEqual(self.in_order()[0], "web:443")
        self.network = "at work"
        self.assertEqual(self.in_order(), usual)
        self.network = "at home"
        self.now += WORKED_S
        self.assertEqual(self.in_order(), usual)

    def test_asked(self) -> None:
        """A new session is asked for signs of life, until it is over."""
        self.succeed_by("stream:7000")
        self.clock.pump([0.5] * 10)
        self.end(Ended.STOPPED)
        self.assertEqual(self.probes, list(ASKED_AFTER_S[:2]))
        self.assertEqual((self.clock.getDelayedCalls(), self.route.way), ([], ""))

    def test_other_session(self) -> None:
        """The end of a session of another route changes nothing."""
        self.succeed_by("stream:7000")
        other: Any = Asked(None, lambda: None)
        self.route.session_ended(other, Ended.TIMEOUT)
        self.assertEqual(self.route.way, "stream")

    def test_fell_silent(self) -> None:
        """A way that fell silent is last in the next attempt; if another one works, for long."""
        for way in ("stream:7000", "packets:7000"):
            self.succeed_by(way)
            self.end(Ended.TIMEOUT)
            reaching = self.reach()
            self.assertNotEqual(self.tried, [way])
            self.lines[0].open()
            with capturedLogs() as logged:
                self.lines[0].login.callback(None)
            self.successResultOf(reaching)
            self.assertIn("way-fell-silent", [each.get("problem") for each in logged])
            self.route = self.make_route()
            self.assertEqual(self.in_order()[-1], way)
            self.now += DEMOTED_S

    def test_outage(self) -> None:
        """Where nothing works then, or on another network, it was not the way's fault."""
        usual = self.in_order()
        self.succeed_by("stream:7000")
        self.end(Ended.TIMEOUT)
        self.assertEqual(self.in_order()[-1], "stream:7000")
        self.assertEqual(self.in_order(), usual)
        self.succeed_by("stream:7000")
        self.network = "at work"
        self.end(Ended.TIMEOUT)
        self.assertEqual(self.in_order(), usual)
        self.succeed_by("stream:7000")
        self.end(Ended.RESET)
        self.assertEqual(self.in_order(), usual)

    def test_last_address(self) -> None:
        """The address of a server that has to prove itself is tried besides those of its name."""
        self.succeed_by("stream:7000", "192.0.2.7")
        for tls, expected in (
            ({}, ["192.0.2.66"]),
            ({"server_fingerprint": "aa"}, ["192.0.2.66", "192.0.2.7"]),
        ):
            self.route = self.make_route(**tls)
            self.in_order()
            self.assertEqual(self.lines[0].host.choose(["192.0.2.66"]), expected)

    def test_proxied(self) -> None:
        """Through a forward proxy go only carriers of TCP, and names and addresses are the proxy's."""
        self.host.is_proxied = True
        self.assertEqual(self.in_order(), ["stream:7000", "web:7000", "web:443"])
        self.assertIsNone(self.lines[0].host.choose)

    def test_who_takes_part(self) -> None:
        """Carriers that say so, if they can be used here."""

        def reference(race: int, lacks: str = "", broken: bool = False) -> Any:
            carrier = SimpleNamespace(capabilities=CarrierCapabilities(race=race), lacks=lambda: lacks)

            def load() -> Any:
                if broken:
                    raise BrokenCarrier("it is broken")
                return carrier

            return SimpleNamespace(load=load)

        installed: Any = [reference(1), reference(0), reference(2, "a library"), reference(3, broken=True)]
        self.assertEqual([each.capabilities.race for each in racing_carriers(installed)], [1])
        names = [each.name for each in racing_carriers(Carriers.installed())]
        self.assertIn("tcp", names)
        self.assertIn("wss", names)
        self.assertNotIn("kcp", names)
