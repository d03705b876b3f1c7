"""Tests of the tokens of Retry packets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.quic.tokens import KEY_BYTES, TOKEN_S, AddressTokens

TOKENS = AddressTokens(bytes(KEY_BYTES))
PLACE = b"192.0.2.1:40000"


class AddressTokensTests(SynchronousTestCase):
    """Tokens that are made, and come back."""

    def setUp(self) -> None:
        self.token = TOKENS.make(PLACE, b"original", b"named", 100.0)

    def test_good(self) -> None:
        """It says what the client first made up, as long as it is good."""
        for now in (100.0, 100.0 + TOKEN_S):
            self.assertEqual(TOKENS.read(self.token, PLACE, b"named", now), b"original")
        self.assertIsNone(TOKENS.read(self.token, PLACE, b"named", 101.0 + TOKEN_S))

    def test_bound(self) -> None:
        """It is good for one place and one connection id, and at one server."""
        self.assertIsNone(TOKENS.read(self.token, b"192.0.2.2:40000", b"named", 100.0))
        self.assertIsNone(TOKENS.read(self.token, PLACE, b"other", 100.0))
        other = AddressTokens(b"\x01" * KEY_BYTES)
        self.assertIsNone(other.read(self.token, PLACE, b"named", 100.0))

    def test_every_cut(self) -> None:
        """Cut off, longer or changed it is none."""
        for size in range(len(self.token)):
            self.assertIsNone(TOKENS.read(self.token[:size], PLACE, b"named", 100.0))
            changed = bytearray(self.token)
            changed[size] ^= 1
            self.assertIsNone(TOKENS.read(bytes(changed), PLACE, b"named", 100.0))
        self.assertIsNone(TOKENS.read(self.token + b"x", PLACE, b"named", 100.0))

    @given(st.binary(max_size=80))
    def test_junk(self, junk: bytes) -> None:
        """Junk is none."""
        self.assertIsNone(TOKENS.read(junk, PLACE, b"named", 100.0))
