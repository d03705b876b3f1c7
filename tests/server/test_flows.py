"""Tests of the flows of a proxy: waiting, being forwarded, being ended, whatever fails meanwhile."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.errors import LocalProtocolError, NoWorkConnection, SessionLost
from relaykit.interfaces import IFlow
from relaykit.options import ProxyCommon
from relaykit.sansio.control.extensions import EXTENSIONS
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.pacing import Budget
from relaykit.sansio.wire.framing import V2
from relaykit.server.flows import ProxyFlow, UserFlow, WorkSeeker
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import MOST_DATAGRAM_BYTES, ClientIdentity, Ended, Origin, Traffic


class Proxy:
    """A proxy, and the session that has its work connections."""

    name = "web"
    identity = ClientIdentity("r1")
    half_close = True
    extensions = EXTENSIONS

    def __init__(self) -> None:
        self.clock = Clock()
        self.common = ProxyCommon()
        self.data_plane: Any = DataPlane([CopyForwarder()], MemoryNetwork())
        self.wanted: list[WorkSeeker] = []
        self.present: set[ProxyFlow] = set()
        self.ended: list[Traffic] = []
        self.budgets: list[Budget] = []

    @property
    def session(self) -> Proxy:
        """Where its work connections come from: here."""
        return self

    def want_work(self, seeker: WorkSeeker) -> None:
        self.wanted.append(seeker)

    def cancel_work(self, seeker: WorkSeeker) -> None:
        self.wanted.remove(seeker)

    def lane_codec(self, most_bytes: int = MOST_DATAGRAM_BYTES) -> LaneCodec:
        return agreed_codec(V2, self.extensions, most_bytes)

    def admit(self, origin: Origin) -> None:
        """Whoever comes is served."""

    def budgets_for(self, origin: Origin) -> list[Budget]:
        return self.budgets

    def flow_began(self, flow: ProxyFlow) -> None:
        self.present.add(flow)

    def flow_served(self, flow: ProxyFlow) -> None:
        """Nothing."""

    def flow_unserved(self, flow: ProxyFlow, error: Exception) -> None:
        """Nothing."""

    def flow_ended(self, flow: ProxyFlow, traffic: Traffic) -> None:
        self.present.remove(flow)
        self.ended.append(traffic)


class Unfit:
    """A data plane with a defect."""

    def paced(self, leg: Any, budgets: Any) -> Any:
        return leg

    def forward(self, near: Any, far: Any, half_close: bool) -> Any:
        raise LocalProtocolError("a defect")


class UserFlowTests(SynchronousTestCase):
    """What becomes of users."""

    def setUp(self) -> None:
        self.proxy = Proxy()
        self.network = MemoryNetwork()
        self.user, leg = self.network.pair()
        self.received = RecordingReceiver(self.user)
        self.flow = UserFlow(self.proxy, leg, Origin())
        self.flow.start()
        self.provider, self.work = self.network.pair()

    def test_is_a_flow(self) -> None:
        """It is a flow like any other, from when the user came."""
        verifyObject(IFlow, self.flow)
        self.assertEqual(self.proxy.present, {self.flow})
        self.assertTrue(self.flow.is_waiting)
        self.assertEqual(self.flow.moved(), (0, 0))

    def test_served(self) -> None:
        """A user is forwarded to a work connection; what was moved is told, to whoever asks and whenever."""
        done = self.flow.when_ended()
        self.proxy.wanted.pop().on_work_leg(self.work)
        self.assertFalse(self.flow.is_waiting)
        RecordingReceiver(self.provider)
        self.user.write(b"abc")
        self.provider.write(b"defg")
        self.network.flush()
        self.assertEqual(self.flow.moved(), (3, 4))
        self.assertNoResult(done)
        self.user.close()
        self.provider.close()
        self.network.flush()
        traffic = self.successResultOf(done)
        self.assertEqual((traffic.near_to_far, traffic.far_to_near), (3, 4))
        self.assertEqual((self.proxy.ended, self.proxy.present), ([traffic], set()))
        self.assertIs(self.successResultOf(self.flow.when_ended()), traffic)

    def test_no_work_connection(self) -> None:
        """A user without work connection is let go, and that is no failure."""
        self.proxy.clock.advance(10.0)
        self.flow.on_unserved(NoWorkConnection("none in time"))
        self.network.flush()
        self.assertEqual(self.proxy.ended, [Traffic(0, 0, 10.0, Ended.TIMEOUT)])
        self.assertTrue(self.received.ended)

    def test_session_lost(self) -> None:
        """A user whose client is gone is let go for that reason."""
        self.flow.on_unserved(SessionLost("it is gone"))
        self.assertEqual(self.proxy.ended[0].ended, Ended.SESSION_ENDED)

    def test_ended_while_waiting(self) -> None:
        """A user who waits can be ended; a work connection that comes afterwards is for somebody else."""
        for _ in range(2):
            self.flow.end(Ended.WITHDRAWN)
        self.network.flush()
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.WITHDRAWN])
        self.assertEqual(self.proxy.wanted, [])
        self.assertFalse(self.flow.is_waiting)
        self.assertTrue(self.received.lost)

    def test_ended_while_served(self) -> None:
        """A user who is served can be ended: both legs go at once."""
        self.flow.on_work_leg(self.work)
        at_provider = RecordingReceiver(self.provider)
        self.flow.end(Ended.WITHDRAWN)
        self.network.flush()
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.WITHDRAWN])
        self.assertTrue(at_provider.lost and self.received.lost)
        self.flow.end(Ended.STOPPED)
        self.assertEqual(len(self.proxy.ended), 1)

    def test_defect(self) -> None:
        """A data plane that raises costs both legs; the log tells it once, and nobody else is told of it."""
        self.proxy.data_plane = Unfit()
        self.flow.on_work_leg(self.work)
        at_provider = RecordingReceiver(self.provider)
        self.network.flush()
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)
        self.assertTrue(at_provider.lost and self.received.lost)
        self.assertEqual([each.ended for each in self.proxy.ended], [Ended.INTERNAL_ERROR])

    def test_limited(self) -> None:
        """A user is held to the budgets of the proxy, at once and until the end."""
        self.proxy.data_plane = DataPlane([CopyForwarder()], self.network)
        self.proxy.budgets = [Budget(10e3)]
        self.flow.on_work_leg(self.work)
        self.provider.write(bytes(10_000))
        self.network.advance(0.5)
        self.assertApproximates(len(self.received.data), 5000, 500)
        self.network.advance(1.0)
        self.assertEqual((len(self.received.data), self.flow.moved()), (10_000, (0, 10_000)))
