"""Tests for :mod:`relaykit.proxies.sudp.visitor`."""

from __future__ import annotations

from twisted.internet.defer import fail
from twisted.logger import capturedLogs

from relaykit.client.hosts import VisitorHost
from relaykit.dataplane.datagram_flows import FLOW_IDLE_S
from relaykit.interfaces import IDatagramLane
from relaykit.proxies.sudp import visitor
from relaykit.proxies.sudp.visitor import SudpVisitor
from relaykit.testing.ports import datagram_pair
from relaykit.values import Address, Ended, Origin, Secret
from tests.proxies.sudp.scene import SudpTestCase


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
        self.relay.advance(FLOW_IDLE_S + 2 * visitor.LANE_IDLE_S)
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
        (here,) = (each.origin for each in visiting.host.flows.values())
        (there,) = (each.origin for each in published.host.flows.values())
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
        self.relay.advance(visitor.RETRY_S)
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
            self.relay.advance(visitor.RETRY_S)

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
        self.relay.advance(visitor.RETRY_S)
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
            self.relay.advance(visitor.RETRY_S)
            self.ask(b"x")
        self.assertEqual(len([each for each in logged if "visitor" in each and "reason" in each]), 2)

    def test_many_wait(self) -> None:
        """A bounded number of users waits for the visit; more are let go at once."""
        self.patch(visitor, "MOST_WAITING", 2)
        self.publish()
        self.visit()
        legs = [self.relay.ports.dial_datagrams(9000) for _ in range(3)]
        self.assertEqual([self.send(leg, b"x").got for leg in legs], [[b"x"], [b"x"], []])

    def test_strange_source(self) -> None:
        """A user who comes from no address is let go."""
        self.publish()
        visitor = self.visit().visitor
        assert isinstance(visitor, SudpVisitor)
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
