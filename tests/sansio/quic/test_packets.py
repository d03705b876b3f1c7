"""Tests of what can be seen of a datagram without a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.quic.packets import SMALLEST_OPENING_BYTES, destination_of, read_opening

V1 = b"\x00\x00\x00\x01"
V2 = b"\x6b\x33\x43\xcf"


def opening(
    first: int = 0xC3,
    version: bytes = V1,
    destination: bytes = b"12345678",
    source: bytes = b"ab",
    token: bytes = b"\x00",
) -> bytes:
    """A client's first datagram, as far as it can be read."""
    named = bytes([len(destination)]) + destination + bytes([len(source)]) + source
    return (bytes([first]) + version + named + token).ljust(SMALLEST_OPENING_BYTES, b"\x07")


class OpeningTests(SynchronousTestCase):
    """What a client says first."""

    def test_read(self) -> None:
        """Its version, both ids and its token are found, in both versions."""
        for first, version in ((0xC3, V1), (0xD1, V2)):
            found = read_opening(opening(first, version, token=b"\x40\x05token"))
            assert found is not None
            self.assertTrue(found.is_initial)
            self.assertEqual((found.destination, found.source, found.token), (b"12345678", b"ab", b"token"))
            self.assertEqual(found.version, int.from_bytes(version, "big"))

    def test_empty_source(self) -> None:
        """The client's own id may have no bytes."""
        found = read_opening(opening(source=b""))
        assert found is not None
        self.assertEqual((found.source, found.token), (b"", b""))

    def test_token_too_long(self) -> None:
        """A token that is not all there is none."""
        for token in (b"\x7f\xff", b"\xff" * 8):
            found = read_opening(opening(token=token))
            assert found is not None
            self.assertEqual(found.token, b"")

    def test_other_versions(self) -> None:
        """Of a version that is not known, no more is read than what all have in common."""
        found = read_opening(opening(0xF3, b"\x0a\x0a\x0a\x0a"))
        assert found is not None
        self.assertFalse(found.is_initial)
        self.assertEqual((found.destination, found.source), (b"12345678", b"ab"))

    def test_none(self) -> None:
        """What is short, another packet, a negotiation, or names ids that none has, opens nothing."""
        for datagram in (
            opening()[:-1],
            opening(0x43),
            opening(0xE3),
            opening(0xC1, V2),
            opening(version=bytes(4)),
            opening(destination=b"1234567"),
            opening(destination=bytes(21)),
            opening(source=bytes(21)),
        ):
            self.assertIsNone(read_opening(datagram))

    @given(st.binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Junk of any length is read, or not."""
        read_opening(junk)
        read_opening(b"\xc0" + V1 + junk + bytes(SMALLEST_OPENING_BYTES))
        destination_of(junk, 8)


class DestinationTests(SynchronousTestCase):
    """Whose a datagram is."""

    def test_named(self) -> None:
        """The id is behind the first byte, or where a long header has it."""
        self.assertEqual(destination_of(b"\x41" + b"12345678" + b"more", 8), b"12345678")
        self.assertEqual(destination_of(opening(), 8), b"12345678")
        self.assertEqual(destination_of(memoryview(opening()), 8), b"12345678")

    def test_short(self) -> None:
        """What is too short names nobody."""
        for size in range(7):
            self.assertEqual(destination_of(opening()[:size], 8), b"")
