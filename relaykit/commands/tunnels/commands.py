"""The commands of the installed proxy types.

Which commands there are, their flags, and what these set is what the types say of themselves
(:class:`relaykit.options.OneLine`); here it becomes commands of click, and tables as files have them.
"""

from __future__ import annotations

import hmac
import os
import platform
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import click
from attrs import evolve, frozen

from relaykit.commands.flags import PORT, SETTINGS, STATE_DIR, called
from relaykit.commands.tunnels.flags import KeyFlag, flags_of, sentence
from relaykit.commands.tunnels.services import Service, local_service
from relaykit.config.problems import ConfigurationProblem
from relaykit.dataplane.listening import bind
from relaykit.errors import BrokenProxyType, PluginError, RelaykitError
from relaykit.escaping import masked_endpoint
from relaykit.interfaces import IDatagramProxyType, IOneLineProxyType
from relaykit.options import OneLine, Options, ProxyCommon, option_fields
from relaykit.plugins import ProxyTypes
from relaykit.values import Address, Secret

__all__ = [
    "TunnelCommand",
    "command_named",
    "find_others",
    "find_tunnel",
    "installed_tunnels",
    "is_built_in",
    "service_text",
]

_CONNECTION = (
    click.Option(
        ["-s", "--server"], default="", help="host or host:port of the server; else RELAYKIT_SERVER"
    ),
    click.Option(
        ["--token-file"],
        type=click.Path(),
        default="",
        help="file with the server's token; else RELAYKIT_TOKEN",
    ),
    click.Option(["--no-token"], is_flag=True, help="the server has no token"),
    click.Option(
        ["--fingerprint"], default="", help="accept only the server whose certificate has this SHA-256"
    ),
    click.Option(["-u", "--user"], default="", help="put before the names of proxies, with a dot between"),
    click.Option(
        ["--remember"], is_flag=True, help="keep server, token and fingerprint for later command lines"
    ),
    STATE_DIR,
    click.Option(["--plain"], is_flag=True, help="print lines, on a terminal too"),
)
"""How the server is reached, and how the command shows itself."""

_WEB = click.Option(["--web"], is_flag=True, help="the service is for browsers: show its address as a URL")
"""What goes without saying where the type says it, and means nothing for datagrams."""

_QR = click.Option(
    ["--qr/--no-qr"],
    default=True,
    help="draw a QR code of the URL, where there is room for it  [default: qr]",
)
"""What means nothing where there is no URL."""

_NAME = click.Option(
    ["-n", "--name"], default="", help="name of the proxy on the server; made up if left out"
)
_OF_VISITOR = (
    click.Option(
        ["-p", "--port"],
        default=0,
        help="port of this machine that leads to the service; a free one if left out",
        **PORT,
    ),
    click.Option(
        ["--bind-addr"], default="127.0.0.1", show_default=True, help="address that this port is opened on"
    ),
    click.Option(
        ["--server-user"], default="", help="user of the client that has the service, if not the own one"
    ),
    click.Argument(["proxy"]),
)

_ON_THE_LINE: Mapping[str, str] = {
    "localPort": "SERVICE",
    "localIP": "SERVICE",
    "local": "SERVICE",
    "serverName": "PROXY",
    "bindPort": "--port",
    "serverAddr": "--server",
    "serverPort": "--server",
    "auth.token": "--token-file",
    "transport.tls.serverFingerprint": "--fingerprint",
}
"""What stands on a command line for keys whose flag is called otherwise."""

_FLAGS_OF_ALL = ("name", "user", "bindAddr", "serverUser")
"""Keys that are no options of a type and are flags of the same name."""

_IN_A_LIST = re.compile(r"\[\d+\]$")


class _OfType(click.Command):
    """A command of a proxy type.

    :ivar module: where the type comes from.
    :ivar others: commands of other types, by the flag that makes one of them of this.
    """

    module = ""
    others: Mapping[str, click.Command] = MappingProxyType({})

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        flags = args[: args.index("--")] if "--" in args else args
        chosen = next((flag for flag in self.others if flag in flags), None)
        if chosen is None:
            return super().make_context(info_name, args, parent, **extra)
        args.remove(chosen)
        return self.others[chosen].make_context(info_name, args, parent, **extra)


