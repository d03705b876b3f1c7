"""Tests of streams over direct paths: who is believed, and what carries the streams then."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from attrs import define
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.direct import open_streams, streams_over_socket
from relaykit.carriers.proving import PROOF_S
from relaykit.certificates.own import self_signed
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.errors import ConnectionFailed, PeerUnprovenError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.path_proof import HELLO_BYTES, PROOF_BYTES
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, Weather
from relaykit.values import Secret
from tests.nat.direct import Hearing

if TYPE_CHECKING:
    from relaykit.interfaces import ILegReceiver, IStreamLeg
    from relaykit.values import Ended

SECRET = Secret("a secret")


def _noting(passed: bytearray) -> Callable[[MemoryLeg, Any], None]:
    """What writes to a leg, and notes what it writes."""
    write = MemoryLeg.write

    def written(leg: MemoryLeg, data: Any) -> None:
        passed.extend(data)
        write(leg, data)

    return written


class _Gone:
    """A socket whose peer is gone."""

    closed = False

    def getpeername(self) -> None:
        """Says so."""
        raise OSError(errno.ENOTCONN, "not connected")

    def close(self) -> None:
        """Notes it."""
        self.closed = True


@define(eq=False)
class _Pump:
    """Passes on what arrives on a leg, and shows it."""

    onward: IStreamLeg
    seen: bytearray

    def data_received(self, data: Any) -> None:
        """Passes bytes on."""
        self.seen += data
        self.onward.write(bytes(data))

    def end_received(self) -> None:
        """Passes the end on."""
        self.onward.close()

    def leg_lost(self, reason: Ended) -> None:
        """Nothing is left."""
        self.onward.close()


class OpenStreamsTests(SynchronousTestCase):
    """Both ends of a path in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.legs = self.network.pair()
        self.hearing = [Hearing(), Hearing()]

    def open(self, place: int, secret: Secret = SECRET, role: PeerRole | None = None) -> Deferred[Any]:
        """One end opens its streams."""
        role = role or tuple(PeerRole)[place]
        leg, hearing = self.legs[place], self.hearing[place]
        return open_streams(leg, role, secret, hearing, self.network, self.network.clock)

    def test_streams(self) -> None:
        """Ends that share a secret open streams to each other, however the bytes are cut."""
        for most_bytes in (0, 1, 7):
            self.setUp()
            self.network.weather = Weather(seed=1, most_bytes=most_bytes)
            opened = [self.open(0), self.open(1)]
            self.network.flush()
            paths = [self.successResultOf(each) for each in opened]
            for near, far in ((0, 1), (1, 0)):
                leg = self.successResultOf(paths[near].open_leg(False))
                leg.attach(Hearing())
                leg.write(b"hello")
                self.network.flush()
                self.assertEqual(b"".join(self.hearing[far].heard), b"hello")
            lost = paths[1].when_lost()
            paths[0].close()
            self.network.flush()
            self.successResultOf(lost)

    def test_early_streams(self) -> None:
        """What the peer sends right behind its proof is not lost."""
        opened = self.open(0)
        self.network.flush()
        self.assertNoResult(opened)
        other = self.open(1)
        self.network.flush()
        leg = self.successResultOf(self.successResultOf(other).open_leg(False))
        leg.attach(Hearing())
        leg.write(b"early")
        self.network.flush()
        self.successResultOf(opened)
        self.assertEqual(self.hearing[0].heard, [b"early"])

    def test_another_secret(self) -> None:
        """Ends with different secrets learn both that the other is not proven, and nothing stays open."""
        opened = [self.open(0), self.open(1, Secret("another"))]
        self.network.flush()
        for each in opened:
            self.failureResultOf(each, PeerUnprovenError)
        self.network.expire_linger()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))

    def test_man_in_the_middle(self) -> None:
        """Who ends TLS on both sides and passes the proofs on is found out by both ends, which say so."""
        initiator, his_server = self.network.pair()
        his_client, responder = self.network.pair()
        self.legs = initiator, responder
        opened = [self.open(0), self.open(1)]
        pair = self_signed(datetime(2026, 1, 1, tzinfo=UTC))
        shown = server_context(pair.certificate, pair.key)
        sessions = [
            start_tls(self.network, his_server, shown, server_side=True),
            start_tls(self.network, his_client, client_context(), server_side=False),
        ]
        self.network.flush()
        seen = bytearray()
        here, there = (self.successResultOf(each) for each in sessions)
        here.attach(cast("ILegReceiver", _Pump(there, seen)))
        there.attach(cast("ILegReceiver", _Pump(here, seen)))
        self.network.flush()
        for each in opened:
            error = self.failureResultOf(each, PeerUnprovenError).value
            self.assertIn("somebody stands in between", str(error))
        # It was he who carried the proofs, and nothing else came to him.
        self.assertEqual(len(seen), 2 * (HELLO_BYTES + PROOF_BYTES))

    def test_older_tls(self) -> None:
        """A peer whose TLS cannot tell one session from another has no way to prove itself."""
        opened = self.open(0)
        pair = self_signed(datetime(2026, 1, 1, tzinfo=UTC))
        older = server_context(pair.certificate, pair.key)
        older.context.set_max_proto_version(SSL.TLS1_2_VERSION)
        start_tls(self.network, self.legs[1], older, server_side=True)
        self.network.flush()
        self.assertIn("TLS 1.3", str(self.failureResultOf(opened, ConnectionFailed).value))

    def test_nothing_in_clear(self) -> None:
        """What streams carry cannot be read on the way."""
        passed = bytearray()
        self.patch(MemoryLeg, "write", _noting(passed))
        opened = [self.open(0), self.open(1)]
        self.network.flush()
        leg = self.successResultOf(self.successResultOf(opened[0]).open_leg(False))
        leg.attach(Hearing())
        leg.write(b"hush" * 100)
        self.network.flush()
        self.assertEqual(b"".join(self.hearing[1].heard), b"hush" * 100)
        self.assertGreater(len(passed), 400)
        self.assertNotIn(b"hush", passed)

    def test_gone_already(self) -> None:
        """A socket whose peer is gone before anybody used it is a connection that failed, and is closed."""
        plain: Any = _Gone()
        opened = streams_over_socket(self.network, plain, b"", PeerRole.INITIATOR, SECRET, self.hearing[0])
        self.failureResultOf(opened, ConnectionFailed)
        self.assertTrue(plain.closed)

    def test_same_role(self) -> None:
        """Two that think they have one role do not even come to a session."""
        opened = [self.open(place, role=PeerRole.INITIATOR) for place in (0, 1)]
        self.network.flush()
        for each in opened:
            self.failureResultOf(each, ConnectionFailed)

    def test_silent(self) -> None:
        """A peer that says nothing is waited for so long."""
        opened = self.open(0)
        self.network.advance(PROOF_S - 1)
        self.assertNoResult(opened)
        self.network.advance(2)
        self.failureResultOf(opened, ConnectionFailed)
        self.network.expire_linger()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))

    def test_something_else(self) -> None:
        """A peer that speaks something else is let go, be it no TLS at all or no proof."""
        opened = self.open(0)
        self.legs[1].write(bytes(100))
        self.network.flush()
        self.failureResultOf(opened, ConnectionFailed)
        self.setUp()
        opened = self.open(0)
        pair = self_signed(datetime(2026, 1, 1, tzinfo=UTC))
        other = start_tls(
            self.network, self.legs[1], server_context(pair.certificate, pair.key), server_side=True
        )
        self.network.flush()
        self.successResultOf(other).write(bytes(100))
        self.network.flush()
        self.assertIn("does not say hello", str(self.failureResultOf(opened, ConnectionFailed).value))

    def test_lost(self) -> None:
        """A peer that goes away before it has proven itself is a connection that failed."""
        opened = self.open(0)
        self.legs[1].abort()
        self.network.flush()
        self.failureResultOf(opened, ConnectionFailed)

    def test_cancelled(self) -> None:
        """Whoever gives up leaves nothing open."""
        opened = self.open(0)
        self.network.flush()
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.network.flush()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))
