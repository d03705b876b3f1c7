"""What a client gets by a Retry packet, and sends back to show that it is where it says it is.

Nothing is kept for it: the token itself has what the server must know, and a code that nobody else can make.
Source: RFC 9000 8.1.2 and 8.1.4.
"""

from __future__ import annotations

import hmac
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["KEY_BYTES", "TOKEN_S", "AddressTokens"]

KEY_BYTES: Final = 32

TOKEN_S: Final = 10.0
"""Seconds for which a token is good: the client sends it at once, and again where that is lost."""

_CODE_BYTES: Final = 16
_MADE_AT: Final = struct.Struct(">Q")


class AddressTokens:
    """Makes tokens, and knows them again; ``key`` is a secret of :data:`KEY_BYTES` bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, address: bytes, original: bytes, named: bytes, now: float) -> bytes:
        """A token for who is at an address, as text.

        ``original`` is the connection id that the client made up, ``named`` the one that it is told to use.
        """
        body = _MADE_AT.pack(int(now * 1000)) + original
        return self._code(body, address, named) + body

    def read(self, token: Buffer, address: bytes, named: bytes, now: float) -> bytes | None:
        """The connection id that the client first made up; None if the token is not one, or no longer."""
        code, body = bytes(token[:_CODE_BYTES]), bytes(token[_CODE_BYTES:])
        if len(body) < _MADE_AT.size or not hmac.compare_digest(code, self._code(body, address, named)):
            return None
        made_at = _MADE_AT.unpack_from(body)[0] / 1000
        return body[_MADE_AT.size :] if now - made_at <= TOKEN_S else None

    def _code(self, body: bytes, address: bytes, named: bytes) -> bytes:
        said = b"".join(len(each).to_bytes(2, "big") + each for each in (body, address, named))
        return hmac.digest(self._key, said, "sha256")[:_CODE_BYTES]
