"""Legs in memory: what the tests of whatever stands on a leg use instead of sockets.

With :class:`Weather` the network between them is a bad one: bytes take time and arrive in other pieces
than they were sent in, and a test may cut or stall any connection.  All chance is seeded.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen
from twisted.internet.task import Clock
from zope.interface import implementer

from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.poller import Poller
from relaykit.interfaces import IConnection, IDatagramReceiver, ILegReceiver
from relaykit.values import LOST_LINGER_S, Address, Ended

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramLeg, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer

__all__ = [
    "CAPACITY_BYTES",
    "MemoryLeg",
    "MemoryNetwork",
    "RecordingDatagrams",
    "RecordingReceiver",
    "Weather",
]

CAPACITY_BYTES = 64 * 1024
"""Bytes on their way in one direction at which a leg pauses its producer, as a socket's would."""

_MOST_ROUNDS = 20_000
"""Rounds after which a network that does not come to rest is called a defect of the test."""

_GARBAGE = b"\xdd"
"""What lent bytes are overwritten with after the call, so that keeping them is found out."""


@frozen
class Weather:
    """What a network does to the bytes that cross it; the same seed does the same again.

    Each portion takes between the two times of ``delay_s`` (seconds, one way), and none overtakes another.
    With ``most_bytes`` portions of 1 to so many bytes arrive, whatever was sent at once.
    """

    seed: int
    delay_s: tuple[float, float] = (0.0, 0.0)
    most_bytes: int = 0
    chance: random.Random = field(init=False, repr=False)

    @chance.default
    def _chance(self) -> random.Random:
        return random.Random(self.seed)

    def delay(self) -> float:
        """How long the next portion takes."""
        return self.chance.uniform(*self.delay_s)

    def portions(self, data: bytes) -> list[bytes]:
        """What is sent at once, as it arrives."""
        portions = []
        at = 0
        while at < len(data):
            size = self.chance.randint(1, self.most_bytes) if self.most_bytes else len(data)
            portions.append(data[at : at + size])
            at += size
        return portions


