"""Reads ``[[proxies]]`` and ``[[visitors]]``: keys that all have, keys of the type, the plugin's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from attrs import define, frozen

from relaykit.config.not_implemented.types import NOT_IMPLEMENTED_TYPES
from relaykit.config.problems import Findings
from relaykit.config.reading.decoding import Given, Reader, own_keys
from relaykit.config.rules.checking import check_proxy, check_visitor, value_problems
from relaykit.config.rules.completing import complete_proxy, complete_visitor
from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS, LocalPlugin
from relaykit.config.text.documents import KeyPath, kind_of, shown
from relaykit.errors import PluginError
from relaykit.interfaces import IVisitableProxyType
from relaykit.options import Options, Problem, ProxyCommon, VisitorCommon, option_fields
from relaykit.plugins import ProxyTypes

__all__ = ["Entry", "EntryReader", "ProxyEntry", "VisitorEntry"]

CommonT = TypeVar("CommonT", ProxyCommon, VisitorCommon)

_PLUGIN = "plugin"


@frozen
class Entry(Generic[CommonT]):
    """One proxy or visitor of a file, started or not.

    ``available`` says whether an installed package has its type; ``plugin_type`` is empty if it has
    no plugin, and ``plugin`` has that table's further keys.
    """

    reader: Reader
    path: KeyPath
    subject: str
    common: CommonT
    options: Options
    available: bool
    plugin_type: str
    plugin: LocalPlugin | None

    def check(self, found: Findings, kind: str) -> None:
        """Reports what a check found, what is wrong with the plugin, and what is not available yet."""
        if self.plugin is not None:
            found.add(self.plugin.problems(), _PLUGIN)
        if not found.problems and not self.reader.is_blamed(self.path):
            if not self.available:
                reason = f"the {kind} type {self.common.type}: not available yet"
                found.unavailable.append(Problem("type", reason))
            elif self.plugin is not None and not self.plugin.endpoint:
                reason = f"the plugin {self.plugin_type}: not available yet"
                found.unavailable.append(Problem(f"{_PLUGIN}.type", reason))
        self.reader.findings(found, self.path, subject=self.subject)


class ProxyEntry(Entry[ProxyCommon]):
    """One proxy of a file."""

    def completed(self) -> ProxyCommon:
        """Its common keys with nothing left open, checked."""
        common = complete_proxy(self.common)
        self.check(check_proxy(common, self.options, has_plugin=self.plugin is not None), "proxy")
        if self.plugin is not None and self.plugin.endpoint:
            common = msgspec.structs.replace(common, local=self.plugin.endpoint)
        return common


class VisitorEntry(Entry[VisitorCommon]):
    """One visitor of a file."""

    def completed(self, user: str) -> VisitorCommon:
        """Its common keys with nothing left open, checked; ``user`` is the client's own."""
        common = complete_visitor(self.common, user)
        self.check(check_visitor(common, self.options), "visitor")
        return common


@frozen
class _Type:
    options: type[Options]
    available: bool


