"""Tests of measuring, and of the time-outs that come of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.round_trips import FIRST_TIMEOUT_S, MOST_TIMEOUT_S, RoundTrips


class RoundTripsTests(SynchronousTestCase):
    """Time-outs of an end whose peer may wait for 20 ms, and that itself waits for 30 ms at least."""

    def setUp(self) -> None:
        self.trips = RoundTrips(0.02, 0.03)

    def test_first(self) -> None:
        """Before the first measurement there is a time-out, and no round trip."""
        self.assertEqual((self.trips.smooth_s, self.trips.timeout_s), (None, FIRST_TIMEOUT_S))

    def test_bounds(self) -> None:
        """The time-out is never shorter nor longer than it may be."""
        self.trips.measured(0.0)
        self.assertEqual(self.trips.timeout_s, 0.03)
        self.trips.measured(10_000.0)
        self.assertEqual(self.trips.timeout_s, MOST_TIMEOUT_S)

    def test_steady(self) -> None:
        """Where nothing varies it comes to the round trip and what the peer may wait."""
        for _ in range(100):
            self.trips.measured(0.1)
        self.assertAlmostEqual(self.trips.timeout_s, 0.12)

    def test_varying(self) -> None:
        """What varies is waited for longer than the longest round trip."""
        for place in range(100):
            self.trips.measured(0.05 if place % 2 else 0.15)
        self.assertGreater(self.trips.timeout_s, 0.15)
