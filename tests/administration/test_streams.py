"""Tests for :mod:`relaykit.administration.streams`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.streams import MOST_WAITING, SIGN_S, TAKEN_S, StreamWriter


class StreamWriterTests(SynchronousTestCase):
    """Tests for an answer without an end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.written: list[bytes] = []
        self.dropped = 0
        self.writer = StreamWriter(self.written.append, self.drop, b":", self.clock)
        self.writer.start()

    def drop(self) -> None:
        """Lets the reader go."""
        self.dropped += 1

    def test_sent(self) -> None:
        """Parts are sent as they come, with signs of life between them."""
        self.writer.take(b"a")
        self.clock.advance(SIGN_S)
        self.writer.take(b"b")
        self.assertEqual(self.written, [b":", b"a", b":", b"b"])
        for _ in range(3):
            self.clock.advance(SIGN_S)
        self.assertEqual(self.written[4:], [b":"] * 3)

    def test_slow(self) -> None:
        """A reader who takes a while gets all of it, in order."""
        self.writer.pauseProducing()
        self.writer.take(b"a")
        self.clock.advance(TAKEN_S / 2)
        self.writer.take(b"b")
        self.assertEqual(self.written, [b":"])
        self.writer.resumeProducing()
        self.writer.take(b"c")
        self.assertEqual(self.written, [b":", b"a", b"b", b"c"])
        self.clock.advance(TAKEN_S)
        self.assertEqual(self.dropped, 0)

    def test_paused_again(self) -> None:
        """What fills the connection again waits for the next time."""

        def write(part: bytes) -> None:
            self.written.append(part)
            writer.pauseProducing()

        writer = StreamWriter(write, self.drop, b":", self.clock)
        for part in (b"a", b"b", b"c"):
            writer.take(part)
        self.assertEqual(self.written[1:], [b"a"])
        writer.resumeProducing()
        self.assertEqual(self.written[1:], [b"a", b"b"])

    def test_too_slow(self) -> None:
        """A reader who takes nothing is dropped after a while."""
        self.writer.pauseProducing()
        self.clock.advance(TAKEN_S - 1)
        self.writer.pauseProducing()
        self.assertEqual(self.dropped, 0)
        self.clock.advance(1)
        self.assertEqual(self.dropped, 1)

    def test_too_much(self) -> None:
        """So is one for whom too much waits."""
        self.writer.pauseProducing()
        for _ in range(MOST_WAITING):
            self.writer.take(b"a")
        self.assertEqual(self.dropped, 0)
        self.writer.take(b"a")
        self.assertEqual(self.dropped, 1)

    def test_stopped(self) -> None:
        """Nothing is left of it once it is stopped."""
        self.writer.stopProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])
