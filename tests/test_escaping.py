"""Tests for texts of others that are shown."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.escaping import MOST_SHOWN, MOST_TOLD, masked_endpoint, printable, printable_lines, shown, told


class PrintableTests(SynchronousTestCase):
    """What may be in a line, and what may not."""

    def test_letters_of_the_world(self) -> None:
        """What can be printed stays as it is."""
        for text in ("", "web", "prüfung 日本", "a\\nb"):
            self.assertEqual(printable(text), text)

    def test_controls(self) -> None:
        """Terminal sequences, line ends, and marks that turn a line around are shown, not obeyed."""
        self.assertEqual(
            printable("a\x1b]52;c;eA==\x07\r\nb\x9b2J\u202e\u2028\x7f\udcff"),
            "a\\x1b]52;c;eA==\\x07\\r\\nb\\x9b2J\\u202e\\u2028\\x7f\\udcff",
        )

    @given(st.text(st.characters()))
    def test_anything(self, text: str) -> None:
        """Whatever it was, all of it can be printed, and doing it again changes nothing."""
        self.assertTrue(printable(text).isprintable())
        self.assertEqual(printable(printable(text)), printable(text))
        self.assertTrue(all(line.isprintable() for line in re.split("[\n\t]", printable_lines(text))))

    def test_lines(self) -> None:
        """Line ends of our own stay; what a terminal would do on a line does not."""
        self.assertEqual(printable_lines("one\n\ttwo\x1b[2J\r\n"), "one\n\ttwo\\x1b[2J\\r\n")


class ShownTests(SynchronousTestCase):
    """How much is shown of what a stranger sent."""

    def test_short(self) -> None:
        """What is short is shown whole."""
        self.assertEqual(shown("x" * MOST_SHOWN), "x" * MOST_SHOWN)
        self.assertEqual(told("no such\nproxy"), "no such\\nproxy")

    def test_cut(self) -> None:
        """What is longer is cut, and it shows."""
        self.assertEqual(shown("x" * (MOST_SHOWN + 1)), "x" * (MOST_SHOWN - 3) + "...")
        self.assertEqual(len(told("x" * 65536)), MOST_TOLD)

    @given(st.text(st.characters() | st.just("\x7f"), max_size=300))
    def test_bound(self, text: str) -> None:
        """An escape counts as it is written: nothing makes more of what is shown."""
        self.assertLessEqual(len(shown(text)), MOST_SHOWN)
        self.assertTrue(shown(text).isprintable())


class MaskedEndpointTests(SynchronousTestCase):
    """Tests for endpoint strings that have secrets."""

    def test_hidden(self) -> None:
        """What is named as secrets are is hidden, with all that is quoted in it, and nothing else."""
        for text, shown_text in (
            ("socks5:username=alice:password=hush", "socks5:username=alice:password=<secret>"),
            (
                r"http_proxy:httpPassword=a\:b\\\=c=d:httpUser=x",
                "http_proxy:httpPassword=<secret>:httpUser=x",
            ),
            ("http2http:requestHeaders.set.X-A=hush", "http2http:requestHeaders.set.X-A=<secret>"),
            ("x:apiToken=a:SECRET=b", "x:apiToken=<secret>:SECRET=<secret>"),
            (r"unix:/run/password\=x", r"unix:/run/password\=x"),
            ("tcp:127.0.0.1:22", "tcp:127.0.0.1:22"),
        ):
            self.assertEqual(masked_endpoint(text), shown_text)
