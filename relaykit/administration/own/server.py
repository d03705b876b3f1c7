"""What relaykit's own API has of a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import frozen

from relaykit import __version__
from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.own.events import SIGN, EventFeed, RefusalNotes
from relaykit.administration.own.history import history_routes
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import EndedUsers, Refusals, ServerOverview
from relaykit.administration.own.standing import standing_routes
from relaykit.administration.own.users import UserFlow, user_routes
from relaykit.administration.routes import Route

if TYPE_CHECKING:
    from relaykit.administration.own.history import ReadHistory
    from relaykit.server.service import RelayServer

__all__ = ["own_server_routes"]

_SUBJECTS = {"proxy": "name of a proxy", "client": "key of a client, as it is told of users"}


def own_server_routes(
    server: RelayServer,
    refusals: RefusalNotes,
    now: Callable[[], float],
    wall_clock: Callable[[], float],
    history: ReadHistory | None = None,
) -> Iterator[Route]:
    """What a server can be asked and told.

    :param now: seconds of the server's clock.
    :param wall_clock: seconds since 1970.
    :param history: reads its history; None where none is kept.
    """
    feeds = [EventFeed(server, follows_users, wall_clock) for follows_users in (False, True)]
    api = _ServerApi(server, refusals, feeds, now, wall_clock)
    yield Route(
        method="GET",
        path=f"{PREFIX}/overview",
        handler=api.overview,
        failed=own_failure,
        summary="The server as a whole.",
        told=ServerOverview,
    )
    yield from standing_routes(server)
    yield from user_routes(api.flows, wall_clock)
    yield from history_routes(history, wall_clock, _SUBJECTS)
    yield Route(
        method="DELETE",
        path=f"{PREFIX}/clients/{{runID}}",
        handler=api.end_client,
        failed=own_failure,
        summary="Ends the session of a client, its proxies and their users; it may log in again at once.",
        told=EndedUsers,
    )
    yield Route(
        method="GET",
        path=f"{PREFIX}/refusals",
        handler=api.refusals,
        failed=own_failure,
        summary="The proxies that are not up because the server refused them, and why.",
        told=Refusals,
    )
    yield Route(
        method="GET",
        path=f"{PREFIX}/events",
        handler=api.events,
        failed=own_failure,
        summary="What happens from now on, as server-sent events.",
        asks={"users": "true: each user, too"},
    )


@frozen
class _ServerApi:
    _server: RelayServer
    _refusals: RefusalNotes
    _feeds: Sequence[EventFeed]
    _now: Callable[[], float]
    _wall_clock: Callable[[], float]

    def overview(self, call: Call) -> Answer:
        """How it stands."""
        server, traffic = self._server, self._server.traffic()
        clients, proxies, _ = server.counts()
        flows = server.flows()
        types = Counter(each.type_name for each in server.proxy_counts() if each.is_open)
        since = server.since
        return json_answer(
            ServerOverview(
                version=__version__,
                state=server.state.value,
                since=None if since is None else self._wall_clock() - (self._now() - since),
                port=server.port,
                fingerprint=server.fingerprint,
                clients=clients,
                proxies=proxies,
                users=len(flows),
                users_waiting=sum(each.is_waiting for each in flows),
                connections=traffic.total,
                bytes_in=traffic.near_to_far,
                bytes_out=traffic.far_to_near,
                refused=len(list(self._refusals)),
                types=dict(sorted(types.items())),
            )
        )

    def flows(self) -> Iterator[UserFlow]:
        """What users have, those who wait included."""
        for each in self._server.flows():
            yield UserFlow(
                proxy=each.proxy.name,
                client=each.proxy.identity,
                origin=each.origin,
                flow=each,
                is_waiting=each.is_waiting,
                seconds=each.seconds,
            )

    async def end_client(self, call: Call) -> Answer:
        """Ends a session."""
        if not await self._server.end_client(call.names["runID"], "ended by an administrator"):
            raise CallFailed(HTTPStatus.NOT_FOUND, "there is no such client")
        return json_answer(EndedUsers(ended=1))

    def refusals(self, call: Call) -> Answer:
        """All of them."""
        return json_answer(Refusals(items=list(self._refusals)))

    def events(self, call: Call) -> Answer:
        """A stream of them."""
        feed = self._feeds[call.first("users") == "true"]
        headers = {"Cache-Control": "no-store"}
        return Answer(type="text/event-stream", headers=headers, stream=feed.follow, sign=SIGN)
