"""What backends and visitors may use of the client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.client.announcing import UserNotAnnounced, announce, announce_datagrams
from relaykit.client.lanes import AdmitUser, LaneService
from relaykit.client.loops import LeadsBack
from relaykit.dataplane.listening import ListenFailed
from relaykit.dataplane.transforms import transformed
from relaykit.errors import (
    ConnectionFailed,
    OutOfDescriptors,
    RefusalCode,
    RefusedError,
    RelaykitError,
    SessionLost,
    VisitRefusedError,
    problem_of,
)
from relaykit.escaping import masked_endpoint
from relaykit.interfaces import IClientHost, IMessagePeer, ISignalPeer, IVisitorHost
from relaykit.options import ProxyCommon, VisitorCommon
from relaykit.sansio.pacing import Budget
from relaykit.values import MOST_DATAGRAM_BYTES, Ended, LastSeen, Origin, Traffic, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from relaykit.client.accounting import Accounting
    from relaykit.client.exchanges import ExchangeObservers
    from relaykit.client.loops import OwnConnections
    from relaykit.client.standing_visits import StandingVisit
    from relaykit.client.type_messages import HalfMessages
    from relaykit.interfaces import (
        IDatagramAcceptor,
        IDatagramLane,
        IDatagramLeg,
        IDatagramStreams,
        IDataPlane,
        IDirectPaths,
        IFlow,
        IHoles,
        ILegAcceptor,
        ILegObserver,
        IListeningPort,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import Address, ClientIdentity, Exchange, Secret

__all__ = ["BackendHost", "HostedClient", "ServedUser", "VisitorHost"]

PORT_RETRY_S = 10.0
"""Seconds until a visitor's port that could not be opened is tried again; frp's figure."""


class HostedClient(Protocol):
    """The client, as its hosts see it: with the session that it has at the moment, if any."""

    @property
    def clock(self) -> IReactorTime:
        """What waits."""

    @property
    def data_plane(self) -> IDataPlane:
        """What moves bytes."""

    @property
    def exchange_observers(self) -> ExchangeObservers:
        """Who wants to know what users ask for."""

    @property
    def accounting(self) -> Accounting:
        """What users have moved."""

    @property
    def messages(self) -> HalfMessages:
        """The messages of the proxy types that it uses."""

    @property
    def identity(self) -> ClientIdentity:
        """Who this client is to its server."""

    @property
    def half_close(self) -> bool:
        """Whether the server passes half-close through."""

    @property
    def takes_signals(self) -> bool:
        """Whether there is a server that takes signals."""

    def dial(
        self, endpoint: str, origin: Origin = ..., announce: Callable[[Any], object] = ...
    ) -> Deferred[IStreamLeg]:
        """A leg to a local service for a user; see :class:`relaykit.client.network.Network`."""

    def dial_datagrams(self, endpoint: str) -> Deferred[IDatagramLeg]:
        """A datagram leg to a local service."""

    def listen(self, host: str, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        """Opens a TCP port of this machine.

        :raises ListenFailed: it cannot be opened.
        """

    def listen_datagrams(self, host: str, port: int, acceptor: IDatagramAcceptor) -> IListeningPort:
        """The same for a UDP port."""

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to the server."""

    def send_message(self, message: Message) -> None:
        """Sends a message of a proxy type to the server."""

    def open_visit(self, common: VisitorCommon, secret: Secret, origin: Origin) -> Deferred[IStreamLeg]:
        """A leg through the server to the proxy that a visitor visits."""

    @property
    def own_connections(self) -> OwnConnections:
        """Its connections to local services."""

    def lane_codec(self, most_bytes: int) -> LaneCodec:
        """The format of a new lane with the server; ``most_bytes`` is the largest datagram in frp's.

        :raises SessionLost: there is no server at the moment.
        """

    def make_direct_paths(self, peer: ISignalPeer) -> IDirectPaths:
        """What makes direct paths for one backend or visitor, which it can signal for."""

    def drop_direct_paths(self, direct_paths: IDirectPaths) -> None:
        """Ends them, with all direct paths that are being made."""

    @property
    def holes(self) -> IHoles:
        """Hole punching as frp's clients do it."""

    def datagram_streams(self, protocol: str) -> IDatagramStreams:
        """What makes streams of datagrams as frp's clients do."""

    def sign(self, secret: Secret) -> tuple[str, int]:
        """What shows the server that a proxy's secret is known, and the Unix time of it."""

    def taker(self, name: str, instead_of: str) -> ILegAcceptor:
        """The visitor that takes a user from another one.

        :raises UnknownVisitorError: it is not there, or would hand the user back.
        """


