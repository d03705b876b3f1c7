"""What the two ends of a login can prove beyond frp's digest of the token, on one connection."""

from __future__ import annotations

import enum

from attrs import field, frozen

from relaykit.sansio.control.channel_binding import EXPORTER_LENGTH
from relaykit.sansio.control.extensions import BOUND, IDENTITY
from relaykit.sansio.control.identity import Signer

__all__ = [
    "NOTHING_PROVEN",
    "NO_PROOFS",
    "BindingFailure",
    "BoundLogin",
    "ClientProofs",
    "PeerProof",
    "ServerProofs",
]


class BoundLogin(enum.Enum):
    """The setting ``auth.bound``; the values are those of the configuration."""

    PREFER = "prefer"
    """Where both ends can."""
    REQUIRE = "require"
    """Or no login."""
    OFF = "off"


class PeerProof(enum.Enum):
    """How the other end of a session has shown to be the one that is meant, in this very TLS session."""

    TOKEN = "token"
    """It has the token: the login is bound."""
    CERTIFICATE = "certificate"
    """It has a certificate that was asked for."""
    INSIDE = "inside"
    """It is a part of the same process, so that nobody can be in between."""
    NONE = "none"
    """Not at all: somebody else may be in between."""


class BindingFailure(enum.Enum):
    """Why a login that should have been bound came to nothing."""

    NOT_AGREED = "not agreed"
    """The server did not choose it; nothing was proven to it."""
    REFUSED = "refused"
    """The server said no, and did not prove to be the server."""
    NOT_PROVEN = "not proven"
    """The server said yes, and did not prove to be the server."""


@frozen(kw_only=True)
class ClientProofs:
    """The client's half.

    :ivar exporter: what tells the TLS session from any other; empty without TLS 1.3.
    :ivar signer: the client's identity, if it has one.
    :ivar bound: whether the login is to be bound, which takes an exporter and a token.
    :ivar stands_by: take nothing from another client with the same identity that is alive.
    """

    exporter: bytes = field(default=b"", repr=False)
    signer: Signer | None = field(default=None, repr=False)
    bound: BoundLogin = BoundLogin.OFF
    stands_by: bool = False

    @property
    def extensions(self) -> frozenset[str]:
        """What is offered in the hello."""
        found = set()
        if self.signer is not None:
            found.add(IDENTITY)
        if self.bound is not BoundLogin.OFF and len(self.exporter) == EXPORTER_LENGTH:
            found.add(BOUND)
        return frozenset(found)


NOTHING_PROVEN = ClientProofs()
"""For a client that has only the token."""


@frozen(kw_only=True)
class ServerProofs:
    """The server's half.

    :ivar exporter: as for the client.
    :ivar token_key: the token's derived key; needed where a bound login was agreed on.
    :ivar required: whether a login that is not bound is refused.
    """

    exporter: bytes = field(default=b"", repr=False)
    token_key: bytes = field(default=b"", repr=False)
    required: bool = False


NO_PROOFS = ServerProofs()
"""For a server that takes frp's logins only."""
