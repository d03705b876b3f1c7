"""Twisted protocols over legs: any of them, at either end; the other direction is in ``transports``.

So that twisted.web, a client of it, h2 or whatever else speaks over a work connection, a visit, or what came
in on a port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, NoProtocol
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.interfaces import ILegAcceptor, ILegReceiver
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IAddress,
        IProducer,
        IProtocol,
        IProtocolFactory,
        IPullProducer,
    )

    from relaykit.interfaces import IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address, Origin

__all__ = ["LegEndpoint", "LegTransport", "ProtocolAcceptor"]


@implementer(ITransport, IConsumer, IPushProducer, ILegReceiver)
class LegTransport:
    """A leg, which it owns, as the transport of a protocol; see :meth:`connect`.

    ``peer`` is whom the protocol is told to speak with, where it is not the leg's own peer: the user of a
    work connection.
    """

    connected = True
    disconnecting = False

    def __init__(self, turns: ITurns, leg: IStreamLeg, peer: Address | None = None) -> None:
        self._turns = turns
        self._leg = leg
        self._peer = peer or leg.peer
        self._protocol: Any = None
        self._attached = False
        self._paused = False
        self._producer: IPushProducer | None = None
        self._aborted = False

    def __repr__(self) -> str:
        return f"<LegTransport on {self._leg!r}>"

    def connect(self, protocol: IProtocol) -> None:
        """Makes the connection of a protocol, which gets within this call what the leg has received.

        What the protocol raises meanwhile goes on to the caller, and drops the leg.
        """
        self._protocol = protocol
        try:
            protocol.makeConnection(self)
        except BaseException:
            self._leg.abort()
            raise
        if not self._paused:
            self._attach()

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._leg.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self._leg.write_sequence(list(data))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if not self.connected:
            producer.stopProducing()
            return
        pushing: Any = producer if streaming else _Pulled(self._turns, producer)  # type: ignore[arg-type]  # not streaming says that it is one
        self._leg.registerProducer(pushing, True)
        self._producer = pushing
        if not streaming:
            pushing.resumeProducing()

    def unregisterProducer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            if isinstance(producer, _Pulled):
                producer.pauseProducing()
            self._leg.unregisterProducer()
            if self.disconnecting:
                self._close()

    def loseWriteConnection(self) -> None:
        self._leg.finish_writing()
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._turns.at_turn_end(self._write_lost)

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            if self._producer is None:
                self._close()

    def abortConnection(self) -> None:
        self.disconnecting = self._aborted = True
        self._attach_closed()
        self._leg.abort()

    # --- receiving: for the protocol ------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._paused = True
        self._leg.pauseProducing()

    def resumeProducing(self) -> None:
        if self._paused and self.connected:
            self._paused = False
            if self._attached:
                self._leg.resumeProducing()
            else:
                self._turns.at_turn_end(self._attach)

    def stopProducing(self) -> None:
        self.loseConnection()

    # --- the receiver of the leg ----------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        self._protocol.dataReceived(data if type(data) is bytes else bytes(data))

    def end_received(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.readConnectionLost()
        else:
            self._close()

    def leg_lost(self, reason: Ended) -> None:
        self.connected = False
        self.disconnecting = True
        producer, self._producer = self._producer, None
        protocol, self._protocol = self._protocol, None
        if producer is not None:
            # It has nobody to write to, and a pull producer would be asked again in each turn.
            producer.stopProducing()
        protocol.connectionLost(Failure(self._why(reason)))

    # --- what it is -----------------------------------------------------------------------------

    def getPeer(self) -> IAddress:
        return _as_address(self._peer)

    def getHost(self) -> IAddress:
        return _as_address(self._leg.host)

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing: legs never delay."""

    def getTcpKeepAlive(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing: whoever made the leg looks whether its peer lives."""

    # --- inside ---------------------------------------------------------------------------------

    def _attach(self) -> None:
        if not self._attached and not self._paused:
            self._attached = True
            self._leg.attach(self)

    def _attach_closed(self) -> None:
        """Lets a leg that was never attached tell its loss."""
        if not self._attached:
            self._attached = True
            self._turns.at_turn_end(lambda: self._leg.attach(self))

    def _close(self) -> None:
        self.disconnecting = True
        self._attach_closed()
        self._leg.close()

    def _write_lost(self) -> None:
        if self.connected:
            self._protocol.writeConnectionLost()

    def _why(self, reason: Ended) -> Exception:
        if self._aborted:
            return ConnectionAborted()
        if reason is Ended.FINISHED or (self.disconnecting and reason is Ended.CANCELLED):
            return ConnectionDone()
        return ConnectionLost(reason.value)


@implementer(IPushProducer)
class _Pulled:
    """A pull producer as a push producer: it is asked once a turn until it has to wait."""

    def __init__(self, turns: ITurns, producer: IPullProducer) -> None:
        self._turns = turns
        self._producer = producer
        self._paused = True

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self._turns.at_turn_end(self._pull)

    def stopProducing(self) -> None:
        self._paused = True
        self._producer.stopProducing()

    def _pull(self) -> None:
        if not self._paused:
            self._producer.resumeProducing()
            if not self._paused:
                self._turns.at_turn_end(self._pull)


@implementer(IStreamClientEndpoint)
class LegEndpoint:
    """An endpoint that connects by legs.

    ``open_leg`` opens one; what it fails with is what connecting fails with.  Cancelling cancels that.
    """

    def __init__(self, turns: ITurns, open_leg: Callable[[], Deferred[IStreamLeg]]) -> None:
        self._turns = turns
        self._open_leg = open_leg

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        def opened(leg: IStreamLeg) -> IProtocol:
            try:
                protocol = protocolFactory.buildProtocol(_as_address(leg.peer))
                if protocol is None:
                    raise NoProtocol
            except BaseException:
                leg.abort()
                raise
            LegTransport(self._turns, leg).connect(protocol)
            return protocol

        connecting: Deferred[Any] = self._open_leg()
        return connecting.addCallback(opened)


@implementer(ILegAcceptor)
class ProtocolAcceptor:
    """Serves accepted legs by protocols of a factory: a ``twisted.web.server.Site``, for one.

    The protocols speak with where the connection came from, as its origin says.  The factory is the caller's
    to start and stop.
    """

    def __init__(self, turns: ITurns, factory: IProtocolFactory) -> None:
        self._turns = turns
        self._factory = factory

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        protocol = self._factory.buildProtocol(_as_address(origin.source or leg.peer))
        if protocol is None:
            leg.abort()
        else:
            LegTransport(self._turns, leg, origin.source).connect(protocol)


def _as_address(address: Address | None) -> IAddress:
    if address is None:
        return HostnameAddress(b"", 0)
    kind = IPv6Address if ":" in address.host else IPv4Address
    return kind("TCP", address.host, address.port)
