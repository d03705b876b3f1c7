"""Tests of the client half of an ``xtcp`` proxy."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.hosts import BackendHost
from relaykit.errors import HolePunchingError, UnsuitablePathError
from relaykit.interfaces import IMessageReceiver
from relaykit.proxies.xtcp import backend
from relaykit.proxies.xtcp.backend import XtcpBackend
from relaykit.proxies.xtcp.transactions import ANSWER_S
from relaykit.proxies.xtcp.tunnels import STREAMS_S
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleResp, NatHoleSid
from relaykit.sansio.wire.messages import Ping
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import Published
from relaykit.values import LOST_LINGER_S, Secret
from tests.proxies.xtcp.scene import Scene


class XtcpBackendTests(SynchronousTestCase):
    """Visitors that are met."""

    def setUp(self) -> None:
        self.scene = Scene.made()
        self.relay = self.scene.relay
        self.holes = self.relay.holes

    def user(self) -> tuple[Any, RecordingReceiver]:
        """A user of a new visitor, who says something."""
        user = self.scene.visit().dial()
        received = RecordingReceiver(user)
        user.write(b"hello")
        self.relay.settle()
        return user, received

    def hand(self, published: Published) -> None:
        """The server tells of a visitor."""
        IMessageReceiver(published.backend).message_received(published.host, NatHoleSid(sid="s"))

    def reasons(self, events: Any) -> list[str]:
        """Why visitors got no path."""
        return [each["reason"] for each in events if "gets no direct path" in (each["log_format"] or "")]

    def test_met(self) -> None:
        """A visitor is told what the STUN server saw; the hole is reported; each user has a connection."""
        self.scene.publish()
        visiting = self.scene.visit(protocol="kcp")
        for _ in range(2):
            received = RecordingReceiver(user := visiting.dial())
            user.write(b"hello")
            self.relay.settle()
            self.assertEqual(received.data, b"hello")
        (request,) = self.scene.received(NatHoleClient)
        self.assertEqual((request.proxy_name, request.sid), ("x", "s1"))
        self.assertEqual((len(request.mapped_addrs), len(request.assisted_addrs)), (2, 1))
        self.assertEqual((self.holes.protocols, self.scene.reports), (["kcp", "kcp"], [True]))

    def test_prepared(self) -> None:
        """What holes and streams need is loaded before a visitor comes, whichever protocol it will choose."""
        self.scene.publish()
        self.assertEqual(self.holes.prepared, [(each, PeerRole.RESPONDER) for each in ("kcp", "quic")])

    def test_protocol(self) -> None:
        """What is not kcp is QUIC, as frp has it."""
        self.scene.publish()
        self.scene.ingress.protocol = "whatever"
        self.user()
        self.assertEqual(self.holes.protocols, ["quic", "quic"])

    def test_several_visitors(self) -> None:
        """Each visitor has a path of its own; the end of one is not the end of another."""
        self.scene.publish()
        _, one = self.user()
        user, other = self.user()
        self.assertEqual(len(self.holes.links), 4)
        with capturedLogs() as events:
            self.holes.links[0].cut()
            self.relay.settle()
        self.assertTrue([each for each in events if "ended" in each and "peer" in each])
        user.write(b" again")
        self.relay.settle()
        self.assertEqual(other.data, b"hello again")
        self.relay.advance(LOST_LINGER_S)
        self.assertIsNotNone(one.lost)

    def test_no_local_service(self) -> None:
        """Without a local service a user is let go, and the path stays."""
        self.scene.publish(local=None)
        _, received = self.user()
        self.assertTrue(received.ended or received.lost)
        self.assertIsNone(self.holes.links[0]._gone)

    def test_not_punched(self) -> None:
        """A hole that is not punched is reported as such."""
        self.scene.publish()
        with (
            mock.patch.object(self.holes, "meet", side_effect=HolePunchingError("not heard")),
            capturedLogs() as events,
        ):
            self.user()
        self.assertEqual(self.scene.reports, [False])
        self.assertEqual(self.reasons(events), ["not heard"])

    def test_not_seen(self) -> None:
        """Without an answer of the STUN server the server is told nothing."""
        self.scene.publish()
        visiting = self.scene.visit()
        with mock.patch.object(XtcpBackend, "message_received", autospec=True) as received:
            visiting.dial()
        (call,) = [each for each in received.call_args_list if isinstance(each.args[2], NatHoleSid)]
        self.holes.seen = False
        with capturedLogs() as events:
            self.assertTrue(call.args[0].message_received(*call.args[1:]))
            self.holes.asking.pop().errback(HolePunchingError("STUN server: no answer"))
        self.assertEqual(self.reasons(events), ["STUN server: no answer"])
        self.assertEqual((self.scene.received(NatHoleClient), self.scene.reports), ([], []))

    def test_server_does_not_answer(self) -> None:
        """An answer that does not come is not waited for for ever; no socket is left."""
        self.scene.publish()
        self.scene.ingress.silent = (NatHoleClient,)
        with capturedLogs() as events:
            user, _ = self.user()
            user.abort()
            self.relay.advance(ANSWER_S)
        self.assertEqual(self.reasons(events), [f"the server did not answer within {ANSWER_S:g} s"])
        self.assertEqual((self.holes.open, self.scene.reports), (0, []))

    def test_server_error(self) -> None:
        """An error of the server is told in its words, and not reported back."""
        self.scene.publish()
        self.scene.ingress.error = "not enough addresses"
        with capturedLogs() as events:
            self.user()
        self.assertEqual(self.reasons(events), ["the server says: not enough addresses"])
        self.assertEqual((self.holes.open, self.scene.reports), (0, []))

    def test_no_library(self) -> None:
        """Where streams cannot be made, nothing is punched."""
        self.scene.publish()
        error = UnsuitablePathError("streams by QUIC need the extra relaykit[quic]")
        with (
            mock.patch.object(BackendHost, "datagram_streams", side_effect=error),
            capturedLogs() as events,
        ):
            user, _ = self.user()
            user.abort()
            self.relay.settle()
        self.assertEqual((self.reasons(events), self.scene.reports), ([str(error)], []))
        self.relay.advance(60.0)
        self.assertEqual(self.holes.open, 0)

    def test_silent_path(self) -> None:
        """A hole through which nothing comes is given up."""
        self.scene.publish()
        with (
            mock.patch.object(self.holes, "open_path", lambda *what: Deferred()),
            capturedLogs() as events,
        ):
            self.user()
            self.relay.advance(STREAMS_S)
        (reason,) = self.reasons(events)
        self.assertIn("nothing comes through it", reason)

    def test_bounded(self) -> None:
        """So many visitors are met at once, and have paths, as there may be; the rest is told of."""
        published = self.scene.publish()
        self.holes.seen = False
        with capturedLogs() as events:
            for _ in range(backend.MOST_ATTEMPTS + 1):
                self.hand(published)
        self.assertEqual(len(self.holes.asking), backend.MOST_ATTEMPTS)
        self.assertEqual(len(self.reasons(events)), 1)
        self.assertTrue(events[-1]["by_server"])

    def test_paths_bounded(self) -> None:
        """The same for the paths that there are."""
        self.scene.publish()
        with mock.patch.object(backend, "MOST_TUNNELS", 1), capturedLogs() as events:
            self.user()
            self.user()
        self.assertEqual(len(self.reasons(events)), 1)
        self.assertEqual(self.scene.reports, [True])

    def test_withdrawn(self) -> None:
        """A proxy that is taken back meets nobody, gives up what is under way, and lets users stay."""
        published = self.scene.publish()
        user, received = self.user()
        self.holes.seen = False
        self.hand(published)
        (asking,) = self.holes.asking
        published.withdraw()
        self.assertTrue(asking.called)
        user.write(b" again")
        self.relay.settle()
        self.assertEqual(received.data, b"hello again")
        gone: list[str] = []
        self.holes.links[1].when_gone(lambda: gone.append("the path"))
        user.close()
        self.relay.settle()
        self.assertEqual(gone, ["the path"])

    def test_other_messages(self) -> None:
        """Messages that are not for this proxy are not taken."""
        published = self.scene.publish()
        for message in (Ping(), NatHoleResp(transaction_id="unknown")):
            self.assertFalse(IMessageReceiver(published.backend).message_received(published.host, message))

    def test_defects(self) -> None:
        """A defect while a visitor is met, or a user served, is told as one and ends nothing else."""
        self.scene.publish()
        with mock.patch.object(self.holes, "meet", side_effect=ZeroDivisionError):
            self.user()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.relay.advance(20.0)
        with mock.patch.object(XtcpBackend, "serve", side_effect=ZeroDivisionError):
            _, received = self.user()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(received.ended or received.lost)

    def test_secret_not_told(self) -> None:
        """Nothing that is logged has the secret in it."""
        self.scene.publish(secret=Secret("do not tell"))
        with capturedLogs() as events:
            self.user()
        self.assertNotIn("do not tell", repr(events))
