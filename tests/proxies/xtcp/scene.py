"""A server half that does as a test says, for tests of the client halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, frozen
from twisted.application.service import Service
from zope.interface import implementer

from relaykit.errors import RefusalCode, RefusedError
from relaykit.interfaces import (
    IExposure,
    IIngress,
    IMessageReceiver,
    IMessagingProxyType,
    ISignalReceiver,
    IVisitableProxyType,
)
from relaykit.options import VisitorCommon
from relaykit.proxies.tcp import NoIngressOptions
from relaykit.proxies.xtcp.backend import XtcpBackend
from relaykit.proxies.xtcp.options import XtcpOptions, XtcpVisitorOptions
from relaykit.proxies.xtcp.visitor import XtcpVisitor
from relaykit.sansio.nathole.messages import (
    NAT_HOLE_MESSAGES,
    DetectBehavior,
    NatHoleClient,
    NatHoleReport,
    NatHoleResp,
    NatHoleSid,
    NatHoleVisitor,
)
from relaykit.testing.relay import LocalService, MemoryRelay, Published, Visiting, echoing
from relaykit.values import Secret

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IInitiator,
        IMessagePeer,
        IRegisteredProxy,
        IRendezvousPoint,
        IServerHost,
        ISignalPeer,
    )
    from relaykit.sansio.wire.messages import Message

__all__ = ["SECRET", "Scene"]

SECRET = Secret("s3cret")


def _refuse(_: IInitiator) -> None:
    raise RefusedError(RefusalCode.NOT_AVAILABLE, "no rendezvous here")


@implementer(IExposure, ISignalReceiver)
@frozen(eq=False)
class _NoRendezvous:
    """A proxy that is met as frp does, or not at all."""

    _point: IRendezvousPoint
    address = ""

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        self._point.signal_received(sender, body)

    async def withdraw(self) -> None:
        self._point.close()


@implementer(IIngress, IMessageReceiver)
class Ingress(Service):
    """Brings both ends together, if the test does not want something else; notes what it is sent."""

    def __init__(self) -> None:
        self.host: IServerHost | None = None
        self.received: list[Message] = []
        self.pre_check_error = self.error = ""
        self.silent: Sequence[type[Message]] = ()
        """What it does not answer."""
        self.protocol = ""
        """What it tells the proxy's client to speak, if not what the visitor wants."""
        self._proxies: dict[str, IRegisteredProxy] = {}
        self._visits: dict[str, tuple[IMessagePeer, NatHoleVisitor]] = {}

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        self._proxies[proxy.name] = proxy
        assert self.host is not None
        return _NoRendezvous(self.host.rendezvous.open(proxy, _refuse))

    def message_received(self, peer: IMessagePeer, message: Message) -> bool:
        self.received.append(message)
        if isinstance(message, tuple(self.silent)):
            return True
        if isinstance(message, NatHoleVisitor):
            self._visited(peer, message)
        elif isinstance(message, NatHoleClient):
            visitor, request = self._visits.pop(message.sid)
            self.answer(visitor, request.transaction_id, message, self.error)
            self.answer(peer, message.transaction_id, request, self.error)
        return True

    def answer(
        self, peer: IMessagePeer, transaction: str, other: NatHoleVisitor | NatHoleClient, error: str = ""
    ) -> None:
        """Tells one end about the other."""
        protocol = self.protocol or getattr(other, "protocol", "")
        peer.send_message(
            NatHoleResp(
                transaction_id=transaction,
                sid="s1",
                error=error,
                protocol=protocol,
                candidate_addrs=other.mapped_addrs[:1],
                detect_behavior=DetectBehavior(role="sender"),
            )
        )

    def _visited(self, peer: IMessagePeer, message: NatHoleVisitor) -> None:
        if message.pre_check:
            peer.send_message(NatHoleResp(transaction_id=message.transaction_id, error=self.pre_check_error))
            return
        self._visits["s1"] = peer, message
        self._proxies[message.proxy_name].hand(NatHoleSid(sid="s1"))


@implementer(IVisitableProxyType, IMessagingProxyType)
@frozen(eq=False)
class HoleType:
    """``xtcp`` with that server half."""

    ingress: Ingress
    name = "xtcp"
    summary = "under test"
    proxy_options = XtcpOptions
    visitor_options = XtcpVisitorOptions
    ingress_options = NoIngressOptions
    messages = NAT_HOLE_MESSAGES
    handed = (NatHoleSid,)

    def make_ingress(self, options: NoIngressOptions, host: Any) -> Ingress:
        self.ingress.host = host
        return self.ingress

    def make_backend(self, options: XtcpOptions, host: Any) -> XtcpBackend:
        return XtcpBackend(options, host)

    def make_visitor(self, options: XtcpVisitorOptions, host: Any) -> XtcpVisitor:
        return XtcpVisitor(options, host)


@define(eq=False)
class Scene:
    """A relay in memory with that type."""

    relay: MemoryRelay
    proxy_type: HoleType

    @classmethod
    def made(cls) -> Scene:
        """A new one."""
        return cls(MemoryRelay(), HoleType(Ingress()))

    @property
    def ingress(self) -> Ingress:
        """The server half."""
        return self.proxy_type.ingress

    def publish(
        self, local: LocalService | None = echoing, secret: Secret = SECRET, **common: Any
    ) -> Published:
        """Starts the proxy ``x``."""
        options = XtcpOptions(secret_key=secret, peers="any")
        return self.relay.publish(self.proxy_type, options, name="x", local=local, **common)

    def visit(self, secret: Secret = SECRET, transport: Any = None, **options: Any) -> Visiting:
        """Starts a visitor of it."""
        common = VisitorCommon(name="v", server_name="x", bind_port=-1)
        if transport is not None:
            common = VisitorCommon(name="v", server_name="x", bind_port=-1, transport=transport)
        made = XtcpVisitorOptions(secret_key=secret, peers="any", **options)
        return self.relay.visit(self.proxy_type, common, made)

    def received(self, kind: type[Message]) -> list[Any]:
        """What the server was sent of a kind."""
        return [each for each in self.ingress.received if isinstance(each, kind)]

    @property
    def reports(self) -> list[bool]:
        """What proxies' clients have reported."""
        return [each.success for each in self.received(NatHoleReport)]
