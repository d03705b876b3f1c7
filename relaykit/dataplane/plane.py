"""The data plane: picks who moves the bytes of two legs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.datagram_flows import DatagramCounts, DatagramForwarder
from relaykit.dataplane.lanes import DatagramLane
from relaykit.dataplane.observing import ObservedLeg
from relaykit.dataplane.pacing import PacedLeg, Pacer, PolicedLeg
from relaykit.dataplane.path_lanes import PathLane
from relaykit.dataplane.protocols import LegEndpoint, LegTransport, ProtocolAcceptor
from relaykit.dataplane.splicing import PipePool, SpliceForwarder, can_splice
from relaykit.dataplane.tls import server_context, start_tls
from relaykit.errors import LocalProtocolError
from relaykit.interfaces import IAccompaniedLeg, IDatagramPath, IDataPlane
from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.values import Traffic

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.tls import TlsContext
    from relaykit.interfaces import (
        IDatagramLane,
        IDatagramLeg,
        IFlow,
        IForwarder,
        ILegAcceptor,
        ILegObserver,
        ISecureLeg,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec
    from relaykit.sansio.pacing import Budget
    from relaykit.values import Ended

__all__ = ["DataPlane", "FlowCounts", "make_data_plane"]


@frozen(kw_only=True)
class FlowCounts:
    """What a data plane does and has done.

    :ivar present: flows at the moment.
    :ivar total: flows since the start, the present ones included.
    :ivar near_to_far: bytes, those of the present flows included.
    :ivar far_to_near: likewise.
    :ivar datagrams: those of the present flows included.
    """

    present: int = 0
    total: int = 0
    near_to_far: int = 0
    far_to_near: int = 0
    datagrams: DatagramCounts = field(factory=DatagramCounts)


@implementer(IDataPlane)
class DataPlane:
    """Forwards by the first of its forwarders that can.

    It owns ``poller``, which serves the legs of the kernel and tells when a turn ends.
    """

    log = Logger()

    def __init__(self, forwarders: Sequence[IForwarder], poller: Poller) -> None:
        self._forwarders = tuple(forwarders)
        self._poller = poller
        self._datagrams = DatagramForwarder(poller.reactor)
        self._pacer = Pacer(poller.reactor, poller)
        self._waiting: list[Deferred[None]] = []
        self.flows: set[IFlow] = set()
        self._total = 0
        self._near_to_far = 0
        self._far_to_near = 0

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
        for forwarder in self._forwarders:
            if forwarder.can_forward(near, far):
                return self._began(forwarder.forward(near, far, half_close))
        raise LocalProtocolError("no forwarder can serve these two legs: CopyForwarder serves any")

    def paced(self, leg: IStreamLeg, budgets: Sequence[Budget]) -> IStreamLeg:
        return PacedLeg(leg, budgets, self._pacer) if budgets else leg

    def observed(self, leg: IStreamLeg, observer: ILegObserver) -> IStreamLeg:
        return ObservedLeg(leg, observer)

    def policed(self, leg: IDatagramLeg, budgets: Sequence[Budget]) -> IDatagramLeg:
        return PolicedLeg(leg, budgets, self._pacer) if budgets else leg

    def forward_datagrams(self, near: IDatagramLeg, far: IDatagramLeg) -> IFlow:
        return self._began(self._datagrams.forward(near, far))

    def connect(self, leg: IStreamLeg, protocol: IProtocol) -> None:
        LegTransport(self._poller, leg).connect(protocol)

    def endpoint(self, open_leg: Callable[[], Deferred[Any]]) -> IStreamClientEndpoint:
        return LegEndpoint(self._poller, open_leg)

    def protocol_acceptor(self, factory: IProtocolFactory) -> ILegAcceptor:
        return ProtocolAcceptor(self._poller, factory)

    def tls_context(self, certificate: bytes, key: bytes, protocols: Sequence[bytes] = ()) -> TlsContext:
        return server_context(certificate, key, protocols=protocols)

    def secured(self, leg: IStreamLeg, context: TlsContext) -> Deferred[ISecureLeg]:
        return start_tls(self._poller, leg, context, server_side=True)

    def lane_over(
        self, leg: IStreamLeg, codec: LaneCodec, on_too_large: Callable[[DatagramTooLarge], None]
    ) -> IDatagramLane:
        if codec.goes_beside and IAccompaniedLeg.providedBy(leg) and leg.beside is not None:
            return PathLane(self._poller, leg, leg.beside, on_too_large)
        return DatagramLane(self._poller, leg, codec, on_too_large)

    def path_lane_over(
        self, leg: IStreamLeg, path: IStreamPath, on_too_large: Callable[[DatagramTooLarge], None]
    ) -> IDatagramLane:
        if not IDatagramPath.providedBy(path):
            return DatagramLane(self._poller, leg, BinaryCodec(), on_too_large)
        return PathLane(self._poller, leg, path.datagrams(), on_too_large)

    def counts(self) -> FlowCounts:
        """Flows and bytes up to now; adds up the present flows, so it costs something."""
        moved = [flow.moved() for flow in self.flows]
        return FlowCounts(
            present=len(self.flows),
            total=self._total,
            near_to_far=self._near_to_far + sum(to_far for to_far, _ in moved),
            far_to_near=self._far_to_near + sum(to_near for _, to_near in moved),
            datagrams=self._datagrams.counts(),
        )

    def when_idle(self) -> Deferred[None]:
        """Fires once there is no flow; at once if there is none.  Cancelling stops waiting."""
        if not self.flows:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def end_all(self, why: Ended) -> None:
        """Ends every flow."""
        for flow in list(self.flows):
            flow.end(why)

    def close(self) -> None:
        """Gives back the pipes and the poller, as soon as the last leg has let go of them."""
        for forwarder in self._forwarders:
            forwarder.close()
        self._poller.close()

    def _began(self, flow: IFlow) -> IFlow:
        self._total += 1
        self.flows.add(flow)
        flow.when_ended().addBoth(self._ended, flow)
        return flow

    def _ended(self, result: Traffic | Failure, flow: IFlow) -> None:
        self.flows.discard(flow)
        if isinstance(result, Traffic):
            self._near_to_far += result.near_to_far
            self._far_to_near += result.far_to_near
        else:
            self.log.failure("a defect in a flow", result)
        if not self.flows:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)


def make_data_plane(poller: Poller) -> DataPlane:
    """The forwarders that this platform has, the fastest first."""
    forwarders: list[IForwarder] = [CopyForwarder()]
    if can_splice():
        forwarders.insert(0, SpliceForwarder(PipePool(poller.reactor)))
    return DataPlane(forwarders, poller)
