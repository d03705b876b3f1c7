"""Tests of the work connections that proxy types speak over, and of those that are kept for the next user."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import NoWorkConnection, SessionLost
from relaykit.interfaces import IFlow
from relaykit.sansio.pacing import Budget
from relaykit.server.work_legs import KeptWorkLegs, WorkLegFlow
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended, Origin
from tests.server.test_flows import Proxy


class KeepingProxy(Proxy):
    """One that keeps work connections for the next user."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = KeptWorkLegs(self.clock)


class WorkLegFlowTests(SynchronousTestCase):
    """What becomes of work connections that a proxy type speaks over."""

    def setUp(self) -> None:
        self.proxy = KeepingProxy()
        self.network = MemoryNetwork()
        self.flow = WorkLegFlow(self.proxy, Origin())
        self.flow.start()
        self.provider, self.work = self.network.pair()

    def test_counted(self) -> None:
        """What goes over it is counted, both ways."""
        verifyObject(IFlow, self.flow)
        self.assertEqual(self.flow.moved(), (0, 0))
        self.flow.on_work_leg(self.work)
        leg = self.successResultOf(self.flow.answer)
        received, at_provider = RecordingReceiver(leg), RecordingReceiver(self.provider)
        leg.write(b"ab")
        leg.write_sequence([b"c", b"d"])
        self.provider.write(b"efg")
        self.network.flush()
        self.assertEqual((at_provider.data, received.data), (b"abcd", b"efg"))
        self.assertEqual(self.flow.moved(), (4, 3))
        leg.close()
        self.network.flush()
        (traffic,) = self.proxy.ended
        self.assertEqual((traffic.near_to_far, traffic.far_to_near), (4, 3))
        self.assertEqual(traffic.ended, Ended.FINISHED)

    def test_limited(self) -> None:
        """Who speaks over it is held to the budgets of the proxy."""
        self.proxy.data_plane = DataPlane([CopyForwarder()], self.network)
        self.proxy.budgets = [Budget(10e3)]
        self.flow.on_work_leg(self.work)
        at_provider = RecordingReceiver(self.provider)
        self.successResultOf(self.flow.answer).write(bytes(10_000))
        self.network.advance(0.5)
        self.assertApproximates(len(at_provider.data), 5000, 500)

    def test_lost(self) -> None:
        """A work connection that breaks is told to who speaks over it, and is over."""
        self.flow.on_work_leg(self.work)
        received = RecordingReceiver(self.successResultOf(self.flow.answer))
        self.provider.abort()
        self.network.flush()
        self.assertTrue(received.lost)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.FAR_LOST])

    def test_failed(self) -> None:
        """Of a proxy that is in no group no other one is worth a try."""
        self.flow.on_work_leg(self.work)
        self.assertFalse(self.successResultOf(self.flow.answer).failed("it says nothing"))

    def test_ended(self) -> None:
        """It is ended like any other flow."""
        self.flow.on_work_leg(self.work)
        received = RecordingReceiver(self.successResultOf(self.flow.answer))
        for why in (Ended.WITHDRAWN, Ended.STOPPED):
            self.flow.end(why)
        self.network.flush()
        self.assertTrue(received.lost)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.WITHDRAWN])

    def test_ended_while_waiting(self) -> None:
        """Who waits for one that is ended, or does not want it any more, gets none."""
        self.flow.end(Ended.WITHDRAWN)
        self.failureResultOf(self.flow.answer, NoWorkConnection)
        self.flow = WorkLegFlow(self.proxy, Origin())
        self.flow.start()
        self.flow.answer.cancel()
        self.failureResultOf(self.flow.answer, NoWorkConnection)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.WITHDRAWN, Ended.CANCELLED])
        self.assertEqual(self.proxy.wanted, [])

    def test_unserved(self) -> None:
        """Who waits is told why there is none."""
        self.flow.on_unserved(SessionLost("it is gone"))
        self.failureResultOf(self.flow.answer, SessionLost)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.SESSION_ENDED])
