"""How often somebody may do something: a bucket of tokens for each, which fills up again with time."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

__all__ = ["RateLimit", "subscriber"]


class RateLimit:
    """Token buckets by key: an address's :func:`subscriber`, a client.

    :param burst: what one may do at once.
    :param rate: what one may do in a second, for ever.
    :param most: keys that are remembered; beyond, the one that came longest ago is forgotten.
    """

    def __init__(self, burst: int, rate: float, most: int) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def admits(self, key: str, now: float) -> bool:
        """Whether this one may do it once more; counts it if so."""
        tokens, at = self._buckets.get(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + max(0.0, now - at) * self._rate)
        admitted = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if admitted else tokens, max(now, at))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return admitted


def subscriber(host: str) -> str:
    """Who an address belongs to: itself, or the /64 that IPv6 gives to one subscriber."""
    if ":" not in host:
        return host
    return ipaddress.IPv6Address(host.partition("%")[0]).exploded[:19]
