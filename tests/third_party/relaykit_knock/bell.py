"""The proxy type ``bell``: visitors ring, and the proxy's client hears it.  It has messages of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen
from relaykit.errors import NoWorkConnection, RelaykitError
from relaykit.interfaces import (
    IBackend,
    IExposure,
    IIngress,
    IMessageReceiver,
    IMessagingProxyType,
    IVisitableProxyType,
    IVisitor,
)
from relaykit.options import Options
from relaykit.sansio.wire.messages import Message, Name
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IClientHost,
        IMessagePeer,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
        IVisitorHost,
    )
    from relaykit.values import Origin
    from twisted.python.failure import Failure

__all__ = ["Answered", "BellBackend", "BellIngress", "BellVisitor", "Ring", "proxy_type"]

MOST_RINGS = 256
"""Rings that nobody has answered, of all bells of a server; the oldest is forgotten for a new one."""


# --- messages ----------------------------------------------------------------------------------


class Ring(Message, frozen=True, kw_only=True):
    """From a visitor to the server, which hands it to the proxy's client.  Answered by ``Answered``."""

    type_byte = None
    number = 0xB311

    id: Name = ""
    proxy_name: Name = ""
    caller: Name = ""


class Answered(Message, frozen=True, kw_only=True):
    """From the proxy's client, which heard a ring, by way of the server to whoever rang.

    With ``error`` it is from the server: nobody hears the bell.
    """

    type_byte = None
    number = 0xB312

    id: Name = ""
    error: str = ""


# --- the server half ---------------------------------------------------------------------------


class BellOptions(Options, frozen=True, kw_only=True):
    """A bell has no keys of its own, wherever it is configured."""


@implementer(IExposure)
@frozen(eq=False)
class _Bell:
    """One proxy."""

    _ingress: BellIngress
    proxy: IRegisteredProxy
    address = ""

    async def withdraw(self) -> None:
        self._ingress.bells.pop(self.proxy.name)


@implementer(IIngress, IMessageReceiver)
@define(eq=False)
class BellIngress(Service):
    """All bells of a server, and who has rung."""

    bells: dict[str, _Bell] = field(factory=dict, init=False)
    rings: dict[str, IMessagePeer] = field(factory=dict, init=False)

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        bell = self.bells[proxy.name] = _Bell(self, proxy)
        return bell

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        if isinstance(message, Ring):
            self._rang(peer, message)
        elif isinstance(message, Answered) and message.id in self.rings:
            self.rings.pop(message.id).send_message(message)
        return True

    def _rang(self, peer: IMessagePeer, ring: Ring) -> None:
        bell = self.bells.get(ring.proxy_name)
        if bell is None:
            peer.send_message(Answered(id=ring.id, error="there is no such bell"))
            return
        self.rings[ring.id] = peer
        if len(self.rings) > MOST_RINGS:
            del self.rings[next(iter(self.rings))]
        bell.proxy.hand(ring).addErrback(self._unheard, ring)

    def _unheard(self, failure: Failure, ring: Ring) -> None:
        failure.trap(NoWorkConnection)
        peer = self.rings.pop(ring.id, None)
        if peer is not None:
            peer.send_message(Answered(id=ring.id, error="nobody hears it"))


# --- the client halves -------------------------------------------------------------------------


@implementer(IBackend, IMessageReceiver)
@define(eq=False)
class BellBackend(Service):
    """Says in the log who rang, and answers."""

    _host: IClientHost

    log = Logger()

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.close()

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        if not isinstance(message, Ring) or message.proxy_name != self._host.proxy_name:
            return False
        self.log.info("[{proxy}] {caller} rings", proxy=self._host.name, caller=message.caller)
        peer.send_message(Answered(id=message.id))
        return True


class Unheard(RelaykitError):
    """Nobody heard a ring."""


@implementer(IVisitor, IMessageReceiver)
@define(eq=False)
class BellVisitor(Service):
    """Rings when it is told to."""

    _host: IVisitorHost
    _ringing: dict[str, Deferred[None]] = field(factory=dict, init=False)

    def ring(self, caller: str) -> Deferred[None]:
        """Fires once the proxy's client has heard it; fails with :class:`Unheard`."""
        ring = f"{self._host.identity.run_id}-{self._host.name}-{len(self._ringing)}"
        answer = self._ringing[ring] = Deferred()
        self._host.send_message(Ring(id=ring, proxy_name=self._host.proxy_name, caller=caller))
        return answer

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        if not isinstance(message, Answered):
            return False
        answer = self._ringing.pop(message.id, None)
        if answer is None:
            return False
        if message.error:
            answer.errback(Unheard(message.error))
        else:
            answer.callback(None)
        return True


# --- the type ----------------------------------------------------------------------------------


@implementer(IMessagingProxyType, IVisitableProxyType)
@frozen
class _BellType:
    name = "bell"
    summary = "visitors ring, and the proxy's client hears it"
    proxy_options = visitor_options = ingress_options = BellOptions
    messages = (Ring, Answered)
    handed = (Ring,)

    def make_ingress(self, options: BellOptions, host: IServerHost) -> BellIngress:
        return BellIngress()

    def make_backend(self, options: BellOptions, host: IClientHost) -> BellBackend:
        return BellBackend(host)

    def make_visitor(self, options: BellOptions, host: IVisitorHost) -> BellVisitor:
        return BellVisitor(host)


proxy_type = _BellType()
