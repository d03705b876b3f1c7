"""Tests of the keys of bound logins: vectors, and what each value depends on."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.channel_binding import BoundKeys, Purpose, derive_token_key
from relaykit.sansio.wire.aead import Algorithm

SALT = bytes(range(16))
EXPORTER = bytes(range(32, 64))
TRANSCRIPT = bytes(range(64, 96))
DERIVED = bytes.fromhex("783a840f1f7bdd32c1ae5cfba0965021334fbe16ff804b56140f85ad61f32da3")
"""``derive_token_key(b"token", SALT)``."""

KEYS = BoundKeys(DERIVED, EXPORTER, TRANSCRIPT)


def mac(key: bytes, *parts: bytes) -> bytes:
    """HMAC with SHA-256, by nothing but the standard library."""
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def expanded(key: bytes, purpose: bytes) -> bytes:
    """The first 32 bytes of HKDF-Expand (RFC 5869 section 2.3)."""
    return mac(key, purpose, b"\x01")


class DerivationTests(SynchronousTestCase):
    """The token, made expensive."""

    def test_vector(self) -> None:
        """The same token and salt give the same key, everywhere and for ever."""
        self.assertEqual(derive_token_key(b"token", SALT), DERIVED)

    def test_parameters(self) -> None:
        """It is scrypt with the parameters that the protocol fixes."""
        expected = hashlib.scrypt(b"token", salt=SALT, n=16384, r=8, p=1, maxmem=2**26, dklen=32)
        self.assertEqual(expected, DERIVED)

    def test_dependence(self) -> None:
        """Another token or another salt gives another key."""
        self.assertEqual(
            len(
                {
                    derive_token_key(b"token", SALT),
                    derive_token_key(b"tokem", SALT),
                    derive_token_key(b"token", EXPORTER),
                }
            ),
            3,
        )


class BoundKeysTests(SynchronousTestCase):
    """What comes from the key of one login."""

    def test_vectors(self) -> None:
        """The proofs and keys of one login, computed by hand, and as they must stay."""
        key = expanded(mac(TRANSCRIPT, DERIVED, EXPORTER), b"relaykit bound login")
        client = mac(key, b"relaykit bound client proof\0", b"the login")
        server = mac(key, b"relaykit bound server proof\0", client, b"the answer")
        self.assertEqual(KEYS.client_proof(b"the login"), client)
        self.assertEqual(KEYS.server_proof(client, b"the answer"), server)
        self.assertEqual(
            [client.hex(), server.hex()],
            [
                "aca92f5f17f148a69bdf3d9e06fc3564bbec1329527b301e772f8dd5001a949a",
                "be520b38f15dfdfa123b0bea26df1759199147a324f4aa3ae8b539beb2ced9e9",
            ],
        )
        for algorithm in Algorithm:
            keys = KEYS.control_keys(algorithm)
            label = b"relaykit bound control aead " + algorithm.value.encode()
            self.assertEqual(keys.client_to_server, expanded(key, label + b" client-to-server"))
            self.assertEqual(keys.server_to_client, expanded(key, label + b" server-to-client"))
        for purpose, label in (
            (Purpose.WORK, b"relaykit bound work connection\0"),
            (Purpose.VISIT, b"relaykit bound visit\0"),
        ):
            proof = KEYS.connection_proof(purpose, EXPORTER, "0123456789abcdef")
            self.assertEqual(proof, mac(key, label, EXPORTER, b"0123456789abcdef"))

    def test_roles_differ(self) -> None:
        """No proof of one end is one of the other: what was sent cannot be sent back."""
        self.assertNotEqual(KEYS.client_proof(b"x" * 32 + b"a"), KEYS.server_proof(b"x" * 32, b"a"))

    def test_purposes_differ(self) -> None:
        """The proof of a work connection is none of a visit."""
        proofs = {KEYS.connection_proof(purpose, EXPORTER, "r") for purpose in Purpose}
        self.assertEqual(len(proofs), len(Purpose))

    def test_nothing_to_bind_to(self) -> None:
        """Without what tells one TLS session from another there are no keys."""
        for exporter in (b"", EXPORTER[:-1]):
            self.assertRaises(ValueError, BoundKeys, DERIVED, exporter, TRANSCRIPT)

    @given(st.sampled_from(["token_key", "exporter", "transcript"]), st.integers(0, 255))
    def test_every_bit_counts(self, which: str, bit: int) -> None:
        """One other bit of the token's key, the TLS session or the hellos gives entirely other proofs."""
        given = {"token_key": DERIVED, "exporter": EXPORTER, "transcript": TRANSCRIPT}
        changed = int.from_bytes(given[which], "big") ^ (1 << bit)
        other = BoundKeys(**{**given, which: changed.to_bytes(32, "big")})
        self.assertNotEqual(other.client_proof(b"the login"), KEYS.client_proof(b"the login"))
        self.assertNotEqual(
            other.control_keys(Algorithm.AES_256_GCM).client_to_server,
            KEYS.control_keys(Algorithm.AES_256_GCM).client_to_server,
        )
