from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text.documents import Format, FormatError
from relaykit.config.text.formats import parse_document


class DetectionTests(SynchronousTestCase):
    """Tests for the recognition of formats."""

    def test_recognized(self) -> None:
        """The text decides, the name does not."""
        for text, extension, format in (
            ("bindPort = 7000", ".yaml", Format.TOML),
            ("bindPort = 7000", ".json", Format.TOML),
            ("", ".json", Format.TOML),
            ("[1]", ".json", Format.TOML),
            ("bindPort: 7000", ".json", Format.YAML),
            ("bindPort: 7000", "", Format.YAML),
            ('{"bindPort": 7000}', ".yaml", Format.JSON),
            (' {"bindPort": 7000}', ".ini", Format.JSON),
        ):
            self.assertIs(parse_document(text, extension, strict=True).format, format, text)

    def test_toml_is_final(self) -> None:
        """A file named .toml is TOML or nothing, in any letter case."""
        for extension in (".toml", ".TOML"):
            error = self.assertRaises(FormatError, parse_document, "bindPort: 7000", extension, strict=True)
            self.assertEqual((error.line, error.hint), (1, ""))

    def test_flow_mappings_are_json(self) -> None:
        """What begins with a brace is JSON in any file that is not TOML."""
        self.assertRaises(FormatError, parse_document, "{user: a}", ".yaml", strict=True)

    def test_strictness(self) -> None:
        """Text after JSON is only noticed without strictness, as frp does."""
        text = '{"a": 1} garbage'
        self.assertEqual(parse_document(text, ".json", strict=True).value, {"a": 1})
        self.assertRaises(FormatError, parse_document, text, ".json", strict=False)

    def test_no_table(self) -> None:
        """A text or a list is no configuration; where TOML may have been meant, its error is told."""
        for text, words in (("hello", 'the text "hello"'), ("- a\n- b", "a list"), ('"x"', 'the text "x"')):
            error = self.assertRaises(FormatError, parse_document, text, ".yaml", strict=True)
            self.assertIn(words, error.reason)
            self.assertEqual(error.hint, "")
        error = self.assertRaises(FormatError, parse_document, "bindPort = 7000 x", ".conf", strict=True)
        self.assertIn("it is no TOML: line 1, column 17", error.hint)
        error = self.assertRaises(FormatError, parse_document, "a: b: c", "", strict=True)
        self.assertIn("it is no TOML", error.hint)

    def test_key_is_final(self) -> None:
        """TOML with a number that no key can have stays TOML."""
        error = self.assertRaises(FormatError, parse_document, "bindPort = nan", ".yaml", strict=True)
        self.assertEqual(error.key, "bindPort")


_PIECES = (
    *("a", "b.c", '"', "'", '"""', "\n", "\n\n", " ", "  ", "\t", "=", ": ", "- ", "[", "]", "[[", "]]"),
    *("{", "}", ",", "#", "&x", "*x", "<<: ", "!!binary ", "!!int ", "!!float ", "!t ", "%YAML 1.1\n---\n"),
    *("---\n", "? ", "|\n ", ">\n ", "...\n", "\\", "\\u0041", "\\ud800", "\\U00110000", "\\UFFFFFFFF"),
    *("\\x", "\x00", "\ud800", "1", "-0", "1e999", "0x", "0o17", "017", "1_0", "nan", ".inf", "true", "~"),
    *("null", "1979-05-27", "07:32:00Z", "9" * 30, "9" * 5000, "é", "\u2028", "\ufeff", "\x85"),
)
"""What the three formats are made of, and what they have no place for."""


class AnyTextTests(SynchronousTestCase):
    """Whatever a file holds, it is a document or a problem with it."""

    @given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join) | st.text(max_size=60))
    @settings(max_examples=300)
    def test_any_text(self, text: str) -> None:
        """No text makes a parser fail in another way than by its own error."""
        for extension in (".toml", ".yaml"):
            for strict in (True, False):
                with contextlib.suppress(FormatError):
                    parse_document(text, extension, strict=strict)
        for prefixed in (f'{{"a": {text}', f"a: {text}", f"a = {text}", f'a: "{text}"', f'a = "{text}"'):
            with contextlib.suppress(FormatError):
                parse_document(prefixed, "", strict=True)
