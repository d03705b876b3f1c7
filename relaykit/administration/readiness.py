"""``/readyz``: whether a role does what it is for, in words for who is asked by an orchestrator.

It is open to everybody, so that it names nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from relaykit.administration.calls import Answer, Call, text_answer
from relaykit.administration.routes import Route
from relaykit.client.status import RegistrationState
from relaykit.sansio.control.server_life import ServerState

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.server.service import RelayServer

__all__ = ["client_readiness", "server_readiness"]


def server_readiness(server: RelayServer) -> Route:
    """A server is ready while clients can log in."""
    return _route(lambda: _server_lacks(server))


def client_readiness(client: RelayClient) -> Route:
    """A client is ready while it is logged in, and all its proxies and visitors are up."""
    return _route(lambda: _client_lacks(client))


def _route(lacks: Callable[[], Iterator[str]]) -> Route:
    def answer(call: Call) -> Answer:
        lacking = list(lacks())
        if lacking:
            return text_answer(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(lacking))
        return text_answer(HTTPStatus.OK, "ready")

    return Route(method="", path="/readyz", handler=answer, is_open=True)


def _server_lacks(server: RelayServer) -> Iterator[str]:
    if server.state is not ServerState.READY:
        yield f"the server is {server.state.value}"


def _client_lacks(client: RelayClient) -> Iterator[str]:
    status = client.status()
    if status.stopping:
        yield "the client is being stopped"
    elif not status.connected:
        yield "there is no session with the server"
    down = sum(each.state is not RegistrationState.RUNNING for each in status.proxies)
    if down:
        yield f"{down} of {len(status.proxies)} proxies are not up"
    closed = sum(each.next_try is not None for each in status.visitors)
    if closed:
        yield f"{closed} of {len(status.visitors)} visitors are not up"
