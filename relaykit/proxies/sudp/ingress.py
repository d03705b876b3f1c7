"""The server half of ``sudp``: lanes for visitors, and where they meet the proxy's client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.application.service import Service
from zope.interface import implementer

from relaykit.errors import RefusalCode, RemoteProtocolError, VisitRefusedError
from relaykit.interfaces import IIngress, ISignalReceiver, IVisitable
from relaykit.proxies.direct import admit_initiator
from relaykit.proxies.stcp import admit
from relaykit.sansio.nat.path_keys import rendezvous_key
from relaykit.values import Ended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaykit.interfaces import (
        IRegisteredProxy,
        IRendezvousPoint,
        IServerHost,
        ISignalPeer,
        IVisit,
    )

__all__ = ["SudpIngress"]


@implementer(IVisitable, ISignalReceiver)
@frozen(eq=False)
class _SecretLanes:
    """One ``sudp`` proxy: each visitor has a lane to it, for all of its users, and may call its client."""

    _proxy: IRegisteredProxy
    _point: IRendezvousPoint
    address = ""

    async def visited(self, visit: IVisit) -> None:
        proxy = self._proxy
        try:
            admit(proxy, visit)
        except VisitRefusedError as refusal:
            hint = self._hint(visit) if refusal.code is RefusalCode.BAD_CREDENTIALS else ""
            raise VisitRefusedError(refusal.code, refusal.text + hint) from refusal
        proxy.serve(visit.accept_lane(proxy.options.secret_key, proxy), visit.origin, is_lane=True)

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self._point.signal_received(sender, body):
            raise RemoteProtocolError("it is about no rendezvous")

    async def withdraw(self) -> None:
        """Ends the lanes: as long as one is there, its visitor's new users come without asking."""
        self._point.close()
        for flow in tuple(self._proxy.flows):
            flow.end(Ended.WITHDRAWN)

    def _hint(self, visit: IVisit) -> str:
        """What may be wrong besides the secret: both ends show something else where they go directly."""
        options = self._proxy.options
        if options.direct:
            return "; the proxy has direct = true, which its visitors need, too"
        if visit.proves(rendezvous_key(options.secret_key, self._proxy.name)):
            return "; the visitor has direct = true, and the proxy has not"
        return ""


@implementer(IIngress)
class SudpIngress(Service):
    """Exposes proxies to visitors only."""

    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> _SecretLanes:
        return _SecretLanes(proxy, self._host.rendezvous.open(proxy, partial(admit_initiator, proxy)))
