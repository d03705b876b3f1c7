"""Legs in memory: what the tests of whatever stands on a leg use instead of sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.task import Clock
from zope.interface import implementer

from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.poller import Poller
from relaykit.interfaces import ILegReceiver
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer

__all__ = ["CAPACITY_BYTES", "MemoryLeg", "MemoryNetwork", "RecordingReceiver"]

CAPACITY_BYTES = 64 * 1024
"""Octets on their way in one direction at which a leg pauses its producer, as a socket's would."""

_MOST_ROUNDS = 100_000
"""Rounds after which a network that does not come to rest is called a defect of the test."""

_GARBAGE = b"\xdd"
"""What lent octets are overwritten with after the call, so that keeping them is found out."""


class MemoryNetwork(Poller):
    """Moves octets between the legs that it made, when it is told to.

    Nothing moves within a call of a leg: :meth:`flush` does it until all is quiet.  It is also the
    poller of whatever runs on it: one round is one turn, and time passes by ``clock``.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(cast("Any", self.clock))
        self._legs: list[MemoryLeg] = []
        self._ports = 40000

    def at_turn_end(self, call: Callable[[], None]) -> None:
        self._calls[call] = None

    def pair(self, capacity: int = CAPACITY_BYTES) -> tuple[MemoryLeg, MemoryLeg]:
        """Two legs that are connected with each other."""
        here, there = Address("192.0.2.1", self._ports), Address("192.0.2.2", self._ports + 1)
        self._ports += 2
        near = MemoryLeg(peer=there, host=here, capacity=capacity)
        far = MemoryLeg(peer=here, host=there, capacity=capacity)
        near.other, far.other = far, near
        self._legs += [near, far]
        return near, far

    def turn(self) -> bool:
        """Lets each leg move what it can once, then ends the turn; whether anything happened."""
        moved = False
        for leg in tuple(self._legs):
            moved = leg.move() or moved
        calls, self._calls = self._calls, {}
        for call in calls:
            call()
        self._legs = [leg for leg in self._legs if not leg.settled]
        return moved or bool(calls)

    def flush(self) -> None:
        """Turns until nothing happens any more."""
        for _ in range(_MOST_ROUNDS):
            if not self.turn():
                return
        raise AssertionError("the legs never came to rest")

    def expire_linger(self) -> None:
        """Lets the linger time of closing legs pass: what could not be sent is dropped."""
        for leg in tuple(self._legs):
            leg.expire_linger()
        self.flush()


class MemoryLeg(StreamLeg):
    """One end of a pair; see :meth:`MemoryNetwork.pair`."""

    __slots__ = ("_capacity", "_closing", "_end_sent", "_finishing", "_gone", "_queue", "_queued", "other")

    def __init__(self, peer: Address, host: Address, capacity: int) -> None:
        super().__init__(peer, host)
        self.other: MemoryLeg = self
        self._capacity = capacity
        self._queue: list[bytes] = []
        self._queued = 0
        self._finishing = self._end_sent = self._closing = False
        self._gone: Ended | None = None

    @property
    def queued(self) -> int:
        """Octets that were written and have not reached the other end."""
        return self._queued

    @property
    def settled(self) -> bool:
        """Whether the loss of this leg has been noted, so that nothing can happen any more."""
        return self._loss is not None

    def write(self, data: Buffer) -> None:
        if self._finishing or self._gone is not None or not len(data):
            return
        self._queue.append(bytes(data))
        self._queued += len(data)
        if self._queued >= self._capacity:
            self._output_full()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        self._finishing = True

    def close(self) -> None:
        if self._gone is None:
            self._finishing = self._closing = True
            self._silence()

    def abort(self) -> None:
        self._silence()
        self.cut(Ended.CANCELLED, Ended.RESET)

    def cut(self, here: Ended = Ended.RESET, there: Ended = Ended.RESET) -> None:
        """Breaks the connection: each end is told its reason when the network moves on."""
        for leg, reason in ((self, here), (self.other, there)):
            if leg._gone is None:
                leg._gone = reason
                leg._drop()

    def expire_linger(self) -> None:
        """Gives up closing in order, if it is closing and has octets left."""
        if self._closing and self._gone is None:
            self.cut(Ended.TIMEOUT, Ended.RESET)

    def move(self) -> bool:
        """Sends what the other end takes, tells what is due; whether anything happened."""
        if self._loss is not None:
            return False
        if self._gone is not None:
            self._lost(self._gone)
            return True
        moved = False
        if self._queue and (self.other._reading or self.other._silent or self.other._gone is not None):
            data, self._queue, self._queued = b"".join(self._queue), [], 0
            self.other._take_lent(data)
            self._output_drained()
            moved = True
        if self._finishing and not self._end_sent and not self._queue:
            self._end_sent = moved = True
            self.other._ended()
        return self._finish() or moved

    def _finish(self) -> bool:
        """Notes that both directions have ended, if they have."""
        if self._gone is not None or not self._end_sent or not (self._closing or self.other._end_sent):
            return False
        self._gone = Ended.FINISHED
        return True

    def _take_lent(self, data: bytes) -> None:
        if self._gone is not None:
            return
        lent = bytearray(data)
        self._arrived(memoryview(lent))
        lent[:] = _GARBAGE * len(lent)

    def _drop(self) -> None:
        self._queue.clear()
        self._queued = 0

    def _reading_wanted(self, wanted: bool) -> None:
        """Nothing to do: the network looks at each turn."""


@implementer(ILegReceiver)
class RecordingReceiver:
    """Notes what it is told; a leg that breaks the order of the calls fails the test."""

    def __init__(self, leg: IStreamLeg | None = None) -> None:
        self._parts: list[bytes] = []
        self.pieces = 0
        self.ended = False
        self.lost: Ended | None = None
        if leg is not None:
            leg.attach(self)

    @property
    def data(self) -> bytes:
        """All octets so far; may be set, to forget them."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    @data.setter
    def data(self, data: bytes) -> None:
        self._parts = [data]

    def data_received(self, data: Buffer) -> None:
        assert len(data) and not self.ended and self.lost is None, "octets after the end, or none"
        self._parts.append(bytes(data))
        self.pieces += 1

    def end_received(self) -> None:
        assert not self.ended and self.lost is None, "the end was told twice, or after the loss"
        self.ended = True

    def leg_lost(self, reason: Ended) -> None:
        assert self.lost is None, "the loss was told twice"
        self.lost = reason
