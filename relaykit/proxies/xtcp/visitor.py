"""The visitor of an ``xtcp`` proxy: one direct path for all its users, and where they go without it."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, succeed
from zope.interface import implementer

from relaykit.driver import CoreDriver
from relaykit.errors import (
    ConnectionFailed,
    HolePunchingError,
    RefusedError,
    RelaykitError,
    RemoteProtocolError,
    problem_of,
)
from relaykit.interfaces import ILegAcceptor, IMessageReceiver, ISessionFollower, ISharedPath, ISignalReceiver
from relaykit.proxies.peers import OwnWay, Peers
from relaykit.proxies.stcp import PortVisitor
from relaykit.proxies.xtcp.transactions import Transactions
from relaykit.proxies.xtcp.tunnels import Tunnel
from relaykit.proxies.xtcp.ways import FrpWay, Way
from relaykit.sansio.nathole.messages import NatHoleResp
from relaykit.sansio.nathole.policy import (
    USER_WAIT_S,
    PolicyAction,
    PolicyEvent,
    TunnelPolicy,
    UserServed,
    UserTurnedAway,
)
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IListeningPort,
        IMessagePeer,
        ISignalPeer,
        IStreamLeg,
        IStreamPath,
        IVisitorHost,
    )
    from relaykit.proxies.xtcp.options import XtcpVisitorOptions
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import Origin

__all__ = ["XtcpVisitor"]


@implementer(ILegAcceptor, IMessageReceiver, ISessionFollower, ISignalReceiver)
class XtcpVisitor(PortVisitor):
    """Serves all users by one direct path, made when the policy says so.

    A user who gets none in time is handed to the visitor that ``fallbackTo`` names, or let go.
    """

    def __init__(self, options: XtcpVisitorOptions, host: IVisitorHost) -> None:
        super().__init__(options.secret_key, host)
        self._fallback_to = options.fallback_to
        self._transactions = Transactions(host)
        self._ways: Sequence[Way] = (
            OwnWay(Peers(options.peers), options.secret_key, host),
            FrpWay(options, host, self._transactions),
        )
        self._policy = _policy_of(options)
        self._driver: CoreDriver[PolicyEvent] = CoreDriver(self._policy, host.reactor, self._on_event)
        self._attempt: Deferred[IStreamPath] | None = None
        self._why_none = ""
        """What the last attempt failed for."""
        self._tunnel: Tunnel | None = None
        self._numbers = count()
        self._users: dict[int, tuple[IStreamLeg, Origin]] = {}
        """Those who wait."""

    def open_port(self) -> Deferred[IListeningPort | None]:
        opening: Deferred[IListeningPort | None] = self.host.listen(self)
        return opening

    def stopService(self) -> Deferred[Any]:
        """Fires once there is no path."""
        super().stopService()
        self._driver.stop()
        if self._attempt is not None:
            self._attempt.cancel()
        users, self._users = self._users, {}
        for leg, _ in users.values():
            leg.close()
        return succeed(None) if self._tunnel is None else self._tunnel.retire()

    def session_started(self) -> None:
        for way in self._ways:
            if way.is_open:
                way.prepare()
        self._policy.session_started(self._driver.now)
        self._driver.step()

    def session_ended(self) -> None:
        self._policy.session_ended()
        self._driver.step()

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        return isinstance(message, NatHoleResp) and self._transactions.answered(message)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self.host.direct_paths.signal_received(body):
            raise RemoteProtocolError("it is about no rendezvous")

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        user = next(self._numbers)
        self._users[user] = leg, origin
        leg.when_gone(partial(self._left, user))
        self._policy.user_came(user, self._driver.now)
        self._driver.step()

    # --- what the policy says

    def _on_event(self, event: PolicyEvent) -> None:
        if isinstance(event, UserServed):
            leg, origin = self._users.pop(event.user)
            assert self._tunnel is not None, "a user is served without a direct path"
            served = Deferred.fromCoroutine(self._serve(self._tunnel, leg, origin))
            served.addErrback(self._defect, leg)
        elif isinstance(event, UserTurnedAway):
            why = f"{event.why.value}: {self._why_none}" if self._why_none else event.why.value
            self._turn_away(*self._users.pop(event.user), why)
        elif event is PolicyAction.ATTEMPT:
            attempt = self._attempt = Deferred.fromCoroutine(self._path())
            attempt.addCallbacks(self._path_made, self._path_not_made)
        elif event is PolicyAction.PING:
            self._ping()
        else:
            self._give_up()

    # --- the direct path

    async def _path(self) -> IStreamPath:
        """A path by the first way that leads to one."""
        error: RelaykitError = HolePunchingError("there is no way to one")
        for way in self._ways:
            if way.is_open:
                try:
                    return await way.path()
                except RelaykitError as failed:
                    error = failed
        raise error

    def _path_made(self, path: IStreamPath) -> None:
        self._attempt = None
        tunnel = self._tunnel = Tunnel(path)
        self._why_none = self.host.reason = ""
        self.log.info("[{visitor}] there is a direct path", visitor=self.host.name)
        self._policy.opened(self._driver.now)
        self._driver.step()
        path.when_lost().addCallback(self._lost, tunnel)

    def _path_not_made(self, failure: Failure) -> None:
        self._attempt = None
        error = failure.value
        if isinstance(error, RelaykitError):
            self.log.warn(
                "[{visitor}] no direct path: {reason}",
                visitor=self.host.name,
                reason=str(error),
                problem=problem_of(error, "hole-punching"),
            )
        elif not failure.check(CancelledError):
            self.log.failure(
                "[{visitor}] a defect while a direct path was made", failure, visitor=self.host.name
            )
        self._why_none = self.host.reason = str(error)
        self.host.way = f"no direct path: {error}"
        self._policy.failed(self._driver.now, refused=isinstance(error, RefusedError))
        self._driver.step()

    def _lost(self, why: Ended, tunnel: Tunnel) -> None:
        if tunnel is not self._tunnel:
            return
        self._tunnel = None
        self.host.way = f"no direct path: {why.value}"
        self.log.info("[{visitor}] the direct path ended: {ended}", visitor=self.host.name, ended=why.value)
        self._policy.lost(self._driver.now)
        self._driver.step()

    def _ping(self) -> None:
        """Asks over the path; one that has no pings ends by itself.

        Any word of the peer counts: answers may wait behind what a user does not read.
        """
        tunnel = self._tunnel
        assert tunnel is not None and tunnel.path is not None, "there is no path to ask over"

        def answered(_: object = None) -> None:
            if tunnel is self._tunnel:
                self._policy.answered()

        if ISharedPath.providedBy(tunnel.path):
            tunnel.path.ping().addCallback(answered)
        else:
            answered()

    def _give_up(self) -> None:
        tunnel, self._tunnel = self._tunnel, None
        assert tunnel is not None and tunnel.path is not None, "there is no path to give up"
        self.log.warn(
            "[{visitor}] the direct path answers nothing any more, and is given up",
            visitor=self.host.name,
            ended=Ended.TIMEOUT.value,
            problem="hole-punching",
        )
        tunnel.path.close()

    # --- users

    async def _serve(self, tunnel: Tunnel, leg: IStreamLeg, origin: Origin) -> None:
        assert tunnel.path is not None, "there is no path to be served by"
        try:
            stream = await tunnel.path.open_leg(False)
        except ConnectionFailed as error:
            tunnel.path.close()
            self._turn_away(leg, origin, f"the direct path is broken: {error}")
            return
        tunnel.carries(self.host.forward(leg, self.host.transformed(stream, self.secret), origin))

    def _left(self, user: int) -> None:
        """A user has gone, whether they waited or not."""
        if self._users.pop(user, None) is not None:
            self._policy.user_left(user)
            self._driver.step()

    def _turn_away(self, leg: IStreamLeg, origin: Origin, why: str) -> None:
        """A user gets no direct path: they take the other way, if there is one."""
        try:
            if not self._fallback_to:
                raise HolePunchingError(why)
            self.host.hand_over(self._fallback_to, leg, origin)
        except RelaykitError as error:
            self.not_visited(origin, error)
            leg.close()
            return
        self.log.info(
            "[{visitor}] {origin} goes by way of [{other}]: {reason}",
            visitor=self.host.name,
            origin=origin,
            other=self._fallback_to,
            reason=why,
            stranger=host_of(origin.source),
        )

    def _defect(self, failure: Failure, leg: IStreamLeg) -> None:
        self.log.failure("[{visitor}] a defect while a user was served", failure, visitor=self.host.name)
        leg.abort()


def _policy_of(options: XtcpVisitorOptions) -> TunnelPolicy:
    """As the configuration says; what is not above zero there counts as if it were not given."""
    usual = type(options)()
    wait_s = USER_WAIT_S
    if options.fallback_to:
        wait_s = _given(options.fallback_timeout_ms, usual.fallback_timeout_ms) / 1000
    return TunnelPolicy(
        keep_open=options.keep_tunnel_open,
        retries_an_hour=_given(options.max_retries_an_hour, usual.max_retries_an_hour),
        retry_interval_s=_given(options.min_retry_interval, usual.min_retry_interval),
        wait_s=wait_s,
    )


def _given(number: int, usual: int) -> int:
    return number if number > 0 else usual
