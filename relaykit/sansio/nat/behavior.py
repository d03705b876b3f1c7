"""What kind of NAT this is: asks STUN servers and draws the conclusions.

The words are those of RFC 4787: *mapping* is which external port a socket gets towards different
destinations, *filtering* is who may answer to it.  The conclusions are plain functions of what was
observed; :class:`BehaviorDiscovery` only observes.

Source: RFC 5780 4 (tests), RFC 4787 4 and 5 (behaviors).
"""

from __future__ import annotations

import enum
import itertools
import statistics
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeAlias, TypeVar

from attrs import field, frozen

from relaykit.sansio.nat.probing import PATIENT, QUICK, Answered, Inquiry, Question, Unanswered
from relaykit.sansio.nat.stun import Change
from relaykit.values import Address

__all__ = [
    "BLOCK_MAX",
    "LIFETIMES_S",
    "OTHERS_ROUND_TRIPS",
    "OTHERS_S",
    "PORT_SAMPLES",
    "STEP_MAX",
    "BehaviorDiscovery",
    "Filtering",
    "Lifetime",
    "Mapping",
    "MappingDiscovery",
    "NatBehavior",
    "Observation",
    "PortAllocation",
    "Ports",
    "allocation_of",
    "filtering_of",
    "mapping_of",
    "sockets_needed",
]

PORT_SAMPLES = 12
"""Sockets whose ports are compared.  That many random ports fall into one aligned quarter of all
ports, and so look like a block, once in four million times."""

OTHERS_S = 0.35
"""How long the short question before a punch waits for further answers once one is there: three times as long
as the second request takes to be sent.  A port that a firewall closes must not cost the QUICK schedule."""

OTHERS_ROUND_TRIPS = 2.0
"""The same in multiples of the time that the first answer took."""

BLOCK_MAX = 16384
"""Widest range of ports that is taken for a block."""

STEP_MAX = 16
"""Widest typical distance between ports that are taken for steps: others use the NAT as well."""

LIFETIMES_S: Sequence[float] = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300)
"""Ages at which mappings are looked at; RFC 4787 asks for 120 s at least and 300 s by default."""

_FIRST_PORT, _LAST_PORT = 1024, 65535

_FRESH, _SAMPLED = 1, 2
_AGED = _SAMPLED + PORT_SAMPLES
"""Places of sockets: 0 shows mappings, 1 filters, then those whose ports are compared or grow old."""


class Mapping(enum.Enum):
    """What the external port of a socket depends on."""

    UNKNOWN = "unknown"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """On nothing: one port for all destinations."""
    ADDRESS_DEPENDENT = "address-dependent"
    """On the destination's address."""
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    """On the destination's address and port."""
    NOT_PORT_DEPENDENT = "not-port-dependent"
    """Not on the port; whether on the address, a server with one address cannot show."""
    DEPENDENT = "dependent"
    """On the address, and it was not asked whether also on the port."""

    @property
    def is_steady(self) -> bool:
        """Whether, for all that is known, a peer finds the port that a server saw."""
        return self in (Mapping.ENDPOINT_INDEPENDENT, Mapping.NOT_PORT_DEPENDENT)


class Filtering(enum.Enum):
    """Whose datagrams come in through a mapping."""

    UNKNOWN = "unknown"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """Anybody's."""
    ADDRESS_DEPENDENT = "address-dependent"
    """Those of addresses that were sent to."""
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    """Those of addresses and ports that were sent to."""
    NOT_PORT_DEPENDENT = "not-port-dependent"
    """One of the first two; a server with one address cannot show which."""

    @property
    def ignores_port(self) -> bool:
        """Whether a peer that was sent to gets in from any of its ports."""
        return self not in (Filtering.UNKNOWN, Filtering.ADDRESS_AND_PORT_DEPENDENT)


class PortAllocation(enum.Enum):
    """How the NAT chooses external ports for new mappings."""

    UNKNOWN = "unknown"
    PRESERVED = "preserved"
    """The socket's own port."""
    STEPPED = "stepped"
    """A fixed distance from the one before, give or take what others use."""
    BLOCK = "block"
    """Any port of a block, as carrier NATs give each subscriber."""
    RANDOM = "random"
    """Any port."""


@frozen
class Ports:
    """How ports are chosen, and from which."""

    allocation: PortAllocation = PortAllocation.UNKNOWN
    step: int = 0
    """Distance between neighbors, where :attr:`allocation` is STEPPED."""
    low: int = _FIRST_PORT
    high: int = _LAST_PORT
    """First and last port that may be chosen."""

    @property
    def count(self) -> int:
        """How many ports there are to guess from."""
        return self.high - self.low + 1


