"""Direct paths in memory, for tests of proxy types: rendezvous are real, punching is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from relaykit.nat.session import HolePunchingFailedError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from relaykit.sansio.nat.client_rendezvous import RendezvousBegun
    from relaykit.sansio.nat.punching import FailureReason

__all__ = ["EARLY_MAX", "MemoryPath", "MemoryPunching"]

EARLY_MAX = 32
"""Datagrams that a path keeps for whoever is going to use it, as the real one does."""

_Receiver = Callable[[bytes, Address, str], None]


class MemoryPath:
    """One end of a direct path, as a :class:`relaykit.nat.paths.PunchedPath` is used.

    Datagrams arrive at once, in order; the test may lose them by setting ``loses``.
    """

    def __init__(self, role: PeerRole, peer: Address) -> None:
        self.role = role
        self.peer = peer
        self.other: MemoryPath | None = None
        self.loses = False
        self.closed = False
        self._waiting: list[Deferred[Ended]] = []
        self._receiver: _Receiver | None = None
        self._early: deque[bytes] = deque(maxlen=EARLY_MAX)

    def attach(self, receiver: _Receiver, any_source: bool = False) -> None:
        """Names who gets what arrives, and delivers what has arrived."""
        self._receiver = receiver
        while self._early:
            receiver(self._early.popleft(), self.peer, "")

    def send(self, payload: bytes) -> bool:
        """Sends one datagram to the peer, or loses it."""
        if self.closed or self.other is None:
            return False
        if not self.loses:
            self.other._arrived(bytes(payload))
        return True

    def when_lost(self) -> Deferred[Ended]:
        """Fires once the test calls :meth:`lose`."""
        waiting: Deferred[Ended] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def lose(self) -> None:
        """Nothing gets through from now on, in neither direction, and both ends notice."""
        for end in (self, self.other):
            if end is not None:
                end.loses = True
                waiting, end._waiting = end._waiting, []
                for each in waiting:
                    each.callback(Ended.TIMEOUT)

    def close(self) -> None:
        """Closes this end; the peer is not told."""
        self.closed = True

    def _arrived(self, payload: bytes) -> None:
        if self.closed:
            return
        if self._receiver is None:
            self._early.append(payload)
        else:
            self._receiver(payload, self.peer, "")


class MemoryPunching:
    """What punches in memory: both ends have a path as soon as each has the other's candidates.

    With ``failure`` both find that there is none.
    """

    def __init__(
        self,
        met: RendezvousBegun,
        send_candidates: Callable[[dict[str, object]], None],
        failure: FailureReason | None,
        paths: dict[bytes, MemoryPath],
    ) -> None:
        self._met = met
        self._send_candidates = send_candidates
        self._failure = failure
        self._paths = paths
        self._result: Deferred[Any] = Deferred()

    def start(self) -> Deferred[Any]:
        """Begins; the initiator sends its candidates."""
        if self._met.role is PeerRole.INITIATOR:
            self._send_candidates({"in": "memory"})
        return self._result

    def candidates_received(self, wire: object, seen_at: str = "") -> None:
        """The other end's candidates are there."""
        if self._met.role is PeerRole.RESPONDER and not self._result.called:
            self._send_candidates({"in": "memory"})
        if self._result.called:
            return
        if self._failure is not None:
            self._result.errback(HolePunchingFailedError.because(self._failure))
            return
        path = MemoryPath(self._met.role, Address("198.51.100.99", 40_000))
        path.other = self._paths.pop(self._met.key, None)
        if path.other is None:
            self._paths[self._met.key] = path
        else:
            path.other.other = path
        self._result.callback(path)
