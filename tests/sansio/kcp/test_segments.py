"""Tests of the header, by the vectors of real programs and by every cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.segments import (
    ACK,
    NUMBERS,
    PUSH,
    TELL,
    ahead,
    opening_conversation,
    pack_header,
    read_segments,
)

CONVERSATION = 0x11223344
HELLO = bytes.fromhex("44332211510000 02e8030000 00000000 00000000 05000000 68656c6c6f".replace(" ", ""))
ACK_OF_IT = bytes.fromhex("443322115200 0004 e8030000 00000000 01000000 00000000".replace(" ", ""))


class SegmentTests(SynchronousTestCase):
    """What is written, and read again."""

    def test_vectors(self) -> None:
        """A push and its acknowledgement look as frp's."""
        self.assertEqual(pack_header(CONVERSATION, PUSH, 0, 512, 1000, 0, 0, 5) + b"hello", HELLO)
        self.assertEqual(pack_header(CONVERSATION, ACK, 0, 1024, 1000, 0, 1, 0), ACK_OF_IT)

    def test_reading(self) -> None:
        """All segments of a datagram are read, in order."""
        found = read_segments(memoryview(ACK_OF_IT + HELLO), CONVERSATION)
        self.assertEqual(
            [(*each[:-1], bytes(each[-1])) for each in found],
            [(ACK, 1024, 1000, 0, 1, b""), (PUSH, 512, 1000, 0, 0, b"hello")],
        )

    def test_nonsense(self) -> None:
        """What makes no sense ends the datagram: another conversation, another command, a length too long."""
        for wrong in (
            pack_header(CONVERSATION + 1, ACK, 0, 1, 0, 0, 0, 0),
            pack_header(CONVERSATION, PUSH - 1, 0, 1, 0, 0, 0, 0),
            pack_header(CONVERSATION, TELL + 1, 0, 1, 0, 0, 0, 0),
            pack_header(CONVERSATION, PUSH, 0, 1, 0, 0, 0, 100) + b"short",
        ):
            self.assertEqual(len(read_segments(HELLO + wrong + HELLO, CONVERSATION)), 1)

    def test_every_cut(self) -> None:
        """A datagram that is cut off anywhere has the segments before, and none of what is cut."""
        whole = ACK_OF_IT + HELLO + ACK_OF_IT
        ends = [len(ACK_OF_IT), len(ACK_OF_IT + HELLO), len(whole)]
        for size in range(len(whole) + 1):
            found = read_segments(whole[:size], CONVERSATION)
            self.assertEqual(len(found), sum(end <= size for end in ends))

    @given(st.binary(max_size=200))
    def test_junk(self, junk: bytes) -> None:
        """Whatever arrives, what is read was in it, and nothing is raised."""
        conversation = int.from_bytes(junk[:4], "little")
        for each in read_segments(junk, conversation):
            self.assertIn(bytes(each[-1]), junk)
        opening_conversation(junk)

    def test_opening(self) -> None:
        """The first push opens its conversation, also behind other segments; nothing else does."""
        self.assertEqual(opening_conversation(HELLO), CONVERSATION)
        self.assertEqual(opening_conversation(ACK_OF_IT + HELLO), CONVERSATION)
        second = pack_header(CONVERSATION, PUSH, 0, 1, 0, 1, 0, 0)
        for other in (b"", HELLO[:-1], HELLO[:10], ACK_OF_IT, second):
            self.assertIsNone(opening_conversation(other))

    def test_wrapping(self) -> None:
        """Numbers are compared across their end."""
        self.assertEqual(ahead(1, NUMBERS - 1), 2)
        self.assertEqual(ahead(NUMBERS - 1, 1), -2)
        self.assertEqual(ahead(5, 5), 0)
