"""What a proxy's users have: a work connection each, and the flow over it, until both legs are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.flows import Ending
from relaykit.dataplane.uniting import united
from relaykit.errors import ended_by
from relaykit.interfaces import IFlow
from relaykit.values import MOST_DATAGRAM_BYTES, Ended, Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from relaykit.interfaces import IDatagramLeg, IDataPlane, IStreamLeg
    from relaykit.options import ProxyCommon
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.pacing import Budget
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import ClientIdentity, Origin

__all__ = [
    "FlowOwner",
    "ProxyFlow",
    "UserFlow",
    "WorkSeeker",
    "WorkSource",
]


class WorkSeeker(Protocol):
    """Who waits for a work connection: one user's flow, or what many users share."""

    @property
    def proxy(self) -> FlowOwner:
        """The proxy that it is for."""

    @property
    def origin(self) -> Origin:
        """Where the user comes from, as the client is told."""

    def __hash__(self) -> int: ...

    @property
    def is_waiting(self) -> bool:
        """Whether there is no work connection yet, and one is wanted."""

    @property
    def has_alternative(self) -> bool:
        """Whether it could be served elsewhere, as long as nothing of it was delivered."""

    @property
    def is_probe(self) -> bool:
        """Whether there is no user, and somebody only looks how far one would get."""

    @property
    def message(self) -> Message | None:
        """What the client is handed with the work connection, before any transforms."""

    def on_work_leg(self, leg: IStreamLeg) -> None:
        """The client has opened a work connection and knows what it is for; transforms are included."""

    def on_unserved(self, error: Exception) -> None:
        """There is no work connection."""


class WorkSource(Protocol):
    """Whoever has the work connections of a client."""

    @property
    def half_close(self) -> bool:
        """Whether the client passes half-close through."""

    def want_work(self, seeker: WorkSeeker) -> None:
        """Somebody needs a work connection: ``on_work_leg`` or ``on_unserved`` is called, maybe at once."""

    def cancel_work(self, seeker: WorkSeeker) -> None:
        """It needs none any more."""

    def lane_codec(self, most_bytes: int = MOST_DATAGRAM_BYTES) -> LaneCodec:
        """The format of a new lane of this client; ``most_bytes`` bounds datagrams in frp's."""


class FlowOwner(Protocol):
    """The proxy that flows belong to."""

    name: str
    common: ProxyCommon
    clock: Any
    data_plane: IDataPlane

    @property
    def identity(self) -> ClientIdentity:
        """Who its client is."""

    @property
    def session(self) -> WorkSource:
        """Where work connections come from."""

    def admit(self, origin: Origin) -> Deferred[Any] | None:
        """Decides, maybe later, whether a user from there is served; None: whoever comes is."""

    def budgets_for(self, origin: Origin) -> Sequence[Budget]:
        """What the flow of a user from there is held to."""

    def flow_began(self, flow: ProxyFlow) -> None:
        """A flow is there, and waits for its work connection."""

    def flow_served(self, flow: ProxyFlow) -> None:
        """A flow has its work connection."""

    def flow_unserved(self, flow: ProxyFlow, error: Exception) -> None:
        """There is no work connection for a flow; it ends next."""

    def flow_ended(self, flow: ProxyFlow, traffic: Traffic) -> None:
        """A flow is over."""


