"""Tests for how a role is, in one line."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.lines import client_line, server_line
from relaykit.proxies import tcp
from relaykit.proxies.tcp import TcpOptions
from relaykit.testing.relay import MemoryRelay
from tests.client.scene import Machine, started, tcp_proxy
from tests.server.scene import Scene


class LinesTests(SynchronousTestCase):
    """Tests for both roles."""

    def test_client(self) -> None:
        """A client says whom it is connected to, and how many it serves."""
        scene = Scene()
        client = started(Machine(scene), tcp_proxy())
        scene.dial(6000)
        self.assertEqual(client_line(client), "connected to relay.example:7000; 1 user")
        client.stopService()
        scene.advance(60)
        self.assertEqual(client_line(client), "not connected to relay.example:7000; 0 users")

    def test_server(self) -> None:
        """A server says how many it has of everything."""
        relay = MemoryRelay()
        self.addCleanup(relay.stop)
        self.assertEqual(server_line(relay.server), "0 clients, 0 proxies; 0 users")
        published = relay.publish(tcp.proxy_type, TcpOptions())
        self.assertEqual(server_line(relay.server), "1 client, 1 proxy; 0 users")
        relay.dial(int(published.address.rpartition(":")[2]))
        relay.publish(tcp.proxy_type, TcpOptions(), name="other")
        self.assertEqual(server_line(relay.server), "2 clients, 2 proxies; 1 user")
        relay.stop()
        self.assertEqual(server_line(relay.server), "0 clients, 0 proxies; 0 users")
