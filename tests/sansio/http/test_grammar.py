"""The grammar of heads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.grammar import (
    fault_of_line,
    is_token,
    is_value,
    key_of,
    keys_of,
    listed,
    split_lines,
    valid_lines,
    values_of,
)


class GrammarTests(SynchronousTestCase):
    """Fields, their names and values."""

    def test_lines(self) -> None:
        """Lines are taken up to the first one that is no field."""
        good = b"A: 1\r\nB:\t 2 \t\r\nC:\r\n"
        self.assertEqual(valid_lines(good + b"D : 4\r\n"), len(good))
        lines = split_lines(good, 0, len(good))
        self.assertEqual(lines, [b"A: 1", b"B:\t 2 \t", b"C:"])
        keys = keys_of(lines)
        self.assertEqual(keys, (b"a", b"b", b"c"))
        self.assertEqual(values_of(keys, lines, {b"b", b"c", b"d"}), {b"b": [b"2"], b"c": [b""]})
        self.assertEqual(split_lines(b"\r\n", 0, 0), ())

    def test_names(self) -> None:
        """Names are compared without case, and an underscore is a hyphen."""
        self.assertEqual(key_of(b"X_Forwarded-FOR"), b"x-forwarded-for")
        self.assertTrue(is_token(b"X-A"))
        for name in (b"", b"X A", b"X:", b"X\n"):
            self.assertFalse(is_token(name))

    def test_values(self) -> None:
        """Values are one line of text, in any character set."""
        self.assertTrue(is_value(b"a\t\xff b"))
        for value in (b"a\r\nb", b"\x00", b"a\n"):
            self.assertFalse(is_value(value))

    def test_lists(self) -> None:
        """Lists in several fields are one list; empty members are none."""
        self.assertEqual(list(listed([b"A,, b", b"", b" c\t"])), [b"a", b"b", b"c"])

    @given(st.binary(max_size=30).map(lambda junk: junk.replace(b"\n", b"") + b"\r\n"))
    def test_faults(self, line: bytes) -> None:
        """Each line is a field, or has a fault that can be told."""
        if valid_lines(line) != len(line):
            self.assertTrue(fault_of_line(line).isprintable())
