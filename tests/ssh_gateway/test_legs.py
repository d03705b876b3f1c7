"""Tests for :mod:`relaykit.ssh_gateway.legs`: channels as legs."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IStreamLeg
from relaykit.ssh_gateway.connection import Forward
from relaykit.ssh_gateway.legs import (
    EXTRA_CREDIT_BYTES,
    INITIAL_WINDOW_BYTES,
    MAX_WINDOW_BYTES,
    PACKET_BYTES,
    ChannelLeg,
    Credit,
)
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Ended, Origin
from tests.ssh_gateway.scene import GatewayScene, Service, Ssh

USER = Origin(Address("198.51.100.1", 5))


class ChannelScene(GatewayScene):
    """A client that was let in, and channels to it."""

    def __init__(self, folder: str, **given: Any) -> None:
        super().__init__(folder)
        self.client: Ssh = self.ssh("tcp -n web -r 6000 -t tok", **given)
        (gateway_client,) = self.gateway._clients
        connection = gateway_client._connection
        assert connection is not None
        self.connection = connection

    def channel(self) -> tuple[ChannelLeg, Service]:
        """A new channel: the gateway's leg, and what the client has of it."""
        opening: Deferred[Any] = self.connection.open_leg(Forward(b"", 80), USER)
        self.flush()
        legs: list[Any] = []
        opening.addBoth(legs.append)
        leg = legs[0]
        assert isinstance(leg, ChannelLeg), leg
        return leg, self.client.services[-1]


class ChannelTests(SynchronousTestCase):
    """Tests for single channels."""

    def setUp(self) -> None:
        self.scene = ChannelScene(self.mktemp())
        self.leg, self.service = self.scene.channel()
        self.user = RecordingReceiver(self.leg)

    def test_both_ways(self) -> None:
        """Bytes pass whole and in order, in packets that every peer takes, whatever their pieces were."""
        sent = bytes(range(256)) * 1000
        self.leg.write(memoryview(bytearray(sent)))
        self.leg.write_sequence([b"one ", b"two"])
        self.service.write(sent)
        self.scene.flush()
        self.assertEqual((self.service.got == sent + b"one two", self.user.data == sent), (True, True))

    def test_client_does_not_read(self) -> None:
        """Who writes to a client that takes nothing is paused, and goes on when it does."""
        conn: Any = self.service.conn
        self.patch(conn, "adjustWindow", lambda channel, count: None)
        producer = RecordingProducer()
        self.leg.registerProducer(producer, True)
        written = 0
        while not producer.paused:
            self.leg.write(bytes(PACKET_BYTES))
            self.scene.flush()
            written += PACKET_BYTES
            self.assertLess(written, 1024 * 1024)
        self.assertLess(len(self.service.got), written)
        type(conn).adjustWindow(conn, self.service, 1024 * 1024)
        self.scene.flush()
        self.assertEqual((len(self.service.got), producer.paused), (written, False))

    def test_user_does_not_read(self) -> None:
        """A client may send one window for a user who takes nothing, and goes on when they do."""
        self.leg.pauseProducing()
        self.service.write(bytes(4 * INITIAL_WINDOW_BYTES))
        self.scene.flush()
        self.assertEqual(len(self.service.buf), 3 * INITIAL_WINDOW_BYTES)
        self.leg.resumeProducing()
        self.scene.flush()
        self.assertEqual(len(self.user.data), 4 * INITIAL_WINDOW_BYTES)

    def test_widened(self) -> None:
        """The window of a channel whose user keeps up gets wider, to a bound; what it had is given back."""
        for _ in range(20):
            self.service.write(bytes(MAX_WINDOW_BYTES))
            self.scene.flush()
        self.assertEqual(self.scene.connection.credit.extra_bytes, MAX_WINDOW_BYTES - INITIAL_WINDOW_BYTES)
        self.leg.abort()
        self.assertEqual(self.scene.connection.credit.extra_bytes, 0)

    def test_more_than_the_window(self) -> None:
        """A client that sends more than it may breaks the rules, and is let go."""
        self.leg.pauseProducing()
        self.service.remoteWindowLeft += 1
        self.service.write(bytes(INITIAL_WINDOW_BYTES + 1))
        self.scene.flush()
        self.assertTrue(self.scene.client.is_lost)

    def test_ends(self) -> None:
        """Each direction ends by itself; then the channel is closed."""
        self.leg.write(b"all")
        self.leg.finish_writing()
        self.scene.flush()
        self.assertEqual((self.service.got, self.service.has_ended, self.user.lost), (b"all", True, None))
        conn: Any = self.service.conn
        conn.sendEOF(self.service)
        self.scene.flush()
        self.assertEqual((self.user.ended, self.user.lost), (True, Ended.FINISHED))
        conn.sendClose(self.service)
        self.scene.flush()
        self.assertTrue(self.service.is_closed)
        self.assertEqual(self.scene.connection.channels, {0: self.scene.connection.terminal})

    def test_closed_by_client(self) -> None:
        """A channel that the client closes before it has ended is one that was cut."""
        conn: Any = self.service.conn
        conn.sendClose(self.service)
        self.scene.flush()
        self.assertIs(self.user.lost, Ended.RESET)
        self.assertTrue(self.leg.is_gone)

    def test_closed_by_user(self) -> None:
        """Closing sends what was written; it ends also where the client does not take it."""
        for taken, reason in ((True, Ended.FINISHED), (False, Ended.TIMEOUT)):
            leg, service = self.scene.channel()
            user = RecordingReceiver(leg)
            if not taken:
                conn: Any = service.conn
                self.patch(conn, "adjustWindow", lambda channel, count: None)
            leg.write(bytes(1024 * 1024))
            self.scene.flush()
            leg.close()
            leg.write(b"ignored")
            self.scene.advance(FLUSH_LINGER_S + 1)
            self.assertIs(user.lost, reason)
            self.assertEqual(len(service.got) == 1024 * 1024, taken)

    def test_aborted(self) -> None:
        """A leg that is dropped leaves nothing behind."""
        self.leg.write(b"lost")
        self.leg.abort()
        self.scene.flush()
        self.assertIs(self.user.lost, Ended.CANCELLED)
        conn: Any = self.service.conn
        conn.sendClose(self.service)
        self.scene.flush()
        self.assertEqual(self.scene.connection.channels, {0: self.scene.connection.terminal})

    def test_client_gone(self) -> None:
        """All legs of a client that is gone are lost."""
        self.scene.client.leg.abort()
        self.scene.flush()
        self.assertIs(self.user.lost, Ended.RESET)

    def test_provides(self) -> None:
        """It is a leg."""
        self.assertTrue(IStreamLeg.providedBy(self.leg))
        self.assertIn("198.51.100.1", repr(self.leg))


