"""Tests for :mod:`relaykit.commands.status.output`."""

from __future__ import annotations

import os
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.status.output import takes_output


class TakesOutputTests(SynchronousTestCase):
    """Tests for :func:`takes_output`."""

    def test_full_pipe(self) -> None:
        """A pipe is asked whether it takes more; what has no descriptor does."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        with open(write_end, "wb", buffering=0) as stream:
            os.set_blocking(write_end, False)
            self.assertTrue(takes_output(stream))  # type: ignore[arg-type]  # only fileno() counts
            while stream.write(bytes(65536)):
                pass
            self.assertFalse(takes_output(stream))  # type: ignore[arg-type]  # likewise
        self.assertTrue(takes_output(StringIO()))
