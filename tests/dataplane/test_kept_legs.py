"""Tests for :mod:`relaykit.dataplane.kept_legs`; those of work connections use all of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.kept_legs import KEPT_S, KeptLeg, KeptLegs
from relaykit.interfaces import IStreamLeg
from relaykit.testing.memory import CAPACITY_BYTES, MemoryLeg, MemoryNetwork, RecordingReceiver


class Leg(KeptLeg):
    """One that waits with others."""

    __slots__ = ("_kept",)

    def __init__(self, lower: IStreamLeg, kept: KeptLegs[Leg]) -> None:
        super().__init__(lower)
        self._kept = kept

    @property
    def kept(self) -> KeptLegs[Leg]:  # type: ignore[override]  # they are of one class
        return self._kept


class KeptLegsTests(SynchronousTestCase):
    """What becomes of legs between two exchanges."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.kept: KeptLegs[Leg] = KeptLegs(self.network.clock, 1)

    def open(self) -> tuple[Leg, RecordingReceiver, MemoryLeg]:
        """A leg, who has it, and its far end."""
        far, near = self.network.pair()
        RecordingReceiver(far)
        leg = Leg(near, self.kept)
        return leg, RecordingReceiver(leg), far

    def test_kept(self) -> None:
        """One waits for the next exchange; another one has no room, and is closed."""
        (first, receiver, far), (second, *_) = self.open(), self.open()
        first.keep()
        second.keep()
        self.network.flush()
        self.assertEqual((len(self.kept), first.is_reused, second.is_reused), (1, True, False))
        self.assertTrue(first.take_back(receiver))
        far.write(b"answer")
        self.network.flush()
        self.assertEqual(receiver.data, b"answer")

    def test_over(self) -> None:
        """One that has ended, is lost, or takes nothing, does not wait."""
        for end in (
            lambda leg, far: far.finish_writing(),
            lambda leg, far: far.abort(),
            lambda leg, far: (far.pauseProducing(), leg.write(bytes(2 * CAPACITY_BYTES))),
        ):
            leg, _, far = self.open()
            end(leg, far)
            self.network.flush()
            leg.keep()
            self.assertEqual(len(self.kept), 0)

    def test_expired(self) -> None:
        """It waits for so long, and says nothing meanwhile."""
        leg, receiver, far = self.open()
        leg.keep()
        self.network.advance(KEPT_S)
        self.assertIsNone(self.kept.take())
        leg, receiver, far = self.open()
        leg.keep()
        far.write(b"unasked")
        self.network.flush()
        self.assertEqual((len(self.kept), receiver.data), (0, b""))
