from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.control.extensions import (
    BOUND,
    CARRIERS,
    EXTENSIONS,
    HALF_CLOSE,
    IDENTITY,
    MOST_CARRIERS,
    SIGNAL,
    ExtensionOffer,
    answer_offer,
)
from relaykit.sansio.wire.aead import Algorithm
from relaykit.sansio.wire.framing import HelloFrame, V2Decoder
from relaykit.sansio.wire.hello import Bootstrap, HelloRefused
from tests import recorded
from tests.sansio.control.ends import fixed

BOOTSTRAP = Bootstrap(transport="tcp", tls=True, tcp_mux=True)


def spoken(frame: HelloFrame) -> dict[str, Any]:
    """What a hello says."""
    found: dict[str, Any] = json.loads(frame.payload)
    return found


class GreetingTests(SynchronousTestCase):
    """Both ends come to one agreement, or to none."""

    def test_agreement(self) -> None:
        """Both ends agree on the same algorithm, transcript and extensions."""
        for ours, theirs in (
            (EXTENSIONS, EXTENSIONS),
            (EXTENSIONS, frozenset[str]()),
            (frozenset({SIGNAL}), frozenset({SIGNAL, HALF_CLOSE})),
        ):
            greeting = ExtensionOffer(BOOTSTRAP, fixed(0)(32), ours)
            frame, at_server = answer_offer(greeting.frame, fixed(0x20)(32), theirs)
            self.assertEqual(greeting.conclude(frame), at_server)
            self.assertEqual(at_server.extensions, ours & theirs)
            self.assertEqual(at_server.algorithm, Algorithm.AES_256_GCM)

    def test_carriers(self) -> None:
        """The server says which carriers have ports of their own, if the client wants to know."""
        ports = {"quic": 7001}
        for ours, expected in ((EXTENSIONS, ports), (EXTENSIONS - {CARRIERS}, None)):
            greeting = ExtensionOffer(BOOTSTRAP, fixed(0)(32), ours)
            frame, at_server = answer_offer(greeting.frame, fixed(0x20)(32), carriers=ports)
            self.assertEqual((greeting.conclude(frame).carriers, at_server.carriers), (expected, expected))

    def test_carriers_that_make_no_sense(self) -> None:
        """What is no port, or is too much, is not heeded, and the login goes on."""
        greeting = ExtensionOffer(BOOTSTRAP, fixed(0)(32))
        frame, _ = answer_offer(greeting.frame, fixed(0x20)(32))
        too_many = {str(number): 1 for number in range(MOST_CARRIERS + 1)}
        wrongs: list[Any] = [True, [], {"a": 0}, {"a": 65536}, {"a": "1"}, too_many]
        for wrong in wrongs:
            said = spoken(frame)
            said["selected"]["relaykit"][CARRIERS] = wrong
            agreed = greeting.conclude(HelloFrame(frame.sender, json.dumps(said).encode()))
            self.assertIsNone(agreed.carriers)
            self.assertIn(SIGNAL, agreed.extensions)

    def test_offer(self) -> None:
        """Extensions are offered under a key of our own, which frp ignores."""
        said = spoken(ExtensionOffer(BOOTSTRAP, bytes(32)).frame)
        self.assertEqual(said["bootstrap"], {"transport": "tcp", "tls": True, "tcpMux": True})
        self.assertEqual(said["capabilities"]["relaykit"], dict.fromkeys(sorted(EXTENSIONS), True))

    def test_client_of_frp(self) -> None:
        """A client that offers no extension is answered exactly as frp's server would."""
        frame = HelloFrame(
            "client",
            b'{"bootstrap":{"transport":"tcp","tls":true,"tcpMux":true},"capabilities":{"message":{"codecs":'
            b'["json"]},"crypto":{"algorithms":["aes-256-gcm","xchacha20-poly1305"],"clientRandom":'
            b'"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}}',
        )
        answer, agreed = answer_offer(frame, fixed(0x20)(32))
        self.assertEqual(
            answer.payload,
            b'{"selected":{"message":{"codec":"json"},"crypto":{"algorithm":"aes-256-gcm","serverRandom":'
            b'"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="}}}',
        )
        self.assertEqual(
            agreed.transcript.hex(), "5ccf90b805bdc0b770f583b4244b2512db50418790b323924394ec5014df66a0"
        )
        self.assertEqual(agreed.extensions, frozenset())

    def test_unknown_extensions(self) -> None:
        """What only a later version knows, or is not simply true, is left alone."""
        said = spoken(ExtensionOffer(BOOTSTRAP, bytes(32)).frame)
        said["capabilities"]["relaykit"] = {"signal": True, "half_close": 1, "bound": {"tls": "x"}}
        frame = HelloFrame("client", json.dumps(said).encode())
        answer, agreed = answer_offer(frame, bytes(32))
        self.assertEqual(agreed.extensions, {SIGNAL})
        self.assertEqual(spoken(answer)["selected"]["relaykit"], {"signal": True})

    def test_salt(self) -> None:
        """A bound login is agreed on where the server has a salt for it; the hello carries it."""
        offered = EXTENSIONS | {BOUND}
        for salt in (b"", bytes(range(16))):
            greeting = ExtensionOffer(BOOTSTRAP, fixed(0)(32), offered)
            frame, at_server = answer_offer(greeting.frame, bytes(32), offered, salt)
            at_client = greeting.conclude(frame)
            self.assertEqual(at_client, at_server)
            self.assertEqual((at_client.salt, BOUND in at_client.extensions), (salt, bool(salt)))

    def test_salt_that_was_not_asked_for(self) -> None:
        """A server that chooses what was not offered chooses nothing."""
        offer = ExtensionOffer(BOOTSTRAP, fixed(0)(32), EXTENSIONS | {BOUND})
        frame, _ = answer_offer(offer.frame, bytes(32), EXTENSIONS | {BOUND}, bytes(16))
        agreed = ExtensionOffer(BOOTSTRAP, fixed(0)(32)).conclude(frame)
        self.assertEqual((agreed.extensions, agreed.salt), (EXTENSIONS, b""))

    def test_identity(self) -> None:
        """A client whose TLS ends before the server has no identity there: it signs what it exported."""
        for tls, secure in ((False, False), (True, True), (True, False), (False, True)):
            greeting = ExtensionOffer(Bootstrap(tls=tls), bytes(32), frozenset({IDENTITY}))
            _, agreed = answer_offer(greeting.frame, bytes(32), frozenset({IDENTITY}), secure=secure)
            self.assertEqual(agreed.extensions == {IDENTITY}, tls == secure)

    def test_nothing_fits(self) -> None:
        """A server says why it cannot agree."""
        said = spoken(ExtensionOffer(BOOTSTRAP, bytes(32)).frame)
        said["capabilities"]["crypto"]["algorithms"] = ["rot13"]
        frame = HelloFrame("client", json.dumps(said).encode())
        refusal = self.assertRaises(HelloRefused, answer_offer, frame, bytes(32))
        self.assertEqual(refusal.text, "no supported crypto algorithm")

    def test_malformed(self) -> None:
        """A hello that is none is the peer's fault at both ends."""
        for payload in (b"", b"[]", b'{"capabilities":1}', b'{"selected":"x"}'):
            client, server = HelloFrame("client", payload), HelloFrame("server", payload)
            self.assertRaises(RemoteProtocolError, answer_offer, client, bytes(32))
            greeting = ExtensionOffer(BOOTSTRAP, bytes(32))
            self.assertRaises(RemoteProtocolError, greeting.conclude, server)

    def test_recorded_transcripts(self) -> None:
        """Recorded hellos of frp's client are answered, and agreed on without extensions."""
        seen = 0
        for conversation in recorded.conversations():
            names = [name for name, _ in conversation.expect.get("c2s", ())]
            if conversation.kind != "control" or names[:1] != ["ClientHello"]:
                continue
            if conversation.recording.name == "v2-hello-errors":
                continue
            decoder = V2Decoder()
            decoder.receive(conversation.c2s[7:])
            frame = decoder.next_message()
            assert isinstance(frame, HelloFrame)
            answer, agreed = answer_offer(frame, bytes(32))
            self.assertEqual(agreed.algorithm.value, spoken(frame)["capabilities"]["crypto"]["algorithms"][0])
            self.assertNotIn("relaykit", spoken(answer)["selected"])
            seen += 1
        self.assertGreater(seen, 10)
