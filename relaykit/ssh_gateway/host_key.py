"""The gateway's host key, by which ssh knows it again: that of a file, or one that is made once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, Key
from twisted.logger import Logger

from relaykit.config.schema.server import SshTunnelGateway
from relaykit.errors import RelaykitError
from relaykit.replacing import replace_file
from relaykit.state import StateDirectory, StateUnavailable

__all__ = ["FILE_NAME", "load_or_create", "look"]

log = Logger()

FILE_NAME = "ssh-host-key"
"""File of the state directory that holds the key."""

MOST_FILE_BYTES = 64 * 1024
"""Bytes of a key's file; one has two thousand at most.  Guards against a wrong path."""

LEAST_RSA_BITS = 2048
"""Of a key that ssh still takes for one.  Source: NIST SP 800-131A."""

_OF_FRP = SshTunnelGateway().auto_gen_private_key_path


def load_or_create(config: SshTunnelGateway, state: StateDirectory | None) -> Key:
    """The key of ``privateKeyFile``; else that of ``autoGenPrivateKeyPath``, as frp keeps its own, if that is
    given or there is one; else that of the state directory.  The last two are made where there are none.

    Where nothing can be kept, that is logged, and the key is good until the program ends.

    :raises RelaykitError: a file that is named cannot be used.
    """
    found = look(config)
    if found is not None:
        return found
    if config.auto_gen_private_key_path not in ("", _OF_FRP):
        return _made_at(Path(config.auto_gen_private_key_path))
    return _kept(state)


def look(config: SshTunnelGateway) -> Key | None:
    """The key that is in a file which the configuration names; None where one is to be made or kept.

    :raises RelaykitError: the file cannot be used.
    """
    if config.private_key_file:
        return _read(Path(config.private_key_file), "privateKeyFile")
    path = Path(config.auto_gen_private_key_path or _OF_FRP)
    return _read(path, "autoGenPrivateKeyPath") if _has_content(path) else None


def _kept(state: StateDirectory | None) -> Key:
    """The key of the state directory."""
    if state is None:
        log.warn(
            "there is no state directory: the SSH gateway has another host key after each start",
            problem="ssh-host-key",
        )
        return _key(_made())
    try:
        content = state.read(FILE_NAME)
        if content is None:
            content = _made()
            state.write(FILE_NAME, content)
    except StateUnavailable as error:
        log.warn(
            "the host key of the SSH gateway is not kept: {reason}",
            reason=str(error),
            problem="ssh-host-key",
        )
        return _key(_made())
    return _parsed(content, str(state.path / FILE_NAME))


def _made_at(path: Path) -> Key:
    content = _made()
    try:
        replace_file(path, content)
    except OSError as error:
        raise _unusable("autoGenPrivateKeyPath", f"cannot write {path}: {error.strerror}") from error
    return _key(content)


def _read(path: Path, key: str) -> Key:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise _unusable(key, f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    if len(content) > MOST_FILE_BYTES:
        raise _unusable(key, f"{path} is larger than {MOST_FILE_BYTES} bytes")
    return _parsed(content, str(path), key)


def _parsed(content: bytes, path: str, key: str = "") -> Key:
    try:
        found = _key(content)
    except EncryptedKeyError:
        raise _unusable(key, f"the key in {path} has a passphrase, which nobody can enter here") from None
    except (BadKeyError, ValueError, IndexError, TypeError) as error:
        why = f"{path} holds no private key in the formats of PEM or OpenSSH"
        raise _unusable(key, why) from error
    if found.isPublic():
        raise _unusable(key, f"{path} holds a public key, and the private one is needed")
    if found.type() == "DSA" or (found.type() == "RSA" and found.size() < LEAST_RSA_BITS):
        raise _unusable(key, f"the key in {path} is too weak: have one made with ssh-keygen -t ed25519")
    return found


def _made() -> bytes:
    """A new key, as its file has it."""
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def _key(content: bytes) -> Key:
    made: Any = Key.fromString(content)
    assert isinstance(made, Key)
    return made


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _unusable(key: str, why: str) -> RelaykitError:
    return RelaykitError(f"sshTunnelGateway{'.' if key else ''}{key}: {why}", problem="ssh-host-key")
