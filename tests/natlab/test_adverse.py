"""Punches through routers that make it hard, and paths that live through what such routers do to them."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

from relaykit.nat.paths import UdpPath
from relaykit.sansio.nat.keeping import KEEPALIVE_SYMMETRIC_S, SETTLING_S
from relaykit.sansio.nat.pairing import Strategy
from relaykit.values import Secret
from tests.integration.faults.case import why_short
from tests.integration.walkthrough import need
from tests.nat.direct import Hearing, carry
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.lab import NatLab
from tests.natlab.matrix import ONE_PORT
from tests.natlab.namespaces import ip_batch
from tests.natlab.rendezvous import Result, known, network_info

_reactor: Any = reactor

SECRET = Secret("a secret")

STARTS, START_EVERY_S = 6, 0.05
"""How often, and when, routers start again: a punch takes 0.1 s on an idle machine."""


class AdverseTests(NatLabCase):
    """Routers that make it hard."""

    async def each(self, pairs: list[tuple[str, str]], **around: Any) -> list[Result]:
        """Punches of several pairs at once, all of which must work."""
        results = await gatherResults(
            [Deferred.fromCoroutine(self.punch(a, b, around=(around, around))) for a, b in pairs],
            consumeErrors=True,
        )
        for pair, result in zip(pairs, results, strict=True):
            self.assertTrue(result.worked, (pair, result))
        return list(results)

    @tried_again
    async def test_few_ports(self) -> None:
        """Ports that are drawn from few are searched for, whether they lie together or not."""
        results = await self.each([("blk64", "port"), ("mape", "port"), ("presym", "port")])
        for result in results:
            strategies = {path.result.strategy for path in result.paths}
            self.assertEqual(strategies, {Strategy.SPREAD, Strategy.GUESS})

    @tried_again
    async def test_one_stun_port(self) -> None:
        """A port that the server's firewall closes costs time and no path."""
        await self.each([("symrnd", "port"), ("port", "portshift")], stun_servers=ONE_PORT)

    @tried_again
    async def test_udp_only_to_stun(self) -> None:
        """Where UDP gets to STUN servers and no further, TCP makes the path, and that soon."""
        for result in await self.each([("stunonly", "port"), ("full", "stunonly")]):
            self.assertEqual(len(result.streams), 2)
            self.took("a path of TCP", result.seconds, 3.0)

    @tried_again
    async def test_near(self) -> None:
        """A peer whose port is spoiled by what should only open the own NAT is met by the second attempt."""
        results = await self.each([("port+input=accept", "port+input=accept")], opening_ttl=0)
        self.took("two attempts", results[0].seconds, 3.0)

    @tried_again
    async def test_banned(self) -> None:
        """Firewalls that let nobody in any more who sent unasked are not provoked."""
        await self.each([("port+ban", "port+ban"), ("port+ban", "symrnd")])

    @tried_again
    async def test_routers_start_again_meanwhile(self) -> None:
        """Routers that start again in the middle of a punch, with the same ports, do not end it."""
        need("conntrack")
        lab = self.make_lab("port", "portshift", 0.025)
        rendezvous = await self.begin(lab)
        punching, under_way = Deferred.fromCoroutine(rendezvous.punch()), 0
        for _ in range(STARTS):
            await deferLater(_reactor, START_EVERY_S)
            under_way += not punching.called
            lab.set_nat("a", "port")
            lab.set_nat("b", "portshift")
        result = await punching
        self.addCleanup(result.close)
        self.assertTrue(result.worked, result)
        self.assertGreater(under_way, 0)


class LastingTests(NatLabCase):
    """Paths that last."""

    async def path(self, a: str, b: str) -> tuple[NatLab, UdpPath, UdpPath]:
        """A path between machines A and B; answers the laboratory and both ends."""
        lab = self.make_lab(a, b, 0.025)
        rendezvous = await self.begin(lab)
        ends = network_info(lab, "ca", behavior=known(a)), network_info(lab, "cb", behavior=known(b))
        result = await rendezvous.punch(around=ends)
        self.addCleanup(result.close)
        self.assertTrue(result.worked, result)
        one, two = result.paths
        return lab, one, two

    @tried_again
    async def test_router_starts_again(self) -> None:
        """A router that starts again with other ports costs what is under way, and no path."""
        # Without it the router would forget nothing.
        need("conntrack")
        lab, one, two = await self.path("port", "full")
        heard = Hearing()
        one.datagrams().attach(heard)
        await deferLater(_reactor, SETTLING_S)
        before = two.peer
        lab.set_nat("a", "portshift")
        one.datagrams().send(b"@anything")
        await self.until("the path follows its peer", lambda: two.peer != before)
        two.datagrams().send(b"@there")
        await self.until("the peer hears", lambda: heard.heard == [b"@there"])
        self.assertEqual(await carry(one, two, b"@here", SECRET), b"@here")

    @tried_again
    async def test_short_lived_mappings(self) -> None:
        """Mappings that live ten seconds outlive an idle path."""
        reason = why_short()
        if reason:
            raise SkipTest(reason)
        for other in ("full", "port"):
            _, one, two = await self.path("symrnd+timeout=10", other)
            await deferLater(_reactor, 2 * KEEPALIVE_SYMMETRIC_S + 4.0)
            self.assertEqual(await carry(two, one, b"@still there", SECRET), b"@still there")

    @tried_again
    async def test_sizes(self) -> None:
        """What is too large for the interface is not taken, what is too large further on is lost, not cut."""
        lab, one, two = await self.path("port", "port")
        heard = Hearing()
        two.datagrams().attach(heard)
        for end in (one, two):
            self.assertTrue(end.forbid_fragments())
        ip_batch(["link set eth0 mtu 1400"], lab.space("ca"))
        ip_batch(["link set wan0 mtu 1300"], lab.space("ra"))
        self.assertFalse(one.send(b"@" * 1373))
        self.assertTrue(one.send(b"@" * 1372))
        self.assertTrue(one.send(b"@" * 1273))
        self.assertTrue(one.send(b"@" * 1272))
        await self.until("the last one arrives", lambda: bool(heard.heard))
        self.assertEqual([len(each) for each in heard.heard], [1272])
