"""What happens on a server, for its observers: one class for each event, named by what has happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from relaykit.sansio.control.login_proofs import PeerProof

if TYPE_CHECKING:
    from relaykit.values import ClientIdentity, Ended, Origin, Reach, Traffic

__all__ = [
    "ClientConnected",
    "ClientDisconnected",
    "LoginRefused",
    "ProxyClosed",
    "ProxyExposed",
    "ProxyProbed",
    "ProxyRefused",
    "ServerEvent",
    "UserArrived",
    "UserLeft",
    "UserServed",
    "UserUnserved",
    "VisitRefused",
]


@frozen(kw_only=True)
class ClientConnected:
    """A client was let in.

    :ivar wire: the version of the wire that it speaks.
    :ivar proof: how it has proved itself in its TLS session.
    :ivar is_named_only: whether each connection counts as its own that names it: without mux, a bound login
        or a proof of the token, nothing else tells them apart.
    """

    client: ClientIdentity
    origin: Origin
    version: str
    hostname: str
    os: str
    arch: str
    wire: int
    proof: PeerProof
    is_named_only: bool

    @property
    def bound(self) -> bool:
        """Whether its login is bound to its TLS session."""
        return self.proof is PeerProof.TOKEN


@frozen(kw_only=True)
class ClientDisconnected:
    """A session has ended; its proxies are closed.

    :ivar reason: in words; mostly empty.
    """

    client: ClientIdentity
    why: Ended
    reason: str


@frozen(kw_only=True)
class LoginRefused:
    """A client was not let in."""

    origin: Origin
    reason: str


@frozen(kw_only=True)
class ProxyProbed:
    """It was looked how far a user would get.

    :ivar error: why no further, in words; empty if a user would be served, as far as can be told.
    :ivar is_news: whether that is other than the time before, or this was the first.
    """

    client: ClientIdentity
    proxy: str
    reached: Reach
    seconds: float
    error: str
    is_news: bool


@frozen(kw_only=True)
class ProxyExposed:
    """A proxy is open to users.

    :ivar address: what the client is told that users dial; empty if nothing is public.
    """

    client: ClientIdentity
    name: str
    type: str
    address: str


@frozen(kw_only=True)
class ProxyRefused:
    """A proxy was not exposed.

    :ivar code: the value of a :class:`relaykit.errors.RefusalCode`.
    """

    client: ClientIdentity
    name: str
    type: str
    reason: str
    code: str


@frozen(kw_only=True)
class ProxyClosed:
    """A proxy is closed to new users; those that it has may stay."""

    client: ClientIdentity
    name: str
    type: str
    why: Ended


@frozen(kw_only=True)
class VisitRefused:
    """A visitor was not let in to a proxy."""

    proxy: str
    origin: Origin
    reason: str


@frozen(kw_only=True)
class UserArrived:
    """A user came, and waits for a work connection; for who follows users."""

    client: ClientIdentity
    proxy: str
    origin: Origin


@frozen(kw_only=True)
class UserServed:
    """A user has a work connection; for who follows users.

    :ivar waited_s: seconds from when the user came.
    """

    client: ClientIdentity
    proxy: str
    origin: Origin
    waited_s: float


@frozen(kw_only=True)
class UserUnserved:
    """A user got no work connection.

    :ivar error: a :class:`relaykit.errors.NoWorkConnection` or :class:`relaykit.errors.SessionLost`.
    """

    client: ClientIdentity
    proxy: str
    origin: Origin
    error: Exception


@frozen(kw_only=True)
class UserLeft:
    """A user is gone, or was not served; for who follows users.  *Near* is where the user was."""

    client: ClientIdentity
    proxy: str
    origin: Origin
    traffic: Traffic


ServerEvent: TypeAlias = (
    ClientConnected
    | ClientDisconnected
    | LoginRefused
    | ProxyExposed
    | ProxyProbed
    | ProxyRefused
    | ProxyClosed
    | VisitRefused
    | UserArrived
    | UserServed
    | UserUnserved
    | UserLeft
)
