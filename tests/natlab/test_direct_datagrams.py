"""``sudp`` between two machines behind routers: datagrams go past the server, and by it where they must."""

from __future__ import annotations

from tests.carriers.quic.lines import missing
from tests.natlab.case import NatLabCase, tried_again
from tests.natlab.direct import DatagramAsker, DatagramPair
from tests.natlab.namespaces import run, within

SIZES = (1, 100, 1000, 1372, 1405, 1500, 9000, 60_000)

NO_UDP = """
table inet cut {
    chain out { type filter hook output priority 0; oifname != "lo" meta l4proto udp drop; }
    chain in { type filter hook input priority 0; iifname != "lo" meta l4proto udp drop; }
}
"""
"""What lets no UDP out of a machine, nor in, and leaves everything else as it is."""


class DirectDatagramTests(NatLabCase):
    """Users of a visitor's port, 10 ms apart from the service."""

    async def direct(self, pair: DatagramPair, protocol: str) -> DatagramAsker:
        """A user who goes directly, and went by the relay before."""
        user = pair.user()
        await user.ask(b"by the relay first")
        await self.until("a direct path", lambda: f"over {protocol}" in pair.way)
        await user.ask(b"directly")
        return user

    @tried_again
    async def test_quic(self) -> None:
        """Through two home routers datagrams of every size go by QUIC; the server carries none of them."""
        await self.go("port", "portshift", "udp")

    test_quic.skip = missing()  # type: ignore[attr-defined]

    @tried_again
    async def test_without_quic(self) -> None:
        """Without a library for QUIC they go by a stream over a punched TCP connection."""
        await self.go("port", "port", "tcp", with_quic=False)

    async def go(self, a: str, b: str, protocol: str, with_quic: bool = True) -> None:
        """Asks by clients behind such routers; fails if it did not go directly."""
        pair = DatagramPair(self.make_lab(a, b, 0.01), with_quic)
        try:
            await pair.begin()
            await self.direct(pair, protocol)
            relayed = pair.relayed
            for _ in range(3):
                user = pair.user()
                for size in SIZES:
                    await user.ask(bytes(size))
            self.assertEqual(pair.relayed, relayed)
            self.assertEqual(len(pair.sources), 4)
        finally:
            await pair.end()

    @tried_again
    async def test_cut(self) -> None:
        """When UDP is cut off the relay carries on, and then a path of TCP; the service notices nothing."""
        lab = self.make_lab("port", "port", 0.01)
        pair = DatagramPair(lab)
        try:
            await pair.begin()
            user = await self.direct(pair, "udp")
            relayed = pair.relayed
            run([*within(lab.space("ca")), "nft", "-f", "-"], NO_UDP)
            await user.ask(b"by the relay again")
            self.assertGreater(pair.relayed, relayed)
            await self.until("a path of TCP", lambda: "over tcp" in pair.way)
            relayed = pair.relayed
            await user.ask(b"directly again")
            self.assertEqual(pair.relayed, relayed)
            self.assertEqual(len(pair.sources), 1)
        finally:
            await pair.end()

    test_cut.skip = missing()  # type: ignore[attr-defined]
