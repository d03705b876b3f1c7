"""Definitions as frp's API has them: an object whose block, named after the type, is the table of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from relaykit.administration.calls import CallFailed
from relaykit.config.definitions import LISTS
from relaykit.errors import PluginError

if TYPE_CHECKING:
    from relaykit.plugins import ProxyTypes

__all__ = ["MOST_DEFINITION_BYTES", "block_table", "definition_object", "read_definition", "type_names"]

MOST_DEFINITION_BYTES = 1024 * 1024
"""Bytes of one definition: annotations may have a quarter of that, and are the most that one has."""

_MOST_DEPTH = 64
"""Tables and lists inside each other."""

_KINDS = ((bool, "bool"), (str, "string"), (int | float, "number"), (list, "array"), (dict, "object"))
_OPENING = re.compile(r"[\[{]")

_PLACES = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
}
"""What Go says of a character that does not fit, by what Python says."""


def read_definition(
    body: bytes, list_name: str, types: ProxyTypes, named: str | None = None
) -> dict[str, Any]:
    """The table of a definition, as one of the lists of a file has it.

    :param list_name: of :data:`relaykit.config.definitions.LISTS`.
    :param named: the name that it must have; None for any.
    :raises CallFailed: it is no definition; frp's words.
    """
    kind = LISTS[list_name]
    whole = _object(body, kind)
    name, type_name = (_text(whole, key, kind) for key in ("name", "type"))
    if not name.strip():
        raise _bad(f"{kind} name is required")
    known = type_names(list_name, types)
    if type_name not in known:
        raise _bad(f"invalid {kind} type: {type_name}")
    if named is not None and name != named:
        raise _bad(f"{kind} name in URL must match name in body")
    blocks = [key for key in known if whole.get(key.casefold()) is not None]
    if len(blocks) != 1:
        raise _bad(f"exactly one {kind} type block is required")
    (block,) = blocks
    if block != type_name:
        raise _bad(f'{kind} type block "{block}" does not match type "{type_name}"')
    table = whole[block.casefold()]
    if not isinstance(table, dict):
        raise _unfit(_kind(table), f"value of {kind} type block {block}")
    return _with_outer(table, name, type_name)


def block_table(body: bytes, list_name: str) -> dict[str, Any]:
    """The table of a definition that may not be complete yet.

    :raises CallFailed: it is no object.
    """
    kind = LISTS[list_name]
    whole = _object(body, kind)
    name, type_name = (_text(whole, key, kind) for key in ("name", "type"))
    table = whole.get(type_name.casefold())
    return _with_outer(table if isinstance(table, dict) else {}, name, type_name)


def definition_object(table: Mapping[str, Any]) -> dict[str, Any]:
    """The object of a table."""
    return {"name": table["name"], "type": table["type"], table["type"]: table}


def type_names(list_name: str, types: ProxyTypes) -> list[str]:
    """The types that an entry of a list can have."""
    return list(_usable(types, "proxy_options" if list_name == "proxies" else "visitor_options"))


def _usable(types: ProxyTypes, half: str) -> Iterator[str]:
    for reference in types:
        try:
            if getattr(types.get(reference.name), half, None) is not None:
                yield reference.name
        except PluginError:
            continue


def _object(body: bytes, kind: str) -> dict[str, Any]:
    """The outer keys in small letters, as case does not distinguish them."""
    if len(body) > MOST_DEFINITION_BYTES:
        raise CallFailed(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a definition has {MOST_DEFINITION_BYTES} bytes at most"
        )
    try:
        text = body.decode("utf-8")
        if sum(1 for _ in _OPENING.finditer(text)) > _MOST_DEPTH:
            _refuse_depth(text)
        whole = json.loads(text, parse_constant=_refuse)
        # What cannot be written again is none: half of a character, or a number beyond all.
        json.dumps(whole, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise _bad(f"parse JSON error: {_go_words(error)}") from None
    except (ValueError, RecursionError) as error:
        raise _bad(f"parse JSON error: {error}") from None
    if whole is None:
        return {}
    if not isinstance(whole, dict):
        raise _unfit(_kind(whole), f"value of type model.{kind.capitalize()}Definition")
    return {key.casefold(): value for key, value in whole.items()}


def _refuse_depth(text: str) -> None:
    """Looks how deep brackets are inside each other, those in texts too, which is more than there are.

    :raises ValueError: too deep.
    """
    depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if depth > _MOST_DEPTH:
            raise ValueError("exceeded max depth")


def _text(whole: Mapping[str, Any], key: str, kind: str) -> str:
    value = whole.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _unfit(_kind(value), f"struct field {kind.capitalize()}Definition.{key} of type string")
    return value


def _with_outer(table: Mapping[str, Any], name: str, type_name: str) -> dict[str, Any]:
    """The table; what the object says of name and type counts."""
    inner = {key: value for key, value in table.items() if key.casefold() not in ("name", "type")}
    return {"name": name, "type": type_name, **inner}


def _kind(value: Any) -> str:
    return next(name for types, name in _KINDS if isinstance(value, types))


def _go_words(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc):
        return "unexpected end of JSON input"
    place = _PLACES.get(error.msg)
    return f"invalid character {_quoted(error.doc[error.pos])} {place}" if place else str(error)


def _quoted(character: str) -> str:
    """A character as Go shows it."""
    escaped = character if character == '"' else json.dumps(character, ensure_ascii=False)[1:-1]
    return "'" + escaped.replace("'", "\\'") + "'"


def _refuse(word: str) -> None:
    raise ValueError(f"invalid character {word[0]!r} looking for beginning of value")


def _unfit(kind: str, what: str) -> CallFailed:
    return _bad(f"parse JSON error: json: cannot unmarshal {kind} into Go {what}")


def _bad(text: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, text)
