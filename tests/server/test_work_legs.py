"""Tests of the work connections that proxy types speak over, and of those that are kept for the next user."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.kept_legs import KEPT_S, MOST_KEPT, KeptLegs
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import NoWorkConnection, SessionLost
from relaykit.interfaces import IFlow, IWorkLeg
from relaykit.sansio.pacing import Budget
from relaykit.server.work_legs import WorkLegFlow
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import CAPACITY_BYTES, MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Ended, Origin
from tests.server.test_flows import Proxy


class KeepingProxy(Proxy):
    """One that keeps work connections for the next user."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: KeptLegs[Any] = KeptLegs(self.clock)


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


class KeptWorkLegsTests(SynchronousTestCase):
    """What becomes of work connections between two users."""

    def setUp(self) -> None:
        self.proxy = KeepingProxy()
        self.network = MemoryNetwork(clock=self.proxy.clock)
        self.kept = self.proxy.kept

    def open(self) -> tuple[Any, RecordingReceiver, MemoryLeg]:
        """A work connection, who has it now, and its far end."""
        flow = WorkLegFlow(self.proxy, Origin())
        flow.start()
        provider, work = self.network.pair()
        RecordingReceiver(provider)
        flow.on_work_leg(work)
        leg = self.successResultOf(flow.answer)
        verifyObject(IWorkLeg, leg)
        leg.registerProducer(RecordingProducer(), True)
        return leg, RecordingReceiver(leg), provider

    def keep(self) -> tuple[Any, RecordingReceiver, MemoryLeg]:
        """One that has served somebody."""
        leg, receiver, provider = self.open()
        leg.keep()
        return leg, receiver, provider

    def test_next_user(self) -> None:
        """Who takes one that was kept gets what is said from then on, and is counted with the user before."""
        leg, before, provider = self.open()
        self.assertFalse(leg.is_reused)
        leg.write(b"ab")
        provider.write(b"cde")
        self.network.flush()
        leg.keep()
        self.assertIs(self.kept.take([]), leg)
        self.assertTrue(leg.is_reused)
        self.assertEqual(len(self.kept), 0)
        leg.registerProducer(RecordingProducer(), True)
        after = RecordingReceiver(leg)
        leg.write(b"f")
        provider.write(b"gh")
        self.network.flush()
        self.assertEqual((before.data, after.data), (b"cde", b"gh"))
        leg.close()
        self.network.flush()
        (traffic,) = self.proxy.ended
        self.assertEqual((traffic.near_to_far, traffic.far_to_near), (3, 5))
        self.assertIsNone(before.lost)
        self.assertIsNotNone(after.lost)

    def test_one_each(self) -> None:
        """Nobody gets one that somebody else has; the one that came last goes first."""
        first, second = (self.keep()[0] for _ in range(2))
        self.assertIs(self.kept.take([]), second)
        self.assertIs(self.kept.take([]), first)
        self.assertIsNone(self.kept.take([]))

    def test_taken_back(self) -> None:
        """Who had one last has it again, as long as nobody else has had it."""
        leg, receiver, provider = self.keep()
        self.assertTrue(leg.take_back(receiver))
        self.assertFalse(leg.take_back(receiver))
        provider.write(b"answer")
        self.network.flush()
        self.assertEqual(receiver.data, b"answer")
        leg.keep()
        self.assertIs(self.kept.take([]), leg)
        self.assertFalse(leg.take_back(receiver))
        leg.registerProducer(RecordingProducer(), True)
        other = RecordingReceiver(leg)
        leg.keep()
        self.assertFalse(leg.take_back(receiver))
        self.assertTrue(leg.take_back(other))

    def test_nothing_taken(self) -> None:
        """One whose far end has not taken what was sent serves nobody else."""
        leg, _, provider = self.open()
        provider.pauseProducing()
        leg.write(bytes(2 * CAPACITY_BYTES))
        self.network.flush()
        leg.keep()
        self.assertEqual(len(self.kept), 0)
        provider.resumeProducing()
        self.network.flush()
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.FINISHED])

    def test_unasked(self) -> None:
        """One that says something, ends or is lost while it is kept serves nobody any more."""
        for happens in (
            lambda provider: provider.write(b"408"),
            lambda provider: provider.finish_writing(),
            lambda provider: provider.close(),
            lambda provider: provider.abort(),
        ):
            leg, receiver, provider = self.keep()
            happens(provider)
            self.network.flush()
            self.assertEqual((len(self.kept), receiver.data), (0, b""))
            self.assertIsNone(self.kept.take([]))
            self.assertFalse(leg.take_back(receiver))
            provider.close()
            self.network.flush()
            self.assertEqual(self.proxy.present, set())

    def test_paused(self) -> None:
        """So it is with one that was paused when it was kept: nobody gets what it says unasked."""
        leg, receiver, provider = self.open()
        leg.pauseProducing()
        leg.keep()
        provider.write(b"408")
        self.network.flush()
        self.assertEqual((len(self.kept), receiver.data), (0, b""))

    def test_expired(self) -> None:
        """Each waits for so long and no longer, also if others come and go meanwhile."""
        first = self.keep()
        self.network.advance(KEPT_S / 2)
        second, third = self.keep(), self.keep()
        self.assertTrue(third[0].take_back(third[1]))
        self.network.advance(KEPT_S / 2 - 1.0)
        self.assertEqual(len(self.kept), 2)
        self.network.advance(1.0)
        self.assertEqual(len(self.kept), 1)
        self.assertFalse(first[0].take_back(first[1]))
        third[0].keep()
        self.network.advance(KEPT_S / 2)
        self.assertFalse(second[0].take_back(second[1]))
        self.assertTrue(third[0].take_back(third[1]))
        third[0].close()
        self.network.advance(KEPT_S)
        self.assertEqual((self.proxy.clock.getDelayedCalls(), self.proxy.present), ([], set()))

    def test_kept_anew(self) -> None:
        """The time begins anew each time it is kept."""
        leg, receiver, _ = self.keep()
        for _ in range(5):
            self.network.advance(KEPT_S - 1.0)
            self.assertTrue(leg.take_back(receiver))
            leg.keep()
        self.assertEqual(len(self.kept), 1)

    def test_enough(self) -> None:
        """Those that are too many are closed at once; once one is taken there is room again."""
        legs = [self.keep() for _ in range(MOST_KEPT + 1)]
        self.network.flush()
        self.assertEqual((len(self.kept), len(self.proxy.present)), (MOST_KEPT, MOST_KEPT))
        self.assertFalse(legs[-1][0].take_back(legs[-1][1]))
        self.kept.take([])
        self.keep()
        self.assertEqual(len(self.kept), MOST_KEPT)

    def test_budgets(self) -> None:
        """One that is held to the budgets of a user serves none who has others."""
        self.proxy.data_plane = DataPlane([CopyForwarder()], self.network)
        client, ann, bob = Budget(1e6), Budget(1e6), Budget(1e6)
        self.proxy.budgets = [client, ann]
        leg = self.keep()[0]
        for others in ((), (client,), (client, bob), (ann, client)):
            self.assertIsNone(self.kept.take(list(others)), others)
        self.proxy.budgets = [client, bob]
        self.keep()
        self.assertIs(self.kept.take([client, ann]), leg)
        self.assertEqual(len(self.kept), 1)

    def test_closed(self) -> None:
        """With the proxy all of them go, and those that come back later."""
        legs = [self.keep() for _ in range(3)]
        late = self.open()[0]
        self.kept.close()
        late.keep()
        self.network.flush()
        self.assertEqual((len(self.kept), self.proxy.present), (0, set()))
        self.assertEqual(self.proxy.clock.getDelayedCalls(), [])
        self.assertFalse(legs[0][0].take_back(legs[0][1]))

    def test_ended(self) -> None:
        """One may be ended by its flow like any other, and serves nobody then."""
        self.keep()
        (flow,) = self.proxy.present
        flow.end(Ended.OPERATOR)
        self.network.flush()
        self.assertEqual((len(self.kept), [each.ended for each in self.proxy.ended]), (0, [Ended.OPERATOR]))

    def test_producers(self) -> None:
        """Who has one is told when it takes no more, and who had it before is not."""
        leg, _, provider = self.keep()
        self.kept.take([])
        producer = RecordingProducer()
        leg.registerProducer(producer, True)
        leg.attach(RecordingReceiver())
        provider.pauseProducing()
        leg.write(bytes(CAPACITY_BYTES))
        self.assertTrue(producer.paused)

    def test_joined(self) -> None:
        """One that was kept can be joined with a user, until both have ended."""
        leg, receiver, provider = self.keep()
        self.assertTrue(leg.take_back(receiver))
        leg.unregisterProducer()
        user, near = self.network.pair()
        flow = leg.join(near)
        verifyObject(IFlow, flow)
        at_user, at_provider = RecordingReceiver(user), RecordingReceiver(provider)
        user.write(b"up")
        provider.write(b"down")
        user.finish_writing()
        provider.finish_writing()
        self.network.flush()
        self.assertEqual((at_user.data, at_provider.data), (b"down", b"up"))
        self.assertIs(self.successResultOf(flow.when_ended()).ended, Ended.FINISHED)
        self.assertEqual([(each.near_to_far, each.far_to_near) for each in self.proxy.ended], [(2, 4)])
