"""Tests of budgets, and of whose turn it is."""

from __future__ import annotations

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.pacing import (
    CREDIT_S,
    LEAST_PIECE_BYTES,
    MOST_PIECE_BYTES,
    PIECE_S,
    Budget,
    Pacing,
    Share,
)

BURST_S = CREDIT_S + PIECE_S


@define(eq=False)
class Flow:
    """A flow that always has ``left`` bytes to send, at most ``size`` at once."""

    share: Share
    size: int
    left: float = float("inf")
    passed: list[tuple[float, int]] = field(factory=list)

    @property
    def total(self) -> int:
        """Bytes that have passed."""
        return sum(size for _, size in self.passed)


class Driven:
    """Runs the core by a clock of its own, woken as late as it is told to."""

    def __init__(self, lateness_s: float = 0.0) -> None:
        self.core = Pacing()
        self.now = 0.0
        self.flows: dict[Share, Flow] = {}
        self._lateness_s = lateness_s

    def flow(self, *budgets: Budget, size: int = 1 << 20, left: float = float("inf")) -> Flow:
        """A flow that begins to send."""
        flow = Flow(Share(budgets), size, left)
        self.flows[flow.share] = flow
        self._send(flow)
        return flow

    def run(self, until: float) -> None:
        """Lets time pass."""
        while (due := self.core.next_wakeup()) is not None:
            due = max(due, self.now) + self._lateness_s
            if due > until:
                break
            self.now = due
            self.core.wake(self.now)
            for event in self.core.events():
                flow = self.flows[event.share]
                self._note(flow, event.size)
                self._send(flow)
        self.now = until

    def _send(self, flow: Flow) -> None:
        while flow.left >= 1:
            granted = self.core.ask(flow.share, int(min(flow.size, flow.left)), self.now)
            if not granted:
                return
            self._note(flow, granted)

    def _note(self, flow: Flow, size: int) -> None:
        flow.passed.append((self.now, size))
        flow.left -= size


def most_at_once(passed: list[tuple[float, int]], rate: float) -> float:
    """The most seconds of its rate that a budget was ahead of an even flow, over any time."""
    ahead = most = 0.0
    before = 0.0
    for at, size in passed:
        ahead = max(0.0, ahead - (at - before)) + size / rate
        before = at
        most = max(most, ahead)
    return most


