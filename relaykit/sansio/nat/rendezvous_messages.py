"""What the two ends of a rendezvous and the relay server tell each other: messages, and their JSON form.

They travel as signals of a proxy type, in bodies with the one key :data:`KEY`, so that the type may
have signals of its own beside them.  ``call`` names the rendezvous on the way between one client and
the server: the initiator chose it, or the server did towards the responder.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.nat.checks import KEY_BYTES
from relaykit.values import Address

__all__ = [
    "FAILURE_MAX",
    "ID_MAX",
    "KEY",
    "PORTS_MAX",
    "CandidatesPassed",
    "EndReason",
    "RendezvousEnd",
    "RendezvousGrant",
    "RendezvousInvitation",
    "RendezvousMessage",
    "RendezvousRefusal",
    "RendezvousRequest",
    "from_body",
    "proof_of",
    "to_body",
]

KEY = "rendezvous"
"""The key of a signal's body."""

ID_MAX = 64
"""Most characters that name a rendezvous."""

FAILURE_MAX = 32
"""Most characters that name why punching failed."""

PORTS_MAX = 4
"""Most STUN ports that a server names."""

_PROOF_LABEL = b"relaykit rendezvous\0"


class EndReason(enum.Enum):
    """Why a rendezvous is over."""

    SETTLED = "settled"
    """This end has its path."""
    FAILED = "failed"
    """There is no path between these two."""
    CANCELLED = "cancelled"
    """Nobody waits for it any more."""
    GONE = "gone"
    """The other end is no longer there."""
    TIMEOUT = "timeout"
    """The next step was not done before its deadline."""
    BUSY = "busy"
    """The responder has as many rendezvous as it may have."""
    BROKEN = "broken"
    """One end broke the rules."""


class _Message(msgspec.Struct, frozen=True, tag_field="do"):
    id: str

    def __repr__(self) -> str:
        # Some carry a key, or the proof of a secret.
        return f"{type(self).__name__}(id={self.id!r})"


class RendezvousRequest(_Message, frozen=True, tag="request"):
    """Initiator to server: it wishes to meet the client of the proxy that the signal is for.

    ``proof`` is :func:`proof_of` the proxy's secret.
    """

    proof: bytes = b""


class RendezvousGrant(_Message, frozen=True, tag="grant"):
    """Server to initiator: the responder is invited.

    ``key`` is for this rendezvous only, ``seen_as`` where the receiver's control connection comes from,
    ``stun_ports`` where the server answers STUN.
    """

    key: bytes
    seen_as: Address | None = None
    stun_ports: tuple[int, ...] = ()


class RendezvousRefusal(_Message, frozen=True, tag="refusal"):
    """Server to initiator: no.  ``code`` is a :class:`relaykit.errors.RefusalCode`'s value."""

    code: str = ""
    text: str = ""


class RendezvousInvitation(_Message, frozen=True, tag="invitation"):
    """Server to responder: an initiator was let in, whose candidates follow.

    Fields as those of :class:`RendezvousGrant`.
    """

    key: bytes
    seen_as: Address | None = None
    stun_ports: tuple[int, ...] = ()


class CandidatesPassed(_Message, frozen=True, tag="candidates"):
    """Either end to the other, through the server.

    ``candidates`` are those of :class:`relaykit.sansio.nat.exchange.Candidates` in JSON.

    ``seen_at`` is added by the server: the host that the sender's control connection comes from.
    """

    candidates: dict[str, Any]
    seen_at: str = ""


class RendezvousEnd(_Message, frozen=True, tag="end"):
    """Either way: the rendezvous is over for the sender.

    ``failure`` is a :class:`relaykit.sansio.nat.punching.FailureReason`'s value, where punching failed.
    """

    why: EndReason
    failure: str = ""


RendezvousMessage: TypeAlias = (
    RendezvousRequest
    | RendezvousGrant
    | RendezvousRefusal
    | RendezvousInvitation
    | CandidatesPassed
    | RendezvousEnd
)


def to_body(message: RendezvousMessage) -> dict[str, Any]:
    """The body of the signal that carries a message."""
    return {KEY: msgspec.to_builtins(message)}


def from_body(body: Mapping[str, Any]) -> RendezvousMessage | None:
    """The message that a signal carries; None if the signal is about something else.

    :raises RemoteProtocolError: it is none, or an impossible one.
    """
    if KEY not in body:
        return None
    try:
        message: RendezvousMessage = msgspec.convert(body[KEY], RendezvousMessage)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise RemoteProtocolError(f"a message of a rendezvous cannot be read: {error}") from error
    if not 0 < len(message.id) <= ID_MAX:
        raise RemoteProtocolError("a message of a rendezvous names none")
    if isinstance(message, RendezvousEnd) and len(message.failure) > FAILURE_MAX:
        raise RemoteProtocolError("a failure that has no name")
    if isinstance(message, RendezvousGrant | RendezvousInvitation):
        if len(message.key) != KEY_BYTES:
            raise RemoteProtocolError(f"a key of {len(message.key)} bytes")
        if len(message.stun_ports) > PORTS_MAX or not all(0 < port < 65536 for port in message.stun_ports):
            raise RemoteProtocolError("STUN ports that do not exist, or too many")
    return message


def proof_of(secret: bytes, client: str, id_: str) -> bytes:
    """The proof that an initiator knows a secret, good for one call of the client with this run id."""
    return hmac.digest(secret, _PROOF_LABEL + client.encode() + b"\0" + id_.encode(), hashlib.sha256)
