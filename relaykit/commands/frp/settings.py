"""What the flags of frp's programs set: tables as a configuration file would hold them.

A flag that was not given leaves its key out, so that the key has the default of files; so does one with
an empty value.  The few flags whose default differs are always written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from relaykit.commands.frp.flags import PortRange
from relaykit.commands.frp.grammar import Call

__all__ = ["client_table", "proxy_table", "server_table", "visitor_table"]

_SERVER_KEYS = {
    "bind-addr": "bindAddr",
    "bind-port": "bindPort",
    "kcp-bind-port": "kcpBindPort",
    "quic-bind-port": "quicBindPort",
    "proxy-bind-addr": "proxyBindAddr",
    "vhost-http-port": "vhostHTTPPort",
    "vhost-https-port": "vhostHTTPSPort",
    "vhost-http-timeout": "vhostHTTPTimeout",
    "enable-prometheus": "enablePrometheus",
    "log-file": "log.to",
    "log-level": "log.level",
    "log-max-days": "log.maxDays",
    "disable-log-color": "log.disablePrintColor",
    "token": "auth.token",
    "subdomain-host": "subDomainHost",
    "max-ports-per-client": "maxPortsPerClient",
    "tls-only": "transport.tls.force",
}
_DASHBOARD_KEYS = {
    "dashboard-addr": "webServer.addr",
    "dashboard-port": "webServer.port",
    "dashboard-user": "webServer.user",
    "dashboard-pwd": "webServer.password",
}
_CLIENT_KEYS = {
    "server-addr": "serverAddr",
    "server-port": "serverPort",
    "protocol": "transport.protocol",
    "user": "user",
    "client-id": "clientID",
    "token": "auth.token",
    "log-level": "log.level",
    "log-file": "log.to",
    "log-max-days": "log.maxDays",
    "disable-log-color": "log.disablePrintColor",
    "tls-server-name": "transport.tls.serverName",
    "tls-enable": "transport.tls.enable",
    "dns-server": "dnsServer",
}
_PROXY_KEYS = {
    "proxy-name": "name",
    "local-ip": "localIP",
    "local-port": "localPort",
    "ue": "transport.useEncryption",
    "uc": "transport.useCompression",
    "bandwidth-limit": "transport.bandwidthLimit",
    "bandwidth-limit-mode": "transport.bandwidthLimitMode",
    "metadatas": "metadatas",
    "annotations": "annotations",
    "remote-port": "remotePort",
    "custom-domain": "customDomains",
    "sd": "subdomain",
    "locations": "locations",
    "http-user": "httpUser",
    "http-pwd": "httpPassword",
    "host-header-rewrite": "hostHeaderRewrite",
    "mux": "multiplexer",
    "sk": "secretKey",
    "allow-users": "allowUsers",
}
_VISITOR_KEYS = {
    "visitor-name": "name",
    "server-name": "serverName",
    "server-user": "serverUser",
    "sk": "secretKey",
    "bind-addr": "bindAddr",
    "bind-port": "bindPort",
    "ue": "transport.useEncryption",
    "uc": "transport.useCompression",
}


def server_table(call: Call) -> dict[str, Any]:
    """The configuration of a server that was started without a file."""
    dashboard = _DASHBOARD_KEYS if call["dashboard-port"] else {}
    table = _table(call, _SERVER_KEYS | dashboard, always=("proxy-bind-addr", *dashboard))
    if call["allow-ports"]:
        table["allowPorts"] = [_port_range(ports) for ports in call["allow-ports"]]
    return table


def client_table(call: Call) -> dict[str, Any]:
    """The common part of a client that was started without a file."""
    return _table(call, _CLIENT_KEYS, always=("server-addr",))


def proxy_table(call: Call, proxy_type: str) -> dict[str, Any]:
    """The one proxy of such a client."""
    return {"type": proxy_type, **_table(call, _PROXY_KEYS)}


def visitor_table(call: Call, proxy_type: str) -> dict[str, Any]:
    """The one visitor of such a client."""
    return {"type": proxy_type, **_table(call, _VISITOR_KEYS)}


def _table(call: Call, keys: Mapping[str, str], always: Iterable[str] = ()) -> dict[str, Any]:
    table: dict[str, Any] = {}
    written = call.given | set(always)
    for flag, key in keys.items():
        value = call.values.get(flag)
        if flag in written and (value or value is False):
            _put(table, key, list(value) if isinstance(value, tuple) else value)
    return table


def _put(table: dict[str, Any], dotted: str, value: Any) -> None:
    *tables, key = dotted.split(".")
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = value


def _port_range(ports: PortRange) -> dict[str, int]:
    if ports.start == ports.end:
        return {"single": ports.start}
    return {"start": ports.start, "end": ports.end}
