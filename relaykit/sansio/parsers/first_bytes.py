"""Tells by the first bytes of a connection which protocol the peer speaks.

The server looks at them on a port that just accepted a connection, within TLS, within a WebSocket,
and on each logical connection.  What does not belong there is still recognised where it
can be, because "an HTTP client spoke to the bind port" helps whoever reads the log.

A parser here provides :class:`relaykit.sansio.contract.PrefixParser`.  It never raises: bytes that it
does not know are :attr:`Spoken.UNKNOWN`, and it answers as soon as the bytes leave no choice.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

__all__ = [
    "ACCEPTED_CONNECTION",
    "CUSTOM_TLS_BYTE",
    "LOGICAL_CONNECTION",
    "WITHIN_TLS",
    "WITHIN_WEBSOCKET",
    "FirstBytes",
    "Spoken",
]


class Spoken(enum.Enum):
    """What the peer speaks; the value is how a log calls it."""

    TLS = "TLS"
    """A TLS ClientHello; the byte belongs to it."""
    CUSTOM_TLS = "TLS after frp's own first byte"
    """The byte announces TLS and is not part of it: take it, then begin TLS."""
    WEBSOCKET = "WebSocket"
    """The request line of frp's WebSocket carrier."""
    MUX = "yamux"
    """A yamux header."""
    WIRE_V1 = "wire v1"
    """The first message of a logical connection, in wire v1."""
    WIRE_V2 = "wire v2"
    """The magic of a logical connection in wire v2."""
    HTTP = "HTTP"
    HTTP2 = "HTTP/2"
    SSH = "SSH"
    PROXY_HEADER = "the PROXY protocol"
    UNKNOWN = "an unknown protocol"


CUSTOM_TLS_BYTE = b"\x17"
"""What a client sends before TLS so that the bind port can be shared with HTTPS users."""

_MUX: Mapping[bytes, Spoken] = {b"\x00": Spoken.MUX}

_TLS: Mapping[bytes, Spoken] = {b"\x16": Spoken.TLS, CUSTOM_TLS_BYTE: Spoken.CUSTOM_TLS}

_WEBSOCKET: Mapping[bytes, Spoken] = {b"GET /~!frp": Spoken.WEBSOCKET}

_WIRE: Mapping[bytes, Spoken] = {
    b"FRP\x00\x02\r\n": Spoken.WIRE_V2,
    # Login, NewWorkConn, NewVisitorConn, and the first byte of a length that cannot be large.
    b"o\x00": Spoken.WIRE_V1,
    b"w\x00": Spoken.WIRE_V1,
    b"v\x00": Spoken.WIRE_V1,
}

_STRANGERS: Mapping[bytes, Spoken] = {
    b"SSH-": Spoken.SSH,
    b"PRI * ": Spoken.HTTP2,
    b"PROXY ": Spoken.PROXY_HEADER,
    b"\r\n\r\n\x00\r\nQUIT\n": Spoken.PROXY_HEADER,
    **{
        method + b" ": Spoken.HTTP
        for method in (
            b"GET",
            b"HEAD",
            b"POST",
            b"PUT",
            b"PATCH",
            b"DELETE",
            b"OPTIONS",
            b"CONNECT",
            b"TRACE",
        )
    },
}


class FirstBytes:
    """Recognises one of several openings; the longest that fits wins.

    The answer's length is 1 for :attr:`Spoken.CUSTOM_TLS`, so that taking it leaves TLS to begin,
    and 0 for all others, so that taking leaves every byte to who reads next.
    """

    __slots__ = ("_openings", "limit")

    def __init__(self, openings: Mapping[bytes, Spoken]) -> None:
        self._openings = sorted(openings.items(), key=lambda opening: -len(opening[0]))
        self.limit = len(self._openings[0][0])

    def feed(self, data: bytes) -> tuple[Spoken, int] | None:
        for opening, spoken in self._openings:
            if data.startswith(opening):
                return spoken, len(opening) if spoken is Spoken.CUSTOM_TLS else 0
            if opening.startswith(data):
                return None
        return Spoken.UNKNOWN, 0


ACCEPTED_CONNECTION = FirstBytes({**_TLS, **_WEBSOCKET, **_MUX, **_WIRE, **_STRANGERS})
"""For a port of the server that just accepted a connection."""

WITHIN_TLS = FirstBytes({**_WEBSOCKET, **_MUX, **_WIRE, **_STRANGERS})
"""For what comes out of TLS."""

WITHIN_WEBSOCKET = FirstBytes({**_TLS, **_MUX, **_WIRE, **_STRANGERS})
"""For what comes out of a WebSocket."""

LOGICAL_CONNECTION = FirstBytes({**_MUX, **_WIRE, **_STRANGERS})
"""For one stream of a link, or for the connection itself where there is no mux."""
