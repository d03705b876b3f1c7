"""Hole punching: whom to send to and when, which path wins, when to give up.

Both ends run this core with the roles exchanged, from the moment each has the other's offer.  The
callee has it first and so begins first: its first datagrams have a low TTL, so that they open its
own NAT and die before they reach the caller's, where an early datagram may spoil the port that the
caller's NAT is about to use.  From then on:

- every candidate of the peer is knocked at, over and over;
- what else is done depends on both NATs, see :mod:`relaykit.sansio.nat.pairing`;
- every probe of the peer is answered to where it came from, and that address is knocked at, too: a
  NAT that takes another port for us is found by what comes from it;
- an answer proves a path in both directions; the caller nominates the best proven path, and with the
  callee's acceptance the punch is done;
- from then on the path is kept: a question now and then, which the other end answers, so that no NAT
  forgets it, and both ends notice when it is gone.

Datagrams that do not carry the session's key are ignored.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import define, frozen

from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.candidates import Candidate, CandidateKind
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.knocks import Knock, KnockKeys, KnockKind, Role
from relaykit.sansio.nat.offers import Offer
from relaykit.sansio.nat.pairing import Part, Shape, part_of, shape_of
from relaykit.sansio.nat.sweeping import SOCKETS, Sweep
from relaykit.values import Address

__all__ = [
    "ACTORS",
    "KEEPALIVE_S",
    "OPENING_TTL",
    "SILENT_S",
    "TRANSITIONS",
    "FailureReason",
    "PathLost",
    "Punch",
    "PunchEvent",
    "PunchFailed",
    "Punched",
    "SocketsWanted",
    "State",
    "Step",
    "stages_of",
]

TICK_S = 0.05
"""Time between two rounds of sending."""

OPENING_TTL = 4
"""TTL that gets through one's own NATs, a carrier's included, and not to the peer's."""

OPENING_S = 1.0
"""How long the callee's datagrams die on the way, unless the caller is heard before: the time that
the callee's offer may take to the caller."""

SHORT_OPENING_S = 0.1
"""The same where the caller cannot be heard before, because only the callee can find the other."""

BRISK_KNOCKS = 40
"""Knocks at one address, one each tick, before the pace slows down."""

SLOW_KNOCK_S = 0.2
"""Pace after that."""

KNOCKS_MAX = 150
"""Most knocks at one address that never answered."""

REFLEXIVE_MAX = 8
"""Most addresses that are learned from the peer's datagrams."""

FALLBACK_S = (1.5, 6.0)
"""When a side whose NAT was only seen from one address plays the one of unforeseeable ports after
all: first the caller, then the callee."""

PATIENCE_S = 0.05
"""How long the caller waits for a better path than the first one."""

PAUSE_S = 1.0
"""How long guessing rests after the peer was heard."""

HOPELESS_S = 2.0
"""How long the remaining candidates are tried where the NATs cannot be punched."""

QUIET_S = 10.0
"""How long the caller goes on without hearing the peer."""

CALLEE_QUIET_S = 20.0
"""How long the callee does: its offer may take seconds to the caller, if the rendezvous loses
something, and a caller that begins anew tells it."""

TOTAL_S = 30.0
"""When to give up although the peer is heard."""

KEEPALIVE_S = 15.0
"""Pause between two questions over a path that stands: half of the 30 s after which the quickest of common
routers forget a flow."""

SILENT_S = 30.0
"""How long a path that stands may be silent until it is given up."""

AGAIN_S = 1.0
"""Pause before a question over a path that stands is repeated."""


class State(enum.Enum):
    """Where a punch stands."""

    IDLE = "idle"
    KNOCKING = "knocking"
    NOMINATING = "nominating"
    STANDING = "standing"
    ENDED = "ended"


class Step(enum.Enum):
    """What takes a punch from one state to the next."""

    START = "both offers are there"
    NOMINATE = "nominates a proven path"
    ACCEPT = "accepts the nomination"
    HEAR_ACCEPTANCE = "hears the acceptance"
    GIVE_UP = "time is up"
    LOSE = "hears nothing any more"


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.IDLE, Step.START): State.KNOCKING,
    (State.KNOCKING, Step.NOMINATE): State.NOMINATING,
    (State.KNOCKING, Step.ACCEPT): State.STANDING,
    (State.KNOCKING, Step.GIVE_UP): State.ENDED,
    (State.NOMINATING, Step.HEAR_ACCEPTANCE): State.STANDING,
    (State.NOMINATING, Step.GIVE_UP): State.ENDED,
    (State.STANDING, Step.LOSE): State.ENDED,
}
"""The life of a punch; what is missing here does not happen."""

