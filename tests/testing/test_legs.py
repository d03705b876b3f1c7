"""The suite of legs finds legs that are wrong."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase, TestCase

from relaykit.interfaces import IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing import legs
from relaykit.testing.legs import ExactPrefix, LegTests, MemoryWaiting, RecordingProducer
from relaykit.testing.memory import MemoryLeg


class BrokenLegTests(SynchronousTestCase):
    """Legs with one defect each."""

    def failing(self, test: str, **members: Callable[..., object]) -> int:
        """How many problems a test of the suite has with legs whose methods are replaced."""

        class Suite(MemoryWaiting, LegTests, TestCase):
            async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
                near, far = self.network.pair()
                broken = type("BrokenLeg", (MemoryLeg,), {"__slots__": (), **members})
                near.__class__ = far.__class__ = broken
                return near, far

        result = TestResult()
        Suite(test).run(result)
        return len(result.failures) + len(result.errors)

    def test_sound(self) -> None:
        """A leg without defect passes."""
        self.assertEqual(self.failing("test_both_ways"), 0)

    def test_loses_bytes(self) -> None:
        """A leg that drops a piece is found."""

        def write_sequence(leg: MemoryLeg, pieces: list[Buffer]) -> None:
            for piece in pieces[1:]:
                leg.write(piece)

        self.assertEqual(self.failing("test_both_ways", write_sequence=write_sequence), 1)

    def test_never_pauses(self) -> None:
        """A leg that never pauses its producer is found."""
        self.patch(legs, "MOST_HELD_BYTES", 1024 * 1024)
        self.assertEqual(self.failing("test_bounded", _output_full=lambda leg: None), 1)

    def test_no_half_close(self) -> None:
        """A leg that ends both directions at once is found."""
        self.assertEqual(self.failing("test_half_close", finish_writing=MemoryLeg.close), 1)


class PartsTests(SynchronousTestCase):
    """What the suite is made of."""

    def test_prefix(self) -> None:
        """The parser answers when it has enough."""
        parser = ExactPrefix(3)
        self.assertEqual((parser.limit, parser.feed(b"ab"), parser.feed(b"abcd")), (3, None, (b"abc", 3)))

    def test_producer(self) -> None:
        """The producer minds being told twice."""
        producer = RecordingProducer()
        self.assertRaises(AssertionError, producer.resumeProducing)
        producer.pauseProducing()
        self.assertRaises(AssertionError, producer.pauseProducing)
