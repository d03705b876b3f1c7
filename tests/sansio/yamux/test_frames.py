from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.yamux.frames import (
    ACK,
    DATA,
    FIN,
    FLAGS,
    GO_AWAY,
    HEADER_BYTES,
    LAST_TYPE_FLAGS,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    GoAwayCode,
    pack_header,
    unpack_header,
)

WORD = st.integers(0, 0xFFFF_FFFF)

GOLDEN = {
    (WINDOW_UPDATE | SYN, 1, 0x5C0000): "0001000100000001005c0000",
    (DATA, 1, 0xB2): "0000000000000001000000b2",
    (WINDOW_UPDATE | ACK, 1, 0x5C0000): "0001000200000001005c0000",
    (WINDOW_UPDATE | FIN, 1, 0): "000100040000000100000000",
    (WINDOW_UPDATE | RST, 1, 0): "000100080000000100000000",
    (PING | SYN, 0, 0): "000200010000000000000000",
    (PING | ACK, 0, 0): "000200020000000000000000",
    (GO_AWAY, 0, GoAwayCode.PROTOCOL_ERROR): "000300000000000000000001",
}
"""Headers as frp sends them."""


class FrameTests(SynchronousTestCase):
    """Tests for the header codec."""

    def test_golden(self) -> None:
        """Headers are written as frp writes them, and read back."""
        for (type_flags, number, value), content in GOLDEN.items():
            self.assertEqual(pack_header(type_flags, number, value).hex(), content)
            self.assertEqual(unpack_header(bytes.fromhex(content), 0), (type_flags, number, value))

    @given(WORD, WORD, WORD, st.binary(max_size=5))
    def test_there_and_back(self, type_flags: int, number: int, value: int, before: bytes) -> None:
        """Any three words survive, wherever in a buffer they stand."""
        packed = pack_header(type_flags, number, value)
        self.assertEqual(len(packed), HEADER_BYTES)
        self.assertEqual(unpack_header(memoryview(before + packed), len(before)), (type_flags, number, value))

    def test_heads(self) -> None:
        """Every known type with every flag is known; the next type and version are not."""
        for kind in (DATA, WINDOW_UPDATE, PING, GO_AWAY):
            self.assertLessEqual(kind | FLAGS, LAST_TYPE_FLAGS)
        self.assertGreater(4 << 16, LAST_TYPE_FLAGS)
        self.assertGreater(1 << 24, LAST_TYPE_FLAGS)
