"""How the protocols begin that meet on the server's ports, and what only a log wants to know.

What does not belong there is still recognized where it can be, because "an HTTP client spoke to the bind
port" helps whoever reads the log.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from relaykit.sansio.parsers.recognizing import Opening, RecognizerTable

__all__ = [
    "CUSTOM_TLS_BYTE",
    "LOGICAL_CONNECTION",
    "OPENINGS",
    "STRANGERS",
    "CustomTlsByte",
    "Spoken",
]


class Spoken(enum.Enum):
    """What the peer speaks; the value is how a log calls it."""

    TLS = "TLS"
    """A ClientHello, or frp's own byte that announces one."""
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


CUSTOM_TLS_BYTE: Final = b"\x17"
"""What a client sends before TLS so that the bind port can be shared with HTTPS users."""

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE")

OPENINGS: Mapping[Spoken, Opening] = {
    Spoken.TLS: Opening(b"\x16", CUSTOM_TLS_BYTE),
    Spoken.WEBSOCKET: Opening(b"GET /~!frp"),
    Spoken.MUX: Opening(b"\x00"),
    # Login, NewWorkConn, NewVisitorConn, and the first byte of a length that cannot be large.
    Spoken.WIRE_V1: Opening(b"o\x00", b"w\x00", b"v\x00"),
    Spoken.WIRE_V2: Opening(b"FRP\x00\x02\r\n"),
    Spoken.HTTP: Opening(*(method + b" " for method in _METHODS)),
    Spoken.HTTP2: Opening(b"PRI * "),
    Spoken.SSH: Opening(b"SSH-"),
    Spoken.PROXY_HEADER: Opening(b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n"),
}
"""How each of them begins."""

STRANGERS: Final = (Spoken.HTTP, Spoken.HTTP2, Spoken.SSH, Spoken.PROXY_HEADER)
"""Those that nobody here speaks, unless a carrier or a shared port does; the more special ones first."""


def _table(*spoken: Spoken) -> RecognizerTable[Spoken]:
    table: RecognizerTable[Spoken] = RecognizerTable()
    for each in spoken:
        table.add(OPENINGS[each], each)
    return table


LOGICAL_CONNECTION = _table(Spoken.WIRE_V1, Spoken.WIRE_V2, Spoken.MUX, *STRANGERS)
"""For one stream of a link, or for the connection itself where there is no mux."""


class CustomTlsByte:
    """Recognizes frp's own byte before TLS, or that it is not there: takes one byte, or none."""

    limit = 1

    def feed(self, data: bytes) -> tuple[None, int] | None:
        """Answers nothing but how much there is to take."""
        return (None, int(data.startswith(CUSTOM_TLS_BYTE))) if data else None
