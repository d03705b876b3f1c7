"""What a server needs for bound logins: how much it wants them, its salt, its token as a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.logger import Logger

from relaykit.sansio.control.channel_binding import MAX_SALT_LENGTH, MIN_SALT_LENGTH
from relaykit.sansio.control.login_proofs import BoundLogin
from relaykit.state import StateUnavailable

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.state import StateDirectory
    from relaykit.token_key import TokenKey
    from relaykit.values import Secret

__all__ = ["ServerBinding", "load_or_create_salt"]

log = Logger()

FILE_NAME = "server-salt"
"""File of the state directory."""


@frozen
class ServerBinding:
    """How a server takes bound logins.

    ``salt`` is empty where there is none to be had, because it is switched off or there is no token.
    """

    mode: BoundLogin
    salt: bytes
    _token: TokenKey = field(repr=False)

    @classmethod
    def of(
        cls, mode: BoundLogin, token: Secret, salt: Callable[[], bytes], token_key: TokenKey
    ) -> ServerBinding:
        """The binding of a server with this token; ``salt()`` is asked for where one is needed."""
        possible = mode is not BoundLogin.OFF and bool(token)
        return cls(mode, salt() if possible else b"", token_key)

    @property
    def required(self) -> bool:
        """Whether every login must be bound."""
        return self.mode is BoundLogin.REQUIRE

    def key(self) -> Deferred[bytes]:
        """The token as a key, derived with the salt."""
        return self._token.key(self.salt)


def load_or_create_salt(state: StateDirectory | None, entropy: Callable[[int], bytes]) -> bytes:
    """The salt in the state directory; made and put there when there is none.

    Where nothing can be kept, it is good until the program ends.
    """
    salt = b""
    try:
        kept = None if state is None else state.read(FILE_NAME)
        if kept is not None and MIN_SALT_LENGTH <= len(kept) <= MAX_SALT_LENGTH:
            return kept
        salt = entropy(MIN_SALT_LENGTH)
        if state is not None:
            state.write(FILE_NAME, salt)
    except StateUnavailable as error:
        log.warn(
            "the salt of this server is another one at every start: {reason}",
            reason=str(error),
            problem="state-directory",
        )
    return salt or entropy(MIN_SALT_LENGTH)
