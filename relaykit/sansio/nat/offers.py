"""What the two ends tell each other at the rendezvous: values, and their JSON form.

The rendezvous itself is the relay server's, over the control connections; whoever carries offers
need not understand them.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec
from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.nat.candidates import CANDIDATES_MAX, Candidate
from relaykit.sansio.nat.knocks import GENERATION_MAX
from relaykit.sansio.nat.pairing import NatView

__all__ = ["Offer"]


@frozen
class Offer:
    """One end's candidates, and what is known of its NAT.

    ``generation`` counts how often the session began anew with other ports; both ends of a punch
    have the same.
    """

    nat: NatView
    candidates: tuple[Candidate, ...] = ()
    generation: int = 0
    streams: tuple[Candidate, ...] = ()
    """Where it can be reached by TCP; empty if it cannot share the port of its control connection."""

    def to_wire(self) -> dict[str, Any]:
        """The offer in values that JSON has."""
        wire: dict[str, Any] = msgspec.to_builtins(self)
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> Offer:
        """Reads what a peer offered.

        :raises RemoteProtocolError: it is no offer, or an impossible one.
        """
        try:
            offer = msgspec.convert(wire, cls)
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            raise RemoteProtocolError(f"the peer's offer cannot be read: {error}") from error
        nat, ports = offer.nat, offer.nat.ports
        if not 0 <= offer.generation <= GENERATION_MAX:
            raise RemoteProtocolError(f"the peer's offer has generation {offer.generation}")
        if max(len(offer.candidates), len(offer.streams)) > CANDIDATES_MAX:
            raise RemoteProtocolError(f"the peer offers more than {CANDIDATES_MAX} candidates")
        if not (1 <= ports.low <= ports.high <= 65535 and 0 <= nat.latest_port <= 65535):
            raise RemoteProtocolError("the peer's offer has ports that do not exist")
        if abs(ports.step) > 1024:
            raise RemoteProtocolError("the peer's offer has an impossible step")
        for candidate in (*offer.candidates, *offer.streams):
            try:
                ipaddress.ip_address(candidate.address.host)
            except ValueError as error:
                raise RemoteProtocolError("the peer offers what is no address") from error
            if not 1 <= candidate.address.port <= 65535:
                raise RemoteProtocolError("the peer offers a port that does not exist")
        return offer
