"""Hole punching: whom to send to and when, which path wins, when to give up.

Both ends run this core with the roles exchanged, from the moment each has the other's candidates.  The
responder has them first and so begins first: its first datagrams have a low TTL, so that they open its
own NAT and die before they reach the initiator's, where an early datagram may spoil the port that the
initiator's NAT is about to use.  From then on:

- every candidate of the peer is checked, over and over;
- what else is done depends on both NATs, see :mod:`relaykit.sansio.nat.pairing`;
- every probe of the peer is answered to where it came from, and that address is checked, too: a
  NAT that takes another port for us is found by what comes from it;
- an answer proves a path in both directions; the initiator nominates the best proven path, and with the
  responder's acceptance the punch is done;
- from then on the path is kept, see :mod:`relaykit.sansio.nat.keeping`.

Where an attempt was silent there is a second one, from other ports, which goes about it in another way:
see ``generation`` of :class:`relaykit.sansio.nat.exchange.Candidates`.

Datagrams that do not carry the session's key are ignored.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.behavior import PortAllocation
from relaykit.sansio.nat.candidates import Candidate, CandidateKind
from relaykit.sansio.nat.check_list import TICK_S, CandidatePair, CheckList
from relaykit.sansio.nat.checks import Check, CheckKeys, CheckKind, PeerRole, milliseconds
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.keeping import PathKeeper, PathMoved, keepalive_s_of
from relaykit.sansio.nat.pairing import NatType, Strategy, nat_type_of, strategy_for
from relaykit.sansio.nat.port_scan import PortScan, sockets_wanted
from relaykit.values import Address

__all__ = [
    "ACTORS",
    "FALLBACK_S",
    "HEARD_S",
    "OPENING_TTL",
    "QUIET_S",
    "SEARCH_S",
    "SECOND_OPENING_TTL",
    "TRANSITIONS",
    "FailureReason",
    "HolePunching",
    "PathLost",
    "Punched",
    "PunchingEvent",
    "PunchingFailed",
    "PunchingState",
    "PunchingStep",
    "SocketsWanted",
    "phases_of",
]

OPENING_TTL = 4
"""TTL that gets through one's own NATs, a carrier's included, and not to the peer's."""

SECOND_OPENING_TTL = 2
"""The same in a second attempt: the peer may be so near that the first one's reached its router, and spoiled
its port."""

OPENING_S = 1.0
"""How long the responder's datagrams die on the way, unless the initiator is heard before: the time that
the responder's candidates may take to the initiator."""

SHORT_OPENING_S = 0.1
"""The same where the initiator cannot be heard before, because only the responder can find the other, and
for the initiator in a second attempt, in which both open their NATs before they look for each other."""

FALLBACK_S = (0.5, 5.0)
"""When, in a second attempt, a side whose NAT may be another than it seems plays the one of unforeseeable
ports after all: first one whose port was not kept, or the initiator, then the other."""

PAUSE_S = 1.0
"""How long guessing rests after the peer was heard."""

HOPELESS_S = 2.0
"""How long the remaining candidates are tried where the NATs cannot be punched."""

QUIET_S = 1.5
"""How long the initiator goes on without hearing the peer, where checks and predictions must do: they hit at
once or never, and a second attempt must fit into the three seconds after which somebody is told."""

SEARCH_S = 6.0
"""The same where a port is searched for: 99 % of all searches that succeed have by then."""

HEARD_S = 3.0
"""How long an end goes on after it has heard the peer."""

RESPONDER_QUIET_S = 20.0
"""How long the responder does: its candidates may take seconds to the initiator, if the rendezvous loses
something, and an initiator that begins anew tells it."""

TOTAL_S = 30.0
"""When to give up although the peer is heard."""


class PunchingState(enum.Enum):
    """Where a punch stands."""

    IDLE = "idle"
    CHECKING = "checking"
    NOMINATING = "nominating"
    CONNECTED = "connected"
    ENDED = "ended"


