"""Tests of when a hole is punched, and when a user waits no longer."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nathole.policy import (
    ATTEMPT_EVERY_S,
    MOST_WAITING,
    PING_S,
    UNANSWERED_PINGS,
    USER_WAIT_S,
    PolicyAction,
    PolicyEvent,
    TunnelPolicy,
    UserServed,
    UserTurnedAway,
    WhyTurnedAway,
)

ATTEMPT, PING, GIVE_UP = PolicyAction.ATTEMPT, PolicyAction.PING, PolicyAction.GIVE_UP


def online(**options: Any) -> TunnelPolicy:
    """A policy that has had a session since 0 s."""
    policy = TunnelPolicy(**options)
    policy.session_started(0.0)
    return policy


class _PolicyTestCase(SynchronousTestCase):
    def told(self, policy: TunnelPolicy, *events: PolicyEvent) -> None:
        """These are its events, and there are no others."""
        self.assertEqual(list(policy.events()), list(events))

    def run_until(self, policy: TunnelPolicy, seconds: float) -> list[tuple[float, PolicyEvent]]:
        """Wakes it whenever it wants to be; what is told, and when."""
        found: list[tuple[float, PolicyEvent]] = []
        while (due := policy.next_wakeup()) is not None and due <= seconds:
            policy.wake(due)
            found.extend((due, each) for each in policy.events())
        return found


class UserTests(_PolicyTestCase):
    """Who waits, and for how long."""

    def test_first_user(self) -> None:
        """A user has a hole punched, and is served once it is there, as are others that came meanwhile."""
        policy = online()
        self.assertIsNone(policy.next_wakeup())
        policy.user_came(1, 0.0)
        self.told(policy, ATTEMPT)
        policy.user_came(2, 1.0)
        self.told(policy)
        policy.opened(1.5)
        self.told(policy, UserServed(1), UserServed(2))

    def test_reused(self) -> None:
        """Who comes while there is a hole is served at once."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.opened(1.0)
        policy.events()
        policy.user_came(2, 2.0)
        self.told(policy, UserServed(2))

    def test_too_late(self) -> None:
        """A user is turned away when the time is over, whatever the attempt does."""
        for wait_s in (1.0, USER_WAIT_S):
            policy = online(wait_s=wait_s)
            policy.user_came(1, 0.0)
            self.told(policy, ATTEMPT)
            expected = [(wait_s, UserTurnedAway(1, WhyTurnedAway.TOO_LATE))]
            self.assertEqual(self.run_until(policy, 60.0), expected)

    def test_left(self) -> None:
        """A user who has left is not spoken of again."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.user_left(1)
        policy.user_left(7)
        policy.opened(1.0)
        self.told(policy, ATTEMPT)

    def test_hopeless(self) -> None:
        """After a failure, and until the next attempt may begin, who cannot wait for that is turned away."""
        policy = online(wait_s=1.0)
        policy.user_came(1, 0.0)
        policy.failed(0.3)
        self.told(policy, ATTEMPT, UserTurnedAway(1, WhyTurnedAway.NOT_IN_TIME))
        policy.user_came(2, 5.0)
        self.told(policy, UserTurnedAway(2, WhyTurnedAway.NOT_IN_TIME))
        self.assertEqual(self.run_until(policy, 60.0), [(ATTEMPT_EVERY_S, ATTEMPT)])

    def test_patient(self) -> None:
        """Who can wait for the next attempt does."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.failed(5.0)
        self.told(policy, ATTEMPT)
        self.assertEqual(
            self.run_until(policy, 60.0),
            [(ATTEMPT_EVERY_S, ATTEMPT), (USER_WAIT_S, UserTurnedAway(1, WhyTurnedAway.TOO_LATE))],
        )

    def test_refused(self) -> None:
        """Where the server refuses, nobody waits, and nothing is tried again before somebody comes."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.failed(0.1, refused=True)
        self.told(policy, ATTEMPT, UserTurnedAway(1, WhyTurnedAway.REFUSED))
        self.assertIsNone(policy.next_wakeup())

    def test_too_many(self) -> None:
        """So many users wait, no more."""
        policy = online()
        for user in range(MOST_WAITING + 1):
            policy.user_came(user, 0.0)
        self.told(policy, ATTEMPT, UserTurnedAway(MOST_WAITING, WhyTurnedAway.TOO_MANY))
        self.assertEqual(policy.waiting, MOST_WAITING)

    def test_without_session(self) -> None:
        """A user waits for the session, too, but for no longer."""
        policy = TunnelPolicy(wait_s=2.0)
        policy.user_came(1, 0.0)
        self.told(policy)
        policy.session_started(1.0)
        self.told(policy, ATTEMPT)
        policy.failed(1.5)
        policy.session_ended()
        self.told(policy, UserTurnedAway(1, WhyTurnedAway.NOT_IN_TIME))
        policy.user_came(2, 5.0)
        self.assertEqual(self.run_until(policy, 60.0), [(7.0, UserTurnedAway(2, WhyTurnedAway.TOO_LATE))])


class KeepOpenTests(_PolicyTestCase):
    """A hole that is there before anybody comes."""

    def test_at_once(self) -> None:
        """It is punched with the session, and after failures in the interval; so often in an hour."""
        policy = online(keep_open=True, retries_an_hour=4, retry_interval_s=90.0)
        self.told(policy, ATTEMPT)
        times = [0.0]
        policy.failed(5.0)
        while times[-1] < 7200.0:
            due = policy.next_wakeup()
            assert due is not None
            policy.wake(due)
            if list(policy.events()) == [ATTEMPT]:
                times.append(due)
                policy.failed(due + 5.0)
        self.assertEqual(times[:4], [0.0, 90.0, 180.0, 270.0])
        self.assertEqual(sum(each < 3600.0 for each in times), 7)
        self.assertEqual(sum(3600.0 <= each < 7200.0 for each in times), 4)

    def test_made_again(self) -> None:
        """One that is lost is punched again, at once if the last attempt is long ago."""
        policy = online(keep_open=True)
        policy.opened(1.0)
        policy.events()
        policy.lost(50.0)
        self.assertEqual(policy.next_wakeup(), 90.0)
        policy.wake(90.0)
        policy.opened(91.0)
        policy.events()
        policy.lost(500.0)
        self.told(policy, ATTEMPT)

    def test_users_do_not_wait_for_it(self) -> None:
        """A user has one punched before the interval is over."""
        policy = online(keep_open=True)
        policy.failed(1.0)
        policy.events()
        policy.user_came(1, 30.0)
        self.told(policy, ATTEMPT)


class PingTests(_PolicyTestCase):
    """A hole that answers nothing."""

    def test_given_up(self) -> None:
        """After so many pings it is given up; who comes next has it made again."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.opened(0.0)
        policy.events()
        found = self.run_until(policy, 60.0)
        self.assertEqual([each for _, each in found], [PING] * UNANSWERED_PINGS + [GIVE_UP])
        self.assertEqual(found[-1][0], PING_S * (UNANSWERED_PINGS + 1))
        policy.user_came(2, 70.0)
        self.told(policy, ATTEMPT)

    def test_answered(self) -> None:
        """One that answers now and then stays."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.opened(0.0)
        policy.events()
        for place in range(1, 20):
            self.assertEqual(self.run_until(policy, PING_S * place), [(PING_S * place, PING)])
            if place % UNANSWERED_PINGS == 0:
                policy.answered()

    def test_lost(self) -> None:
        """One that is gone is pinged no more."""
        policy = online()
        policy.user_came(1, 0.0)
        policy.opened(0.0)
        policy.lost(1.0)
        self.assertIsNone(policy.next_wakeup())


class AnyOrderTests(_PolicyTestCase):
    """Whatever happens."""

    @given(st.lists(st.tuples(st.sampled_from("usoflta"), st.floats(0.0, 30.0)), max_size=40), st.booleans())
    def test_nobody_is_forgotten(self, steps: list[tuple[str, float]], keep_open: bool) -> None:
        """Each user is told of exactly once, in time, and one attempt is under way at most."""
        policy, now = TunnelPolicy(keep_open=keep_open), 0.0
        came: dict[int, float] = {}
        told: list[int] = []
        state = {"attempting": False, "open": False}

        def look() -> None:
            for event in policy.events():
                if event is ATTEMPT:
                    self.assertEqual(state, {"attempting": False, "open": False})
                    state["attempting"] = True
                elif event is GIVE_UP:
                    state["open"] = False
                elif isinstance(event, UserServed | UserTurnedAway):
                    self.assertLessEqual(now, came[event.user] + USER_WAIT_S)
                    told.append(event.user)

        for step, wait_s in [*steps, ("-", 60.0)]:
            until = now + wait_s
            while (due := policy.next_wakeup()) is not None and due <= until:
                now = max(now, due)
                policy.wake(now)
                look()
            now = until
            if step == "u":
                came[len(came)] = now
                policy.user_came(len(came) - 1, now)
            elif step == "s":
                policy.session_started(now)
            elif step == "t":
                policy.session_ended()
            elif step == "a":
                policy.answered()
            elif step in "of" and state["attempting"]:
                state["attempting"], state["open"] = False, step == "o"
                policy.opened(now) if step == "o" else policy.failed(now)
            elif step == "l" and state["open"]:
                state["open"] = False
                policy.lost(now)
            look()
        self.assertEqual(sorted(told), sorted(came))
