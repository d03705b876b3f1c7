"""The configuration keys of an options class, as rows of a table."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
from attrs import frozen

from relaykit.options import Options, option_fields, options_class
from relaykit.values import Secret

__all__ = ["KeyRow", "key_rows"]

_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Secret: "text, secret",
    type(None): "",
}


@frozen
class KeyRow:
    """One key: dotted from the table it is in, its kind of value, its default as JSON, what it means."""

    key: str
    kind: str
    default: str
    meaning: str


def key_rows(cls: type[Options], prefix: str = "") -> Iterator[KeyRow]:
    """The keys of a class; those of tables in it follow dotted, those of lists of tables with ``[]``."""
    for field in option_fields(cls):
        key = prefix + field.key
        nested = options_class(field.type)
        element = _element(field.type)
        if nested is not None:
            yield from key_rows(nested, f"{key}.")
        elif element is not None:
            yield KeyRow(key, "list of tables", "", field.description)
            yield from key_rows(element, f"{key}[].")
        else:
            yield KeyRow(key, _kind(field.type), _default(field.default), field.description)


def _element(declared: Any) -> type[Options] | None:
    if typing.get_origin(declared) in (tuple, list):
        return options_class(typing.get_args(declared)[0])
    return None


def _kind(declared: Any) -> str:
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Annotated:
        return _kind(arguments[0])
    if origin in (typing.Union, types.UnionType):
        kinds = dict.fromkeys(_kind(argument) for argument in arguments)
        return " or ".join(kind for kind in kinds if kind)
    if origin in (tuple, list):
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return "table"
    return _KINDS.get(declared, getattr(declared, "__name__", str(declared)))


def _default(value: Any) -> str:
    if isinstance(value, Secret):
        value = value.reveal()
    if value is msgspec.NODEFAULT or value is None or value in ("", (), {}, []):
        return ""
    return msgspec.json.encode(value).decode()
