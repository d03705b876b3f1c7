"""Tests for :mod:`relaykit.administration.server_v2`; the recordings have the rest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.server_v2 import enveloped


class EnvelopeTests(SynchronousTestCase):
    """Tests for the form of answers."""

    def test_envelope(self) -> None:
        """All answers have one form."""
        self.assertEqual(enveloped(404, "no").body, b'{"code":404,"msg":"no","data":null}\n')
