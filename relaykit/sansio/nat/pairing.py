"""Which way of punching can work between two NATs: one table, and what it is looked up by.

Both ends look it up with the sides exchanged, and so agree without asking.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping as MappingType

from attrs import field, frozen

from relaykit.sansio.nat.behavior import Filtering, Mapping, NatBehavior, PortAllocation, Ports

__all__ = [
    "BLOCK_PAIR_MAX",
    "NAT_WORDS",
    "STRATEGIES",
    "NatType",
    "NatView",
    "Strategy",
    "nat_type_of",
    "strategy_for",
]

BLOCK_PAIR_MAX = 2048
"""Largest port blocks that are tried against each other: the effort grows with their product."""


class NatType(enum.Enum):
    """What of a NAT matters to a peer."""

    BLOCKED = "blocked"
    """No UDP at all."""
    OPEN = "open"
    """Keeps its port and lets a peer in from any of the peer's ports."""
    STEADY = "steady"
    """Keeps its port, but lets a peer in only from the very port that was sent to."""
    STEPPED = "stepped"
    """Takes another port for each destination, the next one each time."""
    BLOCK = "block"
    """Takes any port of a small block."""
    RANDOM = "random"
    """Takes any port."""


NAT_WORDS: MappingType[NatType, str] = {
    NatType.OPEN: "lets others in (public address, full or restricted cone)",
    NatType.STEADY: "keeps its port (port-restricted cone, firewall)",
    NatType.STEPPED: "counts its ports (symmetric)",
    NatType.BLOCK: "draws its ports from a small block (carrier)",
    NatType.RANDOM: "draws its ports from all (symmetric)",
    NatType.BLOCKED: "lets no UDP out",
}
"""What a person is told that a network of each type does, in the order of how good that is."""


class Strategy(enum.Enum):
    """What one side does, besides checking all candidates of the other, which both always do."""

    CHECK = "check"
    """Nothing else is needed."""
    PREDICT = "predict"
    """Sends to the ports that the other's NAT will take next."""
    SPREAD = "spread"
    """Opens many sockets towards the other's one address."""
    GUESS = "guess"
    """Sends to many ports of the other's NAT, one of which will be that of a spread socket."""
    SCATTER = "scatter"
    """Both: many sockets, many ports."""
    GIVE_UP = "give up"
    """Nothing works between these two but a relay, or a way around the NATs."""


STRATEGIES: MappingType[tuple[NatType, NatType], Strategy] = {
    (NatType.OPEN, NatType.OPEN): Strategy.CHECK,
    (NatType.OPEN, NatType.STEADY): Strategy.CHECK,
    (NatType.OPEN, NatType.STEPPED): Strategy.CHECK,
    (NatType.OPEN, NatType.BLOCK): Strategy.CHECK,
    (NatType.OPEN, NatType.RANDOM): Strategy.CHECK,
    (NatType.STEADY, NatType.OPEN): Strategy.CHECK,
    (NatType.STEADY, NatType.STEADY): Strategy.CHECK,
    (NatType.STEADY, NatType.STEPPED): Strategy.PREDICT,
    (NatType.STEADY, NatType.BLOCK): Strategy.GUESS,
    (NatType.STEADY, NatType.RANDOM): Strategy.GUESS,
    (NatType.STEPPED, NatType.OPEN): Strategy.CHECK,
    (NatType.STEPPED, NatType.STEADY): Strategy.CHECK,
    (NatType.STEPPED, NatType.STEPPED): Strategy.PREDICT,
    (NatType.BLOCK, NatType.OPEN): Strategy.CHECK,
    (NatType.BLOCK, NatType.STEADY): Strategy.SPREAD,
    (NatType.BLOCK, NatType.BLOCK): Strategy.SCATTER,
    (NatType.RANDOM, NatType.OPEN): Strategy.CHECK,
    (NatType.RANDOM, NatType.STEADY): Strategy.SPREAD,
}
"""(own type, the other's type): own strategy.  Pairs that are missing: :attr:`Strategy.GIVE_UP`."""


_CHOSEN = (PortAllocation.STEPPED, PortAllocation.BLOCK, PortAllocation.RANDOM)
"""What is said of ports that are not the sockets' own."""


@frozen
class NatView:
    """What one side knows of its own NAT and tells the other."""

    udp_works: bool = True
    mapping: Mapping = Mapping.UNKNOWN
    filtering: Filtering = Filtering.UNKNOWN
    ports: Ports = field(factory=Ports)
    latest_port: int = 0
    """The external port that the NAT gave out last; 0 if it is not known."""

    @classmethod
    def of(cls, latest: NatBehavior, thorough: NatBehavior | None = None) -> NatView:
        """What the short question before a punch found, completed by an earlier thorough discovery."""
        filtering, ports, mapping = latest.filtering, latest.ports, latest.mapping
        if thorough is not None and thorough.udp_works:
            if filtering is Filtering.UNKNOWN:
                filtering = thorough.filtering
            # Its twelve samples tell more than the two to four of the short question.
            if thorough.ports.allocation in _CHOSEN or ports.allocation not in _CHOSEN:
                ports = thorough.ports
            if mapping in (Mapping.UNKNOWN, Mapping.NOT_PORT_DEPENDENT) and latest.is_translated:
                mapping = mapping if thorough.mapping is Mapping.UNKNOWN else thorough.mapping
        return cls(latest.udp_works, mapping, filtering, ports, latest.latest_port or 0)

    @property
    def is_sure(self) -> bool:
        """Whether it was seen from two addresses, not only from ports of one, what the mapping depends on."""
        return self.mapping not in (Mapping.NOT_PORT_DEPENDENT, Mapping.UNKNOWN)


def nat_type_of(nat: NatView) -> NatType:
    """What of a NAT matters to a peer."""
    if not nat.udp_works:
        return NatType.BLOCKED
    if nat.mapping.is_steady or nat.mapping is Mapping.UNKNOWN:
        return NatType.OPEN if nat.filtering.ignores_port else NatType.STEADY
    if nat.ports.allocation is PortAllocation.STEPPED and nat.latest_port:
        return NatType.STEPPED
    if nat.ports.allocation is PortAllocation.BLOCK and nat.ports.count <= BLOCK_PAIR_MAX:
        return NatType.BLOCK
    return NatType.RANDOM


def strategy_for(own: NatType, other: NatType) -> Strategy:
    """What the side of type ``own`` does."""
    return STRATEGIES.get((own, other), Strategy.GIVE_UP)
