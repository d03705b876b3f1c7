"""The commands and flags of frp's two programs, as data.

A flag's default is that of the program that has no file.  Which configuration key a flag sets is in
:mod:`relaykit.commands.frp.settings`.
"""

from __future__ import annotations

import re

from attrs import frozen

from relaykit.commands.frp.flag_types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    LARGEST_INTEGER,
    LIST,
    MAPPING,
    TEXT,
    FlagType,
)
from relaykit.commands.frp.grammar import Command, Flag

__all__ = ["FRPC", "FRPS", "PROXY_TYPES", "VISITOR_TYPES", "PortRange"]


@frozen
class PortRange:
    """The ports from ``start`` to ``end``, both included."""

    start: int
    end: int


def _read_port_ranges(text: str) -> tuple[PortRange, ...]:
    return tuple(_port_range(part) for part in text.split(","))


def _port_range(text: str) -> PortRange:
    found = re.fullmatch(r"\s*\+?(\d+)\s*(?:-\s*\+?(\d+)\s*)?", text, re.ASCII)
    start, end = (int(found[1]), int(found[2] or found[1])) if found is not None else (1, 0)
    if start > end or end > LARGEST_INTEGER:
        raise ValueError("range number is invalid")
    return PortRange(start, end)


def _read_bandwidth(text: str) -> str:
    limit = text.strip()
    if limit and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(KB|MB)", limit) is None:
        raise ValueError("it is not an amount such as 100KB or 1MB")
    return limit


PORT_RANGES = FlagType("string", _read_port_ranges)
BANDWIDTH = FlagType("string", _read_bandwidth)
INERT = FlagType("any", str)
"""Takes any text: frp registers this flag as one that needs a value and never reads it."""


_UNSAFE = Flag("allow-unsafe", LIST, "allow features that run commands: TokenSourceExec", default=())
_STRICT = Flag("strict_config", BOOLEAN, "refuse keys that are not known", default=True)
_HELP = Command("help", "Show the help text of a command")
_SHELLS = {
    "bash": "relaykit.commands.frp.dispatch:print_completion",
    "fish": "relaykit.commands.frp.dispatch:print_completion",
    "powershell": "relaykit.commands.frp.not_implemented:run",
    "zsh": "relaykit.commands.frp.dispatch:print_completion",
}
_NO_DESCRIPTIONS = Flag("no-descriptions", BOOLEAN, "leave the explanations out", default=False)
_COMPLETION = Command(
    "completion",
    "Completion scripts for shells",
    children=tuple(
        Command(
            shell,
            f"Completion script for {shell}",
            action=action,
            flags=(_NO_DESCRIPTIONS,),
            most_arguments=0,
        )
        for shell, action in _SHELLS.items()
    ),
)

