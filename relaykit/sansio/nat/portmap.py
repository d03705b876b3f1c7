"""Asks a router to map ports: PCP, and NAT-PMP where the router is older.

Both protocols share UDP port 5351 of the default gateway.  Both are asked for at once; PCP is used if
it answers.  Mappings are renewed at half of their life, made again when the router has forgotten them,
and given back at the end.

Source: RFC 6887 (PCP), RFC 6886 (NAT-PMP).
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define, frozen

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.values import Address

__all__ = [
    "LIFETIME_S",
    "MAPPINGS_MAX",
    "PORT",
    "Dialect",
    "MapReply",
    "PortMap",
    "PortMapEvent",
    "PortMapped",
    "PortNotMapped",
    "RouterFound",
    "RouterSilent",
    "decode",
    "map_request",
    "probe_requests",
]

PORT = 5351
"""Where routers listen, for both protocols."""

LIFETIME_S = 3600
"""Life that is asked for: a client that dies leaves nothing open for longer."""

MAPPINGS_MAX = 32
"""Most mappings at once; a client has one for each path that it is making or has."""

FIRST_WAIT_S = 0.25
REQUESTS = 4
"""A request is repeated after a quarter of a second, then after twice the time; given up after 3.75 s."""

RENEW_AT = 0.5
"""Strategy of the life after which a mapping is renewed, as both RFCs ask."""

RETRY_S = 60.0
"""Pause before a mapping that the router refused or did not answer for is asked for again."""

EPOCH_SLACK_S = 3
"""How far the router's clock may fall behind ours before it is taken for a new start."""

_UDP = 17
_PCP_VERSION, _PMP_VERSION = 2, 0
_ANNOUNCE, _MAP = 0, 1
_RESPONSE = 128
_UNSUPPORTED_VERSION = 1

_PCP_HEAD = struct.Struct("!BBxxI16s")
_PCP_ANSWER = struct.Struct("!BBxBII12x")
_PCP_MAP = struct.Struct("!12sBxxxHH16s")
_PMP_MAP = struct.Struct("!BBxxHHI")
_PMP_ADDRESS_ANSWER = struct.Struct("!BBHI4s")
_PMP_MAP_ANSWER = struct.Struct("!BBHIHHI")


class Dialect(enum.Enum):
    """Which of the two protocols a router speaks."""

    PCP = "PCP"
    NAT_PMP = "NAT-PMP"


@frozen(kw_only=True)
class MapReply:
    """What a router said, in either protocol.  Fields that it did not say are empty."""

    dialect: Dialect
    result: int
    """0 is success."""
    epoch_s: int
    """Seconds since the router's table was empty."""
    is_map: bool = False
    nonce: bytes = b""
    internal_port: int = 0
    external_port: int = 0
    external_host: str = ""
    lifetime_s: int = 0


def probe_requests(client_host: str) -> tuple[bytes, bytes]:
    """The two questions "are you there?": PCP's ANNOUNCE, NAT-PMP's for the external address."""
    announce = _PCP_HEAD.pack(_PCP_VERSION, _ANNOUNCE, 0, _sixteen(client_host))
    return announce, bytes((_PMP_VERSION, 0))


def map_request(
    dialect: Dialect, nonce: bytes, client_host: str, port: int, suggested: int, lifetime_s: int
) -> bytes:
    """The request for a UDP mapping; a lifetime of 0 gives it back."""
    if dialect is Dialect.NAT_PMP:
        return _PMP_MAP.pack(_PMP_VERSION, 1, port, suggested if lifetime_s else 0, lifetime_s)
    head = _PCP_HEAD.pack(_PCP_VERSION, _MAP, lifetime_s, _sixteen(client_host))
    return head + _PCP_MAP.pack(nonce, _UDP, port, suggested, _sixteen("0.0.0.0"))


def decode(data: Buffer) -> MapReply:
    """Reads an answer of either protocol.

    :raises RemoteProtocolError: it is none.
    """
    raw = bytes(data)
    if len(raw) < 4 or not raw[1] & _RESPONSE:
        raise RemoteProtocolError("this is no answer about port mappings")
    if raw[0] == _PCP_VERSION and len(raw) >= _PCP_ANSWER.size:
        return _decode_pcp(raw)
    if raw[0] == _PMP_VERSION:
        return _decode_pmp(raw)
    raise RemoteProtocolError("an answer about port mappings has an unknown version or is cut")


