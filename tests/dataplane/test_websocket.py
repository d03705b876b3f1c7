"""A leg over WebSocket: what it does beyond what every leg does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase, TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.tls import channel_binding, client_context, server_context, start_tls
from relaykit.dataplane.websocket import END_TIMEOUT_S, SecureWebSocketLeg, WebSocketLeg
from relaykit.interfaces import IForwarder, ISecureLeg, IStreamLeg
from relaykit.sansio.websocket.frames import MOST_FRAMES_AT_ONCE, CloseCode, WebSocket, WebSocketRole
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests, MemoryWaiting
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended
from tests.dataplane.test_tls import signed

PING_S = 30.0


def entropy(count: int) -> bytes:
    """Foreseeable."""
    return bytes(range(1, count + 1))


def core(role: WebSocketRole) -> WebSocket:
    """One end's frames."""
    return WebSocket(role, entropy)


class WebSocketPairs(MemoryWaiting):
    """Makes both ends of connections over legs in memory."""

    roles = (WebSocketRole.CLIENT, WebSocketRole.SERVER)

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two ends of one connection."""
        near, far = (
            WebSocketLeg(below, core(role), self.network.clock)
            for below, role in zip(self.network.pair(), self.roles, strict=True)
        )
        return near, far


class ClientLegTests(WebSocketPairs, LegTests, TestCase):
    """Legs of clients, whose frames are masked."""


class ServerLegTests(WebSocketPairs, LegTests, TestCase):
    """Legs of servers."""

    roles = (WebSocketRole.SERVER, WebSocketRole.CLIENT)


class TlsInsidePairs(WebSocketPairs):
    """Makes ends of TLS sessions inside."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two ends of one session."""
        pair = signed()
        below = await super().make_pair()
        near = start_tls(self.network, below[0], client_context(), server_side=False)
        far = start_tls(self.network, below[1], server_context(pair.certificate, pair.key), server_side=True)
        self.network.flush()
        return await near, await far


class TlsInsideLegTests(TlsInsidePairs, LegTests, TestCase):
    """Legs of TLS inside."""


class CopyWebSocketTests(WebSocketPairs, ForwarderTests, TestCase):
    """Copying to and from such legs."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()


class SecureLegTests(MemoryWaiting, LegTests, TestCase):
    """Legs over TLS."""

    bound = True

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two ends of one connection, each over its end of one session."""
        pair = signed()
        below = self.network.pair()
        near = start_tls(self.network, below[0], client_context(), server_side=False)
        far = start_tls(self.network, below[1], server_context(pair.certificate, pair.key), server_side=True)
        self.network.flush()
        made: list[IStreamLeg] = []
        for waiting, role in ((near, WebSocketRole.CLIENT), (far, WebSocketRole.SERVER)):
            tls = await waiting
            made.append(
                SecureWebSocketLeg(tls, core(role), self.network.clock, secured=tls, bound=self.bound)
            )
        return made[0], made[1]

    async def test_session(self) -> None:
        """What is exported tells the session; nothing is where a proxy may be in between."""
        for self.bound in (True, False):
            near, far = await self.make_pair()
            assert ISecureLeg.providedBy(near)
            self.assertEqual((near.tls_version, near.is_verified, near.broken_by), ("TLSv1.3", False, ""))
            self.assertTrue(near.peer_certificate)
            self.assertEqual(channel_binding(near), channel_binding(far))
            self.assertEqual(bool(channel_binding(near)), self.bound)
            await self.end(near, far)


