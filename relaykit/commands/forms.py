"""The commands of proxy types: one line of a terminal that runs a proxy or a visitor, without a file.

Which commands there are, their flags, and what these set is what the installed types say of themselves
(:class:`relaykit.options.OneLine`); here it becomes commands of the grammar, and tables as files have them.
"""

from __future__ import annotations

import hmac
import os
import platform
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from relaykit.assembly import read_secret_file
from relaykit.commands.grammar import Call, Command, Flag
from relaykit.commands.kinds import BOOLEAN, INTEGER, LIST, MAPPING, TEXT, Kind
from relaykit.errors import BrokenProxyType, PluginError, RelaykitError
from relaykit.interfaces import IOneLineProxyType
from relaykit.options import OneLine, OptionField, Options, ProxyCommon, VisitorCommon, option_fields
from relaykit.plugins import ProxyTypes
from relaykit.values import Address, Secret

__all__ = ["CONNECTION_FLAGS", "Form", "find_form", "installed_forms", "local_service", "service_text"]

ACTION = "relaykit.commands.one_line:run"

CONNECTION_FLAGS = (
    Flag("server", TEXT, "host or host:port of the server; else RELAYKIT_SERVER", default="", short="s"),
    Flag("token-file", TEXT, "file with the server's token; else RELAYKIT_TOKEN", default=""),
    Flag("fingerprint", TEXT, "accept only the server whose certificate has this SHA-256", default=""),
    Flag("user", TEXT, "put before the names of proxies, with a dot between", default="", short="u"),
    Flag("remember", BOOLEAN, "keep server, token and fingerprint for later command lines", default=False),
    Flag("state-dir", TEXT, "folder of what is kept from one start to the next", default=""),
    Flag("web", BOOLEAN, "the service is for browsers: show its address as a URL", default=False),
    Flag("plain", BOOLEAN, "print lines, on a terminal too", default=False),
)
"""How the server is reached, and how the command shows itself: flags of every form."""

_PROXY_FLAGS = (
    Flag("name", TEXT, "name of the proxy on the server; made up if left out", default="", short="n"),
)
_VISITOR_FLAGS = (
    Flag("port", INTEGER, "port of this machine that leads to the service", default=0, short="p"),
    Flag("bind-addr", TEXT, "address that this port is opened on", default="127.0.0.1"),
    Flag("server-user", TEXT, "user of the client that has the service, if not the own one", default=""),
)
_VISITOR_SECRETS = ("secretKey",)
"""Keys of :class:`VisitorCommon` that become flags; the others are in ``_VISITOR_FLAGS``."""

_KINDS: Mapping[Any, Kind] = {
    int: INTEGER,
    str: TEXT,
    bool: BOOLEAN,
    tuple[str, ...]: LIST,
    dict[str, str]: MAPPING,
    Secret: TEXT,
}
"""Keys of other types, such as tables, take a file."""

_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^:=\[\]]+):(?P<port>[0-9]+)")


@frozen
class Form:
    """One command of a proxy type."""

    type: Any
    line: OneLine

    def command(self) -> Command:
        """The command, for the grammar."""
        own = tuple(_flag(self.line, each) for each in self._fields())
        common = _VISITOR_FLAGS if self.line.visits else _PROXY_FLAGS
        return Command(
            self.line.command,
            self.line.summary,
            action=ACTION,
            flags=(*common, *own, *CONNECTION_FLAGS),
            most_arguments=1,
            arguments="PROXY" if self.line.visits else "SERVICE",
        )

    def table(self, call: Call, environ: Mapping[str, str], token: Secret) -> dict[str, Any]:
        """What a client's file would have for this call, besides the server: one proxy or one visitor.

        :raises RelaykitError: the file of a secret cannot be read, or there is nothing to make one of.
        """
        word = call.arguments[0]
        entry: dict[str, Any] = {"type": self.type.name}
        if self.line.visits:
            entry |= {
                "name": f"{word}-visitor",
                "serverName": word,
                "bindPort": call["port"],
                "bindAddr": call["bind-addr"],
                "serverUser": call["server-user"],
            }
        else:
            entry |= {"name": call["name"] or _made_up_name(self.line.command, word), **local_service(word)}
        owner = entry.get("serverUser") or call["user"]
        proxy = word if self.line.visits else entry["name"]
        for each in self._fields():
            flag = _flag(self.line, each).name
            if each.type is not Secret:
                if flag in call.given:
                    entry[each.key] = _plain(call[flag])
                continue
            secret = _given_secret(each, call[flag], environ)
            if not secret and each.key in self.line.from_token:
                secret = _secret_from_token(token, f"{owner}.{proxy}", flag)
            entry[each.key] = secret.reveal()
        return {"visitors" if self.line.visits else "proxies": [entry]}

    def other_half(self, call: Call, name: str) -> str:
        """The beginning of the command line that visits a proxy of this type; empty if it has no visitors."""
        visit = next((line for line in self.type.one_lines if line.visits), None)
        if self.line.visits or visit is None:
            return ""
        local = local_service(call.arguments[0]).get("localPort", "PORT")
        return f"relaykit {visit.command} {name} --port {local}"

    def _fields(self) -> Iterator[OptionField]:
        options: type[Options] = self.type.visitor_options if self.line.visits else self.type.proxy_options
        if self.line.visits:
            yield from (each for each in option_fields(VisitorCommon) if each.key in _VISITOR_SECRETS)
        yield from (each for each in option_fields(options) if each.type in _KINDS)


