"""Legs on what somebody else's endpoint makes: any Twisted transport.

Twisted's layers for each piece make such a leg slower than a socket of our own, so a plain TCP or
unix socket is taken over from its transport.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, fail, maybeDeferred, succeed
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    ISystemHandle,
    ITLSTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.legs import OutputGate, StreamLeg
from relaykit.dataplane.listening import ListenFailed
from relaykit.dataplane.sockets import END_LINGER_S, FLUSH_LINGER_S, SocketLeg, meets_itself, tune
from relaykit.errors import ConnectionFailed
from relaykit.escaping import masked_endpoint
from relaykit.values import Address, Ended, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IAddress,
        IDelayedCall,
        IStreamClientEndpoint,
        IStreamServerEndpoint,
    )
    from twisted.python.failure import Failure

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import ILegAcceptor, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["EndpointPort", "TransportLeg", "connect_foreign", "leg_over", "parse_endpoint"]


def connect_foreign(poller: Poller, endpoint: str, timeout_s: float) -> Deferred[IStreamLeg]:
    """A leg to what a Twisted client endpoint string names, by whoever parses it; as :func:`leg_over`."""
    try:
        found = parse_endpoint(poller.reactor, endpoint)
    except ConnectionFailed as error:
        return fail(error)
    return leg_over(poller, found, timeout_s, masked_endpoint(endpoint))


def parse_endpoint(reactor: object, endpoint: str) -> IStreamClientEndpoint:
    """What a Twisted client endpoint string names, by whoever parses it.

    :raises ConnectionFailed: nobody does, or it makes no sense to who does.
    """
    try:
        found: IStreamClientEndpoint = clientFromString(reactor, endpoint)
    except Exception as reason:
        # The parser is somebody else's, and endpoint strings come from configuration files.
        why = str(reason) or type(reason).__name__
        raise ConnectionFailed(
            f'"{masked_endpoint(endpoint)}" is not an endpoint: {why}', problem="not-an-endpoint"
        ) from reason
    return found


def leg_over(
    poller: Poller, endpoint: IStreamClientEndpoint, timeout_s: float, name: str = ""
) -> Deferred[IStreamLeg]:
    """A leg on what an endpoint connects to; errors call it ``name``, or else by its ``str``.

    Fails with :class:`relaykit.errors.ConnectionFailed`.  Cancelling gives up.
    """

    def failed(failure: Failure) -> Failure:
        if failure.check(CancelledError, ConnectionFailed):
            return failure
        why = failure.getErrorMessage() or type(failure.value).__name__
        if failure.check(TimeoutError):
            why = f"no answer within {timeout_s:g} seconds"
        raise ConnectionFailed(f"cannot connect to {name or endpoint}: {why}") from failure.value

    connecting: Deferred[Any] = maybeDeferred(endpoint.connect, Factory.forProtocol(lambda: _Adapter(poller)))
    connecting.addTimeout(timeout_s, poller.reactor)
    return connecting.addCallback(_Adapter.to_leg).addErrback(failed)


class EndpointPort(Service):
    """Listens at an endpoint as long as it runs, and hands what comes there to an acceptor."""

    log = Logger()

    def __init__(self, poller: Poller, endpoint: IStreamServerEndpoint, acceptor: ILegAcceptor) -> None:
        self._endpoint = endpoint
        self._factory = Factory.forProtocol(lambda: _Accepted(poller, acceptor))
        self._listening: Deferred[Any] | None = None
        self._refusal: ListenFailed | None = None

    def startService(self) -> None:
        """Begins to listen; what fails later than at once is logged.

        :raises ListenFailed: the endpoint cannot be listened at.
        """
        self._listening = maybeDeferred(self._endpoint.listen, self._factory).addErrback(self._failed)
        if self._refusal is not None:
            raise self._refusal
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Begins no more connections; those that there are live on."""
        super().stopService()
        listening, self._listening = self._listening, None
        if listening is None:
            return succeed(None)
        listening.cancel()
        return listening.addCallback(lambda port: port and port.stopListening())

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        why = failure.getErrorMessage() or type(failure.value).__name__
        refusal = ListenFailed(f"cannot listen at {self._endpoint}: {why}", why)
        if self.running:
            self.log.error("{reason}", reason=str(refusal), problem=refusal.problem)
        else:
            self._refusal = refusal


