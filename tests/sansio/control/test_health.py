from __future__ import annotations

from itertools import product

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.health import (
    EXTENT_OF_JITTER,
    MOST_AT_ONCE,
    TRANSITIONS,
    BecameHealthy,
    BecameUnhealthy,
    CheckDue,
    CheckFailed,
    CheckOver,
    CheckPace,
    CheckStep,
    Health,
    HealthChecks,
    HealthEvent,
    HealthState,
)

PACE = CheckPace(interval_s=10.0, timeout_s=3.0, max_failed=3)


class CountingName(str):
    """A name that counts how often names are compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountingName.compared += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def watching(*names: str, pace: CheckPace = PACE) -> HealthChecks:
    """Services whose first checks have begun, at time 0; intervals are whole."""
    checks = HealthChecks(lambda: 0.0)
    for name in names:
        checks.watch(name, pace, 0.0)
    checks.events()
    return checks


def result(checks: HealthChecks, reason: str, now: float) -> list[HealthEvent]:
    """What follows from the result of the check of ``web`` that is due at this time; empty if it passed."""
    checks.wake(now)
    checks.events()
    checks.failed("web", reason, now) if reason else checks.passed("web", now)
    return checks.events()


class HealthChecksTests(SynchronousTestCase):
    """When checks run, and what their results mean."""

    def test_at_once(self) -> None:
        """The first check is due at once, and nothing is known until it has ended."""
        checks = HealthChecks(lambda: 0.0)
        checks.watch("web", PACE, 5.0)
        self.assertEqual(checks.events(), [CheckDue("web")])
        self.assertEqual(checks.health("web"), Health(HealthState.UNKNOWN, since=5.0))
        self.assertIsNone(checks.health("other"))

    def test_interval(self) -> None:
        """The interval begins when a check has ended."""
        checks = watching("web")
        checks.passed("web", 2.0)
        self.assertEqual(checks.events(), [BecameHealthy("web")])
        self.assertEqual(checks.health("web"), Health(HealthState.HEALTHY, since=2.0, checked=2.0))
        self.assertEqual(checks.next_wakeup(), 12.0)
        checks.wake(11.9)
        self.assertEqual(checks.events(), [])
        checks.wake(12.0)
        self.assertEqual(checks.events(), [CheckDue("web")])

    def test_jitter(self) -> None:
        """A part of the interval is left to chance: it only gets shorter."""
        checks = HealthChecks(lambda: 0.5)
        checks.watch("web", PACE, 0.0)
        checks.passed("web", 0.0)
        self.assertEqual(checks.next_wakeup(), 10.0 * (1 - EXTENT_OF_JITTER / 2))

    def test_too_slow(self) -> None:
        """A check that takes longer than it may is given up, and counts as failed."""
        checks = watching("web")
        self.assertEqual(checks.next_wakeup(), 3.0)
        checks.wake(3.0)
        reason = "no answer within 3 seconds"
        self.assertEqual(
            checks.events(), [CheckOver("web"), CheckFailed("web", reason), BecameUnhealthy("web", reason)]
        )
        checks.passed("web", 3.5)
        self.assertEqual(checks.events(), [])
        self.assertEqual(checks.next_wakeup(), 13.0)

    def test_first_failure(self) -> None:
        """Before anything is known one failure is enough to say so: the proxy is not registered anyway."""
        checks = watching("web")
        checks.failed("web", "refused", 1.0)
        self.assertEqual(checks.events(), [CheckFailed("web", "refused"), BecameUnhealthy("web", "refused")])

    def test_in_a_row(self) -> None:
        """Only so many failures in a row withdraw a healthy one; one that passes begins the count anew."""
        checks = watching("web")
        checks.passed("web", 0.0)
        failed = CheckFailed("web", "refused")
        for at, reason, told in (
            (10.0, "refused", [failed]),
            (20.0, "refused", [failed]),
            (30.0, "", []),
            (40.0, "refused", [failed]),
            (50.0, "refused", [failed]),
            (60.0, "refused", [failed, BecameUnhealthy("web", "refused")]),
            (70.0, "other", [CheckFailed("web", "other")]),
            (80.0, "", [BecameHealthy("web")]),
            (90.0, "refused", [failed]),
        ):
            self.assertEqual(result(checks, reason, at)[-2:], told)
        self.assertEqual(
            checks.health("web"), Health(HealthState.HEALTHY, since=80.0, checked=90.0, reason="refused")
        )

    def test_check_now(self) -> None:
        """Where results may be old, all that do not run are due at once."""
        checks = watching("web", "ssh")
        checks.passed("web", 1.0)
        checks.events()
        checks.check_now(4.0)
        self.assertEqual(checks.events(), [CheckDue("web")])
        checks.check_now(5.0)
        self.assertEqual(checks.events(), [])

    def test_forgotten(self) -> None:
        """A check of what is not watched any more is given up; one of nobody's is not."""
        checks = watching("web", "ssh")
        checks.passed("ssh", 1.0)
        checks.events()
        for name in ("web", "ssh", "unknown"):
            checks.forget(name, 2.0)
        self.assertEqual(checks.events(), [CheckOver("web")])
        self.assertEqual((checks.health("web"), checks.next_wakeup()), (None, None))

    def test_all_forgotten(self) -> None:
        """All of them at once, too."""
        checks = watching("web", "ssh")
        checks.passed("ssh", 1.0)
        checks.events()
        checks.forget_all()
        self.assertEqual(checks.events(), [CheckOver("web")])
        self.assertIsNone(checks.next_wakeup())

    def test_thousands(self) -> None:
        """Forgetting one costs the same however many others wait, and its place is not kept for long."""
        names = [CountingName(number) for number in range(1000)]
        checks = HealthChecks(lambda: 0.0)
        for _ in range(10):
            for name in names:
                checks.watch(name, PACE, 0.0)
                checks.passed(name, 0.0)
            CountingName.compared = 0
            for name in names[:-1]:
                checks.forget(name, 0.0)
            self.assertLess(CountingName.compared, 10 * len(names))
            self.assertLess(len(checks._waiting), 2 * len(names))
        self.assertEqual(checks.next_wakeup(), 10.0)
        checks.forget(names[-1], 0.0)
        self.assertIsNone(checks.next_wakeup())

    def test_anew(self) -> None:
        """Who is watched again under the same name begins anew."""
        checks = watching("web")
        checks.watch("web", PACE, 1.0)
        self.assertEqual(checks.events(), [CheckOver("web"), CheckDue("web")])

    def test_most_at_once(self) -> None:
        """So many run at a time; the others wait for their turn, which no wake-up brings nearer."""
        names = [f"p{number}" for number in range(MOST_AT_ONCE + 2)]
        checks = HealthChecks(lambda: 0.0)
        for name in names:
            checks.watch(name, PACE, 0.0)
        self.assertEqual(checks.events(), [CheckDue(name) for name in names[:MOST_AT_ONCE]])
        self.assertEqual(checks.next_wakeup(), 3.0)
        checks.passed("p1", 1.0)
        self.assertEqual(checks.events(), [BecameHealthy("p1"), CheckDue(names[-2])])
        checks.forget("p2", 2.0)
        self.assertEqual(checks.events(), [CheckOver("p2"), CheckDue(names[-1])])

    def test_longest_due_first(self) -> None:
        """Services that do not answer delay the others' checks, and none of them for ever."""
        names = [f"p{number:03}" for number in range(3 * MOST_AT_ONCE)]
        checks = HealthChecks(lambda: 0.0)
        for name in names:
            checks.watch(name, CheckPace(1.0, 3.0, 1), 0.0)
        begun: list[str] = []
        for _ in range(6):
            begun += [event.name for event in checks.events() if isinstance(event, CheckDue)]
            at = checks.next_wakeup()
            assert at is not None
            checks.wake(at)
        self.assertEqual(begun[: 2 * len(names)], names * 2)


