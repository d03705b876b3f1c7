from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.texts import (
    format_fingerprint,
    parse_bandwidth,
    parse_fingerprint,
)


class BandwidthTests(SynchronousTestCase):
    """Tests for limits of bandwidth."""

    def test_bytes(self) -> None:
        """Units count 1024s, fractions are cut off, and white space around does not matter."""
        for text, content in (
            ("1MB", 1048576),
            ("1.5MB", 1572864),
            ("100KB", 102400),
            ("0.5KB", 512),
            (" 2MB ", 2097152),
            ("1e3KB", 1024000),
            ("1_0MB", 10485760),
            ("0.0001KB", 0),
        ):
            self.assertEqual(parse_bandwidth(text), content, text)

    def test_no_limit(self) -> None:
        """Nothing, zero, less and what is not finite mean no limit."""
        for text in ("", "  ", "0MB", "-1MB", "infMB", "NaNKB"):
            self.assertEqual(parse_bandwidth(text), 0, text)

    def test_refused(self) -> None:
        """Other units and other spellings are refused, and the error names the part."""
        for text in ("1mb", "1M", "1048576", "1GB", "1MB/s"):
            self.assertRaisesRegex(ValueError, f'"{text}".*MB or KB', parse_bandwidth, text)
        self.assertRaisesRegex(ValueError, '"1 MB" must be a number', parse_bandwidth, "1 MB")
        self.assertRaisesRegex(ValueError, '"" before the unit', parse_bandwidth, "MB")

    @given(st.text(max_size=8))
    def test_junk(self, text: str) -> None:
        """Any text is a number of bytes or a ValueError."""
        with contextlib.suppress(ValueError):
            self.assertGreaterEqual(parse_bandwidth(text + "KB"), 0)


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
