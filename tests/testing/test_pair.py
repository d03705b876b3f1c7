"""Tests for :mod:`relaykit.testing.pair`."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.testing.pair import CorePair, byte_by_byte


class Talker:
    """A core that sends what it is told to, tells what came, and says "tick" every ten seconds."""

    has_input = False

    def __init__(self, period: float | None = 10.0) -> None:
        self._out: list[bytes] = []
        self._events: list[tuple[float, bytes | str]] = []
        self._period = period
        self._due = period

    def say(self, data: bytes) -> None:
        self._out.append(data)

    def receive(self, data: Buffer, now: float) -> None:
        if bytes(data) == b"junk":
            raise RemoteProtocolError("junk")
        self._events.append((now, bytes(data)))

    def end_received(self, now: float) -> None:
        self._events.append((now, "end"))

    def to_send(self, now: float) -> Sequence[Buffer]:
        out, self._out = self._out, []
        return out

    def next_wakeup(self) -> float | None:
        return self._due

    def wake(self, now: float) -> None:
        if self._due is not None and self._period is not None and now >= self._due:
            self._due += self._period
            self.say(b"tick")

    def events(self) -> Sequence[tuple[float, bytes | str]]:
        events, self._events = self._events, []
        return events


class Restless(Talker):
    """A core that always has something more to say."""

    def to_send(self, now: float) -> Sequence[Buffer]:
        return [b"x"]


class CorePairTests(SynchronousTestCase):
    """Tests for :class:`CorePair`."""

    def test_settle(self) -> None:
        """Bytes reach the other side after the latency, and no timer runs meanwhile."""
        pair = CorePair(Talker(), Talker(), latency=0.5)
        pair.near.core.say(b"hello")
        pair.settle()
        self.assertEqual(pair.far.events, [(0.5, b"hello")])
        self.assertEqual((pair.now, pair.far.received, pair.near.events), (0.5, 5, []))

    def test_advance(self) -> None:
        """Each wake-up on the way happens at its own time; the clock ends where it was told to."""
        pair = CorePair(Talker(10.0), Talker(None), latency=1.0)
        pair.advance(25.0)
        self.assertEqual(pair.far.events, [(11.0, b"tick"), (21.0, b"tick")])
        self.assertEqual(pair.now, 25.0)

    def test_step(self) -> None:
        """A step jumps to the next thing that happens, and tells when nothing will."""
        pair = CorePair(Talker(30.0), Talker(None))
        self.assertTrue(pair.step())
        self.assertEqual(pair.now, 30.0)
        self.assertFalse(CorePair(Talker(None), Talker(None)).step())

    def test_byte_by_byte(self) -> None:
        """What arrives may be cut."""
        pair = CorePair(Talker(), Talker(), deliver=byte_by_byte)
        pair.far.core.say(b"hi")
        pair.settle()
        self.assertEqual(pair.near.events, [(0.0, b"h"), (0.0, b"i")])

    def test_ends(self) -> None:
        """The end of a direction arrives after the bytes before it."""
        pair = CorePair(Talker(), Talker())
        pair.near.core.say(b"bye")
        pair.end_near()
        pair.end_far()
        pair.settle()
        self.assertEqual(pair.far.events, [(0.0, b"bye"), (0.0, "end")])
        self.assertEqual(pair.near.events, [(0.0, "end")])

    def test_error(self) -> None:
        """A core that refused its peer's bytes is remembered and fed nothing more."""
        pair = CorePair(Talker(None), Talker(None))
        pair.near.core.say(b"junk")
        pair.settle()
        pair.near.core.say(b"more")
        pair.settle()
        self.assertIsInstance(pair.far.error, RemoteProtocolError)
        self.assertEqual(pair.far.events, [])

    def test_never_quiet(self) -> None:
        """Two cores that never come to rest are an error, not a hang."""
        self.assertRaises(AssertionError, CorePair(Restless(), Talker()).settle)
        self.assertRaises(AssertionError, CorePair(Talker(0.0), Talker()).advance, 1.0)
