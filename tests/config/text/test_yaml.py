from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text import yaml as yaml_text
from relaykit.config.text.documents import FormatError
from relaykit.config.text.yaml import read_yaml


def scalar(text: str) -> Any:
    """The value of a scalar."""
    return read_yaml(f"key: {text}\n").value["key"]


class ScalarTests(SynchronousTestCase):
    """Tests for what scalars mean."""

    def test_plain(self) -> None:
        """Booleans, numbers and null follow YAML 1.1 without base 60; dates and times stay text."""
        for text, value in (
            ("yes", True),
            ("y", True),
            ("On", True),
            ("N", False),
            ("off", False),
            ("tRUE", "tRUE"),
            ("~", None),
            ("NULL", None),
            ("", None),
            ("015530", 7000),
            ("0o15530", 7000),
            ("0x1b58", 7000),
            ("0b11", 3),
            ("-0b11", -3),
            ("7_000", 7000),
            ("+70000", 70000),
            ("7000.0", 7000),
            ("7e3", 7000),
            ("08", 8),
            (".5", 0.5),
            (".5_0", 0.5),
            ("99999999999999999999", 10**20),
            ("1e400", "1e400"),
            ("1:10:00", "1:10:00"),
            ("10:00:00", "10:00:00"),
            ("2024-01-01", "2024-01-01"),
            ("1,000", "1,000"),
            ("0x", "0x"),
            ("0o8", "0o8"),
            (".", "."),
            ("+", "+"),
            ("_5", "_5"),
            ("nan", "nan"),
            ("<<", "<<"),
        ):
            found = scalar(text)
            self.assertEqual((type(found), found), (type(value), value), text)

    def test_quoted(self) -> None:
        """Quotes and block styles make text."""
        for text, value in (
            ('"yes"', "yes"),
            ("'5'", "5"),
            ("|\n  a\n  b", "a\nb\n"),
            (">-\n  a\n  b", "a b"),
        ):
            self.assertEqual(scalar(text), value)

    def test_tags(self) -> None:
        """Tags of YAML are honored, others are ignored."""
        for text, value in (
            ("!!str 5", "5"),
            ("! 5", "5"),
            ("!foo a", "a"),
            ('!!int "5"', 5),
            ("!!float 5", 5),
            ("!!bool yes", True),
            ("!!binary aGk=", "hi"),
            ("!!timestamp 2001-01-01", "2001-01-01"),
        ):
            self.assertEqual(scalar(text), value, text)
        for text in ("!!int x", "!!bool 5", "!!null x", "!!binary ä"):
            self.assertRaises(FormatError, scalar, text)

    def test_non_finite(self) -> None:
        """Numbers that are not finite are refused with their key."""
        for text in (".inf", "-.Inf", ".NaN"):
            error = self.assertRaises(FormatError, scalar, text)
            self.assertEqual((error.key, error.line), ("key", 1))


