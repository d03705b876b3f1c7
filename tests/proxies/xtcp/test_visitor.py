"""Tests of the visitor of an ``xtcp`` proxy."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.muxing import MuxLink
from relaykit.errors import ConnectionFailed, UnknownVisitorError
from relaykit.options import ProxyTransport, VisitorTransport
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nathole.messages import NatHoleVisitor
from relaykit.sansio.nathole.policy import ATTEMPT_EVERY_S, PING_S, UNANSWERED_PINGS, USER_WAIT_S
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import Visiting
from tests.proxies.xtcp.scene import Scene


class _VisitorTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.scene = Scene.made()
        self.relay = self.scene.relay
        self.holes = self.relay.holes

    def user(self, visiting: Visiting, payload: bytes = b"hello") -> tuple[Any, RecordingReceiver]:
        """A user who says something."""
        user = visiting.dial()
        received = RecordingReceiver(user)
        user.write(payload)
        self.relay.settle()
        return user, received

    @property
    def attempts(self) -> int:
        """How often the server was asked for a path."""
        return len([each for each in self.scene.received(NatHoleVisitor) if not each.pre_check])

    def handed(self, visiting: Visiting) -> list[Any]:
        """The users that the visitor hands to another one from now on, each with that one's name."""
        found: list[Any] = []
        self.patch(
            type(visiting.host), "hand_over", lambda host, name, leg, origin: found.append((name, leg))
        )
        return found


class ServedTests(_VisitorTestCase):
    """Users of a direct path."""

    def test_served(self) -> None:
        """A user reaches the local service by a path that the server is asked for once."""
        self.scene.publish()
        self.holes.prepared.clear()
        visiting = self.scene.visit(protocol="kcp")
        self.assertEqual(self.scene.received(NatHoleVisitor), [])
        self.assertEqual(self.holes.prepared, [("kcp", PeerRole.INITIATOR)])
        for _ in range(3):
            _, received = self.user(visiting)
            self.assertEqual(received.data, b"hello")
        pre_check, request = self.scene.received(NatHoleVisitor)
        self.assertTrue(pre_check.pre_check)
        self.assertEqual((pre_check.proxy_name, pre_check.sign_key, pre_check.mapped_addrs), ("x", "", ()))
        self.assertEqual((request.proxy_name, request.protocol, request.pre_check), ("x", "kcp", False))
        self.assertEqual((len(request.mapped_addrs), len(request.assisted_addrs)), (2, 1))
        self.assertTrue(request.sign_key and request.timestamp)
        self.assertEqual((self.holes.protocols, self.scene.reports), (["kcp", "kcp"], [True]))
        self.assertEqual(visiting.host.reason, "")

    def test_transformed(self) -> None:
        """Bytes are encrypted and compressed by the secret from the first one on."""
        self.scene.publish(transport=ProxyTransport(use_encryption=True, use_compression=True))
        visiting = self.scene.visit(transport=VisitorTransport(use_encryption=True, use_compression=True))
        _, received = self.user(visiting)
        self.assertEqual(received.data, b"hello")

    def test_ends(self) -> None:
        """Half-close passes, and the end of one user leaves the path to the others."""
        self.scene.publish()
        visiting = self.scene.visit()
        user, received = self.user(visiting)
        user.finish_writing()
        self.relay.settle()
        self.assertTrue(received.ended)
        self.assertEqual(self.user(visiting)[1].data, b"hello")
        self.assertEqual(self.attempts, 1)

    def test_wait_together(self) -> None:
        """Users who come while the path is made are all served by it."""
        self.holes.seen = False
        self.scene.publish()
        visiting = self.scene.visit()
        found = [self.user(visiting)[1] for _ in range(3)]
        self.assertEqual(len(self.holes.asking), 1)
        self.holes.seen = True
        asking = self.holes.asking.pop()
        asking.callback(self.successResultOf(self.holes.open_socket(True)))
        self.relay.settle()
        self.assertEqual([each.data for each in found], [b"hello"] * 3)

    def test_kept_open(self) -> None:
        """With keepTunnelOpen the path is there before anybody comes, and again once it is lost."""
        self.scene.publish()
        self.scene.visit(keep_tunnel_open=True, min_retry_interval=90)
        self.relay.settle()
        self.assertEqual(self.attempts, 1)
        self.holes.links[0].cut()
        self.relay.advance(89.0)
        self.assertEqual(self.attempts, 1)
        self.relay.advance(2.0)
        self.assertEqual(self.attempts, 2)

    def test_dead(self) -> None:
        """A path that answers nothing is given up, and made again for the next user."""
        self.scene.publish()
        visiting = self.scene.visit()
        _, received = self.user(visiting)
        self.holes.links[0].stall()
        with capturedLogs() as events:
            self.relay.advance(PING_S * (UNANSWERED_PINGS + 1) + 0.1)
        self.assertIn("hole-punching", [each.get("problem") for each in events])
        self.assertEqual(self.user(visiting)[1].data, b"hello")
        self.assertEqual(self.attempts, 2)
        self.relay.advance(60.0)
        self.assertIsNotNone(received.lost)

    def test_alive(self) -> None:
        """A path that answers stays for as long as it does."""
        self.scene.publish()
        visiting = self.scene.visit()
        self.user(visiting)
        self.relay.advance(600.0)
        self.assertEqual(self.user(visiting)[1].data, b"hello")
        self.assertEqual(self.attempts, 1)

    def test_answers_wait(self) -> None:
        """A path whose peer is heard stays, though its answers wait behind what a user does not read."""
        self.scene.publish()
        visiting = self.scene.visit()
        self.user(visiting)
        self.patch(MuxLink, "round_trip", lambda path: Deferred())
        self.relay.advance(600.0)
        self.assertEqual(self.user(visiting)[1].data, b"hello")
        self.assertEqual(self.attempts, 1)

    def test_stopped(self) -> None:
        """A visitor that stops lets its users stay, and closes the path once they are gone."""
        self.scene.publish()
        visiting = self.scene.visit()
        user, received = self.user(visiting)
        visiting.client.update((), ())
        self.relay.settle()
        user.write(b" again")
        self.relay.settle()
        self.assertEqual(received.data, b"hello again")
        self.assertIsNone(received.lost)
        gone: list[str] = []
        self.holes.links[0].when_gone(lambda: gone.append("visitor's end"))
        user.close()
        self.relay.settle()
        self.assertEqual(gone, ["visitor's end"])

    def test_stopped_while_waiting(self) -> None:
        """Who waits when the visitor stops is let go; no timer and no socket is left."""
        self.holes.seen = False
        self.scene.publish()
        visiting = self.scene.visit()
        _, received = self.user(visiting)
        visiting.client.update((), ())
        self.relay.settle()
        self.assertTrue(received.ended)
        self.assertEqual(self.holes.open, 0)


