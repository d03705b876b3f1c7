from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.source import Source


class SourceTests(SynchronousTestCase):
    """Tests for places in a template."""

    @given(st.text(alphabet="ab\n", max_size=30))
    def test_lines(self, text: str) -> None:
        """The line of an offset counts the line breaks before it."""
        source = Source(text)
        for at in range(len(text) + 1):
            self.assertEqual(source.line_of(at), text.count("\n", 0, at) + 1)

    def test_error(self) -> None:
        """An error has line and column, counted in bytes, and the expression in question."""
        error = Source("a\nä {{ .Foo }}").error("no such field", 7, 11)
        self.assertEqual((error.line, error.column, error.expression), (2, 7, ".Foo"))
        self.assertEqual(str(error), "line 2, column 7: no such field in .Foo")
        self.assertEqual(str(Source("x").error("bad", 0)), "line 1, column 1: bad")
