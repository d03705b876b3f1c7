"""The test case of the laboratory: skipped where there can be none."""

from __future__ import annotations

import functools
import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, TestCase

from relaykit.nat.driving import DatagramDriver
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.server import StunService
from relaykit.sansio.nat.behavior import BehaviorDiscovery, NatBehavior, sockets_needed
from relaykit.values import Address
from tests.natlab.lab import NatLab
from tests.natlab.namespaces import entered, why_not
from tests.natlab.rendezvous import STUN, Rendezvous, Result, known, network_info

__all__ = ["NatLabCase"]

_why_not = functools.cache(why_not)


class NatLabCase(TestCase):
    """Makes laboratories and removes them."""

    timeout = 60

    def setUp(self) -> None:
        """Looks whether there can be a laboratory."""
        reason = _why_not()
        if reason:
            raise SkipTest(f"no NAT laboratory here: {reason}")

    def make_lab(self, a: str, b: str, delay_s: float = 0.0, loss: float = 0.0, **how: Any) -> NatLab:
        """A laboratory for this test."""
        lab = NatLab(a, b, **how)
        lab.up()
        self.addCleanup(lab.down)
        if delay_s or loss:
            try:
                lab.weather(reactor, delay_s, loss)
            except PermissionError as error:
                raise SkipTest(f"no delay can be made here: {error}") from error
        return lab

    async def begin(self, lab: NatLab, *stun_hosts: str) -> Rendezvous:
        """Starts the server of a laboratory."""
        rendezvous = Rendezvous(lab, stun_hosts) if stun_hosts else Rendezvous(lab)
        await rendezvous.begin()
        self.addCleanup(lambda: Deferred.fromCoroutine(rendezvous.end()))
        return rendezvous

    def serve_stun(self, lab: NatLab, *hosts: str) -> None:
        """Starts a further STUN server."""
        with entered(lab.space("s")):
            service = StunService(reactor, hosts, 3478)
            service.startService()
        self.addCleanup(service.stopService)

    async def punch(
        self,
        a: str,
        b: str,
        delay_s: float = 0.025,
        loss: float = 0.0,
        roles: tuple[str, str] = ("ca", "cb"),
        around: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
        **how: Any,
    ) -> Result:
        """One punch in a laboratory of its own."""
        lab = self.make_lab(a, b, delay_s, loss, **how)
        rendezvous = await self.begin(lab)
        kinds = [a if role.startswith("ca") else b for role in roles]
        ends: list[NetworkInfo] = []
        for role, kind, more in zip(roles, kinds, around, strict=True):
            ends.append(network_info(lab, role, **{"behavior": known(kind), **more}))
        result = await rendezvous.punch(roles, (ends[0], ends[1]))
        self.addCleanup(result.close)
        return result

    async def discover(
        self, lab: NatLab, role: str, servers: list[Address] = STUN[:1], lifetime: bool = False
    ) -> NatBehavior:
        """A whole behavior discovery from a machine."""
        network = lab.network(role, reactor)
        host = network.local_host_towards(servers[0])
        sockets = [
            network.open_udp("0.0.0.0", 0, lambda data, source, arrived_at: None)
            for _ in range(sockets_needed(lifetime))
        ]
        locals_ = [Address(host, each.address.port) for each in sockets]
        core = BehaviorDiscovery(servers, locals_, os.urandom, lifetime)
        found: Deferred[NatBehavior] = Deferred()
        driver = DatagramDriver(core, sockets, reactor, found.callback)
        core.start(driver.now)
        driver.start()
        try:
            return await found
        finally:
            driver.stop()
            for each in sockets:
                each.close()
