"""The conformance suites on streams of mux links, in memory."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.copying import CopyForwarder
from relaykit.interfaces import IForwarder, IStreamLeg
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests, MemoryWaiting
from tests.carriers.test_muxing import Accepting


class MuxPairs(MemoryWaiting):
    """Makes streams of one mux link over legs in memory."""

    link: MuxLink | None = None
    backwards = False

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """The end that was opened and the end that was accepted."""
        if self.link is None:
            self.link, self.accepting = self._connect()
        opened = await self.link.open_leg(False)
        self.network.flush()
        accepted = self.accepting.legs.pop()
        return (accepted, opened) if self.backwards else (opened, accepted)

    def _connect(self) -> tuple[MuxLink, Accepting]:
        here, there = self.network.pair()
        near = MuxLink(here, MuxRole.CLIENT, self.network, self.network.clock)
        far = MuxLink(there, MuxRole.SERVER, self.network, self.network.clock)
        accepting = Accepting()
        far.accept_legs(accepting)
        near.start()
        far.start()
        return near, accepting


class BackwardsPairs(MuxPairs):
    """The same, seen from the accepting side."""

    backwards = True


class MuxLegTests(MuxPairs, LegTests, TestCase):
    """Streams that were opened."""


class AcceptedMuxLegTests(BackwardsPairs, LegTests, TestCase):
    """Streams that were accepted."""


class CopyMuxTests(MuxPairs, ForwarderTests, TestCase):
    """Copying between streams of one link."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()
