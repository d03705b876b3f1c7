"""A proxy type whose visitors and backends meet, written as anybody would write one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import (
    IBackend,
    IClientHost,
    IExposure,
    IIngress,
    IRegisteredProxy,
    IRendezvous,
    IServerHost,
    ISignalPeer,
    ISignalReceiver,
    IStreamLeg,
    IVisitableProxyType,
    IVisitor,
    IVisitorHost,
)
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions, admit
from relaykit.proxies.tcp import NoIngressOptions
from relaykit.values import Origin

__all__ = ["MeetBackend", "MeetVisitor", "proxy_type"]


@implementer(IExposure, ISignalReceiver)
class MeetExposure:
    """The server half: hands signals on."""

    address = ""

    def __init__(self, proxy: IRegisteredProxy, rendezvous: IRendezvous) -> None:
        self._point = rendezvous.open(proxy, partial(admit, proxy))

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self._point.signal_received(sender, body):
            raise RemoteProtocolError("this type knows only rendezvous")

    async def withdraw(self) -> None:
        self._point.close()


@implementer(IIngress)
class MeetIngress(Service):
    """Exposes proxies to initiators."""

    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> MeetExposure:
        return MeetExposure(proxy, self._host.rendezvous)


@implementer(IBackend, ISignalReceiver)
class MeetBackend(Service):
    """Answers, and keeps the paths."""

    def __init__(self, host: IClientHost) -> None:
        self.host = host
        self.paths: list[Any] = []
        self._waiting: list[Deferred[Any]] = []

    def startService(self) -> None:
        super().startService()
        self.host.direct_paths.answer(self._met)

    def next_path(self) -> Deferred[Any]:
        """Fires with the next path that there is."""
        waiting: Deferred[Any] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _met(self, path: Any) -> None:
        self.paths.append(path)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(path)

    def stopService(self) -> None:
        super().stopService()
        self.host.direct_paths.close()

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.close()

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self.host.direct_paths.signal_received(body):
            raise RemoteProtocolError("this type knows only rendezvous")


@implementer(IVisitor, ISignalReceiver)
class MeetVisitor(Service):
    """Calls when it is told to."""

    def __init__(self, host: IVisitorHost) -> None:
        self.host = host

    def call(self) -> Deferred[Any]:
        """Calls the proxy's client."""
        called: Deferred[Any] = self.host.direct_paths.call(self.host.common.secret_key)
        return called

    def stopService(self) -> None:
        super().stopService()
        self.host.direct_paths.close()

    def user_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.close()

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self.host.direct_paths.signal_received(body):
            raise RemoteProtocolError("this type knows only rendezvous")


@implementer(IVisitableProxyType)
@frozen
class _MeetType:
    name = "meet"
    summary = "clients that meet, for tests"
    proxy_options = StcpOptions
    visitor_options = StcpVisitorOptions
    ingress_options = NoIngressOptions

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> MeetIngress:
        return MeetIngress(host)

    def make_backend(self, options: StcpOptions, host: IClientHost) -> MeetBackend:
        return MeetBackend(host)

    def make_visitor(self, options: StcpVisitorOptions, host: IVisitorHost) -> MeetVisitor:
        return MeetVisitor(host)


proxy_type = _MeetType()
