"""Direct paths: what a hole punching session made, and its owner uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from relaykit.errors import UnsuitablePathError, ended_by
from relaykit.interfaces import (
    IBatchedDatagramLeg,
    IBatchedDatagramReceiver,
    IDirectPath,
    IMoveReceiver,
    IProbedDatagramLeg,
)
from relaykit.sansio.nat.checks import has_check, is_check
from relaykit.values import Address, Ended, PathProtocol

if TYPE_CHECKING:
    import socket

    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IDatagramLeg,
        IDatagramReceiver,
        IDatagramStreams,
        ILegAcceptor,
        IStreamPath,
    )
    from relaykit.nat.driving import DatagramDriver
    from relaykit.nat.sockets import UdpSocket
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.sansio.nat.punching import Punched, PunchingEvent
    from relaykit.values import Secret

__all__ = ["EARLY_MAX", "PeerLeg", "StreamOpener", "TcpPath", "UdpPath"]

EARLY_MAX = 32
"""Datagrams kept for whoever is going to use a new path: the peer may be ready first."""


class StreamOpener(Protocol):
    """Makes streams of a connected socket, which it owns from the call on."""

    def __call__(
        self, plain: socket.socket, leftover: bytes, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        """``leftover`` is what the peer has sent already; the rest as :class:`IDirectPath` has it."""


class _Path:
    """What paths of both protocols have: an end that is told once."""

    def __init__(self, role: PeerRole, peer: Address, host: Address) -> None:
        self.role = role
        self.peer = peer
        self.host = host
        self._ended: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []

    def when_lost(self) -> Deferred[Ended]:
        waiting: Deferred[Ended] = Deferred()
        if self._ended is not None:
            waiting.callback(self._ended)
        else:
            self._waiting.append(waiting)
        return waiting

    def _end(self, why: Ended) -> None:
        self._ended = why
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(why)


@implementer(IBatchedDatagramLeg, IProbedDatagramLeg)
class PeerLeg:
    """What legs to one peer over a socket of their own have; a subclass has ``peer`` and ``host``.

    Until a receiver is attached, and while it is paused, the last ``EARLY_MAX`` datagrams are kept.
    """

    peer: Address
    host: Address

    def __init__(self, socket: UdpSocket) -> None:
        self.dropped = 0
        self._socket = socket
        self._receiver: IDatagramReceiver | None = None
        self._takes_batches = False
        self._paused = False
        self._early: deque[bytes] = deque()
        socket.receiver = self._arrived

    def forbid_fragments(self) -> bool:
        return self._socket.forbid_fragments()

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._takes_batches = IBatchedDatagramReceiver.providedBy(receiver)
        if self._takes_batches:
            self._socket.receive_batches(self._arrived_together)
        self._receiver = receiver
        self.resume()

    def send(self, data: Buffer) -> bool:
        if self._socket.send(bytes(data), self.peer):
            return True
        self.dropped += 1
        return False

    def send_many(self, datagrams: Sequence[bytes]) -> int:
        taken = self._socket.send_many(datagrams, self.peer)
        self.dropped += len(datagrams) - taken
        return taken

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        while self._early and self._receiver is not None and not self._paused:
            self._receiver.datagram_received(self._early.popleft())

    def close(self) -> None:
        raise NotImplementedError

    # --- for subclasses

    def _arrived(self, data: bytes, source: Address, arrived_at: str) -> None:
        """Takes what has come from anywhere; what is from the peer, and for the receiver, is delivered."""
        raise NotImplementedError

    def _all_for_receiver(self, datagrams: Sequence[bytes]) -> bool:
        """Whether nothing that the peer has sent is for anybody else."""
        raise NotImplementedError

    def _deliver(self, data: bytes) -> None:
        """Hands on what is from the peer, or keeps it for a while."""
        if self._receiver is not None and not self._paused:
            self._receiver.datagram_received(data)
            return
        self._early.append(data)
        if len(self._early) > EARLY_MAX:
            self._early.popleft()
            self.dropped += 1

    def _shut(self) -> None:
        """Sends and delivers nothing any more."""
        self._socket.close()
        self._early.clear()

    def _tell_lost(self, why: Ended) -> None:
        """Tells the receiver, which hears nothing afterwards."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.leg_lost(why)

    # --- inside

    def _arrived_together(self, datagrams: list[bytes], source: Address, arrived_at: str) -> None:
        """Hands on by one call what is from the peer, where all of it is for the receiver."""
        flowing = self._takes_batches and not self._paused and source == self.peer
        if not flowing or not self._all_for_receiver(datagrams):
            for data in datagrams:
                self._arrived(data, source, arrived_at)
        elif self._receiver is not None:
            self._receiver.datagrams_received(datagrams)  # type: ignore[attr-defined]  # it takes batches


