"""Tests of the work connections of one session, apart from the session."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.kept_legs import KeptLegs
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import NoWorkConnection, NoWorkConnectionInTime, SessionLost
from relaykit.interfaces import IWorkLeg
from relaykit.options import ProxyCommon
from relaykit.sansio.control.pool import WorkPool
from relaykit.sansio.control.texts import PeerTexts
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.pacing import Budget
from relaykit.sansio.wire.framing import MAX_PAYLOAD, V2
from relaykit.server.flows import ProxyFlow, WorkSeeker
from relaykit.server.work import (
    CONFIRMED_WITHIN_S,
    FIRST_LOOK_S,
    FRESH_S,
    LOOK_EVERY_S,
    IdleConnection,
    WorkConnections,
)
from relaykit.server.work_legs import WorkLegFlow
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import MOST_DATAGRAM_BYTES, ClientIdentity, Origin, Secret, Traffic


@define(eq=False)
class Proxy:
    """As much of a registered proxy as work connections look at."""

    work: WorkConnections
    clock: Clock
    name: str = "web"
    common: ProxyCommon = field(factory=ProxyCommon)
    identity: ClientIdentity = field(factory=lambda: ClientIdentity("run"))
    data_plane: Any = field(factory=lambda: DataPlane([CopyForwarder()], MemoryNetwork()))
    half_close: bool = True
    kept: KeptLegs[Any] = field(factory=lambda: KeptLegs(Clock()))

    @property
    def session(self) -> Proxy:
        """Where its work connections come from: here."""
        return self

    def want_work(self, seeker: WorkSeeker) -> None:
        self.work.want(seeker)

    def cancel_work(self, seeker: WorkSeeker) -> None:
        self.work.cancel(seeker)

    def lane_codec(self, most_bytes: int = MOST_DATAGRAM_BYTES) -> LaneCodec:
        return agreed_codec(V2, (), most_bytes)

    def admit(self, origin: Origin) -> None:
        """Whoever comes is served."""

    def budgets_for(self, origin: Origin) -> tuple[Budget, ...]:
        return ()

    def flow_began(self, flow: ProxyFlow) -> None:
        """Nothing."""

    def flow_served(self, flow: ProxyFlow) -> None:
        """Nothing."""

    def flow_unserved(self, flow: ProxyFlow, error: Exception) -> None:
        """Nothing."""

    def flow_ended(self, flow: ProxyFlow, traffic: Traffic) -> None:
        """Nothing."""


class Elsewhere(WorkLegFlow):
    """Wants a work connection, and could have somebody else's."""

    has_alternative = True


class WorkTestCase(SynchronousTestCase):
    """Has the work connections of a session."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork()
        self.asked = 0
        pool: WorkPool[WorkSeeker, IdleConnection] = WorkPool(1, 0.0, 10.0)
        self.work = WorkConnections(
            pool, self.request, self.clock, Secret("t"), lambda length: b"\1" * length, PeerTexts()
        )
        self.proxy = Proxy(self.work, self.clock)

    def request(self, count: int) -> None:
        """The client is asked for so many."""
        self.asked += count

    def open(self) -> Deferred[IWorkLeg]:
        """Somebody wants a work connection."""
        flow = WorkLegFlow(self.proxy, Origin())
        flow.start()
        return flow.answer

    def offer(self) -> tuple[MemoryLeg, RecordingReceiver]:
        """The client opens one: its end of it."""
        near, far = self.network.pair()
        received = RecordingReceiver(near)
        self.work.opened(far, V2)
        self.network.flush()
        return near, received


class WorkConnectionsTests(WorkTestCase):
    """Who gets which, and when."""

    def test_asks_at_the_start(self) -> None:
        """The pool is filled when the session starts, not before."""
        self.assertEqual(self.asked, 0)
        self.work.start()
        self.assertEqual(self.asked, 1)

    def test_first_come_first_served(self) -> None:
        """Users get work connections in the order in which they came."""
        first, second = (self.open() for _ in range(2))
        self.offer()
        self.successResultOf(first)
        self.assertNoResult(second)
        self.offer()
        self.successResultOf(second)

    def test_cancelled(self) -> None:
        """A user who gave up takes nobody's work connection."""
        gone = self.open()
        gone.cancel()
        self.failureResultOf(gone, NoWorkConnection)
        _, received = self.offer()
        self.assertEqual(received.data, b"")
        waiting = self.open()
        self.successResultOf(waiting)

    def test_ended_while_idle(self) -> None:
        """A waiting work connection that its client ends is closed and never used."""
        leg, received = self.offer()
        leg.finish_writing()
        self.network.flush()
        self.assertTrue(received.ended)
        self.assertNoResult(self.open())

    def test_timeout(self) -> None:
        """A user waits as long as configured, and one timer serves all of them."""
        first = self.open()
        self.clock.advance(5)
        second = self.open()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(5)
        self.failureResultOf(first, NoWorkConnectionInTime)
        self.assertNoResult(second)
        self.clock.advance(5)
        self.failureResultOf(second, NoWorkConnectionInTime)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """When the session ends, users are let go and idle connections closed."""
        _, received = self.offer()
        self.successResultOf(self.open())
        waiting = self.open()
        self.work.close()
        self.failureResultOf(waiting, SessionLost)
        self.failureResultOf(self.open(), SessionLost)
        self.network.flush()
        self.assertIn(b"web", received.data)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_by_another(self) -> None:
        """Who gives up because another one got nothing is told once, and whoever comes after it, too."""
        first, second, third = (self.open() for _ in range(3))
        first.addErrback(lambda failure: second.cancel())
        self.work.close()
        self.failureResultOf(second, NoWorkConnection)
        self.failureResultOf(third, SessionLost)

    def test_does_not_fit(self) -> None:
        """A user of whom a client cannot be told is let go at once; others are served."""
        _, received = self.offer()
        self.proxy.name = "x" * MAX_PAYLOAD
        self.assertIn("cannot be told", str(self.failureResultOf(self.open(), NoWorkConnection).value))
        self.network.flush()
        self.assertTrue(received.ended)
        self.proxy.name = "web"
        self.offer()
        self.successResultOf(self.open())