class WithoutPathTests(_VisitorTestCase):
    """Users who get no direct path."""

    def reason_of(self, visiting: Visiting, seconds: float) -> str:
        """Why a user is let go, once so much time has passed; they are told of once."""
        with capturedLogs() as events:
            _, received = self.user(visiting)
            self.relay.advance(seconds)
        self.assertTrue(received.ended)
        (said,) = [each["reason"] for each in events if "no visit for" in (each["log_format"] or "")]
        return str(said)

    def test_refused(self) -> None:
        """What the server refuses is told at once, in its words, and for status too."""
        self.scene.publish()
        self.scene.ingress.pre_check_error = "xtcp server for [x] doesn't exist"
        visiting = self.scene.visit()
        self.assertIn("xtcp server for [x] doesn't exist", self.reason_of(visiting, 0.0))
        self.assertEqual(visiting.host.reason, "xtcp server for [x] doesn't exist")
        self.assertEqual((self.attempts, self.holes.open), (0, 0))

    def test_refused_later(self) -> None:
        """The same where it refuses the request itself; no socket is left."""
        self.scene.publish()
        self.scene.ingress.error = "xtcp connection of [x] auth failed"
        self.assertIn("auth failed", self.reason_of(self.scene.visit(), 0.0))
        self.assertEqual((self.holes.open, self.scene.reports), (0, []))

    def test_silent_server(self) -> None:
        """A server that does not answer is waited for no longer than it takes."""
        self.scene.publish()
        self.scene.ingress.silent = (NatHoleVisitor,)
        self.assertIn("did not answer within", self.reason_of(self.scene.visit(), USER_WAIT_S))

    def test_nobody_there(self) -> None:
        """A user whose hole is not punched is let go in the end; the attempt goes on for the next ones."""
        self.holes.punched = False
        self.scene.publish()
        self.assertIn("no direct path in time", self.reason_of(self.scene.visit(), USER_WAIT_S))

    def test_broken_path(self) -> None:
        """A path that opens no stream is closed, and its user is let go or goes elsewhere."""
        self.scene.publish()
        visiting = self.scene.visit()
        self.user(visiting)
        visitor: Any = visiting.visitor
        path = visitor._tunnel.path
        with mock.patch.object(path, "open_leg", lambda urgent: fail(ConnectionFailed("no stream"))):
            self.assertIn("broken: no stream", self.reason_of(visiting, 0.0))
        self.assertIsNone(visitor._tunnel)

    def test_defect(self) -> None:
        """A defect in an attempt is told as one, and the user is let go."""
        self.scene.publish()
        visiting = self.scene.visit()
        with mock.patch.object(self.holes, "open_socket", side_effect=ZeroDivisionError):
            self.user(visiting)
            self.relay.advance(USER_WAIT_S)
        self.assertGreaterEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_gone_meanwhile(self) -> None:
        """A user who leaves while waiting is forgotten."""
        self.holes.seen = False
        self.scene.publish()
        visiting = self.scene.visit()
        user, _ = self.user(visiting)
        user.abort()
        self.relay.settle()
        visitor: Any = visiting.visitor
        self.assertEqual(visitor._policy.waiting, 0)


