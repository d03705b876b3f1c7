"""Tests for the endpoint ``visitors:``."""

from __future__ import annotations

from relaykit.interfaces import ILocalService
from relaykit.testing.local_services import ServiceUsers
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Origin
from twisted.internet.endpoints import clientFromString
from twisted.trial.unittest import SynchronousTestCase

ALICE = Origin(Address("198.51.100.7", 40001), Address("203.0.113.1", 6000))


class VisitorsTests(SynchronousTestCase):
    """The string, and what it leads to."""

    def test_parsed(self) -> None:
        """Twisted finds the service by its string."""
        found = clientFromString(MemoryNetwork().clock, "visitors:greeting=Hello")
        self.assertTrue(ILocalService.providedBy(found))

    def test_greeted(self) -> None:
        """Users are told their address, and counted as long as the client runs."""
        network = MemoryNetwork()
        users = ServiceUsers(network)
        got = [
            RecordingReceiver(self.successResultOf(users.connect("visitors:greeting=Hello", ALICE)))
            for _ in range(2)
        ]
        network.flush()
        self.assertEqual(got[0].data, b"Hello, 198.51.100.7: number 1\n")
        self.assertEqual(got[1].data, b"Hello, 198.51.100.7: number 2\n")
