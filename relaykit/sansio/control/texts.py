"""What a server tells clients that it refuses, in frp's words, because scripts look for them."""

from __future__ import annotations

from attrs import frozen

from relaykit.escaping import shown, told

__all__ = [
    "ALREADY_ONLINE",
    "BINDING_REQUIRED",
    "DETAILED",
    "FAILED",
    "HELD_TOO_LONG",
    "IDENTITY_IN_USE",
    "MISSING_HELLO",
    "NOT_BOUND",
    "NOT_OF_THIS_SESSION",
    "POOL_FULL",
    "REPLACED_DURING_LOGIN",
    "RUN_ID_IN_USE",
    "STOPPED",
    "TOO_MANY_LOGINS",
    "UNKNOWN_SESSION",
    "UNVERIFIED",
    "WRONG_TOKEN",
    "PeerTexts",
]

ALREADY_ONLINE = "client_id [{client_id}] for user [{user}] is already online"
"""To a login whose client id belongs to another session; to be formatted."""

RUN_ID_IN_USE = "run id [{run_id}] belongs to another client, which is online"
"""To a login with the run id of another session that is alive; to be formatted."""

IDENTITY_IN_USE = (
    "another client with the same identity is online, from {origin}: was a state directory copied?"
)
"""To a login that takes nothing from a live client, whose identity another one uses; to be formatted."""

BINDING_REQUIRED = 'this server requires a bound login (auth.bound = "require")'
"""To a login that is not bound."""

WRONG_TOKEN = "token in login doesn't match token from configuration"
"""To a login with another token."""

NOT_BOUND = f"{WRONG_TOKEN}, or TLS is ended in between by somebody else"
"""To a bound login whose proof is not that of this server's token and this TLS session.

It begins with what frp says to a wrong token."""

NOT_OF_THIS_SESSION = "this connection does not belong to the session of run id [{run_id}]"
"""To a work connection or a visit that names a session and does not come as that demands; to be formatted."""

UNVERIFIED = "what proves who this client is could not be verified in time"
"""To a login or a ping about which nobody has decided."""

TOO_MANY_LOGINS = "too many logins from this address, try again in a moment"
"""To a login that is not looked at, because so many came before it."""

HELD_TOO_LONG = "what this client asks for is not free yet, try again in a moment"
"""To a login that would take over from somebody who does not let go."""

REPLACED_DURING_LOGIN = "control was replaced during login"
"""To a login that another one with the same run id has overtaken."""

FAILED = "the server failed; its log says why"
"""To whatever a defect of the server kept it from answering."""

MISSING_HELLO = "missing v2 crypto negotiation"
"""To a login in wire v2 that came without a hello."""

POOL_FULL = "work connection pool is full, discarding"
"""To a work connection that nobody needs."""

UNKNOWN_SESSION = "no client control found for run id [{run_id}]"
"""To a work connection or a visit whose run id nobody has; to be formatted."""

STOPPED = "control manager is closed"
"""To whatever comes while the server stops."""


@frozen
class PeerTexts:
    """Chooses between the reason and a fixed summary (``detailedErrorsToClient``).

    A reason may repeat what the peer sent: it is told in one line that always fits into a message.
    """

    detailed: bool = True

    def login(self, reason: str) -> str:
        """For a refused login."""
        return told(reason) if self.detailed else "register control error"

    def work(self, reason: str) -> str:
        """For a refused work connection."""
        return told(reason) if self.detailed else "invalid NewWorkConn"

    def visit(self, reason: str) -> str:
        """For a refused visit."""
        return told(reason) if self.detailed else "register visitor conn error"

    def proxy(self, name: str, reason: str) -> str:
        """For a refused proxy."""
        return told(reason) if self.detailed else f"new proxy [{shown(name)}] error"

    def ping(self, reason: str) -> str:
        """For a refused heartbeat."""
        return told(reason) if self.detailed else "invalid ping"


DETAILED = PeerTexts()
"""Tells every reason; frp's default."""
