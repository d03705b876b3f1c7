from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.rendering import render
from relaykit.config.template.source import Missing, TemplateError

IDIOM = """serverAddr = "x"
{{- range $_, $v := parseNumberRangePair "6000-6001" "7000-7001" }}
[[proxies]]
name = "tcp-{{ $v.First }}"
remotePort = {{ $v.Second }}
{{- end }}
{{ print "a\\nb" }}
last = 1
"""


class RenderingTests(SynchronousTestCase):
    """Tests for rendered configuration files."""

    def test_idiom(self) -> None:
        """The usual range writes one table for each pair."""
        text = render(IDIOM, {}).text
        self.assertEqual(
            text,
            'serverAddr = "x"\n[[proxies]]\nname = "tcp-6000"\nremotePort = 7000\n'
            '[[proxies]]\nname = "tcp-6001"\nremotePort = 7001\na\nb\nlast = 1\n',
        )

    def test_source_lines(self) -> None:
        """Each line of the text knows the line of the template that it came from."""
        rendered = render(IDIOM, {})
        lines = [rendered.source_line(line) for line in range(1, 11)]
        self.assertEqual(lines, [1, 3, 4, 5, 3, 4, 5, 7, 7, 8])

    def test_no_template(self) -> None:
        """A text without actions is left alone, its lines are its own."""
        rendered = render("a\nb\n", {})
        self.assertEqual(
            (rendered.text, rendered.source_line(2), rendered.source_line(99)), ("a\nb\n", 2, 99)
        )

    def test_undefined(self) -> None:
        """What had no value, or an empty one, and was written is told, with its line."""
        rendered = render('a\n{{ .Envs.X }}{{ or .Envs.Y "z" }}{{ if .Envs.Z }}{{ end }}', {})
        self.assertEqual(rendered.text, "a\n<no value>z")
        self.assertEqual(rendered.missing, (Missing(".Envs.X", 2, "<no value>", 2),))
        rendered = render("{{ .Envs.X }}", {"X": ""})
        self.assertEqual(rendered.missing, (Missing(".Envs.X", 1, "", 0),))

    @given(
        st.lists(
            st.sampled_from(
                (
                    "{{ range 2 }}",
                    "{{ end }}",
                    "{{ if 1 }}",
                    "{{ else }}",
                    "a",
                    "\n",
                    "{{- 5 -}}",
                    '{{ "x\\ny" }}',
                )
            ),
            max_size=14,
        )
    )
    def test_line_count(self, pieces: list[str]) -> None:
        """Whatever is rendered, every line of it has a line of the source."""
        template = "".join(pieces)
        try:
            rendered = render(template, {})
        except TemplateError:
            return
        count = rendered.text.count("\n") + 1
        lines = [rendered.source_line(line) for line in range(1, count + 1)]
        self.assertTrue(all(1 <= line <= template.count("\n") + 1 for line in lines), lines)

    @given(
        st.lists(
            st.sampled_from(
                (
                    *("{{ range $i, $v := ", "{{ range $v := ", "{{ range $v = ", "{{ if ", "{{ with $x := "),
                    *("{{ $v := ", "{{ ", "{{- ", "{{ $x = ", "{{ end }}", "{{ else }}", "{{ else if "),
                    *("{{ break }}", "{{ continue }}", " }}", " -}}", "(", ")", ").First", "|", "$v"),
                    *("$v.Second", "$i", "$x", "$", ".", ".Envs", ".Envs.A", "1", "3", "-1", "true", "nil"),
                    *('"x"', "`y`", '"1-3"', '"\\xff"', '"\\ud800"', "text", "\n", ", ", "print ", "printf "),
                    *('"%q %5.2f %v"', '"%9d"', '"%s%d"', "and ", "or ", "not ", "eq ", "lt ", "len "),
                    *(
                        "index ",
                        "parseNumberRange ",
                        "parseNumberRangePair ",
                        "define ",
                        "template ",
                        "/* */",
                    ),
                )
            ),
            max_size=24,
        ).map(" ".join)
    )
    @settings(max_examples=500)
    def test_any_template(self, template: str) -> None:
        """No template fails in another way than by its own error."""
        with contextlib.suppress(TemplateError):
            render(template, {"A": "1-2"})
