"""The store: proxies and visitors that are kept beside the files, for who edits them while the client runs.

It is a JSON file of frp's form, so that either program takes over what the other one kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from relaykit.config.canonical import canonical_proxy, canonical_visitor
from relaykit.config.definitions import LISTS, ConfiguredProxy, ConfiguredVisitor, Definitions
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.config.schema import ClientConfig

__all__ = [
    "MOST_BYTES",
    "FileState",
    "Store",
    "StoredDefinition",
    "file_state",
    "read_store",
    "store_path",
    "stored",
]

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of the file: a larger one is something else, and must not fill the memory."""

_MEND = "mend the file, or move it away to begin with an empty store"


FileState: TypeAlias = tuple[int, int, int]
"""See :func:`file_state`."""


@frozen
class StoredDefinition:
    """One proxy or visitor of the store, switched on or off: its table as frp writes it, and what it is."""

    table: Mapping[str, Any] = field(repr=False)
    entry: ConfiguredProxy | ConfiguredVisitor

    @property
    def name(self) -> str:
        """Its name, which one of its list has."""
        return self.entry.common.name


@frozen
class Store:
    """What is kept: values only, of which a change makes others.

    :ivar path: of the file, from the root on.
    :ivar seen: what tells the file that was read from any that takes its place; None where there was none.
    :ivar lists: what is in each of the two lists of a file, by name.
    """

    path: str
    seen: FileState | None = None
    lists: Mapping[str, Mapping[str, StoredDefinition]] = field(factory=lambda: {each: {} for each in LISTS})

    def __len__(self) -> int:
        return sum(map(len, self.lists.values()))

    def having(self, list_name: str, definition: StoredDefinition) -> Store:
        """The store with one more, or with another one of this name."""
        return self._with(list_name, {**self.lists[list_name], definition.name: definition})

    def without(self, list_name: str, name: str) -> Store:
        """The store with one less."""
        kept = {each: value for each, value in self.lists[list_name].items() if each != name}
        return self._with(list_name, kept)

    def encode(self) -> bytes:
        """What its file has."""
        lists = {
            name: [kept[each].table for each in sorted(kept)] for name, kept in self.lists.items() if kept
        }
        return json.dumps(lists, indent=2, ensure_ascii=False, allow_nan=False).encode()

    def proxies(self, config: ClientConfig) -> Iterator[ConfiguredProxy]:
        """The proxies that are to be started."""
        for each in self.lists["proxies"].values():
            if isinstance(each.entry, ConfiguredProxy) and _is_started(each, config):
                yield each.entry

    def visitors(self, config: ClientConfig) -> Iterator[ConfiguredVisitor]:
        """The visitors that are to be started."""
        for each in self.lists["visitors"].values():
            if isinstance(each.entry, ConfiguredVisitor) and _is_started(each, config):
                yield each.entry

    def read_again(self, definitions: Definitions) -> Store:
        """The same beside other files.

        :raises ConfigurationProblems: one that is to be started cannot be, beside them.
        """
        tables = {name: [each.table for each in kept.values()] for name, kept in self.lists.items()}
        return evolve(_read(self.path, tables, definitions), seen=self.seen)

    def _with(self, list_name: str, kept: Mapping[str, StoredDefinition]) -> Store:
        return evolve(self, lists={**self.lists, list_name: kept})


def stored(
    definitions: Definitions, table: Mapping[str, Any], entry: ConfiguredProxy | ConfiguredVisitor
) -> StoredDefinition:
    """What is kept of a definition that was checked."""
    found: Any = definitions.types.get(entry.type_name)
    if isinstance(entry, ConfiguredProxy):
        return StoredDefinition(canonical_proxy(table, found.proxy_options), entry)
    return StoredDefinition(canonical_visitor(table, found.visitor_options), entry)


def file_state(status: os.stat_result) -> FileState:
    """What a file is known by: another one in its place, and other content, are told from it."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def store_path(config_path: str, path: str) -> str:
    """Where a store is; its path is relative to the folder of the configuration file."""
    return str(Path(config_path).absolute().parent / path)


def read_store(path: str, definitions: Definitions) -> Store:
    """The store in a file; an empty one where there is no such file yet.

    :raises ConfigurationProblems: it cannot be used.
    """
    try:
        with open(path, "rb") as file:
            seen = file_state(os.fstat(file.fileno()))
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return Store(path)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(content) > MOST_BYTES:
        raise _unusable(path, f"has more than {MOST_BYTES} bytes")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"the store is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _unusable(path, 'the store must be an object with "proxies" and "visitors"')
    lists = {key.casefold(): each for key, each in value.items()}
    return evolve(_read(path, lists, definitions), seen=seen)


def _read(path: str, lists: Mapping[str, Any], definitions: Definitions) -> Store:
    store, problems = Store(path), []
    for list_name in LISTS:
        tables = lists.get(list_name) or ()
        if not isinstance(tables, list | tuple):
            raise _unusable(path, "must be a list", list_name)
        kept: dict[str, StoredDefinition] = {}
        for at, table in enumerate(tables):
            key = f"{list_name}[{at}]"
            if not isinstance(table, Mapping):
                raise _unusable(path, "must be an object", key)
            checked = definitions.check(list_name, table, strict=False)
            if not checked.unread and (checked.entry is None or not checked.entry.common.name):
                problems.append(_problem(path, "must be given", f"{key}.name"))
                continue
            wrong = list(checked.unread)
            if checked.entry is not None:
                found = stored(definitions, table, checked.entry)
                kept[found.name] = found
                wrong += checked.problems if _is_started(found, definitions.config) else ()
            problems += [
                evolve(each, file=path, key=_below(key, each.key), hint=each.hint or _MEND) for each in wrong
            ]
        store = evolve(store, lists={**store.lists, list_name: kept})
    if problems:
        raise ConfigurationProblems(problems)
    return store


def _is_started(definition: StoredDefinition, config: ClientConfig) -> bool:
    return definition.entry.common.enabled and (not config.start or definition.name in config.start)


def _below(key: str, inner: str) -> str:
    return f"{key}.{inner}" if inner else key


def _problem(path: str, what: str, key: str = "") -> ConfigurationProblem:
    return ConfigurationProblem(what=what, key=key, hint=_MEND, file=path)


def _unusable(path: str, what: str, key: str = "") -> ConfigurationProblems:
    return ConfigurationProblems([_problem(path, what, key)])
