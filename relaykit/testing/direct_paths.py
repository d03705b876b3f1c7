"""Direct paths in memory, for tests of proxy types: rendezvous are real, punching is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred

from relaykit.carriers.direct import open_streams
from relaykit.nat.paths import TcpPath, UdpPath
from relaykit.nat.session import HolePunchingFailedError
from relaykit.nat.sockets import drop
from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.pairing import Strategy
from relaykit.sansio.nat.punching import Punched
from relaykit.values import MOST_DATAGRAM_BYTES, Address

if TYPE_CHECKING:
    import socket

    from relaykit.interfaces import (
        IDatagramStreams,
        IDirectPath,
        ILegAcceptor,
        IStreamPath,
    )
    from relaykit.nat.sockets import BatchReceiver, DatagramReceiver, UdpSocket
    from relaykit.sansio.nat.punching import FailureReason
    from relaykit.testing.memory import MemoryLeg, MemoryNetwork
    from relaykit.values import Secret

__all__ = ["MemoryPath", "MemoryPunching"]

_THERE = Address("198.51.100.99", 40_000)


class MemoryPath(UdpPath):
    """One end of a direct path of UDP: a real one, whose socket is in memory.

    Datagrams arrive at once, in order; the test may lose them by setting ``loses``.  ``over`` makes its
    streams; without it there are none.
    """

    def __init__(self, role: PeerRole, over: IDatagramStreams | None = None) -> None:
        self.wire = _MemorySocket()
        found = Punched(0, _THERE, CandidateKind.HOST, Strategy.CHECK, 0.0, None)
        driver: Any = _NoDriver()
        super().__init__(cast("UdpSocket", self.wire), found, role, driver, over=over)
        self.loses = False
        self.other: MemoryPath | None = None

    def meet(self, other: MemoryPath) -> None:
        """Connects both ends."""
        self.other, other.other = other, self
        self.wire.carry, other.wire.carry = other.take, self.take

    def take(self, payload: bytes) -> None:
        """A datagram of the other end arrives, if it is not lost."""
        if self.other is not None and not self.other.loses:
            self.wire.receiver(payload, _THERE, "")

    def lose(self) -> None:
        """Nothing gets through from now on, in neither direction, and both ends notice."""
        for end in (self, self.other):
            if end is not None:
                end.loses = True
                super(MemoryPath, end).lose()


class _MemorySocket:
    """What a path of UDP asks of its socket."""

    address = Address("198.51.100.98", 40_000)
    most_bytes = MOST_DATAGRAM_BYTES

    def __init__(self) -> None:
        self.receiver: DatagramReceiver = drop
        self.carry: Callable[[bytes], None] | None = None
        self.closed = False

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        if self.closed or self.carry is None:
            return False
        self.carry(payload)
        return True

    def send_many(self, payloads: Sequence[bytes], destination: Address) -> int:
        return sum(self.send(each, destination) for each in payloads)

    def receive_batches(self, receiver: BatchReceiver) -> None:
        """Nothing: each datagram is handed on by itself."""

    def forbid_fragments(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


class _NoDriver:
    """Nothing punches in memory."""

    def stop(self) -> None:
        """Nothing to do."""


class MemoryPunching:
    """What punches in memory: both ends have a path as soon as each has the other's candidates.

    With ``failure`` both find that there is none; with ``network`` paths are made of TCP, and else ``over``
    makes their streams.
    """

    def __init__(
        self,
        role: PeerRole,
        key: bytes,
        send_candidates: Callable[[dict[str, object]], None],
        failure: FailureReason | None,
        paths: dict[bytes, IDirectPath],
        network: MemoryNetwork | None = None,
        over: IDatagramStreams | None = None,
    ) -> None:
        self._over = over
        self._role = role
        self._key = key
        self._send_candidates = send_candidates
        self._failure = failure
        self._paths = paths
        self._network = network
        self._result: Deferred[IDirectPath] = Deferred()

    def start(self) -> Deferred[IDirectPath]:
        """Begins; the initiator sends its candidates."""
        if self._role is PeerRole.INITIATOR:
            self._send_candidates({"in": "memory"})
        return self._result

    def candidates_received(self, wire: object, seen_at: str = "") -> None:
        """The other end's candidates are there."""
        if self._role is PeerRole.RESPONDER and not self._result.called:
            self._send_candidates({"in": "memory"})
        if self._result.called:
            return
        if self._failure is not None:
            self._result.errback(HolePunchingFailedError.because(self._failure))
            return
        path = self._paths.pop(self._key, None)
        if path is None:
            path, self._paths[self._key] = self._pair(self._role)
        self._result.callback(path)

    def _pair(self, role: PeerRole) -> tuple[IDirectPath, IDirectPath]:
        """Both ends of a path, that of the role first."""
        if self._network is None:
            here, there = MemoryPath(role, self._over), MemoryPath(role.other, self._over)
            here.meet(there)
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
