"""Totals of each proxy and each client, also of those that are gone, and events of what changes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from attrs import define, field

from relaykit.server.events import (
    ClientConnected,
    ClientDisconnected,
    ProxyClosed,
    ProxyExposed,
    ProxyProbed,
    UserArrived,
    UserLeft,
    UserServed,
    UserUnserved,
)
from relaykit.values import NOTHING_SEEN, LastSeen

if TYPE_CHECKING:
    from relaykit.server.flows import ProxyFlow
    from relaykit.server.observers import Observers
    from relaykit.server.probes import ProbeResult
    from relaykit.values import ClientIdentity, Ended, Origin, Traffic

__all__ = [
    "GONE_CLIENTS",
    "GONE_FOR_S",
    "GONE_PROXIES",
    "Accounting",
    "ClientTotals",
    "ProxyTotals",
    "client_key",
]

_ClientKey = tuple[str, str, str]
_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")

GONE_PROXIES = 10_000
"""Proxies that are closed and whose totals are kept; the longest closed are forgotten first.  Some 3 MB."""

GONE_FOR_S = 7 * 24 * 3600.0
"""Seconds that the totals of a closed proxy are kept; frp's figure."""

GONE_CLIENTS = 10_000
"""Clients that are gone and still known, by their client id; the longest gone are forgotten first."""


@define(eq=False, kw_only=True)
class ProxyTotals:
    """What a proxy has done, over all its registrations; times are seconds since 1970, None for never.

    :ivar client: who had it last.
    :ivar current: users at the moment.
    :ivar connections: users since the first registration, the present ones included.
    :ivar traffic_in: bytes from users who are gone, to the client.
    :ivar traffic_out: bytes the other way.
    :ivar last: who came last, and what went wrong last.
    :ivar probe: what came of the last probe since it was opened; None without one.
    """

    name: str
    type: str
    client: ClientIdentity | None = None
    current: int = 0
    connections: int = 0
    traffic_in: int = 0
    traffic_out: int = 0
    last_start_at: float | None = None
    last_close_at: float | None = None
    last: LastSeen = NOTHING_SEEN
    probe: ProbeResult | None = None


@define(eq=False, kw_only=True)
class ClientTotals:
    """A client, over all its logins; times are seconds since 1970, None for never."""

    login: ClientConnected
    first_connected_at: float
    last_connected_at: float
    disconnected_at: float | None = None
    end: ClientDisconnected | None = None
    """How its last session ended; None before the first has."""


