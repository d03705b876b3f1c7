from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.formatting import MOST_WIDTH, format_text
from relaykit.config.template.values import NumberPair, Root, Value


class FormatTests(SynchronousTestCase):
    """Tests for printf."""

    def test_verbs(self) -> None:
        """Verbs, flags, widths and precisions write what Go's fmt writes."""
        cases: tuple[tuple[str, tuple[Value, ...], str], ...] = (
            ("%d-%05d-%x", (5, 7, 255), "5-00007-ff"),
            ("%5d|%-5d|%+d|% d", (5, 5, 5, 5), "    5|5    |+5| 5"),
            ("%x|%X|%#x|%o|%O|%b|%#b", (255, 255, 255, 8, 8, 5, 5), "ff|FF|0xff|10|0o10|101|0b101"),
            ("%c%q%U", (65, 39, 8364), "A'\\''U+20AC"),
            ("%s|%5s|%-5s|%.2s", ("ab", "ab", "ab", "abc"), "ab|   ab|ab   |ab"),
            ("%q|%#q|%x|%X", ("a\tb", "a", "hi", "hi"), '"a\\tb"|`a`|6869|6869'),
            ("%v|%T|%t", ("v", "t", True), "v|string|true"),
            (
                "%6.2f|%08.3f|%e|%g|%G",
                (3.14159, 3.14159, 1234.5, 1e-5, 1e-5),
                "  3.14|0003.142|1.234500e+03|1e-05|1E-05",
            ),
            ("%05d|%05.1d", (-7, 7), "-0007|    7"),
            ("%*d|%-*d", (5, 3, 4, 3), "    3|3   "),
            ("%v %d %s", ([1, 2], [1, 2], NumberPair(1, 2)), "[1 2] [1 2] {%!s(int=1) %!s(int=2)}"),
            ("%s", ({"a": "b"},), "map[a:b]"),
            ("%v", (Root({"a": "b"}),), "{map[a:b]}"),
            ("100%%", (), "100%"),
        )
        for template, arguments, text in cases:
            self.assertEqual(format_text(template, arguments), text, template)

    def test_mistakes(self) -> None:
        """Mistakes are written into the text."""
        cases: tuple[tuple[str, tuple[Value, ...], str], ...] = (
            ("%d", ("x",), "%!d(string=x)"),
            ("%s", (5,), "%!s(int=5)"),
            ("%s", (None,), "%!s(<nil>)"),
            ("%v", (None,), "<nil>"),
            ("%d", (), "%!d(MISSING)"),
            ("%d", (1, 2, "x"), "1%!(EXTRA int=2, string=x)"),
            ("%z", (1,), "%!z(int=1)"),
            ("a%", (), "a%!(NOVERB)"),
            ("%t", ("x",), "%!t(string=x)"),
            (f"%{MOST_WIDTH + 1}d", (), "%!(BADWIDTH)"),
        )
        for template, arguments, text in cases:
            self.assertEqual(format_text(template, arguments), text, template)

    @given(
        st.text(alphabet="%0123456789.*+-# vdsqxfeTtcUz", max_size=20),
        st.lists(st.integers() | st.text(max_size=5) | st.floats() | st.none() | st.booleans(), max_size=4),
    )
    def test_junk(self, template: str, arguments: list[Value]) -> None:
        """Any template with any arguments gives a text of bounded length."""
        self.assertLess(len(format_text(template, arguments)), 20 * (MOST_WIDTH + 1000))
