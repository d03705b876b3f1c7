"""What a server says of itself: to whoever shows it to people, or to other programs.

A status is a value that is made when it is asked for; making one costs nothing while traffic flows.
When something changes, observers have an event of it.  Times are seconds since 1970, unless it says
otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from attrs import field, frozen

from relaykit.dataplane.plane import FlowCounts
from relaykit.values import NOTHING_SEEN, Amount, LastSeen, Usage

if TYPE_CHECKING:
    from relaykit.options import Options, ProxyCommon
    from relaykit.sansio.control.server_life import ServerState
    from relaykit.server.accounting import ClientTotals, ProxyTotals
    from relaykit.server.groups import ProxyGroup
    from relaykit.server.probes import ProbeResult
    from relaykit.server.registry import RegisteredProxy
    from relaykit.values import Address, Balance

__all__ = ["ClientStatus", "GroupStatus", "ProxyCounts", "ProxyStatus", "ServerStatus", "usage_of"]


@frozen(kw_only=True)
class ClientStatus:
    """One client, logged in or gone.

    :ivar client_id: the one that it sent, else its run id.
    :ivar run_id: empty when it is gone.
    :ivar wire: the version of the wire that it speaks.
    :ivar bound: whether its login is bound to its TLS session.
    :ivar disconnected_at: None while it is logged in.
    :ivar carrier: the name of what it came by; empty when it is gone.
    :ivar round_trip_s: to it and back, in seconds, as measured last; None where that is not measured.
    :ivar last_end: why its last session ended, in words; empty before the first has.
    """

    user: str
    client_id: str
    run_id: str
    version: str
    wire: int
    bound: bool
    hostname: str
    os: str
    arch: str
    address: Address | None
    first_connected_at: float
    last_connected_at: float
    disconnected_at: float | None
    carrier: str = ""
    round_trip_s: float | None = None
    last_end: str = ""

    @property
    def is_online(self) -> bool:
        """Whether it is logged in."""
        return self.disconnected_at is None

    @property
    def key(self) -> str:
        """Its name over its logins; frp's form."""
        return f"{self.user}.{self.client_id}" if self.user else self.client_id

    @classmethod
    def of(cls, totals: ClientTotals, carrier: str, round_trip_s: float | None) -> ClientStatus:
        """The status of a client."""
        login = totals.login
        client = login.client
        return cls(
            user=client.user,
            client_id=client.client_id or client.run_id,
            run_id=client.run_id if totals.disconnected_at is None else "",
            version=login.version,
            wire=login.wire,
            bound=login.bound,
            hostname=login.hostname,
            os=login.os,
            arch=login.arch,
            address=client.address,
            first_connected_at=totals.first_connected_at,
            last_connected_at=totals.last_connected_at,
            disconnected_at=totals.disconnected_at,
            carrier=carrier,
            round_trip_s=round_trip_s,
            last_end="" if totals.end is None else totals.end.reason or totals.end.why.value,
        )


