"""Tests for what a server demands of its clients' signs of life."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ServerTransport
from relaykit.server.heartbeats import heartbeat_of


class HeartbeatTests(SynchronousTestCase):
    """Tests for :func:`heartbeat_of`."""

    def check(self, expected: float | None, muxed: bool, timeout: int, keepalive: int = 30) -> None:
        """With these settings this much silence is too much."""
        transport = ServerTransport(heartbeat_timeout=timeout, tcp_mux_keepalive_interval=keepalive)
        self.assertEqual(heartbeat_of(transport, muxed).timeout_s, expected)

    def test_without_mux(self) -> None:
        """A client without mux must be heard, every 90 seconds unless another time is configured."""
        self.check(90.0, False, 0)
        self.check(40.0, False, 40)
        self.check(None, False, -1)

    def test_with_mux(self) -> None:
        """A client whose link is pinged needs no heartbeats, whatever is configured for others."""
        self.check(None, True, 0)
        self.check(None, True, 90)

    def test_with_mux_without_pings(self) -> None:
        """Where the link is not pinged the configured time counts."""
        self.check(None, True, 0, keepalive=-1)
        self.check(90.0, True, 90, keepalive=-1)
