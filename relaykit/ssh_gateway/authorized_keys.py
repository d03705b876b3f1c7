"""The file of the keys that may log in, in OpenSSH's format; read again when it has changed.

Source: sshd(8), AUTHORIZED_KEYS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping

from attrs import field, frozen
from twisted.logger import Logger

__all__ = ["MOST_FILE_BYTES", "AuthorizedKeys", "UnusableLine", "read_keys"]

MOST_FILE_BYTES = 1024 * 1024
"""Most bytes of the file: some thousands of keys.  Guards against a wrong path."""

_KEY_TYPES = frozenset(
    {
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-ed25519",
        "ssh-rsa",
    }
)
"""What a line begins with that has no options.  Keys in hardware (``sk-``) and DSA are not taken."""

_LENGTH_BYTES = 4


@frozen
class UnusableLine:
    """A line whose key is not accepted, and why."""

    number: int
    why: str


@frozen
class _Keys:
    """What the file held when it was read last."""

    mark: tuple[int, ...] = ()
    comments: Mapping[bytes, str] = field(factory=dict)
    trouble: str = ""


class AuthorizedKeys:
    """The keys of a file, which is looked at at each login; ``path`` may be changed."""

    log = Logger()

    def __init__(self, path: str) -> None:
        self.path = path
        self._read = _Keys()

    def comment_of(self, blob: bytes) -> str | None:
        """The comment of a key, in SSH's own form, that may log in; None for any other key.

        While the file cannot be read, nobody may.
        """
        self._look()
        return self._read.comments.get(blob)

    def _look(self) -> None:
        try:
            found = os.stat(self.path)
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
            if mark == self._read.mark:
                return
            with open(self.path, "rb") as file:
                content = file.read(MOST_FILE_BYTES + 1)
            if len(content) > MOST_FILE_BYTES:
                raise OSError(None, f"it is larger than {MOST_FILE_BYTES} bytes")
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._read.trouble:
                self.log.error(
                    "sshTunnelGateway.authorizedKeysFile: cannot read {path}: {why}; until it can be read, "
                    "nobody can log in at the SSH gateway",
                    path=self.path,
                    why=why,
                    problem="ssh-authorized-keys",
                )
            self._read = _Keys(trouble=why)
            return
        comments: dict[bytes, str] = {}
        for each in read_keys(content.decode("utf-8", "replace")):
            if isinstance(each, UnusableLine):
                self.log.warn(
                    "sshTunnelGateway.authorizedKeysFile: {path}:{line}: this key is not accepted: {why}",
                    path=self.path,
                    line=each.number,
                    why=each.why,
                    problem="ssh-authorized-keys",
                )
            else:
                comments.setdefault(*each)
        self.log.info(
            "{path}: {count} keys may log in at the SSH gateway", path=self.path, count=len(comments)
        )
        self._read = _Keys(mark, comments)


def read_keys(text: str) -> Iterator[tuple[bytes, str] | UnusableLine]:
    """The keys of a file, each with its comment, and the lines that have none that counts.

    A line with options would let its key do less than others, by rules that are not known here: such a key is
    not accepted.
    """
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 2)
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in _KEY_TYPES:
            yield UnusableLine(number, _why_unknown(line))
            continue
        blob = _blob(words[0], words[1] if len(words) > 1 else "")
        if blob is None:
            yield UnusableLine(number, "it is damaged: between its type and its comment is no such key")
        else:
            yield blob, words[2].strip() if len(words) > 2 else ""


def _why_unknown(line: str) -> str:
    if any(f" {name} " in f" {line} " for name in _KEY_TYPES):
        return "it has options, which are not supported here: remove what stands before the type of the key"
    return f"its type is none of {', '.join(sorted(_KEY_TYPES))}"


def _blob(type_name: str, encoded: str) -> bytes | None:
    """The key itself, if it is one of this type."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    name = type_name.encode("ascii")
    return blob if blob.startswith(len(name).to_bytes(_LENGTH_BYTES, "big") + name) else None
