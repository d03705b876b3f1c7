"""Tests of legs by which all of a lane goes, while its peer has datagrams beside the stream."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.dataplane.path_lanes import PathLane
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.uniting import UnitedLeg, united
from relaykit.interfaces import IAccompaniedLeg
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.testing.ports import datagram_pair
from relaykit.values import Address
from tests.dataplane.test_path_lanes import Sized

USER = Address("192.0.2.1", 5)
MOST_BYTES = 1000


class UnitedLegTests(SynchronousTestCase):
    """A leg, and its peer: a stream and what goes beside it."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.stream, lower = self.network.pair()
        here, self.beside = datagram_pair(self.network)
        self.sized = Sized(here, MOST_BYTES)
        sized: Any = self.sized
        self.leg = UnitedLeg(lower, sized)
        self.codec = BinaryCodec()
        self.key = self.codec.key_of(USER)

    def frame(self, data: bytes) -> bytes:
        """One datagram of the user."""
        return self.codec.encode(self.key, data)

    def test_sent(self) -> None:
        """What has room goes beside the stream, the rest by it, however the bytes are cut."""
        there, beside = RecordingReceiver(self.stream), RecordingDatagrams(self.beside)
        RecordingReceiver(self.leg)
        small, large = self.frame(b"small"), self.frame(bytes(MOST_BYTES))
        said = self.codec.keep_alive + small + large + self.codec.gone(self.key)
        for cut in range(len(small) + 4):
            self.leg.write(said[:cut])
            self.leg.write(said[cut:])
        self.network.flush()
        self.assertEqual(set(beside.got), {small[2:]})
        rest = self.codec.keep_alive + large + self.codec.gone(self.key)
        self.assertEqual(there.data, rest * (len(small) + 4))

    def test_received(self) -> None:
        """What comes beside stands between whole frames of the stream; junk is dropped and counted."""
        here = RecordingReceiver(self.leg)
        large = self.frame(bytes(2000))
        self.stream.write(large[:700])
        self.network.flush()
        for data in (self.frame(b"beside")[2:], b"", b"\x04", b"\x44" + bytes(6), b"\x00"):
            self.beside.send(data)
        self.network.flush()
        self.stream.write(large[700:])
        self.network.flush()
        self.assertEqual(here.data, self.frame(b"beside") + large)
        self.assertEqual(self.leg.dropped, 4)

    def test_paused(self) -> None:
        """Who is paused is told nothing, and gets what could be held."""
        here = RecordingReceiver(self.leg)
        self.leg.pauseProducing()
        self.beside.send(self.frame(b"x")[2:])
        self.network.flush()
        self.assertEqual(here.data, b"")
        self.leg.resumeProducing()
        self.network.flush()
        self.assertEqual(here.data, self.frame(b"x"))

    def test_no_room(self) -> None:
        """What the network does not take is dropped and counted."""
        self.sized.send = lambda data: False  # type: ignore[method-assign]  # it is full
        self.leg.write(self.frame(b"x"))
        self.assertEqual(self.leg.dropped, 1)

    def test_broken(self) -> None:
        """Junk from either side ends the leg, with a word in the log."""
        for from_peer in (True, False):
            self.setUp()
            here, there = RecordingReceiver(self.leg), RecordingReceiver(self.stream)
            with capturedLogs() as logged:
                (self.stream if from_peer else self.leg).write(b"\x00\x00\xff\xff")
                self.network.flush()
            self.assertTrue(here.lost and there.lost)
            self.assertEqual([each["problem"] for each in logged], ["broke-the-rules"])

    def test_chosen(self) -> None:
        """A leg is used so where it has datagrams, and the format has them there; so is a lane."""
        plane: Any = DataPlane([], self.network)
        for accompanied, beside, agreed in ((True, True, True), (True, False, True), (False, True, True)):
            lower, _ = self.network.pair()
            leg: Any = _Accompanied(lower, self.sized if beside else None) if accompanied else lower
            codec = BinaryCodec(goes_beside=agreed)
            used = accompanied and beside and agreed
            self.assertEqual(united(leg, codec) is not leg, used)
            if not used:
                self.assertNotIsInstance(plane.lane_over(leg, codec, self.fail), PathLane)
        lower, _ = self.network.pair()
        other: Any = _Accompanied(lower, self.sized)
        self.assertIs(united(other, BinaryCodec()), other)
        self.assertIsInstance(plane.lane_over(other, BinaryCodec(goes_beside=True), self.fail), PathLane)


@implementer(IAccompaniedLeg)
class _Accompanied:
    """A leg with datagrams beside it."""

    def __init__(self, leg: Any, beside: Any) -> None:
        self.beside = beside
        self._leg = leg

    def __getattr__(self, name: str) -> Any:
        return getattr(self._leg, name)
