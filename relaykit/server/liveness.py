"""Whether a client is alive: heartbeats that it owes, and a probe when another one wants what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from relaykit.sansio.control.session import Heartbeat
from relaykit.sansio.rates import RateLimit
from relaykit.sansio.sources import source_of_host
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema import ServerTransport

__all__ = [
    "DEFAULT_HEARTBEAT_TIMEOUT_S",
    "PROBE_TIMEOUT_S",
    "LivenessProbe",
    "heartbeat_of",
]

DEFAULT_HEARTBEAT_TIMEOUT_S = 90.0
"""Seconds without a heartbeat of a client without mux after which it is lost, as frp; three of its default
intervals, for the server cannot know whether the client has chosen longer ones."""

PROBE_TIMEOUT_S = 3.0
"""Seconds that a client has to answer a probe; who asks waits so long, and an answer to a login
may take ten."""

LATE_S = 1.0
"""A deadline that comes so much too late was held up on this side, and what the client said meanwhile
waits to be read: it gets its time once more."""

PROBES_AT_ONCE = 32
"""Probes of one client at once; beyond that its last answer counts: who asks without end costs it nothing."""

PROBES_PER_S = 4.0
"""Probes of one client in a second after those."""

_ALL = source_of_host("")
"""Whoever asks counts as one."""


def heartbeat_of(transport: ServerTransport, muxed: bool) -> Heartbeat:
    """What is demanded of a client whose control connection is a stream of a mux link, or is not.

    A link that is pinged needs no heartbeats, and clients with mux send none: a timeout that is configured
    for the others must not end their sessions.
    """
    timeout_s: float = transport.heartbeat_timeout
    if muxed and transport.tcp_mux_keepalive_interval > 0:
        timeout_s = -1.0
    elif timeout_s == 0:
        timeout_s = -1.0 if muxed else DEFAULT_HEARTBEAT_TIMEOUT_S
    return Heartbeat(timeout_s=float(timeout_s) if timeout_s > 0 else None)


class LivenessProbe:
    """Finds out whether one client is alive, for as many as want to know.

    ``ask()`` does what makes a live client say something.  Whoever hears the client calls :meth:`heard`.
    ``is_deaf_since(time)`` says whether what the client said since then may have been lost on this side: then
    its silence proves nothing.
    """

    def __init__(
        self,
        ask: Callable[[], None],
        clock: IReactorTime,
        is_deaf_since: Callable[[float], bool] = lambda time: False,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._is_deaf_since = is_deaf_since
        self._timer = Timer(clock, self._on_due)
        self._rate = RateLimit(PROBES_AT_ONCE, PROBES_PER_S, 1)
        self._asked_at = 0.0
        self._due = 0.0
        self._is_over = False
        self._waiting: list[Deferred[bool]] = []

    def probe(self) -> Deferred[bool]:
        """Asks, unless it has answered very often just now; fires with whether it is alive.

        That is, whether it said anything within :data:`PROBE_TIMEOUT_S`, or cannot be heard.
        """
        if self._is_over:
            return succeed(False)
        now = self._clock.seconds()
        if not self._waiting and not self._rate.admits(_ALL, now):
            return succeed(True)
        waiting: Deferred[bool] = Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            self._asked_at = now
            self._wait()
            self._ask()
        return waiting

    def heard(self) -> None:
        """The client said something."""
        if self._waiting:
            self._answer(True)

    def lost(self) -> None:
        """The client is gone, and will not say anything any more."""
        self._is_over = True
        self._answer(False)
        self._timer.stop()

    def _wait(self) -> None:
        self._due = self._clock.seconds() + PROBE_TIMEOUT_S
        self._timer.set(self._due)

    def _on_due(self) -> None:
        if self._clock.seconds() - self._due > LATE_S:
            self._wait()
        else:
            self._answer(self._is_deaf_since(self._asked_at))

    def _answer(self, is_alive: bool) -> None:
        self._timer.set(None)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(is_alive)
