"""What a control session tells: one frozen class an event, in relaykit's words.

Each class says which role it is told to.  The words of the wire (NewProxy, ReqWorkConn, ...) stay
below the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.login_proofs import BindingFailure
from relaykit.sansio.wire.messages import Login, Message
from relaykit.values import Ended

__all__ = [
    "BindingFailed",
    "KeyNeeded",
    "LoggedIn",
    "LoginReceived",
    "LoginRefused",
    "MessageReceived",
    "PeerPinged",
    "ProofNeeded",
    "ProofReceived",
    "ProxyRefused",
    "ProxyRegistered",
    "ProxyWithdrawn",
    "RegistrationRequested",
    "SessionEnded",
    "SessionEvent",
    "SignalReceived",
    "WorkRequested",
]


@frozen(eq=False)
class ProofNeeded:
    """To the client: what proves who it is in a message of this scope.  Answer with ``proof_made``.

    ``bound`` tells that the login is bound to its TLS session, which proves the token.
    """

    scope: Scope
    bound: bool


@frozen(eq=False)
class ProofReceived:
    """To the server: what came with a message.  Answer with ``accept_proof`` or ``refuse_proof``."""

    scope: Scope
    proof: Proof


@frozen
class LoginReceived:
    """To the server: a client asks to be let in, and what it proves holds.

    Answer with ``accept`` or ``refuse``.
    """

    login: Login


@frozen
class KeyNeeded:
    """To the client: the server agreed to a bound login.  Answer with ``key_derived``.

    ``salt`` is what the token is derived with; see
    :func:`relaykit.sansio.control.channel_binding.derive_token_key`.
    """

    salt: bytes


@frozen
class LoggedIn:
    """To the client: the server let it in.  Log in with this ``run_id`` again after a loss."""

    run_id: str
    server_version: str


@frozen
class LoginRefused:
    """To the client: the server said no.  The session has ended."""

    text: str


@frozen
class BindingFailed:
    """To the client: the login should have been bound, and is not.  The session has ended.

    ``text`` is what the peer said, which may be anybody.
    """

    why: BindingFailure
    text: str = ""


@frozen
class RegistrationRequested:
    """To the server: register this proxy.  Answer with ``registered`` or ``refuse_proxy``.

    ``fields`` is what :func:`relaykit.options.from_wire` reads.
    """

    name: str
    type: str
    fields: Mapping[str, Any] = field(repr=False)


@frozen
class ProxyRegistered:
    """To the client: this proxy is open to users at this address, empty if nothing is public."""

    name: str
    address: str


@frozen
class ProxyRefused:
    """To the client: this proxy is not open to users."""

    name: str
    text: str


@frozen
class ProxyWithdrawn:
    """To the server: the client takes this proxy back.  Not answered; the name may be unknown."""

    name: str


@frozen
class WorkRequested:
    """To the client: open one work connection."""


@frozen
class PeerPinged:
    """To the server: the client is alive.  The session has answered already."""


@frozen
class SignalReceived:
    """To both: a signal of the proxy type, for or from the proxy, or a visitor of the client's."""

    proxy_name: str
    visitor_name: str
    body: Mapping[str, Any] = field(repr=False)


@frozen
class MessageReceived:
    """To both: a message of a proxy type, one of those that the session was told to understand."""

    message: Message


@frozen
class SessionEnded:
    """To both, last, and once: close the connection after what was to be sent.

    ``text`` says more for the log, or is empty.
    """

    why: Ended
    text: str = ""


SessionEvent: TypeAlias = (
    ProofNeeded
    | ProofReceived
    | LoginReceived
    | KeyNeeded
    | LoggedIn
    | BindingFailed
    | LoginRefused
    | RegistrationRequested
    | ProxyRegistered
    | ProxyRefused
    | ProxyWithdrawn
    | WorkRequested
    | PeerPinged
    | SignalReceived
    | MessageReceived
    | SessionEnded
)
