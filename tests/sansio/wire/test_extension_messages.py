"""Tests for :mod:`relaykit.sansio.wire.extension_messages`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.wire.extension_messages import (
    Goodbye,
    IdentifiedLogin,
    ProvenLogin,
    ProvenLoginResp,
    Signal,
)
from relaykit.sansio.wire.framing import V1, V2, UnknownMessage, V2Decoder, encode_v1, encode_v2
from relaykit.sansio.wire.messages import CORE_MESSAGES, Login


class SignalTests(SynchronousTestCase):
    """relaykit's own message."""

    def test_where_agreed_on(self) -> None:
        """A signal passes where the extension was agreed on."""
        signal = Signal(proxy_name="p", visitor_name="v", body={"list": [1, None, {"a": 1.5}]})
        decoder = V2Decoder(CORE_MESSAGES.extended(Signal))
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


class ProvenLoginTests(SynchronousTestCase):
    """Their bytes, and where they are legal."""

    def test_golden(self) -> None:
        """The body of the login travels as the bytes that the proofs are about."""
        body = IdentifiedLogin(version="1", identity=b"\x01" * 6, stands_by=True).to_json()
        self.assertEqual(body, b'{"version":"1","client_spec":{},"identity":"AQEBAQEB","stands_by":true}')
        frame = V2.encode(ProvenLogin(login=b"{}", binding=b"\x00" * 3, signature=b"\xff"))
        expected = b'{"login":"e30=","binding":"AAAA","signature":"/w=="}'
        self.assertEqual(frame, b"\x00\x10\x00\x00\x00\x00\x00\x36\x52\x02" + expected)

    def test_answer(self) -> None:
        """So does the answer."""
        frame = V2.encode(ProvenLoginResp(answer=b"{}", binding=b"\x00" * 3))
        self.assertTrue(frame.endswith(b'\x52\x03{"answer":"e30=","binding":"AAAA"}'))

    def test_identified_login_is_a_login(self) -> None:
        """What a login without identity says, one with identity says, too."""
        plain = Login(version="1", user="u", run_id="r", metas={"a": "b"}).to_json()
        self.assertEqual(IdentifiedLogin.from_json(plain).to_json(), plain)  # type: ignore[union-attr]  # not null

    def test_not_in_version_1(self) -> None:
        """Version 1 has no such messages, and no table has them unless it was extended."""
        self.assertRaises(LocalProtocolError, V1.encode, ProvenLogin())
        self.assertNotIn(ProvenLogin.number, CORE_MESSAGES.by_number)

    def test_hidden(self) -> None:
        """Proofs are not shown."""
        shown = repr(ProvenLogin(login=b"secret", binding=b"secret", signature=b"secret"))
        self.assertNotIn("b'secret'", shown)
        self.assertNotIn("b'secret'", repr(ProvenLoginResp(binding=b"secret")))


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
