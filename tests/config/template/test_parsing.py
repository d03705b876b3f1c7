from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template import nodes
from relaykit.config.template.parsing import MOST_NESTING, Template, parse
from relaykit.config.template.source import Source, TemplateError

FUNCTIONS = ("print", "f")
PIECES = (
    *("{{", "}}", " ", "if", "else", "end", "range", "define", "template", '"a"', "$x", ":=", ",", "|"),
    *(".A", "print", "(", ")", "1", "nil", "break", "with", "block", "text", "-", "="),
)


def read(text: str) -> Template:
    """The tree of a template."""
    return parse(Source(text), FUNCTIONS)


def pipeline(text: str) -> nodes.Pipeline:
    """The pipeline of a template that is one action."""
    (action,) = read(text).body
    assert isinstance(action, nodes.Action)
    return action.pipeline


def constant(text: str) -> object:
    """The value of a template that is one constant."""
    (command,) = pipeline(f"{{{{ {text} }}}}").commands
    (operand,) = command.operands
    assert isinstance(operand, nodes.Literal)
    return operand.value


class ExpressionTests(SynchronousTestCase):
    """Tests for expressions."""

    def test_numbers(self) -> None:
        """Numbers are those of Go."""
        for text, value in (
            ("0x10", 16),
            ("017", 15),
            ("1_000", 1000),
            ("-3", -3),
            ("1.50", 1.5),
            (".5", 0.5),
        ):
            self.assertEqual(constant(text), value)
        for text in ("08", "9223372036854775808", "0x", "1__0"):
            self.assertRaises(TemplateError, constant, text)

    def test_strings(self) -> None:
        """Escapes are those of Go, raw strings have none."""
        for text, value in (
            (r'"a\tb\"\\"', 'a\tb"\\'),
            (r'"\u00e4\x41\101\U0001F600"', "äAA\U0001f600"),
            (r'"\xc3\xa4"', "ä"),
            (r"`a\tb`", r"a\tb"),
            ("'a'", 97),
            (r"'\n'", 10),
            (r"'\''", 39),
        ):
            self.assertEqual(constant(text), value)
        for text in (r'"\q"', r'"\x4"', r'"\ud800"', r'"\400"', "'ab'", "''", r'"\'"'):
            self.assertRaises(TemplateError, constant, text)

    def test_paths(self) -> None:
        """Fields belong to what stands before them."""
        for text, node in (
            (".A.B", nodes.FieldPath(3, 7, ("A", "B"))),
            ("$.A", nodes.Variable(3, 6, "$", ("A",))),
            (".", nodes.Dot(3, 4)),
        ):
            self.assertEqual(pipeline(f"{{{{ {text} }}}}").commands[0].operands, (node,))
        (chain,) = pipeline("{{ (f 1).A }}").commands[0].operands
        self.assertIsInstance(chain, nodes.Chain)

    def test_spans(self) -> None:
        """Expressions know the text that they were made of."""
        text = "{{ $x := f .A (print 1) | print 2 }}"
        found = pipeline(text)
        self.assertEqual(text[found.start : found.end].strip(), "$x := f .A (print 1) | print 2")
        self.assertEqual(
            [text[each.start : each.end] for each in found.commands], ["f .A (print 1)", "print 2"]
        )
        self.assertEqual(found.variables, ("$x",))

    def test_errors(self) -> None:
        """What is wrong is told in the words of Go where those are known."""
        for text, words in (
            ("{{ }}", "missing value for command"),
            ("{{ if }}{{ end }}", "missing value for if"),
            ('{{ env "X" }}', 'function "env" not defined'),
            ("{{ .A } }}", 'unexpected "}" in operand'),
            ("{{ /* c */ }}", 'unexpected "/" in command'),
            ("{{ $y }}", 'undefined variable "$y"'),
            ("{{ 1 | 2 }}", "non executable command in pipeline stage 2"),
            ("{{ true.X }}", "unexpected . after term true"),
            ('{{ "a""b" }}', "in operand"),
            ("{{ | print }}", 'unexpected "|" in command'),
            ("{{ $x, $y := 1 }}", "too many declarations in command"),
            ("{{ range $a, $b, $c := . }}{{ end }}", "too many declarations in range"),
            ("{{ range $a, 5 }}{{ end }}", "range can only initialize variables"),
            ("{{ () }}", "missing value for parenthesized pipeline"),
        ):
            error = self.assertRaises(TemplateError, read, text)
            self.assertIn(words, error.reason, text)


class StatementTests(SynchronousTestCase):
    """Tests for control words."""

    def test_chains(self) -> None:
        """``else if`` and ``else with`` nest."""
        (choice,) = read("{{ if 1 }}a{{ else if 2 }}b{{ else }}c{{ end }}").body
        assert isinstance(choice, nodes.If)
        (inner,) = choice.otherwise
        assert isinstance(inner, nodes.If)
        self.assertEqual(len(inner.otherwise), 1)
        self.assertIsInstance(read("{{ with 1 }}{{ else with 2 }}{{ end }}").body[0], nodes.With)

    def test_definitions(self) -> None:
        """Templates with names are kept apart; a block is defined and used at once."""
        template = read('{{ define "a" }}x{{ end }}{{ block "b" . }}y{{ end }}{{ template "a" }}')
        self.assertEqual(set(template.definitions), {"a", "b"})
        self.assertEqual([type(each) for each in template.body], [nodes.Invocation, nodes.Invocation])

    def test_errors(self) -> None:
        """Control words where they do not belong are refused."""
        for text, words in (
            ("{{ end }}", "unexpected {{end}}"),
            ("{{ else }}", "unexpected {{else}}"),
            ("{{ if 1 }}x", "unexpected EOF"),
            ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "expected end; found {{else}}"),
            ("{{ with 1 }}{{ else if 1 }}{{ end }}", "unexpected if in else"),
            ("{{ break }}", "{{break}} outside {{range}}"),
            ('{{ range . }}{{ define "a" }}{{ end }}{{ end }}', "unexpected define in command"),
            ('{{ range . }}{{ block "a" . }}{{ break }}{{ end }}{{ end }}', "{{break}} outside {{range}}"),
            ("{{ range . }}{{ continue 1 }}{{ end }}", "in {{continue}}"),
            ("{{ template }}", "in template clause"),
            ('{{ define "a" }}{{ else }}{{ end }}', "unexpected {{else}} in define clause"),
            ('{{ $x := 1 }}{{ define "a" }}{{ $x }}{{ end }}', 'undefined variable "$x"'),
            ("{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}", 'undefined variable "$x"'),
        ):
            error = self.assertRaises(TemplateError, read, text)
            self.assertIn(words, error.reason, text)

    def test_nesting(self) -> None:
        """Nesting is bounded, whatever is nested."""
        for opening, closing in (("{{ if 1 }}", "{{ end }}"), ('{{ block "a" . }}', "{{ end }}")):
            read(opening * MOST_NESTING + closing * MOST_NESTING)
            error = self.assertRaises(TemplateError, read, opening * 5000)
            self.assertIn("nested more than", error.reason)
        error = self.assertRaises(TemplateError, read, "{{ " + "(" * 5000)
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
            self.assertIsInstance(read(text), Template)
        except TemplateError as error:
            self.assertEqual(error.line, 1)