@frozen
class Observation:
    """One answer: which external address a socket had towards a server."""

    server: Address
    mapped: Address


@frozen
class Lifetime:
    """How long an idle mapping lives: at least, and less than (None: no death was seen)."""

    at_least_s: float
    less_than_s: float | None


@frozen(kw_only=True)
class NatBehavior:
    """All that was found out.  None where it could not be."""

    udp_works: bool
    local: Address | None = None
    """The local end of the socket that was looked at."""
    mapped: Address | None = None
    """How the first server saw it."""
    mapping: Mapping = Mapping.UNKNOWN
    filtering: Filtering = Filtering.UNKNOWN
    ports: Ports = field(factory=Ports)
    latest_port: int | None = None
    """The external port that was given out last; prediction starts from it."""
    preserved: tuple[int, int] | None = None
    """How many of how many sockets kept their port."""
    hairpin: bool | None = None
    lifetime: Lifetime | None = None
    server_changes: bool = False
    """Whether the server can answer from another port, without which filtering is not seen."""
    round_trip_s: float | None = None

    @property
    def is_translated(self) -> bool:
        """Whether there is a NAT at all."""
        return self.mapped != self.local


# --- conclusions ---------------------------------------------------------------------------------


def mapping_of(observations: Sequence[Observation], local: Address | None = None) -> Mapping:
    """The mapping behavior, from what servers saw of *one* socket.  Source: RFC 5780 4.3."""
    if observations and all(seen.mapped == local for seen in observations):
        return Mapping.ENDPOINT_INDEPENDENT
    if len({seen.server for seen in observations}) < 2:
        return Mapping.UNKNOWN
    by_host: dict[str, set[Address]] = {}
    for seen in observations:
        by_host.setdefault(seen.server.host, set()).add(seen.mapped)
    if any(len(mapped) > 1 for mapped in by_host.values()):
        return Mapping.ADDRESS_AND_PORT_DEPENDENT
    if len(by_host) == 1:
        return Mapping.NOT_PORT_DEPENDENT
    if len(set.union(*by_host.values())) == 1:
        return Mapping.ENDPOINT_INDEPENDENT
    several_ports = len({seen.server for seen in observations}) > len(by_host)
    return Mapping.ADDRESS_DEPENDENT if several_ports else Mapping.DEPENDENT


def filtering_of(from_port: bool, from_address: bool | None) -> Filtering:
    """The filtering behavior, from whether answers from another port and from another address came.

    None stands for a server without a second address.  Source: RFC 5780 4.4.
    """
    if from_address:
        return Filtering.ENDPOINT_INDEPENDENT
    if from_port:
        return Filtering.NOT_PORT_DEPENDENT if from_address is None else Filtering.ADDRESS_DEPENDENT
    return Filtering.ADDRESS_AND_PORT_DEPENDENT


def allocation_of(pairs: Sequence[tuple[int, int]]) -> Ports:
    """How external ports are chosen, from (local, external) pairs in the order of their making."""
    external = [pair[1] for pair in pairs]
    if len(pairs) < 2:
        kept = bool(pairs) and pairs[0][0] == pairs[0][1]
        return Ports(PortAllocation.PRESERVED) if kept else Ports()
    if sum(local == seen for local, seen in pairs) * 2 > len(pairs):
        return Ports(PortAllocation.PRESERVED)
    steps = [after - before for before, after in itertools.pairwise(external)]
    step = statistics.median_low(steps)
    typical = statistics.median(abs(each) for each in steps)
    if step and typical <= STEP_MAX:
        regular = statistics.multimode(steps)
        return Ports(PortAllocation.STEPPED, step=regular[0] if len(regular) == 1 else step)
    if len(pairs) < PORT_SAMPLES * 2 // 3:
        return Ports(PortAllocation.RANDOM)
    size = 64
    while min(external) // size != max(external) // size:
        size *= 2
    if size > BLOCK_MAX:
        return Ports(PortAllocation.RANDOM)
    low = external[0] // size * size
    return Ports(PortAllocation.BLOCK, low=max(low, _FIRST_PORT), high=low + size - 1)


# --- observing -----------------------------------------------------------------------------------


_Outcomes: TypeAlias = dict[Question, Answered | None]


@frozen
class _Round:
    """Questions to ask, and those of this round and earlier ones to wait for; None: all of this one."""

    asked: Sequence[Question]
    awaited: Sequence[Question] | None = None


_Found = TypeVar("_Found")
_Script: TypeAlias = Generator[_Round, _Outcomes, _Found]


def sockets_needed(lifetime: bool = False) -> int:
    """How many sockets :class:`BehaviorDiscovery` wants, each on a port of its own."""
    return _AGED + (len(LIFETIMES_S) + 1 if lifetime else 0)


