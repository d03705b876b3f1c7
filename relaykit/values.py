"""Frozen values that every room may hold: addresses, endings, traffic, amounts, identities, secrets."""

from __future__ import annotations

import enum
import hmac
from typing import Final

from attrs import field, frozen

__all__ = [
    "HIGHEST_PORT",
    "LOST_LINGER_S",
    "MOST_DATAGRAM_BYTES",
    "NOTHING",
    "NOTHING_SEEN",
    "NO_SECRET",
    "Address",
    "Amount",
    "Balance",
    "CarrierCapabilities",
    "ClientIdentity",
    "Ended",
    "Exchange",
    "LastSeen",
    "Origin",
    "PathProtocol",
    "Reach",
    "Secret",
    "Traffic",
    "Usage",
    "host_of",
]

HIGHEST_PORT: Final = 65535
"""Ports are 16 bits wide."""

LOST_LINGER_S: Final = 0.3
"""Seconds between the end and the reset of a leg whose counterpart is lost: a reset may cost the peer what
it has not read yet.  Also how long it may take none of that.  Short: each hop of a visit waits as long."""


MOST_DATAGRAM_BYTES: Final = 65_507
"""Most payload of a datagram: what the headers of IPv4 and UDP leave of 65,535 bytes.
Source: RFC 768, RFC 791 section 3.1."""


class Secret:
    """A text that must not be seen: its ``repr`` hides it, comparisons take constant time.

    An empty secret is false.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself; never pass it to a log."""
        return self._value

    def to_bytes(self) -> bytes:
        """The text in UTF-8, as keys are derived from it."""
        return self._value.encode("utf-8", "surrogateescape")

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.to_bytes(), other.to_bytes())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


NO_SECRET: Final = Secret("")
"""The default of options: none was given.  It equals one that is empty on purpose, and is not the same."""


@frozen
class Address:
    """An IP address (text, no brackets, IPv4-mapped shown as IPv4) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def host_of(address: Address | None) -> str:
    """The host of an address; empty where that is not known."""
    return "" if address is None else address.host


@frozen
class Origin:
    """Where a user's connection came from and went to; None where it is not known.

    :ivar visitor_user: where the user of a visitor comes from, as the visitor says, whose own connection has
        ``source``.  Nobody has checked it: it is for people, never for rules.
    :ivar tlvs: what a trusted load balancer said besides, each with its type and value.  Source: haproxy.org,
        proxy-protocol.txt, section 2.2.
    """

    source: Address | None = None
    destination: Address | None = None
    visitor_user: Address | None = None
    tlvs: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        source = "unknown" if self.source is None else str(self.source)
        return (
            source if self.visitor_user is None else f"{source} for user {self.visitor_user} at the visitor"
        )


@frozen
class LastSeen:
    """What was seen last of the users of a proxy or a visitor; times are those of whoever tells.

    :ivar user: where the last one came from; None if nobody came, or that is not known.
    :ivar error: why one was not served, in words, the last time that this happened; empty for never.
    """

    user: Address | None = None
    user_at: float | None = None
    error: str = ""
    error_at: float | None = None

    def came(self, user: Address | None, now: float) -> LastSeen:
        """The same after a user came."""
        return LastSeen(user, now, self.error, self.error_at)

    def went_wrong(self, error: str, now: float) -> LastSeen:
        """The same after a user was not served."""
        return LastSeen(self.user, self.user_at, error, now)


NOTHING_SEEN = LastSeen()


class Reach(enum.Enum):
    """How far somebody gets who comes to a proxy; each has all that are before it."""

    NOBODY = "nobody"
    """The client has not answered."""
    CLIENT = "client"
    """The proxy's client."""
    SERVICE = "service"
    """The local service, which has accepted the connection."""
    ANSWER = "answer"
    """The local service, which has answered."""


class PathProtocol(enum.Enum):
    """What a direct path is made of."""

    UDP = "udp"
    TCP = "tcp"


