"""Tests of holes in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import HolePunchingError
from relaykit.interfaces import IDatagramStreams, IHoles, IHoleSocket
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nathole.messages import NatHoleResp
from relaykit.testing.holes import MemoryHoles
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Secret

SECRET = Secret("abc")
TOLD = NatHoleResp(sid="s1", candidate_addrs=("198.51.100.1:5",))


class _Accepting:
    def __init__(self) -> None:
        self.legs: list[Any] = []

    def leg_accepted(self, leg: Any, origin: Any) -> None:
        self.legs.append(leg)


class MemoryHolesTests(SynchronousTestCase):
    """What is as with real ones, and what is not."""

    def setUp(self) -> None:
        self.network = MemoryNetwork(clock=Clock())
        self.holes = MemoryHoles(self.network)

    def socket(self, offers_interfaces: bool = True) -> Any:
        """A new socket."""
        return self.successResultOf(self.holes.open_socket(offers_interfaces))

    def test_interfaces(self) -> None:
        """They stand for the real things."""
        self.assertTrue(verifyObject(IHoles, self.holes))
        self.assertTrue(verifyObject(IDatagramStreams, self.holes))
        self.holes.prepare("kcp", PeerRole.RESPONDER)
        self.assertEqual(self.holes.prepared, [("kcp", PeerRole.RESPONDER)])
        self.assertTrue(verifyObject(IHoleSocket, self.socket()))
        self.assertEqual(len(self.socket().mapped), 2)
        self.assertEqual(self.socket(offers_interfaces=False).interfaces, ())

    def test_streams(self) -> None:
        """Two that punch for one attempt have a hole, and streams through it, until it is cut."""
        one = self.socket().punch(TOLD, SECRET)
        self.assertNoResult(one)
        other = self.socket().punch(TOLD, SECRET)
        accepting: Any = _Accepting()
        near = self.holes.open_path(self.successResultOf(one), PeerRole.INITIATOR, SECRET, accepting)
        self.holes.open_path(self.successResultOf(other), PeerRole.RESPONDER, SECRET, accepting)
        path = self.successResultOf(near)
        leg = self.successResultOf(path.open_leg(False))
        leg.write(b"hello")
        self.network.advance(0.0)
        self.assertEqual(RecordingReceiver(accepting.legs[0]).data, b"hello")
        self.assertEqual((self.holes.open, len(self.holes.links)), (0, 2))
        lost = path.when_lost()
        self.holes.links[0].cut()
        self.network.advance(0.0)
        self.successResultOf(lost)

    def test_no_meeting(self) -> None:
        """Not with another secret, not for another attempt, not while nothing is punched."""
        one = self.socket().punch(TOLD, SECRET)
        for told, secret in (
            (TOLD, Secret("other")),
            (NatHoleResp(sid="s2", candidate_addrs=("a",)), SECRET),
        ):
            other = self.socket().punch(told, secret)
            self.assertNoResult(other)
        self.holes.punched = False
        self.assertNoResult(self.socket().punch(TOLD, SECRET))
        one.cancel()
        self.failureResultOf(one, CancelledError)

    def test_refused(self) -> None:
        """What names nobody is refused."""
        self.failureResultOf(self.socket().punch(NatHoleResp(error="no"), SECRET), HolePunchingError)

    def test_not_seen(self) -> None:
        """Where no STUN server answers, there is no socket; one can be given up, twice."""
        self.holes.seen = False
        asking: Deferred[Any] = self.holes.open_socket(True)
        self.assertEqual(self.holes.asking, [asking])
        self.assertNoResult(asking)
        self.holes.seen = True
        socket = self.socket()
        self.assertEqual(self.holes.open, 1)
        socket.close()
        socket.close()
        self.assertEqual(self.holes.open, 0)
