from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text.documents import Format, FormatError
from relaykit.config.text.toml import read_toml

EXAMPLE = '''# comment with [brackets] and = signs
bindPort = 7000
auth.token = "x"  # ]]
text = """
[notATable]
key = 1
"""
allowPorts = [
  { start = 1, end = 2 },
  { single = 5 },
]

[transport . tls]
force = true
"quoted key" = 'a'

[[proxies]]
name = "a"
[proxies.plugin]
type = "socks5"
[[proxies]]
name = "b"
plugin = { type = "http_proxy" }
  last = 1
'''


class TomlTests(SynchronousTestCase):
    """Tests for TOML."""

    def test_lines(self) -> None:
        """Keys, tables and lists of tables have their lines, strings and lists do not mislead."""
        document = read_toml(EXAMPLE)
        for path, line in (
            (("bindPort",), 2),
            (("auth",), 3),
            (("auth", "token"), 3),
            (("text",), 4),
            (("allowPorts", 1, "single"), 8),
            (("transport",), 13),
            (("transport", "tls", "force"), 14),
            (("transport", "tls", "Quoted Key"), 15),
            (("proxies",), 17),
            (("proxies", 0), 17),
            (("proxies", 0, "name"), 18),
            (("proxies", 0, "plugin", "type"), 20),
            (("proxies", 1, "name"), 22),
            (("proxies", 1, "plugin", "type"), 23),
            (("proxies", 1, "last"), 24),
        ):
            self.assertEqual(document.line_of(path), line, path)
        self.assertIsNone(document.line_of(("notATable",)))

    def test_values(self) -> None:
        """Whole numbers with a fraction of zero are integers, dates and times are text."""
        document = read_toml(
            "a = 7e3\nb = 7000.5\nc = 2024-01-01\nd = 2024-01-01 10:00:00\n"
            "e = 2024-01-01T10:00:00.50+00:00\nf = 10:00:00\ng = 2024-01-01T10:00:00.5+01:00\n"
        )
        self.assertIs(document.format, Format.TOML)
        self.assertEqual(
            document.value,
            {
                "a": 7000,
                "b": 7000.5,
                "c": "2024-01-01",
                "d": "2024-01-01T10:00:00",
                "e": "2024-01-01T10:00:00.5Z",
                "f": "10:00:00",
                "g": "2024-01-01T10:00:00.5+01:00",
            },
        )
        self.assertIs(type(document.value["a"]), int)

    def test_errors(self) -> None:
        """A syntax error has its place and plain words."""
        for text, line, words in (
            ("bindPort = 7000\nbindPort: 7001\n", 2, "="),
            ("a = 1\na = 2\n", 2, "has a value already"),
            ("a = 1\n{}\n", 2, "neither a key"),
            ("a =", None, ""),
            ("a = nan\n", 1, "nan"),
        ):
            error = self.assertRaises(FormatError, read_toml, text)
            self.assertEqual(error.line, line, text)
            self.assertIn(words, error.reason)

    def test_deep(self) -> None:
        """Nesting is bounded, with an error and not with a crash."""
        for depth in (100, 20_000):
            self.assertRaises(FormatError, read_toml, "a = " + "[" * depth + "]" * depth)
        self.assertRaises(FormatError, read_toml, "a = " + "9" * 10_000)

    @given(st.text(alphabet="ab.=[]{}\"'#\n \\1,", max_size=40))
    def test_junk(self, text: str) -> None:
        """Any text is a document or a FormatError; a line that is told is there."""
        try:
            document = read_toml(text)
        except FormatError as error:
            self.assertLessEqual(error.line or 1, text.count("\n") + 1)
            return
        for line in document.lines.values():
            self.assertLessEqual(line, text.count("\n") + 1)
        for key in document.value:
            self.assertIsNotNone(document.line_of((key,)), key)
