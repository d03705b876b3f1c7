"""Tests for :mod:`relaykit.local_services.static_file`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.interfaces import ILocalService
from relaykit.local_services.static_file import local_service


class StaticFileTests(SynchronousTestCase):
    """The service, as its endpoint string makes it."""

    def test_provides(self) -> None:
        """It is a local service, whose password nobody gets to see; without one it is for everybody."""
        service = local_service("/srv", "pre", "alice", "hush")
        verifyObject(ILocalService, service)
        self.assertNotIn("hush", repr(service))
        self.assertIsNone(local_service("/srv").expected)
        self.assertIsNotNone(local_service("/srv", httpPassword="hush").expected)
