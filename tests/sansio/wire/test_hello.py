"""Tests for :mod:`relaykit.sansio.wire.hello`."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.wire.aead import Algorithm
from relaykit.sansio.wire.framing import HelloFrame
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.hello import (
    Bootstrap,
    ClientHello,
    HelloRefused,
    SelectedCrypto,
    SelectedMessage,
    ServerHello,
    answer,
    check_answer,
    derive_keys,
    transcript_hash,
)

CLIENT_RANDOM, SERVER_RANDOM = bytes(range(32)), bytes(range(32, 64))
CLIENT_HELLO = (
    b'{"bootstrap":{"transport":"tcp","tls":true,"tcpMux":true},"capabilities":{"message":{"codecs":["json"]},'
    b'"crypto":{"algorithms":["aes-256-gcm","xchacha20-poly1305"],'
    b'"clientRandom":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}}'
)
SERVER_HELLO = (
    b'{"selected":{"message":{"codec":"json"},"crypto":{"algorithm":"aes-256-gcm",'
    b'"serverRandom":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="}}}'
)
AES, XCHACHA = Algorithm.AES_256_GCM, Algorithm.XCHACHA20_POLY1305


def offer(*algorithms: Algorithm, **extensions: object) -> ClientHello:
    """A client's hello."""
    bootstrap = Bootstrap(transport="tcp", tls=True, tcp_mux=True)
    return ClientHello.offering(bootstrap, CLIENT_RANDOM, extensions, algorithms or (AES, XCHACHA))


class HelloTests(SynchronousTestCase):
    """What hellos say."""

    def test_golden(self) -> None:
        """Hellos are byte by byte those of frp, and read again."""
        hello = offer()
        self.assertEqual(hello.to_frame(), HelloFrame("client", CLIENT_HELLO))
        self.assertEqual(ClientHello.from_frame(HelloFrame("client", CLIENT_HELLO)), hello)
        reply = answer(hello, SERVER_RANDOM, {})
        self.assertEqual(reply.to_frame(), HelloFrame("server", SERVER_HELLO))
        self.assertEqual(ServerHello.from_frame(HelloFrame("server", SERVER_HELLO)), reply)

    def test_parts_always_travel(self) -> None:
        """Empty parts travel, as with frp."""
        self.assertEqual(
            ClientHello().to_frame().payload,
            b'{"bootstrap":{},"capabilities":{"message":{},"crypto":{}}}',
        )
        self.assertEqual(
            ServerHello.refusing("unsupported message codec").to_frame().payload,
            b'{"selected":{"message":{"codec":"json"},"crypto":{}},"error":"unsupported message codec"}',
        )

    def test_extensions(self) -> None:
        """Extensions are offered and chosen under a key of our own."""
        hello = offer(signal=1)
        self.assertIn(b'"relaykit":{"signal":1}', hello.to_frame().payload)
        received = ClientHello.from_frame(hello.to_frame())
        self.assertEqual(received.capabilities.relaykit, {"signal": 1})
        reply = ServerHello.from_frame(answer(received, SERVER_RANDOM, {"signal": 1}).to_frame())
        self.assertEqual(reply.selected.relaykit, {"signal": 1})

    def test_unknown_keys(self) -> None:
        """Unknown keys are ignored; a hello that is no object is refused."""
        frame = HelloFrame("client", b'{"later":1,"capabilities":{"crypto":{"more":[]},"relaykit":null}}')
        self.assertEqual(ClientHello.from_frame(frame), ClientHello())
        self.assertEqual(ServerHello.from_frame(HelloFrame("server", b"null")), ServerHello())
        for payload in (b"", b"[]", b'{"capabilities":[]}', b'{"capabilities":{"relaykit":1}}'):
            self.assertRaises(MalformedMessage, ClientHello.from_frame, HelloFrame("client", payload))


