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
- from then on the path is kept: a question now and then, which the other end answers, so that no NAT
  forgets it, and both ends notice when it is gone.

Datagrams that do not carry the session's key are ignored.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.candidates import Candidate, CandidateKind
from relaykit.sansio.nat.check_list import TICK_S, CandidatePair, CheckList
from relaykit.sansio.nat.checks import Check, CheckKeys, CheckKind, PeerRole
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.pairing import NatType, Strategy, nat_type_of, strategy_for
from relaykit.sansio.nat.port_scan import SOCKETS, PortScan
from relaykit.values import Address

__all__ = [
    "ACTORS",
    "KEEPALIVE_S",
    "OPENING_TTL",
    "SILENT_S",
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

OPENING_S = 1.0
"""How long the responder's datagrams die on the way, unless the initiator is heard before: the time that
the responder's candidates may take to the initiator."""

SHORT_OPENING_S = 0.1
"""The same where the initiator cannot be heard before, because only the responder can find the other."""

FALLBACK_S = (1.5, 6.0)
"""When a side whose NAT was only seen from one address plays the one of unforeseeable ports after
all: first the initiator, then the responder."""

PAUSE_S = 1.0
"""How long guessing rests after the peer was heard."""

HOPELESS_S = 2.0
"""How long the remaining candidates are tried where the NATs cannot be punched."""

QUIET_S = 10.0
"""How long the initiator goes on without hearing the peer."""

RESPONDER_QUIET_S = 20.0
"""How long the responder does: its candidates may take seconds to the initiator, if the rendezvous loses
something, and an initiator that begins anew tells it."""

TOTAL_S = 30.0
"""When to give up although the peer is heard."""

KEEPALIVE_S = 15.0
"""Pause between two questions over a path that stands: half of the 30 s after which the quickest of common
routers forget a flow."""

SILENT_S = 30.0
"""How long a path that stands may be silent until it is given up."""

AGAIN_S = 1.0
"""Pause before a question over a path that stands is repeated."""


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


PunchingEvent: TypeAlias = SocketsWanted | Punched | PunchingFailed | PathLost


def phases_of(role: PeerRole, own: Candidates, peer: Candidates) -> tuple[tuple[float, Strategy], ...]:
    """What this end does, and from when on (seconds): one strategy, or more where a NAT is not sure."""
    strategy = strategy_for(nat_type_of(own.nat), nat_type_of(peer.nat))
    phases = [(0.0, strategy)]
    if strategy is Strategy.CHECK:
        unsure = {role: not own.nat.is_sure, role.other: not peer.nat.is_sure}
        begins = iter(FALLBACK_S)
        for each in PeerRole:
            if unsure[each]:
                phases.append((next(begins), Strategy.SPREAD if each is role else Strategy.GUESS))
    return tuple(phases)


class HolePunching:
    """One end of one punch; a core by :class:`relaykit.sansio.nat.datagrams.DatagramCore`.

    ``targets`` are the peer's candidates that may be sent to, see
    :func:`relaykit.sansio.nat.candidates.admitted`.  Socket 0, whose candidates were sent, is
    open from the start; more are asked for by :class:`SocketsWanted`.  ``key`` is the session's, the
    same at both ends, unknown to all others.  ``entropy`` gives unpredictable bytes.
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
    ) -> None:
        self._role = role
        self._own = own
        self._peer = peer
        self._keys = CheckKeys(key, role, entropy(32))
        self._entropy = entropy
        self._opening_ttl = opening_ttl or OPENING_TTL
        self._phases = phases_of(role, own, peer)
        self._must_find = nat_type_of(peer.nat) is NatType.OPEN and nat_type_of(own.nat) not in (
            NatType.OPEN,
            NatType.STEADY,
        )
        self._sockets = 1
        self._patience_s = QUIET_S if role is PeerRole.INITIATOR else RESPONDER_QUIET_S
        self._state = PunchingState.IDLE
        self._began = self._tick_due = self._deadline = 0.0
        self._heard_at: float | None = None
        self._nominated: CandidatePair | None = None
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
        self._deadline = now + self._patience_s
        if self._phases[0][1] is Strategy.GIVE_UP:
            self._deadline = now + (HOPELESS_S if self._is_there_a_way_around() else 0.0)
        self.wake(now)

    def opened(self, count: int) -> None:
        """So many sockets are open by now, fewer than wanted if there were no more to be had."""
        self._sockets = count

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram."""
        if self._state in (PunchingState.IDLE, PunchingState.ENDED):
            return
        check = self._keys.open(data)
        if check is None:
            return
        path = self._checks.pair_of(via, source)
        if path is None:
            return
        path.is_heard = True
        if self._state is not PunchingState.CONNECTED:
            self._heard_at = now
            self._deadline = min(now + self._patience_s, self._began + TOTAL_S)
        elif path is self._nominated:
            self._refresh(now)
        _ACTIONS[check.kind](self, path, check, now)

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """When the next round is due."""
        if self._state in (PunchingState.IDLE, PunchingState.ENDED):
            return None
        return min(self._tick_due, self._deadline)

    def wake(self, now: float) -> None:
        """Sends the round that is due, chooses a path, keeps it, gives up."""
        if self._state in (PunchingState.IDLE, PunchingState.ENDED):
            return
        if now >= self._deadline:
            self._end(now)
            return
        if now < self._tick_due:
            return
        if self._state is PunchingState.CONNECTED:
            assert self._nominated is not None
            self._tick_due = now + AGAIN_S
            self._say(self._nominated, CheckKind.PROBE, now)
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
        return taken

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
        if check.token != self._token(path.via, path.address) or path.proven_at is not None:
            return
        path.proven_at = now
        path.round_trip_s = ((_milliseconds(now) - check.stamp) & 0xFFFFFFFF) / 1000
        if self._state is PunchingState.CHECKING:
            self._choose(now)

    def _nominated_by_peer(self, path: CandidatePair, check: Check, now: float) -> None:
        if self._role is not PeerRole.RESPONDER:
            return
        if self._nominated is None:
            self._nominated = path
            self._finish(path, PunchingStep.ACCEPT, now)
        if path is self._nominated:
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
        self._refresh(now)
        strategy, _ = self._strategy(now)
        self._events.append(
            Punched(path.via, path.address, path.kind, strategy, now - self._began, path.round_trip_s)
        )

    def _refresh(self, now: float) -> None:
        """The path works at this moment; whoever hears a question answers it, and need not ask."""
        self._tick_due = now + KEEPALIVE_S
        self._deadline = now + SILENT_S

    def _end(self, now: float) -> None:
        if self._state is PunchingState.CONNECTED:
            self._take(PunchingStep.LOSE)
            self._events.append(PathLost())
        else:
            self._take(PunchingStep.GIVE_UP)
            reason = FailureReason.SILENCE if self._heard_at is None else FailureReason.ONE_WAY
            if self._phases[0][1] is Strategy.GIVE_UP:
                reason = FailureReason.IMPOSSIBLE
            self._events.append(PunchingFailed(reason, now - self._began))

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
        payload = self._keys.seal(CheckKind.PROBE, self._token(via, address), _milliseconds(now))
        self._outbox.append(Datagram(payload, address, via, ttl))

    def _is_opening(self, now: float) -> bool:
        """Whether datagrams that were not asked for shall die on the way."""
        if self._strategy(now)[0] is Strategy.SPREAD:
            return self._scan is None or self._scan.is_opening
        if self._role is PeerRole.INITIATOR or self._heard_at is not None:
            return False
        return now - self._began < (SHORT_OPENING_S if self._must_find else OPENING_S)

    def _say(self, path: CandidatePair, kind: CheckKind, now: float) -> None:
        payload = self._keys.seal(kind, self._token(path.via, path.address), _milliseconds(now))
        self._outbox.append(Datagram(payload, path.address, path.via))

    def _token(self, via: int, address: Address) -> bytes:
        return self._keys.token(f"{via} {address}".encode())

    def _scan_ports(self, now: float) -> None:
        """What the strategy asks for besides checking."""
        strategy, since = self._strategy(now)
        if self._scan is None or (self._heard_at is not None and now - self._heard_at < PAUSE_S):
            return
        wanted = SOCKETS.get(strategy, 1)
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


def _milliseconds(now: float) -> int:
    return int(now * 1000) & 0xFFFFFFFF
