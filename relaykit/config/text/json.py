"""JSON: values by the standard library, and lines by PyYAML's nodes, since all JSON is YAML.

The standard library does not say where a value is, which a problem with the value needs.
"""

from __future__ import annotations

import json

import yaml

from relaykit.config.text.documents import Document, Format, FormatError, refuse_non_finite
from relaykit.config.text.yaml import Places

__all__ = ["read_json"]

_SPACES = " \t\r\n"


def read_json(text: str, *, whole: bool) -> Document:
    """Parses the first JSON value of a text; with ``whole``, nothing may follow it.

    :raises FormatError: it is no JSON.
    """
    start = len(text) - len(text.lstrip(_SPACES))
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)
        rest = text[end:].lstrip(_SPACES)
        if whole and rest:
            raise json.JSONDecodeError("unexpected text after the first value", text, len(text) - len(rest))
    except json.JSONDecodeError as error:
        reason = (error.msg[:1].lower() + error.msg[1:]).removesuffix(" at")
        raise FormatError(reason, error.lineno, error.colno) from None
    except (ValueError, RecursionError) as error:
        reason = "lists and tables are nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FormatError(reason) from None
    places = Places()
    try:
        places.visit(yaml.compose(text[:end].replace("\t", " "), Loader=yaml.BaseLoader), ())
    except (yaml.YAMLError, RecursionError):
        # YAML has keys of 1,024 characters at most, and lacks some characters: there are no lines then.
        places = Places()
    return refuse_non_finite(Document(value, Format.JSON, places.lines, tuple(places.repeated)))


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number that a key can have")
