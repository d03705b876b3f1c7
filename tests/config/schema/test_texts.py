from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.texts import (
    format_fingerprint,
    parse_fingerprint,
)


class FingerprintTests(SynchronousTestCase):
    """Tests for fingerprints of certificates."""

    @given(st.binary(min_size=32, max_size=32))
    def test_spellings(self, digest: bytes) -> None:
        """Colons, letter case, the prefix and white space do not matter."""
        usual = format_fingerprint(digest)
        for text in (usual, usual.lower(), digest.hex(), f"sha256:{usual}", f" SHA256:{digest.hex()}\n"):
            self.assertEqual(parse_fingerprint(text), digest)

    def test_refused(self) -> None:
        """What is not 32 bytes in hexadecimal is refused."""
        for text in ("", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 20, "sha1:" + "ab" * 32):
            self.assertRaisesRegex(ValueError, "64 hexadecimal digits", parse_fingerprint, text)