def _decode_pcp(raw: bytes) -> MapReply:
    _, code, result, lifetime, epoch = _PCP_ANSWER.unpack_from(raw)
    if code & 0x7F != _MAP:
        return MapReply(dialect=Dialect.PCP, result=result, epoch_s=epoch)
    if len(raw) < _PCP_ANSWER.size + _PCP_MAP.size:
        raise RemoteProtocolError("a PCP answer is cut")
    nonce, protocol, internal, external, host = _PCP_MAP.unpack_from(raw, _PCP_ANSWER.size)
    if protocol != _UDP:
        raise RemoteProtocolError("a PCP answer is about another protocol")
    six = ipaddress.IPv6Address(host)
    return MapReply(
        dialect=Dialect.PCP,
        result=result,
        epoch_s=epoch,
        is_map=True,
        nonce=nonce,
        internal_port=internal,
        external_port=external,
        external_host=str(six.ipv4_mapped or six),
        lifetime_s=lifetime,
    )


def _decode_pmp(raw: bytes) -> MapReply:
    operation = raw[1] & 0x7F
    if operation == 0 and len(raw) == _PMP_ADDRESS_ANSWER.size:
        _, _, result, epoch, host = _PMP_ADDRESS_ANSWER.unpack(raw)
        return MapReply(
            dialect=Dialect.NAT_PMP,
            result=result,
            epoch_s=epoch,
            external_host=str(ipaddress.IPv4Address(host)),
        )
    if operation == 1 and len(raw) == _PMP_MAP_ANSWER.size:
        _, _, result, epoch, internal, external, lifetime = _PMP_MAP_ANSWER.unpack(raw)
        return MapReply(
            dialect=Dialect.NAT_PMP,
            result=result,
            epoch_s=epoch,
            is_map=True,
            internal_port=internal,
            external_port=external,
            lifetime_s=lifetime,
        )
    if len(raw) >= 8:
        result, epoch = struct.unpack_from("!HI", raw, 2)
        if result == _UNSUPPORTED_VERSION:
            return MapReply(dialect=Dialect.NAT_PMP, result=result, epoch_s=epoch)
    raise RemoteProtocolError("a NAT-PMP answer is cut")


def _sixteen(host: str) -> bytes:
    address = ipaddress.ip_address(host)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


# --- the client ----------------------------------------------------------------------------------


@frozen
class RouterFound:
    """The router maps ports; ``external_host`` is empty where the protocol tells it later."""

    dialect: Dialect
    external_host: str


@frozen
class RouterSilent:
    """The router speaks neither protocol."""


@frozen
class PortMapped:
    """A port is mapped, for the first time or to another external address than before."""

    port: int
    external: Address


@frozen
class PortNotMapped:
    """A port is not, or no longer, mapped; it is tried again from time to time.  ``result`` is the
    router's code, None if it did not answer.
    """

    port: int
    result: int | None


PortMapEvent: TypeAlias = RouterFound | RouterSilent | PortMapped | PortNotMapped


@define
class _Mapping:
    port: int
    nonce: bytes
    external: Address | None = None
    due: float = 0.0
    sent: int = 0


