"""Tests of the message that says why a session ends."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire.framing import V2, UnknownMessage, V2Decoder
from relaykit.sansio.wire.goodbye import Goodbye
from relaykit.sansio.wire.messages import CORE_MESSAGES


class GoodbyeTests(SynchronousTestCase):
    """Its bytes, and where it is legal."""

    def test_golden(self) -> None:
        """It has the reason and a text."""
        frame = V2.encode(Goodbye(why="replaced", text="by 192.0.2.1:5"))
        self.assertTrue(frame.endswith(b'\x52\x04{"why":"replaced","text":"by 192.0.2.1:5"}'))
        decoder = V2Decoder(CORE_MESSAGES.extended(Goodbye))
        decoder.receive(frame)
        self.assertEqual(decoder.next_message(), Goodbye(why="replaced", text="by 192.0.2.1:5"))

    def test_elsewhere(self) -> None:
        """Who did not agree to it does not understand it."""
        decoder = V2Decoder()
        decoder.receive(V2.encode(Goodbye()))
        self.assertRaises(UnknownMessage, decoder.next_message)
