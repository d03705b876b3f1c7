"""WebSocket within TLS as a carrier: what passes where only HTTPS does, up to a proxy in front of the server.

There is no TLS inside it, as with frp.  The server may be the one that ends TLS, too: then it finds WebSocket
in what its bind port accepted, and a login can be bound to the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.carriers.websocket import WebSocketAcceptOptions, WebSocketDialOptions, open_websocket
from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.values import CarrierCapabilities

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDialHost, IStreamLeg

__all__ = ["WssDialer", "carrier"]


@implementer(ILegDialer)
@frozen
class WssDialer:
    """Makes connections of TCP, TLS and WebSocket."""

    _options: WebSocketDialOptions
    _host: IDialHost

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        host = self._host
        secured = await host.secure_outside(await host.dial(), verified=self._options.verify_certificate)
        name = f"[{host.server_name}]" if ":" in host.server_name else host.server_name
        return await open_websocket(host, secured, name, self._options, secured)


@implementer(ICarrier)
class WssCarrier:
    """The dialing half; what it dials is found by the halves of the carriers tcp and websocket."""

    name = "wss"
    summary = "WebSocket within TLS, as through proxies of HTTPS."
    capabilities = CarrierCapabilities(encryption=True, race=30, https=True)
    table = "websocket"
    dial_options = WebSocketDialOptions
    accept_options = WebSocketAcceptOptions

    def lacks(self) -> str:
        return ""

    def make_dialer(self, options: Any, host: IDialHost) -> WssDialer:
        return WssDialer(options, host)

    def make_acceptor(self, options: Any, port: int, host: IAcceptHost) -> Service:
        return Service()


carrier = WssCarrier()
