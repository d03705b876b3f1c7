"""Tests for :mod:`relaykit.proxies.sudp`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from twisted.internet.defer import fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.hosts import VisitorHost
from relaykit.dataplane.datagram_flows import FLOW_IDLE_S
from relaykit.interfaces import IDatagramLane, IDatagramLeg, IDatagramProxyType
from relaykit.options import VisitorCommon, VisitorTransport, from_wire, to_wire
from relaykit.proxies import sudp
from relaykit.testing.conformance import VisitableProxyTypeTests
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing_datagrams
from relaykit.values import Address, Ended, Origin, Secret

KEY = Secret("s3cret")

WRONG_KEY = "visitor connection of [alice.dns] auth failed"

VISITED = "v1", "v2"
"""Versions of the wire, for each of the two clients."""


class SudpConformanceTests(VisitableProxyTypeTests, SynchronousTestCase):
    """``sudp`` is a proxy type that is reached through visitors."""

    proxy_type = sudp.proxy_type

    def options(self) -> sudp.SudpOptions:
        return sudp.SudpOptions(secret_key=self.visitor_secret)


class SudpTypeTests(SynchronousTestCase):
    """Tests for what the type says of itself."""

    def test_datagrams(self) -> None:
        """Its local services take datagrams, which the check of a configuration wants to know."""
        self.assertTrue(IDatagramProxyType.providedBy(sudp.proxy_type))


class SudpOptionsTests(SynchronousTestCase):
    """Tests for what travels."""

    def test_wire(self) -> None:
        """Secret and users travel in frp's fields, the size of datagrams not at all."""
        options = sudp.SudpOptions(secret_key=KEY, allow_users=("bob",), udp_packet_size=9000)
        travelled = msgspec.json.decode(msgspec.json.encode(to_wire(options)))
        self.assertEqual(travelled, {"sk": "s3cret", "allow_users": ["bob"]})
        self.assertEqual(from_wire(sudp.SudpOptions, travelled).udp_packet_size, 1500)


class SudpTestCase(SynchronousTestCase):
    """A relay with alice's proxy ``dns``, whose service sends everything back."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self, *allow_users: str, size: int = 1500) -> Published:
        """Starts the proxy."""
        return self.relay.publish(
            sudp.proxy_type,
            sudp.SudpOptions(secret_key=KEY, allow_users=allow_users, udp_packet_size=size),
            name="dns",
            local_datagrams=echoing_datagrams,
            user="alice",
        )

    def visit(
        self, user: str = "alice", key: Secret = KEY, transport: VisitorTransport | None = None
    ) -> Visiting:
        """Starts a visitor, at port 9000."""
        common = VisitorCommon(
            name="v",
            server_user="alice",
            server_name="dns",
            bind_port=9000,
            transport=transport or VisitorTransport(),
        )
        options = sudp.SudpVisitorOptions(secret_key=key)
        return self.relay.visit(sudp.proxy_type, common, options, user=user)

    def ask(self, *datagrams: bytes) -> RecordingDatagrams:
        """What a new user of the visitor's port gets who sends these."""
        return self.send(self.relay.ports.dial_datagrams(9000), *datagrams)

    def send(self, leg: IDatagramLeg, *datagrams: bytes) -> RecordingDatagrams:
        """What a user gets who sends these."""
        received = RecordingDatagrams(leg)
        for data in datagrams:
            leg.send(data)
        self.relay.settle()
        return received

    def visits(self, published: Published) -> Sequence[object]:
        """The visits that the server serves."""
        return list(published.proxy.flows)


