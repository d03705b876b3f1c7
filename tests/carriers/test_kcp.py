"""Tests of frp's streams over KCP."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from relaykit.carriers.kcp import CONVERSATION, FIRST_WORD_S, KcpAcceptor, KcpDialer, KcpStreams, carrier
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ICarrier, IDatagramLeg, IDatagramStreams, ILegDialer
from relaykit.plugins import Carriers
from relaykit.sansio.kcp.fec import bare
from relaykit.sansio.nat.checks import PeerRole
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import Ended, Secret
from tests.carriers.test_tcp import DialingInMemory
from tests.nat.direct import Hearing
from tests.server.scene import Scene

PORT = 7000


@define(eq=False)
class DialingScene(DialingInMemory):
    """Dials the UDP port of a scene."""

    scene: Scene = field(factory=Scene, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self.network = self.scene.network

    def entropy(self, count: int) -> bytes:
        return self.scene.entropy(count)

    def dial_datagrams(self) -> Deferred[IDatagramLeg]:
        return succeed(self.scene.ports.dial_datagrams(PORT))


class KcpCarrierTests(SynchronousTestCase):
    """Both halves between client and server."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.acceptor = carrier.make_acceptor(None, PORT, self.scene.bind_port)

    def test_found(self) -> None:
        """It is found like anybody's carrier, and keeps what the interfaces say."""
        self.assertIs(Carriers.installed().get("kcp"), carrier)
        verifyObject(ICarrier, carrier)
        verifyClass(ILegDialer, KcpDialer)
        self.assertEqual(carrier.lacks(), "")

    def test_served(self) -> None:
        """What is within a session is looked at as in a connection of the bind port, and each is its own."""
        self.acceptor.startService()
        host = DialingScene(scene=self.scene)
        legs = [self.successResultOf(carrier.make_dialer(None, host).connect()) for _ in range(3)]
        secured = [
            start_tls(self.scene.network, leg, client_context(), server_side=False) for leg in legs[:2]
        ]
        self.scene.advance(1.0)
        self.assertEqual({self.successResultOf(each).tls_version for each in secured}, {"TLSv1.3"})
        self.assertEqual(self.scene.bind_port.pending, 2)
        for leg in legs:
            leg.abort()

    def test_strangers(self) -> None:
        """Junk, what is cut off, and segments that begin no session have nothing kept here."""
        self.acceptor.startService()
        push = b"conv\x51\x00\x00\x02" + bytes(12) + b"\x05\x00\x00\x00\x16\x03\x01\x02\x00"
        later = push[:12] + b"\x01" + push[13:]
        for data in (b"", b"junk", bytes(65507), push[:-1], later, push[:4] + b"\x52" + push[5:]):
            self.scene.ports.dial_datagrams(PORT).send(data)
        self.scene.advance(1.0)
        self.assertEqual(self.scene.bind_port.pending, 0)
        self.scene.ports.dial_datagrams(PORT).send(push)
        self.scene.advance(1.0)
        self.assertEqual(self.scene.bind_port.pending, 1)

    def test_port(self) -> None:
        """Without a port nothing is opened, and it is closed at the end."""
        for port, is_open in ((0, False), (PORT, True)):
            acceptor = KcpAcceptor(port, self.scene.bind_port)
            acceptor.startService()
            if is_open:
                self.scene.ports.dial_datagrams(PORT)
            acceptor.stopService()
            self.assertRaises(ConnectionFailed, self.scene.ports.dial_datagrams, PORT)


class KcpStreamsTests(SynchronousTestCase):
    """Both ends of a path."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.below = datagram_pair(self.network)
        self.hearing = [Hearing(), Hearing()]
        self.streams = KcpStreams(self.network, self.network.clock)
        verifyObject(IDatagramStreams, self.streams)

    def open(self, place: int) -> Deferred[Any]:
        """One end opens its streams; the first one is the visitor."""
        role = tuple(PeerRole)[place]
        return self.streams.open_path(self.below[place], role, Secret("secret"), self.hearing[place])

    def test_streams(self) -> None:
        """Both ends open streams to each other; when one closes the path the other one is told."""
        opened = [self.open(0), self.open(1)]
        self.network.advance(0.1)
        paths = [self.successResultOf(each) for each in opened]
        for near, far in ((0, 1), (1, 0)):
            leg = self.successResultOf(paths[near].open_leg(False))
            leg.attach(Hearing())
            leg.write(b"hello")
            self.network.advance(0.1)
            self.assertEqual(b"".join(self.hearing[far].heard), b"hello")
        lost = paths[1].when_lost()
        paths[0].close()
        self.network.advance(5.0)
        self.assertIsNotNone(self.successResultOf(lost))

    def test_late(self) -> None:
        """The peer may come later."""
        opened = self.open(0)
        self.network.advance(FIRST_WORD_S - 1)
        self.assertNoResult(opened)
        self.open(1)
        self.network.advance(0.9)
        self.successResultOf(opened)

    def test_silent(self) -> None:
        """A peer that says nothing is waited for so long, and nothing is left then."""
        below = RecordingDatagrams(self.below[1])
        opened = self.open(0)
        self.network.advance(FIRST_WORD_S + 0.1)
        error = self.failureResultOf(opened, ConnectionFailed)
        self.assertIn("silent", str(error.value))
        self.assertEqual(below.lost, Ended.FINISHED)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])
        for each in below.got:
            self.assertIn(bytes(bare(each))[:4], (b"", CONVERSATION.to_bytes(4, "little")))

    def test_lost(self) -> None:
        """A way that is lost before fails at once."""
        opened = self.open(0)
        self.below[0].cut()
        self.network.flush()
        error = self.failureResultOf(opened, ConnectionFailed)
        self.assertIn("gone", str(error.value))
        self.network.advance(FIRST_WORD_S)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Whoever gives up leaves nothing open."""
        below = RecordingDatagrams(self.below[1])
        opened = self.open(0)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.network.flush()
        self.assertEqual((below.lost, self.network.clock.getDelayedCalls()), (Ended.FINISHED, []))
