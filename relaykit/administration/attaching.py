"""Gives a role the web server that its configuration asks for, and what its control socket serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relaykit.administration.client import client_routes
from relaykit.administration.own.client import own_client_routes
from relaykit.administration.own.events import RefusalNotes
from relaykit.administration.own.openapi import described
from relaykit.administration.own.server import own_server_routes
from relaykit.administration.own.users import client_key
from relaykit.administration.pages import page_routes
from relaykit.administration.readiness import client_readiness, server_readiness
from relaykit.administration.report import client_report, control_routes, server_report
from relaykit.administration.routes import Route, Routes
from relaykit.administration.server_facts import ServerFacts, total_of
from relaykit.administration.server_v1 import first_routes
from relaykit.administration.server_v2 import second_routes
from relaykit.administration.site import AdministrationSite
from relaykit.administration.steering import Steering, steering_routes
from relaykit.administration.store import store_routes
from relaykit.administration.traffic import DailyTraffic
from relaykit.administration.web_server import WebServer
from relaykit.clock import monotonic
from relaykit.history.keeper import HistoryKeeper
from relaykit.history.service import History

if TYPE_CHECKING:
    from pathlib import Path

    from relaykit.client.service import RelayClient
    from relaykit.config.load import LoadedClient, LoadedServer
    from relaykit.server.service import RelayServer

__all__ = ["attach_history", "attach_to_client", "attach_to_server", "client_site", "server_site"]


def attach_history(role: RelayServer | RelayClient, path: Path, reactor: Any) -> History:
    """Has a role keep its history in a file."""
    clock = monotonic(reactor)
    history = History(role.usage, client_key, HistoryKeeper(path, clock), clock, _wall_clock)
    history.setServiceParent(role)
    return history


def attach_to_server(
    server: RelayServer,
    loaded: LoadedServer,
    types: Iterable[str],
    reactor: Any,
    history: History | None = None,
) -> None:
    """Gives a server its web server.

    :param types: the names of its proxy types.
    :param history: what it shows of former times; None for nothing.
    """
    clock = monotonic(reactor)
    traffic = DailyTraffic(
        lambda: ((each.name, total_of(each)) for each in server.status().proxies),
        clock,
        read_days=None if history is None else history.days_of_proxies,
    )
    traffic.setServiceParent(server)
    facts = ServerFacts(server, traffic)
    refusals = RefusalNotes(_wall_clock)
    server.observe(refusals)
    read = None if history is None else history.read
    own = own_server_routes(server, refusals, clock.seconds, _wall_clock, read)
    pages = page_routes("server", loaded.config.web_server.assets_dir)
    routes = [server_readiness(server), *pages, *first_routes(facts), *second_routes(facts, types)]
    routes += described([*own], "a relay server")
    if loaded.config.enable_prometheus:
        from relaykit.administration.metrics.attaching import server_metrics

        routes.append(server_metrics(server, clock))
    WebServer(loaded.config.web_server, routes, clock).setServiceParent(server)


def attach_to_client(
    client: RelayClient,
    loaded: LoadedClient,
    steering: Steering | None,
    reactor: Any,
    history: History | None = None,
) -> None:
    """Gives a client its web server; ``steering`` is what its program can do, None for nothing."""
    clock = monotonic(reactor)
    own = _client_routes(client, loaded, steering or Steering(), reactor, history)
    pages = page_routes("client", loaded.config.web_server.assets_dir)
    routes = [client_readiness(client), *pages, *own]
    if loaded.config.enable_prometheus:
        from relaykit.administration.metrics.attaching import client_metrics

        routes.append(client_metrics(client, clock))
    WebServer(loaded.config.web_server, routes, clock).setServiceParent(client)


def client_site(
    client: RelayClient, loaded: LoadedClient, steering: Steering, reactor: Any
) -> AdministrationSite:
    """What a client's control socket serves: its API, and what its own command line asks for."""
    clock = monotonic(reactor)
    own = control_routes(lambda: client_report(client, clock), steering, loaded.path, clock)
    routes = Routes((*own, *_client_routes(client, loaded, steering, reactor)))
    return AdministrationSite(routes, None, clock)


def server_site(
    server: RelayServer, loaded: LoadedServer, steering: Steering, reactor: Any
) -> AdministrationSite:
    """What a server's control socket serves to its own command line."""
    clock = monotonic(reactor)
    own = control_routes(lambda: server_report(server, clock, _wall_clock), steering, loaded.path, clock)
    return AdministrationSite(Routes(tuple(own)), None, clock)


def _client_routes(
    client: RelayClient,
    loaded: LoadedClient,
    steering: Steering,
    reactor: Any,
    history: History | None = None,
) -> Iterator[Route]:
    clock = monotonic(reactor)
    yield from client_routes(client, loaded.path)
    yield from store_routes(client, reactor)
    yield from steering_routes(steering, loaded.path, clock)
    read = None if history is None else history.read
    own = own_client_routes(client, steering, clock.seconds, _wall_clock, read)
    yield from described([*own], "a client of a relay server")


def _wall_clock() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()
