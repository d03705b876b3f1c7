"""Punches TCP: dials and listens on one port at once, and hands over the socket that came of it."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from zope.interface import implementer

from relaykit.driver import CoreDriver
from relaykit.errors import RelaykitError
from relaykit.nat.paths import TcpPath
from relaykit.nat.sockets import share_port
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.tcp_punching import (
    Dial,
    Drop,
    TcpPunched,
    TcpPunching,
    TcpPunchingEvent,
)
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.nat.network import NatReactor
    from relaykit.nat.network_info import NetworkInfo


__all__ = ["TcpAttempt", "TcpPunchingFailedError"]

_READ_BYTES = 4096
_BACKLOG = 5
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class TcpPunchingFailedError(RelaykitError):
    """No connection to the peer came to stand."""

    problem = "hole-punching"


class TcpAttempt(CoreDriver[TcpPunchingEvent]):
    """One end of one punch over TCP: runs a core over its connections.

    The peer dials the outer address of the local port ``stream_port``, shared by :func:`share_port`.
    """

    _core: TcpPunching

    def __init__(
        self,
        reactor: NatReactor,
        network_info: NetworkInfo,
        core: TcpPunching,
        role: PeerRole,
    ) -> None:
        super().__init__(core, reactor, self._on_punching, network_info.seconds)
        self._reactor = reactor
        self._info = network_info
        self._role = role
        self._connections: dict[int, _Connection] = {}
        self._dialing: list[_Dialing] = []
        self._listening: _Listening | None = None
        self._result: Deferred[TcpPath] | None = None
        self._count = 0

    def start(self) -> Deferred[TcpPath]:
        """Begins.  Fails with :class:`TcpPunchingFailedError`; cancelling closes everything."""
        result = self._result = Deferred[TcpPath](lambda _: self._close())
        try:
            self._listening = _Listening(self._reactor, self._bound(_BACKLOG), self.connected)
        except OSError:
            self._listening = None
        self._feed(self._core.start)
        return result

    # --- what the descriptors tell

    def connected(self, plain: socket.socket) -> None:
        """A connection came to stand."""
        self._count += 1
        plain.setblocking(False)
        self._connections[self._count] = _Connection(self._reactor, plain, self._count, self)
        self._feed(self._core.opened, self._count)

    def refused(self, dialing: _Dialing) -> None:
        """Dialing did not work."""
        self._dialing.remove(dialing)
        self._feed(self._core.refused, dialing.address)

    def dialed(self, dialing: _Dialing, plain: socket.socket) -> None:
        """Dialing worked."""
        self._dialing.remove(dialing)
        self.connected(plain)

    def received(self, number: int, data: bytes) -> None:
        """Bytes arrived; none at all: the connection is gone."""
        connection = self._connections.get(number)
        if connection is None:
            return
        if data:
            self._feed(self._core.received, number, data)
        else:
            del self._connections[number]
            connection.close()
            self._feed(self._core.lost, number)

    # --- the core

    def _send(self) -> bool:
        pieces = () if self._result is None else self._core.to_send(self.now)
        for number, payload in pieces:
            if number in self._connections:
                self._connections[number].send(payload)
        return bool(pieces)

    def _on_punching(self, event: TcpPunchingEvent) -> None:
        if isinstance(event, Dial):
            self._dial(event.address)
        elif isinstance(event, Drop):
            self._connections.pop(event.number).close()
        elif isinstance(event, TcpPunched):
            self._send()
            self._punched(event)
        else:
            self._give_up("no TCP connection to the peer came to stand")

    def _failed(self) -> None:
        super()._failed()
        self._give_up("this end failed; its log says why")

    def _dial(self, address: Address) -> None:
        try:
            plain = self._bound(0, six=":" in address.host)
            code = plain.connect_ex((address.host, address.port))
        except OSError:
            self._core.refused(address, self.now)
            return
        if code == 0:
            self.connected(plain)
        elif code in _UNDER_WAY:
            self._dialing.append(_Dialing(self._reactor, plain, address, self))
        else:
            plain.close()
            self._core.refused(address, self.now)

    def _bound(self, backlog: int, six: bool = False) -> socket.socket:
        plain = self._info.network.open_tcp(six)
        try:
            share_port(plain)
            plain.bind(("::" if six else "0.0.0.0", self._info.stream_port))
            if backlog:
                plain.listen(backlog)
        except OSError:
            plain.close()
            raise
        return plain

    def _punched(self, event: TcpPunched) -> None:
        plain = self._connections.pop(event.number).detach()
        try:
            path = TcpPath(plain, event.leftover, self._role, event.seconds, self._info.stream_opener)
        except OSError:
            plain.close()
            self._give_up("the connection to the peer was lost at once")
            return
        result, self._result = self._result, None
        self._close()
        assert result is not None
        result.callback(path)

    def _give_up(self, why: str) -> None:
        result, self._result = self._result, None
        self._close()
        if result is not None:
            result.errback(TcpPunchingFailedError(why))

    def _close(self) -> None:
        self._result = None
        self.stop()
        if self._listening is not None:
            self._listening.close()
        for dialing in self._dialing:
            dialing.close()
        for connection in self._connections.values():
            connection.close()


class _Descriptor:
    """A socket that the reactor watches for one thing."""

    def __init__(self, plain: socket.socket, forget: Callable[[], object]) -> None:
        self._plain: socket.socket | None = plain
        self._number = plain.fileno()
        self._forget = forget

    def fileno(self) -> int:
        return self._number if self._plain is not None else -1

    def logPrefix(self) -> str:
        return "tcp punch"

    def detach(self) -> socket.socket:
        """Stops watching and hands the socket over."""
        plain, self._plain = self._plain, None
        assert plain is not None
        self._forget()
        return plain

    def close(self) -> None:
        """Closes the socket; a second call does nothing."""
        if self._plain is not None:
            self.detach().close()

    def connectionLost(self, reason: Failure) -> None:
        self.close()


@implementer(IReadDescriptor)
class _Listening(_Descriptor):
    """The port, listened on."""

    def __init__(
        self, reactor: NatReactor, plain: socket.socket, on_accept: Callable[[socket.socket], None]
    ) -> None:
        super().__init__(plain, lambda: reactor.removeReader(self))
        self._on_accept = on_accept
        reactor.addReader(self)

    def doRead(self) -> None:
        while self._plain is not None:
            try:
                accepted, _ = self._plain.accept()
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    # It would be told again at once, and for as long as none is free.
                    self.close()
                return
            self._on_accept(accepted)


@implementer(IWriteDescriptor)
class _Dialing(_Descriptor):
    """A connection under way."""

    def __init__(
        self, reactor: NatReactor, plain: socket.socket, address: Address, owner: TcpAttempt
    ) -> None:
        super().__init__(plain, lambda: reactor.removeWriter(self))
        self.address = address
        self._owner = owner
        reactor.addWriter(self)

    def doWrite(self) -> None:
        plain = self.detach()
        if plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            plain.close()
            self._owner.refused(self)
        else:
            self._owner.dialed(self, plain)

    def connectionLost(self, reason: Failure) -> None:
        """What some reactors call in the place of :meth:`doWrite` when the connection was refused."""
        self.close()
        self._owner.refused(self)


@implementer(IReadDescriptor)
class _Connection(_Descriptor):
    """A connection that stands and has to prove the key."""

    def __init__(self, reactor: NatReactor, plain: socket.socket, number: int, owner: TcpAttempt) -> None:
        super().__init__(plain, lambda: reactor.removeReader(self))
        self._own_number = number
        self._owner = owner
        reactor.addReader(self)

    def send(self, payload: bytes) -> None:
        """Sends a few bytes, for which a new connection always has room."""
        if self._plain is not None:
            with contextlib.suppress(OSError):
                self._plain.send(payload)

    def doRead(self) -> None:
        assert self._plain is not None
        try:
            data = self._plain.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._owner.received(self._own_number, data)

    def connectionLost(self, reason: Failure) -> None:
        self._owner.received(self._own_number, b"")
