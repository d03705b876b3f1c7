"""Tests for :mod:`relaykit.administration.metrics.process`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit import __version__
from relaykit.administration.metrics.process import ProcessSource
from tests.administration.metrics.texts import key, samples_of


class ProcessSourceTests(SynchronousTestCase):
    """Tests for :class:`ProcessSource`."""

    def test_told(self) -> None:
        """It says what runs."""
        samples = samples_of(ProcessSource("client").take()())
        self.assertEqual(samples[key("relaykit_build_info", version=__version__, role="client")], 1)
