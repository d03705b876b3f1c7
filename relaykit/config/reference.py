"""Every key of both configuration files as data: what the reference is generated from."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS
from relaykit.options import OptionField, Options, ProxyCommon, VisitorCommon, option_fields, options_class
from relaykit.plugins import Carriers
from relaykit.values import Secret

__all__ = ["Home", "ReferenceEntry", "homes_of", "reference", "type_text"]

_TYPE_TEXTS: Mapping[Any, str] = {
    str: "text",
    Secret: "secret text",
    bool: "boolean",
    int: "integer",
    float: "number",
}


@frozen
class ReferenceEntry:
    """One key.

    ``program`` is ``server`` or ``client``; ``table`` the path of the table that the key is in, empty
    for the top level, ``[]`` after a list; ``table_doc`` what the table is for.
    """

    program: str
    table: str
    table_doc: str
    key: str
    type: str
    default: str
    doc: str


@frozen
class Home:
    """Where a key belongs: a program, and the dotted path of the key."""

    program: str
    path: str


def reference() -> Iterator[ReferenceEntry]:
    """Every key of both programs, in the order of declaration; tables after the keys beside them."""
    yield from _entries("server", "", ServerConfig)
    yield from _entries("client", "", ClientConfig)
    for half, program in (("accept_options", "server"), ("dial_options", "client")):
        yield from _carriers(program, half)
    yield from _entries("client", "proxies[]", ProxyCommon)
    yield from _entries("client", "visitors[]", VisitorCommon)
    for name, cls in PROXY_PLUGINS.items():
        yield from _entries("client", f"proxies[].plugin with type {name}", cls)
    for name, cls in VISITOR_PLUGINS.items():
        yield from _entries("client", f"visitors[].plugin with type {name}", cls)


def type_text(declared: Any) -> str:
    """What people call the type of a key."""
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(each) for each in arguments if each is not type(None))
    if origin is tuple:
        return f"list of {type_text(arguments[0])}"
    if origin is dict:
        return f"table of {type_text(arguments[1])}"
    if options_class(declared) is not None:
        return "table"
    return _TYPE_TEXTS.get(declared, "any")


@functools.cache
def homes_of(key: str) -> tuple[Home, ...]:
    """Where a key with these letters belongs, case left aside; not inside of proxies and visitors."""
    lists = (Home("client", each) for each in ("proxies", "visitors") if each == key.casefold())
    return (
        *lists,
        *(
            Home(program, f"{table}.{each}" if table else each)
            for program, cls in (("server", ServerConfig), ("client", ClientConfig))
            for table, each in _keys("", cls)
            if each.casefold() == key.casefold()
        ),
    )


def _carriers(program: str, half: str) -> Iterator[ReferenceEntry]:
    """The tables of relaykit's own carriers."""
    carriers = Carriers.installed()
    for reference in carriers:
        if reference.module.startswith("relaykit."):
            carrier = carriers.get(reference.name)
            options: type[Options] | None = getattr(carrier, half)
            if options is not None and carrier.table == carrier.name:
                yield from _entries(program, f"transport.{carrier.table}", options)


def _entry(program: str, table: str, about: str, option: OptionField) -> ReferenceEntry:
    return ReferenceEntry(
        program=program,
        table=table,
        table_doc=about,
        key=option.key,
        type=type_text(option.type),
        default=_default_text(option.default, option.required),
        doc=option.description,
    )


def _entries(program: str, table: str, cls: type[Options]) -> Iterator[ReferenceEntry]:
    nested: list[tuple[str, type[Options]]] = []
    for each in option_fields(cls):
        inner = options_class(each.type) or _item_class(each.type)
        if inner is not None:
            marker = "" if options_class(each.type) else "[]"
            path = f"{table}.{each.key}{marker}" if table else f"{each.key}{marker}"
            nested.append((path, inner))
        if options_class(each.type) is None and each.file_key is None:
            yield _entry(program, table, inspect.cleandoc(cls.__doc__ or ""), each)
    for path, inner in nested:
        yield from _entries(program, path, inner)


def _item_class(declared: Any) -> type[Options] | None:
    if typing.get_origin(declared) is tuple:
        return options_class(typing.get_args(declared)[0])
    return None


def _default_text(default: Any, required: bool) -> str:
    if required:
        return "required"
    match default:
        case None | Secret() | "" | () | {}:
            return ""
        case bool():
            return "true" if default else "false"
    return str(default)


def _keys(table: str, cls: type[Options]) -> Iterator[tuple[str, str]]:
    for each in option_fields(cls):
        yield table, each.key
        inner = options_class(each.type)
        if inner is not None:
            yield from _keys(f"{table}.{each.key}" if table else each.key, inner)
