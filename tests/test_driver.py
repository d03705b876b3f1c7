"""Tests of the driver of cores."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.driver import CoreDriver
from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended


class Parrot:
    """A core that repeats what it hears, tells each portion, and says ``tick`` when it is time."""

    def __init__(self) -> None:
        self.out: list[Buffer] = [b"hi;"]
        self.heard: list[Any] = []
        self.at: float | None = None
        self.ended = False

    def receive(self, data: Buffer, now: float) -> None:
        if bytes(data) == b"bad":
            self.out.append(b"sorry;")
            raise RemoteProtocolError("that was bad")
        self.heard.append(bytes(data))
        self.out.append(bytes(data))

    def end_received(self, now: float) -> None:
        self.heard.append("end")

    def to_send(self, now: float) -> Sequence[Buffer]:
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


class Owner:
    """Has a driver whose events it is told, as sessions do."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.peer, leg = network.pair()
        self.driver: CoreDriver[Any] = CoreDriver(Parrot(), leg, Clock(), self.on_event)
        self.driver.start()

    def on_event(self, event: Any) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """The peer drops the connection."""
        self.peer.abort()
        self.network.flush()


class DriverTests(SynchronousTestCase):
    """What a driver does with a core and a leg."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork()
        self.peer, leg = self.network.pair()
        self.received = RecordingReceiver(self.peer)
        self.core = Parrot()
        self.told: list[Any] = []
        self.driver: CoreDriver[Any] = CoreDriver(self.core, leg, self.clock, self.on_event)
        self.lost = self.driver.when_lost()

    def on_event(self, event: Any) -> None:
        """Notes an event; some make it do things."""
        self.told.append(event)
        if event == b"boom":
            raise RuntimeError("a defect")
        if event == b"again":
            self.core.heard.append("nested")
            self.driver.step()

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
