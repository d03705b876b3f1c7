"""How often somebody may do something: a bucket of tokens for each, which fills up again with time."""

from __future__ import annotations

from collections import OrderedDict

from relaykit.sansio.sources import Source

__all__ = ["WIDER", "RateLimit"]

WIDER = 4
"""How many times as much a network may do that has many sources, such as the /56 of a single IPv6 line."""


class RateLimit:
    """Token buckets by source, and by each wider network that it is a part of: those hold WIDER times as
    much.

    :param burst: what one source may do at once.
    :param rate: what one may do in a second, for ever.
    :param most: networks that are remembered; beyond, the one that came longest ago is forgotten.
    """

    def __init__(self, burst: int, rate: float, most: int) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def admits(self, source: Source, now: float) -> bool:
        """Whether this one may do it once more; counts it if so."""
        narrowest = len(source) - 1
        tokens = [self._tokens(name, 1 if at == narrowest else WIDER, now) for at, name in enumerate(source)]
        admitted = min(tokens) >= 1.0
        for name, left in zip(source, tokens, strict=True):
            self._buckets[name] = (left - 1.0 if admitted else left, self._since(name, now))
            self._buckets.move_to_end(name)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return admitted

    def _tokens(self, name: str, times: int, now: float) -> float:
        most = float(self._burst * times)
        tokens, at = self._buckets.get(name, (most, now))
        return min(most, tokens + max(0.0, now - at) * self._rate * times)

    def _since(self, name: str, now: float) -> float:
        bucket = self._buckets.get(name)
        return now if bucket is None else max(now, bucket[1])
