"""Tests of legs over datagrams, and of the port that accepts them."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.kcp import HIGH_WATER_BYTES, KcpLeg, KcpPort
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.interfaces import (
    IBatchedDatagramLeg,
    IBatchedDatagramReceiver,
    IConnection,
    IDatagramAcceptor,
    ILegAcceptor,
    IStreamLeg,
)
from relaykit.sansio.kcp.options import FRP_CLIENT, FRP_SERVER, FRP_TUNNEL
from relaykit.sansio.kcp.segments import PUSH, pack_header
from relaykit.sansio.kcp.session import UNANSWERED_S, KcpSession
from relaykit.sansio.kcp.sessions import REPLACED_AFTER_S
from relaykit.sansio.nat.path_proof import Exactly
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.testing.ports import MemoryDatagramLeg, datagram_pair
from relaykit.values import Ended, Origin


class KcpLegTests(SynchronousTestCase):
    """Two legs on two datagram legs in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.below = datagram_pair(self.network)
        self.near, self.far = (self.make(each) for each in self.below)

    def make(self, below: MemoryDatagramLeg) -> KcpLeg:
        """A leg on a datagram leg."""
        session = KcpSession(1, FRP_TUNNEL, self.network.clock.seconds())
        return KcpLeg(below, session, self.network, self.network.clock)

    def silence(self) -> None:
        """Lets nothing through any more."""
        for each in self.below:
            each.full = True

    def test_interfaces(self) -> None:
        """It is what it says it is, and knows whom it talks to."""
        verifyObject(IStreamLeg, self.near)
        verifyObject(IConnection, self.near)
        self.assertEqual((self.near.peer, self.near.host), (self.far.host, self.far.peer))
        self.assertIn(str(self.near.peer), repr(self.near))

    def test_both_ways(self) -> None:
        """Bytes pass both ways, all of them, in order."""
        receivers = [RecordingReceiver(self.near), RecordingReceiver(self.far)]
        chance = random.Random(1)
        written = [chance.randbytes(500_000), chance.randbytes(700_000)]
        self.near.write_sequence([written[1][:1000], memoryview(written[1])[1000:], b""])
        self.far.write(bytearray(written[0]))
        self.network.advance(1.0)
        self.assertEqual([each.data for each in receivers], written)
        self.assertEqual((self.near.unconfirmed, self.far.unconfirmed), (0, 0))
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_bad_line(self) -> None:
        """They do where datagrams get lost, too."""
        receiver = RecordingReceiver(self.far)
        for place, below in enumerate(self.below):
            self.lose(below, random.Random(place))
        data = random.Random(2).randbytes(300_000)
        self.near.write(data)
        self.network.advance(20.0)
        self.assertEqual(receiver.data, data)

    def test_together(self) -> None:
        """What goes out in one turn goes by one call, where the leg below has one; so it comes in."""
        below, receiver = self.below[0], RecordingReceiver(self.far)
        batches: list[list[bytes]] = []
        alsoProvides(below, IBatchedDatagramLeg)
        below.send_many = batches.append  # type: ignore[attr-defined]  # it has one now
        near = self.make(below)
        near.write(bytes(10_000))
        self.network.flush()
        (datagrams,) = batches
        self.assertEqual(len(datagrams), 8)
        verifyObject(IBatchedDatagramReceiver, self.far)
        self.far.datagrams_received(datagrams)
        self.network.flush()
        self.assertEqual(receiver.data, bytes(10_000))

    def lose(self, below: MemoryDatagramLeg, chance: random.Random) -> None:
        """Loses a third of what is sent on a leg."""
        send = below.send
        below.send = lambda data: chance.random() < 1 / 3 or send(data)  # type: ignore[method-assign]

    def test_producer(self) -> None:
        """Who writes is paused while much waits, and goes on before all is gone."""
        producer = RecordingProducer()
        self.near.registerProducer(producer, True)
        self.near.write(bytes(HIGH_WATER_BYTES - 1))
        self.assertFalse(producer.paused)
        self.near.write(b"x")
        self.assertTrue(producer.paused)
        self.network.advance(1.0)
        self.assertEqual((producer.paused, producer.pauses), (False, 1))

    def test_paused(self) -> None:
        """Who is paused makes the peer stop, holds what fits into the window, and loses nothing."""
        receiver = RecordingReceiver(self.far)
        self.near.write(b"first")
        self.network.flush()
        self.far.pauseProducing()
        data = random.Random(3).randbytes(3_000_000)
        self.near.write(data)
        self.network.advance(20.0)
        self.assertEqual(receiver.data, b"first")
        unread = len(data) - (self.near.unconfirmed or 0)
        self.assertLess(unread, 1_400_000)
        self.assertGreater(unread, 1_300_000)
        self.far.resumeProducing()
        self.network.advance(2.0)
        self.assertEqual(receiver.data, b"first" + data)

    def test_first_bytes(self) -> None:
        """The first bytes can be looked at before somebody receives the rest."""
        self.near.write(b"helloworld")
        self.network.flush()
        answer = self.far.take(Exactly(5))
        self.network.flush()
        self.assertEqual(self.successResultOf(answer), b"hello")
        receiver = RecordingReceiver(self.far)
        self.network.flush()
        self.assertEqual(receiver.data, b"world")

    def test_close(self) -> None:
        """Closing sends what was written; the peer is not told, and the leg is gone once it has all."""
        near, far = RecordingReceiver(self.near), RecordingReceiver(self.far)
        self.near.write(bytes(500_000))
        self.near.close()
        self.near.close()
        self.near.write(b"too late")
        self.assertIsNone(near.lost)
        self.network.advance(1.0)
        self.assertEqual((len(far.data), near.lost), (500_000, Ended.FINISHED))
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_close_without_peer(self) -> None:
        """What nobody acknowledges is dropped after the linger time."""
        near = RecordingReceiver(self.near)
        self.silence()
        self.near.write(b"data")
        self.near.break_off()
        self.network.advance(FLUSH_LINGER_S - 1)
        self.assertIsNone(near.lost)
        self.network.advance(1)
        self.assertEqual(near.lost, Ended.TIMEOUT)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_finished(self) -> None:
        """After the end of a direction nothing more is sent; the other one goes on."""
        receivers = [RecordingReceiver(self.near), RecordingReceiver(self.far)]
        self.near.write(b"last")
        self.near.finish_writing()
        self.near.write(b"too late")
        self.far.write(b"answer")
        self.network.flush()
        self.assertEqual([each.data for each in receivers], [b"answer", b"last"])

    def test_abort(self) -> None:
        """Dropping a leg is told after the call, and leaves nothing open."""
        near = RecordingReceiver(self.near)
        self.near.write(b"data")
        self.near.abort()
        self.near.abort()
        self.assertIsNone(near.lost)
        self.network.flush()
        self.assertEqual(near.lost, Ended.CANCELLED)
        self.near.close()
        self.near.resumeProducing()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_aborted_while_receiving(self) -> None:
        """A receiver may drop the leg while it gets something."""

        class Dropping(RecordingReceiver):
            def data_received(self, data: object) -> None:
                leg.abort()

        leg = self.far
        receiver = Dropping(leg)
        self.near.write(b"data")
        self.network.flush()
        self.assertEqual(receiver.lost, Ended.CANCELLED)

    def test_dead_peer(self) -> None:
        """A peer that acknowledges nothing is lost after some time."""
        near = RecordingReceiver(self.near)
        self.silence()
        self.near.write(b"data")
        self.network.advance(UNANSWERED_S - 1)
        self.assertIsNone(near.lost)
        self.network.advance(2)
        self.assertEqual(near.lost, Ended.TIMEOUT)

    def test_give_up(self) -> None:
        """Who must always get what he sends through says how long that may take."""
        near = RecordingReceiver(self.near)
        connection: IConnection | None = self.near.connection
        assert connection is not None
        connection.favor_latency()
        connection.give_up_unconfirmed(5.0)
        self.silence()
        self.near.write(b"data")
        self.network.advance(6.0)
        self.assertEqual(near.lost, Ended.TIMEOUT)

    def test_lost_below(self) -> None:
        """What ends below ends the leg for the same reason."""
        near = RecordingReceiver(self.near)
        self.below[0].cut()
        self.network.flush()
        self.assertEqual(near.lost, Ended.RESET)
        self.near.write(b"too late")
        self.network.flush()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])


