"""Texts that stand for something else: limits of bandwidth, fingerprints."""

from __future__ import annotations

import hashlib
import math

__all__ = ["format_fingerprint", "parse_bandwidth", "parse_fingerprint"]

_UNITS = {"MB": 1024 * 1024, "KB": 1024}


def parse_bandwidth(text: str) -> int:
    """Bytes a second that a text such as ``1MB`` or ``512KB`` stands for; 0 for no limit.

    :raises ValueError: it is not of this form; the text of the error says why.
    """
    text = text.strip()
    if not text:
        return 0
    unit = _UNITS.get(text[-2:])
    if unit is None or any(character.isspace() for character in text):
        raise ValueError(f'"{text}" must be a number with the unit MB or KB')
    try:
        content = float(text[:-2]) * unit
    except ValueError:
        raise ValueError(f'"{text[:-2]}" before the unit is no number') from None
    if not math.isfinite(content) or content <= 0:
        return 0
    return int(content)


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
