"""Tests for the endpoint ``shout:``."""

from __future__ import annotations

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock.shout import Shout


class ShoutTests(SynchronousTestCase):
    """Tests for the service."""

    def setUp(self) -> None:
        self.transport = StringTransport()
        self.service = Shout()
        self.service.makeConnection(self.transport)

    def test_capitals(self) -> None:
        """Whatever is said is answered in capitals."""
        self.service.dataReceived(b"Hello, 3 times ")
        self.service.dataReceived(b"hello.")
        self.assertEqual(self.transport.value(), b"HELLO, 3 TIMES HELLO.")

    def test_pace(self) -> None:
        """While its answers are not taken, it listens no longer."""
        self.assertIs(self.transport.producer, self.transport)
        self.assertTrue(self.transport.streaming)

    def test_end(self) -> None:
        """When its peer has said everything, the service finishes its answer and hangs up."""
        self.service.readConnectionLost()
        self.assertTrue(self.transport.disconnecting)
