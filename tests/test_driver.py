"""Tests of the driver of cores."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.driver import MOST_UNREAD_BYTES, CoreDriver, LegDriver
from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import CAPACITY_BYTES, MemoryNetwork, RecordingReceiver
from relaykit.timer import PORTION_S
from relaykit.values import Ended


class Parrot:
    """A core that repeats what it hears, tells each portion, and says ``tick`` when it is time."""

    has_input = False

    def __init__(self) -> None:
        self.out: list[Buffer] = [b"hi;"]
        self.heard: list[Any] = []
        self.at: float | None = None
        self.mute = False

    def receive(self, data: Buffer, now: float) -> None:
        if bytes(data) == b"defect":
            raise ValueError("a defect in the core")
        if bytes(data) == b"bad":
            self.out.append(b"sorry;")
            raise RemoteProtocolError("that was bad")
        self.heard.append(bytes(data))
        self.out.append(bytes(data))

    def end_received(self, now: float) -> None:
        self.heard.append("end")

    def to_send(self, now: float) -> Sequence[Buffer]:
        if self.mute:
            raise ValueError("a defect in the core")
        out, self.out = self.out, []
        return out

    def next_wakeup(self) -> float | None:
        return self.at

    def wake(self, now: float) -> None:
        if self.at is not None and now >= self.at:
            self.at = None
            self.out.append(b"tick;")

    def events(self) -> Sequence[Any]:
        heard, self.heard = self.heard, []
        return heard


class Slow(Parrot):
    """A core that deals with one byte at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.left = b""

    @property
    def has_input(self) -> bool:  # type: ignore[override]  # of the other it never changes
        return bool(self.left)

    def receive(self, data: Buffer, now: float) -> None:
        self.left += bytes(data)
        first, self.left = self.left[:1], self.left[1:]
        if first:
            super().receive(first, now)