class MemoryNetwork(Poller):
    """Moves bytes between the legs that it made, when it is told to.

    Nothing moves within a call of a leg: :meth:`flush` does it until all is quiet.  It is also the
    poller of whatever runs on it: one round is one turn, and time passes by ``clock``.
    """

    def __init__(self, weather: Weather | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        super().__init__(cast("Any", self.clock))
        self.weather = weather
        self._legs: list[MemoryLeg] = []
        self._ports = 40000

    @property
    def connections(self) -> list[MemoryLeg]:
        """One end of each connection that is open, in the order in which they were made."""
        return [leg for leg in self._legs if leg.is_first and not (leg.settled or leg.other.settled)]

    def at_turn_end(self, call: Callable[[], None]) -> None:
        self._calls[call] = None

    def in_next_turn(self, call: Callable[[], None]) -> None:
        self._portions[call] = None

    def pair(
        self, capacity: int = CAPACITY_BYTES, source: Address | None = None
    ) -> tuple[MemoryLeg, MemoryLeg]:
        """Two legs that are connected; the first is that of who dials, from ``source`` if it is given."""
        here, there = self.addresses(source)
        near = MemoryLeg(peer=there, host=here, capacity=capacity)
        far = MemoryLeg(peer=here, host=there, capacity=capacity)
        near.other, far.other = far, near
        near.network = far.network = self
        near.is_first = True
        self._legs += [near, far]
        return near, far

    def addresses(self, source: Address | None = None) -> tuple[Address, Address]:
        """The addresses of two ends that nobody has had yet; or ``source``, and one for its peer."""
        self._ports += 2
        return source or Address("192.0.2.1", self._ports - 2), Address("192.0.2.2", self._ports - 1)

    def turn(self) -> bool:
        """Lets each leg move what it can once, then ends the turn; whether anything happened."""
        moved = False
        portions, self._portions = self._portions, {}
        for leg in tuple(self._legs):
            moved = leg.move() or moved
        for call in portions:
            call()
        calls, self._calls = self._calls, {}
        for call in calls:
            call()
        self._legs = [leg for leg in self._legs if not leg.settled]
        return moved or bool(calls or portions)

    def flush(self) -> None:
        """Turns until nothing happens any more."""
        for _ in range(_MOST_ROUNDS):
            if not self.turn():
                return
        raise AssertionError("the legs never came to rest")

    def advance(self, seconds: float) -> None:
        """Lets time pass: from one thing that happens, a call or an arrival, to the next."""
        end = self.clock.seconds() + seconds
        for _ in range(_MOST_ROUNDS):
            self.flush()
            now = self.clock.seconds()
            calls = [call.getTime() for call in self.clock.getDelayedCalls()]
            arrivals = [at for leg in self._legs if (at := leg.next_arrival) is not None]
            following = min((each for each in (*calls, *arrivals) if each <= end), default=None)
            self.clock.advance(max(0.0, (end if following is None else following) - now))
            if following is None:
                self.flush()
                return
        raise AssertionError(f"more than {_MOST_ROUNDS} things happened within {seconds} seconds")

    def expire_linger(self) -> None:
        """Lets the linger time of closing legs pass: what could not be sent is dropped."""
        for leg in tuple(self._legs):
            leg.expire_linger()
        self.flush()


@implementer(IConnection)
class MemoryLeg(StreamLeg):
    """One end of a pair; see :meth:`MemoryNetwork.pair`."""

    __slots__ = (
        "_breaking_off",
        "_capacity",
        "_closing",
        "_end_sent",
        "_finishing",
        "_gone",
        "_line",
        "_queue",
        "_queued",
        "is_first",
        "network",
        "other",
        "stalled",
    )

    def __init__(self, peer: Address, host: Address, capacity: int) -> None:
        super().__init__(peer, host)
        self.other: MemoryLeg = self
        self.network: MemoryNetwork
        self.is_first = False
        self.stalled = False
        """Whether what this end sends, its end and its loss included, goes nowhere; see :meth:`stall`."""
        self._line: deque[tuple[float, bytes | None]] = deque()
        self._capacity = capacity
        self._queue: list[bytes] = []
        self._queued = 0
        self._finishing = self._end_sent = self._closing = self._breaking_off = False
        self._gone: Ended | None = None

    @property
    def turns(self) -> ITurns:
        return self.network

    @property
    def queued(self) -> int:
        """Bytes that were written and have not reached the other end."""
        return self._queued

    @property
    def connection(self) -> IConnection:
        return self

    @property
    def unconfirmed(self) -> int | None:
        return self._queued

    def favor_latency(self) -> None:
        """Nothing: what is written waits here."""

    def give_up_unconfirmed(self, after_s: float) -> None:
        """Nothing: see :meth:`stall`."""

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
        self._silence()
        if self._gone is None:
            self._finishing = self._closing = True

    def break_off(self) -> None:
        self.close()
        if self._gone is None and not self._breaking_off:
            self._breaking_off = True
            self.network.clock.callLater(LOST_LINGER_S, self._break)

    def abort(self) -> None:
        self._silence()
        if self.stalled:
            self._go(Ended.CANCELLED)
        else:
            self.cut(Ended.CANCELLED, Ended.RESET)

    def stall(self, stalled: bool = True) -> None:
        """Lets nothing through in either direction, as a router that lost its memory; or (False) all again.

        For one direction set :attr:`stalled` of the end that sends.
        """
        self.stalled = self.other.stalled = stalled

    def cut(self, here: Ended = Ended.RESET, there: Ended = Ended.RESET) -> None:
        """Breaks the connection: each end is told its reason when the network moves on."""
        self._go(here)
        self.other._go(there)

    def expire_linger(self) -> None:
        """Gives up closing in order, if it is closing and has bytes left."""
        if self._closing and self._gone is None:
            self._silence()
            if self.stalled:
                self._go(Ended.TIMEOUT)
            else:
                self.cut(Ended.TIMEOUT, Ended.RESET)

    def move(self) -> bool:
        """Sends what the other end takes, tells what is due; whether anything happened."""
        if self._loss is not None:
            return False
        if self._gone is not None:
            self._lost(self._gone)
            return True
        if self.stalled:
            return False
        if self.other._gone is not None and self.other._gone is not Ended.FINISHED:
            # It was lost while nothing came through.
            self._go(Ended.RESET)
            return True
        moved = self._send() if self.network.weather is None else self._send_through(self.network.weather)
        return self._finish() or moved

    @property
    def next_arrival(self) -> float | None:
        """When the next bytes of this end arrive at the other; None for at once, or never."""
        if not self._line or self.stalled or self._gone is not None or not self._other_takes:
            return None
        return self._line[0][0]

    @property
    def _other_takes(self) -> bool:
        return self.other._reading or self.other._silent or self.other._gone is not None

    def _send(self) -> bool:
        """Sends all that there is, at once."""
        moved = False
        if self._queue and self._other_takes:
            data, self._queue, self._queued = b"".join(self._queue), [], 0
            self.other._take_lent(data)
            self._output_drained()
            moved = True
        if self._finishing and not self._end_sent and not self._queue:
            self._end_sent = moved = True
            self.other._ended()
        return moved

    def _send_through(self, weather: Weather) -> bool:
        """Sends what there is on its way, and lets arrive what is due."""
        now = self.network.clock.seconds()
        due = self._line[-1][0] if self._line else now
        data, self._queue = b"".join(self._queue), []
        for portion in weather.portions(data):
            due = max(due, now + weather.delay())
            self._line.append((due, portion))
        if self._finishing and not self._end_sent and (not self._line or self._line[-1][1] is not None):
            self._line.append((max(due, now + weather.delay()), None))
        moved = False
        while self._line and self._line[0][0] <= now and (self._line[0][1] is None or self._other_takes):
            _, arrived = self._line.popleft()
            moved = True
            if arrived is None:
                self._end_sent = True
                self.other._ended()
            else:
                self._queued -= len(arrived)
                self.other._take_lent(arrived)
        if moved and self._queued < self._capacity:
            self._output_drained()
        return moved

    def _finish(self) -> bool:
        """Notes that both directions have ended, if they have."""
        done = self._closing and not self._breaking_off
        if self._gone is not None or not self._end_sent or not (done or self.other._end_sent):
            return False
        self._gone = Ended.FINISHED
        return True

    def _break(self) -> None:
        """Ends what was broken off and is not over yet."""
        if self._gone is None:
            self.cut(Ended.FINISHED if self._end_sent else Ended.TIMEOUT, Ended.RESET)

    def _take_lent(self, data: bytes) -> None:
        if self._gone is not None:
            return
        lent = bytearray(data)
        self._arrived(memoryview(lent))
        lent[:] = _GARBAGE * len(lent)

    def _go(self, reason: Ended) -> None:
        """Notes why this end is gone, which is told when the network moves on."""
        if self._gone is None:
            self._gone = reason
            self._queue.clear()
            self._line.clear()
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
        """All bytes so far; may be set, to forget them."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    @data.setter
    def data(self, data: bytes) -> None:
        self._parts = [data]

    def data_received(self, data: Buffer) -> None:
        assert len(data) and not self.ended and self.lost is None, "bytes after the end, or none"
        self._parts.append(bytes(data))
        self.pieces += 1

    def end_received(self) -> None:
        assert not self.ended and self.lost is None, "the end was told twice, or after the loss"
        self.ended = True

    def leg_lost(self, reason: Ended) -> None:
        assert self.lost is None, "the loss was told twice"
        self.lost = reason


@implementer(IDatagramReceiver)
class RecordingDatagrams:
    """Keeps the datagrams of a leg; one that breaks the order of the calls fails the test."""

    def __init__(self, leg: IDatagramLeg | None = None) -> None:
        self.got: list[bytes] = []
        self.lost: Ended | None = None
        if leg is not None:
            leg.attach(self)

    def datagram_received(self, data: Buffer) -> None:
        assert self.lost is None, "a datagram after the loss"
        self.got.append(bytes(data))

    def leg_lost(self, reason: Ended) -> None:
        assert self.lost is None, "the loss was told twice"
        self.lost = reason
