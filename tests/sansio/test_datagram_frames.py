"""Tests for datagrams in a stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.datagram_frames import MOST_DATAGRAM_BYTES, DatagramFrames, frame
from relaykit.testing.cuts import every_cut


class DatagramFramesTests(SynchronousTestCase):
    """Tests for :class:`DatagramFrames`."""

    def received(self, *portions: bytes) -> list[bytes]:
        """What comes out of a stream that arrives in these portions."""
        frames = DatagramFrames()
        return [bytes(each) for portion in portions for each in frames.receive(portion)]

    def test_golden(self) -> None:
        """The length comes first, in two bytes, the most significant one first."""
        self.assertEqual(frame(b"abc"), b"\x00\x03abc")
        self.assertEqual(frame(memoryview(bytes(258)))[:2], b"\x01\x02")

    def test_every_cut(self) -> None:
        """Datagrams come out as they went in, empty ones too, wherever the stream is cut."""
        datagrams = [b"one", b"", b"\x00\x01", bytes(300), b""]
        stream = b"".join(map(frame, datagrams))
        for portions in every_cut(stream):
            self.assertEqual(self.received(*portions), datagrams)

    def test_full_size(self) -> None:
        """The longest datagram passes, also byte by byte; a longer one cannot be."""
        stream = frame(bytes(MOST_DATAGRAM_BYTES))
        self.assertEqual([len(each) for each in self.received(stream)], [MOST_DATAGRAM_BYTES])
        portions = [stream[at : at + 1] for at in range(len(stream))]
        self.assertEqual([len(each) for each in self.received(*portions)], [MOST_DATAGRAM_BYTES])
        self.assertRaises(RemoteProtocolError, self.received, b"\xff\xe4")
        self.assertRaises(RemoteProtocolError, self.received, b"\xff", b"\xe4")

    @given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 200), min_size=1))
    def test_any_portions(self, datagrams: list[bytes], sizes: list[int]) -> None:
        """Any datagrams survive any portions."""
        stream, portions, turn = b"".join(map(frame, datagrams)), [], 0
        while stream:
            size = sizes[turn % len(sizes)]
            portions.append(stream[:size])
            stream, turn = stream[size:], turn + 1
        self.assertEqual(self.received(*portions), datagrams)

    @given(st.lists(st.binary(max_size=200)))
    def test_junk(self, portions: list[bytes]) -> None:
        """Junk is datagrams or the documented error; nothing is invented."""
        try:
            datagrams = self.received(*portions)
        except RemoteProtocolError:
            return
        self.assertTrue(b"".join(portions).startswith(b"".join(map(frame, datagrams))))