class PortMap:
    """Keeps ports mapped by one router; a core by
    :class:`relaykit.sansio.nat.datagrams.DatagramCore`, with one socket.

    ``client_host`` is the own address towards the router, ``router_host`` the router's.
    """

    def __init__(self, client_host: str, router_host: str, entropy: Callable[[int], bytes]) -> None:
        self._client_host = client_host
        self._router = Address(router_host, PORT)
        self._entropy = entropy
        self._mappings: dict[int, _Mapping] = {}
        self._dialects: dict[Dialect, MapReply] = {}
        self._chosen: Dialect | None = None
        self._external_host = ""
        self._epoch: tuple[int, float] | None = None
        self._probe_due: float | None = None
        self._probes = 0
        self._outbox: list[Datagram] = []
        self._events: list[PortMapEvent] = []

    @property
    def dialect(self) -> Dialect | None:
        """What the router speaks, once that is known."""
        return self._chosen

    def start(self, now: float) -> None:
        """Asks whether the router maps ports."""
        self._probe_due = now
        self.wake(now)

    def map(self, port: int, now: float) -> None:
        """Wants a port mapped, from now on; before the router is found it waits.

        :raises LocalProtocolError: more than :data:`MAPPINGS_MAX`.
        """
        if len(self._mappings) >= MAPPINGS_MAX:
            raise LocalProtocolError(f"more than {MAPPINGS_MAX} ports to map at once")
        self._mappings[port] = _Mapping(port, self._entropy(12), due=now)
        self.wake(now)

    def unmap(self, port: int, now: float) -> None:
        """Gives a mapping back: once, without waiting for the answer."""
        mapping = self._mappings.pop(port, None)
        if mapping is not None and self._chosen is not None:
            self._request(mapping, 0)

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram; only the router's count."""
        if source != self._router:
            return
        try:
            reply = decode(data)
        except RemoteProtocolError:
            return
        self._look_at_epoch(reply, now)
        if reply.is_map:
            self._map_answered(reply, now)
        elif self._chosen is None:
            self._probe_answered(reply, now)
        elif reply.external_host and reply.result == 0:
            self._external_host = reply.external_host

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """When something is to be repeated or renewed."""
        due = [each.due for each in self._mappings.values()] if self._chosen is not None else []
        if self._probe_due is not None:
            due.append(self._probe_due)
        return min(due, default=None)

    def wake(self, now: float) -> None:
        """Repeats, renews, gives up."""
        if self._probe_due is not None and now >= self._probe_due:
            self._probe(now)
        if self._chosen is None:
            return
        for mapping in self._mappings.values():
            if now < mapping.due:
                continue
            if mapping.sent >= REQUESTS:
                self._give_up(mapping, None, now)
                continue
            self._request(mapping, LIFETIME_S)
            mapping.due = now + FIRST_WAIT_S * 2**mapping.sent
            mapping.sent += 1

    def events(self) -> Sequence[PortMapEvent]:
        """Takes what has happened since the last call."""
        taken, self._events = self._events, []
        return taken

    # --- finding the router

    def _probe(self, now: float) -> None:
        if self._dialects or self._probes >= REQUESTS:
            self._probe_due = None
            if self._dialects:
                self._choose(now)
            else:
                self._events.append(RouterSilent())
            return
        for payload in probe_requests(self._client_host):
            self._outbox.append(Datagram(payload, self._router))
        self._probe_due = now + FIRST_WAIT_S * 2**self._probes
        self._probes += 1

    def _probe_answered(self, reply: MapReply, now: float) -> None:
        if reply.result != 0:
            return
        self._dialects[reply.dialect] = reply
        if Dialect.PCP in self._dialects:
            self._choose(now)
        else:
            self._probe_due = min(self._probe_due or now, now + FIRST_WAIT_S / 4)

    def _choose(self, now: float) -> None:
        self._chosen = Dialect.PCP if Dialect.PCP in self._dialects else Dialect.NAT_PMP
        self._probe_due = None
        older = self._dialects.get(Dialect.NAT_PMP)
        self._external_host = older.external_host if older is not None else ""
        self._events.append(RouterFound(self._chosen, self._external_host))
        for mapping in self._mappings.values():
            mapping.due = now
        self.wake(now)

    # --- mappings

    def _request(self, mapping: _Mapping, lifetime_s: int) -> None:
        assert self._chosen is not None
        suggested = mapping.external.port if mapping.external is not None else mapping.port
        payload = map_request(
            self._chosen, mapping.nonce, self._client_host, mapping.port, suggested, lifetime_s
        )
        self._outbox.append(Datagram(payload, self._router))

    def _map_answered(self, reply: MapReply, now: float) -> None:
        """A mapping was made, renewed or refused; the answer to giving one back has no lifetime."""
        mapping = self._mappings.get(reply.internal_port)
        if mapping is None or reply.dialect is not self._chosen or mapping.sent == 0:
            return
        if reply.dialect is Dialect.PCP and reply.nonce != mapping.nonce:
            return
        if reply.result == 0 and reply.lifetime_s == 0:
            return
        host = reply.external_host or self._external_host
        if reply.result != 0 or not host or not reply.external_port:
            self._give_up(mapping, reply.result, now)
            return
        mapping.sent = 0
        mapping.due = now + max(1.0, reply.lifetime_s * RENEW_AT)
        external = Address(host, reply.external_port)
        if external != mapping.external:
            mapping.external = external
            self._events.append(PortMapped(mapping.port, external))

    def _give_up(self, mapping: _Mapping, result: int | None, now: float) -> None:
        mapping.sent = 0
        mapping.external = None
        mapping.due = now + RETRY_S
        self._events.append(PortNotMapped(mapping.port, result))

    def _look_at_epoch(self, reply: MapReply, now: float) -> None:
        """Makes all mappings again if the router's table is younger than it must be.

        Source: RFC 6887 8.5.
        """
        before = self._epoch
        self._epoch = (reply.epoch_s, now)
        if before is None:
            return
        expected = before[0] + (now - before[1]) * 7 / 8
        if reply.epoch_s + EPOCH_SLACK_S < expected:
            for mapping in self._mappings.values():
                if mapping.sent == 0:
                    mapping.due = now
            self.wake(now)
