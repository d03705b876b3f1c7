"""A man in the middle: takes a client's connections, and ends TLS on both sides with his own certificate.

He sees everything that goes through him in clear, can change it, keep it and use it later, and can answer
in the server's place.  On request he is an honest network that only passes bytes on.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterable

from attrs import define, field

from relaykit.sansio.wire.extension_messages import ProvenLogin, ProvenLoginResp
from relaykit.sansio.wire.framing import MAGIC, Decoder, HelloFrame, V1Decoder, V2Decoder
from relaykit.sansio.wire.messages import CORE_MESSAGES, Message
from relaykit.sansio.yamux.frames import DATA, FLAGS, HEADER_BYTES, unpack_header
from tests.integration.certificates import Certified
from tests.integration.programs import PATIENCE_S
from tests.integration.traffic import LOOPBACK, PIECE_BYTES

__all__ = ["Conversation", "Middle", "messages", "streams"]

SILENCE_S = 2.0
"""Seconds without an answer after which there is none: a no comes at once, a yes comes at once, too."""

_MESSAGES = CORE_MESSAGES.extended(ProvenLogin, ProvenLoginResp)

Alter = Callable[[bytes], bytes]


@define(eq=False)
class Conversation:
    """One connection of a client, as it was seen: in clear, or as it was where TLS was not ended.

    ``stalled``: nothing is passed on any more, not even the end.
    """

    from_client: bytearray = field(factory=bytearray)
    from_server: bytearray = field(factory=bytearray)
    stalled: bool = False


class Middle:
    """Listens on a port of its own and connects to the server's.

    :ivar honest: whether bytes are only passed on.
    :ivar answer: takes a client's connection, in clear, in the server's place; else it is passed on.
    :ivar alter: changes what a client says; it is called with each piece, and ends the connection by
        raising OSError.
    :ivar client_tls: the newest version of TLS towards clients.
    """

    def __init__(self, server_port: int, shown: Certified) -> None:
        self._server_port = server_port
        self._shown = shown
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._stopping = False
        self.conversations: list[Conversation] = []
        self.honest = False
        self.answer: Callable[[ssl.SSLSocket], None] | None = None
        self.alter: Alter = bytes
        self.client_tls = ssl.TLSVersion.TLSv1_3
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Ends it and all its connections."""
        with self._changed:
            self._stopping = True
            for each in (self._socket, *self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._open, PATIENCE_S)

    def stall(self) -> None:
        """Passes nothing on any more of the connections that there are; new ones are not concerned."""
        with self._changed:
            for each in self.conversations:
                each.stalled = True

    def connect(self) -> ssl.SSLSocket:
        """A connection of its own to the server."""
        return _client_context().wrap_socket(self._dial())

    def say(self, content: bytes, answers: int = 0) -> list[Message]:
        """Says something to the server on a connection of its own; answers what it says to that.

        That is what comes until it ends the connection, or has nothing more to say for a moment; which
        begins when it has given so many answers.
        """
        heard = bytearray()
        with self.connect() as server, contextlib.suppress(OSError):
            server.sendall(content)
            while True:
                server.settimeout(PATIENCE_S if len(messages(bytes(heard))) < answers else SILENCE_S)
                if not (data := server.recv(PIECE_BYTES)):
                    break
                heard += data
        return messages(bytes(heard))

    def wait_for(self, seen: Callable[[], bool]) -> None:
        """Waits until something was seen; asked anew with all that is."""
        with self._changed:
            if not self._changed.wait_for(seen, PATIENCE_S):
                raise AssertionError("it was not seen in the middle")

    @property
    def content(self) -> bytes:
        """All that was seen, of both ends."""
        with self._changed:
            return b"".join(bytes(each.from_client + each.from_server) for each in self.conversations)

    def from_clients(self) -> list[Message]:
        """All messages of clients that can be read."""
        return [found for each in list(self.conversations) for found in messages(bytes(each.from_client))]

    # --- inside ---------------------------------------------------------------------------------

    def _dial(self) -> socket.socket:
        connection = socket.create_connection((LOOPBACK, self._server_port), PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._attend, args=[connection], daemon=True).start()

    def _attend(self, client: socket.socket) -> None:
        conversation = Conversation()
        with self._changed:
            self._open.add(client)
            self.conversations.append(conversation)
        client.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError), client:
            near: socket.socket = (
                client if self.honest else self._server_context().wrap_socket(client, server_side=True)
            )
            with near:
                if self.answer is not None and isinstance(near, ssl.SSLSocket):
                    self.answer(near)
                else:
                    with self._dial() if self.honest else self.connect() as far:
                        self._pass_on(near, far, conversation)
        with self._changed:
            self._open.discard(client)
            self._changed.notify_all()

    def _pass_on(self, near: socket.socket, far: socket.socket, seen: Conversation) -> None:
        """Passes bytes on until one end has no more; in one thread, as OpenSSL's sessions need it."""
        ways = {
            near: (far, seen.from_client, bytes if self.honest else self.alter),
            far: (near, seen.from_server, bytes),
        }
        with selectors.DefaultSelector() as selector:
            for each in ways:
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(PATIENCE_S):
                    if seen.stalled:
                        with self._changed:
                            self._changed.wait_for(lambda: self._stopping)
                        return
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    sink, kept, alter = ways[source]
                    data = _received(source)
                    with self._changed:
                        kept += data
                        self._changed.notify_all()
                    sink.sendall(alter(data))

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._shown.certificate, self._shown.key)
        context.maximum_version = self.client_tls
        return context


def _received(source: socket.socket) -> bytes:
    """What has come: all of it, for what is in OpenSSL's buffers wakes nobody; maybe nothing of use.

    :raises ConnectionError: nothing will come any more.
    """
    data = b""
    source.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError):
        data = source.recv(PIECE_BYTES)
        if not data:
            raise ConnectionAbortedError
        while isinstance(source, ssl.SSLSocket) and source.pending():
            data += source.recv(source.pending())
    source.settimeout(PATIENCE_S)
    return data


def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# --- reading what was seen -----------------------------------------------------------------------


def streams(content: bytes) -> Iterable[bytes]:
    """The logical connections in what one end of a connection said: one, or those of a mux link."""
    if content[:1] != b"\0" or _is_v2(content):
        return [content]
    found: dict[int, bytearray] = {}
    at = 0
    while at + HEADER_BYTES <= len(content):
        head, number, length = unpack_header(memoryview(content), at)
        at += HEADER_BYTES
        if head & ~FLAGS == DATA:
            found.setdefault(number, bytearray()).extend(content[at : at + length])
            at += length
    return [bytes(each) for each in found.values()]


def messages(content: bytes) -> list[Message]:
    """The messages in what one end of a connection said, as far as they are in clear."""
    found: list[Message] = []
    for stream in streams(content):
        decoder: Decoder = V2Decoder(_MESSAGES) if _is_v2(stream) else V1Decoder(_MESSAGES)
        decoder.receive(stream.removeprefix(MAGIC))
        with contextlib.suppress(Exception):
            while (received := decoder.next_message()) is not None:
                if not isinstance(received, HelloFrame):
                    found.append(received)
    return found


def _is_v2(stream: bytes) -> bool:
    """Whether frames of version 2 begin here: after the magic, or with the type of a frame."""
    return stream.startswith((MAGIC, b"\0\x01\0\0", b"\0\x02\0\0", b"\0\x10\0\0"))
