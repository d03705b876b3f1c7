"""Tests of the exporter of TLS 1.3."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.quic.exporting import expand_label, export

# Source: RFC 8448 section 3, the handshake with one round trip.
HANDSHAKE_SECRET = bytes.fromhex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac")
DERIVED = bytes.fromhex("43de77e0c77713859a944db9db2590b53190a65b3ee2e4f12dd7a0bb7ce254b4")
EMPTY_HASH = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
SERVER_HANDSHAKE_TRAFFIC = bytes.fromhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
SERVER_HANDSHAKE_KEY = bytes.fromhex("3fce516009c21727d0f2e4e86ee403bc")


class ExportingTests(SynchronousTestCase):
    """Secrets of secrets."""

    def test_labels(self) -> None:
        """They are what the trace of a handshake has, short or as long as the hash."""
        self.assertEqual(expand_label("sha256", HANDSHAKE_SECRET, b"derived", EMPTY_HASH, 32), DERIVED)
        key = expand_label("sha256", SERVER_HANDSHAKE_TRAFFIC, b"key", b"", 16)
        self.assertEqual(key, SERVER_HANDSHAKE_KEY)

    def test_export(self) -> None:
        """Each label, hash and secret gives another one; what is longer than the hash is so, too."""
        made = {
            export(algorithm, secret, label, 40)
            for algorithm in ("sha256", "sha384")
            for secret in (DERIVED, EMPTY_HASH)
            for label in (b"one", b"two")
        }
        self.assertEqual({len(each) for each in made}, {40})
        self.assertEqual(len(made), 8)