@frozen
class ServedUser:
    """Who is served: where from, and since when by the client's clock."""

    origin: Origin
    since: float


CommonT = TypeVar("CommonT", ProxyCommon, VisitorCommon)
AcceptorT = TypeVar("AcceptorT")
LegT = TypeVar("LegT")


@implementer(ISignalPeer, IMessagePeer)
@define(eq=False)
class _Host(Generic[CommonT]):
    """What both kinds of host have."""

    log = Logger()

    _client: HostedClient
    common: CommonT
    proxy_name: str
    _direct_paths: IDirectPaths | None = field(default=None, init=False)
    _told_too_large: bool = field(default=False, init=False)
    budgets: tuple[Budget, ...] = field(default=(), init=False)
    """What all flows together are held to at this end."""
    flows: dict[IFlow, ServedUser] = field(factory=dict, init=False)
    """The flows that there are, each with whose it is."""
    way: str = field(default="", init=False)
    """How users get to the other end, where there is more than one way."""
    last: LastSeen = field(factory=LastSeen, init=False)
    """Who came last, and what went wrong last."""

    @property
    def reactor(self) -> IReactorTime:
        return self._client.clock

    @property
    def name(self) -> str:
        return self.common.name

    @property
    def direct_paths(self) -> IDirectPaths:
        if self._direct_paths is None:
            self._direct_paths = self._client.make_direct_paths(self)
        return self._direct_paths

    @property
    def holes(self) -> IHoles:
        return self._client.holes

    def datagram_streams(self, protocol: str) -> IDatagramStreams:
        return self._client.datagram_streams(protocol)

    def transformed(self, leg: IStreamLeg, secret: Secret) -> IStreamLeg:
        return transformed(leg, self.common.transport, secret, os.urandom)

    @property
    def identity(self) -> ClientIdentity:
        return self._client.identity

    @property
    def takes_signals(self) -> bool:
        return self._client.takes_signals

    def forward(self, near: IStreamLeg, far: IStreamLeg, origin: Origin) -> IFlow:
        plane = self._client.data_plane
        user = plane.paced(near, self.budgets)
        return self._began(plane.forward(user, far, self._client.half_close), origin)

    def forward_datagrams(self, near: IDatagramLeg, far: IDatagramLeg, origin: Origin) -> IFlow:
        plane = self._client.data_plane
        return self._began(plane.forward_datagrams(plane.policed(near, self.budgets), far), origin)

    def connect(self, leg: IStreamLeg, protocol: IProtocol) -> None:
        plane = self._client.data_plane
        plane.connect(plane.paced(leg, self.budgets), protocol)

    def _lane_over(self, leg: IStreamLeg, codec: LaneCodec) -> IDatagramLane:
        lane: IDatagramLane = self._client.data_plane.lane_over(leg, codec, self._too_large)
        return lane

    def _path_lane_over(self, leg: IStreamLeg, path: IStreamPath) -> IDatagramLane:
        lane: IDatagramLane = self._client.data_plane.path_lane_over(leg, path, self._too_large)
        return lane

    def _too_large(self, error: DatagramTooLarge) -> None:
        """A datagram has no room on a lane.  That is told of once: there may be many of them."""
        if not self._told_too_large:
            self._told_too_large = True
            self.log.warn(
                "[{run}] [{proxy}] a datagram is dropped: {reason}",
                run=self.identity.run_id,
                proxy=self.name,
                reason=str(error),
                problem="datagram-too-large",
            )

    def _not_served(self, why: str) -> None:
        """A user is not served."""
        self.last = self.last.went_wrong(why, self.reactor.seconds())

    def _began(self, flow: IFlow, origin: Origin) -> IFlow:
        now = self.reactor.seconds()
        self.last = self.last.came(origin.source, now)
        self.flows[flow] = ServedUser(origin, now)
        flow.when_ended().addBoth(self._flow_ended, flow)
        return flow

    def end_flows(self, why: Ended) -> None:
        """Ends every flow."""
        for flow in list(self.flows):
            flow.end(why)

    def _flow_ended(self, traffic: Traffic | Failure, flow: IFlow) -> None:
        user = self.flows.pop(flow)
        if not isinstance(traffic, Traffic):
            # A defect, which the data plane has told of.
            return
        self.log.debug(
            "[{run}] [{proxy}] flow from {origin} ended: {ended}",
            run=self.identity.run_id,
            proxy=self.name,
            origin=user.origin,
            ended=traffic.ended.value,
            sent=traffic.near_to_far,
            received=traffic.far_to_near,
            seconds=traffic.seconds,
        )

    def close(self) -> None:
        """Its proxy or visitor is gone; the flows that run go on."""
        if self._direct_paths is not None:
            self._client.drop_direct_paths(self._direct_paths)

    def signal(self, body: Mapping[str, Any]) -> None:
        """Sends a signal to the server half of the proxy type."""
        raise NotImplementedError

    def send_message(self, message: Message) -> None:
        self._client.send_message(message)

    def _signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        if not self.takes_signals:
            raise RefusedError(RefusalCode.NOT_AVAILABLE, "the server takes no signals, or is not connected")
        self._client.signal(proxy_name, visitor_name, body)


