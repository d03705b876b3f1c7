"""The table of sources, with legs that send nowhere."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane import sources
from relaykit.dataplane.sources import SOURCE_IDLE_S, SourceLeg, SourceTable
from relaykit.interfaces import IBatchedDatagramLeg, IDatagramLeg
from relaykit.testing.memory import RecordingDatagrams
from relaykit.values import Address, Ended, Origin
from tests.dataplane.fakes import AcceptingDatagrams, FakePoller

HERE = Address("192.0.2.2", 53)
USER, OTHER, THIRD = (Address("192.0.2.1", number) for number in (1000, 1001, 1002))


class SourceTableTests(SynchronousTestCase):
    """Tests for :class:`SourceTable` and its legs."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.sent: list[tuple[Address | None, bytes]] = []
        self.accepting = AcceptingDatagrams()
        self.table = SourceTable(self.poller, self.send, "here")

    def send(self, leg: SourceLeg, data: object) -> bool:
        """Takes what is not empty."""
        if not data:
            return False
        self.sent.append((leg.peer, bytes(data)))  # type: ignore[call-overload]  # it is some
        return True

    def arrive(self, *datagrams: tuple[bytes, Address]) -> None:
        """Lets datagrams arrive."""
        for data, source in datagrams:
            leg = self.table.legs.get(source)
            if leg is None:
                self.table.admit(self.accepting, source, Origin(source, HERE), data)
            else:
                if leg.sweep != self.table.sweep:
                    self.table.heard_of(leg)
                leg._arrived(data)

    def test_admitted(self) -> None:
        """A new source is a leg that has its origin and holds what came first."""
        self.arrive((b"1", USER), (b"2", USER))
        (leg,) = self.accepting.legs
        verifyObject(IDatagramLeg, leg)
        self.assertEqual(self.accepting.origins, [Origin(USER, HERE)])
        self.assertEqual(RecordingDatagrams(leg).got, [b"1", b"2"])

    def test_sent_one_by_one(self) -> None:
        """Where several cannot be sent at once, they are sent one by one."""
        leg = self.table.add("key", USER, None)
        verifyObject(IBatchedDatagramLeg, leg)
        self.assertEqual((leg.send_many([b"x", b"", b"y"]), leg.dropped), (2, 1))

    def test_sent(self) -> None:
        """What a leg sends goes to its source; what is not taken, or comes too late, is counted."""
        leg = self.table.add("key", USER, None)
        self.assertEqual((leg.send(b"x"), leg.send(b"")), (True, False))
        leg.close()
        self.assertFalse(leg.send(b"x"))
        self.assertEqual((self.sent, leg.dropped), ([(USER, b"x")], 2))

    def test_replaced(self) -> None:
        """A leg whose key another one gets is let go, and takes nothing from that one as it closes."""
        before = self.table.add("key", USER, None)
        got = RecordingDatagrams(before)
        after = self.table.add("key", USER, None)
        before.close()
        self.poller.end_turn()
        self.assertEqual((got.lost, list(self.table.legs.values())), (Ended.REPLACED, [after]))

    def test_held_by_all(self) -> None:
        """All sources together hold so much and no more; what is delivered or let go makes room."""
        self.patch(sources, "MOST_HELD_BYTES", 10)
        self.arrive((b"12345", USER), (b"12345", OTHER), (b"1", THIRD))
        first, second, third = self.accepting.legs
        self.assertEqual([leg.dropped for leg in self.accepting.legs], [0, 0, 1])
        RecordingDatagrams(first)
        second.close()
        self.arrive((b"1234567890", THIRD))
        self.assertEqual(RecordingDatagrams(third).got, [b"1234567890"])
        self.arrive((b"1234567890", OTHER))
        self.table.close(Ended.STOPPED)
        self.assertTrue(self.table.hold(10))

    def test_idle(self) -> None:
        """Sources that are silent both ways are forgotten, with one timer for all; others stay."""
        self.arrive((b"1", USER), (b"1", OTHER), (b"1", THIRD))
        got = [RecordingDatagrams(leg) for leg in self.accepting.legs]
        step = SOURCE_IDLE_S / 4
        for _ in range(6):
            self.assertEqual(len(self.poller.clock.getDelayedCalls()), 1)
            self.poller.clock.advance(step)
            self.arrive((b"2", OTHER))
            self.accepting.legs[2].send(b"answer")
        self.poller.end_turn()
        self.assertEqual([each.lost for each in got], [Ended.TIMEOUT, None, None])
        for _ in range(6):
            self.poller.clock.advance(step)
        self.assertEqual((len(self.table.legs), self.poller.clock.getDelayedCalls()), (0, []))

    def test_full(self) -> None:
        """Where the table is full, the source that has been silent for the longest time is let go."""
        self.patch(sources, "MOST_SOURCES", 2)
        self.arrive((b"1", USER), (b"1", OTHER))
        got = [RecordingDatagrams(leg) for leg in self.accepting.legs]
        self.poller.clock.advance(SOURCE_IDLE_S / 4)
        self.arrive((b"2", USER), (b"1", THIRD))
        self.poller.end_turn()
        self.assertEqual([each.lost for each in got], [None, Ended.REFUSED])
        self.assertEqual(list(self.table.legs), [USER, THIRD])

    def test_full_in_all(self) -> None:
        """Where there are many in all, a table that has its share lets one go for one more."""
        self.patch(sources, "MOST_SOURCES_IN_ALL", 4)
        other = SourceTable(self.poller, self.send, "there")
        for number in range(5):
            self.table.add(number, USER, None)
        self.assertEqual(list(self.table.legs), [1, 2, 3, 4])
        for number in range(3):
            other.add(number, USER, None)
        self.table.add(5, USER, None)
        self.assertEqual((list(self.table.legs), list(other.legs)), ([2, 3, 4, 5], [1, 2]))
        self.table.close(Ended.STOPPED)
        other.add(3, USER, None)
        self.assertEqual(len(other.legs), 3)
        for leg in tuple(other.legs.values()):
            leg.close()
        self.poller.clock.advance(SOURCE_IDLE_S)
        counts = self.poller.sources
        self.assertEqual((counts.legs, counts.tables), (0, 0))

    def test_held_in_all(self) -> None:
        """The same holds for the bytes that they hold."""
        self.patch(sources, "MOST_HELD_IN_ALL", 10)
        other = SourceTable(self.poller, self.send, "there")
        self.table.add("key", USER, None)
        other.add("key", USER, None)
        self.assertEqual([self.table.hold(9), self.table.hold(9)], [True, False])
        self.assertEqual([other.hold(2), other.hold(3), other.hold(1)], [True, True, False])
        self.table.release(9)
        self.assertTrue(other.hold(5))

    def test_let_go(self) -> None:
        """Whoever has no room for all lets the longest silent go; of none, none."""
        self.table.let_go_oldest()
        self.arrive((b"1", USER), (b"1", OTHER))
        self.table.let_go_oldest()
        self.assertEqual(list(self.table.legs), [OTHER])

    def test_defect_of_the_acceptor(self) -> None:
        """An acceptor that raises loses the source."""
        self.accepting.broken = True
        self.arrive((b"1", USER))
        self.assertEqual((len(self.flushLoggedErrors(ZeroDivisionError)), len(self.table.legs)), (1, 0))

    def test_close(self) -> None:
        """Closing ends all legs, and leaves no timer."""
        self.arrive((b"1", USER))
        got = RecordingDatagrams(self.accepting.legs[0])
        self.table.close(Ended.STOPPED)
        self.table.close(Ended.STOPPED)
        self.poller.end_turn()
        self.assertEqual((got.lost, self.poller.clock.getDelayedCalls()), (Ended.STOPPED, []))
