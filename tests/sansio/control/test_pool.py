from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.control.pool import (
    CROWD_TIMEOUTS,
    MAX_WAITING_USERS,
    MOST_ASKED,
    POOL_HEADROOM,
    USER_TIMEOUT_S,
    Asked,
    Assigned,
    Discarded,
    PoolEvent,
    Unserved,
    WhyUnserved,
    WorkPool,
)

Pool: TypeAlias = WorkPool[str, str]


def pool(pool_count: int = 0, *legs: str) -> Pool:
    """A pool that begins at time 0 with these idle connections."""
    made: Pool = WorkPool(pool_count, 0.0)
    made.events()
    for leg in legs:
        made.add(leg, 0.0)
    assert made.events() == []
    return made


def told(events: list[PoolEvent[str, str]]) -> list[tuple[str, str] | Asked | Unserved[str] | Discarded[str]]:
    """Events, assignments as pairs of user and leg."""
    return [(event.user, event.leg) if isinstance(event, Assigned) else event for event in events]


def assigned(events: list[PoolEvent[str, str]]) -> Assigned[str, str]:
    """The one assignment among the events."""
    (found,) = [event for event in events if isinstance(event, Assigned)]
    return found


class PoolTests(SynchronousTestCase):
    """Users get work connections in order, in time, or are told."""

    def test_filled_at_the_beginning(self) -> None:
        """The pool count is asked for at once, in one event; nothing is asked without one."""
        for count, expected in ((0, []), (3, [Asked(3)]), (-1, [])):
            made: Pool = WorkPool(count, 0.0)
            self.assertEqual(made.events(), expected)

    def test_idle(self) -> None:
        """A user gets the idle connection that came first, and one more is asked for."""
        made = pool(2, "a", "b")
        made.want("user", 1.0)
        self.assertEqual(told(made.events()), [("user", "a"), Asked(1)])
        self.assertEqual(made.idle, 1)

    def test_waiting(self) -> None:
        """Without an idle one, one is asked for, and one more when it came: the pool has a spare then."""
        made = pool()
        made.want("user", 1.0)
        self.assertEqual(made.events(), [Asked(1)])
        made.add("a", 2.0)
        self.assertEqual(told(made.events()), [("user", "a"), Asked(1)])
        made.add("b", 2.0)
        self.assertEqual(made.events(), [])
        self.assertEqual((made.idle, made.waiting), (1, 0))

    def test_order(self) -> None:
        """Who came first is served first."""
        made = pool()
        for user in ("one", "two", "three"):
            made.want(user, 1.0)
        self.assertEqual(made.events(), [Asked(3)])
        for leg in ("a", "b", "c"):
            made.add(leg, 2.0)
        self.assertEqual(told(made.events()), [("one", "a"), ("two", "b"), ("three", "c"), Asked(3)])

    def test_timeout(self) -> None:
        """A user who waited in vain is told so, and the others keep waiting."""
        made = pool()
        made.want("early", 0.0)
        made.want("late", 4.0)
        made.events()
        self.assertEqual(made.next_wakeup(), USER_TIMEOUT_S)
        made.wake(USER_TIMEOUT_S - 0.1)
        self.assertEqual(made.events(), [])
        made.wake(USER_TIMEOUT_S)
        self.assertEqual(made.events(), [Unserved("early", WhyUnserved.TIMEOUT)])
        self.assertEqual(made.next_wakeup(), 4.0 + USER_TIMEOUT_S)
        made.add("a", 11.0)
        self.assertEqual(told(made.events()), [("late", "a"), Asked(1)])
        self.assertIsNone(made.next_wakeup())

    def test_clock_that_went_back(self) -> None:
        """Though the clock went back between two users, the first is served and given up first."""
        made = pool()
        made.want("first", 100.0)
        made.want("second", 50.0)
        self.assertEqual(made.next_wakeup(), 100.0 + USER_TIMEOUT_S)
        made.add("a", 50.0)
        self.assertEqual(assigned(made.events()).user, "first")
        made.wake(100.0 + USER_TIMEOUT_S)
        self.assertEqual(made.events(), [Unserved("second", WhyUnserved.TIMEOUT)])

    def test_configured_timeout(self) -> None:
        """The wait is as long as configured."""
        made: Pool = WorkPool(0, 0.0, user_timeout_s=3.0)
        made.want("user", 1.0)
        self.assertEqual(made.next_wakeup(), 4.0)

    def test_no_wait(self) -> None:
        """Users who do not wait ask for one each, so that those who come later find some."""
        for timeout_s in (0.0, -1.0):
            made: WorkPool[int, int] = WorkPool(0, 0.0, user_timeout_s=timeout_s)
            asked = 0
            for user in range(5):
                made.want(user, 1.0)
                asked += sum(event.count for event in made.events() if isinstance(event, Asked))
            made.wake(1.0)
            self.assertEqual([type(event) for event in made.events()], [Unserved] * 5)
            self.assertEqual(asked, 5)

    def test_cancel(self) -> None:
        """A user who left gets nothing, and what was asked for serves the next one or stays."""
        made = pool()
        for user in ("one", "two"):
            made.want(user, 1.0)
        made.events()
        made.cancel("one")
        made.cancel("nobody")
        made.add("a", 2.0)
        made.add("b", 2.0)
        self.assertEqual(told(made.events()), [("two", "a"), Asked(1)])
        self.assertEqual((made.idle, made.waiting), (1, 0))

    def test_waits_already(self) -> None:
        """One user cannot wait twice."""
        made = pool()
        made.want("user", 1.0)
        self.assertRaises(LocalProtocolError, made.want, "user", 1.0)

    def test_surplus(self) -> None:
        """What comes to a full pool is discarded as surplus."""
        legs = [f"leg {number}" for number in range(1 + POOL_HEADROOM)]
        made = pool(1, *legs)
        made.add("one too many", 1.0)
        self.assertEqual(made.events(), [Discarded("one too many", surplus=True)])
        self.assertEqual(made.idle, made.capacity)
        self.assertEqual(len(made.idle_legs), made.capacity)

    def test_lost(self) -> None:
        """An idle connection that was lost is given to nobody."""
        made = pool(1, "dead", "alive")
        made.lost("dead")
        made.lost("unknown")
        made.want("user", 1.0)
        self.assertEqual(assigned(made.events()).leg, "alive")

    def test_retry(self) -> None:
        """A user whose connection broke gets the next idle one, with the same deadline."""
        made = pool(1, "broken", "alive")
        made.want("user", 1.0)
        first = assigned(made.events())
        made.retry(first, 5.0)
        second = assigned(made.events())
        self.assertEqual((second.user, second.leg, second.deadline), ("user", "alive", 1.0 + USER_TIMEOUT_S))

    def test_retry_keeps_the_place(self) -> None:
        """A user who must wait after a broken connection stands before those who came later."""
        made = pool(1, "broken")
        made.want("first", 1.0)
        broken = assigned(made.events())
        made.want("second", 2.0)
        made.retry(broken, 3.0)
        made.add("a", 4.0)
        self.assertEqual(assigned(made.events()).user, "first")
        made.add("b", 4.0)
        self.assertEqual(assigned(made.events()).user, "second")

    def test_retry_too_late(self) -> None:
        """After the user's time there is no other attempt."""
        made = pool(1, "broken", "alive")
        made.want("user", 1.0)
        made.retry(assigned(made.events()), 1.0 + USER_TIMEOUT_S)
        self.assertEqual(made.events(), [Unserved("user", WhyUnserved.TIMEOUT)])

    def test_retries_end(self) -> None:
        """A client whose connections all break wears nobody out."""
        made = pool()
        made.want("user", 0.0)
        for attempt in range(1, made.capacity + 1):
            made.add(f"broken {attempt}", 0.0)
            made.retry(assigned(made.events()), 0.0)
            self.assertEqual(made.waiting, 1)
        made.add("broken at last", 0.0)
        last = assigned(made.events())
        made.retry(last, 0.0)
        self.assertEqual(made.events(), [Unserved("user", WhyUnserved.DEFECTIVE)])

    def test_crowded(self) -> None:
        """More users than may wait are told at once."""
        made: WorkPool[int, int] = WorkPool(0, 0.0)
        for user in range(MAX_WAITING_USERS + 1):
            made.want(user, 0.0)
        self.assertEqual(
            made.events(),
            [Unserved(MAX_WAITING_USERS, WhyUnserved.CROWDED), Asked(MOST_ASKED)],
        )

    def test_a_crowd_asks_for_no_heap_of_spares(self) -> None:
        """Serving many users at once asks for at most a capacity of spare ones."""
        made: WorkPool[int, int] = WorkPool(1, 0.0)
        made.events()
        made.add(-1, 0.0)
        events: list[PoolEvent[int, int]] = []
        for user in range(1000):
            made.want(user, 1.0)
            events += made.events()
        for leg in range(999):
            made.add(leg, 1.0)
            events += made.events()
        asked = sum(event.count for event in events if isinstance(event, Asked))
        self.assertEqual((made.waiting, made.idle), (0, 0))
        self.assertLessEqual(asked, 999 + made.capacity)
        self.assertGreaterEqual(asked, 1000)

    def test_what_never_comes_is_written_off(self) -> None:
        """A client that failed to open what it was asked for is asked for spares again later."""
        made = pool()
        for user in range(3 * made.capacity):
            made.want(str(user), 0.0)
        made.wake(USER_TIMEOUT_S)
        made.events()
        made.want("user", 20.0)
        self.assertEqual(made.events(), [Asked(1)])
        made.add("a", 21.0)
        self.assertEqual(told(made.events()), [("user", "a"), Asked(1)])

    def test_a_crowd_is_asked_for_in_portions(self) -> None:
        """So many are under way at a time; as one comes, or never will, the next one is asked for."""
        made: WorkPool[int, int] = WorkPool(0, 0.0)
        for user in range(3 * MOST_ASKED):
            made.want(user, 0.0)
        self.assertEqual(made.events(), [Asked(MOST_ASKED)])
        for leg in range(2):
            made.add(leg, 1.0)
            self.assertIn(Asked(1), made.events())
        made.wake(USER_TIMEOUT_S)
        self.assertEqual(made.events(), [])
        made.want(-1, USER_TIMEOUT_S)
        made.wake(1.0 + USER_TIMEOUT_S)
        asked = [event for event in made.events() if isinstance(event, Asked)]
        self.assertEqual(asked, [Asked(1 + POOL_HEADROOM)])

    def test_fewer_at_a_time(self) -> None:
        """Where there is less room, fewer are under way at a time."""
        made: Pool = WorkPool(5, 0.0, most_asked=3)
        self.assertEqual(made.events(), [Asked(3)])
        names = [str(number) for number in range(10)]
        for user in names:
            made.want(user, 0.0)
        self.assertEqual(made.events(), [])
        for leg in names:
            made.add(leg, 1.0)
            self.assertEqual(told(made.events()), [(leg, leg), Asked(1)])

    def test_a_crowd_that_left(self) -> None:
        """Nothing more is asked for on behalf of users who are gone, spares aside."""
        made: WorkPool[int, int] = WorkPool(0, 0.0, most_asked=1)
        for user in range(1000):
            made.want(user, 0.0)
        made.events()
        for user in range(1000):
            made.cancel(user)
        asked = 1
        for leg in range(1000):
            made.add(leg, 1.0)
            asked += sum(event.count for event in made.events() if isinstance(event, Asked))
        self.assertEqual(asked, made.capacity)

    def test_a_crowd_that_is_served(self) -> None:
        """While work connections come nobody is sent away, and for as long as a user waits after the last."""
        made = pool()
        for user in ("one", "two", "three"):
            made.want(user, 0.0)
        now = 0.0
        for user in ("one", "two"):
            now += USER_TIMEOUT_S - 1.0
            made.wake(now)
            made.add(user, now)
            self.assertIn((user, user), told(made.events()))
        self.assertEqual(made.next_wakeup(), now + USER_TIMEOUT_S)
        made.wake(now + USER_TIMEOUT_S)
        self.assertIn(Unserved("three", WhyUnserved.TIMEOUT), made.events())

    def test_a_crowd_that_is_served_too_slowly(self) -> None:
        """However many are served, nobody waits more than some times as long as one user."""
        made: WorkPool[int, int] = WorkPool(0, 0.0)
        for user in range(100):
            made.want(user, 0.0)
        longest_s = CROWD_TIMEOUTS * USER_TIMEOUT_S
        for leg in range(int(longest_s)):
            made.wake(float(leg))
            made.add(leg, float(leg))
        self.assertEqual(made.waiting, 100 - int(longest_s))
        self.assertEqual(made.next_wakeup(), longest_s)
        made.wake(longest_s)
        self.assertEqual(made.waiting, 0)

    def test_lost_on_the_way(self) -> None:
        """Who waits on because others are served has another one asked for where one never came."""
        made = pool()
        for user in ("one", "two"):
            made.want(user, 0.0)
        made.events()
        made.add("a", USER_TIMEOUT_S - 1.0)
        self.assertEqual(told(made.events()), [("one", "a"), Asked(1)])
        made.want("three", USER_TIMEOUT_S)
        self.assertEqual(made.events(), [Asked(1)])
        made.wake(2 * USER_TIMEOUT_S - 1.0)
        self.assertEqual(made.events(), [Unserved("two", WhyUnserved.TIMEOUT)])
        made.add("b", 2 * USER_TIMEOUT_S - 1.0)
        self.assertEqual(told(made.events()), [("three", "b"), Asked(1)])

    def test_close(self) -> None:
        """At the end of the session users are told and all connections discarded, later ones too."""
        made = pool(1, "idle")
        made.close()
        self.assertEqual(made.events(), [Discarded("idle", surplus=False)])
        made.want("user", 1.0)
        made.add("late", 1.0)
        self.assertEqual(
            made.events(),
            [Unserved("user", WhyUnserved.SESSION_ENDED), Discarded("late", surplus=False)],
        )

    def test_close_with_waiting_users(self) -> None:
        """Who waits when the session ends is told, and asks of the same moment are not made."""
        made = pool()
        made.want("user", 1.0)
        made.close()
        self.assertEqual(made.events(), [Unserved("user", WhyUnserved.SESSION_ENDED)])
        self.assertIsNone(made.next_wakeup())

    def test_retry_after_close(self) -> None:
        """An assignment that breaks when the session has ended is the end for its user."""
        made = pool(0, "a")
        made.want("user", 1.0)
        failed = assigned(made.events())
        made.close()
        made.retry(failed, 2.0)
        self.assertEqual(made.events(), [Unserved("user", WhyUnserved.SESSION_ENDED)])


