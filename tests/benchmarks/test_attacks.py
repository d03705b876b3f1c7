"""Tests for :mod:`benchmarks.attacks`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.attacks import ATTACKS, attack
from benchmarks.loads import LOADS, MEASURES
from benchmarks.results import GATES
from benchmarks.sink import Counter
from benchmarks.subjects import Stage


class AttackTests(SynchronousTestCase):
    """Tests for the attacks; what they say to a server is seen in a run only."""

    def test_counted(self) -> None:
        """What the steps put on the wire is counted, also where the server takes nothing for a while."""
        sent = Counter(Path(self.mktemp()))
        attack(iter([100, 0, 20]), sent)
        self.assertEqual(sent.read(), 120)

    def test_measured(self) -> None:
        """Each attack is a load of the stage that is there for it, with rows for what it does."""
        self.assertEqual({load.name for load in LOADS.values() if load.stage is Stage.ABUSE}, set(ATTACKS))
        for name in ATTACKS:
            self.assertTrue({f"{name}-p50", f"{name}-p99", f"{name}-log", f"{name}-cpu"} <= set(MEASURES))

    def test_wanted(self) -> None:
        """What honest users and the log may suffer is a gate for every attack."""
        gated = {measure for gate in GATES for measure in gate.measures}
        for name in ATTACKS:
            self.assertTrue({f"{name}-p50", f"{name}-p99", f"{name}-log"} <= gated)