class SudpExposureTests(SudpTestCase):
    """Tests for the server half."""

    def test_withdrawn(self) -> None:
        """With the proxy its lanes go: over one that stays, users who are new would still come."""
        published = self.publish()
        self.visit()
        self.assertEqual(self.ask(b"before").got, [b"before"])
        flows = list(published.proxy.flows)
        published.withdraw()
        self.assertEqual([self.successResultOf(flow.when_ended()).ended for flow in flows], [Ended.WITHDRAWN])
        with capturedLogs():
            self.assertEqual(self.ask(b"after").got, [])

    def test_every_two_formats(self) -> None:
        """Clients of every version reach each other, and the users get their answers, encrypted or not."""
        for provider in VISITED:
            for visitor in VISITED:
                for transforms in (False, True):
                    self.relay = MemoryRelay()
                    self.relay.wire_protocol = provider
                    self.publish()
                    self.relay.wire_protocol = visitor
                    self.visit(transport=VisitorTransport(use_encryption=transforms))
                    for user in range(3):
                        words = [f"user {user}".encode(), b"", bytes(1400)]
                        self.assertEqual(self.ask(*words).got, words, (provider, visitor))

    def test_largest(self) -> None:
        """Between ends of relaykit, every datagram has room, whatever udpPacketSize is."""
        self.publish()
        self.visit()
        self.assertEqual(self.ask(bytes(65_507)).got, [bytes(65_507)])

    def test_too_large_for_the_provider(self) -> None:
        """What the provider's format has no room for is dropped, and told of; what follows passes."""
        self.relay.wire_protocol = "v1"
        self.publish()
        self.relay.wire_protocol = "v2"
        self.visit()
        with capturedLogs() as logged:
            self.assertEqual(self.ask(bytes(20_000), b"small").got, [b"small"])
        self.assertEqual([each["problem"] for each in logged if "problem" in each], ["datagram-too-large"])

    def test_admission(self) -> None:
        """Only who knows the secret and is one of the users gets in; the log says why, and not the key."""
        self.publish("bob")
        for user, key, reason in (
            ("bob", Secret("guess"), WRONG_KEY),
            ("alice", KEY, "visitor connection of [alice.dns] user [alice] not allowed"),
        ):
            visiting = self.visit(user, key)
            with capturedLogs() as logged:
                self.assertEqual(self.ask(b"x").got, [])
            (event,) = [event for event in logged if "visitor" in event and "reason" in event]
            self.assertEqual((event["visitor"], event["reason"]), ("v", reason))
            self.assertNotIn("guess", repr(logged))
            visiting.stop()
        self.visit("bob")
        self.assertEqual(self.ask(b"x").got, [b"x"])

    def test_keep_alive(self) -> None:
        """The provider's signs of life keep a silent visit, whatever formats are on its way."""
        self.patch(sudp, "LANE_IDLE_S", 600.0)
        for provider in VISITED:
            for visitor in VISITED:
                self.relay = MemoryRelay()
                self.relay.wire_protocol = provider
                published = self.publish()
                self.relay.wire_protocol = visitor
                self.visit()
                self.ask(b"x")
                before = self.visits(published)
                self.relay.advance(300)
                self.assertEqual((self.visits(published), len(before)), (before, 1), (provider, visitor))