@implementer(IHalfCloseableProtocol)
class _Adapter(Protocol):
    """The protocol that a transport talks to: passes everything on to the leg."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._leg: TransportLeg | None = None
        self._touched = False

    def to_leg(self) -> IStreamLeg:
        """The leg on this connection; the socket's own where it is a plain one and still fresh.

        :raises ConnectionRefusedError: it is connected to itself.
        """
        transport = cast(Any, self.transport)
        plain = None if self._touched else _plain_socket(transport)
        if plain is None:
            return self._made_leg()
        if meets_itself(plain, plain.getsockname()):
            transport.abortConnection()
            raise error.ConnectionRefusedError("connection refused")
        host, peer = _address(transport.getHost()), _address(transport.getPeer())
        tune(plain)
        # The paused transport is in nobody's list any more; it goes when this protocol goes.
        return SocketLeg(self._poller, plain, peer, host)

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(transport)
        producer: Any = transport
        producer.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self._touched = True
        self._made_leg()._arrived(data)

    def readConnectionLost(self) -> None:
        self._made_leg()._peer_ended()

    def writeConnectionLost(self) -> None:
        self._made_leg()._output_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._touched = True
        self._made_leg()._transport_lost(reason)

    def _made_leg(self) -> TransportLeg:
        if self._leg is None:
            self._leg = TransportLeg(self._poller, cast(Any, self.transport))
        return self._leg


class _Accepted(_Adapter):
    """The same for a connection that was accepted: its leg is handed over as soon as it is made."""

    def __init__(self, poller: Poller, acceptor: ILegAcceptor) -> None:
        super().__init__(poller)
        self._acceptor = acceptor

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(transport)
        leg = self.to_leg()
        self._acceptor.leg_accepted(leg, Origin(leg.peer, leg.host))


class TransportLeg(StreamLeg):
    """A leg on a Twisted transport, which it owns from now on."""

    __slots__ = (
        "_closing",
        "_finishing",
        "_half_closes",
        "_linger",
        "_output_gone",
        "_peer_done",
        "_poller",
        "_reason",
        "_transport",
    )

    def __init__(self, poller: Poller, transport: Any) -> None:
        super().__init__(_address(transport.getPeer()), _address(transport.getHost()))
        self._poller = poller
        self._transport = transport
        self._half_closes = hasattr(transport, "loseWriteConnection")
        self._finishing = self._closing = False
        self._output_gone = self._peer_done = False
        self._reason: Ended | None = None
        self._linger: IDelayedCall | None = None
        transport.registerProducer(OutputGate(self), True)

    def __repr__(self) -> str:
        return f"<TransportLeg {self._transport!r}>"

    @property
    def turns(self) -> ITurns:
        return self._poller

    def write(self, data: Buffer) -> None:
        if not self._finishing:
            self._transport.write(bytes(data))

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        if not self._finishing:
            self._transport.writeSequence([bytes(piece) for piece in pieces])

    def finish_writing(self) -> None:
        if self._finishing:
            return
        self._stop_output()
        if self._peer_done:
            self._end(Ended.FINISHED)
        elif self._half_closes:
            self._transport.loseWriteConnection()
        # Else this direction ends with the connection.

    def close(self) -> None:
        self._silence()
        if self._closing or self._reason is not None:
            return
        self._closing = True
        if self._peer_done or not self._half_closes:
            self._end(Ended.FINISHED)
        else:
            # The peer's end is waited for: see relaykit.dataplane.sockets.END_LINGER_S.
            self.finish_writing()
            self._transport.resumeProducing()
        self._linger = self._poller.reactor.callLater(FLUSH_LINGER_S, self._linger_over)

    def break_off(self) -> None:
        self.close()
        if self._linger is not None:
            # How much of the output is left a transport does not tell.
            self._linger.reset(END_LINGER_S)

    def abort(self) -> None:
        self._silence()
        self._reason = Ended.CANCELLED
        self._drop()

    def _end(self, reason: Ended) -> None:
        self._stop_output()
        self._reason = reason
        self._transport.loseConnection()

    def _stop_output(self) -> None:
        """Takes no more output; a transport ends in order only once it has no producer."""
        if not self._finishing:
            self._finishing = True
            self._transport.unregisterProducer()

    def _drop(self) -> None:
        self._finishing = True
        drop = getattr(self._transport, "abortConnection", self._transport.loseConnection)
        drop()

    def _linger_over(self) -> None:
        self._linger = None
        self._reason = Ended.FINISHED if self._output_gone else Ended.TIMEOUT
        self._drop()

    def _output_ended(self) -> None:
        self._output_gone = True
        if self._linger is not None:
            self._linger.reset(END_LINGER_S)

    def _peer_ended(self) -> None:
        self._peer_done = True
        self._ended()
        if self._finishing and self._reason is None:
            self._end(Ended.FINISHED)

    def _transport_lost(self, failure: Failure) -> None:
        self._finishing = True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        in_order = failure.check(error.ConnectionDone) is not None
        if in_order and not self._peer_done and self._reason is None:
            # A transport without half-close tells the peer's end like this.
            self._peer_done = True
            self._ended()
        self._reason = self._reason or (Ended.FINISHED if in_order else _ending(failure))
        self._poller.at_turn_end(self._tell_loss)

    def _tell_loss(self) -> None:
        self._lost(self._reason or Ended.RESET)

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted:
            self._transport.resumeProducing()
        else:
            self._transport.pauseProducing()


def _plain_socket(transport: Any) -> socket.socket | None:
    """The socket under a transport that does nothing but pass its bytes; None for any other."""
    if not ISystemHandle.providedBy(transport) or not IPushProducer.providedBy(transport):
        return None
    if ITLSTransport.providedBy(transport) and getattr(transport, "TLS", False):
        return None
    handle = transport.getHandle()
    if isinstance(handle, socket.socket) and handle.type == socket.SOCK_STREAM:
        return handle
    return None


def _address(address: IAddress) -> Address | None:
    if isinstance(address, IPv4Address | IPv6Address):
        return Address(address.host, address.port)
    return None


def _ending(failure: Failure) -> Ended:
    return Ended.TIMEOUT if failure.check(error.TimeoutError, error.TCPTimedOutError) else Ended.RESET