class PunchingStep(enum.Enum):
    """What takes a punch from one state to the next."""

    START = "both ends' candidates are there"
    NOMINATE = "nominates a proven path"
    ACCEPT = "accepts the nomination"
    HEAR_ACCEPTANCE = "hears the acceptance"
    GIVE_UP = "time is up"
    LOSE = "hears nothing any more"


TRANSITIONS: Mapping[tuple[PunchingState, PunchingStep], PunchingState] = {
    (PunchingState.IDLE, PunchingStep.START): PunchingState.CHECKING,
    (PunchingState.CHECKING, PunchingStep.NOMINATE): PunchingState.NOMINATING,
    (PunchingState.CHECKING, PunchingStep.ACCEPT): PunchingState.CONNECTED,
    (PunchingState.CHECKING, PunchingStep.GIVE_UP): PunchingState.ENDED,
    (PunchingState.NOMINATING, PunchingStep.HEAR_ACCEPTANCE): PunchingState.CONNECTED,
    (PunchingState.NOMINATING, PunchingStep.GIVE_UP): PunchingState.ENDED,
    (PunchingState.CONNECTED, PunchingStep.LOSE): PunchingState.ENDED,
}
"""The life of a punch; what is missing here does not happen."""

ACTORS: Mapping[PunchingStep, PeerRole | None] = {
    PunchingStep.START: None,
    PunchingStep.NOMINATE: PeerRole.INITIATOR,
    PunchingStep.ACCEPT: PeerRole.RESPONDER,
    PunchingStep.HEAR_ACCEPTANCE: PeerRole.INITIATOR,
    PunchingStep.GIVE_UP: None,
    PunchingStep.LOSE: None,
}
"""Whose step it is; None for both ends'."""


class FailureReason(enum.Enum):
    """Why a punch failed."""

    IMPOSSIBLE = "impossible"
    """These two NATs cannot be punched, and no other candidate answered."""
    SILENCE = "silence"
    """Nothing was heard of the peer."""
    ONE_WAY = "one-way"
    """The peer was heard, but no path worked in both directions."""
    USELESS = "useless"
    """A path of UDP is of no use, because one end has nothing that makes streams of it, and none of TCP came
    to stand."""
    NO_SOCKETS = "no sockets"
    """A search for a port needs many sockets, and one end could not open them."""


@frozen
class SocketsWanted:
    """So many sockets are needed in all; tell :meth:`HolePunching.opened` how many there are."""

    count: int


@frozen
class Punched:
    """A path works in both directions, and both ends know.  The other sockets are not needed any more."""

    via: int
    peer: Address
    kind: CandidateKind
    strategy: Strategy
    seconds: float
    round_trip_s: float | None


@frozen
class PunchingFailed:
    """There will be no path."""

    reason: FailureReason
    seconds: float


@frozen
class PathLost:
    """After :class:`Punched`: the peer has been silent for too long, or is gone."""


PunchingEvent: TypeAlias = SocketsWanted | Punched | PunchingFailed | PathMoved | PathLost


def phases_of(role: PeerRole, own: Candidates, peer: Candidates) -> tuple[tuple[float, Strategy], ...]:
    """What this end does, and from when on (seconds): one strategy, or more in a second attempt.

    Then each NAT that was not looked at from two addresses, and one whose ports only seemed to be counted up,
    is taken for one of unforeseeable ports after a while: one that keeps its sockets' ports after the other.
    """
    nats = {role: own.nat, role.other: peer.nat}
    types = {each: nat_type_of(nat) for each, nat in nats.items()}
    strategy = strategy_for(types[role], types[role.other])
    phases = [(0.0, strategy)]
    if own.generation and strategy in (Strategy.CHECK, Strategy.PREDICT):
        begins = iter(FALLBACK_S)
        for each in sorted(
            PeerRole, key=lambda each: nats[each].ports.allocation is PortAllocation.PRESERVED
        ):
            miscounted = types[each] is NatType.STEPPED and types[each.other] is NatType.STEADY
            if miscounted or not nats[each].is_sure:
                phases.append((next(begins), Strategy.SPREAD if each is role else Strategy.GUESS))
    return tuple(phases)


