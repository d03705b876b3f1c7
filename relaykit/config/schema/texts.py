"""Fingerprints of certificates as texts."""

from __future__ import annotations

import hashlib

__all__ = ["format_fingerprint", "parse_fingerprint"]


def parse_fingerprint(text: str) -> bytes:
    """The SHA-256 digest that a text such as ``sha256:AB:CD:...`` or ``abcd...`` stands for.

    Colons, white space around it, letter case and the prefix ``sha256:`` do not matter.

    :raises ValueError: it is not the hexadecimal form of 32 bytes.
    """
    bare = text.strip().lower().removeprefix("sha256:").replace(":", "")
    size = hashlib.sha256().digest_size
    if len(bare) != 2 * size or not all(character in "0123456789abcdef" for character in bare):
        raise ValueError(f"must be the SHA-256 of a certificate: {2 * size} hexadecimal digits")
    return bytes.fromhex(bare)


def format_fingerprint(digest: bytes) -> str:
    """The usual spelling of a digest: upper-case pairs with colons between."""
    return digest.hex(":").upper()
