"""Reads ``[[proxies]]`` and ``[[visitors]]``: keys that all have, keys of the type, the plugin's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from attrs import define, field, frozen

from relaykit import escaping
from relaykit.config.problems import Findings
from relaykit.config.reading.decoding import Given, Reader, nearest, own_keys
from relaykit.config.rules.checking import check_proxy, check_visitor, value_problems
from relaykit.config.rules.completing import complete_proxy, complete_visitor
from relaykit.config.schema import ClientConfig
from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS, LocalPlugin
from relaykit.config.text.documents import KeyPath, kind_of, shown
from relaykit.errors import PluginError
from relaykit.interfaces import IDatagramProxyType, IGroupableProxyType, IProxyType
from relaykit.options import Options, ProxyCommon, VisitorCommon, secret_problems
from relaykit.plugins import ProxyTypes

__all__ = ["Entry", "EntryReader", "ProxyEntry", "VisitorEntry"]

CommonT = TypeVar("CommonT", ProxyCommon, VisitorCommon)

_PLUGIN = "plugin"


@frozen
class Entry(Generic[CommonT]):
    """One proxy or visitor of a file, started or not.

    ``plugin_type`` is empty if it has no plugin, and ``plugin`` has that table's further keys; ``table`` is
    the whole entry as it was written.
    """

    reader: Reader
    path: KeyPath
    subject: str
    common: CommonT
    options: Options
    type: IProxyType
    plugin_type: str
    plugin: LocalPlugin | None
    table: Mapping[str, Any] = field(repr=False)

    def check(self, found: Findings) -> None:
        """Reports what a check found, and what is wrong with the plugin."""
        if self.plugin is not None:
            found.add(self.plugin.problems(), _PLUGIN)
            found.add(secret_problems(self.plugin), _PLUGIN)
        self.reader.findings(found, self.path, subject=self.subject)

    def warn_of_idle_plugin(self, config: ClientConfig) -> None:
        """Warns of what of the plugin has no effect beside the client's own keys."""
        if self.plugin is not None:
            for problem in self.plugin.idle(config):
                path = (*self.path, _PLUGIN, problem.key)
                self.reader.warning(path, problem.reason, subject=self.subject)


class ProxyEntry(Entry[ProxyCommon]):
    """One proxy of a file."""

    @property
    def is_groupable(self) -> bool:
        """Whether its type has groups."""
        return IGroupableProxyType.providedBy(self.type)

    def completed(self, user: str) -> ProxyCommon:
        """Its common keys with nothing left open, checked; ``user`` is the client's own."""
        common = complete_proxy(self.common)
        found = check_proxy(
            common,
            self.options,
            user=user,
            has_plugin=self.plugin is not None,
            is_groupable=self.is_groupable,
            takes_datagrams=IDatagramProxyType.providedBy(self.type),
        )
        self.check(found)
        if self.plugin is not None:
            common = msgspec.structs.replace(common, local=self.plugin.endpoint)
        return common


class VisitorEntry(Entry[VisitorCommon]):
    """One visitor of a file."""

    def completed(self, user: str) -> VisitorCommon:
        """Its common keys with nothing left open, checked; ``user`` is the client's own."""
        common = complete_visitor(self.common, user)
        found = check_visitor(
            common,
            self.options,
            has_plugin=self.plugin is not None,
            takes_datagrams=IDatagramProxyType.providedBy(self.type),
        )
        self.check(found)
        if self.plugin is not None:
            common = msgspec.structs.replace(common, local=self.plugin.endpoint)
        return common


@frozen
class _List(Generic[CommonT]):
    """One of the two lists: how its entries are called, and what they consist of."""

    key: str
    kind: str
    common: type[CommonT]
    half: str
    plugins: Mapping[str, type[LocalPlugin]]


_PROXIES = _List("proxies", "proxy", ProxyCommon, "proxy_options", PROXY_PLUGINS)
_VISITORS = _List("visitors", "visitor", VisitorCommon, "visitor_options", VISITOR_PLUGINS)


