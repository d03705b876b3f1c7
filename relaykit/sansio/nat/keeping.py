"""A path that stands: it is asked over, follows its peer, and is lost when nothing is heard any more.

A NAT may give the peer another port, when it starts again or has forgotten an idle flow.  What the peer
sends then comes from elsewhere, authentic all the same: it is life, and once an answer from there proves
that address, too, the path leads there.  The peer itself notices nothing, for this end is where it was.

Source: RFC 9000 9 (a peer that moves, and why its new address is proven first), RFC 8445 11 (keepalives).
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.check_list import CandidatePair
from relaykit.sansio.nat.checks import Check, CheckKeys, CheckKind, milliseconds
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.pairing import NatType
from relaykit.values import Address

__all__ = [
    "AGAIN_S",
    "ELSEWHERE_CHECKS",
    "FRESH_S",
    "KEEPALIVE_MIN_S",
    "KEEPALIVE_S",
    "KEEPALIVE_SYMMETRIC_S",
    "SETTLING_S",
    "SILENT_S",
    "PathKeeper",
    "PathMoved",
    "keepalive_s_of",
]

KEEPALIVE_S = 15.0
"""Pause between two questions over a path that stands: half of the 30 s after which the quickest of common
routers forget a flow."""

KEEPALIVE_SYMMETRIC_S = 5.0
"""The same where a NAT takes a port for each destination, or has given the peer another port: a flow that
such a NAT forgets may not be found again, and some forget it after 10 s."""

KEEPALIVE_MIN_S = 1.0
"""Shortest pause, however short-lived mappings were measured to be."""

SILENT_S = 30.0
"""How long a path that stands may be silent until it is given up."""

AGAIN_S = 1.0
"""Pause before a question that had no answer is repeated."""

SETTLING_S = 2.0
"""So long after the punch what comes from elsewhere is left over from it, and no peer that has moved."""

ELSEWHERE_CHECKS = 5
"""Most questions to where the peer may be now, until it is heard from there once more."""

FRESH_S = 5.0
"""An answer from elsewhere that took longer proves nothing: somebody may have kept it."""


@frozen
class PathMoved:
    """The peer is reached elsewhere from now on."""

    peer: Address


def keepalive_s_of(own: NatType, peer: NatType, mapping_life_s: float | None = None) -> float:
    """Seconds between two questions: few where a NAT cannot be found again, and less than mappings live.

    ``mapping_life_s`` is how long an idle mapping of the own NAT was seen to live; None if nobody looked.
    """
    steady = (NatType.OPEN, NatType.STEADY)
    usual = KEEPALIVE_S if own in steady and peer in steady else KEEPALIVE_SYMMETRIC_S
    return usual if mapping_life_s is None else max(KEEPALIVE_MIN_S, min(usual, mapping_life_s / 2))


class PathKeeper:
    """Keeps a path that was punched.  Whoever owns it feeds it, sends what it says, and tells its events.

    ``path`` is where the peer is, ``keepalive_s`` the pause between questions while all is well.
    """

    def __init__(self, path: CandidatePair, keys: CheckKeys, keepalive_s: float, now: float) -> None:
        self._path = path
        self._keys = keys
        self._keepalive_s = keepalive_s
        self._settled_at = now + SETTLING_S
        self._elsewhere: CandidatePair | None = None
        self._suspected_at = now
        self._ask_due = self._lost_at = self._elsewhere_due = 0.0
        self._outbox: list[Datagram] = []
        self._events: list[PathMoved] = []
        self._refresh(now)

    def receive(self, check: Check, source: Address, via: int, now: float) -> None:
        """The peer says something, from wherever: it lives."""
        self._refresh(now)
        if check.kind is CheckKind.PROBE:
            self._say(CheckKind.ANSWER, via, source, check.token, check.stamp)
            self._look_at(source, via, now)
        elif check.kind is CheckKind.ANSWER:
            self._answered(check, source, via, now)
        elif check.kind is CheckKind.NOMINATION and self._is_here(source, via):
            self._ask(CheckKind.ACCEPTANCE, self._path, now)

    def suspect(self, source: Address, via: int, now: float) -> None:
        """Somebody sent what is no check: maybe the peer, who has moved.  At most one a second is asked."""
        if now >= self._suspected_at + AGAIN_S and self._elsewhere is None:
            self._suspected_at = now
            self._look_at(source, via, now)

    def is_lost(self, now: float) -> bool:
        """Whether nothing was heard for too long."""
        return now >= self._lost_at

    def next_wakeup(self) -> float:
        """When the next question is due, or the path is lost."""
        due = min(self._ask_due, self._lost_at)
        return due if self._elsewhere is None else min(due, self._elsewhere_due)

    def wake(self, now: float) -> None:
        """Asks what is due."""
        if now >= self._ask_due:
            self._ask_due = now + AGAIN_S
            self._ask(CheckKind.PROBE, self._path, now)
        if self._elsewhere is not None and now >= self._elsewhere_due:
            self._ask_elsewhere(self._elsewhere, now)

    def to_send(self) -> Sequence[Datagram]:
        """Takes what must go out."""
        taken, self._outbox = self._outbox, []
        return taken

    def events(self) -> Sequence[PathMoved]:
        """Takes what has happened."""
        taken, self._events = self._events, []
        return taken

    # --- the peer moves

    def _is_here(self, source: Address, via: int) -> bool:
        return (via, source) == (self._path.via, self._path.address)

    def _look_at(self, source: Address, via: int, now: float) -> None:
        """Asks where the peer may be now, which proves it."""
        if self._is_here(source, via):
            self._elsewhere = None
        elif now >= self._settled_at:
            known = self._elsewhere
            if known is None or (known.via, known.address) != (via, source):
                self._elsewhere = CandidatePair(via, source, CandidateKind.PEER_REFLEXIVE)
                self._ask_elsewhere(self._elsewhere, now)

    def _ask_elsewhere(self, pair: CandidatePair, now: float) -> None:
        if pair.sent >= ELSEWHERE_CHECKS:
            self._elsewhere = None
            return
        pair.sent += 1
        self._elsewhere_due = now + AGAIN_S
        self._ask(CheckKind.PROBE, pair, now)

    def _answered(self, check: Check, source: Address, via: int, now: float) -> None:
        pair = self._elsewhere
        if pair is None or (pair.via, pair.address) != (via, source):
            return
        age_s = ((milliseconds(now) - check.stamp) & 0xFFFFFFFF) / 1000
        if check.token == self._keys.token_of(via, source) and age_s <= FRESH_S:
            self._path, self._elsewhere = pair, None
            self._keepalive_s = min(self._keepalive_s, KEEPALIVE_SYMMETRIC_S)
            self._refresh(now)
            self._events.append(PathMoved(source))

    # --- saying

    def _refresh(self, now: float) -> None:
        """The path works at this moment; whoever hears a question answers it, and need not ask."""
        self._ask_due = now + self._keepalive_s
        self._lost_at = now + SILENT_S

    def _ask(self, kind: CheckKind, pair: CandidatePair, now: float) -> None:
        token = self._keys.token_of(pair.via, pair.address)
        self._say(kind, pair.via, pair.address, token, milliseconds(now))

    def _say(self, kind: CheckKind, via: int, address: Address, token: bytes, stamp: int) -> None:
        self._outbox.append(Datagram(self._keys.seal(kind, token, stamp), address, via))
