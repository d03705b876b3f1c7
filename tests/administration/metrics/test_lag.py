"""Tests for :mod:`relaykit.administration.metrics.lag`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.metrics.lag import LOOK_S, ReactorLag
from tests.administration.metrics.texts import only, samples_of


class ReactorLagTests(SynchronousTestCase):
    """Tests for :class:`ReactorLag`."""

    def test_late(self) -> None:
        """Each look notes how late it is; after the stop there is none."""
        clock = Clock()
        lag = ReactorLag(clock)
        lag.startService()
        clock.advance(LOOK_S)
        clock.advance(LOOK_S + 0.5)
        samples = samples_of(lag.take()())
        self.assertEqual(only(samples, "relaykit_reactor_lag_seconds_count"), 2)
        self.assertAlmostEqual(only(samples, "relaykit_reactor_lag_seconds_sum"), 0.5)
        lag.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])
