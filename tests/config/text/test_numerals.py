from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text.numerals import (
    GREATEST_INTEGER,
    LEAST_INTEGER,
    MOST_RANGE_NUMBERS,
    parse_integer,
    parse_number_range,
)


class IntegerTests(SynchronousTestCase):
    """Tests for integers."""

    def test_decimal(self) -> None:
        """Plain integers are decimal, signs and leading zeros included."""
        for text, value in (("0", 0), ("+3", 3), ("-7", -7), ("007", 7), (str(LEAST_INTEGER), LEAST_INTEGER)):
            self.assertEqual(parse_integer(text), value)

    def test_prefixed(self) -> None:
        """With prefixes, 0x, 0o, 0b and a leading 0 choose the base, and underscores may separate digits."""
        for text, value in (
            ("0x1b58", 7000),
            ("0o17", 15),
            ("017", 15),
            ("-0b11", -3),
            ("1_000", 1000),
            ("0x_1F", 31),
            ("0_17", 15),
            ("0", 0),
        ):
            self.assertEqual(parse_integer(text, prefixed=True), value, text)

    def test_refused(self) -> None:
        """What is no integer is refused, and says so."""
        for text in ("", "x", "1.5", "0x10", "1_0", " 1", "--1", "\uff11"):
            self.assertRaisesRegex(ValueError, "invalid syntax", parse_integer, text)
        for text in ("08", "0x", "1__0", "_1", "1_", "0b2", "+"):
            with self.assertRaisesRegex(ValueError, "invalid syntax"):
                parse_integer(text, prefixed=True)

    def test_range(self) -> None:
        """Integers have 64 bits."""
        self.assertEqual(parse_integer(str(GREATEST_INTEGER)), GREATEST_INTEGER)
        self.assertRaisesRegex(ValueError, "out of range", parse_integer, str(GREATEST_INTEGER + 1))
        self.assertRaisesRegex(ValueError, "out of range", parse_integer, str(LEAST_INTEGER - 1))

    @given(st.integers(LEAST_INTEGER, GREATEST_INTEGER))
    def test_round_trip(self, value: int) -> None:
        """Every integer of 64 bits comes back, in each base."""
        self.assertEqual(parse_integer(str(value)), value)
        for text in (hex(value), oct(value), bin(value), str(value)):
            self.assertEqual(parse_integer(text, prefixed=True), value)

    @given(st.text(alphabet="0123456789_xXbBoO+-abcdef.eE ", max_size=12))
    def test_junk(self, text: str) -> None:
        """Any text is an integer of 64 bits or a ValueError."""
        try:
            value = parse_integer(text, prefixed=True)
        except ValueError:
            return
        self.assertTrue(LEAST_INTEGER <= value <= GREATEST_INTEGER)


class NumberRangeTests(SynchronousTestCase):
    """Tests for ranges of numbers."""

    def test_expanded(self) -> None:
        """Ranges include both ends, and the order is that of the text."""
        self.assertEqual(parse_number_range(" 1 - 3 , 7,7,5-5"), [1, 2, 3, 7, 7, 5])
        self.assertEqual(parse_number_range("+3"), [3])

    def test_refused(self) -> None:
        """Empty parts, reversed ranges and negative numbers are refused, each in words."""
        for text, words in (
            ("", 'range number is invalid, "": invalid syntax'),
            ("1,", "invalid syntax"),
            ("3-1", "range number is invalid$"),
            ("1-2-3", "range number is invalid$"),
            ("-1", 'invalid, "": invalid syntax'),
            ("x-1", '"x": invalid syntax'),
            ("0x10", "invalid syntax"),
            ("99999999999999999999", "out of range"),
        ):
            self.assertRaisesRegex(ValueError, words, parse_number_range, text)

    def test_bounded(self) -> None:
        """A range cannot stand for more numbers than there are uses for."""
        self.assertEqual(len(parse_number_range(f"1-{MOST_RANGE_NUMBERS}")), MOST_RANGE_NUMBERS)
        for text in (f"0-{MOST_RANGE_NUMBERS}", "1-9000000000000000000", f"1-{MOST_RANGE_NUMBERS},1"):
            self.assertRaisesRegex(ValueError, "more than", parse_number_range, text)
