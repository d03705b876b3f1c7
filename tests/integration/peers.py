"""The other end, made by hand: a client that says what no program would, and a server that answers so."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from relaykit.authentication import TokenProver
from relaykit.sansio.control import events
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.session import SessionSettings
from relaykit.sansio.wire.framing import V1, V1Decoder
from relaykit.sansio.wire.messages import Login, Message
from relaykit.sansio.yamux.session import MuxRole, YamuxSession
from relaykit.values import Secret
from tests.integration.programs import PATIENCE_S
from tests.integration.relays import TOKEN
from tests.integration.traffic import LOOPBACK, dial

__all__ = [
    "TROUBLE",
    "FalseServer",
    "HandClient",
    "MuxHandClient",
    "answer_of",
    "mux_frame",
    "v1_frame",
]

EventT = TypeVar("EventT")


def v1_frame(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """A frame of wire v1, with a length that is true unless another is given."""
    return kind + struct.pack(">q", len(body) if length is None else length) + body


def mux_frame(kind: int, flags: int, stream: int, length: int, payload: bytes = b"") -> bytes:
    """A frame of yamux, with whatever is said to be in it."""
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + payload


def answer_of(content: bytes) -> Message | None:
    """The one message of wire v1 that these bytes are; None for no bytes."""
    decoder = V1Decoder()
    decoder.receive(content)
    answer = decoder.next_message()
    rest = decoder.unread()
    if rest or not (answer is None or isinstance(answer, Message)):
        raise AssertionError(f"{content!r} is not one message")
    return answer


class HandClient:
    """A client on a connection without TLS and mux, in wire v1, that does one step after the other.

    Once it is made it is logged in.
    """

    def __init__(self, port: int, login: Login | None = None) -> None:
        self.socket = self._dial(port)
        secret = Secret(TOKEN)
        self._core = ClientControl(
            login or Login(version="0"),
            V1,
            SessionSettings(token=secret, entropy=os.urandom),
            0.0,
        )
        self._prover = TokenProver(secret, lambda: 1_700_000_000)
        self._told: list[events.SessionEvent] = []
        self._flush()
        self.run_id = self.wait_for(events.LoggedIn).run_id

    def register(self, name: str, kind: str, fields: Mapping[str, Any]) -> None:
        """Asks for a proxy."""
        self._core.register(name, kind, fields)
        self._flush()

    def wait_for(self, kind: type[EventT]) -> EventT:
        """The next event of this kind; earlier ones of other kinds stay."""
        while True:
            for told in self._told:
                if isinstance(told, kind):
                    self._told.remove(told)
                    return told
                if isinstance(told, events.SessionEnded):
                    raise AssertionError(f"the session ended: {told.text}")
            if data := self._receive():
                self._core.receive(data, 0.0)
                while self._core.has_input:
                    self._flush()
                    self._core.receive(b"", 0.0)
            else:
                self._core.end_received(0.0)
            self._flush()

    def count(self, kind: type[object]) -> int:
        """How many events of this kind came, up to the answer to a request made now."""
        self.register("count", "nosuch", {})
        self.wait_for(events.ProxyRefused)
        return sum(isinstance(told, kind) for told in self._told)

    def _dial(self, port: int) -> socket.socket:
        return dial(port)

    def _receive(self) -> bytes:
        return self.socket.recv(65536)

    def _send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def _flush(self) -> None:
        while events_ := self._core.events():
            for event in events_:
                if isinstance(event, events.ProofNeeded):
                    self._core.proof_made(event, self._prover.prove(event.scope, event.bound))
                else:
                    self._told.append(event)
        self._send(b"".join(self._core.to_send(0.0)))


class MuxHandClient(HandClient):
    """The same on stream 1 of a mux link; the others are for whoever has the client."""

    def _dial(self, port: int) -> socket.socket:
        self._link = YamuxSession(MuxRole.CLIENT, 0.0, None)
        self._control = self._link.open_stream(0.0)
        link = dial(port)
        link.sendall(mux_frame(2, 1, 0, 1))
        return link

    def frames_of(self, content: bytes) -> bytes:
        """What carries these bytes on the control connection."""
        self._link.write(self._control, content)
        return b"".join(map(bytes, self._link.to_send(0.0)))

    def control_bytes(self, *messages: Message) -> bytes:
        """What carries these messages, sealed."""
        for message in messages:
            self._core._send(message)
        return self.frames_of(b"".join(map(bytes, self._core.to_send(0.0))))

    def _send(self, content: bytes) -> None:
        self.socket.sendall(self.frames_of(content))

    def _receive(self) -> bytes:
        while data := self.socket.recv(65536):
            self._link.receive(data, 0.0)
            told = self._link.events()
            if payload := b"".join(bytes(each[1]) for each in told if isinstance(each, tuple)):
                self._link.consumed(self._control, len(payload))
                return payload
        return b""


class FalseServer:
    """Listens, and lets ``answer`` do with each connection what it likes; the connection ends then."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Takes no more connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            client.settimeout(PATIENCE_S)
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                self._answer(client)
            except OSError:
                return


TROUBLE: Mapping[str, bytes] = {
    "garbage": b"\xfe\xdc\xba\x98" * 64,
    "nothing known": b"Z" + b"\x00" * 7 + b"\x02{}",
    "HTTP": b"GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "PROXY header": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "TLS record of junk": b"\x16\x03\x01\x00\x20" + b"\x07" * 32,
    "first byte and junk": b"\x17" + b"\x07" * 64,
    "length too long": v1_frame(b"o", b"{", 10_241),
    "negative length": v1_frame(b"o", b"{}", -1),
    "no body": v1_frame(b"o", b"{}", 0),
    "no JSON": v1_frame(b"o", b"{]"),
    "no object": v1_frame(b"o", b"[1]"),
    "wrong type of a field": v1_frame(b"o", b'{"run_id":7}'),
    "null": v1_frame(b"o", b"null"),
    "not first": v1_frame(b"h", b"{}"),
    "version 3": b"FRP\x00\x03\r\n" + bytes(16),
    "frame with flags": b"FRP\x00\x02\r\n" + struct.pack(">HHI", 1, 1, 2) + b"{}",
    "frame too long": b"FRP\x00\x02\r\n" + struct.pack(">HHI", 16, 0, 65_537),
    "frame of an unknown type": b"FRP\x00\x02\r\n" + struct.pack(">HHI", 3, 0, 2) + b"{}",
    "message without number": b"FRP\x00\x02\r\n" + struct.pack(">HHI", 16, 0, 1) + b"\0",
    "message of an unknown number": b"FRP\x00\x02\r\n" + struct.pack(">HHIH", 16, 0, 4, 999) + b"{}",
    "server's hello": b"FRP\x00\x02\r\n" + struct.pack(">HHI", 2, 0, 2) + b"{}",
}
"""Openings of a connection after which it is closed without a word (TLS may send an alert)."""
