"""Work connections that a proxy type speaks over itself, and those of them that wait for the next user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.dataplane.transforms import TransformLeg
from relaykit.errors import NoWorkConnection
from relaykit.interfaces import IWorkLeg
from relaykit.server.flows import FlowOwner, ProxyFlow
from relaykit.timer import Timer
from relaykit.values import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IFlow, ILegReceiver, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.pacing import Budget
    from relaykit.values import Origin

__all__ = ["KEPT_S", "MOST_KEPT", "KeptWorkLegs", "WorkLeg", "WorkLegFlow", "WorkLegOwner"]

MOST_KEPT = 64
"""Work connections of one proxy that wait for its next users: what a page with all its parts asks for at
once, from a dozen users.  Each costs both ends a stream and the local service a connection."""

KEPT_S = 60.0
"""Seconds that one waits; frp's figure, less than servers of HTTP mostly wait (75 s) before they end it."""


class WorkLegOwner(FlowOwner, Protocol):
    """A proxy whose work connections may serve one user after the other."""

    @property
    def kept(self) -> KeptWorkLegs:
        """Those that wait for the next one."""


@implementer(IWorkLeg)
class WorkLeg(TransformLeg):
    """A work connection whose bytes are counted; its flow has the counts and may end it."""

    __slots__ = ("_flow", "budgets", "is_kept", "is_reused", "proxy", "received", "sent")

    def __init__(self, lower: IStreamLeg, flow: WorkLegFlow, budgets: Sequence[Budget] = ()) -> None:
        super().__init__(lower, (), ())
        self._flow: WorkLegFlow | None = flow
        self.proxy = flow.proxy
        self.budgets = budgets
        """What its bytes are held to, which may be those of one user only."""
        self.is_reused = False
        self.is_kept = False
        """Whether nobody is served over it: what arrives then nobody has asked for."""
        self.sent = 0
        self.received = 0

    def write(self, data: Buffer) -> None:
        self.sent += len(data)
        self._lower.write(data)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        self.sent += sum(map(len, pieces))
        self._lower.write_sequence(pieces)

    def keep(self) -> None:
        if self._full:
            # Whose backend answers and takes nothing would have a queue that nobody bounds.
            self.close()
        else:
            self.proxy.kept.add(self)

    def take_back(self, receiver: ILegReceiver) -> bool:
        # Others may have had it and kept it again: they would get what it brings.
        return self.is_kept and self._receiver is receiver and self.proxy.kept.remove(self)

    def failed(self, why: str) -> bool:
        return self._flow is not None and self._flow.on_failure(why)

    def join(self, user: IStreamLeg) -> IFlow:
        proxy = self.proxy
        flow: IFlow = proxy.data_plane.forward(user, self, proxy.session.half_close)
        return flow

    def data_received(self, data: Buffer) -> None:
        if self.is_kept:
            # Whoever got it would take it for an answer.
            self.proxy.kept.drop(self)
            return
        self.received += len(data)
        self._arrived(data)

    def end_received(self) -> None:
        if self.is_kept:
            self.proxy.kept.drop(self)
        super().end_received()

    def leg_lost(self, reason: Ended) -> None:
        if self.is_kept:
            self.proxy.kept.drop(self)
        super().leg_lost(reason)
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.on_leg_lost(reason)


class WorkLegFlow(ProxyFlow):
    """A work connection that a proxy type speaks over itself: counted, and ended like any other flow."""

    __slots__ = ("_answer", "_leg", "_why")

    proxy: Any

    def __init__(self, proxy: WorkLegOwner, origin: Origin) -> None:
        super().__init__(proxy, origin)
        self._answer: Deferred[IWorkLeg] = Deferred(lambda _answer: self.end(Ended.CANCELLED))
        self._leg: WorkLeg | None = None
        self._why: Ended | None = None

    @property
    def answer(self) -> Deferred[IWorkLeg]:
        """The leg, as :meth:`relaykit.interfaces.IRegisteredProxy.open_work_leg` promises it."""
        return self._answer

    @property
    def is_waiting(self) -> bool:
        return self._leg is None and self._traffic is None

    def moved(self) -> tuple[int, int]:
        return (0, 0) if self._leg is None else (self._leg.sent, self._leg.received)

    def end(self, why: Ended) -> None:
        if self._traffic is not None:
            return
        if self._leg is not None:
            self._why = self._why or why
            self._leg.abort()
            return
        self._cancel_work()
        self._end(why)
        if not self._answer.called:
            self._answer.errback(NoWorkConnection(f"the wait for a work connection was ended: {why.value}"))

    def on_work_leg(self, leg: IStreamLeg) -> None:
        proxy = self.proxy
        budgets = proxy.budgets_for(self.origin)
        self._leg = WorkLeg(proxy.data_plane.paced(leg, budgets), self, budgets)
        proxy.flow_served(self)
        self._answer.callback(self._leg)

    def on_unserved(self, error: Exception) -> None:
        super().on_unserved(error)
        self._answer.errback(error)

    def on_failure(self, why: str) -> bool:
        """The work connection ended unanswered: whether another one is worth a try."""
        return False

    def on_leg_lost(self, reason: Ended) -> None:
        """The work connection is gone."""
        self._end(self._why or (reason if reason is Ended.FINISHED else Ended.FAR_LOST))


class KeptWorkLegs:
    """Work connections of one proxy that have served somebody and wait for the next user.

    The one that came last goes first, so that those that are too many for the users there are end.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._until: dict[WorkLeg, float] = {}
        """Until when each may wait; in the order of coming, in which they have to go."""
        self._timer = Timer(clock, self._expire)
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._until)

    def add(self, leg: WorkLeg) -> None:
        """Keeps one, or closes it if there are enough."""
        if self._is_closed or len(self._until) >= MOST_KEPT:
            leg.close()
            return
        until = self._clock.seconds() + KEPT_S
        if not self._until:
            self._timer.set(until)
        self._until[leg] = until
        leg.is_kept = leg.is_reused = True
        leg.resumeProducing()

    def take(self, budgets: Sequence[Budget]) -> WorkLeg | None:
        """One whose bytes are held to these budgets; None if there is none.

        It delivers: whoever gets it attaches to it at once.
        """
        for leg in reversed(self._until):
            if leg.budgets == budgets:
                self.remove(leg)
                leg.unregisterProducer()
                return leg
        return None

    def remove(self, leg: WorkLeg) -> bool:
        """Keeps one no longer; false if it was not kept."""
        leg.is_kept = False
        return self._until.pop(leg, None) is not None

    def drop(self, leg: WorkLeg) -> None:
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
