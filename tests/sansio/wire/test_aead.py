"""Tests for :mod:`relaykit.sansio.wire.aead`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.wire import aead
from relaykit.sansio.wire.aead import MAX_RECORD, Algorithm, BrokenRecord, Opener, Sealer
from relaykit.testing.cuts import feed_every_cut

AES, XCHACHA = Algorithm.AES_256_GCM, Algorithm.XCHACHA20_POLY1305
KEYS = {
    AES: bytes.fromhex("8f7fa4dc15696cf370c174d1a2fdc8d0c9bb99cb3d943fb79094e0928a278293"),
    XCHACHA: bytes.fromhex("36827dca36cb5bf884ba1e08e5557800784aff286213e821f21a5d0357885488"),
}
NONCES = {
    AES: bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafb"),
    XCHACHA: bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfefff0f1f2f3f4f5f6f7"),
}
PLAIN = (bytes.fromhex("0010000000000004"), bytes.fromhex("000b7b7d"))
RECORDS = {
    AES: (
        "000000180ce1254815f102aab0c3593d6151979af7eeb1f9206dc3cc",
        "00000014e5ebad7e4529e2813b074b343cf3d4e03745f6af",
    ),
    XCHACHA: (
        "000000184c336cd134e6714bc3354daac2643e0aabbc36ae7a0bd6d9",
        "000000144a46a1b442e9eddfe208af99acf691b520abf927",
    ),
}
SPENT = {AES: b"\xff" * 12, XCHACHA: b"\xff" * 24}
"""Nonces after which there is no other."""


def stream(algorithm: Algorithm) -> bytes:
    """The golden stream of an algorithm."""
    return NONCES[algorithm] + bytes.fromhex("".join(RECORDS[algorithm]))


def opened(algorithm: Algorithm, portions: Sequence[bytes]) -> bytes | str:
    """What a fresh opener makes of portions, or the error."""
    opener = Opener(algorithm, KEYS[algorithm])
    try:
        return b"".join(piece for portion in portions for piece in opener.process(portion))
    except RemoteProtocolError as error:
        return str(error)


class SealerTests(SynchronousTestCase):
    """The direction that this end writes."""

    def test_golden(self) -> None:
        """Nonce and records are byte by byte those of frp."""
        for algorithm in Algorithm:
            sealer = Sealer(algorithm, KEYS[algorithm], NONCES[algorithm])
            self.assertEqual(list(sealer.process(b"")), [])
            sealed = b"".join(piece for part in PLAIN for piece in sealer.process(part))
            self.assertEqual(sealed, stream(algorithm))

    def test_long_portions(self) -> None:
        """No record holds more than 64 KiB."""
        sealer = Sealer(AES, KEYS[AES], NONCES[AES])
        first, second = sealer.process(memoryview(bytes(MAX_RECORD + 1)))
        self.assertEqual((len(first), len(second)), (12 + 4 + MAX_RECORD + 16, 4 + 1 + 16))
        self.assertEqual(opened(AES, [first + second]), bytes(MAX_RECORD + 1))

    def test_nonces_do_not_wrap(self) -> None:
        """With the last nonce a key has sealed its last record."""
        for algorithm in Algorithm:
            sealer = Sealer(algorithm, KEYS[algorithm], SPENT[algorithm])
            sealer.process(b"last")
            self.assertRaises(LocalProtocolError, sealer.process, b"more")

    def test_limit_of_gcm(self) -> None:
        """A key of AES-GCM seals 2**32 records; XChaCha20 has no such limit."""
        for algorithm, limited in ((AES, True), (XCHACHA, False)):
            nonces = aead._Nonces(algorithm, NONCES[algorithm])
            nonces._next += 2**32 - 1
            nonces.take()
            if limited:
                self.assertRaises(OverflowError, nonces.take)
            else:
                self.assertEqual(len(nonces.take()), 24)


class OpenerTests(SynchronousTestCase):
    """The direction that this end reads."""

    def test_every_cut(self) -> None:
        """However a stream is cut, in the nonce too, the same bytes come out."""
        for algorithm in Algorithm:
            found = feed_every_cut(stream(algorithm), functools.partial(opened, algorithm))
            self.assertEqual(found, b"".join(PLAIN))

    def test_empty_record(self) -> None:
        """A record that holds nothing is legal."""
        for algorithm in Algorithm:
            cipher = aead._CIPHERS[algorithm](KEYS[algorithm])
            nonce = NONCES[algorithm]
            empty = b"\0\0\0\x10" + cipher.encrypt(nonce, b"", nonce + b"\0\0\0\x10")
            self.assertEqual(opened(algorithm, [nonce + empty]), b"")

    def test_lengths(self) -> None:
        """A length that no record can have is refused by itself."""
        for length in (0, 15, MAX_RECORD + 17, 0xFFFFFFFF):
            opener = Opener(AES, KEYS[AES])
            self.assertRaises(BrokenRecord, opener.process, NONCES[AES] + length.to_bytes(4, "big"))

    def test_manipulated(self) -> None:
        """Every change of a byte, of the order or of the length is noticed, and is final."""
        for algorithm in Algorithm:
            whole = stream(algorithm)
            for place in range(len(whole)):
                changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
                self.assertNotEqual(opened(algorithm, [changed]), b"".join(PLAIN))
            first, second = (bytes.fromhex(record) for record in RECORDS[algorithm])
            opener = Opener(algorithm, KEYS[algorithm])
            self.assertRaises(BrokenRecord, opener.process, NONCES[algorithm] + second + first)
            self.assertRaises(BrokenRecord, opener.process, first)

    def test_nonces_do_not_wrap(self) -> None:
        """A peer cannot make nonces come round again."""
        for algorithm in Algorithm:
            sealer = Sealer(algorithm, KEYS[algorithm], SPENT[algorithm])
            (last,) = sealer.process(b"last")
            opener = Opener(algorithm, KEYS[algorithm])
            self.assertEqual(list(opener.process(last)), [b"last"])
            self.assertRaises(BrokenRecord, opener.process, last[algorithm.nonce_length :])

    @given(
        st.sampled_from(list(Algorithm)),
        st.lists(st.binary(max_size=100), max_size=8),
        st.binary(min_size=24),
    )
    def test_round_trip(self, algorithm: Algorithm, portions: list[bytes], nonce: bytes) -> None:
        """What one end seals, the other opens."""
        sealer = Sealer(algorithm, KEYS[algorithm], nonce[: algorithm.nonce_length])
        sealed = [piece for portion in portions for piece in sealer.process(portion)]
        self.assertEqual(opened(algorithm, sealed), b"".join(portions))

    @given(st.sampled_from(list(Algorithm)), st.binary(max_size=80))
    def test_junk(self, algorithm: Algorithm, junk: bytes) -> None:
        """Junk is refused or waited on; nothing comes out."""
        self.assertIn(opened(algorithm, [junk])[:8], (b"", "a record"))


class XChaChaTests(SynchronousTestCase):
    """The algorithm that is put together here.  Source of the vectors: draft-irtf-cfrg-xchacha-03."""

    def test_hchacha20(self) -> None:
        """The inner key is that of section 2.2.1."""
        prefix = bytes.fromhex("000000090000004a0000000031415927")
        self.assertEqual(
            aead._hchacha20(bytes(range(32)), prefix).hex(),
            "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc",
        )

    def test_aead(self) -> None:
        """The ciphertext is that of appendix A.3.1."""
        cipher = aead._CIPHERS[XCHACHA](bytes(range(0x80, 0xA0)))
        plaintext = (
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
            b"sunscreen would be it."
        )
        sealed = cipher.encrypt(
            bytes(range(0x40, 0x58)), plaintext, bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
        )
        self.assertEqual(
            sealed.hex(),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64"
            "c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c"
            "97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
        )

    def test_prefix_changes(self) -> None:
        """A nonce that carries into its first 16 bytes gets another inner key."""
        nonce = bytes(16) + b"\xff" * 8
        sealer = Sealer(XCHACHA, KEYS[XCHACHA], nonce)
        records = [b"".join(sealer.process(b"record %d" % number)) for number in range(3)]
        self.assertEqual(opened(XCHACHA, records), b"record 0record 1record 2")
        fresh = aead._CIPHERS[XCHACHA](KEYS[XCHACHA])
        second = records[1]
        self.assertEqual(
            fresh.decrypt(bytes(15) + b"\x01" + bytes(8), second[4:], nonce + second[:4]), b"record 1"
        )