class WebSocketLegTests(SynchronousTestCase):
    """Tests for what is seen of frames."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.below, far = self.network.pair()
        self.leg = WebSocketLeg(far, core(WebSocketRole.SERVER), self.network.clock, PING_S)
        self.got = RecordingReceiver(self.leg)
        self.peer = RecordingReceiver(self.below)
        self.client = core(WebSocketRole.CLIENT)

    def tell(self, *frames: bytes) -> None:
        """The peer says something."""
        self.below.write(b"".join(frames))
        self.network.flush()

    def test_pings(self) -> None:
        """A ping is answered; but while output is full the last one waits, and only that."""
        self.tell(self.client.ping())
        self.assertEqual(self.peer.data, b"\x8a\x00")
        self.below.pauseProducing()
        full = bytes(1 << 20)
        self.leg.write(full)
        for _ in range(1000):
            self.tell(self.client.ping())
        self.below.resumeProducing()
        self.network.flush()
        self.assertEqual(len(self.peer.data) - len(full), 2 + 10 + 2)
        self.assertTrue(self.peer.data.endswith(b"\x8a\x00"))

    def test_keeping(self) -> None:
        """A peer that says nothing is asked for a sign of life again and again; one that does is not."""
        self.network.advance(PING_S - 1)
        self.assertEqual(self.peer.data, b"")
        self.network.advance(2)
        self.assertEqual(self.peer.data, b"\x89\x00")
        self.tell(*map(bytes, self.client.frame((b"x",))))
        self.network.advance(PING_S)
        self.assertEqual(self.peer.data, b"\x89\x00")
        self.network.advance(2 * PING_S)
        self.assertEqual(self.peer.data, b"\x89\x00" * 3)
        self.leg.abort()
        self.network.flush()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_no_pings(self) -> None:
        """Nobody is asked who is not to be, and nobody any more who was told the end."""
        far = self.network.pair()[1]
        WebSocketLeg(far, core(WebSocketRole.SERVER), self.network.clock).abort()
        self.leg.finish_writing()
        self.network.advance(3 * PING_S)
        self.assertEqual(self.peer.data, b"\x88\x02\x03\xe8")

    def test_broken(self) -> None:
        """A peer that breaks the rules is told so, and both are closed."""
        self.tell(b"\xff\xff")
        self.assertEqual(self.peer.data, b"\x88\x02" + CloseCode.PROTOCOL_ERROR.to_bytes(2, "big"))
        self.assertTrue(self.peer.ended)
        self.below.close()
        self.network.flush()
        self.assertEqual((self.got.lost, self.got.data), (Ended.PROTOCOL_ERROR, b""))

    def test_small_frames(self) -> None:
        """A peer with many small frames gets a part of each turn; nothing overtakes them, nor its end."""
        small = b"".join(map(bytes, self.client.frame((b"x",))))
        many = MOST_FRAMES_AT_ONCE * 3
        other = WebSocketLeg(self.network.pair()[1], core(WebSocketRole.SERVER), self.network.clock)
        got = RecordingReceiver(other)
        other.data_received(small * many)
        self.assertEqual(len(got.data), MOST_FRAMES_AT_ONCE)
        self.leg.data_received(small * many)
        self.tell(self.client.close())
        self.assertEqual(self.got.data, b"x" * many)
        self.assertTrue(self.got.ended)
        self.leg.finish_writing()
        self.below.finish_writing()
        self.network.flush()
        self.assertIs(self.got.lost, Ended.FINISHED)

    def test_many_then_lost(self) -> None:
        """What had arrived before a loss is there."""
        small = b"".join(map(bytes, self.client.frame((b"x",))))
        self.tell(small * (2 * MOST_FRAMES_AT_ONCE))
        self.below.abort()
        self.network.flush()
        self.assertEqual(len(self.got.data), 2 * MOST_FRAMES_AT_ONCE)
        self.assertIs(self.got.lost, Ended.RESET)

    def test_cut(self) -> None:
        """An end without a word of it is a cut."""
        self.below.finish_writing()
        self.network.flush()
        self.assertEqual((self.got.ended, self.got.lost), (False, Ended.RESET))
        self.assertIs(self.peer.lost, Ended.RESET)

    def test_frp_ends(self) -> None:
        """A peer that ends both directions at once, as frp's programs do, is a peer that has finished."""
        self.tell(self.client.close())
        self.assertTrue(self.got.ended)
        self.below.finish_writing()
        self.network.flush()
        self.assertIsNone(self.got.lost)
        self.leg.finish_writing()
        self.network.flush()
        self.assertIs(self.got.lost, Ended.FINISHED)

    def test_end_in_time(self) -> None:
        """Once both ends have closed, a peer that ends nothing below is left after a while."""
        for we_first in (True, False):
            self.setUp()
            steps = [self.leg.finish_writing, lambda: self.tell(self.client.close())]
            for step in steps if we_first else reversed(steps):
                step()
            self.network.advance(END_TIMEOUT_S - 1)
            self.assertEqual((self.got.ended, self.got.lost, self.peer.ended), (True, None, True))
            self.network.advance(2)
            self.assertIs(self.got.lost, Ended.FINISHED)
            self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_one_end(self) -> None:
        """As long as one end may say something there is no such haste."""
        self.leg.finish_writing()
        self.network.advance(10 * END_TIMEOUT_S)
        self.tell(*map(bytes, self.client.frame((b"late",))))
        self.assertEqual((self.got.data, self.got.lost), (b"late", None))

    def test_first_frames(self) -> None:
        """What came right behind the opening is there for whoever asks for the first bytes."""
        near, far = self.network.pair()
        near.write(b"".join(map(bytes, self.client.frame((b"first",)))))
        self.network.flush()
        leg = WebSocketLeg(far, core(WebSocketRole.SERVER), self.network.clock)
        got = RecordingReceiver()
        leg.attach(got)
        self.network.flush()
        self.assertEqual(got.data, b"first")
