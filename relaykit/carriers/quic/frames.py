"""The datagrams of a QUIC connection, beside its streams: of all of them, or each of one."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from zope.interface import implementer

from relaykit.carriers.quic.adapter import PIECE_COST_BYTES
from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.interfaces import IDatagramReceiver, ISizedDatagramLeg
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.carriers.quic.driver import QuicDriver
    from relaykit.interfaces import ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["MOST_EARLY_FRAMES", "MOST_FRAMES", "MOST_QUEUED_FRAMES", "Besides", "QuicDatagramLeg"]

MOST_FRAMES: Final = 256
"""Datagrams that are handed to the connection until it has sent what it had."""

MOST_QUEUED_FRAMES: Final = 64
"""Datagrams of a connection of client and server that wait for room in the network, before all streams: what
goes out in a round trip or two where a transfer fills it."""

MOST_EARLY_FRAMES: Final = 64
"""Datagrams of all streams together that are kept until who takes theirs is there: they may overtake the word
that says what a stream is for.  The oldest go first."""

_NUMBER = struct.Struct("!I")
"""What a datagram that belongs to a stream begins with: which of the client's streams it is, from 0 on."""

_STREAMS_APART = 4
"""Between the numbers of two streams of one end.  Source: RFC 9000 2.1."""


@implementer(ISizedDatagramLeg)
class QuicDatagramLeg(DatagramLeg):
    """Datagrams to and from the peer, encrypted: each whole, once at most, in any order.

    What the network is thought not to carry now waits for a moment, before all streams, as far as
    ``most_queued`` lets it; more is dropped, as is what no packet can carry.  Closing the leg leaves the
    connection as it is.  Source: RFC 9221.
    """

    __slots__ = ("_congested", "_driver", "_most_bytes", "_queue", "_waiting", "most_queued")

    def __init__(self, driver: QuicDriver) -> None:
        super().__init__(driver.turns, driver.lower.peer, driver.lower.host)
        self._driver = driver
        self.most_queued = 0
        """Datagrams that may wait: where streams fill the network, none would ever find it free."""
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        # What the connection says holds until it has sent: it is asked once for all of a turn.
        self._most_bytes = 0
        self._congested = False

    @property
    def most_bytes(self) -> int:
        """The largest datagram that can be sent at present, some 1150 bytes at least; 0 if none can be."""
        if not self._waiting:
            driver = self._driver
            self._most_bytes = 0 if driver.lost is not None else driver.connection.most_frame_bytes
        return self._most_bytes

    def send(self, data: Buffer) -> bool:
        if self._closed or len(data) > self.most_bytes or self._waiting >= MOST_FRAMES:
            self.dropped += 1
            return False
        connection = self._driver.connection
        if not self._waiting:
            self._congested = connection.congested
        if self._congested or self._queue:
            if len(self._queue) >= self.most_queued:
                self.dropped += 1
                return False
            self._queue.append(bytes(data))
            return True
        self._waiting += 1
        connection.send_frame(bytes(data))
        self._driver.flush_soon()
        return True

    def close(self) -> None:
        self._silence()
        self._lose_soon(Ended.FINISHED)

    # --- for the path ---------------------------------------------------------------------------

    def on_frame(self, data: bytes) -> None:
        """A datagram arrived."""
        self._arrived(data)

    @property
    def is_queued(self) -> bool:
        """Whether any datagram waits for room."""
        return bool(self._queue)

    def fill(self, most_bytes: int) -> int:
        """Hands down so much of what waits; answers what it costs of the connection's room."""
        taken = 0
        while self._queue and taken + len(self._queue[0]) <= most_bytes:
            data = self._queue.popleft()
            taken += len(data) + PIECE_COST_BYTES
            self._waiting += 1
            self._driver.connection.send_frame(data)
        return taken

    def on_sent(self) -> None:
        """The connection has sent what it had."""
        self._waiting = 0

    def path_lost(self, reason: Ended) -> None:
        """The connection is gone."""
        self._waiting = 0
        self._queue.clear()
        self._lost(reason)


@implementer(ISizedDatagramLeg)
class _BesideLeg(DatagramLeg):
    """The datagrams of one stream."""

    __slots__ = ("_besides", "_prefix")

    def __init__(self, besides: Besides, number: int) -> None:
        lower = besides.datagrams
        super().__init__(besides.turns, lower.peer, lower.host)
        self._besides = besides
        self._prefix = _NUMBER.pack(number)

    @property
    def most_bytes(self) -> int:
        """The largest datagram that can be sent at present; 0 if none can be."""
        return max(0, self._besides.datagrams.most_bytes - _NUMBER.size)

    def send(self, data: Buffer) -> bool:
        taken = not self._closed and self._besides.datagrams.send(self._prefix + data)
        self.dropped += not taken
        return taken

    def close(self) -> None:
        self._silence()
        self._lose_soon(Ended.FINISHED)

    # --- for the table ----------------------------------------------------------------------------

    def on_datagram(self, data: bytes) -> None:
        """A datagram arrived."""
        self._arrived(data)


@implementer(IDatagramReceiver)
class Besides:
    """The datagrams of a path whose streams the client opens, told apart by the stream that each belongs to.

    :param datagrams: the path's, which this takes.
    :ivar dropped: datagrams that belonged to no stream, or were too early.
    """

    def __init__(self, datagrams: QuicDatagramLeg, turns: ITurns) -> None:
        self.datagrams = datagrams
        self.turns = turns
        self.dropped = 0
        datagrams.most_queued = MOST_QUEUED_FRAMES
        self._legs: dict[int, _BesideLeg] = {}
        self._early: deque[tuple[int, bytes]] = deque()
        datagrams.attach(self)

    def leg(self, stream: int) -> _BesideLeg:
        """The leg of the datagrams beside a stream that is there."""
        number = stream // _STREAMS_APART
        leg = self._legs.get(number)
        if leg is None:
            leg = self._legs[number] = _BesideLeg(self, number)
            early, self._early = self._early, deque()
            for each, data in early:
                if each == number:
                    leg.on_datagram(data)
                else:
                    self._early.append((each, data))
        return leg

    def forget(self, stream: int) -> None:
        """A stream is over."""
        leg = self._legs.pop(stream // _STREAMS_APART, None)
        if leg is not None:
            leg.close()

    def datagram_received(self, data: Buffer) -> None:
        if len(data) < _NUMBER.size:
            self.dropped += 1
            return
        number: int = _NUMBER.unpack_from(data)[0]
        content = bytes(data[_NUMBER.size :])
        leg = self._legs.get(number)
        if leg is not None:
            leg.on_datagram(content)
            return
        if len(self._early) == MOST_EARLY_FRAMES:
            self._early.popleft()
            self.dropped += 1
        self._early.append((number, content))

    def leg_lost(self, reason: Ended) -> None:
        """Nothing: the streams are lost, too."""
        self._early.clear()
