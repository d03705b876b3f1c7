"""The tables of carriers in files."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.websocket import WebSocketAcceptOptions, WebSocketDialOptions
from relaykit.config.load import load_client, load_server
from relaykit.config.problems import ConfigurationProblems
from relaykit.config.schema import ClientTransport, ServerTransport
from relaykit.config.schema.carriers import carrier_options, with_carriers
from relaykit.plugins import CarrierReference, Carriers, ProxyTypes
from relaykit.values import Secret


class CarrierTablesTests(SynchronousTestCase):
    """Tests for what installed packages add to ``transport``."""

    def path(self, text: str) -> str:
        """A file with this text."""
        path = Path(self.mktemp()).with_suffix(".toml")
        path.write_text(text)
        return str(path)

    def test_read(self) -> None:
        """A carrier's table is read by its class, at both ends; where it is not there, its defaults hold."""
        client = load_client(
            self.path('transport.Websocket = { path = "/relay", headers = { X-Key = "k" } }\n'),
            types=ProxyTypes(),
            environ={},
        )
        options = carrier_options(client.config.transport, "websocket", WebSocketDialOptions)
        self.assertEqual(options, WebSocketDialOptions(path="/relay", headers={"X-Key": Secret("k")}))
        self.assertIsInstance(client.config.transport, ClientTransport)
        server = load_server(
            self.path('auth.token = "t"\ntransport.websocket.pingInterval = 5\n'),
            types=ProxyTypes(),
            environ={},
        )
        options = carrier_options(server.config.transport, "websocket", WebSocketAcceptOptions)
        self.assertEqual(options, WebSocketAcceptOptions(ping_interval=5))
        absent = carrier_options(ServerTransport(), "websocket", WebSocketAcceptOptions)
        self.assertEqual(absent, WebSocketAcceptOptions())
        self.assertIsNone(carrier_options(ServerTransport(), "tcp", None))

    def test_mistakes(self) -> None:
        """Mistakes in it are told with their places, as everywhere; only whose table it is may have one."""
        path = self.path('[transport.websocket]\npath = "x"\nhots = "a"\n[transport.wss]\npath = "/"\n')
        error = self.assertRaises(ConfigurationProblems, load_client, path, types=ProxyTypes(), environ={})
        self.assertEqual(
            [f"{each}".partition(".toml:")[2] for each in error.problems],
            [
                "2: transport.websocket.path: must begin with a slash, without blanks, ? and #",
                "3: transport.websocket.hots: unknown key (did you mean host?)",
                "4: transport.wss: unknown key",
            ],
        )

    def test_broken(self) -> None:
        """A table of a carrier that cannot be used is told why."""
        pigeon = Carriers.from_references([CarrierReference("pigeon", "tests.no_such_module")])
        self.patch(Carriers, "installed", lambda: pigeon)
        path = self.path("transport.pigeon.speed = 3\n")
        error = self.assertRaises(ConfigurationProblems, load_client, path, types=ProxyTypes(), environ={})
        self.assertIn('carrier "pigeon" cannot be used', str(error))

    def test_one_class(self) -> None:
        """The same keys make the same class, and the class's own keys make no other."""
        made = with_carriers(ClientTransport, "dial_options", ["websocket", "quic"])
        self.assertIs(with_carriers(ClientTransport, "dial_options", ["quic", "websocket"]), made)
        self.assertIs(with_carriers(ClientTransport, "dial_options", ["quic", "tls"]), ClientTransport)
        self.assertIs(with_carriers(ClientTransport, "dial_options", ["tcp", "x"]), ClientTransport)
