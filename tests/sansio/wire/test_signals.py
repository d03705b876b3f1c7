"""Tests for :mod:`relaykit.sansio.wire.signals`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.wire.framing import UnknownMessage, V2Decoder, encode_v1, encode_v2
from relaykit.sansio.wire.signals import SIGNAL_MESSAGES, Signal


class SignalTests(SynchronousTestCase):
    """relaykit's own message."""

    def test_where_agreed_on(self) -> None:
        """A signal passes where the extension was agreed on."""
        signal = Signal(proxy_name="p", visitor_name="v", body={"list": [1, None, {"a": 1.5}]})
        decoder = V2Decoder(SIGNAL_MESSAGES)
        decoder.receive(encode_v2(signal))
        self.assertEqual(decoder.next_message(), signal)

    def test_elsewhere(self) -> None:
        """A signal is unknown where the extension was not agreed on."""
        decoder = V2Decoder()
        decoder.receive(encode_v2(Signal(proxy_name="p")))
        self.assertRaises(UnknownMessage, decoder.next_message)

    def test_version_1(self) -> None:
        """Version 1 has no signals."""
        self.assertRaises(LocalProtocolError, encode_v1, Signal(proxy_name="p"))

    def test_body_is_hidden(self) -> None:
        """What a proxy type tells does not appear in a ``repr``."""
        self.assertNotIn("hunter2", repr(Signal(body={"key": "hunter2"})))