class _Discovery(Inquiry):
    """Runs a script that yields rounds of questions, and gets all outcomes back that there are so far."""

    def __init__(
        self, servers: Sequence[Address], sockets: Sequence[Address], entropy: Callable[[int], bytes]
    ) -> None:
        super().__init__(entropy)
        self._servers = tuple(dict.fromkeys(servers))
        self._sockets = tuple(sockets)
        self._waiting: set[Question] = set()
        self._outcomes: _Outcomes = {}
        self._found: list[NatBehavior] = []
        self._script: _Script[NatBehavior] | None = None

    def start(self, now: float) -> None:
        """Asks the first questions."""
        self._script = self._questions()
        self._ask(next(self._script), now)

    def events(self) -> Sequence[NatBehavior]:
        """Takes the one result, once it is there."""
        taken, self._found = self._found, []
        return taken

    def _questions(self) -> _Script[NatBehavior]:
        raise NotImplementedError

    def _ask(self, wanted: _Round, now: float) -> None:
        self._waiting = (
            set(wanted.asked if wanted.awaited is None else wanted.awaited) - self._outcomes.keys()
        )
        for question in wanted.asked:
            self._prober.ask(question, now)

    def _advance(self, now: float) -> None:
        for event in self._prober.events():
            self._waiting.discard(event.question)
            self._outcomes[event.question] = None if isinstance(event, Unanswered) else event
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Asks the next questions, once nothing more is waited for."""
        while self._script is not None and not self._waiting:
            try:
                self._ask(self._script.send(self._outcomes), now)
            except StopIteration as stop:
                self._found.append(stop.value)
                self._script = None


class MappingDiscovery(_Discovery):
    """The short question before each punch: which external address this socket has, and the next one.

    ``servers`` are all known STUN addresses, ``sockets`` the one local address.  A lost answer is
    not taken for a symmetric NAT: only answers count, and those that do not come soon after the first are
    not waited for: within ``others_s``, or twice the time that the first took.  Emits one
    :class:`NatBehavior`.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        sockets: Sequence[Address],
        entropy: Callable[[int], bytes],
        others_s: float = OTHERS_S,
    ) -> None:
        super().__init__(servers, sockets, entropy)
        self._others_s = others_s
        self._began = 0.0
        self._enough_at: float | None = None

    def start(self, now: float) -> None:
        self._began = now
        super().start(now)

    def next_wakeup(self) -> float | None:
        due = super().next_wakeup()
        return due if due is None or self._enough_at is None else min(due, self._enough_at)

    def wake(self, now: float) -> None:
        super().wake(now)
        if self._waiting and self._enough_at is not None and now >= self._enough_at:
            self._prober.give_up()
            self._outcomes.update(dict.fromkeys(self._waiting))
            self._waiting.clear()
            self._go_on(now)

    def _advance(self, now: float) -> None:
        super()._advance(now)
        if self._enough_at is None and any(self._outcomes.values()):
            self._enough_at = now + max(self._others_s, OTHERS_ROUND_TRIPS * (now - self._began))

    def _questions(self) -> _Script[NatBehavior]:
        questions = [Question(server=server, schedule=QUICK) for server in self._servers]
        outcomes = yield _Round(questions)
        seen = _observed(outcomes[question] for question in questions)
        if not seen:
            return NatBehavior(udp_works=False)
        local = self._sockets[0]
        ports = list(dict.fromkeys(each.mapped.port for each in seen))
        return NatBehavior(
            udp_works=True,
            local=local,
            mapped=seen[0].mapped,
            mapping=mapping_of(seen, local),
            ports=allocation_of([(local.port, port) for port in ports]),
            latest_port=ports[-1],
        )


