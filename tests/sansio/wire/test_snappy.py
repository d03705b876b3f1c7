"""Tests for :mod:`relaykit.sansio.wire.snappy`."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.wire.snappy import BrokenChunk, Compressor, Decompressor
from relaykit.testing.cuts import feed_every_cut

IDENTIFIER = bytes.fromhex("ff060000734e61507059")
HELLO = bytes.fromhex("01090000bb1f1c1968656c6c6f")
COMPRESSED = bytes.fromhex("000d00001fa8b5fd640061fe01008a0100")
"""100 times the letter a: a literal and copies that overlap."""
NOTHING = bytes.fromhex("01040000d8ea82a2")
SKIPPABLE = bytes.fromhex("80030000616263")


def compressed(*portions: bytes) -> list[bytes]:
    """What a fresh compressor makes of each portion."""
    compressor = Compressor()
    return [b"".join(compressor.process(portion)) for portion in portions]


def decompressed(portions: Sequence[bytes]) -> bytes | str:
    """What a fresh decompressor makes of portions, or the error."""
    decompressor = Decompressor()
    try:
        return b"".join(piece for portion in portions for piece in decompressor.process(portion))
    except RemoteProtocolError as error:
        return str(error)


def chunk_types(stream: bytes) -> list[tuple[int, int]]:
    """The types and lengths of a stream's chunks."""
    found = []
    while stream:
        length = int.from_bytes(stream[1:4], "little")
        found.append((stream[0], length))
        stream = stream[4 + length :]
    return found


class CompressorTests(SynchronousTestCase):
    """The direction that this end writes."""

    def test_golden(self) -> None:
        """A short text is a chunk of its own, byte by byte as frp writes it; so is the next."""
        self.assertEqual(compressed(b"", b"hello", b"", b"hello"), [b"", IDENTIFIER + HELLO, b"", HELLO])

    def test_what_saves_too_little(self) -> None:
        """A chunk is compressed only where that saves one eighth."""
        chance = random.Random(1).randbytes(800)
        self.assertEqual(chunk_types(*compressed(chance)), [(255, 6), (1, 804)])
        self.assertEqual(chunk_types(*compressed(chance + bytes(60))), [(255, 6), (1, 864)])
        (kind, length) = chunk_types(*compressed(chance + bytes(400)))[1]
        self.assertEqual(kind, 0)
        self.assertLess(length, 4 + 1200 - 1200 // 8)

    def test_long_portions(self) -> None:
        """No chunk holds more than 64 KiB."""
        chance = random.Random(2).randbytes(65537)
        self.assertEqual(chunk_types(*compressed(chance)), [(255, 6), (1, 65540), (1, 5)])


class DecompressorTests(SynchronousTestCase):
    """The direction that this end reads."""

    def test_every_cut(self) -> None:
        """However a stream is cut, the same bytes come out; what may be skipped is."""
        stream = IDENTIFIER + HELLO + NOTHING + SKIPPABLE + COMPRESSED + IDENTIFIER + HELLO + b"\x01\x09"
        self.assertEqual(feed_every_cut(stream, decompressed), b"hello" + b"a" * 100 + b"hello")

    def test_at_once(self) -> None:
        """What a chunk holds comes out with its last byte."""
        decompressor = Decompressor()
        self.assertEqual(list(decompressor.process(IDENTIFIER + HELLO[:-1])), [])
        self.assertEqual(list(decompressor.process(HELLO[-1:])), [b"hello"])

    def test_refused(self) -> None:
        """What breaks the rules is refused, as soon as its header is there."""
        refused = {
            "no identifier": HELLO,
            "an identifier of another length": b"\xff\x05\x00\x00",
            "another identifier": b"\xff\x06\x00\x00sNaPpy",
            "another identifier later": IDENTIFIER + b"\xff\x06\x00\x00sNaPpy",
            "a reserved type": IDENTIFIER + b"\x02\x00\x00\x00",
            "the last reserved type": IDENTIFIER + b"\x7f\x00\x00\x00",
            "a long chunk": IDENTIFIER + b"\x01" + (76495).to_bytes(3, "little"),
            "a long chunk that would be skipped": IDENTIFIER + b"\x80" + (76495).to_bytes(3, "little"),
            "a wrong checksum": IDENTIFIER + HELLO[:-1] + b"O",
            "no room for a checksum": IDENTIFIER + b"\x01\x03\x00\x00abc",
            "no compressed block": IDENTIFIER + b"\x00\x04\x00\x00\xd8\xea\x82\xa2",
            "too much in a chunk": IDENTIFIER + b"\x01" + (65541).to_bytes(3, "little") + bytes(65541),
            "too much in a block": IDENTIFIER + b"\x00\x09\x00\x00" + bytes(4) + b"\x81\x80\x04\x00a",
        }
        for reason, stream in refused.items():
            with self.assertRaises(BrokenChunk, msg=reason):
                Decompressor().process(stream)

    def test_error_is_final(self) -> None:
        """After a broken chunk nothing comes out any more."""
        decompressor = Decompressor()
        self.assertRaises(BrokenChunk, decompressor.process, IDENTIFIER + HELLO[:-1] + b"O")
        self.assertRaises(BrokenChunk, decompressor.process, HELLO)

    @given(st.lists(st.binary(max_size=200) | st.integers(0, 70000).map(bytes), max_size=8))
    def test_round_trip(self, portions: list[bytes]) -> None:
        """What one end compresses, the other decompresses."""
        self.assertEqual(decompressed(compressed(*portions)), b"".join(portions))

    @given(st.binary(max_size=60), st.booleans())
    def test_junk(self, junk: bytes, identified: bool) -> None:
        """Junk is refused, skipped or waited on, whatever the cuts."""
        feed_every_cut(IDENTIFIER + junk if identified else junk, decompressed)

    @given(st.sampled_from([0, 1]), st.binary(max_size=60))
    def test_junk_chunks(self, kind: int, junk: bytes) -> None:
        """A chunk of junk is refused."""
        stream = IDENTIFIER + bytes([kind]) + (len(junk) + 4).to_bytes(3, "little") + b"junk" + junk
        self.assertIsInstance(decompressed([stream]), str)
