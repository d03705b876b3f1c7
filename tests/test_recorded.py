"""Tests of the reader of recorded connections itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests import recorded


class RecordedTests(SynchronousTestCase):
    """What other tests rely on when they replay recordings."""

    def test_every_file_is_read(self) -> None:
        """All 58 recordings have a header that bears their name, and connections."""
        self.assertEqual(len(recorded.names()), 58)
        for name in recorded.names():
            recording = recorded.load(name)
            self.assertEqual(recording.header["scenario"], name)
            self.assertTrue(recording.connections)

    def test_recordings_without_conversations(self) -> None:
        """Only TLS and KCP recordings have no conversations."""
        without = [name for name in recorded.names() if not list(recorded.load(name).conversations())]
        self.assertEqual(without, ["tls-first-byte-16", "tls-first-byte-17", "v1-kcp"])

    def test_layers_are_taken_off(self) -> None:
        """Each version 1 and 2 control conversation begins as that version does, whatever was around it."""
        beginnings = {1: b"o", 2: b"FRP\x00\x02\r\n"}
        controls = [found for found in recorded.conversations() if found.kind == "control"]
        self.assertGreater(len(controls), 50)
        for found in controls:
            assert found.wire is not None
            self.assertTrue(found.c2s.startswith(beginnings[found.wire]), str(found))

    def test_data_keeps_order(self) -> None:
        """A connection's data is its chunks put together, each direction by itself."""
        connection = recorded.load("v1-tcp-plain").connections[0]
        total = sum(len(chunk.data) for chunk in connection.chunks)
        self.assertEqual(len(connection.data("c2s")) + len(connection.data("s2c")), total)
        self.assertTrue(connection.data("s2c").startswith(b"1\x00\x00\x00\x00"))
