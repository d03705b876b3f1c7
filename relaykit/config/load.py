"""Reads configuration files: the one way from a path, or from a table, to checked options."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from attrs import define, evolve, field, frozen

from relaykit.config.definitions import (
    ConfiguredProxy,
    ConfiguredVisitor,
    Definitions,
    proxy_of,
    visitor_of,
)
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems, Findings, Report
from relaykit.config.reading.decoding import Given, Reader, own_keys
from relaykit.config.reading.entries import EntryReader, ProxyEntry, VisitorEntry
from relaykit.config.reading.files import read_file
from relaykit.config.reading.includes import included_files
from relaykit.config.reading.type_keys import CLIENT_HALVES, SERVER_HALVES, type_keys
from relaykit.config.rules.checking import check_client, check_server, nested_problems
from relaykit.config.rules.completing import complete_client, complete_server
from relaykit.config.rules.neighbors import PortsWanted, visitor_problems
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.config.schema.client import StoreConfig
from relaykit.config.store import Store, read_store, store_path
from relaykit.config.text.documents import Document, Format, KeyPath, key_path
from relaykit.errors import PluginError
from relaykit.options import (
    NamedFile,
    Options,
    option_fields,
    with_files,
)
from relaykit.plugins import Policies, ProxyTypes

ConfigT = TypeVar("ConfigT", ServerConfig, ClientConfig)

__all__ = [
    "ConfiguredProxy",
    "ConfiguredVisitor",
    "LoadedClient",
    "LoadedServer",
    "client_from_table",
    "files_named_in",
    "load_client",
    "load_server",
    "role_of",
    "server_from_table",
    "with_other_files",
]


@frozen
class LoadedServer:
    """A server's configuration: complete, and checked.

    ``ingress_options`` has the proxy types with a table ``[proxyTypes.NAME]``; the others have defaults.
    ``path`` is the file that it was read from; empty for none.  ``policies`` has the options of
    those that the file names, in its order.
    """

    config: ServerConfig
    ingress_options: Mapping[str, Options]
    warnings: tuple[ConfigurationProblem, ...]
    path: str = field(default="", eq=False)
    policies: Mapping[str, Options] = field(factory=dict)


@frozen
class LoadedClient:
    """A client's configuration: complete, and checked; what is disabled or not in ``start`` is left out.

    ``path`` is the file that it was read from; empty for none.  ``definitions`` makes sense of single proxies
    and visitors beside these.  ``store`` is what is kept beside the files, None where nothing is: of those
    that have the same name, its proxy or visitor is started.  ``of_files`` are those that the files alone
    would start.
    """

    config: ClientConfig
    proxies: tuple[ConfiguredProxy, ...]
    visitors: tuple[ConfiguredVisitor, ...]
    warnings: tuple[ConfigurationProblem, ...]
    path: str = field(default="", eq=False)
    definitions: Definitions | None = field(default=None, eq=False, repr=False)
    store: Store | None = field(default=None, eq=False, repr=False)
    of_files: tuple[tuple[ConfiguredProxy, ...], tuple[ConfiguredVisitor, ...]] = field(
        default=((), ()), eq=False, repr=False
    )

    def without_store(self) -> LoadedClient:
        """The same with what is in the files alone."""
        proxies, visitors = self.of_files
        return evolve(self, proxies=proxies, visitors=visitors, store=None)

    def with_store(self, store: Store) -> LoadedClient:
        """The same with what is kept now, which was read beside these files."""
        proxies, visitors = self.of_files
        return evolve(
            self,
            proxies=_merged(proxies, store.proxies(self.config)),
            visitors=_merged(visitors, store.visitors(self.config)),
            store=store,
        )


LoadedT = TypeVar("LoadedT", LoadedServer, LoadedClient)
EntryT = TypeVar("EntryT", ConfiguredProxy, ConfiguredVisitor)


def load_server(
    path: str,
    *,
    types: ProxyTypes,
    environ: Mapping[str, str],
    strict: bool = True,
    allow_unsafe: Collection[str] = (),
    cwd: str = "",
    token_given: bool = False,
) -> LoadedServer:
    """Reads a server's file.

    ``environ`` is what templates see.  Relative paths are resolved against ``cwd``, empty for the
    process's own.  Without ``strict``, unknown keys are ignored.  ``allow_unsafe`` names features
    that need permission: ``TokenSourceExec``.  ``token_given`` says that the token comes from elsewhere.

    :raises ConfigurationProblems: the file cannot be read or used, with every reason.
    """
    reader = _opened(path, environ, strict, cwd, "server")
    # frp turns numbers into text in this one case, and files rely on it.
    reader.texts_from_scalars = not strict and reader.document.format is Format.YAML
    return evolve(_server(reader, types, allow_unsafe, token_given), path=os.path.join(cwd, path))


def load_client(
    path: str,
    *,
    types: ProxyTypes,
    environ: Mapping[str, str],
    strict: bool = True,
    allow_unsafe: Collection[str] = (),
    cwd: str = "",
    token_given: bool = False,
    text: str | None = None,
    stored: bool = True,
) -> LoadedClient:
    """Reads a client's file, the files it includes, and its store; see :func:`load_server`.

    ``text`` is what counts as the content of the file, which is not read then.  Without ``stored``, what is
    in the store is left out: some want to know of the file alone.

    :raises ConfigurationProblems: a file cannot be read or used, with every reason.
    """
    reader = _opened(path, environ, strict, cwd, "client", text)
    path = os.path.join(cwd, path)
    client = _Client(
        reader.report, types, environ, allow_unsafe, strict, cwd, token_given, path=path, stored=stored
    )
    return evolve(client.load(reader), path=path)


def role_of(
    path: str, *, environ: Mapping[str, str], strict: bool = True, cwd: str = ""
) -> Literal["server", "client", ""]:
    """Whose configuration a file is, by its keys; an empty text if they do not tell, or it cannot be read."""
    reader = read_file(path, Report(), environ=environ, strict=strict, cwd=cwd)
    if reader is None or not isinstance(reader.document.value, Mapping):
        return ""
    given = {key.casefold() for key in reader.document.value}
    server, client = (
        {each.key.casefold() for each in option_fields(cls)} for cls in (ServerConfig, ClientConfig)
    )
    if given & {"serveraddr", *_LISTS}:
        return "client"
    more = len(given & (server - client)) - len(given & (client - server))
    return "" if not more else "server" if more > 0 else "client"


def with_other_files(loaded: LoadedT, path_of: Callable[[NamedFile], str]) -> LoadedT:
    """The same configuration with other paths for the files that it names, those of proxy types too."""
    loaded = evolve(loaded, config=with_files(loaded.config, path_of))
    if isinstance(loaded, LoadedServer):
        options = {
            name: with_files(each, path_of, f"proxyTypes.{name}.")
            for name, each in loaded.ingress_options.items()
        }
        policies = {
            name: with_files(each, path_of, f"policies.{name}.") for name, each in loaded.policies.items()
        }
        loaded = evolve(loaded, ingress_options=options, policies=policies)
    return loaded


def files_named_in(loaded: LoadedServer | LoadedClient) -> list[NamedFile]:
    """The files that a configuration names, those of proxy types too."""
    found: list[NamedFile] = []

    def note(named: NamedFile) -> str:
        found.append(named)
        return named.path

    if isinstance(loaded, LoadedServer):
        with_other_files(loaded, note)
    else:
        with_other_files(loaded, note)
    return found


def server_from_table(
    table: Mapping[str, Any],
    *,
    types: ProxyTypes,
    allow_unsafe: Collection[str] = (),
) -> LoadedServer:
    """Makes a server's configuration of a plain table, as a file would hold it (command lines do).

    :raises ConfigurationProblems: it cannot be used.
    """
    return _server(Reader(Report(), Document(table, Format.TOML)), types, allow_unsafe)


def client_from_table(
    table: Mapping[str, Any],
    *,
    types: ProxyTypes,
    environ: Mapping[str, str],
    allow_unsafe: Collection[str] = (),
    cwd: str = "",
) -> LoadedClient:
    """Makes a client's configuration of a plain table with ``proxies`` and ``visitors`` in it.

    :raises ConfigurationProblems: it cannot be used.
    """
    report = Report()
    reader = Reader(report, Document(table, Format.TOML))
    return _Client(report, types, environ, allow_unsafe, True, cwd).load(reader)


# --- the server -----------------------------------------------------------------------------


def _server(
    reader: Reader, types: ProxyTypes, allow_unsafe: Collection[str], token_given: bool = False
) -> LoadedServer:
    reader.type_keys = functools.cache(lambda: type_keys(types, SERVER_HALVES))
    config = _common(reader, ServerConfig, "server", reader.keys(reader.document.value, ()), types)
    ingress_options = _ingress_options(reader, config, types)
    policies = _policies(reader, config)
    config = complete_server(config)
    found = check_server(config, allow_unsafe, token_given=token_given)
    reader.findings(found, ())
    reader.report.raise_problems()
    return LoadedServer(config, ingress_options, tuple(reader.report.warnings), policies=policies)


def _policies(reader: Reader, config: ServerConfig) -> dict[str, Options]:
    found: dict[str, Options] = {}
    installed = Policies.installed() if config.policies else Policies()
    for name, table in config.policies.items():
        path = ("policies", name)
        try:
            cls = installed.get(name).options
        except PluginError as error:
            reader.problem(path, str(error))
            continue
        options = reader.table(cls, table, path)
        if options is not None:
            reader.findings(Findings(list(nested_problems(options))), path)
            found[name] = options
    return found


def _ingress_options(reader: Reader, config: ServerConfig, types: ProxyTypes) -> dict[str, Options]:
    found: dict[str, Options] = {}
    met: dict[str, dict[str, Any]] = {
        each.type_name: {} for path in sorted(reader.type_keys_met) for each in reader.type_keys()[path]
    }
    for name, table in {**met, **config.proxy_types}.items():
        path = ("proxyTypes", name)
        if name not in types:
            known = ", ".join(reference.name for reference in types)
            reader.problem(path, f'unknown proxy type "{name}"', hint=f"installed: {known}")
            continue
        try:
            cls: type[Options] = types.get(name).ingress_options
        except PluginError as error:
            reader.problem(path, str(error))
            continue
        options = reader.table(cls, table, path)
        if options is not None:
            at_top = [key_path(each.file_key) for each in option_fields(cls) if each.file_key]
            for problem in nested_problems(options):
                key = key_path(problem.key)
                is_at_top = any(key[: len(each)] == each for each in at_top)
                reader.findings(Findings([problem]), () if is_at_top else path)
            found[name] = options
    return found


# --- the client -----------------------------------------------------------------------------


@define
class _Client:
    """Reads one client's configuration, the included files too."""

    _report: Report
    _types: ProxyTypes
    _environ: Mapping[str, str]
    _allow_unsafe: Collection[str]
    _strict: bool
    _cwd: str
    _token_given: bool = False
    _path: str = ""
    """Of the file; empty for none."""
    _stored: bool = False
    """Whether what is in the store is read."""
    _proxies: list[ProxyEntry] = field(factory=list, init=False)
    _visitors: list[VisitorEntry] = field(factory=list, init=False)

    def load(self, reader: Reader) -> LoadedClient:
        # Definitions keep it, and must not keep all that is read here.
        reader.type_keys = functools.cache(functools.partial(type_keys, self._types, CLIENT_HALVES))
        config = self._read(reader)
        for position, pattern in enumerate(config.includes):
            self._include(reader, ("includes", position), pattern)
        config = self._with_store_path(complete_client(config))
        found = check_client(config, self._allow_unsafe, token_given=self._token_given)
        reader.findings(found, ())
        self._check_names(self._proxies)
        self._check_names(self._visitors)
        proxies = [proxy_of(entry, config.user) for entry in self._proxies if _is_started(entry, config)]
        self._check_ports(each for each in self._proxies if _is_started(each, config))
        visitors = [visitor_of(entry, config.user) for entry in self._visitors if _is_started(entry, config)]
        entries: tuple[ProxyEntry | VisitorEntry, ...] = (*self._proxies, *self._visitors)
        for entry in entries:
            if _is_started(entry, config):
                entry.warn_of_idle_plugin(config)
        definitions = Definitions.beside(reader, self._types, config)
        store = self._read_store(definitions)
        if store is not None or not config.store.path:
            # Else nobody can tell which visitors there are.
            kept = () if store is None else tuple(store.visitors(config))
            self._check_named_visitors([each for each in self._visitors if _is_started(each, config)], kept)
        self._report.raise_problems()
        loaded = LoadedClient(
            config,
            tuple(proxies),
            tuple(visitors),
            tuple(self._report.warnings),
            definitions=definitions,
            of_files=(tuple(proxies), tuple(visitors)),
        )
        return loaded if store is None else loaded.with_store(store)

    def _with_store_path(self, config: ClientConfig) -> ClientConfig:
        """The same with the path of the store from the root on."""
        if not config.store.path or not self._path:
            return config
        store = StoreConfig(path=store_path(self._path, config.store.path))
        return msgspec.structs.replace(config, store=store)

    def _read_store(self, definitions: Definitions) -> Store | None:
        path = definitions.config.store.path
        if not path or not self._stored:
            return None
        try:
            return read_store(path, definitions)
        except ConfigurationProblems as error:
            self._report.problems.extend(error.problems)
            return None

    def _read(self, reader: Reader) -> ClientConfig:
        """Reads the keys of one file, its proxies and visitors included."""
        given = reader.keys(reader.document.value, ())
        config = _common(reader, ClientConfig, "client", given, self._types, _LISTS)
        entries = EntryReader(reader, self._types)
        if "proxies" in given:
            self._proxies.extend(entries.proxies(given["proxies"].value))
        if "visitors" in given:
            self._visitors.extend(entries.visitors(given["visitors"].value))
        return config

    def _include(self, reader: Reader, path: KeyPath, pattern: str) -> None:
        """Reads the files that an entry of ``includes`` means; only their proxies and visitors count."""
        try:
            files = included_files(pattern, self._cwd)
        except OSError as error:
            reader.problem(path, f"{error.filename}: {_reason(error)}")
            return
        except ValueError as error:
            reader.problem(path, str(error))
            return
        for file in files:
            included = read_file(
                file,
                self._report,
                environ=self._environ,
                strict=self._strict,
                cwd=self._cwd,
                role="client",
                is_ini=reader.document.format is Format.INI,
            )
            if included is not None:
                included.main, included.type_keys = reader, reader.type_keys
                self._read(included)

    def _check_ports(self, entries: Iterable[ProxyEntry]) -> None:
        """Warns of proxies of one type that want the same port of the server."""
        wanted = PortsWanted()
        for entry in entries:
            for each in wanted.add(entry):
                entry.reader.warning((*entry.path, each.key), each.reason, subject=entry.subject)

    def _check_named_visitors(
        self, entries: Sequence[VisitorEntry], kept: Iterable[ConfiguredVisitor]
    ) -> None:
        """Warns of visitors that name one which is not there, or which leads users back to them."""
        started = {each.common.name: each.options for each in entries}
        started |= {each.common.name: each.options for each in kept}
        for entry in entries:
            for each in visitor_problems(entry.common.name, entry.options, started):
                entry.reader.warning((*entry.path, each.key), each.reason, subject=entry.subject)

    def _check_names(self, entries: Sequence[ProxyEntry] | Sequence[VisitorEntry]) -> None:
        """Reports names that were given before, in any file, switched off or not."""
        first: dict[str, ProxyEntry | VisitorEntry] = {}
        for entry in entries:
            name = entry.common.name
            other = first.setdefault(name, entry)
            if other is not entry:
                before = other.reader.placed((*other.path, "name"), "").place
                entry.reader.problem(
                    (*entry.path, "name"),
                    f'the name "{name}" is given twice',
                    hint=f"first in {before}" if before else "",
                    subject=entry.subject,
                )


