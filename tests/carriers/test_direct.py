"""Tests of streams over direct paths: who is believed, and what carries the streams then."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.direct import PROOF_S, open_streams, streams_over_socket
from relaykit.errors import ConnectionFailed, PeerUnprovenError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver, Weather
from relaykit.values import Secret
from tests.nat.direct import Hearing

SECRET = Secret("a secret")


class _Gone:
    """A socket whose peer is gone."""

    closed = False

    def getpeername(self) -> None:
        """Says so."""
        raise OSError(errno.ENOTCONN, "not connected")

    def close(self) -> None:
        """Notes it."""
        self.closed = True


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

    def test_gone_already(self) -> None:
        """A socket whose peer is gone before anybody used it is a connection that failed, and is closed."""
        plain: Any = _Gone()
        opened = streams_over_socket(self.network, plain, b"", PeerRole.INITIATOR, SECRET, self.hearing[0])
        self.failureResultOf(opened, ConnectionFailed)
        self.assertTrue(plain.closed)

    def test_same_role(self) -> None:
        """Two that think they have one role do not believe each other."""
        opened = [self.open(place, role=PeerRole.INITIATOR) for place in (0, 1)]
        self.network.flush()
        for each in opened:
            self.failureResultOf(each, PeerUnprovenError)

    def test_silent(self) -> None:
        """A peer that says nothing is waited for so long."""
        opened = self.open(0)
        self.network.advance(PROOF_S - 1)
        self.assertNoResult(opened)
        self.network.advance(2)
        self.failureResultOf(opened, ConnectionFailed)
        self.assertEqual(self.network.connections, [])

    def test_something_else(self) -> None:
        """A peer that speaks something else is told by a reset."""
        opened = self.open(0)
        receiver = RecordingReceiver(self.legs[1])
        self.legs[1].write(bytes(100))
        self.network.flush()
        self.failureResultOf(opened, ConnectionFailed)
        self.assertIsNotNone(receiver.lost)

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
