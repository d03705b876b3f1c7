"""From a path to a parsed document: read, recognize INI files, render the template, parse."""

from __future__ import annotations

import codecs
import functools
import os
from collections.abc import Callable, Mapping
from typing import Literal

from relaykit.config.legacy.ini import is_legacy
from relaykit.config.problems import ConfigurationProblem, Report
from relaykit.config.reading.decoding import Reader
from relaykit.config.reading.missing import missing_values
from relaykit.config.template.rendering import Rendered, render
from relaykit.config.template.source import TemplateError
from relaykit.config.text.documents import Document, FormatError
from relaykit.config.text.formats import parse_document

__all__ = ["read_file", "read_text"]

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of a configuration file: a larger one is something else, and must not fill the memory."""


def read_file(
    path: str,
    report: Report,
    *,
    environ: Mapping[str, str],
    strict: bool,
    cwd: str,
    role: Literal["server", "client"] | None = None,
    is_ini: bool = False,
    text: str | None = None,
) -> Reader | None:
    """Reads and parses a file; None if that failed, which is reported.  ``text`` stands for what it has.

    ``environ`` is what its template sees; the path is resolved against ``cwd``.  An old INI file is one of
    ``role``, or of the role whose keys it has; ``is_ini`` says that it is one in any case, because another
    includes it.
    """
    try:
        text = read_text(os.path.join(cwd, path)) if text is None else text.replace("\r\n", "\n")
        is_old = is_ini or is_legacy(text)
        rendered = render(text, environ)
    except FormatError as error:
        report.problems.append(_format_problem(path, error, Rendered("")))
        return None
    except TemplateError as error:
        report.problems.append(_template_problem(path, error))
        return None
    if is_old:
        # Few files are old: the others do without the table of old names.
        from relaykit.config.legacy.converting import read_legacy

        strict = False
        parse: Callable[[str], Document] = functools.partial(read_legacy, role=role)
    else:
        parse = functools.partial(parse_document, extension=os.path.splitext(path)[1], strict=strict)
    try:
        document = parse(rendered.text)
    except FormatError as error:
        report.problems.append(_format_problem(path, error, rendered))
        return None
    reader = Reader(
        report,
        _table(document),
        path,
        strict=strict,
        source_line=rendered.source_line,
        missing=missing_values(rendered, parse),
    )
    _warn(reader, rendered)
    if is_old and not is_ini:
        report.warnings.append(_old_format(path))
    return reader


def read_text(path: str) -> str:
    """The text of a configuration file, with plain line ends.

    :raises FormatError: it cannot be read, is too large, or is no text.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FormatError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(content) > MOST_BYTES:
        raise FormatError(f"has more than {MOST_BYTES} bytes")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FormatError("is not text in UTF-8", line) from None


def _table(document: Document) -> Document:
    """The same document; an empty one, and null, is a table without keys."""
    if document.value is not None:
        return document
    return Document({}, document.format)


def _format_problem(path: str, error: FormatError, rendered: Rendered) -> ConfigurationProblem:
    line = None if error.line is None else rendered.source_line(error.line)
    return ConfigurationProblem(
        what=error.reason,
        key=error.key,
        hint=next((f"{each}: {each.remedy}" for each in rendered.missing if each.line == line), error.hint),
        file=path,
        line=line,
        column=error.column if line == error.line else None,
    )


def _template_problem(path: str, error: TemplateError) -> ConfigurationProblem:
    at = f" in {error.expression}" if error.expression else ""
    return ConfigurationProblem(
        what=f"template: {error.reason}{at}", file=path, line=error.line, column=error.column
    )


def _old_format(path: str) -> ConfigurationProblem:
    what = "this is an INI file of an old frp version, which frp is going to give up"
    return ConfigurationProblem(what=what, hint=f"relaykit migrate {path} prints it as TOML", file=path)


def _warn(reader: Reader, rendered: Rendered) -> None:
    for each in rendered.missing:
        if each.written:
            reader.report.warnings.append(reader.written_for(each))
    for path in reader.document.repeated:
        reader.warning(path, "is given twice; the last one counts")
    for path in reader.document.ignored:
        reader.warning(path, "is not known here, and is ignored")
