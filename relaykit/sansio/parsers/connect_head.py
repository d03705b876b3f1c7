"""The head of an HTTP request for a tunnel: ``CONNECT host:port``, and who asks.

It is read strictly: what two programs might read in two ways is refused.  Source: RFC 9110 section 9.3.6, RFC
9112 sections 2 to 5, RFC 7617.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from binascii import Error

from attrs import field, frozen

from relaykit.errors import RemoteProtocolError

__all__ = [
    "CONNECT_OPENING",
    "NO_CREDENTIALS",
    "ConnectHead",
    "ConnectHeadParser",
    "Credentials",
]

CONNECT_OPENING = b"CONNECT "
"""How such a request begins."""

MOST_HEAD_BYTES = 16 * 1024
"""Most bytes of a head: clients of tunnels send a few hundred, tokens of single sign-on some thousand."""

_END = b"\r\n\r\n"
_REQUEST_LINE = re.compile(
    rb"CONNECT (?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})? HTTP/1\.[0-9]"
)
_FIELD = re.compile(rb"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[\t\x20-\x7e\x80-\xff]*)")
_BODY = (b"content-length", b"transfer-encoding")
_CREDENTIALS = b"proxy-authorization"


@frozen
class Credentials:
    """A user and a password."""

    user: bytes = field(default=b"", repr=False)
    password: bytes = field(default=b"", repr=False)

    def match(self, expected: Credentials) -> bool:
        """Whether they are the expected ones; how long that takes tells nothing of those."""
        user = hmac.compare_digest(self.user, expected.user)
        password = hmac.compare_digest(self.password, expected.password)
        return user and password


NO_CREDENTIALS = Credentials()
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
        line, *fields = data[:end].split(b"\r\n")
        request = _REQUEST_LINE.fullmatch(line)
        if request is None:
            raise RemoteProtocolError("its request line is malformed")
        return ConnectHead(request["host"].decode("ascii"), _read_fields(fields)), end + len(_END)


def _read_fields(fields: list[bytes]) -> Credentials:
    said = []
    for each in fields:
        found = _FIELD.fullmatch(each)
        if found is None:
            raise RemoteProtocolError("one of its fields is malformed")
        name, value = found["name"].lower(), found["value"].rstrip(b" \t")
        if name in _BODY and value != b"0":
            raise RemoteProtocolError("a CONNECT has no body")
        if name == _CREDENTIALS:
            said.append(value)
    if len(said) > 1:
        raise RemoteProtocolError("it has credentials twice")
    return _read_basic(said[0]) if said else NO_CREDENTIALS


def _read_basic(value: bytes) -> Credentials:
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return NO_CREDENTIALS
    try:
        user, colon, password = b64decode(encoded.strip(b" "), validate=True).partition(b":")
    except Error:
        return NO_CREDENTIALS
    return Credentials(user, password) if colon else NO_CREDENTIALS
