"""Tests of ``xtcp`` between relaykit's own ends: proven paths that frp's programs take no part in."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ProxyRefusedError
from relaykit.interfaces import (
    IMessageReceiver,
)
from relaykit.nat.direct_paths import DirectPaths
from relaykit.options import ProxyTransport, VisitorCommon, VisitorTransport
from relaykit.proxies.stcp import StcpOptions
from relaykit.proxies.stcp import proxy_type as stcp
from relaykit.proxies.xtcp import proxy_type
from relaykit.proxies.xtcp.options import XtcpOptions, XtcpVisitorOptions
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_keys import rendezvous_key
from relaykit.sansio.nat.punching import FailureReason
from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.nathole.policy import ATTEMPT_EVERY_S
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing
from relaykit.values import Secret

SECRET = Secret("s3cret")
OWN = "relaykit"


class OwnTests(SynchronousTestCase):
    """A server of relaykit's, with clients of relaykit's."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.relay.paths_of_tcp = True
        self.proxy_type = proxy_type

    def publish(self, peers: str = "auto", **common: Any) -> Published:
        """Starts the proxy ``x``."""
        options = XtcpOptions(secret_key=SECRET, peers=peers)
        return self.relay.publish(self.proxy_type, options, name="x", local=echoing, **common)

    def visit(self, secret: Secret = SECRET, peers: str = "auto", **options: Any) -> Visiting:
        """Starts a visitor of it."""
        transport = options.pop("transport", VisitorTransport())
        common = VisitorCommon(name="v", server_name="x", bind_port=-1, transport=transport)
        made = XtcpVisitorOptions(secret_key=secret, peers=peers, **options)
        return self.relay.visit(self.proxy_type, common, made)

    def user(self, visiting: Visiting, payload: bytes = b"hello") -> tuple[MemoryLeg, RecordingReceiver]:
        """A user who says something."""
        user = visiting.dial()
        received = RecordingReceiver(user)
        user.write(payload)
        self.relay.settle()
        return user, received

    def test_served(self) -> None:
        """Many users are served over one path, past the server, which knows no secret."""
        published = self.publish()
        visiting = self.visit()
        for number in range(5):
            self.assertEqual(self.user(visiting, b"%d" % number)[1].data, b"%d" % number)
        self.assertEqual(published.proxy.options.secret_key, rendezvous_key(SECRET, "x"))
        self.assertEqual((published.flows, self.relay.holes.protocols), ([], []))
        (visitor,), (proxy,) = visiting.client.status().visitors, published.client.status().proxies
        self.assertIn("a direct path with", visitor.way)
        self.assertEqual((proxy.way, proxy.users), ("1 direct path", 5))

    def test_prepared(self) -> None:
        """Both ends load what a path needs before the first user comes, and nothing of what frp's takes."""
        prepared: list[PeerRole] = []
        self.patch(DirectPaths, "prepare", lambda paths, role: prepared.append(role))
        self.publish()
        self.visit()
        self.assertEqual(prepared, [PeerRole.RESPONDER, PeerRole.INITIATOR])
        self.assertEqual(self.relay.holes.prepared, [])

    def test_half_close(self) -> None:
        """The end of one direction passes through, and what was under way arrives."""
        self.publish()
        user, received = self.user(self.visit())
        user.finish_writing()
        self.relay.settle()
        self.assertEqual((received.data, received.ended), (b"hello", True))

    def test_transformed(self) -> None:
        """Compression and encryption are as both ends have them."""
        self.publish(transport=ProxyTransport(use_encryption=True, use_compression=True))
        visiting = self.visit(transport=VisitorTransport(use_encryption=True, use_compression=True))
        self.assertEqual(self.user(visiting)[1].data, b"hello")

    def test_lost(self) -> None:
        """When the path is lost its users' flows end, and the next user has a new one."""
        self.publish()
        visiting = self.visit()
        _, received = self.user(visiting)
        visitor: Any = visiting.visitor
        visitor._tunnel.path.lower.abort()
        self.relay.settle()
        self.assertTrue(received.ended or received.lost is not None)
        self.relay.advance(ATTEMPT_EVERY_S)
        self.assertEqual(self.user(visiting)[1].data, b"hello")

    def test_not_there(self) -> None:
        """A user of a proxy that is not there, or is of another type, is let go at once, with the reason."""
        for other in (False, True):
            self.setUp()
            if other:
                self.relay.publish(stcp, StcpOptions(secret_key=SECRET), name="x", local=echoing)
            visiting = self.visit()
            _, received = self.user(visiting)
            self.assertTrue(received.ended)
            (status,) = visiting.client.status().visitors
            self.assertIn("custom listener for [x] doesn't exist", status.way)

    def test_stopped(self) -> None:
        """Either end has stopped once its path is closed, which waits for its users."""
        for stop in ("backend", "visitor"):
            self.setUp()
            published, visiting = self.publish(), self.visit()
            user, _ = self.user(visiting)
            half: Any = published.backend if stop == "backend" else visiting.visitor
            stopped = half.stopService()
            self.relay.settle()
            self.assertNoResult(stopped)
            user.close()
            self.relay.settle()
            self.successResultOf(stopped)
            (status,) = visiting.client.status().visitors
            self.assertIn("no direct path", status.way)

    def test_fallback(self) -> None:
        """Where no path is found a user goes another way at once, and the panel says why."""
        self.publish()
        self.relay.punching_fails = FailureReason.IMPOSSIBLE
        visiting = self.visit(fallback_to="other")
        handed: list[str] = []
        self.patch(type(visiting.host), "hand_over", lambda host, name, leg, origin: handed.append(name))
        self.user(visiting)
        self.relay.advance(1.1)
        self.assertEqual(handed, ["other"])
        (status,) = visiting.client.status().visitors
        self.assertIn("no direct path: these two NATs cannot be punched", status.way)

    def test_wrong_secret(self) -> None:
        """Who does not know the secret gets no path, and no other way is tried."""
        self.publish()
        visiting = self.visit(Secret("another"))
        with capturedLogs() as logged:
            self.user(visiting)
            self.relay.advance(30.0)
        self.assertEqual(self.relay.holes.protocols, [])
        said = [formatEvent(each) or "" for each in logged]
        self.assertTrue(any("no direct path" in each and "auth failed" in each for each in said), said)

    def test_no_frp(self) -> None:
        """A server that tells of a visitor of frp's is not believed, unless those may come."""
        for peers, met in (("auto", False), (OWN, False), ("any", True)):
            self.setUp()
            published = self.publish(peers)
            with capturedLogs() as logged:
                taken = IMessageReceiver(published.backend).message_received(
                    published.host, NatHoleSid(sid="s")
                )
                self.relay.settle()
            refused = [each for each in logged if 'peers = "any"' in str(each.get("reason"))]
            self.assertEqual((taken, len(refused)), (True, 0 if met else 1))

    def test_frps_server(self) -> None:
        """A server of frp's gets the secret, which the log warns of, or nothing."""
        self.relay.wire_protocol = "v1"
        with capturedLogs() as logged:
            published = self.publish()
        self.assertEqual(published.proxy.options.secret_key, SECRET)
        self.assertIn("server-knows-secret", [each.get("problem") for each in logged])
        self.setUp()
        self.relay.wire_protocol = "v1"
        with self.assertRaises((ProxyRefusedError, AssertionError)), capturedLogs() as logged:
            self.publish(OWN)
        said = [formatEvent(each) or "" for each in logged]
        self.assertTrue(any("start error: the server knows of no rendezvous" in each for each in said), said)

    def test_frps_client(self) -> None:
        """A proxy whose client is frp's is met as frp does, where that is allowed."""
        self.relay.wire_protocol = "v1"
        self.publish()
        self.relay.wire_protocol = "auto"
        for peers, served in (("auto", b""), ("any", b"hello")):
            with capturedLogs() as logged:
                received = self.user(self.visit(peers=peers))[1]
                self.relay.advance(5.0)
            self.assertEqual(received.data, served)
            said = [formatEvent(each) or "" for each in logged]
            self.assertEqual(any('peers = "any" lets' in each for each in said), not served, said)
