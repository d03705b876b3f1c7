"""The proxy type ``xtcp``: a service that visitors reach on a path that does not lead through the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import (
    IDirectProxyType,
    IMessagingProxyType,
    IOneLineProxyType,
    IVisitableProxyType,
)
from relaykit.options import OneLine
from relaykit.proxies.xtcp.backend import XtcpBackend
from relaykit.proxies.xtcp.ingress import XtcpIngress
from relaykit.proxies.xtcp.options import XtcpIngressOptions, XtcpOptions, XtcpVisitorOptions
from relaykit.proxies.xtcp.visitor import XtcpVisitor
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES, NatHoleSid
from relaykit.values import PathProtocol

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IServerHost, IVisitorHost

__all__ = ["proxy_type"]


@implementer(IMessagingProxyType, IVisitableProxyType, IDirectProxyType, IOneLineProxyType)
@frozen
class _XtcpType:
    name = "xtcp"
    summary = "a secret service that visitors reach on a direct path, past the server"
    proxy_options = XtcpOptions
    visitor_options = XtcpVisitorOptions
    ingress_options = XtcpIngressOptions
    messages = NAT_HOLE_MESSAGES
    handed = (NatHoleSid,)
    path_protocols = frozenset(PathProtocol)
    one_lines = (
        OneLine(
            command="secret --direct",
            summary="Publish a local service to visitors only, whose users come directly",
            from_token=("secretKey",),
        ),
        OneLine(
            command="visit --direct",
            summary="Reach such a service on a direct path, through a port of this machine",
            visits=True,
            from_token=("secretKey",),
        ),
    )

    def make_ingress(self, options: XtcpIngressOptions, host: IServerHost) -> XtcpIngress:
        return XtcpIngress(options, host)

    def make_backend(self, options: XtcpOptions, host: IClientHost) -> XtcpBackend:
        return XtcpBackend(options, host)

    def make_visitor(self, options: XtcpVisitorOptions, host: IVisitorHost) -> XtcpVisitor:
        return XtcpVisitor(options, host)


proxy_type = _XtcpType()
