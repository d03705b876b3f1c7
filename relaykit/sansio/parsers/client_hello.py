"""The beginning of TLS: whom a client wants to reach, as its ClientHello says in the clear.

A hello may come in any number of TLS records, and these in any pieces.  With Encrypted Client Hello the name
is that of the outer hello, which is meant for whoever routes.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.hostnames import host_key

__all__ = ["TLS_OPENING", "UNRECOGNIZED_NAME", "ClientHello", "ClientHelloParser", "ServerNames"]

TLS_OPENING = b"\x16"
"""The first byte of a TLS connection: a handshake record.  Source: RFC 8446 section 5.1."""

UNRECOGNIZED_NAME = bytes.fromhex("15 0303 0002 02 70")
"""The fatal alert for who wants to reach a server that is not here.  Source: RFC 8446 section 6, RFC 6066
section 3."""

MOST_HELLO_BYTES = 32 * 1024
"""Most bytes of a hello: several times those of one that has large post-quantum key shares and a ticket."""

MOST_RECORDS = 64
"""Most TLS records that a hello is cut into; some clients cut it to get past those who look at it."""

MOST_RECORD_BYTES = 1 << 14
"""Source: RFC 8446 section 5.1."""

_RECORD_HEADER_BYTES = 5
_MESSAGE_HEADER_BYTES = 4
_CLIENT_HELLO = 1
_TLS_MAJOR_VERSION = 3
_VERSION_AND_RANDOM_BYTES = 2 + 32
_SERVER_NAME = b"\0\0"
_HOST_NAME = 0


@frozen
class ClientHello:
    """What a ClientHello says.

    :ivar server_name: as it was sent, decoded byte by byte; empty if it has none.
    """

    server_name: str


class ClientHelloParser:
    """Reads a whole ClientHello.

    Source: RFC 8446 sections 4.1.2, 4.2 and 5.1, RFC 6066 section 3.
    """

    limit = MOST_HELLO_BYTES

    def feed(self, data: bytes) -> tuple[ClientHello, int] | None:
        """Answers the hello once it is complete.

        :raises RemoteProtocolError: it is none.
        """
        found = _first_message(data)
        if found is None:
            return None
        message, end = found
        return _client_hello(message), end


class ServerNames:
    """Recognizes users of TLS by the server name that they ask for.

    ``are_meant(host)`` says of a host's key (:func:`relaykit.sansio.hostnames.host_key`) whether it is one of
    the names; who asks for none is not recognized.
    """

    limit = MOST_HELLO_BYTES + MOST_RECORDS * _RECORD_HEADER_BYTES

    def __init__(self, are_meant: Callable[[str], bool]) -> None:
        self._are_meant = are_meant

    def recognizes(self, data: bytes) -> bool | None:
        """Whether it begins with a hello for one of the names; None while it may."""
        try:
            message = _first_message(data)
            if message is None:
                return None
            name = _client_hello(message[0]).server_name
        except RemoteProtocolError:
            return False
        return bool(name) and self._are_meant(host_key(name))


def _first_message(data: bytes) -> tuple[bytes, int] | None:
    """The body of the first handshake message, out of its records, and its end; None for "need more"."""
    fragments = []
    held, wanted, at = 0, _MESSAGE_HEADER_BYTES, 0
    header = b""
    for _ in range(MOST_RECORDS):
        begin = at + _RECORD_HEADER_BYTES
        if not _is_record(data[at:begin]):
            raise RemoteProtocolError("it does not begin with a TLS handshake")
        if len(data) < begin:
            return None
        at = begin + int.from_bytes(data[begin - 2 : begin])
        fragments.append(data[begin:at])
        held += len(fragments[-1])
        if len(header) < _MESSAGE_HEADER_BYTES:
            header = b"".join(fragments)[:_MESSAGE_HEADER_BYTES]
            if header and header[0] != _CLIENT_HELLO:
                raise RemoteProtocolError("its first message is no ClientHello")
            if len(header) == _MESSAGE_HEADER_BYTES:
                wanted += int.from_bytes(header[1:])
                if wanted > MOST_HELLO_BYTES:
                    raise RemoteProtocolError(f"its ClientHello has more than {MOST_HELLO_BYTES} bytes")
        if held >= wanted:
            message = b"".join(fragments)[_MESSAGE_HEADER_BYTES:wanted]
            return message, begin + len(fragments[-1]) - (held - wanted)
        if len(data) < at:
            return None
    raise RemoteProtocolError(f"its ClientHello is cut into more than {MOST_RECORDS} records")


def _is_record(header: bytes) -> bool:
    """Whether a record of a handshake begins so, or may."""
    length = int.from_bytes(header[3:5])
    return (
        TLS_OPENING.startswith(header[:1])
        and (len(header) < 2 or header[1] == _TLS_MAJOR_VERSION)
        and (len(header) < _RECORD_HEADER_BYTES or 0 < length <= MOST_RECORD_BYTES)
    )


def _client_hello(message: bytes) -> ClientHello:
    at = _VERSION_AND_RANDOM_BYTES
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        at = _end_of_vector(message, at, width, len(message))
    if at == len(message):
        return ClientHello("")
    end = _end_of_vector(message, at, 2, len(message))
    if end < len(message):
        raise RemoteProtocolError("there is more in its ClientHello than its extensions")
    at += 2
    name, seen = "", set()
    while at < end:
        kind = message[at : at + 2]
        begin, at = at + 4, _end_of_vector(message, at + 2, 2, end)
        if kind in seen:
            raise RemoteProtocolError("its ClientHello has an extension twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _server_name(message[begin:at])
    return ClientHello(name)


def _server_name(data: bytes) -> str:
    end = _end_of_vector(data, 0, 2, len(data))
    if end < len(data):
        raise RemoteProtocolError("there is more in its server name than a list of names")
    found, at = "", 2
    while at < end:
        kind, begin = data[at], at + 3
        at = _end_of_vector(data, at + 1, 2, end)
        if begin == at or (kind == _HOST_NAME and found):
            raise RemoteProtocolError("its ClientHello names no server, or two of them")
        if kind == _HOST_NAME:
            found = data[begin:at].decode("latin-1")
    return found


def _end_of_vector(data: bytes, at: int, width: int, most: int) -> int:
    """Where a field ends that begins with its length, a number of so many bytes."""
    begin = at + width
    end = begin + int.from_bytes(data[at:begin])
    if end > most:
        raise RemoteProtocolError("a field of its ClientHello is longer than what it is in")
    return end
