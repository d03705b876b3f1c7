"""Replays what frp really sent: read in any portions, and written again byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.lanes.messages import UDPPacket
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES
from relaykit.sansio.wire.aead import Algorithm, Opener, Sealer
from relaykit.sansio.wire.cipher import Decryptor, Encryptor, derive_key
from relaykit.sansio.wire.coders import Stack, StreamCoder, inbound_coders, outbound_coders
from relaykit.sansio.wire.framing import (
    MAGIC,
    V1,
    V2,
    Decoder,
    Framing,
    HelloFrame,
    Received,
    V1Decoder,
    V2Decoder,
    encode_hello,
)
from relaykit.sansio.wire.hello import (
    ALGORITHMS,
    ClientHello,
    ControlKeys,
    HelloRefused,
    ServerHello,
    answer,
    check_answer,
    derive_keys,
    transcript_hash,
)
from relaykit.sansio.wire.messages import CORE_MESSAGES, Message
from tests import recorded
from tests.recorded import Conversation, Direction

MESSAGES = CORE_MESSAGES.extended(UDPPacket, *NAT_HOLE_MESSAGES)
DIRECTIONS: tuple[Direction, ...] = ("c2s", "s2c")
UNSENT = bytes(16).hex()
"""Stands for the vector of a direction in which nothing was sent."""
OTHER_SERVERS = ("v1-fixed-server", "v2-fixed-server-aes-256-gcm", "v2-fixed-server-xchacha20-poly1305")
"""Where the server is not frps: it orders the fields of StartWorkConn and chooses algorithms otherwise."""
SIZES = (1, 2, 3, 7, 61, 1 << 20)
"""Lengths of portions in which each direction is fed."""


@define
class Reader:
    """Reads one direction of a conversation as a session would: one opening, then what it leads to.

    ``lengths`` are those of the pieces that came out of what follows the opening.
    """

    conversation: Conversation
    direction: Direction
    found: list[Received] = field(factory=list)
    payload: bytes = b""
    lengths: list[int] = field(factory=list)
    _coder: StreamCoder | None = None
    _decoder: Decoder | None = None
    _magic: bytes = b""

    def __attrs_post_init__(self) -> None:
        framing = framing_of(self.conversation)
        self._decoder = V1Decoder(MESSAGES) if framing is V1 else V2Decoder(MESSAGES)
        self._magic = MAGIC if framing is V2 and self.direction == "c2s" else b""

    def receive(self, data: bytes) -> None:
        """Takes the next portion."""
        while data and self._magic:
            assert data[:1] == self._magic[:1], "the magic is wrong"
            data, self._magic = data[1:], self._magic[1:]
        if self._coder is not None:
            self._receive_inner(data)
            return
        assert self._decoder is not None
        self._decoder.receive(data)
        while (received := self._decoder.next_message()) is not None:
            self.found.append(received)
            if isinstance(received, Message):
                following = self._decoder.unread()
                self._coder = inbound(self.conversation, self.direction)
                self._decoder = (
                    None if "payload" in self.conversation.expect else decoder_of(self.conversation)
                )
                self._receive_inner(following)
                return

    def _receive_inner(self, data: bytes) -> None:
        assert self._coder is not None
        for piece in self._coder.process(data):
            self.lengths.append(len(piece))
            if self._decoder is None:
                self.payload += bytes(piece)
                continue
            self._decoder.receive(piece)
            while (received := self._decoder.next_message()) is not None:
                self.found.append(received)


def framing_of(conversation: Conversation) -> Framing:
    """The version that a conversation speaks."""
    return {1: V1, 2: V2}[conversation.wire or 0]


def decoder_of(conversation: Conversation) -> Decoder:
    """A decoder for what follows an opening."""
    return framing_of(conversation).make_decoder(MESSAGES)


def read(conversation: Conversation, direction: Direction, size: int = SIZES[-1]) -> Reader:
    """One direction, read in portions of a length."""
    data = conversation.data(direction)
    return read_portions(
        conversation, direction, [data[start : start + size] for start in range(0, len(data), size)]
    )


def read_portions(conversation: Conversation, direction: Direction, portions: Sequence[bytes]) -> Reader:
    """One direction, read in these portions."""
    reader = Reader(conversation, direction)
    for portion in portions:
        reader.receive(portion)
    return reader


def control_keys(conversation: Conversation) -> ControlKeys:
    """The keys of version 2, from the hellos that travelled and the token."""
    client, server = hello_of(conversation.c2s[len(MAGIC) :]), hello_of(conversation.s2c)
    algorithm = check_answer(ClientHello.from_frame(client), ServerHello.from_frame(server))
    return derive_keys(conversation.recording.token, algorithm, transcript_hash(client, server))


def hello_of(data: bytes) -> HelloFrame:
    """The hello that a direction begins with."""
    decoder = V2Decoder()
    decoder.receive(data)
    found = decoder.next_message()
    assert isinstance(found, HelloFrame)
    return found


def leg_key(conversation: Conversation) -> bytes | None:
    """The key of an encrypted leg: the token's, on a visitor's leg the secret key's."""
    if "aes-128-cfb" not in conversation.expect.get("layers", ()):
        return None
    if conversation.kind == "work":
        return derive_key(conversation.recording.token)
    opening = conversation.expect["c2s"][0][1]
    for other in conversation.recording.conversations():
        for name, fields in other.expect.get("c2s", ()):
            if name == "NewProxy" and fields["proxy_name"] == opening["proxy_name"]:
                return derive_key(fields["sk"].encode())
    raise AssertionError("nobody registered the proxy")


