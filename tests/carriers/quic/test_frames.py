"""Tests of the datagrams of a QUIC connection."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.carriers.quic.frames import MOST_FRAMES
from relaykit.interfaces import IDatagramLeg
from relaykit.testing.memory import RecordingDatagrams
from relaykit.values import Ended
from tests.carriers.quic.lines import Ends, libraries, missing


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
