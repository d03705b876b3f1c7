"""The users of a role, as both tell of them and let them be ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import EndedUsers, User, Users
from relaykit.administration.paging import paged
from relaykit.administration.routes import Route
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.values import ClientIdentity, Origin

__all__ = ["ORDER", "RELAYED", "UserFlow", "client_key", "is_by_business", "user_routes"]

RELAYED = "relay"
"""The path of users who come by the server."""

_PAGES = {"page": "number of the page, from 1 on", "pageSize": "entries of a page, at most 200; else 50"}
ORDER = {"order": "busy: those with the most users, or bytes, first; else as they came"}

_USER = {"proxy": "name of the proxy, or of the visitor", "address": "address and port of the user"}


@frozen(kw_only=True)
class UserFlow:
    """One flow of a user.

    :ivar flow: a :class:`relaykit.interfaces.IFlow`.
    :ivar seconds: how long it has been there.
    """

    proxy: str
    client: ClientIdentity
    origin: Origin
    flow: Any
    path: str = RELAYED
    is_waiting: bool = False
    seconds: float

    @property
    def address(self) -> str:
        """Where the user is; empty where that is not known."""
        return "" if self.origin.source is None else str(self.origin.source)

    def told(self, now: float) -> User:
        """What is told of it."""
        to_client, to_user = self.flow.moved()
        return User(
            proxy=self.proxy,
            client=client_key(self.client),
            address=self.address,
            path=self.path,
            is_waiting=self.is_waiting,
            since=now - self.seconds,
            bytes_in=to_client,
            bytes_out=to_user,
            rate_in=self._rate(to_client),
            rate_out=self._rate(to_user),
        )

    def _rate(self, moved: int) -> float:
        return round(moved / self.seconds, 1) if self.seconds > 0 else 0.0


def user_routes(flows: Callable[[], Iterable[UserFlow]], wall_clock: Callable[[], float]) -> Iterator[Route]:
    """Asking for users, and ending one.

    :param wall_clock: seconds since 1970.
    """
    api = _Users(flows, wall_clock)
    yield Route(
        method="GET",
        path=f"{PREFIX}/users",
        handler=api.some,
        failed=own_failure,
        summary="The users of the moment: all, those of one proxy, or one.",
        told=Users,
        asks={**_USER, **ORDER, **_PAGES},
    )
    yield Route(
        method="DELETE",
        path=f"{PREFIX}/users",
        handler=api.end,
        failed=own_failure,
        summary="Cuts off one user: all that this address and port have at the proxy.",
        told=EndedUsers,
        asks=_USER,
    )


def is_by_business(call: Call) -> bool:
    """Whether the busiest are wanted first.

    :raises CallFailed: there is no such order.
    """
    order = call.first("order")
    if order not in ("", "busy"):
        raise CallFailed(HTTPStatus.BAD_REQUEST, "order must be busy, or left out")
    return order == "busy"


def client_key(client: ClientIdentity) -> str:
    """The name of a client over its logins, as frp forms it."""
    return client.name


@frozen
class _Users:
    _flows: Callable[[], Iterable[UserFlow]]
    _wall_clock: Callable[[], float]

    def some(self, call: Call) -> Answer:
        """One page of those that are asked for."""
        found = self._found(call)
        if is_by_business(call):
            found.sort(key=lambda each: -sum(each.flow.moved()) / max(each.seconds, 1.0))
        page, now = paged(call, found), self._wall_clock()
        told = Users(
            total=page.total,
            page=page.number,
            page_size=page.size,
            items=[each.told(now) for each in page.items],
        )
        return json_answer(told)

    def end(self, call: Call) -> Answer:
        """Ends what one of them has."""
        for key, what in _USER.items():
            if not call.first(key):
                raise CallFailed(HTTPStatus.BAD_REQUEST, f"{key} must be given: {what}")
        found = self._found(call)
        if not found:
            raise CallFailed(HTTPStatus.NOT_FOUND, "there is no such user")
        for each in found:
            each.flow.end(Ended.OPERATOR)
        return json_answer(EndedUsers(ended=len(found)))

    def _found(self, call: Call) -> list[UserFlow]:
        proxy, address = call.first("proxy"), call.first("address")
        return [
            each
            for each in self._flows()
            if not proxy or each.proxy == proxy
            if not address or each.address == address
        ]
