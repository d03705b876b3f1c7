"""What both of frp's APIs of a server tell of it, in the forms that they have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.options import Options, option_fields

if TYPE_CHECKING:
    from relaykit.administration.traffic import DailyTraffic, Moved
    from relaykit.config.schema.server import PortRange
    from relaykit.server.service import RelayServer
    from relaykit.server.status import ClientStatus, ProxyStatus

__all__ = [
    "NO_PROXY",
    "ServerFacts",
    "client_object",
    "no_client",
    "shown_options",
    "total_of",
    "without_empty",
]

NO_PROXY = "no proxy info found"
"""frp's words for a name that no proxy has."""

_PORT = re.compile(r":(\d+)\Z")
_KEYS = (
    "bindPort",
    "vhostHTTPPort",
    "vhostHTTPSPort",
    "tcpmuxHTTPConnectPort",
    "kcpBindPort",
    "quicBindPort",
)


@frozen
class ServerFacts:
    """A server, as its APIs see it."""

    _server: RelayServer
    traffic: DailyTraffic

    def proxies(self) -> tuple[ProxyStatus, ...]:
        """All proxies, those that are open first."""
        return self._server.status().proxies

    def proxy(self, name: str) -> ProxyStatus | None:
        """The proxy of a name."""
        return self._server.proxy_status(name)

    def clients(self) -> list[ClientStatus]:
        """All clients, in frp's order."""
        return sorted(self._server.status().clients, key=lambda each: (each.user, each.client_id, each.key))

    def forget_closed(self) -> int:
        """Forgets the proxies that are closed, and answers how many there were."""
        return self._server.forget_closed_proxies()

    def today(self, proxy: ProxyStatus) -> Moved:
        """What a proxy has moved today."""
        return self.traffic.today_of(proxy.name, total_of(proxy))

    def configured(self) -> dict[str, Any]:
        """What the configuration says of the server, by frp's keys."""
        config, given = self._server.config, dict(self._given())
        return {
            **{key: given.get(key, 0) for key in _KEYS},
            "subdomainHost": given.get("subDomainHost", ""),
            "maxPoolCount": config.transport.max_pool_count,
            "maxPortsPerClient": config.max_ports_per_client,
            "heartbeatTimeout": config.transport.heartbeat_timeout,
            "allowPortsStr": ",".join(_port_range(each) for each in config.allow_ports),
            "tlsForce": config.transport.tls.force,
        }

    def counted(self) -> dict[str, Any]:
        """How many there are of what at the moment, by frp's keys."""
        status = self._server.status()
        to_client, to_user = self.traffic.today_of_all({each.name: total_of(each) for each in status.proxies})
        types = Counter({each.type: 0 for each in status.proxies})
        types.update(each.type for each in status.proxies if each.is_open)
        return {
            "totalTrafficIn": to_client,
            "totalTrafficOut": to_user,
            "curConns": sum(each.current for each in status.proxies),
            "clientCounts": sum(each.is_online for each in status.clients),
            "proxyTypeCount": dict(sorted(types.items())),
        }

    @property
    def version(self) -> str:
        """Of the server."""
        return self._server.status().version

    def _given(self) -> Iterator[tuple[str, object]]:
        """The keys of the server's file, those of proxy types beside them included."""
        for options in (self._server.config, *self._server.ingress_options.values()):
            for each in option_fields(type(options)):
                yield each.file_key or each.key, getattr(options, each.name)


def client_object(client: ClientStatus) -> dict[str, Any]:
    """A client, as both APIs tell it."""
    told: dict[str, Any] = {
        "key": client.key,
        "user": client.user,
        "clientID": client.client_id,
        "runID": client.run_id,
        "version": client.version,
        "wireProtocol": f"v{client.wire}",
        "hostname": client.hostname,
        "clientIP": "" if client.address is None else client.address.host,
        "firstConnectedAt": int(client.first_connected_at),
        "lastConnectedAt": int(client.last_connected_at),
        "disconnectedAt": int(client.disconnected_at or 0),
        "online": client.is_online,
    }
    return without_empty(told, "version", "wireProtocol", "clientIP", "disconnectedAt")


def no_client(key: str) -> str:
    """Frp's words for a key that no client has."""
    return f"client {key} not found"


def shown_options(proxy: ProxyStatus) -> Iterator[tuple[str, Any, bool]]:
    """What is shown of the own options of a proxy, with whether also if it is empty.

    A port that the server has picked is the one that it has.
    """
    options = proxy.options
    if not isinstance(options, Options):
        return
    port = _PORT.search(proxy.address)
    fields = {each.key: each for each in option_fields(type(options))}
    for key, if_empty in options.shown.items():
        field = fields[key]
        value = getattr(options, field.name)
        if field.exclusive and not value and port is not None:
            value = int(port[1])
        yield key, (list(value) or None) if isinstance(value, tuple) else value, if_empty


def total_of(proxy: ProxyStatus) -> Moved:
    """What a proxy has moved up to now."""
    return proxy.traffic_in, proxy.traffic_out


def without_empty(told: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The same without those of these keys whose values are empty."""
    return {key: value for key, value in told.items() if value or key not in keys}


def _port_range(given: PortRange) -> str:
    return str(given.single) if given.single else f"{given.start}-{given.end}"
