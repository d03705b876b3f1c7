"""Tests of the datagrams of a QUIC connection."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.carriers.quic.adapter import Library
from relaykit.carriers.quic.frames import MOST_EARLY_FRAMES, MOST_FRAMES, MOST_QUEUED_FRAMES
from relaykit.interfaces import IAccompaniedLeg, IDatagramLeg, ISizedDatagramLeg
from relaykit.testing.memory import RecordingDatagrams
from relaykit.values import Ended
from tests.carriers.quic.lines import Ends, libraries, missing
from tests.carriers.quic.port_net import Net


class QuicDatagramLegTests(SynchronousTestCase):
    """Both ends of a connection."""

    skip = missing()

    def setUp(self) -> None:
        self.ends = Ends(libraries()[0]).open()
        self.addCleanup(self.ends.close)
        self.here, self.there = (path.datagrams() for path in self.ends.paths)

    def test_provides(self) -> None:
        """It is a datagram leg, always the same one, and tells how much it can carry."""
        verifyObject(IDatagramLeg, self.here)
        self.assertIs(self.ends.paths[0].datagrams(), self.here)
        self.assertGreater(self.here.most_bytes, 1100)

    def test_both_ways(self) -> None:
        """Datagrams pass whole, empty ones too; those that come before there is a receiver are held."""
        most = self.here.most_bytes
        for data in (b"one", b"", bytes(most)):
            self.assertTrue(self.here.send(data))
        self.ends.rest()
        received = RecordingDatagrams(self.there)
        self.assertEqual(sorted(map(len, received.got)), [0, 3, most])
        back = RecordingDatagrams(self.here)
        self.there.send(bytearray(b"back"))
        self.ends.rest()
        self.assertEqual(back.got, [b"back"])

    def test_each_library(self) -> None:
        """They pass with each library at either end."""
        for one in libraries():
            for two in libraries():
                ends = Ends(one, two).open()
                received = RecordingDatagrams(ends.paths[1].datagrams())
                ends.paths[0].datagrams().send(b"x")
                ends.rest()
                self.assertEqual(received.got, [b"x"])
                ends.close()

    def test_too_large(self) -> None:
        """One that no packet carries is dropped and counted."""
        self.assertFalse(self.here.send(bytes(self.here.most_bytes + 1)))
        self.assertEqual(self.here.dropped, 1)

    def test_too_many(self) -> None:
        """What the network is thought not to carry is dropped and counted, not queued."""
        taken = sum(self.here.send(bytes(1000)) for _ in range(3 * MOST_FRAMES))
        self.assertEqual((taken, self.here.dropped), (MOST_FRAMES, 2 * MOST_FRAMES))
        self.ends.rest()
        self.assertTrue(self.here.send(b"x"))

    def test_asked_once(self) -> None:
        """What the connection takes is asked once for all that waits, and again after that was sent."""
        asked: list[str] = []
        connection = type(self.ends.paths[0].connection)
        for name in ("most_frame_bytes", "congested"):
            original = getattr(connection, name)

            def look(connection: Any, name: str = name, original: Any = original) -> Any:
                asked.append(name)
                return original.fget(connection)

            self.patch(connection, name, property(look))
        for _ in range(2):
            asked.clear()
            self.assertEqual([self.here.send(b"x") for _ in range(10)], [True] * 10)
            self.assertEqual(asked, ["most_frame_bytes", "congested"])
            self.ends.rest()

    def test_closed(self) -> None:
        """Closing the leg tells its receiver, and leaves the connection as it is."""
        received = RecordingDatagrams(self.here)
        self.here.close()
        self.assertFalse(self.here.send(b"x"))
        self.ends.rest()
        self.assertIs(received.lost, Ended.FINISHED)
        self.assertTrue(self.ends.leg())

    def test_path_lost(self) -> None:
        """With the connection it is lost, and nothing can be sent."""
        received = RecordingDatagrams(self.there)
        self.ends.close()
        self.assertEqual(self.here.most_bytes, 0)
        self.assertFalse(self.here.send(b"x"))
        self.assertIsNotNone(received.lost)


class BesidesTests(SynchronousTestCase):
    """The datagrams of each stream, between a client and a server."""

    skip = missing()

    def connected(self, one: Library, two: Library) -> tuple[Any, Any]:
        """A leg of a client, and the server's end of it."""
        net = self.net = Net(two)
        net.service.startService()
        net.echoing = False
        opening = net.dial(one)
        net.until(lambda: opening.called)
        path: Any = self.successResultOf(opening)
        leg = self.successResultOf(path.open_leg())
        leg.write(b"x")
        net.until(lambda: net.unread)
        self.addCleanup(net.rest, 5.0)
        self.addCleanup(path.close)
        return leg, net.unread[0]

    def test_each_library(self) -> None:
        """They pass both ways, as large as is said, with each library at either end."""
        for one in libraries():
            for two in libraries():
                legs = self.connected(one, two)
                got = [RecordingDatagrams(leg.beside) for leg in legs]
                for leg in legs:
                    verifyObject(IAccompaniedLeg, leg)
                    verifyObject(ISizedDatagramLeg, leg.beside)
                    self.assertGreater(leg.beside.most_bytes, 1100)
                    for data in (b"", bytes(leg.beside.most_bytes)):
                        self.assertTrue(leg.beside.send(data))
                    self.assertFalse(leg.beside.send(bytes(leg.beside.most_bytes + 1)))
                    self.assertEqual(leg.beside.dropped, 1)
                self.net.rest(1.0)
                self.assertEqual([len(each.got) for each in got], [2, 2])

    def test_early(self) -> None:
        """What comes before its receiver is kept, as far as there is room for all; nonsense is dropped."""
        here, there = self.connected(libraries()[0], libraries()[0])
        for number in range(MOST_EARLY_FRAMES):
            here.beside.send(b"%d" % number)
        self.net.rest(1.0)
        besides = self.net.paths[0]._besides
        besides.datagram_received(b"\0\0\0\x63another stream")
        besides.datagram_received(b"\0")
        self.assertEqual(besides.dropped, 2)
        self.assertEqual(RecordingDatagrams(there.beside).got[0], b"1")

    def test_stream_over(self) -> None:
        """With the stream they are over, and nothing is kept of them."""
        here, there = self.connected(libraries()[0], libraries()[0])
        received = RecordingDatagrams(there.beside)
        beside = here.beside
        here.abort()
        self.net.rest(1.0)
        self.assertIs(received.lost, Ended.FINISHED)
        self.assertFalse(beside.send(b"x"))
        self.assertEqual((here.beside, there.beside), (None, None))
        self.assertEqual(self.net.paths[0]._besides._legs, {})

    def test_beside_a_transfer(self) -> None:
        """While streams fill the network a few wait for room, before all streams; more are dropped."""
        for library in libraries():
            here, there = self.connected(library, library)
            got = RecordingDatagrams(there.beside)
            here.write(bytes(4_000_000))
            there.resumeProducing()
            self.net.until(lambda here=here: here._path.connection.congested)
            taken = sum(here.beside.send(b"x") for _ in range(2 * MOST_QUEUED_FRAMES))
            self.assertEqual((taken, here.beside.dropped), (MOST_QUEUED_FRAMES, MOST_QUEUED_FRAMES))
            self.net.rest(0.5)
            self.assertEqual(len(got.got), MOST_QUEUED_FRAMES)

    def test_none(self) -> None:
        """Streams of direct paths and of frp's have none, and what frp's end sends beside them is dropped."""
        for frp in (False, True):
            ends = Ends(libraries()[0], frp=frp).open()
            self.assertIsNone(ends.leg().beside)  # type: ignore[attr-defined]  # it is one of QUIC
            ends.close()
        ends.paths[0]._frame_received(None)
