"""Tests of limits of bandwidth as texts."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import bandwidth_problem, is_no_limit, parse_bandwidth


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

    def test_problem(self) -> None:
        """What is wrong with a text is told, and what to write; empty texts are fine."""
        for text in ("", " ", "1MB", "0MB", " 1.5KB "):
            self.assertEqual(bandwidth_problem(text), "", text)
        for text in ("1mb", "xMB"):
            self.assertIn("such as 1.5MB", bandwidth_problem(text))

    def test_is_no_limit(self) -> None:
        """What looks like a limit and is none is found out; what cannot be read is not that."""
        for text, found in (
            ("0MB", True),
            ("-1KB", True),
            ("NaNMB", True),
            ("", False),
            ("1MB", False),
            ("0", False),
        ):
            self.assertIs(is_no_limit(text), found, text)