ACTORS: Mapping[Step, Role | None] = {
    Step.START: None,
    Step.NOMINATE: Role.CALLER,
    Step.ACCEPT: Role.CALLEE,
    Step.HEAR_ACCEPTANCE: Role.CALLER,
    Step.GIVE_UP: None,
    Step.LOSE: None,
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


@frozen
class SocketsWanted:
    """So many sockets are needed in all; tell :meth:`Punch.opened` how many there are."""

    count: int


@frozen
class Punched:
    """A path works in both directions, and both ends know.  The other sockets are not needed any more."""

    via: int
    peer: Address
    kind: CandidateKind
    part: Part
    seconds: float
    round_trip_s: float | None


@frozen
class PunchFailed:
    """There will be no path."""

    reason: FailureReason
    seconds: float


@frozen
class PathLost:
    """After :class:`Punched`: the peer has been silent for too long, or is gone."""


PunchEvent: TypeAlias = SocketsWanted | Punched | PunchFailed | PathLost


@define(eq=False)
class _Path:
    """One socket of ours and one address of the peer."""

    via: int
    address: Address
    kind: CandidateKind
    due: float = 0.0
    sent: int = 0
    is_heard: bool = False
    round_trip_s: float | None = None
    proven_at: float | None = None


def stages_of(role: Role, own: Offer, peer: Offer) -> tuple[tuple[float, Part], ...]:
    """What this end does, and from when on (seconds): one part, or more where a NAT is not sure."""
    part = part_of(shape_of(own.nat), shape_of(peer.nat))
    stages = [(0.0, part)]
    if part is Part.KNOCK:
        unsure = {role: not own.nat.is_sure, role.other: not peer.nat.is_sure}
        begins = iter(FALLBACK_S)
        for each in Role:
            if unsure[each]:
                stages.append((next(begins), Part.SPREAD if each is role else Part.GUESS))
    return tuple(stages)


class Punch:
    """One end of one punch; a core by :class:`relaykit.sansio.nat.datagrams.DatagramCore`.

    ``targets`` are the peer's candidates that may be sent to, see
    :func:`relaykit.sansio.nat.candidates.admitted`.  Socket 0, whose candidates were offered, is
    open from the start; more are asked for by :class:`SocketsWanted`.  ``key`` is the session's, the
    same at both ends, unknown to all others.  ``entropy`` gives unpredictable bytes.
    """

    def __init__(
        self,
        role: Role,
        own: Offer,
        peer: Offer,
        targets: Sequence[Candidate],
        key: bytes,
        entropy: Callable[[int], bytes],
        opening_ttl: int = OPENING_TTL,
    ) -> None:
        self._role = role
        self._own = own
        self._peer = peer
        self._keys = KnockKeys(key, role, entropy(32))
        self._entropy = entropy
        self._opening_ttl = opening_ttl
        self._stages = stages_of(role, own, peer)
        self._must_find = shape_of(peer.nat) is Shape.OPEN and shape_of(own.nat) not in (
            Shape.OPEN,
            Shape.STEADY,
        )
        self._sockets = 1
        self._patience_s = QUIET_S if role is Role.CALLER else CALLEE_QUIET_S
        self._state = State.IDLE
        self._began = self._tick_due = self._deadline = 0.0
        self._heard_at: float | None = None
        self._nominated: _Path | None = None
        self._wanted = 1
        self._outbox: list[Datagram] = []
        self._events: list[PunchEvent] = []
        self._reflexive = next(
            (each.address for each in targets if _is_behind_nat(each)),
            None,
        )
        self._sweep = None if self._reflexive is None else Sweep(self._reflexive, peer.nat, entropy)
        skipped = self._reflexive if self._stages[0][1] is Part.PREDICT else None
        self._paths = {
            (0, each.address): _Path(0, each.address, each.kind)
            for each in targets
            if each.address != skipped
        }

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    def start(self, now: float) -> None:
        """Begins to knock.  Call it as soon as the peer's offer is there."""
        self._take(Step.START)
        self._began = self._tick_due = now
        self._deadline = now + self._patience_s
        if self._stages[0][1] is Part.GIVE_UP:
            self._deadline = now + (HOPELESS_S if self._is_there_a_way_around() else 0.0)
        self.wake(now)

    def opened(self, count: int) -> None:
        """So many sockets are open by now, fewer than wanted if there were no more to be had."""
        self._sockets = count

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram."""
        if self._state in (State.IDLE, State.ENDED):
            return
        knock = self._keys.open(data)
        if knock is None:
            return
        path = self._path(via, source, knock)
        if path is None:
            return
        path.is_heard = True
        if self._state is not State.STANDING:
            self._heard_at = now
            self._deadline = min(now + self._patience_s, self._began + TOTAL_S)
        elif path is self._nominated:
            self._stand(now)
        _ACTIONS[knock.kind](self, path, knock, now)

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """When the next round is due."""
        if self._state in (State.IDLE, State.ENDED):
            return None
        return min(self._tick_due, self._deadline)

    def wake(self, now: float) -> None:
        """Sends the round that is due, chooses a path, keeps it, gives up."""
        if self._state in (State.IDLE, State.ENDED):
            return
        if now >= self._deadline:
            self._end(now)
            return
        if now < self._tick_due:
            return
        if self._state is State.STANDING:
            assert self._nominated is not None
            self._tick_due = now + AGAIN_S
            self._say(self._nominated, KnockKind.PROBE, now)
            return
        self._tick_due = now + TICK_S
        if self._state is State.KNOCKING:
            self._choose(now)
        if self._nominated is not None:
            self._say(self._nominated, KnockKind.NOMINATION, now)
            return
        self._knock(now)
        self._sweep_ports(now)

    def events(self) -> Sequence[PunchEvent]:
        """Takes what has happened since the last call."""
        taken, self._events = self._events, []
        return taken

    def _is_there_a_way_around(self) -> bool:
        """Whether either end has a candidate that does not depend on the NATs' behavior."""
        others = any(path.address != self._reflexive for path in self._paths.values())
        return others or any(each.kind is CandidateKind.MAPPED for each in self._own.candidates)

    # --- the peer's datagrams

    def _path(self, via: int, source: Address, knock: Knock) -> _Path | None:
        """The path that a datagram came by; a new one if it is a sign of the peer and there is room."""
        path = self._paths.get((via, source))
        if path is None:
            learned = sum(each.kind is CandidateKind.PEER_REFLEXIVE for each in self._paths.values())
            if learned >= REFLEXIVE_MAX:
                return None
            path = _Path(via, source, CandidateKind.PEER_REFLEXIVE)
            self._paths[via, source] = path
        return path

    def _probed(self, path: _Path, knock: Knock, now: float) -> None:
        self._outbox.append(
            Datagram(self._keys.seal(KnockKind.ANSWER, knock.token, knock.stamp), path.address, path.via)
        )
        if path.proven_at is None and self._state is State.KNOCKING and path.due - now > 0.5 * TICK_S:
            path.due = now
            self._knock_at(path, now)

    def _answered(self, path: _Path, knock: Knock, now: float) -> None:
        if knock.token != self._token(path.via, path.address) or path.proven_at is not None:
            return
        path.proven_at = now
        path.round_trip_s = ((_milliseconds(now) - knock.stamp) & 0xFFFFFFFF) / 1000
        if self._state is State.KNOCKING:
            self._choose(now)

    def _nominated_by_peer(self, path: _Path, knock: Knock, now: float) -> None:
        if self._role is not Role.CALLEE:
            return
        if self._nominated is None:
            self._nominated = path
            self._finish(path, Step.ACCEPT, now)
        if path is self._nominated:
            self._say(path, KnockKind.ACCEPTANCE, now)

    def _accepted(self, path: _Path, knock: Knock, now: float) -> None:
        if self._state is State.NOMINATING and path is self._nominated:
            self._finish(path, Step.HEAR_ACCEPTANCE, now)

    # --- choosing

    def _choose(self, now: float) -> None:
        """The caller: nominates the best proven path, once no better one can be hoped for."""
        proven = [path for path in self._paths.values() if path.proven_at is not None]
        if self._role is not Role.CALLER or not proven:
            return
        best = min(proven, key=lambda path: (path.kind.rank, path.proven_at or 0.0))
        hoped = any(
            path.proven_at is None and path.kind.rank < best.kind.rank for path in self._paths.values()
        )
        patient_until = PATIENCE_S + min(path.proven_at or 0.0 for path in proven)
        if hoped and now < patient_until:
            self._tick_due = min(self._tick_due, patient_until)
            return
        self._take(Step.NOMINATE)
        self._nominated = best
        self._tick_due = now + TICK_S
        self._say(best, KnockKind.NOMINATION, now)

    def _take(self, step: Step) -> None:
        self._state = TRANSITIONS[self._state, step]

    def _finish(self, path: _Path, step: Step, now: float) -> None:
        self._take(step)
        self._stand(now)
        part, _ = self._part(now)
        self._events.append(
            Punched(path.via, path.address, path.kind, part, now - self._began, path.round_trip_s)
        )

    def _stand(self, now: float) -> None:
        """The path works at this moment; whoever hears a question answers it, and need not ask."""
        self._tick_due = now + KEEPALIVE_S
        self._deadline = now + SILENT_S

    def _end(self, now: float) -> None:
        if self._state is State.STANDING:
            self._take(Step.LOSE)
            self._events.append(PathLost())
        else:
            self._take(Step.GIVE_UP)
            reason = FailureReason.SILENCE if self._heard_at is None else FailureReason.ONE_WAY
            if self._stages[0][1] is Part.GIVE_UP:
                reason = FailureReason.IMPOSSIBLE
            self._events.append(PunchFailed(reason, now - self._began))

    # --- sending

    def _part(self, now: float) -> tuple[Part, float]:
        """What this end does beside knocking, and since when."""
        begun = [stage for stage in self._stages if now >= self._began + stage[0]]
        begins, part = begun[-1] if begun else self._stages[0]
        return part, self._began + begins

    def _knock(self, now: float) -> None:
        for path in self._paths.values():
            if now >= path.due and path.proven_at is None and (path.is_heard or path.sent < KNOCKS_MAX):
                self._knock_at(path, now)

    def _knock_at(self, path: _Path, now: float) -> None:
        path.sent += 1
        path.due = now + (TICK_S if path.sent < BRISK_KNOCKS else SLOW_KNOCK_S)
        self._probe(path.via, path.address, now, is_opening=not path.is_heard)

    def _probe(self, via: int, address: Address, now: float, is_opening: bool = True) -> None:
        ttl = self._opening_ttl if is_opening and self._is_opening(now) else None
        payload = self._keys.seal(KnockKind.PROBE, self._token(via, address), _milliseconds(now))
        self._outbox.append(Datagram(payload, address, via, ttl))

    def _is_opening(self, now: float) -> bool:
        """Whether datagrams that were not asked for shall die on the way."""
        if self._part(now)[0] is Part.SPREAD:
            return self._sweep is None or self._sweep.is_opening
        if self._role is Role.CALLER or self._heard_at is not None:
            return False
        return now - self._began < (SHORT_OPENING_S if self._must_find else OPENING_S)

    def _say(self, path: _Path, kind: KnockKind, now: float) -> None:
        payload = self._keys.seal(kind, self._token(path.via, path.address), _milliseconds(now))
        self._outbox.append(Datagram(payload, path.address, path.via))

    def _token(self, via: int, address: Address) -> bytes:
        return self._keys.token(f"{via} {address}".encode())

    def _sweep_ports(self, now: float) -> None:
        """What the part asks for besides knocking."""
        part, since = self._part(now)
        if self._sweep is None or (self._heard_at is not None and now - self._heard_at < PAUSE_S):
            return
        wanted = SOCKETS.get(part, 1)
        if wanted > self._wanted:
            self._wanted = wanted
            self._events.append(SocketsWanted(wanted))
        if wanted > 1 and self._sockets == 1:
            return
        for aim in self._sweep.aims(part, now - since, TICK_S, self._sockets):
            self._probe(aim.via, aim.address, now, aim.is_opening)


_ACTIONS: dict[KnockKind, Callable[[Punch, _Path, Knock, float], None]] = {
    KnockKind.PROBE: Punch._probed,
    KnockKind.ANSWER: Punch._answered,
    KnockKind.NOMINATION: Punch._nominated_by_peer,
    KnockKind.ACCEPTANCE: Punch._accepted,
}


def _is_behind_nat(candidate: Candidate) -> bool:
    return candidate.kind is CandidateKind.REFLEXIVE and ":" not in candidate.address.host


def _milliseconds(now: float) -> int:
    return int(now * 1000) & 0xFFFFFFFF
