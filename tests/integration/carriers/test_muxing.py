"""Mux links over real sockets: the conformance suites, and a thousand users who do not read."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole, MuxStreamLeg
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.interfaces import IForwarder, ILegReceiver, IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.sansio.yamux.credit import EXTRA_CREDIT_BYTES
from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests
from relaykit.values import Ended
from tests.dataplane.test_tls import signed
from tests.integration.dataplane.waiting import Accepting, SocketWaiting, reactor, tcp_pair

USERS = 1001

TRANSFER_BYTES = 64 * 1024 * 1024
"""What the only user who reads gets: as much as many windows."""

PIECE = bytes(range(256)) * 256


class MuxPairs(SocketWaiting):
    """Makes streams of one mux link over TCP."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """The end that was opened and the end that was accepted."""
        if not hasattr(self, "near"):
            await self.connect()
        accepted = self.accepting.next()
        opened = await self.near.open_leg(False)
        return opened, await accepted

    async def connect(self) -> None:
        """Starts a link, which is closed when the test is over."""
        here, there = await self.make_lower()
        self.accepting = Accepting()
        self.near = MuxLink(here, MuxRole.CLIENT, self.poller, reactor)
        self.far = MuxLink(there, MuxRole.SERVER, self.poller, reactor)
        self.far.accept_legs(self.accepting)
        self.near.start()
        self.far.start()
        assert isinstance(self, TestCase)
        self.addCleanup(self.disconnect)

    async def disconnect(self) -> None:
        """Closes the link and waits until both ends are gone."""
        lost = [self.near.when_lost(), self.far.when_lost()]
        self.near.close()
        for each in lost:
            await each
        await self.rest()
        self.poller.close()

    def tearDown(self) -> None:
        """The poller is needed until the link is gone."""

    async def make_lower(self) -> tuple[IStreamLeg, IStreamLeg]:
        """What the link runs over."""
        return await tcp_pair(self.poller)


class SecurePairs(MuxPairs):
    """The same over TLS."""

    async def make_lower(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two ends of a TLS session."""
        pair = signed()
        here, there = await tcp_pair(self.poller)
        near = start_tls(self.poller, here, client_context(), server_side=False)
        far = start_tls(self.poller, there, server_context(pair.certificate, pair.key), server_side=True)
        return await near, await far


class MuxLegTests(MuxPairs, LegTests, TestCase):
    """Streams over TCP."""


class SecureMuxLegTests(SecurePairs, LegTests, TestCase):
    """Streams over TLS."""


class CopyMuxTests(MuxPairs, ForwarderTests, TestCase):
    """Copying between streams over TCP."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()


@implementer(ILegReceiver)
class Reading:
    """Counts what it gets, and looks at it."""

    def __init__(self, leg: IStreamLeg) -> None:
        self.count = 0
        self.right = True
        self.done: Deferred[None] = Deferred()
        leg.attach(self)

    def data_received(self, data: Buffer) -> None:
        first = self.count % 256
        end = first + len(data)
        self.right = self.right and data == (PIECE * (1 + end // len(PIECE)))[first:end]
        self.count += len(data)
        if self.count == TRANSFER_BYTES:
            self.done.callback(None)

    def end_received(self) -> None:
        raise AssertionError("nobody ended this")

    def leg_lost(self, reason: Ended) -> None:
        """The link is closed at the end of the test."""


@implementer(ILegReceiver, IPushProducer)
class Writing:
    """Writes as much as the leg takes, up to a limit."""

    def __init__(self, leg: IStreamLeg) -> None:
        self.leg = leg
        self.left = TRANSFER_BYTES
        self.wanted = True
        leg.registerProducer(self, True)
        leg.attach(self)
        self.go_on()

    def go_on(self) -> None:
        """Writes until told to pause."""
        while self.wanted and self.left:
            self.leg.write(PIECE)
            self.left -= len(PIECE)

    def pauseProducing(self) -> None:
        self.wanted = False

    def resumeProducing(self) -> None:
        self.wanted = True
        reactor.callLater(0, self.go_on)

    def stopProducing(self) -> None:
        """Nothing to stop."""

    def data_received(self, data: Buffer) -> None:
        raise AssertionError("nobody answers")

    def end_received(self) -> None:
        raise AssertionError("nobody ended this")

    def leg_lost(self, reason: Ended) -> None:
        self.wanted = False


class StallingTests(MuxPairs, TestCase):
    """Tests for users who do not read."""

    async def test_a_thousand_stalled_streams(self) -> None:
        """All streams of a link but one stop reading: that one gets all it asks for, memory is bounded."""
        pairs = [await self.make_pair() for _ in range(USERS)]
        writers = [Writing(opened) for opened, _ in pairs]
        stalled = [accepted for _, accepted in pairs[:-1]]
        reading = Reading(pairs[-1][1])
        await reading.done
        self.assertTrue(reading.right)
        held = [sum(map(len, leg._held)) for leg in stalled if isinstance(leg, MuxStreamLeg)]
        self.assertEqual(len(held), USERS - 1)
        self.assertEqual(max(held), INITIAL_WINDOW_BYTES)
        self.assertLessEqual(sum(held), (USERS - 1) * INITIAL_WINDOW_BYTES + EXTRA_CREDIT_BYTES)
        self.assertEqual(sum(not writer.left for writer in writers), 1)
