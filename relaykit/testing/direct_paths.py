"""Direct paths in memory, for tests of proxy types: rendezvous are real, punching is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from relaykit.carriers.direct import open_streams
from relaykit.errors import UnsuitablePathError
from relaykit.interfaces import IDatagramLeg, IDirectPath
from relaykit.nat.paths import TcpPath
from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.values import Address, Ended, PathProtocol

if TYPE_CHECKING:
    import socket

    from relaykit.interfaces import IDatagramReceiver, IDatagramStreams, ILegAcceptor, IStreamPath
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.nat.client_rendezvous import RendezvousBegun
    from relaykit.sansio.nat.punching import FailureReason
    from relaykit.testing.memory import MemoryLeg, MemoryNetwork
    from relaykit.values import Secret

__all__ = ["EARLY_MAX", "MemoryPath", "MemoryPunching"]

EARLY_MAX = 32
"""Datagrams that a path keeps for whoever is going to use it, as the real one does."""


@implementer(IDirectPath, IDatagramLeg)
class MemoryPath:
    """One end of a direct path of UDP.

    Datagrams arrive at once, in order; the test may lose them by setting ``loses``.
    """

    protocol = PathProtocol.UDP

    def __init__(self, role: PeerRole) -> None:
        self.role = role
        self.peer = Address("198.51.100.99", 40_000)
        self.host = Address("198.51.100.98", 40_000)
        self.other: MemoryPath | None = None
        self.loses = False
        self.closed = False
        self.dropped = 0
        self._ended: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []
        self._receiver: IDatagramReceiver | None = None
        self._paused = False
        self._early: deque[bytes] = deque(maxlen=EARLY_MAX)

    def open_streams(
        self, secret: Secret, acceptor: ILegAcceptor, over: IDatagramStreams | None = None
    ) -> Deferred[IStreamPath]:
        if over is None:
            return fail(UnsuitablePathError("this path is made of UDP"))
        opened: Deferred[IStreamPath] = over.open_path(self, self.role, secret, acceptor)
        return opened

    def datagrams(self) -> IDatagramLeg:
        return self

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._receiver = receiver
        self.resume()

    def send(self, data: Buffer) -> bool:
        if self.closed or self.other is None:
            return False
        if not self.loses:
            self.other._arrived(bytes(data))
        return True

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        while self._early and self._receiver is not None and not self._paused:
            self._receiver.datagram_received(self._early.popleft())

    def when_lost(self) -> Deferred[Ended]:
        waiting: Deferred[Ended] = Deferred()
        self._waiting.append(waiting)
        if self._ended is not None:
            self._end(self._ended)
        return waiting

    def lose(self) -> None:
        """Nothing gets through from now on, in neither direction, and both ends notice."""
        for end in (self, self.other):
            if end is not None:
                end.loses = True
                end._finish(Ended.TIMEOUT)

    def close(self) -> None:
        self._finish(Ended.FINISHED)

    def _finish(self, why: Ended) -> None:
        if self.closed:
            return
        self.closed = True
        self._end(why)
        if self._receiver is not None:
            self._receiver.leg_lost(why)

    def _end(self, why: Ended) -> None:
        self._ended = why
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(why)

    def _arrived(self, data: bytes) -> None:
        if self.closed:
            return
        if self._receiver is None or self._paused:
            self._early.append(data)
        else:
            self._receiver.datagram_received(data)


class MemoryPunching:
    """What punches in memory: both ends have a path as soon as each has the other's candidates.

    With ``failure`` both find that there is none; with ``network`` paths are made of TCP.
    """

    def __init__(
        self,
        begun: RendezvousBegun,
        send_candidates: Callable[[dict[str, object]], None],
        failure: FailureReason | None,
        paths: dict[bytes, IDirectPath],
        network: MemoryNetwork | None = None,
    ) -> None:
        self._begun = begun
        self._send_candidates = send_candidates
        self._failure = failure
        self._paths = paths
        self._network = network
        self._result: Deferred[IDirectPath] = Deferred()

    def start(self) -> Deferred[IDirectPath]:
        """Begins; the initiator sends its candidates."""
        if self._begun.role is PeerRole.INITIATOR:
            self._send_candidates({"in": "memory"})
        return self._result

    def candidates_received(self, wire: object, seen_at: str = "") -> None:
        """The other end's candidates are there."""
        if self._begun.role is PeerRole.RESPONDER and not self._result.called:
            self._send_candidates({"in": "memory"})
        if self._result.called:
            return
        if self._failure is not None:
            self._result.errback(HolePunchingFailedError.because(self._failure))
            return
        path = self._paths.pop(self._begun.key, None)
        if path is None:
            path, self._paths[self._begun.key] = self._pair(self._begun.role)
        self._result.callback(path)

    def _pair(self, role: PeerRole) -> tuple[IDirectPath, IDirectPath]:
        """Both ends of a path, that of the role first."""
        if self._network is None:
            here, there = MemoryPath(role), MemoryPath(role.other)
            here.other, there.other = there, here
            return here, there
        one, two = self._network.pair()
        return _path_of_tcp(role, one), _path_of_tcp(role.other, two)


def _path_of_tcp(role: PeerRole, leg: MemoryLeg) -> TcpPath:
    """A real path of TCP, over a leg where it would have a socket."""

    def opener(
        plain: socket.socket, leftover: bytes, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        return open_streams(leg, role, secret, acceptor, leg.network, leg.network.clock)

    return TcpPath(cast("socket.socket", _LegSocket(leg)), b"", role, 0.0, opener)


class _LegSocket:
    """What a path of TCP asks of its socket, of a leg."""

    def __init__(self, leg: MemoryLeg) -> None:
        self._leg = leg

    def getpeername(self) -> tuple[str, int]:
        return _name(self._leg.peer)

    def getsockname(self) -> tuple[str, int]:
        return _name(self._leg.host)

    def close(self) -> None:
        self._leg.close()


def _name(address: Address | None) -> tuple[str, int]:
    assert address is not None, "legs in memory have addresses"
    return address.host, address.port
