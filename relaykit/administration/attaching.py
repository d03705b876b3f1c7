"""Gives a role the web server that its configuration asks for, and what its control socket serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relaykit.administration.client import client_routes
from relaykit.administration.own.client import own_client_routes
from relaykit.administration.own.events import RefusalNotes
from relaykit.administration.own.log import log_routes
from relaykit.administration.own.openapi import described
from relaykit.administration.own.problems import problem_routes
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

    from relaykit.administration.guards import Guard
    from relaykit.client.service import RelayClient
    from relaykit.config.load import LoadedClient, LoadedServer
    from relaykit.logs.tail import LogTail
    from relaykit.server.service import RelayServer

__all__ = ["ClientAdministration", "ServerAdministration", "attach_history"]


def attach_history(role: RelayServer | RelayClient, path: Path, reactor: Any) -> History:
    """Has a role keep its history in a file."""
    clock = monotonic(reactor)
    history = History(role.usage, client_key, HistoryKeeper(path, clock), clock, _wall_clock)
    history.setServiceParent(role)
    return history


class ServerAdministration:
    """What a server is asked and told, over its web server and over its control socket.

    :param types: the names of its proxy types.
    :param steering: what its program can do.
    :param history: what it shows of former times; None for nothing.
    :param tail: the last lines of its log; None for none.
    """

    def __init__(
        self,
        server: RelayServer,
        loaded: LoadedServer,
        types: Iterable[str],
        reactor: Any,
        steering: Steering,
        history: History | None,
        tail: LogTail | None,
    ) -> None:
        self._server = server
        self._loaded = loaded
        self._types = tuple(types)
        self._clock = monotonic(reactor)
        self._steering = steering
        self._history = history
        self._tail = tail

    def serve_web(self) -> None:
        """Gives the server its web server."""
        server, config = self._server, self._loaded.config
        routes = [server_readiness(server), *page_routes("server", config.web_server.assets_dir), *self._api]
        if config.enable_prometheus:
            from relaykit.administration.metrics.attaching import server_metrics

            routes.append(server_metrics(server, self._clock))
        WebServer(config.web_server, routes, self._clock).setServiceParent(server)

    def control_site(self, guard: Guard | None) -> AdministrationSite:
        """What its control socket serves those it lets in: its API, and what its command line asks for."""
        server, clock = self._server, self._clock
        own = control_routes(
            lambda: server_report(server, clock, _wall_clock), self._steering, self._loaded.path, clock
        )
        return AdministrationSite(Routes((*own, *self._api)), guard, clock)

    @cached_property
    def _api(self) -> Sequence[Route]:
        """Both APIs of frp, and our own; what they remember begins when they are wanted first."""
        server, history = self._server, self._history
        traffic = DailyTraffic(
            lambda: ((each.name, total_of(each)) for each in server.status().proxies),
            self._clock,
            read_days=None if history is None else history.days_of_proxies,
        )
        traffic.setServiceParent(server)
        facts = ServerFacts(server, traffic)
        refusals = RefusalNotes(_wall_clock)
        server.observe(refusals)
        read = None if history is None else history.read
        own = own_server_routes(server, refusals, self._clock.seconds, _wall_clock, read)
        every_own = [*own, *log_routes(self._tail), *problem_routes()]
        described_ones = described(every_own, "a relay server")
        return (*first_routes(facts), *second_routes(facts, self._types), *described_ones)


class ClientAdministration:
    """What a client is asked and told, likewise."""

    def __init__(
        self,
        client: RelayClient,
        loaded: LoadedClient,
        reactor: Any,
        steering: Steering,
        history: History | None,
        tail: LogTail | None,
    ) -> None:
        self._client = client
        self._loaded = loaded
        self._reactor = reactor
        self._clock = monotonic(reactor)
        self._steering = steering
        self._history = history
        self._tail = tail

    def serve_web(self) -> None:
        """Gives the client its web server."""
        client, config = self._client, self._loaded.config
        routes = [client_readiness(client), *page_routes("client", config.web_server.assets_dir), *self._api]
        if config.enable_prometheus:
            from relaykit.administration.metrics.attaching import client_metrics

            routes.append(client_metrics(client, self._clock))
        WebServer(config.web_server, routes, self._clock).setServiceParent(client)

    def control_site(self, guard: Guard | None) -> AdministrationSite:
        """What its control socket serves those it lets in: its API, and what its command line asks for."""
        client, clock = self._client, self._clock
        own = control_routes(lambda: client_report(client, clock), self._steering, self._loaded.path, clock)
        return AdministrationSite(Routes((*own, *self._api)), guard, clock)

    @cached_property
    def _api(self) -> Sequence[Route]:
        """Frp's API, the store's, and our own."""
        return tuple(self._make_api())

    def _make_api(self) -> Iterator[Route]:
        client, steering, path = self._client, self._steering, self._loaded.path
        yield from client_routes(client, path)
        yield from store_routes(client, self._reactor)
        yield from steering_routes(steering, path, self._clock)
        read = None if self._history is None else self._history.read
        own = own_client_routes(client, steering, self._clock.seconds, _wall_clock, read)
        every_own = [*own, *log_routes(self._tail), *problem_routes()]
        yield from described(every_own, "a client of a relay server")


def _wall_clock() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()
