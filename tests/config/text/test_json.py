from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text.documents import FormatError
from relaykit.config.text.json import read_json

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class JsonTests(SynchronousTestCase):
    """Tests for JSON."""

    @given(VALUES, st.sampled_from((None, 0, 2)))
    def test_values(self, value: Any, indent: int | None) -> None:
        """What Python writes is read as the same value, a fraction of zero included."""
        text = json.dumps(value, indent=indent)
        read = read_json(text, whole=True).value
        self.assertEqual(json.dumps(read), json.dumps(value))

    def test_lines(self) -> None:
        """Keys and elements have their lines; of repeated keys the last counts and is remembered."""
        document = read_json(
            '{\n "proxies": [\n  {"Name": "a"},\n  {"name": "b",\n   "name": "c"}\n ]\n}', whole=True
        )
        self.assertEqual(document.value, {"proxies": [{"Name": "a"}, {"name": "c"}]})
        self.assertEqual(document.line_of(("proxies", 0, "name")), 3)
        self.assertEqual(document.line_of(("proxies", 1, "name")), 5)
        self.assertEqual(document.repeated, (("proxies", 1, "name"),))

    def test_trailing(self) -> None:
        """What follows the first value matters only where the whole text must be JSON."""
        self.assertEqual(read_json('{"a": 1} garbage', whole=False).value, {"a": 1})
        error = self.assertRaises(FormatError, read_json, '{"a": 1}\n garbage', whole=True)
        self.assertEqual((error.line, error.column), (2, 2))

    def test_errors(self) -> None:
        """A syntax error has its place and says what was expected."""
        for text, column, words in (
            ('{"a": 1,}', 0, ""),
            ("{a: 1}", 2, "double quotes"),
            ('{"a" 1}', 6, "':'"),
            ('{"a": 1', 8, "','"),
            ("[1 2]", 4, "','"),
            ('{"a": tru}', 7, "expecting value"),
            ('{"a": ', 7, "expecting value"),
            ('{"a": NaN}', None, "no number"),
            ('{"a": 01}', 8, "','"),
            ('{"a": "x\n"}', 9, "control character"),
            ('{"a": 1e999}', None, "not a number"),
        ):
            error = self.assertRaises(FormatError, read_json, text, whole=True)
            # Versions of Python differ about the place and the words for a comma too many.
            self.assertEqual(error.column if column != 0 else 0, column, text)
            self.assertIn(words, error.reason)
            self.assertFalse(error.reason.endswith(" at"), error.reason)

    def test_bounded(self) -> None:
        """Nesting and the length of numbers are bounded."""
        self.assertRaises(FormatError, read_json, "[" * 100_000, whole=True)
        self.assertRaises(FormatError, read_json, "9" * 10_000, whole=True)

    @given(st.text(alphabet='{}[]":, ab1-.eE\\\nu', max_size=30))
    def test_junk(self, text: str) -> None:
        """Any text is read as the standard library reads it, or refused as it refuses it."""
        try:
            expected = json.loads(text)
        except ValueError:
            self.assertRaises(FormatError, read_json, text, whole=True)
        else:
            self.assertEqual(read_json(text, whole=True).value, expected)
