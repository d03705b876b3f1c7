"""Tests of ports in memory."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.listening import PortInUse
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IDatagramAcceptor, IDatagramLeg, ILegAcceptor, IListeningPort
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.testing.ports import MemoryPorts, datagram_pair
from relaykit.values import Address, Ended, Origin

SOURCE = Address("203.0.113.9", 4000)


@implementer(ILegAcceptor, IDatagramAcceptor)
class Accepted:
    """Keeps what a port gave it."""

    def __init__(self) -> None:
        self.legs: list[Any] = []

    def leg_accepted(self, leg: Any, origin: Origin) -> None:
        """Keeps it."""
        self.legs.append((leg, origin))


class MemoryPortsTests(SynchronousTestCase):
    """Tests for opening, dialing and closing."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.ports = MemoryPorts(self.network)
        self.accepted = Accepted()

    def test_stream(self) -> None:
        """Who dials an open port is connected with it, from the address that the test names."""
        port = self.ports.listen("0.0.0.0", 6000, self.accepted)
        verifyObject(IListeningPort, port)
        user = self.ports.dial(6000, SOURCE)
        ((leg, origin),) = self.accepted.legs
        self.assertEqual(dict(self.ports), {6000: self.accepted})
        self.assertEqual((origin.source, leg.peer, user.host), (SOURCE, SOURCE, SOURCE))
        received = RecordingReceiver(leg)
        user.write(b"hello")
        self.network.flush()
        self.assertEqual(received.data, b"hello")

    def test_datagrams(self) -> None:
        """A UDP port is apart from the TCP port of this number, and its users are legs with an origin."""
        self.ports.listen("0.0.0.0", 6000, Accepted())
        self.assertRaises(ConnectionFailed, self.ports.dial_datagrams, 6000)
        self.ports.listen_datagrams("0.0.0.0", 6000, self.accepted)
        self.assertRaises(PortInUse, self.ports.listen_datagrams, "0.0.0.0", 6000, self.accepted)
        user = self.ports.dial_datagrams(6000, SOURCE)
        ((leg, origin),) = self.accepted.legs
        self.assertEqual(origin.source, SOURCE)
        received = RecordingDatagrams(leg)
        user.send(b"hello")
        self.network.flush()
        self.assertEqual(received.got, [b"hello"])

    def test_closed_with_users(self) -> None:
        """With a UDP port its legs are lost, at both ends."""
        port = self.ports.listen_datagrams("0.0.0.0", 6000, self.accepted)
        user = RecordingDatagrams(self.ports.dial_datagrams(6000))
        ((leg, _),) = self.accepted.legs
        received = RecordingDatagrams(leg)
        port.close()
        self.network.flush()
        self.assertEqual((received.lost, user.lost), (Ended.STOPPED, Ended.STOPPED))

    def test_closed(self) -> None:
        """A port that was closed is free; closing it again does not close who has it by then."""
        first = self.ports.listen("0.0.0.0", 6000, self.accepted)
        self.assertRaises(PortInUse, self.ports.listen, "0.0.0.0", 6000, self.accepted)
        first.close()
        self.assertRaises(ConnectionFailed, self.ports.dial, 6000)
        self.ports.listen("0.0.0.0", 6000, self.accepted)
        first.close()
        self.assertEqual(list(self.ports), [6000])

    def test_picked(self) -> None:
        """Port 0 picks a free one, time and again."""
        picked = [self.ports.listen("0.0.0.0", 0, self.accepted).address.port for _ in range(3)]
        self.assertEqual(picked, list(self.ports))
        self.assertEqual(len(set(picked)), 3)

    def test_datagram_pair(self) -> None:
        """Both ends of a pair are datagram legs; datagrams arrive whole, empty ones too."""
        near, far = datagram_pair(self.network)
        verifyObject(IDatagramLeg, near)
        received = RecordingDatagrams(far)
        for datagram in (b"one", b"", b"three"):
            near.send(datagram)
        self.network.flush()
        self.assertEqual(received.got, [b"one", b"", b"three"])
