"""Tests for :mod:`relaykit.testing.datagram_paths`: the paths of relaykit's own QUIC do what it demands."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.interfaces import IDatagramPath
from relaykit.testing.datagram_paths import DatagramPathTests
from tests.carriers.quic.lines import Ends, libraries, missing


class QuicConformanceTests(DatagramPathTests, SynchronousTestCase):
    """With the best library that there is."""

    skip = missing()
    library = 0

    def make_paths(self) -> tuple[IDatagramPath, IDatagramPath]:
        """Both ends of a connection over a line in memory."""
        self.ends = Ends(libraries()[self.library]).open()
        self.addCleanup(self.ends.close)
        return self.ends.paths[0], self.ends.paths[1]

    def rest(self) -> None:
        """Lets some seconds pass."""
        self.ends.rest(5.0)


class OtherQuicConformanceTests(QuicConformanceTests):
    """With the last one."""

    library = -1