@define
class EntryReader:
    """Reads the entries of one document."""

    reader: Reader
    types: ProxyTypes

    def proxies(self, value: Any) -> list[ProxyEntry]:
        """The proxies that can be made sense of; what is wrong is reported."""
        found = [ProxyEntry(*parts) for parts in self._entries(value, _PROXIES)]
        for entry in found:
            self.reader.findings(
                Findings(list(value_problems(entry.common))), entry.path, subject=entry.subject
            )
        return found

    def visitors(self, value: Any) -> list[VisitorEntry]:
        """The visitors that can be made sense of; what is wrong is reported."""
        return [VisitorEntry(*parts) for parts in self._entries(value, _VISITORS)]

    def _entries(self, value: Any, of: _List[CommonT]) -> Iterable[tuple[Any, ...]]:
        """What the entries of a list consist of, in the order of :class:`Entry`."""
        if value is not None and not isinstance(value, list):
            self.reader.problem((of.key,), f"must be a list of tables, not {kind_of(value)}")
            return
        for at, table in enumerate(value or ()):
            parts = self._parts(table, (of.key, at), of)
            if parts is not None:
                yield parts

    def _parts(self, table: Any, path: KeyPath, of: _List[CommonT]) -> tuple[Any, ...] | None:
        if not isinstance(table, Mapping):
            self.reader.problem(path, f"must be a table, not {kind_of(table)}")
            return None
        given = self.reader.keys(table, path)
        subject = _subject(given, of.kind)
        name = self._type_name(given, path, subject)
        own = self._options_class(name, of, path, subject) if name else None
        if own is None:
            return None
        common = self.reader.options(of.common, given, path, subject=subject)
        options = self.reader.options(own, given, path, subject=subject)
        known = [*own_keys(of.common), _PLUGIN]
        known.extend(own_keys(own))
        self.reader.unknown_keys(given, known, path, subject=subject, elsewhere=self._owners(own, of))
        plugin_type, plugin = self._plugin(given, of.plugins, path, subject)
        if common is None or options is None:
            return None
        return self.reader, path, subject, common, options, self.types.get(name), plugin_type, plugin, table

    # --- the type ---------------------------------------------------------------------------

    def _type_name(self, given: Mapping[str, Given], path: KeyPath, subject: str) -> str:
        """What ``type`` says; empty if that is nothing, which is reported."""
        name = given["type"].value if "type" in given else None
        if isinstance(name, str) and name:
            return name
        what = f"must be a text, not {shown(name)}" if name else "must be given"
        self.reader.problem((*path, "type"), what, subject=subject)
        return ""

    def _options_class(
        self, name: str, of: _List[CommonT], path: KeyPath, subject: str
    ) -> type[Options] | None:
        """The class of the own keys of a type; None if there is none, which is reported."""
        path = (*path, "type")
        try:
            found = self._declared(name, of)
        except PluginError as error:
            self.reader.problem(path, str(error), subject=subject)
            return None
        if found is None:
            installed = [each.name for each in self.types if self._usable(each.name, of)]
            meant = nearest(name, installed)
            hint = f"did you mean {meant}?" if meant else f"installed: {', '.join(installed)}"
            self.reader.problem(path, f'unknown {of.kind} type "{name}"', hint=hint, subject=subject)
        return found

    def _declared(self, name: str, of: _List[CommonT]) -> type[Options] | None:
        found = self.types.get(name) if name in self.types else None
        declared: type[Options] | None = getattr(found, of.half, None)
        return declared

    def _usable(self, name: str, of: _List[CommonT]) -> type[Options] | None:
        try:
            return self._declared(name, of)
        except PluginError:
            return None

    def _names(self) -> set[str]:
        return {reference.name for reference in self.types}

    # --- keys -------------------------------------------------------------------------------

    def _owners(self, own: type[Options], of: _List[CommonT]) -> Callable[[str], str]:
        """What says why a type does not have a key, or which types have it."""

        def owners(key: str) -> str:
            for each, reason in own.without_effect.items():
                if each.casefold() == key.casefold():
                    return reason
            found = []
            for name in sorted(self._names()):
                cls = self._usable(name, of)
                if cls is not None and key.casefold() in (each.casefold() for each in own_keys(cls)):
                    found.append(name)
            return f"it is a key of the {of.kind} types {', '.join(found)}" if found else ""

        return owners

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
        self.reader.unknown_keys(keys, ["type", *own_keys(cls)], path, subject=subject)
        return name, self.reader.options(cls, keys, path, subject=subject)


def _subject(given: Mapping[str, Given], kind: str) -> str:
    name = given["name"].value if "name" in given else None
    return f'{kind} "{escaping.shown(name)}"' if name and isinstance(name, str) else ""
