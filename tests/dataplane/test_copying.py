"""Copying serves any legs; how it moves bytes is in the conformance suite."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.copying import CopyForwarder
from relaykit.interfaces import IFlow
from relaykit.testing.memory import MemoryNetwork


class CopyForwarderTests(SynchronousTestCase):
    """The forwarder of last resort."""

    def test_any_legs(self) -> None:
        """It can forward whatever legs there are, and answers the handle of the flow."""
        near, far = MemoryNetwork().pair()
        forwarder = CopyForwarder()
        self.assertTrue(forwarder.can_forward(near, far))
        verifyObject(IFlow, forwarder.forward(near, far, True))
