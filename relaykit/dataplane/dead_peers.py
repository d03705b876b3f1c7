"""Finds connections whose peer is dead while bytes were on their way to it.

The kernel goes on sending them for a quarter of an hour.  Its own remedy, ``TCP_USER_TIMEOUT``, would also
end the connection of a peer that is alive and takes its time to read: a paused download.  What tells the
two apart is that the machine of the second still answers.  Where nothing is on its way, the kernel's
keepalive finds out.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["DeadPeers", "is_dead"]

DEAD_AFTER_S = 120.0
"""Seconds without a word of the peer's machine after which it is gone, if it was asked meanwhile; the
keepalive of an idle connection takes as long."""

UNANSWERED = 3
"""Repetitions, or questions for room, that must have gone unanswered: a machine that reads nothing is asked
every two minutes at most, and one question may be lost."""

LOOK_EVERY_S = 30.0
"""Seconds between two looks at all connections."""

_AT_ONCE = 256
"""Connections looked at before the reactor's other work goes on: less than a millisecond's worth."""

_PAUSE_S = 0.01

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES = 60
_REPETITIONS = struct.Struct("=2xBB")
_LAST_ANSWER_MS = struct.Struct("=56xI")
"""Source: linux/tcp.h, ``struct tcp_info``: retransmits, probes, and last_ack_recv."""


class _Leg(Protocol):
    """A leg on a TCP connection."""

    def tcp_info(self, count: int) -> bytes:
        """So many bytes of what the kernel tells of the connection."""

    def peer_died(self) -> None:
        """Ends the leg: its peer is gone."""


def is_dead(info: bytes) -> bool:
    """Whether the peer is gone, by what the kernel tells of a connection."""
    repeated, asked = _REPETITIONS.unpack_from(info)
    (silent_ms,) = _LAST_ANSWER_MS.unpack_from(info)
    return bool(repeated + asked >= UNANSWERED and silent_ms >= DEAD_AFTER_S * 1000)


class DeadPeers:
    """Looks at every connection now and then; for Linux, elsewhere it does nothing."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._legs: set[_Leg] = set()
        self._next: IDelayedCall | None = None

    def watch(self, leg: _Leg) -> None:
        """Looks at this leg, too, from now on."""
        if _TCP_INFO is None:
            return
        self._legs.add(leg)
        if self._next is None:
            self._next = self._reactor.callLater(LOOK_EVERY_S, self._look_at_all)

    def forget(self, leg: _Leg) -> None:
        """Looks at it no more."""
        self._legs.discard(leg)
        if not self._legs and self._next is not None:
            self._next.cancel()
            self._next = None

    def _look_at_all(self) -> None:
        self._look_on(iter(list(self._legs)))

    def _look_on(self, legs: Iterator[_Leg]) -> None:
        self._next = None
        looked_at = 0
        for leg in islice(legs, _AT_ONCE):
            looked_at += 1
            if leg in self._legs:
                with contextlib.suppress(OSError):
                    if is_dead(leg.tcp_info(_TCP_INFO_BYTES)):
                        leg.peer_died()
        if not self._legs:
            return
        if looked_at == _AT_ONCE:
            self._next = self._reactor.callLater(_PAUSE_S, self._look_on, legs)
        else:
            self._next = self._reactor.callLater(LOOK_EVERY_S, self._look_at_all)
