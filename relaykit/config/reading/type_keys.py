"""Keys at the top of a file that belong to proxy types; :func:`relaykit.options.file_key` declares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from relaykit.config.text.documents import KeyPath, fold, key_path
from relaykit.errors import PluginError
from relaykit.options import OptionField, option_fields

if TYPE_CHECKING:
    from relaykit.plugins import ProxyTypes

__all__ = ["CLIENT_HALVES", "SERVER_HALVES", "Owner", "TypeKeys", "type_keys"]

SERVER_HALVES = ("ingress_options",)
"""Whose fields may have a place in the server's file."""

CLIENT_HALVES = ("proxy_options", "visitor_options")
"""Whose fields may have a place in the client's file."""


@frozen
class Owner:
    """One proxy type that has a key, and which field it is there."""

    type_name: str
    option: OptionField


TypeKeys = Mapping[KeyPath, tuple[Owner, ...]]
"""Owners by the path of the key, in lower case."""


def type_keys(types: ProxyTypes, halves: Iterable[str]) -> TypeKeys:
    """The keys that proxy types declare; imports every installed type, and leaves out what cannot be used."""
    found: dict[KeyPath, list[Owner]] = {}
    for each in _owners(types, tuple(halves)):
        found.setdefault(fold(key_path(each.option.file_key or "")), []).append(each)
    return {path: tuple(owners) for path, owners in found.items()}


def _owners(types: ProxyTypes, halves: tuple[str, ...]) -> Iterable[Owner]:
    for reference in types:
        try:
            yield from _of_type(reference.name, types.get(reference.name), halves)
        except PluginError:
            continue


def _of_type(name: str, found: object, halves: tuple[str, ...]) -> Iterable[Owner]:
    for half in halves:
        cls = getattr(found, half, None)
        for each in () if cls is None else option_fields(cls):
            if each.file_key is not None:
                yield Owner(name, each)
