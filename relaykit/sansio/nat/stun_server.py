"""What a STUN server answers: who sees what, from which of its sockets, and how often.

It serves RFC 8489 Binding, the behavior discovery of RFC 5780 where it has two addresses, and clients of
RFC 3489.  It keeps nothing but the rate of each asking address.

With one address it tells no OTHER-ADDRESS: whoever has one takes it for a second address, asks that at the
first port, which is the same socket, and sees the same mapping behind every NAT.  frpc insists on a second
place to ask, and takes CHANGED-ADDRESS for one as well, by which nobody is misled who follows RFC 5780; so
the first port names the second one that way, to questions that ask for nothing in particular, as frpc's.  The
second port names none, for programs that drop an answer with an attribute that RFC 8489 does not have, as
browsers do.

An answer is at most :data:`AMPLIFICATION_MAX` times as large on the wire as its question, so that
forged questions gain nothing; where the question asks for the behavior of a NAT,
:data:`BEHAVIOR_AMPLIFICATION_MAX` times.

Source: RFC 5780 6.1, 7.
"""

from __future__ import annotations

import ipaddress
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
"""The same for questions with CHANGE-REQUEST or RESPONSE-PORT, which get all that RFC 5780 wants, over IPv6
without MAPPED-ADDRESS."""

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

_ABOUT_BEHAVIOR = frozenset((Attribute.CHANGE_REQUEST, Attribute.RESPONSE_PORT))
_NOTHING_IN_PARTICULAR = frozenset((Attribute.SOFTWARE,))


_PRIVATE_NETWORKS = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
"""Networks of machines behind NATs.  Source: RFC 1918, RFC 6598, RFC 4193."""


@frozen
class _Place:
    """One socket, and the sockets that CHANGE-REQUEST may name instead."""

    changed: dict[Change, int]

    @property
    def other(self) -> int | None:
        """The one with another host and another port."""
        return self.changed.get(Change.ADDRESS | Change.PORT)

    @property
    def neighbor(self) -> int | None:
        """The other port of the same host."""
        return self.changed.get(Change.PORT)


class StunServer:
    """Answers Binding requests on one socket or several.

    ``sockets`` are their addresses as clients know them, first ports before second ones.  An empty host
    stands for "the one that the datagram came to", for sockets that are bound to every address.  Behavior
    discovery needs a second port on the same address; to tell all behaviors apart, also both ports on a
    second one.
    """

    def __init__(self, sockets: Sequence[Address], limit: RateLimit | None = None) -> None:
        self._sockets = tuple(sockets)
        self._limit = RateLimit(BURST, RATE_PER_SECOND, ADDRESSES_MAX) if limit is None else limit
        self._places = [self._place(via) for via in range(len(self._sockets))]
        self.hidden_host = ""
        """An address in a private network where somebody asked from outside: a NAT is in front of the server.
        Empty as long as there was none."""

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
        if request.get(Attribute.FINGERPRINT) is not None and not request.has_fingerprint():
            return None
        port = request.response_port
        if port is not None and port < RESPONSE_PORT_MIN:
            return None
        target = source if port is None else Address(source.host, port)
        sender = self._places[via].changed.get(request.change)
        if sender is None and request.is_classic:
            # Clients of RFC 3489 take every answer for one from where they wanted it.
            return None
        unknown = request.unknown_required(_UNDERSTOOD)
        if sender is None:
            unknown = (*unknown, Attribute.CHANGE_REQUEST)
        if unknown or sender is None:
            room = _room(request, source, AMPLIFICATION_MAX)
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
        return _Place(changed)

    def _observations(
        self, request: StunMessage, source: Address, via: int, sender: int, arrived_at: str
    ) -> Iterator[tuple[int, bytes]]:
        """What an answer says, the most needed first, as far as there is room."""
        about_behavior = any(type_ in _ABOUT_BEHAVIOR for type_, _ in request.attributes)
        room = _room(request, source, BEHAVIOR_AMPLIFICATION_MAX if about_behavior else AMPLIFICATION_MAX)
        for attribute, value in self._told(request, source, via, sender, arrived_at):
            room -= len(value) + 4
            if room < 0:
                return
            yield attribute, value

    def _told(
        self, request: StunMessage, source: Address, via: int, sender: int, arrived_at: str
    ) -> Iterator[tuple[int, bytes]]:
        plain = Attribute.MAPPED_ADDRESS, stun.pack_address(source)
        here = self._places[via]
        if request.is_classic:
            yield plain
            yield from self._named(
                Attribute.CHANGED_ADDRESS,
                here.neighbor if here.other is None else here.other,
                source,
                arrived_at,
            )
            yield from self._named(Attribute.SOURCE_ADDRESS, sender, source, arrived_at)
            return
        yield Attribute.XOR_MAPPED_ADDRESS, stun.pack_xor_address(source, request.transaction)
        other = tuple(self._named(Attribute.OTHER_ADDRESS, here.other, source, arrived_at))
        yield from other
        if not other and self._points_to_neighbor(request, via):
            yield from self._named(Attribute.CHANGED_ADDRESS, here.neighbor, source, arrived_at)
        yield from self._named(Attribute.RESPONSE_ORIGIN, sender, source, arrived_at)
        yield plain

    def _points_to_neighbor(self, request: StunMessage, via: int) -> bool:
        """Whether the second port is named where there is no second address."""
        neighbor = self._places[via].neighbor
        is_first_of_two = neighbor is not None and via < neighbor
        return is_first_of_two and all(type_ in _NOTHING_IN_PARTICULAR for type_, _ in request.attributes)

    def _named(
        self, attribute: Attribute, place: int | None, source: Address, arrived_at: str
    ) -> Iterator[tuple[int, bytes]]:
        """An address of the server's own, if there is one that the source can use.

        CHANGED-ADDRESS is of use all the same: our clients ask its port at the address that they know.
        """
        if place is None:
            return
        there = self._sockets[place]
        host = there.host or arrived_at
        if host and _is_behind_nat(host) and not _is_behind_nat(source.host):
            self.hidden_host = host
            if attribute is not Attribute.CHANGED_ADDRESS:
                return
        if host:
            yield attribute, stun.pack_address(Address(host, there.port))

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


def _is_behind_nat(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return any(address in network for network in _PRIVATE_NETWORKS)


def _room(request: StunMessage, source: Address, bound: float) -> int:
    """Bytes of attributes that an answer may have, beside its FINGERPRINT."""
    headers = _HEADERS_6 if ":" in source.host else _HEADERS_4
    return int((len(request.raw) + headers) * bound) - headers - stun.HEADER_BYTES - _checksum(request)


def _checksum(request: StunMessage) -> int:
    """Bytes of the FINGERPRINT that answers one: RFC 8489 7."""
    return 0 if request.get(Attribute.FINGERPRINT) is None else 8


def _refusal(unknown: Sequence[int], room: int) -> tuple[tuple[int, bytes], ...]:
    """Error 420, with its reason phrase if there is room.  Source: RFC 8489 6.3.1."""
    types = stun.pack_types(unknown)
    error = stun.pack_error(420, _REASON)
    if len(error) + len(types) + 16 > room:
        error = stun.pack_error(420, "")
    return ((Attribute.ERROR_CODE, error), (Attribute.UNKNOWN_ATTRIBUTES, types))
