"""A server that stands as the one of a recording did, and one that stands as a test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from attrs import define, evolve, field
from twisted.internet.task import Clock

from relaykit.administration.routes import Route
from relaykit.administration.server_facts import ServerFacts, total_of
from relaykit.administration.server_v1 import first_routes
from relaykit.administration.server_v2 import second_routes
from relaykit.administration.traffic import DailyTraffic
from relaykit.config.load import LoadedClient, LoadedServer
from relaykit.config.schema import ServerConfig
from relaykit.options import Options, ProxyCommon
from relaykit.options.travel import from_wire, to_wire
from relaykit.sansio.control.server_life import ServerState
from relaykit.server.status import ClientStatus, ProxyStatus, ServerStatus
from relaykit.values import Address

__all__ = ["TODAY", "TYPES", "FakeServer", "client", "facts_of", "proxies_of", "routes_of"]

TODAY = date(2026, 11, 23)
"""The day of the recordings."""

TYPES = ("tcp", "udp", "http", "https", "tcpmux", "stcp", "xtcp", "sudp")


@define
class FakeServer:
    """A server whose status a test says."""

    proxies: list[ProxyStatus] = field(factory=list)
    clients: list[ClientStatus] = field(factory=list)
    asked: int = 0
    config: ServerConfig = field(factory=ServerConfig)
    ingress_options: Mapping[str, Options] = field(factory=dict)

    def status(self) -> ServerStatus:
        """How it stands."""
        self.asked += 1
        return ServerStatus(
            state=ServerState.READY,
            version="0.70.1",
            proxies=tuple(self.proxies),
            clients=tuple(self.clients),
        )

    def proxy_status(self, name: str) -> ProxyStatus | None:
        """How one proxy stands."""
        return next((each for each in self.proxies if each.name == name), None)

    def forget_closed_proxies(self) -> int:
        """Forgets the proxies that are closed."""
        before = len(self.proxies)
        self.proxies = [each for each in self.proxies if each.is_open]
        return before - len(self.proxies)

    def close(self, now: float) -> None:
        """All clients are gone; those without a client id are forgotten."""
        self.proxies = [
            evolve(
                each,
                is_open=False,
                address="",
                current=0,
                last_close_at=now,
                common=None,
                options=None,
            )
            for each in self.proxies
        ]
        known = [each for each in self.clients if each.client_id != each.run_id]
        self.clients = [evolve(each, run_id="", disconnected_at=now) for each in known]


def facts_of(server: Any, loaded: LoadedServer) -> ServerFacts:
    """The facts of a server that was started today."""
    server = FakeServer() if server is None else server
    if isinstance(server, FakeServer):
        server.config, server.ingress_options = loaded.config, loaded.ingress_options
    traffic = DailyTraffic(
        lambda: ((each.name, total_of(each)) for each in server.proxies), Clock(), lambda: TODAY
    )
    return ServerFacts(server, traffic)


def routes_of(server: Any, loaded: LoadedServer) -> Iterator[Route]:
    """All that frp's APIs have of it."""
    facts = facts_of(server, loaded)
    yield from first_routes(facts)
    yield from second_routes(facts, TYPES)


def proxies_of(loaded: LoadedClient, client: ClientStatus) -> Iterator[ProxyStatus]:
    """What a server has of the proxies of a client: the part of their options that travels."""
    before = f"{client.user}." if client.user else ""
    for each in loaded.proxies:
        fields: Mapping[str, Any] = to_wire(each.options)
        options = from_wire(type(each.options), fields)
        port = fields.get("remote_port")
        yield ProxyStatus(
            name=before + each.common.name,
            type=each.type_name,
            user=client.user,
            client_id=client.client_id,
            is_open=True,
            address=f":{port}" if port else "",
            current=0,
            connections=0,
            traffic_in=0,
            traffic_out=0,
            last_start_at=client.last_connected_at,
            last_close_at=None,
            common=from_wire(ProxyCommon, to_wire(each.common)),
            options=options,
        )


def client(user: str, client_id: str, run_id: str, at: float) -> ClientStatus:
    """A client that is logged in."""
    return ClientStatus(
        user=user,
        client_id=client_id,
        run_id=run_id,
        version="0.70.1",
        wire=1,
        bound=False,
        hostname="lab",
        os="linux",
        arch="amd64",
        address=Address("127.0.0.1", 40000),
        first_connected_at=at,
        last_connected_at=at,
        disconnected_at=None,
    )
