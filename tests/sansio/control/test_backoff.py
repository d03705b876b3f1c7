from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.backoff import AGAIN, FIRST_LOGIN, STOOD_S, Backoff


def no_chance() -> float:
    """Entropy that leaves every delay at its longest."""
    return 0.0


class BackoffTests(SynchronousTestCase):
    """A client dials again, later each time, and at once where there is hope."""

    def test_first_login(self) -> None:
        """Delays before the first login are frp's: 2, 4, 8, then 10 seconds."""
        backoff = Backoff(no_chance)
        self.assertEqual([backoff.failed() for _ in range(5)], [2.0, 4.0, 8.0, 10.0, 10.0])

    def test_first_login_exits(self) -> None:
        """With login_fail_exit the first failure ends the client."""
        self.assertIsNone(Backoff(no_chance, login_fail_exit=True).failed())

    def test_only_the_first_login_exits(self) -> None:
        """Once a login has succeeded, login_fail_exit plays no part any more."""
        backoff = Backoff(no_chance, login_fail_exit=True)
        backoff.established(0.0)
        self.assertEqual(backoff.ended(1000.0), AGAIN.first_s)
        self.assertEqual(backoff.failed(), 2 * AGAIN.first_s)

    def test_session_that_stood(self) -> None:
        """After a session that stood, the delay is the shortest again."""
        backoff = Backoff(no_chance)
        for _ in range(6):
            backoff.failed()
        backoff.established(100.0)
        self.assertEqual(backoff.ended(100.0 + STOOD_S), AGAIN.first_s)

    def test_session_that_fell(self) -> None:
        """Sessions that end soon after login are dialed later each time, up to the longest delay."""
        backoff = Backoff(no_chance)
        delays = []
        now = 0.0
        for _ in range(9):
            backoff.established(now)
            now += STOOD_S / 2
            delays.append(backoff.ended(now))
        self.assertEqual(delays, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0])

    def test_clock_that_went_back(self) -> None:
        """A clock that went back makes no session one that stood."""
        backoff = Backoff(no_chance)
        backoff.established(1000.0)
        backoff.ended(1.0)
        backoff.established(1.0)
        self.assertEqual(backoff.ended(0.0), 2 * AGAIN.first_s)

    def test_forget(self) -> None:
        """A change of the network makes the next delay the shortest."""
        backoff = Backoff(no_chance)
        for _ in range(4):
            backoff.failed()
        backoff.forget()
        self.assertEqual(backoff.failed(), FIRST_LOGIN.first_s)

    @given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40))
    def test_jitter(self, chances: list[float]) -> None:
        """Chance shortens a delay by half at most and never lengthens it."""
        drawn = iter(chances)
        jittered, longest = Backoff(lambda: next(drawn)), Backoff(no_chance)
        for _ in chances:
            delay, most = jittered.failed(), longest.failed()
            assert delay is not None and most is not None
            self.assertTrue(most / 2 <= delay <= most)

    def test_many_failures(self) -> None:
        """A server that is gone for weeks costs no more than a small number."""
        self.assertEqual(AGAIN.delay_s(10**6), AGAIN.longest_s)
