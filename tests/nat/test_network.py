"""Tests of what this machine tells of its network."""

from __future__ import annotations

from typing import Any

import ifaddr
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat import network
from relaykit.nat.network import HostNetwork, gateway_of, network_mark
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

    def test_gateway(self) -> None:
        """The default route with the smallest metric that has a gateway and is up counts."""
        head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        lan = "eth0 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
        one = "eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n"
        other = "wlan0 00000000 0102A8C0 0003 0 0 600 00000000 0 0 0\n"
        down = "eth1 00000000 0103A8C0 0002 0 0 1 00000000 0 0 0\n"
        self.assertEqual(gateway_of(head + lan + other + one + down), "192.168.1.1")
        self.assertEqual(gateway_of(head + lan), "")
        self.assertEqual(gateway_of(""), "")
        self.assertEqual(gateway_of(head + "cut\n"), "")

    def test_mark(self) -> None:
        """A network is told by its router and its prefixes, whatever address this machine has there."""
        hosts = {"192.0.2.1": "10.1.2.3", "2001:db8::1": "2001:db8:7::5"}
        self.patch(network, "default_gateway", lambda: "10.1.2.254")
        self.patch(network, "local_host_towards", lambda where: hosts[where.host])
        self.assertEqual(network_mark(), "10.1.2.254 10.1.2.0/24 2001:db8:7::/64")
        hosts["192.0.2.1"] = "10.1.2.77"
        self.assertEqual(network_mark(), "10.1.2.254 10.1.2.0/24 2001:db8:7::/64")
        hosts["192.0.2.1"] = hosts["2001:db8::1"] = ""
        self.patch(network, "default_gateway", lambda: "")
        self.assertEqual(network_mark(), "")
