"""What twisted.web's client lacks: bounds for answers, bodies that are whole, and why it has failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConsumer, IProtocol, IProtocolFactory
    from twisted.python.failure import Failure
    from twisted.web.iweb import IResponse

__all__ = ["BoundedEndpoint", "WholeBody", "failed_by", "read_whole"]


@implementer(IBodyProducer)
class WholeBody:
    """A body that is written at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All of it is written already."""

    def resumeProducing(self) -> None:
        """Likewise."""

    def stopProducing(self) -> None:
        """Likewise."""


@implementer(IStreamClientEndpoint)
@frozen
class BoundedEndpoint:
    """An endpoint whose connections are aborted once so many bytes have come after the last that was written:
    one answer, its head included, however often the connection is used.
    """

    _endpoint: IStreamClientEndpoint
    _most_bytes: int

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        bounded = _BoundedFactory(protocolFactory, self._most_bytes)
        connecting: Deferred[Any] = self._endpoint.connect(bounded)
        return connecting.addCallback(lambda connection: connection.spoken)


def read_whole(response: IResponse) -> Deferred[bytes]:
    """The body of an answer; one without a length ends with its connection, and so do its first parts.

    Cancelling ends that.
    """
    body = _Body()
    response.deliverBody(body)
    return body.whole


def failed_by(error: Exception, kind: type[Exception]) -> bool:
    """Whether an error of a kind is why twisted.web's client has failed.

    ``ConnectionAborted`` is that of a :class:`BoundedEndpoint`, ``CancelledError`` that of who has given up.
    """
    return any(isinstance(failure.value, kind) for failure in getattr(error, "reasons", ()))


class _Body(Protocol):
    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred(self._give_up)

    def dataReceived(self, data: bytes) -> None:
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)

    def _give_up(self, _: Deferred[bytes]) -> None:
        transport: Any = self.transport
        transport.stopProducing()


class _Bounded(ProtocolWrapper):
    factory: _BoundedFactory

    def __init__(self, factory: _BoundedFactory, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        # The wrapper forgets it with the connection, which may be lost before anybody has it.
        self.spoken = wrapped
        self._received = 0

    def write(self, data: bytes) -> None:
        self._received = 0
        super().write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self._received = 0
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self.factory.most_bytes:
            self.abortConnection()
        else:
            super().dataReceived(data)


class _BoundedFactory(WrappingFactory[_Bounded]):
    protocol = _Bounded
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, most_bytes: int) -> None:
        super().__init__(wrapped)
        self.most_bytes = most_bytes
