"""``xtcp`` between two machines behind routers: curl gets a page, and the server carries none of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.direct import PAGE, DirectPair


class DirectTests(NatLabCase):
    """Users of a visitor's port, 10 ms apart from the web server."""

    async def pair(self, a: str, b: str, with_quic: bool = True) -> DirectPair:
        """Both clients, each behind a router of its kind."""
        pair = DirectPair(self.make_lab(a, b, 0.01), with_quic)
        self.addCleanup(lambda: Deferred.fromCoroutine(pair.end()))
        await pair.begin()
        return pair

    async def go(self, pair: DirectPair, protocol: str) -> None:
        """Gets the page twice; fails if it did not come directly."""
        for _ in range(2):
            self.assertEqual(await pair.fetch(), PAGE)
        self.assertIn("a direct path with", pair.way)
        self.assertIn(f"over {protocol}", pair.way)
        self.assertEqual(pair.relayed, 0)

    @tried_again
    async def test_quic(self) -> None:
        """Through two home routers the page comes by QUIC over the punched socket."""
        await self.go(await self.pair("port", "portshift"), "udp")

    @tried_again
    async def test_without_quic(self) -> None:
        """Without a library for QUIC it comes by TLS over a punched TCP connection."""
        await self.go(await self.pair("port", "port", with_quic=False), "tcp")

    @tried_again
    async def test_udp_blocked(self) -> None:
        """Where UDP is blocked it does, too."""
        await self.go(await self.pair("udpblock", "port"), "tcp")
