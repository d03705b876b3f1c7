"""What a STUN server answers: who sees what, from which of its sockets, and how often.

It serves RFC 8489 Binding, the behavior discovery of RFC 5780 as far as its addresses allow, and
clients of RFC 3489.  It keeps nothing but the rate of each asking address.

An answer is at most :data:`AMPLIFICATION_MAX` times as large on the wire as its question, so that
forged questions gain nothing; RFC 5780's own attributes are exempt where the question asks for them, up to
:data:`BEHAVIOR_AMPLIFICATION_MAX`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat import stun
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.stun import Attribute, Change, StunClass, StunMessage
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of_host
from relaykit.values import Address

__all__ = [
    "ADDRESSES_MAX",
    "AMPLIFICATION_MAX",
    "BEHAVIOR_AMPLIFICATION_MAX",
    "BURST",
    "RATE_PER_SECOND",
    "RESPONSE_PORT_MIN",
    "StunServer",
]

AMPLIFICATION_MAX = 1.5
"""Largest answer, as a multiple of the question; IP and UDP headers count on both sides."""

BEHAVIOR_AMPLIFICATION_MAX = 1.85
"""The same for questions about the behavior of a NAT, which get all that RFC 5780 wants; over IPv4 it is
1.5."""

BURST = 200
"""Questions that one address may ask at once: a full behavior discovery has about forty, and
several people may do one behind the same NAT."""

RATE_PER_SECOND = 50.0
"""Questions that one address may ask for ever."""

ADDRESSES_MAX = 20_000
"""Addresses whose rate is remembered, about 4 MB; beyond, the one that asked longest ago is forgotten."""

RESPONSE_PORT_MIN = 1024
"""Lowest port that an answer may be diverted to: no NAT that anybody uses maps below."""

_HEADERS_4 = 28
_HEADERS_6 = 48
_REASON = "Unknown Attribute"
_UNDERSTOOD = frozenset(
    (
        Attribute.CHANGE_REQUEST,
        Attribute.USERNAME,
        Attribute.MESSAGE_INTEGRITY,
        Attribute.REALM,
        Attribute.NONCE,
        Attribute.MESSAGE_INTEGRITY_SHA256,
        Attribute.PASSWORD_ALGORITHM,
        Attribute.USERHASH,
        Attribute.RESPONSE_PORT,
    )
)
"""Credentials are understood in that they are not needed here.  PADDING is not: it asks for size."""

_ABOUT_BEHAVIOR = (Attribute.CHANGE_REQUEST, Attribute.RESPONSE_PORT)


@frozen
class _Place:
    """One socket, and the sockets that CHANGE-REQUEST may name instead."""

    changed: dict[Change, int]
    other: int | None


class StunServer:
    """Answers Binding requests on one socket or several.

    ``sockets`` are their addresses as clients know them.  An empty host stands for "the one that
    the datagram came to", for sockets that are bound to every address.  Behavior discovery needs a
    second port on the same address; to tell all behaviors apart, also both ports on a second one.
    """

    def __init__(self, sockets: Sequence[Address], limit: RateLimit | None = None) -> None:
        self._sockets = tuple(sockets)
        self._limit = RateLimit(BURST, RATE_PER_SECOND, ADDRESSES_MAX) if limit is None else limit
        self._places = [self._place(via) for via in range(len(self._sockets))]

    def answer(
        self, data: Buffer, source: Address, via: int, now: float, arrived_at: str = ""
    ) -> Datagram | None:
        """The answer to one datagram, or None for silence.

        ``arrived_at`` is the address of this machine that it was sent to, where a socket is bound
        to every address.
        """
        if len(data) < stun.HEADER_BYTES or data[0] != 0 or data[1] != 1:
            return None
        if not self._limit.admits(source_of_host(source.host), now):
            return None
        try:
            request = stun.decode(data)
        except stun.StunError:
            return None
        port = request.response_port
        if port is not None and port < RESPONSE_PORT_MIN:
            return None
        target = source if port is None else Address(source.host, port)
        sender = self._places[via].changed.get(request.change)
        unknown = request.unknown_required(_UNDERSTOOD)
        if sender is None:
            unknown = (*unknown, Attribute.CHANGE_REQUEST)
        if unknown or sender is None:
            room = self._room(request, source) + _mapped_size(source)
            return self._reply(request, StunClass.ERROR, _refusal(unknown, room), target, via)
        attributes = tuple(self._observations(request, source, via, sender, arrived_at))
        return self._reply(request, StunClass.SUCCESS, attributes, target, sender)

    def _place(self, via: int) -> _Place:
        here = self._sockets[via]
        changed = {Change.NOTHING: via}
        for place, there in enumerate(self._sockets):
            change = Change.NOTHING
            if there.host != here.host:
                change |= Change.ADDRESS
            if there.port != here.port:
                change |= Change.PORT
            changed.setdefault(change, place)
        other = changed.get(Change.ADDRESS | Change.PORT, changed.get(Change.PORT))
        return _Place(changed, other)

    def _observations(
        self, request: StunMessage, source: Address, via: int, sender: int, arrived_at: str
    ) -> Iterator[tuple[int, bytes]]:
        """What an answer says, the most needed first, as far as there is room."""
        if request.is_classic:
            yield Attribute.MAPPED_ADDRESS, stun.pack_address(source)
        else:
            yield Attribute.XOR_MAPPED_ADDRESS, stun.pack_xor_address(source, request.transaction)
        other = self._places[via].other
        if other is None:
            return
        about_behavior = any(request.get(asked) is not None for asked in _ABOUT_BEHAVIOR)
        attributes = (Attribute.OTHER_ADDRESS, Attribute.RESPONSE_ORIGIN)
        if request.is_classic:
            attributes = (Attribute.CHANGED_ADDRESS, Attribute.SOURCE_ADDRESS)
        room = self._room(request, source)
        for attribute, place in zip(attributes, (other, sender), strict=True):
            here = self._sockets[place]
            host = here.host or arrived_at
            if not host:
                continue
            value = stun.pack_address(Address(host, here.port))
            room -= len(value) + 4
            if room >= 0 or about_behavior:
                yield attribute, value

    def _room(self, request: StunMessage, source: Address) -> int:
        """Bytes that an answer may still grow by, the mapped address counted in."""
        headers = _HEADERS_6 if ":" in source.host else _HEADERS_4
        allowed = int((len(request.raw) + headers) * AMPLIFICATION_MAX) - headers
        return allowed - stun.HEADER_BYTES - _mapped_size(source) - _checksum(request)

    def _reply(
        self,
        request: StunMessage,
        kind: StunClass,
        attributes: tuple[tuple[int, bytes], ...],
        target: Address,
        sender: int,
    ) -> Datagram:
        message = StunMessage(kind, request.transaction, attributes)
        return Datagram(stun.encode(message, fingerprint=_checksum(request) > 0), target, sender)


def _checksum(request: StunMessage) -> int:
    """Bytes of the FINGERPRINT that answers one: RFC 8489 7."""
    return 0 if request.get(Attribute.FINGERPRINT) is None else 8


def _mapped_size(source: Address) -> int:
    """Bytes of the attribute that holds the mapped address."""
    return 24 if ":" in source.host else 12


def _refusal(unknown: Sequence[int], room: int) -> tuple[tuple[int, bytes], ...]:
    """Error 420, with its reason phrase if there is room.  Source: RFC 8489 6.3.1."""
    types = stun.pack_types(unknown)
    error = stun.pack_error(420, _REASON)
    if len(error) + len(types) + 16 > room:
        error = stun.pack_error(420, "")
    return ((Attribute.ERROR_CODE, error), (Attribute.UNKNOWN_ATTRIBUTES, types))
