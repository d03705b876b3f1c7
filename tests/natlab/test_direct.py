"""``xtcp`` between two machines behind routers: curl gets a page, and the server carries none of it."""

from __future__ import annotations

from tests.carriers.quic.lines import missing
from tests.integration.walkthrough import need
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.direct import PAGE, DirectPair


class DirectTests(NatLabCase):
    """Users of a visitor's port, 10 ms apart from the web server."""

    async def go(self, a: str, b: str, protocol: str, with_quic: bool = True) -> None:
        """Gets the page twice, by clients behind such routers; fails if it did not come directly."""
        need("curl")
        pair = DirectPair(self.make_lab(a, b, 0.01), with_quic)
        # Clients that were left there would go on punching while the next attempt is made.
        try:
            await pair.begin()
            for _ in range(2):
                self.assertEqual(await pair.fetch(), PAGE)
            self.assertIn("a direct path with", pair.way)
            self.assertIn(f"over {protocol}", pair.way)
            self.assertEqual(pair.relayed, 0)
        finally:
            await pair.end()

    @tried_again
    async def test_quic(self) -> None:
        """Through two home routers the page comes by QUIC over the punched socket."""
        await self.go("port", "portshift", "udp")

    test_quic.skip = missing()  # type: ignore[attr-defined]

    @tried_again
    async def test_without_quic(self) -> None:
        """Without a library for QUIC it comes by TLS over a punched TCP connection."""
        await self.go("port", "port", "tcp", with_quic=False)

    @tried_again
    async def test_udp_blocked(self) -> None:
        """Where UDP is blocked it does, too."""
        await self.go("udpblock", "port", "tcp")
