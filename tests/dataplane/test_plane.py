"""The choice of a forwarder."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane import plane
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane, FlowCounts, make_data_plane
from relaykit.dataplane.poller import Poller
from relaykit.dataplane.splicing import PipePool, SpliceForwarder
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.errors import LocalProtocolError, TransportSecurityError
from relaykit.interfaces import IDataPlane, IFlow, IForwarder, IStreamLeg
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended, Traffic
from tests.dataplane.fakes import FakePoller
from tests.dataplane.test_tls import signed


@implementer(IForwarder)
class Forwarder:
    """Can forward or not, as the test says."""

    def __init__(self, able: bool) -> None:
        self.able = able
        self.asked: list[bool] = []
        self.closed = False

    def can_forward(self, near: IStreamLeg, far: IStreamLeg) -> bool:
        return self.able

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
        self.asked.append(half_close)
        return CopyForwarder().forward(near, far, half_close)

    def close(self) -> None:
        self.closed = True


class DataPlaneTests(SynchronousTestCase):
    """Planes of several forwarders."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()

    def test_first_that_can(self) -> None:
        """The first forwarder that can serve the legs gets them."""
        unable, able, second = Forwarder(False), Forwarder(True), Forwarder(True)
        data_plane = DataPlane([unable, able, second], self.network)
        verifyObject(IDataPlane, data_plane)
        data_plane.forward(self.near, self.far, True)
        self.assertEqual((unable.asked, able.asked, second.asked), ([], [True], []))

    def test_nobody_can(self) -> None:
        """A plane without a forwarder for these legs was put together wrongly."""
        data_plane = DataPlane([Forwarder(False)], self.network)
        self.assertRaises(LocalProtocolError, data_plane.forward, self.near, self.far, True)

    def test_secured(self) -> None:
        """Any leg can be that of a TLS server, which needs a certificate and its key."""
        pair = signed()
        data_plane = DataPlane([CopyForwarder()], self.network)
        secured = data_plane.secured(
            self.far, data_plane.tls_context(pair.certificate, pair.key, (b"http/1.1",))
        )
        client = start_tls(self.network, self.near, client_context(), server_side=False)
        self.network.flush()
        there = RecordingReceiver(self.successResultOf(secured))
        self.successResultOf(client).write(b"hello")
        self.network.flush()
        self.assertEqual(there.data, b"hello")
        self.assertRaises(TransportSecurityError, data_plane.tls_context, pair.certificate, b"junk")

    def test_idle(self) -> None:
        """Who waits for the last flow is told when it has ended."""
        data_plane = DataPlane([CopyForwarder()], self.network)
        self.successResultOf(data_plane.when_idle())
        flow = data_plane.forward(self.near, self.far, True)
        ended = flow.when_ended()
        waiting, impatient = data_plane.when_idle(), data_plane.when_idle()
        impatient.addErrback(lambda failure: None).cancel()
        self.assertEqual(data_plane.flows, {flow})
        self.assertNoResult(waiting)
        data_plane.end_all(Ended.STOPPED)
        self.network.flush()
        self.assertEqual((data_plane.flows, self.successResultOf(waiting)), (set(), None))
        self.assertIs(self.successResultOf(ended).ended, Ended.STOPPED)

    def test_defect(self) -> None:
        """A flow that fails is over like any other, and the log has the defect."""
        failing: Deferred[Traffic] = Deferred()

        @implementer(IFlow)
        class Failing:
            def moved(self) -> tuple[int, int]:
                return 0, 0

            def when_ended(self) -> Deferred[Traffic]:
                return failing

            def end(self, why: Ended) -> None:
                """Nothing."""

        forwarder = Forwarder(True)
        self.patch(forwarder, "forward", lambda *_: Failing())
        data_plane = DataPlane([forwarder], self.network)
        data_plane.forward(self.near, self.far, True)
        failing.errback(ZeroDivisionError())
        self.successResultOf(data_plane.when_idle())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_close(self) -> None:
        """It gives back what its forwarders and its poller hold."""
        forwarder, poller = Forwarder(True), FakePoller()
        closed: list[Poller] = []
        self.patch(poller, "close", lambda: closed.append(poller))
        DataPlane([forwarder], poller).close()
        self.assertEqual((forwarder.closed, closed), (True, [poller]))

    def test_counts(self) -> None:
        """It counts the flows that were and those that are, with what they moved."""
        data_plane = DataPlane([CopyForwarder()], self.network)
        for _ in range(2):
            user, near = (network := MemoryNetwork()).pair()
            far, service = network.pair()
            data_plane.forward(near, far, True)
            user.write(b"four")
            network.flush()
        present = FlowCounts(present=2, total=2, near_to_far=8)
        self.assertEqual(data_plane.counts(), present)
        user.abort()
        network.flush()
        service.close()
        network.flush()
        self.assertEqual(data_plane.counts(), FlowCounts(present=1, total=2, near_to_far=8))

    def test_by_capability(self) -> None:
        """Legs in memory are copied; without splice in the system nothing is spliced."""
        self.assertFalse(SpliceForwarder(PipePool(Clock())).can_forward(self.near, self.far))
        self.patch(plane, "can_splice", lambda: False)
        data_plane = make_data_plane(FakePoller())
        self.assertEqual([type(each) for each in data_plane._forwarders], [CopyForwarder])