class FallbackTests(_VisitorTestCase):
    """Users who go another way."""

    def test_in_time(self) -> None:
        """While the STUN server never answers, users go to the other visitor after fallbackTimeoutMs."""
        self.holes.seen = False
        self.scene.publish()
        visiting = self.scene.visit(fallback_to="other", fallback_timeout_ms=700)
        handed = self.handed(visiting)
        self.user(visiting)
        self.relay.advance(0.6)
        self.assertEqual(handed, [])
        self.relay.advance(0.1)
        self.assertEqual([name for name, _ in handed], ["other"])

    def test_at_once(self) -> None:
        """Where no path can be there in time nobody waits for it."""
        self.scene.publish()
        self.scene.ingress.pre_check_error = "no"
        visiting = self.scene.visit(fallback_to="other")
        handed = self.handed(visiting)
        for count in (1, 2):
            self.user(visiting)
            self.assertEqual(len(handed), count)
        self.scene.ingress.pre_check_error = ""
        self.relay.advance(ATTEMPT_EVERY_S)
        self.assertEqual(self.user(visiting)[1].data, b"hello")

    def test_bytes_stay(self) -> None:
        """What the user sent before is there for the other visitor."""
        self.scene.publish()
        self.scene.ingress.pre_check_error = "no"
        visiting = self.scene.visit(fallback_to="other")
        handed = self.handed(visiting)
        self.user(visiting, b"early")
        received = RecordingReceiver(handed[0][1])
        self.relay.settle()
        self.assertEqual(received.data, b"early")

    def test_no_such_visitor(self) -> None:
        """A visitor that is not there is told of, and the user let go."""
        self.scene.publish()
        self.scene.ingress.pre_check_error = "no"
        visiting = self.scene.visit(fallback_to="nope")
        with capturedLogs() as events:
            _, received = self.user(visiting)
        self.assertTrue(received.ended)
        (event,) = [each for each in events if each.get("problem") == UnknownVisitorError.problem]
        self.assertIn('no visitor "nope"', event["reason"])

    def test_bad_numbers(self) -> None:
        """Numbers below one count as if they were not given, as frp takes any."""
        self.holes.seen = False
        self.scene.publish()
        visiting = self.scene.visit(
            fallback_to="other", fallback_timeout_ms=-1, max_retries_an_hour=-1, min_retry_interval=-1
        )
        handed = self.handed(visiting)
        self.user(visiting)
        self.relay.advance(0.9)
        self.assertEqual(handed, [])
        self.relay.advance(0.1)
        self.assertEqual(len(handed), 1)
