"""The proxy type ``sudp``: a UDP service without a public port, reached by visitors that know a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import (
    IDatagramProxyType,
    IDirectProxyType,
    IOneLineProxyType,
    IVisitableProxyType,
)
from relaykit.options import OneLine
from relaykit.proxies.sudp.backend import DirectSudpBackend, SudpBackend
from relaykit.proxies.sudp.direct_visitor import DirectSudpVisitor
from relaykit.proxies.sudp.ingress import SudpIngress
from relaykit.proxies.sudp.options import SudpOptions, SudpVisitorOptions
from relaykit.proxies.sudp.visitor import SudpVisitor
from relaykit.proxies.tcp import NoIngressOptions
from relaykit.values import PathProtocol

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IServerHost, IVisitorHost

__all__ = ["proxy_type"]


@implementer(IDatagramProxyType, IVisitableProxyType, IDirectProxyType, IOneLineProxyType)
@frozen
class _SudpType:
    name = "sudp"
    summary = "a UDP service without a public port, reached by visitors that know a secret"
    proxy_options = SudpOptions
    visitor_options = SudpVisitorOptions
    ingress_options = NoIngressOptions
    path_protocols = frozenset(PathProtocol)
    one_lines = (
        OneLine(
            command="secret --udp",
            summary="Publish a local service that takes datagrams to visitors only",
            from_token=("secretKey",),
        ),
        OneLine(
            command="visit --udp",
            summary="Reach a secret service that takes datagrams through a UDP port of this machine",
            visits=True,
            from_token=("secretKey",),
        ),
    )

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> SudpIngress:
        return SudpIngress(host)

    def make_backend(self, options: SudpOptions, host: IClientHost) -> SudpBackend:
        return (DirectSudpBackend if options.direct else SudpBackend)(options, host)

    def make_visitor(self, options: SudpVisitorOptions, host: IVisitorHost) -> SudpVisitor:
        return (DirectSudpVisitor if options.direct else SudpVisitor)(options, host)


proxy_type = _SudpType()
