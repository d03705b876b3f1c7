"""The client endpoint ``shout:``: a service within this process that answers in capitals."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IProtocolFactory

__all__ = ["Shout", "ShoutEndpoint", "ShoutParser"]


@implementer(IHalfCloseableProtocol)
class Shout(Protocol):
    """Answers everything in capitals, and reads no faster than its peer does."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())

    def readConnectionLost(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """The connection ends with the other direction."""


@implementer(IStreamClientEndpoint)
@frozen
class ShoutEndpoint:
    """Connects to a new service of its own, by a pair of sockets."""

    reactor: Any

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return execute(self._connect, protocolFactory)

    def _connect(self, factory: IProtocolFactory) -> IProtocol:
        here, there = socket.socketpair()
        with here, there:
            self._adopt(there, Factory.forProtocol(Shout))
            keeping = _Keeping(factory)
            self._adopt(here, keeping)
        assert keeping.built is not None
        return keeping.built

    def _adopt(self, end: socket.socket, factory: Factory) -> None:
        end.setblocking(False)
        self.reactor.adoptStreamConnection(end.fileno(), end.family, factory)


class _Keeping(Factory):
    """Builds one protocol by another factory, and keeps it."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self._factory = factory
        self.built: IProtocol | None = None

    def buildProtocol(self, addr: Any) -> Any:
        self.built = self._factory.buildProtocol(addr)
        return self.built


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
@frozen
class ShoutParser:
    """Reads ``shout:``; there is nothing to say after the colon."""

    prefix = "shout"

    def parseStreamClient(self, reactor: Any, *args: object, **kwargs: object) -> ShoutEndpoint:
        if any((*args, *kwargs)):
            raise ValueError("shout: has no arguments")
        return ShoutEndpoint(reactor)
