"""Tests for :mod:`relaykit.sansio.points`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.points import Points


class PointsTests(SynchronousTestCase):
    """Tests for the points of a peer."""

    def test_spent(self) -> None:
        """There are enough until there are none, and what was taken too much has to come back, too."""
        points = Points(10.0, 2.0, 0.0)
        self.assertTrue(points.spend(10.0, 0.0))
        self.assertFalse(points.spend(4.0, 0.0))
        self.assertFalse(points.spend(0.0, 1.9))
        self.assertTrue(points.spend(0.0, 2.0))

    def test_most(self) -> None:
        """Neither time nor what is of use brings more than there were at first."""
        points = Points(10.0, 2.0, 0.0)
        points.earn(100.0)
        self.assertTrue(points.spend(10.0, 1000.0))
        self.assertFalse(points.spend(1.0, 1000.0))

    def test_time_going_back(self) -> None:
        """Time that goes back brings nothing, and takes nothing."""
        points = Points(10.0, 2.0, 100.0)
        self.assertTrue(points.spend(10.0, 50.0))
        self.assertFalse(points.spend(1.0, 100.0))
        self.assertEqual(points.left(100.5), 0.0)

    def test_left(self) -> None:
        """What is left can be asked for without taking any of it."""
        points = Points(10.0, 2.0, 0.0)
        points.spend(13.0, 0.0)
        self.assertEqual([points.left(now) for now in (0.0, 1.0, 1.0, 2.5, 1000.0)], [-3, -1, -1, 2, 10])