@implementer(IClientHost)
@define(eq=False)
class BackendHost(_Host[ProxyCommon]):
    """The client, as the backend of one proxy sees it."""

    _alone: IDatagramLane | None = field(default=None, init=False)
    """The lane that the next one takes the place of."""

    def __attrs_post_init__(self) -> None:
        if limit := self.common.transport.limit_at("client"):
            self.budgets = (Budget(limit),)

    def signal(self, body: Mapping[str, Any]) -> None:
        self._signal(self.proxy_name, "", body)

    @property
    def is_observed(self) -> bool:
        return bool(self._client.exchange_observers)

    def observed(self, leg: IStreamLeg, observer: ILegObserver) -> IStreamLeg:
        return self._client.data_plane.observed(leg, observer)

    def tell(self, exchange: Exchange) -> None:
        self._client.exchange_observers.tell(self.name, exchange)

    def forward(self, near: IStreamLeg, far: IStreamLeg, origin: Origin) -> IFlow:
        host, peer = far.host, far.peer
        flow = super().forward(near, far, origin)
        self._client.own_connections.add(host, peer, flow)
        return flow

    def forward_datagrams(self, near: IDatagramLeg, far: IDatagramLeg, origin: Origin) -> IFlow:
        host, peer = far.host, far.peer
        flow = super().forward_datagrams(near, far, origin)
        self._client.own_connections.add(host, peer, flow)
        return flow

    def _began(self, flow: IFlow, origin: Origin) -> IFlow:
        self._client.accounting.began(self.name, flow)
        return super()._began(flow, origin)

    def _flow_ended(self, traffic: Traffic | Failure, flow: IFlow) -> None:
        self._client.accounting.ended(self.name, flow, traffic if isinstance(traffic, Traffic) else None)
        super()._flow_ended(traffic, flow)

    def connect_local(self, origin: Origin) -> Deferred[IStreamLeg]:
        endpoint = self.common.local_endpoint
        tell = partial(announce, version=self.common.transport.proxy_protocol_version, origin=origin)
        dialing = self._dial(partial(self._client.dial, origin=origin, announce=tell), endpoint, origin)
        dialing.addCallback(tell)
        return dialing.addErrback(self._unreachable, endpoint, origin)

    def open_local_datagrams(self, origin: Origin) -> Deferred[IDatagramLeg]:
        endpoint = self.common.local_datagram_endpoint
        dialing = self._dial(self._client.dial_datagrams, endpoint, origin)
        dialing.addCallback(announce_datagrams, self.common.transport.proxy_protocol_version, origin)
        return dialing.addErrback(self._unreachable, endpoint, origin)

    def _dial(self, dial: Callable[[str], Deferred[LegT]], endpoint: str, origin: Origin) -> Deferred[LegT]:
        try:
            self._client.own_connections.check(origin)
        except LeadsBack as error:
            return fail(error)
        return dial(endpoint)

    def serve_lane(
        self,
        leg: IStreamLeg,
        origin: Origin,
        most_bytes: int = MOST_DATAGRAM_BYTES,
        alone: bool = False,
        path: IStreamPath | None = None,
        admit: AdmitUser | None = None,
    ) -> Deferred[None]:
        if path is not None:
            lane = self._path_lane_over(leg, path)
            return LaneService(self, lane, origin, admit).start().addCallback(self._lane_ended, lane)
        try:
            codec = self._client.lane_codec(most_bytes)
        except SessionLost:
            leg.abort()
            return succeed(None)
        lane = self._lane_over(leg, codec)
        if alone and not codec.is_shared:
            before, self._alone = self._alone, lane
            if before is not None:
                before.close()
        return LaneService(self, lane, origin, admit).start().addCallback(self._lane_ended, lane)

    def _lane_ended(self, _why: Ended, lane: IDatagramLane) -> None:
        if self._alone is lane:
            self._alone = None

    def _ended(self, failure: Failure, origin: Origin) -> dict[str, Any]:
        return {
            "run": self.identity.run_id,
            "proxy": self.name,
            "reason": failure.getErrorMessage(),
            "origin": origin,
            "stranger": host_of(origin.source),
            "ended": Ended.UNREACHABLE.value,
        }

    def _unreachable(self, failure: Failure, endpoint: str, origin: Origin) -> Any:
        if failure.check(ConnectionFailed):
            self._not_served(failure.getErrorMessage())
        if failure.check(OutOfDescriptors):
            # That has been told of once, for all.
            self.log.debug(
                "[{run}] [{proxy}] {origin} is not served: {reason}", **self._ended(failure, origin)
            )
        elif failure.check(UserNotAnnounced):
            self.log.error(
                "[{run}] [{proxy}] {origin} is not served: {reason}",
                **self._ended(failure, origin) | {"ended": Ended.PROTOCOL_ERROR.value},
                problem="user-not-announced",
            )
        elif failure.check(LeadsBack):
            self.log.error(
                "[{run}] [{proxy}] {origin} is not served: {reason}",
                **self._ended(failure, origin) | {"ended": Ended.REFUSED.value},
                problem="leads-back",
            )
        elif failure.check(ConnectionFailed):
            self.log.error(
                "[{run}] [{proxy}] connect to local service [{endpoint}] error: {reason} (for {origin})",
                endpoint=masked_endpoint(endpoint),
                **self._ended(failure, origin),
                problem="local-service",
            )
        return failure


