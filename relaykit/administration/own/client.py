"""What relaykit's own API has of a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from relaykit import __version__
from relaykit.administration.calls import Answer, Call, json_answer
from relaykit.administration.own.checking import check_routes
from relaykit.administration.own.forms import form_routes
from relaykit.administration.own.history import history_routes
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import ClientOverview, ClientProxies, ClientProxy, ClientVisitor
from relaykit.administration.own.users import RELAYED, UserFlow, user_routes
from relaykit.administration.routes import Route
from relaykit.client.status import RegistrationState
from relaykit.errors import problem_of
from relaykit.values import NOTHING, Address

if TYPE_CHECKING:
    from relaykit.administration.own.history import ReadHistory
    from relaykit.administration.steering import Steering
    from relaykit.client.service import RelayClient
    from relaykit.client.status import ProxyStatus, VisitorStatus
    from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor

__all__ = ["own_client_routes"]

_SUBJECTS = {"proxy": "name of a proxy"}


def own_client_routes(
    client: RelayClient,
    steering: Steering,
    now: Callable[[], float],
    wall_clock: Callable[[], float],
    history: ReadHistory | None = None,
) -> Iterator[Route]:
    """What a client can be asked and told.

    :param steering: what its program can do.
    :param now: seconds of the client's clock.
    :param wall_clock: seconds since 1970.
    :param history: reads its history; None where none is kept.
    """
    api = _ClientApi(client, now, wall_clock)
    yield Route(
        method="GET",
        path=f"{PREFIX}/overview",
        handler=api.overview,
        failed=own_failure,
        summary="The client as a whole.",
        told=ClientOverview,
    )
    yield Route(
        method="GET",
        path=f"{PREFIX}/proxies",
        handler=api.proxies,
        failed=own_failure,
        summary="The proxies and visitors, how they stand, and why those that are not up are not.",
        told=ClientProxies,
    )
    yield from user_routes(api.flows, wall_clock)
    yield from history_routes(history, wall_clock, _SUBJECTS)
    yield from form_routes(lambda: client.definitions)
    yield from check_routes(
        lambda: client.definitions,
        lambda: {"proxies": client.proxies, "visitors": client.visitors},
        steering,
    )


@frozen
class _ClientApi:
    _client: RelayClient
    _now: Callable[[], float]
    _wall_clock: Callable[[], float]

    def overview(self, call: Call) -> Answer:
        """How it stands."""
        status, config = self._client.status(), self._client.config
        flows = status.flows
        return json_answer(
            ClientOverview(
                version=__version__,
                server=str(Address(config.server_addr, config.server_port)),
                connected=status.connected,
                since=self._wall_time(status.since),
                round_trip_s=status.round_trip_s,
                path=status.way,
                proxies=len(status.proxies),
                proxies_up=sum(each.state is RegistrationState.RUNNING for each in status.proxies),
                visitors=len(status.visitors),
                visitors_up=sum(each.next_try is None for each in status.visitors),
                users=flows.present,
                connections=flows.total,
                bytes_in=flows.near_to_far,
                bytes_out=flows.far_to_near,
                is_stored=bool(config.store.path),
            )
        )

    def proxies(self, call: Call) -> Answer:
        """All of them."""
        status = self._client.status()
        proxies = {each.common.name: each for each in self._client.proxies}
        visitors = {each.common.name: each for each in self._client.visitors}
        used = {each.proxy: each.amount for each in self._client.usage()}
        return json_answer(
            ClientProxies(
                connected=status.connected,
                proxies=[
                    ClientProxy(
                        name=each.name,
                        type=each.type,
                        state=each.state.value,
                        health="" if each.health is None else each.health.state.value,
                        reason=each.reason,
                        problem=problem_of(each.reason),
                        address=each.address,
                        path=each.way,
                        users=each.users,
                        next_try_s=self._seconds_to(each.next_try),
                        source=_source(proxies.get(each.name)),
                        **self._seen(each),
                        **attrs.asdict(used.get(each.name, NOTHING)),
                    )
                    for each in status.proxies
                ],
                visitors=[
                    ClientVisitor(
                        name=each.name,
                        listening="" if each.listening is None else str(each.listening),
                        local=each.local,
                        reason=each.reason,
                        problem=problem_of(each.reason),
                        path=each.way,
                        users=each.users,
                        next_try_s=self._seconds_to(each.next_try),
                        type="" if each.name not in visitors else visitors[each.name].type_name,
                        source=_source(visitors.get(each.name)),
                        **self._seen(each),
                    )
                    for each in status.visitors
                ],
            )
        )

    def flows(self) -> Iterator[UserFlow]:
        """What users have."""
        status, identity = self._client.status(), self._client.identity
        ways = {each.name: each.way for each in status.proxies}
        ways.update((each.name, each.way) for each in status.visitors)
        now = self._now()
        for name, flow, user in self._client.flows():
            yield UserFlow(
                proxy=name,
                client=identity,
                origin=user.origin,
                flow=flow,
                path=ways.get(name) or RELAYED,
                seconds=now - user.since,
            )

    def _seen(self, status: ProxyStatus | VisitorStatus) -> dict[str, Any]:
        """Since when it is as it is, and what was seen last of its users."""
        last = status.last
        return {
            "since": self._wall_time(status.since),
            "last_user": "" if last.user is None else str(last.user),
            "last_user_at": self._wall_time(last.user_at),
            "last_error": last.error,
            "last_error_at": self._wall_time(last.error_at),
        }

    def _wall_time(self, at: float | None) -> float | None:
        """A time of the client's clock, in seconds since 1970."""
        return None if at is None else self._wall_clock() - (self._now() - at)

    def _seconds_to(self, at: float | None) -> float | None:
        return None if at is None else max(0.0, round(at - self._now(), 3))


def _source(entry: ConfiguredProxy | ConfiguredVisitor | None) -> str:
    """What an entry comes from; empty for one that is being taken back."""
    return "" if entry is None else entry.source.value
