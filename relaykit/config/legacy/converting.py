"""From the sections of an old INI file to the tables that a file has today."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Literal, TypeAlias

from attrs import define, evolve, field

from relaykit.config.legacy.ini import COMMON, Entry, Ini, Section, read_ini
from relaykit.config.legacy.names import CLIENT, HTTP_PLUGIN, PROXY, SERVER, VISITOR, Kind, Name, Names
from relaykit.config.text.documents import (
    Document,
    Format,
    FormatError,
    KeyPath,
    dotted,
    fold,
    key_path,
    shown,
)

__all__ = ["MOST_RANGED_PROXIES", "TEMPLATE", "Role", "Unquoted", "as_document", "read_legacy"]

Role: TypeAlias = Literal["server", "client"]

MOST_RANGED_PROXIES = 65_536
"""Proxies that all ranges of a file make: as many as there are ports."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_TRUE = frozenset(["1", "t", "T", "true", "TRUE", "True", "YES", "yes", "Yes", "y", "ON", "on", "On"])
_FALSE = frozenset(["0", "f", "F", "false", "FALSE", "False", "NO", "no", "No", "n", "OFF", "off", "Off"])

TEMPLATE = "{{"
"""Begins what a template puts in; only a file that was not rendered has it."""

_PLUGIN = "plugin."
_RANGED = "range:"
_BEFORE_SECTIONS = "before the first section"


def read_legacy(text: str, *, role: Role | None = None) -> Document:
    """Reads an old INI file of a role; of the one whose keys it has, if none is given.

    What is no number, and neither true nor false, stays the text that it is.

    :raises FormatError: it is no INI, or what it says of a section cannot be meant.
    """
    return as_document(read_ini(text), role)


def as_document(ini: Ini, role: Role | None = None) -> Document:
    """The same of a file that was read; see :func:`read_legacy`.

    :raises FormatError: what it says of a section cannot be meant.
    """
    tables = _Tables()
    if (role or _role_of(ini)) == "server":
        _convert_server(ini, tables)
    else:
        _convert_client(ini, tables)
    return Document(
        tables.value, Format.INI, tables.lines, spelled=tables.spelled, ignored=tuple(tables.ignored)
    )


# --- the two roles -------------------------------------------------------------------------------


def _role_of(ini: Ini) -> Role:
    """Whose keys a file has; a server's has no section but for plugins."""
    names = [section.name for section in ini.sections if section.name not in ("", COMMON)]
    if any(not name.startswith(_PLUGIN) for name in names):
        return "client"
    keys = {entry.key for section in ini.sections for entry in section.entries if section.name == COMMON}
    return "client" if len(keys & set(CLIENT.keys)) > len(keys & set(SERVER.keys)) else "server"


def _convert_server(ini: Ini, tables: _Tables) -> None:
    for section in ini.sections:
        if section.name == COMMON:
            _convert_dashboard(section, tables)
        elif section.name.startswith(_PLUGIN):
            base = tables.append("httpPlugins", section)
            tables.put((*base, "name"), section.name.removeprefix(_PLUGIN).strip(), section.line)
            tables.fill(base, section, HTTP_PLUGIN)
        else:
            tables.ignore(section)


def _convert_dashboard(section: Section, tables: _Tables) -> None:
    """The common section of a server, whose dashboard had rules of its own."""
    given = section.values()
    mode = given.get("dashboard_tls_mode")
    is_secure = mode is not None and _value(Kind.FLAG, mode.value) is True
    without = () if is_secure else ("dashboard_tls_cert_file", "dashboard_tls_key_file", "pprof_enable")
    tables.fill((), section, SERVER, without)
    if is_secure and mode is not None and not tables.value.get("webServer", {}).get("tls"):
        tables.put(("webServer", "tls"), {}, mode.line)
    if "dashboard_port" in given and "dashboard_addr" not in given:
        tables.put(("webServer", "addr"), "0.0.0.0", given["dashboard_port"].line)


def _convert_client(ini: Ini, tables: _Tables) -> None:
    left = MOST_RANGED_PROXIES
    for section in ini.sections:
        if section.name == COMMON:
            tables.fill((), section, CLIENT)
        elif not section.name:
            tables.ignore(section)
        elif section.name.startswith(_RANGED):
            ranged = _ranged(section, left)
            left -= len(ranged)
            for each in ranged:
                _convert_entry(each, tables)
        else:
            _convert_entry(section, tables)


def _convert_entry(section: Section, tables: _Tables) -> None:
    """A section that is a proxy or a visitor."""
    given = section.values()
    role = given.get("role")
    is_visitor = role is not None and role.value == "visitor"
    if role is not None and role.value not in ("", "server", "visitor"):
        what = f'role must be "server" or "visitor", not {shown(role.value)}'
        raise FormatError(what, role.line, key=f"{section.name}.role")
    base = tables.append("visitors" if is_visitor else "proxies", section)
    tables.put((*base, "name"), section.name, section.line)
    if not is_visitor and "type" not in given:
        tables.put((*base, "type"), "tcp", section.line)
    without = () if "plugin" in given else tuple(each for each in given if each.startswith("plugin_"))
    tables.fill(base, section, VISITOR if is_visitor else PROXY, without)


