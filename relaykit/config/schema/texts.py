"""Texts that stand for something else: limits of bandwidth, fingerprints, keys of annotations."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping

__all__ = ["MOST_BYTES", "annotation_problems", "format_fingerprint", "parse_bandwidth", "parse_fingerprint"]

MOST_BYTES = 262_144
"""Bytes of all keys and values of annotations together."""

_MOST_PREFIX = 253
_MOST_NAME = 63
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
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


def annotation_problems(annotations: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with annotations, one text for each thing.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/, which frp follows.
    """
    for key in annotations:
        for reason in _key_problems(key.lower()):
            yield f'key "{key}" is invalid: {reason}'
    size = sum(
        len(text.encode("utf-8", "surrogateescape")) for entry in annotations.items() for text in entry
    )
    if size > MOST_BYTES:
        yield f"{size} bytes are more than the limit, {MOST_BYTES}"


def _key_problems(key: str) -> Iterator[str]:
    *prefixes, name = key.split("/")
    if len(prefixes) > 1:
        yield "it must be a name, or a DNS subdomain, a slash and a name"
        return
    for prefix in prefixes:
        if not prefix:
            yield "the part before the slash must not be empty"
        elif len(prefix) > _MOST_PREFIX:
            yield f"the part before the slash must be no more than {_MOST_PREFIX} characters"
        elif not _SUBDOMAIN.match(prefix):
            yield "the part before the slash must be a DNS subdomain, such as example.com"
    if not name:
        yield "the name must not be empty"
    elif len(name) > _MOST_NAME:
        yield f"the name must be no more than {_MOST_NAME} characters"
    elif not _NAME.match(name):
        yield 'the name must consist of letters, digits, "-", "_", "." and begin and end with letter or digit'
