"""Two real clients meet through a real relay server and its STUN, behind real routers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.punching import FailureReason
from relaykit.values import Secret
from tests.nat.direct import carry
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.relay import RelayRendezvous
from tests.natlab.rendezvous import Result, known, network_info

SECRET = Secret("a secret")

BUSY_S = 3.0
"""What a rendezvous may take on a busy machine; on an idle one it takes 0.3 s."""


class RelayTests(NatLabCase):
    """From the visitor's wish to the path, 25 ms apart."""

    async def meet(self, a: str, b: str, **how: Any) -> Result:
        """One rendezvous in a laboratory of its own."""
        lab = self.make_lab(a, b, 0.025, **how)
        rendezvous = RelayRendezvous(lab)
        self.addCleanup(lambda: Deferred.fromCoroutine(rendezvous.end()))
        await rendezvous.begin()
        ends = network_info(lab, "ca", behavior=known(a)), network_info(lab, "cb", behavior=known(b))
        result = await rendezvous.punch(around=ends)
        self.addCleanup(result.close)
        return result

    @tried_again
    async def test_cones(self) -> None:
        """Two home routers: the path stands after a few round trips, and carries both ways."""
        result = await self.meet("port", "portshift")
        self.assertTrue(result.worked, result)
        self.took("a path", result.seconds, BUSY_S)
        one, two = result.paths
        for near, far in ((one, two), (two, one)):
            self.assertEqual(await carry(near, far, b"hello", SECRET), b"hello")

    @tried_again
    async def test_symmetric_initiator(self) -> None:
        """A symmetric router towards an open one."""
        result = await self.meet("symrnd", "full")
        self.assertTrue(result.worked, result)

    @tried_again
    async def test_streams(self) -> None:
        """Where UDP is blocked the ports of the control connections are punched by TCP, for streams."""
        result = await self.meet("udpblock", "port")
        self.assertEqual((result.worked, len(result.streams)), (True, 2), result)
        one, two = result.streams
        self.assertEqual(await carry(one, two, b"hello", SECRET), b"hello")

    @tried_again
    async def test_impossible(self) -> None:
        """What cannot work is told in words, before the visitor has waited for long."""
        result = await self.meet("symrnd", "symrnd")
        why: Any = result.initiator
        self.assertIs(why.check(HolePunchingFailedError), HolePunchingFailedError)
        self.assertIs(why.value.reason, FailureReason.IMPOSSIBLE)
        self.took("to be told that there is none", result.total_s, 5.0)
