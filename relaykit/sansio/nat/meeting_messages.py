"""What the two ends of a meeting and the relay server tell each other: messages, and their JSON form.

They travel as signals of a proxy type, in bodies with the one key :data:`KEY`, so that the type may
have signals of its own beside them.  ``call`` names the meeting on the way between one client and
the server: the caller chose it, or the server did towards the callee.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.nat.knocks import KEY_BYTES
from relaykit.values import Address

__all__ = [
    "CALL_MAX",
    "FAILURE_MAX",
    "KEY",
    "PORTS_MAX",
    "Call",
    "Declined",
    "EndOfMeeting",
    "EndReason",
    "Granted",
    "Invitation",
    "MeetingMessage",
    "OfferPassed",
    "from_body",
    "proof_of",
    "to_body",
]

KEY = "meeting"
"""The key of a signal's body."""

CALL_MAX = 64
"""Most characters that name a meeting."""

FAILURE_MAX = 32
"""Most characters that name why punching failed."""

PORTS_MAX = 4
"""Most STUN ports that a server names."""

_PROOF_LABEL = b"relaykit meeting\0"


class EndReason(enum.Enum):
    """Why a meeting is over."""

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
    """The callee has as many meetings as it may have."""
    BROKEN = "broken"
    """One end broke the rules."""


class _Message(msgspec.Struct, frozen=True, tag_field="do"):
    call: str


class Call(_Message, frozen=True, tag="call"):
    """Caller to server: it wishes to meet the client of the proxy that the signal is for.

    ``proof`` is :func:`proof_of` the proxy's secret.
    """

    proof: bytes = b""


class Granted(_Message, frozen=True, tag="granted"):
    """Server to caller: the callee is invited.

    ``key`` is for this meeting only, ``seen_as`` where the receiver's control connection comes from,
    ``stun_ports`` where the server answers STUN.
    """

    key: bytes
    seen_as: Address | None = None
    stun_ports: tuple[int, ...] = ()


class Declined(_Message, frozen=True, tag="declined"):
    """Server to caller: no.  ``code`` is a :class:`relaykit.errors.RefusalCode`'s value."""

    code: str = ""
    text: str = ""


class Invitation(_Message, frozen=True, tag="invitation"):
    """Server to callee: a caller was let in, whose offer follows.  Fields as those of :class:`Granted`."""

    key: bytes
    seen_as: Address | None = None
    stun_ports: tuple[int, ...] = ()


class OfferPassed(_Message, frozen=True, tag="offer"):
    """Either end to the other, through the server: a :class:`relaykit.sansio.nat.offers.Offer`'s JSON form.

    ``seen_at`` is added by the server: the host that the sender's control connection comes from.
    """

    offer: dict[str, Any]
    seen_at: str = ""


class EndOfMeeting(_Message, frozen=True, tag="end"):
    """Either way: the meeting is over for the sender.

    ``failure`` is a :class:`relaykit.sansio.nat.punching.FailureReason`'s value, where punching failed.
    """

    why: EndReason
    failure: str = ""


MeetingMessage: TypeAlias = Call | Granted | Declined | Invitation | OfferPassed | EndOfMeeting


def to_body(message: MeetingMessage) -> dict[str, Any]:
    """The body of the signal that carries a message."""
    return {KEY: msgspec.to_builtins(message)}


def from_body(body: Mapping[str, Any]) -> MeetingMessage | None:
    """The message that a signal carries; None if the signal is about something else.

    :raises RemoteProtocolError: it is none, or an impossible one.
    """
    if KEY not in body:
        return None
    try:
        message: MeetingMessage = msgspec.convert(body[KEY], MeetingMessage)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise RemoteProtocolError(f"a message of a meeting cannot be read: {error}") from error
    if not 0 < len(message.call) <= CALL_MAX:
        raise RemoteProtocolError("a message of a meeting names none")
    if isinstance(message, EndOfMeeting) and len(message.failure) > FAILURE_MAX:
        raise RemoteProtocolError("a failure that has no name")
    if isinstance(message, Granted | Invitation):
        if len(message.key) != KEY_BYTES:
            raise RemoteProtocolError(f"a key of {len(message.key)} bytes")
        if len(message.stun_ports) > PORTS_MAX or not all(0 < port < 65536 for port in message.stun_ports):
            raise RemoteProtocolError("STUN ports that do not exist, or too many")
    return message


def proof_of(secret: bytes, client: str, call: str) -> bytes:
    """The proof that a caller knows a secret, good for one call of the client with this run id."""
    return hmac.digest(secret, _PROOF_LABEL + client.encode() + b"\0" + call.encode(), hashlib.sha256)
