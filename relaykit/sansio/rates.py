"""How often somebody may do something: points for each, which come back with time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from relaykit.sansio.points import Points

if TYPE_CHECKING:
    from relaykit.sansio.sources import Source

__all__ = ["WIDER", "RateLimit"]

WIDER = 4
"""How many times as much a network may do that has many sources, such as the /56 of a single IPv6 line."""


class RateLimit:
    """Points by source, and by each wider network that it is a part of: those have WIDER times as many.

    :param burst: what one source may do at once.
    :param rate: what one may do in a second, for ever.
    :param most: networks that are remembered; beyond, the one that came longest ago is forgotten.
    """

    def __init__(self, burst: int, rate: float, most: int) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._points: OrderedDict[str, Points] = OrderedDict()

    def __len__(self) -> int:
        return len(self._points)

    def admits(self, source: Source, now: float) -> bool:
        """Whether this one may do it once more; counts it if so."""
        *wider, narrowest = source
        points = [self._points_of(name, WIDER, now) for name in wider]
        points.append(self._points_of(narrowest, 1, now))
        admitted = min(each.left(now) for each in points) >= 1.0
        if admitted:
            for each in points:
                each.spend(1.0, now)
        while len(self._points) > self._most:
            self._points.popitem(last=False)
        return admitted

    def _points_of(self, name: str, times: int, now: float) -> Points:
        """Those of a source or a network, which is the one that came last."""
        points = self._points.get(name)
        if points is None:
            points = self._points[name] = Points(self._burst * times, self._rate * times, now)
        self._points.move_to_end(name)
        return points
