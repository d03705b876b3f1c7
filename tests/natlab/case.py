"""The test case of the laboratory: skipped where there can be none."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from relaykit.nat.driving import DatagramDriver
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.server import StunService
from relaykit.sansio.nat.behavior import BehaviorDiscovery, NatBehavior, sockets_needed
from relaykit.values import Address
from tests.integration.faults.case import why_short
from tests.integration.programs import PATIENCE_S
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered, why_not
from tests.natlab.rendezvous import STUN, Rendezvous, Result, known, network_info
from tests.natlab.rules import KINDS, parse_kind, ruleset

__all__ = ["NatLabCase", "need_lab", "tried_again"]

ATTEMPTS = 8 if why_short() else 1
"""How often a laboratory is asked.  Routers and peers go by when datagrams arrive, and a machine that stands
still for seconds lets them arrive too late; only where the long tests run the first attempt must do."""

LOOK_EVERY_S = 0.05

_reactor: Any = reactor

LabTest = Callable[..., Coroutine[Any, Any, None]]


@functools.cache
def _why_not() -> str:
    kinds = (*KINDS.values(), parse_kind("port+ban"))
    return why_not(*(ruleset(kind, SERVER[0]) for kind in kinds))


def need_lab() -> None:
    """Skips the test where there can be no laboratory."""
    reason = _why_not()
    if reason:
        raise SkipTest(f"no NAT laboratory here: {reason}")


def tried_again(test: LabTest) -> LabTest:
    """A test, or a part of one, whose outcome real time has a part in: it may fail, but not
    :data:`ATTEMPTS` times.
    """

    @functools.wraps(test)
    async def repeated(*arguments: Any) -> None:
        for left in reversed(range(ATTEMPTS)):
            # What waits for a datagram that was lost would wait for ever.
            attempt = Deferred.fromCoroutine(test(*arguments)).addTimeout(PATIENCE_S, _reactor)
            try:
                await attempt
            except SkipTest:
                raise
            except Exception:
                if not left:
                    raise
            else:
                return

    return repeated


class NatLabCase(TestCase):
    """Makes laboratories and removes them."""

    timeout = 2 * ATTEMPTS * PATIENCE_S
    """Trial's, and no part of any test."""

    def setUp(self) -> None:
        """Looks whether there can be a laboratory."""
        need_lab()

    def make_lab(self, a: str, b: str, delay_s: float = 0.0, loss: float = 0.0, **how: Any) -> NatLab:
        """A laboratory for this test."""
        lab = NatLab(a, b, **how)
        lab.up()
        self.addCleanup(lab.down)
        if delay_s or loss:
            try:
                lab.weather(reactor, delay_s, loss)
            except OSError as error:
                raise SkipTest(f"no delay can be made here: {error}") from error
        return lab

    def took(self, what: object, seconds: float, at_most_s: float) -> None:
        """Judges how long something took, where the long tests run; elsewhere it tells of the machine."""
        if why_short() is None:
            self.assertLess(seconds, at_most_s, what)

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        deadline = _reactor.seconds() + PATIENCE_S
        while not holds():
            self.assertLess(_reactor.seconds(), deadline, what)
            await deferLater(_reactor, LOOK_EVERY_S)

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
