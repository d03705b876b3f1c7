"""Every exception that relaykit raises on purpose.

A user-facing message says what happened, where, and what to do.  A text that is sent to the peer
never contains internals.
"""

from __future__ import annotations

import enum

from relaykit.values import Ended

__all__ = [
    "BindingFailedError",
    "BrokenProxyType",
    "ConfigurationError",
    "ConnectionFailed",
    "DuplicateProxyType",
    "LocalProtocolError",
    "LoginRefusedError",
    "MeetingFailed",
    "MeetingRefusedError",
    "NoWorkConnection",
    "OutOfDescriptors",
    "PluginError",
    "ProtocolError",
    "ProxyRefusedError",
    "RefusalCode",
    "RefusedError",
    "RelaykitError",
    "RemoteProtocolError",
    "SessionLost",
    "TransportSecurityError",
    "UnknownProxyType",
    "VisitRefusedError",
    "ended_by",
]


class RelaykitError(Exception):
    """The root: catch this to catch whatever relaykit raises on purpose."""


class ConfigurationError(RelaykitError):
    """The configuration cannot be used; ``problems`` holds each reason.

    Subclasses and formatting are in :mod:`relaykit.config`.
    """


class ProtocolError(RelaykitError):
    """Somebody broke the rules of a protocol."""


class LocalProtocolError(ProtocolError):
    """This program used a core in a way that the protocol forbids: a defect here."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules: tell it where the protocol allows, and close."""


class RefusalCode(enum.Enum):
    """Why a login, a registration or a visit was refused; the machine-readable half."""

    BAD_CREDENTIALS = "bad-credentials"
    IDENTITY_IN_USE = "identity-in-use"
    RUN_ID_IN_USE = "run-id-in-use"
    NAME_IN_USE = "name-in-use"
    UNKNOWN_TYPE = "unknown-type"
    BAD_OPTIONS = "bad-options"
    PORT_IN_USE = "port-in-use"
    PORT_NOT_ALLOWED = "port-not-allowed"
    PORT_UNAVAILABLE = "port-unavailable"
    TOO_MANY_PORTS = "too-many-ports"
    UNKNOWN_PROXY = "unknown-proxy"
    USER_NOT_ALLOWED = "user-not-allowed"
    UNKNOWN_SESSION = "unknown-session"
    TOO_MANY = "too-many"
    NOT_AVAILABLE = "not-available"
    OTHER = "other"


class RefusedError(RelaykitError):
    """The server's no; ``text`` is what the peer is told (frp's words where frp has some)."""

    def __init__(self, code: RefusalCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class LoginRefusedError(RefusedError):
    """The server does not let this client in."""


class ProxyRefusedError(RefusedError):
    """The server does not expose this proxy."""


class VisitRefusedError(RefusedError):
    """The server does not connect this visit."""


class MeetingRefusedError(RefusedError):
    """The server does not let a visitor meet the proxy's client."""


class MeetingFailed(RelaykitError):
    """Two clients did not come to a direct path; ``reason`` tells why, None if it is not known."""

    def __init__(self, text: str, reason: enum.Enum | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class NoWorkConnection(RelaykitError):
    """The client offered no work connection before the deadline."""


class SessionLost(RelaykitError):
    """The session that this belonged to ended."""


class ConnectionFailed(RelaykitError):
    """A connection could not be made; the text says where to and why."""


class OutOfDescriptors(ConnectionFailed):
    """A connection could not be made because this process has too many; the log has told of that once."""


class TransportSecurityError(RelaykitError):
    """TLS could not be agreed, or the peer's certificate is not the expected one."""


class BindingFailedError(RelaykitError):
    """A login should have been bound to its TLS session, and is not; the text names what may be the cause."""


class PluginError(RelaykitError):
    """A proxy type cannot be used."""


class UnknownProxyType(PluginError):
    """No installed package provides this type."""


class DuplicateProxyType(PluginError):
    """Two installed packages provide a type of the same name."""


class BrokenProxyType(PluginError):
    """The module of this type cannot be imported, or is not what it says it is."""


_ENDINGS: tuple[tuple[type[Exception], Ended], ...] = (
    (RefusedError, Ended.REFUSED),
    (BindingFailedError, Ended.REFUSED),
    (ProtocolError, Ended.PROTOCOL_ERROR),
    (TransportSecurityError, Ended.PROTOCOL_ERROR),
    (NoWorkConnection, Ended.TIMEOUT),
    (SessionLost, Ended.SESSION_ENDED),
    (ConnectionFailed, Ended.UNREACHABLE),
    (OSError, Ended.UNREACHABLE),
)


def ended_by(error: BaseException) -> Ended:
    """Why something came to its end that this error ended; what nobody raises on purpose is a defect."""
    return next((ended for kind, ended in _ENDINGS if isinstance(error, kind)), Ended.INTERNAL_ERROR)
