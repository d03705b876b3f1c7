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
    from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory

__all__ = ["Shout", "ShoutEndpoint", "ShoutParser"]


@implementer(IHalfCloseableProtocol)
class Shout(Protocol):
    """Answers everything in capitals, and reads no faster than its peer does."""

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
            kept = _Keeping(factory)
            self._adopt(here, kept)
        assert kept.protocol is not None
        return kept.protocol

    def _adopt(self, end: socket.socket, factory: Factory) -> None:
        end.setblocking(False)
        self.reactor.adoptStreamConnection(end.fileno(), end.family, factory)


class _Keeping(Factory):
    """Builds one protocol by another factory, and keeps it."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self._factory = factory
        self.protocol: IProtocol | None = None

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        self.protocol = self._factory.buildProtocol(addr)
        return self.protocol


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
@frozen
class ShoutParser:
    """Reads ``shout:``; there is nothing to say after the colon."""

    prefix = "shout"

    def parseStreamClient(self, reactor: Any, nothing: str = "") -> ShoutEndpoint:
        if nothing:
            raise ValueError(f'"shout:" has no arguments, but there is "{nothing}"')
        return ShoutEndpoint(reactor)