def installed_forms(types: ProxyTypes) -> list[Form]:
    """The commands of all installed types, by name; a type that cannot be used has none."""
    forms: list[Form] = []
    for reference in types:
        for command in reference.commands:
            try:
                forms.append(_form(types, reference.name, command))
            except PluginError:
                continue
    return sorted(forms, key=lambda form: form.line.command)


def find_form(types: ProxyTypes, command: str) -> Form | None:
    """The form of this name; imports the one type that has it.

    :raises PluginError: the type cannot be used, or two have this command.
    """
    owners = [reference.name for reference in types if command in reference.commands]
    if len(owners) > 1:
        raise BrokenProxyType(
            f'the command "{command}" is provided twice, by the proxy types {" and ".join(owners)}: '
            "uninstall one of the two packages, or use a file"
        )
    return _form(types, owners[0], command) if owners else None


def _form(types: ProxyTypes, name: str, command: str) -> Form:
    found = types.get(name)
    lines = found.one_lines if IOneLineProxyType.providedBy(found) else ()
    for line in lines:
        if line.command == command:
            return Form(found, line)
    raise BrokenProxyType(f'proxy type "{name}" has no command "{command}", which its dropin announces')


# --- what is typed -----------------------------------------------------------------------------


def local_service(word: str) -> dict[str, Any]:
    """The keys of a proxy for a local service: a port, host:port, or an endpoint string."""
    if word.isascii() and word.isdigit():
        return {"localPort": int(word)}
    found = _HOST_AND_PORT.fullmatch(word)
    if found is not None:
        return {"localIP": found["host"].strip("[]"), "localPort": int(found["port"])}
    return {"local": word}


def service_text(common: ProxyCommon) -> str:
    """A local service as people write it."""
    if common.local:
        return common.local
    return str(Address(common.local_ip, common.local_port))


def _made_up_name(command: str, word: str) -> str:
    """Unique where one machine publishes a service once, and the same at the next start."""
    return re.sub(r"[^\w.]+", "-", f"{platform.node()}-{command}-{word}").strip("-")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# --- flags of options ----------------------------------------------------------------------------


def _flag(line: OneLine, option: OptionField) -> Flag:
    name = line.flags.get(option.key) or option.name.replace("_", "-")
    summary = option.description.rstrip(".")
    summary = summary[:1].lower() + summary[1:]
    if option.type is Secret:
        made = "; else made of the token" if option.key in line.from_token else ""
        return Flag(
            f"{name}-file", TEXT, f"file with it: {summary}; else {_variable(option)}{made}", default=""
        )
    default = None if option.default in ("", (), {}, 0, False) else option.default
    return Flag(name, _KINDS[option.type], summary, default=default)


def _variable(option: OptionField) -> str:
    """The environment variable that may hold a secret."""
    return f"RELAYKIT_{option.name.upper()}"


def _given_secret(option: OptionField, path: str, environ: Mapping[str, str]) -> Secret:
    if path:
        return read_secret_file(path, "secret")
    return Secret(environ.get(_variable(option), ""))


def _secret_from_token(token: Secret, proxy: str, flag: str) -> Secret:
    if not token:
        raise RelaykitError(
            f"a secret key is needed: --{flag} FILE; without a token, none can be made",
            problem="no-token-given",
        )
    label = b"relaykit: secret of one proxy\0" + os.fsencode(proxy)
    return Secret(hmac.digest(token.to_bytes(), label, "sha256").hex())
