"""The datagrams of a punch: forty bytes, authenticated, of one session and one direction.

::

     0  kind      8 probe, 9 answer, 10 nomination, 11 acceptance
     1  "rk1"
     4  session   8 bytes made from the key: what is not ours is recognized without cryptography
    12  token     8 bytes that only the sender of a probe can make; the answer repeats them
    20  stamp     when the probe was sent, in the sender's milliseconds; the answer repeats it
    24  tag       16 bytes of HMAC-SHA256 over all that, by the key of the sender's direction

The first byte is neither STUN's (0 to 3) nor QUIC's (64 and above), so that all three share a
socket.  A probe and its answer have one size: nobody is amplified.

Source: RFC 9443 (first bytes), RFC 8445 7 (checks, answers, nomination), RFC 2104.
"""

from __future__ import annotations

import enum
import hmac
import struct
from collections.abc import Sequence

from attrs import frozen

from relaykit.sansio.contract import Buffer
from relaykit.values import Address

__all__ = [
    "CHECK_BYTES",
    "GENERATION_MAX",
    "KEY_BYTES",
    "Check",
    "CheckKeys",
    "CheckKind",
    "PeerRole",
    "has_check",
    "is_check",
    "milliseconds",
]

CHECK_BYTES = 40
"""Size of every datagram of a punch."""

KEY_BYTES = 32
"""Size of the key that the rendezvous gives both ends, fresh for each session."""

GENERATION_MAX = 8
"""Most times that one session begins anew with other ports."""

_HEAD = struct.Struct("!B3s8s8sI")
_MARK = b"rk1"
_TAG_BYTES = 16


class PeerRole(enum.Enum):
    """Which end this is: the initiator wanted the path and chooses it."""

    INITIATOR = "initiator"
    RESPONDER = "responder"

    @property
    def other(self) -> PeerRole:
        """The peer's role."""
        return PeerRole.RESPONDER if self is PeerRole.INITIATOR else PeerRole.INITIATOR


class CheckKind(enum.IntEnum):
    """What a datagram says."""

    PROBE = 8
    """"Do you hear me?"."""
    ANSWER = 9
    """"I heard you"."""
    NOMINATION = 10
    """The initiator: "this path shall it be"."""
    ACCEPTANCE = 11
    """The responder: "agreed"."""


@frozen
class Check:
    """What a datagram of the peer says, its tag checked."""

    kind: CheckKind
    token: bytes
    stamp: int


class CheckKeys:
    """The keys of one session, as one of its two ends has them."""

    __slots__ = ("_own", "_peer", "_prefix", "_tokens")

    def __init__(self, key: bytes, role: PeerRole, token_key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a session key has {KEY_BYTES} bytes")
        self._own = hmac.digest(key, b"relaykit punch " + role.value.encode(), "sha256")
        self._peer = hmac.digest(key, b"relaykit punch " + role.other.value.encode(), "sha256")
        self._prefix = _MARK + hmac.digest(key, b"relaykit punch session", "sha256")[:8]
        self._tokens = token_key

    def token(self, path: bytes) -> bytes:
        """The token of a path; nothing needs to be remembered to know it again."""
        return hmac.digest(self._tokens, path, "sha256")[:8]

    def token_of(self, via: int, address: Address) -> bytes:
        """The token of the path from a socket to an address."""
        return self.token(f"{via} {address}".encode())

    def seal(self, kind: CheckKind, token: bytes, stamp: int) -> bytes:
        """Writes a datagram to the peer."""
        head = _HEAD.pack(kind, self._prefix[:3], self._prefix[3:], token, stamp & 0xFFFFFFFF)
        return head + hmac.digest(self._own, head, "sha256")[:_TAG_BYTES]

    def open(self, data: Buffer) -> Check | None:
        """Reads a datagram of the peer; None if it is not the peer's, which costs next to nothing."""
        if len(data) != CHECK_BYTES or bytes(data[1:12]) != self._prefix or not 8 <= data[0] <= 11:
            return None
        head = bytes(data[: _HEAD.size])
        tag = hmac.digest(self._peer, head, "sha256")[:_TAG_BYTES]
        if not hmac.compare_digest(tag, bytes(data[_HEAD.size :])):
            return None
        kind, _, _, token, stamp = _HEAD.unpack(head)
        return Check(CheckKind(kind), token, stamp)


def is_check(data: Buffer) -> bool:
    """Whether a datagram on a shared socket belongs to some punch, by its first bytes."""
    return len(data) == CHECK_BYTES and 8 <= data[0] <= 11 and bytes(data[1:4]) == _MARK


def has_check(datagrams: Sequence[bytes]) -> bool:
    """Whether one of several is one.  Nearly always their sizes tell that none is, in no time."""
    return CHECK_BYTES in map(len, datagrams) and any(map(is_check, datagrams))


def milliseconds(now: float) -> int:
    """The stamp of a moment."""
    return int(now * 1000) & 0xFFFFFFFF
