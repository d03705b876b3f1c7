"""What the server tells one end of frp's hole punching to do, checked and bounded.

The server names addresses that this machine will send to, ports by the range, and times.  It must not be able
to target us at others, nor keep us busy, so nothing goes beyond what frp's own server asks for, and addresses
are filtered as those of a peer are in :mod:`relaykit.sansio.nat.candidates`.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from relaykit.errors import HolePunchingError
from relaykit.escaping import told
from relaykit.sansio.nat.candidates import (
    CANDIDATES_MAX,
    PORT_MIN,
    Candidate,
    CandidateKind,
    Interface,
    admitted,
    is_internet,
)
from relaykit.sansio.nathole.messages import DetectBehavior, NatHoleResp
from relaykit.values import Address

__all__ = [
    "CANDIDATE_PORTS_MAX",
    "LISTEN_PORTS_MAX",
    "QUIET_MAX_S",
    "QUIET_S",
    "RANDOM_PORTS_MAX",
    "SEND_DELAY_MAX_S",
    "HoleRole",
    "Instructions",
    "instructions_of",
]

QUIET_S = 5.0
"""How long the peer is waited for where the server does not say; frp's figure."""

QUIET_MAX_S = 60.0
"""Longest wait for the peer that a server may ask for; frp's asks for 45 s at most."""

SEND_DELAY_MAX_S = 15.0
"""Longest pause before the first probe that a server may ask for; frp's asks for 10 s at most."""

CANDIDATE_PORTS_MAX = 64
"""Most ports of a peer's NAT that are tried for they can be foreseen; frp's server names 21 at most."""

RANDOM_PORTS_MAX = 1000
"""Most ports that are tried by chance; frp's figure."""

LISTEN_PORTS_MAX = 256
"""Most further sockets that are listened on; frp's figure."""

_TTL_MAX = 255


class HoleRole(enum.Enum):
    """Who speaks first: the values are those of ``role``."""

    SENDER = "sender"
    RECEIVER = "receiver"


@frozen(kw_only=True)
class Instructions:
    """What one end does."""

    role: HoleRole
    sid: str
    """What probes of this attempt carry."""
    targets: tuple[Address, ...]
    """Addresses that get a probe each from every socket."""
    hosts: tuple[str, ...]
    """The hosts of the peer's mapped addresses, at which ports are tried."""
    ports: tuple[int, ...] = ()
    """Ports that are tried at each of the hosts from every socket."""
    random_ports: int = 0
    """How many ports are tried by chance at each of the hosts."""
    listen_ports: int = 0
    """How many sockets are opened besides the first one."""
    ttl: int | None = None
    """That of the probes, but not of answers."""
    send_delay_s: float = 0.0
    """Pause before the first probe."""
    quiet_s: float = QUIET_S
    """How long the peer is waited for once every address had its probe."""


def instructions_of(
    response: NatHoleResp, seen_as: Sequence[Address], interfaces: Iterable[Interface]
) -> Instructions:
    """What the server's response tells this end, which was itself seen at ``seen_as``, to do.

    Which addresses are of the Internet goes by this end's own: who is seen at a private address, or at
    loopback, is in a network of its own with the STUN server, and so is the peer.

    :raises HolePunchingError: the server says no, or it asks for what cannot be right.
    """
    if response.error:
        raise HolePunchingError(f"the server says: {told(response.error)}")
    behavior = response.detect_behavior
    try:
        role = HoleRole(behavior.role)
    except ValueError:
        raise HolePunchingError(f'the server knows of a role "{told(behavior.role)}"') from None
    _check(behavior)
    mapped = [_address(text) for text in response.candidate_addrs[:CANDIDATES_MAX]]
    assisted = [_address(text) for text in response.assisted_addrs[:CANDIDATES_MAX]]
    may = _Admission(seen_as, interfaces, {each.host for each in mapped})
    outside = may.admitted(CandidateKind.REFLEXIVE, mapped)
    if not outside:
        raise HolePunchingError("the server names no address of the other end that may be sent to")
    ports = tuple(_ports(behavior))
    if role is HoleRole.SENDER:
        targets = (*may.admitted(CandidateKind.HOST, assisted), *outside)
    else:
        targets = () if ports else outside
    return Instructions(
        role=role,
        sid=response.sid,
        targets=tuple(dict.fromkeys(targets)),
        hosts=tuple(dict.fromkeys(each.host for each in outside)),
        ports=ports,
        random_ports=behavior.send_random_ports,
        listen_ports=behavior.listen_random_ports,
        ttl=behavior.ttl or None,
        send_delay_s=behavior.send_delay_ms / 1000 if role is HoleRole.SENDER else 0.0,
        quiet_s=behavior.read_timeout_ms / 1000 or QUIET_S,
    )


