"""Which member of a group serves the next user: whose turn it is, who has least to do, whose user it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

from relaykit.values import Balance

__all__ = ["REST_S", "Balancer"]

REST_S = 5.0
"""Seconds that a member gets no users after it could not serve one, while others can; then a single user
tries it again."""

_WEIGHT_BYTES = 8
"""Of a hash that ranks members: two are never equal in practice, and then the order of turns decides."""

MemberT = TypeVar("MemberT", bound=Hashable)


class Balancer(Generic[MemberT]):
    """Chooses among members, each of which is whatever hashable object the caller names it by.

    ``load(member)`` answers how many users it has; ``name(member)`` what it is called again after it has left
    and come back.
    """

    def __init__(self, load: Callable[[MemberT], int], name: Callable[[MemberT], str]) -> None:
        self._load = load
        self._name = name
        self._turns: list[MemberT] = []
        self._rests_until: dict[MemberT, float] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def join(self, member: MemberT) -> None:
        """A member is there; it is its turn after all others'."""
        self._turns.append(member)

    def leave(self, member: MemberT) -> None:
        """A member is gone.  Unknown ones are ignored."""
        if member in self._turns:
            self._turns.remove(member)
        self._rests_until.pop(member, None)

    def failed(self, member: MemberT, now: float) -> bool:
        """A member could not serve a user; whether it rests from now on, and did not already.

        One that has left is ignored.
        """
        if member not in self._turns:
            return False
        rested = self._rests_until.get(member, now) > now
        self._rests_until[member] = now + REST_S
        return not rested

    def served(self, member: MemberT) -> None:
        """A member has served a user."""
        self._rests_until.pop(member, None)

    def choose(self, by: Balance, source: str, without: Collection[MemberT], now: float) -> MemberT | None:
        """Who serves the next user: of those who rest only if there is nobody else; None if there is nobody.

        :param source: the user's address; empty if it is not known, then members take turns.
        """
        left = [member for member in self._turns if member not in without]
        awake = [member for member in left if self._is_awake(member, now)] or left
        if not awake:
            return None
        if by is Balance.LEAST_CONNECTIONS:
            chosen = min(awake, key=self._load)
        elif by is Balance.SOURCE_ADDRESS and source:
            chosen = max(awake, key=lambda member: _weight(source, self._name(member)))
        else:
            chosen = awake[0]
        self._turns.remove(chosen)
        self._turns.append(chosen)
        if chosen in self._rests_until:
            # One user tries it; the others do not wait for what comes of it.
            self._rests_until[chosen] = now + REST_S
        return chosen

    def has_awake(self, without: Collection[MemberT], now: float) -> bool:
        """Whether there is another member, one that does not rest."""
        return any(self._is_awake(member, now) for member in self._turns if member not in without)

    def _is_awake(self, member: MemberT, now: float) -> bool:
        return self._rests_until.get(member, now) <= now


def _weight(source: str, name: str) -> bytes:
    """How high a member ranks for an address: each address ranks them in another order.

    Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
    """
    both = f"{source}\0{name}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(both, digest_size=_WEIGHT_BYTES).digest()
