"""Tests of legs that speak two formats of a lane; what becomes of datagrams is in tests/sansio/lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.transcoding import transcoded
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.lanes.frp import MessageCodec
from relaykit.sansio.wire.framing import V1, V2
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import MOST_DATAGRAM_BYTES, Address

USER = Address("192.0.2.1", 5)


def older() -> MessageCodec:
    """One end of frp's format in version 1 of its wire."""
    return MessageCodec(V1, MOST_DATAGRAM_BYTES)


def heard(codec: LaneCodec, received: RecordingReceiver) -> Sequence[tuple[Any, bytes]]:
    """The datagrams that came."""
    return [(codec.user_of(key), bytes(data or b"")) for key, data in codec.receive(received.data)]


class TranscodingLegTests(SynchronousTestCase):
    """What passes such a leg, and what becomes of the rest."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.visitor, lower = self.network.pair()
        self.leg = transcoded(lower, BinaryCodec(), older())

    def test_same_format(self) -> None:
        """Where both ends have the same format the leg itself is the answer."""
        leg, _ = self.network.pair()
        for make in (BinaryCodec, older):
            self.assertIs(transcoded(leg, make(), make()), leg)
        newer = MessageCodec(V2, MOST_DATAGRAM_BYTES)
        self.assertIsNot(transcoded(leg, newer, older()), leg)

    def test_both_ways(self) -> None:
        """Its peer reads and writes one format, whoever has it the other one."""
        near, far = BinaryCodec(), older()
        here, there = RecordingReceiver(self.leg), RecordingReceiver(self.visitor)
        self.visitor.write(near.encode(near.key_of(USER), b"question"))
        self.leg.write(far.encode(far.key_of(USER), b"answer"))
        self.network.flush()
        self.assertEqual(heard(far, here), [(USER, b"question")])
        self.assertEqual(heard(near, there), [(USER, b"answer")])

    def test_dropped(self) -> None:
        """Datagrams without room in the other format are dropped and counted, and told of once."""
        near, far = BinaryCodec(), older()
        received = RecordingReceiver(self.leg)
        with capturedLogs() as logged:
            for size in (20_000, 30_000, 5):
                self.visitor.write(near.encode(near.key_of(USER), bytes(size)))
            self.network.flush()
        self.assertEqual([data for _, data in heard(far, received)], [bytes(5)])
        self.assertEqual(len(logged), 1)
        self.assertIn("20000 bytes", logged[0]["reason"])

    def test_broken(self) -> None:
        """Junk from either side ends the leg, with a word in the log and without a defect."""
        for junk_from_peer in (True, False):
            self.setUp()
            here, there = RecordingReceiver(self.leg), RecordingReceiver(self.visitor)
            with capturedLogs() as logged:
                (self.visitor if junk_from_peer else self.leg).write(b"\x00\x00\xff\xff\xff\xff\xff\xff\xff")
                self.network.flush()
            self.assertTrue(here.lost and there.lost)
            self.assertEqual([each["problem"] for each in logged], ["broke-the-rules"])
