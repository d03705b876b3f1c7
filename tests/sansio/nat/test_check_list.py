"""Tests of the checklist: what is checked when, what is learned, and what is the best."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.candidates import Candidate, CandidateKind
from relaykit.sansio.nat.check_list import (
    BRISK_CHECKS,
    CHECKS_MAX,
    PATIENCE_S,
    REFLEXIVE_MAX,
    SLOW_CHECK_S,
    TICK_S,
    CheckList,
)
from relaykit.values import Address

HOST, REFLEXIVE = Address("192.168.1.5", 5000), Address("198.51.100.3", 6000)


class CheckListTests(SynchronousTestCase):
    """Two candidates of the peer."""

    def setUp(self) -> None:
        self.checks = CheckList(
            [Candidate(CandidateKind.HOST, HOST), Candidate(CandidateKind.REFLEXIVE, REFLEXIVE)]
        )
        self.host, self.reflexive = self.checks

    def test_pace(self) -> None:
        """A pair is checked each tick, then at a slower pace, and not for ever while it is silent."""
        times: list[float] = []
        now = 0.0
        while len(times) < CHECKS_MAX:
            now = self.host.due
            times.append(now)
            self.host.checked(now)
        pauses = {round(after - before, 3) for before, after in itertools.pairwise(times)}
        self.assertEqual(pauses, {TICK_S, SLOW_CHECK_S})
        self.assertAlmostEqual(times[BRISK_CHECKS - 1], (BRISK_CHECKS - 1) * TICK_S)
        self.assertEqual(self.checks.due(now + 10.0), [self.reflexive])
        self.host.is_heard = True
        self.assertEqual(self.checks.due(now + 10.0), [self.host, self.reflexive])

    def test_proven(self) -> None:
        """A pair that has proven itself is not checked any more, nor earlier than its time."""
        self.host.checked(1.0)
        self.assertTrue(self.host.is_due_earlier(1.0))
        self.assertFalse(self.host.is_due_earlier(1.0 + TICK_S))
        self.host.proven_at = 1.01
        self.assertEqual((self.checks.due(9.0), self.host.is_due_earlier(1.0)), ([self.reflexive], False))

    def test_learned(self) -> None:
        """Addresses that the peer's datagrams come from become pairs, within bounds; known ones are found."""
        self.assertIs(self.checks.pair_of(0, HOST), self.host)
        found = [self.checks.pair_of(1, Address("198.51.100.3", port)) for port in range(REFLEXIVE_MAX + 1)]
        self.assertIsNone(found.pop())
        self.assertEqual({each and each.kind for each in found}, {CandidateKind.PEER_REFLEXIVE})
        self.assertEqual(len(list(self.checks)), 2 + REFLEXIVE_MAX)

    def test_best(self) -> None:
        """The best kind wins, then the one that was proven first; a better one is waited for a moment."""
        self.assertIsNone(self.checks.best())
        self.reflexive.proven_at = 5.0
        self.assertEqual(self.checks.best(), (self.reflexive, 5.0 + PATIENCE_S))
        self.host.proven_at = 5.01
        self.assertEqual(self.checks.best(), (self.host, 0.0))
