"""Two sessions and a line between them that loses, repeats, delays and reorders datagrams, seeded."""

from __future__ import annotations

import heapq
import itertools
import random
from math import inf

from attrs import frozen

from relaykit.sansio.kcp.options import FRP_TUNNEL, KcpOptions
from relaykit.sansio.kcp.session import KcpSession, SessionLost

__all__ = ["Line", "LineWeather"]

_MOST_STEPS = 200_000
_PARITY = b"\xf2\x00"


@frozen
class LineWeather:
    """What becomes of each datagram: chances, and seconds for one way."""

    loss: float = 0.0
    repeats: float = 0.0
    delay_s: tuple[float, float] = (0.01, 0.01)


class Line:
    """Steps two ends through time; the first one is ``ends[0]``.  All that arrives in order is read."""

    def __init__(
        self, options: KcpOptions = FRP_TUNNEL, weather: LineWeather | None = None, seed: int = 0
    ) -> None:
        self.now = 0.0
        self.weather = weather or LineWeather()
        self.ends = [KcpSession(1, options, 0.0), KcpSession(1, options, 0.0)]
        self.read = [bytearray(), bytearray()]
        self.reads = [True, True]
        """Whether each end's bytes are read."""
        self.sent = [0, 0]
        """Datagrams that each end has sent."""
        self.parity = 0
        """Those among them, of both, that had parity."""
        self.events: list[list[SessionLost]] = [[], []]
        self._chance = random.Random(seed)
        self._order = itertools.count()
        self._flying: list[tuple[float, int, int, bytes]] = []

    def run(self, seconds: float) -> None:
        """Lets time pass, from one thing that happens to the next."""
        end = self.now + seconds
        for _ in range(_MOST_STEPS):
            for place in (0, 1):
                self._serve(place)
            following = self._following()
            if following > end:
                self.now = end
                return
            self.now = max(self.now, following)
            self._arrive()
        raise AssertionError("the line never came to rest")

    def settle(self, most_s: float = 60.0) -> None:
        """Lets time pass until both ends have what the other one wrote."""
        until = self.now + most_s
        while not all(end.is_settled for end in self.ends):
            assert self.now < until, f"not settled within {most_s:g} seconds"
            self.run(0.05)

    def _serve(self, place: int) -> None:
        end = self.ends[place]
        end.wake(self.now)
        if self.reads[place]:
            self.read[place] += end.read()
        for datagram in end.to_send(self.now):
            self.sent[place] += 1
            self.parity += datagram[4:6] == _PARITY
            self._send(1 - place, datagram)
        self.events[place] += end.events()

    def _send(self, place: int, datagram: bytes) -> None:
        weather, chance = self.weather, self._chance
        for _ in range(1 + (chance.random() < weather.repeats)):
            if chance.random() >= weather.loss:
                at = self.now + chance.uniform(*weather.delay_s)
                heapq.heappush(self._flying, (at, next(self._order), place, datagram))

    def _following(self) -> float:
        wakeups = [due for end in self.ends if (due := end.next_wakeup()) is not None]
        return min([inf, *wakeups, *(at for at, _, _, _ in self._flying[:1])])

    def _arrive(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, place, datagram = heapq.heappop(self._flying)
            self.ends[place].receive(memoryview(datagram), self.now)