@frozen(kw_only=True)
class ProxyStatus:
    """One proxy, open or closed, with its totals over all its registrations.

    :ivar client_id: that of the client that has it, or had it last; its run id if it sent none.
    :ivar address: what users dial; empty if nothing is public, or it is closed.
    :ivar current: users at the moment.
    :ivar connections: users up to now, those of the moment included.
    :ivar traffic_in: bytes from users to the client, those of present users included.
    :ivar traffic_out: bytes the other way.
    :ivar last: who came last, and what went wrong last.
    :ivar probe: what came of the last probe since it was opened; None without one.
    :ivar common: what travelled of its common options; None when it is closed.
    :ivar options: the options of its type; None when it is closed.
    """

    name: str
    type: str
    user: str
    client_id: str
    is_open: bool
    address: str
    current: int
    connections: int
    traffic_in: int
    traffic_out: int
    last_start_at: float | None
    last_close_at: float | None
    common: ProxyCommon | None = field(repr=False)
    options: Options | None = field(repr=False)
    last: LastSeen = NOTHING_SEEN
    probe: ProbeResult | None = None

    @property
    def client_key(self) -> str:
        """The name of its client over its logins; frp's form."""
        return f"{self.user}.{self.client_id}" if self.user else self.client_id

    @classmethod
    def of(cls, totals: ProxyTotals, proxy: RegisteredProxy | None) -> ProxyStatus:
        """The status of a proxy, which is registered or not."""
        amount, client = usage_of(totals, proxy).amount, totals.client
        return cls(
            name=totals.name,
            type=totals.type,
            user="" if client is None else client.user,
            client_id="" if client is None else client.client_id or client.run_id,
            is_open=proxy is not None,
            address="" if proxy is None or proxy.exposure is None else proxy.exposure.address,
            current=totals.current,
            connections=amount.connections,
            traffic_in=amount.bytes_in,
            traffic_out=amount.bytes_out,
            last_start_at=totals.last_start_at,
            last_close_at=totals.last_close_at,
            last=totals.last,
            probe=None if proxy is None else totals.probe,
            common=None if proxy is None else proxy.common,
            options=None if proxy is None else proxy.options,
        )


class ProxyCounts(NamedTuple):
    """How a proxy fares, as in :class:`ProxyStatus`: for who looks at all of them again and again."""

    name: str
    type_name: str
    is_open: bool
    current: int
    traffic_in: int
    traffic_out: int

    @classmethod
    def of(cls, totals: ProxyTotals, proxy: RegisteredProxy | None) -> ProxyCounts:
        """Those of a proxy, which is registered or not."""
        used = usage_of(totals, proxy).amount
        return cls(totals.name, totals.type, proxy is not None, totals.current, used.bytes_in, used.bytes_out)


@frozen(kw_only=True)
class GroupStatus:
    """One group of proxies.

    :ivar name: ``loadBalancer.group``; separate for each proxy type.
    :ivar address: what users dial; empty if nothing is public.
    :ivar balance: how its users are distributed.
    :ivar members: the names of its proxies, in the order in which they joined.
    """

    name: str
    type: str
    address: str
    balance: Balance
    members: tuple[str, ...]

    @classmethod
    def of(cls, group: ProxyGroup) -> GroupStatus:
        """The status of a group."""
        return cls(
            name=group.group,
            type=group.type,
            address="" if group.exposure is None else group.exposure.address,
            balance=group.balance,
            members=tuple(member.name for member in group.members),
        )


@frozen(kw_only=True)
class ServerStatus:
    """The server at one moment.

    :ivar state: where it stands.
    :ivar since: when it got there, by its own clock, in seconds; None before the first start.
    :ivar port: what clients dial; 0 while it is closed.
    :ivar fingerprint: SHA-256 of its certificate, while it runs.
    :ivar clients: those that are logged in, then those that are gone and had a client id.
    :ivar proxies: those that are open, then those that are closed.
    :ivar groups: those that are open.
    :ivar flows: in them, *near* is where users come from.
    """

    state: ServerState
    since: float | None = None
    port: int = 0
    fingerprint: str = ""
    version: str = ""
    clients: tuple[ClientStatus, ...] = ()
    proxies: tuple[ProxyStatus, ...] = ()
    groups: tuple[GroupStatus, ...] = ()
    flows: FlowCounts = field(factory=FlowCounts)


def usage_of(totals: ProxyTotals, proxy: RegisteredProxy | None) -> Usage:
    """What a proxy, registered or not, was used for up to now, by its present users as well."""
    bytes_in, bytes_out = totals.traffic_in, totals.traffic_out
    for flow in () if proxy is None else proxy.flows:
        to_client, to_user = flow.moved()
        bytes_in += to_client
        bytes_out += to_user
    return Usage(totals.name, totals.client, Amount(bytes_in, bytes_out, totals.connections))
