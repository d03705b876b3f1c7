"""What kind of NAT an end is behind, as far as its mapped addresses tell."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence

from attrs import frozen

from relaykit.errors import RefusalCode, RefusedError
from relaykit.values import Address

__all__ = ["REGULAR_DIFFERENCE_MAX", "NatBehavior", "NatFeature", "classify"]

REGULAR_DIFFERENCE_MAX = 5
"""How far apart the ports of one NAT are at most if it counts them up; frp's figure."""


class NatBehavior(enum.Enum):
    """What differs between the addresses that two servers saw; the values are frp's words."""

    NO_CHANGE = "BehaviorNoChange"
    PORT_CHANGED = "BehaviorPortChanged"
    IP_CHANGED = "BehaviorIPChanged"
    BOTH_CHANGED = "BehaviorBothChanged"


_BEHAVIORS = {
    (False, False): NatBehavior.NO_CHANGE,
    (False, True): NatBehavior.PORT_CHANGED,
    (True, False): NatBehavior.IP_CHANGED,
    (True, True): NatBehavior.BOTH_CHANGED,
}
"""By whether hosts, and whether ports, differ."""


@frozen(kw_only=True)
class NatFeature:
    """One end's NAT."""

    behavior: NatBehavior
    ports_difference: int = 0
    """Between the largest port and the smallest; 0 where something else differs, too."""
    is_public: bool = False
    """Whether an address of an own interface is one that servers see."""

    @property
    def is_hard(self) -> bool:
        """Whether other peers see another address than the STUN servers did."""
        return self.behavior is not NatBehavior.NO_CHANGE

    @property
    def is_regular(self) -> bool:
        """Whether its next port can be guessed."""
        return 1 <= self.ports_difference <= REGULAR_DIFFERENCE_MAX


def classify(mapped: Sequence[Address], hosts: Collection[str]) -> NatFeature:
    """The NAT of an end that is mapped to these addresses and whose interfaces have these hosts.

    :raises RefusedError: two servers must have seen it; the text is frp's.
    """
    if len(mapped) < 2:
        raise RefusedError(RefusalCode.OTHER, "not enough addresses")
    ports = [each.port for each in mapped]
    seen = {each.host for each in mapped}
    behavior = _BEHAVIORS[len(seen) > 1, len(set(ports)) > 1]
    return NatFeature(
        behavior=behavior,
        ports_difference=max(ports) - min(ports) if behavior is NatBehavior.PORT_CHANGED else 0,
        is_public=not seen.isdisjoint(hosts),
    )
