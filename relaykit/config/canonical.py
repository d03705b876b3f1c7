"""A definition as frp writes it: which keys of a table are there, in which order, and with what left open.

It is made of the table as it was written, since what is read from it does not tell what was left out.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS, LocalPlugin
from relaykit.options import (
    HealthCheck,
    LoadBalancer,
    OptionField,
    Options,
    ProxyCommon,
    ProxyTransport,
    VisitorCommon,
    VisitorTransport,
    option_fields,
    options_class,
)
from relaykit.values import Secret

__all__ = ["canonical_proxy", "canonical_visitor"]

_ALWAYS = frozenset(
    (
        "transport",
        "transport.bandwidthLimit",
        "loadBalancer",
        "loadBalancer.group",
        "healthCheck",
        "healthCheck.type",
        "healthCheck.intervalSeconds",
        "requestHeaders",
        "responseHeaders",
        "plugin.requestHeaders",
    )
)
"""Keys that frp writes although they have no value."""

_LEFT_OPEN = ("enabled", "healthCheck", "peers")
"""Keys whose defaults frp does not write out, or does not have."""

_ZERO_IS_DEFAULT = (
    ProxyCommon,
    VisitorCommon,
    ProxyTransport,
    VisitorTransport,
    LoadBalancer,
    HealthCheck,
)
"""Tables in which 0 and an empty text mean the default, so that frp leaves them out."""

_FIRST_OF_VISITORS = ("name", "type", "enabled", "transport", "secretKey")

_ZEROS: Mapping[Any, Any] = {str: "", Secret: "", bool: False, int: 0, float: 0.0}


def canonical_proxy(
    table: Mapping[str, Any], own: type[Options], *, complete: bool = False
) -> dict[str, Any]:
    """A proxy's table as frp writes it, without keys that nobody knows.

    :param own: the class of the own keys of its type.
    :param complete: whether what was left open is written out.
    """
    given = _folded(table)
    return {
        **_written(ProxyCommon, given, "", complete),
        "plugin": _plugin(given, PROXY_PLUGINS, complete),
        **_written(own, given, "", complete),
    }


def canonical_visitor(
    table: Mapping[str, Any], own: type[Options], *, complete: bool = False
) -> dict[str, Any]:
    """A visitor's table likewise."""
    given = _folded(table)
    found = {
        **_written(VisitorCommon, given, "", complete),
        "plugin": _plugin(given, VISITOR_PLUGINS, complete),
        **_written(own, given, "", complete),
    }
    return {key: found[key] for key in (*_FIRST_OF_VISITORS, *found) if key in found}


def _plugin(
    given: Mapping[str, Any], plugins: Mapping[str, type[LocalPlugin]], complete: bool
) -> dict[str, Any] | None:
    table = given.get("plugin")
    if not isinstance(table, Mapping):
        return None
    table = _folded(table)
    cls = plugins.get(table.get("type", ""), LocalPlugin)
    return {"type": table.get("type", ""), **_written(cls, table, "plugin.", complete)}


def _written(cls: type[Options], given: Mapping[str, Any], before: str, complete: bool) -> dict[str, Any]:
    """The keys of a class; those that are at the top of the file are not a definition's."""
    found: dict[str, Any] = {}
    for each in option_fields(cls):
        if each.file_key is not None:
            continue
        path = before + each.key
        written = given.get(each.key.casefold())
        value = _value(each, written, path, complete)
        is_table = options_class(each.type) is not None and written is not None
        if path in _ALWAYS or value or is_table or _says_something(each, value, cls):
            found[each.key] = value
    return found


def _says_something(option: OptionField, value: Any, cls: type[Options]) -> bool:
    """Whether something that is nothing was written on purpose: leaving it out would mean another thing."""
    if option.type is Secret:
        return bool(value == "")
    if isinstance(value, bool):
        return value is not option.default
    is_plain = isinstance(value, str | int | float) and cls not in _ZERO_IS_DEFAULT
    return is_plain and bool(value != option.default)


def _value(option: OptionField, value: Any, path: str, complete: bool) -> Any:
    fills_in = complete and option.key not in _LEFT_OPEN
    inner = options_class(option.type)
    if inner is not None:
        return _written(inner, _folded(value), f"{path}.", fills_in)
    item = _item_class(option.type)
    if item is not None:
        return [_written(item, _folded(each), f"{path}.", complete) for each in value or ()]
    if value is None or (fills_in and value == ""):
        value = _plain(option.default) if fills_in else None
        return _ZEROS.get(option.type) if value is None and path in _ALWAYS else value
    return value.strip() if option.unit == "bandwidth" else value


def _plain(default: Any) -> Any:
    return None if isinstance(default, Secret) else msgspec.to_builtins(default)


def _item_class(declared: Any) -> type[Options] | None:
    if typing.get_origin(declared) is tuple:
        return options_class(typing.get_args(declared)[0])
    return None


def _folded(table: Any) -> dict[str, Any]:
    """The entries of a table by their keys in small letters, as case does not distinguish them."""
    return {key.casefold(): value for key, value in table.items()} if isinstance(table, Mapping) else {}