@frozen
class _Admission:
    """Which addresses this end may send to."""

    seen_as: Sequence[Address]
    interfaces: Iterable[Interface]
    peer_hosts: set[str]

    def admitted(self, kind: CandidateKind, addresses: Iterable[Address]) -> tuple[Address, ...]:
        """Those of the addresses that it may."""
        addresses = tuple(addresses)
        if self._is_loopback:
            return tuple(each for each in addresses if _is_loopback(each.host) and each.port >= PORT_MIN)
        found = admitted(
            [Candidate(kind, each) for each in addresses], self.interfaces, self._same_site, self._internet
        )
        allowed = {each.address for each in found}
        return tuple(each for each in addresses if each in allowed)

    @property
    def _is_loopback(self) -> bool:
        return bool(self.seen_as) and all(_is_loopback(each.host) for each in self.seen_as)

    @property
    def _same_site(self) -> bool:
        return not self.peer_hosts.isdisjoint(each.host for each in self.seen_as)

    def _internet(self, host: str) -> bool:
        """Public, as far as this end can tell: one that has no public address itself takes all for public."""
        return is_internet(host) or (
            host in self.peer_hosts and not any(is_internet(each.host) for each in self.seen_as)
        )


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _check(behavior: DetectBehavior) -> None:
    """Has no number that goes beyond what frp's server asks for, nor two that it never asks one end for.

    :raises HolePunchingError: one does, or both are there.
    """
    for what, value, most in (
        ("ttl", behavior.ttl, _TTL_MAX),
        ("send_delay_ms", behavior.send_delay_ms, SEND_DELAY_MAX_S * 1000),
        ("read_timeout", behavior.read_timeout_ms, QUIET_MAX_S * 1000),
        ("send_random_ports", behavior.send_random_ports, RANDOM_PORTS_MAX),
        ("listen_random_ports", behavior.listen_random_ports, LISTEN_PORTS_MAX),
    ):
        if not 0 <= value <= most:
            raise HolePunchingError(f"the server asks for a {what} of {value}, {most:g} is the most")
    if behavior.send_random_ports and behavior.listen_random_ports:
        # Each of hundreds of sockets would send to each of a thousand ports: a flood, at whomever it names.
        raise HolePunchingError("the server asks one end to try ports by chance and to listen on many")


def _ports(behavior: DetectBehavior) -> Iterator[int]:
    """The ports of all ranges, each once.

    :raises HolePunchingError: they are too many.
    """
    found: dict[int, None] = {}
    for each in behavior.candidate_ports:
        first, last = max(each.first, PORT_MIN), min(each.last, 65535)
        if last - first >= CANDIDATE_PORTS_MAX:
            found.update(dict.fromkeys(range(first, first + CANDIDATE_PORTS_MAX + 1)))
        else:
            found.update(dict.fromkeys(range(first, last + 1)))
        if len(found) > CANDIDATE_PORTS_MAX:
            raise HolePunchingError(f"the server names more than {CANDIDATE_PORTS_MAX} ports to try")
    yield from found


def _address(text: str) -> Address:
    """``ip:port`` of IPv4.

    :raises HolePunchingError: it is something else.
    """
    host, _, port = text.rpartition(":")
    try:
        if port.isascii() and port.isdecimal() and len(port) <= 5:
            return Address(str(ipaddress.IPv4Address(host)), int(port))
    except ValueError:
        pass
    raise HolePunchingError(f'the server names an address "{told(text)}"')
