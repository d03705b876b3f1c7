"""Which format a configuration text is in, by frp's rules.

A text that is TOML is TOML, whatever the file is called; else a text that begins with ``{`` is
JSON; everything else is YAML.  A name that ends in ``.toml`` makes TOML's errors final.
"""

from __future__ import annotations

from relaykit.config.text.documents import Document, FormatError, shown
from relaykit.config.text.toml import read_toml

__all__ = ["parse_document"]


def parse_document(text: str, extension: str, *, strict: bool) -> Document:
    """Parses a text from a file with this extension (with its dot).

    :raises FormatError: it is not of its format.
    """
    try:
        return read_toml(text)
    except FormatError as error:
        as_toml = error
    if as_toml.key or extension.lower() == ".toml":
        raise as_toml
    # PyYAML, which JSON takes, too, is a megabyte and 20 ms: who has TOML does without.
    if text.lstrip().startswith("{"):
        from relaykit.config.text.json import read_json

        return read_json(text, whole=not strict)
    return _as_yaml(text, extension, as_toml)


def _as_yaml(text: str, extension: str, as_toml: FormatError) -> Document:
    from relaykit.config.text.yaml import read_yaml

    hint = ""
    if extension.lower() not in (".yaml", ".yml", ".json"):
        at = "" if as_toml.line is None else f"line {as_toml.line}, column {as_toml.column}: "
        hint = f"it was read as YAML, because it is no TOML: {at}{as_toml.reason}"
    try:
        document = read_yaml(text)
    except FormatError as error:
        raise FormatError(
            error.reason, error.line, error.column, key=error.key, hint=error.hint or hint
        ) from None
    if document.value is not None and not isinstance(document.value, dict):
        raise FormatError(f"the file must be a table of keys, not {shown(document.value)}", hint=hint)
    return document
