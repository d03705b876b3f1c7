"""When a client dials its server again, and when it gives up."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

__all__ = ["AGAIN", "FIRST_LOGIN", "STOOD_S", "Backoff", "Pace"]

STOOD_S = 60.0
"""Seconds that a session must have lasted for the next delay to be the shortest again.

A session that is cut soon after each login would else be dialed without pause; frp looks at one
minute too.
"""

EXTENT_OF_JITTER = 0.5
"""The part of a delay that is left to chance: clients that lost one server spread themselves."""


@frozen
class Pace:
    """Delays in seconds: the first one, doubled after each failure, up to the longest."""

    first_s: float
    longest_s: float

    def delay_s(self, failures: int) -> float:
        """The longest that this many failures in a row (from 1 on) may delay the next attempt."""
        delay_s = self.first_s
        for _ in range(failures - 1):
            delay_s *= 2
            if delay_s >= self.longest_s:
                return self.longest_s
        return min(delay_s, self.longest_s)


FIRST_LOGIN = Pace(2.0, 10.0)
"""Until the first login has succeeded: somebody may be watching, and a wrong setting stays wrong."""

AGAIN = Pace(0.25, 20.0)
"""After a session was lost: most servers are back in a moment."""


class Backoff:
    """Counts failures in a row and says how long to wait before the next attempt.

    Call :meth:`established` when a login succeeded, :meth:`ended` when that session ended, and
    :meth:`failed` when an attempt did not lead to a session.  Where the network has changed, call
    :meth:`forget` and dial at once.

    ``entropy`` answers numbers from 0 up to but not including 1.  With ``login_fail_exit`` the
    client gives up when its very first attempt fails.
    """

    def __init__(self, entropy: Callable[[], float], *, login_fail_exit: bool = False) -> None:
        self._entropy = entropy
        self._login_fail_exit = login_fail_exit
        self._failures = 0
        self._ever_established = False
        self._since: float | None = None

    def established(self, now: float) -> None:
        """A login succeeded."""
        self._ever_established = True
        self._since = now

    def failed(self) -> float | None:
        """An attempt failed: seconds until the next one, None for giving up."""
        if self._login_fail_exit and not self._ever_established:
            return None
        return self._next_delay_s()

    def ended(self, now: float) -> float:
        """The established session ended: seconds until the next attempt."""
        since, self._since = self._since, None
        if since is not None and now - since >= STOOD_S:
            self._failures = 0
        return self._next_delay_s()

    def forget(self) -> None:
        """Forgets the failures: there is a new reason to expect success."""
        self._failures = 0

    def _next_delay_s(self) -> float:
        self._failures += 1
        pace = AGAIN if self._ever_established else FIRST_LOGIN
        return pace.delay_s(self._failures) * (1 - EXTENT_OF_JITTER * self._entropy())
