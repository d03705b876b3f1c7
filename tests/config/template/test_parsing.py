from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template import nodes
from relaykit.config.template.parsing import MOST_NESTING, parse
from relaykit.config.template.source import Source, TemplateError

PIECES = (
    *("{{", "}}", " ", "if", "else", "end", "range", "define", "template", '"a"', "$x", ":=", ",", "|"),
    *(".A", "print", "(", ")", "1", "nil", "break", "with", "block", "text", "-", "="),
)


def read(text: str) -> nodes.Body:
    """The statements of a template, without empty texts."""
    body = parse(Source(text))
    return [each for each in body if not isinstance(each, nodes.Text) or each.text]


def constant(text: str) -> object:
    """The value of a template that is one constant."""
    (action,) = read(f"{{{{ {text} }}}}")
    assert isinstance(action, nodes.Action)
    assert isinstance(action.pipeline.expression, nodes.Literal)
    return action.pipeline.expression.constant


class ExpressionTests(SynchronousTestCase):
    """Tests for expressions."""

    def test_numbers(self) -> None:
        """Whole numbers are those of Go; there are no others."""
        for text, value in (("0x10", 16), ("017", 15), ("1_000", 1000), ("-3", -3)):
            self.assertEqual(constant(text), value)
        for text in ("08", "9223372036854775808", "0x", "1__0", "1.5", "1x"):
            error = self.assertRaises(TemplateError, constant, text)
            self.assertIn("is no whole number", error.reason)

    def test_strings(self) -> None:
        """Escapes are those of Go, raw strings have none."""
        for text, value in (
            (r'"a\tb\"\\"', 'a\tb"\\'),
            (r'"\u00e4\x41"', "\u00e4A"),
            (r"`a\tb`", r"a\tb"),
        ):
            self.assertEqual(constant(text), value)
        for text in (r'"\q"', r'"\x4"', r'"\ud800"', r'"\xff"', r'"\N{DIGIT ONE}"'):
            self.assertRaises(TemplateError, constant, text)

    def test_spans(self) -> None:
        """A pipeline knows the text that it was made of."""
        text = "{{ $x := parseNumberRange .A (print 1) | print 2 }}"
        (action,) = read(text)
        assert isinstance(action, nodes.Action)
        found = action.pipeline
        self.assertEqual(text[found.start : found.end], text[3:-3])
        self.assertEqual(found.variables, ("$x",))

    def test_errors(self) -> None:
        """What is wrong is told in the words of Go, and what is left out by its name."""
        for text, words in (
            ("{{ }}", "missing value for command"),
            ("{{ if }}{{ end }}", "missing value for command"),
            ('{{ env "X" }}', 'function "env" not defined'),
            ('{{ print (env "X") }}', 'function "env" not defined'),
            ("{{ html .A }}", "the function html is not supported"),
            ('{{ template "a" }}', "{{template}} is not supported"),
            ('{{ define "a" }}{{ end }}', "{{define}} is not supported"),
            ("{{ $y }}", 'undefined variable "$y"'),
            ("{{ $y = 1 }}", 'undefined variable "$y"'),
            ("{{ 1 | 2 }}", "can't give argument to non-function 2"),
            ('{{ "a" "b" }}', "can't give argument to non-function"),
            ("{{ nil }}", "nil is not a command"),
            ("{{ | print }}", "missing value for command"),
            ("{{ $x, $y := 1 }}", "too many declarations"),
            ("{{ range $a, $b, $c := . }}{{ end }}", "too many declarations"),
            ("{{ () }}", "missing value for command"),
            ("{{ (1 }}", 'unexpected "}}"'),
            ("{{ 1) }}", 'unexpected ")"'),
        ):
            error = self.assertRaises(TemplateError, read, text)
            self.assertIn(words, error.reason, text)


class StatementTests(SynchronousTestCase):
    """Tests for control words."""

    def test_chains(self) -> None:
        """``else if`` and ``else with`` nest."""
        (choice,) = read("{{ if 1 }}a{{ else if 2 }}b{{ else }}c{{ end }}")
        assert isinstance(choice, nodes.Choice)
        (inner,) = choice.otherwise
        assert isinstance(inner, nodes.Choice)
        self.assertEqual(len(inner.otherwise), 1)
        self.assertIsInstance(read("{{ with 1 }}{{ else with 2 }}{{ end }}")[0], nodes.Choice)

    def test_errors(self) -> None:
        """Control words where they do not belong are refused."""
        for text, words in (
            ("{{ end }}", "unexpected {{end}}"),
            ("{{ else }}", "unexpected {{else}}"),
            ("{{ if 1 }}x", "unexpected EOF"),
            ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "expected end; found {{else}}"),
            ("{{ with 1 }}{{ else if 1 }}{{ end }}", 'unexpected "if"'),
            ("{{ break }}", "{{break}} outside {{range}}"),
            ("{{ range . }}{{ else }}{{ break }}{{ end }}", "{{break}} outside {{range}}"),
            ("{{ range . }}{{ continue 1 }}{{ end }}", 'unexpected "1"'),
            ("{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}", 'undefined variable "$x"'),
        ):
            error = self.assertRaises(TemplateError, read, text)
            self.assertIn(words, error.reason, text)

    def test_nesting(self) -> None:
        """Nesting is bounded, whatever is nested."""
        read("{{ if 1 }}" * MOST_NESTING + "{{ end }}" * MOST_NESTING)
        error = self.assertRaises(TemplateError, read, "{{ if 1 }}" * 5000)
        self.assertIn("nested more than", error.reason)
        error = self.assertRaises(TemplateError, read, "{{ " + "(" * 5000 + "1" + ")" * 5000 + "}}")
        self.assertIn("nested more than", error.reason)

    @given(
        st.lists(
            st.sampled_from(PIECES),
            max_size=20,
        )
    )
    def test_junk(self, pieces: list[str]) -> None:
        """Any text is a template or a TemplateError."""
        text = "".join(pieces)
        try:
            self.assertIsInstance(read(text), list)
        except TemplateError as error:
            self.assertEqual(error.line, 1)
