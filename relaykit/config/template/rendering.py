"""Renders the template that a configuration file is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from relaykit.config.template.source import Missing, Source

__all__ = ["Rendered", "render"]


@frozen
class Rendered:
    """A rendered template; ``missing`` is what had no value, or an empty one."""

    text: str
    missing: tuple[Missing, ...] = ()
    _lines: Sequence[int] | None = field(default=None, repr=False)

    def marked(self, marks: Mapping[Missing, str]) -> str:
        """The text with a mark behind what was written in place of each of these values."""
        pieces: list[str] = []
        begin = 0
        for each, mark in sorted(marks.items(), key=lambda entry: entry[0].at):
            end = each.at + len(each.written)
            pieces += (self.text[begin:end], mark)
            begin = end
        return "".join((*pieces, self.text[begin:]))

    def source_line(self, line: int) -> int:
        """The line of the template that a line of the text came from; both count from 1."""
        if self._lines is None or not 1 <= line <= len(self._lines):
            return line
        return self._lines[line - 1]


def render(text: str, environ: Mapping[str, str]) -> Rendered:
    """Renders a template whose root has the environment as ``.Envs``.

    :raises TemplateError: it cannot be read or carried out.
    """
    if "{{" not in text:
        return Rendered(text)
    # Most files are no templates: they do without 30 ms of imports.
    from relaykit.config.template.nodes import Run
    from relaykit.config.template.parsing import parse
    from relaykit.config.template.values import Root

    source, root = Source(text), Root(environ)
    body = parse(source)
    run = Run(source)
    run.variables.append(("$", root))
    run.write_all(body, root)
    return Rendered("".join(run.pieces), tuple(run.missing), run.lines)