@implementer(ILegAcceptor)
class Refusing:
    """Drops each leg as soon as it says something."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.peek(Exactly(1)).addCallback(lambda _: leg.abort())


@implementer(ILegAcceptor)
class Accepting:
    """Keeps legs, and what they say."""

    def __init__(self) -> None:
        self.legs: list[IStreamLeg] = []
        self.receivers: list[RecordingReceiver] = []
        self.origins: list[Origin] = []

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self.legs.append(leg)
        self.receivers.append(RecordingReceiver(leg))
        self.origins.append(origin)


class KcpPortTests(SynchronousTestCase):
    """A port and its sources."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.accepting = Accepting()
        self.port = KcpPort(FRP_SERVER, self.accepting, self.network, self.network.clock)
        verifyObject(IDatagramAcceptor, self.port)

    def source(self) -> MemoryDatagramLeg:
        """A new source, from its own point of view."""
        near, far = datagram_pair(self.network)
        self.port.leg_accepted(far, Origin(near.host))
        return near

    def session(self, conversation: int, near: MemoryDatagramLeg) -> KcpLeg:
        """A client on a source."""
        session = KcpSession(conversation, FRP_CLIENT, self.network.clock.seconds())
        return KcpLeg(near, session, self.network, self.network.clock)

    def test_accepted(self) -> None:
        """A source that begins a session becomes a leg, which speaks both ways."""
        near = self.source()
        client = self.session(77, near)
        receiver = RecordingReceiver(client)
        client.write(b"hello")
        self.network.flush()
        (leg,) = self.accepting.legs
        leg.write(b"welcome")
        self.network.flush()
        self.assertEqual((self.accepting.receivers[0].data, receiver.data), (b"hello", b"welcome"))
        self.assertEqual((self.accepting.origins, leg.peer), ([Origin(near.host)], near.host))

    def test_junk(self) -> None:
        """Whatever opens no session costs nothing: its source is let go."""
        for junk in (b"", b"junk", bytes(100), pack_header(7, PUSH, 0, 32, 0, 1, 0, 0)):
            near = self.source()
            source = RecordingDatagrams(near)
            near.send(junk)
            self.network.flush()
            self.assertEqual(source.lost, Ended.FINISHED)
        self.assertEqual((self.accepting.legs, len(self.port.sessions)), ([], 0))

    def test_over(self) -> None:
        """A session that is over is forgotten, with its source."""
        near = self.source()
        source = RecordingDatagrams(near)
        near.send(pack_header(7, PUSH, 0, 32, 0, 0, 0, 0))
        self.network.flush()
        self.accepting.legs[0].abort()
        self.network.flush()
        self.assertEqual((len(self.port.sessions), source.lost), (0, Ended.FINISHED))
        self.assertEqual(self.accepting.receivers[0].lost, Ended.CANCELLED)

    def test_refused(self) -> None:
        """Who is dropped while it speaks has no reason to begin again: what it said has arrived."""
        port = KcpPort(FRP_SERVER, Refusing(), self.network, self.network.clock)
        near, far = datagram_pair(self.network)
        port.leg_accepted(far, Origin(near.host))
        heard = RecordingDatagrams(near)
        client = KcpSession(7, FRP_CLIENT, 0.0)
        client.write(b"not welcome")
        for datagram in client.to_send(0.0):
            near.send(datagram)
        self.network.flush()
        self.assertEqual((len(port.sessions), heard.lost), (0, Ended.FINISHED))
        client.receive_many(heard.got, 0.0)
        self.assertEqual(client.unconfirmed_bytes, 0)

    def test_source_lost(self) -> None:
        """A source that is let go takes its session with it."""
        near = self.source()
        near.send(pack_header(7, PUSH, 0, 32, 0, 0, 0, 0))
        self.network.flush()
        near.other.lose()
        self.network.flush()
        self.assertEqual(len(self.port.sessions), 0)
        self.assertEqual(self.accepting.receivers[0].lost, Ended.STOPPED)

    def test_begun_anew(self) -> None:
        """Who begins another conversation from the same source gets another leg; the silent one is lost."""
        near = self.source()
        self.session(7, near).write(b"one")
        self.network.flush()
        self.network.advance(REPLACED_AFTER_S)
        client = self.session(8, near)
        client.write(b"two")
        self.network.flush()
        first, second = self.accepting.receivers
        self.assertEqual((first.lost, first.data, second.data), (Ended.RESET, b"one", b"two"))
        self.accepting.legs[0].abort()
        self.accepting.legs[1].write(b"still here")
        receiver = RecordingReceiver(client)
        self.network.flush()
        self.assertEqual(receiver.data, b"still here")
