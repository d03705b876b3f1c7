"""Reads the recorded connections in ``tests/captures/`` (format: the README there).

A :class:`Recording` has connections as they were on the network; :meth:`Recording.conversations`
takes WebSocket and yamux off, so that each :class:`Conversation` is one control, work or visitor
connection.  KCP and TLS recordings have connections, but no conversations here.
"""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import field, frozen
from wsproto.frame_protocol import FrameProtocol, Opcode

__all__ = [
    "Chunk",
    "Connection",
    "Conversation",
    "Direction",
    "Recording",
    "conversations",
    "load",
    "names",
]

Direction: TypeAlias = Literal["c2s", "s2c"]
"""``c2s`` is from the client to the server."""

_DIRECTORY = Path(__file__).parent / "captures"
_HEADER = struct.Struct(">BBHII")
_END_OF_HEAD = b"\r\n\r\n"


@frozen
class Chunk:
    """Bytes as one read returned them; ``at_ms`` after the beginning of the recording."""

    direction: Direction
    at_ms: int
    data: bytes = field(repr=False)


@frozen
class Connection:
    """One connection of the network, or one pair of addresses that exchanged datagrams.

    ``protocol`` is empty for TCP, else ``udp`` (KCP), ``stun`` or ``probe``.  ``expect`` is what
    the recording says must be found in it, empty if it says nothing.
    """

    number: int
    via: str
    protocol: str
    chunks: tuple[Chunk, ...] = field(repr=False)
    expect: dict[str, Any] = field(repr=False)

    def data(self, direction: Direction) -> bytes:
        """Everything that went in this direction."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.direction == direction)


@frozen
class Conversation:
    """One control, work or visitor connection, free of WebSocket and yamux."""

    recording: Recording
    connection: Connection
    stream: int | None
    c2s: bytes = field(repr=False)
    s2c: bytes = field(repr=False)
    expect: dict[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        """``control``, ``work``, ``visitor``, ``empty``, ``undecodable`` or ``?``."""
        return str(self.expect["kind"])

    @property
    def wire(self) -> int | None:
        """1 or 2; None where nothing was sent."""
        return self.expect.get("wire")

    def data(self, direction: Direction) -> bytes:
        """Everything that went in this direction."""
        return self.c2s if direction == "c2s" else self.s2c

    def __str__(self) -> str:
        stream = "" if self.stream is None else f" stream {self.stream}"
        return f"{self.recording.name} connection {self.connection.number}{stream}"


@frozen
class Recording:
    """One file: ``header`` is its first line."""

    name: str
    header: dict[str, Any] = field(repr=False)
    connections: tuple[Connection, ...] = field(repr=False)

    @property
    def token(self) -> bytes:
        """The token of the server."""
        return str(self.header["token"]).encode()

    def conversations(self) -> Iterator[Conversation]:
        """The control, work and visitor connections, in the order of the file."""
        for connection in self.connections:
            if not connection.protocol and connection.expect:
                yield from self._conversations_of(connection)

    def _conversations_of(self, connection: Connection) -> Iterator[Conversation]:
        sent: dict[Direction, bytes] = {"c2s": connection.data("c2s"), "s2c": connection.data("s2c")}
        expect = connection.expect
        if "upgrade" in expect:
            sent = {
                "c2s": _websocket_payload(sent["c2s"], False),
                "s2c": _websocket_payload(sent["s2c"], True),
            }
        if "streams" not in expect:
            yield Conversation(self, connection, None, sent["c2s"], sent["s2c"], expect)
            return
        to_server, to_client = _yamux_payloads(sent["c2s"]), _yamux_payloads(sent["s2c"])
        for found in expect["streams"]:
            number = found["stream"]
            yield Conversation(
                self, connection, number, to_server.get(number, b""), to_client.get(number, b""), found
            )


def names() -> tuple[str, ...]:
    """The names of all recordings."""
    return tuple(sorted(path.stem for path in _DIRECTORY.glob("*.jsonl")))


@functools.cache
def load(name: str) -> Recording:
    """The recording of this name."""
    text = (_DIRECTORY / f"{name}.jsonl").read_text(encoding="utf-8")
    header, *records = [json.loads(line) for line in text.splitlines()]
    opened: dict[int, dict[str, Any]] = {}
    chunks: dict[int, list[Chunk]] = {}
    expected: dict[int, dict[str, Any]] = {}
    for record in records:
        if "expect" in record:
            expected[record["expect"]["conn"]] = record["expect"]
        elif record.get("open"):
            opened[record["conn"]] = record
        elif "hex" in record:
            chunk = Chunk(record["dir"], record["t"], bytes.fromhex(record["hex"]))
            chunks.setdefault(record["conn"], []).append(chunk)
    return Recording(
        name,
        header,
        tuple(
            Connection(
                number,
                record["via"],
                record.get("proto", ""),
                tuple(chunks.get(number, ())),
                expected.get(number, {}),
            )
            for number, record in opened.items()
        ),
    )


def conversations() -> Iterator[Conversation]:
    """The control, work and visitor connections of all recordings."""
    for name in names():
        yield from load(name).conversations()


def _websocket_payload(data: bytes, from_server: bool) -> bytes:
    _head, _, frames = data.partition(_END_OF_HEAD)
    protocol = FrameProtocol(client=from_server, extensions=[])
    protocol.receive_bytes(frames)
    payload = bytearray()
    for frame in protocol.received_frames():
        if frame.opcode is Opcode.BINARY or frame.opcode is Opcode.CONTINUATION:
            assert isinstance(frame.payload, bytes | bytearray)
            payload += frame.payload
    return bytes(payload)


def _yamux_payloads(data: bytes) -> dict[int, bytes]:
    """What each stream carries.  Deliberately apart from relaykit's own yamux, which it serves to test."""
    streams: dict[int, bytes] = {}
    at = 0
    while at + _HEADER.size <= len(data):
        _version, kind, _flags, stream, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if kind == 0:
            streams[stream] = streams.get(stream, b"") + data[at : at + length]
            at += length
    return streams
