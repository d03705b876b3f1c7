"""Tests for :mod:`relaykit.ssh_gateway.gathering`."""

from __future__ import annotations

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.gathering import MOST_GATHERED_BYTES, GatheredOutput
from relaykit.testing.memory import MemoryNetwork


class _Counting(StringTransport):
    """Counts the writes."""

    writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)


class GatheringTests(SynchronousTestCase):
    """Tests for output that is gathered."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.below = _Counting()
        self.output = GatheredOutput(self.below, self.network)

    def test_one_turn(self) -> None:
        """What is written in one turn goes out at its end, at once and in order."""
        for piece in (b"a", b"b", b"c"):
            self.output.write(piece)
        self.assertEqual(self.below.value(), b"")
        self.network.flush()
        self.assertEqual((self.below.value(), self.below.writes), (b"abc", 1))
        self.network.flush()
        self.assertEqual(self.below.writes, 1)

    def test_much(self) -> None:
        """Much goes out within the turn, so that what is below tells when it is full."""
        self.output.write(b"a")
        self.output.write(bytes(MOST_GATHERED_BYTES))
        self.assertEqual(self.below.writes, 1)

    def test_end(self) -> None:
        """What was written before the end is sent before it."""
        self.output.write(b"last")
        self.output.loseConnection()
        self.assertEqual((self.below.value(), self.below.disconnecting), (b"last", True))

    def test_the_rest(self) -> None:
        """All else is that of the transport below."""
        self.assertEqual(self.output.getPeer(), self.below.getPeer())
