"""Tests for the server's own certificate."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.certificates.own import FILE_NAME, VALID_FOR, KeyPair, fingerprint, load_or_create, self_signed
from relaykit.state import StateDirectory, StateUnavailable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class SelfSignedTests(SynchronousTestCase):
    """Tests for :func:`self_signed`."""

    def test_key_and_validity(self) -> None:
        """The key is ECDSA on P-256; the certificate is valid from a day before for many years."""
        pair = self_signed(NOW)
        certificate = x509.load_der_x509_certificate(pair.der)
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual(key.curve.name, "secp256r1")
        self.assertEqual(certificate.not_valid_before_utc, NOW - timedelta(days=1))
        self.assertEqual(certificate.not_valid_after_utc, NOW + VALID_FOR)
        certificate.verify_directly_issued_by(certificate)

    def test_openssl_takes_it(self) -> None:
        """Key and certificate fit together for OpenSSL."""
        pair = self_signed(NOW)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, pair.certificate))
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, pair.key))
        context.check_privatekey()

    def test_key_is_hidden(self) -> None:
        """The representation shows the fingerprint, not the key."""
        pair = self_signed(NOW)
        self.assertEqual(repr(pair), f"<KeyPair {pair.fingerprint}>")


class FingerprintTests(SynchronousTestCase):
    """Tests for :func:`fingerprint`."""

    def test_digest(self) -> None:
        """A fingerprint is the SHA-256 of the certificate in DER, in whichever form it is given."""
        pair = self_signed(NOW)
        expected = "sha256:" + hashlib.sha256(pair.der).hexdigest()
        self.assertEqual(fingerprint(pair.der), expected)
        self.assertEqual(fingerprint(pair.certificate), expected)
        self.assertEqual(fingerprint(pair.key + pair.certificate + self_signed(NOW).certificate), expected)

    def test_no_certificate(self) -> None:
        """What is no certificate has no fingerprint."""
        self.assertRaises(ValueError, fingerprint, b"junk")
        self.assertRaises(ValueError, fingerprint, b"-----BEGIN CERTIFICATE-----")


class KeptOrNewTests(SynchronousTestCase):
    """Tests for :func:`load_or_create`."""

    def setUp(self) -> None:
        """Begins with an empty state directory."""
        self.state = StateDirectory(Path(self.mktemp()))

    def again(self) -> KeyPair:
        """What a start a day later gets."""
        return load_or_create(self.state, NOW + timedelta(days=1))

    def test_kept(self) -> None:
        """The same pair is used at every start."""
        first = load_or_create(self.state, NOW)
        self.assertEqual(self.again(), first)

    def test_damaged(self) -> None:
        """A damaged file is replaced: no text of it makes the server stop."""
        pair = load_or_create(self.state, NOW)
        for content in (
            b"",
            b"junk",
            pair.key,
            pair.certificate,
            pair.certificate[:100] + pair.key,
            self_signed(NOW).key + pair.certificate,
        ):
            self.state.write(FILE_NAME, content)
            replaced = self.again()
            self.assertNotEqual(replaced.fingerprint, pair.fingerprint)
            self.assertEqual(self.again(), replaced)

    def test_run_out(self) -> None:
        """A certificate that has run out is replaced."""
        pair = load_or_create(self.state, NOW)
        self.assertNotEqual(load_or_create(self.state, NOW + VALID_FOR), pair)

    def test_nowhere_to_keep(self) -> None:
        """Without a place to keep it, the pair is new each time, and that is logged."""
        in_the_way = Path(self.mktemp())
        in_the_way.write_bytes(b"")
        for state in (None, StateDirectory(in_the_way)):
            with capturedLogs() as events:
                pairs = [load_or_create(state, NOW) for _ in range(2)]
            self.assertNotEqual(pairs[0], pairs[1])
            self.assertIn("--state-dir", events[0]["log_format"])

    def test_read_only(self) -> None:
        """A pair that is there is used where nothing can be written."""
        pair = load_or_create(self.state, NOW)

        def refuse(state: StateDirectory, name: str, content: bytes) -> None:
            raise StateUnavailable("read-only")

        self.patch(StateDirectory, "write", refuse)
        self.assertEqual(self.again(), pair)
