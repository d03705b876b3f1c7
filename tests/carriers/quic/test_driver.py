"""Tests of a connection that is run over a datagram leg."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.quic.driver import QuicDriver
from relaykit.errors import RemoteProtocolError
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Ended
from tests.carriers.quic.lines import Line


class Scripted:
    """A connection that sends, tells and ends what the test says."""

    def __init__(self) -> None:
        self.output: list[list[bytes]] = []
        self.happened: list[Any] = []
        self.received: list[list[bytes]] = []
        self.pings: list[int] = []
        self.closed: list[int] = []
        self.wakes: list[float] = []
        self.due: float | None = None
        self.ending: Any = None

    def start(self, now: float) -> None:
        """Sends a hello."""
        self.output.append([b"hello"])

    def receive(self, datagrams: list[bytes], now: float) -> None:
        """Notes them; one of them is a defect."""
        if b"defect" in datagrams:
            raise ZeroDivisionError("a defect")
        self.received.append(datagrams)

    def events(self) -> list[Any]:
        """Takes what happened."""
        happened, self.happened = self.happened, []
        return happened

    def to_send(self, now: float) -> list[bytes]:
        """Takes the next portion."""
        return self.output.pop(0) if self.output else []

    def next_wakeup(self) -> float | None:
        """When the test says."""
        return self.due

    def wake(self, now: float) -> None:
        """Notes it."""
        self.wakes.append(now)
        self.due = None

    def ping(self, number: int) -> None:
        """Notes it."""
        self.pings.append(number)

    def close(self, code: int, reason: str) -> None:
        """Says goodbye."""
        self.closed.append(code)
        self.output.append([b"goodbye"])


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.fills = self.settles = self.parts = 0
        self.lost: list[Ended] = []

    def on_event(self, event: Any) -> None:
        """Notes it; some are defects, some break the rules."""
        if isinstance(event, Exception):
            raise event
        self.events.append(event)

    def fill(self) -> Iterator[None]:
        """Counts, and hands output down in so many parts but the last."""
        self.fills += 1
        yield from [None] * self.parts

    def settle(self) -> None:
        """Counts."""
        self.settles += 1

    def connection_lost(self, reason: Ended) -> None:
        """Notes it."""
        self.lost.append(reason)


class _Ending:
    def __init__(self, code: int, frame_type: int | None, reason: str = "") -> None:
        self.error_code, self.frame_type, self.reason_phrase = code, frame_type, reason


class QuicDriverTests(SynchronousTestCase):
    """A driver at one end of a line; the test is at the other."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.line = Line(self.network)
        self.connection = Scripted()
        run: Any = self.connection
        self.owner = Owner()
        self.driver = QuicDriver(run, self.line.legs[0], self.network, self.network.clock, 10.0, self.owner)
        self.arrived: list[bytes] = []
        self.line.legs[1].attach(self)  # type: ignore[arg-type]  # it receives datagrams
        self.driver.start()
        self.network.advance(0.1)

    def datagram_received(self, data: bytes) -> None:
        """Notes what the driver sends."""
        self.arrived.append(bytes(data))

    def leg_lost(self, reason: Ended) -> None:
        """Nothing."""

    def test_start(self) -> None:
        """What the connection says first goes out."""
        self.assertEqual(self.arrived, [b"hello"])

    def test_one_batch(self) -> None:
        """Datagrams of one turn are fed together, and the answer goes out in one batch, once."""
        batches = self.line.legs[0].batches
        for data in (b"a", b"b"):
            self.driver.datagram_received(memoryview(data))
        self.connection.output.append([b"1", b"2", b"3"])
        self.network.advance(0.1)
        self.assertEqual(self.connection.received, [[b"a", b"b"]])
        self.assertEqual((self.arrived[1:], self.line.legs[0].batches - batches), ([b"1", b"2", b"3"], 1))

    def test_refilled(self) -> None:
        """What was sent makes room for more within the same turn, a few times over."""
        fills = self.owner.fills
        self.connection.output += [[b"1"], [b"2"], [b"3"], [b"4"], [b"5"]]
        self.driver.flush_soon()
        self.driver.flush_soon()
        self.network.flush()
        self.assertEqual((self.owner.fills - fills, len(self.connection.output)), (4, 1))

    def test_in_parts(self) -> None:
        """What is handed down in parts goes into packets part by part, and out together."""
        self.owner.parts = 2
        batches = self.line.legs[0].batches
        self.connection.output += [[b"1"], [b"2"], [b"3"]]
        self.driver.flush_soon()
        self.network.advance(0.1)
        self.assertEqual((self.arrived[1:], self.line.legs[0].batches - batches), ([b"1", b"2", b"3"], 1))

    def test_events(self) -> None:
        """Events are told after each input."""
        self.connection.happened += ["one", "two"]
        self.driver.datagrams_received([b"x"])
        self.assertEqual(self.owner.events, ["one", "two"])

    def test_timer(self) -> None:
        """The connection is woken when it says."""
        self.connection.due = self.network.clock.seconds() + 3.0
        self.driver.flush_soon()
        self.network.advance(2.9)
        self.assertEqual(self.connection.wakes, [])
        self.network.advance(0.2)
        self.assertEqual(len(self.connection.wakes), 1)

    def test_keepalive(self) -> None:
        """A peer that is silent is asked for a word, again and again; one that speaks is not."""
        for _ in range(4):
            self.network.advance(6.0)
            self.driver.datagrams_received([b"x"])
        self.assertEqual(self.connection.pings, [])
        self.network.advance(30.5)
        self.assertEqual(self.connection.pings, [0, 0, 0])

    def test_asked(self) -> None:
        """Who asks is told of the answer to that, and who listens of the next datagram."""
        asked, heard = [self.driver.ask(), self.driver.ask()], self.driver.when_heard()
        self.assertEqual(self.connection.pings, [1, 2])
        self.driver.answered(2)
        self.driver.answered(7)
        self.assertNoResult(asked[0])
        self.successResultOf(asked[1])
        self.assertNoResult(heard)
        self.driver.datagrams_received([b"x"])
        self.successResultOf(heard)

    def test_ended(self) -> None:
        """Ending says goodbye, tells the owner once, and leaves nothing behind."""
        self.driver.end(Ended.STOPPED)
        self.driver.end(Ended.CANCELLED)
        self.driver.datagrams_received([b"late"])
        self.network.advance(100.0)
        self.assertEqual((self.owner.lost, self.arrived[1:]), ([Ended.STOPPED], [b"goodbye"]))
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_peer_ends(self) -> None:
        """Why the peer ended it is told."""
        for ending, reason in (
            (_Ending(0, None), Ended.FINISHED),
            (_Ending(5, None), Ended.RESET),
            (_Ending(1, 0, "Idle timeout"), Ended.TIMEOUT),
            (_Ending(0x178, 6), Ended.RESET),
        ):
            self.setUp()
            self.connection.ending = ending
            self.driver.datagrams_received([b"x"])
            self.assertEqual(self.owner.lost, [reason])

    def test_leg_lost(self) -> None:
        """With the leg the connection is lost."""
        self.line.legs[0].close()
        self.network.advance(1.0)
        self.assertEqual(self.owner.lost, [Ended.FINISHED])

    def test_defects(self) -> None:
        """A defect, of the library or of who is told of events, costs the connection, and is logged."""
        self.driver.datagrams_received([b"defect"])
        self.assertEqual(self.owner.lost, [Ended.INTERNAL_ERROR])
        self.setUp()
        self.connection.happened.append(ZeroDivisionError("a defect"))
        self.driver.flush_soon()
        self.network.flush()
        self.assertEqual(self.owner.lost, [Ended.INTERNAL_ERROR])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_allowance(self) -> None:
        """A peer that sends more bytes than it may, whatever is in them, is let go."""
        self.driver.allowance = 3
        self.driver.datagrams_received([b"x", b"xx"])
        self.assertEqual((self.connection.received, self.owner.lost), ([[b"x", b"xx"]], []))
        self.driver.datagrams_received([b"x"])
        self.assertEqual((len(self.connection.received), self.owner.lost), (1, [Ended.PROTOCOL_ERROR]))

    def test_rules_broken(self) -> None:
        """A peer that breaks the rules is told so, and let go."""
        self.connection.happened.append(RemoteProtocolError("no such thing"))
        self.driver.flush_soon()
        self.network.flush()
        self.assertEqual((self.owner.lost, self.connection.closed), ([Ended.PROTOCOL_ERROR], [0x0A]))