def _ranged(section: Section, most: int) -> list[Section]:
    """The proxies that a section with ranges of ports stands for."""
    prefix = section.name.removeprefix(_RANGED).strip()
    given = section.values()
    ports: list[list[int]] = []
    for key in ("local_port", "remote_port"):
        entry = given.get(key)
        if entry is None or not entry.value:
            raise FormatError("must be given", section.line, key=f"{section.name}.{key}")
        ports.append([])
        for first, last in _ranges(entry.value, f"{section.name}.{key}", entry.line):
            ports[-1].extend(range(first, last + 1))
            if len(ports[-1]) > most:
                what = f"ranges of a file stand for {MOST_RANGED_PROXIES} proxies at most"
                raise FormatError(what, entry.line, key=f"{section.name}.{key}")
    local, remote = ports
    if len(local) != len(remote):
        what = f"has {len(remote)} ports, and local_port has {len(local)}: they must be as many"
        raise FormatError(what, given["remote_port"].line, key=f"{section.name}.remote_port")
    return [
        evolve(
            section,
            name=f"{prefix}_{at}",
            entries=[
                *section.entries,
                evolve(given["local_port"], value=str(local[at])),
                evolve(given["remote_port"], value=str(remote[at])),
            ],
        )
        for at in range(len(local))
    ]


# --- values --------------------------------------------------------------------------------------


class Unquoted(str):
    """What a template puts in where no text belongs."""

    __slots__ = ()


def _value(kind: Kind, text: str) -> Any:
    """What a text stands for; the text itself if it is none of that kind."""
    match kind:
        case Kind.NUMBER | Kind.FLAG if TEMPLATE in text:
            return Unquoted(text)
        case Kind.NUMBER if _NUMBER.fullmatch(text):
            return int(text)
        case Kind.FLAG | Kind.SCOPE if text in _TRUE or text in _FALSE:
            return text in _TRUE
        case Kind.LIST:
            # A comma at the end is no empty entry, which would let in who has no name.  Source: ini.v1.
            return [each.strip() for each in text.removesuffix(",").split(",")]
    return text


def _ranges(text: str, key: str, line: int) -> Iterator[tuple[int, int]]:
    """The first and the last port of each part.

    :raises FormatError: it is no list of ports.
    """
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last > 65535:
            raise FormatError(f"{shown(text)} is not such as 6000-6010,7000", line, key=key)
        yield first, last


@define
class _Tables:
    """What the sections of a file become."""

    value: dict[str, Any] = field(factory=dict)
    lines: dict[KeyPath, int] = field(factory=dict)
    spelled: dict[KeyPath, str] = field(factory=dict)
    ignored: list[KeyPath] = field(factory=list)

    def append(self, key: str, section: Section) -> KeyPath:
        """Begins an entry of a list; answers its path."""
        entries = self.value.setdefault(key, [])
        entries.append({})
        path: KeyPath = (key, len(entries) - 1)
        self.lines.setdefault(fold((key,)), section.line)
        self.lines[fold(path)] = section.line
        return path

    def put(self, path: KeyPath, value: Any, line: int) -> None:
        """Gives a key its value, with the tables around it."""
        table: Any = self.value
        for at, key in enumerate(path[:-1], 1):
            self.lines.setdefault(fold(path[:at]), line)
            table = table[key] if isinstance(key, int) else table.setdefault(key, {})
        table[path[-1]] = value
        self.lines[fold(path)] = line

    def fill(self, base: KeyPath, section: Section, names: Names, without: Collection[str] = ()) -> None:
        """Converts the keys of a section into the table at ``base``."""
        for entry in section.values().values():
            path = self._path_of(entry.key, base, names)
            if path is None or entry.key in without:
                self._ignore(section, entry)
                continue
            name = names.keys.get(entry.key, Name(dotted(path), Kind.TEXT))
            if name.kind is not Kind.NOTHING:
                self.spelled[fold(path)] = f"{section.name}.{entry.key}"
                self._put_named(path, name, entry)

    def ignore(self, section: Section) -> None:
        """Notes that a whole section means nothing."""
        if section.name:
            self.ignored.append((section.name,))
            self.lines[fold((section.name,))] = section.line
        for entry in () if section.name else section.entries:
            self._ignore(evolve(section, name=_BEFORE_SECTIONS), entry)

    def _ignore(self, section: Section, entry: Entry) -> None:
        path = (section.name, entry.key)
        self.ignored.append(path)
        self.lines[fold(path)] = entry.line

    def _path_of(self, key: str, base: KeyPath, names: Names) -> KeyPath | None:
        """Where a key belongs today, ``base`` where it had no effect; None if it is not known."""
        name = names.keys.get(key)
        if name is not None:
            return (*base, *key_path(name.today))
        for beginning, table in names.beginnings.items():
            if key.startswith(beginning) and key != beginning:
                return (*base, *key_path(table), key.removeprefix(beginning))
        return None

    def _put_named(self, path: KeyPath, name: Name, entry: Entry) -> None:
        if not entry.value and name.kind is not Kind.TEXT:
            return
        if TEMPLATE in entry.value and name.kind not in (Kind.TEXT, Kind.NUMBER, Kind.FLAG):
            raise FormatError("a template makes this list, which has another form today", entry.line)
        value = _value(name.kind, entry.value)
        if name.kind is Kind.PORTS:
            value = [
                {"single": first} if first == last else {"start": first, "end": last}
                for first, last in _ranges(entry.value, f"{COMMON}.{entry.key}", entry.line)
            ]
        elif name.kind is Kind.SCOPE and isinstance(value, bool):
            scopes = self.value.get("auth", {}).get("additionalScopes", [])
            value = [*scopes, name.scope] if value else scopes
        self.put(path, value, entry.line)