def inbound(conversation: Conversation, direction: Direction) -> StreamCoder:
    """What follows an opening passes this."""
    if conversation.kind != "control":
        compression = "snappy" in conversation.expect.get("layers", ())
        return Stack(inbound_coders(leg_key(conversation), compression))
    if "crypto" not in conversation.expect:
        return Stack(())
    if conversation.wire == 1:
        return Decryptor(derive_key(conversation.recording.token))
    keys = control_keys(conversation)
    return Opener(keys.algorithm, keys.client_to_server if direction == "c2s" else keys.server_to_client)


def outbound(conversation: Conversation, direction: Direction) -> StreamCoder:
    """The same as :func:`inbound`, the other way round, with the chance that was used."""
    crypto = conversation.expect.get("crypto", {})
    iv = bytes.fromhex(crypto.get(f"{direction}_iv", UNSENT))
    if conversation.kind != "control":
        compression = "snappy" in conversation.expect.get("layers", ())
        return Stack(outbound_coders(leg_key(conversation), compression, iv))
    if not crypto:
        return Stack(())
    if conversation.wire == 1:
        return Encryptor(derive_key(conversation.recording.token), iv)
    keys = control_keys(conversation)
    key = keys.client_to_server if direction == "c2s" else keys.server_to_client
    return Sealer(keys.algorithm, key, bytes.fromhex(crypto[f"{direction}_nonce"]))


def described(received: Received) -> list[Any]:
    """A message as recordings describe it."""
    if isinstance(received, HelloFrame):
        name = "ClientHello" if received.sender == "client" else "ServerHello"
        return [name, json.loads(received.payload)]
    return [type(received).__name__, json.loads(received.to_json())]


def conversations(*kinds: str) -> Iterator[Conversation]:
    """The conversations of these kinds, of all recordings."""
    return (found for found in recorded.conversations() if found.kind in kinds)


class ReadingTests(SynchronousTestCase):
    """Everything that was recorded is read."""

    def test_messages_and_payload(self) -> None:
        """In any portions, the same messages and the same payload come out."""
        count = 0
        for conversation in conversations("control", "work", "visitor", "?"):
            expect = conversation.expect
            for direction in DIRECTIONS:
                for size in SIZES:
                    reader = read(conversation, direction, size)
                    label = f"{conversation} {direction} in {size}"
                    self.assertEqual([described(each) for each in reader.found], expect[direction], label)
                    self.assertEqual(
                        reader.payload.hex(), expect.get("payload", {}).get(direction, ""), label
                    )
                    count += 1
        self.assertGreater(count, 300 * len(SIZES))

    def test_as_recorded(self) -> None:
        """In the portions that arrived when it was recorded, the same comes out."""
        count = 0
        for conversation in conversations("control", "work", "visitor", "?"):
            if conversation.stream is not None or "upgrade" in conversation.expect:
                continue
            for direction in DIRECTIONS:
                chunks = [each.data for each in conversation.connection.chunks if each.direction == direction]
                reader = read_portions(conversation, direction, chunks)
                whole = read(conversation, direction)
                self.assertEqual((reader.found, reader.payload), (whole.found, whole.payload))
                count += 1
        self.assertGreater(count, 250)

    def test_undecodable(self) -> None:
        """What was malformed on purpose is refused."""
        found = list(conversations("undecodable"))
        self.assertEqual(len(found), 6)
        for conversation in found:
            for size in SIZES:
                self.assertRaises(RemoteProtocolError, read, conversation, "c2s", size)

    def test_keys(self) -> None:
        """Keys and transcripts are computed as both ends computed them."""
        checked = 0
        for conversation in conversations("control", "work", "visitor"):
            crypto = conversation.expect.get("crypto")
            if crypto is None:
                continue
            checked += 1
            if "key" in crypto:
                key = leg_key(conversation) or derive_key(conversation.recording.token)
                self.assertEqual(key.hex(), crypto["key"], str(conversation))
                continue
            keys = control_keys(conversation)
            client, server = hello_of(conversation.c2s[len(MAGIC) :]), hello_of(conversation.s2c)
            self.assertEqual(transcript_hash(client, server).hex(), crypto["transcript"])
            self.assertEqual(keys.algorithm, Algorithm(crypto["algorithm"]))
            self.assertEqual(keys.client_to_server.hex(), crypto["c2s_key"])
            self.assertEqual(keys.server_to_client.hex(), crypto["s2c_key"])
        self.assertGreater(checked, 60)

    def test_probes(self) -> None:
        """Probes of hole punching are datagrams of an encrypted message each."""
        recording = recorded.load("v1-xtcp-own-visitor")
        (connection,) = (each for each in recording.connections if each.protocol == "probe")
        key = derive_key(recording.header["secretKey"].encode())
        self.assertEqual(key.hex(), recording.header["probe_key"])
        found = []
        for chunk in connection.chunks:
            decoder = V1Decoder(MESSAGES)
            for piece in Decryptor(key).process(chunk.data):
                decoder.receive(piece)
            message = decoder.next_message()
            assert message is not None
            found.append([chunk.direction, *described(message)])
        self.assertEqual(found, recording.header["probes"])


