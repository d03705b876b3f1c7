"""Tests for :mod:`benchmarks.sink`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.sink import Counter


class CounterTests(SynchronousTestCase):
    """Tests for a number that processes share."""

    def test_shared(self) -> None:
        """What one writes, others read, also those that come later; it begins with zero."""
        file = Path(self.mktemp())
        writer, reader = Counter(file), Counter(file)
        self.assertEqual(reader.read(), 0)
        writer.write(70_000)
        self.assertEqual((reader.read(), Counter(file).read()), (70_000, 70_000))