class Egg:
    """A core without a wire: it tells that it is done when its time has come."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.pending: list[str] = []
        self.cracked = False

    def next_wakeup(self) -> float | None:
        return self.at

    def wake(self, now: float) -> None:
        if self.cracked:
            raise ValueError("a defect in the core")
        if self.at is not None and now >= self.at:
            self.at = None
            self.pending.append("done")

    def events(self) -> Sequence[str]:
        pending, self.pending = self.pending, []
        return pending


class CoreDriverTests(SynchronousTestCase):
    """What a driver does with a core that has no wire of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.core = Egg()
        self.told: list[str] = []
        self.driver = CoreDriver(self.core, self.clock, self.on_event)

    def on_event(self, event: str) -> None:
        """Notes an event; some make it do things."""
        self.told.append(event)
        if event == "boom":
            raise RuntimeError("a defect")
        if event == "stop":
            self.driver.stop()

    def test_events(self) -> None:
        """Events are told after a command."""
        self.core.pending = ["a", "b"]
        self.driver.step()
        self.assertEqual(self.told, ["a", "b"])

    def test_waking(self) -> None:
        """The core is woken when it asked for it, and its events are told."""
        self.core.at = 5.0
        self.driver.step()
        self.clock.pump([2.0] * 3)
        self.assertEqual((self.told, self.clock.getDelayedCalls()), (["done"], []))

    def test_other_clock(self) -> None:
        """The core's time can be that of another clock than the one that waits."""
        driver = CoreDriver(self.core, self.clock, self.on_event, lambda: self.clock.seconds() + 1000.0)
        self.core.at = 1005.0
        driver.step()
        self.clock.advance(5.0)
        self.assertEqual((self.told, driver.now), (["done"], 1005.0))

    def test_defect(self) -> None:
        """A defect in acting on an event is logged; the events of others are told."""
        self.core.pending = ["boom", "other"]
        self.core.at = 5.0
        self.driver.step()
        self.clock.advance(5.0)
        self.assertEqual(self.told, ["boom", "other", "done"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_defect_of_waking(self) -> None:
        """A core that fails when it is woken is not woken again and again: the next input comes first."""
        self.core.at = 5.0
        self.core.cracked = True
        self.driver.step()
        self.clock.pump([5.0] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.core.cracked = False
        self.driver.step()
        self.clock.advance(0.0)
        self.assertEqual(self.told, ["done"])

    def test_stop(self) -> None:
        """Once it is stopped, also by whom it tells, it tells no more, and no timer is left."""
        self.core.at = 5.0
        self.core.pending = ["stop", "other"]
        self.driver.step()
        self.core.pending = ["late"]
        self.driver.step()
        self.assertEqual((self.told, self.clock.getDelayedCalls()), (["stop"], []))


class Owner:
    """Has a driver whose events it is told, as sessions do."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.peer, leg = network.pair()
        self.driver: LegDriver[Any] = LegDriver(Parrot(), leg, Clock(), self.on_event)
        self.driver.start()

    def on_event(self, event: Any) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """The peer drops the connection."""
        self.peer.abort()
        self.network.flush()


class LegDriverTests(SynchronousTestCase):
    """What a driver does with a core and a leg."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork()
        self.peer, leg = self.network.pair()
        self.received = RecordingReceiver(self.peer)
        self.core = Parrot()
        self.told: list[Any] = []
        self.driver: LegDriver[Any] = LegDriver(self.core, leg, self.clock, self.on_event)
        self.lost = self.driver.when_lost()

    def on_event(self, event: Any) -> None:
        """Notes an event; some make it do things."""
        self.told.append(event)
        if event == b"boom":
            raise RuntimeError("a defect")
        if event == b"again":
            self.core.heard.append("nested")
            self.driver.step()

    def take_core(self, core: Slow) -> None:
        """Starts a driver of this core in place of the other."""
        self.peer, leg = self.network.pair()
        self.driver = LegDriver(core, leg, self.clock, self.on_event)
        self.driver.start()

    def start(self, at: float | None = None) -> None:
        """Starts the driver."""
        self.core.at = at
        self.driver.start()
        self.network.flush()

    def say(self, data: bytes) -> None:
        """The peer says something."""
        self.peer.write(data)
        self.network.flush()

    def test_begins(self) -> None:
        """What the core has to send at the beginning goes out."""
        self.start()
        self.assertEqual(self.received.data, b"hi;")

    def test_nothing_left_behind(self) -> None:
        """Who has a driver, and is told its events, is gone with it once the leg is: no garbage is left."""
        self.addCleanup(gc.enable)
        gc.disable()
        owner = Owner(MemoryNetwork())
        gone = weakref.ref(owner)
        owner.end()
        del owner
        self.assertIsNone(gone())

    def test_input(self) -> None:
        """Input is fed to the core, its events are told, its answer is sent."""
        self.start()
        self.say(b"hello")
        self.assertEqual((self.told, self.received.data), ([b"hello"], b"hi;hello"))

    def test_portions(self) -> None:
        """Input that the core has left gets its portion of each turn; nothing is read before it is done."""
        core = Slow()
        self.take_core(core)
        now = 0.0

        def seconds() -> float:
            nonlocal now
            now += PORTION_S / 4
            return now

        self.patch(self.clock, "seconds", seconds)
        self.peer.write(b"a" * 100)
        self.network.turn()
        self.assertEqual(len(self.told), 1)
        self.peer.write(b"bb")
        turns = 0
        unread = []
        while core.has_input:
            before = len(self.told)
            self.network.turn()
            self.assertLess(len(self.told) - before, 6)
            turns += 1
            unread.append(self.peer.queued)
        self.assertGreater(turns, 15)
        self.assertEqual(set(unread[:-1]), {2})
        self.network.flush()
        self.assertEqual(b"".join(self.told), b"a" * 100 + b"bb")

    def test_portions_that_are_over_at_once(self) -> None:
        """On a machine that gives it no time at all, input is dealt with all the same."""
        core = Slow()
        self.take_core(core)
        now = 0.0

        def seconds() -> float:
            nonlocal now
            now += 2 * PORTION_S
            return now

        self.patch(self.clock, "seconds", seconds)
        self.say(b"abcdef")
        self.assertEqual(b"".join(self.told), b"abcdef")

    def test_input_that_a_command_releases(self) -> None:
        """Input may be left after any step: it is gone on with in the next turn."""
        core = Slow()
        self.take_core(core)
        core.left = b"aaaa"
        self.driver.step()
        self.assertEqual(self.told, [])
        self.network.flush()
        self.assertEqual(b"".join(self.told), b"aaaa")

    def test_unread_output(self) -> None:
        """A peer that reads nothing is not read either, until it does."""
        self.start()
        self.peer.pauseProducing()
        self.say(bytes(CAPACITY_BYTES))
        told = len(self.told)
        self.say(b"more")
        self.say(b"and more")
        self.assertEqual(len(self.told), told)
        self.peer.resumeProducing()
        self.network.flush()
        self.assertEqual(b"".join(self.told[told:]), b"moreand more")
        self.assertEqual(self.received.data[-12:], b"moreand more")

    def test_reading_on(self) -> None:
        """Who reads on takes what a peer says that does not read, and gives it up for no output."""
        self.peer, leg = self.network.pair()
        driver = LegDriver(self.core, leg, self.clock, self.on_event, reads_on=True)
        driver.start()
        for _ in range(2 * MOST_UNREAD_BYTES // CAPACITY_BYTES):
            self.core.out.append(bytes(CAPACITY_BYTES))
            driver.step()
        self.say(b"more")
        self.assertEqual(self.told, [b"more"])
        self.assertNoResult(driver.when_lost())

    def test_too_much_unread_output(self) -> None:
        """A peer that does not read what it is told on the core's own account is given up."""
        self.start()
        self.peer.pauseProducing()
        for _ in range(MOST_UNREAD_BYTES // CAPACITY_BYTES + 1):
            self.core.out.append(bytes(CAPACITY_BYTES))
            self.driver.step()
            self.network.flush()
        self.assertNoResult(self.lost)
        with capturedLogs() as logged:
            self.core.out.append(bytes(CAPACITY_BYTES))
            self.driver.step()
            self.driver.step()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.REFUSED)
        self.assertEqual(len(logged), 1)

    def test_lost_while_nothing_is_read(self) -> None:
        """The loss of a peer that has not read its output is noticed."""
        self.start()
        self.peer.pauseProducing()
        self.say(bytes(CAPACITY_BYTES))
        self.peer.abort()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.RESET)

    def test_pieces(self) -> None:
        """Pieces that arrive together are one input: a peer that sends byte by byte costs no more."""
        self.start()
        self.driver.pieces_received([b"he", memoryview(b"ll"), b"o"])
        self.assertEqual(self.told, [b"hello"])

    def test_held(self) -> None:
        """A peer that is held is not read, nor is what it had sent dealt with, until it is let go."""
        core = Slow()
        self.take_core(core)
        self.peer.write(b"abcdef")
        self.network.turn()
        self.driver.hold(True)
        self.peer.write(b"gh")
        self.network.flush()
        told = len(self.told)
        self.assertLess(told, 6)
        self.assertEqual(self.peer.queued, 2)
        self.driver.hold(False)
        self.network.flush()
        self.assertEqual(b"".join(self.told), b"abcdefgh")

    def test_lost_while_held(self) -> None:
        """The loss of a peer that is held is noticed."""
        self.start()
        self.driver.hold(True)
        self.peer.abort()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.RESET)

    def test_events_of_events(self) -> None:
        """Events that acting on an event causes are told after it, not within it."""
        self.start()
        self.say(b"again")
        self.assertEqual(self.told, [b"again", "nested"])

    def test_timer(self) -> None:
        """The core is woken when it asked to be, and once."""
        self.start(at=5.0)
        self.clock.advance(4)
        self.network.flush()
        self.assertEqual(self.received.data, b"hi;")
        self.clock.advance(1)
        self.network.flush()
        self.assertEqual(self.received.data, b"hi;tick;")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_rules_broken(self) -> None:
        """When the peer breaks the rules it gets the core's last words, and the connection ends."""
        self.start()
        self.say(b"bad")
        self.assertEqual(self.received.data, b"hi;sorry;")
        self.peer.close()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.PROTOCOL_ERROR)

    def test_defect(self) -> None:
        """A defect while acting on an event costs the connection, and is logged."""
        self.start()
        self.say(b"boom")
        self.assertEqual(self.successResultOf(self.lost), Ended.INTERNAL_ERROR)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_no_event_after_a_defect(self) -> None:
        """After a defect no event of that connection is told, and nothing of it waits for a time."""
        self.start(at=5.0)
        self.core.heard.append(b"before")
        self.say(b"boom")
        self.core.heard.append(b"after")
        self.driver.step()
        self.assertEqual(self.told, [b"before", b"boom"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_defect_of_the_core(self) -> None:
        """A defect of the core while it receives costs the connection, and is logged once."""
        self.start(at=5.0)
        self.say(b"defect")
        self.assertEqual(self.successResultOf(self.lost), Ended.INTERNAL_ERROR)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_defect_of_output(self) -> None:
        """So does a defect while it gives its output, also where the connection is being closed."""
        self.start()
        self.core.mute = True
        self.driver.close(Ended.STOPPED)
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.STOPPED)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_defect_after_input(self) -> None:
        """A defect in the output that an input causes costs the connection."""
        self.start()
        self.core.mute = True
        self.say(b"hello")
        self.assertEqual(self.successResultOf(self.lost), Ended.INTERNAL_ERROR)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_end(self) -> None:
        """The peer's end is told to the core, then the connection is closed."""
        self.start()
        self.peer.close()
        self.network.flush()
        self.assertEqual(self.told, ["end"])
        self.assertEqual(self.successResultOf(self.lost), Ended.FINISHED)

    def test_loss(self) -> None:
        """The loss of the leg is told, early and late, and stops the timer."""
        self.start(at=5.0)
        self.peer.cut()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.RESET)
        self.assertEqual(self.successResultOf(self.driver.when_lost()), Ended.RESET)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_own_reasons(self) -> None:
        """Who closes or aborts says why; the first reason counts."""
        self.start()
        self.driver.close(Ended.STOPPED)
        self.driver.abort(Ended.TIMEOUT)
        self.network.flush()
        self.assertEqual(self.successResultOf(self.lost), Ended.STOPPED)
