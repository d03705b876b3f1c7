"""How late the reactor does what is due: what everybody at this program waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Histogram
from twisted.application.service import Service

from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.administration.metrics.exposition import Families

__all__ = ["LOOK_S", "ReactorLag"]

LOOK_S = 1.0
"""Seconds between two looks: rare enough to cost nothing, and often enough that a scrape has many of them."""

_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ReactorLag(Service):
    """Looks at the time again and again, from its start to its stop."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._due = 0.0
        self._timer = Timer(clock, self._look)
        self.seconds = Histogram(
            "relaykit_reactor_lag_seconds",
            f"How late the event loop was, looked at each {LOOK_S:g} s",
            buckets=_BUCKETS,
            registry=None,
        )

    def startService(self) -> None:
        super().startService()
        self._wait()

    def stopService(self) -> None:
        super().stopService()
        self._timer.set(None)

    def take(self) -> Families:
        return self.seconds.collect

    def _look(self) -> None:
        self.seconds.observe(max(0.0, self._clock.seconds() - self._due))
        self._wait()

    def _wait(self) -> None:
        self._due = self._clock.seconds() + LOOK_S
        self._timer.set(self._due)