@define
class EntryReader:
    """Reads the entries of one document."""

    reader: Reader
    types: ProxyTypes

    def proxies(self, value: Any) -> list[ProxyEntry]:
        """The proxies that can be made sense of; what is wrong is reported."""
        entries = (
            self._proxy(table, ("proxies", at)) for at, table in enumerate(self._list(value, "proxies"))
        )
        return [entry for entry in entries if entry is not None]

    def visitors(self, value: Any) -> list[VisitorEntry]:
        """The visitors that can be made sense of; what is wrong is reported."""
        tables = enumerate(self._list(value, "visitors"))
        entries = (self._visitor(table, ("visitors", at)) for at, table in tables)
        return [entry for entry in entries if entry is not None]

    def _list(self, value: Any, key: str) -> Iterable[Any]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.reader.problem((key,), f"must be a list of tables, not {kind_of(value)}")
            return ()
        return value

    def _proxy(self, table: Any, path: KeyPath) -> ProxyEntry | None:
        given = self._keys(table, path)
        found = None if given is None else self._type(given, path, "proxy")
        if given is None or found is None:
            return None
        subject = _subject(given, "proxy")
        common = self.reader.options(ProxyCommon, given, path, subject=subject)
        options = self.reader.options(found.options, given, path, subject=subject)
        self._check_keys(given, (ProxyCommon, found.options), path, subject, self._owners)
        plugin_type, plugin = self._plugin(given, PROXY_PLUGINS, path, subject)
        if common is None or options is None:
            return None
        self.reader.findings(Findings(list(value_problems(common))), path, subject=subject)
        return ProxyEntry(self.reader, path, subject, common, options, found.available, plugin_type, plugin)

    def _visitor(self, table: Any, path: KeyPath) -> VisitorEntry | None:
        given = self._keys(table, path)
        found = None if given is None else self._type(given, path, "visitor")
        if given is None or found is None:
            return None
        subject = _subject(given, "visitor")
        common = self.reader.options(VisitorCommon, given, path, subject=subject)
        options = self.reader.options(found.options, given, path, subject=subject)
        self._check_keys(given, (VisitorCommon, found.options), path, subject, _nobody)
        plugin_type, plugin = self._plugin(given, VISITOR_PLUGINS, path, subject)
        if common is None or options is None:
            return None
        return VisitorEntry(self.reader, path, subject, common, options, found.available, plugin_type, plugin)

    def _keys(self, table: Any, path: KeyPath) -> dict[str, Given] | None:
        if not isinstance(table, Mapping):
            self.reader.problem(path, f"must be a table, not {kind_of(table)}")
            return None
        return self.reader.keys(table, path)

    # --- the type ---------------------------------------------------------------------------

    def _type(self, given: Mapping[str, Given], path: KeyPath, kind: str) -> _Type | None:
        path = (*path, "type")
        subject = _subject(given, kind)
        name = given["type"].value if "type" in given else None
        if not name:
            self.reader.problem(path, "must be given", subject=subject)
            return None
        if not isinstance(name, str):
            self.reader.problem(path, f"must be a text, not {shown(name)}", subject=subject)
            return None
        try:
            found = self._proxy_type(name) if kind == "proxy" else self._visitor_type(name)
        except PluginError as error:
            self.reader.problem(path, str(error), subject=subject)
            return None
        if found is None:
            known = ", ".join(sorted(self._known_types(kind)))
            self.reader.problem(
                path, f'unknown {kind} type "{name}"', hint=f"known: {known}", subject=subject
            )
        return found

    def _proxy_type(self, name: str) -> _Type | None:
        if name in self.types:
            return _Type(self.types.get(name).proxy_options, True)
        later = NOT_IMPLEMENTED_TYPES.get(name)
        return None if later is None else _Type(later.proxy_options, False)

    def _visitor_type(self, name: str) -> _Type | None:
        if name in self.types:
            installed = self.types.get(name)
            return (
                _Type(installed.visitor_options, True) if IVisitableProxyType.providedBy(installed) else None
            )
        later = NOT_IMPLEMENTED_TYPES.get(name)
        if later is None or later.visitor_options is None:
            return None
        return _Type(later.visitor_options, False)

    def _known_types(self, kind: str) -> Iterable[str]:
        for name in {reference.name for reference in self.types} | set(NOT_IMPLEMENTED_TYPES):
            try:
                if kind == "proxy" or self._visitor_type(name) is not None:
                    yield name
            except PluginError:
                continue

    # --- keys -------------------------------------------------------------------------------

    def _check_keys(
        self,
        given: Mapping[str, Given],
        classes: Iterable[type[Options]],
        path: KeyPath,
        subject: str,
        owners: Callable[[str], str],
    ) -> None:
        known = [key for cls in classes for key in own_keys(cls)]
        self.reader.unknown_keys(given, [*known, _PLUGIN], path, subject=subject, elsewhere=owners)

    def _owners(self, key: str) -> str:
        """Which types of proxies have a key."""
        owners = sorted(
            name
            for name in {reference.name for reference in self.types} | set(NOT_IMPLEMENTED_TYPES)
            if key.casefold() in (each.casefold() for each in self._own_keys(name))
        )
        return f"it is a key of the proxy types {', '.join(owners)}" if owners else ""

    def _own_keys(self, name: str) -> tuple[str, ...]:
        try:
            found = self._proxy_type(name)
        except PluginError:
            return ()
        return () if found is None else own_keys(found.options)

    def _plugin(
        self,
        given: Mapping[str, Given],
        plugins: Mapping[str, type[LocalPlugin]],
        path: KeyPath,
        subject: str,
    ) -> tuple[str, LocalPlugin | None]:
        """The type of a plugin and its further keys; no type if there is no plugin."""
        if _PLUGIN not in given or given[_PLUGIN].value is None:
            return "", None
        path = (*path, _PLUGIN)
        table = given[_PLUGIN].value
        if not isinstance(table, Mapping):
            self.reader.problem(path, f"must be a table, not {kind_of(table)}", subject=subject)
            return "", None
        keys = self.reader.keys(table, path)
        name = keys["type"].value if "type" in keys else None
        if not name or not isinstance(name, str):
            self.reader.problem((*path, "type"), "must be given", subject=subject)
            return "", None
        if name not in plugins:
            self.reader.problem(
                (*path, "type"),
                f'unknown plugin type "{name}"',
                hint=f"known: {', '.join(plugins)}",
                subject=subject,
            )
            return "", None
        cls = plugins[name]
        self.reader.unknown_keys(
            keys, ["type", *(each.key for each in option_fields(cls))], path, subject=subject
        )
        return name, self.reader.options(cls, keys, path, subject=subject)


def _nobody(key: str) -> str:
    return ""


def _subject(given: Mapping[str, Given], kind: str) -> str:
    name = given["name"].value if "name" in given else None
    return f'{kind} "{name}"' if name and isinstance(name, str) else ""
