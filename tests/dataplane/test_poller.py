"""The poller: dispatch, turns, changes of interest, defects."""

from __future__ import annotations

import errno
import functools
import select
from collections.abc import Callable

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.poller import (
    READ,
    TAKEN_AT_ONCE_BYTES,
    WRITE,
    EpollPoller,
    Poller,
    ReactorPoller,
    make_poller,
)
from relaykit.timer import PORTION_S
from tests.dataplane.fakes import FakeReactor, next_turn, os_error


class FakeEpoll:
    """An epoll set whose events come from the test."""

    def __init__(self) -> None:
        self.interest: dict[int, int] = {}
        self.ready: list[list[tuple[int, int]]] = []
        self.calls: list[str] = []
        self.closed = False
        self.full = False

    def fileno(self) -> int:
        """A number of its own."""
        return 99

    def register(self, number: int, interest: int) -> None:
        """Adds a descriptor."""
        assert number not in self.interest
        if self.full:
            raise os_error(errno.ENOSPC)
        self.calls.append("register")
        self.interest[number] = interest

    def modify(self, number: int, interest: int) -> None:
        """Changes a descriptor."""
        assert number in self.interest
        self.calls.append("modify")
        self.interest[number] = interest

    def unregister(self, number: int) -> None:
        """Takes a descriptor out."""
        self.calls.append("unregister")
        del self.interest[number]

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """The next events, at once."""
        assert timeout == 0
        return self.ready.pop(0) if self.ready else []

    def close(self) -> None:
        """Closes it."""
        self.closed = True


class Watched:
    """A descriptor that does what a test says."""

    def __init__(self, number: int) -> None:
        self.interest = self.watched = 0
        self.number = number
        self.events: list[int] = []
        self.dropped = False
        self.act: Callable[[], object] = lambda: None

    def fileno(self) -> int:
        """Its number."""
        return self.number

    def ready(self, events: int) -> None:
        """Notes the events and acts."""
        self.events.append(events)
        self.act()

    def failed(self) -> None:
        """Notes that it was dropped."""
        self.dropped = True


