"""Tests for :mod:`relaykit.sansio.wire.framing`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes.messages import UDPAddress, UDPPacket
from relaykit.sansio.wire.framing import (
    MAGIC,
    MAX_BODY,
    MAX_PAYLOAD,
    V1,
    V2,
    Decoder,
    FrameTooLong,
    Framing,
    HelloFrame,
    MalformedFrame,
    MessageTooLong,
    Received,
    UnknownMessage,
    V1Decoder,
    V2Decoder,
    encode_hello,
    encode_v1,
    encode_v2,
)
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import (
    CORE_MESSAGES,
    LoginResp,
    NewWorkConn,
    Ping,
    Pong,
    ReqWorkConn,
)
from relaykit.testing.cuts import feed_every_cut

DATAGRAM_MESSAGES = CORE_MESSAGES.extended(UDPPacket)

LOGIN_RESP = LoginResp(version="0.70.1", run_id="0123456789abcdef")
PACKET = UDPPacket(content=b"hello", remote=UDPAddress("203.0.113.9", 40000))


def reading(make: Callable[[], Decoder]) -> Callable[[Sequence[bytes]], list[Received | str | bytes]]:
    """What a fresh decoder makes of portions: messages, the error if there is one, else what is unread."""

    def read(portions: Sequence[bytes]) -> list[Received | str | bytes]:
        decoder = make()
        found: list[Received | str | bytes] = []
        for portion in portions:
            decoder.receive(portion)
            try:
                while (message := decoder.next_message()) is not None:
                    found.append(message)
            except RemoteProtocolError as error:
                return [*found, str(error)]
        return [*found, decoder.unread()]

    return read


def reading_in_bulk(make: Callable[[], Decoder]) -> Callable[[Sequence[bytes]], list[Received | str | bytes]]:
    """The same, of a decoder of which the bodies of datagrams are taken in bulk."""

    def read(portions: Sequence[bytes]) -> list[Received | str | bytes]:
        decoder = make()
        found: list[Received | str | bytes] = []
        for portion in portions:
            try:
                for body in decoder.receive_bodies(UDPPacket, portion):
                    found.append(UDPPacket.from_json(body) or UDPPacket())
                while (message := decoder.next_message()) is not None:
                    found.append(message)
            except RemoteProtocolError as error:
                return [*found, str(error)]
        return [*found, decoder.unread()]

    return read


def read_v1() -> V1Decoder:
    """A decoder of version 1 with datagrams."""
    return V1Decoder(DATAGRAM_MESSAGES)


def read_v2() -> V2Decoder:
    """A decoder of version 2 with datagrams."""
    return V2Decoder(DATAGRAM_MESSAGES)


class V1Tests(SynchronousTestCase):
    """Version 1."""

    def test_golden(self) -> None:
        """Frames are byte by byte those of frp."""
        self.assertEqual(encode_v1(ReqWorkConn()).hex(), "7200000000000000027b7d")
        self.assertEqual(encode_v1(Pong()).hex(), "3400000000000000027b7d")
        self.assertEqual(
            encode_v1(LOGIN_RESP).hex(),
            "310000000000000030"
            "7b2276657273696f6e223a22302e37302e31222c2272756e5f6964223a2230313233343536373839616263646566227d",
        )
        self.assertEqual(
            encode_v1(PACKET),
            bytes.fromhex("750000000000000040")
            + b'{"c":"aGVsbG8=","r":{"IP":"203.0.113.9","Port":40000,"Zone":""}}',
        )

    def test_every_cut(self) -> None:
        """However the bytes are cut, the same messages come out, and what follows stays."""
        data = encode_v1(LOGIN_RESP) + encode_v1(PACKET) + encode_v1(ReqWorkConn()) + b"s\x00\x00"
        self.assertEqual(
            feed_every_cut(data, reading(read_v1)), [LOGIN_RESP, PACKET, ReqWorkConn(), b"s\x00\x00"]
        )

    def test_unread(self) -> None:
        """What follows the message that was taken is handed over untouched, and only once."""
        decoder = V1Decoder()
        decoder.receive(encode_v1(LOGIN_RESP) + b"\xff ciphertext")
        self.assertEqual(decoder.next_message(), LOGIN_RESP)
        self.assertEqual(decoder.unread(), b"\xff ciphertext")
        self.assertEqual(decoder.unread(), b"")
        self.assertIsNone(decoder.next_message())

    def test_null(self) -> None:
        """A message that is ``null`` is refused as an opening and skipped later, as by frp."""
        null = bytes.fromhex("680000000000000004") + b"null"
        data = encode_v1(Pong()) + null + encode_v1(ReqWorkConn()) + null
        self.assertEqual(feed_every_cut(data, reading(V1Decoder)), [Pong(), ReqWorkConn(), b""])
        decoder = V1Decoder()
        decoder.receive(null)
        self.assertRaises(MalformedFrame, decoder.next_message)
        later = V1.make_decoder(CORE_MESSAGES)
        later.receive(null + encode_v1(Pong()))
        self.assertEqual(later.next_message(), Pong())

    def test_unhandled(self) -> None:
        """A message of frp's that nobody here handles is skipped."""
        data = encode_v1(PACKET) + encode_v1(Pong())
        self.assertEqual(feed_every_cut(data, reading(V1Decoder)), [Pong(), b""])

    def test_unknown_type(self) -> None:
        """An unknown type is refused at its first byte, before anything is kept."""
        for beginning in (b"Z", b"\x00", MAGIC, b"GET / HTTP/1.1", b"\x16\x03\x01"):
            decoder = V1Decoder()
            decoder.receive(beginning[:1])
            self.assertRaises(UnknownMessage, decoder.next_message)
            self.assertRaises(UnknownMessage, decoder.next_message)

    def test_length(self) -> None:
        """The longest body is accepted; a longer one, or less than none, is refused by its header."""
        for length in (MAX_BODY + 1, -1, 2**63 - 1, -(2**63)):
            decoder = V1Decoder()
            decoder.receive(b"o" + length.to_bytes(8, "big", signed=True))
            self.assertRaises(FrameTooLong, decoder.next_message)
        longest = Pong(error="x" * (MAX_BODY - len(b'{"error":""}')))
        decoder = V1Decoder()
        decoder.receive(encode_v1(longest))
        self.assertEqual(decoder.next_message(), longest)
        self.assertRaises(MessageTooLong, encode_v1, Pong(error=longest.error + "x"))

    def test_malformed_body(self) -> None:
        """A body that is not a JSON object of the right types is refused."""
        for body in (b"", b"[]", b'{"run_id":1}', b"{", b"{} "[:1]):
            decoder = V1Decoder()
            decoder.receive(b"w" + len(body).to_bytes(8, "big") + body)
            self.assertRaises(MalformedMessage, decoder.next_message)

    @given(st.binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Junk is refused or waited on, whatever the cuts."""
        feed_every_cut(junk, reading(V1Decoder))

    @given(st.sampled_from(b"o1p2cwrsv3h4uinm56"), st.binary(max_size=64))
    def test_junk_bodies(self, kind: int, body: bytes) -> None:
        """A body of junk is refused or read, and the frame's end is kept to."""
        found = reading(read_v1)([bytes([kind]) + len(body).to_bytes(8, "big") + body + b"tail"])
        self.assertIsInstance(found[-1], str | bytes)


class V2Tests(SynchronousTestCase):
    """Version 2."""

    def test_golden(self) -> None:
        """Frames are byte by byte those of frp."""
        self.assertEqual(encode_v2(ReqWorkConn()).hex(), "001000000000000400077b7d")
        self.assertEqual(encode_v2(Ping()).hex(), "0010000000000004000b7b7d")
        self.assertEqual(
            (MAGIC + encode_v2(NewWorkConn(run_id="0123456789abcdef"))).hex(),
            "46525000020d0a001000000000001f00067b2272756e5f6964223a2230313233343536373839616263646566227d",
        )
        self.assertEqual(encode_hello(HelloFrame("client", b"{}")).hex(), "00010000000000027b7d")
        self.assertEqual(encode_hello(HelloFrame("server", b"{}")).hex(), "00020000000000027b7d")

    def test_every_cut(self) -> None:
        """However the bytes are cut, the same hellos and messages come out, and what follows stays."""
        hello = HelloFrame("client", b' {"unknown": "spacing is kept"} ')
        data = encode_hello(hello) + encode_v2(LOGIN_RESP) + encode_v2(PACKET) + b"\x00\x10\x00"
        self.assertEqual(feed_every_cut(data, reading(read_v2)), [hello, LOGIN_RESP, PACKET, b"\x00\x10\x00"])

    def test_null(self) -> None:
        """A message that is ``null`` is an empty message, as for frp."""
        decoder = V2Decoder()
        decoder.receive(bytes.fromhex("0010000000000006000b") + b"null")
        self.assertEqual(decoder.next_message(), Ping())

    def test_unhandled(self) -> None:
        """A message of frp's that nobody here handles is skipped."""
        data = encode_v2(PACKET) + encode_v2(Pong())
        self.assertEqual(feed_every_cut(data, reading(V2Decoder)), [Pong(), b""])

    def test_free_numbers(self) -> None:
        """Where a table says so, messages of other packages that it does not have are skipped."""
        data = bytes.fromhex("00100000000000048000") + b"{}" + encode_v2(Pong())
        lenient = partial(V2Decoder, evolve(CORE_MESSAGES, skips_free=True))
        self.assertEqual(feed_every_cut(data, reading(lenient)), [Pong(), b""])
        decoder = V2Decoder()
        decoder.receive(data)
        self.assertRaises(UnknownMessage, decoder.next_message)

    def test_refused_headers(self) -> None:
        """Flags, unknown types of frame and excess length are refused by the header alone."""
        refused: dict[str, type[Exception]] = {
            "0010000100000004": MalformedFrame,
            "0001ffff00000004": MalformedFrame,
            "0000000000000004": MalformedFrame,
            "0003000000000004": MalformedFrame,
            "0010000000010001": FrameTooLong,
            "00010000ffffffff": FrameTooLong,
        }
        for header, error in refused.items():
            decoder = V2Decoder()
            decoder.receive(bytes.fromhex(header))
            self.assertRaises(error, decoder.next_message)

    def test_refused_payloads(self) -> None:
        """A message without a number, of an unknown number or with a malformed body is refused."""
        refused: dict[str, type[Exception]] = {
            "0010000000000000": MalformedFrame,
            "001000000000000100": MalformedFrame,
            "001000000000000400007b7d": UnknownMessage,
            "001000000000000400137b7d": UnknownMessage,
            "00100000000000020001": MalformedMessage,
            "001000000000000400015b5d": MalformedMessage,
        }
        for frame, error in refused.items():
            decoder = V2Decoder()
            decoder.receive(bytes.fromhex(frame))
            self.assertRaises(error, decoder.next_message)

    def test_length(self) -> None:
        """The longest payload is accepted, and nothing longer is made."""
        longest = Pong(error="x" * (MAX_PAYLOAD - 2 - len(b'{"error":""}')))
        decoder = V2Decoder()
        decoder.receive(encode_v2(longest))
        self.assertEqual(decoder.next_message(), longest)
        self.assertRaises(MessageTooLong, encode_v2, Pong(error=longest.error + "x"))
        self.assertRaises(MessageTooLong, encode_hello, HelloFrame("client", b"x" * (MAX_PAYLOAD + 1)))

    def test_table_may_change(self) -> None:
        """What is understood may be extended between two messages."""
        decoder = V2Decoder()
        decoder.receive(encode_v2(Pong()) + encode_v2(PACKET))
        self.assertEqual(decoder.next_message(), Pong())
        decoder.messages = DATAGRAM_MESSAGES
        self.assertEqual(decoder.next_message(), PACKET)

    @given(st.binary(max_size=64))
    def test_junk(self, junk: bytes) -> None:
        """Junk is refused or waited on, whatever the cuts."""
        feed_every_cut(junk, reading(V2Decoder))

    @given(st.integers(0, 20), st.binary(max_size=64))
    def test_junk_bodies(self, number: int, body: bytes) -> None:
        """A body of junk is refused or read, and the frame's end is kept to."""
        header = bytes.fromhex("00100000") + (len(body) + 2).to_bytes(4, "big") + number.to_bytes(2, "big")
        found = reading(read_v2)([header + body + b"tail"])
        self.assertIsInstance(found[-1], str | bytes)


class FramingTests(SynchronousTestCase):
    """Both versions, one way to use them."""

    def test_round_trip(self) -> None:
        """What a version encodes, its decoder gives."""
        for framing in (V1, V2):
            decoder = framing.make_decoder(DATAGRAM_MESSAGES)
            for message in (
                LOGIN_RESP,
                PACKET,
                Ping(privilege_key="k", timestamp=-1),
                Pong(error="<é\u2028>"),
            ):
                decoder.receive(framing.encode(message))
                self.assertEqual(decoder.next_message(), message)

    @given(
        st.lists(st.sampled_from([PACKET, UDPPacket(), Pong(), MAGIC, b"u", b"\x00\x10"]), max_size=6),
        st.binary(max_size=24),
    )
    def test_bodies(self, contents: Sequence[UDPPacket | Pong | bytes], junk: bytes) -> None:
        """Bodies that are taken in bulk are those of the messages; what follows them is read as ever."""
        for framing in (V1, V2):
            stream = junk.join(part if isinstance(part, bytes) else framing.encode(part) for part in contents)

            def make(framing: Framing = framing) -> Decoder:
                return framing.make_decoder(DATAGRAM_MESSAGES)

            for whole in (stream, stream + junk):
                found = feed_every_cut(whole, reading(make))
                self.assertEqual(feed_every_cut(whole, reading_in_bulk(make)), found)