@define(eq=False)
class Accounting:
    """Keeps the totals of one server.

    A client that sent no client id is forgotten when it is gone.

    :param wall_clock: seconds since 1970.
    """

    observers: Observers
    moved_by_carrier: dict[str, tuple[int, int]] = field(factory=dict, init=False)
    """Bytes of users who are gone, to clients and to users, by what the clients came by."""
    _wall_clock: Callable[[], float]
    _proxies: dict[str, ProxyTotals] = field(factory=dict, init=False)
    _gone: OrderedDict[str, ProxyTotals] = field(factory=OrderedDict, init=False)
    _clients: dict[_ClientKey, ClientTotals] = field(factory=dict, init=False)
    _gone_clients: OrderedDict[_ClientKey, ClientTotals] = field(factory=OrderedDict, init=False)

    def proxies(self) -> Iterator[ProxyTotals]:
        """Of all proxies, those that are open first."""
        yield from self._proxies.values()
        yield from self._gone.values()

    def proxy(self, name: str) -> ProxyTotals | None:
        """Of the proxy of a name, open or closed."""
        return self._proxies.get(name) or self._gone.get(name)

    def clients(self) -> Iterator[ClientTotals]:
        """Of all clients, those that are online first."""
        yield from self._clients.values()
        yield from self._gone_clients.values()

    def forget_gone_proxies(self) -> int:
        """Forgets the totals of all closed proxies, and answers of how many."""
        count = len(self._gone)
        self._gone.clear()
        return count

    # --- what happens -----------------------------------------------------------------------------

    def client_connected(self, event: ClientConnected) -> None:
        """A client was let in."""
        key, now = client_key(event.client), self._wall_clock()
        known = self._gone_clients.pop(key, None)
        first = now if known is None else known.first_connected_at
        end = None if known is None else known.end
        self._clients[key] = ClientTotals(
            login=event, first_connected_at=first, last_connected_at=now, end=end
        )
        self.observers.tell(event)

    def client_disconnected(self, client: ClientIdentity, why: Ended, reason: str) -> None:
        """A session has ended."""
        key, end = client_key(client), ClientDisconnected(client=client, why=why, reason=reason)
        present = self._clients.get(key)
        if present is not None and present.login.client is client:
            del self._clients[key]
            present.disconnected_at = self._wall_clock()
            present.end = end
            if client.client_id:
                _remember(self._gone_clients, key, present, GONE_CLIENTS)
        self.observers.tell(end)

    def totals_of(self, name: str, type_name: str) -> ProxyTotals:
        """The totals of a proxy that is about to be opened: those of the name with this type, or new ones."""
        totals = self._gone.get(name)
        if totals is None or totals.type != type_name:
            totals = ProxyTotals(name=name, type=type_name)
        return totals

    def proxy_exposed(self, totals: ProxyTotals, client: ClientIdentity, address: str) -> None:
        """A proxy is open."""
        totals.client = client
        totals.last_start_at = self._wall_clock()
        totals.probe = None
        self._gone.pop(totals.name, None)
        self._proxies[totals.name] = totals
        self.observers.tell(ProxyExposed(client=client, name=totals.name, type=totals.type, address=address))

    def proxy_closed(self, totals: ProxyTotals, client: ClientIdentity, why: Ended) -> None:
        """A proxy that was open is closed to new users."""
        del self._proxies[totals.name]
        now = totals.last_close_at = self._wall_clock()
        _remember(self._gone, totals.name, totals, GONE_PROXIES)
        while now - (next(iter(self._gone.values())).last_close_at or 0.0) > GONE_FOR_S:
            self._gone.popitem(last=False)
        self.observers.tell(ProxyClosed(client=client, name=totals.name, type=totals.type, why=why))

    def user_arrived(self, totals: ProxyTotals, client: ClientIdentity, origin: Origin) -> None:
        """A user came."""
        totals.current += 1
        totals.connections += 1
        totals.last = totals.last.came(origin.source, self._wall_clock())
        if self.observers.follow_users:
            self.observers.tell(UserArrived(client=client, proxy=totals.name, origin=origin), of_user=True)

    def user_served(self, totals: ProxyTotals, client: ClientIdentity, flow: ProxyFlow) -> None:
        """A user has a work connection."""
        if self.observers.follow_users:
            served = UserServed(client=client, proxy=totals.name, origin=flow.origin, waited_s=flow.seconds)
            self.observers.tell(served, of_user=True)

    def user_unserved(
        self, totals: ProxyTotals, client: ClientIdentity, origin: Origin, error: Exception
    ) -> None:
        """There is no work connection for a user."""
        totals.last = totals.last.went_wrong(str(error), self._wall_clock())
        self.observers.tell(UserUnserved(client=client, proxy=totals.name, origin=origin, error=error))

    def proxy_probed(self, totals: ProxyTotals, client: ClientIdentity, result: ProbeResult) -> None:
        """It was looked how far a user would get."""
        former, totals.probe = totals.probe, result
        event = ProxyProbed(
            client=client,
            proxy=totals.name,
            reached=result.reached,
            seconds=result.seconds,
            error=result.error,
            is_news=former is None or former.is_online != result.is_online,
        )
        self.observers.tell(event)

    def user_left(
        self,
        totals: ProxyTotals,
        client: ClientIdentity,
        origin: Origin,
        traffic: Traffic,
        carrier: str,
    ) -> None:
        """A user is gone, of a client that came by a carrier."""
        to_client, to_user = self.moved_by_carrier.get(carrier, (0, 0))
        self.moved_by_carrier[carrier] = to_client + traffic.near_to_far, to_user + traffic.far_to_near
        totals.current -= 1
        totals.traffic_in += traffic.near_to_far
        totals.traffic_out += traffic.far_to_near
        if self.observers.follow_users:
            left = UserLeft(client=client, proxy=totals.name, origin=origin, traffic=traffic)
            self.observers.tell(left, of_user=True)


def client_key(client: ClientIdentity) -> _ClientKey:
    """What tells a client from the others over its logins: no run id can be another's client id."""
    return client.user, client.client_id, "" if client.client_id else client.run_id


def _remember(table: OrderedDict[_KeyT, _ValueT], key: _KeyT, value: _ValueT, limit: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > limit:
        table.popitem(last=False)
