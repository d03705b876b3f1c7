"""Forwarding datagrams between legs in memory."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.datagram_flows import FLOW_IDLE_S, DatagramCounts, DatagramFlow, DatagramForwarder
from relaykit.interfaces import IFlow
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import MemoryDatagramLeg, datagram_pair
from relaykit.values import Ended, Traffic


class DatagramFlowTests(SynchronousTestCase):
    """A user and a service with a flow in between."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork()
        self.forwarder = DatagramForwarder(self.clock, self.clock.seconds)
        self.user, self.service, self.flow = self.forward()

    def forward(self) -> tuple[MemoryDatagramLeg, MemoryDatagramLeg, DatagramFlow]:
        """A flow and the two legs beyond it."""
        (user, near), (far, service) = datagram_pair(self.network), datagram_pair(self.network)
        return user, service, self.forwarder.forward(near, far)

    def test_both_ways(self) -> None:
        """Datagrams pass both ways; the handle knows what was moved, and the end tells it, too."""
        verifyObject(IFlow, self.flow)
        user, service = RecordingDatagrams(self.user), RecordingDatagrams(self.service)
        self.user.send(b"question")
        self.user.send(b"")
        self.service.send(b"answer")
        self.network.flush()
        self.assertEqual((service.got, user.got), ([b"question", b""], [b"answer"]))
        self.assertEqual(self.flow.moved(), (8, 6))
        self.assertEqual(self.flow.counts(), DatagramCounts(2, 1, 0))
        self.clock.advance(3.0)
        ended = self.flow.when_ended()
        self.assertNoResult(ended)
        self.flow.end(Ended.STOPPED)
        self.flow.end(Ended.CANCELLED)
        self.network.flush()
        traffic = Traffic(near_to_far=8, far_to_near=6, seconds=3.0, ended=Ended.STOPPED)
        self.assertEqual(self.successResultOf(ended), traffic)
        self.assertEqual(self.successResultOf(self.flow.when_ended()), traffic)
        self.assertEqual((user.lost, service.lost), (Ended.FINISHED, Ended.FINISHED))

    def test_counts(self) -> None:
        """The datagrams of all flows are counted, of those that are over, too, and what legs have dropped."""
        for leg in (self.user, self.service, self.forward()[0]):
            leg.send(b"data")
        self.network.flush()
        self.flow.near.leg.dropped += 3
        self.assertEqual(self.forwarder.counts(), DatagramCounts(2, 1, 3))
        self.flow.end(Ended.STOPPED)
        self.network.flush()
        self.assertEqual(self.forwarder.counts(), DatagramCounts(2, 1, 3))

    def test_lost(self) -> None:
        """The loss of one leg ends the other one, and the traffic says which it was."""
        for gone, why in ((0, Ended.NEAR_LOST), (1, Ended.FAR_LOST)):
            user, service, flow = self.forward()
            legs = (user, service)
            other = RecordingDatagrams(legs[1 - gone])
            legs[gone].cut()
            self.network.flush()
            self.assertIs(self.successResultOf(flow.when_ended()).ended, why)
            self.assertIs(other.lost, Ended.FINISHED)

    def test_finished(self) -> None:
        """A leg that its end closed ends the flow in order."""
        self.service.close()
        self.network.flush()
        self.assertIs(self.successResultOf(self.flow.when_ended()).ended, Ended.FINISHED)

    def test_idle(self) -> None:
        """A flow without datagrams ends after a while, one with some goes on; there is one timer for all."""
        busy, service, other = self.forward()
        RecordingDatagrams(service)
        for _ in range(6):
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(FLOW_IDLE_S / 4)
            busy.send(b"x")
            self.network.flush()
        self.assertIs(self.successResultOf(self.flow.when_ended()).ended, Ended.TIMEOUT)
        self.assertNoResult(other.when_ended())
        other.end(Ended.STOPPED)
        self.network.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dropped(self) -> None:
        """What the other leg does not take is not counted as moved, and does not keep the flow alive."""
        _, _, flow = self.forward()
        flow.far.leg.full = True  # type: ignore[attr-defined]  # a leg in memory
        flow.near.datagram_received(b"lost")
        self.assertEqual((flow.moved(), flow.far.leg.dropped), ((0, 0), 1))