class HolePunching:
    """One end of one punch; a core by :class:`relaykit.sansio.nat.datagrams.DatagramCore`.

    ``targets`` are the peer's candidates that may be sent to, see
    :func:`relaykit.sansio.nat.candidates.admitted`.  Socket 0, whose candidates were sent, is
    open from the start; more are asked for by :class:`SocketsWanted`.  ``key`` is the session's, the
    same at both ends, unknown to all others.  ``entropy`` gives unpredictable bytes.  ``mapping_life_s`` is
    how long an idle mapping of the own NAT was seen to live; None if that was not measured.
    """

    def __init__(
        self,
        role: PeerRole,
        own: Candidates,
        peer: Candidates,
        targets: Sequence[Candidate],
        key: bytes,
        entropy: Callable[[int], bytes],
        opening_ttl: int = 0,
        mapping_life_s: float | None = None,
    ) -> None:
        self._role = role
        self._own = own
        self._peer = peer
        self._keys = CheckKeys(key, role, entropy(32))
        self._entropy = entropy
        self._opening_ttl = SECOND_OPENING_TTL if own.generation else opening_ttl or OPENING_TTL
        self._phases = phases_of(role, own, peer)
        self._must_find = nat_type_of(peer.nat) is NatType.OPEN and nat_type_of(own.nat) not in (
            NatType.OPEN,
            NatType.STEADY,
        )
        self._sockets = 1
        self._mapping_life_s = mapping_life_s
        self._state = PunchingState.IDLE
        self._began = self._tick_due = self._deadline = 0.0
        self._heard_at: float | None = None
        self._nominated: CandidatePair | None = None
        self._keeper: PathKeeper | None = None
        self._reason: FailureReason | None = None
        self._wanted = 1
        self._outbox: list[Datagram] = []
        self._events: list[PunchingEvent] = []
        self._reflexive = next(
            (each.address for each in targets if _is_behind_nat(each)),
            None,
        )
        self._scan = None if self._reflexive is None else PortScan(self._reflexive, peer.nat, entropy)
        skipped = self._reflexive if self._phases[0][1] is Strategy.PREDICT else None
        self._checks = CheckList(each for each in targets if each.address != skipped)

    @property
    def state(self) -> PunchingState:
        """Where it stands."""
        return self._state

    def start(self, now: float) -> None:
        """Begins to check.  Call it as soon as the peer's candidates are there."""
        self._take(PunchingStep.START)
        self._began = self._tick_due = now
        self._deadline = now + self._patience_s()
        if self._phases[0][1] is Strategy.GIVE_UP:
            self._give_up(FailureReason.IMPOSSIBLE)
        self.wake(now)

    def opened(self, count: int) -> None:
        """So many sockets are open by now, fewer than wanted if there were no more to be had."""
        self._sockets = count
        if count == 1 and len(self._phases) == 1:
            self._give_up(FailureReason.NO_SOCKETS)

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram."""
        if self._state in (PunchingState.IDLE, PunchingState.ENDED):
            return
        check = self._keys.open(data)
        if check is None:
            return
        if self._keeper is not None:
            self._keeper.receive(check, source, via, now)
            return
        path = self._checks.pair_of(via, source)
        if path is None:
            return
        path.is_heard = True
        self._heard_at = now
        self._deadline = min(max(self._deadline, now + HEARD_S), self._began + TOTAL_S)
        _ACTIONS[check.kind](self, path, check, now)

    def suspect(self, source: Address, via: int, now: float) -> None:
        """On a path that stands: somebody sent what is no check, from elsewhere; maybe the peer."""
        if self._keeper is not None:
            self._keeper.suspect(source, via, now)

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken if self._keeper is None else [*taken, *self._keeper.to_send()]

    def next_wakeup(self) -> float | None:
        """When the next round is due."""
        if self._state in (PunchingState.IDLE, PunchingState.ENDED):
            return None
        if self._keeper is not None:
            return self._keeper.next_wakeup()
        return min(self._tick_due, self._deadline)

    def wake(self, now: float) -> None:
        """Sends the round that is due, chooses a path, keeps it, gives up."""
        if self._state in (PunchingState.IDLE, PunchingState.ENDED):
            return
        if self._keeper is not None:
            self._keep(self._keeper, now)
            return
        if now >= self._deadline:
            self._fail(now)
            return
        if now < self._tick_due:
            return
        self._tick_due = now + TICK_S
        if self._state is PunchingState.CHECKING:
            self._choose(now)
        if self._nominated is not None:
            self._say(self._nominated, CheckKind.NOMINATION, now)
            return
        for path in self._checks.due(now):
            self._check(path, now)
        self._scan_ports(now)

    def events(self) -> Sequence[PunchingEvent]:
        """Takes what has happened since the last call."""
        taken, self._events = self._events, []
        return taken if self._keeper is None else [*taken, *self._keeper.events()]

    # --- time

    def _patience_s(self) -> float:
        """How long this end waits for a first sign of the peer."""
        if self._role is PeerRole.RESPONDER:
            return RESPONDER_QUIET_S
        begins, strategy = self._phases[-1]
        return begins + (QUIET_S if strategy in (Strategy.CHECK, Strategy.PREDICT) else SEARCH_S)

    def _give_up(self, reason: FailureReason) -> None:
        """The NATs cannot be punched; what does not depend on them is still tried for a moment."""
        self._reason = reason
        self._deadline = self._began + (HOPELESS_S if self._is_there_a_way_around() else 0.0)

    def _keep(self, keeper: PathKeeper, now: float) -> None:
        if keeper.is_lost(now):
            self._take(PunchingStep.LOSE)
            self._events.append(PathLost())
        else:
            keeper.wake(now)

    def _is_there_a_way_around(self) -> bool:
        """Whether either end has a candidate that does not depend on the NATs' behavior."""
        others = any(path.address != self._reflexive for path in self._checks)
        return others or any(each.kind is CandidateKind.MAPPED for each in self._own.udp)

    # --- the peer's datagrams

    def _probed(self, path: CandidatePair, check: Check, now: float) -> None:
        self._outbox.append(
            Datagram(self._keys.seal(CheckKind.ANSWER, check.token, check.stamp), path.address, path.via)
        )
        if self._state is PunchingState.CHECKING and path.is_due_earlier(now):
            self._check(path, now)

    def _answered(self, path: CandidatePair, check: Check, now: float) -> None:
        if check.token != self._keys.token_of(path.via, path.address) or path.proven_at is not None:
            return
        path.proven_at = now
        path.round_trip_s = ((milliseconds(now) - check.stamp) & 0xFFFFFFFF) / 1000
        if self._state is PunchingState.CHECKING:
            self._choose(now)

    def _nominated_by_peer(self, path: CandidatePair, check: Check, now: float) -> None:
        if self._role is not PeerRole.RESPONDER:
            return
        self._nominated = path
        self._finish(path, PunchingStep.ACCEPT, now)
        self._say(path, CheckKind.ACCEPTANCE, now)

    def _accepted(self, path: CandidatePair, check: Check, now: float) -> None:
        if self._state is PunchingState.NOMINATING and path is self._nominated:
            self._finish(path, PunchingStep.HEAR_ACCEPTANCE, now)

    # --- choosing

    def _choose(self, now: float) -> None:
        """The initiator: nominates the best proven path, once no better one can be hoped for."""
        found = self._checks.best()
        if self._role is not PeerRole.INITIATOR or found is None:
            return
        best, patient_until = found
        if now < patient_until:
            self._tick_due = min(self._tick_due, patient_until)
            return
        self._take(PunchingStep.NOMINATE)
        self._nominated = best
        self._tick_due = now + TICK_S
        self._say(best, CheckKind.NOMINATION, now)

    def _take(self, step: PunchingStep) -> None:
        self._state = TRANSITIONS[self._state, step]

    def _finish(self, path: CandidatePair, step: PunchingStep, now: float) -> None:
        self._take(step)
        own, peer = nat_type_of(self._own.nat), nat_type_of(self._peer.nat)
        self._keeper = PathKeeper(path, self._keys, keepalive_s_of(own, peer, self._mapping_life_s), now)
        strategy, _ = self._strategy(now)
        self._events.append(
            Punched(path.via, path.address, path.kind, strategy, now - self._began, path.round_trip_s)
        )

    def _fail(self, now: float) -> None:
        self._take(PunchingStep.GIVE_UP)
        heard = FailureReason.SILENCE if self._heard_at is None else FailureReason.ONE_WAY
        self._events.append(PunchingFailed(self._reason or heard, now - self._began))

    # --- sending

    def _strategy(self, now: float) -> tuple[Strategy, float]:
        """What this end does beside checking, and since when."""
        begun = [phase for phase in self._phases if now >= self._began + phase[0]]
        begins, strategy = begun[-1] if begun else self._phases[0]
        return strategy, self._began + begins

    def _check(self, path: CandidatePair, now: float) -> None:
        path.checked(now)
        self._probe(path.via, path.address, now, is_opening=not path.is_heard)

    def _probe(self, via: int, address: Address, now: float, is_opening: bool = True) -> None:
        ttl = self._opening_ttl if is_opening and self._is_opening(now) else None
        payload = self._keys.seal(CheckKind.PROBE, self._keys.token_of(via, address), milliseconds(now))
        self._outbox.append(Datagram(payload, address, via, ttl))

    def _is_opening(self, now: float) -> bool:
        """Whether datagrams that were not asked for shall die on the way."""
        if self._strategy(now)[0] is Strategy.SPREAD:
            return self._scan is None or self._scan.is_opening
        if self._heard_at is not None:
            return False
        if self._role is PeerRole.INITIATOR:
            return self._own.generation > 0 and now - self._began < SHORT_OPENING_S
        return now - self._began < (SHORT_OPENING_S if self._must_find else OPENING_S)

    def _say(self, path: CandidatePair, kind: CheckKind, now: float) -> None:
        payload = self._keys.seal(kind, self._keys.token_of(path.via, path.address), milliseconds(now))
        self._outbox.append(Datagram(payload, path.address, path.via))

    def _scan_ports(self, now: float) -> None:
        """What the strategy asks for besides checking."""
        strategy, since = self._strategy(now)
        if self._scan is None or (self._heard_at is not None and now - self._heard_at < PAUSE_S):
            return
        wanted = sockets_wanted(strategy, self._own.nat)
        if wanted > self._wanted:
            self._wanted = wanted
            self._events.append(SocketsWanted(wanted))
        if wanted > 1 and self._sockets == 1:
            return
        for target in self._scan.targets(strategy, now - since, TICK_S, self._sockets):
            self._probe(target.via, target.address, now, target.is_opening)


_ACTIONS: dict[CheckKind, Callable[[HolePunching, CandidatePair, Check, float], None]] = {
    CheckKind.PROBE: HolePunching._probed,
    CheckKind.ANSWER: HolePunching._answered,
    CheckKind.NOMINATION: HolePunching._nominated_by_peer,
    CheckKind.ACCEPTANCE: HolePunching._accepted,
}


def _is_behind_nat(candidate: Candidate) -> bool:
    return candidate.kind is CandidateKind.REFLEXIVE and ":" not in candidate.address.host
