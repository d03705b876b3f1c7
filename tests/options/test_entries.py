"""Tests for :mod:`relaykit.options.entries`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import HealthCheck, ProxyCommon, ProxyTransport


class LocalEndpointTests(SynchronousTestCase):
    """Tests for the endpoint string of the local service."""

    def test_given(self) -> None:
        """An endpoint string counts as it is."""
        self.assertEqual(ProxyCommon(local="unix:/run/app.sock").local_endpoint, "unix:/run/app.sock")

    def test_made(self) -> None:
        """Host and port make one, in which the host's colons are quoted."""
        self.assertEqual(ProxyCommon(local_port=22).local_endpoint, "tcp:127.0.0.1:22")
        self.assertEqual(
            ProxyCommon(local_ip="2001:db8::1", local_port=22).local_endpoint,
            "tcp:2001\\:db8\\:\\:1:22",
        )

    def test_checked(self) -> None:
        """A health check needs a local service."""
        check = HealthCheck(type="tcp")
        for common, checked in (
            (ProxyCommon(local_port=22), False),
            (ProxyCommon(health_check=check), False),
            (ProxyCommon(local_port=22, health_check=check), True),
            (ProxyCommon(local="unix:/run/app.sock", health_check=check), True),
        ):
            self.assertEqual(common.is_checked, checked)


class LimitTests(SynchronousTestCase):
    """Tests for which end holds a proxy to its limit of bandwidth."""

    def test_limit_at(self) -> None:
        """One end limits, the client unless it is said otherwise; what is no limit does not."""
        for text, mode, at_client, at_server in (
            ("", "client", 0, 0),
            ("1KB", "client", 1024, 0),
            ("1KB", "server", 0, 1024),
            ("1KB", "x", 0, 0),
            ("0KB", "server", 0, 0),
            ("1kb", "server", 0, 0),
        ):
            transport = ProxyTransport(bandwidth_limit=text, bandwidth_limit_mode=mode)
            limits = transport.limit_at("client"), transport.limit_at("server")
            self.assertEqual(limits, (at_client, at_server), text)
