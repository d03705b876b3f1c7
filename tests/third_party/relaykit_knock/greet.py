"""The proxy type ``greet``: a port of the server that greets each user before the service does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from attrs import define, frozen
from relaykit.interfaces import IExposure, IIngress, ILegAcceptor, IProxyType
from relaykit.options import Options, Problem, RemotePort, doc, wire
from relaykit.proxies.tcp import LocalServiceBackend, PortExposure
from twisted.application.service import Service
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IRegisteredProxy, IServerHost, IStreamLeg
    from relaykit.values import Origin

__all__ = ["GreetIngressOptions", "GreetOptions", "proxy_type"]

MOST_GREETING = 200
"""Characters of a greeting: a line of a terminal or two."""


class GreetOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``greet`` proxy."""

    remote_port: Annotated[
        RemotePort, wire("remote_port"), doc("Port on the server; 0 lets the server pick one.")
    ] = 0


class GreetIngressOptions(Options, frozen=True, kw_only=True):
    """The server's table ``[proxyTypes.greet]``."""

    greeting: Annotated[str, doc("Line that every user is sent first.")] = "welcome"

    def problems(self) -> Iterable[Problem]:
        if len(self.greeting) > MOST_GREETING:
            yield Problem("greeting", f"must have {MOST_GREETING} characters at most")


@implementer(ILegAcceptor)
@define(eq=False)
class _Door(PortExposure):
    """One proxy: whoever dials its port is greeted, then served."""

    _greeting: bytes

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.write(self._greeting)
        self._proxy.serve(leg, origin)


@implementer(IIngress)
class GreetIngress(Service):
    """Opens a port of the server for each proxy."""

    def __init__(self, options: GreetIngressOptions, host: IServerHost) -> None:
        self._greeting = f"{options.greeting}\r\n".encode()
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        door = _Door(proxy, self._greeting)
        door.opened(await self._host.ports.listen_stream(proxy.options.remote_port, door, proxy))
        return door


@implementer(IProxyType)
@frozen
class _GreetType:
    name = "greet"
    summary = "a port on the server that greets its users"
    proxy_options = GreetOptions
    ingress_options = GreetIngressOptions

    def make_ingress(self, options: GreetIngressOptions, host: IServerHost) -> GreetIngress:
        return GreetIngress(options, host)

    def make_backend(self, options: GreetOptions, host: IClientHost) -> LocalServiceBackend:
        return LocalServiceBackend(host)


proxy_type = _GreetType()
