"""Single proxies and visitors beside those of the files: each is one table, read as one of the files is."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from relaykit.config.canonical import canonical_proxy, canonical_visitor
from relaykit.config.problems import ConfigurationProblem, Report
from relaykit.config.reading.decoding import Reader
from relaykit.config.reading.entries import EntryReader, ProxyEntry, VisitorEntry
from relaykit.config.rules.neighbors import PortsWanted, visitor_problems
from relaykit.config.schema import ClientConfig
from relaykit.config.text.documents import Document, Format
from relaykit.escaping import shown
from relaykit.interfaces import IGroupableProxyType
from relaykit.options import Options, ProxyCommon, VisitorCommon
from relaykit.plugins import ProxyTypes

__all__ = ["LISTS", "CheckedDefinition", "ConfiguredProxy", "ConfiguredVisitor", "Definitions", "Source"]

LISTS: Mapping[str, str] = {"proxies": "proxy", "visitors": "visitor"}
"""The lists of a client's file, and what an entry of each is."""


class Source(enum.Enum):
    """What a proxy or a visitor was read from."""

    FILE = "file"
    """The configuration file, and what it includes."""
    STORE = "store"
    """What is kept for who edits while the client runs."""


@frozen
class ConfiguredProxy:
    """One proxy to start: the keys that all have, and a checked instance of its type's ``proxy_options``.

    ``plugin`` is the type of the plugin that its local service was configured as; empty for none.  ``given``
    is the table as it was written, which may have secrets.
    """

    common: ProxyCommon
    options: Options
    type_name: str
    plugin: str = ""
    source: Source = field(default=Source.FILE, eq=False)
    given: Mapping[str, Any] = field(factory=dict, eq=False, repr=False)


@frozen
class ConfiguredVisitor:
    """One visitor to start: as :class:`ConfiguredProxy`, with its type's ``visitor_options``."""

    common: VisitorCommon
    options: Options
    type_name: str
    source: Source = field(default=Source.FILE, eq=False)
    given: Mapping[str, Any] = field(factory=dict, eq=False, repr=False)


def proxy_of(entry: ProxyEntry, user: str, source: Source = Source.FILE) -> ConfiguredProxy:
    """The proxy of an entry, which is checked; ``user`` is the client's own."""
    common = entry.completed(user)
    return ConfiguredProxy(common, entry.options, entry.common.type, entry.plugin_type, source, entry.table)


def visitor_of(entry: VisitorEntry, user: str, source: Source = Source.FILE) -> ConfiguredVisitor:
    """The visitor of an entry, likewise."""
    return ConfiguredVisitor(entry.completed(user), entry.options, entry.common.type, source, entry.table)


@frozen
class CheckedDefinition:
    """What one table was read as; None for what makes no sense.

    :ivar unread: why it makes none, or a value of it; keys are those of the table.
    :ivar problems: what else is wrong with it.
    """

    entry: ConfiguredProxy | ConfiguredVisitor | None
    unread: tuple[ConfigurationProblem, ...]
    problems: tuple[ConfigurationProblem, ...]
    warnings: tuple[ConfigurationProblem, ...]


@frozen(eq=False)
class Definitions:
    """Makes sense of tables as the client's files would.

    :ivar main: reads the main file, at whose top are keys of proxy types.
    """

    main: Reader = field(repr=False)
    types: ProxyTypes
    config: ClientConfig

    @classmethod
    def beside(cls, reader: Reader, types: ProxyTypes, config: ClientConfig) -> Definitions:
        """What reads definitions beside a file; it keeps of the file what it needs."""
        document = reader.document
        table = document.value if isinstance(document.value, Mapping) else {}
        top = {key: value for key, value in table.items() if key.casefold() not in LISTS}
        main = Reader(Report(), Document(top, document.format), type_keys=reader.type_keys)
        return cls(main, types, config)

    def check(
        self,
        list_name: str,
        table: Mapping[str, Any],
        *,
        strict: bool = True,
        neighbors: Iterable[ConfiguredProxy | ConfiguredVisitor] = (),
    ) -> CheckedDefinition:
        """What a table is as an entry of one of :data:`LISTS`, and what is wrong with it.

        Without ``strict``, unknown keys are ignored.  ``neighbors`` are what is started beside it, of which
        one of the same name gives way to it.
        """
        report = Report()
        document = Document({list_name: [table]}, Format.JSON)
        reader = Reader(report, document, strict=strict, main=self.main, type_keys=self.main.type_keys)
        entries = EntryReader(reader, self.types)
        proxies = entries.proxies([table]) if list_name == "proxies" else []
        visitors = entries.visitors([table]) if list_name == "visitors" else []
        unread = len(report.problems)
        made: tuple[ConfiguredProxy | ConfiguredVisitor, ...] = (
            *(proxy_of(each, self.config.user, Source.STORE) for each in proxies),
            *(visitor_of(each, self.config.user, Source.STORE) for each in visitors),
        )
        entered: tuple[ProxyEntry | VisitorEntry, ...] = (*proxies, *visitors)
        for entry in entered:
            if entry.common.enabled:
                entry.warn_of_idle_plugin(self.config)
                self._warn_of_neighbors(entry, neighbors)
        problems = tuple(_of_table(each, list_name) for each in report.problems)
        warnings = tuple(_of_table(each, list_name) for each in report.warnings)
        return CheckedDefinition(next(iter(made), None), problems[:unread], problems[unread:], warnings)

    def _warn_of_neighbors(
        self, entry: ProxyEntry | VisitorEntry, neighbors: Iterable[ConfiguredProxy | ConfiguredVisitor]
    ) -> None:
        others = [each for each in neighbors if each.common.name != entry.common.name]
        if isinstance(entry, ProxyEntry):
            wanted = PortsWanted()
            for each in others:
                if isinstance(each, ConfiguredProxy):
                    # What these want of each other is no matter of the one that is looked at.
                    list(wanted.add(_Neighbor.of(each, self.types)))
            found = wanted.add(entry)
        else:
            started = {each.common.name: each.options for each in others}
            name = entry.common.name
            found = visitor_problems(name, entry.options, {**started, name: entry.options})
        for problem in found:
            entry.reader.warning((*entry.path, problem.key), problem.reason, subject=entry.subject)

    def effective(self, entry: ConfiguredProxy | ConfiguredVisitor) -> dict[str, Any]:
        """The table of an entry as frp writes it, with what was left open."""
        found: Any = self.types.get(entry.type_name)
        if isinstance(entry, ConfiguredProxy):
            return canonical_proxy(entry.given, found.proxy_options, complete=True)
        return canonical_visitor(entry.given, found.visitor_options, complete=True)


@frozen
class _Neighbor:
    """A proxy that is started, as one that is defined beside it sees it."""

    subject: str
    common: ProxyCommon
    options: Options
    is_groupable: bool

    @classmethod
    def of(cls, proxy: ConfiguredProxy, types: ProxyTypes) -> _Neighbor:
        """What it is to others."""
        return cls(
            f'{LISTS["proxies"]} "{shown(proxy.common.name)}"',
            proxy.common,
            proxy.options,
            IGroupableProxyType.providedBy(types.get(proxy.type_name)),
        )


def _of_table(problem: ConfigurationProblem, list_name: str) -> ConfigurationProblem:
    """The same problem, with its key from the table on."""
    before = f"{list_name}[0]"
    key = problem.key.removeprefix(before).removeprefix(".")
    return ConfigurationProblem(what=problem.what, key=key, hint=problem.hint, subject=problem.subject)
