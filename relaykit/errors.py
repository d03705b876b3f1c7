"""Every exception that relaykit raises on purpose.

A user-facing message says what happened, where, and what to do.  A text that is sent to the peer
never contains internals.
"""

from __future__ import annotations

import enum

from relaykit.values import Ended

__all__ = [
    "REFUSALS",
    "AnsweredError",
    "BindingFailedError",
    "BrokenCarrier",
    "BrokenPolicy",
    "BrokenProxyType",
    "CheckFailedError",
    "ConfigurationError",
    "ConnectionFailed",
    "CredentialError",
    "DuplicateCarrier",
    "DuplicatePolicy",
    "DuplicateProxyType",
    "ForwardProxyError",
    "HolePunchingError",
    "LocalProtocolError",
    "LoginRefusedError",
    "NoPluginAnswer",
    "NoWayError",
    "NoWorkConnection",
    "NoWorkConnectionInTime",
    "OutOfDescriptors",
    "PeerUnprovenError",
    "PluginError",
    "ProtocolError",
    "ProxyRefusedError",
    "QuicUnavailableError",
    "RefusalCode",
    "RefusedByPolicy",
    "RefusedError",
    "RelaykitError",
    "RemoteProtocolError",
    "RendezvousFailedError",
    "RendezvousRefusedError",
    "SessionLost",
    "TransportSecurityError",
    "UnansweredError",
    "UnknownCarrier",
    "UnknownPolicy",
    "UnknownProxyType",
    "UnknownVisitorError",
    "UnsuitablePathError",
    "VirtualNetworkError",
    "VisitRefusedError",
    "ended_by",
    "problem_of",
]


class RelaykitError(Exception):
    """The root: catch this to catch whatever relaykit raises on purpose.

    :ivar problem: the id of the known problem that this is a case of, as :func:`problem_of` and the fields of
        log events have it; empty for none.
    """

    problem: str = ""

    def __init__(self, *args: object, problem: str = "") -> None:
        super().__init__(*args)
        if problem:
            self.problem = problem


class ConfigurationError(RelaykitError):
    """The configuration cannot be used; ``problems`` holds each reason.

    Subclasses and formatting are in :mod:`relaykit.config`.
    """


class ProtocolError(RelaykitError):
    """Somebody broke the rules of a protocol."""

    problem = "broke-the-rules"


class LocalProtocolError(ProtocolError):
    """This program used a core in a way that the protocol forbids: a defect here."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules: tell it where the protocol allows, and close."""


class AnsweredError(RemoteProtocolError):
    """The peer broke the rules and was told why: its connection is closed so that the answer arrives."""


class RefusalCode(enum.Enum):
    """Why a login, a registration or a visit was refused; the machine-readable half."""

    BAD_CREDENTIALS = "bad-credentials"
    IDENTITY_IN_USE = "identity-in-use"
    RUN_ID_IN_USE = "run-id-in-use"
    NAME_IN_USE = "name-in-use"
    UNKNOWN_TYPE = "unknown-type"
    BAD_OPTIONS = "bad-options"
    PORT_IN_USE = "port-in-use"
    ROUTE_IN_USE = "route-in-use"
    PORT_NOT_ALLOWED = "port-not-allowed"
    PORT_UNAVAILABLE = "port-unavailable"
    TOO_MANY_PORTS = "too-many-ports"
    GROUP_MISMATCH = "group-mismatch"
    UNKNOWN_PROXY = "unknown-proxy"
    USER_NOT_ALLOWED = "user-not-allowed"
    UNKNOWN_SESSION = "unknown-session"
    TOO_MANY = "too-many"
    NOT_AVAILABLE = "not-available"
    POLICY = "policy"
    OTHER = "other"


class RefusedError(RelaykitError):
    """The server's no; ``text`` is what the peer is told (frp's words where frp has some)."""

    def __init__(self, code: RefusalCode, text: str) -> None:
        super().__init__(text, problem=problem_of(text))
        self.code = code
        self.text = text


class LoginRefusedError(RefusedError):
    """The server does not let this client in."""


class ProxyRefusedError(RefusedError):
    """The server does not expose this proxy."""


class VisitRefusedError(RefusedError):
    """The server does not connect this visit."""


class RefusedByPolicy(RefusedError):
    """A policy of the server says no; an empty text is replaced, as frp's clients take it for a yes."""

    def __init__(self, text: str) -> None:
        super().__init__(RefusalCode.POLICY, text or "refused by a policy of the server")


