"""The checklist of a punch: which pairs of addresses are checked when, and which has proven itself.

Source: RFC 8445 6.1.2 (checklists), 7.2.5.3.1 (peer-reflexive candidates), 8.1.1 (nomination).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import define

from relaykit.sansio.nat.candidates import Candidate, CandidateKind
from relaykit.values import Address

__all__ = [
    "BRISK_CHECKS",
    "CHECKS_MAX",
    "PATIENCE_S",
    "REFLEXIVE_MAX",
    "SLOW_CHECK_S",
    "TICK_S",
    "CandidatePair",
    "CheckList",
]

TICK_S = 0.05
"""Time between two rounds of sending."""

BRISK_CHECKS = 40
"""Probes of one address, one each tick, before the pace slows down."""

SLOW_CHECK_S = 0.2
"""Pace after that."""

CHECKS_MAX = 150
"""Most probes of one address that never answered."""

REFLEXIVE_MAX = 8
"""Most addresses that are learned from the peer's datagrams."""

PATIENCE_S = 0.05
"""How long the initiator waits for a better path than the first one."""


@define(eq=False)
class CandidatePair:
    """One socket of ours and one address of the peer."""

    via: int
    address: Address
    kind: CandidateKind
    due: float = 0.0
    sent: int = 0
    is_heard: bool = False
    round_trip_s: float | None = None
    proven_at: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is to be checked now."""
        return now >= self.due and self.proven_at is None and (self.is_heard or self.sent < CHECKS_MAX)

    def is_due_earlier(self, now: float) -> bool:
        """Whether a check that the peer's own asks for would come much before its time."""
        return self.proven_at is None and self.due - now > 0.5 * TICK_S

    def checked(self, now: float) -> None:
        """Notes that a probe goes out."""
        self.sent += 1
        self.due = now + (TICK_S if self.sent < BRISK_CHECKS else SLOW_CHECK_S)


class CheckList:
    """The pairs of one end: those of the peer's candidates, and those that its datagrams show."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._pairs = {(0, each.address): CandidatePair(0, each.address, each.kind) for each in candidates}

    def __iter__(self) -> Iterator[CandidatePair]:
        return iter(self._pairs.values())

    def pair_of(self, via: int, source: Address) -> CandidatePair | None:
        """The pair that a datagram of the peer came by; a new one if there is room, else None."""
        pair = self._pairs.get((via, source))
        if pair is None:
            learned = sum(each.kind is CandidateKind.PEER_REFLEXIVE for each in self)
            if learned >= REFLEXIVE_MAX:
                return None
            pair = CandidatePair(via, source, CandidateKind.PEER_REFLEXIVE)
            self._pairs[via, source] = pair
        return pair

    def due(self, now: float) -> Sequence[CandidatePair]:
        """The pairs that are to be checked now."""
        return [pair for pair in self if pair.is_due(now)]

    def best(self) -> tuple[CandidatePair, float] | None:
        """The best proven pair, and from when on no better one is waited for; None while none is proven."""
        proven = [(pair.kind.rank, pair.proven_at, pair) for pair in self if pair.proven_at is not None]
        if not proven:
            return None
        rank, _, best = min(proven, key=lambda each: each[:2])
        is_hoped = any(pair.proven_at is None and pair.kind.rank < rank for pair in self)
        return best, min(at for _, at, _ in proven) + PATIENCE_S if is_hoped else 0.0
