"""How much a user may ask for that serves nobody, as who wants to keep a server busy does."""

from __future__ import annotations

from typing import Final

from relaykit.sansio.http2.frames import ConnectionFault, ErrorCode
from relaykit.sansio.points import Points

__all__ = [
    "ANSWER_EARNS",
    "BYTES_EARN_POINT",
    "DATA_EARNS",
    "MOST_POINTS",
    "NUISANCE_COSTS",
    "RESET_COSTS",
    "Allowance",
]

MOST_POINTS: Final = 2000
"""Points that a connection has at first, and at most.  A browser that leaves a page resets all its streams at
once: that may come twice in a row."""

POINTS_PER_S: Final = 20.0
"""Points that come back each second: keep-alives and changed windows are some a second at most."""

NUISANCE_COSTS: Final = 1
"""Cost of a frame that moves nothing: PING, SETTINGS and each setting, PRIORITY, WINDOW_UPDATE, GOAWAY, an
empty DATA, an unknown one, a head on a stream that has ended.  Source: CVE-2019-9511 to CVE-2019-9518,
CVE-2020-11080."""

RESET_COSTS: Final = 8
"""Cost of a stream that ends by a reset, the user's or one that it makes us send: it may have cost a work
connection.  Source: CVE-2023-44487, CVE-2025-8671."""

ANSWER_EARNS: Final = 8
"""What a stream brings back that was answered to its end."""

DATA_EARNS: Final = 2
"""What a frame of a body brings back: whoever takes it tells of two windows.  Not one that was cut short by a
window: who opens its windows by a byte each time gets nothing for it.  Source: CVE-2019-9511."""

BYTES_EARN_POINT: Final = 1024
"""Bytes of a body that bring back a point, however they are cut."""


class Allowance(Points):
    """The points of one connection."""

    __slots__ = ()

    def __init__(self, now: float) -> None:
        super().__init__(MOST_POINTS, POINTS_PER_S, now)

    def spend(self, points: float, now: float) -> bool:
        """Takes points.

        :raises ConnectionFault: there are none left.
        """
        if not super().spend(points, now):
            text = "it sends too much that serves nothing: resets, pings, settings, windows"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)
        return True
