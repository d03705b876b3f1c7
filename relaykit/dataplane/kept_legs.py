"""Legs that serve one exchange after another, and those of them that wait for the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from relaykit.dataplane.transforms import TransformLeg
from relaykit.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import ILegReceiver, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.pacing import Budget
    from relaykit.values import Ended

__all__ = ["KEPT_S", "MOST_KEPT", "KeptLeg", "KeptLegs"]

MOST_KEPT = 64
"""Connections to one service that wait for its next users: what a page with all its parts asks for at once,
from a dozen users.  Each costs both ends a stream and the local service a connection."""

KEPT_S = 60.0
"""Seconds that one waits; frp's figure, less than servers of HTTP mostly wait (75 s) before they end it."""

LegT = TypeVar("LegT", bound="KeptLeg")


class KeptLeg(TransformLeg):
    """A leg that may serve another exchange once one is over.

    A subclass says by :attr:`kept` where it waits.

    :ivar budgets: what its bytes are held to, which may be those of one user only.
    :ivar is_reused: whether it has served an exchange before.
    :ivar is_kept: whether nobody is served over it: what arrives then nobody has asked for.
    """

    __slots__ = ("budgets", "is_kept", "is_reused")

    def __init__(self, lower: IStreamLeg, budgets: Sequence[Budget] = ()) -> None:
        super().__init__(lower, (), ())
        self.budgets = budgets
        self.is_reused = self.is_kept = False

    @property
    def kept(self) -> KeptLegs[KeptLeg]:
        """Those that wait with it."""
        raise NotImplementedError

    def keep(self) -> None:
        """Has it wait for the next exchange, or closes it where there can be none."""
        is_over = self._ended_by_peer or self._loss is not None
        if self._full or is_over:
            # Who answers and takes nothing would have a queue that nobody bounds.
            self.close()
        else:
            self.kept.add(self)

    def take_back(self, receiver: ILegReceiver) -> bool:
        """Takes it again for who had it last; false if it waits no more, or others have had it since."""
        # Others may have kept it again: they would get what it brings.
        return self.is_kept and self._receiver is receiver and self.kept.remove(self)

    def write(self, data: Buffer) -> None:
        self._lower.write(data)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        self._lower.write_sequence(pieces)

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        if self.is_kept:
            # Whoever got it would take it for an answer.
            self.kept.drop(self)
        else:
            self._arrived(data)

    def end_received(self) -> None:
        if self.is_kept:
            self.kept.drop(self)
        super().end_received()

    def leg_lost(self, reason: Ended) -> None:
        if self.is_kept:
            self.kept.drop(self)
        super().leg_lost(reason)


class KeptLegs(Generic[LegT]):
    """Legs to one service that have served somebody and wait for the next user.

    The one that came last goes first, so that those that are too many for the users there are end.
    """

    def __init__(self, clock: IReactorTime, most: int = MOST_KEPT) -> None:
        self._clock = clock
        self._most = most
        self._until: dict[LegT, float] = {}
        """Until when each may wait; in the order of coming, in which they have to go."""
        self._timer = Timer(clock, self._expire)
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._until)

    def add(self, leg: LegT) -> None:
        """Keeps one, or closes it if there are enough."""
        if self._is_closed or len(self._until) >= self._most:
            leg.close()
            return
        until = self._clock.seconds() + KEPT_S
        if not self._until:
            self._timer.set(until)
        self._until[leg] = until
        leg.is_kept = leg.is_reused = True
        leg.resumeProducing()

    def take(self, budgets: Sequence[Budget] = ()) -> LegT | None:
        """One whose bytes are held to these budgets; None if there is none.

        It delivers: whoever gets it attaches to it at once.
        """
        for leg in reversed(self._until):
            if leg.budgets == budgets:
                self.remove(leg)
                leg.unregisterProducer()
                return leg
        return None

    def remove(self, leg: LegT) -> bool:
        """Keeps one no longer; false if it was not kept."""
        leg.is_kept = False
        return self._until.pop(leg, None) is not None

    def drop(self, leg: LegT) -> None:
        """Ends one that nobody can be served over any more."""
        self.remove(leg)
        leg.close()

    def close(self) -> None:
        """Ends all of them, and keeps none any more."""
        self._is_closed = True
        self._timer.stop()
        for leg in list(self._until):
            self.drop(leg)

    def _expire(self) -> None:
        now = self._clock.seconds()
        for leg, until in list(self._until.items()):
            if until > now:
                self._timer.set(until)
                return
            self.drop(leg)
