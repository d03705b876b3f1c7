"""Tests of prefixes and parity."""

from __future__ import annotations

import random
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp import fec
from relaykit.sansio.kcp.fec import KEPT_GROUPS, PARITY_GAP_S, FecReceiver, FecSender, bare
from relaykit.sansio.kcp.reed_solomon import DATA_SHARDS, SHARDS
from tests import recorded
from tests.sansio.kcp.test_segments import HELLO

PREFIXED_HELLO = bytes.fromhex("00000000f1001f00") + HELLO


def packets(count: int) -> list[bytes]:
    """Segments of various lengths, one for each datagram."""
    chance = random.Random(count)
    return [chance.randbytes(chance.randint(24, 60)) for _ in range(count)]


def sent(sender: FecSender, data: list[bytes], now: float = 0.0, parity: bool = True) -> list[bytes]:
    """The datagrams that they become."""
    return [*sender.wrap(data, parity, now)]


class FecSenderTests(SynchronousTestCase):
    """What goes out."""

    def test_vector(self) -> None:
        """The prefix is that of frp."""
        self.assertEqual(FecSender().wrap([HELLO], True, 0.0), [PREFIXED_HELLO])

    def test_recorded(self) -> None:
        """What frp has put into datagrams becomes the same datagrams again, parity included."""
        connection = next(each for each in recorded.load("v1-kcp").connections if each.number == 2)
        datagrams = [each.data for each in connection.chunks if each.direction == "c2s"]
        data = [bytes(bare(each)) for each in datagrams]
        self.assertEqual(sent(FecSender(), [each for each in data if each]), datagrams)

    def test_together(self) -> None:
        """What goes out together becomes the same as what goes out one by one."""
        data = packets(3 * DATA_SHARDS + 4)
        sender = FecSender()
        one_by_one = [datagram for each in data for datagram in sent(sender, [each])]
        self.assertEqual(sent(FecSender(), data), one_by_one)

    def test_pause(self) -> None:
        """Parity is left out after a pause; the numbers stay in step."""
        sender = FecSender()
        data = packets(2 * DATA_SHARDS)
        first = sent(sender, data[: DATA_SHARDS - 1]) + sent(sender, data[9:10], PARITY_GAP_S)
        self.assertEqual(len(first), DATA_SHARDS)
        second = sent(sender, data[DATA_SHARDS:], PARITY_GAP_S)
        numbers = [int.from_bytes(each[:4], "little") for each in second]
        self.assertEqual(numbers, list(range(SHARDS, 2 * SHARDS)))

    def test_no_parity(self) -> None:
        """Groups that are to have none have none, whatever is said in the middle; numbers stay in step."""
        sender = FecSender()
        data = packets(3 * DATA_SHARDS)
        first = sent(sender, data[:5], parity=False) + sent(sender, data[5:DATA_SHARDS])
        second = sent(sender, data[DATA_SHARDS : DATA_SHARDS + 5])
        second += sent(sender, data[DATA_SHARDS + 5 : 2 * DATA_SHARDS], parity=False)
        self.assertEqual((len(first), len(second)), (DATA_SHARDS, SHARDS))
        self.assertEqual(int.from_bytes(second[0][:4], "little"), SHARDS)
        receiver = FecReceiver()
        got = [each for datagram in second[1:] for each in receiver.receive(datagram)[1]]
        self.assertEqual(got, [data[DATA_SHARDS]])

    def test_wrapping(self) -> None:
        """Numbers begin anew after whole groups."""
        sender = FecSender()
        sender._number = fec._NUMBERS - SHARDS
        datagrams = sent(sender, packets(DATA_SHARDS + 1))
        numbers = [int.from_bytes(each[:4], "little") for each in datagrams]
        self.assertEqual(numbers[-2:], [fec._NUMBERS - 1, 0])


class FecReceiverTests(SynchronousTestCase):
    """What comes in."""

    def test_prefixes(self) -> None:
        """Datagrams pass with and without a prefix; parity has nothing in it."""
        receiver = FecReceiver()
        self.assertEqual(receiver.receive(PREFIXED_HELLO), (HELLO, ()))
        self.assertEqual(receiver.receive(HELLO), (HELLO, ()))
        self.assertEqual(receiver.receive(bytes.fromhex("0a000000f200") + bytes(20)), (b"", ()))
        self.assertEqual(bare(PREFIXED_HELLO), HELLO)
        self.assertEqual(bare(HELLO), HELLO)
        self.assertEqual(bare(bytes.fromhex("0a000000f200") + bytes(20)), b"")

    def test_every_cut(self) -> None:
        """A datagram that is cut off anywhere has nothing in it."""
        for size in range(len(PREFIXED_HELLO)):
            self.assertEqual(FecReceiver().receive(PREFIXED_HELLO[:size]), (b"", ()))

    def test_losses(self) -> None:
        """Three lost datagrams of a group are recovered as soon as ten others are there, once."""
        data = packets(2 * DATA_SHARDS)
        receiver = FecReceiver()
        got: list[bytes] = []
        for position, datagram in enumerate(sent(FecSender(), data)):
            if position not in (0, 4, 9, SHARDS + 2):
                segments, recovered = receiver.receive(memoryview(datagram))
                got += [bytes(segments)] if len(segments) else []
                got += recovered
        self.assertEqual(sorted(got), sorted(data))
        self.assertNotEqual(got, data)

    def test_out_of_step(self) -> None:
        """Groups in which data is where parity should be, as frp's may be, are left alone."""
        data = packets(3 * DATA_SHARDS)
        for shift in range(1, SHARDS):
            receiver = FecReceiver()
            for datagram in sent(FecSender(), data)[1:]:
                number, rest = int.from_bytes(datagram[:4], "little"), datagram[4:]
                shifted = struct.pack("<I", number + shift) + rest
                self.assertEqual(receiver.receive(shifted)[1], ())

    def test_not_a_segment(self) -> None:
        """Recovered bytes that say they are longer than they can be are dropped."""
        receiver = FecReceiver()
        for number in range(1, DATA_SHARDS):
            receiver.receive(struct.pack("<IHH", number, 0xF1, 2))
        self.assertEqual(receiver.receive(struct.pack("<IH", 10, 0xF2) + b"\xff\xff\x00"), (b"", []))

    def test_bounded(self) -> None:
        """However many groups are begun, few are kept: the oldest goes first."""
        receiver = FecReceiver()
        for number in range(0, 100 * SHARDS, SHARDS):
            receiver.receive(struct.pack("<IHH", number, 0xF1, 26) + bytes(24))
        self.assertEqual(len(receiver._groups), KEPT_GROUPS)
        self.assertEqual(min(receiver._groups), 100 - KEPT_GROUPS)

    @given(st.lists(st.binary(max_size=60), max_size=40))
    def test_junk(self, datagrams: list[bytes]) -> None:
        """Nothing raises, whatever comes in whatever order."""
        receiver = FecReceiver()
        for number, each in enumerate(datagrams):
            receiver.receive(each)
            receiver.receive(struct.pack("<IH", number, 0xF1 + number % 2) + each)
