"""Tests of what is found of a template's values that were nothing."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.reading.missing import missing_values
from relaykit.config.template.rendering import render
from relaykit.config.text.formats import parse_document


def found(text: str, extension: str = ".toml", **environ: str) -> dict[str, str]:
    """The expressions that had no value, by the last key of what was made of them."""
    rendered = render(text, environ)
    parse = partial(parse_document, extension=extension, strict=True)
    parse(rendered.text)
    return {str(path[-1]): each.expression for path, each in missing_values(rendered, parse).items()}


class MissingValuesTests(SynchronousTestCase):
    """Tests of :func:`missing_values`."""

    def test_formats(self) -> None:
        """In every format, what is undefined and what is empty is found where it went."""
        for extension, text in (
            (".toml", 'a.Token = "{{ .Envs.T }}"\nb = "x{{ .Envs.E }}"\nc = "{{ .Envs.F }}"\n'),
            (".yaml", "a: {Token: '{{ .Envs.T }}'}\nb: x{{ .Envs.E }}\nc: '{{ .Envs.F }}'\n"),
            (".json", '{"a": {"Token": "{{ .Envs.T }}"}, "b": "x{{ .Envs.E }}", "c": "{{ .Envs.F }}"}'),
        ):
            self.assertEqual(found(text, extension, E="", F="f"), {"token": ".Envs.T", "b": ".Envs.E"})

    def test_null(self) -> None:
        """What YAML takes for nothing at all is found, too."""
        self.assertEqual(found("token: {{ .Envs.T }}\n", ".yaml", T=""), {"token": ".Envs.T"})

    def test_printed(self) -> None:
        """What a function made of nothing is nothing, through variables, too."""
        text = 'a = "{{ print .Envs.A }}"\nb = "{{ $x := printf `%v-%s` .Envs.A `b` }}{{ $x }}"\n'
        self.assertEqual(found(text), {"a": "print .Envs.A", "b": "$x"})

    def test_beside_numbers(self) -> None:
        """Where nothing is written beside a number, which a mark would spoil, the others are found."""
        text = 'port = 70{{ .Envs.E }}\ntoken = "{{ .Envs.T }}"\nlast = [1{{ .Envs.E }}, 2]\n'
        self.assertEqual(found(text, E=""), {"token": ".Envs.T"})

    def test_nothing(self) -> None:
        """A file that is no template, or whose template has all values, has none."""
        self.assertEqual(found('a = "b"\n'), {})
        self.assertEqual(found('a = "{{ or .Envs.A `b` }}"\n'), {})
