"""The commands and flags of frp's two programs, as data.

A flag's default is that of the program that has no file; its key is what it sets in a configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from relaykit.flags.flag_types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    LARGEST_INTEGER,
    LIST,
    SECRET,
    TEXT,
    FlagType,
)
from relaykit.flags.grammar import Command, Flag
from relaykit.flags.proxies import ANNOTATIONS, CLIENT_ID, METADATAS, PROXY_NAME, TOKEN, TYPE_FLAGS, USER

__all__ = ["CLIENT_FLAGS", "FRPC", "FRPS", "PROXY_TYPES", "VISITOR_TYPES"]


def _read_port_ranges(text: str) -> tuple[Mapping[str, int], ...]:
    """Ranges as a configuration has them: ``1000-2000,3001``."""
    return tuple(_port_range(part) for part in text.split(","))


def _port_range(text: str) -> Mapping[str, int]:
    found = re.fullmatch(r"\s*\+?(\d+)\s*(?:-\s*\+?(\d+)\s*)?", text, re.ASCII)
    start, end = (int(found[1]), int(found[2] or found[1])) if found is not None else (1, 0)
    if start > end or end > LARGEST_INTEGER:
        raise ValueError("range number is invalid")
    return {"single": start} if start == end else {"start": start, "end": end}


def _read_bandwidth(text: str) -> str:
    limit = text.strip()
    if limit and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(KB|MB)", limit) is None:
        raise ValueError("it is not an amount such as 100KB or 1MB")
    return limit


PORT_RANGES = FlagType("string", _read_port_ranges)
BANDWIDTH = FlagType("string", _read_bandwidth)
INERT = FlagType("any", str)
"""Takes any text: frp registers this flag as one that needs a value and never reads it."""


_UNSAFE = Flag("allow-unsafe", LIST, "allow features that run commands: TokenSourceExec", ())
_STRICT = Flag("strict_config", BOOLEAN, "refuse keys that are not known", True)
_HELP = Command("help", "Show the help text of a command")
_SHELLS = {
    "bash": "relaykit.commands.frp.dispatch:print_completion",
    "fish": "relaykit.commands.frp.dispatch:print_completion",
    "powershell": "relaykit.commands.frp.not_implemented:run",
    "zsh": "relaykit.commands.frp.dispatch:print_completion",
}
_NO_DESCRIPTIONS = Flag("no-descriptions", BOOLEAN, "leave the explanations out", False)
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
        Flag("config", TEXT, "configuration file", "", short="c"),
        Flag("version", BOOLEAN, "print the version and exit", False, short="v"),
        _STRICT,
        _UNSAFE,
        Flag("bind_addr", TEXT, "address to listen on", "0.0.0.0", "bindAddr"),
        Flag("bind_port", INTEGER, "port that clients connect to", 7000, "bindPort", short="p"),
        Flag("kcp_bind_port", INTEGER, "UDP port for KCP; 0 for none", 0, "kcpBindPort"),
        Flag("quic_bind_port", INTEGER, "UDP port for QUIC; 0 for none", 0, "quicBindPort"),
        Flag("proxy_bind_addr", TEXT, "address that proxies listen on", "0.0.0.0", "proxyBindAddr"),
        Flag("vhost_http_port", INTEGER, "port of the http proxies; 0 for none", 0, "vhostHTTPPort"),
        Flag("vhost_https_port", INTEGER, "port of the https proxies; 0 for none", 0, "vhostHTTPSPort"),
        Flag("vhost_http_timeout", INTEGER, "seconds that an http service may take", 60, "vhostHTTPTimeout"),
        Flag("dashboard_addr", TEXT, "address of the dashboard", "0.0.0.0", "webServer.addr"),
        Flag("dashboard_port", INTEGER, "port of the dashboard; 0 for none", 0, "webServer.port"),
        Flag("dashboard_user", TEXT, "user of the dashboard", "admin", "webServer.user"),
        Flag("dashboard_pwd", SECRET, "password of the dashboard", "admin", "webServer.password"),
        Flag("enable_prometheus", BOOLEAN, "serve metrics at the dashboard", False, "enablePrometheus"),
        Flag("log_file", TEXT, "console, or the file to log to", "console", "log.to"),
        Flag("log_level", TEXT, "trace, debug, info, warn or error", "info", "log.level"),
        Flag("log_max_days", INTEGER, "days that rotated log files are kept", 3, "log.maxDays"),
        Flag("disable_log_color", BOOLEAN, "no colors on the console", False, "log.disablePrintColor"),
        Flag("token", SECRET, "secret that clients must know", "", "auth.token", short="t"),
        Flag("subdomain_host", TEXT, "domain under which proxies get their subdomains", "", "subDomainHost"),
        Flag("allow_ports", PORT_RANGES, "ports of proxies, such as 1000-2000,3001", (), "allowPorts"),
        Flag(
            "max_ports_per_client", INTEGER, "ports of one client; 0 for any number", 0, "maxPortsPerClient"
        ),
        Flag("tls_only", BOOLEAN, "refuse connections without TLS", False, "transport.tls.force"),
        Flag("dashboard_tls_cert_file", TEXT, "certificate of the dashboard", ""),
        Flag("dashboard_tls_key_file", TEXT, "key of the dashboard's certificate", ""),
        Flag("dashboard_tls_mode", INERT, "without effect, as in frp", "false"),
    ),
    children=(
        Command("verify", "Check a configuration file", action="relaykit.commands.frp.frps:verify"),
        _HELP,
        _COMPLETION,
    ),
)

CLIENT_FLAGS = (
    Flag("server_addr", TEXT, "host of the server", "127.0.0.1", "serverAddr", short="s"),
    Flag("server_port", INTEGER, "port of the server", 7000, "serverPort", short="P"),
    Flag("protocol", TEXT, "tcp, kcp, quic, websocket or wss", "tcp", "transport.protocol", short="p"),
    USER,
    CLIENT_ID,
    TOKEN,
    Flag("log_level", TEXT, "trace, debug, info, warn or error", "info", "log.level"),
    Flag("log_file", TEXT, "console, or the file to log to", "console", "log.to"),
    Flag("log_max_days", INTEGER, "days that rotated log files are kept", 3, "log.maxDays"),
    Flag("disable_log_color", BOOLEAN, "no colors on the console", False, "log.disablePrintColor"),
    Flag("tls_server_name", TEXT, "name in the server's certificate", "", "transport.tls.serverName"),
    Flag("tls_enable", BOOLEAN, "connect through TLS", True, "transport.tls.enable"),
    Flag("dns_server", TEXT, "DNS server to ask, not the system's", "", "dnsServer"),
)

_ENCRYPTION = Flag("ue", BOOLEAN, "encrypt the forwarded bytes", False, "transport.useEncryption")
_COMPRESSION = Flag("uc", BOOLEAN, "compress the forwarded bytes", False, "transport.useCompression")

_PROXY_FLAGS = (
    PROXY_NAME,
    Flag("local_ip", TEXT, "host of the local service", "127.0.0.1", "localIP", short="i"),
    Flag("local_port", INTEGER, "port of the local service", 0, "localPort", short="l"),
    _ENCRYPTION,
    _COMPRESSION,
    Flag("bandwidth_limit", BANDWIDTH, "bytes a second, such as 100KB", "", "transport.bandwidthLimit"),
    Flag(
        "bandwidth_limit_mode", TEXT, "which end: client or server", "client", "transport.bandwidthLimitMode"
    ),
    METADATAS,
    ANNOTATIONS,
)

PROXY_TYPES = tuple(TYPE_FLAGS)
VISITOR_TYPES = ("stcp", "sudp", "xtcp")

_VISITOR_FLAGS = (
    Flag("visitor_name", TEXT, "name of the visitor", "", "name", short="n"),
    Flag("server_name", TEXT, "name of the proxy to visit", "", "serverName"),
    Flag("server-user", TEXT, "user of the client that has the proxy", "", "serverUser"),
    Flag("sk", SECRET, "secret key of the proxy", "", "secretKey"),
    Flag("bind_addr", TEXT, "address to listen on", "", "bindAddr"),
    Flag("bind_port", INTEGER, "port to listen on", 0, "bindPort"),
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
        flags=(*_PROXY_FLAGS, *TYPE_FLAGS[proxy_type]),
        persistent=CLIENT_FLAGS,
        children=(visitor,) if proxy_type in VISITOR_TYPES else (),
    )


_API_TIMEOUT = Flag("api-timeout", DURATION, "how long the running client may take", 30.0)

FRPC = Command(
    "frpc",
    "Client that publishes local services through a relay server; speaks frp's protocol.",
    action="relaykit.commands.frp.frpc:run",
    persistent=(
        Flag("config", TEXT, "configuration file", "./frpc.ini", short="c"),
        Flag("config_dir", TEXT, "run one client for every file below this folder", ""),
        Flag("version", BOOLEAN, "print the version and exit", False, short="v"),
        _STRICT,
        _UNSAFE,
    ),
    children=(
        *map(_proxy_command, PROXY_TYPES),
        Command("verify", "Check a configuration file", action="relaykit.commands.frp.frpc:verify"),
        Command(
            "reload",
            "Let a running client read its file again",
            action="relaykit.commands.frp.administration:reload",
            flags=(_API_TIMEOUT,),
        ),
        Command(
            "status",
            "Show the proxies of a running client",
            action="relaykit.commands.frp.administration:status",
            flags=(_API_TIMEOUT,),
        ),
        Command(
            "stop",
            "Stop a running client",
            action="relaykit.commands.frp.administration:stop",
            flags=(_API_TIMEOUT,),
        ),
        Command(
            "nathole",
            "Questions about the NAT in front of this machine",
            persistent=(
                Flag("nat_hole_stun_server", TEXT, "STUN server, host:port", ""),
                Flag("nat_hole_local_addr", TEXT, "local address, ip:port or :port", "", short="l"),
            ),
            children=(
                Command("discover", "Ask what kind of NAT it is", action="relaykit.commands.frp.nathole:run"),
            ),
        ),
        _HELP,
        _COMPLETION,
    ),
)
