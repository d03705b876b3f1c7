"""Two cores on one clock: what one sends the other receives, and time jumps to the next event."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import define, field

from relaykit.errors import RemoteProtocolError

if TYPE_CHECKING:
    from relaykit.sansio.contract import StreamCore

__all__ = ["MOST_STEPS", "CorePair", "PairSide", "byte_by_byte", "whole"]

MOST_STEPS = 100_000
"""Steps after which :meth:`CorePair.settle` calls the pair a loop that never comes to rest."""

NearT = TypeVar("NearT", bound="StreamCore[Any]")
FarT = TypeVar("FarT", bound="StreamCore[Any]")
CoreT = TypeVar("CoreT", bound="StreamCore[Any]")


def whole(data: bytes) -> Iterable[bytes]:
    """Delivers bytes as they were sent."""
    return (data,)


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    """Delivers bytes one at a time."""
    return (data[place : place + 1] for place in range(len(data)))


@define(eq=False)
class PairSide(Generic[CoreT]):
    """One of the two cores, and what the pair saw of it."""

    core: CoreT
    events: list[Any] = field(factory=list)
    """What it told so far, oldest first; a test may clear it."""
    received: int = 0
    """Bytes that it was fed."""
    error: RemoteProtocolError | None = None
    """What it said about the peer's bytes; it is fed nothing after that."""
    _flight: deque[tuple[float, bytes | None]] = field(factory=deque, repr=False)

    @property
    def next_arrival(self) -> float | None:
        """When the next bytes, or the end of them, reach this side."""
        return self._flight[0][0] if self._flight else None


class CorePair(Generic[NearT, FarT]):
    """Two cores, one clock.

    After commands to either core, :meth:`settle` exchanges bytes until both are quiet, without
    letting more time pass than ``latency`` needs; :meth:`advance` lets time pass, stopping at each
    wake-up and arrival on the way, as drivers would.
    """

    def __init__(
        self,
        near: NearT,
        far: FarT,
        *,
        latency: float = 0.0,
        deliver: Callable[[bytes], Iterable[bytes]] = whole,
        now: float = 0.0,
    ) -> None:
        """``latency`` is in seconds, one way; ``deliver`` cuts what arrives into portions."""
        self.near = PairSide(near)
        self.far = PairSide(far)
        self.latency = latency
        self.now = now
        self._deliver = deliver

    def settle(self) -> None:
        """Exchanges bytes until neither side has more to send and nothing is on its way.

        :raises AssertionError: they never stop.
        """
        for _ in range(MOST_STEPS):
            self._flush()
            arrival = self._next_arrival()
            if arrival is None:
                return
            self.now = max(self.now, arrival)
            self._arrive()
        raise AssertionError(f"still exchanging bytes after {MOST_STEPS} steps")

    def advance(self, seconds: float) -> None:
        """Lets time pass.

        :raises AssertionError: a core wants to be woken again and again without letting time pass.
        """
        end = self.now + seconds
        for _ in range(MOST_STEPS):
            self._flush()
            due = self._next_due()
            if due is None or due > end:
                self.now = end
                return
            self.now = max(self.now, due)
            self._arrive()
            self._wake()
        raise AssertionError(f"more than {MOST_STEPS} things to do within {seconds} seconds")

    def step(self) -> bool:
        """Jumps to the next arrival or wake-up and lets it happen; false when nothing will."""
        self._flush()
        due = self._next_due()
        if due is None:
            return False
        self.now = max(self.now, due)
        self._arrive()
        self._wake()
        self._flush()
        return True

    def end_near(self) -> None:
        """Tells the far core, after what is on its way, that the near one sends no more."""
        self._flush()
        self.far._flight.append((self.now + self.latency, None))

    def end_far(self) -> None:
        """Tells the near core, after what is on its way, that the far one sends no more."""
        self._flush()
        self.near._flight.append((self.now + self.latency, None))

    def _flush(self) -> None:
        for side, peer in ((self.near, self.far), (self.far, self.near)):
            if side.core.has_input:
                self._feed(side, b"")
            side.events.extend(side.core.events())
            sent = b"".join(bytes(piece) for piece in side.core.to_send(self.now))
            if sent and peer.error is None:
                peer._flight.append((self.now + self.latency, sent))

    def _next_arrival(self) -> float | None:
        return min(
            (side.next_arrival for side in (self.near, self.far) if side.next_arrival is not None),
            default=None,
        )

    def _next_due(self) -> float | None:
        wakeups = [side.core.next_wakeup() for side in (self.near, self.far) if side.error is None]
        arrivals = [self.near.next_arrival, self.far.next_arrival]
        return min((due for due in (*wakeups, *arrivals) if due is not None), default=None)

    def _arrive(self) -> None:
        for side in (self.near, self.far):
            while side._flight and side._flight[0][0] <= self.now and side.error is None:
                _, data = side._flight.popleft()
                self._feed(side, data)

    def _feed(self, side: PairSide[Any], data: bytes | None) -> None:
        try:
            if data is None:
                side.core.end_received(self.now)
                side.events.extend(side.core.events())
                return
            for portion in self._deliver(data) if data else (data,):
                side.received += len(portion)
                side.core.receive(portion, self.now)
                side.events.extend(side.core.events())
                while side.core.has_input:
                    side.core.receive(b"", self.now)
                    side.events.extend(side.core.events())
        except RemoteProtocolError as error:
            side.error = error
            side._flight.clear()
            side.events.extend(side.core.events())

    def _wake(self) -> None:
        for side in (self.near, self.far):
            due = side.core.next_wakeup()
            if side.error is None and due is not None and due <= self.now:
                side.core.wake(self.now)
                side.events.extend(side.core.events())