@frozen
class TunnelCommand:
    """One command of a proxy type."""

    type: Any
    line: OneLine

    @property
    def flag(self) -> str:
        """The flag that makes it of a command of another type; empty if it is a command by itself."""
        return self.line.command.partition(" ")[2]

    def command(self, others: Sequence[TunnelCommand] = ()) -> click.Command:
        """The command for click, with the commands that flags make of it."""
        own = (each.click_option() for each in self._flags())
        url = (_QR,) if self.line.scheme else () if self._protocol == "udp" else (_WEB, _QR)
        service = click.Argument(["service"], type=Service(self._protocol))
        common = _OF_VISITOR if self.line.visits else (_NAME, service)
        flags = (
            click.Option([each.flag], is_flag=True, expose_value=False, help=sentence(each.line.summary))
            for each in others
        )
        command = _OfType(
            self.line.command,
            callback=called("tunnels.run:run_tunnel", self),
            params=[*common, *flags, *own, *url, *_CONNECTION],
            help=f"{self.line.summary}.",
            short_help=self.line.summary,
            context_settings=SETTINGS,
        )
        command.module = type(self.type).__module__
        command.others = {each.flag: each.command() for each in others}
        return command

    def as_typed(self, problem: ConfigurationProblem) -> ConfigurationProblem:
        """A problem of the table with what stands for its key on the command line."""
        key = _IN_A_LIST.sub("", problem.key.rpartition("].")[2] if "]." in problem.key else problem.key)
        flags = {each.key: f"--{each.name}" for each in self._flags()}
        named = re.compile(rf"\b(?:{'|'.join(map(re.escape, flags))})\b")
        what = named.sub(lambda found: flags[found[0]], problem.what) if flags else problem.what
        if key in flags:
            typed = flags[key]
        elif key in _FLAGS_OF_ALL:
            typed = "--" + re.sub("([A-Z])", r"-\1", key).lower()
        else:
            typed = _ON_THE_LINE.get(key, problem.key)
        return evolve(problem, what=what, key=typed, subject="")

    def table(self, values: Mapping[str, Any], environ: Mapping[str, str], token: Secret) -> dict[str, Any]:
        """What a client's file would have for these values of the flags: one proxy or one visitor.

        :raises RelaykitError: the file of a secret cannot be read, there is nothing to make one of, or no
            port is free.
        """
        entry: dict[str, Any] = {"type": self.type.name}
        if self.line.visits:
            proxy = values["proxy"]
            entry |= {
                "name": f"{proxy}-visitor",
                "serverName": proxy,
                "bindPort": values["port"] or self._free_port(values["bind_addr"]),
                "bindAddr": values["bind_addr"],
                "serverUser": values["server_user"],
            }
        else:
            service = values["service"]
            proxy = values["name"] or _made_up_name(self.line.command, service)
            entry |= {"name": proxy, **local_service(service, self._protocol)}
        top: dict[str, Any] = {}
        owner = entry.get("serverUser") or values["user"]
        for each in self._flags():
            value = values[each.parameter]
            if each.is_secret:
                secret = each.given_secret(value, environ)
                if not secret and each.from_token:
                    secret = _secret_from_token(token, f"{owner}.{proxy}", each.name)
                value = secret.reveal() or None
            each.put(value, entry, top)
        return {**top, "visitors" if self.line.visits else "proxies": [entry]}

    def other_half(self, values: Mapping[str, Any], name: str) -> str:
        """The beginning of the command line that visits a proxy of this type; empty if it has no visitors."""
        visit = next((line for line in self.type.one_lines if line.visits), None)
        if self.line.visits or visit is None:
            return ""
        local = local_service(values["service"], self._protocol).get("localPort", "PORT")
        user = f" --user {values['user']}" if values["user"] else ""
        files = {each.name: values[each.parameter] for each in self._flags() if each.is_secret}
        secrets = "".join(f" --{flag} {path}" for flag, path in files.items() if path)
        return f"relaykit {visit.command} {name} --port {local}{user}{secrets}"

    def paths(self, options: Options) -> Sequence[str]:
        """The beginnings of the paths that lead to a proxy with these own keys; none for all."""
        names = {each.key: each.name for each in option_fields(type(options))}
        return getattr(options, names[self.line.paths]) if self.line.paths else ()

    def _flags(self) -> Sequence[KeyFlag]:
        return flags_of(self.type, self.line)

    @property
    def _protocol(self) -> str:
        """What its users and its local service speak: ``tcp`` or ``udp``."""
        return "udp" if IDatagramProxyType.providedBy(self.type) else "tcp"

    def _free_port(self, host: str) -> int:
        """A port of this machine that nobody has; the visitor opens it a moment later, again and again."""
        kind = socket.SOCK_DGRAM if self._protocol == "udp" else socket.SOCK_STREAM
        with bind(host, 0, kind) as plain:
            port: int = plain.getsockname()[1]
        return port


