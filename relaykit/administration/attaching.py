"""Gives a role the web server that its configuration asks for: it starts and stops with the role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from relaykit.administration.client import client_routes
from relaykit.administration.server_facts import ServerFacts, total_of
from relaykit.administration.server_v1 import first_routes
from relaykit.administration.server_v2 import second_routes
from relaykit.administration.traffic import DailyTraffic
from relaykit.administration.web_server import WebServer
from relaykit.clock import monotonic

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.config.load import LoadedClient, LoadedServer
    from relaykit.server.service import RelayServer

__all__ = ["attach_to_client", "attach_to_server"]


def attach_to_server(server: RelayServer, loaded: LoadedServer, types: Iterable[str], reactor: Any) -> None:
    """Gives a server its web server.

    :param types: the names of its proxy types.
    """
    clock = monotonic(reactor)
    traffic = DailyTraffic(lambda: ((each.name, total_of(each)) for each in server.status().proxies), clock)
    traffic.setServiceParent(server)
    facts = ServerFacts(server, loaded, traffic)
    routes = (*first_routes(facts), *second_routes(facts, types))
    WebServer(loaded.config.web_server, routes, clock).setServiceParent(server)


def attach_to_client(client: RelayClient, loaded: LoadedClient, reactor: Any) -> None:
    """Gives a client its web server."""
    routes = client_routes(client, loaded.path)
    WebServer(loaded.config.web_server, routes, monotonic(reactor)).setServiceParent(client)
