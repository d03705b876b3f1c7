"""Tests for :mod:`relaykit.carriers.kcp.carrier`."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from relaykit.carriers.kcp.carrier import KcpAcceptor, KcpDialer, carrier
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ICarrier, IDatagramLeg, ILegDialer
from relaykit.plugins import Carriers
from tests.carriers.test_tcp import DialingInMemory
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
