from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.liveness import PROBE_TIMEOUT_S, SILENT_INTERVALS, Due, Liveness
from relaykit.sansio.late_wakeup import GRACE_S, LATE_WAKEUP_S


def run(liveness: Liveness, until: float, heard: frozenset[float] = frozenset()) -> list[tuple[float, Due]]:
    """What becomes due until then, when every deadline is kept and the peer is heard at these times."""
    found: list[tuple[float, Due]] = []
    signs = sorted(heard)
    while True:
        wakeup = liveness.next_wakeup()
        while signs and (wakeup is None or signs[0] < wakeup):
            liveness.heard(signs.pop(0))
            wakeup = liveness.next_wakeup()
        if wakeup is None or wakeup > until:
            return found
        while (due := liveness.due(wakeup)) is not None:
            found.append((wakeup, due))


class LivenessTests(SynchronousTestCase):
    """Pings are due in time, and silence is noticed in time."""

    def test_off(self) -> None:
        """With neither interval nor timeout nothing is ever due."""
        liveness = Liveness(None, None, 0.0)
        self.assertIsNone(liveness.next_wakeup())
        self.assertIsNone(liveness.due(1e9))

    def test_pings(self) -> None:
        """The first ping is due at once, the others an interval apart."""
        self.assertEqual(run(Liveness(30.0, None, 5.0), 70.0), [(at, Due.PING) for at in (5.0, 35.0, 65.0)])

    def test_silence(self) -> None:
        """A peer that never gives a sign of life is silent after the timeout, and only once."""
        self.assertEqual(run(Liveness(None, 90.0, 10.0), 1000.0), [(100.0, Due.SILENCE)])

    def test_silence_ends_pings(self) -> None:
        """Nothing is due after the silence was told."""
        self.assertEqual(
            run(Liveness(40.0, 90.0, 0.0), 1000.0),
            [(0.0, Due.PING), (40.0, Due.PING), (80.0, Due.PING), (90.0, Due.SILENCE)],
        )

    def test_signs_of_life(self) -> None:
        """The timeout counts from the last sign of life."""
        found = run(Liveness(None, 90.0, 0.0), 1000.0, frozenset({50.0, 100.0, 101.0}))
        self.assertEqual(found, [(191.0, Due.SILENCE)])

    def test_early_wakeups(self) -> None:
        """Asking too early answers nothing and postpones nothing."""
        liveness = Liveness(None, 90.0, 0.0)
        for now in range(90):
            self.assertIsNone(liveness.due(float(now)))
        self.assertIs(liveness.due(90.0), Due.SILENCE)

    def test_clock_that_went_back(self) -> None:
        """A sign of life at a time that went back shortens no deadline."""
        liveness = Liveness(None, 90.0, 0.0)
        liveness.heard(50.0)
        liveness.heard(20.0)
        self.assertEqual(liveness.next_wakeup(), 140.0)

    def test_this_side_was_stopped(self) -> None:
        """After a pause of this process the peer gets time to be heard, and is then silent or not."""
        for heard in (True, False):
            liveness = Liveness(None, 90.0, 0.0)
            self.assertIsNone(liveness.due(600.0))
            if heard:
                liveness.heard(600.5)
            self.assertIs(liveness.due(600.0 + GRACE_S), None if heard else Due.SILENCE)

    def test_a_little_late(self) -> None:
        """A wake-up that is a little late is no pause."""
        self.assertIs(Liveness(None, 90.0, 0.0).due(90.0 + LATE_WAKEUP_S), Due.SILENCE)

    def test_late_for_a_ping(self) -> None:
        """A pause that made a ping late puts the silence off too, and the ping is due once."""
        liveness = Liveness(30.0, 90.0, 0.0)
        liveness.due(0.0)
        self.assertIs(liveness.due(95.0), Due.PING)
        self.assertIsNone(liveness.due(95.0))
        self.assertIs(liveness.due(95.0 + GRACE_S), Due.SILENCE)

    def test_doubt(self) -> None:
        """A probe makes a ping due at once; without its answer the peer is silent soon."""
        for liveness in (Liveness(30.0, 60.0, 0.0), Liveness(None, None, 0.0)):
            liveness.due(0.0)
            liveness.probe(10.0)
            self.assertEqual(liveness.next_wakeup(), 10.0)
            self.assertIs(liveness.due(10.0), Due.PING)
            self.assertIsNone(liveness.due(10.0))
            liveness.heard(11.0)
            self.assertIsNone(liveness.due(10.0 + PROBE_TIMEOUT_S - 0.1))
            self.assertIs(liveness.due(10.0 + PROBE_TIMEOUT_S), Due.SILENCE)
            self.assertIsNone(liveness.next_wakeup())

    def test_doubt_settled(self) -> None:
        """An answer settles a doubt, and the pings go on in their rhythm."""
        liveness = Liveness(30.0, 60.0, 0.0)
        liveness.due(0.0)
        liveness.probe(10.0)
        liveness.due(10.0)
        liveness.answered(12.0)
        self.assertEqual(run(liveness, 80.0), [(40.0, Due.PING), (70.0, Due.PING), (72.0, Due.SILENCE)])

    def test_doubt_repeated(self) -> None:
        """More reasons to doubt put the deadline off no further."""
        liveness = Liveness(None, None, 0.0)
        for now in (10.0, 11.0, 14.0):
            liveness.probe(now)
            self.assertIs(liveness.due(now), Due.PING)
        self.assertIs(liveness.due(10.0 + PROBE_TIMEOUT_S), Due.SILENCE)

    def test_doubt_without_hope(self) -> None:
        """A deadline may be shorter; the shortest counts."""
        liveness = Liveness(None, None, 0.0)
        liveness.probe(10.0)
        liveness.probe(11.0, 1.0)
        liveness.probe(11.0)
        self.assertIs(liveness.due(11.0), Due.PING)
        self.assertIs(liveness.due(12.0), Due.SILENCE)

    def test_doubt_after_a_pause(self) -> None:
        """A pause of this process puts the end of a doubt off, too."""
        liveness = Liveness(None, None, 0.0)
        liveness.probe(10.0)
        liveness.due(10.0)
        self.assertIsNone(liveness.due(100.0))
        self.assertIs(liveness.due(100.0 + GRACE_S), Due.SILENCE)

    def test_two_intervals(self) -> None:
        """A peer that dies right after an answer is lost when two intervals have passed."""
        liveness = Liveness(30.0, SILENT_INTERVALS * 30.0, 0.0)
        liveness.due(0.0)
        liveness.answered(0.1)
        self.assertEqual(run(liveness, 200.0)[-1], (60.1, Due.SILENCE))

    @given(st.floats(1, 100), st.sets(st.integers(0, 300)))
    def test_noticed_exactly(self, timeout_s: float, signs: set[int]) -> None:
        """Silence is told exactly one timeout after the last sign of life that was in time."""
        last = 0.0
        for sign in sorted(signs):
            if sign < last + timeout_s:
                last = float(sign)
        found = run(Liveness(None, timeout_s, 0.0), 1000.0, frozenset(map(float, signs)))
        self.assertEqual(found, [(last + timeout_s, Due.SILENCE)])