FRPS = Command(
    "frps",
    "Relay server that clients behind a NAT log in to; speaks frp's protocol.",
    action="relaykit.commands.frp.frps:run",
    persistent=(
        Flag("config", TEXT, "configuration file", default="", short="c"),
        Flag("version", BOOLEAN, "print the version and exit", default=False, short="v"),
        _STRICT,
        _UNSAFE,
        Flag("bind_addr", TEXT, "address to listen on", default="0.0.0.0"),
        Flag("bind_port", INTEGER, "port that clients connect to", default=7000, short="p"),
        Flag("kcp_bind_port", INTEGER, "UDP port for KCP; 0 for none", default=0),
        Flag("quic_bind_port", INTEGER, "UDP port for QUIC; 0 for none", default=0),
        Flag("proxy_bind_addr", TEXT, "address that proxies listen on", default="0.0.0.0"),
        Flag("vhost_http_port", INTEGER, "port of the http proxies; 0 for none", default=0),
        Flag("vhost_https_port", INTEGER, "port of the https proxies; 0 for none", default=0),
        Flag("vhost_http_timeout", INTEGER, "seconds an http service may take to answer", default=60),
        Flag("dashboard_addr", TEXT, "address of the dashboard", default="0.0.0.0"),
        Flag("dashboard_port", INTEGER, "port of the dashboard; 0 for none", default=0),
        Flag("dashboard_user", TEXT, "user of the dashboard", default="admin"),
        Flag("dashboard_pwd", TEXT, "password of the dashboard", default="admin"),
        Flag("enable_prometheus", BOOLEAN, "serve metrics on the dashboard's port", default=False),
        Flag("log_file", TEXT, "console, or the file to log to", default="console"),
        Flag("log_level", TEXT, "trace, debug, info, warn or error", default="info"),
        Flag("log_max_days", INTEGER, "days that rotated log files are kept", default=3),
        Flag("disable_log_color", BOOLEAN, "no colors on the console", default=False),
        Flag("token", TEXT, "secret that clients must know", default="", short="t"),
        Flag("subdomain_host", TEXT, "domain under which proxies get their subdomains", default=""),
        Flag("allow_ports", PORT_RANGES, "ports that proxies may use, such as 1000-2000,3001", default=()),
        Flag("max_ports_per_client", INTEGER, "ports that one client may use; 0 for any number", default=0),
        Flag("tls_only", BOOLEAN, "refuse connections without TLS", default=False),
        Flag("dashboard_tls_cert_file", TEXT, "certificate of the dashboard", default=""),
        Flag("dashboard_tls_key_file", TEXT, "key of the dashboard's certificate", default=""),
        Flag("dashboard_tls_mode", INERT, "without effect, as in frp", default="false"),
    ),
    children=(
        Command("verify", "Check a configuration file", action="relaykit.commands.frp.frps:verify"),
        _HELP,
        _COMPLETION,
    ),
)

_CLIENT_FLAGS = (
    Flag("server_addr", TEXT, "host of the server", default="127.0.0.1", short="s"),
    Flag("server_port", INTEGER, "port of the server", default=7000, short="P"),
    Flag("protocol", TEXT, "tcp, kcp, quic, websocket or wss", default="tcp", short="p"),
    Flag("user", TEXT, "prefix of the proxies' names", default="", short="u"),
    Flag("client-id", TEXT, "name of this client", default=""),
    Flag("token", TEXT, "secret that the server asks for", default="", short="t"),
    Flag("log_level", TEXT, "trace, debug, info, warn or error", default="info"),
    Flag("log_file", TEXT, "console, or the file to log to", default="console"),
    Flag("log_max_days", INTEGER, "days that rotated log files are kept", default=3),
    Flag("disable_log_color", BOOLEAN, "no colors on the console", default=False),
    Flag("tls_server_name", TEXT, "name to expect in the server's certificate", default=""),
    Flag("tls_enable", BOOLEAN, "connect through TLS", default=True),
    Flag("dns_server", TEXT, "DNS server to ask, not the system's", default=""),
)

_ENCRYPTION = Flag("ue", BOOLEAN, "encrypt the forwarded bytes", default=False)
_COMPRESSION = Flag("uc", BOOLEAN, "compress the forwarded bytes", default=False)

_PROXY_FLAGS = (
    Flag("proxy_name", TEXT, "name of the proxy", default="", short="n"),
    Flag("local_ip", TEXT, "host of the local service", default="127.0.0.1", short="i"),
    Flag("local_port", INTEGER, "port of the local service", default=0, short="l"),
    _ENCRYPTION,
    _COMPRESSION,
    Flag("bandwidth_limit", BANDWIDTH, "bytes a second, such as 100KB or 1MB", default=""),
    Flag("bandwidth_limit_mode", TEXT, "which end limits: client or server", default="client"),
    Flag("metadatas", MAPPING, "values for the server's plugins", default={}),
    Flag("annotations", MAPPING, "labels for people and programs", default={}),
)

_REMOTE_PORT = (Flag("remote_port", INTEGER, "port on the server", default=0, short="r"),)
_DOMAINS = (
    Flag("custom_domain", LIST, "domains that users ask for", default=(), short="d"),
    Flag("sd", TEXT, "subdomain of the server's own domain", default=""),
)
_CREDENTIALS = (
    Flag("http_user", TEXT, "user that HTTP clients must name", default=""),
    Flag("http_pwd", TEXT, "password of that user", default=""),
)
_SECRET = (
    Flag("sk", TEXT, "secret key that visitors must know", default=""),
    Flag("allow_users", LIST, "users whose visitors may come; * for all", default=()),
)