class OpeningTests(SynchronousTestCase):
    """Tests for channels that do not come to be."""

    def test_refused(self) -> None:
        """What the client says is told."""
        scene = ChannelScene(self.mktemp(), serves=False)
        opening = scene.connection.open_leg(Forward(b"", 80), USER)
        scene.flush()
        self.assertIn("unknown channel", str(self.failureResultOf(opening, ConnectionFailed).value))
        self.flushLoggedErrors()  # of the client's own library

    def test_given_up(self) -> None:
        """A channel that nobody waits for any more is closed as soon as it is open."""
        scene = ChannelScene(self.mktemp())
        opening = scene.connection.open_leg(Forward(b"", 80), USER)
        opening.addErrback(lambda _: None)
        opening.cancel()
        scene.flush()
        (service,) = scene.client.services
        conn: Any = service.conn
        conn.sendClose(service)
        scene.flush()
        self.assertEqual(scene.connection.channels, {0: scene.connection.terminal})

    def test_tiny_packets(self) -> None:
        """A client that wants its bytes one by one gets none."""
        scene = ChannelScene(self.mktemp())
        scene.client.packet = 1
        leg, _ = scene.channel()
        self.assertTrue(leg.is_gone)


class CreditTests(SynchronousTestCase):
    """Tests for what all channels of a client share."""

    def test_bounded(self) -> None:
        """There is no more for all together than the bound."""
        credit = Credit()
        growth = [credit.widened(MAX_WINDOW_BYTES // 2) for _ in range(100)]
        self.assertEqual(sum(growth), EXTRA_CREDIT_BYTES)
        self.assertEqual((growth[0], growth[-1]), (MAX_WINDOW_BYTES // 2, 0))
        self.assertEqual(credit.widened(MAX_WINDOW_BYTES), 0)
