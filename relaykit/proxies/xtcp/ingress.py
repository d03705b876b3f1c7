"""The server half of ``xtcp``: brings visitors and the proxy's client together; users go another way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.driver import CoreDriver
from relaykit.errors import NoWorkConnection, RefusalCode, RemoteProtocolError, SessionLost, VisitRefusedError
from relaykit.interfaces import IIngress, IMessageReceiver, ISignalReceiver, IVisitable
from relaykit.proxies.direct import admit_initiator
from relaykit.sansio.nathole.controller import (
    Answered,
    HoleController,
    HoleEnd,
    HoleEnded,
    HoleEvent,
    HoleInvited,
    HoleTarget,
    Party,
)
from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleReport, NatHoleVisitor
from relaykit.sansio.nathole.scores import Scores
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IMessagePeer,
        IRegisteredProxy,
        IRendezvousPoint,
        IServerHost,
        ISignalPeer,
        IVisit,
    )
    from relaykit.proxies.xtcp.options import XtcpIngressOptions
    from relaykit.sansio.wire.messages import Message

__all__ = ["XtcpIngress"]

_DEFAULT_HOURS = 168


@implementer(IVisitable, ISignalReceiver)
@frozen(eq=False)
class _MeetingPlace:
    """One proxy: a name under which visitors meet its client, in frp's way or in relaykit's."""

    _ingress: XtcpIngress
    _proxy: IRegisteredProxy
    _point: IRendezvousPoint
    address = ""

    async def visited(self, visit: IVisit) -> None:
        text = f"custom listener for [{self._proxy.name}] doesn't exist"
        raise VisitRefusedError(RefusalCode.UNKNOWN_PROXY, text)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self._point.signal_received(sender, body):
            raise RemoteProtocolError("it is about no rendezvous")

    async def withdraw(self) -> None:
        self._point.close()
        self._ingress.withdrawn(self._proxy)


@implementer(IIngress, IMessageReceiver)
class XtcpIngress(Service):
    """Runs the core that knows all holes of this server, and hands its messages to clients."""

    log = Logger()

    def __init__(self, options: XtcpIngressOptions, host: IServerHost) -> None:
        self._host = host
        hours = options.analysis_hours or _DEFAULT_HOURS
        self._core = HoleController(os.urandom, Scores(max(hours, 0) * 3600.0))
        self._driver: CoreDriver[HoleEvent] = CoreDriver(self._core, host.reactor, self._on_event)
        self._proxies: dict[str, IRegisteredProxy] = {}
        self._inviting: dict[str, Deferred[None]] = {}
        """Holes whose ids are on the way to the proxy's client."""

    async def expose(self, proxy: IRegisteredProxy) -> _MeetingPlace:
        self._proxies[proxy.name] = proxy
        point = self._host.rendezvous.open(proxy, partial(admit_initiator, proxy))
        return _MeetingPlace(self, proxy, point)

    def withdrawn(self, proxy: IRegisteredProxy) -> None:
        """A proxy is not there any more."""
        if self._proxies.get(proxy.name) is proxy:
            del self._proxies[proxy.name]
            self._core.withdrawn(proxy.name, self._driver.now)
            self._driver.step()

    def stopService(self) -> None:
        super().stopService()
        self._driver.stop()
        for inviting in tuple(self._inviting.values()):
            inviting.cancel()

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        sender, now = Party(peer.identity, peer), self._driver.now
        if isinstance(message, NatHoleVisitor):
            self._core.requested(sender, message, self._target(message.proxy_name), now)
        elif isinstance(message, NatHoleClient):
            self._core.answered(sender, message, now)
        elif isinstance(message, NatHoleReport):
            self._core.reported(sender, message, now)
        self._driver.step()
        return True

    def _target(self, name: str) -> HoleTarget | None:
        proxy = self._proxies.get(name)
        if proxy is None:
            return None
        options, identity = proxy.options, proxy.identity
        allowed = options.allow_users or (identity.user,)
        return HoleTarget(name, options.secret_key, allowed, Party(identity, proxy))

    def _on_event(self, event: HoleEvent) -> None:
        if isinstance(event, Answered):
            event.peer.send_message(event.message)
        elif isinstance(event, HoleInvited):
            sid = event.message.sid
            inviting = self._inviting[sid] = event.proxy.hand(event.message)
            inviting.addErrback(self._not_invited, sid).addBoth(self._invited, sid)
        else:
            self._ended(event)

    def _not_invited(self, failure: Failure, sid: str) -> None:
        if not failure.check(NoWorkConnection, SessionLost, CancelledError):
            self.log.failure("a defect while a client was told of a visitor", failure)
        self._core.not_invited(sid, self._driver.now)
        self._driver.step()

    def _invited(self, _: object, sid: str) -> None:
        self._inviting.pop(sid, None)

    def _ended(self, event: HoleEnded) -> None:
        inviting = self._inviting.get(event.sid)
        if inviting is not None:
            inviting.cancel()
        told = {
            "run": event.visitor.run_id,
            "proxy": event.proxy,
            "origin": event.visitor.address,
            "stranger": host_of(event.visitor.address),
            "reason": event.reason or event.why.value,
        }
        if event.why is HoleEnd.REFUSED:
            self.log.warn(
                "[{run}] [{proxy}] no hole for {origin}: {reason}",
                **told,
                ended=Ended.REFUSED.value,
                problem="hole-refused",
            )
        elif event.why is HoleEnd.NOT_ANSWERED:
            self.log.warn(
                "[{run}] [{proxy}] no hole for {origin}: {reason}",
                **told,
                ended=Ended.UNREACHABLE.value,
                problem="hole-not-answered",
            )
        else:
            self.log.debug("[{run}] [{proxy}] a hole for {origin}: {reason}", row=event.row, **told)
