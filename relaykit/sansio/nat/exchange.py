"""What the two ends tell each other at the rendezvous: values, and their JSON form.

The rendezvous itself is the relay server's, over the control connections; whoever carries candidates
need not understand them.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec
from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.nat.candidates import CANDIDATES_MAX, Candidate
from relaykit.sansio.nat.checks import GENERATION_MAX
from relaykit.sansio.nat.pairing import NatView
from relaykit.values import PathProtocol

__all__ = ["Candidates"]


@frozen
class Candidates:
    """One end's candidates for UDP and TCP, and what is known of its NAT.

    ``generation`` counts how often the session began anew with other ports; both ends of a punch
    have the same.
    """

    nat: NatView
    udp: tuple[Candidate, ...] = ()
    generation: int = 0
    tcp: tuple[Candidate, ...] = ()
    """Where it can be reached by TCP; empty if it cannot share the port of its control connection."""
    protocols: tuple[PathProtocol, ...] = tuple(PathProtocol)
    """What a path may be made of to be of use to this end."""

    def agrees(self, other: Candidates, protocol: PathProtocol) -> bool:
        """Whether a path of this protocol would be of use to both ends."""
        return protocol in self.protocols and protocol in other.protocols

    def to_wire(self) -> dict[str, Any]:
        """The candidates in values that JSON has."""
        wire: dict[str, Any] = msgspec.to_builtins(self)
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> Candidates:
        """Reads what a peer sent.

        :raises RemoteProtocolError: they are none, or impossible ones.
        """
        try:
            read = msgspec.convert(wire, cls)
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            raise RemoteProtocolError(f"the peer's candidates cannot be read: {error}") from error
        nat, ports = read.nat, read.nat.ports
        if not 0 <= read.generation <= GENERATION_MAX:
            raise RemoteProtocolError(f"the peer's candidates have generation {read.generation}")
        if len(read.protocols) > len(PathProtocol):
            raise RemoteProtocolError("the peer names more protocols than there are")
        if max(len(read.udp), len(read.tcp)) > CANDIDATES_MAX:
            raise RemoteProtocolError(f"the peer sends more than {CANDIDATES_MAX} candidates")
        if not (1 <= ports.low <= ports.high <= 65535 and 0 <= nat.latest_port <= 65535):
            raise RemoteProtocolError("the peer's candidates have ports that do not exist")
        if abs(ports.step) > 1024:
            raise RemoteProtocolError("the peer's candidates have an impossible step")
        for candidate in (*read.udp, *read.tcp):
            try:
                ipaddress.ip_address(candidate.address.host)
            except ValueError as error:
                raise RemoteProtocolError("the peer sends what is no address") from error
            if not 1 <= candidate.address.port <= 65535:
                raise RemoteProtocolError("the peer sends a port that does not exist")
        return read
