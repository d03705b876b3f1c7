"""Tests for :mod:`relaykit.dataplane.pairs`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase, TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.pairs import CAPACITY_BYTES, PairLeg, leg_pair
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.interfaces import IInnerLeg, IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.legs import LegTests, MemoryWaiting, RecordingProducer
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Ended, Origin

ALICE = Origin(Address("198.51.100.7", 40001), Address("203.0.113.1", 6000))


class PairConformance(MemoryWaiting, LegTests, TestCase):
    """A pair is two legs like any others."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Both ends of a pair."""
        return leg_pair(self.network, ALICE)


class _Echo(RecordingReceiver):
    """Writes back what it gets, within the call."""

    def __init__(self, leg: PairLeg) -> None:
        self.leg = leg
        super().__init__(leg)

    def data_received(self, data: Buffer) -> None:
        super().data_received(data)
        self.leg.write(data)


class PairTests(SynchronousTestCase):
    """What is particular to a pair."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = leg_pair(self.network, ALICE)

    def test_addresses(self) -> None:
        """The service's end has the user for its peer; the other end has no address that could lead back."""
        self.assertEqual((self.far.peer, self.far.host), (ALICE.source, ALICE.destination))
        self.assertEqual((self.near.peer, self.near.host), (None, None))
        self.assertTrue(IInnerLeg.providedBy(self.near))
        self.assertEqual(repr(self.near), repr(self.far))

    def test_straight(self) -> None:
        """What is written to an end that is read is delivered within the call, and never copied."""
        got = RecordingReceiver(self.far)
        self.near.write(b"at once")
        self.assertEqual(got.data, b"at once")

    def test_answer_within_call(self) -> None:
        """What is written back within a call is delivered after it: no receiver is called in its own call."""
        _Echo(self.far)
        got = RecordingReceiver(self.near)
        self.near.write(b"one")
        self.assertEqual(got.data, b"")
        self.near.write(b"two")
        self.network.flush()
        self.assertEqual(got.data, b"onetwo")

    def test_order(self) -> None:
        """What comes after something that waits, waits, too."""
        self.near.write(b"one ")
        got = RecordingReceiver(self.far)
        self.near.write(b"two")
        self.network.flush()
        self.assertEqual(got.data, b"one two")

    def test_capacity(self) -> None:
        """A piece may wait; who writes more is paused until it is read."""
        producer = RecordingProducer()
        self.near.registerProducer(producer, True)
        self.near.write(bytes(CAPACITY_BYTES - 1))
        self.assertFalse(producer.paused)
        self.near.write(b"x")
        self.assertTrue(producer.paused)
        RecordingReceiver(self.far)
        self.network.flush()
        self.assertFalse(producer.paused)

    def test_closed_end(self) -> None:
        """Who goes on towards an end that was closed is told that nobody is there."""
        here, there = RecordingReceiver(self.near), RecordingReceiver(self.far)
        self.near.close()
        self.network.flush()
        self.assertEqual((there.ended, there.lost, here.lost), (True, Ended.RESET, Ended.FINISHED))

    def test_closed_unread(self) -> None:
        """What nobody reads is given up when the time to send the rest is over."""
        here = RecordingReceiver(self.near)
        self.near.write(b"unread")
        self.near.close()
        self.near.close()
        self.network.flush()
        self.assertIsNone(here.lost)
        self.network.advance(FLUSH_LINGER_S)
        there = RecordingReceiver(self.far)
        self.network.flush()
        self.assertEqual((here.lost, there.lost), (Ended.TIMEOUT, Ended.RESET))

    def test_hastened(self) -> None:
        """Breaking off hastens what closing began, and closing slows nothing down."""
        here = RecordingReceiver(self.near)
        self.near.write(b"unread")
        self.near.close()
        self.near.break_off()
        self.near.close()
        self.network.advance(1.0)
        self.assertEqual((here.lost, self.network.clock.getDelayedCalls()), (Ended.TIMEOUT, []))

    def test_forwarded(self) -> None:
        """A user's flow to a pair and the service's flow from it end together, however the user ends."""
        for end in ("finish_writing", "close", "abort"):
            user, work = self.network.pair()
            near, far = leg_pair(self.network, ALICE)
            local, service = self.network.pair()
            outer = CopyForwarder(self.network.clock.seconds).forward(work, near, False)
            inner = CopyForwarder(self.network.clock.seconds).forward(far, local, True)
            got = RecordingReceiver(service)
            user.write(b"all of it")
            self.network.flush()
            getattr(user, end)()
            self.network.advance(60.0)
            self.assertEqual(got.data, b"all of it")
            service.close()
            self.network.flush()
            self.successResultOf(outer.when_ended())
            self.successResultOf(inner.when_ended())
        self.assertEqual(self.network.clock.getDelayedCalls(), [])
