"""What the users of each proxy of a client have moved, over all that was configured under its name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from attrs import define, field

from relaykit.values import Amount, Usage

if TYPE_CHECKING:
    from relaykit.interfaces import IFlow
    from relaykit.values import Traffic

__all__ = ["Accounting"]


@define(eq=False)
class _Totals:
    """Of one proxy: its present users, and what those that are gone have moved."""

    flows: set[IFlow] = field(factory=set)
    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@define(eq=False)
class Accounting:
    """Keeps the totals of one run of a client, by the names that its configuration has."""

    _totals: dict[str, _Totals] = field(factory=dict, init=False)

    def began(self, name: str, flow: IFlow) -> None:
        """A user of a proxy is served."""
        totals = self._totals.setdefault(name, _Totals())
        totals.flows.add(flow)
        totals.connections += 1

    def ended(self, name: str, flow: IFlow, traffic: Traffic | None) -> None:
        """A user is gone; what was moved is None where a defect hides it."""
        totals = self._totals[name]
        totals.flows.discard(flow)
        if traffic is not None:
            totals.bytes_in += traffic.near_to_far
            totals.bytes_out += traffic.far_to_near

    def keep(self, names: Collection[str]) -> None:
        """Forgets the proxies that have none of these names, unless they have users."""
        self._totals = {name: each for name, each in self._totals.items() if each.flows or name in names}

    def usage(self) -> Iterator[Usage]:
        """What each proxy that had a user was used for up to now, by the present ones as well."""
        for name, totals in list(self._totals.items()):
            moved = [flow.moved() for flow in totals.flows]
            amount = Amount(
                totals.bytes_in + sum(to_service for to_service, _ in moved),
                totals.bytes_out + sum(to_user for _, to_user in moved),
                totals.connections,
            )
            yield Usage(name, None, amount)
