"""How each proxy and each client of a server stands, and looking whether users of a proxy are served."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import Probe, ServerClient, ServerClients, ServerProxies, ServerProxy
from relaykit.administration.own.users import ORDER, is_by_business
from relaykit.administration.paging import paged
from relaykit.administration.routes import Route
from relaykit.errors import RefusalCode, RefusedError, problem_of

if TYPE_CHECKING:
    from relaykit.server.probes import ProbeResult
    from relaykit.server.service import RelayServer
    from relaykit.server.status import ClientStatus, ProxyStatus

__all__ = ["standing_routes"]

_PAGES = {"page": "number of the page, from 1 on", "pageSize": "entries of a page, at most 200; else 50"}


def standing_routes(server: RelayServer) -> Iterator[Route]:
    """Asking for proxies and clients, and probing a proxy."""
    api = _Standing(server)
    yield Route(
        method="GET",
        path=f"{PREFIX}/proxies",
        handler=api.proxies,
        failed=own_failure,
        summary="The proxies, those that are open first: how they stand, and what is known of the last look.",
        told=ServerProxies,
        asks={"q": "part of a name", "client": "key of a client", **ORDER, **_PAGES},
    )
    yield Route(
        method="GET",
        path=f"{PREFIX}/proxies/{{name}}",
        handler=api.proxy,
        is_escaped=True,
        failed=own_failure,
        summary="One proxy.",
        told=ServerProxy,
    )
    yield Route(
        method="POST",
        path=f"{PREFIX}/proxies/{{name}}/probe",
        handler=api.probe,
        is_escaped=True,
        failed=own_failure,
        summary="Looks whether users of a proxy are served, over the way that they take.",
        told=Probe,
    )
    yield Route(
        method="GET",
        path=f"{PREFIX}/clients",
        handler=api.clients,
        failed=own_failure,
        summary="The clients, those that are logged in first.",
        told=ServerClients,
        asks={"q": "part of a key", **_PAGES},
    )


@frozen
class _Standing:
    _server: RelayServer

    def proxies(self, call: Call) -> Answer:
        """One page of them."""
        part, client = call.first("q"), call.first("client")
        counts = [each for each in self._server.proxy_counts() if part in each.name]
        if is_by_business(call):
            counts.sort(key=lambda each: (-each.current, -each.traffic_in - each.traffic_out))
        found = [each.name for each in counts]
        if client:
            found = [name for name in found if self._is_of(name, client)]
        page = paged(call, found)
        statuses = filter(None, map(self._server.proxy_status, page.items))
        return json_answer(
            ServerProxies(
                total=page.total,
                page=page.number,
                page_size=page.size,
                items=[_proxy(each) for each in statuses],
            )
        )

    def proxy(self, call: Call) -> Answer:
        """The one of a name."""
        status = self._server.proxy_status(call.names["name"])
        if status is None:
            raise _no_proxy(call.names["name"])
        return json_answer(_proxy(status))

    async def probe(self, call: Call) -> Answer:
        """Looks now."""
        name = call.names["name"]
        try:
            result = await self._server.probe(name)
        except RefusedError as error:
            crowded = error.code is RefusalCode.TOO_MANY
            status = HTTPStatus.SERVICE_UNAVAILABLE if crowded else HTTPStatus.CONFLICT
            raise CallFailed(status, error.text) from error
        if result is None:
            raise _no_proxy(name)
        return json_answer(_probe(result))

    def clients(self, call: Call) -> Answer:
        """One page of them."""
        part = call.first("q")
        page = paged(call, [each for each in self._server.client_statuses() if part in each.key])
        return json_answer(
            ServerClients(
                total=page.total,
                page=page.number,
                page_size=page.size,
                items=[_client(each) for each in page.items],
            )
        )

    def _is_of(self, name: str, client: str) -> bool:
        status = self._server.proxy_status(name)
        return status is not None and status.client_key == client


def _no_proxy(name: str) -> CallFailed:
    return CallFailed(HTTPStatus.NOT_FOUND, f"no proxy [{name}] is open: its client registers it")


def _proxy(status: ProxyStatus) -> ServerProxy:
    return ServerProxy(
        name=status.name,
        type=status.type,
        client=status.client_key,
        state="open" if status.is_open else "closed",
        since=status.last_start_at if status.is_open else status.last_close_at,
        address=status.address,
        users=status.current,
        connections=status.connections,
        bytes_in=status.traffic_in,
        bytes_out=status.traffic_out,
        last_user="" if status.last.user is None else str(status.last.user),
        last_user_at=status.last.user_at,
        last_error=status.last.error,
        last_error_at=status.last.error_at,
        problem="" if not status.last.error else problem_of(status.last.error, "no-work-connection"),
        probe=None if status.probe is None else _probe(status.probe),
    )


def _probe(result: ProbeResult) -> Probe:
    return Probe(
        online=result.is_online,
        at=result.at,
        seconds=round(result.seconds, 6),
        reached=result.reached.value,
        error=result.error,
        problem=result.problem,
    )


def _client(status: ClientStatus) -> ServerClient:
    return ServerClient(
        key=status.key,
        run_id=status.run_id,
        connected=status.is_online,
        since=status.last_connected_at if status.disconnected_at is None else status.disconnected_at,
        address="" if status.address is None else str(status.address),
        hostname=status.hostname,
        version=status.version,
        wire=status.wire,
        bound=status.bound,
        carrier=status.carrier,
        round_trip_s=status.round_trip_s,
        last_end=status.last_end,
    )
