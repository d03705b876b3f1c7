"""``relaykit systemd``: a unit that runs a role as a service with as few rights as it needs.

A server's ports that take a right are opened by the service, which has that right then, or by systemd, which
passes them on; see :mod:`relaykit.dataplane.passed_sockets`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaykit.commands.runner import DRAIN_LIMIT_S
from relaykit.commands.service_files import ServiceFiles, is_hidden, service_files
from relaykit.config.load import files_named_in, load_client, load_server
from relaykit.config.problems import ConfigurationProblems
from relaykit.dataplane.listening import ANY_HOST
from relaykit.logs.observers import CONSOLE
from relaykit.options import FileUse, NamedFile, listened_ports
from relaykit.plugins import ProxyTypes
from relaykit.values import Address

if TYPE_CHECKING:
    from relaykit.commands.context import CommandContext
    from relaykit.config.load import LoadedClient, LoadedServer

__all__ = [
    "quoted_word",
    "relaykit_command",
    "run_client",
    "run_server",
    "run_sockets",
    "socket_unit",
    "unit",
]

CONFIG_KEY = "config"
"""Name of the credential that is the configuration, before its suffix; a name without a dot is of no key."""

TOKEN_KEY = "token"
"""Name of the credential that is the token of ``--token-file``."""

_NO_FILES = ServiceFiles()

FIRST_FREE_PORT = 1024
"""Ports below need a capability."""

MOST_SOCKETS = 64
"""Sockets of one unit: who allows more ports below means any of them, and systemd would take them all."""

_UNIT = """\
# Made by: relaykit systemd {role}
[Unit]
Description=relaykit {role}
Wants=network-online.target
After=network-online.target
{sockets}
[Service]
Type=notify
# By SIGHUP; systemd below 253 does not know this one, and goes by the line before.
Type=notify-reload
WatchdogSec=60
ExecStart={command}
{credentials}Restart=always
RestartSec=2
TimeoutStopSec={stop_s:.0f}
LimitNOFILE=524288

# A user of its own, made at each start, which owns nothing but the state directory.
DynamicUser=yes
StateDirectory=relaykit-{role}
StateDirectoryMode=0700
RuntimeDirectory=relaykit-{role}
RuntimeDirectoryMode=0700
{logs}{groups}UMask=0077

# Of the system it sees what it needs, and changes nothing.
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
{devices}
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes

# It gains no rights.{why}
NoNewPrivileges=yes
CapabilityBoundingSet={capability}
AmbientCapabilities={capability}
{users}LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


_NO_DEVICES = "PrivateDevices=yes"
_TUN_DEVICES = "DevicePolicy=closed\nDeviceAllow=/dev/net/tun rw"

_SOCKET_UNIT = """\
# Made by: relaykit systemd sockets
[Unit]
Description=Ports below 1024 of relaykit server

[Socket]
{listens}
BindIPv6Only=both
Service=relaykit-server.service

[Install]
WantedBy=sockets.target
"""

_WITH_SOCKETS = """\
Requires=relaykit-server.socket
After=relaykit-server.socket
"""


def run_server(context: CommandContext, config: str, token_file: str, sockets: bool) -> int:
    """Prints the unit of a server, for a file that is there already or will be.

    With ``sockets`` it is for a server beside whose unit there is the one of :func:`run_sockets`.
    """
    return _run("server", context, config, token_file, sockets)


def run_client(context: CommandContext, config: str, token_file: str) -> int:
    """Prints the unit of a client; see :func:`run_server`."""
    return _run("client", context, config, token_file)


def run_sockets(context: CommandContext, config: str) -> int:
    """Prints the socket unit of a server."""
    try:
        # Only its ports matter here.
        loaded = load_server(
            str(Path(config).absolute()),
            types=ProxyTypes.installed(),
            environ=context.environ,
            token_given=True,
        )
    except ConfigurationProblems as error:
        context.explain(error)
        return 1
    listens = list(_low_listens(loaded))
    if not 0 < len(listens) <= MOST_SOCKETS:
        count = "no port" if not listens else f"more than {MOST_SOCKETS} ports"
        context.complain(
            f"{config} asks for {count} below {FIRST_FREE_PORT}, for which there is no socket unit; that of "
            "relaykit systemd server is enough"
        )
        return 1
    context.write(socket_unit(listens))
    return 0


def _run(role: str, context: CommandContext, config: str, token_file: str, sockets: bool = False) -> int:
    config = str(Path(config).absolute())
    token_file = str(Path(token_file).absolute()) if token_file else ""
    low: list[int] = []
    has_network = False
    files = ServiceFiles()
    if Path(config).exists():
        reading: dict[str, Any] = {
            "types": ProxyTypes.installed(),
            "environ": context.environ,
            "token_given": bool(token_file),
        }
        loaded: LoadedServer | LoadedClient
        try:
            if role == "server":
                loaded = load_server(config, **reading)
                low = sorted(_low_server_ports(loaded))
            else:
                loaded = load_client(config, **reading)
                low = sorted(_low_client_ports(loaded))
                has_network = bool(loaded.config.virtual_net.address)
        except ConfigurationProblems as error:
            context.explain(error)
            return 1
        named = [each for each in files_named_in(loaded) if each.path != CONSOLE]
        files = service_files(role, [NamedFile(CONFIG_KEY, config, FileUse.READ), *named])
        for note in files.notes:
            context.complain(f"note: {note}")
    elif not sockets:
        context.explain(
            f"note: {config} is not there yet; the unit allows no port below {FIRST_FREE_PORT}",
            "systemd-unit",
        )
    command = relaykit_command()
    if is_hidden(command[0]):
        context.explain(
            f"note: the service will not see {command[0]}, because home directories and temporary files are "
            "hidden from it; install relaykit elsewhere, such as in /opt/relaykit",
            "systemd-unit",
        )
    low_ports = [] if sockets else low
    context.write(unit(role, command, config, token_file, low_ports, sockets, files, has_network))
    return 0


