"""Tests of the work connections of one session, apart from the session."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import NoWorkConnection, SessionLost
from relaykit.options import ProxyCommon
from relaykit.sansio.control.pool import WorkPool
from relaykit.sansio.control.texts import PeerTexts
from relaykit.sansio.wire.framing import V2
from relaykit.server.work import Offer, User, WorkConnections
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Origin


@define(eq=False)
class Proxy:
    """As much of a registered proxy as work connections look at."""

    name: str = "web"
    common: ProxyCommon = field(factory=ProxyCommon)


class WorkConnectionsTests(SynchronousTestCase):
    """Who gets which, and when."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork()
        self.asked = 0
        pool: WorkPool[User, Offer] = WorkPool(1, 0.0, 10.0)
        self.work = WorkConnections(
            pool, self.request, self.clock, b"\0" * 16, lambda length: b"\1" * length, PeerTexts()
        )
        self.proxy: Any = Proxy()

    def request(self, count: int) -> None:
        """The client is asked for so many."""
        self.asked += count

    def offer(self) -> tuple[MemoryLeg, RecordingReceiver]:
        """The client opens one: its end of it."""
        near, far = self.network.pair()
        received = RecordingReceiver(near)
        self.work.offered(far, V2)
        self.network.flush()
        return near, received

    def test_asks_at_the_start(self) -> None:
        """The pool is filled when the session starts, not before."""
        self.assertEqual(self.asked, 0)
        self.work.start()
        self.assertEqual(self.asked, 1)

    def test_first_come_first_served(self) -> None:
        """Users get work connections in the order in which they came."""
        first, second = (self.work.open(self.proxy, Origin()) for _ in range(2))
        self.offer()
        self.successResultOf(first)
        self.assertNoResult(second)
        self.offer()
        self.successResultOf(second)

    def test_cancelled(self) -> None:
        """A user who gave up takes nobody's work connection."""
        gone = self.work.open(self.proxy, Origin())
        gone.cancel()
        self.failureResultOf(gone)
        _, received = self.offer()
        self.assertEqual(received.data, b"")
        waiting = self.work.open(self.proxy, Origin())
        self.successResultOf(waiting)

    def test_ended_while_idle(self) -> None:
        """A waiting work connection that its client ends is closed and never used."""
        leg, received = self.offer()
        leg.finish_writing()
        self.network.flush()
        self.assertTrue(received.ended)
        self.assertNoResult(self.work.open(self.proxy, Origin()))

    def test_timeout(self) -> None:
        """A user waits as long as configured, and one timer serves all of them."""
        first = self.work.open(self.proxy, Origin())
        self.clock.advance(5)
        second = self.work.open(self.proxy, Origin())
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(5)
        self.failureResultOf(first, NoWorkConnection)
        self.assertNoResult(second)
        self.clock.advance(5)
        self.failureResultOf(second, NoWorkConnection)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """When the session ends, users are let go and idle connections closed."""
        _, received = self.offer()
        self.successResultOf(self.work.open(self.proxy, Origin()))
        waiting = self.work.open(self.proxy, Origin())
        self.work.close()
        self.failureResultOf(waiting, SessionLost)
        self.failureResultOf(self.work.open(self.proxy, Origin()), SessionLost)
        self.network.flush()
        self.assertIn(b"web", received.data)
        self.assertEqual(self.clock.getDelayedCalls(), [])
