"""Tests of how users are announced to local services."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.client.announcing import UserNotAnnounced, announce, announce_datagrams
from relaykit.interfaces import IDatagramLeg
from relaykit.sansio.parsers.proxy_protocol import make_proxy_header
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.testing.ports import datagram_pair
from relaykit.values import Address, Ended, Origin

USER, PORT = Address("192.0.2.7", 40001), Address("198.51.100.1", 443)
NO_ADDRESS = Origin(Address("example.org", 1))


class StreamTests(SynchronousTestCase):
    """Streams."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.leg, service = self.network.pair()
        self.service = RecordingReceiver(service)

    def test_header(self) -> None:
        """The header is on its way at once, before anybody has said anything."""
        origin = Origin(USER, PORT)
        self.assertIs(announce(self.leg, "v1", origin), self.leg)
        self.network.flush()
        self.assertEqual(self.service.data, make_proxy_header("v1", origin))

    def test_no_header(self) -> None:
        """Without a version there is none."""
        announce(self.leg, "", NO_ADDRESS)
        self.network.flush()
        self.assertEqual(self.service.data, b"")

    def test_no_address(self) -> None:
        """Where there is no header for a user, the service gets nothing of them."""
        self.assertRaises(UserNotAnnounced, announce, self.leg, "v2", NO_ADDRESS)
        self.network.flush()
        self.assertEqual((self.service.data, self.service.lost), (b"", Ended.RESET))


class DatagramTests(SynchronousTestCase):
    """Flows of datagrams."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.leg, self.answers = datagram_pair(self.network)
        self.service = RecordingDatagrams(self.answers)

    def test_header(self) -> None:
        """The first datagram alone begins with the header, which names the service as destination."""
        leg = announce_datagrams(self.leg, "v2", Origin(USER, PORT))
        verifyObject(IDatagramLeg, leg)
        self.assertTrue(leg.send(memoryview(b"first")) and leg.send(b"second") and leg.send(b""))
        self.network.flush()
        header = make_proxy_header("v2", Origin(USER, self.leg.peer), datagrams=True)
        self.assertEqual(self.service.got, [header + b"first", b"second", b""])

    def test_dropped(self) -> None:
        """A datagram that is too long with the header is dropped; the next one has it."""
        leg = announce_datagrams(self.leg, "v1", Origin(USER))
        self.assertFalse(leg.send(bytes(65_507)))
        self.assertTrue(leg.send(b"next"))
        self.network.flush()
        self.assertEqual((self.service.got, leg.dropped), ([b"PROXY UNKNOWN\r\nnext"], 1))

    def test_answers(self) -> None:
        """What the service sends comes as it is, and the leg is that of the service in all else."""
        leg = announce_datagrams(self.leg, "v2", Origin(USER))
        user = RecordingDatagrams(leg)
        leg.pause()
        leg.resume()
        self.answers.send(b"answer")
        self.network.flush()
        self.assertEqual((user.got, leg.peer, leg.host), ([b"answer"], self.leg.peer, self.leg.host))
        leg.close()
        self.network.flush()
        self.assertIsNotNone(user.lost)

    def test_no_header(self) -> None:
        """Without a version there is none, nor a leg in between."""
        self.assertIs(announce_datagrams(self.leg, "", NO_ADDRESS), self.leg)

    def test_no_address(self) -> None:
        """Where there is no header for a user, the flow ends."""
        self.assertRaises(UserNotAnnounced, announce_datagrams, self.leg, "v2", NO_ADDRESS)
        self.network.flush()
        self.assertIsNotNone(self.service.lost)
