from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.rules.completing import (
    complete_client,
    complete_proxy,
    complete_server,
    complete_visitor,
)
from relaykit.config.schema import ClientConfig, ClientTransport, ServerConfig, ServerTls, ServerTransport
from relaykit.config.schema.server import ServerLogConfig
from relaykit.options import HealthCheck, ProxyCommon, ProxyTransport, VisitorCommon


class CompletingTests(SynchronousTestCase):
    """Tests for what a configuration leaves open."""

    def test_zero_means_default(self) -> None:
        """Zero and empty texts become defaults, at every level; false and negative numbers stay."""
        config = complete_server(
            ServerConfig(
                bind_port=0,
                detailed_errors_to_client=False,
                max_ports_per_client=-1,
                max_proxies_per_client=-1,
                log=ServerLogConfig(level="", max_days=0),
                transport=ServerTransport(tcp_mux=False, max_pool_count=-1),
            )
        )
        self.assertEqual((config.bind_port, config.log), (7000, ServerLogConfig()))
        self.assertFalse(config.detailed_errors_to_client)
        self.assertFalse(config.transport.tcp_mux)
        self.assertEqual((config.transport.max_pool_count, config.max_ports_per_client), (-1, -1))
        self.assertEqual(config.max_proxies_per_client, -1)

    def test_health_check(self) -> None:
        """Numbers of a health check that are zero or less mean the default, as in frp."""
        given = HealthCheck(type="tcp", timeout_seconds=-5, max_failed=0, interval_seconds=20)
        self.assertEqual(
            complete_proxy(ProxyCommon(health_check=given)).health_check,
            HealthCheck(type="tcp", timeout_seconds=3, max_failed=1, interval_seconds=20),
        )

    def test_server(self) -> None:
        """Proxies listen where the server does, and authorities of clients ask for TLS."""
        config = complete_server(
            ServerConfig(bind_addr="::1", transport=ServerTransport(tls=ServerTls(trusted_ca_file="ca")))
        )
        self.assertEqual(config.proxy_bind_addr, "::1")
        self.assertTrue(config.transport.tls.force)
        self.assertEqual(complete_server(ServerConfig(proxy_bind_addr="::2")).proxy_bind_addr, "::2")

    def test_heartbeats(self) -> None:
        """Heartbeats are off with a mux link, unless they are asked for; a client waits for two of them."""
        for mux, given, interval, timeout, servers in (
            (True, 0, -1, -1, -1),
            (False, 0, 30, 60, 90),
            (True, 40, 40, 40, 40),
            (False, -7, -7, -7, -7),
        ):
            client = complete_client(
                ClientConfig(
                    transport=ClientTransport(tcp_mux=mux, heartbeat_interval=given, heartbeat_timeout=given)
                )
            )
            self.assertEqual(
                (client.transport.heartbeat_interval, client.transport.heartbeat_timeout), (interval, timeout)
            )
            server = complete_server(
                ServerConfig(transport=ServerTransport(tcp_mux=mux, heartbeat_timeout=given))
            )
            self.assertEqual(server.transport.heartbeat_timeout, servers)

    def test_heartbeat_timeout(self) -> None:
        """A client that is told only how often to send heartbeats waits for two, but no longer than frp's."""
        for mux, interval, timeout in (
            (False, 10, 20),
            (False, 60, 90),
            (False, 100, 90),
            (False, -1, -1),
            (True, 10, -1),
        ):
            client = complete_client(
                ClientConfig(transport=ClientTransport(tcp_mux=mux, heartbeat_interval=interval))
            )
            self.assertEqual(client.transport.heartbeat_timeout, timeout)

    def test_proxy(self) -> None:
        """A proxy's empty texts have their defaults."""
        common = complete_proxy(ProxyCommon(local_ip="", transport=ProxyTransport(bandwidth_limit_mode="")))
        self.assertEqual(common, ProxyCommon())

    def test_visitor(self) -> None:
        """A visitor without a user visits proxies of its own."""
        self.assertEqual(complete_visitor(VisitorCommon(bind_addr=""), "me").server_user, "me")
        self.assertEqual(complete_visitor(VisitorCommon(bind_addr=""), "me").bind_addr, "127.0.0.1")
        self.assertEqual(complete_visitor(VisitorCommon(server_user="you"), "me").server_user, "you")
