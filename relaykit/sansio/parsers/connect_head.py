"""The head of an HTTP request for a tunnel: ``CONNECT host:port``, and who asks.

It is read strictly: what two programs might read in two ways is refused.  Source: RFC 9110 section 9.3.6, RFC
9112 sections 2 to 5.
"""

from __future__ import annotations

import re

from attrs import frozen

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.http.credentials import Credentials, parse_basic
from relaykit.sansio.http.grammar import fault_of_line, keys_of, split_lines, valid_lines, values_of

__all__ = [
    "CONNECT_OPENING",
    "NO_CREDENTIALS",
    "ConnectHead",
    "ConnectHeadParser",
]

CONNECT_OPENING = b"CONNECT "
"""How such a request begins."""

MOST_HEAD_BYTES = 16 * 1024
"""Most bytes of a head: clients of tunnels send a few hundred, tokens of single sign-on some thousand."""

_END = b"\r\n\r\n"
_REQUEST_LINE = re.compile(
    rb"CONNECT (?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})? HTTP/1\.[0-9]\r\n"
)
_LENGTH, _CODING, _CREDENTIALS = b"content-length", b"transfer-encoding", b"proxy-authorization"
_READ = frozenset({_LENGTH, _CODING, _CREDENTIALS})


NO_CREDENTIALS = Credentials(b"", b"")
"""Those of who gives none that can be read."""


@frozen
class ConnectHead:
    """What a request for a tunnel says.

    :ivar host: the host of its target, without the port.
    """

    host: str
    credentials: Credentials


class ConnectHeadParser:
    """Reads the head of a request for a tunnel, which ends where the tunnel begins."""

    limit = MOST_HEAD_BYTES

    def feed(self, data: bytes) -> tuple[ConnectHead, int] | None:
        """Answers the head once it is complete.

        :raises RemoteProtocolError: it is none.
        """
        if not CONNECT_OPENING.startswith(data[: len(CONNECT_OPENING)]):
            raise RemoteProtocolError("it is no CONNECT of HTTP")
        end = data.find(_END, 0, MOST_HEAD_BYTES)
        if end < 0:
            return None
        request = _REQUEST_LINE.match(data)
        if request is None:
            raise RemoteProtocolError("its request line is malformed")
        credentials = _read_fields(data, request.end(), end + len(b"\r\n"))
        return ConnectHead(request["host"].decode("ascii"), credentials), end + len(_END)


def _read_fields(data: bytes, start: int, end: int) -> Credentials:
    valid = valid_lines(data, start)
    if valid < end:
        raise RemoteProtocolError(fault_of_line(data[valid : data.index(b"\n", valid) + 1]))
    lines = split_lines(data, start, end)
    found = values_of(keys_of(lines), lines, _READ)
    if _CODING in found or any(length != b"0" for length in found.get(_LENGTH, ())):
        raise RemoteProtocolError("a CONNECT has no body")
    said = found.get(_CREDENTIALS, ())
    if len(said) > 1:
        raise RemoteProtocolError("it has credentials twice")
    return (parse_basic(said[0]) if said else None) or NO_CREDENTIALS
