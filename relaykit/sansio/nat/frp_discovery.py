"""What frp wants to know of a NAT: two answers, and a class made of them.

frp's peers are told of each other by these classes, so they are made as frp makes them.  A thorough
discovery is in :mod:`relaykit.sansio.nat.behavior`.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from relaykit.sansio.nat.candidates import Interface
from relaykit.sansio.nat.probing import Answered, Inquiry, Question, Schedule, Unanswered
from relaykit.sansio.nat.stun import StunClass
from relaykit.values import Address

__all__ = [
    "ANSWER_S",
    "LOCAL_HOSTS_MAX",
    "REGULAR_MAX",
    "FrpBehavior",
    "FrpDiscovery",
    "NatFeature",
    "NotSeen",
    "Seen",
    "classify",
    "local_hosts",
]

ANSWER_S = 3.0
"""How long each of the two answers is waited for; frp's figure."""

LOCAL_HOSTS_MAX = 10
"""Addresses of this machine that are looked at; frp's figure."""

REGULAR_MAX = 5
"""Largest difference of two ports that counts as regular; frp's figure."""

_SCHEDULE = Schedule(0.25, 4, 5)
"""Repetitions within :data:`ANSWER_S`; frp asks once."""


class FrpBehavior(enum.Enum):
    """What differed between the two answers."""

    NO_CHANGE = "BehaviorNoChange"
    IP_CHANGED = "BehaviorIPChanged"
    PORT_CHANGED = "BehaviorPortChanged"
    BOTH_CHANGED = "BehaviorBothChanged"


@frozen
class NatFeature:
    """The class of a NAT."""

    behavior: FrpBehavior
    is_public: bool
    """Whether one of the addresses is this machine's own."""
    port_difference: int = 0
    """Between the largest and the smallest port, where only ports differ."""

    @property
    def type(self) -> str:
        """EasyNAT or HardNAT."""
        return "EasyNAT" if self.behavior is FrpBehavior.NO_CHANGE else "HardNAT"

    @property
    def is_regular(self) -> bool:
        """Whether its next port can be guessed."""
        return 1 <= self.port_difference <= REGULAR_MAX


def classify(seen: Sequence[Address], own: Iterable[str]) -> NatFeature:
    """The class of a NAT by at least two external addresses, and this machine's own hosts.

    :raises ValueError: there are fewer.
    """
    if len(seen) < 2:
        raise ValueError("not enough addresses")
    ports = [each.port for each in seen]
    hosts_differ = len({each.host for each in seen}) > 1
    ports_differ = len(set(ports)) > 1
    behavior = {
        (False, False): FrpBehavior.NO_CHANGE,
        (True, False): FrpBehavior.IP_CHANGED,
        (False, True): FrpBehavior.PORT_CHANGED,
        (True, True): FrpBehavior.BOTH_CHANGED,
    }[hosts_differ, ports_differ]
    difference = max(ports) - min(ports) if behavior is FrpBehavior.PORT_CHANGED else 0
    return NatFeature(behavior, not {each.host for each in seen}.isdisjoint(own), difference)


def local_hosts(interfaces: Iterable[Interface]) -> tuple[str, ...]:
    """This machine's IPv4 addresses, as far as frp looks at them."""
    found = []
    for each in interfaces:
        host = ipaddress.ip_address(each.host.partition("%")[0])
        if host.version == 4 and not host.is_loopback and not host.is_link_local:
            found.append(str(host))
    return tuple(found)[:LOCAL_HOSTS_MAX]


@frozen
class Seen:
    """The external addresses in the order of the answers; one, if the server has no second address."""

    addresses: tuple[Address, ...]


@frozen
class NotSeen:
    """There is no answer that counts; ``text`` is frp's."""

    text: str


FrpDiscoveryEvent: TypeAlias = Seen | NotSeen


class FrpDiscovery(Inquiry):
    """Asks a server, and then its other address, from one socket; one event tells the outcome."""

    def __init__(self, server: Address, entropy: Callable[[int], bytes]) -> None:
        super().__init__(entropy)
        self._server = server
        self._seen: list[Address] = []
        self._events: list[FrpDiscoveryEvent] = []

    def start(self, now: float) -> None:
        """Asks the server."""
        self._ask(self._server, now)

    def events(self) -> Sequence[FrpDiscoveryEvent]:
        """Takes the outcome, once it is there."""
        events, self._events = self._events, []
        return events

    def _ask(self, server: Address, now: float) -> None:
        self._prober.ask(Question(server=server, schedule=_SCHEDULE), now)

    def _advance(self, now: float) -> None:
        for event in self._prober.events():
            if isinstance(event, Unanswered):
                self._events.append(NotSeen("wait response from stun server timeout"))
            else:
                self._answered(event, now)

    def _answered(self, answer: Answered, now: float) -> None:
        message, is_first = answer.message, not self._seen
        if message.kind is StunClass.ERROR:
            failure = message.failure
            said = "" if failure is None else f" {failure.code}: {failure.reason}"
            self._events.append(NotSeen(f"STUN binding error{said}"))
            return
        if answer.mapped is not None:
            self._seen.append(answer.mapped)
        elif is_first:
            self._events.append(NotSeen("no external address found"))
            return
        if is_first and answer.other is not None:
            self._ask(answer.other, now)
        else:
            self._events.append(Seen(tuple(self._seen)))
