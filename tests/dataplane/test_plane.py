"""The choice of a forwarder."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane import plane
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane, make_data_plane
from relaykit.dataplane.splicing import SpliceForwarder
from relaykit.errors import LocalProtocolError
from relaykit.interfaces import IDataPlane, IForwarder, IStreamLeg
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Ended, Traffic

TRAFFIC = Traffic(near_to_far=1, far_to_near=2, seconds=3.0, ended=Ended.FINISHED)


@implementer(IForwarder)
class Forwarder:
    """Can forward or not, as the test says."""

    def __init__(self, able: bool) -> None:
        self.able = able
        self.asked: list[bool] = []

    def can_forward(self, near: IStreamLeg, far: IStreamLeg) -> bool:
        return self.able

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Deferred[Traffic]:
        self.asked.append(half_close)
        return succeed(TRAFFIC)


class DataPlaneTests(SynchronousTestCase):
    """Planes of several forwarders."""

    def setUp(self) -> None:
        self.near, self.far = MemoryNetwork().pair()

    def test_first_that_can(self) -> None:
        """The first forwarder that can serve the legs gets them."""
        unable, able, second = Forwarder(False), Forwarder(True), Forwarder(True)
        data_plane = DataPlane([unable, able, second])
        verifyObject(IDataPlane, data_plane)
        self.assertIs(self.successResultOf(data_plane.forward(self.near, self.far, True)), TRAFFIC)
        self.assertEqual((unable.asked, able.asked, second.asked), ([], [True], []))

    def test_nobody_can(self) -> None:
        """A plane without a forwarder for these legs was put together wrongly."""
        data_plane = DataPlane([Forwarder(False)])
        self.assertRaises(LocalProtocolError, data_plane.forward, self.near, self.far, True)

    def test_idle(self) -> None:
        """Who waits for the last flow is told when it has ended."""
        data_plane = DataPlane([CopyForwarder()])
        self.successResultOf(data_plane.when_idle())
        flow = data_plane.forward(self.near, self.far, True)
        waiting, impatient = data_plane.when_idle(), data_plane.when_idle()
        impatient.addErrback(lambda failure: None).cancel()
        self.assertEqual(data_plane.flows, 1)
        self.assertNoResult(waiting)
        flow.addErrback(lambda failure: None).cancel()
        self.assertEqual((data_plane.flows, self.successResultOf(waiting)), (0, None))

    def test_by_capability(self) -> None:
        """Legs in memory are copied; without splice in the system nothing is spliced."""
        self.assertFalse(SpliceForwarder().can_forward(self.near, self.far))
        self.patch(plane, "can_splice", lambda: False)
        data_plane = make_data_plane()
        self.assertEqual([type(each) for each in data_plane._forwarders], [CopyForwarder])
