"""Tests of the contract of cores that speak in datagrams."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import BehaviorDiscovery, MappingDiscovery, NatBehavior
from relaykit.sansio.nat.datagrams import Datagram, DatagramCore
from relaykit.sansio.nat.probing import ProbeEvent, Prober
from relaykit.values import Address


class ContractTests(SynchronousTestCase):
    """Who keeps it; the annotations are checked by mypy."""

    def test_cores(self) -> None:
        """Every core is quiet until it is told to begin."""
        server = [Address("192.0.2.1", 1)]
        prober: DatagramCore[ProbeEvent] = Prober(bytes)
        short: DatagramCore[NatBehavior] = MappingDiscovery(server, server, bytes)
        long: DatagramCore[NatBehavior] = BehaviorDiscovery(server, server, bytes)
        for core in (prober, short, long):
            self.assertEqual((core.next_wakeup(), core.to_send(0.0), core.events()), (None, [], []))

    def test_defaults(self) -> None:
        """A datagram goes out through the first socket, with the system's TTL."""
        datagram = Datagram(b"x", Address("192.0.2.1", 1))
        self.assertEqual((datagram.via, datagram.ttl), (0, None))
