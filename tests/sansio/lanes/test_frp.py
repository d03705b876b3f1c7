"""Tests for frp's format of a lane."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.lanes import frp
from relaykit.sansio.lanes.codec import DatagramTooLarge
from relaykit.sansio.lanes.frp import MOST_KEY_BYTES, MOST_ZONE_CHARACTERS, MessageCodec
from relaykit.sansio.lanes.messages import UDPAddress, UDPPacket
from relaykit.sansio.wire.framing import V1, V2, HelloFrame, encode_hello
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import CORE_MESSAGES, Ping, StartWorkConn
from relaykit.testing.cuts import every_cut
from relaykit.values import MOST_DATAGRAM_BYTES, Address
from tests import recorded
from tests.recorded import Conversation

USER = Address("127.0.0.1", 56533)


def lanes() -> Iterator[Conversation]:
    """The recorded work connections of udp that nothing was done to."""
    for conversation in recorded.conversations():
        is_udp = "-udp" in conversation.recording.name
        if is_udp and conversation.kind == "work" and conversation.expect.get("layers") == []:
            yield conversation


class MessageCodecTests(SynchronousTestCase):
    """Tests for :class:`MessageCodec`."""

    def test_recorded(self) -> None:
        """What frps sent is read, wherever it is cut, and written again byte by byte."""
        seen = 0
        for conversation in lanes():
            framing = {1: V1, 2: V2}[conversation.wire or 0]
            opening = framing.make_decoder(CORE_MESSAGES)
            opening.receive(conversation.s2c)
            if not isinstance(opening.next_message(), StartWorkConn):
                continue
            payload = opening.unread()
            for portions in every_cut(payload):
                codec = MessageCodec(framing, MOST_DATAGRAM_BYTES)
                found = [each for portion in portions for each in codec.receive(portion)]
                again = [codec.encode(codec.key_of(codec.user_of(key)), data) for key, data in found]
                self.assertEqual(b"".join(again), payload)
            seen += len(found)
        self.assertEqual(seen, 8)

    def test_largest(self) -> None:
        """UdpPacketSize bounds what is sent, and so does what a message has room for; none is cut."""
        for framing, room in ((V1, 7638), (V2, 49110)):
            codec = MessageCodec(framing, MOST_DATAGRAM_BYTES)
            key = codec.key_of(USER)
            codec.encode(key, bytes(room))
            refused = self.assertRaises(DatagramTooLarge, codec.encode, key, bytes(room + 1))
            self.assertIn(f"version {framing.version}", str(refused))
            small = MessageCodec(framing, 1500)
            small.encode(key, bytes(1500))
            refused = self.assertRaises(DatagramTooLarge, small.encode, key, bytes(1501))
            self.assertIn("udpPacketSize is 1500", str(refused))

    def test_ignored(self) -> None:
        """Pings, hellos, other messages and packets of nobody are no datagrams."""
        for framing in (V1, V2):
            codec = MessageCodec(framing, 1500)
            for message in (Ping(timestamp=1), UDPPacket(content=b"x"), StartWorkConn(proxy_name="x")):
                self.assertEqual(codec.receive(framing.encode(message)), [])
        self.assertEqual(codec.receive(encode_hello(HelloFrame("client", b"{}"))), [])

    def test_no_user(self) -> None:
        """A key that names no address, or no zone that could be one, is nobody."""
        codec = MessageCodec(V1, 1500)
        long = "x" * (MOST_ZONE_CHARACTERS + 1)
        for remote in (
            UDPAddress(),
            UDPAddress("relay.example.net", 1),
            UDPAddress("203.0.113.9\nforged", 1),
            UDPAddress("fe80::1", 1, "eth0\nforged"),
            UDPAddress("fe80::1", 1, long),
            UDPAddress("203.0.113.9", 1, "eth0"),
        ):
            for _ in range(2):
                ((key, _),) = codec.receive(V1.encode(UDPPacket(content=b"x", remote=remote)))
                self.assertRaises(ValueError, codec.user_of, key)

    def test_mapped(self) -> None:
        """An IPv4-mapped address is shown as IPv4, and answered as it came."""
        codec = MessageCodec(V1, 1500)
        ((key, _),) = codec.receive(V1.encode(UDPPacket(remote=UDPAddress("::ffff:192.0.2.1", 5))))
        self.assertEqual(codec.user_of(key), Address("192.0.2.1", 5))
        self.assertIn(b'"IP":"::ffff:192.0.2.1"', codec.encode(key, b""))

    def test_known(self) -> None:
        """What is read of a message does not depend on whether its user is known."""
        address = b'{"IP":"127.0.0.1","Port":56533,"Zone":""}'
        for framing in (V1, V2):
            for beginning, outcome in (
                (b'{"c":"aGVsbG8=","r":', b"hello"),
                (b'{"c":"","r":', b""),
                (b'{"c":null,"r":', b""),
                (b'{"c":"aGVs\\nbG8=","r":', b"hello"),
                (b'{"c":"aGVs\\u0062G8=","r":', b"hello"),
                (b'{"c": "aGVsbG8=" ,"r":', b"hello"),
                (b'{"c":"aGVsbG8=","l":null,"r":', b"hello"),
                (b'{"c":"Ynll","c":"aGVsbG8=","r":', b"hello"),
                (b'{"d":"aGVsbG8=","r":', b""),
                (b'{"r":', b""),
                (b'{"c":"aGVsbG8","r":', MalformedMessage),
                (b'{"c":"aGVsbG8=,"r":', MalformedMessage),
                (b'{"c":5,"r":', MalformedMessage),
                (b'{"c":"\xff","r":', MalformedMessage),
                (b'["c":"aGVsbG8=","r":', MalformedMessage),
            ):
                frame = framing.frame(UDPPacket, beginning + address + b"}")
                for known in (False, True):
                    codec = MessageCodec(framing, 1500)
                    if known:
                        codec.receive(codec.encode(codec.key_of(USER), b"first"))
                    if isinstance(outcome, bytes):
                        self.assertEqual(codec.receive(frame), [(address, outcome)])
                    else:
                        self.assertRaises(outcome, codec.receive, frame)

    def test_longest_known(self) -> None:
        """The longest address becomes known, also with the longest name that Linux has for an interface."""
        codec = MessageCodec(V1, 1500)
        user = UDPAddress(":".join(["ffff"] * 8), 65_535, "x" * 15)
        ((key, _),) = codec.receive(V1.encode(UDPPacket(content=b"x", remote=user)))
        self.assertIn(key, codec._known.values())

    def test_many_known(self) -> None:
        """So many users are known, none with an endless address; who was forgotten is served as before."""
        self.patch(frp, "MOST_USERS_KNOWN", 2)
        codec = MessageCodec(V1, 1500)
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.1", "x" * MOST_KEY_BYTES):
            user = UDPAddress(host, 1)
            ((key, data),) = codec.receive(V1.encode(UDPPacket(content=b"x", remote=user)))
            self.assertEqual((msgspec.json.decode(key, type=UDPAddress), data), (user, b"x"))
            self.assertEqual(key in codec._known.values(), len(key) <= MOST_KEY_BYTES)
            self.assertLessEqual(len(codec._known), 2)
