"""What a UDP socket sends: many datagrams of one size, to one receiver, by one system call.

The kernel cuts what it is given into datagrams (UDP_SEGMENT, Linux 4.18), so that the way through it is gone
once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from relaykit.sansio.segments import MOST_SEGMENTS, end_of_run
from relaykit.segmentation import NOT_SEGMENTED, can_segment, cut
from relaykit.values import MOST_DATAGRAM_BYTES

if TYPE_CHECKING:
    import socket

    from relaykit.dataplane.datagrams import DatagramLeg
    from relaykit.interfaces import ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["DatagramOutput"]

Name: TypeAlias = "tuple[Any, ...] | None"
"""A receiver as the socket module has it; None for the peer of a connected socket."""


class _Queue:
    """Datagrams from one leg to one receiver: no more than one call can send."""

    __slots__ = ("datagrams", "name", "size")

    def __init__(self, name: Name) -> None:
        self.name = name
        self.datagrams: list[bytes] = []
        self.size = 0


class DatagramOutput:
    """Keeps datagrams until the turn ends, or until there are as many as one call sends.

    It learns what the way to each receiver can do, and has its leg know: who is behind a narrow one
    costs nobody else.  What the system does not take is lost, and counted by the leg that it is from.
    """

    __slots__ = ("_can_segment", "_plain", "_queues", "_turns")

    def __init__(self, turns: ITurns, plain: socket.socket) -> None:
        self._turns = turns
        self._plain = plain
        self._queues: dict[DatagramLeg, _Queue] = {}
        self._can_segment = can_segment(plain)

    def send(self, leg: DatagramLeg, data: Buffer, name: Name) -> bool:
        """Sends a datagram from a leg, whose datagrams all have this receiver; whether it can be one."""
        size = len(data)
        if size > MOST_DATAGRAM_BYTES:
            return False
        queue = self._queues.get(leg)
        if queue is None:
            if not self._queues:
                self._turns.at_turn_end(self.flush)
            queue = self._queues[leg] = _Queue(name)
        elif queue.size + size > MOST_DATAGRAM_BYTES or len(queue.datagrams) == MOST_SEGMENTS:
            self._send_all(leg, queue)
        queue.datagrams.append(bytes(data))
        queue.size += size
        return True

    def send_many(self, leg: DatagramLeg, datagrams: Sequence[bytes], name: Name) -> int:
        """Sends datagrams from a leg at once, after what is kept of it; how many of them the system took."""
        queue = self._queues.get(leg)
        if queue is not None:
            self._send_all(leg, queue)
        before = leg.dropped
        self._send_runs(leg, datagrams, name)
        return len(datagrams) - (leg.dropped - before)

    def flush(self) -> None:
        """Sends what is kept."""
        queues, self._queues = self._queues, {}
        for leg, queue in queues.items():
            self._send_all(leg, queue)

    # --- inside ---------------------------------------------------------------------------------

    def _send_all(self, leg: DatagramLeg, queue: _Queue) -> None:
        datagrams, queue.datagrams, queue.size = queue.datagrams, [], 0
        self._send_runs(leg, datagrams, queue.name)

    def _send_runs(self, leg: DatagramLeg, datagrams: Sequence[bytes], name: Name) -> None:
        begin = 0
        while begin < len(datagrams):
            end = self._end_of_run(datagrams, begin, leg.most_segment)
            run = datagrams[begin:end]
            leg.dropped += len(run) - self._send_run(leg, run, name)
            begin = end

    def _end_of_run(self, datagrams: Sequence[bytes], begin: int, most_segment: int) -> int:
        """Where the datagrams end that the system can send together."""
        return end_of_run(datagrams, begin, most_segment if self._can_segment else 0)

    def _send_run(self, leg: DatagramLeg, run: Sequence[bytes], name: Name) -> int:
        """How many of them the system took."""
        size = len(run[0])
        control = () if len(run) == 1 else (cut(size),)
        for _ in range(2):
            try:
                self._plain.sendmsg(run, control, 0, name)
                return len(run)
            except ConnectionRefusedError:
                # That is about an earlier datagram, and these were not sent.
                continue
            except OSError as error:
                if control and error.errno in NOT_SEGMENTED:
                    leg.most_segment = size - 1
                    return sum(self._send_run(leg, (each,), name) for each in run)
                break
        return 0
