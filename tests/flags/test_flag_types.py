"""Tests for what the values of flags may be."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.flags.flag_types import (
    quoted,
    read_boolean,
    read_duration,
    read_integer,
    read_list,
    read_mapping,
)


class IntegerTests(SynchronousTestCase):
    """Tests for numbers."""

    def test_bases(self) -> None:
        """Numbers are decimal, or hexadecimal, octal or binary by their prefix."""
        for text, number in {
            "7000": 7000,
            "-1": -1,
            "+5": 5,
            "0": 0,
            "0x1F": 31,
            "0X1f": 31,
            "0b11": 3,
            "0o17": 15,
            "010": 8,
            "1_000": 1000,
            "0_17": 15,
            "0x_1F": 31,
        }.items():
            self.assertEqual(read_integer(text), number, text)

    def test_refused(self) -> None:
        """What is no number is refused."""
        for text in ("", "abc", "1.5", "08", "1__0", "_1", "1_", "0x", " 1", "1 ", "٣", "--1"):
            self.assertRaises(ValueError, read_integer, text)

    def test_range(self) -> None:
        """Numbers have 64 bits."""
        self.assertEqual(read_integer(str(-(2**63))), -(2**63))
        with self.assertRaisesRegex(ValueError, "out of range"):
            read_integer(str(2**63))

    @given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["{}", "{:#x}", "{:#b}", "{:#o}", "{:_}"]))
    def test_any_number(self, number: int, form: str) -> None:
        """Every number is read from each of its forms."""
        self.assertEqual(read_integer(form.format(number)), number)


class BooleanTests(SynchronousTestCase):
    """Tests for yes and no."""

    def test_words(self) -> None:
        """Twelve words are known, by case."""
        for text in ("1", "t", "T", "TRUE", "true", "True"):
            self.assertIs(read_boolean(text), True)
        for text in ("0", "f", "F", "FALSE", "false", "False"):
            self.assertIs(read_boolean(text), False)
        for text in ("", "yes", "tRUE", "on", "2"):
            self.assertRaises(ValueError, read_boolean, text)


class DurationTests(SynchronousTestCase):
    """Tests for durations."""

    def test_units(self) -> None:
        """Numbers with units are added up to seconds."""
        for text, seconds in {
            "30s": 30.0,
            "1m30s": 90.0,
            "500ms": 0.5,
            "1.5h": 5400.0,
            ".5s": 0.5,
            "2.s": 2.0,
            "-1s": -1.0,
            "0": 0.0,
            "1us": 1e-6,
            "1µs": 1e-6,
            "3ns": 3e-9,
        }.items():
            self.assertAlmostEqual(read_duration(text), seconds, msg=text)

    def test_refused(self) -> None:
        """A number without a unit, an unknown unit and anything else are refused in words."""
        for text in ("5", "1m5", "x", "", ".s", "-", "5y", "s", "1s2"):
            self.assertRaises(ValueError, read_duration, text)

    @given(st.text(alphabet="0123456789.smhnuµ-+ x", max_size=12))
    def test_junk(self, text: str) -> None:
        """Any text is read or refused."""
        with contextlib.suppress(ValueError):
            self.assertIsInstance(read_duration(text), float)


class ListTests(SynchronousTestCase):
    """Tests for lists."""

    def test_fields(self) -> None:
        """Commas separate, quotes protect them, doubled quotes stand for one."""
        for text, fields in {
            "": (),
            "a": ("a",),
            "a,b": ("a", "b"),
            "a,,b": ("a", "", "b"),
            "a,": ("a", ""),
            '"a,b",c': ("a,b", "c"),
            '"a""b"': ('a"b',),
            '"",x': ("", "x"),
            " a , b": (" a ", " b"),
        }.items():
            self.assertEqual(read_list(text), fields, text)

    def test_refused(self) -> None:
        """Quotes that do not match are refused."""
        for text in ('"a', '"\u00e9', '"a"b'):
            self.assertRaises(ValueError, read_list, text)

    @given(
        st.lists(
            st.text(max_size=5).filter(lambda text: not set(text) & set("\r\n\0")), min_size=1, max_size=4
        )
    )
    def test_round_trip(self, fields: list[str]) -> None:
        """Whatever is quoted is read as it was."""
        line = ",".join('"' + text.replace('"', '""') + '"' for text in fields)
        self.assertEqual(read_list(line), tuple(fields))


class MappingTests(SynchronousTestCase):
    """Tests for maps."""

    def test_pairs(self) -> None:
        """Pairs are separated by commas; a single pair may have commas in its value."""
        for text, pairs in {
            "a=b": {"a": "b"},
            "a=b,c": {"a": "b,c"},
            "a=b,c=d": {"a": "b", "c": "d"},
            "a=": {"a": ""},
            '"a=b"': {"a": "b"},
            'a=b,"c=d,e=f"': {"a": "b", "c": "d,e=f"},
        }.items():
            self.assertEqual(read_mapping(text), pairs, text)

    def test_refused(self) -> None:
        """A part that is no pair is named."""
        for text, part in {"a": "a", "k=v,k2=v,2": "2", "": ""}.items():
            with self.assertRaises(ValueError) as caught:
                read_mapping(text)
            self.assertEqual(str(caught.exception), f"{part} must be formatted as key=value")


class QuotedTests(SynchronousTestCase):
    """Tests for quoting."""

    def test_escapes(self) -> None:
        """What cannot be printed is escaped."""
        for text, shown in {
            "a": '"a"',
            'a"\\': '"a\\"\\\\"',
            "\n\x1b": '"\\n\\u001b"',
            "é": '"é"',
            "\udcff": '"\\udcff"',
        }.items():
            self.assertEqual(quoted(text), shown)