class Ended(enum.Enum):
    """Why a leg, a flow, a session or a proxy came to its end."""

    FINISHED = "finished"
    """Both directions ended in order."""
    NEAR_LOST = "near-lost"
    """The leg where the flow began was cut."""
    FAR_LOST = "far-lost"
    """The leg that the flow was forwarded to was cut."""
    RESET = "reset"
    """The peer reset the connection."""
    TIMEOUT = "timeout"
    """The next step was not done before its deadline."""
    UNREACHABLE = "unreachable"
    """Nothing answered where this had to connect to."""
    REFUSED = "refused"
    """A rule, a quota or a credential forbade it."""
    PROTOCOL_ERROR = "protocol-error"
    """The peer broke the rules of the protocol."""
    REPLACED = "replaced"
    """The same client logged in again."""
    WITHDRAWN = "withdrawn"
    """The client took the proxy back."""
    SESSION_ENDED = "session-ended"
    """The session that it belonged to ended."""
    STOPPED = "stopped"
    """This process is stopping."""
    OPERATOR = "operator"
    """Whoever runs the server ended it."""
    CANCELLED = "cancelled"
    """Whoever asked for it changed their mind."""
    INTERNAL_ERROR = "internal-error"
    """A defect of this program; the log has a traceback."""


@frozen(kw_only=True)
class Exchange:
    """A request of a user that has been answered, or never will be.

    :ivar target: what was asked for, as it was sent: mostly a path with its query.
    :ivar status: of the answer; None if there was none.
    :ivar seconds: from the first byte of the request to the last one of the answer.
    :ivar received: bytes of the request's body.
    :ivar sent: bytes of the answer's body; less than all of them if the user left.
    """

    method: str
    target: str
    status: int | None
    seconds: float
    received: int = 0
    sent: int = 0


class Balance(enum.Enum):
    """How users are distributed; the values are those of ``loadBalancer.balance``."""

    ROUND_ROBIN = "roundRobin"
    """Members take turns, in the order in which they joined."""
    LEAST_CONNECTIONS = "leastConnections"
    """The member that has the fewest users; of several, the one whose turn it is."""
    SOURCE_ADDRESS = "sourceAddress"
    """Users from one address get one member, and most keep theirs when others come and go."""


@frozen
class Traffic:
    """What a flow moved: bytes of payload each way, how long it lasted, why it ended."""

    near_to_far: int
    far_to_near: int
    seconds: float
    ended: Ended


@frozen
class Amount:
    """Bytes from users to the client, those the other way, and connections that began."""

    bytes_in: int
    bytes_out: int
    connections: int

    def __bool__(self) -> bool:
        return bool(self.bytes_in or self.bytes_out or self.connections)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.bytes_in + other.bytes_in,
            self.bytes_out + other.bytes_out,
            self.connections + other.connections,
        )

    def since(self, before: Amount) -> Amount:
        """What has come to it since it was another one.

        Who begins anew, as a proxy under another type, has moved all of it.
        """
        if (
            self.bytes_in < before.bytes_in
            or self.bytes_out < before.bytes_out
            or self.connections < before.connections
        ):
            return self
        return Amount(
            self.bytes_in - before.bytes_in,
            self.bytes_out - before.bytes_out,
            self.connections - before.connections,
        )


NOTHING: Final = Amount(0, 0, 0)
"""Of whoever has not moved anything."""


@frozen
class ClientIdentity:
    """Who a client is to the server, for logs and rules.

    ``key`` is the public key that it proved to have, empty for none: what alone tells it from all others.
    """

    run_id: str
    user: str = ""
    client_id: str = ""
    address: Address | None = field(default=None, eq=False)
    key: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """Its name over its logins, as frp forms it; that of one login where it sent no client id."""
        name = self.client_id or self.run_id
        return f"{self.user}.{name}" if self.user else name


@frozen
class Usage:
    """What a proxy was used for, since its role has known it.

    :ivar client: whose it is, where that is not the role itself.
    """

    proxy: str
    client: ClientIdentity | None
    amount: Amount


@frozen(kw_only=True)
class CarrierCapabilities:
    """What a carrier brings along; nothing of it: one byte stream a connection, on the bind port."""

    streams: bool = False
    """Many streams over one connection, so that none are multiplexed over its own."""
    datagrams: bool = False
    """Datagrams beside each stream, which may be lost: its legs are
    :class:`relaykit.interfaces.IAccompaniedLeg`."""
    encryption: bool = False
    """Encryption and a certificate of the server, so that no TLS is put on it."""
    own_port: bool = False
    """A port of its own on the server: the key ``NAMEBindPort``, UDP."""
    race: int = 0
    """Its place where ``transport.protocol = "auto"`` tries carriers, one soon after the other: the smallest
    number first.  0: it takes no part; one that does must notice where nobody answers."""
    https: bool = False
    """Looks like HTTPS from outside, so that it is tried at the port of that, too."""
