"""Lanes over direct paths: a stream in memory, and datagrams beside it."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.path_lanes import PathLane
from relaykit.interfaces import IDatagramLane
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.values import MOST_DATAGRAM_BYTES, Address, Ended
from tests.dataplane.fakes import AcceptingDatagrams

ALICE, BOB = Address("203.0.113.9", 40000), Address("2001:db8::5", 1)


class Sized:
    """A datagram leg that takes no more than so many bytes, and keeps count."""

    def __init__(self, leg: Any, most_bytes: int) -> None:
        self.leg = leg
        self.most_bytes = most_bytes
        self.sent: list[bytes] = []
        self.attach = leg.attach
        self.pause = leg.pause
        self.resume = leg.resume

    def send(self, data: bytes) -> bool:
        """Passes it on."""
        self.sent.append(data)
        return bool(self.leg.send(data))


class PathLaneTests(SynchronousTestCase):
    """A lane, from the users' end to the service's."""

    def setUp(self) -> None:
        self.network = MemoryNetwork(clock=Clock())
        self.stream, far = self.network.pair()
        here, there = datagram_pair(self.network)
        self.beside, self.there = Sized(here, 1200), there
        self.accepting = AcceptingDatagrams()
        beside: Any = self.beside
        other: Any = Sized(there, 1200)
        self.users = PathLane(self.network, self.stream, beside, self.fail)
        self.service = PathLane(self.network, far, other, self.fail)
        self.users.start()
        self.service.start(self.accepting)

    def test_interface(self) -> None:
        """It is a lane."""
        verifyObject(IDatagramLane, self.users)

    def test_both_ways(self) -> None:
        """Datagrams of several users pass beside the stream, each to whom it is for; empty ones, too."""
        legs = [self.users.open(user) for user in (ALICE, BOB)]
        back = [RecordingDatagrams(leg) for leg in legs]
        for leg in legs:
            for data in (b"one", b""):
                self.assertTrue(leg.send(data))
        self.network.flush()
        self.assertEqual([each.source for each in self.accepting.origins], [ALICE, BOB])
        for leg, got in zip(self.accepting.legs, back, strict=True):
            self.assertEqual(RecordingDatagrams(leg).got, [b"one", b""])
            leg.send(str(leg.peer).encode())
            self.network.flush()
            self.assertEqual(got.got, [str(leg.peer).encode()])
        self.assertEqual(len(self.beside.sent), 4)

    def test_large(self) -> None:
        """What has no room there goes by the stream, whole."""
        leg = self.users.open(ALICE)
        sizes = [1200 - 7, 1200 - 6, MOST_DATAGRAM_BYTES]
        for size in sizes:
            self.assertTrue(leg.send(bytes(size)))
        self.network.flush()
        (accepted,) = self.accepting.legs
        self.assertEqual(sorted(map(len, RecordingDatagrams(accepted).got)), sizes)
        self.assertEqual([len(data) for data in self.beside.sent], [1200])

    def test_nobody(self) -> None:
        """A datagram that belongs to nobody is dropped and counted; the lane goes on."""
        for data in (b"", b"\x04", b"\x44" + bytes(30), b"\x00", b"\x06" + bytes(21)):
            self.beside.leg.send(data)
        self.network.flush()
        self.assertEqual((self.service.dropped, self.accepting.legs), (5, []))
        self.users.open(ALICE).send(b"x")
        self.network.flush()
        self.assertEqual(len(self.accepting.legs), 1)

    def test_gone(self) -> None:
        """A user whose leg is closed is over at the other end, too; what comes for them is dropped."""
        leg = self.users.open(ALICE)
        leg.send(b"x")
        self.network.flush()
        (accepted,) = self.accepting.legs
        received = RecordingDatagrams(accepted)
        leg.close()
        self.network.flush()
        self.assertIs(received.lost, Ended.FINISHED)
        self.assertEqual((self.users.users, self.service.users), (0, 0))

    def test_answer_to_nobody(self) -> None:
        """An answer to a user who is gone is dropped."""
        leg = self.users.open(ALICE)
        leg.send(b"x")
        self.network.flush()
        self.users._sources.legs.clear()
        self.accepting.legs[0].send(b"answer")
        self.network.flush()
        self.assertEqual(self.users.dropped, 1)

    def test_stream_lost(self) -> None:
        """With the stream the lane is lost; a datagram that arrives then is nobody's."""
        leg = self.users.open(ALICE)
        received = RecordingDatagrams(leg)
        self.stream.abort()
        self.network.flush()
        self.assertIsNotNone(received.lost)
        self.assertFalse(leg.send(b"x"))
        self.beside.leg.send(b"\x04" + bytes(6))
        self.network.flush()
        self.assertEqual(self.accepting.legs, [])
