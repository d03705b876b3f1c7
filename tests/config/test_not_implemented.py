from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.not_implemented import (
    CLIENT_KEYS,
    SERVER_KEYS,
    Unavailable,
    availability_findings,
)
from relaykit.config.schema import ClientConfig, ClientTransport, HttpPlugin, ServerConfig, SshTunnelGateway
from relaykit.config.schema.auth import ClientAuth
from relaykit.config.schema.sections import QuicConfig, WebServerConfig
from relaykit.options import Options, Problem


class AvailabilityTests(SynchronousTestCase):
    """Tests for keys that cannot be honored yet."""

    def test_defaults(self) -> None:
        """Default values are accepted in silence, and every key of the tables exists."""
        cases: tuple[tuple[Options, tuple[Unavailable, ...]], ...] = (
            (ServerConfig(), tuple(SERVER_KEYS)),
            (ClientConfig(), tuple(CLIENT_KEYS)),
        )
        for options, keys in cases:
            found = availability_findings(options, keys)
            self.assertEqual((found.problems, found.unavailable, found.warnings), ([], [], []))

    def test_refused_or_warned(self) -> None:
        """What decides who can reach what is refused, anything else is a warning."""
        config = ServerConfig(
            http_plugins=(HttpPlugin(name="p"),),
            web_server=WebServerConfig(port=7500, user="u"),
        )
        keys = [
            Unavailable("httpPlugins", "plugins over HTTP", refused=True),
            Unavailable("webServer.user", "users of pages"),
        ]
        found = availability_findings(config, keys)
        self.assertEqual(found.unavailable, [Problem("httpPlugins", "plugins over HTTP: not available yet")])
        self.assertEqual([each.key for each in found.warnings], ["webServer.user"])

    def test_only(self) -> None:
        """Where only some values are not available, the others are."""
        keys = [Unavailable("auth.method", "a method", refused=True, only=("oidc",))]
        for method, count in (("token", 0), ("oidc", 1)):
            config = ClientConfig(auth=ClientAuth(method=method))
            self.assertEqual(len(availability_findings(config, keys).unavailable), count)

    def test_switched_off(self) -> None:
        """A port of zero or less uses nothing."""
        keys = [Unavailable("sshTunnelGateway.bindPort", "a gateway", refused=True)]
        for port, count in ((0, 0), (-1, 0), (2200, 1)):
            config = ServerConfig(ssh_tunnel_gateway=SshTunnelGateway(bind_port=port))
            self.assertEqual(len(availability_findings(config, keys).unavailable), count)

    def test_tables(self) -> None:
        """A table is compared as a whole."""
        keys = [Unavailable("transport.quic", "QUIC")]
        for period, found in ((10, []), (11, ["transport.quic"])):
            config = ClientConfig(transport=ClientTransport(quic=QuicConfig(keepalive_period=period)))
            self.assertEqual([each.key for each in availability_findings(config, keys).warnings], found)
