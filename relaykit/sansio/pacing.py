"""Limits of bandwidth: budgets of bytes a second, and whose turn it is where several share one.

A flow that is held to several budgets, such as those of its proxy and of its user, passes a piece once it
has had its turn with each of them, the narrowest first: while it waits there it takes nothing from the
others who share the wide ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final

from attrs import frozen

__all__ = [
    "CREDIT_S",
    "LEAST_PIECE_BYTES",
    "MOST_PIECE_BYTES",
    "PIECE_S",
    "Budget",
    "Granted",
    "Pacing",
    "Share",
]

CREDIT_S: Final = 0.025
"""Seconds of unused rate that a budget keeps: what a late timer cost is made good, an idle time is not."""

PIECE_S: Final = 0.015
"""Seconds of rate that pass in one piece: with :data:`CREDIT_S`, a burst is at most 40 ms of the rate, which
leaves something to the jitter of the network."""

MOST_PIECE_BYTES: Final = 32 * 1024
"""Most that passes in one piece whatever the rate, so that all get as much in their turns: those whose bytes
arrive in large pieces, and those whose do not."""

LEAST_PIECE_BYTES: Final = 128
"""Least that a piece may have, below which each costs more than it carries: 15 ms at 8.5 KB a second."""


class Budget:
    """``rate`` bytes a second, for all who share it: over any time, and 40 ms of it more."""

    __slots__ = ("__weakref__", "_paid_at", "passed_over", "rate", "scheduled", "waiting")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.waiting: OrderedDict[Share, None] = OrderedDict()
        """Who waits for a turn, in order; for :class:`Pacing` only, as what follows."""
        self.scheduled = False
        self.passed_over = False
        """Whether a datagram was let through since the last of those who wait had a turn."""
        self._paid_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Budget of {self.rate:g} bytes a second>"

    def piece_bytes(self, now: float) -> int:
        """Most that may pass in one turn: with what was saved while its taker waited for other budgets."""
        saved_s = min(CREDIT_S, max(0.0, now - self._paid_at))
        return int(max(LEAST_PIECE_BYTES, min(self.rate * (PIECE_S + saved_s), MOST_PIECE_BYTES)))

    @property
    def paid_at(self) -> float:
        """When what has passed is made good."""
        return self._paid_at

    def spend(self, size: int, now: float) -> None:
        """Notes that so many bytes pass."""
        self._paid_at = max(self._paid_at, now - CREDIT_S) + size / self.rate


class Share:
    """One direction of a flow, as budgets see it; it may wait for one turn at a time."""

    __slots__ = ("budgets", "size", "turn")

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.budgets = tuple(sorted(budgets, key=lambda budget: budget.rate))
        self.size = 0
        """Bytes that it waits with; 0 while it does not wait.  For :class:`Pacing` only, as what follows."""
        self.turn = 0
        """Which of its budgets it waits for."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has asked and was granted nothing yet."""
        return self.size > 0


@frozen
class Granted:
    """So many bytes of one that waited may pass."""

    share: Share
    size: int


class Pacing:
    """Lets bytes pass as their budgets allow, each who waits in turn.

    Of any two who share a budget and always have something to send, each gets as many turns.
    Nobody's turn waits for one who has nothing to send.
    """

    def __init__(self) -> None:
        self._now = float("-inf")
        self._due: list[tuple[float, int, Budget]] = []
        self._numbers = count()
        self._granted: list[Granted] = []

    def ask(self, share: Share, size: int, now: float) -> int:
        """How many of ``size`` bytes (1 or more) may pass at once; if none, :class:`Granted` will tell."""
        self._pass_time(now)
        share.size = min(size, *(budget.piece_bytes(self._now) for budget in share.budgets))
        share.turn = 0
        return self._grant(share) if self._take_turns(share) else 0

    def cancel(self, share: Share) -> None:
        """Nothing waits there any more."""
        if share.size:
            share.budgets[share.turn].waiting.pop(share, None)
            share.size = 0

    def admit(self, budgets: Sequence[Budget], size: int, now: float) -> bool:
        """Whether a datagram of so many bytes may pass; it cannot wait, nor pass in part.

        Where others wait for the budget they have every other turn.
        """
        self._pass_time(now)
        for budget in budgets:
            if budget.paid_at > self._now + PIECE_S or (budget.passed_over and budget.waiting):
                return False
        for budget in budgets:
            budget.spend(size, self._now)
            budget.passed_over = True
        return True

    def next_wakeup(self) -> float | None:
        due = self._due
        while due and not due[0][2].waiting:
            heappop(due)[2].scheduled = False
        return due[0][0] if due else None

    def wake(self, now: float) -> None:
        self._pass_time(now)
        while self._due and self._due[0][0] <= self._now:
            _, _, budget = heappop(self._due)
            budget.scheduled = False
            while budget.waiting and budget.paid_at <= self._now:
                share, _ = budget.waiting.popitem(last=False)
                budget.passed_over = False
                budget.spend(share.size, self._now)
                share.turn += 1
                if self._take_turns(share):
                    self._granted.append(Granted(share, self._grant(share)))
            self._schedule(budget)

    def events(self) -> Sequence[Granted]:
        granted, self._granted = self._granted, []
        return granted

    def _take_turns(self, share: Share) -> bool:
        """Whether a share has had its turn with all its budgets; else it waits for one of them."""
        budgets = share.budgets
        while share.turn < len(budgets):
            budget = budgets[share.turn]
            if budget.waiting or budget.paid_at > self._now:
                budget.waiting[share] = None
                self._schedule(budget)
                return False
            budget.spend(share.size, self._now)
            share.turn += 1
        return True

    def _grant(self, share: Share) -> int:
        size, share.size = share.size, 0
        return size

    def _schedule(self, budget: Budget) -> None:
        if budget.waiting and not budget.scheduled:
            budget.scheduled = True
            heappush(self._due, (budget.paid_at, next(self._numbers), budget))

    def _pass_time(self, now: float) -> None:
        self._now = max(self._now, now)
