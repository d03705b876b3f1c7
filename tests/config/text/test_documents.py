from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text.documents import (
    Document,
    Format,
    FormatError,
    dotted,
    fold,
    key_path,
    kind_of,
    refuse_non_finite,
    shown,
)

PATHS = st.lists(st.from_regex(r"[A-Za-z]\w*", fullmatch=True) | st.integers(0, 99), min_size=1, max_size=6)


class DocumentTests(SynchronousTestCase):
    """Tests for parsed texts."""

    def test_line_of(self) -> None:
        """A key has its line whatever its letter case, else that of the nearest table around it."""
        document = Document({}, Format.TOML, {("transport",): 3, ("transport", "tcpmux"): 4})
        self.assertEqual(document.line_of(("transport", "tcpMux")), 4)
        self.assertEqual(document.line_of(("Transport", "tls", "force")), 3)
        self.assertIsNone(document.line_of(("log",)))

    def test_non_finite(self) -> None:
        """A number that is not finite is refused with its key and line."""
        document = Document({"a": [{"b": float("inf")}]}, Format.YAML, {("a", 0): 7})
        error = self.assertRaises(FormatError, refuse_non_finite, document)
        self.assertEqual((error.key, error.line), ("a[0].b", 7))
        fine = Document({"a": [1.5]}, Format.YAML)
        self.assertIs(refuse_non_finite(fine), fine)


class PathTests(SynchronousTestCase):
    """Tests for paths of keys."""

    def test_dotted(self) -> None:
        """List indexes are in brackets."""
        self.assertEqual(
            dotted(("proxies", 0, "transport", "useEncryption")), "proxies[0].transport.useEncryption"
        )
        self.assertEqual(dotted(()), "")

    @given(PATHS)
    def test_round_trip(self, parts: list[str | int]) -> None:
        """What was written with dots is read again."""
        path = ("key", *parts)
        self.assertEqual(key_path(dotted(path)), path)

    def test_fold(self) -> None:
        """Letters become lower case, indexes stay."""
        self.assertEqual(fold(("Proxies", 0, "localPort")), ("proxies", 0, "localport"))


class WordsTests(SynchronousTestCase):
    """Tests for the words for plain values."""

    def test_kinds(self) -> None:
        """Every kind of plain value has a word."""
        values: tuple[object, ...] = (None, True, 5, 1.5, "x", [], {})
        words = [
            "null",
            "true or false",
            "a number",
            "a number with a fraction",
            "a text",
            "a list",
            "a table",
        ]
        self.assertEqual([kind_of(value) for value in values], words)

    def test_shown(self) -> None:
        """Values are repeated, but not without bound."""
        self.assertEqual(shown("7000"), 'the text "7000"')
        self.assertEqual(shown(5), "a number (5)")
        self.assertEqual(shown(False), "false")
        self.assertEqual(shown([1]), "a list")
        self.assertLess(len(shown("x" * 1000)), 80)
