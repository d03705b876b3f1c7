"""Tests of the driver of datagram cores."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.driving import DatagramDriver
from relaykit.sansio.contract import Buffer
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.values import Address

PEER = Address("192.0.2.1", 9)


class _Core:
    """Notes its inputs, gives out what a test put in."""

    def __init__(self) -> None:
        self.inputs: list[tuple[object, ...]] = []
        self.outbox: list[Datagram] = []
        self.pending: list[str] = []
        self.wakeup: float | None = None

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Notes it, and tells it."""
        self.inputs.append((bytes(data), source, via, now))
        self.pending.append("received")

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Gives out."""
        taken, self.outbox = self.outbox, []
        return taken

    def next_wakeup(self) -> float | None:
        """What the test wants."""
        return self.wakeup

    def wake(self, now: float) -> None:
        """Notes it."""
        self.inputs.append(("wake", now))
        self.wakeup = None

    def events(self) -> Sequence[str]:
        """Gives out."""
        taken, self.pending = self.pending, []
        return taken


class _Socket:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address, int | None]] = []
        self.receiver = _nobody

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """Notes it."""
        self.sent.append((payload, destination, ttl))
        return True


def _nobody(data: bytes, source: Address, arrived_at: str) -> None:
    raise AssertionError("the driver does not listen")


class DatagramDriverTests(SynchronousTestCase):
    """The one initiator of datagram cores."""

    def setUp(self) -> None:
        """Makes a driver over two sockets, whose clocks differ."""
        self.clock = Clock()
        self.core = _Core()
        self.sockets = [_Socket(), _Socket()]
        self.told: list[str] = []
        self.driver = DatagramDriver(
            self.core,
            self.sockets,
            self.clock,
            self.tell,
            lambda: self.clock.seconds() + 1000.0,
        )

    def tell(self, event: str) -> None:
        """Notes an event; acting on it, makes the core send."""
        self.told.append(event)
        self.core.outbox.append(Datagram(b"answer", PEER, 1, 2))

    def test_input(self) -> None:
        """What arrives goes in with its socket; events come out, then what they made the core send."""
        self.driver.start()
        self.sockets[1].receiver(b"x", PEER, "")
        self.assertEqual(self.core.inputs, [(b"x", PEER, 1, 1000.0)])
        self.assertEqual(self.told, ["received"])
        self.assertEqual((self.sockets[0].sent, self.sockets[1].sent), ([], [(b"answer", PEER, 2)]))

    def test_waking(self) -> None:
        """The core is woken when it asked for it, by its own clock."""
        self.core.wakeup = 1002.0
        self.driver.start()
        self.clock.advance(1.9)
        self.assertEqual(self.core.inputs, [])
        self.clock.advance(0.1)
        self.assertEqual(self.core.inputs, [("wake", 1002.0)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """After the stop nothing reaches the core, and no timer is left."""
        self.core.wakeup = 1002.0
        self.driver.start()
        self.driver.stop()
        self.sockets[0].receiver(b"x", PEER, "")
        self.driver.step()
        self.assertEqual((self.core.inputs, self.clock.getDelayedCalls()), ([], []))

    def test_stop_within_an_event(self) -> None:
        """Whoever stops it while acting on an event still has the core's last words sent."""
        self.driver = DatagramDriver(
            self.core,
            self.sockets,
            self.clock,
            lambda event: self.driver.stop(),
        )
        self.driver.start()
        self.core.outbox.append(Datagram(b"last", PEER))
        self.core.wakeup = 5.0
        self.sockets[0].receiver(b"x", PEER, "")
        self.assertEqual(self.sockets[0].sent, [(b"last", PEER, None)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_defect(self) -> None:
        """A defect while acting on an event is logged, and the core is left alone."""
        self.driver = DatagramDriver(
            self.core,
            self.sockets,
            self.clock,
            lambda event: 1 // 0,
        )
        self.driver.start()
        self.sockets[0].receiver(b"x", PEER, "")
        self.sockets[0].receiver(b"y", PEER, "")
        self.assertEqual(len(self.core.inputs), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