class NoPluginAnswer(RelaykitError):
    """A plugin over HTTP has not answered, or not so that it counts; the text says why."""

    problem = "http-plugin"


class RendezvousRefusedError(RefusedError):
    """The server does not let a visitor meet the proxy's client."""


class RendezvousFailedError(RelaykitError):
    """Two clients did not come to a direct path; ``reason`` tells why, None if it is not known."""

    problem = "rendezvous-failed"

    def __init__(self, text: str, reason: enum.Enum | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class HolePunchingError(RelaykitError):
    """A hole as frp's clients punch them was not to be had; the text says why."""

    problem = "hole-punching"


class UnknownVisitorError(RelaykitError):
    """A user was to be given to a visitor that is not there."""

    problem = "no-such-visitor"


class UnsuitablePathError(RelaykitError):
    """A direct path cannot carry what was asked of it."""

    problem = "hole-punching"


class PeerUnprovenError(RelaykitError):
    """The other end of a direct path did not show that it knows the secret."""

    problem = "peer-unproven"


class QuicUnavailableError(RelaykitError):
    """QUIC was asked for, and no library for it is installed; the text names the extra that brings one."""

    problem = "no-quic"


class NoWorkConnection(RelaykitError):
    """A user, or who speaks for one, gets no work connection; the text says why."""

    problem = "no-work-connection"


class NoWorkConnectionInTime(NoWorkConnection):
    """The client offered none before the deadline."""


class SessionLost(RelaykitError):
    """The session that this belonged to ended."""

    problem = "session-ended"


class ConnectionFailed(RelaykitError):
    """A connection could not be made; the text says where to and why."""

    problem = "cannot-connect"


class NoWayError(ConnectionFailed):
    """No carrier leads to the server; the text says what happened by each."""

    problem = "no-way"


class ForwardProxyError(ConnectionFailed):
    """A forward proxy that the way leads through cannot be used, or said no; the text names it, and why."""

    problem = "proxy-refused"


class UnansweredError(ConnectionFailed):
    """A work connection ended before one byte came back, as it does where there is no local service."""

    problem = "local-service"


class CheckFailedError(RelaykitError):
    """A local service can be reached, and does not serve; the text says why."""

    problem = "health-check"


class OutOfDescriptors(ConnectionFailed):
    """A connection could not be made because this process has too many; the log has told of that once."""

    problem = "too-many-files"


class TransportSecurityError(RelaykitError):
    """TLS could not be agreed, or the peer's certificate is not the expected one."""

    problem = "tls-failed"


class BindingFailedError(RelaykitError):
    """A login should have been bound to its TLS session, and is not; the text names what may be the cause."""

    problem = "bound-login"


class CredentialError(RelaykitError):
    """What proves who this client is cannot be had; the text says from where, and why."""

    problem = "no-credential"


class VirtualNetworkError(RelaykitError):
    """The device of the virtual network cannot be made; the text says why, and what to do."""

    problem = "virtual-network"


class PluginError(RelaykitError):
    """A proxy type, a carrier or a policy cannot be used."""

    problem = "broken-type"


class UnknownProxyType(PluginError):
    """No installed package provides this type."""

    problem = "unknown-type"


class DuplicateProxyType(PluginError):
    """Two installed packages provide a type of the same name."""


class BrokenProxyType(PluginError):
    """The module of this type cannot be imported, or is not what it says it is."""


class UnknownPolicy(PluginError):
    """No installed package provides this policy."""


class DuplicatePolicy(PluginError):
    """Two installed packages provide a policy of the same name."""


class BrokenPolicy(PluginError):
    """The module of this policy cannot be imported, or is not what it says it is."""


class UnknownCarrier(PluginError):
    """No installed package provides this carrier."""


class DuplicateCarrier(PluginError):
    """Two installed packages provide a carrier of the same name."""


class BrokenCarrier(PluginError):
    """The module of this carrier cannot be imported, or is not what it says it is."""


_ENDINGS: tuple[tuple[type[Exception], Ended], ...] = (
    (RefusedError, Ended.REFUSED),
    (BindingFailedError, Ended.REFUSED),
    (CredentialError, Ended.REFUSED),
    (ProtocolError, Ended.PROTOCOL_ERROR),
    (TransportSecurityError, Ended.PROTOCOL_ERROR),
    (NoWorkConnection, Ended.TIMEOUT),
    (HolePunchingError, Ended.UNREACHABLE),
    (UnknownVisitorError, Ended.UNREACHABLE),
    (SessionLost, Ended.SESSION_ENDED),
    (ConnectionFailed, Ended.UNREACHABLE),
    (OSError, Ended.UNREACHABLE),
)


def ended_by(error: BaseException) -> Ended:
    """Why something came to its end that this error ended; what nobody raises on purpose is a defect."""
    return next((ended for kind, ended in _ENDINGS if isinstance(error, kind)), Ended.INTERNAL_ERROR)


REFUSALS: tuple[tuple[str, str], ...] = (
    ("or TLS is ended in between", "bound-login"),
    ("requires a bound login", "bound-login"),
    ("doesn't match token from configuration", "wrong-token"),
    ("invalid OIDC token in", "oidc-token"),
    ("different OIDC subject", "oidc-token"),
    ("invalid ping", "wrong-token"),
    ("client with the same identity is online", "same-identity"),
    ("is already online", "already-online"),
    ("belongs to another client, which is online", "already-online"),
    ("control was replaced during login", "already-online"),
    ("what this client asks for is not free yet", "already-online"),
    ("could not be verified in time", "no-credential"),
    ("the server failed; its log says why", "server-failed"),
    ("too many logins from this address", "too-many-logins"),
    ("missing v2 crypto negotiation", "not-a-relay-server"),
    ("invalid NewWorkConn", "work-connections"),
    ("no client control found for run id", "work-connections"),
    ("client control for run id", "work-connections"),
    ("does not belong to the session of run id", "work-connections"),
    ("control manager is closed", "work-connections"),
    ("work connection pool is full", "work-connections"),
    ("] already exists", "name-in-use"),
    ("was closed while it was being opened", "name-in-use"),
    ("group auth failed", "group-key"),
    ("group should have same remote port", "group-mismatch"),
    ("group params invalid", "group-mismatch"),
    ("] is balanced by", "group-mismatch"),
    ("port already used", "port-in-use"),
    ("port not allowed", "port-not-allowed"),
    ("exceed the max_ports_per_client", "port-not-allowed"),
    ("ports are open for proxies", "too-many-files"),
    ("proxies, more are not taken", "too-many-proxies"),
    ("need CAP_NET_BIND_SERVICE", "privileged-port"),
    ("port unavailable", "port-unavailable"),
    ("no available port", "port-unavailable"),
    ("router config conflict", "domain-in-use"),
    ("should not belong to subdomain host", "domain-refused"),
    ("subdomain is not supported because", "no-sub-domain-host"),
    ("are not supported in subdomain", "domain-refused"),
    ("custom domain [", "domain-refused"),
    ("port is not set", "no-vhost-port"),
    ("not supported because this feature is not enabled", "no-vhost-port"),
    ("unknown proxy type", "unknown-type"),
    ("cannot be used on this server", "unknown-type"),
    ("] auth failed", "visit-secret"),
    ("not enough addresses", "hole-refused"),
    ("too many addresses", "hole-refused"),
    ("an address that is not ip:port", "hole-refused"),
    ("] not allowed", "visit-user"),
    ("custom listener for [", "visit-nobody"),
    ("the visitor's client is not logged in", "visit-nobody"),
    ("register visitor conn error", "visit-refused"),
    ("takes no signals", "signals"),
    ("knows of no rendezvous", "no-rendezvous"),
    ("rendezvous are asked for too often", "too-many-rendezvous"),
    ("too many rendezvous", "too-many-rendezvous"),
    ("this rendezvous was asked for already", "rendezvous-refused"),
    ("the server did not answer within", "visit-refused"),
    ("must be given, and not be empty", "no-secret"),
    ("a plugin of the server gave no answer", "http-plugin"),
    ("proxy [", "start-error"),
)
"""Parts of refusals, and the known problem of each.

The wire carries the text of a refusal and no code: frp's words, and ours in their manner, are the key.
Source: frp's server."""

_SYSTEM: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "file-not-found"),
    (PermissionError, "file-permission"),
)


def problem_of(cause: BaseException | str | None, otherwise: str = "") -> str:
    """The id of the known problem behind an error, or behind the text of a refusal.

    :param otherwise: is answered where it has none.
    """
    if isinstance(cause, str):
        return next((problem for part, problem in REFUSALS if part in cause), otherwise)
    if isinstance(cause, RelaykitError):
        return cause.problem or otherwise
    system = next((problem for kind, problem in _SYSTEM if isinstance(cause, kind)), "")
    return system or ("open-file" if getattr(cause, "filename", None) and not otherwise else otherwise)