class AnswerTests(SynchronousTestCase):
    """Choosing, and checking what was chosen."""

    def test_first_that_is_supported(self) -> None:
        """The server takes the first of the client's algorithms that it supports."""
        cases: list[tuple[tuple[Algorithm, ...], tuple[Algorithm, ...], Algorithm]] = [
            ((AES, XCHACHA), (AES, XCHACHA), AES),
            ((XCHACHA, AES), (AES, XCHACHA), XCHACHA),
            ((XCHACHA, AES), (AES,), AES),
        ]
        for offered, supported, chosen in cases:
            hello = offer(*offered)
            self.assertIs(check_answer(hello, answer(hello, SERVER_RANDOM, {}, supported)), chosen)

    def test_refusals(self) -> None:
        """The server refuses what does not fit, in frp's words."""
        crypto = offer().capabilities.crypto
        message = offer().capabilities.message
        cases = {
            "unsupported message codec": (msgspec.structs.replace(message, codecs=("cbor",)), crypto),
            "invalid crypto client random length 31, want 32": (
                message,
                msgspec.structs.replace(crypto, client_random=bytes(31)),
            ),
            "no supported crypto algorithm": (
                message,
                msgspec.structs.replace(crypto, algorithms=("rot13",)),
            ),
        }
        for text, (codecs, algorithms) in cases.items():
            capabilities = msgspec.structs.replace(offer().capabilities, message=codecs, crypto=algorithms)
            hello = ClientHello(capabilities=capabilities)
            error = self.assertRaises(HelloRefused, answer, hello, SERVER_RANDOM, {})
            self.assertEqual(error.text, text)

    def test_server_that_lies(self) -> None:
        """The client refuses an error, and a choice that it did not offer."""
        hello = offer(AES)
        good = answer(hello, SERVER_RANDOM, {})
        self.assertIs(check_answer(hello, good), AES)
        bad = [
            ServerHello.refusing("go away"),
            answer(offer(XCHACHA), SERVER_RANDOM, {}),
            answer(hello, SERVER_RANDOM[1:], {}),
            ServerHello(
                selected=msgspec.structs.replace(good.selected, message=SelectedMessage(codec="cbor"))
            ),
            ServerHello(selected=msgspec.structs.replace(good.selected, crypto=SelectedCrypto())),
            ServerHello(),
        ]
        for each in bad:
            self.assertRaises(HelloRefused, check_answer, hello, each)
        self.assertEqual(self.assertRaises(HelloRefused, check_answer, hello, bad[0]).text, "go away")


class KeyTests(SynchronousTestCase):
    """Transcript and key schedule."""

    def test_golden(self) -> None:
        """Transcript and keys are those of frp, with both algorithms."""
        client, server = HelloFrame("client", CLIENT_HELLO), HelloFrame("server", SERVER_HELLO)
        transcript = transcript_hash(client, server)
        self.assertEqual(transcript.hex(), "5ccf90b805bdc0b770f583b4244b2512db50418790b323924394ec5014df66a0")
        keys = derive_keys(b"12345678", AES, transcript)
        self.assertEqual(
            (keys.client_to_server.hex(), keys.server_to_client.hex()),
            (
                "8f7fa4dc15696cf370c174d1a2fdc8d0c9bb99cb3d943fb79094e0928a278293",
                "c35dffdfa348d68a1e5099de3027c78c2bebeb88aec19824ee70ba1b54ba3a05",
            ),
        )
        other = HelloFrame("server", SERVER_HELLO.replace(b"aes-256-gcm", b"xchacha20-poly1305"))
        transcript = transcript_hash(client, other)
        self.assertEqual(transcript.hex(), "0562fee7b410806a0302e109220f13dd4fb74589fbedb9d297280e72a61b38cb")
        keys = derive_keys(b"12345678", XCHACHA, transcript)
        self.assertEqual(
            (keys.client_to_server.hex(), keys.server_to_client.hex()),
            (
                "36827dca36cb5bf884ba1e08e5557800784aff286213e821f21a5d0357885488",
                "4d94a0c55df21294fe48a555425c468a59754358d6de1785f088d4262a7d43e7",
            ),
        )

    def test_frps_own_vector(self) -> None:
        """Keys are those that frp's tests expect."""
        keys = derive_keys(b"token", XCHACHA, b"\x44" * 32)
        self.assertEqual(
            (keys.client_to_server.hex(), keys.server_to_client.hex()),
            (
                "a058cd025d96985febebff79a19f62b715e053913dfc747705914c624bf3d495",
                "2b09f9e07815a595bf458cf17c1d9a70eb325c2416d65dc94b9930197971e0ef",
            ),
        )

    def test_transcript_covers_every_byte(self) -> None:
        """A change of spacing, or of where one hello ends, changes the transcript."""

        def transcript(client: bytes, server: bytes) -> bytes:
            return transcript_hash(HelloFrame("client", client), HelloFrame("server", server))

        seen = {
            transcript(b"{}", b"{}"),
            transcript(b"{ }", b"{}"),
            transcript(b"{}", b"{ }"),
            transcript(b"{", b"}{}"),
        }
        self.assertEqual(len(seen), 4)

    def test_keys_are_hidden(self) -> None:
        """Keys do not appear in a ``repr``; an empty token gives keys too."""
        keys = derive_keys(b"", AES, bytes(32))
        self.assertEqual(repr(keys), "ControlKeys(algorithm=<Algorithm.AES_256_GCM: 'aes-256-gcm'>)")
        self.assertEqual(len(keys.client_to_server), 32)
