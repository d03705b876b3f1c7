"""From a path to a parsed document: read, recognize INI files, render the template, parse."""

from __future__ import annotations

import codecs
import functools
import os
from collections.abc import Mapping

from relaykit.config.problems import ConfigurationProblem, Report
from relaykit.config.reading.decoding import Reader
from relaykit.config.reading.missing import missing_values
from relaykit.config.template.rendering import Rendered, render
from relaykit.config.template.source import TemplateError
from relaykit.config.text.documents import Document, FormatError
from relaykit.config.text.formats import parse_document
from relaykit.config.text.legacy import LEGACY_HINT, LEGACY_REASON, is_legacy

__all__ = ["read_file"]

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of a configuration file: a larger one is something else, and must not fill the memory."""


def read_file(
    path: str, report: Report, *, environ: Mapping[str, str], strict: bool, cwd: str
) -> Reader | None:
    """Reads and parses a file; None if that failed, which is reported.

    ``environ`` is what its template sees; the path is resolved against ``cwd``.
    """
    try:
        text = _text(os.path.join(cwd, path))
        if is_legacy(text):
            raise FormatError(LEGACY_REASON, hint=LEGACY_HINT)
        rendered = render(text, environ)
    except FormatError as error:
        report.problems.append(_format_problem(path, error, Rendered("")))
        return None
    except TemplateError as error:
        report.problems.append(_template_problem(path, error))
        return None
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
    return reader


def _text(path: str) -> str:
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


def _warn(reader: Reader, rendered: Rendered) -> None:
    for each in rendered.missing:
        if each.written:
            reader.report.warnings.append(reader.written_for(each))
    for path in reader.document.repeated:
        reader.warning(path, "is given twice; the last one counts")
