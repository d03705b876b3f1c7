"""Work connections that a proxy type speaks over itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.dataplane.kept_legs import KeptLeg
from relaykit.errors import NoWorkConnection
from relaykit.interfaces import IWorkLeg
from relaykit.server.flows import FlowOwner, ProxyFlow
from relaykit.values import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaykit.dataplane.kept_legs import KeptLegs
    from relaykit.interfaces import IFlow, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.pacing import Budget
    from relaykit.values import Origin

__all__ = ["WorkLeg", "WorkLegFlow", "WorkLegOwner"]


class WorkLegOwner(FlowOwner, Protocol):
    """A proxy whose work connections may serve one user after the other."""

    @property
    def kept(self) -> KeptLegs[WorkLeg]:
        """Those that wait for the next one."""


@implementer(IWorkLeg)
class WorkLeg(KeptLeg):
    """A work connection whose bytes are counted; its flow has the counts and may end it."""

    __slots__ = ("_flow", "proxy", "received", "sent")

    def __init__(self, lower: IStreamLeg, flow: WorkLegFlow, budgets: Sequence[Budget] = ()) -> None:
        super().__init__(lower, budgets)
        self._flow: WorkLegFlow | None = flow
        self.proxy = flow.proxy
        self.sent = 0
        self.received = 0

    @property
    def kept(self) -> Any:
        return self.proxy.kept

    def write(self, data: Buffer) -> None:
        self.sent += len(data)
        self._lower.write(data)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        self.sent += sum(map(len, pieces))
        self._lower.write_sequence(pieces)

    def failed(self, why: str) -> bool:
        return self._flow is not None and self._flow.on_failure(why)

    def join(self, user: IStreamLeg) -> IFlow:
        proxy = self.proxy
        flow: IFlow = proxy.data_plane.forward(user, self, proxy.session.half_close)
        return flow

    def data_received(self, data: Buffer) -> None:
        if not self.is_kept:
            self.received += len(data)
        super().data_received(data)

    def leg_lost(self, reason: Ended) -> None:
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