# --- which commands there are --------------------------------------------------------------------


def installed_tunnels(types: ProxyTypes | None = None) -> list[TunnelCommand]:
    """The commands of all installed types, by name; a type that cannot be used has none."""
    tunnels: list[TunnelCommand] = []
    try:
        for reference in ProxyTypes.installed() if types is None else types:
            for command in reference.commands:
                try:
                    tunnels.append(_tunnel(reference.load(), command))
                except PluginError:
                    continue
    except PluginError:
        return []
    return sorted(tunnels, key=lambda tunnel: tunnel.line.command)


def find_tunnel(types: ProxyTypes, command: str) -> TunnelCommand | None:
    """The tunnel command of this name; imports the one type that has it.

    :raises PluginError: the type cannot be used, or two have this command.
    """
    owners = [reference for reference in types if command in reference.commands]
    if len(owners) > 1:
        names = " and ".join(owner.name for owner in owners)
        raise BrokenProxyType(
            f'the command "{command}" is provided twice, by the proxy types {names}: '
            "uninstall one of the two packages, or use a file"
        )
    return _tunnel(types.get(owners[0].name), command) if owners else None


def find_others(types: ProxyTypes, command: str) -> list[TunnelCommand]:
    """What flags make of a tunnel command; a type that cannot be used makes nothing of it."""
    found = []
    for name in dict.fromkeys(each for reference in types for each in reference.commands):
        if name.startswith(f"{command} "):
            with suppress(PluginError):
                other = find_tunnel(types, name)
                assert other is not None
                found.append(other)
    return found


def command_named(name: str) -> click.Command | None:
    """The command of a proxy type; one that says why it cannot be used, where that is so."""
    try:
        types = ProxyTypes.installed()
        tunnel = find_tunnel(types, name)
    except PluginError as error:
        return _unusable(name, error)
    if tunnel is not None:
        return tunnel.command(find_others(types, name))
    return None


def is_built_in(command: click.Command) -> bool:
    """Whether a command comes with relaykit, itself or as that of one of its proxy types."""
    return not isinstance(command, _OfType) or command.module.startswith("relaykit.")


def _tunnel(proxy_type: Any, command: str) -> TunnelCommand:
    lines = proxy_type.one_lines if IOneLineProxyType.providedBy(proxy_type) else ()
    for line in lines:
        if line.command == command:
            return TunnelCommand(proxy_type, line)
    raise BrokenProxyType(
        f'proxy type "{proxy_type.name}" has no command "{command}", which its dropin announces'
    )


def _unusable(name: str, why: PluginError) -> click.Command:
    """A command that says why it is none, whatever flags it was given."""

    @click.pass_context
    def run(ctx: click.Context) -> int:
        ctx.obj.explain(why)
        return 1

    return click.Command(
        name,
        callback=run,
        help=f"{why}.",
        short_help=str(why),
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


# --- what is typed -------------------------------------------------------------------------------


def service_text(common: ProxyCommon) -> str:
    """A local service as people write it."""
    if common.local:
        return masked_endpoint(common.local)
    return str(Address(common.local_ip, common.local_port))


def _made_up_name(command: str, word: str) -> str:
    """Unique where one machine publishes a service once, and the same at the next start."""
    return re.sub(r"[^\w.]+", "-", f"{platform.node()}-{command}-{masked_endpoint(word)}").strip("-")


def _secret_from_token(token: Secret, proxy: str, flag: str) -> Secret:
    if not token:
        raise RelaykitError(
            f"a secret key is needed: --{flag} FILE; without a token, none can be made",
            problem="no-token-given",
        )
    label = b"relaykit: secret of one proxy\0" + os.fsencode(proxy)
    return Secret(hmac.digest(token.to_bytes(), label, "sha256").hex())
