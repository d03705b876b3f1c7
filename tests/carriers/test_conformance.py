"""The conformance suites on streams of mux links, in memory, over KCP, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import TestCase

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.kcp import KcpLeg
from relaykit.interfaces import IForwarder, IStreamLeg
from relaykit.sansio.kcp.options import FRP_CLIENT, FRP_SERVER
from relaykit.sansio.kcp.session import KcpSession
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests, MemoryWaiting
from relaykit.testing.ports import datagram_pair
from tests.carriers.test_muxing import Accepting

PAUSE_S = 0.05
"""Seconds within which a segment of KCP is there and acknowledged."""

MOST_PAUSES = 100
"""So many are enough for all that is sent."""


class MuxPairs(MemoryWaiting):
    """Makes streams of one mux link over legs in memory."""

    link: MuxLink | None = None
    backwards = False

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """The end that was opened and the end that was accepted."""
        if self.link is None:
            self.link, self.accepting = self._connect()
        opened = await self.link.open_leg(False)
        await self.rest()
        accepted = self.accepting.legs.pop()
        return (accepted, opened) if self.backwards else (opened, accepted)

    def make_links(self) -> tuple[IStreamLeg, IStreamLeg]:
        """What the link is over."""
        return self.network.pair()

    def _connect(self) -> tuple[MuxLink, Accepting]:
        here, there = self.make_links()
        near = MuxLink(here, MuxRole.CLIENT, self.network, self.network.clock)
        far = MuxLink(there, MuxRole.SERVER, self.network, self.network.clock)
        accepting = Accepting()
        far.accept_legs(accepting)
        near.start()
        far.start()
        return near, accepting


class KcpPairs(MuxPairs):
    """The same over KCP, where things take their time."""

    def make_links(self) -> tuple[IStreamLeg, IStreamLeg]:
        below = datagram_pair(self.network)
        clock = self.network.clock
        near, far = (
            KcpLeg(each, KcpSession(1, options, clock.seconds()), self.network, clock)
            for each, options in zip(below, (FRP_CLIENT, FRP_SERVER), strict=True)
        )
        return near, far

    async def until(self, condition: Callable[[], Any]) -> None:
        for _ in range(MOST_PAUSES):
            if condition():
                return
            self.network.advance(PAUSE_S)
        await super().until(condition)

    async def rest(self) -> None:
        self.network.advance(MOST_PAUSES * PAUSE_S)


class BackwardsPairs(MuxPairs):
    """The same, seen from the accepting side."""

    backwards = True


class MuxLegTests(MuxPairs, LegTests, TestCase):
    """Streams that were opened."""


class AcceptedMuxLegTests(BackwardsPairs, LegTests, TestCase):
    """Streams that were accepted."""


class KcpLegTests(KcpPairs, LegTests, TestCase):
    """Streams of a link over KCP."""


class CopyMuxTests(MuxPairs, ForwarderTests, TestCase):
    """Copying between streams of one link."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()