class AlternativeTests(WorkTestCase):
    """Users who could be served elsewhere: nothing of them is delivered before the client has answered."""

    def setUp(self) -> None:
        super().setUp()
        self.answers: list[Deferred[None]] = []

    def has_path(self) -> None:
        """The client has a path on which it can be asked for an answer."""
        self.patch(self.work, "_round_trip", self.ask)

    def ask(self) -> Deferred[None]:
        """Asks for an answer, which the test gives."""
        self.answers.append(Deferred())
        return self.answers[-1]

    def user(self) -> Deferred[IWorkLeg]:
        """Somebody who could be served elsewhere."""
        flow = Elsewhere(self.proxy, Origin())
        flow.start()
        self.network.flush()
        return flow.answer

    def test_answered(self) -> None:
        """A client that answers what it was asked after the assignment serves, and nothing is left over."""
        self.has_path()
        _, received = self.offer()
        wanted = self.user()
        self.assertNoResult(wanted)
        self.assertIn(b"web", received.data)
        self.answers.pop().callback(None)
        self.successResultOf(wanted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_service_speaks_first(self) -> None:
        """What the service says is an answer, too; the one that was asked for comes too late to matter."""
        self.has_path()
        near, _ = self.offer()
        wanted = self.user()
        near.write(b"220 ready")
        self.network.flush()
        heard = RecordingReceiver(self.successResultOf(wanted))
        self.answers.pop().callback(None)
        self.network.flush()
        self.assertEqual(heard.data, b"220 ready")

    def test_silent(self) -> None:
        """A client that does not answer in time loses the work connection, and the user waits for another."""
        self.has_path()
        self.offer()
        wanted = self.user()
        self.clock.advance(CONFIRMED_WITHIN_S)
        self.assertNoResult(wanted)
        self.offer()
        self.answers[-1].callback(None)
        self.successResultOf(wanted)

    def test_busy(self) -> None:
        """Where the client's machine lives, and only its answer is late, other work connections are kept."""
        self.has_path()
        self.offer()
        self.clock.advance(2 * FRESH_S)
        self.offer()
        self.clock.advance(2 * FRESH_S)
        wanted = self.user()
        self.clock.advance(CONFIRMED_WITHIN_S)
        self.answers[-1].callback(None)
        self.successResultOf(wanted)

    def test_without_path(self) -> None:
        """Without such a path the client's machine must confirm, however short the connection was idle."""
        self.offer()
        wanted = self.user()
        self.assertNoResult(wanted)
        self.clock.advance(FIRST_LOOK_S)
        self.successResultOf(wanted)

    def test_ended(self) -> None:
        """A client that ends the connection at once serves nobody, and the user can go elsewhere."""
        for path in (False, True):
            if path:
                self.has_path()
            near, received = self.offer()
            wanted = self.user()
            near.close()
            self.network.flush()
            for answer in self.answers:
                answer.callback(None)
            self.clock.advance(0)
            failure = self.failureResultOf(wanted, NoWorkConnection)
            self.assertEqual(failure.getErrorMessage(), "the client ended the work connection")
            self.network.flush()
            self.assertTrue(received.lost)

    def test_gone_elsewhere(self) -> None:
        """A work connection for a user who went elsewhere meanwhile is closed."""
        _, received = self.offer()
        flow = Elsewhere(self.proxy, Origin())
        flow.start()
        self.network.flush()
        flow.proxy = Proxy(self.work, self.clock, name="other")
        self.clock.advance(FIRST_LOOK_S)
        self.network.flush()
        self.assertTrue(received.ended)
        self.assertNoResult(flow.answer)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DeadWhileIdleTests(WorkTestCase):
    """Work connections that died while they waited for a user."""

    def aged(self) -> tuple[MemoryLeg, RecordingReceiver]:
        """A work connection that has been idle for long."""
        made = self.offer()
        self.clock.advance(60.0)
        return made

    def user(self) -> Deferred[IWorkLeg]:
        """Somebody who wants a work connection."""
        wanted = self.open()
        self.network.flush()
        return wanted

    def wait(self, seconds: float) -> None:
        """Lets time pass in small steps."""
        for _ in range(round(seconds / FIRST_LOOK_S) + 1):
            self.clock.advance(FIRST_LOOK_S)

    def test_fresh(self) -> None:
        """One that has just come serves at once."""
        self.offer()
        self.clock.advance(FRESH_S)
        self.successResultOf(self.user())

    def test_alive(self) -> None:
        """One that has been idle serves as soon as the client's machine has confirmed the assignment."""
        _, received = self.aged()
        wanted = self.user()
        self.assertNoResult(wanted)
        self.clock.advance(FIRST_LOOK_S)
        leg = self.successResultOf(wanted)
        leg.write(b"hello")
        self.network.flush()
        self.assertTrue(received.data.endswith(b"hello"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_service_speaks_first(self) -> None:
        """What the service says is confirmation enough, and the user gets it."""
        near, _ = self.aged()
        wanted = self.user()
        near.write(b"220 ready")
        self.network.flush()
        heard = RecordingReceiver(self.successResultOf(wanted))
        self.network.flush()
        self.assertEqual(heard.data, b"220 ready")
        self.clock.advance(60.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """Where nothing is confirmed the user gets another one, and none of those that are as old."""
        silent = [self.aged() for _ in range(3)]
        for near, _ in silent:
            near.stall()
        wanted = self.user()
        asked = self.asked
        self.wait(CONFIRMED_WITHIN_S + LOOK_EVERY_S)
        self.assertNoResult(wanted)
        self.assertGreater(self.asked, asked)
        _, received = self.offer()
        self.successResultOf(wanted).write(b"hello")
        self.network.flush()
        self.assertTrue(received.data.endswith(b"hello"))
        self.assertEqual([each.data for _, each in silent], [b"", b"", b""])

    def test_fresh_ones_are_kept(self) -> None:
        """One that came meanwhile is not distrusted."""
        self.aged()[0].stall()
        wanted = self.user()
        self.clock.advance(CONFIRMED_WITHIN_S / 2)
        _, received = self.offer()
        self.wait(CONFIRMED_WITHIN_S + LOOK_EVERY_S)
        self.successResultOf(wanted)
        self.network.flush()
        self.assertIn(b"web", received.data)

    def test_reset(self) -> None:
        """Where the client's machine knows nothing of the connection the user gets the next one at once."""
        near, _ = self.aged()
        _, received = self.offer()
        wanted = self.user()
        near.cut()
        self.network.flush()
        self.successResultOf(wanted)
        self.network.flush()
        self.assertIn(b"web", received.data)

    def test_ended(self) -> None:
        """A client that ends the connection, as when its service is down, is not asked again."""
        near, _ = self.aged()
        self.offer()
        wanted = self.user()
        near.close()
        self.network.flush()
        self.clock.advance(0)
        lost = RecordingReceiver(self.successResultOf(wanted))
        self.network.flush()
        self.assertTrue(lost.ended)

    def test_given_up(self) -> None:
        """A user who gives up meanwhile leaves nothing behind."""
        _, received = self.aged()
        wanted = self.user()
        wanted.cancel()
        self.failureResultOf(wanted)
        self.clock.advance(1.0)
        self.network.flush()
        self.assertTrue(received.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_session_ends(self) -> None:
        """When the session ends meanwhile, the user is let go if the connection is dead."""
        self.aged()[0].stall()
        wanted = self.user()
        self.work.close()
        self.wait(CONFIRMED_WITHIN_S + LOOK_EVERY_S)
        self.failureResultOf(wanted, SessionLost)
