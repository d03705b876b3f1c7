"""``xtcp`` with a server half that knows relaykit's own way alone."""

from __future__ import annotations

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import (
    IClientHost,
    IMessagingProxyType,
    IServerHost,
    IVisitableProxyType,
    IVisitorHost,
)
from relaykit.proxies.tcp import NoIngressOptions
from relaykit.proxies.xtcp.backend import XtcpBackend
from relaykit.proxies.xtcp.options import XtcpOptions, XtcpVisitorOptions
from relaykit.proxies.xtcp.visitor import XtcpVisitor
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES, NatHoleSid
from tests.proxies.test_direct import Ingress

__all__ = ["proxy_type"]


@implementer(IVisitableProxyType, IMessagingProxyType)
@frozen(eq=False)
class _OwnXtcp:
    name = "xtcp"
    summary = "under test"
    proxy_options = XtcpOptions
    visitor_options = XtcpVisitorOptions
    ingress_options = NoIngressOptions
    messages = NAT_HOLE_MESSAGES
    handed = (NatHoleSid,)

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> Ingress:
        return Ingress(host)

    def make_backend(self, options: XtcpOptions, host: IClientHost) -> XtcpBackend:
        return XtcpBackend(options, host)

    def make_visitor(self, options: XtcpVisitorOptions, host: IVisitorHost) -> XtcpVisitor:
        return XtcpVisitor(options, host)


proxy_type = _OwnXtcp()
