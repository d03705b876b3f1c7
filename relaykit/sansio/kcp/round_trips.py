"""How long an acknowledgement takes, and when a segment without one is sent again.

Source: RFC 6298; https://github.com/xtaci/kcp-go, kcp.go (update_ack).
"""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_TIMEOUT_S", "RoundTrips"]

FIRST_TIMEOUT_S: Final = 0.2
"""Seconds before the first acknowledgement."""

MOST_TIMEOUT_S: Final = 60.0
"""The longest one, however slow the peer has been."""


class RoundTrips:
    """Measures, and answers the time-out.  All times are in seconds."""

    __slots__ = ("_interval_s", "_least_s", "_variation_s", "smooth_s", "timeout_s")

    def __init__(self, interval_s: float, least_s: float) -> None:
        self._interval_s = interval_s
        self._least_s = least_s
        self._variation_s = 0.0
        self.smooth_s: float | None = None
        """The round trip by its latest measurements; None before the first."""
        self.timeout_s = FIRST_TIMEOUT_S

    def measured(self, seconds: float) -> None:
        """Takes a measurement."""
        if self.smooth_s is None:
            self.smooth_s, self._variation_s = seconds, seconds / 2
        else:
            difference = seconds - self.smooth_s
            self.smooth_s += difference / 8
            self._variation_s += (abs(difference) - self._variation_s) / 4
        timeout_s = self.smooth_s + max(self._interval_s, 4 * self._variation_s)
        self.timeout_s = min(max(self._least_s, timeout_s), MOST_TIMEOUT_S)
