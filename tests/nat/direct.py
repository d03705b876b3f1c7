"""A proxy type whose visitors and backends use direct paths, written as anybody would write one.

A visitor's :meth:`DirectVisitor.call` and a backend's :meth:`DirectBackend.next_path` give the two ends of
a path; :func:`streams_of` and :func:`carry` use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import (
    IBackend,
    IClientHost,
    IDatagramReceiver,
    IDirectPath,
    IDirectProxyType,
    IExposure,
    IIngress,
    ILegAcceptor,
    ILegReceiver,
    IRegisteredProxy,
    IRendezvous,
    IServerHost,
    ISignalPeer,
    ISignalReceiver,
    IStreamLeg,
    IStreamPath,
    IVisitableProxyType,
    IVisitor,
    IVisitorHost,
)
from relaykit.proxies.stcp import StcpOptions, StcpVisitorOptions, admit
from relaykit.proxies.tcp import NoIngressOptions
from relaykit.values import Ended, Origin, PathProtocol, Secret

__all__ = ["DirectBackend", "DirectVisitor", "Hearing", "carry", "proxy_type", "streams_of"]


@implementer(IExposure, ISignalReceiver)
class DirectExposure:
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
class DirectIngress(Service):
    """Exposes proxies to initiators."""

    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> DirectExposure:
        return DirectExposure(proxy, self._host.rendezvous)


@implementer(IBackend, ISignalReceiver)
class DirectBackend(Service):
    """Answers, and keeps the paths."""

    def __init__(self, host: IClientHost) -> None:
        self.host = host
        self.paths: list[IDirectPath] = []
        self._waiting: list[Deferred[IDirectPath]] = []

    def startService(self) -> None:
        super().startService()
        self.host.direct_paths.answer(self._on_path, for_datagrams=True)

    def next_path(self) -> Deferred[IDirectPath]:
        """Fires with the next path that there is."""
        waiting: Deferred[IDirectPath] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _on_path(self, path: IDirectPath) -> None:
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
class DirectVisitor(Service):
    """Calls when it is told to."""

    def __init__(self, secret: Secret, host: IVisitorHost) -> None:
        self.host = host
        self._secret = secret

    def call(self) -> Deferred[IDirectPath]:
        """Calls the proxy's client."""
        called: Deferred[IDirectPath] = self.host.direct_paths.call(self._secret, for_datagrams=True)
        return called

    def stopService(self) -> None:
        super().stopService()
        self.host.direct_paths.close()

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if not self.host.direct_paths.signal_received(body):
            raise RemoteProtocolError("this type knows only rendezvous")


@implementer(IVisitableProxyType, IDirectProxyType)
@frozen
class _DirectType:
    name = "direct"
    path_protocols = frozenset(PathProtocol)
    summary = "clients with direct paths, for tests"
    proxy_options = StcpOptions
    visitor_options = StcpVisitorOptions
    ingress_options = NoIngressOptions

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> DirectIngress:
        return DirectIngress(host)

    def make_backend(self, options: StcpOptions, host: IClientHost) -> DirectBackend:
        return DirectBackend(host)

    def make_visitor(self, options: StcpVisitorOptions, host: IVisitorHost) -> DirectVisitor:
        return DirectVisitor(options.secret_key, host)


proxy_type = _DirectType()


# --- what is done with a path


@implementer(IDatagramReceiver, ILegAcceptor, ILegReceiver)
@define(eq=False)
class Hearing:
    """Hears what one end gets, over datagrams or a stream; ``first`` fires with the first of it."""

    first: Deferred[bytes] = field(factory=Deferred)
    heard: list[bytes] = field(factory=list)
    lost: list[Ended] = field(factory=list)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.attach(self)

    def data_received(self, data: Any) -> None:
        self.datagram_received(data)

    def datagram_received(self, data: Any) -> None:
        self.heard.append(bytes(data))
        if not self.first.called:
            self.first.callback(bytes(data))

    def end_received(self) -> None:
        """Nothing to do."""

    def leg_lost(self, reason: Ended) -> None:
        self.lost.append(reason)


async def streams_of(
    one: IDirectPath, two: IDirectPath, secrets: tuple[Secret, Secret], hearing: Hearing
) -> list[IStreamPath]:
    """The streams of both ends of a path; what the first one opens, the second one hears."""
    opened = [one.open_streams(secrets[0], Hearing()), two.open_streams(secrets[1], hearing)]
    return list(await gatherResults(opened, consumeErrors=True))


async def carry(one: IDirectPath, two: IDirectPath, payload: bytes, secret: Secret) -> bytes:
    """What the second end gets when the first one sends, by whatever the path carries."""
    hearing = Hearing()
    if one.protocol is PathProtocol.UDP:
        two.datagrams().attach(hearing)
        one.datagrams().send(payload)
    else:
        streams = await streams_of(one, two, (secret, secret), hearing)
        leg = await streams[0].open_leg(False)
        leg.attach(Hearing())
        leg.write(payload)
    return await hearing.first