_LISTS = ("proxies", "visitors")


def _merged(of_files: Iterable[EntryT], of_store: Iterable[EntryT]) -> tuple[EntryT, ...]:
    """What is started: of those with the same name, the one of the store."""
    found = {each.common.name: each for each in of_files}
    return tuple((found | {each.common.name: each for each in of_store}).values())


def _is_started(entry: ProxyEntry | VisitorEntry, config: ClientConfig) -> bool:
    return entry.common.enabled and (not config.start or entry.common.name in config.start)


# --- both -----------------------------------------------------------------------------------


def _opened(
    path: str,
    environ: Mapping[str, str],
    strict: bool,
    cwd: str,
    role: Literal["server", "client"],
    text: str | None = None,
) -> Reader:
    report = Report()
    reader = read_file(path, report, environ=environ, strict=strict, cwd=cwd, role=role, text=text)
    if reader is None:
        raise report.to_error()
    return reader


def _common(
    reader: Reader,
    cls: type[ConfigT],
    program: str,
    given: Mapping[str, Given],
    types: ProxyTypes,
    besides: Sequence[str] = (),
) -> ConfigT:
    """Makes options of the keys of a file's top level; ``besides`` are read by somebody else."""

    def elsewhere(key: str) -> str:
        return _where(key, program, types)

    reader.elsewhere = elsewhere
    options: type[Options] = cls
    reader.unknown_keys(given, (*own_keys(options), *besides), ())
    return reader.options(cls, given, ()) or cls()


def _where(key: str, program: str, types: ProxyTypes) -> str:
    """Says where a key belongs that is not known where it stands."""
    # Only a mistake needs the whole reference.
    from relaykit.config.reference import homes_of

    homes = homes_of(key)
    here = [home.path for home in homes if home.program == program]
    if here:
        return f"did you mean {' or '.join(here)}?"
    if homes:
        return f"it is a key of the {homes[0].program}"
    other, halves = ("client", CLIENT_HALVES) if program == "server" else ("server", SERVER_HALVES)
    if any(path[-1] == key.casefold() for path in type_keys(types, halves)):
        return f"it is a key of the {other}"
    return ""


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
