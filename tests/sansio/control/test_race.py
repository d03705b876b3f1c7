"""Tests of attempts by several ways at once."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.race import (
    HEAD_START_S,
    LAST_PATIENCE_S,
    LOGIN_HEAD_START_S,
    LOGIN_PATIENCE_S,
    Race,
    RaceStep,
)


class RaceTests(SynchronousTestCase):
    """Which way is opened, used and closed, and when."""

    def setUp(self) -> None:
        self.race = Race("abc", 0.0)

    def expect(self, *steps: str) -> None:
        """What the race wants done since the last call, such as ``open a``."""
        self.assertEqual([f"{each.step.value} {each.way}" for each in self.race.events()], list(steps))

    def test_staggered(self) -> None:
        """Each way has a head start before the next one; the first that is open is used, the others end."""
        self.expect("open a")
        self.race.wake(HEAD_START_S - 0.01)
        self.expect()
        self.assertEqual(self.race.next_wakeup(), HEAD_START_S)
        self.race.wake(HEAD_START_S)
        self.expect("open b")
        self.race.wake(2 * HEAD_START_S)
        self.expect("open c")
        self.assertIsNone(self.race.next_wakeup())
        self.race.opened("b", 3.0)
        self.expect("use b")
        self.race.won(3.5)
        self.expect("close a", "close c")
        self.assertTrue(self.race.is_over)
        self.assertIsNone(self.race.next_wakeup())
        self.race.wake(100.0)
        self.expect()

    def test_failed(self) -> None:
        """Where one fails the next one is opened at once; after the last one the race is lost."""
        self.race.failed("a", 0.1)
        self.expect("open a", "open b")
        self.race.opened("b", 0.2)
        self.race.failed("b", 0.3)
        self.expect("use b", "open c")
        self.assertFalse(self.race.is_over)
        self.race.failed("c", 0.4)
        self.assertTrue(self.race.is_over)

    def test_login_goes_on(self) -> None:
        """While one logs in, the failure of another one is no reason to open more; time is."""
        self.race.wake(HEAD_START_S)
        self.race.opened("b", 0.3)
        self.expect("open a", "open b", "use b")
        self.race.failed("a", 0.4)
        self.expect()
        self.race.wake(0.3 + LOGIN_HEAD_START_S)
        self.expect("open c")

    def test_one_login(self) -> None:
        """Who is open while another one logs in waits, and is next; who is silent then is given up."""
        self.race.wake(HEAD_START_S)
        self.race.opened("a", 1.0)
        self.race.opened("b", 1.0)
        self.expect("open a", "open b", "use a")
        self.race.wake(1.0 + LOGIN_HEAD_START_S)
        self.expect("open c")
        self.assertEqual(self.race.next_wakeup(), 1.0 + LOGIN_PATIENCE_S)
        self.race.wake(1.0 + LOGIN_PATIENCE_S)
        self.expect("give up a", "use b")
        self.assertIsNone(self.race.next_wakeup())
        self.race.wake(100.0)
        self.expect()

    def test_only_one_without_answer(self) -> None:
        """Where nobody is told that there is no server the last way is not waited for."""
        race = self.race = Race("ab", 0.0, "b")
        race.failed("a", 0.1)
        self.expect("open a", "open b")
        self.assertEqual(race.next_wakeup(), 0.1 + LAST_PATIENCE_S)
        race.wake(0.1 + LAST_PATIENCE_S)
        self.expect("give up b")
        self.assertTrue(race.is_over)
        race = self.race = Race("ab", 0.0, "b")
        race.wake(HEAD_START_S)
        self.assertIsNone(race.next_wakeup())
        race.failed("a", 5.0)
        self.assertEqual(race.next_wakeup(), 5.0 + LAST_PATIENCE_S)
        race.opened("b", 6.0)
        race.wake(5.0 + LAST_PATIENCE_S)
        self.expect("open a", "open b", "use b")
        self.assertFalse(race.is_over)

    def test_again(self) -> None:
        """A way that is worth another attempt is opened at once."""
        self.race.opened("a", 0.1)
        self.race.failed("a", 0.2, again=True)
        self.expect("open a", "use a", "open a")

    def test_stopped(self) -> None:
        """Who gives up closes everything, the login as well."""
        self.race.wake(HEAD_START_S)
        self.race.opened("a", 1.0)
        self.race.opened("b", 1.0)
        self.race.events()
        self.race.stop()
        self.expect("close b", "close a")

    def test_nothing(self) -> None:
        """Without a way there is no race."""
        self.assertTrue(Race("", 0.0).is_over)

    @given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ofw"), st.integers(0, 7)), max_size=60))
    def test_always(self, inputs: list[tuple[float, str, int]]) -> None:
        """Whatever happens, there is one login at a time, and each way that was begun ends once."""
        race, now = Race("abcd", 0.0, "cd"), 0.0
        opening: list[str] = []
        opened: list[str] = []
        used: list[str] = []

        def look() -> None:
            for event in race.events():
                if event.step is RaceStep.OPEN:
                    self.assertNotIn(event.way, opening + opened + used)
                    opening.append(event.way)
                elif event.step is RaceStep.USE:
                    opened.remove(event.way)
                    used.append(event.way)
                else:
                    next(each for each in (opening, opened, used) if event.way in each).remove(event.way)
                self.assertLessEqual(len(used), 1)

        look()
        steps: dict[str, Callable[[str], object]] = {
            "f": lambda way: race.failed(way, now),
            "o": lambda way: race.opened(way, now),
        }
        for wait_s, what, number in inputs:
            now += wait_s
            if what == "w" or race.is_over:
                race.wake(now)
            else:
                among = opening if what == "o" else opening + opened + used
                if among:
                    way = among[number % len(among)]
                    for each in (opening, opened, used):
                        if way in each:
                            each.remove(way)
                    if what == "o":
                        opened.append(way)
                    steps[what](way)
            look()
        if not race.is_over:
            if used:
                used.clear()
                race.won(now)
            else:
                race.stop()
            look()
        self.assertEqual((opening, opened, used), ([], [], []))
