"""Tests of what this machine tells of its network."""

from __future__ import annotations

from typing import Any

import ifaddr
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.network import HostNetwork, gateway_of
from relaykit.sansio.nat.candidates import Interface


class _Pool:
    """A pool whose one thread is the test."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Any, Any]] = []

    def callInThreadWithCallback(self, on_result: Any, function: Any, *arguments: Any) -> None:
        """Notes it."""
        self.jobs.append((on_result, lambda: function(*arguments)))

    def run(self) -> None:
        """Does what there is to do."""
        for on_result, function in self.jobs:
            on_result(True, function())


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

    def test_threads(self) -> None:
        """What blocks runs in a thread of the reactor that was handed in."""
        reactor: Any = Clock()
        pool = _Pool()
        reactor.getThreadPool = lambda: pool
        reactor.callFromThread = lambda function, *arguments: function(*arguments)
        found = HostNetwork(reactor).call_in_thread(lambda: 5)
        self.assertNoResult(found)
        pool.run()

        self.assertEqual(self.successResultOf(found), 5)

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
