"""Tests for the endpoint ``shout:``."""

from __future__ import annotations

from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock.shout import Shout, ShoutEndpoint, ShoutParser


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


class ShoutParserTests(SynchronousTestCase):
    """Tests for the endpoint string; they need the package to be installed, or its directory on the path."""

    def test_found(self) -> None:
        """Twisted finds the parser, once, and makes an endpoint of the string."""
        parsers = [
            parser
            for parser in getPlugins(IStreamClientEndpointStringParserWithReactor)
            if isinstance(parser, ShoutParser)
        ]
        self.assertEqual(len(parsers), 1)
        self.assertIsInstance(clientFromString(MemoryReactor(), "shout:"), ShoutEndpoint)

    def test_arguments(self) -> None:
        """What stands after the colon is a mistake."""
        for endpoint in ("shout:loud", "shout:volume=11", "shout::loud"):
            self.assertRaises(ValueError, clientFromString, MemoryReactor(), endpoint)
