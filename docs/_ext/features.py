"""What of frp is here today, told by what is registered; needs nothing of Sphinx.

``python -m docs._ext.features`` prints the table of the README.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from relaykit.config.reference import reference
from relaykit.config.schema.local_plugins import PROXY_PLUGINS
from relaykit.plugins import Carriers, ProxyTypes

__all__ = ["Feature", "features", "readme_table"]

_BY_KEYS = (
    ("TLS between client and server, also with certificates of the client", "transport.tls.trustedCaFile"),
    ("mux (``tcpMux``), connections kept ahead (``poolCount``)", "transport.tcpMux"),
    ("versions 1 and 2 of the wire", "transport.wireProtocol"),
    ("tokens from files and programs (``tokenSource``)", "auth.tokenSource.type"),
    ("OpenID Connect (``auth.method``)", "auth.method"),
    ("encryption and compression of a proxy", "proxies[].transport.useEncryption"),
    ("limits of bandwidth", "proxies[].transport.bandwidthLimit"),
    ("the PROXY protocol for services", "proxies[].transport.proxyProtocolVersion"),
    ("groups that share users", "proxies[].loadBalancer.group"),
    ("health checks", "proxies[].healthCheck.type"),
    ("proxies on the way to the server (``proxyURL``)", "transport.proxyURL"),
    ("a name server of its own (``dnsServer``), keepalives of TCP", "dnsServer"),
    ("several files, templates, old INI files, strict reading", "includes"),
    ("the API of both web servers (``webServer``)", "webServer.port"),
    ("proxies that are edited while the client runs (``store``)", "store.path"),
    ("metrics (``enablePrometheus``)", "enablePrometheus"),
    ("dashboards, or pages of one's own (``webServer.assetsDir``)", "webServer.assetsDir"),
    ("tunnels with nothing but ssh (``sshTunnelGateway``)", "sshTunnelGateway.bindPort"),
    ("the virtual network (``virtualNet``)", "virtualNet.address"),
    ("limits of ports (``allowPorts``, ``maxPortsPerClient``)", "maxPortsPerClient"),
    ("plugins over HTTP (``httpPlugins``)", "httpPlugins"),
)
"""What frp has that is no proxy type and no carrier, each with a key that it needs."""


@frozen
class Feature:
    """One thing that frp has."""

    kind: str
    name: str


def features() -> list[Feature]:
    """Everything that frp's files can ask for, by its kind.

    :raises KeyError: something that is said to be here is not.
    """
    return [*_types(), *_carriers(), *_plugins(), *_keys()]


def readme_table() -> str:
    """The same in Markdown, a row for each kind."""
    rows = features()
    lines = ["| of frp | here |", "| --- | --- |"]
    for kind in dict.fromkeys(row.kind for row in rows):
        lines.append(f"| {kind} | {', '.join(row.name for row in rows if row.kind == kind)} |")
    return "\n".join(lines).replace("``", "`")


def _types() -> Iterator[Feature]:
    installed = {each.name for each in ProxyTypes.installed() if each.module.startswith("relaykit.")}
    for name in sorted(installed):
        yield Feature("proxy types", f"``{name}``")


def _carriers() -> Iterator[Feature]:
    for each in Carriers.installed():
        if each.module.startswith("relaykit."):
            yield Feature("carriers (``transport.protocol``)", f"``{each.name}``")


def _plugins() -> Iterator[Feature]:
    for name in PROXY_PLUGINS:
        yield Feature("plugins of proxies", f"``{name}``")


def _keys() -> Iterator[Feature]:
    there = {f"{entry.table}.{entry.key}".lstrip(".") for entry in reference()}
    for name, key in _BY_KEYS:
        if key not in there:
            raise KeyError(f"{key} is said to be here")
        yield Feature("the rest", name)


if __name__ == "__main__":
    print(readme_table())
