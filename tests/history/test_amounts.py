"""Tests for :mod:`relaykit.history.amounts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.history.amounts import NOTHING, Amount, Subject, SubjectKind


class AmountTests(SynchronousTestCase):
    """Tests for sums and differences."""

    def test_since(self) -> None:
        """The difference of two totals; those that have begun anew count as a whole."""
        before, now = Amount(10, 20, 1), Amount(11, 20, 3)
        self.assertEqual(now.since(before), Amount(1, 0, 2))
        self.assertEqual(before.since(now), before)
        self.assertEqual(before + now.since(before), now)

    def test_nothing(self) -> None:
        """What has no numbers is false."""
        self.assertFalse(NOTHING)
        for some in (Amount(1, 0, 0), Amount(0, 1, 0), Amount(0, 0, 1)):
            self.assertTrue(some)


class SubjectTests(SynchronousTestCase):
    """Tests for whose something is."""

    def test_same(self) -> None:
        """A proxy is the same one under another owner, and another one than a client of its name."""
        self.assertEqual(Subject(SubjectKind.PROXY, "a", "ann"), Subject(SubjectKind.PROXY, "a", "bob"))
        self.assertEqual(len({Subject(each, "a") for each in SubjectKind}), len(SubjectKind))