@implementer(IFlow)
class ProxyFlow(Ending):
    """One flow of a proxy: it waits for a work connection, moves bytes over it, and ends once."""

    __slots__ = ("_since", "origin", "proxy")

    message: Message | None = None
    is_probe = False

    log = Logger()

    def __init__(self, proxy: FlowOwner, origin: Origin) -> None:
        super().__init__()
        self.proxy = proxy
        self.origin = origin
        self._since = proxy.clock.seconds()

    def start(self) -> None:
        """Asks for a work connection."""
        self.proxy.flow_began(self)
        self._want_work()

    @property
    def is_waiting(self) -> bool:
        """Whether there is no work connection yet, and one is wanted."""
        raise NotImplementedError

    @property
    def seconds(self) -> float:
        """How long it has been there."""
        since: float = self.proxy.clock.seconds() - self._since
        return since

    @property
    def has_alternative(self) -> bool:
        """Whether its user could be served elsewhere, as long as nothing of it was delivered."""
        return False

    def moved(self) -> tuple[int, int]:
        raise NotImplementedError

    def end(self, why: Ended) -> None:
        raise NotImplementedError

    def on_work_leg(self, leg: IStreamLeg) -> None:
        """The client has opened a work connection and knows what it is for; transforms are included."""
        raise NotImplementedError

    def on_unserved(self, error: Exception) -> None:
        """There is no work connection for this user."""
        self.proxy.flow_unserved(self, error)
        self._end(ended_by(error))

    def _want_work(self) -> None:
        self.proxy.session.want_work(self)

    def _cancel_work(self) -> None:
        self.proxy.session.cancel_work(self)

    def _end(self, why: Ended) -> None:
        """Notes the end of what has or had no flow in the data plane."""
        self._on_ended(Traffic(*self.moved(), self.proxy.clock.seconds() - self._since, why))

    def _on_ended(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self.proxy.flow_ended(self, traffic)
        self._tell_end(traffic)


class UserFlow(ProxyFlow):
    """A user who is served: forwarded to a work connection, once there is one."""

    __slots__ = ("_asked", "_flow", "_is_lane", "_leg")

    def __init__(
        self, proxy: FlowOwner, leg: IStreamLeg | IDatagramLeg, origin: Origin, is_lane: bool = False
    ) -> None:
        super().__init__(proxy, origin)
        self._is_lane = is_lane
        self._leg: Any = leg
        self._flow: IFlow | None = None
        self._asked: Deferred[Any] | None = None
        """Whether it is served, while that is not known."""

    @property
    def is_waiting(self) -> bool:
        return self._flow is None and self._traffic is None

    def moved(self) -> tuple[int, int]:
        if self._flow is None:
            return 0, 0
        moved: tuple[int, int] = self._flow.moved()
        return moved

    def end(self, why: Ended) -> None:
        if self._flow is not None:
            self._flow.end(why)
        elif self._traffic is None:
            self._drop(self._leg)
            self._cancel_work()
            self._end(why)

    def on_work_leg(self, leg: Any) -> None:
        try:
            flow = self._forward(leg)
        except Exception:
            self._log_defect(None)
            self._drop(self._leg)
            self._drop(leg)
            self._end(Ended.INTERNAL_ERROR)
            return
        self._flow = flow
        self.proxy.flow_served(self)
        flow.when_ended().addCallbacks(self._on_ended, self._on_defect)

    def on_unserved(self, error: Exception) -> None:
        self._leg.close()
        super().on_unserved(error)

    def _want_work(self) -> None:
        asked = self._asked = self.proxy.admit(self.origin)
        if asked is None:
            super()._want_work()
        else:
            asked.addCallbacks(
                self._admitted, self._not_admitted, callbackArgs=(asked,), errbackArgs=(asked,)
            ).addErrback(self._on_defect)

    def _cancel_work(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()
        super()._cancel_work()

    def _admitted(self, _: object, asked: Deferred[Any]) -> None:
        if self._is_about(asked):
            super()._want_work()

    def _not_admitted(self, failure: Failure, asked: Deferred[Any]) -> None:
        if self._is_about(asked):
            error: Any = failure.value
            self.on_unserved(error)

    def _is_about(self, asked: Deferred[Any]) -> bool:
        """Whether an answer is still waited for: nobody else is asked meanwhile, and the user is there."""
        if self._asked is not asked:
            return False
        self._asked = None
        return self.is_waiting

    def _forward(self, work: Any) -> IFlow:
        """Joins the user with a work connection."""
        proxy = self.proxy
        if self._is_lane:
            work = united(work, proxy.session.lane_codec())
        user = proxy.data_plane.paced(self._leg, proxy.budgets_for(self.origin))
        flow: IFlow = proxy.data_plane.forward(user, work, proxy.session.half_close)
        return flow

    def _drop(self, leg: Any) -> None:
        """Ends a leg at once."""
        leg.abort()

    def _on_defect(self, failure: Failure) -> None:
        self._log_defect(failure)
        self._drop(self._leg)
        self._end(Ended.INTERNAL_ERROR)

    def _log_defect(self, failure: Failure | None) -> None:
        self.log.failure(
            "[{run}] [{proxy}] a defect while {origin} was forwarded",
            failure,
            run=self.proxy.identity.run_id,
            proxy=self.proxy.name,
            origin=self.origin,
        )