@implementer(IVisitorHost)
@define(eq=False)
class VisitorHost(_Host[VisitorCommon]):
    """The client, as one visitor sees it."""

    listening: Address | None = field(default=None, init=False)
    """Where the visitor's port was opened."""
    reason: str = field(default="", init=False)
    """Why there is none, or what the server refused the last visit for."""
    next_try: float | None = field(default=None, init=False)
    """When the port is tried again."""
    since: float | None = field(default=None, init=False)
    """When the port was opened, or could not be for the first time."""
    standing: StandingVisit | None = field(default=None, init=False)
    """The standing visit of its local service, if it has one."""

    def forward(self, near: IStreamLeg, far: IStreamLeg, origin: Origin) -> IFlow:
        flow = super().forward(near, far, origin)
        self._served(origin)
        return flow

    def signal(self, body: Mapping[str, Any]) -> None:
        self._signal(self.proxy_name, self.name, body)

    def listen(self, acceptor: ILegAcceptor) -> Deferred[IListeningPort | None]:
        return self._opened(self._client.listen, acceptor)

    def listen_datagrams(self, acceptor: IDatagramAcceptor) -> Deferred[IListeningPort | None]:
        return self._opened(self._client.listen_datagrams, acceptor)

    def open_visit(self, origin: Origin, secret: Secret) -> Deferred[IStreamLeg]:
        return self._client.open_visit(self.common, secret, origin).addCallbacks(
            self._visited, self._not_visited
        )

    def _visited(self, leg: IStreamLeg) -> IStreamLeg:
        self.reason = ""
        return leg

    def _not_visited(self, failure: Failure) -> Failure:
        if failure.check(RelaykitError):
            self._not_served(failure.getErrorMessage())
        if failure.check(VisitRefusedError):
            self.reason = failure.getErrorMessage()
        return failure

    def open_lane(self, secret: Secret, most_bytes: int) -> Deferred[IDatagramLane]:
        return Deferred.fromCoroutine(self._open_lane(secret, most_bytes))

    async def _open_lane(self, secret: Secret, most_bytes: int) -> IDatagramLane:
        codec = self._client.lane_codec(most_bytes)
        lane = self._lane_over(await self.open_visit(Origin(), secret), codec)
        lane.start()
        return lane

    def open_direct_lane(self, path: IStreamPath) -> Deferred[IDatagramLane]:
        opening: Deferred[IStreamLeg] = path.open_leg(False)
        return opening.addCallback(self._start_direct_lane, path)

    def _start_direct_lane(self, leg: IStreamLeg, path: IStreamPath) -> IDatagramLane:
        lane = self._path_lane_over(leg, path)
        lane.start()
        return lane

    def sign(self, secret: Secret) -> tuple[str, int]:
        return self._client.sign(secret)

    def hand_over(self, visitor: str, leg: IStreamLeg, origin: Origin) -> None:
        self._client.taker(visitor, self.name).leg_accepted(leg, origin)
        self._served(origin)

    def endpoint(self, origin: Origin, secret: Secret) -> IStreamClientEndpoint:
        return self._client.data_plane.endpoint(lambda: self.open_visit(origin, secret))

    def _served(self, origin: Origin) -> None:
        if self.standing is not None:
            self.standing.served(origin)

    def _opened(
        self, listen: Callable[[str, int, AcceptorT], IListeningPort], acceptor: AcceptorT
    ) -> Deferred[IListeningPort | None]:
        if self.common.bind_port < 0:
            return succeed(None)
        open_port = partial(listen, self.common.bind_addr, self.common.bind_port, acceptor)
        return Deferred.fromCoroutine(self._open_until_it_is(open_port))

    async def _open_until_it_is(self, open_port: Callable[[], IListeningPort]) -> IListeningPort | None:
        while True:
            try:
                port = open_port()
            except ListenFailed as error:
                self.log.warn(
                    "[{run}] [{visitor}] start error: {reason}",
                    run=self.identity.run_id,
                    visitor=self.name,
                    reason=str(error),
                    closed=True,
                    problem=problem_of(error, "start-error"),
                )
                self.since = self.since or self.reactor.seconds()
                self.reason = str(error)
                self.next_try = self.reactor.seconds() + PORT_RETRY_S
            else:
                self.listening, self.since = port.address, self.reactor.seconds()
                self.reason, self.next_try = "", None
                self.log.info("[{run}] start visitor success", run=self.identity.run_id, visitor=self.name)
                return port
            await deferLater(self.reactor, PORT_RETRY_S)
            self.log.info(
                "[{run}] try to start visitor [{visitor}]", run=self.identity.run_id, visitor=self.name
            )
