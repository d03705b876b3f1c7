"""The client half of an ``xtcp`` proxy: meets visitors, and serves the streams of their direct paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import (
    ConnectionFailed,
    HolePunchingError,
    RelaykitError,
    RemoteProtocolError,
    problem_of,
)
from relaykit.interfaces import ILegAcceptor, IMessageReceiver, IRegistrant, ISignalReceiver
from relaykit.proxies.direct import AnsweredPaths
from relaykit.proxies.peers import Peers, Telling
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.proxies.xtcp.options import PROTOCOLS
from relaykit.proxies.xtcp.transactions import Transactions
from relaykit.proxies.xtcp.tunnels import Tunnel, frp_streams, open_path
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleReport, NatHoleResp, NatHoleSid
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IClientHost,
        IDatagramLeg,
        IHoleSocket,
        IMessagePeer,
        ISignalPeer,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.proxies.xtcp.options import XtcpOptions
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import Origin

__all__ = ["MOST_ATTEMPTS", "MOST_TUNNELS", "XtcpBackend"]

MOST_ATTEMPTS = 16
"""Visitors that a proxy's client meets at once; each takes a socket, and where ports are guessed many."""

MOST_TUNNELS = 256
"""Direct paths of one proxy, one for each visitor; each has a socket of its own."""


@implementer(IMessageReceiver, IRegistrant, ISignalReceiver)
class XtcpBackend(LocalServiceBackend):
    """Meets each visitor that the server tells of.  Once stopped it meets none, and its users go on."""

    log = Logger()

    def __init__(self, options: XtcpOptions, host: IClientHost) -> None:
        super().__init__(host)
        self._options = options
        self._transactions = Transactions(host)
        self._attempts: set[Deferred[None]] = set()
        self._tunnels: set[Tunnel] = set()
        self._peers = Peers(options.peers)
        self._telling = Telling(self._peers, host)
        self._own = AnsweredPaths(host, options.secret_key, self._serve_own)

    def startService(self) -> None:
        super().startService()
        self._own.start()

    def stopService(self) -> Deferred[Any]:
        """Fires once no path is left, so that no visitor goes on using one that is gone."""
        super().stopService()
        for attempt in tuple(self._attempts):
            attempt.cancel()
        retired = [tunnel.retire() for tunnel in tuple(self._tunnels)]
        return DeferredList([*retired, self._own.stop()])

    def registered_options(self) -> XtcpOptions:
        options = self._telling.registered(self._options)
        if self.host.takes_signals:
            self.host.direct_paths.prepare(PeerRole.RESPONDER)
        if self._peers.admits_frp(self.host.takes_signals):
            for protocol in PROTOCOLS:
                self.host.holes.prepare(protocol, PeerRole.RESPONDER)
        return options

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self.host.direct_paths.signal_received(body):
            raise RemoteProtocolError("it is about no rendezvous")

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        if isinstance(message, NatHoleSid):
            if self._peers.admits_frp(self.host.takes_signals):
                self._begin(message.sid)
            else:
                self._not_met(HolePunchingError('it would be met as frp does, which peers = "any" allows'))
            return True
        return isinstance(message, NatHoleResp) and self._transactions.answered(message)

    async def serve(self, leg: IStreamLeg, origin: Origin, tunnel: Tunnel) -> None:
        """Joins a user of a direct path with the local service; owns the leg."""
        try:
            local = await self.host.connect_local(origin)
        except ConnectionFailed:
            leg.close()
            return
        user = self.host.transformed(leg, self._options.secret_key)
        tunnel.carries(self.host.forward(user, local, origin))

    async def _serve_own(self, leg: IStreamLeg, origin: Origin, path: IStreamPath) -> None:
        await self.work_assigned(self.host.transformed(leg, self._options.secret_key), origin)

    # --- one visitor

    def _begin(self, sid: str) -> None:
        if len(self._attempts) >= MOST_ATTEMPTS or len(self._tunnels) >= MOST_TUNNELS:
            self._not_met(HolePunchingError("too many of them are met at once, or have direct paths"))
            return
        attempt = Deferred.fromCoroutine(self._meet(sid))
        self._attempts.add(attempt)
        attempt.addBoth(self._over, attempt)

    async def _meet(self, sid: str) -> None:
        secret = self._options.secret_key
        socket = await self.host.holes.open_socket(not self._options.nat_traversal.disable_assisted_addrs)
        try:
            told = await self._transactions.ask(
                NatHoleClient,
                sid=sid,
                mapped_addrs=tuple(map(str, socket.mapped)),
                assisted_addrs=tuple(map(str, socket.interfaces)),
            )
            streams = frp_streams(self.host, told.protocol)
        except BaseException:
            socket.close()
            raise
        datagrams = await self._punched(socket, told)
        tunnel = Tunnel()
        users = _TunnelUsers(self, tunnel)
        path = await open_path(self.host, streams, datagrams, PeerRole.RESPONDER, secret, users)
        tunnel.path = path
        self._tunnels.add(tunnel)
        self.log.info(
            "[{run}] [{proxy}] a visitor at {peer} has a direct path",
            run=self.host.identity.run_id,
            proxy=self.host.name,
            peer=datagrams.peer,
            stranger=host_of(datagrams.peer),
        )
        path.when_lost().addCallback(self._lost, tunnel, datagrams)

    async def _punched(self, socket: IHoleSocket, told: NatHoleResp) -> IDatagramLeg:
        """A hole, or none.  The server is told which: it learns from that what to have others try."""
        success = False
        try:
            datagrams: IDatagramLeg = await socket.punch(told, self._options.secret_key)
            success = True
        finally:
            if not told.error:
                self.host.send_message(NatHoleReport(sid=told.sid, success=success))
        return datagrams

    def _over(self, result: Failure | None, attempt: Deferred[None]) -> None:
        """A visitor was met, or could not be."""
        self._attempts.discard(attempt)
        if result is None or result.check(CancelledError):
            return
        if isinstance(result.value, RelaykitError):
            self._not_met(result.value)
        else:
            self.log.failure("[{proxy}] a defect while a visitor was met", result, proxy=self.host.name)

    def _not_met(self, error: RelaykitError) -> None:
        self.log.warn(
            "[{run}] [{proxy}] a visitor gets no direct path: {reason}",
            run=self.host.identity.run_id,
            proxy=self.host.name,
            reason=str(error),
            # Whoever asks the server, and the server itself, can have this said again and again.
            by_server=self.host.identity.run_id,
            problem=problem_of(error, "hole-punching"),
        )

    def _lost(self, why: Ended, tunnel: Tunnel, datagrams: IDatagramLeg) -> None:
        self._tunnels.discard(tunnel)
        self.log.info(
            "[{run}] [{proxy}] the direct path of the visitor at {peer} ended: {ended}",
            run=self.host.identity.run_id,
            proxy=self.host.name,
            peer=datagrams.peer,
            stranger=host_of(datagrams.peer),
            ended=why.value,
        )


@implementer(ILegAcceptor)
@frozen(eq=False)
class _TunnelUsers:
    """Takes the streams of one direct path."""

    _backend: XtcpBackend
    _tunnel: Tunnel

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        served = Deferred.fromCoroutine(self._backend.serve(leg, origin, self._tunnel))
        served.addErrback(self._defect, leg)

    def _defect(self, failure: Failure, leg: IStreamLeg) -> None:
        self._backend.log.failure("a defect while a user of a direct path was served", failure)
        leg.abort()
