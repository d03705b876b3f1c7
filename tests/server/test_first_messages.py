"""The first message of a logical connection, and what becomes of it."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.client_opening import opening
from relaykit.sansio.control.server_opening import OPENING_TIMEOUT_S
from relaykit.sansio.wire.framing import V1, V2
from relaykit.sansio.wire.messages import Login, NewWorkConn, Ping
from relaykit.testing.memory import RecordingReceiver
from tests.server.scene import Client, Scene, versions


class FirstMessageTests(SynchronousTestCase):
    """What first messages come to."""

    def setUp(self) -> None:
        self.scene = Scene()

    def test_in_pieces(self) -> None:
        """A first message is understood byte by byte."""
        for framing in versions():
            leg = self.scene.open()
            received = RecordingReceiver(leg)
            for byte in opening(framing, NewWorkConn(run_id="nobody")):
                leg.write(bytes([byte]))
                self.scene.flush()
            self.assertIn(b"no client control found for run id [nobody]", received.data)
            self.assertTrue(received.ended)

    def test_other_message(self) -> None:
        """A message that begins no connection is logged, and the connection closed."""
        for framing in versions():
            leg = self.scene.open()
            received = RecordingReceiver(leg)
            with capturedLogs() as logged:
                leg.write(opening(framing, Ping()))
                self.scene.flush()
            self.assertTrue(received.ended)
            self.assertTrue(any("broke the rules" in str(event["log_format"]) for event in logged))

    def test_login_without_hello(self) -> None:
        """A login in version 2 without a hello is answered as frp answers it, and closed."""
        leg = self.scene.open()
        received = RecordingReceiver(leg)
        leg.write(opening(V2, Login()))
        self.scene.flush()
        self.assertIn(b"missing v2 crypto negotiation", received.data)
        self.assertTrue(received.ended)

    def test_silence(self) -> None:
        """A connection whose first message does not come is dropped."""
        leg = self.scene.open()
        received = RecordingReceiver(leg)
        leg.write(opening(V1, Login())[:20])
        self.scene.advance(OPENING_TIMEOUT_S + 1)
        self.assertIsNotNone(received.lost)

    def test_end_and_loss(self) -> None:
        """A connection that ends or breaks before its first message leaves nothing behind."""
        ended, broken = self.scene.open(), self.scene.open()
        RecordingReceiver(ended)
        ended.finish_writing()
        broken.abort()
        self.scene.flush()
        self.assertEqual(self.scene.clock.getDelayedCalls(), [])

    def test_payload_behind_the_first_message(self) -> None:
        """Bytes that came together with the first message are not lost."""
        client = Client(self.scene)
        leg = self.scene.open()
        leg.write(opening(V2, NewWorkConn(run_id=client.run_id)) + b"early")
        received = RecordingReceiver(leg)
        self.scene.flush()
        self.assertIsNotNone(received.lost, "bytes before a user came break the rules")
