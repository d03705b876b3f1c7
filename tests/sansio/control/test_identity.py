"""Tests of identities: what is signed, and whose signature is believed."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusedError
from relaykit.sansio.control.identity import NOT_THE_KEY, check_signature, identity_name, statement

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
TRANSCRIPT = bytes(32)


class StatementTests(SynchronousTestCase):
    """What a client signs."""

    def test_vector(self) -> None:
        """The label, the digest of the exporter, the transcript, the digest of the login."""
        self.assertEqual(
            statement(b"", TRANSCRIPT, b"{}").hex(),
            "72656c61796b6974206964656e74697479"
            "00e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            "000000000000000000000000000000000000000000000000000000000000000000"
            "0044136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        )

    def test_dependence(self) -> None:
        """Another TLS session, other hellos or another login make another statement."""
        made = {
            statement(b"", TRANSCRIPT, b"login"),
            statement(b"e", TRANSCRIPT, b"login"),
            statement(b"", bytes([1]) * 32, b"login"),
            statement(b"", TRANSCRIPT, b"another"),
        }
        self.assertEqual(len(made), 4)


class SignatureTests(SynchronousTestCase):
    """Who is believed."""

    def test_own(self) -> None:
        """The owner of the key is."""
        check_signature(PUBLIC, b"said", KEY.sign(b"said"))

    def test_others(self) -> None:
        """Nobody else is, nor the owner for something else, nor who has no key at all."""
        other = Ed25519PrivateKey.from_private_bytes(bytes(32))
        for public, said, signature in (
            (PUBLIC, b"said", other.sign(b"said")),
            (PUBLIC, b"not said", KEY.sign(b"said")),
            (PUBLIC, b"said", b""),
            (b"", b"said", KEY.sign(b"said")),
            (PUBLIC[:-1], b"said", KEY.sign(b"said")),
        ):
            refused = self.assertRaises(RefusedError, check_signature, public, said, signature)
            self.assertEqual(refused.text, NOT_THE_KEY)

    @given(st.binary(max_size=40), st.binary(max_size=80))
    def test_junk(self, public: bytes, signature: bytes) -> None:
        """Junk is refused, and nothing else happens."""
        self.assertRaises(RefusedError, check_signature, public, b"said", signature)


class NameTests(SynchronousTestCase):
    """How identities are called."""

    def test_names(self) -> None:
        """By the beginning of their digest; who has none has no name."""
        self.assertEqual(identity_name(PUBLIC), "56475aa75463474c")
        self.assertEqual(identity_name(b""), "")
