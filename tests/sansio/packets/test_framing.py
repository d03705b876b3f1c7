"""Tests for :mod:`relaykit.sansio.packets.framing`."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.packets.framing import LONGEST_FRAME, MOST_PACKET_BYTES, PacketReader, framed
from relaykit.testing.cuts import feed_every_cut


def taken(portions: Sequence[bytes], most: int = 3) -> tuple[list[bytes], int]:
    """The packets in a stream that comes in these portions, and how many were skipped."""
    reader, found = PacketReader(), []
    for portion in portions:
        reader.receive(portion)
        while reader.has_input:
            found += reader.take(most)
    return [bytes(each) for each in found], reader.skipped


class FramingTests(SynchronousTestCase):
    """Packets on a stream."""

    def test_golden(self) -> None:
        """The length is little endian, and four bytes long."""
        self.assertEqual(framed([b"ab", b"c" * 258]), b"\x02\0\0\0ab\x02\x01\0\0" + b"c" * 258)

    def test_every_cut(self) -> None:
        """Packets are the same however the stream is cut, the longest one included."""
        packets = [b"a", b"bc", b"d" * 300, b"e"]
        self.assertEqual(feed_every_cut(framed(packets), taken), (packets, 0))
        longest = bytes(MOST_PACKET_BYTES)
        self.assertEqual(taken([framed([longest])]), ([longest], 0))

    def test_portions(self) -> None:
        """No more are taken at once than wanted, and the rest is left."""
        reader = PacketReader()
        reader.receive(framed([b"a", b"b", b"c"]))
        self.assertEqual((reader.take(2), reader.has_input), ([b"a", b"b"], True))
        self.assertEqual((reader.take(2), reader.has_input), ([b"c"], False))

    def test_too_long(self) -> None:
        """What is too long for a packet is passed over, and never kept."""
        data = framed([b"a", bytes(MOST_PACKET_BYTES + 1), b"b", bytes(LONGEST_FRAME), b"c"])
        reader, found = PacketReader(), []
        for at in range(0, len(data), 10_000):
            reader.receive(data[at : at + 10_000])
            found += reader.take(10)
            self.assertLess(len(reader._data), 30_000)
        self.assertEqual((found, reader.skipped), ([b"a", b"b", b"c"], 2))

    def test_refused(self) -> None:
        """A length that frp refuses is refused."""
        for length in (0, LONGEST_FRAME + 1, 0xFFFFFFFF):
            with self.assertRaises(RemoteProtocolError):
                taken([framed([b"a"]) + length.to_bytes(4, "little") + b"abc"])

    @given(st.lists(st.binary(max_size=2000), max_size=20))
    def test_junk(self, portions: list[bytes]) -> None:
        """Junk is packets, or refused."""
        try:
            found, _ = taken(portions)
        except RemoteProtocolError:
            return
        self.assertTrue(all(found))

    @given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.integers(1, 100))
    def test_back(self, packets: list[bytes], size: int) -> None:
        """What was framed is read."""
        data = framed(packets)
        self.assertEqual(taken([data[at : at + size] for at in range(0, len(data), size)])[0], packets)