class PacingTests(SynchronousTestCase):
    """What passes, when, and whose it is."""

    @given(
        st.floats(10e3, 10e6),
        st.lists(st.integers(1000, 300_000), min_size=1, max_size=8),
        st.floats(0.0, 0.02),
    )
    def test_rate(self, rate: float, sizes: list[int], lateness_s: float) -> None:
        """Over any time no more passes than the rate and a burst; and no less while anybody waits."""
        driven = Driven(lateness_s)
        budget = Budget(rate)
        flows = [driven.flow(budget, size=size) for size in sizes]
        driven.run(0.5)
        passed = sorted(each for flow in flows for each in flow.passed)
        self.assertLessEqual(most_at_once(passed, rate), BURST_S + 1e-6)
        self.assertGreaterEqual(sum(size for _, size in passed), rate * (0.5 - PIECE_S) - 1)

    @given(
        st.lists(st.floats(10e3, 10e6), min_size=2, max_size=4),
        st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=6),
    )
    def test_several(self, rates: list[float], held_to: list[set[int]]) -> None:
        """However budgets overlap, each is kept to, but for a piece of each flow that waits elsewhere."""
        driven = Driven()
        budgets = [Budget(rate) for rate in rates]
        flows = [
            (driven.flow(*{budgets[at % len(budgets)] for at in each}), {at % len(budgets) for at in each})
            for each in held_to
        ]
        driven.run(1.0)
        for at, budget in enumerate(budgets):
            here = [flow for flow, on in flows if at in on]
            passed = sorted(each for flow in here for each in flow.passed)
            most = BURST_S + len(here) * BURST_S
            self.assertLessEqual(most_at_once(passed, budget.rate), most + 1e-6)
        for flow, _ in flows:
            # Nobody starves: of its narrowest budget each has a part.
            least = min(budget.rate for budget in flow.share.budgets) / len(flows)
            self.assertGreater(flow.total, least * 0.5)

    def test_fair(self) -> None:
        """Who always has something to send gets as much as any other, whatever the size of its pieces."""
        for rate in (20e3, 1e6, 50e6):
            driven = Driven()
            budget = Budget(rate)
            flows = [driven.flow(budget, size=size) for size in (MOST_PIECE_BYTES, 1 << 18, 1 << 20)]
            driven.run(2.0)
            totals = [flow.total for flow in flows]
            self.assertLess(max(totals) - min(totals), 0.1 * min(totals))

    def test_idle(self) -> None:
        """What one does not use the others have; an idle time is worth a burst, no more."""
        driven = Driven()
        budget = Budget(100e3)
        busy, brief = driven.flow(budget), driven.flow(budget, left=20e3)
        driven.run(2.0)
        self.assertEqual(brief.total, 20_000)
        self.assertGreater(busy.total, 175e3)
        alone = Driven()
        alone.run(1000.0)
        late = alone.flow(budget)
        self.assertLessEqual(late.total, 100e3 * BURST_S)

    def test_narrow_in_wide(self) -> None:
        """A flow with a narrow budget of its own has that, and the others the rest of the wide one."""
        driven = Driven()
        wide = Budget(100e3)
        narrow, other = driven.flow(wide, Budget(10e3)), driven.flow(wide)
        driven.run(5.0)
        self.assertApproximates(narrow.total, 50e3, 2.5e3)
        self.assertApproximates(other.total, 450e3, 22.5e3)

    def test_pieces(self) -> None:
        """Nobody passes less in a turn than is worth it, or more than is fair."""
        for rate, most in ((1.0, LEAST_PIECE_BYTES), (1e9, MOST_PIECE_BYTES), (1e300, MOST_PIECE_BYTES)):
            core = Pacing()
            self.assertEqual(core.ask(Share([Budget(rate)]), 1 << 20, 5.0), most)

    def test_cancelled(self) -> None:
        """Who has gone away has no turn, and leaves nothing to wait for."""
        driven = Driven()
        budget = Budget(10e3)
        gone, stays = driven.flow(budget), driven.flow(budget)
        driven.core.cancel(gone.share)
        driven.core.cancel(gone.share)
        before = gone.total
        driven.run(1.0)
        self.assertEqual(gone.total, before)
        self.assertApproximates(stays.total, 10e3, 1e3)
        driven.core.cancel(stays.share)
        self.assertIsNone(driven.core.next_wakeup())
        self.assertEqual((gone.share.is_waiting, stays.share.is_waiting), (False, False))

    def test_time_went_back(self) -> None:
        """Time that goes back is no time passed."""
        core = Pacing()
        share = Share([Budget(10e3)])
        while core.ask(share, 1000, 100.0):
            pass
        core.wake(50.0)
        self.assertEqual(core.events(), [])
        core.wake(101.0)
        self.assertEqual([event.share for event in core.events()], [share])

    def test_datagrams(self) -> None:
        """Datagrams pass whole or not at all, as many as the rate amounts to."""
        core = Pacing()
        budgets = [Budget(100e3), Budget(1e6)]
        passed = []
        for millisecond in range(2000):
            for _ in range(3):
                if core.admit(budgets, 1200, millisecond / 1000):
                    passed.append((millisecond / 1000, 1200))
        self.assertLessEqual(most_at_once(passed, 100e3), BURST_S + 1200 / 100e3)
        self.assertApproximates(len(passed) * 1200, 200e3, 10e3)

    def test_datagrams_beside_streams(self) -> None:
        """Datagrams leave streams their turns, and the other way round."""
        driven = Driven()
        budget = Budget(100e3)
        stream = driven.flow(budget)
        datagrams = 0
        for millisecond in range(2000):
            driven.run(millisecond / 1000)
            datagrams += 1200 * driven.core.admit([budget], 1200, driven.now)
        self.assertGreater(stream.total, 50e3)
        self.assertGreater(datagrams, 50e3)
        self.assertLessEqual(stream.total + datagrams, 100e3 * (2.0 + BURST_S) + 1200)

    def test_repr(self) -> None:
        """A budget says what it allows."""
        self.assertEqual(repr(Budget(1024)), "<Budget of 1024 bytes a second>")
