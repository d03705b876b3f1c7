"""Tests for :mod:`relaykit.carriers.kcp.streams`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.carriers.kcp.streams import CONVERSATION, FIRST_WORD_S, KcpStreams
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IDatagramStreams
from relaykit.sansio.kcp.fec import bare
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import Ended, Secret
from tests.nat.direct import Hearing


class KcpStreamsTests(SynchronousTestCase):
    """Both ends of a path."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.below = datagram_pair(self.network)
        self.hearing = [Hearing(), Hearing()]
        self.streams = KcpStreams(self.network, self.network.clock)
        verifyObject(IDatagramStreams, self.streams)

    def open(self, place: int) -> Deferred[Any]:
        """One end opens its streams; the first one is the visitor."""
        role = tuple(PeerRole)[place]
        return self.streams.open_path(self.below[place], role, Secret("secret"), self.hearing[place])

    def test_streams(self) -> None:
        """Both ends open streams to each other; when one closes the path the other one is told."""
        opened = [self.open(0), self.open(1)]
        self.network.advance(0.1)
        paths = [self.successResultOf(each) for each in opened]
        for near, far in ((0, 1), (1, 0)):
            leg = self.successResultOf(paths[near].open_leg(False))
            leg.attach(Hearing())
            leg.write(b"hello")
            self.network.advance(0.1)
            self.assertEqual(b"".join(self.hearing[far].heard), b"hello")
        lost = paths[1].when_lost()
        paths[0].close()
        self.network.advance(5.0)
        self.assertIsNotNone(self.successResultOf(lost))

    def test_late(self) -> None:
        """The peer may come later."""
        opened = self.open(0)
        self.network.advance(FIRST_WORD_S - 1)
        self.assertNoResult(opened)
        self.open(1)
        self.network.advance(0.9)
        self.successResultOf(opened)

    def test_silent(self) -> None:
        """A peer that says nothing is waited for so long, and nothing is left then."""
        below = RecordingDatagrams(self.below[1])
        opened = self.open(0)
        self.network.advance(FIRST_WORD_S + 0.1)
        error = self.failureResultOf(opened, ConnectionFailed)
        self.assertIn("silent", str(error.value))
        self.assertEqual(below.lost, Ended.FINISHED)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])
        for each in below.got:
            self.assertIn(bytes(bare(each))[:4], (b"", CONVERSATION.to_bytes(4, "little")))

    def test_lost(self) -> None:
        """A way that is lost before fails at once."""
        opened = self.open(0)
        self.below[0].cut()
        self.network.flush()
        error = self.failureResultOf(opened, ConnectionFailed)
        self.assertIn("gone", str(error.value))
        self.network.advance(FIRST_WORD_S)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Whoever gives up leaves nothing open."""
        below = RecordingDatagrams(self.below[1])
        opened = self.open(0)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.network.flush()
        self.assertEqual((below.lost, self.network.clock.getDelayedCalls()), (Ended.FINISHED, []))
