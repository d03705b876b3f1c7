"""Tests of the life of a server, as the table has it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.control.server_life import (
    ACTIONS,
    ACTORS,
    CLOSE_S,
    DRAIN_S,
    TRANSITIONS,
    ServerAction,
    ServerLife,
    ServerState,
    ServerStep,
)


def told(life: ServerLife) -> list[ServerAction]:
    """What is to be done."""
    return life.events()


class ServerLifeTests(SynchronousTestCase):
    """Lives of servers."""

    def setUp(self) -> None:
        self.life = ServerLife()

    def ready(self) -> None:
        """Starts it."""
        self.life.open(0.0)
        self.life.start(0.0)
        self.life.started(1.0)
        told(self.life)

    def test_whole_life(self) -> None:
        """It opens, starts, is ready, drains, closes, and can be started again."""
        for begin in (0.0, 100.0):
            self.life.open(begin)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.OPEN, [ServerAction.OPEN]))
            self.life.start(begin)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.STARTING, [ServerAction.START]))
            self.life.started(begin + 1)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.READY, [ServerAction.TELL]))
            self.assertEqual((self.life.since, self.life.next_wakeup()), (begin + 1, None))
            self.life.stop(begin + 2)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.DRAINING, [ServerAction.DRAIN]))
            self.life.drained(begin + 3)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.CLOSING, [ServerAction.CLOSE]))
            self.life.closed(begin + 4)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.STOPPED, [ServerAction.FINISH]))
            self.assertIsNone(self.life.next_wakeup())

    def test_stop_is_bounded(self) -> None:
        """Flows and whatever must close get their time, less than ten seconds together."""
        self.ready()
        self.life.stop(10.0)
        told(self.life)
        self.life.wake(10.0 + DRAIN_S / 2)
        self.assertEqual(told(self.life), [])
        self.life.wake(10.0 + DRAIN_S)
        self.assertEqual(told(self.life), [ServerAction.END_FLOWS, ServerAction.CLOSE])
        self.assertEqual(self.life.next_wakeup(), 10.0 + DRAIN_S + CLOSE_S)
        self.life.wake(10.0 + DRAIN_S + CLOSE_S)
        self.assertEqual((self.life.state, told(self.life)), (ServerState.STOPPED, [ServerAction.FINISH]))
        self.assertLess(DRAIN_S + CLOSE_S, 10.0)

    def test_failure(self) -> None:
        """A start that failed is told and remembered until the next one; what comes late changes nothing."""
        for begin in (self.life.open, self.life.start):
            begin(0.0)
        told(self.life)
        why = ValueError("no")
        self.life.failed(why, 1.0)
        self.assertEqual((self.life.state, told(self.life)), (ServerState.FAILED, [ServerAction.TELL]))
        for again in (self.life.open, self.life.start, self.life.started):
            again(2.0)
            self.assertEqual(
                (self.life.state, self.life.failure, told(self.life)), (ServerState.FAILED, why, [])
            )
        self.life.stop(3.0)
        self.assertEqual((self.life.state, told(self.life)), (ServerState.STOPPED, [ServerAction.FINISH]))
        self.life.open(4.0)
        self.assertIsNone(self.life.failure)

    def test_opening_fails(self) -> None:
        """Where not even the ports could be opened, there is nothing to start."""
        self.life.open(0.0)
        self.life.failed(ValueError("no"), 0.0)
        self.life.start(0.0)
        self.assertEqual(self.life.state, ServerState.FAILED)

    def test_stopped_before_it_is_ready(self) -> None:
        """A start that is cut short has nothing to drain."""
        for begin in (self.life.open, self.life.start):
            begin(0.0)
            told(self.life)
            self.life.stop(1.0)
            self.assertEqual((self.life.state, told(self.life)), (ServerState.CLOSING, [ServerAction.CLOSE]))
            self.life.closed(1.0)
            self.life.open(2.0)

    def test_not_while_it_stops(self) -> None:
        """A server that is stopping cannot be started."""
        self.ready()
        self.life.stop(2.0)
        self.assertRaises(LocalProtocolError, self.life.open, 3.0)
        self.life.drained(3.0)
        self.assertRaises(LocalProtocolError, self.life.open, 3.0)

    def test_stopped_twice(self) -> None:
        """Stopping what is stopped, or is being stopped, changes nothing."""
        self.life.stop(0.0)
        self.assertEqual((self.life.state, told(self.life)), (ServerState.STOPPED, [ServerAction.FINISH]))
        self.ready()
        self.life.stop(2.0)
        told(self.life)
        self.life.stop(3.0)
        self.assertEqual((self.life.state, told(self.life)), (ServerState.DRAINING, []))

    @given(st.lists(st.integers(0, 6), max_size=30))
    def test_any_order(self, steps: list[int]) -> None:
        """Whatever happens in whatever order, stopping ends it."""
        life, now = ServerLife(), 0.0
        what: list[Callable[[float], None]] = [
            lambda now: None if life.state in (ServerState.DRAINING, ServerState.CLOSING) else life.open(now),
            life.start,
            life.started,
            lambda now: life.failed(ValueError("no"), now),
            life.stop,
            life.drained,
            life.closed,
        ]
        for step in steps:
            now += 1.0
            what[step](now)
        life.stop(now)
        while (due := life.next_wakeup()) is not None:
            life.wake(due)
        self.assertEqual(life.state, ServerState.STOPPED)

    def test_table(self) -> None:
        """Every step has an actor and a place, and every state is reached and left."""
        self.assertEqual(set(ACTORS), set(ServerStep))
        self.assertEqual({step for _, step in TRANSITIONS}, set(ServerStep))
        self.assertEqual(set(TRANSITIONS.values()), set(ServerState))
        self.assertEqual({state for state, _ in TRANSITIONS}, set(ServerState))
        self.assertEqual({action for actions in ACTIONS.values() for action in actions}, set(ServerAction))
