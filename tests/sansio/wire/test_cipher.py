"""Tests for :mod:`relaykit.sansio.wire.cipher`."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.wire.cipher import Decryptor, Encryptor, derive_key
from relaykit.sansio.wire.framing import encode_v1
from relaykit.sansio.wire.messages import Pong, ReqWorkConn
from relaykit.testing.cuts import feed_every_cut

IV = bytes(range(16))
GOLDEN = bytes.fromhex("000102030405060708090a0b0c0d0e0f5e98a24026e4cf47613434ea3402bd6e9c748e08a532")


class KeyTests(SynchronousTestCase):
    """Keys from secrets."""

    def test_golden(self) -> None:
        """Keys are those of frp, for an empty secret too."""
        expected = {
            b"12345678": "b7eac3f66310824c114f56f8274fdfea",
            b"": "cdc9dc4c472c37331281df4c232a8407",
            b"token": "c16a8f63832926cee123eea29f95d670",
            b"abc": "62e5ed67fdd04e5f1f71d779ceb9667f",
        }
        for secret, key in expected.items():
            self.assertEqual(derive_key(secret).hex(), key)


PROBE = bytes.fromhex(
    "000102030405060708090a0b0c0d0e0f"
    "9b740161fd1427c7a9b95af6e5f141e2848ed265ed36c3d2d95d2de2dcc92c720d3d3012877a02834a2799f53b1d18269cd9105c"
    "274903630dd2659ae88b06631359864b78380886296c67f8a5ae127717c25e707b17734c74522d00a93a156cfc79bb054d1517ee"
    "cc"
)
"""A probe of hole punching, encrypted with the secret key ``abc``."""


class StreamTests(SynchronousTestCase):
    """One direction."""

    def test_golden(self) -> None:
        """The vector precedes the first bytes, and the stream goes on in the middle of a block."""
        encryptor = Encryptor(derive_key(b"12345678"), IV)
        self.assertEqual(list(encryptor.process(b"")), [])
        first = b"".join(encryptor.process(encode_v1(ReqWorkConn())))
        second = b"".join(encryptor.process(encode_v1(Pong())))
        self.assertEqual((first, second), (GOLDEN[:27], GOLDEN[27:]))

    def test_probe(self) -> None:
        """A probe of hole punching is byte by byte that of frp."""
        probe = NatHoleSid(
            transaction_id="1700000000aaaaaaaaaaaaaaaa", sid="1700000001bbbbbbbbbbbbbbbb", nonce="000"
        )
        encrypted = b"".join(Encryptor(derive_key(b"abc"), IV).process(encode_v1(probe)))
        self.assertEqual(encrypted.hex(), PROBE.hex())

    def test_every_cut(self) -> None:
        """However ciphertext is cut, in the vector too, the same bytes come out."""

        def read(portions: Sequence[bytes]) -> bytes:
            decryptor = Decryptor(derive_key(b"12345678"))
            return b"".join(piece for portion in portions for piece in decryptor.process(portion))

        self.assertEqual(feed_every_cut(GOLDEN, read), encode_v1(ReqWorkConn()) + encode_v1(Pong()))

    @given(st.lists(st.binary(max_size=50), max_size=20))
    def test_round_trip(self, portions: list[bytes]) -> None:
        """What one end encrypts, in any portions and any kind of buffer, the other decrypts."""
        encryptor, decryptor = Encryptor(b"k" * 16, IV), Decryptor(b"k" * 16)
        plain = b""
        for portion in portions:
            for piece in encryptor.process(memoryview(bytearray(portion))):
                plain += b"".join(decryptor.process(memoryview(piece)))
        self.assertEqual(plain, b"".join(portions))
