"""Who may use the gateway: whoever has one of the authorized keys; without such a file everybody.

Source: RFC 4252.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
from twisted.conch.ssh.userauth import (
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_PK_OK,
    MSG_USERAUTH_REQUEST,
    MSG_USERAUTH_SUCCESS,
)

from relaykit.ssh_gateway.algorithms import USER_SIGNATURES
from relaykit.ssh_gateway.quiet import QUIET

if TYPE_CHECKING:
    from relaykit.ssh_gateway.authorized_keys import AuthorizedKeys

__all__ = ["MOST_ATTEMPTS", "Admitted", "UserAuthentication"]

MOST_ATTEMPTS = 20
"""Keys that a client may offer: agents have some dozen."""

_CONNECTION = b"ssh-connection"
_PUBLIC_KEY = b"publickey"
_RSA = b"ssh-rsa"


@frozen
class Admitted:
    """Who was let in: the comment of their key, and whether there was one to be shown."""

    comment: str = ""
    by_key: bool = False


class UserAuthentication(SSHService):
    """Lets one client in, and gives the connection to whoever serves it then.

    :param keys: those that may log in; None for everybody.
    :param on_admitted: is called once.
    """

    name = b"ssh-userauth"
    protocolMessages = {MSG_USERAUTH_REQUEST: "MSG_USERAUTH_REQUEST"}  # the library's name
    _log = QUIET

    def __init__(self, keys: AuthorizedKeys | None, on_admitted: Callable[[Admitted], object]) -> None:
        self._keys = keys
        self._on_admitted = on_admitted
        self._attempts = 0

    @property
    def _transport(self) -> Any:
        return self.transport

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        """A client says who it is; it may try again."""
        user, service, method, rest = getNS(packet, 3)
        if service != _CONNECTION:
            self._refuse()
        elif self._keys is None:
            self._admit(Admitted())
        elif method == _PUBLIC_KEY:
            self._take_key(self._keys, user, rest)
        else:
            self._refuse(counts=method != b"none")

    def _take_key(self, keys: AuthorizedKeys, user: bytes, rest: bytes) -> None:
        has_signature = rest[:1] != b"\0"
        algorithm, blob, rest = getNS(rest[1:], 2)
        comment = keys.comment_of(blob)
        if comment is None or algorithm not in USER_SIGNATURES or not _fits(algorithm, blob):
            self._refuse()
        elif not has_signature:
            # Signing may cost a touch or a passphrase, so the client asks first whether it is worth it.
            self._transport.sendPacket(MSG_USERAUTH_PK_OK, NS(algorithm) + NS(blob))
            self._count()
        elif self._is_signed(user, algorithm, blob, getNS(rest)[0]):
            self._admit(Admitted(comment, by_key=True))
        else:
            self._refuse()

    def _is_signed(self, user: bytes, algorithm: bytes, blob: bytes, signature: bytes) -> bool:
        """Whether the key has signed this very login.  Source: RFC 4252 section 7."""
        session: bytes | None = self._transport.sessionID
        if session is None or getNS(signature)[0] != algorithm:
            return False
        signed = (
            NS(session)
            + bytes((MSG_USERAUTH_REQUEST,))
            + NS(user)
            + NS(_CONNECTION)
            + NS(_PUBLIC_KEY)
            + b"\1"
            + NS(algorithm)
            + NS(blob)
        )
        key: Any = Key.fromString(blob)
        return bool(key.verify(signature, signed))

    def _admit(self, admitted: Admitted) -> None:
        self._transport.sendPacket(MSG_USERAUTH_SUCCESS, b"")
        self._on_admitted(admitted)

    def _refuse(self, counts: bool = True) -> None:
        methods = b"" if self._keys is None else _PUBLIC_KEY
        self._transport.sendPacket(MSG_USERAUTH_FAILURE, NS(methods) + b"\0")
        if counts:
            self._count()

    def _count(self) -> None:
        self._attempts += 1
        if self._attempts >= MOST_ATTEMPTS:
            self._transport.sendDisconnect(
                DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, b"too many keys were tried"
            )


def _fits(algorithm: bytes, blob: bytes) -> bool:
    """Whether keys of this type sign so."""
    of_key: bytes = getNS(blob)[0]
    return of_key == (_RSA if algorithm.startswith(b"rsa-") else algorithm)
