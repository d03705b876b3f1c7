"""The identity of a client: a key in its state directory, which no two clients use at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from twisted.logger import Logger

from relaykit.state import StateUnavailable

if TYPE_CHECKING:
    from relaykit.state import HeldFile, StateDirectory

__all__ = ["MOST_IDENTITIES", "Identity"]

log = Logger()

MOST_IDENTITIES = 256
"""Clients that may run at once with one state directory; each more has a new identity at every start."""


class Identity:
    """A key of Ed25519, which signs for its client; it is not shown to anybody.

    Provides :class:`relaykit.sansio.control.identity.Signer`.  :meth:`release` lets another client have it.
    """

    def __init__(self, key: Ed25519PrivateKey, held: HeldFile | None = None) -> None:
        self._key = key
        self._held = held
        self.public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def taken(cls, state: StateDirectory | None) -> Identity:
        """The first identity in the state directory that no other client uses; made when it is missing.

        Clients that run beside each other so have one each, and who starts again has its own again.
        Where nothing can be kept, that is logged, and the identity is good until it is released.
        """
        reason = "there is no state directory"
        try:
            for number in range(1, MOST_IDENTITIES + 1) if state is not None else ():
                assert state is not None
                name = "identity" if number == 1 else f"identity-{number}"
                held = state.hold(f"{name}.lock")
                if held is not None:
                    try:
                        return cls(_load_or_create(state, f"{name}.pem"), held)
                    except StateUnavailable:
                        held.close()
                        raise
                reason = f"all {MOST_IDENTITIES} of {state.path} are in use"
        except StateUnavailable as error:
            reason = str(error)
        log.warn(
            "this client has a new identity at every start: {reason}; name a folder with --state-dir",
            reason=reason,
            problem="state-directory",
        )
        return cls(Ed25519PrivateKey.generate())

    def sign(self, statement: bytes) -> bytes:
        """The signature of a statement."""
        return self._key.sign(statement)

    def release(self) -> None:
        """Another client may use it."""
        if self._held is not None:
            self._held.close()
            self._held = None


def _load_or_create(state: StateDirectory, name: str) -> Ed25519PrivateKey:
    content = state.read(name)
    if content is not None:
        try:
            key = load_pem_private_key(content, None)
        except ValueError:
            key = None
        if isinstance(key, Ed25519PrivateKey):
            return key
        log.warn("{path} holds no key and is made anew", path=state.path / name, problem="state-directory")
    new = Ed25519PrivateKey.generate()
    state.write(name, new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return new
