"""Tests for telling how the flows of a client ended."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.client.flows import ToldFlows
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.interfaces import IDataPlane
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address, Origin
from tests.client.test_hosts import Session


class ToldFlowsTests(SynchronousTestCase):
    """Tests for :class:`ToldFlows`."""

    def setUp(self) -> None:
        """Makes a plane."""
        self.network = MemoryNetwork()
        self.flows = ToldFlows(DataPlane([CopyForwarder()]), Session(), "web")

    def told(self, origin: Origin | None = None) -> tuple[str, str]:
        """What is told of a flow that its user resets: whose it was, and why it ended."""
        user, near = self.network.pair()
        far, _ = self.network.pair()
        if origin is not None:
            self.flows.began(near, origin)
        with capturedLogs() as logged:
            ended = self.flows.forward(near, far, half_close=True).when_ended()
            user.abort()
            far.other.close()
            self.network.flush()
        self.flows.over(near)
        self.successResultOf(ended)
        (event,) = [each for each in logged if "ended" in each]
        self.assertEqual(event["proxy"], "web")
        return str(event["origin"]), event["ended"]

    def test_interface(self) -> None:
        """It is a data plane."""
        verifyObject(IDataPlane, self.flows)

    def test_named_origin(self) -> None:
        """The flow is that of the user whom the server named."""
        self.assertEqual(self.told(Origin(Address("198.51.100.7", 5))), ("198.51.100.7:5", "near-lost"))

    def test_own_user(self) -> None:
        """Where nobody was named the user is the peer of the leg."""
        origin, ended = self.told()
        self.assertTrue(origin.startswith("192.0.2."))
        self.assertEqual(ended, "near-lost")

    def test_nothing_kept(self) -> None:
        """When a flow is over nothing is kept of it, and saying so twice is no mistake."""
        self.told(Origin())
        self.assertEqual(self.flows._origins, {})
