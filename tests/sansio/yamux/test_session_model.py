"""Two sessions against a simple model: what goes in at one end comes out at the other, once, in order."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.yamux.session import MuxRole, YamuxSession
from relaykit.sansio.yamux.streams import (
    INITIAL_WINDOW_BYTES,
    SessionEnded,
    Stream,
    StreamEnded,
    StreamLost,
    StreamOpened,
)
from relaykit.values import Ended

SIZES = st.sampled_from([1, 12, 3000, 64 * 1024, 64 * 1024 + 1, INITIAL_WINDOW_BYTES + 5])
BUDGETS = st.sampled_from([1, 5000, 64 * 1024, 1 << 20])
PLACES = st.integers(0, 1 << 30)


class Direction:
    """One direction of one stream, as the model sees it."""

    def __init__(self) -> None:
        self.written = b""
        self.ending = False
        self.arrived = b""
        self.read = 0
        self.ended = False
        self.cut = False


class Side:
    """One end of the link: its session, and what it was told."""

    def __init__(self, role: MuxRole) -> None:
        self.session = YamuxSession(role, 0.0, 30.0)
        self.streams: dict[int, Stream] = {}
        self.lost: dict[int, Ended] = {}
        self.incoming: dict[int, Direction] = {}
        self.flight = b""

    def live(self) -> list[int]:
        """The numbers of the streams that can be used here, in order."""
        return [number for number in self.streams if number not in self.lost]


class MuxModel(RuleBasedStateMachine):
    """Everything that two applications and the network between them may do."""

    @initialize()
    def begin(self) -> None:
        """Connects two sessions."""
        self.now = 0.0
        self.cut = 0
        self.near, self.far = Side(MuxRole.CLIENT), Side(MuxRole.SERVER)
        self.sides = (self.near, self.far)

    def other(self, side: Side) -> Side:
        """The opposite end."""
        return self.far if side is self.near else self.near

    def pick(self, first: bool, place: int) -> tuple[Side, Stream] | None:
        """A side and one of its live streams, if it has any."""
        side = self.near if first else self.far
        live = side.live()
        return (side, side.streams[live[place % len(live)]]) if live else None

    @precondition(lambda self: len(self.near.streams) < 6)
    @rule(first=st.booleans(), urgent=st.booleans())
    def open(self, first: bool, urgent: bool) -> None:
        """Either side opens a stream."""
        side = self.near if first else self.far
        stream = side.session.open_stream(self.now, urgent)
        side.streams[stream.id] = stream
        side.incoming[stream.id] = Direction()
        self.other(side).incoming[stream.id] = Direction()

    @rule(first=st.booleans(), place=PLACES, size=SIZES)
    def write(self, first: bool, place: int, size: int) -> None:
        """An application writes, more than the windows hold."""
        found = self.pick(first, place)
        if found is not None:
            side, stream = found
            direction = self.other(side).incoming[stream.id]
            chunk = bytes([len(direction.written) % 251]) * size
            side.session.write(stream, chunk)
            if not direction.ending:
                direction.written += chunk

    @rule(first=st.booleans(), place=PLACES)
    def finish(self, first: bool, place: int) -> None:
        """An application ends its direction."""
        found = self.pick(first, place)
        if found is not None:
            side, stream = found
            side.session.finish(stream)
            self.other(side).incoming[stream.id].ending = True

    @rule(first=st.booleans(), place=PLACES, abruptly=st.booleans())
    def leave(self, first: bool, place: int, abruptly: bool) -> None:
        """An application wants no more of a stream."""
        found = self.pick(first, place)
        if found is not None:
            side, stream = found
            side.incoming[stream.id].cut = True
            if abruptly:
                self.other(side).incoming[stream.id].cut = True
                side.session.reset(stream)
            else:
                self.other(side).incoming[stream.id].ending = True
                side.session.close(stream, self.now)

    @rule(first=st.booleans(), place=PLACES, share=st.integers(1, 4))
    def read(self, first: bool, place: int, share: int) -> None:
        """An application reads a part of what has arrived."""
        found = self.pick(first, place)
        if found is not None:
            side, stream = found
            direction = side.incoming[stream.id]
            count = (len(direction.arrived) - direction.read) // share
            direction.read += count
            side.session.consumed(stream, count)

    @rule(first=st.booleans(), budget=BUDGETS)
    def send(self, first: bool, budget: int) -> None:
        """A side hands its output to the network."""
        side = self.near if first else self.far
        pieces = side.session.to_send(self.now, budget)
        self.other(side).flight += b"".join(bytes(piece) for piece in pieces)
        self.act(side)

    @rule(first=st.booleans(), count=st.integers(1, 40) | st.sampled_from([5000, 1 << 30]))
    def carry(self, first: bool, count: int) -> None:
        """The network delivers a part of what is on its way, cut into portions of 1 to 13 bytes at first."""
        side = self.near if first else self.far
        portion, side.flight = side.flight[:count], side.flight[count:]
        self.cut = self.cut % 13 + 1
        places = [0, *itertools.accumulate([self.cut] * 30), self.cut * 4000, len(portion)]
        for begin, end in itertools.pairwise(places):
            side.session.receive(portion[begin:end], self.now)
            self.act(side)

    @rule(seconds=st.sampled_from([0.001, 1.0, 29.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, with a network that is quick enough."""
        self.quiesce()
        self.now += seconds
        for side in self.sides:
            side.session.wake(self.now)

    def act(self, side: Side) -> None:
        """Notes what a side was told."""
        for event in side.session.events():
            if isinstance(event, tuple):
                stream, payload = event
                direction = side.incoming[stream.id]
                assert not direction.ended, "payload behind the end"
                direction.arrived += bytes(payload)
            elif isinstance(event, StreamOpened):
                side.streams[event.stream.id] = event.stream
                side.session.accept(event.stream)
            elif isinstance(event, StreamEnded):
                side.incoming[event.stream.id].ended = True
            elif isinstance(event, StreamLost):
                assert event.stream.id not in side.lost, "lost twice"
                side.lost[event.stream.id] = event.reason
                if event.reason is Ended.TIMEOUT:
                    # Closed, and the peer did not read for a whole linger time.
                    self.other(side).incoming[event.stream.id].cut = True
            else:
                assert not isinstance(event, SessionEnded), event

    def quiesce(self) -> None:
        """Carries everything that can be carried."""
        for _ in range(100):
            for first in (True, False):
                self.send(first, 1 << 20)
                self.carry(first, 1 << 30)
            if not any(side.session.has_output or side.flight for side in self.sides):
                return
        raise AssertionError("the sessions never come to rest")

    @invariant()
    def nothing_is_invented(self) -> None:
        """What arrived is the beginning of what was written."""
        for side in getattr(self, "sides", ()):
            for direction in side.incoming.values():
                assert direction.written.startswith(direction.arrived)

    @invariant()
    def windows_hold(self) -> None:
        """Unread payload never exceeds the window, and the account of each window balances."""
        for side in getattr(self, "sides", ()):
            for number in side.live():
                stream, direction = side.streams[number], side.incoming[number]
                unread = len(direction.arrived) - direction.read
                assert unread <= stream.window_bytes
                assert stream.receive_window >= 0
                if not stream.ignoring_input:
                    assert stream.receive_window + unread + stream.consumed_bytes <= stream.window_bytes

    def teardown(self) -> None:
        """When all is read and carried, nothing of an undisturbed direction is missing."""
        if not hasattr(self, "sides"):
            return
        while True:
            self.quiesce()
            unread = [
                (side, number)
                for side in self.sides
                for number in side.live()
                if len(side.incoming[number].arrived) > side.incoming[number].read
            ]
            if not unread:
                break
            for side, number in unread:
                direction = side.incoming[number]
                side.session.consumed(side.streams[number], len(direction.arrived) - direction.read)
                direction.read = len(direction.arrived)
        for side in self.sides:
            for direction in side.incoming.values():
                if not direction.cut:
                    assert direction.arrived == direction.written
                    assert direction.ended == direction.ending


class MuxModelTests(SynchronousTestCase):
    """Runs the model."""

    def test_model(self) -> None:
        """No byte is lost, doubled or delivered to another stream, and no window is exceeded."""
        machine = MuxModel.TestCase
        machine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
        machine("runTest").debug()
