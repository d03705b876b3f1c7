"""Tests for :mod:`relaykit.testing.local_services`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed
from relaykit.testing.local_services import ServiceUsers
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver


class ServiceUsersTests(SynchronousTestCase):
    """Users of services within the process."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.users = ServiceUsers(self.network)

    def test_connected(self) -> None:
        """Whatever a user sends is answered by the service of the string."""
        leg = self.successResultOf(self.users.connect("socks5:"))
        user = RecordingReceiver(leg)
        leg.write(b"\x05\x01\x00")
        self.network.flush()
        self.assertEqual(user.data, b"\x05\x00")

    def test_no_such_service(self) -> None:
        """A string that names nothing is a failure."""
        self.failureResultOf(self.users.connect("no-such-service:"), ConnectionFailed)
