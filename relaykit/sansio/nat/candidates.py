"""Candidates: addresses where a peer may be reached, which of ours to offer, which of theirs to try.

What a peer offers is a list of places that this machine will send datagrams to, so it is filtered:
a peer must not be able to target us at others.

Source: RFC 8445 5.1 (kinds), 19.5 (attacks by candidates).
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from attrs import field, frozen

from relaykit.values import Address

__all__ = [
    "CANDIDATES_MAX",
    "PORT_MIN",
    "PUBLIC_HOSTS_MAX",
    "UNINTERESTING_INTERFACES",
    "Candidate",
    "CandidateKind",
    "Interface",
    "admitted",
    "host_candidates",
    "is_internet",
]

CANDIDATES_MAX = 16
"""Most candidates of one side: some interfaces of two families, two reflexive, three mapped ones."""

PUBLIC_HOSTS_MAX = 4
"""Most Internet addresses that one peer is tried at: a NAT's and one beside it, for two families."""

PORT_MIN = 1024
"""Lowest port that is tried: no socket of a peer is below, but other people's DNS and NTP servers are."""

UNINTERESTING_INTERFACES: Sequence[str] = (
    "lo*",
    "docker*",
    "br-*",
    "veth*",
    "virbr*",
    "vmnet*",
    "lxc*",
    "lxd*",
    "cni*",
    "flannel*",
    "cali*",
    "podman*",
)
"""Interfaces that lead to this very machine or to containers on it; others have the same addresses."""

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Host: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class CandidateKind(enum.Enum):
    """Where a candidate comes from; the members are in the order of preference."""

    HOST = "host"
    """An address of an interface."""
    MAPPED = "mapped"
    """A port that the router mapped on request."""
    PEER_REFLEXIVE = "peer-reflexive"
    """Where a datagram of the peer was seen to come from."""
    REFLEXIVE = "reflexive"
    """What a STUN server saw."""

    @property
    def rank(self) -> int:
        """0 is tried and preferred first."""
        return list(CandidateKind).index(self)


@frozen
class Candidate:
    """One address and port."""

    kind: CandidateKind
    address: Address


@frozen
class Interface:
    """An address of this machine and the network that it is in."""

    name: str
    host: str
    prefix: int
    network: _Network = field(init=False, eq=False, repr=False)

    @network.default
    def _network(self) -> _Network:
        return ipaddress.ip_network(f"{self.host}/{self.prefix}", strict=False)


def is_internet(host: str) -> bool:
    """Whether an address is one of the Internet, by its number."""
    return ipaddress.ip_address(host).is_global


def host_candidates(
    interfaces: Iterable[Interface], port: int, ignored: Sequence[str] = UNINTERESTING_INTERFACES
) -> tuple[Candidate, ...]:
    """What to offer of the own interfaces, for a socket on this port of all of them.

    ``ignored`` are shell patterns of interface names.
    """
    found: dict[Candidate, None] = {}
    for each in interfaces:
        host = ipaddress.ip_address(each.host)
        if not _is_ordinary(host) or any(fnmatchcase(each.name, pattern) for pattern in ignored):
            continue
        found[Candidate(CandidateKind.HOST, Address(str(host), port))] = None
    return tuple(found)[:CANDIDATES_MAX]


def admitted(
    candidates: Iterable[Candidate],
    interfaces: Iterable[Interface],
    same_site: bool,
    internet: Callable[[str], bool] = is_internet,
    seen_at: str = "",
) -> tuple[Candidate, ...]:
    """Those of a peer's candidates that may be sent to, the preferred ones first.

    Never: loopback, multicast, broadcast, link-local and reserved addresses, low ports.  Private
    addresses only where they can be the peer's: in a network that this machine is in, or at
    ``same_site``, that is behind the same public address.  ``internet`` tells which addresses are
    public.  ``seen_at`` is where the relay server sees the peer, if that is known: other addresses do
    not crowd it out.  What is offered twice counts as reflexive if it is that, too: the peer has no
    NAT then.
    """
    networks = [each.network for each in interfaces]
    hosts = {seen_at} if seen_at else set()
    found: dict[Address, Candidate] = {}
    for each in sorted(candidates, key=lambda candidate: candidate.kind.rank):
        if len(found) >= CANDIDATES_MAX:
            break
        try:
            host = ipaddress.ip_address(each.address.host)
        except ValueError:
            continue
        if not PORT_MIN <= each.address.port <= 65535 or not _is_ordinary(host):
            continue
        around = [network for network in networks if host in network]
        if any(_is_edge(host, network) for network in around):
            continue
        if internet(str(host)):
            if len(hosts | {str(host)}) > PUBLIC_HOSTS_MAX:
                continue
            hosts.add(str(host))
        elif not around and not same_site:
            continue
        address = Address(str(host), each.address.port)
        if each.kind is CandidateKind.REFLEXIVE or address not in found:
            found[address] = Candidate(each.kind, address)
    return tuple(found.values())


def _is_ordinary(host: _Host) -> bool:
    """Whether it can be one machine's address."""
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        return False
    return not (
        host.is_loopback
        or host.is_multicast
        or host.is_unspecified
        or host.is_link_local
        or (host.version == 4 and host >= _RESERVED)
    )


_RESERVED = ipaddress.IPv4Address("240.0.0.0")


def _is_edge(host: _Host, network: _Network) -> bool:
    """Whether it is the broadcast address of a network, or the network's own."""
    if network.version == 6 or network.num_addresses <= 2:
        return False
    return host in (network.network_address, network.broadcast_address)