class DocumentTests(SynchronousTestCase):
    """Tests for whole documents."""

    def test_lines(self) -> None:
        """Keys and elements have their lines, merged ones that of their origin."""
        document = read_yaml(
            ".p: &p\n  a: 1\n  b: 2\nproxies:\n- <<: *p\n  name: x\n  b: 3\n- {name: z,\n   c: 4}\n"
        )
        self.assertEqual(document.value, {"proxies": [{"name": "x", "b": 3, "a": 1}, {"name": "z", "c": 4}]})
        for path, line in (
            (("proxies",), 4),
            (("proxies", 0), 5),
            (("proxies", 0, "Name"), 6),
            (("proxies", 0, "a"), 2),
            (("proxies", 0, "b"), 7),
            (("proxies", 1, "c"), 9),
        ):
            self.assertEqual(document.line_of(path), line, path)

    def test_tabs(self) -> None:
        """A tab may stand between tokens, but does not indent."""
        self.assertEqual(read_yaml("a:\tb\nc: \t[d,\t\te]\t# f\n").value, {"a": "b", "c": ["d", "e"]})
        self.assertRaises(FormatError, read_yaml, "a:\n\tb: c\n")

    def test_keys(self) -> None:
        """Keys become text, of repeated ones the last counts; those of the top level with a dot do not."""
        document = read_yaml("1: a\ntrue: b\n1.5: c\nx: 1\nx: 2\nt:\n  .y: 1\n.hidden: 1\n")
        self.assertEqual(document.value, {"1": "a", "true": "b", "1.5": "c", "x": 2, "t": {".y": 1}})
        self.assertEqual(document.repeated, (("x",),))

    def test_merging(self) -> None:
        """Of several merged tables, the first that has a key counts; what is no table cannot be merged."""
        self.assertEqual(read_yaml("<<: [{a: 1}, {a: 2, b: 3}]\nc: 4\n").value, {"a": 1, "b": 3, "c": 4})
        for text in ("<<: 5\n", "<<: [5]\n"):
            self.assertRaises(FormatError, read_yaml, text)

    def test_first_document(self) -> None:
        """Only the first document counts, and nothing at all is null."""
        self.assertEqual(read_yaml("---\na: 1\n---\ngarbage: [\n").value, {"a": 1})
        for text in ("", "# comment\n", "null\n", "---\n"):
            self.assertIsNone(read_yaml(text).value)

    def test_errors(self) -> None:
        """What is no YAML is refused, with its line."""
        for text, line in (
            ("a: b: c\n", 1),
            ("a:\n\t- x\n", 2),
            ("user: *nope\n", 1),
            ('user: "a\n', 2),
            ("user: a\n  b: c\n", 2),
            ("%YAML 1.2\n---\nuser: a\n", 1),
            ("[a]: x\n", 1),
            ("~: x\n", 1),
            ('user: "a\\qb"\n', 1),
        ):
            error = self.assertRaises(FormatError, read_yaml, text)
            self.assertEqual(error.line, line, text)

    def test_no_echo(self) -> None:
        """A token that lacks its quotes is not repeated, whatever YAML takes it for."""
        for text, hint in (
            ("token: *s3cret", "quotes"),
            ("token: !s3!cret x", "quotes"),
            ("token: !s3cret! x", ""),
            ("token: s3cret: s3cret", ""),
        ):
            error = self.assertRaises(FormatError, read_yaml, f"{text}\n")
            self.assertNotIn("s3", f"{error} {error.hint}", text)
            self.assertIn(hint, error.hint, text)

    def test_bounded(self) -> None:
        """Aliases that contain themselves, or multiply, and deep nesting end in an error."""
        self.patch(yaml_text, "MOST_NODES", 1000)
        bomb = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
            f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n"
            for before, name in zip("abcde", "bcdef", strict=True)
        )
        for text in ("a: &a [*a]\n", "a: &a {b: *a}\n", "<<: &a [*a]\n", bomb, "[" * 5000):
            self.assertRaises(FormatError, read_yaml, text)

    @given(st.text(alphabet="ab:-[]{},&*!<| \n'\"#?%~5.", max_size=30))
    def test_junk(self, text: str) -> None:
        """Any text is a document or a FormatError."""
        try:
            document = read_yaml(text)
        except FormatError as error:
            self.assertLessEqual(error.line or 1, text.count("\n") + 2)
            return
        for line in document.lines.values():
            self.assertLessEqual(line, text.count("\n") + 1)


class CharacterTests(SynchronousTestCase):
    """Tests for characters that there are not."""

    def test_not_in_yaml(self) -> None:
        """A character that YAML does not have is an error with its place."""
        error = self.assertRaises(FormatError, read_yaml, "a: 1\nb: \x1f\n")
        self.assertEqual((error.line, error.column), (2, 4))
        self.assertIn("U+001F", error.reason)

    def test_no_character(self) -> None:
        """An escape that stands for no character is an error with its place."""
        for escape in ("\\U00110000", "\\UFFFFFFFF"):
            error = self.assertRaises(FormatError, read_yaml, f'a: 1\nb: "{escape}"\n')
            self.assertIn("stands for no character", error.reason)
            self.assertEqual(error.line, 2)