@define
class Waiting:
    """A user in the model's queue, who waits so long if nobody else is served."""

    name: int
    deadline: float


class PoolModel(RuleBasedStateMachine):
    """The pool beside two plain lists; connections come as asked for, late, too often or never."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue: list[Waiting] = []
        self.idle: list[int] = []
        self.asked = 0
        self.names = 0
        self.outcomes: Counter[int] = Counter()
        self.users: set[int] = set()
        self.given: list[Assigned[int, int]] = []
        self.owned: set[int] = set()
        self.came_at = -USER_TIMEOUT_S

    def until(self, deadline: float) -> float:
        """Until when somebody waits whose own time ends then."""
        longest = deadline + (CROWD_TIMEOUTS - 1) * USER_TIMEOUT_S
        return min(longest, max(deadline, self.came_at + USER_TIMEOUT_S))

    @initialize(count=st.integers(0, 3))
    def begin(self, count: int) -> None:
        """A session begins."""
        self.core: WorkPool[int, int] = WorkPool(count, self.now)
        self.count = count
        self.settle()
        assert self.asked == count

    def settle(self) -> None:
        """Compares every event with what the lists say."""
        for event in self.core.events():
            match event:
                case Asked(count):
                    assert count > 0
                    self.asked += count
                case Assigned(user, leg):
                    assert leg in self.owned
                    if self.queue:
                        assert self.queue.pop(0).name == user
                    else:
                        assert self.idle.pop(0) == leg
                    self.given.append(event)
                case Unserved(user, WhyUnserved.TIMEOUT):
                    waiting = self.queue.pop(0)
                    assert waiting.name == user and self.until(waiting.deadline) <= self.now
                    self.outcomes[user] += 1
                case Discarded(leg, surplus):
                    assert surplus and len(self.idle) == self.count + POOL_HEADROOM
                    self.owned.discard(leg)
                case other:
                    raise AssertionError(other)

    def name(self) -> int:
        """A new name."""
        self.names += 1
        return self.names

    @rule()
    def want(self) -> None:
        """A user comes."""
        user = self.name()
        self.users.add(user)
        if not self.idle:
            self.queue.append(Waiting(user, self.now + USER_TIMEOUT_S))
        self.core.want(user, self.now)
        self.settle()

    @precondition(lambda self: self.asked)
    @rule()
    def deliver(self) -> None:
        """The client opens what it was asked for."""
        self.asked -= 1
        self.open()

    @rule()
    def open(self) -> None:
        """The client opens a connection, asked for or not."""
        leg = self.name()
        self.owned.add(leg)
        waited = bool(self.queue)
        self.came_at = self.now
        self.core.add(leg, self.now)
        self.settle()
        if not waited and leg in self.owned:
            self.idle.append(leg)

    @precondition(lambda self: self.idle)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """An idle connection is lost."""
        leg = data.draw(st.sampled_from(self.idle))
        self.idle.remove(leg)
        self.owned.discard(leg)
        self.core.lost(leg)
        self.settle()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A waiting user goes away."""
        waiting = data.draw(st.sampled_from(self.queue))
        self.queue.remove(waiting)
        self.outcomes[waiting.name] += 1
        self.core.cancel(waiting.name)
        self.settle()

    @precondition(lambda self: self.given)
    @rule(works=st.booleans())
    def start(self, works: bool) -> None:
        """An assigned connection is used, or turns out to be broken."""
        given = self.given.pop(0)
        self.owned.discard(given.leg)
        if works or self.now >= self.until(given.deadline) or given.attempt > self.core.capacity:
            self.outcomes[given.user] += 1
            return
        if not self.idle:
            place = sum(waiting.name < given.user for waiting in self.queue)
            self.queue.insert(place, Waiting(given.user, given.deadline))
        self.core.retry(given, self.now)
        self.settle()

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0]))
    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.core.wake(self.now)
        self.settle()

    @invariant()
    def agrees(self) -> None:
        """Queue, idle connections and the next deadline are those of the lists."""
        if self.names:
            assert self.core.waiting == len(self.queue)
            assert self.core.idle == len(self.idle) <= self.core.capacity
            assert self.core.next_wakeup() == (self.until(self.queue[0].deadline) if self.queue else None)
            assert not (self.queue and self.idle)

    @invariant()
    def everybody_has_one_outcome(self) -> None:
        """A user waits, has a connection, or has had exactly one outcome."""
        waiting = Counter(waiting.name for waiting in self.queue)
        given = Counter(event.user for event in self.given)
        for user in self.users:
            assert waiting[user] + given[user] + self.outcomes[user] == 1


class PoolModelTests(SynchronousTestCase):
    """The pool agrees with a simple model."""

    def test_model(self) -> None:
        """Whatever comes in whatever order, users are served in order, once, or told."""
        run_state_machine_as_test(
            PoolModel, settings=settings(max_examples=60, stateful_step_count=50, deadline=None)
        )
