"""How much a peer may send that serves nobody, as who wants to keep the other end busy does."""

from __future__ import annotations

from typing import Final

from relaykit.sansio.points import Points

__all__ = [
    "BYTES_EARN_POINT",
    "MOST_POINTS",
    "NUISANCE_COSTS",
    "POINTS_PER_S",
    "WASTED_STREAM_COSTS",
    "allowance",
]

MOST_POINTS: Final = 20_000
"""Points that a mux link has at first, and at most: a client may lose its users all at once, and each costs a
few microseconds."""

POINTS_PER_S: Final = 1000.0
"""Points that come back each second: a hundredth of a processor at most is spent on them."""

NUISANCE_COSTS: Final = 1
"""Cost of a frame that moves nothing: a ping, a window update, an empty frame of data, one for a stream that
is gone or refused."""

WASTED_STREAM_COSTS: Final = 10
"""Cost of a stream that the peer opened and that came to nothing: it was gone before anybody knew what for,
or reset before it was answered.  Source: CVE-2023-44487, which is of HTTP/2."""

BYTES_EARN_POINT: Final = 1024
"""Bytes, of either direction, that bring back a point: whoever moves much tells of its windows often."""


def allowance(now: float) -> Points:
    """The points of one link."""
    return Points(MOST_POINTS, POINTS_PER_S, now)
