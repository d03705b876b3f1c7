from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template import nodes
from relaykit.config.template.rendering import render
from relaykit.config.template.source import TemplateError

ENVIRON = {"PORT": "6000", "EMPTY": "", "A-B": "dash"}


def text(template: str) -> str:
    """What a template writes."""
    return render(template, ENVIRON).text


class NodeTests(SynchronousTestCase):
    """Tests for what templates write."""

    def test_values(self) -> None:
        """Fields, variables, functions and pipelines have their values."""
        for template, written in (
            ("{{ .Envs.PORT }}", "6000"),
            ("{{ .Envs.UNSET }}", "<no value>"),
            ("{{ .Envs.UNSET.X }}", "<no value>"),
            ('{{ index .Envs "UNSET" }}', ""),
            ('{{ index .Envs "A-B" }}', "dash"),
            ("{{ $.Envs.PORT }}", "6000"),
            ("{{ $x := .Envs.PORT }}{{ $x }}", "6000"),
            ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
            ("{{ .Envs }}", "map[A-B:dash EMPTY: PORT:6000]"),
            ('{{ (index (parseNumberRangePair "1" "2") 0).First }}', "1"),
            ("{{ .Envs.PORT | parseNumberRange | len }}", "1"),
            ('{{ "x" | printf "%s-%s" "y" }}', "y-x"),
            ('{{ "x" | print | len }}', "1"),
            ('{{"{{"}}', "{{"),
            ("}} {", "}} {"),
            ("{{\nprint\n1\n}}", "1"),
        ):
            self.assertEqual(text(template), written, template)

    def test_lazy(self) -> None:
        """``and`` and ``or`` answer an operand, and leave the rest alone once that is clear."""
        for template, written in (
            ('{{ or .Envs.UNSET "7000" }}', "7000"),
            ('{{ or "" 0 }}', "0"),
            ('{{ and .Envs.PORT "" }}|{{ and 1 2 }}', "|2"),
            ("{{ and 0 (index .Envs 5) }}{{ or 1 (index .Envs 5) }}", "01"),
            ('{{ "y" | or "" }}', "y"),
            ('{{ "y" | or "x" }}', "x"),
        ):
            self.assertEqual(text(template), written, template)

    def test_control(self) -> None:
        """Choices and ranges write the right body, with the right dot."""
        for template, written in (
            ('{{ if .Envs.UNSET }}y{{ else if eq .Envs.PORT "6000" }}six{{ else }}n{{ end }}', "six"),
            ("{{ with .Envs.PORT }}<{{ . }}>{{ end }}", "<6000>"),
            ("{{ with 0 }}a{{ else with 5 }}b{{ . }}{{ else }}c{{ end }}", "b5"),
            ("{{ with $x := 5 }}{{ $x }}{{ end }}", "5"),
            ('{{ range parseNumberRange "1-3,7" }}{{ . }};{{ end }}', "1;2;3;7;"),
            (
                '{{ range $i, $v := parseNumberRangePair "1" "2" }}'
                "{{ $i }}{{ $v.First }}{{ $v.Second }}{{ end }}",
                "012",
            ),
            ("{{ range $k, $v := .Envs }}{{ $k }}={{ $v }},{{ end }}", "A-B=dash,EMPTY=,PORT=6000,"),
            ("{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}{{ $i }}{{ end }}", "01201"),
            ("{{ range 0 }}x{{ else }}e{{ end }}{{ range .Envs.UNSET }}x{{ else }}e{{ end }}", "ee"),
            (
                "{{ range 5 }}{{ if eq . 3 }}{{ break }}{{ end }}"
                "{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}",
                "02",
            ),
            ("{{ range 2 }}{{ range 3 }}{{ if . }}{{ break }}{{ end }}{{ . }}{{ end }};{{ end }}", "0;0;"),
            ('{{ $a := 2 }}{{ range $a = parseNumberRange "7-8" }}{{ end }}{{ $a }}', "8"),
            ("{{ range $i, $v := 0 }}x{{ else }}{{ $i }}{{ $v }}{{ end }}", "00"),
            ("{{ range $v := .Envs.UNSET }}x{{ else }}{{ $v }}{{ end }}", "<no value>"),
        ):
            self.assertEqual(text(template), written, template)

    def test_errors(self) -> None:
        """What cannot be carried out is told with the expression and its place."""
        for template, column, reason, expression in (
            ("{{ .Foo }}", 4, "can't evaluate field Foo in type *config.Values", ".Foo"),
            ("{{ .Envs.PORT.X }}", 4, "can't evaluate field X in type string", ".Envs.PORT.X"),
            (
                '{{ parseNumberRange "3-1" }}',
                4,
                "error calling parseNumberRange: range",
                'parseNumberRange "3-1"',
            ),
            ("{{ parseNumberRange 5 }}", 4, "expected string; found 5", "parseNumberRange 5"),
            ("{{ parseNumberRange }}", 4, "wrong number of args", "parseNumberRange"),
            ("{{ and }}", 4, "got 0", "and"),
            ("{{ parseNumberRange .Envs.NO }}", 4, "found <nil>", "parseNumberRange .Envs.NO"),
            ("{{ 5 | parseNumberRange }}", 8, "expected string; found 5", "parseNumberRange"),
            ("{{ 1 2 }}", 4, "can't give argument to non-function 1", "1"),
            ("{{ .Envs.PORT 1 }}", 4, "can't give argument to non-function", ".Envs.PORT"),
            ("{{ nil }}", 4, "nil is not a command", "nil"),
            ("{{ range .Envs.PORT }}{{ end }}", 10, "range can't iterate over 6000", ".Envs.PORT"),
            ("{{ range true }}{{ end }}", 10, "range can't iterate over true", "true"),
        ):
            error = self.assertRaises(TemplateError, text, template)
            self.assertEqual((error.line, error.column, error.expression), (1, column, expression), template)
            self.assertIn(reason, error.reason)

    def test_bounds(self) -> None:
        """Templates that would never end, or fill the memory, end in an error."""
        self.patch(nodes, "MOST_OUTPUT", 1000)
        self.patch(nodes, "MOST_STEPS", 100)
        self.patch(nodes, "MOST_MADE", 2000)
        for template, words in (
            ("{{ range 1000000000 }}{{ end }}", "more than 100 elements"),
            ("{{ range 50 }}{{ range 50 }}{{ end }}{{ end }}", "more than 100 elements"),
            ('{{ range 99 }}{{ printf "%100s" "x" }}{{ end }}', "more than 1000 characters"),
            ('{{ $x := "x" }}{{ range 50 }}{{ $x = print $x $x }}{{ end }}', "more than 2000 characters"),
            ('{{ range 99 }}{{ $x := parseNumberRange "1-99" }}{{ end }}', "more than 2000 characters"),
            ('{{ range 99 }}{{ $x := printf "%v" $.Envs }}{{ end }}', "more than 2000 characters"),
        ):
            error = self.assertRaises(TemplateError, text, template)
            self.assertIn(words, error.reason)