class SudpVisitorTests(SudpTestCase):
    """Tests for the visitor."""

    def test_one_visit(self) -> None:
        """There is no visit before somebody sends, and one for all users then, until all are silent."""
        published = self.publish()
        visiting = self.visit()
        self.assertEqual(self.visits(published), [])
        for number in range(5):
            self.assertEqual(self.ask(f"user {number}".encode()).got, [f"user {number}".encode()])
        self.assertEqual((len(self.visits(published)), len(visiting.host.flows)), (1, 5))
        self.relay.advance(FLOW_IDLE_S + 2 * sudp.LANE_IDLE_S)
        self.assertEqual((len(self.visits(published)), len(visiting.host.flows)), (0, 0))
        self.assertEqual(self.ask(b"back").got, [b"back"])

    def test_one_user_keeps_the_visit(self) -> None:
        """As long as one user sends, the visit stays."""
        published = self.publish()
        self.visit()
        self.ask(b"one who is silent")
        leg = self.relay.ports.dial_datagrams(9000)
        visits = self.visits(published)
        for _ in range(20):
            self.assertEqual(self.send(leg, b"x").got, [b"x"])
            self.relay.advance(FLOW_IDLE_S / 2)
        self.assertEqual((self.visits(published), len(visits)), (visits, 1))

    def test_origin(self) -> None:
        """Each flow knows where its user is; to the provider, that is what the visitor says of it."""
        published = self.publish()
        visiting = self.visit()
        source = Address("198.51.100.7", 700)
        self.send(self.relay.ports.dial_datagrams(9000, source), b"x")
        (here,), (there,) = visiting.host.flows.values(), published.host.flows.values()
        self.assertEqual((here.source, here.visitor_user), (source, None))
        self.assertEqual(there.visitor_user, source)
        self.assertNotIn(there.source, (None, source))

    def test_visit_lost(self) -> None:
        """A visit that is lost takes its flows with it; whoever sends next has another one opened."""
        published = self.publish()
        visiting = self.visit()
        received = self.ask(b"one")
        (flow,) = published.proxy.flows
        flow.end(Ended.OPERATOR)
        self.relay.settle()
        self.assertEqual((self.visits(published), len(visiting.host.flows)), ([], 0))
        self.assertIsNotNone(received.lost)
        self.relay.advance(sudp.RETRY_S)
        self.assertEqual(self.ask(b"two").got, [b"two"])

    def test_lost_at_once(self) -> None:
        """A visit that is lost at once is opened again a second later, not for each datagram."""
        published = self.publish()
        self.visit()
        for lost in range(1, 4):
            for _ in range(10):
                self.ask(b"x")
                for flow in list(published.proxy.flows):
                    flow.end(Ended.OPERATOR)
                self.relay.settle()
            self.assertEqual(len(published.flows), lost)
            self.relay.advance(sudp.RETRY_S)

    def test_lost_before(self) -> None:
        """A visit that is lost before anybody can use it is none, and opened again a second later."""
        self.publish()
        self.visit()
        opening = VisitorHost.open_lane

        async def open_lost(host: VisitorHost, secret: Secret, most_bytes: int) -> IDatagramLane:
            lane = await opening(host, secret, most_bytes)
            lane.close()
            await lane.when_lost()
            return lane

        patch = self.patch(VisitorHost, "open_lane", open_lost)
        self.assertIsNotNone(self.ask(b"x").lost)
        patch.restore()
        self.relay.advance(sudp.RETRY_S)
        self.assertEqual(self.ask(b"again").got, [b"again"])

    def test_session_lost(self) -> None:
        """A visitor without a session drops what comes, and serves again once it has one."""
        self.publish()
        visiting = self.visit()
        self.ask(b"x")
        for connection in visiting.connections:
            connection.cut()
        self.relay.settle()
        self.assertEqual(self.ask(b"lost").got, [])
        self.relay.advance(60)
        self.assertEqual(self.ask(b"again").got, [b"again"])

    def test_asks_seldom(self) -> None:
        """A server that says no is asked again when somebody sends a second later, not for each datagram."""
        self.visit()
        with capturedLogs() as logged:
            for _ in range(20):
                received = self.ask(b"x")
                self.assertIsNotNone(received.lost)
            self.relay.advance(sudp.RETRY_S)
            self.ask(b"x")
        self.assertEqual(len([each for each in logged if "visitor" in each and "reason" in each]), 2)

    def test_many_wait(self) -> None:
        """A bounded number of users waits for the visit; more are let go at once."""
        self.patch(sudp, "MOST_WAITING", 2)
        self.publish()
        self.visit()
        legs = [self.relay.ports.dial_datagrams(9000) for _ in range(3)]
        self.assertEqual([self.send(leg, b"x").got for leg in legs], [[b"x"], [b"x"], []])

    def test_strange_source(self) -> None:
        """A user who comes from no address is let go."""
        self.publish()
        visitor = self.visit().visitor
        assert isinstance(visitor, sudp.SudpVisitor)
        for origin in (Origin(), Origin(Address("/run/socket", 0))):
            user, leg = datagram_pair(self.relay.network)
            visitor.leg_accepted(leg, origin)
            self.assertIsNotNone(self.send(user, b"x").lost)

    def test_stopped(self) -> None:
        """A visitor that is stopped closes its port and its visit, and lets go who waits for one."""
        published = self.publish()
        visiting = self.visit()
        received = self.ask(b"x")
        visiting.stop()
        self.assertIsNotNone(received.lost)
        self.assertEqual(self.visits(published), [])
        self.relay.stop()
        self.assertEqual(self.relay.clock.getDelayedCalls(), [])

    def test_defect(self) -> None:
        """A visit that fails as nobody thought of lets its users go and is told in the log."""
        self.patch(VisitorHost, "open_lane", lambda *_: fail(ZeroDivisionError()))
        self.visit()
        self.assertIsNotNone(self.ask(b"x").lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
