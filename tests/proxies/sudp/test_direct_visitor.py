"""Tests for :mod:`relaykit.proxies.sudp.direct_visitor`."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent

from relaykit.client.hosts import VisitorHost
from relaykit.dataplane.datagram_flows import FLOW_IDLE_S
from relaykit.errors import ConnectionFailed
from relaykit.proxies.direct_datagrams import PING_S, SILENT_S
from relaykit.proxies.sudp.direct_visitor import PATH_PACE, DirectSudpVisitor
from relaykit.proxies.sudp.visitor import LANE_IDLE_S, RETRY_S
from relaykit.sansio.nat.punching import FailureReason
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import Ended, Origin, Secret
from tests.carriers.quic.lines import missing
from tests.proxies.sudp.direct_scene import DirectSudpTestCase, User


class DirectPathTests(DirectSudpTestCase):
    """A user whose datagrams go past the server."""

    def test_relay_first(self) -> None:
        """The relay carries the first datagram; then nothing more, and the service has one socket for all."""
        published, visiting, user = self.begin()
        relayed = self.relayed(published)
        for number in range(10):
            data = b"%d" % number
            self.assertEqual(user.asks(data), [data])
        self.assertEqual((self.relayed(published), len(published.host.flows)), (relayed, 1))
        self.assertEqual((published.host.way, len(visiting.host.flows)), ("1 direct path", 1))

    def test_many_users(self) -> None:
        """Each user of a path gets the own answers; those who come later do not touch the relay at all."""
        published, _, _ = self.begin()
        relayed = self.relayed(published)
        users = [User(self) for _ in range(20)]
        for number, user in enumerate(users):
            user.leg.send(b"%d" % number)
        self.relay.advance(0.1)
        self.assertEqual([user.received.got for user in users], [[b"%d" % each] for each in range(20)])
        self.assertEqual((self.relayed(published), len(published.host.flows)), (relayed, 21))

    def test_every_size(self) -> None:
        """What has no room in a datagram of the path goes directly, too, whole."""
        published, _, user = self.begin()
        relayed = self.relayed(published)
        for size in (0, 1, 1000, 1500, 9000, 65_507):
            self.assertEqual(user.asks(bytes(size), 0.5), [bytes(size)])
        self.assertEqual(self.relayed(published), relayed)

    def test_server_knows_no_secret(self) -> None:
        """The server is told a key that is made of the secret."""
        published, _, _ = self.begin()
        self.assertNotEqual(published.proxy.options.secret_key, Secret("s3cret"))
        self.assertTrue(published.proxy.options.direct)

    def test_origin(self) -> None:
        """The service's end knows where a user is, whichever way they came."""
        published, visiting, _ = self.begin()
        User(self).asks(b"x")
        known = {each.origin.visitor_user for each in published.host.flows.values()}
        self.assertEqual(known, {each.origin.source for each in visiting.host.flows.values()})

    def test_lost(self) -> None:
        """When the path is lost the relay carries on from the next datagram, with the same socket."""
        published, visiting, user = self.begin()
        relayed = self.relayed(published)
        self.cut(visiting)
        self.assertEqual(user.asks(b"on"), [b"on"])
        self.assertGreater(self.relayed(published), relayed)
        self.assertEqual(len(published.host.flows), 1)
        self.assertIn("by the relay: the direct path ended", visiting.host.way)

    def test_back(self) -> None:
        """Some seconds later there is another path, which is taken again."""
        published, visiting, user = self.begin()
        self.cut(visiting)
        user.asks(b"on")
        self.relay.advance(PATH_PACE.first_s + 1.0)
        self.assertIn("a direct path with", visiting.host.way)
        user.asks(b"over")
        relayed = self.relayed(published)
        self.assertEqual(user.asks(b"back"), [b"back"])
        self.assertEqual((self.relayed(published), len(published.host.flows)), (relayed, 1))

    def test_lost_without_relay(self) -> None:
        """A user who never went by the relay does so once the path is lost, with the same socket."""
        published, visiting, _ = self.begin()
        user = User(self)
        self.assertEqual(user.asks(b"direct"), [b"direct"])
        self.relay.advance(1.0)
        for flow in list(published.proxy.flows):
            flow.end(Ended.OPERATOR)
        self.relay.settle()
        self.cut(visiting)
        self.relay.advance(RETRY_S)
        user.asks(b"lost, maybe")
        self.assertEqual(user.asks(b"relayed"), [b"relayed"])
        self.assertEqual(len(published.host.flows), 2)

    def test_idle(self) -> None:
        """When all users are silent flows, lanes and path end; who comes then is served again."""
        published, visiting, _ = self.begin()
        self.relay.advance(FLOW_IDLE_S * 2 + 3 * LANE_IDLE_S)
        self.assertEqual((len(published.host.flows), len(visiting.host.flows)), (0, 0))
        self.assertEqual(published.host.way, "0 direct paths")
        user = User(self)
        self.assertEqual(user.asks(b"again", 1.0), [b"again"])
        self.assertIn("a direct path with", visiting.host.way)

    def test_keeps_path(self) -> None:
        """As long as one user sends, the path stays, and the lane through the relay ends."""
        published, visiting, user = self.begin()
        for _ in range(20):
            self.assertEqual(user.asks(b"x", FLOW_IDLE_S / 2), [b"x"])
        self.assertIn("a direct path with", visiting.host.way)
        self.assertEqual(len(published.proxy.flows), 0)

    def test_session_lost(self) -> None:
        """Without the server users of a path go on, and new ones come by it."""
        _, visiting, user = self.begin()
        for connection in visiting.connections:
            connection.cut()
        self.relay.settle()
        self.assertEqual(user.asks(b"on"), [b"on"])
        self.assertEqual(User(self).asks(b"new"), [b"new"])

    def test_stopped(self) -> None:
        """A visitor that stops leaves neither path nor timer, and lets its users go."""
        published, visiting, user = self.begin()
        visiting.stop()
        self.relay.advance(5.0)
        self.assertIsNotNone(user.received.lost)
        self.assertEqual(published.host.way, "0 direct paths")
        self.relay.stop()
        self.assertEqual(self.relay.clock.getDelayedCalls(), [])

    def test_stops_with_its_path(self) -> None:
        """Who stops a visitor learns when its path has ended."""
        _, visiting, _ = self.begin()
        visitor: Any = visiting.visitor
        lost, stopped = visitor.path.when_lost(), visitor.stopService()
        self.assertNoResult(stopped)
        self.relay.advance(5.0)
        self.successResultOf(lost)
        self.successResultOf(stopped)

    def test_stopped_meanwhile(self) -> None:
        """So it does while a path is being made."""
        self.publish(direct=True)
        visiting = self.visit(direct=True)
        calling: Deferred[Any] = Deferred()
        self.patch(type(visiting.host.direct_paths), "call", lambda *_: calling)
        User(self).asks(b"x")
        cancelled = mock.Mock(return_value=None)
        calling.addErrback(cancelled)
        visiting.stop()
        self.relay.stop()
        self.assertEqual(self.relay.clock.getDelayedCalls(), [])

    def test_strange_source(self) -> None:
        """A user who comes from no address is let go."""
        _, visiting, _ = self.begin()
        visitor = visiting.visitor
        assert isinstance(visitor, DirectSudpVisitor)
        user, leg = datagram_pair(self.relay.network)
        received = RecordingDatagrams(user)
        visitor.leg_accepted(leg, Origin())
        self.relay.settle()
        self.assertIsNotNone(received.lost)
        self.assertEqual(len(visiting.host.flows), 1)

    def test_lane_not_opened(self) -> None:
        """A path that is gone before it is used costs nothing but another attempt."""
        self.publish(direct=True)
        visiting = self.visit(direct=True)
        patch = self.patch(
            VisitorHost, "open_direct_lane", lambda *_: fail(ConnectionFailed("it is gone already"))
        )
        user = User(self)
        self.assertEqual(user.asks(b"x", 1.0), [b"x"])
        patch.restore()
        self.relay.advance(2 * PATH_PACE.first_s)
        self.assertIn("a direct path with", visiting.host.way)

    def test_defect(self) -> None:
        """A defect is told in the log; the relay carries on."""
        self.publish(direct=True)
        self.visit(direct=True)
        self.patch(VisitorHost, "open_direct_lane", lambda *_: fail(ZeroDivisionError()))
        self.assertEqual(User(self).asks(b"x", 1.0), [b"x"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TcpPathTests(DirectPathTests):
    """The same over paths of TCP, as they are made where QUIC is missing, or UDP is blocked."""

    def setUp(self) -> None:
        super().setUp()
        self.relay.paths_of_tcp = True


class SilentPathTests(DirectSudpTestCase):
    """A path that nothing gets through any more."""

    skip = missing()

    def test_silent(self) -> None:
        """It is given up within seconds, at both ends, and the relay carries on."""
        published, visiting, user = self.begin()
        self.mute(visiting)
        self.assertEqual(user.asks(b"lost"), [])
        self.relay.advance(SILENT_S + PING_S)
        self.assertNotIn("a direct path with", visiting.host.way)
        user.asks(b"opens the way")
        self.assertEqual(user.asks(b"on"), [b"on"])
        self.assertEqual((published.host.way, len(published.host.flows)), ("0 direct paths", 1))


class NoPathTests(DirectSudpTestCase):
    """Where there is none."""

    def test_no_path(self) -> None:
        """The relay carries all; the panel says why, and attempts become rarer."""
        published = self.publish(direct=True)
        self.relay.punching_fails = FailureReason.IMPOSSIBLE
        visiting = self.visit(direct=True)
        user, attempts = User(self), 0
        with capturedLogs() as logged:
            for _ in range(60):
                self.assertEqual(user.asks(b"x", 10.0), [b"x"])
        attempts = len([each for each in logged if "carries datagrams on" in (formatEvent(each) or "")])
        self.assertIn("by the relay: no direct path: these two NATs cannot be punched", visiting.host.way)
        self.assertIn(attempts, range(5, 12))
        self.assertEqual(len(published.host.flows), 1)
        self.relay.punching_fails = None
        for connection in visiting.connections:
            connection.cut()
        self.relay.advance(30.0)
        user.asks(b"x", 2.0)
        self.assertEqual(user.asks(b"x", 2.0), [b"x"])
        self.assertIn("a direct path with", visiting.host.way)

    def test_older_server(self) -> None:
        """A server that knows of no rendezvous carries all, which is said once at each end."""
        self.relay.wire_protocol = "v1"
        with capturedLogs() as logged:
            published, visiting = self.publish(direct=True), self.visit(direct=True)
            for _ in range(3):
                self.assertEqual(User(self).asks(b"x", 5.0), [b"x"])
        said = [each for each in logged if each.get("problem") == "no-rendezvous"]
        self.assertEqual(sorted(each["name"] for each in said), ["dns", "v"])
        for host in (published.host, visiting.host):
            self.assertIn("by the relay: the server knows of no rendezvous", host.way)

    def test_wrong_secret(self) -> None:
        """Who does not know the secret gets nothing, by no way."""
        self.publish(direct=True)
        visiting = self.visit(key=Secret("guess"), direct=True)
        with capturedLogs() as logged:
            user = User(self)
            self.assertEqual(user.asks(b"x", 5.0), [])
        self.assertIsNotNone(user.received.lost)
        self.assertEqual(visiting.host.way, "")
        self.assertNotIn("guess", repr(logged))