_TYPE_FLAGS: dict[str, tuple[Flag, ...]] = {
    "tcp": _REMOTE_PORT,
    "udp": _REMOTE_PORT,
    "http": (
        *_DOMAINS,
        *_CREDENTIALS,
        Flag("locations", LIST, "prefixes of the paths that are served", default=()),
        Flag("host_header_rewrite", TEXT, "Host header for the local service", default=""),
    ),
    "https": _DOMAINS,
    "tcpmux": (*_DOMAINS, *_CREDENTIALS, Flag("mux", TEXT, "multiplexer: httpconnect", default="")),
    "stcp": _SECRET,
    "sudp": _SECRET,
    "xtcp": _SECRET,
}

PROXY_TYPES = tuple(_TYPE_FLAGS)
VISITOR_TYPES = ("stcp", "sudp", "xtcp")

_VISITOR_FLAGS = (
    Flag("visitor_name", TEXT, "name of the visitor", default="", short="n"),
    Flag("server_name", TEXT, "name of the proxy to visit", default=""),
    Flag("server-user", TEXT, "user of the client that has the proxy", default=""),
    Flag("sk", TEXT, "secret key of the proxy", default=""),
    Flag("bind_addr", TEXT, "address to listen on", default=""),
    Flag("bind_port", INTEGER, "port to listen on", default=0),
    _ENCRYPTION,
    _COMPRESSION,
)


def _proxy_command(proxy_type: str) -> Command:
    visitor = Command(
        "visitor",
        f"Visit a secret {proxy_type} proxy",
        action="relaykit.commands.frp.frpc:run_visitor",
        flags=_VISITOR_FLAGS,
    )
    return Command(
        proxy_type,
        f"Publish one {proxy_type} proxy",
        action="relaykit.commands.frp.frpc:run_proxy",
        flags=(*_PROXY_FLAGS, *_TYPE_FLAGS[proxy_type]),
        persistent=_CLIENT_FLAGS,
        children=(visitor,) if proxy_type in VISITOR_TYPES else (),
    )


_API_TIMEOUT = Flag("api-timeout", DURATION, "how long the running client may take", default=30.0)

FRPC = Command(
    "frpc",
    "Client that publishes local services through a relay server; speaks frp's protocol.",
    action="relaykit.commands.frp.frpc:run",
    persistent=(
        Flag("config", TEXT, "configuration file", default="./frpc.ini", short="c"),
        Flag("config_dir", TEXT, "run one client for every file below this folder", default=""),
        Flag("version", BOOLEAN, "print the version and exit", default=False, short="v"),
        _STRICT,
        _UNSAFE,
    ),
    children=(
        *map(_proxy_command, PROXY_TYPES),
        Command("verify", "Check a configuration file", action="relaykit.commands.frp.frpc:verify"),
        Command(
            "reload",
            "Let a running client read its file again",
            action="relaykit.commands.frp.not_implemented:run",
            flags=(_API_TIMEOUT,),
        ),
        Command(
            "status",
            "Show the proxies of a running client",
            action="relaykit.commands.frp.not_implemented:run",
            flags=(_API_TIMEOUT,),
        ),
        Command(
            "stop",
            "Stop a running client",
            action="relaykit.commands.frp.not_implemented:run",
            flags=(_API_TIMEOUT,),
        ),
        Command(
            "nathole",
            "Questions about the NAT in front of this machine",
            persistent=(
                Flag("nat_hole_stun_server", TEXT, "STUN server, host:port", default=""),
                Flag("nat_hole_local_addr", TEXT, "local address, ip:port or :port", default="", short="l"),
            ),
            children=(
                Command("discover", "Ask what kind of NAT it is", action="relaykit.commands.frp.nathole:run"),
            ),
        ),
        _HELP,
        _COMPLETION,
    ),
)
