"""What a client says of itself: to whoever shows it to people, or to other programs.

A status is a value that is made when it is asked for; making one costs nothing while traffic flows.
When something changes, the log has an event of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from relaykit.dataplane.plane import FlowCounts
from relaykit.sansio.control.health import Health, HealthState
from relaykit.sansio.control.login_proofs import PeerProof
from relaykit.sansio.control.registration import RegistrationState
from relaykit.values import NOTHING_SEEN, LastSeen

if TYPE_CHECKING:
    from relaykit.values import Address

__all__ = [
    "ClientStatus",
    "Health",
    "HealthState",
    "PeerProof",
    "ProxyStatus",
    "RegistrationState",
    "VisitorStatus",
]


@frozen(kw_only=True)
class ProxyStatus:
    """One proxy.

    :ivar address: what the server says that users dial, while it runs; empty if nothing is public.
    :ivar users: how many are served at the moment.
    :ivar reason: why users cannot come: what the server refused it for, why its backend could not start, or
        why its local service is not healthy.
    :ivar next_try: when the server is asked again whether users may come; None if it said yes, or is
        being asked.
    :ivar health: what is known of its local service; None if that is not checked.
    :ivar way: how users come, where there is more than one way, in words; else empty.
    :ivar since: when it got into its state, or its local service into its.
    :ivar last: who came last, and what went wrong last.
    """

    name: str
    type: str
    state: RegistrationState
    address: str = ""
    reason: str = ""
    next_try: float | None = None
    users: int = 0
    health: Health | None = None
    way: str = ""
    since: float | None = None
    last: LastSeen = NOTHING_SEEN


@frozen(kw_only=True)
class VisitorStatus:
    """One visitor.

    :ivar users: how many of them are served at the moment.
    :ivar listening: where its users come in; None while there is no port.
    :ivar reason: why there is none, or why the last user was not served.
    :ivar next_try: when the port is tried again, or the local service is connected; None if it is.
    :ivar way: how users get to the proxy, where there is more than one way, in words; else empty.
    :ivar since: when its port was opened, or could not be for the first time; of one with a local service,
        when that was connected, or was so no more.
    :ivar last: who came last, and what went wrong last.
    :ivar local: the local service that it connects to the proxy, which is its one user; empty for none.
    """

    name: str
    listening: Address | None = None
    reason: str = ""
    next_try: float | None = None
    users: int = 0
    way: str = ""
    since: float | None = None
    last: LastSeen = NOTHING_SEEN
    local: str = ""

    @property
    def is_up(self) -> bool:
        """Whether users come in, or its local service is connected."""
        return self.listening is not None or bool(self.local and self.users)


@frozen(kw_only=True)
class ClientStatus:
    """The client at one moment; times are those of its clock, in seconds.

    :ivar connected: whether there is a session with the server.
    :ivar stopping: whether it is being stopped: no new users come, those that are there get some seconds.
    :ivar since: when it got so; None before the client was started.
    :ivar next_try: when it connects again; None while it does, or is connected.
    :ivar cut_at: when users that are still there are cut, while it is being stopped.
    :ivar flows: in them, *near* is where users come from.
    :ivar round_trip_s: to the server and back, in seconds; None if it was not measured.
    :ivar server_proof: how the server has proved itself in the session; None while there is none.
    :ivar way: by which carrier the server is reached, in words; empty where the configuration says which, and
        without a session.
    :ivar way_reason: why by that one, if not because it was open first.
    """

    connected: bool = False
    stopping: bool = False
    since: float | None = None
    next_try: float | None = None
    cut_at: float | None = None
    proxies: tuple[ProxyStatus, ...] = ()
    visitors: tuple[VisitorStatus, ...] = ()
    flows: FlowCounts = field(factory=FlowCounts)
    round_trip_s: float | None = None
    server_proof: PeerProof | None = None
    way: str = ""
    way_reason: str = ""
