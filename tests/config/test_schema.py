from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.credentials import ClientAuth
from relaykit.config.schema import (
    ClientConfig,
    ClientTls,
    ClientTransport,
    HttpPlugin,
    PortRange,
    ServerConfig,
    port_allowed,
)
from relaykit.options import Options, option_fields, options_class


def tables(cls: type[Options]) -> list[type[Options]]:
    """An options class, and all inside of it."""
    inner = [options_class(each.type) for each in option_fields(cls)]
    return [cls, *(table for found in inner if found is not None for table in tables(found))]


class SchemaTests(SynchronousTestCase):
    """Tests for the keys of both programs."""

    def test_described(self) -> None:
        """Every key says what it means, and every table what it is for."""
        for program in (ServerConfig, ClientConfig):
            for table in tables(program):
                self.assertTrue(table.__doc__, table)
                for each in option_fields(table):
                    if options_class(each.type) is None:
                        self.assertTrue(each.description.endswith("."), f"{table.__name__}.{each.key}")

    def test_spellings(self) -> None:
        """Keys that are no plain camel case are spelled as in frp's files."""
        keys = {
            each.key
            for program in (ServerConfig, ClientConfig)
            for cls in tables(program)
            for each in option_fields(cls)
        }
        for key in (
            "vhostHTTPPort",
            "vhostHTTPSPort",
            "vhostHTTPTimeout",
            "tcpmuxHTTPConnectPort",
            "custom404Page",
            "natholeAnalysisDataReserveHours",
            "clientID",
            "tokenEndpointURL",
            "proxyURL",
            "connectServerLocalIP",
            "disableCustomTLSFirstByte",
            "trustedCaFile",
        ):
            self.assertIn(key, keys)

    def test_defaults(self) -> None:
        """Defaults are right by themselves."""
        for program in (ServerConfig, ClientConfig):
            for table in tables(program):
                if table.__name__ not in ("WebServerTls", "TokenSource"):
                    self.assertEqual(list(table().problems()), [], table)

    def test_ports(self) -> None:
        """Every port of the server is checked."""
        wrong: dict[str, Any] = dict.fromkeys(
            (
                "bind_port",
                "kcp_bind_port",
                "quic_bind_port",
                "vhost_http_port",
                "vhost_https_port",
                "tcpmux_http_connect_port",
            ),
            65536,
        )
        self.assertEqual(len(list(ServerConfig(**wrong).problems())), len(wrong))

    def test_client_transport(self) -> None:
        """Protocols are known words, and a time-out leaves room for a heartbeat."""
        for transport, found in (
            (ClientTransport(protocol="ws", wire_protocol="v3"), ["protocol", "wireProtocol"]),
            (ClientTransport(heartbeat_interval=30, heartbeat_timeout=20), ["heartbeatTimeout"]),
            (ClientTransport(heartbeat_interval=30, heartbeat_timeout=30), []),
            (ClientTransport(heartbeat_interval=-1, heartbeat_timeout=20), []),
            (ClientTransport(wire_protocol="v2"), []),
        ):
            self.assertEqual([each.key for each in transport.problems()], found)

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

    def test_http_plugin(self) -> None:
        """Operations are spelled exactly so."""
        self.assertEqual([each.key for each in HttpPlugin(ops=("Login", "login")).problems()], ["ops"])


class PortRangeTests(SynchronousTestCase):
    """Tests for allowed ports."""

    def test_ranges(self) -> None:
        """A range has both ends, a single port wins over it, and one from high to low has none."""
        self.assertEqual(list(PortRange(start=10, end=12).ports), [10, 11, 12])
        self.assertEqual(list(PortRange(start=10, end=12, single=5).ports), [5])
        self.assertEqual(list(PortRange(start=10, end=2).ports), [])
        self.assertEqual(list(PortRange(start=10, end=10, single=-1).ports), [10])

    def test_allowed(self) -> None:
        """Without ranges every port is allowed, else those of any range."""
        ranges = (PortRange(start=10, end=12), PortRange(single=20))
        self.assertTrue(port_allowed(7, ()))
        self.assertEqual([port for port in range(30) if port_allowed(port, ranges)], [10, 11, 12, 20])