class EpollPollerTests(SynchronousTestCase):
    """The poller with an epoll set of its own."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.epoll = FakeEpoll()
        self.poller = EpollPoller(self.reactor, lambda: self.epoll)  # type: ignore[arg-type]  # enough of one

    def turn(self, *rounds: list[tuple[int, int]]) -> None:
        """One call by the reactor, with events in rounds."""
        self.epoll.ready = list(rounds)
        self.poller.doRead()

    def test_one_reader_for_all(self) -> None:
        """The reactor sees one descriptor while there are any, and none otherwise."""
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.poller.watch(second, READ | WRITE)
        self.assertEqual((self.reactor.readers, self.poller.fileno()), ([self.poller], 99))
        self.poller.watch(first, 0)
        self.poller.forget(second)
        self.assertEqual(self.reactor.readers, [])

    def test_dispatch(self) -> None:
        """Events reach their descriptors; errors and hang-ups as what was waited for."""
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.poller.watch(second, WRITE)
        self.turn([(1, select.EPOLLIN), (2, select.EPOLLOUT)], [(1, 16), (2, 8 | select.EPOLLOUT)])
        self.assertEqual((first.events, second.events), ([READ, READ], [WRITE, WRITE]))

    def test_changes_that_cancel_each_other(self) -> None:
        """Pausing and resuming within a turn costs no system call; what remains is applied at its end."""
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.poller.watch(second, READ)
        self.epoll.calls.clear()

        def flap() -> None:
            self.poller.watch(first, 0)
            self.poller.watch(first, READ)
            self.poller.watch(second, READ | WRITE)
            self.assertEqual(self.epoll.calls, [])

        first.act = flap
        self.turn([(1, READ)])
        self.assertEqual((self.epoll.calls, self.epoll.interest), (["modify"], {1: READ, 2: READ | WRITE}))

    def test_forgotten_within_the_turn(self) -> None:
        """An event for a descriptor that an earlier one ended goes nowhere, and is taken out."""
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.poller.watch(second, READ)
        first.act = lambda: self.poller.forget(second)
        self.turn([(1, READ), (2, READ)])
        self.assertEqual(second.events, [])
        self.assertEqual(self.epoll.interest, {1: READ})

    def test_handed_on(self) -> None:
        """A descriptor that is handed on is out of the set at once, and can be watched by another."""
        first, other = Watched(1), Watched(1)
        self.poller.watch(first, WRITE)

        def hand_on() -> None:
            self.poller.forget(first, closing=False)
            self.poller.watch(other, READ)

        first.act = hand_on
        self.turn([(1, WRITE)], [(1, READ)])
        self.assertEqual(self.epoll.interest, {1: READ})
        self.assertEqual((first.events, other.events), ([WRITE], [READ]))

    def test_defect(self) -> None:
        """A descriptor that raises is logged and dropped; the others are served."""
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.poller.watch(second, READ)
        first.act = lambda: 1 // 0
        self.turn([(1, READ), (2, READ)])
        self.assertEqual((first.dropped, second.events), (True, [READ]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cannot_be_watched(self) -> None:
        """Where the system takes no more watches, the new connection is dropped and the others are served."""
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.epoll.full = True
        first.act = lambda: self.poller.watch(second, READ)
        self.turn([(1, READ)])
        self.reactor.advance(0)
        self.assertTrue(second.dropped)
        self.turn([(1, READ)])
        self.assertEqual(len(first.events), 2)
        self.assertTrue(self.flushLoggedErrors(OSError))

    def test_turn_end(self) -> None:
        """What is to be done at the end of a turn is done once, after all events, before the next."""
        done: list[str] = []
        first, second = Watched(1), Watched(2)
        self.poller.watch(first, READ)
        self.poller.watch(second, READ)

        def flush() -> None:
            done.append("end")

        def act() -> None:
            done.append("event")
            self.poller.at_turn_end(flush)

        first.act = second.act = act
        self.turn([(1, READ), (2, READ)], [(1, READ)])
        self.assertEqual(done, ["event", "event", "end", "event", "end"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_much_was_read(self) -> None:
        """Once much was read what it made goes out, before more descriptors are asked."""
        order: list[str] = []

        def read(name: str) -> None:
            order.append(name)
            self.poller.taken_bytes += TAKEN_AT_ONCE_BYTES // 2
            self.poller.at_turn_end(flush)

        def flush() -> None:
            order.append("flush")

        for number, name in enumerate("abc"):
            watched = Watched(number)
            watched.act = functools.partial(read, name)
            self.poller.watch(watched, READ)
        self.turn([(0, READ), (1, READ), (2, READ)])
        self.assertEqual(order, ["a", "b", "flush", "c", "flush"])

    def test_bounded_turn(self) -> None:
        """A turn comes to its end however much is ready: the reactor has others to serve."""
        first = Watched(1)
        self.poller.watch(first, READ)
        self.turn(*[[(1, READ)] for _ in range(1000)])
        self.assertLess(len(first.events), 20)

    def test_close(self) -> None:
        """Closing gives the epoll set back."""
        self.poller.close()
        self.assertTrue(self.epoll.closed)

    def test_close_with_watched(self) -> None:
        """What is still watched, as a leg that sends its last bytes, is served before the epoll set goes."""
        last = Watched(1)
        self.poller.watch(last, READ)
        self.poller.close()
        self.turn([(1, READ)])
        self.assertEqual((last.events, self.epoll.closed), ([READ], False))
        self.poller.forget(last)
        self.reactor.advance(0)
        self.assertEqual((self.epoll.closed, self.reactor.readers), (True, []))

    def test_for_the_reactor(self) -> None:
        """The reactor may ask for a name, and tell that it is stopping."""
        self.assertEqual(self.poller.logPrefix(), "relaykit")
        self.poller.connectionLost(Failure(ConnectionResetError()))


class TurnTests(SynchronousTestCase):
    """The end of a turn, outside of one."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.poller = Poller(self.reactor)  # type: ignore[arg-type]  # enough of a reactor

    def test_soon(self) -> None:
        """Outside of a turn the call comes soon, once, and never within the asking."""
        done: list[int] = []
        call = lambda: done.append(1)  # noqa: E731  # one object
        self.poller.at_turn_end(call)
        self.poller.at_turn_end(call)
        self.assertEqual((done, len(self.reactor.getDelayedCalls())), ([], 1))
        self.reactor.advance(0)
        self.assertEqual(done, [1])

    def test_calls_ask_for_more(self) -> None:
        """A call may ask for another one, which comes within the same end; but not for ever."""
        done: list[int] = []

        def again() -> None:
            done.append(1)
            self.poller.at_turn_end(again)

        later: list[Callable[[], None]] = []
        self.patch(self.reactor, "callLater", lambda _delay, call: later.append(call))
        self.poller.at_turn_end(again)
        later.pop()()
        self.assertTrue(1 < len(done) < 100)
        self.assertEqual(len(later), 1)

    def test_defect(self) -> None:
        """A call that raises is logged, and does not keep the others from being made."""
        done: list[int] = []
        self.poller.at_turn_end(lambda: 1 // 0)  # type: ignore[arg-type]  # what it answers is ignored
        self.poller.at_turn_end(lambda: done.append(1))
        self.reactor.advance(0)
        self.assertEqual(done, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_next_turn(self) -> None:
        """What has waited is called once a turn, in order; what is asked for meanwhile waits for the next."""
        called: list[str] = []

        def first() -> None:
            called.append("first")
            if len(called) < 2:
                self.poller.in_next_turn(first)

        self.poller.in_next_turn(first)
        self.poller.in_next_turn(first)
        self.poller.in_next_turn(lambda: called.append("second"))
        self.assertEqual(called, [])
        next_turn(self.reactor)
        self.assertEqual(called, ["first", "second"])
        next_turn(self.reactor)
        self.assertEqual(called, ["first", "second", "first"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_portion_of_all(self) -> None:
        """All that wait share one portion of a turn: who has not had its share comes first in the next."""
        called: list[str] = []

        def take(name: str) -> None:
            called.append(name)
            self.reactor.rightNow += PORTION_S / 2
            self.poller.in_next_turn(functools.partial(take, name.upper()))

        for name in "abc":
            self.poller.in_next_turn(functools.partial(take, name))
        next_turn(self.reactor)
        self.assertEqual(called, ["a", "b"])
        next_turn(self.reactor)
        self.assertEqual(called, ["a", "b", "c", "A"])

    def test_defect_in_the_next_turn(self) -> None:
        """What fails is logged, and costs nobody else; what it was to do at the end of the turn is done."""
        done: list[int] = []
        self.poller.in_next_turn(lambda: 1 // 0)  # type: ignore[arg-type]  # what it answers is ignored
        self.poller.in_next_turn(lambda: self.poller.at_turn_end(lambda: done.append(1)))
        next_turn(self.reactor)
        self.assertEqual(done, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ReactorPollerTests(SynchronousTestCase):
    """The portable poller."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.poller = ReactorPoller(self.reactor)  # type: ignore[arg-type]  # enough of a reactor

    def test_registers_each(self) -> None:
        """Each descriptor is registered for what it waits for, and taken out again."""
        watched = Watched(5)
        self.poller.watch(watched, READ | WRITE)
        adapter = self.reactor.readers[0]
        self.assertEqual((self.reactor.writers, adapter.fileno()), ([adapter], 5))
        adapter.doRead()
        adapter.doWrite()
        self.assertEqual(watched.events, [READ, WRITE])
        self.poller.watch(watched, READ)
        self.assertEqual((self.reactor.readers, self.reactor.writers), ([adapter], []))
        self.poller.forget(watched)
        self.assertEqual(self.reactor.readers, [])

    def test_defect(self) -> None:
        """A descriptor that raises is logged and dropped."""
        watched = Watched(5)
        watched.act = lambda: 1 // 0
        self.poller.watch(watched, READ)
        self.reactor.readers[0].doRead()
        self.reactor.advance(0)
        self.assertTrue(watched.dropped)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ChoiceTests(SynchronousTestCase):
    """Which poller is taken."""

    def test_by_capability(self) -> None:
        """Without epoll the portable one is taken."""
        reactor = FakeReactor()
        self.patch(select, "epoll", None)
        del select.epoll
        self.assertIsInstance(make_poller(reactor), ReactorPoller)  # type: ignore[arg-type]  # enough of one