def socket_unit(listens: Iterable[str]) -> str:
    """The text of the socket unit with these lines, such as ``ListenStream=443``."""
    return _SOCKET_UNIT.format(listens="\n".join(listens))


def unit(
    role: str,
    command: list[str],
    config: str,
    token_file: str,
    low_ports: list[int],
    sockets: bool = False,
    files: ServiceFiles = _NO_FILES,
    has_network: bool = False,
) -> str:
    """The text of a unit.

    :param command: how relaykit is called.
    :param token_file: is handed over as a credential, so that only root has to be able to read it.
    :param low_ports: those that take a capability.
    :param sockets: whether there is a socket unit, too.
    :param files: what becomes of the files that the configuration names.
    :param has_network: whether it has a virtual network, whose device takes a capability, too.
    """
    credentials = dict(files.credentials)
    if token_file:
        credentials[TOKEN_KEY] = token_file
    words = [*map(quoted_word, (*command, role, "-c"))]
    if CONFIG_KEY in credentials:
        name = f"{CONFIG_KEY}{Path(config).suffix}"
        credentials[name] = credentials.pop(CONFIG_KEY)
        words.append(f"${{CREDENTIALS_DIRECTORY}}/{name}")
    else:
        words.append(quoted_word(config))
    if token_file:
        words += ["--token-file", f"${{CREDENTIALS_DIRECTORY}}/{TOKEN_KEY}"]
    rights = {}
    if low_ports:
        rights["CAP_NET_BIND_SERVICE"] = f"port {' and '.join(map(str, low_ports))}"
    if has_network:
        rights["CAP_NET_ADMIN"] = "the virtual network"
    return _UNIT.format(
        role=role,
        sockets=_WITH_SOCKETS if sockets else "",
        command=" ".join(words),
        credentials="".join(
            f"LoadCredential={name}:{path.replace('%', '%%')}\n" for name, path in credentials.items()
        ),
        logs=f"LogsDirectory={files.logs}\nLogsDirectoryMode=0750\n" if files.logs else "",
        groups=f"SupplementaryGroups={' '.join(files.groups)}\n" if files.groups else "",
        stop_s=DRAIN_LIMIT_S + 10,
        devices=_TUN_DEVICES if has_network else _NO_DEVICES,
        why=f"  What it has is for {', and for '.join(rights.values())}." if rights else "",
        capability=" ".join(rights),
        # In a user namespace of its own, a capability would not reach the network of the machine.
        users="" if rights else "PrivateUsers=yes\n",
    )


def relaykit_command() -> list[str]:
    """How this relaykit is called, by absolute paths: its script, else its module."""
    script = Path(sys.executable).parent / "relaykit"
    return [str(script)] if script.exists() else [sys.executable, "-m", "relaykit"]


def _low_server_ports(loaded: LoadedServer) -> Iterator[int]:
    config = loaded.config
    ports = listened_ports(config).union(*map(listened_ports, loaded.ingress_options.values()))
    allowed = {port for each in config.allow_ports for port in each.ports if port < FIRST_FREE_PORT}
    return (port for port in ports | allowed if 0 < port < FIRST_FREE_PORT)


def _low_listens(loaded: LoadedServer) -> Iterator[str]:
    """What systemd is to listen on for a server: whether a proxy wants TCP or UDP is not known before."""
    config = loaded.config
    proxies = config.proxy_bind_addr or config.bind_addr
    allowed = sorted({port for each in config.allow_ports for port in each.ports})
    ingresses = sorted(frozenset().union(*map(listened_ports, loaded.ingress_options.values())))
    listened = {
        f"Listen{kind}={_listened(host, port)}": None
        for kind, host, ports in (
            ("Stream", config.bind_addr, [config.bind_port]),
            ("Stream", config.web_server.addr, [config.web_server.port]),
            ("Stream", proxies, [*ingresses, *allowed]),
            ("Datagram", proxies, allowed),
        )
        for port in ports
        if 0 < port < FIRST_FREE_PORT
    }
    return iter(listened)


def _listened(host: str, port: int) -> str:
    """A place as socket units have it.  Source: systemd.socket(5), ListenStream=."""
    return str(port) if host in ANY_HOST else str(Address(host, port))


def _low_client_ports(loaded: LoadedClient) -> Iterator[int]:
    ports = {loaded.config.web_server.port, *(each.common.bind_port for each in loaded.visitors)}
    return (port for port in ports if 0 < port < FIRST_FREE_PORT)


def quoted_word(word: str) -> str:
    """A word of ``ExecStart=``.  Source: systemd.service(5), "Command lines"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"' if any(letter.isspace() for letter in word) or escaped != word else word
