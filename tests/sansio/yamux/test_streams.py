from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES, Stream


class StreamTests(SynchronousTestCase):
    """Tests for a stream by itself."""

    def test_windows(self) -> None:
        """A new stream may carry 256 KiB each way, which the protocol fixes."""
        stream = Stream(7, 1.0)
        self.assertEqual(stream.send_window, 262144)
        self.assertEqual(stream.receive_window, INITIAL_WINDOW_BYTES)

    def test_repr(self) -> None:
        """A log shows the number, both directions and the queue, and no payload."""
        stream = Stream(7, 1.0)
        stream.queue.append(b"secret")
        stream.queued_bytes = 6
        self.assertEqual(repr(stream), "<Stream 7: sending open, receiving open, 6 bytes queued>")
        stream.closed = True
        self.assertIn("closed", repr(stream))