class TableTests(SynchronousTestCase):
    """The table of states."""

    def test_complete(self) -> None:
        """Every result means something in every state."""
        self.assertEqual(set(TRANSITIONS), set(product(HealthState, CheckStep)))

    def test_one_success(self) -> None:
        """Whoever passes is healthy, and nobody gets back to where nothing is known."""
        for (_, step), state in TRANSITIONS.items():
            self.assertTrue(state is HealthState.HEALTHY or step is not CheckStep.PASSED)
            self.assertIsNot(state, HealthState.UNKNOWN)


class AnyOrder(RuleBasedStateMachine):
    """Results, time and changes in any order, against what is simply counted."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.checks = HealthChecks(lambda: 0.0)
        self.paces: dict[str, CheckPace] = {}
        self.running: dict[str, float] = {}
        self.failures: dict[str, int] = {}
        self.open: dict[str, bool | None] = {}

    names = st.sampled_from("abc")

    def take(self) -> None:
        """Does what the events say, as a driver would, and checks that each is in order."""
        for event in self.checks.events():
            name = event.name
            if isinstance(event, CheckDue):
                assert name not in self.running and name in self.paces
                self.running[name] = self.now
            elif isinstance(event, CheckOver):
                begun = self.running.pop(name)
                if name in self.paces and self.now - begun >= self.paces[name].timeout_s:
                    self.failures[name] += 1
            elif isinstance(event, BecameHealthy):
                assert not self.open[name] and self.failures[name] == 0
                self.open[name] = True
            elif isinstance(event, BecameUnhealthy):
                assert self.failures[name] >= self.paces[name].max_failed or self.open[name] is None
                self.open[name] = False

    @rule(name=names, timeout=st.integers(1, 5), most=st.integers(1, 3))
    def watch(self, name: str, timeout: int, most: int) -> None:
        """A service is watched, maybe anew."""
        self.forget(name)
        self.checks.watch(name, CheckPace(4.0, timeout, most), self.now)
        self.paces[name] = CheckPace(4.0, timeout, most)
        self.failures[name] = 0
        self.open[name] = None
        self.take()

    @rule(name=names)
    def forget(self, name: str) -> None:
        """A service is watched no more."""
        self.paces.pop(name, None)
        self.checks.forget(name, self.now)
        self.take()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), passes=st.booleans())
    def end(self, data: st.DataObject, passes: bool) -> None:
        """A check that runs ends."""
        name = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[name]
        if passes:
            self.failures[name] = 0
            self.checks.passed(name, self.now)
        else:
            self.failures[name] += 1
            self.checks.failed(name, "refused", self.now)
        self.take()

    @rule()
    def check_now(self) -> None:
        """A session begins."""
        self.checks.check_now(self.now)
        self.take()

    @rule(seconds=st.integers(0, 6))
    def pass_time(self, seconds: int) -> None:
        """Time passes, as a timer would have it."""
        end = self.now + seconds
        while (at := self.checks.next_wakeup()) is not None and at <= end:
            self.now = max(self.now, at)
            self.checks.wake(self.now)
            self.take()
        self.now = end
        self.checks.wake(self.now)
        self.take()

    @invariant()
    def agrees(self) -> None:
        """Whoever is open is told as healthy, checks run for whom they should, and each has its deadline."""
        for name, pace in self.paces.items():
            health = self.checks.health(name)
            assert health is not None
            assert (health.state is HealthState.HEALTHY) == bool(self.open[name])
            if health.state is HealthState.HEALTHY:
                assert self.failures[name] < pace.max_failed
        assert set(self.running) <= set(self.paces)
        assert (self.checks.next_wakeup() is None) == (not self.paces)


class AnyOrderTests(SynchronousTestCase):
    """Runs :class:`AnyOrder`."""

    def test_any_order(self) -> None:
        """Whatever happens, users are let in exactly while too few checks in a row have failed."""
        run_state_machine_as_test(AnyOrder, settings=settings(deadline=None))