class BehaviorDiscovery(_Discovery):
    """Everything about the NAT, for a person or to be kept: takes up to 3 s where filters are strict.

    ``servers`` are STUN servers of one address family, the first of which should know RFC 5780;
    ``sockets`` are the local addresses of :func:`sockets_needed` sockets on ports of their own.
    Emits one :class:`NatBehavior`.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        sockets: Sequence[Address],
        entropy: Callable[[int], bytes],
        lifetime: bool = False,
    ) -> None:
        super().__init__(servers, sockets, entropy)
        self._lifetime = lifetime

    def _questions(self) -> _Script[NatBehavior]:
        first = self._servers[0]
        mapping = [Question(server=server) for server in self._servers]
        plain = Question(server=first, via=_FRESH)
        port = Question(server=first, via=_FRESH, change=Change.PORT, schedule=PATIENT)
        both = Question(server=first, via=_FRESH, change=Change.ADDRESS | Change.PORT, schedule=PATIENT)
        samples = [Question(server=first, via=_SAMPLED + place) for place in range(PORT_SAMPLES)]
        fast = [*mapping, plain, *samples]
        outcomes = yield _Round([*fast, port, both], fast)
        answer = outcomes[plain] or outcomes[mapping[0]]
        seen = _observed(outcomes[question] for question in mapping)
        if not seen:
            return NatBehavior(udp_works=False)
        other = answer.other if answer is not None else None
        allocated = [outcomes[question] for question in samples]
        more, hairpin = yield from self._second_round(other, allocated[0], (port, both))
        seen += more
        preserved = [pair[0] == pair[1] for pair in self._pairs(allocated)]
        return NatBehavior(
            udp_works=True,
            local=self._sockets[0],
            mapped=seen[0].mapped,
            mapping=mapping_of(seen, self._sockets[0]),
            filtering=_filtering(first, other, outcomes[plain], outcomes[port], outcomes[both]),
            ports=allocation_of(self._pairs(allocated)),
            latest_port=seen[-1].mapped.port,
            preserved=(sum(preserved), len(preserved)),
            hairpin=hairpin,
            server_changes=other is not None,
            round_trip_s=answer.round_trip_s if answer is not None else None,
            lifetime=(yield from self._lifetimes()) if self._lifetime and other is not None else None,
        )

    def _second_round(
        self, other: Address | None, sampled: Answered | None, pending: Sequence[Question]
    ) -> _Script[tuple[list[Observation], bool | None]]:
        """Asks the server's other addresses, and the external address of one of our own sockets.

        Waits for the questions that are ``pending``, too.
        """
        further = [Question(server=server, schedule=PATIENT) for server in self._alternates(other)]
        hairpin = None
        if sampled is not None and sampled.mapped is not None:
            hairpin = Question(
                server=sampled.mapped, via=_SAMPLED + 1, answer_via=sampled.question.via, schedule=PATIENT
            )
        asked = [*further, *([] if hairpin is None else [hairpin])]
        outcomes = yield _Round(asked, [*asked, *pending])
        seen = _observed(outcomes[question] for question in further)
        return seen, None if hairpin is None else outcomes[hairpin] is not None

    def _alternates(self, other: Address | None) -> Sequence[Address]:
        """The further addresses of the first server, the one with the first port first.

        Its second port at the address that was asked is among them: a server behind a NAT may name one
        where nobody reaches it.
        """
        if other is None:
            return ()
        first = self._servers[0]
        found = dict.fromkeys((Address(other.host, first.port), other, Address(first.host, other.port)))
        return tuple(address for address in found if address not in self._servers)

    def _pairs(self, answers: Iterable[Answered | None]) -> list[tuple[int, int]]:
        """Local and external ports of what was answered."""
        return [
            (self._sockets[answer.question.via].port, answer.mapped.port)
            for answer in answers
            if answer is not None and answer.mapped is not None
        ]

    def _lifetimes(self) -> _Script[Lifetime | None]:
        """Opens one mapping per age, lets each grow idle, then has the server answer into it.

        The age of zero shows whether the server answers to another port at all.
        """
        first = self._servers[0]
        ages = (0.0, *LIFETIMES_S)
        opening = [Question(server=first, via=_AGED + place) for place in range(len(ages))]
        opened = yield _Round(opening)
        questions = {
            Question(
                server=first,
                answer_via=answer.question.via,
                response_port=answer.mapped.port,
                delay_s=age,
                schedule=PATIENT,
            ): age
            for age, answer in zip(ages, (opened[question] for question in opening), strict=True)
            if answer is not None and answer.mapped is not None
        }
        if not questions:
            return None
        outcomes = yield _Round(list(questions))
        alive = [age for question, age in questions.items() if outcomes[question] is not None]
        if 0.0 not in alive:
            return None
        dead = [age for question, age in questions.items() if outcomes[question] is None]
        return Lifetime(max(alive), min((age for age in dead if age > max(alive)), default=None))


def _observed(answers: Iterable[Answered | None]) -> list[Observation]:
    return [
        Observation(answer.question.server, answer.mapped)
        for answer in answers
        if answer is not None and answer.mapped is not None
    ]


def _filtering(
    asked: Address,
    other: Address | None,
    plain: Answered | None,
    from_port: Answered | None,
    from_both: Answered | None,
) -> Filtering:
    """Whether the server did what was asked, and then what follows."""
    if other is None or plain is None:
        return Filtering.UNKNOWN
    if from_port is not None and (from_port.mapped is None or from_port.source == asked):
        return Filtering.UNKNOWN
    was_refused = from_both is not None and from_both.mapped is None
    has_second_address = other.host != asked.host and not was_refused
    moved = from_both is not None and from_both.source.host != asked.host
    return filtering_of(from_port is not None, moved if has_second_address else None)
