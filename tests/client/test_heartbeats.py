"""Tests for the rhythm of a client's signs of life."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.heartbeats import heartbeat_of, keepalive_of
from relaykit.config.schema import ClientTransport
from relaykit.sansio.control.session import Heartbeat


class HeartbeatTests(SynchronousTestCase):
    """Tests for :func:`heartbeat_of`."""

    def check(
        self, expected: tuple[float | None, float | None], mux: bool, interval: int, timeout: int
    ) -> None:
        """With these settings there are these heartbeats."""
        transport = ClientTransport(tcp_mux=mux, heartbeat_interval=interval, heartbeat_timeout=timeout)
        self.assertEqual(heartbeat_of(transport), Heartbeat(interval_s=expected[0], timeout_s=expected[1]))

    def test_without_mux(self) -> None:
        """Without mux there is one every 30 seconds, and a dead server is noticed within two of them."""
        self.check((30.0, 60.0), False, 0, 0)
        self.check((10.0, 20.0), False, 10, 0)
        self.check((10.0, 90.0), False, 10, 90)
        self.check((None, None), False, -1, 0)
        self.check((30.0, None), False, 0, -1)

    def test_with_mux(self) -> None:
        """With mux there are none unless they are configured."""
        self.check((None, None), True, 0, 0)
        self.check((None, 90.0), True, 0, 90)
        self.check((10.0, 20.0), True, 10, 0)


class KeepaliveTests(SynchronousTestCase):
    """Tests for :func:`keepalive_of`."""

    def check(self, expected: float | None, interval: int, keepalive: int) -> None:
        """With these settings a mux link has these pings."""
        transport = ClientTransport(heartbeat_interval=interval, tcp_mux_keepalive_interval=keepalive)
        self.assertEqual(keepalive_of(transport), expected)

    def test_interval(self) -> None:
        """The interval is that of heartbeats, or that of the link when they are off."""
        self.check(10.0, 10, 30)
        self.check(30.0, 0, 30)
        self.check(30.0, -1, 30)
        self.check(10.0, 10, -1)
        self.check(None, -1, -1)
