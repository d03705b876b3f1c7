"""Tests of what a client takes for granted of its network."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.network_info import NetworkInfo


class NetworkInfoTests(SynchronousTestCase):
    """What is known before anybody was asked."""

    def test_defaults(self) -> None:
        """Nothing is known of the NAT, nobody is asked, and no port can be punched by TCP."""
        network: Any = None
        info = NetworkInfo(network=network)
        self.assertEqual(
            (info.behavior, info.stun_servers, info.mapper, info.stream_port), (None, (), None, 0)
        )
        self.assertEqual([info.internet(host) for host in ("8.8.8.8", "10.0.0.1")], [True, False])
