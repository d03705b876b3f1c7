"""Tests for :mod:`relaykit.dataplane.pipes`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase, TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.pipes import CAPACITY_BYTES, PipeLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.interfaces import IForwarder, IStreamLeg
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests, MemoryWaiting
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Ended


class PipePairs(MemoryWaiting):
    """Makes pipes."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Both ends of one."""
        return PipeLeg.pair(self.network)


class PipeConformanceTests(PipePairs, LegTests, TestCase):
    """The ends of a pipe are legs like any other."""


class PipeForwardingTests(PipePairs, ForwarderTests, TestCase):
    """Pipes are forwarded like any other legs."""

    def make_forwarder(self) -> IForwarder:
        """What copies."""
        return CopyForwarder()


class PipeTests(SynchronousTestCase):
    """What is special about pipes."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = PipeLeg.pair(self.network, Address("192.0.2.7", 1), Address("192.0.2.1", 2))

    def test_addresses(self) -> None:
        """Each end has the address of the other one as that of its peer."""
        self.assertEqual((self.near.host, self.far.peer), (Address("192.0.2.7", 1),) * 2)
        self.assertEqual((self.near.peer, self.far.host), (Address("192.0.2.1", 2),) * 2)
        self.assertIn("192.0.2.7:1", repr(self.near))

    def test_nothing_within_a_call(self) -> None:
        """Nobody is called within a call of the other end, and large pieces are passed on as they are."""
        receiver = RecordingReceiver(self.far)
        piece = b"x" * CAPACITY_BYTES
        self.near.write(piece)
        self.assertEqual(receiver.data, b"")
        self.network.flush()
        self.assertIs(receiver.data, piece)

    def test_nobody_reads(self) -> None:
        """What a closed end has written and nobody reads is dropped after a while, and both ends are told."""
        here, there = RecordingReceiver(self.near), RecordingReceiver(self.far)
        self.far.pauseProducing()
        self.near.write(b"unread")
        self.near.close()
        self.network.advance(FLUSH_LINGER_S + 1)
        self.assertIs(here.lost, Ended.TIMEOUT)
        self.far.resumeProducing()
        self.network.flush()
        self.assertEqual((there.data, there.lost), (b"", Ended.RESET))

    def test_no_timers_are_left(self) -> None:
        """However a pipe ends, it leaves no call behind."""
        for end in (PipeLeg.close, PipeLeg.break_off, PipeLeg.abort):
            near, far = PipeLeg.pair(self.network)
            for leg in (near, far):
                RecordingReceiver(leg)
            end(near)
            self.network.flush()
            far.abort()
            self.network.flush()
            self.assertEqual(self.network.clock.getDelayedCalls(), [])