class WritingTests(SynchronousTestCase):
    """Everything that was read is written again as it was."""

    def test_control_connections(self) -> None:
        """Both directions of every control connection come out byte by byte."""
        for conversation in conversations("control"):
            for direction in DIRECTIONS:
                self.assertEqual(
                    rewritten_control(conversation, direction).hex(),
                    conversation.data(direction).hex(),
                    f"{conversation} {direction}",
                )

    def test_openings_and_datagrams(self) -> None:
        """Openings of work and visitor connections, and messages on them, come out byte by byte."""
        for conversation in conversations("work", "visitor"):
            if conversation.expect.get("layers"):
                continue
            for direction in DIRECTIONS:
                if direction == "s2c" and conversation.recording.name in OTHER_SERVERS:
                    continue
                reader = read(conversation, direction)
                magic = MAGIC if conversation.wire == 2 and direction == "c2s" else b""
                written = magic + b"".join(encoded(conversation, reader.found)) + reader.payload
                self.assertEqual(
                    written.hex(), conversation.data(direction).hex(), f"{conversation} {direction}"
                )

    def test_wrapped_payload(self) -> None:
        """Encrypted and compressed payload comes out byte by byte, written as it was written."""
        checked = 0
        for conversation in conversations("work", "visitor"):
            if not conversation.expect.get("layers"):
                continue
            for direction in DIRECTIONS:
                reader = read(conversation, direction)
                opening, *messages = encoded(conversation, reader.found)
                plain = b"".join(messages) + reader.payload
                coder = outbound(conversation, direction)
                magic = MAGIC if conversation.wire == 2 and direction == "c2s" else b""
                written = magic + opening + written_in(coder, plain, reader.lengths)
                self.assertEqual(
                    written.hex(), conversation.data(direction).hex(), f"{conversation} {direction}"
                )
                checked += 1
        self.assertGreater(checked, 20)

    def test_answers_to_hellos(self) -> None:
        """Every hello of a client is answered as frps answered it, refusals in its words."""
        refused = 0
        for conversation in conversations("control", "work"):
            if conversation.wire != 2 or "ServerHello" not in str(conversation.expect["s2c"]):
                continue
            client, server = hello_of(conversation.c2s[len(MAGIC) :]), hello_of(conversation.s2c)
            chosen = ServerHello.from_frame(server).selected.crypto
            own_choice = conversation.recording.name in OTHER_SERVERS
            supported = (Algorithm(chosen.algorithm),) if own_choice else ALGORITHMS
            try:
                reply = answer(ClientHello.from_frame(client), chosen.server_random, {}, supported)
            except HelloRefused as error:
                reply = ServerHello.refusing(error.text)
                refused += 1
            self.assertEqual(reply.to_frame().payload, server.payload, str(conversation))
        self.assertEqual(refused, 3)


def encoded(conversation: Conversation, received: Sequence[Received]) -> list[bytes]:
    """Frames of messages and hellos; a hello goes with the message after it."""
    encode: Callable[[Message], bytes] = framing_of(conversation).encode
    frames: list[bytes] = []
    pending = b""
    for each in received:
        if isinstance(each, HelloFrame):
            pending += encode_hello(each)
        else:
            frames.append(pending + encode(each))
            pending = b""
    return [*frames, pending] if pending else frames


def rewritten_control(conversation: Conversation, direction: Direction) -> bytes:
    """One direction of a control connection, made of its messages."""
    reader = read(conversation, direction)
    frames = encoded(conversation, reader.found)
    magic = MAGIC if conversation.wire == 2 and direction == "c2s" else b""
    opening, following = frames[:1], b"".join(frames[1:])
    lengths = conversation.expect.get("crypto", {}).get(f"{direction}_records", [len(following)])
    coder = outbound(conversation, direction)
    return magic + b"".join(opening) + written_in(coder, following, lengths)


def written_in(coder: StreamCoder, plain: bytes, lengths: Sequence[int]) -> bytes:
    """What a coder makes of bytes that are written in portions of these lengths."""
    written = b""
    for length in lengths:
        written += b"".join(bytes(piece) for piece in coder.process(plain[:length]))
        plain = plain[length:]
    assert not plain, "bytes are left over"
    return written
