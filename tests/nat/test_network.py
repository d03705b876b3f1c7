"""Tests of what this machine tells of its network."""

from __future__ import annotations

from typing import Any

import ifaddr
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.network import HostNetwork
from relaykit.sansio.nat.candidates import Interface


class HostNetworkTests(SynchronousTestCase):
    """The machine's network."""

    def test_interfaces(self) -> None:
        """Addresses of both families are listed with their interface and their network."""
        adapter = ifaddr.Adapter(
            "eth0",
            "eth0",
            [ifaddr.IP("192.0.2.7", 24, "eth0"), ifaddr.IP(("2001:db8::7", 0, 0), 64, "eth0")],
        )
        self.patch(ifaddr, "get_adapters", lambda: [adapter])
        reactor: Any = None
        found = HostNetwork(reactor).interfaces()
        self.assertEqual(found, [Interface("eth0", "192.0.2.7", 24), Interface("eth0", "2001:db8::7", 64)])
        self.assertEqual([str(each.network) for each in found], ["192.0.2.0/24", "2001:db8::/64"])
