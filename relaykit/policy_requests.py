"""What the policies of a server are asked: one frozen class for each thing that clients and users do.

A policy answers with a request of the same class to change what is done; each class says what of it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from relaykit.values import ClientIdentity, Origin

__all__ = [
    "HeartbeatRequest",
    "LoginRequest",
    "ProxyClosed",
    "ProxyRequest",
    "Request",
    "UserRequest",
    "WorkConnectionRequest",
]


@frozen(kw_only=True)
class LoginRequest:
    """A client asks to be let in; what it has to prove holds.

    :ivar client: who it is; its run id is the one that it asks for, empty for a new one.
    :ivar user: the user that it names; may be changed.
    :ivar metas: ``metadatas`` of its file; may be changed, and is what later requests have.
    :ivar pool_count: work connections that it offers ahead of need; may be changed.
    """

    client: ClientIdentity
    origin: Origin
    user: str
    metas: Mapping[str, str] = field(repr=False)
    pool_count: int
    version: str
    hostname: str
    os: str
    arch: str


@frozen(kw_only=True)
class ProxyRequest:
    """A client asks for a proxy, of which nothing has been checked yet.

    :ivar metas: those of the client, as with its login.
    :ivar fields: what the proxy is to be, in the words of the wire (``remote_port``); may be changed.
    """

    client: ClientIdentity
    metas: Mapping[str, str] = field(repr=False)
    name: str
    type: str
    fields: Mapping[str, Any] = field(repr=False)

    def closed(self, *, was_open: bool) -> ProxyClosed:
        """What tells that it is no more."""
        return ProxyClosed(
            client=self.client, metas=self.metas, name=self.name, type=self.type, was_open=was_open
        )


@frozen(kw_only=True)
class ProxyClosed:
    """A proxy that a policy has allowed is no more; policies are told, and nobody waits for them.

    Each proxy that a policy has allowed is followed by one of these, so that it may count.

    :ivar was_open: whether it had been opened; False where something else was against it.
    """

    client: ClientIdentity
    metas: Mapping[str, str] = field(repr=False)
    name: str
    type: str
    was_open: bool


@frozen(kw_only=True)
class UserRequest:
    """Somebody has connected to a proxy of streams, or visits it; nothing of this can be changed.

    Nobody is asked about users of HTTP routes, who share connections, nor about those whose datagrams come to
    a port of the server; a visitor of datagrams is one user, whoever sends some through it.
    """

    client: ClientIdentity
    metas: Mapping[str, str] = field(repr=False)
    proxy: str
    type: str
    origin: Origin


@frozen(kw_only=True)
class HeartbeatRequest:
    """A client says that it is still there; nothing of this can be changed.

    One that is refused is told, and frp's then logs in again.  Clients with mux send none by default.
    """

    client: ClientIdentity
    metas: Mapping[str, str] = field(repr=False)


@frozen(kw_only=True)
class WorkConnectionRequest:
    """A client has opened a connection for a user to come; nothing of this can be changed."""

    client: ClientIdentity
    metas: Mapping[str, str] = field(repr=False)


Request: TypeAlias = (
    LoginRequest | ProxyRequest | ProxyClosed | UserRequest | HeartbeatRequest | WorkConnectionRequest
)