@implementer(IDirectPath)
class UdpPath(_Path, PeerLeg):
    """Datagrams to and from the peer, through whatever is between; itself the datagram leg on it.

    Connectivity checks are not shown, nor datagrams of anybody but the peer.  The punching core keeps
    the path: it asks over it now and then, so that no NAT forgets it, and says where the peer has moved.
    """

    protocol = PathProtocol.UDP

    def __init__(
        self,
        socket: UdpSocket,
        result: Punched,
        role: PeerRole,
        driver: DatagramDriver[PunchingEvent],
        on_close: Callable[[], None] | None = None,
        over: IDatagramStreams | None = None,
        on_stranger: Callable[[Address], None] | None = None,
    ) -> None:
        """``over`` makes the streams, if there is anything that does.

        ``on_stranger`` is told who else sends what is no check: that may be the peer, elsewhere.
        """
        _Path.__init__(self, role, result.peer, socket.address)
        PeerLeg.__init__(self, socket)
        self.result = result
        self._driver = driver
        self._on_close = on_close
        self._over = over
        self._on_stranger = on_stranger

    # --- the path

    def open_streams(self, secret: Secret, acceptor: ILegAcceptor) -> Deferred[IStreamPath]:
        if self._over is None:
            why = "this direct path is made of UDP, and QUIC is missing here: install relaykit[quic]"
            return fail(UnsuitablePathError(why))
        opened: Deferred[IStreamPath] = self._over.open_path(self, self.role, secret, acceptor)
        return opened

    def datagrams(self) -> IDatagramLeg:
        return self

    def close(self) -> None:
        self._finish(Ended.FINISHED)

    def lose(self) -> None:
        """For who punches: nothing is heard of the peer any more."""
        self._finish(Ended.TIMEOUT)

    def move(self, peer: Address) -> None:
        """For who punches: the peer is elsewhere from now on."""
        self.peer = peer
        if IMoveReceiver.providedBy(self._receiver):
            self._receiver.peer_moved(peer)

    # --- inside

    def _finish(self, why: Ended) -> None:
        if self._ended is not None:
            return
        self._driver.stop()
        self._shut()
        if self._on_close is not None:
            self._on_close()
        self._end(why)
        self._tell_lost(why)

    def _all_for_receiver(self, datagrams: Sequence[bytes]) -> bool:
        return not has_check(datagrams)

    def _arrived(self, data: bytes, source: Address, arrived_at: str) -> None:
        if is_check(data):
            self._driver.arrived(self.result.via, data, source, arrived_at)
        elif self._ended is not None:
            return
        elif source != self.peer:
            if self._on_stranger is not None:
                self._on_stranger(source)
        else:
            self._deliver(data)


@implementer(IDirectPath)
class TcpPath(_Path):
    """A connected socket to the peer, and bytes that it has sent already.

    Nothing is read before :meth:`open_streams`, so that the loss of the peer is not noticed until then.
    """

    protocol = PathProtocol.TCP

    def __init__(
        self,
        plain: socket.socket,
        leftover: bytes,
        role: PeerRole,
        seconds: float,
        opener: StreamOpener | None,
    ) -> None:
        """Takes the socket over.  ``seconds`` is how long it took to make it.

        :raises OSError: the peer is gone already.
        """
        super().__init__(role, Address(*plain.getpeername()[:2]), Address(*plain.getsockname()[:2]))
        self._leftover = leftover
        self.seconds = seconds
        self._socket: socket.socket | None = plain
        self._opener = opener
        self._opening: Deferred[IStreamPath] | None = None
        self._streams: IStreamPath | None = None

    def open_streams(self, secret: Secret, acceptor: ILegAcceptor) -> Deferred[IStreamPath]:
        plain, self._socket = self._socket, None
        if plain is None or self._opener is None:
            self._socket = plain
            return fail(UnsuitablePathError("this direct path is in use already, or closed"))
        self._opening = self._opener(plain, self._leftover, self.role, secret, acceptor)
        return self._opening.addCallbacks(self._opened, self._not_opened)

    def datagrams(self) -> IDatagramLeg:
        raise UnsuitablePathError("this direct path is made of TCP, which carries no datagrams")

    def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        elif self._streams is not None:
            self._streams.close()
        elif self._socket is not None:
            self._socket.close()
            self._socket = None
            self._end(Ended.FINISHED)

    def _opened(self, streams: IStreamPath) -> IStreamPath:
        self._opening = None
        self._streams = streams
        streams.when_lost().addCallback(self._end)
        return streams

    def _not_opened(self, failure: Failure) -> Failure:
        self._opening = None
        self._end(Ended.INTERNAL_ERROR if failure.value is None else ended_by(failure.value))
        return failure
