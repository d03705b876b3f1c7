"""Tests for :mod:`relaykit.sansio.wire.coders`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire.cipher import Decryptor, derive_key
from relaykit.sansio.wire.coders import Stack, inbound_coders, outbound_coders

IV = bytes(range(16))
KEY = derive_key(b"token")
CHOICES = [(None, False), (KEY, False), (None, True), (KEY, True)]


class StackTests(SynchronousTestCase):
    """What wraps a payload."""

    def test_order(self) -> None:
        """Compression is inside encryption."""
        wrapped = b"".join(Stack(outbound_coders(KEY, True, IV)).process(b"hello"))
        self.assertEqual(wrapped[:16], IV)
        inner = b"".join(Decryptor(KEY).process(wrapped))
        self.assertEqual(inner.hex(), "ff060000734e6150705901090000bb1f1c1968656c6c6f")

    def test_plain(self) -> None:
        """A plain leg has no coders, and a stack of none changes nothing."""
        self.assertEqual(outbound_coders(None, False, IV), ())
        self.assertEqual(inbound_coders(None, False), ())
        self.assertEqual(b"".join(Stack(()).process(b"hello")), b"hello")

    def test_nothing(self) -> None:
        """Nothing is written before there is something to write: neither vector nor identifier."""
        self.assertEqual(list(Stack(outbound_coders(KEY, True, IV)).process(b"")), [])

    @given(st.sampled_from(CHOICES), st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 40))
    def test_round_trip(self, choice: tuple[bytes | None, bool], portions: list[bytes], size: int) -> None:
        """What one end wraps, the other unwraps, however it is cut in between."""
        outbound, inbound = Stack(outbound_coders(*choice, IV)), Stack(inbound_coders(*choice))
        wrapped = b"".join(bytes(piece) for portion in portions for piece in outbound.process(portion))
        cut = [wrapped[start : start + size] for start in range(0, len(wrapped), size)]
        plain = b"".join(bytes(piece) for portion in cut for piece in inbound.process(portion))
        self.assertEqual(plain, b"".join(portions))
