from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport, ServerTransport, client
from relaykit.config.schema.auth import ClientAuth
from relaykit.dataplane.sockets import KEEPALIVE_IDLE_S
from relaykit.plugins import Carriers
from relaykit.values import CarrierCapabilities, Secret


@frozen
class Reference:
    """A carrier that is all that is looked at here."""

    name: str
    own_port: bool
    module: str = "a module"

    def load(self) -> Any:
        """The carrier itself."""
        return SimpleNamespace(name=self.name, capabilities=CarrierCapabilities(own_port=self.own_port))


class ClientSchemaTests(SynchronousTestCase):
    """Tests for the rules between keys of the client."""

    def test_transport(self) -> None:
        """Protocols are known words, and a time-out leaves room for a heartbeat."""
        for transport, found in (
            (ClientTransport(protocol="ws", wire_protocol="v3"), ["protocol", "wireProtocol"]),
            (ClientTransport(heartbeat_interval=30, heartbeat_timeout=20), ["heartbeatTimeout"]),
            (ClientTransport(heartbeat_interval=30, heartbeat_timeout=30), []),
            (ClientTransport(heartbeat_interval=-1, heartbeat_timeout=20), []),
            (ClientTransport(wire_protocol="v2"), []),
            (ClientTransport(connect_server_local_ip="192.0.2.1"), []),
            (ClientTransport(connect_server_local_ip="fe80::1%eth0"), []),
            (ClientTransport(connect_server_local_ip="eth0"), ["connectServerLocalIP"]),
        ):
            self.assertEqual([each.key for each in transport.problems()], found)

    def test_proxy(self) -> None:
        """A proxy is for transports that go by TCP, as their capabilities tell, whatever they are called."""
        references: list[Any] = [Reference("tcp", False), Reference("kcp", True)]
        carriers = Carriers.from_references(references)
        self.patch(client, "Carriers", SimpleNamespace(installed=lambda: carriers))
        for protocol, url, count in (
            ("tcp", "socks5://p", 0),
            ("kcp", "socks5://p", 1),
            ("kcp", "direct", 0),
            ("kcp", "", 0),
            ("wss", "socks5://p", 0),
        ):
            transport = ClientTransport(protocol=protocol, proxy_url=Secret(url))
            self.assertEqual([each.key for each in transport.problems()], ["proxyURL"] * count, protocol)

    def test_service(self) -> None:
        """The port of a server that is looked up by its service comes with its name."""
        for host, port, count in (
            ("_relaykit._tcp.example", 7000, 0),
            ("_relaykit._tcp.example", 443, 1),
            ("example", 443, 0),
        ):
            found = [each.key for each in ClientConfig(server_addr=host, server_port=port).problems()]
            self.assertEqual(found, ["serverPort"] * count)

    def test_name_server(self) -> None:
        """A name server is known by its address."""
        for text, count in (("", 0), ("192.0.2.53", 0), ("[2001:db8::53]:5353", 0), ("dns.example", 1)):
            found = [each.key for each in ClientConfig(dns_server=text).problems()]
            self.assertEqual(found, ["dnsServer"] * count)

    def test_keepalive(self) -> None:
        """What is asked for without any key is what all other connections have."""
        self.assertEqual(ClientTransport().dial_server_keepalive, KEEPALIVE_IDLE_S)
        self.assertEqual(ServerTransport().tcp_keepalive, KEEPALIVE_IDLE_S)

    def test_bound(self) -> None:
        """A login that must be bound needs TLS and version 2 of the wire; one that may be does not."""
        for transport, wrong in (
            (ClientTransport(), 0),
            (ClientTransport(wire_protocol="v2"), 0),
            (ClientTransport(wire_protocol="v1"), 1),
            (ClientTransport(tls=ClientTls(enable=False)), 1),
        ):
            for bound, count in (("require", wrong), ("prefer", 0), ("off", 0)):
                config = ClientConfig(auth=ClientAuth(bound=bound), transport=transport)
                self.assertEqual([each.key for each in config.problems()], ["auth.bound"] * count)

    def test_fingerprint(self) -> None:
        """A pinned certificate needs TLS and a fingerprint that can be one."""
        pin = "ab:" * 31 + "ab"
        self.assertEqual(list(ClientTls(server_fingerprint=pin).problems()), [])
        self.assertEqual(len(list(ClientTls(server_fingerprint="abc").problems())), 1)
        self.assertEqual(len(list(ClientTls(server_fingerprint=pin, enable=False).problems())), 1)
